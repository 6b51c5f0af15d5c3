// Package npmtest lets tests run programs of the npm registry, in the very versions that a
// lock file pins. Nothing is written into the repository: packages go to the user's cache,
// and the program runs in a folder of the test.
package npmtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// oldest is the first major version of Node that the packages run on.
const oldest = 20

// pinned are the files that decide what is installed.
var pinned = []string{"package.json", "package-lock.json", ".npmrc"}

// Folder returns a folder of the test's own with a copy of every file of dir, and the
// packages that its package-lock.json pins in node_modules. Where that cannot be, the test
// is skipped, or fails if the environment says KEYTURNER_REQUIRE=all.
func Folder(t testing.TB, dir string) string {
	t.Helper()
	modules, err := install(t.Context(), dir)
	switch {
	case err == nil:
	case os.Getenv("KEYTURNER_REQUIRE") == "all":
		t.Fatalf("KEYTURNER_REQUIRE=all, and the packages of %s cannot be used: %v", dir, err)
	default:
		t.Skipf("the packages of %s cannot be used here: %v", dir, err)
	}
	folder := t.TempDir()
	if err := errors.Join(
		os.CopyFS(folder, os.DirFS(dir)),
		os.Symlink(modules, filepath.Join(folder, "node_modules")),
	); err != nil {
		t.Fatal(err)
	}
	return folder
}

var version = regexp.MustCompile(`^v(\d+)\.`)

// install returns the node_modules folder of what dir pins, installed before or now.
func install(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("node cannot be run: %w", err)
	}
	found := version.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("node has no version: %q", out)
	}
	if major, _ := strconv.Atoi(string(found[1])); major < oldest { // digits, as matched
		return "", fmt.Errorf("node is of version %d, and %d is the oldest that will do", major, oldest)
	}
	sum := sha256.New()
	for _, name := range pinned {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		sum.Write(content)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "keyturner-test")
	home := filepath.Join(cache, "npm-"+hex.EncodeToString(sum.Sum(nil))[:16])
	modules := filepath.Join(home, "node_modules")
	if _, err := os.Stat(modules); !errors.Is(err, fs.ErrNotExist) {
		return modules, err
	}
	return modules, download(ctx, dir, cache, home)
}

// download installs into a folder beside home and moves it there as a whole, so that a
// test run that ends halfway, or two at once, leave nothing incomplete.
func download(ctx context.Context, dir, cache, home string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // gone when it was moved
	for _, name := range pinned {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(work, name), content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = work
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, address.ReplaceAll(out, []byte("(address)")))
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	err = os.Rename(work, home)
	if errors.Is(err, fs.ErrExist) {
		return nil // another test was faster
	}
	return err
}

// address matches where packages come from, which is the business of the machine.
var address = regexp.MustCompile(`https?://[^\s"]+`)
