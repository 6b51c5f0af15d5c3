package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Survey reads which accounts there are, and scans each of them, or those that a scan which was cut off has not read. It writes the warnings
// that fall due to the owners' progress, each once, and returns the findings.
func (e *Engine) Survey(ctx context.Context) (Survey, error) {
	left, err := e.callRoll(ctx)
	accounts := e.listed()
	earlier := e.resume(ctx, accounts)
	s := Survey{At: earlier.Scan, Left: left, Unlisted: err}
	scan := Scan{
		Accounts: accounts, Policy: e.cfg.Policy, Now: e.now, Logger: e.log,
		Owned: e.cfg.Owners.named,
		Kept:  earlier.taken, Read: func(state AccountState) { earlier.read(ctx, state) },
	}
	var quarantine []UserRef
	var others []User // with an active key, of whom nothing else is found
	s.Accounts = scan.Each(ctx, func(seen Sight) error {
		earlier.sight(ctx, seen)
		if seen.User.Quarantine != "" {
			quarantine = append(quarantine, seen.User.Ref)
			e.people.note(seen.User.Ref.Account, quarantine, false) // before anything of it is accepted
		}
		found, err := e.surveyUser(ctx, seen)
		s.Findings = append(s.Findings, found...)
		if len(found) == 0 && err == nil && seen.Keyed() {
			others = append(others, seen.User)
		}
		return err
	})
	for _, a := range s.Accounts {
		e.people.note(a.ID, quarantine, a.Err == nil && !slices.Contains(a.Unseen, TraitsUnseen))
	}
	strays, unasked, strayed := e.strays(ctx, others)
	s.Findings, s.Unasked = append(s.Findings, strays...), unasked
	running, err := e.Running(ctx)
	if err != nil {
		err = fmt.Errorf("look for stuck rotations: %w", err)
	}
	s = s.WithStuck(running)
	if err := ctx.Err(); err != nil {
		return s, fmt.Errorf("survey: %w", err)
	}
	e.review(ctx)
	err = errors.Join(err, strayed, e.warn(ctx, s))
	if ctx.Err() == nil {
		e.through(ctx, earlier)
	}
	return s, err
}

func (e *Engine) surveyUser(ctx context.Context, seen Sight) ([]Finding, error) {
	u, keys := seen.User, seen.Keys
	switch {
	case seen.Root:
		return e.cfg.Policy.Judge(seen, e.now()), nil
	case len(keys) == 0:
		return nil, nil // nobody has looked at them
	case slices.ContainsFunc(keys, func(k Key) bool { return k.ID == "" }):
		return nil, nil // nobody could act on a key without an id, and the account's state says that they are not seen
	}
	p, err := e.Get(ctx, u.Ref.ID())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("read progress of %s: %w", u.Ref, err)
	}
	found := e.findingsOf(p, seen)
	var owns Ownership
	if len(found) > 0 {
		if owns = e.cfg.Owners.Of(ctx, u, p.Link); owns.Err != nil {
			e.log.Warn("look up an owner", "user", u.Ref.String(), "from", owns.From, "err", owns.Err)
		}
	}
	for i := range found {
		found[i].Beyond = e.approvals.For(u.Ref, e.approvals.traits(u)).Escalate.To
		found[i].Passed = p.passed(found[i].Key.ID)
		found[i].Owner, found[i].Doubt = owns.Owner(), owns.Doubt
	}
	if len(found) > 0 && worksFor(keys) {
		found = append(found, e.unowned(u, owns)...)
	}
	return found, nil
}

// findingsOf names what there is to find about a user's keys, with what is on record of them. Who owns the user is not looked up.
func (e *Engine) findingsOf(p Progress, seen Sight) []Finding {
	u := seen.User
	found := slices.DeleteFunc(e.cfg.Policy.Judge(seen, e.now()), p.expects)
	found = append(found, e.lingering(p, seen)...)
	for i := range found {
		found[i].UserID, found[i].Path = u.ID, u.Path
		e.accept(&found[i], p)
		if r, ok := p.Running(); ok {
			found[i].Running = r.Stage
		}
		if e.cfg.Policy.Unused(found[i].Key, e.now()) != "" {
			found[i].Instead = u.hints(found[i].Key).Instead()
		}
	}
	return found
}

// inQuarantine tells whether the latest scan, or list of the account's users, had a user quarantined. It asks nobody; that nothing is
// known of it says nothing.
func (e *Engine) inQuarantine(u UserRef) bool {
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	return e.people.quarantine[u]
}

// note remembers an account's quarantined users, in place of what was known if they are all.
func (d *directory) note(account string, quarantine []UserRef, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quarantine == nil {
		d.quarantine = map[UserRef]bool{}
	}
	maps.DeleteFunc(d.quarantine, func(u UserRef, _ bool) bool { return all && u.Account == account })
	for _, u := range quarantine {
		if u.Account == account {
			d.quarantine[u] = true
		}
	}
}

// lingering is the old key that the user's running rotation has made inactive: its age counts until it is gone.
func (e *Engine) lingering(p Progress, seen Sight) []Finding {
	r, runs := p.Running()
	policy := e.cfg.Policy.For(seen.User)
	for _, k := range seen.Keys {
		if runs && k.ID == r.Old && k.Status != Active && k.Age(e.now()) >= policy.MaxAge {
			return []Finding{{Breach: TooOld, User: seen.User.Ref, Key: k, Policy: policy}}
		}
	}
	return nil
}

// expects tells whether a finding is only what the user's running rotation has brought about: two active keys, or its old key inactive.
func (p Progress) expects(f Finding) bool {
	r, ok := p.Running()
	return ok && (f.Breach == TwoActive || f.Breach == LeftInactive && f.Key.ID == r.Old)
}
