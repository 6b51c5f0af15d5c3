package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store/storetest"
)

// TestBolt_DiskFaults makes the file one that cannot be written to, below bbolt, and then again one that can.
func TestBolt_DiskFaults(t *testing.T) {
	paths := map[rotation.Store]string{}
	open := func(t *testing.T, path string) rotation.Store {
		s := openBolt(t, path)
		paths[s] = path
		return s
	}
	storetest.RunFaults(t, func(t *testing.T) (rotation.Store, storetest.Broken) {
		path := filepath.Join(t.TempDir(), "keyturner.db")
		return open(t, path), func(applied bool) func() {
			if applied {
				return nil // it takes a fault between the last write and its fsync
			}
			return readOnly(t, path)
		}
	}, func(t *testing.T, s rotation.Store) rotation.Store {
		if err := s.(interface{ Close() error }).Close(); err != nil {
			t.Fatal(err)
		}
		return open(t, paths[s])
	})
}

// readOnly puts a descriptor that only reads in the place of the one that this process has open for path, until mend is called.
func readOnly(t *testing.T, path string) (mend func()) {
	t.Helper()
	fd := descriptor(t, path)
	whole, err := syscall.Dup(fd) // keeps the lock, too
	if err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err == nil {
		err = errors.Join(syscall.Dup3(int(reader.Fd()), fd, syscall.O_CLOEXEC), reader.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(syscall.Dup3(whole, fd, syscall.O_CLOEXEC), syscall.Close(whole)); err != nil {
			t.Fatal(err)
		}
	}
}

// descriptor finds the descriptor that this process has open for path.
func descriptor(t *testing.T, path string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && at == path {
			fd, err := strconv.Atoi(filepath.Base(link))
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}
	}
	t.Fatalf("%s is not open", path)
	return 0
}
