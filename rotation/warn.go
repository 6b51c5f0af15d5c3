package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A survey has the owners warned. What it writes is the notice that is owed; whoever shows messages sends it. A notice does not hurry, and
// waits for the working hours of its owner: what hurries, as a leak does, or is of a rotation under way, is none of these.
//
// An owner is warned once for each threshold. Of a key that is too old they are warned once more, and told when and to whom it is passed on. If
// they are silent again, others are told, once. Silent is who begins no rotation, asks for no exemption, does not snooze, and stays the owner.

// NoticeKind is what a notice tells.
type NoticeKind string

// The kinds of notices.
const (
	FirstWarning NoticeKind = ""          // the key has reached a threshold
	LastWarning  NoticeKind = "last"      // it is too old, and nobody has acted on a warning before
	PassedOn     NoticeKind = "passed-on" // others are told that nobody has acted on the last one either
	OwnerTold    NoticeKind = "told"      // the owner is told of that
)

// When an owner does not answer: the last warning comes a week after the one before it, if the key has not become too old sooner, and others
// are told after some working days of the owner's, never sooner than two by the clock.
const (
	silentFor   = 7 * 24 * time.Hour
	lastCallFor = 3 * oneDay
	soonestCall = 2 * oneDay
	early       = 12 * time.Hour // a scan writes what comes in the time until the next one
)

// owe adds what is due about a finding: the warning for the highest threshold that the key has reached, unless it has been added before; the
// last warning, or that others are told, if nobody has acted. Nothing is due about what nobody can act on. A key that is not used has its owner
// asked whether they need it, with the warning of its age if it has come to that. A warning that waits still while somebody else has become the
// owner is theirs. It returns how many notices it has added.
func (p *Progress) owe(f Finding, now time.Time) int {
	days := f.threshold(now)
	if days == 0 || f.Owner == "" || f.Exempt.Holds(now) || f.Snooze.Holds(now) || f.Running != "" {
		return 0
	}
	p.Notices = slices.DeleteFunc(slices.Clone(p.Notices), func(n Notice) bool { return n.Key == f.Key.ID && n.Waits() && n.Owner != f.Owner })
	notice := Notice{Key: f.Key.ID, Days: days, Owner: f.Owner, Created: f.Key.Created, Due: now, Most: wholeDays(f.Policy.MaxAge)}
	if notice.Unused = f.Policy.Unused(f.Key, now); notice.Unused != "" {
		notice.Use, notice.Instead = f.Key.LastUse, f.Instead
	}
	var add []NoticeKind
	s := p.silence(f)
	if slices.ContainsFunc(p.Notices, func(n Notice) bool { return n.Key == f.Key.ID && n.Days >= days }) {
		if f.Breach != TooOld {
			return 0
		}
		add, notice.Days = s.next(now), wholeDays(f.Key.Age(now))
	} else {
		for i, n := range p.Notices {
			if n.Key == f.Key.ID && n.Waits() {
				p.Notices[i].Failed = overtaken
			}
		}
		if add = []NoticeKind{FirstWarning}; f.Breach == TooOld && s.warnings > 0 {
			add[0] = LastWarning
		}
	}
	for _, kind := range add {
		n := notice
		n.Kind = kind
		if kind != FirstWarning {
			n.To, n.On = f.Beyond.mentioned(), s.last.On
		}
		p.Notices, p.Owed = append(p.Notices, n), true
	}
	return len(add)
}

const overtaken = "overtaken by the next warning"

// threshold is the age that a finding's key has reached at which its owner is warned, in days; 0: they are not.
func (f Finding) threshold(now time.Time) int {
	switch f.Breach {
	case TooOld:
		return wholeDays(f.Policy.MaxAge)
	case SoonTooOld:
		return wholeDays(f.Policy.WarnAge)
	case Unneeded, Idle:
		if f.Key.Age(now) < f.Policy.WarnAge {
			return wholeDays(f.Policy.UnusedAge)
		}
	}
	return 0
}

// silence is what has been told to the owner of a key since somebody has last seen to it.
type silence struct {
	warnings int
	last     Notice    // the last warning, if it has come to that
	since    time.Time // of the latest one, or the end of what was done about the key
	ends     bool      // nothing is due: a notice waits, an exemption is asked for, or it has been passed on
}

// silence finds out whether the owner has answered. Who cannot be reached has not.
func (p Progress) silence(f Finding) silence {
	began, over := p.seenTo(f.Key.ID)
	_, asked := p.askedFor(f.Key.ID)
	s := silence{since: over, ends: asked}
	for _, n := range p.Notices {
		told := n.told()
		switch {
		case n.Key != f.Key.ID:
		case n.Waits():
			s.ends = true
		case told.IsZero():
		case n.Kind == PassedOn: // somebody else who is the owner by now has not been warned
			s.ends = s.ends || n.Owner == f.Owner && told.After(began)
		case n.Kind != OwnerTold:
			s.since = later(s.since, told)
			if n.Owner != f.Owner || !told.After(began) {
				break
			}
			if s.warnings++; n.Kind == LastWarning {
				s.last = n
			}
		}
	}
	return s
}

// told is when a notice was sent, or could not be; zero: it waits, or another one has taken its place.
func (n Notice) told() time.Time {
	if n.Failed != "" && n.Failed != overtaken {
		return n.Due
	}
	return n.Sent
}

