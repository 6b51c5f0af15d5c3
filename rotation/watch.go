package rotation

import (
	"context"
	"sync"
)

// feed tells one listener which documents have changed.
type feed struct {
	mu     sync.Mutex
	ids    map[string]bool
	signal chan struct{}
}

func (f *feed) add(id string) {
	f.mu.Lock()
	if f.ids == nil {
		f.ids = map[string]bool{}
	}
	f.ids[id] = true
	f.mu.Unlock()
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

func (f *feed) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]string, 0, len(f.ids))
	for id := range f.ids {
		ids = append(ids, id)
	}
	clear(f.ids)
	return ids
}

// Changed waits until progress has changed and returns the ids. There is one listener: the one who shows it. What changed before a
// restart is found with Each.
func (e *Engine) Changed(ctx context.Context) ([]string, error) {
	for {
		if ids := e.feed.take(); len(ids) > 0 {
			return ids, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-e.feed.signal:
		}
	}
}

// Get reads one user's progress.
func (e *Engine) Get(ctx context.Context, id string) (Progress, error) {
	return e.cfg.Store.Get(ctx, id)
}

// Each calls fn with every user's progress.
func (e *Engine) Each(ctx context.Context, fn func(Progress) error) error {
	return e.cfg.Store.Scan(ctx, fn)
}

// Note changes what is kept about messages: fn may alter Posts, Notices and Handover.Gone and nothing else.
func (e *Engine) Note(ctx context.Context, id string, fn func(*Progress)) (Progress, error) {
	return e.update(ctx, id, func(p *Progress) error {
		fn(p)
		return nil
	})
}

// Claim takes a name, so that what it stands for happens once.
func (e *Engine) Claim(ctx context.Context, c Claim) (bool, error) { return e.cfg.Store.Claim(ctx, c) }

// Involving lists the progress of which m is the owner or the requester.
func (e *Engine) Involving(ctx context.Context, m MemberID) ([]Progress, error) {
	var found []Progress
	err := e.Each(ctx, func(p Progress) error {
		if p.Rotation != nil && (p.Rotation.Owner == m || p.Rotation.Requester == m) {
			found = append(found, p)
		}
		return nil
	})
	return found, err
}

// Running lists the rotations that have not ended.
func (e *Engine) Running(ctx context.Context) ([]Rotation, error) {
	var found []Rotation
	err := e.Each(ctx, func(p Progress) error {
		if r, ok := p.Running(); ok {
			found = append(found, *r)
		}
		return nil
	})
	return found, err
}

// Touch makes Changed report a document again, so that what could not be shown is tried once more.
func (e *Engine) Touch(id string) { e.feed.add(id) }
