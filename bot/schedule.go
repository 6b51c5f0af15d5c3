package bot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// pulse is how often the schedules look at the clock.
const pulse = 5 * time.Second

// reach is how far back a missed digest is caught up.
const reach = 35 * 24 * time.Hour

// lease is how long a digest that is being made keeps others from making it; remembered is how long it counts as made.
const (
	lease      = 10 * time.Minute
	remembered = 90 * 24 * time.Hour
)

// keepSchedules scans at start and whenever a scan is due, and posts the digest once in each ISO week, catching up after downtime.
func (b *Bot) keepSchedules(ctx context.Context) error {
	d := digests{Bot: b}
	nextScan := b.now()
	var quietUntil time.Time // after a failed digest
	for {
		if now := b.now(); !now.Before(nextScan) {
			d.scan(ctx)
			nextScan = b.cfg.Scan(now)
		}
		if now := b.now(); !now.Before(quietUntil) {
			if err := d.postIfDue(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("digest", "err", err)
				quietUntil = now.Add(d.pause(err))
			}
		}
		timer := time.NewTimer(pulse)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-b.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// lastDue is the latest time at or before now that the schedule names, or zero if it names none within reach.
func lastDue(next func(time.Time) time.Time, now time.Time) time.Time {
	var last time.Time
	for t := next(now.Add(-reach)); !t.IsZero() && !t.After(now); t = next(t) {
		last = t
	}
	return last
}

// digests is the state of keepSchedules' one goroutine.
type digests struct {
	*Bot
	last   rotation.Survey // the latest scan
	posted string          // the week whose digest this process has posted
	unsure int             // posts of the same week whose answer was lost
}

// fresh is how old a scan may be for a digest.
const fresh = 10 * time.Minute

func (d *digests) scan(ctx context.Context) {
	survey, err := d.cfg.Engine.Survey(ctx)
	if err != nil && ctx.Err() == nil {
		d.log.Error("scan", "err", err)
	}
	d.last = survey
}

// maxUnsure bounds how often a digest is posted again when it is not known whether Slack took it.
const maxUnsure = 3

// pause is how long to wait after a failure: longer if the digest may stand there already.
func (d *digests) pause(err error) time.Duration {
	if rotation.ClassOf(err) == rotation.ClassUnknown {
		return lease
	}
	return time.Minute
}

// postIfDue posts the digest of the week in which it was last due, unless it has been posted.
//
// A crash before the message leaves the lease to run out, and the digest is made again; a crash between the message and the claim that
// marks it made posts it a second time.
func (d *digests) postIfDue(ctx context.Context) error {
	due := lastDue(d.cfg.Digest, d.now())
	year, number := due.In(d.cfg.Location).ISOWeek()
	week := fmt.Sprintf("%d-W%02d", year, number)
	if due.IsZero() || d.posted == week {
		return nil
	}
	claim := rotation.Claim{Name: "digest/" + week, Holder: d.holder, Now: d.now(), Until: d.now().Add(lease)}
	mine, err := d.cfg.Engine.Claim(ctx, claim)
	if err != nil || !mine {
		return err
	}
	err = d.post(ctx, week)
	if err != nil && rotation.ClassOf(err) == rotation.ClassUnknown {
		d.unsure++
	}
	if err != nil && d.unsure < maxUnsure {
		return err
	}
	d.posted, d.unsure = week, 0
	claim.Until = d.now().Add(remembered)
	_, claimErr := d.cfg.Engine.Claim(ctx, claim)
	return errors.Join(err, claimErr)
}

func (d *digests) post(ctx context.Context, week string) error {
	if age := d.now().Sub(d.last.At); age < 0 || age > fresh {
		d.scan(ctx)
	}
	running, err := d.cfg.Engine.Running(ctx)
	if err != nil {
		return fmt.Errorf("list running rotations for the digest: %w", err)
	}
	_, err = d.cfg.Outbox.post(ctx, d.cfg.OnCall, digestMessage(d.cfg.Outbox.today(), d.last, running, week))
	return err
}
