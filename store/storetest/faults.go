package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// Broken breaks the writes of a store from now on: each fails, if applied is true after it has been carried out. Mend ends that; it is nil
// for a store that cannot be broken so.
type Broken func(applied bool) (mend func())

// RunFaults checks what every write leaves whose answer is an error, before and after the store was opened again. open makes a new, empty
// store as for [Run], and reopen does as for [RunReopen]. A backend may repeat a broken write by itself and succeed.
func RunFaults(
	t *testing.T, open func(t *testing.T) (rotation.Store, Broken), reopen func(*testing.T, rotation.Store) rotation.Store, options ...Option,
) {
	for _, w := range writes {
		for applied, name := range map[bool]string{false: "not applied", true: "applied"} {
			t.Run("Faults/"+w.name+"/"+name, func(t *testing.T) {
				kept, broken := open(t)
				s := subject(kept, options)
				w.prepare(t, s)
				before := stateOf(t, s)

				whole, _ := open(t)
				w.prepare(t, whole)
				if err := w.call(t, whole); err != nil {
					t.Fatalf("unbroken: %v", err)
				}
				after := stateOf(t, subject(whole, options))

				mend := broken(applied)
				if mend == nil {
					return
				}
				err := w.call(t, s)
				mend()
				if errors.Is(err, rotation.ErrConflict) || errors.Is(err, rotation.ErrNotFound) {
					t.Errorf("got error %v, which says that nothing was changed", err)
				}
				want := before
				if applied || err == nil {
					want = after
				}
				wantState(t, s, want)
				s = subject(reopen(t, kept), options)
				wantState(t, s, want)

				var wantAgain error
				if applied || err == nil {
					wantAgain = w.again
				}
				if err := w.call(t, s); !errors.Is(err, wantAgain) {
					t.Errorf("the same write again: error %v, want %v", err, wantAgain)
				}
				wantState(t, s, after)
				if w.then != nil {
					w.then(t, s)
				}
			})
		}
	}
}

// write is one call that writes.
type write struct {
	name    string
	prepare func(*testing.T, rotation.Store)
	call    func(*testing.T, rotation.Store) error
	again   error                            // what it answers when it is made again
	then    func(*testing.T, rotation.Store) // what else is to be seen when it has been carried out
}

var writes = []write{
	{"create", func(*testing.T, rotation.Store) {}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Create(t.Context(), rotation.Progress{User: user(1), Owed: true})
		return err
	}, rotation.ErrConflict, nil},
	{"replace, which makes it live", func(t *testing.T, s rotation.Store) {
		create(t, s, rotation.Progress{User: user(1)})
	}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Replace(t.Context(), rotation.Progress{User: user(1), Rev: 1, Owed: true})
		return err
	}, rotation.ErrConflict, nil},
	{"replace, which ends that", func(t *testing.T, s rotation.Store) {
		create(t, s, rotation.Progress{User: user(1), Owed: true})
	}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Replace(t.Context(), rotation.Progress{User: user(1), Rev: 1, Count: 1})
		return err
	}, rotation.ErrConflict, nil},
	{"first claim", func(*testing.T, rotation.Store) {}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Claim(t.Context(), rotation.Claim{Name: "n", Holder: "a"})
		return err
	}, rotation.ErrConflict, nil},
	{"next claim", func(t *testing.T, s rotation.Store) {
		claim(t, s, rotation.Claim{Name: "n", Holder: "a"})
	}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Claim(t.Context(), rotation.Claim{Name: "n", Rev: 1, Holder: "b"})
		return err
	}, rotation.ErrConflict, nil},
	{"record", func(*testing.T, rotation.Store) {}, func(t *testing.T, s rotation.Store) error {
		return s.Record(t.Context(), "k", rotation.Entry{Actor: "a"})
	}, nil, nil},
	{"record again", func(t *testing.T, s rotation.Store) {
		record(t, s, "k", rotation.Entry{Actor: "a"})
	}, func(t *testing.T, s rotation.Store) error {
		return s.Record(t.Context(), "k", rotation.Entry{Actor: "b"})
	}, nil, nil},
	{"accept", func(*testing.T, rotation.Store) {}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Accept(t.Context(), rotation.Envelope{ID: "e", At: noon, Body: []byte("body")})
		return err
	}, rotation.ErrConflict, nil},
	{"settle", func(t *testing.T, s rotation.Store) {
		accept(t, s, rotation.Envelope{ID: "e", At: noon, Body: []byte("body")})
	}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Settle(t.Context(), rotation.Envelope{ID: "e", Rev: 1, At: noon, Holder: "a", Body: []byte("body")})
		return err
	}, rotation.ErrConflict, nil},
	{"settle as done", func(t *testing.T, s rotation.Store) {
		accept(t, s, rotation.Envelope{ID: "e", At: noon, Body: []byte("body")})
	}, func(t *testing.T, s rotation.Store) error {
		_, err := s.Settle(t.Context(), rotation.Envelope{ID: "e", Rev: 1, At: noon, Done: true})
		return err
	}, rotation.ErrConflict, nil},
	{"forget", func(t *testing.T, s rotation.Store) {
		accept(t, s, rotation.Envelope{ID: "old", At: noon, Done: true})
		accept(t, s, rotation.Envelope{ID: "waits", At: noon})
	}, func(t *testing.T, s rotation.Store) error {
		return s.Forget(t.Context(), noon.Add(time.Minute))
	}, nil, func(t *testing.T, s rotation.Store) {
		wantNotAccepted(t, s, "waits")
		accept(t, s, rotation.Envelope{ID: "old"})
	}},
	{"keep a reading", func(*testing.T, rotation.Store) {}, func(t *testing.T, s rotation.Store) error {
		return s.KeepReading(t.Context(), reading("a", 0))
	}, rotation.ErrConflict, nil},
	{"drop readings", func(t *testing.T, s rotation.Store) {
		keepReading(t, s, reading("a", 0)) // of several, a backend may drop one after the other
	}, func(t *testing.T, s rotation.Store) error {
		return s.DropReadings(t.Context())
	}, nil, nil},
}

// state is all that the writes above can change and that can be read.
type state struct {
	progress []rotation.Progress
	claims   []rotation.Claim
	entries  []kept
	waiting  map[string]rotation.Envelope
	live     map[string]uint64
	readings []rotation.Reading
}

func stateOf(t *testing.T, s rotation.Store) state {
	t.Helper()
	wantIndex(t, s)
	st := state{progress: scanned(t, s), entries: entries(t, s), waiting: waiting(t, s), live: live(t, s), readings: readings(t, s)}
	switch c, err := s.Claimed(t.Context(), "n"); {
	case err == nil:
		st.claims = append(st.claims, c)
	case !errors.Is(err, rotation.ErrNotFound):
		t.Fatalf("read the claim: %v", err)
	}
	return st
}

func wantState(t *testing.T, s rotation.Store, want state) {
	t.Helper()
	eventually(t, s, func() string {
		got := stateOf(t, s)
		return same(got.progress, want.progress) + same(got.claims, want.claims) + same(got.entries, want.entries) +
			same(got.waiting, want.waiting) + same(got.live, want.live) + same(got.readings, want.readings)
	})
}
