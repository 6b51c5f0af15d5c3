package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// commit writes the outcome of what r's stage did. A conflict with another writer of the document, such as one that noted a
// message, is read again; a rotation that has moved meanwhile is left alone. A process that others have taken for dead may still tell
// what it has done, but not what it has not.
//
// A crash before this write leaves the working stage with its call made: the effect looks first when it is begun again. A crash after
// it leaves the next stage, which whoever finds it goes on with; of a created key, only the id is stored then: see handOver.
func (e *Engine) commit(ctx context.Context, r Rotation, ev Event) (Progress, error) {
	ev.At = e.now()
	on := e.onWork
	if ev.On == Succeed {
		on = e.onTurn
	}
	return on(ctx, r, func(p *Progress, cur *Rotation) error { return e.step(p, cur, ev) })
}

// onWork changes the stored rotation if it is still at r's turn and no other attempt at its effect has begun.
func (e *Engine) onWork(ctx context.Context, r Rotation, fn func(*Progress, *Rotation) error) (Progress, error) {
	return e.onTurn(ctx, r, func(p *Progress, cur *Rotation) error {
		if cur.Work != r.Work {
			return fmt.Errorf("%s is worked on by another process: %w", r.ID, ErrConflict)
		}
		return fn(p, cur)
	})
}

// onTurn changes the stored rotation if it is still at r's turn.
func (e *Engine) onTurn(ctx context.Context, r Rotation, fn func(*Progress, *Rotation) error) (Progress, error) {
	return e.update(ctx, r.User.ID(), func(p *Progress) error {
		cur, ok := p.Find(r.ID)
		if !ok || cur.Turn != r.Turn {
			return fmt.Errorf("%s at turn %d: %w", r.ID, r.Turn, ErrConflict)
		}
		return fn(p, cur)
	})
}

// step applies ev to cur and adds the entry. The effect of a working stage is this process's from the beginning, unless it stops and has no
// secret to hand over.
func (e *Engine) step(p *Progress, cur *Rotation, ev Event) error {
	next, err := cur.Step(ev)
	if err != nil {
		return err
	}
	if next.Stage == Delivering || next.Stage.Working() && !e.stops.Load() {
		next.Work = e.ticket()
	}
	p.log(moveEntry(*cur, next, ev))
	p.leaves(deleted(*cur, ev), ExemptGone, ev.At)
	p.Owed = true
	*cur = next
	return nil
}

// log adds an entry to the trail.
func (p *Progress) log(en Entry) {
	en.Action, en.Detail = clip(en.Action), clipTo(en.Detail, maxReason)
	p.Trail = append(p.Trail, en)
}

func moveEntry(from, to Rotation, ev Event) Entry {
	key := to.Old
	if slices.Contains([]Stage{Creating, Delivering, Discarding, Freezing}, from.Stage) || slices.Contains([]On{Disown, Revoke, Keep}, ev.On) {
		key = to.New
		if key == "" {
			key = from.New
		}
	}
	detail := ev.Reason
	if slices.Contains([]On{Fail, Lose, Refute, Yield}, ev.On) {
		detail = string(ev.Failure.Class) + ": " + ev.Failure.Text
	}
	return Entry{
		At: ev.At, Actor: ev.By.String(), Action: string(ev.On), Outcome: "moved", User: to.User.String(), Rotation: to.ID,
		From: from.Stage, To: to.Stage, Key: key, Detail: detail,
	}
}

// update changes one document and tells the feed.
func (e *Engine) update(ctx context.Context, id string, fn func(*Progress) error) (Progress, error) {
	p, err := e.change(ctx, id, fn)
	if err == nil {
		e.feed.add(id)
	}
	return p, err
}

// change reads, changes and replaces one document until nobody else came between. The error of fn ends it. A write is whole or is not
// there; what a crash after it leaves stands with each who calls this.
func (e *Engine) change(ctx context.Context, id string, fn func(*Progress) error) (Progress, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		p, err := e.cfg.Store.Get(ctx, id)
		if err != nil {
			return Progress{}, fmt.Errorf("read progress: %w", err)
		}
		if err := fn(&p); err != nil {
			return p, err
		}
		stored, err := e.replace(ctx, p)
		if err == nil {
			return stored, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Progress{}, fmt.Errorf("write progress: %w", err)
		}
		select {
		case <-ctx.Done():
			return Progress{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// replace stores p, and files first what has become too long in it.
func (e *Engine) replace(ctx context.Context, p Progress) (Progress, error) {
	if err := e.file(ctx, &p); err != nil {
		return Progress{}, err
	}
	return e.cfg.Store.Replace(ctx, p)
}

// file moves the earlier half of a long trail out of the document. A crash before the document is written leaves entries both here and
// there, under keys that say that they are the same; they are then recorded once more, which changes nothing.
func (e *Engine) file(ctx context.Context, p *Progress) error {
	if extra := len(p.Notices) - keepNotices; extra > 0 {
		p.Notices = slices.Clone(p.Notices[extra:])
	}
	if len(p.Trail) <= keepTrail {
		return nil
	}
	const half = keepTrail / 2
	for i, en := range p.Trail[:half] {
		if err := e.cfg.Store.Record(ctx, p.entryKey(i), en); err != nil {
			return fmt.Errorf("file an entry of %s: %w", p.User, err)
		}
	}
	p.Trail, p.Filed = slices.Clone(p.Trail[half:]), p.Filed+half
	return nil
}

// entryKey is where the i-th entry of the trail is filed: by its time, then by its document and its number there.
func (p Progress) entryKey(i int) string {
	return fmt.Sprintf("%s/%s/%08d", keyTime(p.Trail[i].At), p.User.ID(), p.Filed+i)
}

// keyTime is a time as the beginning of a key: in the order of time, in UTC.
func keyTime(t time.Time) string { return t.UTC().Format("20060102T150405.000000000Z") }
