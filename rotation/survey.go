package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Survey scans every account, or those that a scan which was cut off has not read. It writes the warnings that fall due to the owners'
// progress, each once, and returns the findings.
func (e *Engine) Survey(ctx context.Context) (Survey, error) {
	earlier := e.resume(ctx, e.cfg.Accounts)
	s := Survey{At: earlier.Scan}
	scan := Scan{
		Accounts: e.cfg.Accounts, Policy: e.cfg.Policy, Now: e.now, Logger: e.log,
		Kept: earlier.taken, Read: func(state AccountState) { earlier.read(ctx, state) },
	}
	var quarantine []UserRef
	s.Accounts = scan.Each(ctx, func(seen Sight) error {
		earlier.sight(ctx, seen)
		if seen.User.Quarantine != "" {
			quarantine = append(quarantine, seen.User.Ref)
			e.people.note(seen.User.Ref.Account, quarantine, false) // before anything of it is accepted
		}
		found, err := e.surveyUser(ctx, seen)
		s.Findings = append(s.Findings, found...)
		return err
	})
	for _, a := range s.Accounts {
		e.people.note(a.ID, quarantine, a.Err == nil && !slices.Contains(a.Unseen, TraitsUnseen))
	}
	sortFindings(s.Findings)
	if err := ctx.Err(); err != nil {
		return s, fmt.Errorf("survey: %w", err)
	}
	e.review(ctx)
	err := e.warn(ctx, s)
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
	case slices.ContainsFunc(keys, func(k Key) bool { return k.ID == "" }):
		return nil, nil // nobody could act on a key without an id, and the account's state says that they are not seen
	}
	p, err := e.Get(ctx, u.Ref.ID())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("read progress of %s: %w", u.Ref, err)
	}
	found := slices.DeleteFunc(e.cfg.Policy.Judge(seen, e.now()), p.expects)
	found = append(found, e.lingering(p, seen)...)
	var owns Ownership
	if len(found) > 0 {
		if owns = e.cfg.Owners.Of(ctx, u, p.Link); owns.Err != nil {
			e.log.Warn("look up an owner", "user", u.Ref.String(), "from", owns.From, "err", owns.Err)
		}
	}
	for i := range found {
		found[i].UserID, found[i].Path = u.ID, u.Path
		found[i].Owner, found[i].Doubt = owns.Owner(), owns.Doubt
		e.accept(&found[i], p)
		if r, ok := p.Running(); ok {
			found[i].Running = r.Stage
		}
		if e.cfg.Policy.Unused(found[i].Key, e.now()) != "" {
			found[i].Instead = u.hints(found[i].Key).Instead()
		}
	}
	return found, nil
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

// warn writes what the survey found into the users' progress: a document for each user with a finding, so that a button can name it,
// and the warning that an owner is owed. A crash between two of its writes leaves some users warned; the next survey warns the others,
// and none twice.
func (e *Engine) warn(ctx context.Context, s Survey) error {
	var errs []error
	for _, f := range s.Findings {
		if f.Breach == RootKey {
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
		_, err = e.put(ctx, p, isNew)
		if !errors.Is(err, ErrConflict) {
			e.feed.add(f.User.ID())
			return err
		}
	}
}

// owe adds the warning for the highest threshold that the key has reached, unless it has been added before or nobody can act on it. A key
// that is not used has its owner asked whether they need it, with the warning of its age if it has come to that.
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
	for i, n := range p.Notices {
		if n.Key == f.Key.ID && n.Days >= days {
			return false
		}
		if n.Key == f.Key.ID && n.Sent.IsZero() && n.Failed == "" {
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
