package main

import (
	"context"
	"errors"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// age changes what is stored while no process has it, or beside those that have it.
func (w *world) age(ctx context.Context, change func(*rotation.Progress)) error {
	kept, err := w.kept()
	if err != nil {
		return err
	}
	err = kept.Scan(ctx, func(p rotation.Progress) error {
		for {
			change(&p)
			_, err := kept.Replace(ctx, p)
			if !errors.Is(err, rotation.ErrConflict) {
				return err
			}
			if p, err = kept.Get(ctx, p.User.ID()); err != nil {
				return err
			}
		}
	})
	return errors.Join(err, kept.Close())
}

func earlier(by time.Duration, times ...*time.Time) {
	for _, t := range times {
		if !t.IsZero() {
			*t = t.Add(-by)
		}
	}
}

// ripen makes older what the program waits for only for minutes: for a lost answer to show, and before another attempt.
func ripen(p *rotation.Progress, by time.Duration) {
	if r := p.Rotation; r != nil {
		earlier(by, &r.Retry.At, &r.Handover.Post.At)
		if r.Intent != nil {
			earlier(by, &r.Intent.At)
		}
	}
	for name, post := range p.Posts {
		earlier(by, &post.At)
		p.Posts[name] = post
	}
}

// mature makes a rotation older as a whole, as if whoever starts next did so that much later. What AWS has told stays as it is.
func mature(p *rotation.Progress, by time.Duration) {
	ripen(p, by)
	r := p.Rotation
	if r == nil {
		return
	}
	earlier(by, &r.Begun, &r.Since, &r.Deadline, &r.Handover.Until, &r.Handover.Received)
	for i := range r.Stale {
		earlier(by, &r.Stale[i].Post.At, &r.Stale[i].Until, &r.Stale[i].Received)
	}
	for i := range r.Asks {
		earlier(by, &r.Asks[i].At)
	}
}
