package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/keyturner/keyturner/rotation"
)

// Mem keeps everything in memory, for trying out and for tests: encoded as a file would have it.
type Mem struct {
	documents
}

var _ Closer = (*Mem)(nil)

// NewMem makes an empty store.
func NewMem() *Mem {
	back := &memory{kinds: map[kind]map[string]document{}, commit: func(apply func() error) error { return apply() }}
	for _, k := range append(slices.Clone(kinds), readingKind) {
		back.kinds[k] = map[string]document{}
	}
	return &Mem{documents{back}}
}

// Close does nothing: what is kept can still be read, so that a test can restart everything round it.
func (m *Mem) Close() error { return nil }

// Shared implements Closer.
func (m *Mem) Shared() bool { return false }

// memory is the backend of Mem.
type memory struct {
	mu     sync.Mutex
	kinds  map[kind]map[string]document
	commit func(apply func() error) error // makes a change; a test breaks it
}

func (m *memory) change(ctx context.Context, apply func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commit(apply)
}

func (m *memory) put(ctx context.Context, k kind, d document) error {
	return m.change(ctx, func() error {
		if err := d.followsRev(m.kinds[k][d.key].rev); err != nil {
			return err
		}
		m.kinds[k][d.key] = d
		return nil
	})
}

func (m *memory) get(ctx context.Context, k kind, key string) ([]byte, error) {
	d, err := m.read(ctx, k, key)
	return d.text, err
}

func (m *memory) read(ctx context.Context, k kind, key string) (document, error) {
	if err := ctx.Err(); err != nil {
		return document{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.kinds[k][key]
	if !ok {
		return document{}, rotation.ErrNotFound
	}
	return d, nil
}

func (m *memory) each(ctx context.Context, k kind, fn func(key string, text []byte) error) error {
	return m.all(ctx, k, func(d document) error { return fn(d.key, d.text) })
}

func (m *memory) open(ctx context.Context, k kind, fn func(key string, rev uint64) error) error {
	return m.all(ctx, k, func(d document) error {
		if !d.open {
			return nil
		}
		return fn(d.key, d.rev)
	})
}

// all calls fn with the documents whose keys were there when it began and that still are.
func (m *memory) all(ctx context.Context, k kind, fn func(document) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read all of %s: %w", k, err)
	}
	m.mu.Lock()
	keys := slices.Sorted(maps.Keys(m.kinds[k]))
	m.mu.Unlock()
	for _, key := range keys {
		d, err := m.read(ctx, k, key)
		switch {
		case errors.Is(err, rotation.ErrNotFound):
			continue // forgotten since
		case err != nil:
			return fmt.Errorf("read all of %s: %w", k, err)
		}
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) drop(ctx context.Context, k kind, list []document) error {
	return m.change(ctx, func() error {
		for _, d := range list {
			if d.rev == anyRev || m.kinds[k][d.key].rev == d.rev {
				delete(m.kinds[k], d.key)
			}
		}
		return nil
	})
}
