package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyturner/keyturner/rotation"
)

const (
	sweepEvery  = 15 * time.Second
	sweepTime   = time.Minute // bounds reading what waits
	forgetEvery = 10 * time.Minute
	remember    = time.Hour       // how long a worked envelope is recognised
	takeOver    = 3 * time.Minute // without a change, after which whoever holds an envelope has died; measured by this process's own clock
	replays     = 8               // envelopes of others that are worked at once
)

// watched is since when an envelope has been seen unchanged.
type watched struct {
	rev   uint64
	since time.Time
}

// keepInbox takes over what others have left and drops what is worked, until ctx ends.
func (b *Bot) keepInbox(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	var forgotten time.Time
	for {
		b.sweep(ctx)
		if time.Since(forgotten) >= forgetEvery {
			b.drop(ctx)
			forgotten = time.Now()
		}
		if b.inbox.writable() != nil {
			b.probe(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// drop forgets the envelopes that no second delivery can be of any more.
func (b *Bot) drop(ctx context.Context) {
	b.inbox.prune()
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	if err := b.cfg.Engine.Forget(ctx, b.now().Add(-remember)); err != nil && ctx.Err() == nil {
		b.log.Error("forget worked envelopes", "err", err)
	}
}

// probe finds out whether writing works again, so that Ready need not wait until somebody does something.
func (b *Bot) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepEvery)
	defer cancel()
	_, err := b.cfg.Engine.Accept(ctx, rotation.Envelope{ID: "probe-" + rand.Text(), At: b.now(), Done: true})
	_ = b.inbox.wrote(err) // Ready tells
}

// sweep looks through the envelopes that wait, and takes up those that nobody works on, in the order in which they were accepted.
func (b *Bot) sweep(ctx context.Context) {
	reading, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	waiting := map[string]bool{}
	var left []rotation.Envelope
	err := b.cfg.Engine.Waiting(reading, func(v rotation.Envelope) error {
		waiting[v.ID] = true
		if b.left(v) {
			left = append(left, v)
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		b.log.Error("look through the inbox", "err", err) // what was found is taken up
	default:
		b.inbox.keepWatched(waiting)
	}
	slices.SortFunc(left, func(a, b rotation.Envelope) int { return a.At.Compare(b.At) })
	var g errgroup.Group
	g.SetLimit(replays)
	for _, v := range left {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			b.takeUp(ctx, v)
			return nil
		})
	}
	_ = g.Wait() // takeUp logs
}

// left tells whether an envelope is nobody's: this process holds it and is not at it, or whoever held it has died. One who alone has
// the store need not wait to know that.
func (b *Bot) left(v rotation.Envelope) bool {
	i := b.inbox
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.working[v.ID] > 0 {
		return false
	}
	if v.Holder == b.cfg.Engine.Holder() || !b.cfg.Engine.Shared() {
		return true
	}
	seen, ok := i.others[v.ID]
	if !ok || seen.rev != v.Rev {
		i.others[v.ID] = watched{v.Rev, time.Now()}
		return false
	}
	return time.Since(seen.since) >= takeOver
}

// keepWatched forgets what does not wait any more.
func (i *inbox) keepWatched(waiting map[string]bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id := range i.others {
		if !waiting[id] {
			delete(i.others, id)
		}
	}
	maps.DeleteFunc(i.since, func(id string, _ time.Time) bool { return !waiting[id] })
}

func (i *inbox) isClosed(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, closed := i.closed[id]
	return closed
}

// takeUp works an envelope that was left. It is this process's own if it was told to be unrecorded and is recorded all the same, if it
// is worked and that could not be noted, or if taking it up failed before.
//
// A crash before Settle leaves it as it is; after that, it is taken up once more from here on, and worked again. So what it asks for
// must do no harm twice.
func (b *Bot) takeUp(ctx context.Context, v rotation.Envelope) {
	defer b.rescue("an envelope that was left", nil)
	b.inbox.begin(v.ID)
	defer b.inbox.end(v.ID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTime)
	defer cancel()
	if b.inbox.isClosed(v.ID) {
		b.settle(ctx, v)
		return
	}
	l, err := decodeLetter(v.Body)
	if err != nil {
		b.tellOdd(v.ID, err)
		return
	}
	v.Holder = b.cfg.Engine.Holder()
	taken, err := b.cfg.Engine.Settle(ctx, v)
	if err = b.inbox.wrote(err); err != nil {
		if !errors.Is(err, rotation.ErrConflict) { // somebody else took it
			b.log.Error("take over an envelope", "envelope", v.ID, "err", err)
		}
		return
	}
	b.counts.add("envelope_replayed")
	b.log.Info("envelope taken over", "envelope", v.ID, "kind", string(l.Kind))
	who := callerOf(l, v.At)
	who.once, who.replay = v.ID, true
	b.carryOut(ctx, who, l)
	if b.over(who) {
		b.settle(ctx, taken)
	}
}

// tellOdd logs once that an envelope cannot be worked. It is left where it is: another version may know what to do with it.
func (b *Bot) tellOdd(id string, err error) {
	b.inbox.mu.Lock()
	defer b.inbox.mu.Unlock()
	if !b.inbox.odd[id] {
		b.inbox.odd[id] = true
		b.counts.add("envelope_unreadable")
		b.log.Error("an envelope in the inbox cannot be read; it is left there", "envelope", id, "err", err)
	}
}
