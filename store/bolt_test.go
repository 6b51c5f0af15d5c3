package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/storetest"
)

var ci = rotation.UserRef{Account: "111122223333", Name: "ci-deploy"}

// filledFile makes a closed store with something of each kind, large enough for pages of every type.
func filledFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyturner.db")
	filledOnce.Do(func() {
		fillFile(t, path)
		filledBytes = readFile(t, path)
	})
	if err := os.WriteFile(path, filledBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	filledOnce  sync.Once
	filledBytes []byte
)

func fillFile(t *testing.T, path string) {
	t.Helper()
	s, err := store.OpenBolt(path, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := storetest.Filled[rotation.Progress]()
	for i := range 12 {
		p.User = rotation.UserRef{Account: ci.Account, Name: ci.Name + strconv.Itoa(i)}
		_, err := s.Create(t.Context(), p)
		err = errors.Join(err, s.Record(t.Context(), p.User.Name, storetest.Filled[rotation.Entry]()))
		_, claim := s.Claim(t.Context(), rotation.Claim{Name: p.User.Name, Holder: "h"})
		_, accept := s.Accept(t.Context(), rotation.Envelope{ID: p.User.Name, Done: i%2 == 0})
		if err := errors.Join(err, claim, accept); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBolt_Mode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturner.db")
	mode := func() fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	var log bytes.Buffer
	cfg := store.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	for _, was := range []fs.FileMode{0, 0o600, 0o644, 0o660, 0o777} {
		if was != 0 {
			if err := os.Chmod(path, was); err != nil {
				t.Fatal(err)
			}
		}
		log.Reset()
		s, err := store.OpenBolt(path, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := mode(); got != 0o600 {
			t.Errorf("from %#o: mode %#o, want 0600", was, got)
		}
		warned := strings.Contains(log.String(), "tightened") && strings.Contains(log.String(), fmt.Sprintf("%#o", was))
		if want := was&0o077 != 0; warned != want {
			t.Errorf("from %#o: warned %v, want %v: %s", was, warned, want, log.String())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBolt_Locked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturner.db")
	first := openBolt(t, path)
	before := readFile(t, path)
	s, err := store.OpenBolt(path, store.Config{LockTimeout: time.Nanosecond})
	if err == nil {
		t.Fatalf("opened twice: %v", s)
	}
	want := fmt.Sprintf("open store %s: another keyturner has this file open: %[1]s; stop it or give another path", path)
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("the file was changed")
	}
	if err := first.Record(t.Context(), "k", rotation.Entry{}); err != nil {
		t.Errorf("the first one cannot go on: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openBolt(t, path)
}

func TestBolt_Place(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path, want string }{
		{"no folder", filepath.Join(dir, "a", "b", "keyturner.db"), "the folder " + filepath.Join(dir, "a", "b") + " does not exist: make it first"},
		{"a file for a folder", filepath.Join(file, "keyturner.db"), "not a directory"},
		{"a folder", dir, "not a regular file"},
		{"a device", os.DevNull, "not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := store.OpenBolt(test.path, store.Config{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("something was made: %v (%v)", entries, err)
			}
		})
	}
}

// TestBolt_Unfinished opens what a crash in the first moment leaves.
func TestBolt_Unfinished(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "keyturner.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"empty file":      empty,
		"without buckets": boltFile(t, nil, func(*bbolt.Tx) error { return nil }),
	} {
		t.Run(name, func(t *testing.T) {
			s := openBolt(t, path)
			if _, err := s.Create(t.Context(), rotation.Progress{User: ci}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBolt_OpeningWritesNothing: only what is missing is made.
func TestBolt_OpeningWritesNothing(t *testing.T) {
	path := filledFile(t)
	before := readFile(t, path)
	if err := openBolt(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("opening and closing changed the file")
	}
}

func TestBolt_Closed(t *testing.T) {
	s := openBolt(t, filepath.Join(t.TempDir(), "keyturner.db"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i, err := range everyCall(t.Context(), s) {
		if err == nil || errors.Is(err, rotation.ErrNotFound) || errors.Is(err, rotation.ErrConflict) {
			t.Errorf("call %d of a closed store: error %v", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

// everyCall makes every call of a store once and returns the errors.
func everyCall(ctx context.Context, s rotation.Store) []error {
	_, get := s.Get(ctx, "x")
	_, create := s.Create(ctx, rotation.Progress{})
	_, replace := s.Replace(ctx, rotation.Progress{Rev: 1})
	_, claimed := s.Claimed(ctx, "n")
	_, claim := s.Claim(ctx, rotation.Claim{Name: "n", Holder: "h"})
	_, accept := s.Accept(ctx, rotation.Envelope{ID: "v"})
	_, settle := s.Settle(ctx, rotation.Envelope{ID: "v", Rev: 1})
	return []error{
		get, create, replace, claimed, claim, accept, settle,
		s.Scan(ctx, func(rotation.Progress) error { return nil }),
		s.Live(ctx, func(string, uint64) error { return nil }),
		s.Record(ctx, "k", rotation.Entry{}),
		s.Entries(ctx, func(string, rotation.Entry) error { return nil }),
		s.Waiting(ctx, func(rotation.Envelope) error { return nil }),
		s.Forget(ctx, time.Now()),
	}
}

// TestBolt_BigDocument stores a document far larger than a page.
func TestBolt_BigDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturner.db")
	s := openBolt(t, path)
	want, err := s.Create(t.Context(), rotation.Progress{User: ci, Trail: []rotation.Entry{{Detail: strings.Repeat("d", 5<<20)}}})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := openBolt(t, path).Get(t.Context(), ci.ID())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v\n%.2000s", err, diff)
	}
}

const childPath = "STORE_TEST_CHILD"

// TestBolt_Killed kills a process that writes, and finds everything that it was told is stored.
func TestBolt_Killed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturner.db")
	var acked uint64
	for run := range 5 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childPath+"="+path)
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 20 + run*7 {
			if !lines.Scan() {
				t.Fatal("the child ended by itself")
			}
			if acked, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatalf("the child says: %s", lines.Text())
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // said before it was killed
			if rev, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				acked = rev
			}
		}
		_ = child.Wait()

		s := openBolt(t, path)
		p, err := s.Get(t.Context(), ci.ID())
		if err != nil || p.Rev < acked || p.Rev > acked+1 || uint64(len(p.Trail)) != p.Rev-1 {
			t.Errorf("run %d: acknowledged rev %d; stored rev %d with %d entries (error %v)", run, acked, p.Rev, len(p.Trail), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMain is also the process that TestBolt_Killed kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver replaces one document again and again, and says each revision once it is stored. It returns why it could not go on.
func writeForEver(path string) error {
	s, err := store.OpenBolt(path, store.Config{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := s.Get(ctx, ci.ID())
	if errors.Is(err, rotation.ErrNotFound) {
		p, err = s.Create(ctx, rotation.Progress{User: ci})
	}
	for err == nil {
		fmt.Println(p.Rev)
		p.Trail = append(p.Trail, rotation.Entry{Detail: strings.Repeat("d", 100)})
		p, err = s.Replace(ctx, p)
	}
	return err
}
