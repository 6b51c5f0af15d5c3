package rotation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// place is an account that answers one question.
type place struct {
	rotation.IAM
	id, user string
	err      error
}

func (p place) UserOf(context.Context, rotation.KeyID) (string, error) { return p.user, p.err }

func (p place) User(_ context.Context, name string) (rotation.User, error) {
	return rotation.User{Ref: rotation.UserRef{Account: p.id, Name: name}, Tags: map[string]string{"t": string(owner)}}, nil
}

func (p place) Keys(context.Context, string) ([]rotation.Key, error) {
	return []rotation.Key{{ID: "AKIA1", Status: rotation.Active}}, nil
}

func (p place) LastUse(context.Context, rotation.KeyID) (rotation.LastUse, error) {
	return rotation.LastUse{State: rotation.NeverUsed}, nil
}

// TestEngine_Whois holds what is answered against what the accounts say: whatever cannot be read is unknown, unless the key is found.
func TestEngine_Whois(t *testing.T) {
	gone, denied := refusedCall("ask", rotation.ClassGone), refusedCall("ask", rotation.ClassDenied)
	throttled, lost := refusedCall("ask", rotation.ClassThrottled), errors.New("cut off")
	here := place{user: "ci"}
	for _, test := range []struct {
		name   string
		places []place
		where  string
		unread int
	}{
		{"here alone", []place{here}, "0", 0},
		{"found behind what says no", []place{{err: gone}, here}, "1", 0},
		{"found behind what does not answer", []place{{err: denied}, {err: lost}, here, {err: throttled}}, "2", 0},
		{"nobody's", []place{{err: gone}, {err: gone}}, "", 0},
		{"denied", []place{{err: denied}}, "", 1},
		{"some do not answer", []place{{err: gone}, {err: lost}, {err: throttled}}, "", 2},
		{"a root user's", []place{{err: gone}, {user: ""}}, "1", 0},
		{"no accounts", nil, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := rotation.Config{Store: store.NewMem(), Hand: newHand(), Owners: rotation.Owners{Tag: "t"}}
			for i, p := range test.places {
				p.id = string(rune('0' + i))
				cfg.Accounts = append(cfg.Accounts, rotation.Account{ID: p.id, IAM: p})
			}
			e, err := rotation.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			w, err := e.Whois(t.Context(), "AKIA1")
			if err != nil || w.Account != test.where || len(w.Unread) != test.unread {
				t.Errorf("in %q, %d unread, %v; want in %q, %d unread", w.Account, len(w.Unread), err, test.where, test.unread)
			}
			named := w.Account != "" && test.places[w.Account[0]-'0'].user != ""
			if k, found := w.Found(); found != named || named && (w.Holding.Ownership.Member != owner || k.LastUse.State != rotation.NeverUsed) {
				t.Errorf("got %+v of %+v", k, w.Holding)
			}
		})
	}
}

func TestKeyID_Account(t *testing.T) {
	for id, want := range map[rotation.KeyID]string{
		"ASIAY34FZKBOKMUTVV7A": "609629065308", "AKIARZPUZDIKGB2VALC4": "123456789012",
		"AKIAIOSFODNN7EXAMPLE": "", "AKIA0000000000000000": "", "AKIA": "", "": "",
	} {
		if got, ok := id.Account(); got != want || ok != (want != "") {
			t.Errorf("%s points to %q, %v; want %q", id, got, ok, want)
		}
	}
}

func TestEngine_Remind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := b.playTo(rotation.Requested)
		asker, other := rotation.Actor{Member: owner}, rotation.Actor{Member: carol, Approver: true}
		try := func(by rotation.Actor, want rotation.Code) {
			t.Helper()
			_, err := b.engine.Remind(t.Context(), r.ID, by)
			refusal, refused := errors.AsType[*rotation.Refusal](err)
			if err != nil && !refused || refused != (want != "") || refused && refusal.Code != want {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		began := b.rotation().Asks[0].At
		time.Sleep(time.Until(began.Add(59 * time.Minute)))
		try(asker, rotation.TooSoon)
		time.Sleep(time.Minute)
		try(other, rotation.NotOwner)
		var want []rotation.Reminder
		for i := range 5 {
			want = append(want, rotation.Reminder{By: owner, At: time.Now()})
			try(asker, "")
			if i < 4 {
				try(asker, rotation.TooSoon)
			}
			time.Sleep(time.Hour)
		}
		try(asker, rotation.RemindedOften)
		soon := cmpopts.EquateApproxTime(time.Second) // a reminder by itself may be written at the same moment, and comes first
		if diff := cmp.Diff(want, b.rotation().Asks[0].Reminders, soon); diff != "" {
			t.Errorf("reminders (-want +got):\n%s", diff)
		}
		p, err := b.kept.Get(t.Context(), ci.ID())
		if err != nil {
			t.Fatal(err)
		}
		moved, refused := 0, 0
		for _, e := range trail(t, b.kept, p) {
			switch {
			case e.Action == "remind" && e.Outcome == "moved" && e.Actor == string(owner):
				moved++
			case e.Action == "remind" && e.Outcome == "refused":
				refused++
			}
		}
		if moved != 5 || refused != 7 {
			t.Errorf("%d entries of reminders, %d of refusals, want 5 and 7", moved, refused)
		}
		b.playTo(rotation.Switching)
		try(asker, rotation.NothingAsked)
		b.stop()
	})
}

func TestEngine_History(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := b.playTo(rotation.Requested)
		list := func(what string, want int, got []rotation.Rotation, err error) {
			t.Helper()
			if err != nil || len(got) != want {
				t.Errorf("%s: %d rotations, %v, want %d", what, len(got), err, want)
			}
		}
		found, err := b.engine.History(t.Context(), owner)
		list("while it runs", 0, found, err)
		if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Cancel, rotation.Actor{Member: owner}, ""); err != nil {
			t.Fatal(err)
		}
		found, err = b.engine.History(t.Context(), owner)
		list("the owner's", 1, found, err)
		found, err = b.engine.History(t.Context(), carol)
		list("somebody's else", 0, found, err)
		found, err = b.engine.HistoryOf(t.Context(), ci)
		list("the user's", 1, found, err)
		found, err = b.engine.HistoryOf(t.Context(), rotation.UserRef{Account: account, Name: strings.ToUpper(ci.Name)})
		list("the user's, in capitals", 1, found, err)
		_, err = b.engine.HistoryOf(t.Context(), rotation.UserRef{Account: "999999999999", Name: "x"})
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.NoAccount {
			t.Errorf("of an account that is none: %v", err)
		}
		b.stop()
	})
}
