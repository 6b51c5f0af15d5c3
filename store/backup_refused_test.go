package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/store"
)

// TestBackup_NotOverwritten puts something at the target while the copy is made.
func TestBackup_NotOverwritten(t *testing.T) {
	path, dir := filledFile(t), t.TempDir()
	target := filepath.Join(dir, "backup")
	_, err := store.BackupWhile(t.Context(), path, target, func() {
		if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
			t.Error(err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), target+" exists") {
		t.Errorf("got error %v, want one that says that it exists", err)
	}
	if got := readFile(t, target); string(got) != "precious" {
		t.Errorf("it was overwritten with %d bytes", len(got))
	}
	wantOnly(t, dir, "backup")
}

func TestBackup_Targets(t *testing.T) {
	t.Chdir(t.TempDir())
	path, open := filledFile(t), filepath.Join(t.TempDir(), "open.db")
	openBolt(t, open)
	err := errors.Join(
		os.WriteFile("file", []byte("x"), 0o600), os.WriteFile("empty", nil, 0o600), os.Mkdir("folder", 0o700),
		os.Symlink("file", "link"), os.Symlink("nowhere", "dangling"), os.Symlink(open, "link to open"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"dangling", "empty", "file", "folder", "link", "link to open"}
	for _, test := range []struct{ target, want string }{
		{"file", "file exists, and nothing is overwritten: move it away first, or give another path"},
		{"empty", "empty exists"},
		{"folder", "folder exists"},
		{"folder/", "folder/ exists"},
		{"link", "link exists"},
		{"dangling", "dangling exists"},
		{path, path + " exists"},
		{open, open + " is in use: stop the keyturner that has it open"},
		{"link to open", "link to open is in use"},
		{"none/backup", "the folder none does not exist: make it first"},
		{"file/backup", "not a directory"},
	} {
		for name, to := range map[string]func(ctx context.Context, from, to string) (store.Contents, error){
			"back up": store.Backup, "restore": store.Restore,
		} {
			_, err := to(t.Context(), path, test.target)
			if want := name + " " + path + ": "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got error %v, want one that says %q", test.target, err, want+test.want)
			}
		}
	}
	wantOnly(t, ".", names...)
	wantOnly(t, "folder")
	if got := readFile(t, "file"); string(got) != "x" {
		t.Errorf("the file is now %q", got)
	}
	if _, err := store.Backup(t.Context(), path, "backup"); err != nil {
		t.Error(err)
	}
	wantOnly(t, ".", append([]string{"backup"}, names...)...)
}

// TestBackup_Refused: what OpenBolt refuses is not copied, and left as it is.
func TestBackup_Refused(t *testing.T) {
	damage := func(kind string, edit func(page []byte)) string {
		path := filledFile(t)
		at := lastPage(t, path, kind) * os.Getpagesize()
		content := readFile(t, path)
		edit(content[at:])
		return file(t, string(content))
	}
	whole := string(readFile(t, filledFile(t)))
	used := whole[:usedBytes(t, filledFile(t))]
	edited := func(edit func(*bbolt.Tx) error) string {
		path := filledFile(t)
		editFile(t, path, nil, edit)
		return path
	}
	for _, test := range []struct{ name, path, want string }{
		{"empty", file(t, ""), "it is empty: nothing has been stored in it"},
		{"without buckets", boltFile(t, nil, func(*bbolt.Tx) error { return nil }), "it is empty: nothing has been stored in it"},
		{"a byte", file(t, "x"), "neither of its meta pages is valid"},
		{"text", file(t, strings.Repeat("account,user,key\n", 1000)), "neither of its meta pages is valid"},
		{"zeros", file(t, strings.Repeat("\x00", 1<<16)), "it is not a keyturner store, or is damaged"},
		{"another program's", boltFile(t, nil, put("users", "a", "b")), "it is not a keyturner store but another program's"},
		{"newer", edited(put("meta", "keyturner schema", "99")), "a newer Keyturner wrote it, with schema 99; this one reads up to"},
		{"newer document", edited(put("progress", "new", `{"schema":99,"flavour":"sweet"}`)), `read "new" of progress: a newer Keyturner wrote it`},
		{"damaged document", edited(put("progress", ci.ID(), "{")), "it is not a stored document"},
		{"damaged leaf", damage("leaf", func(p []byte) { p[16+15] = 0x7f }), "end outside"},
		{"damaged branch", damage("branch", func(p []byte) { p[16+8] ^= 0x80 }), "outside"},
		{"damaged free list", damage("freelist", func(p []byte) { p[16] = 1 }), "page 1 is free and in use"},
		{"without meta pages", file(t, strings.Repeat("\x00", 2*os.Getpagesize())+whole[2*os.Getpagesize():]), "neither of its meta pages is valid"},
		{"cut off by a byte", file(t, used[:len(used)-1]), fmt.Sprintf("truncated: %d bytes are left", len(used)-1)},
		{"cut in half", file(t, used[:len(used)/2]), fmt.Sprintf("truncated: %d bytes are left", len(used)/2)},
		{"only meta pages", file(t, used[:2*os.Getpagesize()]), "truncated"},
		{"part of a meta page", file(t, used[:50]), "neither of its meta pages is valid"},
		{"missing", filepath.Join(t.TempDir(), "none.db"), "no such file"},
		{"a folder", t.TempDir(), "it is not a regular file"},
		{"a device", os.DevNull, "it is not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) { wantNoCopy(t, test.path, test.want) })
	}
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantNoCopy expects a file to be refused by all that can be done with it, and to be left as it is, with nothing else made.
func wantNoCopy(t *testing.T, path, want string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	target := filepath.Join(dir, "target")
	before, had := os.Stat(path)
	regular := had == nil && before.Mode().IsRegular()
	var content []byte
	if regular {
		content = readFile(t, path)
	}
	_, backup := store.Backup(t.Context(), path, target)
	_, restore := store.Restore(t.Context(), path, target)
	_, check := store.Check(t.Context(), path)
	for prefix, err := range map[string]error{"back up ": backup, "restore ": restore, "check ": check} {
		if err == nil || !strings.HasPrefix(err.Error(), prefix+path+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, prefix+path+": "+want)
		}
	}
	wantOnly(t, dir)
	after, has := os.Stat(path)
	if regular && (!bytes.Equal(content, readFile(t, path)) || before.Mode() != after.Mode() || !before.ModTime().Equal(after.ModTime())) {
		t.Error("the refused file was changed")
	}
	if errors.Is(had, fs.ErrNotExist) != errors.Is(has, fs.ErrNotExist) {
		t.Errorf("the refused file was there: %v, and is: %v", had, has)
	}
}
