package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// RunReopen checks that what was stored is there after the store was opened again. open makes a new, empty store as for [Run]; reopen
// ends the given store as the end of the process would, and opens what it left.
func RunReopen(t *testing.T, open func(t *testing.T) rotation.Store, reopen func(*testing.T, rotation.Store) rotation.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, rotation.Store, func(rotation.Store) rotation.Store)
	}{
		{"Reopen/progress", reopenProgress},
		{"Reopen/claims", reopenClaims},
		{"Reopen/entries", reopenEntries},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, open(t), func(s rotation.Store) rotation.Store { return reopen(t, s) })
		})
	}
}

func reopenProgress(t *testing.T, s rotation.Store, reopen func(rotation.Store) rotation.Store) {
	s = reopen(s)
	if all := scanned(t, s); len(all) > 0 {
		t.Errorf("an empty store, opened again, has %v", all)
	}
	want := Filled[rotation.Progress]()
	want.Rev = 1
	create(t, s, want)
	ids := createMany(t, s, 20)
	s = reopen(s)
	expect(t, s, want)
	want = replace(t, s, want)
	_, err := s.Create(t.Context(), want)
	wantErr(t, "create again", err, rotation.ErrConflict)
	s = reopen(s)
	expect(t, s, want)
	_, err = s.Replace(t.Context(), rotation.Progress{User: want.User, Rev: 1})
	wantErr(t, "replace at the rev of before", err, rotation.ErrConflict)
	if got := len(scanned(t, s)); got != len(ids)+1 {
		t.Errorf("%d documents, want %d", got, len(ids)+1)
	}
}

func reopenClaims(t *testing.T, s rotation.Store, reopen func(rotation.Store) rotation.Store) {
	claims(t, s, at("a", 0, 10), true)
	s = reopen(s)
	claims(t, s, at("b", 5, 15), false)
	claims(t, s, at("a", 5, 30), true)
	s = reopen(s)
	claims(t, s, at("b", 29, 40), false)
	claims(t, s, at("b", 30, 40), true)
}

func reopenEntries(t *testing.T, s rotation.Store, reopen func(rotation.Store) rotation.Store) {
	var want []rotation.Entry
	for i := range 30 {
		e := rotation.Entry{At: noon.Add(time.Duration(i)), Detail: fmt.Sprint(i)}
		record(t, s, e)
		want = append(want, e)
		if i%10 == 9 {
			s = reopen(s)
		}
	}
	if diff := same(entries(t, s), want); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
