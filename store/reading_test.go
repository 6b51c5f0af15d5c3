package store_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/dynalitetest"
)

func someReading(turn string) rotation.Reading {
	return rotation.Reading{Scan: time.Unix(1e9, 0).UTC(), Account: "111122223333", Turn: turn, Totals: &rotation.Totals{Users: 1}}
}

func keep(t *testing.T, s rotation.Store, turns ...string) {
	t.Helper()
	for _, turn := range turns {
		if err := s.KeepReading(t.Context(), someReading(turn)); err != nil {
			t.Fatal(err)
		}
	}
}

func turns(t *testing.T, s rotation.Store) (string, error) {
	t.Helper()
	var all []string
	err := s.Readings(t.Context(), func(r rotation.Reading) error { all = append(all, r.Turn); return nil })
	return strings.Join(all, " "), err
}

// TestReadings_OddOnesHideNoOther: what cannot be read, or was written by another version, is told of after the others and is dropped with
// them.
func TestReadings_OddOnesHideNoOther(t *testing.T) {
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
			keep(t, s, "a", "b")
			for key, text := range map[string]string{
				"0": "no JSON", "1": `{"schema":2,"rev":1}`, "2": `{"schema":1,"rev":1,"scan":"2001-09-09T01:46:40Z","turn":"elsewhere"}`, "3": `{"rev":"x"}`,
			} {
				if err := store.PutOddReading(t.Context(), s, key, text); err != nil {
					t.Fatal(err)
				}
			}
			got, err := turns(t, s)
			if got != "a b" || err == nil || !strings.Contains(err.Error(), `reading "0"`) || !strings.Contains(err.Error(), "3 more like it") {
				t.Errorf("readings %q, error %v", got, err)
			}
			if err := s.DropReadings(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := turns(t, s); got != "" || err != nil {
				t.Errorf("left are %q, error %v", got, err)
			}
		})
	}
}

// TestReadings_InAFile: a file of before there were readings is opened, one with damaged readings too, and a bucket that this version does
// not know, as that of readings is to earlier ones, is left alone.
func TestReadings_InAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturner.db")
	open := func() *store.Bolt {
		s, err := store.OpenBolt(path, store.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	closeIt := func(s *store.Bolt) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	closeIt(open())
	editFile(t, path, nil, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("readings")) })
	s := open()
	keep(t, s, "a")
	closeIt(s)
	editFile(t, path, nil, put("readings", "0", "no JSON"))
	editFile(t, path, nil, put("of a later version", "key", "no JSON either"))
	s = open()
	if got, err := turns(t, s); got != "a" || err == nil {
		t.Errorf("readings %q, error %v", got, err)
	}
	closeIt(s)
	editFile(t, path, nil, func(tx *bbolt.Tx) error {
		if string(tx.Bucket([]byte("of a later version")).Get([]byte("key"))) != "no JSON either" {
			t.Error("the other bucket was changed")
		}
		return nil
	})
}

// TestReadings_AreNotCopied: they are worth an hour's calls and nothing else. A backup, which is the file as it is, has them and does not
// count them; who restores it finds them too old.
func TestReadings_AreNotCopied(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyturner.db")
	s := openBolt(t, path)
	keep(t, s, "a", "b")
	if _, err := s.Create(t.Context(), rotation.Progress{User: rotation.UserRef{Account: "1", Name: "n"}}); err != nil {
		t.Fatal(err)
	}
	target := store.NewMem()
	if _, err := store.Copy(t.Context(), s, target, "A", "B"); err != nil {
		t.Fatal(err)
	}
	if got, err := turns(t, target); got != "" || err != nil {
		t.Errorf("copied: %q, error %v", got, err)
	}
	again := openBolt(t, filepath.Join(dir, "again.db"))
	keep(t, again, "c")
	if _, err := store.Copy(t.Context(), target, again, "B", "C"); err != nil {
		t.Errorf("a target with nothing but readings is not empty: %v", err)
	}
	held, err := store.Backup(t.Context(), path, filepath.Join(dir, "backup.db"))
	if _, counted := held.Keys["readings"]; err != nil || counted || held.Keys["progress"] != 1 {
		t.Errorf("the backup holds %s, error %v", held, err)
	}
}
