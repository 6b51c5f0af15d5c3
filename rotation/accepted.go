package rotation

import (
	"context"
	"errors"
	"slices"
	"time"
)

// What is accepted of single keys, as the rest of Keyturner sees it, and how it ends by itself.

// ExemptionsOf finds what was asked for and accepted of a key, on record, and is not over.
func (e *Engine) ExemptionsOf(ctx context.Context, key KeyID) ([]KeyExemption, error) {
	var found []KeyExemption
	err := e.Each(ctx, func(p Progress) error {
		for _, x := range p.Exemptions {
			if x.Key == key && !x.Stage.Ended() {
				found = append(found, x)
			}
		}
		return nil
	})
	return found, err
}

// errNothingDue ends a change that has nothing to write.
var errNothingDue = errors.New("nothing is due")

// tend lets the clock go on with a user's exemptions and snoozes. A crash before its write leaves it to the next round.
func (e *Engine) tend(ctx context.Context, id string) {
	_, err := e.update(ctx, id, func(p *Progress) error {
		if !p.tend(e.now()) {
			return errNothingDue
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNothingDue) && ctx.Err() == nil {
		e.log.Error("end what was accepted for a time", "id", id, "err", err)
	}
}

// review ends what is accepted of keys that AWS does not list any more. What cannot be read ends nothing, and the next scan looks again.
func (e *Engine) review(ctx context.Context) {
	listed := map[string]Account{} // not those that have left
	for _, a := range e.listed() {
		listed[a.ID] = a
	}
	err := e.Live(ctx, func(p Progress) error {
		if account, known := listed[p.User.Account]; known && !p.tends().IsZero() {
			if err := e.reviewUser(ctx, account, p); err != nil {
				e.log.Warn("look whether a key is still there of which something is accepted", "user", p.User.String(), "err", err)
			}
		}
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		e.log.Error("look for what is accepted", "err", err)
	}
}

func (e *Engine) reviewUser(ctx context.Context, account Account, p Progress) error {
	keys, err := account.IAM.Keys(ctx, p.User.Name)
	if err != nil && ClassOf(err) != ClassGone {
		return err
	}
	gone := slices.DeleteFunc(p.accepts(), func(id KeyID) bool {
		return slices.ContainsFunc(keys, func(k Key) bool { return k.ID == id })
	})
	if len(gone) == 0 {
		return nil
	}
	_, err = e.update(ctx, p.User.ID(), func(p *Progress) error {
		for _, key := range gone {
			p.leaves(key, ExemptGone, e.now())
		}
		return nil
	})
	return err
}

// accepts lists the keys of which something is accepted, or asked to be.
func (p Progress) accepts() []KeyID {
	var keys []KeyID
	for _, x := range p.Exemptions {
		if !x.Stage.Ended() {
			keys = append(keys, x.Key)
		}
	}
	for _, s := range p.Snoozes {
		if s.Ended.IsZero() {
			keys = append(keys, s.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Accepted lists what of a user's keys is accepted for a time, or asked to be.
func (p Progress) Accepted(now time.Time) (exemptions []KeyExemption, snoozes []Snooze) {
	for _, x := range p.Exemptions {
		if x.Stage == ExemptAsked || x.Holds(now) {
			exemptions = append(exemptions, x)
		}
	}
	for _, s := range p.Snoozes {
		if s.Holds(now) {
			snoozes = append(snoozes, s)
		}
	}
	return exemptions, snoozes
}

// accept notes on a finding that it is accepted for a time. What is exposed nobody accepts, and what is about all of a user's keys only the
// configuration does, whose exemptions are of users.
func (e *Engine) accept(f *Finding, p Progress) {
	now := e.now()
	if f.Breach == Quarantined {
		return
	}
	if x := e.cfg.Exemptions[f.User]; x.Holds(now) {
		f.Exempt = x
	}
	if e.inQuarantine(f.User) || !f.Breach.ofKey() {
		return
	}
	if x, holds := p.ExemptionOf(f.Key.ID, now); holds && f.Exempt.Reason == "" {
		f.Exempt = x.Exemption()
	}
	f.Snooze, _ = p.SnoozeOf(f.Key.ID, now)
}

// ofKey tells whether a breach is of the key that its finding names, and not of the user.
func (b Breach) ofKey() bool {
	return b != TwoActive && b != ExtraKeys && b != RootKey && b != StuckRotation && b != Unowned
}

// Past is what of a user's keys was accepted for a time and is over.
type Past struct {
	User       UserRef
	Exemptions []KeyExemption
	Snoozes    []Snooze
}

// PastAccepted lists what was accepted of all users' keys and is over, as far as it is kept.
func (e *Engine) PastAccepted(ctx context.Context) ([]Past, error) {
	var all []Past
	err := e.Each(ctx, func(p Progress) error {
		past := Past{User: p.User}
		for _, x := range p.Exemptions {
			if x.Stage.Ended() {
				past.Exemptions = append(past.Exemptions, x)
			}
		}
		for _, s := range p.Snoozes {
			if !s.Ended.IsZero() {
				past.Snoozes = append(past.Snoozes, s)
			}
		}
		if len(past.Exemptions)+len(past.Snoozes) > 0 {
			all = append(all, past)
		}
		return nil
	})
	return all, err
}
