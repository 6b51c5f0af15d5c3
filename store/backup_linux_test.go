package store_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/keyturner/keyturner/store"
)

// unprivileged calls fn with the rights that another user has on files; where the test is not run by root, it has no others anyway.
func unprivileged(t *testing.T, fn func()) {
	t.Helper()
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			if err := syscall.Setfsuid(nobody); err != nil {
				t.Error(err)
			}
		}
		fn()
	}()
	<-done
}

// openTo makes a folder with a mode, below others that let everybody through.
func openTo(t *testing.T, mode fs.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	return dir
}

func TestBackup_NoPermission(t *testing.T) {
	content := readFile(t, filledFile(t))
	write := func(dir string, mode fs.FileMode) string {
		path := filepath.Join(dir, "keyturner.db")
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	readable, unreadable := write(openTo(t, 0o755), 0o444), write(openTo(t, 0o755), 0o200)
	ours, theirs := openTo(t, 0o777), openTo(t, 0o555)
	t.Setenv("TMPDIR", ours)
	unprivileged(t, func() {
		for name, to := range map[string]func(ctx context.Context, from, to string) (store.Contents, error){
			"backup": store.Backup, "restore": store.Restore,
		} {
			if _, err := to(t.Context(), unreadable, filepath.Join(ours, name)); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%s of an unreadable file: error %v", name, err)
			}
			if _, err := to(t.Context(), readable, filepath.Join(theirs, name)); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%s to a folder of others: error %v", name, err)
			}
			// To read is all that is needed.
			if _, err := to(t.Context(), readable, filepath.Join(ours, name)); err != nil {
				t.Error(err)
			}
		}
		if _, err := store.Check(t.Context(), readable); err != nil {
			t.Error(err)
		}
	})
	wantOnly(t, theirs)
	wantOnly(t, ours, "backup", "restore")
}

// TestBackup_NoRoom meets the end of what it may write, at each of its writes.
func TestBackup_NoRoom(t *testing.T) {
	path, dir := filledFile(t), t.TempDir()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	for _, room := range []uint64{0, 1, uint64(2 * os.Getpagesize()), uint64(usedBytes(t, path)) - 1} {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: room, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		_, err := store.Backup(t.Context(), path, filepath.Join(dir, "backup"))
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
		if err == nil || !strings.Contains(err.Error(), "file too large") {
			t.Errorf("with room for %d bytes: error %v", room, err)
		}
		wantOnly(t, dir)
	}
	if _, err := store.Backup(t.Context(), path, filepath.Join(dir, "backup")); err != nil {
		t.Error(err)
	}
}

// TestBackup_Pipe: nobody is waited for.
func TestBackup_Pipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	wantNoCopy(t, path, "it is not a regular file")
	if _, err := store.Backup(t.Context(), filledFile(t), path); err == nil || !strings.Contains(err.Error(), path+" exists") {
		t.Errorf("onto a pipe: error %v", err)
	}
}
