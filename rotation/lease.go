package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Where several processes work on one store, some things are done by one of them at a time: the messages are sent, the scan is made.
// That one holds a claim and renews it. Another takes it over when it has seen the claim unchanged for leaseTime by its own clock, so
// that nobody's clock has to agree with anybody's, but only run as fast. The holder counts from before the write that renewed it, and so
// from earlier than anybody can have seen it, and stops in time when it cannot renew.
//
// A process that is halted for longer than stopBefore, or takes longer to stop, may still be at it when the next one begins: what is
// led must bear that, and does, since each of its writes is a compare-and-swap.
const (
	renewEvery = 5 * time.Second
	leaseTime  = 20 * time.Second
	stopBefore = 5 * time.Second // before others may take over
)

// tenure is a claim that is this process's, and since when that surely holds.
type tenure struct {
	claim Claim
	since time.Time
}

// ends is when the holder must have stopped unless it has renewed the claim.
func (t tenure) ends() time.Time { return t.since.Add(leaseTime - stopBefore) }

// LeadClaim is the name of the claim of the process that sends the messages and keeps the schedules. While it changes, some process runs
// on the store.
const LeadClaim = "lead"

// Lead runs fn in one process at a time of those that share the store, until ctx ends or fn returns by itself. The context of fn ends when
// this process does not lead any more, and fn has stopBefore to return then; it is run again when the process leads again. Where nobody
// else has the store, fn just runs. A process calls it once for each name.
func (e *Engine) Lead(ctx context.Context, name string, fn func(context.Context) error) error {
	if !e.cfg.Shared {
		return fn(ctx)
	}
	for {
		t, err := e.lead(ctx, name)
		if err != nil {
			return nil // ctx has ended
		}
		err = e.whileLeading(ctx, t, fn)
		switch deposed := errors.Is(err, errDeposed); {
		case !deposed:
			return err
		case ctx.Err() != nil:
			return nil
		}
	}
}

// lead waits until the claim is this process's. A crash after the write that takes it leaves the others to wait for leaseTime.
func (e *Engine) lead(ctx context.Context, name string) (tenure, error) {
	var seen Claim
	since := time.Now() // when seen was read first; that a later look fails tells nothing against it
	for {
		cur, err := e.cfg.Store.Claimed(ctx, name)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound):
			e.log.Error("read who leads", "claim", name, "err", err)
		case cur.Rev != seen.Rev:
			seen, since = cur, time.Now()
		}
		if err == nil && (cur.Holder == "" || cur.Holder == e.id || time.Since(since) >= leaseTime) || errors.Is(err, ErrNotFound) {
			t := tenure{since: time.Now()}
			t.claim, err = e.cfg.Store.Claim(ctx, Claim{Name: name, Rev: cur.Rev, Holder: e.id})
			switch {
			case err == nil && time.Now().Before(t.ends()): // or the answer took so long that another one may have it already
				e.log.Info("leads", "claim", name)
				return t, nil
			case err != nil && !errors.Is(err, ErrConflict):
				e.log.Error("take the lead", "claim", name, "err", err)
			}
		}
		if err := pause(ctx, renewEvery); err != nil {
			return tenure{}, err
		}
	}
}

var errDeposed = errors.New("this process does not lead any more")

// whileLeading runs fn and renews the claim beside it.
func (e *Engine) whileLeading(ctx context.Context, t tenure, fn func(context.Context) error) error {
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	depose := func() { stop(errDeposed) }
	end := time.AfterFunc(time.Until(t.ends()), depose) // whatever the store is doing then
	defer end.Stop()
	done := make(chan error, 1)
	go func() { done <- fn(inner) }()
	timer := time.NewTicker(renewEvery)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			if errors.Is(context.Cause(inner), errDeposed) {
				return errDeposed
			}
			e.resign(ctx, t.claim)
			return err
		case <-timer.C:
		}
		var err error
		if t, err = e.renew(ctx, t); errors.Is(err, ErrConflict) || !end.Stop() {
			depose()
			e.log.Warn("leads no more", "claim", t.claim.Name, "err", err)
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				e.log.Error("stop what was led", "claim", t.claim.Name, "err", err)
			}
			return errDeposed
		}
		end.Reset(time.Until(t.ends()))
	}
}

// renew raises the claim's rev, in the time that is left. A write whose answer was lost may have been carried out, now or earlier: then
// the claim is this process's at a later rev, and is renewed from there. Only a write that was answered prolongs the tenure.
//
// A crash after this write leaves the others to wait for leaseTime.
func (e *Engine) renew(ctx context.Context, t tenure) (tenure, error) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.ends())
	defer cancel()
	began := time.Now()
	next, err := e.cfg.Store.Claim(ctx, t.claim)
	if err == nil {
		return tenure{next, began}, nil
	}
	cur, readErr := e.cfg.Store.Claimed(ctx, t.claim.Name)
	switch {
	case readErr != nil:
		err = readErr
	case cur.Holder == e.id:
		t.claim, began = cur, time.Now()
		if next, err = e.cfg.Store.Claim(ctx, cur); err == nil {
			return tenure{next, began}, nil
		}
	}
	return t, fmt.Errorf("renew %s: %w", t.claim.Name, err)
}

// resign lets another process lead at once. If it cannot be written, or a crash comes before it, the others wait for leaseTime.
func (e *Engine) resign(ctx context.Context, held Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBefore)
	defer cancel()
	held.Holder = ""
	_, err := e.cfg.Store.Claim(ctx, held)
	if errors.Is(err, ErrConflict) { // a renewal may have been written although its answer was lost
		var cur Claim
		if cur, err = e.cfg.Store.Claimed(ctx, held.Name); err == nil && cur.Holder == e.id {
			held.Rev = cur.Rev
			_, err = e.cfg.Store.Claim(ctx, held)
		}
	}
	if err != nil && !errors.Is(err, ErrConflict) {
		e.log.Warn("resign", "claim", held.Name, "err", err)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Claimed reads what is known of a name. ErrNotFound: nothing.
func (e *Engine) Claimed(ctx context.Context, name string) (Claim, error) {
	return e.cfg.Store.Claimed(ctx, name)
}

// Claim writes that this process has taken, or done, what the claim's name stands for, if nobody has since it was read. ErrConflict:
// somebody has. A crash after it leaves the claim taken: its Note must tell others how far it went.
func (e *Engine) Claim(ctx context.Context, c Claim) (Claim, error) {
	c.Holder = e.id
	return e.cfg.Store.Claim(ctx, c)
}
