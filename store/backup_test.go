package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// dump reads all of a file that nobody has open: values by bucket and key.
func dump(t *testing.T, path string) map[string]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, value []byte) error {
				all[string(name)+"/"+string(key)] = string(value)
				return nil
			})
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

// wantOnly expects a folder to hold nothing but the named files.
func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(append([]string{}, names...), got); err != nil || diff != "" {
		t.Errorf("in the folder (-want +got): %v\n%s", err, diff)
	}
}

// TestBackup_RoundTrip: what is restored is all that was stored, private, sound, and fit to be written to.
func TestBackup_RoundTrip(t *testing.T) {
	path := filledFile(t)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	before, dir := readFile(t, path), t.TempDir()
	t.Setenv("TMPDIR", dir) // Check leaves nothing there
	backup, restored := filepath.Join(dir, "backup"), filepath.Join(dir, "restored.db")
	held, err := store.Backup(t.Context(), path, backup)
	if err != nil {
		t.Fatal(err)
	}
	again, err := store.Restore(t.Context(), backup, restored)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := store.Check(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(held, again) + cmp.Diff(held, checked); diff != "" || held.Keys["progress"] != 12 || held.Bytes != usedBytes(t, path) {
		t.Errorf("backup, restore and check say: %v, %v, %v", held, again, checked)
	}
	if want := "claims 12, entries 12, "; !strings.HasPrefix(held.String(), want) || !strings.Contains(held.String(), "progress 12, ") {
		t.Errorf("it says %q, want %q first", held, want)
	}
	wantOnly(t, dir, "backup", "restored.db")
	if !bytes.Equal(readFile(t, backup), readFile(t, restored)) {
		t.Error("backup and restored store are not the same bytes")
	}
	for _, p := range []string{backup, restored} {
		if diff := cmp.Diff(dump(t, path), dump(t, p)); diff != "" {
			t.Errorf("%s (-want +got):\n%.2000s", p, diff)
		}
		if info, err := os.Stat(p); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v (%v)", p, info.Mode(), err)
		}
	}
	if info, err := os.Stat(path); !bytes.Equal(before, readFile(t, path)) || err != nil || info.Mode() != 0o644 {
		t.Errorf("the store itself was changed (%v, %v)", info.Mode(), err)
	}
	writable(t, restored)
}

