package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
)

// A file has a bucket for each kind, with documents by their keys, and beside some of them an index of those that are open: eight bytes
// of rev, big-endian, by the same keys. Both are written in one transaction.
type shelf struct{ docs, index []byte }

var (
	metaBucket = []byte("meta")
	shelves    = map[kind]shelf{
		progressKind: {[]byte("progress"), []byte("live")},
		claimKind:    {docs: []byte("claims")},
		entryKind:    {docs: []byte("entries")},
		inboxKind:    {[]byte("inbox"), []byte("waiting")},
		readingKind:  {docs: []byte("readings")},
	}
)

// Bolt keeps everything in one file. Every write is one transaction with its own fsync.
type Bolt struct {
	documents
	db *bbolt.DB
}

var _ Closer = (*Bolt)(nil)

func newBolt(db *bbolt.DB) *Bolt {
	return &Bolt{documents{&boltFile{db: db, commit: db.Update}}, db}
}

// Close waits for the transactions under way and lets go of the file.
func (b *Bolt) Close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Shared implements Closer: the file is locked.
func (b *Bolt) Shared() bool { return false }

// boltFile is the backend of Bolt.
type boltFile struct {
	db     *bbolt.DB
	commit func(func(*bbolt.Tx) error) error // db.Update; a test breaks it
}

func (b *boltFile) put(ctx context.Context, k kind, d document) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.commit(func(tx *bbolt.Tx) error {
		docs := tx.Bucket(shelves[k].docs)
		if err := d.follows(docs.Get([]byte(d.key))); err != nil {
			return err // which rolls back without a write
		}
		// A crash before the commit's last fsync leaves the document, and its place in the index, at the rev before, or absent; one
		// after it, or an error of that fsync, may leave the new one although the caller never heard of it. Either is a whole
		// document, and reading it again tells which. For an envelope that means: worked, or to be worked; for a claim, that its
		// holder may be gone, which who waits for it finds by its rev staying the same; for an entry, that it may be recorded again
		// under its key, which changes nothing.
		if err := docs.Put([]byte(d.key), d.text); err != nil {
			return err
		}
		return shelves[k].note(tx, d)
	})
}

// note keeps the index in step with a document.
func (s shelf) note(tx *bbolt.Tx, d document) error {
	switch {
	case s.index == nil:
		return nil
	case d.open:
		return tx.Bucket(s.index).Put([]byte(d.key), binary.BigEndian.AppendUint64(nil, d.rev))
	}
	return tx.Bucket(s.index).Delete([]byte(d.key))
}

func (b *boltFile) get(ctx context.Context, k kind, key string) ([]byte, error) {
	text, err := b.read(ctx, shelves[k].docs, []byte(key))
	if err == nil && text == nil {
		err = rotation.ErrNotFound
	}
	return text, err
}

// read copies one value out of a transaction; nil: there is none.
func (b *boltFile) read(ctx context.Context, bucket, key []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var value []byte
	err := b.db.View(func(tx *bbolt.Tx) error {
		value = bytes.Clone(tx.Bucket(bucket).Get(key))
		return nil
	})
	return value, err
}

func (b *boltFile) each(ctx context.Context, k kind, fn func(key string, text []byte) error) error {
	return b.walk(ctx, shelves[k].docs, func(key string, text []byte) error { return fn(key, text) })
}

func (b *boltFile) open(ctx context.Context, k kind, fn func(key string, rev uint64) error) error {
	return b.walk(ctx, shelves[k].index, func(key string, rev []byte) error { return fn(key, binary.BigEndian.Uint64(rev)) })
}

// walk calls fn with all of a bucket, between transactions.
func (b *boltFile) walk(ctx context.Context, bucket []byte, fn func(key string, value []byte) error) error {
	for from := []byte{}; ; {
		keys, err := b.keys(ctx, bucket, from)
		if err != nil {
			return fmt.Errorf("read all of %s: %w", bucket, err)
		}
		for _, key := range keys {
			value, err := b.read(ctx, bucket, key)
			if err != nil {
				return fmt.Errorf("read all of %s: %w", bucket, err)
			}
			if value == nil {
				continue // removed since
			}
			if err := fn(string(key), value); err != nil {
				return err
			}
		}
		if len(keys) < batch {
			return nil
		}
		from = append(keys[batch-1], 0)
	}
}

// keys lists up to batch keys in order, from a first one on.
func (b *boltFile) keys(ctx context.Context, bucket, from []byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var keys [][]byte
	err := b.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for key, _ := c.Seek(from); key != nil && len(keys) < batch; key, _ = c.Next() {
			keys = append(keys, bytes.Clone(key))
		}
		return nil
	})
	return keys, err
}

// errUnchanged rolls a transaction back that has nothing to write, which spares the fsync.
var errUnchanged = errors.New("nothing to write")

func (b *boltFile) drop(ctx context.Context, k kind, list []document) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := b.commit(func(tx *bbolt.Tx) error {
		docs, result := tx.Bucket(shelves[k].docs), errUnchanged
		for _, d := range list {
			text := docs.Get([]byte(d.key))
			if text == nil {
				continue
			}
			if d.rev != anyRev {
				switch rev, err := revOf(text); {
				case err != nil:
					return err
				case rev != d.rev:
					continue
				}
			}
			// A crash before the commit leaves all of the list, one after it none; what is left is dropped by a later call.
			result = nil
			if err := errors.Join(docs.Delete([]byte(d.key)), shelves[k].note(tx, document{key: d.key})); err != nil {
				return err
			}
		}
		return result
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}
