package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A survey has the owners warned. What it writes is the warning that is owed; whoever shows messages sends it. A warning does not hurry, and
// waits for the working hours of its owner: what hurries, as a leak does, or is of a rotation under way, is none of these.

// warn writes what the survey found into the users' progress: a document for each user with a finding, so that a button can name it,
// and the warning that an owner is owed. A crash between two of its writes leaves some users warned; the next survey warns the others,
// and none twice.
func (e *Engine) warn(ctx context.Context, s Survey) error {
	var errs []error
	for _, f := range s.Findings {
		if f.Breach == RootKey || f.Breach == StuckRotation {
			continue
		}
		if err := e.warnOwner(ctx, f); err != nil {
			errs = append(errs, fmt.Errorf("note finding on %s: %w", f.User, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) warnOwner(ctx context.Context, f Finding) error {
	for {
		p, err := e.Get(ctx, f.User.ID())
		isNew := errors.Is(err, ErrNotFound)
		if isNew {
			p, err = Progress{User: f.User}, nil
		}
		if err != nil {
			return err
		}
		due := p.owe(f, e.now())
		if !due && !isNew {
			return nil
		}
		if due {
			p.Notices[len(p.Notices)-1].From = e.quietUntil(ctx, f.Owner)
		}
		_, err = e.put(ctx, p, isNew)
		if !errors.Is(err, ErrConflict) {
			e.feed.add(f.User.ID())
			return err
		}
	}
}

// owe adds the warning for the highest threshold that the key has reached, unless it has been added before or nobody can act on it. A key
// that is not used has its owner asked whether they need it, with the warning of its age if it has come to that. One that waits still while
// somebody else has become the owner is theirs.
func (p *Progress) owe(f Finding, now time.Time) bool {
	days := 0
	switch f.Breach {
	case TooOld:
		days = wholeDays(f.Policy.MaxAge)
	case SoonTooOld:
		days = wholeDays(f.Policy.WarnAge)
	case Unneeded, Idle:
		if f.Key.Age(now) < f.Policy.WarnAge {
			days = wholeDays(f.Policy.UnusedAge)
		}
	}
	if days == 0 || f.Owner == "" || f.Exempt.Holds(now) || f.Snooze.Holds(now) || f.Running != "" {
		return false
	}
	p.Notices = slices.DeleteFunc(slices.Clone(p.Notices), func(n Notice) bool { return n.Key == f.Key.ID && n.Waits() && n.Owner != f.Owner })
	for i, n := range p.Notices {
		if n.Key == f.Key.ID && n.Days >= days {
			return false
		}
		if n.Key == f.Key.ID && n.Waits() {
			p.Notices[i].Failed = "overtaken by the next warning"
		}
	}
	p.Owed = true
	notice := Notice{Key: f.Key.ID, Days: days, Owner: f.Owner, Created: f.Key.Created, Due: now, Most: wholeDays(f.Policy.MaxAge)}
	if notice.Unused = f.Policy.Unused(f.Key, now); notice.Unused != "" {
		notice.Use, notice.Instead = f.Key.LastUse, f.Instead
	}
	p.Notices = append(p.Notices, notice)
	return true
}

func wholeDays(d time.Duration) int { return int(d / (24 * time.Hour)) }

// quietUntil is when somebody may be written to about what does not hurry; zero: now. Where they work nobody can tell, it goes by the
// schedules' zone: a warning is neither lost nor held for ever.
func (e *Engine) quietUntil(ctx context.Context, m MemberID) time.Time {
	now := e.now()
	if at := atWork(now.In(e.zone(ctx, m))); at.After(now) {
		return at
	}
	return time.Time{}
}

// Waits tells whether a notice is still to be sent.
func (n Notice) Waits() bool { return n.Sent.IsZero() && n.Failed == "" }

// Held tells whether it waits for its owner's working hours.
func (n Notice) Held(now time.Time) bool { return n.Waits() && now.Before(n.From) }

// held lists the notices that wait for their owners' working hours.
func (p Progress) held(now time.Time) []Notice {
	return slices.DeleteFunc(slices.Clone(p.Notices), func(n Notice) bool { return !n.Held(now) })
}

// opens is when the first notice that is held may be sent, if that is before something else falls due.
func (p Progress) opens(now, other time.Time) time.Time {
	for _, n := range p.Notices {
		if n.Held(now) && (other.IsZero() || n.From.Before(other)) {
			other = n.From
		}
	}
	return other
}

// opened tells whether a notice has come to its time since the document was read last.
func (p Progress) opened(read, now time.Time) bool {
	return slices.ContainsFunc(p.Notices, func(n Notice) bool { return n.Held(read) && !n.Held(now) })
}

// acted is when somebody has seen to a key last: began a rotation of it, silenced its warnings, asked for an exemption or named another owner.
// Zero: nobody has.
func (p Progress) acted(key KeyID) time.Time {
	var at time.Time
	for _, r := range p.All() {
		if r.Old == key || r.New == key {
			at = later(at, r.Begun)
		}
	}
	for _, s := range p.Snoozes {
		if s.Key == key {
			at = later(at, s.At)
		}
	}
	for _, x := range p.Exemptions {
		if x.Key == key {
			at = later(at, x.Asked)
		}
	}
	if p.Link != nil {
		at = later(at, p.Link.At)
	}
	return at
}

// What a scan has found is believed for a while. A warning that is sent later is looked at again first, for as long as it may be late.
const (
	foundFor = 10 * time.Minute
	lateFor  = time.Hour
)

// ErrNotTold is of a notice of which it cannot be told now whether it is still so.
var ErrNotTold = errors.New("it could not be looked at again whether a warning is still so")

// Stands tells whether a notice is still so: not if the key is accepted, snoozed, replaced or another's, or a rotation has begun. What
// cannot be read is asked again, for a while: then the owner is told what the scan had found.
func (e *Engine) Stands(ctx context.Context, p Progress, n Notice) (bool, error) {
	now := e.now()
	_, runs := p.Running()
	switch {
	case runs || p.acted(n.Key).After(n.Due) || e.cfg.Exemptions[p.User].Holds(now) || p.Link != nil && p.Link.Owner != n.Owner:
		return false, nil
	case now.Sub(n.Due) < foundFor:
		return true, nil
	}
	h, err := e.HoldingOf(ctx, p.User)
	if refusal, ok := errors.AsType[*Refusal](err); ok && (refusal.Code == UserGone || refusal.Code == NoAccount) {
		return false, nil
	}
	if err = errors.Join(err, h.Err, h.Ownership.Err); err != nil {
		if now.Before(later(n.Due, n.From).Add(lateFor)) {
			return false, fmt.Errorf("look at %s again: %w: %w", p.User, ErrNotTold, err)
		}
		return true, nil
	}
	key, there := Evidence{Keys: h.Keys}.Key(n.Key)
	return there && key.Status == Active && h.Ownership.Owner() == n.Owner, nil
}
