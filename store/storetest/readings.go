package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// reading is a part of a reading of an account.
func reading(turn string, part int) rotation.Reading {
	return rotation.Reading{
		Scan: noon, Account: "111122223333", Turn: turn, Part: part,
		Sights: []rotation.Sight{{User: rotation.User{Ref: user(part)}, Keys: []rotation.Key{{ID: "AKIA1", Status: rotation.Active}}}},
	}
}

func keepReading(t *testing.T, s rotation.Store, all ...rotation.Reading) {
	t.Helper()
	for _, r := range all {
		if err := s.KeepReading(t.Context(), r); err != nil {
			t.Fatalf("keep part %d of %s: %v", r.Part, r.Turn, err)
		}
	}
}

func readings(t *testing.T, s rotation.Store) []rotation.Reading {
	t.Helper()
	var all []rotation.Reading
	if err := s.Readings(t.Context(), func(r rotation.Reading) error { all = append(all, r); return nil }); err != nil {
		t.Fatalf("read the readings: %v", err)
	}
	return all
}

func wantReadings(t *testing.T, s rotation.Store, want ...rotation.Reading) {
	t.Helper()
	if diff := same(readings(t, s), want); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
}

func readingsEveryField(t *testing.T, s rotation.Store) {
	want := Filled[rotation.Reading]()
	keepReading(t, s, want)
	wantReadings(t, s, want)
	wantErr(t, "keep it again", s.KeepReading(t.Context(), want), rotation.ErrConflict)
	sparse := rotation.Reading{Scan: noon, Account: "1", Turn: "a", Totals: &rotation.Totals{}} // of an account where nothing is to be found
	if err := s.DropReadings(t.Context()); err != nil {
		t.Fatal(err)
	}
	keepReading(t, s, sparse)
	wantReadings(t, s, sparse)
}

// readingsOrder: the parts of a turn stand together and in their order, in whichever they were kept.
func readingsOrder(t *testing.T, s rotation.Store) {
	var want []rotation.Reading
	for _, turn := range []string{"a", "b"} {
		for part := range 12 {
			want = append(want, reading(turn, part))
		}
	}
	for i := range want {
		keepReading(t, s, want[i*7%len(want)])
	}
	wantReadings(t, s, want...)
}

// readingsBig: a part may be as large as an engine makes them.
func readingsBig(t *testing.T, s rotation.Store) {
	var want []rotation.Reading
	for part := range 15 { // more than a page of any backend
		r := reading("a", part)
		r.Sights[0].User.Tags = map[string]string{"note": strings.Repeat("x", 200<<10)}
		want = append(want, r)
	}
	keepReading(t, s, want...)
	wantReadings(t, s, want...)
}

func readingsDropped(t *testing.T, s rotation.Store) {
	for range 2 { // the first time there are none
		if err := s.DropReadings(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantReadings(t, s)
		for part := range 150 {
			keepReading(t, s, reading("a", part))
		}
	}
	p := create(t, s, rotation.Progress{User: user(1)})
	if err := s.DropReadings(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantReadings(t, s)
	expect(t, s, p) // nothing else is dropped
	keepReading(t, s, reading("a", 0))
}

func readingsStop(t *testing.T, s rotation.Store) {
	keepReading(t, s, reading("a", 0), reading("a", 1))
	calls, enough := 0, errors.New("enough")
	err := s.Readings(t.Context(), func(rotation.Reading) error { calls++; return enough })
	if calls != 1 || !errors.Is(err, enough) {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func readingsRefused(t *testing.T, s rotation.Store) {
	for _, turn := range []string{"\xff", strings.Repeat("n", 1024)} {
		if err := s.KeepReading(t.Context(), reading(turn, 0)); err == nil {
			t.Errorf("a turn %.20q was accepted", turn)
		}
	}
	wantReadings(t, s)
}

func reopenReadings(t *testing.T, s rotation.Store, reopen func(rotation.Store) rotation.Store) {
	var want []rotation.Reading
	for part := range 20 {
		want = append(want, reading("a", part))
		keepReading(t, s, want[part])
		if part%10 == 9 {
			s = reopen(s)
		}
	}
	wantReadings(t, s, want...)
	if err := s.DropReadings(t.Context()); err != nil {
		t.Fatal(fmt.Errorf("drop: %w", err))
	}
	s = reopen(s)
	wantReadings(t, s)
}
