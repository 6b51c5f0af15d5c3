package rotation

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A rule may say when changes are made: in windows of the week, and not in a freeze. An approval can be given at any time, since people decide
// when they are at work and a window may be in the night. What it approves of waits for the window then, in an ask that is open still: so
// it can be denied or withdrawn as before, it does not lapse, and nobody has to be there when the window opens. Evidence ages meanwhile, so
// the clock's move passes the same gate as the approval's: if the facts have changed and hold, the approvers are asked again; if they do not
// hold, it goes back.
//
// What needs no approval never waits: making a key active again, revoking a new key that nobody uses, and all of a leak. What has begun is carried
// through, also past the end of a window. The windows are those of the rule as it is configured now, so that a freeze holds back what was
// approved before it was announced.

// Window is a part of the week in which changes are made, by the clock on a wall.
type Window struct {
	Days        []time.Weekday // on which it begins; empty: every day
	From, Until time.Duration  // since midnight; Until not after From means on the next day
	Zone        *time.Location // nil: UTC
}

// Freeze is a time in which no changes are made.
type Freeze struct {
	From, Until time.Time // Until is the first moment after it
	Reason      string
}

// next is the first moment not before t at which the window is open, within the next week.
func (w Window) next(t time.Time) (time.Time, bool) {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	year, month, date := t.In(zone).Date()
	at := func(day int, since time.Duration) time.Time {
		return time.Date(year, month, date+day, int(since/time.Hour), int(since/time.Minute)%60, 0, 0, zone)
	}
	until := w.Until
	if until <= w.From {
		until += oneDay
	}
	for day := -1; day <= 8; day++ {
		begins, ends := at(day, w.From), at(day, until)
		listed := len(w.Days) == 0 || slices.Contains(w.Days, time.Date(year, month, date+day, 12, 0, 0, 0, zone).Weekday())
		if listed && ends.After(t) && ends.After(begins) {
			return later(begins, t), true
		}
	}
	return time.Time{}, false
}

// FrozenAt finds the freeze in which a moment is.
func (a Approval) FrozenAt(t time.Time) (Freeze, bool) {
	i := slices.IndexFunc(a.Freezes, func(f Freeze) bool { return !t.Before(f.From) && t.Before(f.Until) })
	if i < 0 {
		return Freeze{}, false
	}
	return a.Freezes[i], true
}

// Opens is the first moment not before t at which a change may be made. ok: there is one, as far as can be seen.
func (a Approval) Opens(t time.Time) (at time.Time, ok bool) {
	for range 2*len(a.Freezes) + 1 {
		at = t
		for i, w := range a.Windows {
			next, opens := w.next(t)
			if i == 0 || opens && (!ok || next.Before(at)) {
				at, ok = next, opens
			}
		}
		if len(a.Windows) > 0 && !ok {
			return time.Time{}, false
		}
		f, frozen := a.FrozenAt(at)
		if !frozen {
			return at, true
		}
		t, ok = f.Until, false
	}
	return time.Time{}, false
}

// heldAnew is when it is looked again if no window can be seen to open.
const heldAnew = 30 * oneDay

// heldUntil is when a change of r may be made; zero: now.
func (e *Engine) heldUntil(r Rotation, now time.Time) time.Time {
	if r.Kind == Leak {
		return time.Time{}
	}
	at, ok := e.approvals.ForRotation(r).Opens(now)
	switch {
	case !ok:
		return now.Add(heldAnew)
	case at.Equal(now):
		return time.Time{}
	}
	return at
}

// Waits tells whether all approvals are given and the change waits for its window.
func (r Rotation) Waits() bool {
	return !r.Held.IsZero() && complete(r)
}

// complete tells whether the open ask has all the approvals that it wants.
func complete(r Rotation) bool {
	ask, open := r.CurrentAsk()
	return open && ask.Lacks() <= 0
}

// inWindow holds back what a person's click would begin outside of a window: an approval is kept until it opens, and what repeats an approved
// change is refused until then.
func (e *Engine) inWindow(r Rotation, m Move, ev *Event) error {
	if ev.By.System != 0 || ev.On != Approve && m.To != Creating && m.To != Deactivating && m.To != Deleting {
		return nil
	}
	until := e.heldUntil(r, e.now())
	if ev.On == Approve {
		ev.Held = until
		return nil
	}
	if !until.IsZero() {
		return &Refusal{Code: WindowShut, User: r.User, Rotation: &r, Again: until}
	}
	return nil
}

// due is Progress.due, and what a changed configuration holds back no longer.
func (e *Engine) due(p Progress) (Rotation, bool) {
	now := e.now()
	if r, due := p.due(now); due {
		return r, true
	}
	r, runs := p.Running()
	if !runs {
		return Rotation{}, false
	}
	return *r, r.Waits() && !now.Before(r.Retry.At) && e.heldUntil(*r, now).IsZero()
}

// holdOn puts off what is approved if its window is shut still, or again. A crash before its write leaves it to be done.
func (e *Engine) holdOn(ctx context.Context, r Rotation) (shut bool, err error) {
	until := e.heldUntil(r, e.now())
	if until.IsZero() {
		return false, nil
	}
	_, err = e.onTurn(ctx, r, func(p *Progress, cur *Rotation) error {
		if !cur.Held.Equal(r.Held) {
			return fmt.Errorf("somebody else has seen to %s: %w", r.ID, ErrConflict)
		}
		cur.Held, p.Owed = until, true
		return nil
	})
	return true, err
}

// overtaken is what follows when the window opens and the facts are not what was approved on: as it would be if somebody clicked.
func (r Rotation) overtaken(blocks []Block, seen Evidence) (Event, error) {
	ev, first := Event{By: TheEngine, Evidence: seen}, blocks[0]
	foreign := slices.IndexFunc(blocks, Block.Foreign)
	_, back := r.find(Refute)
	switch {
	case foreign >= 0:
		ev.On, ev.Failure = Fail, changed(blocks[foreign])
	case first.Code == NotAsShown:
		ev.On = Renew
	case unknown(blocks):
		return Event{}, errNotKnown
	case back:
		ev.On, ev.Failure = Refute, changed(first)
	default: // the slot is taken
		ev.On, ev.Failure = Fail, changed(first)
	}
	return ev, nil
}
