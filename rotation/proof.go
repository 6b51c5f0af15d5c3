package rotation

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Proof is what the engine's own looks found while the owner moves the applications: what is missing still before the move can be
// confirmed, so that the owner need not click to find out. It moves nothing. Whoever confirms, and whoever decides after that, has the
// facts read again.
type Proof struct {
	At      time.Time // of the latest look; zero: there was none yet
	Again   time.Time // when the engine looks again; zero: it does not by itself
	Missing []Block   // what keeps the gate shut; none after a look: it is open
	Opened  int       // how often the engine has found it open, after it was shut or at the first look
}

// Open tells whether the latest look found nothing missing.
func (p Proof) Open() bool { return !p.At.IsZero() && len(p.Missing) == 0 }

// The first look comes some hours after the owner has the new key. After that the engine looks when time can have opened the gate, neither
// too often nor too seldom. Each look is a handful of calls; AWS itself shows a use a quarter of an hour late.
const (
	firstLook  = 2 * time.Hour
	soonest    = 30 * time.Minute
	latest     = 6 * time.Hour
	useMayShow = time.Hour // for what only somebody's use can open
)

// lookAfter is when to look again, having found these blocks: not before the last of the times at which they can open.
func lookAfter(missing []Block, now time.Time) time.Time {
	again := now.Add(useMayShow)
	if unknown(missing) {
		again = now.Add(soonest)
	}
	if i := slices.IndexFunc(missing, func(b Block) bool { return !b.Again.IsZero() }); i >= 0 {
		again = time.Time{}
	}
	for _, b := range missing {
		again = later(again, b.Again)
	}
	if least := now.Add(soonest); again.Before(least) {
		return least
	}
	if most := now.Add(latest); again.After(most) {
		return most
	}
	return again
}

// found notes what a look found.
func (p Proof) found(missing []Block, now time.Time) Proof {
	if len(missing) == 0 {
		if !p.Open() {
			p.Opened++
		}
		return Proof{At: now, Opened: p.Opened}
	}
	return Proof{At: now, Again: lookAfter(missing, now), Missing: missing, Opened: p.Opened}
}

// unread stands for facts that could not be read at all: nothing is known of either key.
func (r Rotation) unread() []Block {
	return []Block{{Code: NewUnknown, Key: Key{ID: r.New}}, {Code: OldUnknown, Key: Key{ID: r.Old}}}
}

// looks tells whether the engine is to look by itself now.
func (r Rotation) looks(now time.Time) bool {
	return r.Stage == Switching && !r.Proof.Again.IsZero() && !now.Before(r.Proof.Again)
}

// byItself does what is due while the rotation rests.
func (e *Engine) byItself(ctx context.Context, r Rotation) error {
	if !r.looks(e.now()) {
		return e.stir(ctx, r)
	}
	_, err := e.lookByItself(ctx, r)
	return err
}

// lookByItself reads the facts and notes what is missing. What only somebody else can have done stops the rotation, as it does when a
// person clicks. A crash before its write leaves the look to be made again.
func (e *Engine) lookByItself(ctx context.Context, r Rotation) (Progress, error) {
	seen, err := e.look(ctx, r.User)
	if err != nil && ClassOf(err) == ClassGone {
		return e.commit(ctx, r, Event{On: Fail, By: TheEngine, Failure: Failure{Class: ClassGone, Text: err.Error()}})
	}
	missing := r.unread()
	if err == nil {
		missing = moved.check(r, seen, e.now())
	} else {
		e.log.Warn("the facts could not be read, which is not the same as unused", "rotation", r.ID, "err", err)
	}
	if i := slices.IndexFunc(missing, Block.Foreign); i >= 0 {
		return e.commit(ctx, r, Event{On: Fail, By: TheEngine, Evidence: seen, Failure: changed(missing[i])})
	}
	p, err := e.onTurn(ctx, r, func(p *Progress, cur *Rotation) error {
		if !cur.Proof.Again.Equal(r.Proof.Again) {
			return fmt.Errorf("somebody else has looked for %s: %w", r.ID, ErrConflict)
		}
		cur.Proof = cur.Proof.found(missing, e.now())
		p.Owed = true
		return nil
	})
	if cur, ok := p.Find(r.ID); ok && err == nil {
		e.traceByItself(ctx, *cur)
	}
	return p, err
}
