package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
)

// The buckets of a file: progress by UserRef.ID, claims by name, entries by sequence number, eight bytes big-endian.
var (
	metaBucket     = []byte("meta")
	progressBucket = []byte("progress")
	claimBucket    = []byte("claims")
	entryBucket    = []byte("entries")
)

// Bolt keeps everything in one file. Every write is one transaction with its own fsync.
type Bolt struct {
	db *bbolt.DB
}

var _ Closer = (*Bolt)(nil)

// batch is how many ids one read transaction collects.
const batch = 64

// Close waits for the transactions under way and lets go of the file.
func (b *Bolt) Close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Get implements rotation.Store.
func (b *Bolt) Get(ctx context.Context, id string) (rotation.Progress, error) {
	doc, err := b.read(ctx, progressBucket, []byte(id))
	if err == nil && doc == nil {
		err = rotation.ErrNotFound
	}
	var p rotation.Progress
	if err == nil {
		p, err = decodeProgress(id, doc)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("get progress %q: %w", id, err)
	}
	return p, nil
}

// read copies one value out of a transaction; nil: there is none.
func (b *Bolt) read(ctx context.Context, bucket, key []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var doc []byte
	err := b.db.View(func(tx *bbolt.Tx) error {
		doc = bytes.Clone(tx.Bucket(bucket).Get(key))
		return nil
	})
	return doc, err
}

// Create implements rotation.Store.
func (b *Bolt) Create(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s, err := sealNew(p)
	if err == nil {
		err = b.put(ctx, s)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("create progress of %s: %w", p.User, err)
	}
	return s.kept, nil
}

// Replace implements rotation.Store.
func (b *Bolt) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s, err := sealNext(p)
	if err == nil {
		err = b.put(ctx, s)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("replace progress of %s at rev %d: %w", p.User, p.Rev, err)
	}
	return s.kept, nil
}

// put stores s if it may follow what is stored.
func (b *Bolt) put(ctx context.Context, s sealed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.db.Update(func(tx *bbolt.Tx) error {
		docs := tx.Bucket(progressBucket)
		if err := s.follows(docs.Get([]byte(s.id))); err != nil {
			return err
		}
		// A crash before the commit's last fsync leaves the document at the rev before, or absent; one after it, or an error of
		// that fsync, may leave the new one although the caller never heard of it. Either is a whole document, and reading it
		// again tells which.
		return docs.Put([]byte(s.id), s.doc)
	})
}

// Scan implements rotation.Store.
func (b *Bolt) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	for after := []byte{}; ; {
		ids, err := b.ids(ctx, after)
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		for _, id := range ids {
			p, err := b.Get(ctx, string(id))
			if err != nil {
				return fmt.Errorf("scan: %w", err)
			}
			if err := fn(p); err != nil {
				return err
			}
		}
		if len(ids) < batch {
			return nil
		}
		after = append(ids[batch-1], 0)
	}
}

// ids lists up to batch ids in order, from a first one on.
func (b *Bolt) ids(ctx context.Context, from []byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var ids [][]byte
	err := b.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(progressBucket).Cursor()
		for id, _ := c.Seek(from); id != nil && len(ids) < batch; id, _ = c.Next() {
			ids = append(ids, bytes.Clone(id))
		}
		return nil
	})
	return ids, err
}

// errUnchanged rolls a transaction back that has nothing to write, which spares the fsync.
var errUnchanged = errors.New("nothing to write")

// Claim implements rotation.Store.
func (b *Bolt) Claim(ctx context.Context, c rotation.Claim) (bool, error) {
	err := ctx.Err()
	if err == nil {
		err = checkClaim(c)
	}
	var mine bool
	if err == nil {
		err = b.db.Update(func(tx *bbolt.Tx) error {
			mine, err = claim(tx.Bucket(claimBucket), c)
			return err
		})
	}
	if err != nil && !errors.Is(err, errUnchanged) {
		return false, fmt.Errorf("claim %q: %w", c.Name, err)
	}
	return mine, nil
}

func claim(claims *bbolt.Bucket, c rotation.Claim) (bool, error) {
	held, err := decodeClaim(claims.Get([]byte(c.Name)))
	if err != nil {
		return false, err
	}
	kept, mine := settle(c, held)
	if kept.Until.Equal(held.Until) { // taken or prolonged, it ends later
		return mine, errUnchanged
	}
	doc, err := json.Marshal(kept)
	if err != nil {
		return false, err
	}
	// A crash before the commit leaves the name to whoever had it. One after it leaves a claim whose holder is gone: it runs out by
	// itself, and until then nobody else does what it stands for.
	return mine, claims.Put([]byte(c.Name), doc)
}

// Record implements rotation.Store.
func (b *Bolt) Record(ctx context.Context, e rotation.Entry) error {
	doc, err := encodeEntry(e)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = b.db.Update(func(tx *bbolt.Tx) error {
			entries := tx.Bucket(entryBucket)
			seq, err := entries.NextSequence()
			if err != nil {
				return err
			}
			// A crash before the commit leaves neither the entry nor the number it would have had; one after it leaves an entry
			// whose caller may record it a second time. The trail then says a thing twice, never not at all.
			return entries.Put(entryKey(seq), doc)
		})
	}
	if err != nil {
		return fmt.Errorf("record entry %q: %w", e.Action, err)
	}
	return nil
}

// Entries implements rotation.Store. It ends with the entry that was the newest when it began.
func (b *Bolt) Entries(ctx context.Context, fn func(rotation.Entry) error) error {
	var last uint64
	err := b.db.View(func(tx *bbolt.Tx) error {
		last = tx.Bucket(entryBucket).Sequence()
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	// No number is left out: it is given in the transaction that stores the entry.
	for seq := uint64(1); seq <= last; seq++ {
		doc, err := b.read(ctx, entryBucket, entryKey(seq))
		var e rotation.Entry
		if err == nil {
			e, err = decodeEntry(doc)
		}
		if err != nil {
			return fmt.Errorf("read entry %d: %w", seq, err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// entryKey orders entries by their numbers.
func entryKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
