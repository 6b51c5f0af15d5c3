package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// boltFile makes a file with bbolt itself.
func boltFile(t *testing.T, options *bbolt.Options, fill func(*bbolt.Tx) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.db")
	editFile(t, path, options, fill)
	return path
}

func editFile(t *testing.T, path string, options *bbolt.Options, edit func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// put makes a bucket with one value.
func put(bucket, key, value string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put([]byte(key), []byte(value))
	}
}

func remove(bucket, key string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Delete([]byte(key)) }
}

// wantRefused opens a file and expects to be told why not, with the file left as it was.
func wantRefused(t *testing.T, path, want string) {
	t.Helper()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, path)
	s, err := store.OpenBolt(path, store.Config{})
	if err == nil {
		_ = s.Close()
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %q, want one that says %q and names the file", err, want)
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("the refused file was changed")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the refused file's mode was changed: %v (%v)", info.Mode(), err)
	}
	_, err = store.OpenBolt(path, store.Config{LockTimeout: time.Nanosecond})
	if err == nil || strings.Contains(err.Error(), "another keyturner") {
		t.Errorf("refused a second time: %v", err)
	}
}

func TestBolt_Newer(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		path := filledFile(t)
		editFile(t, path, nil, put("meta", "keyturner schema", "3"))
		wantRefused(t, path, "a newer Keyturner wrote it, with schema 3; this one reads up to 2: run the newer one")
	})
	t.Run("file of another form", func(t *testing.T) {
		wantRefused(t, boltFile(t, nil, put("meta", "keyturner schema", "12")), "a newer Keyturner wrote it, with schema 12")
	})
	for _, bucket := range []string{"progress", "claims", "entries", "inbox"} {
		t.Run(bucket, func(t *testing.T) {
			path := filledFile(t)
			editFile(t, path, nil, put(bucket, "new", `{"schema":9,"flavour":"sweet"}`))
			wantRefused(t, path, `read "new" of `+bucket+`: a newer Keyturner wrote it, with schema 9`)
		})
	}
}

func TestBolt_Foreign(t *testing.T) {
	for name, content := range map[string]string{
		"one byte":    "x",
		"text":        strings.Repeat("account,user,key\n", 1000),
		"like SQLite": "SQLite format 3\x00" + strings.Repeat("\x00", 8176),
		"zeros":       strings.Repeat("\x00", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "foreign")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, path, "it is not a keyturner store, or is damaged")
		})
	}
	for name, path := range map[string]string{
		"another program's":         boltFile(t, nil, put("users", "a", "b")),
		"with a meta bucket":        boltFile(t, nil, put("meta", "version", "3")),
		"without a synced freelist": boltFile(t, &bbolt.Options{NoFreelistSync: true}, put("users", "a", "b")),
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, path, "it is not a keyturner store but another program's") })
	}
}

// ci0 is the first user of filledFile.
var ci0 = rotation.UserRef{Account: ci.Account, Name: ci.Name + "0"}.ID()

func TestBolt_DamagedContent(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*bbolt.Tx) error
		want string
	}{
		{"schema", put("meta", "keyturner schema", "one"), `schema "one"`},
		{"document", put("progress", ci.ID(), "{"), "not a stored document"},
		{"another user's", put("progress", ci.ID(), `{"schema":1,"rev":1,"user":{"account":"1","name":"n"}}`), "it is about 1/n"},
		{"claim", put("claims", "c", "{}"), "no schema number"},
		{"entry", put("entries", "e", ""), "not a stored document"},
		{"envelope", put("inbox", "e", `{"schema":1}`), "it has no rev"},
		{"bucket", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("claims")) }, "the bucket claims is missing"},
		{"no index", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("waiting")) }, "the bucket waiting is missing"},
		{"not in the index", remove("live", ci0), "at rev 1, open: true; live says"},
		{"other rev in the index", put("live", ci0, "\x00\x00\x00\x00\x00\x00\x00\x02"), "live says 0000000000000002"},
		{"no rev in the index", put("live", ci0, ""), "at rev 1, open: true; live says"},
		{"done and in the index", put("waiting", ci.Name+"0", "\x00\x00\x00\x00\x00\x00\x00\x01"), "at rev 1, open: false; waiting says"},
		{"only in the index", put("waiting", "nobody", "\x00\x00\x00\x00\x00\x00\x00\x01"), "there is no such document in inbox"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filledFile(t)
			editFile(t, path, nil, test.edit)
			wantRefused(t, path, test.want)
			wantRefused(t, path, "it is not a keyturner store, or is damaged")
		})
	}
}

func TestBolt_Truncated(t *testing.T) {
	path := filledFile(t)
	whole := readFile(t, path)
	used := whole[:usedBytes(t, path)]
	for size := 1; size < len(used); size += 1021 {
		if err := errors.Join(os.Remove(path), os.WriteFile(path, used[:size], 0o600)); err != nil {
			t.Fatal(err)
		}
		want := "it is left as it is"
		if size >= 2*os.Getpagesize() { // of less, bbolt knows nothing
			want = fmt.Sprintf("truncated: %d bytes of %d are left", size, len(used))
		}
		wantRefused(t, path, want)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, used, 0o600)); err != nil {
		t.Fatal(err)
	}
	openBolt(t, path)
}

