package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

func accept(t *testing.T, s rotation.Store, v rotation.Envelope) rotation.Envelope {
	t.Helper()
	stored, err := s.Accept(t.Context(), v)
	if err != nil {
		t.Fatalf("accept %.60q: %v", v.ID, err)
	}
	return stored
}

func settle(t tester, s rotation.Store, v rotation.Envelope) rotation.Envelope {
	t.Helper()
	stored, err := s.Settle(t.Context(), v)
	if err != nil {
		t.Fatalf("settle %.60q at rev %d: %v", v.ID, v.Rev, err)
	}
	return stored
}

func wantSame(t *testing.T, what string, got, want rotation.Envelope) {
	t.Helper()
	if diff := same(got, want); diff != "" {
		t.Errorf("%s (-want +got):\n%.2000s", what, diff)
	}
}

// waiting lists what waits, by id.
func waiting(t tester, s rotation.Store) map[string]rotation.Envelope {
	t.Helper()
	all := map[string]rotation.Envelope{}
	err := s.Waiting(t.Context(), func(v rotation.Envelope) error {
		if _, twice := all[v.ID]; twice {
			t.Errorf("%q waits twice", v.ID)
		}
		all[v.ID] = v
		return nil
	})
	if err != nil {
		t.Fatalf("list what waits: %v", err)
	}
	return all
}

// wantWaiting expects these and no others to wait.
func wantWaiting(t *testing.T, s rotation.Store, want ...rotation.Envelope) {
	t.Helper()
	byID := map[string]rotation.Envelope{}
	for _, v := range want {
		byID[v.ID] = v
	}
	eventually(t, s, func() string {
		if diff := same(waiting(t, s), byID); diff != "" {
			return fmt.Sprintf("waiting (-want +got):\n%.2000s", diff)
		}
		return ""
	})
}

// wantNotAccepted expects an envelope to be there already.
func wantNotAccepted(t *testing.T, s rotation.Store, id string) {
	t.Helper()
	v, err := s.Accept(t.Context(), rotation.Envelope{ID: id, At: noon.Add(time.Hour), Body: []byte("again")})
	wantErr(t, fmt.Sprintf("accept %.60q again", id), err, rotation.ErrConflict)
	wantSame(t, "the refused envelope gave something", v, rotation.Envelope{})
}

func acceptedOnce(t *testing.T, s rotation.Store) {
	given := rotation.Envelope{ID: "e1", Rev: 99, At: noon, Body: []byte("body")}
	want := rotation.Envelope{ID: "e1", Rev: 1, At: noon, Body: []byte("body")}
	v := accept(t, s, given)
	wantSame(t, "accept returned", v, want)
	wantNotAccepted(t, s, "e1")
	wantWaiting(t, s, want)

	v.Holder = "a"
	v = settle(t, s, v)
	wantNotAccepted(t, s, "e1")
	v.Done = true
	settle(t, s, v)
	wantNotAccepted(t, s, "e1")
	wantWaiting(t, s)
}

func acceptedAtOnce(t *testing.T, s rotation.Store) {
	const deliveries, rounds = 8, 5
	for round := range rounds {
		id := fmt.Sprint("e", round)
		won := make([]bool, deliveries)
		together(deliveries, func(i int) {
			v, err := s.Accept(t.Context(), rotation.Envelope{ID: id, Holder: fmt.Sprint(i), At: noon})
			if won[i] = err == nil; won[i] && v.Holder != fmt.Sprint(i) {
				t.Errorf("delivery %d was given that of %s", i, v.Holder)
			}
			if err != nil {
				wantErr(t, "accept", err, rotation.ErrConflict)
			}
		})
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			t.Fatalf("deliveries that were accepted: %v, want exactly one", won)
		}
		want := rotation.Envelope{ID: id, Rev: 1, At: noon, Holder: fmt.Sprint(winner)}
		wantWaiting(t, s, want)
		want.Done = true
		settle(t, s, want)
	}
}

func envelopeValues(t *testing.T, s rotation.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	var want []rotation.Envelope
	for i, v := range []rotation.Envelope{
		Filled[rotation.Envelope](),
		{},
		{Body: every, Holder: "ключ\x00"},
		{Body: bytes.Repeat(every, 100), At: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)},
		{Body: []byte{}, At: noon.In(time.FixedZone("", -8*60*60))},
	} {
		v.ID, v.Done = fmt.Sprint(i), false
		stored := accept(t, s, v)
		v.Rev = 1
		wantSame(t, "accept returned", stored, v)
		want = append(want, v)
	}
	for _, key := range oddKeys() {
		if _, digit := strconv.Atoi(key); digit != nil { // those are taken above
			want = append(want, accept(t, s, rotation.Envelope{ID: key}))
		}
	}
	wantWaiting(t, s, want...)
}

