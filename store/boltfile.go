package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// fileSchema is the version of the layout: which buckets there are and what their keys mean. It is stored under schemaKey in the meta
// bucket, as decimal digits, and marks the file as Keyturner's.
//
// Schema 1 had no indexes and no inbox, and numbered the entries: eight bytes, big-endian.
const fileSchema = 2

var schemaKey = []byte("keyturner schema")

const private fs.FileMode = 0o600

// file is a file that is being opened.
type file struct {
	path string
	cfg  Config
	db   *bbolt.DB
	f    *os.File // the handle that bbolt opened
}

// OpenBolt opens the store in a file, or makes one. A file that it refuses is left as it was.
func OpenBolt(path string, cfg Config) (*Bolt, error) {
	b, err := openBolt(path, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return b, nil
}

func openBolt(path string, cfg Config) (*Bolt, error) {
	exists, err := present(path)
	if err != nil {
		return nil, err
	}
	fl := &file{path: path, cfg: cfg}
	if exists {
		// Read-only first: opening for writing loads the free list unchecked, and writes to some foreign files.
		if err := fl.open(&bbolt.Options{ReadOnly: true}); err != nil {
			return nil, err
		}
		if err := errors.Join(fl.db.View(fl.inspect), fl.db.Close()); err != nil {
			return nil, err
		}
	}
	if err := fl.open(&bbolt.Options{}); err != nil {
		return nil, err
	}
	if err := fl.prepare(); err != nil {
		return nil, errors.Join(err, fl.db.Close())
	}
	return newBolt(fl.db), nil
}

// present tells whether there is a file with something in it at path, and refuses a path where none can be.
func present(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return false, errors.New("it is not a regular file: give the path of a file")
	case err == nil:
		return info.Size() > 0, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("the folder %s does not exist: make it first", dir)
	} else if err == nil && !info.IsDir() {
		return false, fmt.Errorf("%s is not a folder", dir)
	}
	return false, nil
}

func damaged(err error) error {
	return fmt.Errorf("it is not a keyturner store, or is damaged (%w); it is left as it is: restore a backup or give another path", err)
}

func (fl *file) open(options *bbolt.Options) error {
	options.Timeout = fl.cfg.LockTimeout
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		fl.f = f
		return f, err
	}
	db, err := bbolt.Open(fl.path, private, options)
	fl.db = db
	if err == nil {
		return nil
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("another keyturner has this file open: %s; stop it or give another path", fl.path)
	}
	if _, byOS := errors.AsType[*fs.PathError](err); byOS {
		return err
	}
	return damaged(err)
}

// inspect reads the whole file. It refuses one that is cut off or damaged, is not Keyturner's, or holds what a later call could not
// read.
func (fl *file) inspect(tx *bbolt.Tx) error {
	info, err := fl.f.Stat()
	if err != nil {
		return err
	}
	if tx.Size() > info.Size() {
		return damaged(fmt.Errorf("truncated: %d bytes of %d are left", info.Size(), tx.Size()))
	}
	if err := checkPages(fl.f, tx); err != nil {
		return damaged(err)
	}
	schema, err := schemaOf(tx)
	if err != nil || schema == 0 {
		return err
	}
	return checkDocuments(tx, schema)
}

// schemaOf reads the file's schema; 0: the file holds nothing yet.
func schemaOf(tx *bbolt.Tx) (int, error) {
	if first, _ := tx.Cursor().First(); first == nil {
		return 0, nil
	}
	var mark []byte
	if meta := tx.Bucket(metaBucket); meta != nil {
		mark = meta.Get(schemaKey)
	}
	if mark == nil {
		return 0, errors.New("it is not a keyturner store but another program's; it is left as it is: give another path")
	}
	schema, err := strconv.Atoi(string(mark))
	switch {
	case err != nil || schema < 1:
		return 0, damaged(fmt.Errorf("schema %q", mark))
	case schema > fileSchema:
		return 0, &newerError{schema, fileSchema}
	}
	return schema, nil
}

// prepare makes what a new or older file lacks, and keeps others from reading it.
func (fl *file) prepare() error {
	var schema int
	err := fl.db.View(func(tx *bbolt.Tx) (err error) {
		schema, err = schemaOf(tx) // again: it was not locked in between
		return err
	})
	switch {
	case err != nil:
	case schema == 0:
		err = fl.fill()
	case schema < fileSchema:
		err = fl.migrate()
	}
	if err == nil {
		err = fl.addReadings()
	}
	if err != nil {
		return err
	}
	return fl.tighten()
}

// addReadings makes the bucket for readings in a file that has none. That is no other schema: a version that does not know the bucket leaves
// it alone, and what it holds is too old to count when a later version finds it again.
func (fl *file) addReadings() error {
	there := false
	name := shelves[readingKind].docs
	err := fl.db.View(func(tx *bbolt.Tx) error {
		there = tx.Bucket(name) != nil
		return nil
	})
	if err != nil || there {
		return err
	}
	err = fl.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(name)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the bucket %s: %w", name, err)
	}
	return nil
}

// fill makes the buckets and the mark in one transaction. A crash before it leaves an empty file or a bbolt file without buckets, which
// the next start fills; a crash of the machine while bbolt writes the very first pages can leave a file that is refused and, being
// new, may be removed.
func (fl *file) fill() error {
	err := fl.db.Update(func(tx *bbolt.Tx) error {
		for _, shelf := range shelves {
			if err := shelf.create(tx); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return meta.Put(schemaKey, strconv.AppendInt(nil, fileSchema, 10))
	})
	if err != nil {
		return fmt.Errorf("make the buckets: %w", err)
	}
	// bbolt syncs the file but not its name: without this, a crash of the machine could take away the whole new file.
	dir, err := os.Open(filepath.Dir(fl.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// tighten takes from others what they may do with the file.
func (fl *file) tighten() error {
	info, err := fl.f.Stat()
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if mode&^private == 0 {
		return nil
	}
	if err := fl.f.Chmod(mode & private); err != nil {
		return fmt.Errorf("its mode %#o lets others at it, and it cannot be tightened: %w: run chmod 600 on it as its owner", mode, err)
	}
	fl.cfg.Logger.Warn("tightened the mode of the store", "path", fl.path, "from", fmt.Sprintf("%#o", mode), "to", fmt.Sprintf("%#o", mode&private))
	return nil
}
