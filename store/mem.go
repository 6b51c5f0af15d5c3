package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/keyturner/keyturner/rotation"
)

// Mem keeps everything in memory, for trying out and for tests: encoded as a file would have it.
type Mem struct {
	mu       sync.Mutex
	progress map[string][]byte
	claims   map[string]claimRecord
	entries  [][]byte
}

var _ Closer = (*Mem)(nil)

// NewMem makes an empty store.
func NewMem() *Mem {
	return &Mem{progress: map[string][]byte{}, claims: map[string]claimRecord{}}
}

// Close does nothing: what is kept can still be read, so that a test can restart everything round it.
func (m *Mem) Close() error { return nil }

// Get implements rotation.Store.
func (m *Mem) Get(ctx context.Context, id string) (rotation.Progress, error) {
	if err := ctx.Err(); err != nil {
		return rotation.Progress{}, fmt.Errorf("get progress %q: %w", id, err)
	}
	m.mu.Lock()
	doc, ok := m.progress[id]
	m.mu.Unlock()
	if !ok {
		return rotation.Progress{}, fmt.Errorf("get progress %q: %w", id, rotation.ErrNotFound)
	}
	p, err := decodeProgress(id, doc)
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("get progress %q: %w", id, err)
	}
	return p, nil
}

// Create implements rotation.Store.
func (m *Mem) Create(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s, err := sealNew(p)
	if err == nil {
		err = m.put(ctx, s)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("create progress of %s: %w", p.User, err)
	}
	return s.kept, nil
}

// Replace implements rotation.Store.
func (m *Mem) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s, err := sealNext(p)
	if err == nil {
		err = m.put(ctx, s)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("replace progress of %s at rev %d: %w", p.User, p.Rev, err)
	}
	return s.kept, nil
}

// put stores s if it may follow what is stored.
func (m *Mem) put(ctx context.Context, s sealed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := s.follows(m.progress[s.id]); err != nil {
		return err
	}
	m.progress[s.id] = s.doc
	return nil
}

// Scan implements rotation.Store.
func (m *Mem) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	m.mu.Lock()
	ids := slices.Sorted(maps.Keys(m.progress))
	m.mu.Unlock()
	for _, id := range ids {
		p, err := m.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

// Claim implements rotation.Store.
func (m *Mem) Claim(ctx context.Context, c rotation.Claim) (bool, error) {
	err := ctx.Err()
	if err == nil {
		err = checkClaim(c)
	}
	if err != nil {
		return false, fmt.Errorf("claim %q: %w", c.Name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept, mine := settle(c, m.claims[c.Name])
	m.claims[c.Name] = kept
	return mine, nil
}

// Record implements rotation.Store.
func (m *Mem) Record(ctx context.Context, e rotation.Entry) error {
	doc, err := encodeEntry(e)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("record entry %q: %w", e.Action, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, doc)
	return nil
}

// Entries implements rotation.Store. It ends with the entry that was the newest when it began.
func (m *Mem) Entries(ctx context.Context, fn func(rotation.Entry) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	m.mu.Lock()
	docs := slices.Clone(m.entries)
	m.mu.Unlock()
	for i, doc := range docs {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		e, err := decodeEntry(doc)
		if err != nil {
			return fmt.Errorf("read entry %d: %w", i+1, err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}
