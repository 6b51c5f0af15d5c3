package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Snooze is a short exemption by its owner: it silences their warnings about one key, and nothing else. The digest tells of it.
type Snooze struct {
	ID    string
	Key   KeyID
	Owner MemberID // or the group that owns the user
	By    MemberID
	At    time.Time
	Until time.Time
	Ended time.Time // zero: it has not
	Gone  bool      // it has ended because of what became of the key
	Once  string    // names the asking
}

// Holds tells whether the snooze is in force.
func (s Snooze) Holds(now time.Time) bool { return s.Ended.IsZero() && now.Before(s.Until) }

// How long and how often an owner may silence the warnings about a key.
const (
	MaxSnooze  = 14 * 24 * time.Hour
	maxSnoozes = 2
)

// SnoozeOf is the snooze in force of a key of the user, if there is one.
func (p Progress) SnoozeOf(key KeyID, now time.Time) (Snooze, bool) {
	for _, s := range p.Snoozes {
		if s.Key == key && s.Holds(now) {
			return s, true
		}
	}
	return Snooze{}, false
}

// endSnoozes ends those whose time is over.
func (p *Progress) endSnoozes(now time.Time) bool {
	changed := false
	for i, s := range p.Snoozes {
		if !s.Ended.IsZero() || now.Before(s.Until) {
			continue
		}
		if s.Ended = now; !changed {
			p.Snoozes = slices.Clone(p.Snoozes)
		}
		p.Snoozes[i], changed = s, true
		p.log(Entry{At: now, Actor: TheClock.String(), Action: "end-snooze", Outcome: "moved", User: p.User.String(), Key: s.Key})
	}
	return changed
}

// dropSnoozes ends the snooze of a key that is leaked, and forgets those of one that is gone.
func (p *Progress) dropSnoozes(key KeyID, why ExemptionStage, at time.Time) {
	p.Snoozes = slices.Clone(p.Snoozes)
	for i := range p.Snoozes {
		if s := &p.Snoozes[i]; s.Key == key && s.Ended.IsZero() {
			s.Ended, s.Gone, p.Owed = at, true, true
			p.log(Entry{At: at, Actor: TheEngine.String(), Action: "end-snooze", Outcome: "moved", User: p.User.String(), Key: key, Detail: string(why)})
		}
	}
	if why == ExemptGone {
		p.Snoozes = slices.DeleteFunc(p.Snoozes, func(s Snooze) bool { return s.Key == key })
	}
}

// Snooze silences the warnings to the owner about a key for some days. The owner alone may, twice for each key.
//
// A crash before its write leaves nothing; one after it, the snooze, which the same asking, done again, finds.
func (e *Engine) Snooze(ctx context.Context, u UserRef, key KeyID, days int, by Actor, once string) (Snooze, error) {
	s, err := e.snooze(ctx, u, Snooze{Key: key, By: by.Member, Once: once}, days)
	if err != nil {
		return s, e.refused(ctx, u, "", Entry{Actor: by.String(), Action: "snooze", Key: key}, err)
	}
	e.feed.add(u.ID())
	e.Wake()
	return s, nil
}

func (e *Engine) snooze(ctx context.Context, u UserRef, s Snooze, days int) (Snooze, error) {
	about, err := e.subject(ctx, u)
	if err != nil {
		return s, err
	}
	s.Owner = about.owns.Owner()
	owns, err := e.owns(ctx, s.Owner, s.By)
	switch {
	case about.owns.Unknown():
		return s, &Refusal{Code: OwnerUnknown, User: u, Err: about.owns.Err}
	case err != nil:
		return s, &Refusal{Code: OwnerUnknown, User: u, Err: err}
	case !owns:
		return s, &Refusal{Code: NotOwner, User: u, By: s.Owner}
	}
	if _, err = e.acceptable(ctx, about.user, s.Key); err != nil {
		return s, err
	}
	for {
		p, fresh, err := e.progressOf(ctx, about.user)
		if err != nil {
			return s, err
		}
		if earlier := slices.IndexFunc(p.Snoozes, func(x Snooze) bool { return s.Once != "" && x.Once == s.Once }); earlier >= 0 {
			return p.Snoozes[earlier], nil
		}
		if err := p.snoozable(s.Key, e.now()); err != nil {
			return s, err
		}
		s.ID, s.At = p.grantID("s"), e.now()
		s.Until = s.At.Add(min(max(time.Duration(days), 1)*24*time.Hour, MaxSnooze))
		p.Snoozes = append(slices.Clip(p.Snoozes), s)
		if extra := len(p.Snoozes) - keepSnoozes; extra > 0 {
			p.Snoozes = slices.Clone(p.Snoozes[extra:])
		}
		p.Owed = true
		p.log(Entry{
			At: s.At, Actor: string(s.By), Action: "snooze", Outcome: "moved", User: p.User.String(), Key: s.Key, Detail: "until " + s.Until.UTC().Format(time.RFC3339),
		})
		if _, err := e.put(ctx, p, fresh); !errors.Is(err, ErrConflict) {
			return s, err
		}
	}
}

// snoozable refuses what a key has had enough of.
func (p Progress) snoozable(key KeyID, now time.Time) error {
	if s, holds := p.SnoozeOf(key, now); holds {
		return &Refusal{Code: SnoozedNow, User: p.User, Key: key, Again: s.Until}
	}
	if r, runs := p.Running(); runs && r.Kind == Leak && r.Old == key {
		return &Refusal{Code: NeverAccepted, User: p.User, Key: key}
	}
	had := 0
	for _, s := range p.Snoozes {
		if s.Key == key {
			had++
		}
	}
	if had >= maxSnoozes {
		return &Refusal{Code: SnoozedOften, User: p.User, Key: key}
	}
	return nil
}

// owns tells whether a member is an owner, or of the group that is.
func (e *Engine) owns(ctx context.Context, owner, m MemberID) (bool, error) {
	if owner.IsGroup() {
		return e.inGroup(ctx, GroupID(owner), m)
	}
	return owner != "" && m == owner, nil
}

// acceptable reads a key of a user about which something may be accepted: one that AWS lists, of a user who is not quarantined.
func (e *Engine) acceptable(ctx context.Context, u UserRef, key KeyID) (Evidence, error) {
	if e.inQuarantine(u) {
		return Evidence{}, &Refusal{Code: NeverAccepted, User: u, Key: key}
	}
	seen, err := e.look(ctx, u)
	if err != nil {
		return seen, unreachable(u, err)
	}
	if _, there := seen.Key(key); !there {
		return seen, &Refusal{Code: NotThatKey, User: u, Key: key}
	}
	return seen, nil
}

// progressOf reads the progress of a user, or begins one.
func (e *Engine) progressOf(ctx context.Context, u UserRef) (p Progress, fresh bool, err error) {
	p, err = e.Get(ctx, u.ID())
	switch {
	case errors.Is(err, ErrNotFound):
		return Progress{User: u}, true, nil
	case err != nil:
		return p, false, fmt.Errorf("read progress of %s: %w", u, err)
	}
	return p, false, nil
}
