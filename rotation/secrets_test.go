package rotation

import (
	"errors"
	"testing"
)

func TestSecrets_OfAnotherTurnAreNoOutcome(t *testing.T) {
	e := &Engine{}
	r := Rotation{ID: "x-1", Stage: Creating, Turn: 7, User: UserRef{"111122223333", "ci"}}
	for turn, mine := range map[int]bool{3: false, 7: true} {
		e.secrets.put(r.ID, held{turn: turn, key: "AKIAHELD", secret: NewSecret("x")})
		ev, err := createKey(t.Context(), e, r)
		_, looked := errors.AsType[*Refusal](err) // there is no such account
		if (ev.Key == "AKIAHELD") != mine || looked == mine {
			t.Errorf("made at turn %d: got %+v, %v", turn, ev, err)
		}
	}
}

func TestSecrets_AreKeptAsLongAsTheyAreNeeded(t *testing.T) {
	user := UserRef{"111122223333", "ci"}
	tests := []struct {
		name string
		r    Rotation // as stored
		kept bool
	}{
		{"before it was made", Rotation{Stage: Requested, Turn: 4}, true},
		{"made, and not written yet", Rotation{Stage: Creating, Turn: 5}, true},
		{"to be handed over", Rotation{Stage: Delivering, Turn: 6, New: "KEY"}, true},
		{"another key is to be handed over", Rotation{Stage: Delivering, Turn: 9, New: "OTHER"}, false},
		{"handed over", Rotation{Stage: Switching, Turn: 7, New: "KEY"}, false},
		{"found as a lost one", Rotation{Stage: Discarding, Turn: 6, New: "KEY"}, false},
		{"another one is to be made", Rotation{Stage: Creating, Turn: 7}, false},
		{"it is over", Rotation{Stage: Closed, Turn: 8}, false},
	}
	for _, test := range tests {
		var s secrets
		test.r.ID = user.ID() + "-1"
		s.put(test.r.ID, held{turn: 5, key: "KEY", secret: NewSecret("x")})
		s.prune(Progress{User: user, Rotation: &test.r}, test.r.ID)
		if _, kept := s.get(test.r.ID); kept != test.kept {
			t.Errorf("%s: kept %v", test.name, kept)
		}
	}
	var s secrets
	s.put("gone-1", held{key: "KEY"})
	if s.prune(Progress{User: user}, "gone-1"); len(s.rotations()) != 0 {
		t.Error("kept for a rotation that is not there")
	}
}
