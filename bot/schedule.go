package bot

import (
	"context"
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
	nextScan := b.now()
	var quietUntil time.Time // after a failed digest
	for {
		if now := b.now(); !now.Before(nextScan) {
			if _, err := b.cfg.Engine.Survey(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("scan", "err", err)
			}
			nextScan = b.cfg.Scan(now)
		}
		if now := b.now(); !now.Before(quietUntil) {
			if err := b.digestIfDue(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("digest", "err", err)
				quietUntil = now.Add(time.Minute)
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

// digestIfDue posts the digest of the week in which it was last due, unless it has been posted.
//
// A crash before the message leaves the lease to run out, and the digest is made again; a crash between the message and the claim that
// marks it made posts it a second time.
func (b *Bot) digestIfDue(ctx context.Context) error {
	due := lastDue(b.cfg.Digest, b.now())
	if due.IsZero() {
		return nil
	}
	year, number := due.In(b.cfg.Location).ISOWeek()
	week := fmt.Sprintf("%d-W%02d", year, number)
	claim := rotation.Claim{Name: "digest/" + week, Holder: b.holder, Now: b.now(), Until: b.now().Add(lease)}
	if b.posted == week {
		return nil
	}
	mine, err := b.cfg.Engine.Claim(ctx, claim)
	if err != nil || !mine {
		return err
	}
	if err := b.postDigest(ctx, week); err != nil {
		return err
	}
	b.posted = week
	claim.Holder, claim.Until = b.holder, b.now().Add(remembered)
	_, err = b.cfg.Engine.Claim(ctx, claim)
	return err
}

func (b *Bot) postDigest(ctx context.Context, week string) error {
	survey, err := b.cfg.Engine.Survey(ctx)
	if err != nil {
		b.log.Error("survey for the digest", "err", err)
	}
	running, err := b.cfg.Engine.Running(ctx)
	if err != nil {
		return fmt.Errorf("list running rotations for the digest: %w", err)
	}
	_, err = b.cfg.Outbox.post(ctx, b.cfg.OnCall, digestMessage(b.cfg.Outbox.today(), survey, running, week))
	return err
}
