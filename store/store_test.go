package store_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/dynalitetest"
	"github.com/keyturner/keyturner/store/storetest"
)

func TestMem(t *testing.T) {
	open := func(*testing.T) rotation.Store { return store.NewMem() }
	reopen := func(t *testing.T, s rotation.Store) rotation.Store {
		if err := s.(*store.Mem).Close(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	storetest.Run(t, open)
	storetest.RunReopen(t, open, reopen)
	storetest.RunFaults(t, breakable(open), reopen)
}

func TestBolt(t *testing.T) {
	paths := map[rotation.Store]string{}
	open := func(t *testing.T) rotation.Store {
		path := filepath.Join(t.TempDir(), "keyturner.db")
		s := openBolt(t, path)
		paths[s] = path
		return s
	}
	reopen := func(t *testing.T, s rotation.Store) rotation.Store {
		if err := s.(*store.Bolt).Close(); err != nil {
			t.Fatal(err)
		}
		again := openBolt(t, paths[s])
		paths[again] = paths[s]
		return again
	}
	storetest.Run(t, open)
	storetest.RunReopen(t, open, reopen)
	storetest.RunFaults(t, breakable(open), reopen)
}

// breakable breaks a store by its own seam for that.
func breakable(open func(*testing.T) rotation.Store) func(*testing.T) (rotation.Store, storetest.Broken) {
	return func(t *testing.T) (rotation.Store, storetest.Broken) {
		s := open(t)
		return s, func(applied bool) func() { return store.Break(s, applied) }
	}
}

// TestDrop: who forgets does not remove what somebody has changed since it was read.
func TestDrop(t *testing.T) {
	for name, open := range map[string]func(*testing.T) store.Closer{
		"mem":  func(*testing.T) store.Closer { return store.NewMem() },
		"bolt": func(t *testing.T) store.Closer { return openBolt(t, filepath.Join(t.TempDir(), "keyturner.db")) },
		"dynamodb": func(t *testing.T) store.Closer {
			endpoint := dynalitetest.Start(t)
			return openTable(t, endpoint, newTable(t, endpoint))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			v, err := s.Accept(t.Context(), rotation.Envelope{ID: "e", Done: true})
			if err == nil {
				v.Done = false
				_, err = s.Settle(t.Context(), v)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Drop(t.Context(), s, "e", 1); err != nil {
				t.Errorf("drop what was changed: %v", err)
			}
			if _, err := s.Accept(t.Context(), rotation.Envelope{ID: "e"}); !errors.Is(err, rotation.ErrConflict) {
				t.Errorf("what was changed is gone: %v", err)
			}
			for range 2 { // the second finds nothing
				if err := store.Drop(t.Context(), s, "e", 2); err != nil {
					t.Errorf("drop: %v", err)
				}
			}
			if _, err := s.Accept(t.Context(), rotation.Envelope{ID: "e"}); err != nil {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}

// openBolt opens a store that is closed with the test.
func openBolt(t testing.TB, path string) *store.Bolt {
	t.Helper()
	s, err := store.OpenBolt(path, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOpen(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, spec := range []string{"mem", "bolt:keyturner.db", "bolt:./again.db", "bolt:with:colon.db"} {
		s, err := store.Open(spec)
		if err != nil {
			t.Errorf("open %q: %v", spec, err)
			continue
		}
		if err := s.Record(t.Context(), "k", rotation.Entry{}); err != nil {
			t.Errorf("use %q: %v", spec, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close %q: %v", spec, err)
		}
	}
}

func TestOpen_Refused(t *testing.T) {
	for _, test := range []struct{ spec, want string }{
		{"", "write bolt:PATH"},
		{"keyturner.db", "write bolt:PATH"},
		{"/var/lib/keyturner.db", "write bolt:PATH"},
		{"redis:localhost", "or mem to keep nothing"},
		{"mem:x", "or mem to keep nothing"},
		{"BOLT:x", "write bolt:PATH"},
		{"bolt", "the path is missing"},
		{"bolt:", "the path is missing"},
		{"dynamodb", "write dynamodb:REGION/TABLE"},
		{"dynamodb:keyturner", "write dynamodb:REGION/TABLE"},
		{"dynamodb:eu-central-1", "is not a table's name"},
	} {
		s, err := store.Open(test.spec)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "open store") {
			t.Errorf("open %q: got error %v, want one that says %q", test.spec, err, test.want)
		}
		if s != nil {
			t.Errorf("open %q gave a store: %v", test.spec, s)
		}
	}
}
