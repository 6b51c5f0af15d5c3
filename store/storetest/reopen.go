package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// RunReopen checks that what was stored is there after the store was opened again. open makes a new, empty store as for [Run]; reopen
// ends the given store as the end of the process would, and opens what it left.
func RunReopen(t *testing.T, open func(t *testing.T) rotation.Store, reopen func(*testing.T, rotation.Store) rotation.Store, options ...Option) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, rotation.Store, func(rotation.Store) rotation.Store)
	}{
		{"Reopen/progress", reopenProgress},
		{"Reopen/claims", reopenClaims},
		{"Reopen/entries", reopenEntries},
		{"Reopen/inbox", reopenInbox},
		{"Reopen/readings", reopenReadings},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, subject(open(t), options), func(s rotation.Store) rotation.Store {
				return subject(reopen(t, s.(lagging).Store), options)
			})
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
	wantIndex(t, s)
}

func reopenClaims(t *testing.T, s rotation.Store, reopen func(rotation.Store) rotation.Store) {
	c := claim(t, s, rotation.Claim{Name: "n", Holder: "a", Note: "x"})
	s = reopen(s)
	expectClaim(t, s, c)
	wantNoClaim(t, s, rotation.Claim{Name: "n", Holder: "b"})
	c = claim(t, s, c)
	s = reopen(s)
	expectClaim(t, s, c)
}

func reopenEntries(t *testing.T, s rotation.Store, reopen func(rotation.Store) rotation.Store) {
	var want []kept
	for i := range 30 {
		k := kept{fmt.Sprintf("%03d", i), rotation.Entry{At: noon.Add(time.Duration(i)), Detail: fmt.Sprint(i)}}
		record(t, s, k.Key, k.Entry)
		want = append(want, k)
		if i%10 == 9 {
			s = reopen(s)
		}
	}
	record(t, s, "000", rotation.Entry{Detail: "again"})
	wantEntries(t, s, want)
}

func reopenInbox(t *testing.T, s rotation.Store, reopen func(rotation.Store) rotation.Store) {
	var want []rotation.Envelope
	for i := range 30 {
		v := accept(t, s, rotation.Envelope{ID: fmt.Sprint(i), At: noon, Body: []byte{byte(i)}})
		switch i % 3 {
		case 0:
			v.Holder = "a"
			v = settle(t, s, v)
		case 1:
			v.Done = true
			settle(t, s, v)
			continue
		}
		want = append(want, v)
	}
	s = reopen(s)
	wantWaiting(t, s, want...)
	for i := range 30 {
		wantNotAccepted(t, s, fmt.Sprint(i))
	}
	if err := s.Forget(t.Context(), noon.Add(1)); err != nil {
		t.Fatal(err)
	}
	s = reopen(s)
	wantWaiting(t, s, want...)
	accept(t, s, rotation.Envelope{ID: "1"})
}
