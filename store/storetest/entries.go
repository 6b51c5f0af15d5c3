package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// kept is an entry with its key.
type kept struct {
	Key   string
	Entry rotation.Entry
}

func record(t *testing.T, s rotation.Store, key string, e rotation.Entry) {
	t.Helper()
	if err := s.Record(t.Context(), key, e); err != nil {
		t.Fatalf("record %.60q: %v", key, err)
	}
}

func entries(t *testing.T, s rotation.Store) []kept {
	t.Helper()
	var all []kept
	if err := s.Entries(t.Context(), func(key string, e rotation.Entry) error { all = append(all, kept{key, e}); return nil }); err != nil {
		t.Fatalf("entries: %v", err)
	}
	return all
}

func wantEntries(t *testing.T, s rotation.Store, want []kept) {
	t.Helper()
	if diff := same(entries(t, s), want); diff != "" {
		t.Errorf("entries (-want +got):\n%.3000s", diff)
	}
}

// entriesOrder records backwards, with times that run forwards: the order is that of the keys.
func entriesOrder(t *testing.T, s rotation.Store) {
	wantEntries(t, s, nil)
	want := []kept{}
	for n := range 2 * many {
		want = append(want, kept{fmt.Sprintf("!%04d", n), rotation.Entry{At: noon.Add(-time.Duration(n) * time.Hour), Detail: fmt.Sprint(n)}})
	}
	for i, key := range oddKeys() {
		if key > "!1" {
			want = append(want, kept{key, rotation.Entry{Detail: fmt.Sprint("odd ", i)}})
		}
	}
	for i := range want {
		k := want[len(want)-1-i]
		record(t, s, k.Key, k.Entry)
	}
	wantEntries(t, s, want)
}

func entriesSameKey(t *testing.T, s rotation.Store) {
	want := []kept{{"k", rotation.Entry{Detail: "first"}}}
	for _, detail := range []string{"first", "first", "second"} {
		record(t, s, "k", rotation.Entry{Detail: detail})
		wantEntries(t, s, want)
	}
}

func entriesEveryField(t *testing.T, s rotation.Store) {
	want := []kept{{"a", Filled[rotation.Entry]()}, {"b", rotation.Entry{}}, {"c", rotation.Entry{Detail: strings.Repeat("ключ", 20_000)}}}
	for _, k := range want {
		record(t, s, k.Key, k.Entry)
	}
	wantEntries(t, s, want)
}

func entriesStop(t *testing.T, s rotation.Store) {
	for n := range many {
		record(t, s, fmt.Sprint(n), rotation.Entry{})
	}
	wantStop(t, func(called func() error) error {
		return s.Entries(t.Context(), func(string, rotation.Entry) error { return called() })
	})
}

// entriesRecordInside records before and behind where the reading is; only what was there must be given.
func entriesRecordInside(t *testing.T, s rotation.Store) {
	record(t, s, "b", rotation.Entry{})
	record(t, s, "c", rotation.Entry{})
	seen := map[string]int{}
	err := s.Entries(t.Context(), func(key string, _ rotation.Entry) error {
		if seen[key]++; len(key) > 1 {
			return nil
		}
		return errors.Join(
			s.Record(t.Context(), "a"+key, rotation.Entry{}), s.Record(t.Context(), "d"+key, rotation.Entry{}),
			s.Record(t.Context(), key, rotation.Entry{Detail: "again"}),
		)
	})
	if err != nil || seen["b"] != 1 || seen["c"] != 1 {
		t.Errorf("seen %v and error %v", seen, err)
	}
	wantEntries(t, s, []kept{{Key: "ab"}, {Key: "ac"}, {Key: "b"}, {Key: "c"}, {Key: "db"}, {Key: "dc"}})
}

// entriesAtOnce has several writers with keys of their own and one that they share.
func entriesAtOnce(t *testing.T, s rotation.Store) {
	const writers, each = 5, 10
	together(writers, func(w int) {
		for i := range each {
			err := errors.Join(
				s.Record(t.Context(), fmt.Sprintf("%d/%02d", w, i), rotation.Entry{Actor: fmt.Sprint(w)}),
				s.Record(t.Context(), fmt.Sprintf("shared/%02d", i), rotation.Entry{Actor: fmt.Sprint(w)}),
			)
			if err != nil {
				t.Errorf("record: %v", err)
			}
		}
	})
	got := entries(t, s)
	if len(got) != (writers+1)*each {
		t.Fatalf("%d entries, want %d", len(got), (writers+1)*each)
	}
	for i, k := range got[:writers*each] {
		if want := fmt.Sprintf("%d/%02d", i/each, i%each); k.Key != want || k.Entry.Actor != want[:1] {
			t.Errorf("entry %d is %+v, want %s", i, k, want)
		}
	}
}

func entriesRefused(t *testing.T, s rotation.Store) {
	for _, key := range badKeys {
		if err := s.Record(t.Context(), key, rotation.Entry{}); err == nil {
			t.Errorf("record %.60q: no error", key)
		}
	}
	wantEntries(t, s, nil)
}
