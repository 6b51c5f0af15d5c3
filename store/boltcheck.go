package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// create makes the buckets of a kind.
func (s shelf) create(tx *bbolt.Tx) error {
	for _, name := range [][]byte{s.docs, s.index} {
		if name == nil {
			continue
		}
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

// checkDocuments reads every document of a file, and finds the indexes in step with them.
func checkDocuments(tx *bbolt.Tx, schema int) error {
	for _, k := range kinds {
		s := shelves[k]
		if schema == 1 {
			if k == inboxKind {
				continue
			}
			s.index = nil
		}
		if err := s.check(tx, k, schema); err != nil {
			return err
		}
	}
	return nil
}

func (s shelf) check(tx *bbolt.Tx, k kind, schema int) error {
	docs := tx.Bucket(s.docs)
	if docs == nil {
		return damaged(fmt.Errorf("the bucket %s is missing", s.docs))
	}
	var index *bbolt.Bucket
	if s.index != nil {
		if index = tx.Bucket(s.index); index == nil {
			return damaged(fmt.Errorf("the bucket %s is missing", s.index))
		}
	}
	err := docs.ForEach(func(key, text []byte) error {
		d, err := k.parse(string(key), text)
		switch {
		case err != nil:
		case index != nil:
			err = d.noted(s.index, index.Get(key))
		case k == entryKind && schema == 1 && len(key) != 8:
			err = errors.New("it has no number")
		}
		return s.refuse(s.docs, key, err)
	})
	if err != nil || index == nil {
		return err
	}
	return index.ForEach(func(key, _ []byte) error {
		if docs.Get(key) == nil {
			return s.refuse(s.index, key, fmt.Errorf("there is no such document in %s", s.docs))
		}
		return nil
	})
}

// noted tells whether an index is in step with a document.
func (d document) noted(index, rev []byte) error {
	switch {
	case !d.open && rev == nil, d.open && bytes.Equal(rev, binary.BigEndian.AppendUint64(nil, d.rev)):
		return nil
	}
	return fmt.Errorf("at rev %d, open: %v; %s says %x", d.rev, d.open, index, rev)
}

func (s shelf) refuse(bucket, key []byte, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("read %q of %s: %w", key, bucket, err)
	if _, newer := errors.AsType[*newerError](err); newer {
		return err
	}
	return damaged(err)
}

// migrate brings a file of schema 1 to the present one, in one transaction: a crash leaves the file as it was or as it shall be. Documents
// stay as they are; each is written in its present schema when it is next replaced.
func (fl *file) migrate() error {
	err := fl.db.Update(func(tx *bbolt.Tx) error {
		progress, inbox := shelves[progressKind], shelves[inboxKind]
		if _, err := tx.CreateBucket(progress.index); err != nil {
			return err
		}
		err := tx.Bucket(progress.docs).ForEach(func(key, text []byte) error {
			d, err := progressKind.parse(string(key), text)
			if err != nil {
				return err
			}
			return progress.note(tx, d)
		})
		if err != nil {
			return err
		}
		if err := errors.Join(inbox.create(tx), renameEntries(tx)); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put(schemaKey, strconv.AppendInt(nil, fileSchema, 10))
	})
	if err != nil {
		return fmt.Errorf("bring it from schema 1 to %d: %w", fileSchema, err)
	}
	fl.cfg.Logger.Info("brought the store to a newer schema", "path", fl.path, "schema", fileSchema)
	return nil
}

// numbered is the key of an entry that had a number: before every key that begins with a letter or a digit, in the order of the numbers.
func numbered(n uint64) []byte { return fmt.Appendf(nil, "!%016x", n) }

// renameEntries gives the numbered entries keys of this schema.
func renameEntries(tx *bbolt.Tx) error {
	name := shelves[entryKind].docs
	var texts [][]byte
	var numbers []uint64
	err := tx.Bucket(name).ForEach(func(key, text []byte) error {
		numbers = append(numbers, binary.BigEndian.Uint64(key))
		texts = append(texts, bytes.Clone(text)) // the bucket goes before they are written again
		return nil
	})
	if err != nil {
		return err
	}
	if err := tx.DeleteBucket(name); err != nil {
		return err
	}
	entries, err := tx.CreateBucket(name)
	if err != nil {
		return err
	}
	for i, text := range texts {
		if err := entries.Put(numbered(numbers[i]), text); err != nil {
			return err
		}
	}
	return nil
}
