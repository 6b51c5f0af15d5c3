package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
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

// Live calls fn with the progress of every user for whom something may still happen by itself. An index that lags behind may name one of whom there
// is none.
func (e *Engine) Live(ctx context.Context, fn func(Progress) error) error {
	return e.cfg.Store.Live(ctx, func(id string, _ uint64) error {
		p, err := e.Get(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("read progress: %w", err)
		}
		return fn(p)
	})
}

// Note changes what is kept about messages: fn may alter Posts, Owed, Notices and Handovers and nothing else. It tells no listener. A
// crash before its write leaves unsaid what was sent or removed: it is looked for, or done again.
func (e *Engine) Note(ctx context.Context, id string, fn func(*Progress)) (Progress, error) {
	return e.change(ctx, id, func(p *Progress) error {
		fn(p)
		return nil
	})
}

// Keep stores what Note would alter, if nobody has changed the document since it was read as p. ErrConflict: somebody has. A crash after
// it leaves what it says: of a message that is about to be sent, its mark.
func (e *Engine) Keep(ctx context.Context, p Progress) (Progress, error) {
	stored, err := e.replace(ctx, p)
	if err != nil {
		return stored, fmt.Errorf("keep what is shown for %s: %w", p.User, err)
	}
	return stored, nil
}

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
	err := e.Live(ctx, func(p Progress) error {
		if r, ok := p.Running(); ok {
			found = append(found, *r)
		}
		return nil
	})
	return found, err
}

// Overruled lists the rotations, ended or not, of which somebody has overruled the evidence since a time. The progress keeps the latest.
func (e *Engine) Overruled(ctx context.Context, since time.Time) ([]Rotation, error) {
	var found []Rotation
	err := e.Each(ctx, func(p Progress) error {
		for _, r := range p.All() {
			if slices.ContainsFunc(r.Asks, func(a Ask) bool { return a.Overruled.By != "" && !a.Overruled.At.Before(since) }) {
				found = append(found, r)
			}
		}
		return nil
	})
	return found, err
}

// Touch makes Changed report a document again, so that what could not be shown is tried once more.
func (e *Engine) Touch(id string) { e.feed.add(id) }

// Holder names this process where it works on something.
func (e *Engine) Holder() string { return e.id }

// Shared tells whether other processes may work on the same store.
func (e *Engine) Shared() bool { return e.cfg.Shared }

// Accept is the store's. A crash after it leaves an envelope that another process finds waiting, acknowledged or not; one before it, what
// Slack delivers again.
func (e *Engine) Accept(ctx context.Context, v Envelope) (Envelope, error) {
	return e.cfg.Store.Accept(ctx, v)
}

// Settle is the store's. A crash before it leaves an envelope that is worked again: a click then finds that its turn is over, and a
// request that its rotation runs already, unless that has ended meanwhile.
func (e *Engine) Settle(ctx context.Context, v Envelope) (Envelope, error) {
	return e.cfg.Store.Settle(ctx, v)
}

// Waiting is the store's.
func (e *Engine) Waiting(ctx context.Context, fn func(Envelope) error) error {
	return e.cfg.Store.Waiting(ctx, fn)
}

// Forget is the store's. A crash within it leaves some that are dropped the next time.
func (e *Engine) Forget(ctx context.Context, before time.Time) error {
	return e.cfg.Store.Forget(ctx, before)
}