func settled(t *testing.T, s rotation.Store) {
	v := accept(t, s, rotation.Envelope{ID: "e", At: noon, Body: []byte("body")})
	for rev := uint64(2); rev <= 4; rev++ {
		given := v
		given.Holder = fmt.Sprint("h", rev)
		v = settle(t, s, given)
		given.Rev = rev
		wantSame(t, "settle returned", v, given)
		wantWaiting(t, s, given)
	}
	for _, rev := range []uint64{0, 1, 3, 5, 1 << 63, 1<<64 - 1} {
		got, err := s.Settle(t.Context(), rotation.Envelope{ID: "e", Rev: rev, Done: true})
		wantErr(t, fmt.Sprintf("settle at rev %d what is at 4", rev), err, rotation.ErrConflict)
		wantSame(t, "the refused envelope gave something", got, rotation.Envelope{})
	}
	for _, rev := range []uint64{0, 1} {
		_, err := s.Settle(t.Context(), rotation.Envelope{ID: "not there", Rev: rev})
		wantErr(t, fmt.Sprintf("settle at rev %d what is not there", rev), err, rotation.ErrConflict)
	}
	wantWaiting(t, s, v)

	v.Done = true // with its body, which somebody forgot
	done := settle(t, s, v)
	wantSame(t, "settle returned", done, rotation.Envelope{ID: "e", Rev: 5, At: noon, Holder: "h4", Done: true})
	wantWaiting(t, s)
	done.Done, done.Body = false, []byte("more")
	wantWaiting(t, s, settle(t, s, done))

	done = accept(t, s, rotation.Envelope{ID: "done from the first", Done: true})
	wantNotAccepted(t, s, done.ID)
	if !done.Done {
		t.Error("it is not done")
	}
}

func settledAtOnce(t *testing.T, s rotation.Store) {
	const workers = 8
	v := accept(t, s, rotation.Envelope{ID: "e", At: noon})
	for range 5 {
		won := make([]bool, workers)
		together(workers, func(i int) {
			mine := v
			mine.Holder = fmt.Sprint(i)
			_, err := s.Settle(t.Context(), mine)
			if won[i] = err == nil; err != nil {
				wantErr(t, "settle", err, rotation.ErrConflict)
			}
		})
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			t.Fatalf("workers that have it: %v, want exactly one", won)
		}
		v.Rev++
		v.Holder = fmt.Sprint(winner)
		wantWaiting(t, s, v)
	}
}

// envelopeCopies changes everything that was given and got, and finds the stored body as it was.
func envelopeCopies(t *testing.T, s rotation.Store) {
	want := rotation.Envelope{ID: "e", Rev: 1, Body: []byte("body")}
	given := rotation.Envelope{ID: "e", Body: []byte("body")}
	stored := accept(t, s, given)
	clear(given.Body)
	clear(stored.Body)
	wantWaiting(t, s, want)
	for _, v := range waiting(t, s) {
		clear(v.Body)
	}
	wantWaiting(t, s, want)
	given = want
	given.Body = slices.Clone(want.Body)
	stored = settle(t, s, given)
	clear(given.Body)
	clear(stored.Body)
	want.Rev = 2
	wantWaiting(t, s, want)
}

// waitingExact has more of them than a backend would read in one go.
func waitingExact(t *testing.T, s rotation.Store) {
	wantWaiting(t, s)
	var want []rotation.Envelope
	for n := range 2 * many {
		v := accept(t, s, rotation.Envelope{ID: fmt.Sprint("e", n), At: noon, Body: []byte(fmt.Sprint(n)), Done: n%3 == 0})
		switch n % 3 {
		case 1:
			v.Done = true
			settle(t, s, v)
		case 2:
			want = append(want, v)
		}
	}
	wantWaiting(t, s, want...)
}

func waitingStops(t *testing.T, s rotation.Store) {
	for n := range many {
		accept(t, s, rotation.Envelope{ID: fmt.Sprint(n)})
	}
	eventually(t, s, func() string {
		if got := len(waiting(t, s)); got != many {
			return fmt.Sprintf("%d wait, want %d", got, many)
		}
		return ""
	})
	wantStop(t, func(called func() error) error {
		return s.Waiting(t.Context(), func(rotation.Envelope) error { return called() })
	})
}

