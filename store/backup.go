package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Contents is what a file was found to hold.
type Contents struct {
	Keys  map[string]int // how many there are in each bucket, but those for the schema and for readings, which count for an hour
	Bytes int64          // of the copy that was looked at; the file itself may be longer by what bbolt keeps in reserve
}

func (c Contents) String() string {
	var b strings.Builder
	for _, bucket := range slices.Sorted(maps.Keys(c.Keys)) {
		fmt.Fprintf(&b, "%s %d, ", bucket, c.Keys[bucket])
	}
	return fmt.Sprintf("%s%d bytes", &b, c.Bytes)
}

// Backup copies the store in the file at path to a new file, target, with mode 0600. A keyturner may be using the store meanwhile: the
// copy is the state after one of its transactions, the last one or, if that was being written, the one before. Only a copy that was
// read back completely is given its name. Nothing is overwritten, and path is not written to.
//
// Both have to be on a file system of this machine: over a network one, what is read of a file in use can be of different ages.
func Backup(ctx context.Context, path, target string) (Contents, error) {
	held, err := snapshot{}.to(ctx, path, target)
	if err != nil {
		return Contents{}, fmt.Errorf("back up %s: %w", path, err)
	}
	return held, nil
}

// Restore copies a backup to path, where nothing may be yet, with mode 0600. It refuses what [OpenBolt] would refuse.
func Restore(ctx context.Context, backup, path string) (Contents, error) {
	held, err := snapshot{}.to(ctx, backup, path)
	if err != nil {
		return Contents{}, fmt.Errorf("restore %s: %w", backup, err)
	}
	return held, nil
}

// Check tells what the store in the file at path holds, or why [OpenBolt] would refuse it. A keyturner may be using it. What is looked
// at is a copy in the folder for temporary files, so that not even the lock of the file is touched.
func Check(ctx context.Context, path string) (Contents, error) {
	temp, held, err := snapshot{}.take(ctx, path, os.TempDir())
	if err == nil {
		err = os.Remove(temp)
	}
	if err != nil {
		return Contents{}, fmt.Errorf("check %s: %w", path, err)
	}
	return held, nil
}

// to takes a snapshot of path and names it target. A crash leaves nothing, a temporary file beside target, or target.
func (s snapshot) to(ctx context.Context, path, target string) (Contents, error) {
	if err := vacant(target); err != nil {
		return Contents{}, err
	}
	temp, held, err := s.take(ctx, path, filepath.Dir(target))
	if err != nil {
		return Contents{}, err
	}
	return held, link(temp, target)
}

// take makes a verified copy of the store at path: a new file in the folder dir, which is the caller's to remove.
func (s snapshot) take(ctx context.Context, path, dir string) (string, Contents, error) {
	src, err := openSource(path)
	if err != nil {
		return "", Contents{}, err
	}
	defer src.Close()
	dst, err := os.CreateTemp(dir, ".keyturner-*") // with mode 0600
	if err != nil {
		return "", Contents{}, err
	}
	err = s.copy(ctx, src, dst)
	if err == nil {
		err = dst.Sync()
	}
	var held Contents
	if err = errors.Join(err, dst.Close()); err == nil {
		held, err = verify(dst.Name())
	}
	if err != nil {
		return "", Contents{}, errors.Join(err, os.Remove(dst.Name()))
	}
	return dst.Name(), held, nil
}

var errEmpty = errors.New("it is empty: nothing has been stored in it")

func openSource(path string) (*os.File, error) {
	info, err := os.Stat(path) // first: opening a pipe would wait for a writer
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file: give the path of a file")
	case info.Size() == 0:
		return nil, errEmpty
	}
	return os.Open(path)
}

// verify reads a whole file as OpenBolt does, and counts.
func verify(path string) (Contents, error) {
	fl := &file{path: path, cfg: Config{}.withDefaults()}
	if err := fl.open(&bbolt.Options{ReadOnly: true}); err != nil {
		return Contents{}, err
	}
	held := Contents{Keys: map[string]int{}}
	err := fl.db.View(func(tx *bbolt.Tx) error {
		if err := fl.inspect(tx); err != nil {
			return err
		}
		if first, _ := tx.Cursor().First(); first == nil { // a new file, which OpenBolt would fill
			return errEmpty
		}
		held.Bytes = tx.Size()
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if b != nil && !bytes.Equal(name, metaBucket) && !bytes.Equal(name, shelves[readingKind].docs) {
				held.Keys[string(name)] = b.Stats().KeyN
			}
			return nil
		})
	})
	return held, errors.Join(err, fl.db.Close())
}

// vacant refuses a path where there is something, or where nothing can be made.
func vacant(path string) error {
	_, err := os.Lstat(path) // a link that leads nowhere is something
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err = present(path)
		return err
	case err != nil:
		return err
	case locked(path):
		return fmt.Errorf("%s is in use: stop the keyturner that has it open, and move it away first, or give another path", path)
	}
	return taken(path)
}

func taken(path string) error {
	return fmt.Errorf("%s exists, and nothing is overwritten: move it away first, or give another path", path)
}

// locked tells whether another process has the store at path open.
func locked(path string) bool {
	if full, err := present(path); err != nil || !full {
		return false
	}
	db, err := bbolt.Open(path, private, &bbolt.Options{ReadOnly: true, Timeout: time.Nanosecond})
	if err == nil {
		err = db.Close()
	}
	return errors.Is(err, berrors.ErrTimeout)
}

// link gives a temporary file its name. It links and does not rename: a rename would replace what another process has just put there,
// such as the store that a keyturner makes when it starts.
func link(temp, target string) error {
	err := os.Link(temp, target)
	switch {
	case errors.Is(err, fs.ErrExist):
		err = taken(target)
	case err != nil:
		err = fmt.Errorf("%w: if its file system has no hard links, give a path on another", err)
	}
	if err := errors.Join(err, os.Remove(temp)); err != nil {
		return err
	}
	// Without this, a crash of the machine could take the name away again.
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
