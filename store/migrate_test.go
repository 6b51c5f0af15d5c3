package store

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store/storetest"
)

// unpack writes a file of testdata where it can be opened.
func unpack(t *testing.T, name string) string {
	t.Helper()
	packed, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keyturner.db")
	if err := os.WriteFile(path, content, private); err != nil {
		t.Fatal(err)
	}
	return path
}

func reopened(t *testing.T, path string) *Bolt {
	t.Helper()
	s, err := OpenBolt(path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a second time, mostly
	return s
}

// TestBolt_FileOfSchema1 opens what the first version wrote, twice: 6 users, of whom one never rotated, 20 entries and 2 claims.
func TestBolt_FileOfSchema1(t *testing.T) {
	path := unpack(t, "file.1.db.gz")
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for range 2 {
		s := reopened(t, path)
		want, users, stages := map[string]uint64{}, []string{}, map[rotation.Stage]int{}
		err := s.Scan(t.Context(), func(p rotation.Progress) error {
			want[p.User.ID()] = p.Rev
			users = append(users, p.User.Name)
			if p.Rotation != nil {
				stages[p.Rotation.Stage]++
			}
			if !p.Owed { // it may have been, for all that the file says
				t.Errorf("%s is owed nothing", p.User)
			}
			return nil
		})
		slices.Sort(users)
		if diff := cmp.Diff([]string{"user-0", "user-1", "user-2", "user-3", "user-4", "user-5"}, users); diff != "" || err != nil || len(stages) != 5 {
			t.Errorf("users (-want +got), error %v, stages %v:\n%s", err, stages, diff)
		}
		live := map[string]uint64{}
		err = s.Live(t.Context(), func(id string, rev uint64) error { live[id] = rev; return nil })
		if diff := cmp.Diff(want, live); diff != "" || err != nil {
			t.Errorf("live (-want +got), error %v:\n%s", err, diff)
		}

		n := 0
		err = s.Entries(t.Context(), func(key string, e rotation.Entry) error {
			n++
			want := rotation.Entry{
				At: noon.Add(time.Duration(n-1) * time.Minute), Actor: "U0123456789", Action: "approve", Outcome: "refused", Detail: fmt.Sprint("entry ", n),
			}
			if wantKey := fmt.Sprintf("!%016x", n); n <= 20 && (key != wantKey || e != want) {
				t.Errorf("entry %d: got %s %+v, want %s %+v", n, key, e, wantKey, want)
			}
			return nil
		})
		if err != nil || n < 20 {
			t.Errorf("%d entries, error %v", n, err)
		}
		if err := s.Record(t.Context(), "0", rotation.Entry{}); err != nil { // "0" is the least that any key of ours begins with
			t.Error(err)
		}
		for name, note := range map[string]string{"digest/2026-W47": "until 2027-01-22T12:00:00Z", "scan": "until 2026-11-23T12:01:00Z"} {
			c, err := s.Claimed(t.Context(), name)
			if diff := cmp.Diff(rotation.Claim{Name: name, Rev: 1, Holder: "host-a", Note: note}, c); diff != "" || err != nil {
				t.Errorf("claim (-want +got), error %v:\n%s", err, diff)
			}
		}
		if err := s.Waiting(t.Context(), func(v rotation.Envelope) error { return errors.New(v.ID) }); err != nil {
			t.Errorf("waiting: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	continueWith(t, reopened(t, path))
}

// continueWith uses a file that was brought to this schema.
func continueWith(t *testing.T, s *Bolt) {
	t.Helper()
	c, err := s.Claimed(t.Context(), "scan")
	if err == nil {
		c, err = s.Claim(t.Context(), rotation.Claim{Name: "scan", Rev: c.Rev, Holder: "host-b"})
	}
	if err != nil || c.Rev != 2 {
		t.Errorf("take over a claim: %+v, error %v", c, err)
	}
	p, err := s.Get(t.Context(), rotation.UserRef{Account: "111122223333", Name: "user-0"}.ID())
	if err == nil {
		p.Owed = false
		_, err = s.Replace(t.Context(), p)
	}
	if err != nil {
		t.Error(err)
	}
	left := 0
	if err := s.Live(t.Context(), func(string, uint64) error { left++; return nil }); err != nil || left != 5 {
		t.Errorf("%d are live, error %v, want 5", left, err)
	}
	if _, err := s.Accept(t.Context(), rotation.Envelope{ID: "e"}); err != nil {
		t.Error(err)
	}
}

// TestBolt_FileOfSchema1Refused: what cannot be brought to this schema stays as it is.
func TestBolt_FileOfSchema1Refused(t *testing.T) {
	for name, edit := range map[string]func(*bbolt.Tx) error{
		"entry without a number": func(tx *bbolt.Tx) error { return tx.Bucket([]byte("entries")).Put([]byte("e"), []byte(`{"schema":1}`)) },
		"no claims":              func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("claims")) },
		"document": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("progress")).Put([]byte("x"), []byte(`{"schema":1}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := unpack(t, "file.1.db.gz")
			db, err := bbolt.Open(path, private, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(edit), db.Close()); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			for range 2 {
				if _, err := OpenBolt(path, Config{}); err == nil || !strings.Contains(err.Error(), "damaged") {
					t.Errorf("got error %v, want one that says damaged", err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// TestBolt_FileOfThisSchema opens a file of this schema that holds rotations in every stage. It is refused when Progress.Live has come to
// mean another thing than when the file's index was written: then the schema of the file goes up, and the index is made anew from the
// documents when an older file is opened.
func TestBolt_FileOfThisSchema(t *testing.T) {
	name := fmt.Sprintf("file.%d.db.gz", fileSchema)
	if *update {
		pack(t, name, makeFile(t))
	}
	s := reopened(t, unpack(t, name))
	users, live, waiting := 0, 0, 0
	err := errors.Join(
		s.Scan(t.Context(), func(rotation.Progress) error { users++; return nil }),
		s.Live(t.Context(), func(string, uint64) error { live++; return nil }),
		s.Waiting(t.Context(), func(rotation.Envelope) error { waiting++; return nil }),
	)
	if err != nil || users < 20 || live < 10 || live >= users || waiting != 2 {
		t.Errorf("%d users, %d live, %d waiting, error %v", users, live, waiting, err)
	}
}

func makeFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyturner.db")
	s := reopened(t, path)
	shown := rotation.Handover{Post: rotation.Post{Channel: "D1", TS: "3.4"}, Until: time.Unix(1e9, 0)}
	gone, stuck, ready := shown, shown, rotation.Handover{Post: shown.Post}
	gone.Gone, stuck.Failed = true, "message_not_found"
	users := []rotation.Progress{{}, {Owed: true}}
	for _, stage := range []rotation.Stage{
		rotation.Requested, rotation.Switching, rotation.Confirmed, rotation.Grace, rotation.Expiring, rotation.Stuck,
		rotation.Creating, rotation.Delivering, rotation.Discarding, rotation.Deactivating, rotation.Reactivating, rotation.Deleting,
		rotation.Done, rotation.Denied, rotation.Cancelled, rotation.Lapsed, rotation.Closed,
	} {
		users = append(users, rotation.Progress{Rotation: &rotation.Rotation{Stage: stage}})
	}
	for _, h := range []rotation.Handover{shown, gone, stuck, ready} {
		ended := rotation.Rotation{Stage: rotation.Done, Handover: h}
		users = append(
			users, rotation.Progress{Rotation: &ended}, rotation.Progress{Past: []rotation.Rotation{ended}},
			rotation.Progress{Rotation: &rotation.Rotation{Stage: rotation.Cancelled, Stale: []rotation.Handover{h}}},
		)
	}
	for i, p := range users {
		p.User = rotation.UserRef{Account: "111122223333", Name: fmt.Sprint("user-", i)}
		if _, err := s.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	_, claim := s.Claim(t.Context(), rotation.Claim{Name: "n", Holder: "h", Note: "x"})
	err := errors.Join(claim, s.Record(t.Context(), "k", storetest.Filled[rotation.Entry]()))
	for _, v := range []rotation.Envelope{{ID: "new", Body: []byte("x")}, {ID: "begun", Holder: "a"}, {ID: "done", Done: true}} {
		_, accept := s.Accept(t.Context(), v)
		err = errors.Join(err, accept)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func pack(t *testing.T, name, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	_, err = w.Write(content)
	if err := errors.Join(err, w.Close(), os.WriteFile(filepath.Join("testdata", name), packed.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}