// waitingCalls works off everything from within the callbacks: the first settles the others, too, which then have no turn.
func waitingCalls(t *testing.T, s rotation.Store) {
	var all []rotation.Envelope
	for n := range 5 {
		all = append(all, accept(t, s, rotation.Envelope{ID: fmt.Sprint(n), At: noon}))
	}
	wantWaiting(t, s, all...)
	calls := 0
	err := s.Waiting(t.Context(), func(first rotation.Envelope) error {
		if calls++; calls > 1 {
			return fmt.Errorf("%q has been worked, and is given again", first.ID)
		}
		for _, v := range all {
			v.Done = true
			settle(t, s, v)
		}
		accept(t, s, rotation.Envelope{ID: "!before", At: noon, Done: true})
		create(t, s, rotation.Progress{User: user(1), Owed: true})
		return errors.Join(
			s.Waiting(t.Context(), func(v rotation.Envelope) error { return fmt.Errorf("%q waits", v.ID) }),
			s.Forget(t.Context(), noon.Add(1)),
		)
	})
	if err != nil || calls != 1 {
		t.Errorf("%d calls and error %v, want 1 and none", calls, err)
	}
	wantWaiting(t, s)
}

func forgets(t *testing.T, s rotation.Store) {
	if err := s.Forget(t.Context(), noon); err != nil {
		t.Errorf("forget in an empty store: %v", err)
	}
	for _, v := range []rotation.Envelope{
		{ID: "old", At: noon.Add(-time.Nanosecond), Done: true},
		{ID: "elsewhere", At: noon.Add(-time.Nanosecond).In(time.FixedZone("", 14*60*60)), Done: true},
		{ID: "of no time", Done: true},
		{ID: "new", At: noon, Done: true},
		{ID: "newer", At: noon.Add(time.Hour), Done: true},
		{ID: "old and waiting", At: noon.Add(-48 * time.Hour), Body: []byte("x")},
		{ID: "old and begun", At: noon.Add(-48 * time.Hour), Holder: "h"},
	} {
		accept(t, s, v)
	}
	claim(t, s, rotation.Claim{Name: "old"})
	create(t, s, rotation.Progress{User: user(1), Owed: true})
	record(t, s, "old", rotation.Entry{At: noon.Add(-time.Hour)})
	for range 2 { // the second finds nothing to do
		if err := s.Forget(t.Context(), noon); err != nil {
			t.Fatalf("forget: %v", err)
		}
		for _, id := range []string{"new", "newer", "old and waiting", "old and begun"} {
			wantNotAccepted(t, s, id)
		}
	}
	wantWaiting(
		t, s,
		rotation.Envelope{ID: "old and waiting", Rev: 1, At: noon.Add(-48 * time.Hour), Body: []byte("x")},
		rotation.Envelope{ID: "old and begun", Rev: 1, At: noon.Add(-48 * time.Hour), Holder: "h"},
	)
	for _, id := range []string{"old", "elsewhere", "of no time"} {
		_, err := s.Settle(t.Context(), rotation.Envelope{ID: id, Rev: 1})
		wantErr(t, "settle what is forgotten", err, rotation.ErrConflict)
		accept(t, s, rotation.Envelope{ID: id, Done: true})
	}
	expectClaim(t, s, rotation.Claim{Name: "old", Rev: 1})
	expect(t, s, rotation.Progress{User: user(1), Rev: 1, Owed: true})
	if got := entries(t, s); len(got) != 1 {
		t.Errorf("entries %v, want the one", got)
	}
}

func forgetsMany(t *testing.T, s rotation.Store) {
	for n := range 2 * many {
		accept(t, s, rotation.Envelope{ID: fmt.Sprint(n), At: noon.Add(time.Duration(n%2) * time.Hour), Done: true})
	}
	if err := s.Forget(t.Context(), noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for n := range 2 * many {
		_, err := s.Accept(t.Context(), rotation.Envelope{ID: fmt.Sprint(n)})
		if forgotten := err == nil; forgotten != (n%2 == 0) {
			t.Errorf("envelope %d: forgotten %v (%v)", n, forgotten, err)
		}
	}
}

func envelopesRefused(t *testing.T, s rotation.Store) {
	for _, id := range badKeys {
		v, err := s.Accept(t.Context(), rotation.Envelope{ID: id})
		if err == nil {
			t.Errorf("accept %.60q: got %+v", id, v)
		}
		if v, err = s.Settle(t.Context(), rotation.Envelope{ID: id, Rev: 1}); err == nil {
			t.Errorf("settle %.60q: got %+v", id, v)
		}
	}
	wantWaiting(t, s)
	accept(t, s, rotation.Envelope{ID: strings.Repeat("n", 1024)})
}
