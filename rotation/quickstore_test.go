package rotation_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// quickStore is a store that keeps values instead of encoding them: what runs thousands of rotations would else do little but decode.
type quickStore struct {
	mu        sync.Mutex
	progress  map[string]rotation.Progress
	claims    map[string]rotation.Claim
	entries   map[string]rotation.Entry
	envelopes map[string]rotation.Envelope
	readings  []rotation.Reading
}

var _ rotation.Store = (*quickStore)(nil)

func newQuickStore() *quickStore {
	return &quickStore{
		progress: map[string]rotation.Progress{}, claims: map[string]rotation.Claim{},
		entries: map[string]rotation.Entry{}, envelopes: map[string]rotation.Envelope{},
	}
}

// cloneProgress copies all that a reader could alter.
func cloneProgress(p rotation.Progress) rotation.Progress {
	p.Past, p.Notices, p.Trail, p.Posts = slices.Clone(p.Past), slices.Clone(p.Notices), slices.Clone(p.Trail), maps.Clone(p.Posts)
	for i := range p.Past {
		p.Past[i] = cloneRotation(p.Past[i])
	}
	if p.Rotation != nil {
		r := cloneRotation(*p.Rotation)
		p.Rotation = &r
	}
	return p
}

func cloneRotation(r rotation.Rotation) rotation.Rotation {
	r.Asks, r.Stale = slices.Clone(r.Asks), slices.Clone(r.Stale)
	for i, a := range r.Asks {
		r.Asks[i].Decisions, r.Asks[i].Evidence.Keys = slices.Clone(a.Decisions), slices.Clone(a.Evidence.Keys)
	}
	if r.Intent != nil {
		r.Intent = &rotation.Intent{At: r.Intent.At, Known: slices.Clone(r.Intent.Known)}
	}
	return r
}

func (s *quickStore) Get(ctx context.Context, id string) (rotation.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.progress[id]
	if !ok {
		return p, rotation.ErrNotFound
	}
	return cloneProgress(p), ctx.Err()
}

func (s *quickStore) put(ctx context.Context, p rotation.Progress, isNew bool) (rotation.Progress, error) {
	if err := ctx.Err(); err != nil {
		return p, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := p.User.ID()
	if kept, ok := s.progress[id]; ok == isNew || kept.Rev != p.Rev {
		return p, rotation.ErrConflict
	}
	p.Rev++
	s.progress[id] = cloneProgress(p)
	return p, nil
}

func (s *quickStore) Create(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	p.Rev = 0
	return s.put(ctx, p, true)
}

func (s *quickStore) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	return s.put(ctx, p, false)
}

func (s *quickStore) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.progress))
}

func (s *quickStore) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	for _, id := range s.ids() {
		p, err := s.Get(ctx, id)
		if err == nil {
			err = fn(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *quickStore) Live(ctx context.Context, fn func(string, uint64) error) error {
	for _, id := range s.ids() {
		s.mu.Lock()
		p := s.progress[id]
		s.mu.Unlock()
		if !p.Live() {
			continue
		}
		if err := fn(id, p.Rev); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *quickStore) Claimed(ctx context.Context, name string) (rotation.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.claims[name]
	if !ok {
		return c, rotation.ErrNotFound
	}
	return c, ctx.Err()
}

func (s *quickStore) Claim(ctx context.Context, c rotation.Claim) (rotation.Claim, error) {
	if err := ctx.Err(); err != nil {
		return c, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[c.Name].Rev != c.Rev {
		return c, rotation.ErrConflict
	}
	c.Rev++
	s.claims[c.Name] = c
	return c, nil
}

func (s *quickStore) Record(ctx context.Context, key string, e rotation.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[key]; !ok {
		s.entries[key] = e
	}
	return ctx.Err()
}

func (s *quickStore) Entries(_ context.Context, fn func(string, rotation.Entry) error) error {
	s.mu.Lock()
	entries := maps.Clone(s.entries)
	s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if err := fn(key, entries[key]); err != nil {
			return err
		}
	}
	return nil
}

func (s *quickStore) Accept(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.envelopes[v.ID]; ok {
		return v, rotation.ErrConflict
	}
	v.Rev = 1
	s.envelopes[v.ID] = v
	return v, ctx.Err()
}

func (s *quickStore) Settle(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept, ok := s.envelopes[v.ID]; !ok || kept.Rev != v.Rev {
		return v, rotation.ErrConflict
	}
	v.Rev++
	s.envelopes[v.ID] = v
	return v, ctx.Err()
}

func (s *quickStore) Waiting(_ context.Context, fn func(rotation.Envelope) error) error {
	s.mu.Lock()
	all := maps.Clone(s.envelopes)
	s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if v := all[id]; !v.Done {
			if err := fn(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *quickStore) Forget(_ context.Context, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.envelopes, func(_ string, v rotation.Envelope) bool { return v.Done && v.At.Before(before) })
	return nil
}

func (s *quickStore) KeepReading(_ context.Context, r rotation.Reading) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readings = append(s.readings, r)
	return nil
}

func (s *quickStore) Readings(_ context.Context, fn func(rotation.Reading) error) error {
	s.mu.Lock()
	all := slices.Clone(s.readings)
	s.mu.Unlock()
	slices.SortStableFunc(all, func(a, b rotation.Reading) int { return cmp.Compare(a.Turn, b.Turn) })
	for _, r := range all {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *quickStore) DropReadings(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readings = nil
	return nil
}
