package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// many is more than a backend would read in one go.
const many = 150

// together runs fn n times at once and waits.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

// createMany creates n users' documents and returns their ids in order.
func createMany(t *testing.T, s rotation.Store, n int) []string {
	t.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, create(t, s, rotation.Progress{User: user(i)}).User.ID())
	}
	slices.Sort(ids)
	return ids
}

func scanned(t *testing.T, s rotation.Store) []rotation.Progress {
	t.Helper()
	var all []rotation.Progress
	if err := s.Scan(t.Context(), func(p rotation.Progress) error { all = append(all, p); return nil }); err != nil {
		t.Fatalf("scan: %v", err)
	}
	return all
}

func idsOf(all []rotation.Progress) []string {
	var ids []string
	for _, p := range all {
		ids = append(ids, p.User.ID())
	}
	return ids
}

func scanOrder(t *testing.T, s rotation.Store) {
	for _, n := range []int{1, 64, many} {
		var ids []string
		for i := len(scanned(t, s)); i < n; i++ {
			create(t, s, rotation.Progress{User: user(i), Count: i, Rotation: &rotation.Rotation{Reason: user(i).Name}})
		}
		for i := range n {
			ids = append(ids, user(i).ID())
		}
		slices.Sort(ids)
		all := scanned(t, s)
		if diff := same(idsOf(all), ids); diff != "" {
			t.Fatalf("ids of %d documents (-want +got):\n%s", n, diff)
		}
		for _, p := range all {
			expect(t, s, p)
		}
	}
}

func scanEmpty(t *testing.T, s rotation.Store) {
	if all := scanned(t, s); len(all) > 0 {
		t.Errorf("an empty store gave %v", all)
	}
}

func scanStops(t *testing.T, s rotation.Store) {
	createMany(t, s, many)
	wantStop(t, func(called func() error) error {
		return s.Scan(t.Context(), func(rotation.Progress) error { return called() })
	})
}

func scanCalls(t *testing.T, s rotation.Store) {
	const n = 5
	ids := createMany(t, s, n)
	var seen []string
	err := s.Scan(t.Context(), func(p rotation.Progress) error {
		seen = append(seen, p.User.ID())
		expect(t, s, p)
		p.Count++
		expect(t, s, replace(t, s, p))
		create(t, s, rotation.Progress{User: rotation.UserRef{Account: "before", Name: p.User.Name}})
		claim(t, s, rotation.Claim{Name: p.User.Name, Holder: "h"})
		settle(t, s, accept(t, s, rotation.Envelope{ID: p.User.Name}))
		record(t, s, p.User.Name, rotation.Entry{})
		if got := entries(t, s); len(got) == 0 {
			t.Error("the entry is missing")
		}
		if inner := scanned(t, s); len(inner) <= n {
			t.Errorf("a scan inside the scan gave %d documents", len(inner))
		}
		if len(seen) > 2*n {
			return errors.New("the scan does not end")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen = slices.DeleteFunc(seen, func(id string) bool { return !slices.Contains(ids, id) })
	if diff := same(seen, ids); diff != "" {
		t.Errorf("of the documents that were there (-want +got):\n%s", diff)
	}
}

// scanSeesChanges replaces every document from within the callback of the first.
func scanSeesChanges(t *testing.T, s rotation.Store) {
	createMany(t, s, many)
	calls := 0
	err := s.Scan(t.Context(), func(p rotation.Progress) error {
		if calls++; calls > 1 {
			if p.Count != 7 {
				t.Errorf("document %d of the scan is as it was before its turn: %+v", calls, p)
			}
			return nil
		}
		for _, p := range scanned(t, s) {
			p.Count = 7
			replace(t, s, p)
		}
		return nil
	})
	if err != nil || calls != many {
		t.Errorf("%d calls and error %v, want %d and none", calls, err, many)
	}
}

// scanBesideWriters scans while others write: nothing is missed, and nothing comes twice.
func scanBesideWriters(t *testing.T, s rotation.Store) {
	ids := createMany(t, s, 30)
	together(3, func(i int) {
		for n := range 30 {
			if i > 0 {
				bump(t, s, ids[n])
				continue
			}
			var seen []string
			err := s.Scan(t.Context(), func(p rotation.Progress) error { seen = append(seen, p.User.ID()); return nil })
			if diff := same(seen, ids); diff != "" || err != nil {
				t.Errorf("ids (-want +got), error %v:\n%s", err, diff)
			}
		}
	})
}

// bump writes a document, unless somebody else does at the same moment.
func bump(t *testing.T, s rotation.Store, id string) {
	p, err := s.Get(t.Context(), id)
	if err == nil {
		_, err = s.Replace(t.Context(), p)
	}
	if err != nil && !errors.Is(err, rotation.ErrConflict) {
		t.Errorf("write beside a scan: %v", err)
	}
}