// writable writes to a store until it has grown, and expects it to be sound then.
func writable(t *testing.T, path string) {
	t.Helper()
	s := openBolt(t, path)
	for i := range 20 {
		p, err := s.Create(t.Context(), rotation.Progress{User: rotation.UserRef{Account: "1", Name: strconv.Itoa(i)}})
		if err == nil {
			p.Trail = []rotation.Entry{{Detail: strings.Repeat("d", 10_000)}}
			_, err = s.Replace(t.Context(), p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Check(t.Context(), path); err != nil {
		t.Error(err)
	}
}

// TestBackup_Metas: a copy is complete whichever of its meta pages is lost, and the next transaction is made on top of it.
func TestBackup_Metas(t *testing.T) {
	for txs := range 2 { // the newest is in either slot
		path, backup := filledFile(t), filepath.Join(t.TempDir(), "backup")
		for range txs {
			editFile(t, path, nil, func(*bbolt.Tx) error { return nil })
		}
		if _, err := store.Backup(t.Context(), path, backup); err != nil {
			t.Fatal(err)
		}
		want, content := dump(t, path), readFile(t, backup)
		for slot := range 2 {
			broken := bytes.Clone(content)
			clear(broken[slot*os.Getpagesize():][:os.Getpagesize()])
			if err := os.WriteFile(backup, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, dump(t, backup)); diff != "" {
				t.Errorf("without meta page %d (-want +got):\n%.2000s", slot, diff)
			}
			writable(t, backup)
			if got := dump(t, backup); len(got) < len(want)+20 {
				t.Errorf("without meta page %d: what was written is not there", slot)
			}
		}
	}
}

// TestBackup_DamagedMeta goes back by one transaction, as bbolt does.
func TestBackup_DamagedMeta(t *testing.T) {
	for slot := range 2 {
		path, backup := filledFile(t), filepath.Join(t.TempDir(), "backup")
		content := readFile(t, path)
		content[slot*os.Getpagesize()+16+40]++ // the number of pages, which the checksum covers
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Backup(t.Context(), path, backup); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(dump(t, path), dump(t, backup)); diff != "" {
			t.Errorf("slot %d (-want +got):\n%.2000s", slot, diff)
		}
	}
}

// TestBackup_Layouts copies what bbolt can be told to write otherwise.
func TestBackup_Layouts(t *testing.T) {
	for name, options := range map[string]*bbolt.Options{
		"pages of 1 KiB":        {PageSize: 1 << 10},
		"pages of 16 KiB":       {PageSize: 1 << 14},
		"pages of 64 KiB":       {PageSize: 1 << 16},
		"no free list":          {NoFreelistSync: true},
		"file not grown before": {NoGrowSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			path, backup := boltFile(t, options, func(*bbolt.Tx) error { return nil }), filepath.Join(t.TempDir(), "backup")
			fillFile(t, path)
			editFile(t, path, options, put("entries", "e", `{"schema":1}`))
			if _, err := store.Backup(t.Context(), path, backup); err != nil {
				t.Fatal(err)
			}
			want := dump(t, path)
			if diff := cmp.Diff(want, dump(t, backup)); diff != "" || want["entries/e"] == "" {
				t.Errorf("(-want +got):\n%.2000s", diff)
			}
			content := readFile(t, backup)
			clear(content[:1<<10]) // the other meta page has to be found, where the size of pages puts it
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			restored := filepath.Join(t.TempDir(), "restored.db")
			if _, err := store.Restore(t.Context(), path, restored); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, dump(t, restored)); diff != "" {
				t.Errorf("restored (-want +got):\n%.2000s", diff)
			}
			writable(t, restored)
		})
	}
}

// TestBackup_WrittenMeanwhile writes after the first look at a file, and expects a second try with what was written.
func TestBackup_WrittenMeanwhile(t *testing.T) {
	for _, txs := range []int{1, 2, 3, 4, 50} {
		t.Run(strconv.Itoa(txs), func(t *testing.T) {
			path, backup := filledFile(t), filepath.Join(t.TempDir(), "backup")
			s := openBolt(t, path)
			p, err := s.Create(t.Context(), rotation.Progress{User: ci})
			if err != nil {
				t.Fatal(err)
			}
			tries := 0
			_, err = store.BackupWhile(t.Context(), path, backup, func() {
				if tries++; tries > 1 {
					return
				}
				for range txs {
					p.Trail = append(p.Trail, rotation.Entry{Detail: strings.Repeat("d", 5000)})
					if p, err = s.Replace(t.Context(), p); err != nil {
						t.Error(err)
					}
				}
			})
			if err := errors.Join(err, s.Close()); err != nil || tries != 2 {
				t.Fatalf("%d tries, %v", tries, err)
			}
			if diff := cmp.Diff(dump(t, path), dump(t, backup)); diff != "" {
				t.Errorf("(-want +got):\n%.2000s", diff)
			}
		})
	}
}

// TestBackup_Busy gives up on a file that never rests.
func TestBackup_Busy(t *testing.T) {
	path, dir := filledFile(t), t.TempDir()
	s := openBolt(t, path)
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		_, err := store.BackupWhile(t.Context(), path, filepath.Join(dir, "backup"), func() {
			tries++
			user := rotation.UserRef{Account: "1", Name: strconv.Itoa(tries)}
			if _, err := s.Create(t.Context(), rotation.Progress{User: user}); err != nil {
				t.Error(err)
			}
		})
		if want := "it was written to during each try in 30s: try again"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
		if took := time.Since(began); tries < 100 || took > 30*time.Second || took < 29*time.Second {
			t.Errorf("%d tries in %s", tries, took)
		}
	})
	wantOnly(t, dir)
}

func TestBackup_Cancelled(t *testing.T) {
	path, dir := filledFile(t), t.TempDir()
	s := openBolt(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := store.BackupWhile(ctx, path, filepath.Join(dir, "backup"), func() {
		cancel()
		if _, err := s.Create(t.Context(), rotation.Progress{User: ci}); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that it was cancelled", err)
	}
	wantOnly(t, dir)
}

// flicker reads as a file whose writer is in the middle of a meta page whenever that is looked at, for the first times.
type flicker struct {
	*bytes.Reader
	torn int
}

func (f *flicker) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.Reader.ReadAt(b, at)
	if f.torn > 0 && (at == 16 || at == int64(os.Getpagesize())+16) {
		f.torn--
		b[48]++ // the transaction, which the checksum covers
	}
	return n, err
}

// TestNewestMeta_BothTorn: with a writer fast enough, each meta page is being written when it is looked at, but not both at once.
func TestNewestMeta_BothTorn(t *testing.T) {
	content := readFile(t, filledFile(t))
	want, err := store.NewestTx(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for torn := range 3 {
		f := &flicker{bytes.NewReader(content), torn}
		if got, err := store.NewestTx(f); err != nil || got > want || got < want-1 {
			t.Errorf("%d torn: transaction %d, want %d or the one before; %v", torn, got, want, err)
		}
	}
	if got, err := store.NewestTx(&flicker{bytes.NewReader(content), 3}); err == nil {
		t.Errorf("all torn: transaction %d", got)
	}
	broken := errors.New("broken disk")
	if _, err := store.NewestTx(unreadable{broken}); !errors.Is(err, broken) {
		t.Errorf("what cannot be read is: %v", err)
	}
}

type unreadable struct{ err error }

func (u unreadable) ReadAt([]byte, int64) (int, error) { return 0, u.err }