// usedBytes is how much of a file bbolt has handed out; it grows a file in larger steps.
func usedBytes(t *testing.T, path string) int64 {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	err = db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return size
}

// TestBolt_Scribbled writes over each part of a file in turn. Opening it refuses and changes nothing, or finds a store to read: nothing in
// use was hit, or one of the two meta pages, for which bbolt has the other.
func TestBolt_Scribbled(t *testing.T) {
	path := filledFile(t)
	whole := readFile(t, path)
	random := rand.New(rand.NewPCG(1, 2))
	scribbles := []func(b []byte){
		func(b []byte) { clear(b) },
		func(b []byte) { copy(b, bytes.Repeat([]byte{0xff}, len(b))) },
		func(b []byte) { b[random.IntN(24)] ^= 1 << random.IntN(8) },
		func(b []byte) {
			for i := range b {
				b[i] = byte(random.Uint32())
			}
		},
	}
	refused, used := 0, int(usedBytes(t, path))
	for at := 0; at < used; at += 1024 {
		broken := bytes.Clone(whole)
		scribbles[random.IntN(len(scribbles))](broken[at : at+256])
		if err := errors.Join(os.Remove(path), os.WriteFile(path, broken, 0o600)); err != nil {
			t.Fatal(err)
		}
		s, err := store.OpenBolt(path, store.Config{})
		if err == nil {
			count := 0
			err = s.Scan(t.Context(), func(rotation.Progress) error { count++; return nil })
			if err := errors.Join(err, s.Close()); err != nil || count == 0 {
				t.Errorf("at %d: it was opened and has %d documents: %v", at, count, err)
			}
		} else if refused++; !strings.Contains(err.Error(), "it is left as it is") {
			t.Errorf("at %d: %v", at, err)
		}
		if !bytes.Equal(broken, readFile(t, path)) {
			t.Fatalf("at %d: the file was changed (error %v)", at, err)
		}
	}
	if refused == 0 {
		t.Error("no damage was found")
	}
}

// TestBolt_DamagedPages sets single fields of pages to what bbolt would follow into a panic, out of the file, or round for hours.
func TestBolt_DamagedPages(t *testing.T) {
	for _, test := range []struct {
		name string
		kind string
		edit func(page []byte)
		want string
	}{
		{"id", "leaf", func(p []byte) { p[0]++ }, "says it is page"},
		{"overflow of a leaf", "leaf", func(p []byte) { p[14] = 0xff }, "more"},
		{"kind", "leaf", func(p []byte) { p[8] = 0x40 }, "unexpected flags 0x40"},
		{"count", "leaf", func(p []byte) { p[11] = 0xff }, "no room for"},
		{"offset of a key", "leaf", func(p []byte) { p[16+7] = 0x7f }, "end outside"},
		{"size of a value", "leaf", func(p []byte) { p[16+15] = 0x7f }, "end outside"},
		{"order of keys", "leaf", func(p []byte) { p[16+binary.NativeEndian.Uint32(p[16+4:])] = 0xff }, "out of order"},
		{"kind of an element", "leaf", func(p []byte) { p[16] = 4 }, "an element with flags 0x4"},
		{"overflow of the free list", "freelist", func(p []byte) { p[15] = 0xff }, "more"},
		{"count of the free list", "freelist", func(p []byte) { p[11] = 0x7f }, "the free list has no room"},
		{"id in the free list", "freelist", func(p []byte) { p[16] = 1 }, "page 1 is free and in use"},
		{"kind of the free list", "freelist", func(p []byte) { p[8] = 2 }, "is no free list"},
		{"child of a branch", "branch", func(p []byte) { p[16+8] ^= 0x80 }, "outside"},
		{"child twice", "branch", func(p []byte) { copy(p[16+8:16+16], p[32+8:32+16]) }, "page"},
		{"count of a branch", "branch", func(p []byte) { p[10], p[11] = 0, 0 }, "a branch without elements"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filledFile(t)
			at := lastPage(t, path, test.kind) * os.Getpagesize()
			content := readFile(t, path)
			test.edit(content[at:])
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, path, test.want)
		})
	}
}

// lastPage is the number of the last page of a kind, as bbolt names it, that is in use.
func lastPage(t *testing.T, path, kind string) int {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	err = db.View(func(tx *bbolt.Tx) error {
		for id := 2; ; id++ {
			info, err := tx.Page(id)
			if info == nil || err != nil {
				return err
			}
			if info.Type == kind {
				last = id
			}
			id += info.OverflowCount
		}
	})
	if err := errors.Join(err, db.Close()); err != nil || last == 0 {
		t.Fatalf("find a %s page: %d, %v", kind, last, err)
	}
	return last
}
