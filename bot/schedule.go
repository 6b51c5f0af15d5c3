package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// pulse is how often the schedules look at the clock.
const pulse = 5 * time.Second

// scanAgain is how long after its end a scan is made again that could not read or write everything.
const scanAgain = 10 * time.Minute

// reach is how far back a missed digest is caught up.
const reach = 35 * 24 * time.Hour

// keepSchedules scans at start and whenever a scan is due, and posts the digest once in each ISO week, catching up after downtime.
func (b *Bot) keepSchedules(ctx context.Context) error {
	d := digests{Bot: b}
	nextScan := b.now()
	var quietUntil, answersAt time.Time // after a failed digest, and a failed look at who asks for one
	for {
		if now := b.now(); !now.Before(nextScan) {
			whole := d.scan(ctx)
			nextScan = b.cfg.Scan(now)
			if soon := b.now().Add(scanAgain); !whole && soon.Before(nextScan) {
				nextScan = soon
			}
		}
		if now := b.now(); !now.Before(quietUntil) {
			if err := d.postIfDue(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("digest", "err", err)
				quietUntil = now.Add(d.pause(err))
			}
		}
		if d.posted != "" {
			d.spread(ctx)
		}
		if now := b.now(); !now.Before(answersAt) {
			if err := d.answer(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("today's digest", "err", err)
				answersAt = now.Add(answerPause)
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
	read   time.Time       // when that ended
	posted string          // the week whose digest is known to be posted
	copies copies
	sent   sentDigest
}

// overruledFor is how long a digest tells of evidence that was overruled: longer than from one digest to the next, so that none is left out.
const overruledFor = 8 * 24 * time.Hour

// fresh is how long ago a scan may have ended for a digest.
const fresh = 10 * time.Minute

// stale tells whether the accounts are to be read anew before a digest tells of them. It goes by the end of the latest scan: one of many accounts
// takes longer than that itself.
func (d *digests) stale() bool {
	age := d.now().Sub(d.read)
	return d.read.IsZero() || age < 0 || age > fresh
}

// scan reads every account, and tells whether all could be read and everything be written.
func (d *digests) scan(ctx context.Context) bool {
	survey, err := d.cfg.Engine.Survey(ctx)
	if err != nil && ctx.Err() == nil {
		d.log.Error("scan", "err", err)
	}
	d.last, d.read = survey, d.now()
	if ctx.Err() == nil {
		if err := d.keepFound(ctx); err != nil {
			d.log.Error("scan", "err", err)
		}
	}
	return err == nil && survey.Unlisted == nil && len(survey.Unread()) == 0
}

// maxUnsure bounds how often a digest is posted when nobody can tell whether Slack took it.
const maxUnsure = 3

// pause is how long to wait after a failure.
func (d *digests) pause(err error) time.Duration {
	if open, ok := errors.AsType[*unsettled](err); ok {
		return open.wait
	}
	return time.Minute
}

// postIfDue posts the digest of the week in which it was last due, unless it has been posted. The claim of that week remembers it, for
// every process that shares the store.
func (d *digests) postIfDue(ctx context.Context) error {
	due := lastDue(d.cfg.Digest, d.now())
	week := isoWeek(due, d.cfg.Location)
	if due.IsZero() || d.posted == week {
		return nil
	}
	claim, err := d.cfg.Engine.Claimed(ctx, "digest/"+week)
	if errors.Is(err, rotation.ErrNotFound) {
		claim, err = rotation.Claim{Name: "digest/" + week}, nil
	}
	if err != nil {
		return fmt.Errorf("read whether the digest of %s is posted: %w", week, err)
	}
	mark, open := parseSending(claim.Note)
	if claim.Note == "" || open {
		err = d.post(ctx, week, claim, mark)
	}
	if err == nil {
		d.posted = week
	}
	return err
}

// post sends the digest once, as send does with a card: a mark is written before the call, and a crash or a lost answer after that leaves
// a mark whose message is looked for before another is posted.
func (d *digests) post(ctx context.Context, week string, claim rotation.Claim, mark rotation.Post) error {
	if mark.Nonce != "" {
		wait := settleWait(d.cfg.OnCall, mark)
		if left := mark.At.Add(wait).Sub(d.now()); left > 0 {
			return &unsettled{min(left, wait)}
		}
		found, sure, err := d.cfg.Outbox.find(ctx, d.cfg.OnCall, mark)
		switch {
		case err != nil:
			return err
		case found.Known():
			return d.remember(ctx, claim, "sent "+found.TS)
		case !sure && mark.Tries >= maxUnsure:
			return d.remember(ctx, claim, "given up")
		}
	}
	if d.stale() || d.last.Unlisted != nil || len(d.last.Unread()) > 0 {
		d.scan(ctx)
	}
	running, err := d.beside(ctx)
	if err != nil {
		return err
	}
	if err := d.noteWeek(ctx, weekOf(week, d.last)); err != nil {
		return err
	}
	weeks, err := d.trend(ctx)
	if err != nil {
		return err
	}
	m := digestMessage(d.cfg.Outbox.today(), d.last, running, weeks)
	mark = rotation.Post{Nonce: rand.Text(), At: d.now(), Tries: mark.Tries + 1}
	claim.Note = sending(mark)
	if claim, err = d.cfg.Engine.Claim(ctx, claim); err != nil {
		return fmt.Errorf("claim the digest of %s: %w", week, err)
	}
	post, err := d.cfg.Outbox.post(ctx, d.cfg.OnCall, m, mark.Nonce)
	switch {
	case err == nil:
		d.sent = sentDigest{post, m}
		return d.remember(ctx, claim, "sent "+post.TS)
	case rotation.ClassOf(err) == rotation.ClassUnknown:
		return errors.Join(&unsettled{settleTime}, err)
	}
	return errors.Join(err, d.remember(ctx, claim, "")) // certainly not sent
}

// remember writes how far the digest is, even while the process stops.
func (d *digests) remember(ctx context.Context, claim rotation.Claim, note string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	claim.Note = note
	if _, err := d.cfg.Engine.Claim(ctx, claim); err != nil {
		return fmt.Errorf("remember of %s that it is %q: %w", claim.Name, note, err)
	}
	return nil
}

// sending is the note of a digest that is being sent: its nonce, since when, and for which time.
func sending(m rotation.Post) string {
	return fmt.Sprintf("sending %s %s %d", m.Nonce, m.At.UTC().Format(time.RFC3339Nano), m.Tries)
}

// parseSending reads what sending wrote.
func parseSending(note string) (rotation.Post, bool) {
	var m rotation.Post
	var at string
	if n, err := fmt.Sscanf(note, "sending %s %s %d", &m.Nonce, &at, &m.Tries); n != 3 || err != nil {
		return rotation.Post{}, false
	}
	var err error
	m.At, err = time.Parse(time.RFC3339Nano, at)
	return m, err == nil
}