// next is what follows the silence about a key that is too old.
func (s silence) next(now time.Time) []NoticeKind {
	last := s.last.told()
	switch {
	case s.ends:
	case !last.IsZero():
		if !now.Before(later(s.last.On, last.Add(soonestCall)).Add(-early)) {
			return []NoticeKind{PassedOn, OwnerTold}
		}
	case now.Sub(s.since) < silentFor-early:
	case s.warnings > 0:
		return []NoticeKind{LastWarning}
	default: // somebody has acted, and that is over
		return []NoticeKind{FirstWarning}
	}
	return nil
}

// passed is when others were told that nobody acts about a key; zero: they were not, or somebody has acted since.
func (p Progress) passed(key KeyID) time.Time {
	var at time.Time
	began, _ := p.seenTo(key)
	for _, n := range p.Notices {
		if n.Key == key && n.Kind == PassedOn && n.Sent.After(began) {
			at = n.Sent
		}
	}
	return at
}

// maxTo bounds how many of those who are told are kept.
const maxTo = 5

// mentioned lists the members and groups of a circle as they are mentioned.
func (c Circle) mentioned() []MemberID {
	var all []MemberID
	for _, g := range c.Groups {
		all = append(all, MemberID(g))
	}
	all = append(all, c.Members...)
	return slices.Clip(all[:min(len(all), maxTo)])
}

func wholeDays(d time.Duration) int { return int(d / (24 * time.Hour)) }

// Waits tells whether a notice is still to be sent.
func (n Notice) Waits() bool { return n.Sent.IsZero() && n.Failed == "" }

// Held tells whether it waits for its owner's working hours. One that another document tells comes to its own time only if that should have
// told it by then.
func (n Notice) Held(now time.Time) bool { return n.Waits() && now.Before(n.opens()) }

func (n Notice) opens() time.Time {
	if n.In != "" && len(n.Among) == 0 {
		return later(n.From, n.Due).Add(foundFor)
	}
	return n.From
}

// held lists the notices that wait for working hours, and not only for another document to tell them.
func (p Progress) held(now time.Time) []Notice {
	return slices.DeleteFunc(slices.Clone(p.Notices), func(n Notice) bool { return !n.Waits() || !now.Before(n.From) })
}

// opens is when the first notice that is held may be sent, if that is before something else falls due.
func (p Progress) opens(now, other time.Time) time.Time {
	for _, n := range p.Notices {
		if at := n.opens(); n.Held(now) && (other.IsZero() || at.Before(other)) {
			other = at
		}
	}
	return other
}

// opened tells whether a notice has come to its time since the document was read last.
func (p Progress) opened(read, now time.Time) bool {
	return slices.ContainsFunc(p.Notices, func(n Notice) bool { return n.Held(read) && !n.Held(now) })
}

// seenTo is when somebody has seen to a key last, and when that was over: began a rotation of it, silenced its warnings, asked for an exemption
// or named another owner. Zero: nobody has.
func (p Progress) seenTo(key KeyID) (began, over time.Time) {
	act := func(from, until time.Time) { began, over = later(began, from), later(over, later(from, until)) }
	for _, r := range p.All() {
		if r.Old == key || r.New == key {
			act(r.Begun, r.Since)
		}
	}
	for _, s := range p.Snoozes {
		if s.Key == key {
			act(s.At, s.Ended)
		}
	}
	for _, x := range p.Exemptions {
		if x.Key == key {
			act(x.Asked, x.Since)
		}
	}
	if p.Link != nil {
		act(p.Link.At, p.Link.At)
	}
	return began, over
}

// What a scan has found is believed for a while. A warning that is sent later is looked at again first, for as long as it may be late.
const (
	foundFor = 10 * time.Minute
	lateFor  = time.Hour
)

// PutsOff is until when a notice is put off that could not be sent in its time, such as while no process ran: until those who are told are at
// work again. Zero: it is not.
func (e *Engine) PutsOff(ctx context.Context, n Notice) time.Time {
	now, to := e.now(), n.Owner
	if now.Before(later(n.Due, n.From).Add(lateFor)) {
		return time.Time{}
	}
	if n.Kind == PassedOn {
		to = ""
	}
	if at := atWork(now.In(e.zone(ctx, to))); at.After(now) {
		return at
	}
	return time.Time{}
}

// PutOff has a notice, and those that are told with it, wait until a time at which those who are told are at work. Of a last warning they have as
// long as ever to act.
func (p *Progress) PutOff(n Notice, until time.Time) {
	p.Notices = slices.Clone(p.Notices)
	for i, m := range p.Notices {
		if !m.with(n) {
			continue
		}
		if m.From = until; m.Kind == LastWarning {
			m.On = afterWork(until, lastCallFor)
		}
		p.Notices[i] = m
	}
}

// ErrNotTold is of a notice of which it cannot be told now whether it is still so.
var ErrNotTold = errors.New("it could not be looked at again whether a warning is still so")

// Stands tells whether a notice is still so: not if the key is accepted, snoozed, replaced or another's, or a rotation has begun. What
// cannot be read is asked again, for a while: then the owner is told what the scan had found.
func (e *Engine) Stands(ctx context.Context, p Progress, n Notice) (bool, error) {
	now := e.now()
	_, runs := p.Running()
	began, _ := p.seenTo(n.Key)
	_, snoozed := p.SnoozeOf(n.Key, now)
	_, accepted := p.ExemptionOf(n.Key, now)
	switch {
	case runs || snoozed || accepted || began.After(n.Due) || e.cfg.Exemptions[p.User].Holds(now) || p.Link != nil && p.Link.Owner != n.Owner:
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
