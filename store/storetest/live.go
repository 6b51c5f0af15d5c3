package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// live lists what Live tells: revs by ids.
func live(t tester, s rotation.Store) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	err := s.Live(t.Context(), func(id string, rev uint64) error {
		if _, twice := all[id]; twice {
			t.Errorf("%s is live twice", id)
		}
		all[id] = rev
		return nil
	})
	if err != nil {
		t.Fatalf("list what is live: %v", err)
	}
	return all
}

// wantIndex compares what Live tells with the documents.
func wantIndex(t *testing.T, s rotation.Store) {
	t.Helper()
	want := map[string]uint64{}
	for _, p := range scanned(t, s) {
		if p.Live() {
			want[p.User.ID()] = p.Rev
		}
	}
	eventually(t, s, func() string {
		if diff := same(live(t, s), want); diff != "" {
			return "live (-documents +told):\n" + diff
		}
		return ""
	})
}

// liveFollows brings one document after another through what makes it live, and what ends that.
func liveFollows(t *testing.T, s rotation.Store) {
	wantIndex(t, s)
	secret := rotation.Handover{Post: rotation.Post{Channel: "D1", TS: "1.2"}}
	gone := secret
	gone.Gone = true
	states := []rotation.Progress{
		{},
		{Owed: true},
		{Count: 1},
		{Rotation: &rotation.Rotation{Stage: rotation.Requested}},
		{Rotation: &rotation.Rotation{Stage: rotation.Grace}},
		{Rotation: &rotation.Rotation{Stage: rotation.Done}},
		{Rotation: &rotation.Rotation{Stage: rotation.Done, Handover: secret}},
		{Rotation: &rotation.Rotation{Stage: rotation.Done, Handover: gone}},
		{Past: []rotation.Rotation{{Stage: rotation.Done, Stale: []rotation.Handover{secret}}}},
		{Past: []rotation.Rotation{{Stage: rotation.Done}}},
		{Owed: true, Rotation: &rotation.Rotation{Stage: rotation.Done}},
		{Rotation: &rotation.Rotation{Stage: rotation.Cancelled}},
	}
	seen := map[bool]int{}
	for first := range states {
		p := states[first]
		p.User = user(first)
		p = create(t, s, p)
		seen[p.Live()]++
		wantIndex(t, s)
		for _, next := range states[first:] {
			next.User, next.Rev = p.User, p.Rev
			p = replace(t, s, next)
		}
		wantIndex(t, s)
	}
	if seen[true] < 4 || seen[false] < 4 {
		t.Errorf("live and not: %v", seen)
	}
	_, err := s.Replace(t.Context(), rotation.Progress{User: user(0), Rev: 1, Owed: true})
	wantErr(t, "replace at an old rev", err, rotation.ErrConflict)
	_, err = s.Create(t.Context(), rotation.Progress{User: user(0), Owed: true})
	wantErr(t, "create again", err, rotation.ErrConflict)
	wantIndex(t, s)
}

// liveMany has more of them than a backend would read in one go, among as many that are not.
func liveMany(t *testing.T, s rotation.Store) {
	for n := range 2 * many {
		create(t, s, rotation.Progress{User: user(n), Owed: n%2 == 0})
	}
	wantIndex(t, s)
	if got := len(live(t, s)); got != many {
		t.Errorf("%d are live, want %d", got, many)
	}
}

func liveStops(t *testing.T, s rotation.Store) {
	for n := range many {
		create(t, s, rotation.Progress{User: user(n), Owed: true})
	}
	wantIndex(t, s)
	wantStop(t, func(called func() error) error {
		return s.Live(t.Context(), func(string, uint64) error { return called() })
	})
}

// wantStop stops a list at one call or another, and wants the callback's own error.
func wantStop(t *testing.T, list func(called func() error) error) {
	t.Helper()
	stop := errors.New("stop")
	for _, at := range []int{1, 2, 100} {
		calls := 0
		err := list(func() error {
			if calls++; calls == at {
				return stop
			}
			return nil
		})
		if err != stop { //nolint:errorlint // the contract is to return it
			t.Errorf("got error %v, want the one of the callback", err)
		}
		if calls != at {
			t.Errorf("%d calls, want %d", calls, at)
		}
	}
}

func liveCalls(t *testing.T, s rotation.Store) {
	const n = 5
	for i := range n {
		create(t, s, rotation.Progress{User: user(i), Owed: true})
	}
	wantIndex(t, s)
	seen := map[string]bool{}
	err := s.Live(t.Context(), func(id string, rev uint64) error {
		if len(seen) > 2*n {
			return errors.New("it does not end")
		}
		seen[id] = true
		p, err := s.Get(t.Context(), id)
		if err != nil {
			return fmt.Errorf("get what is live: %w", err)
		}
		if p.User.Account != user(0).Account {
			return nil // made below
		}
		if p.Rev != rev {
			t.Errorf("%s is at rev %d, and was live at %d", id, p.Rev, rev)
		}
		p.Owed = false
		replace(t, s, p)
		create(t, s, rotation.Progress{User: rotation.UserRef{Account: "new", Name: p.User.Name}, Owed: true})
		inner := 0
		return s.Live(t.Context(), func(string, uint64) error { inner++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if !seen[user(i).ID()] {
			t.Errorf("%s was not live", user(i))
		}
	}
	wantIndex(t, s)
	if got := len(live(t, s)); got != n {
		t.Errorf("%d are live, want the %d new ones", got, n)
	}
}

// liveAtOnce has several writers turn the same documents live and not.
func liveAtOnce(t *testing.T, s rotation.Store) {
	ids := createMany(t, s, 5)
	together(4, func(w int) {
		for i := range 15 {
			p, err := s.Get(t.Context(), ids[i%len(ids)])
			if err == nil {
				p.Owed = (i+w)%2 == 0
				_, err = s.Replace(t.Context(), p)
			}
			if err != nil && !errors.Is(err, rotation.ErrConflict) {
				t.Errorf("replace: %v", err)
			}
			if err := s.Live(t.Context(), func(string, uint64) error { return nil }); err != nil {
				t.Errorf("live beside writers: %v", err)
			}
		}
	})
	wantIndex(t, s)
}
