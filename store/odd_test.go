package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

func TestInbox_AnOddEnvelopeHidesNoOther(t *testing.T) {
	s := store.NewMem()
	old := time.Now().Add(-time.Hour)
	for _, v := range []rotation.Envelope{{ID: "a", At: old}, {ID: "b", At: old}, {ID: "c", At: old}, {ID: "d", At: old, Done: true}, {ID: "e", At: old}} {
		if _, err := s.Accept(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	store.Scribble(s, "a")
	store.Scribble(s, "c")

	var waiting []string
	err := s.Waiting(t.Context(), func(v rotation.Envelope) error {
		waiting = append(waiting, v.ID)
		return nil
	})
	if got := strings.Join(waiting, " "); got != "b e" {
		t.Errorf("waiting: %q, want b and e", got)
	}
	if err == nil || !strings.Contains(err.Error(), `envelope "a"`) || !strings.Contains(err.Error(), "1 more like it") {
		t.Errorf("error %v, want one that names the first and counts the other", err)
	}
	if err := s.Forget(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), `envelope "a"`) {
		t.Errorf("forget: error %v, want one that names what could not be read", err)
	}
	if _, err := s.Accept(t.Context(), rotation.Envelope{ID: "d", At: time.Now()}); err != nil {
		t.Errorf("accept d again: %v; it should have been forgotten", err)
	}
}
