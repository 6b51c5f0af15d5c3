package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Survey scans every account: the credential report and the list of users shortlist, and only the shortlisted users are asked for
// their keys. It writes the warnings that fall due to the owners' progress, each once, and returns the findings.
func (e *Engine) Survey(ctx context.Context) (Survey, error) {
	s := Survey{At: e.now()}
	for _, a := range e.cfg.Accounts {
		state := AccountState{ID: a.ID, Name: a.Name}
		found, users, err := e.surveyAccount(ctx, a)
		state.Users, state.Err = users, err
		if err != nil {
			e.log.Error("survey account", "account", a.ID, "err", err)
		}
		s.Accounts = append(s.Accounts, state)
		s.Findings = append(s.Findings, found...)
	}
	sortFindings(s.Findings)
	if err := ctx.Err(); err != nil {
		return s, fmt.Errorf("survey: %w", err)
	}
	return s, e.warn(ctx, s)
}

func (e *Engine) surveyAccount(ctx context.Context, a Account) (found []Finding, users int, err error) {
	report, err := a.IAM.Report(ctx)
	if err != nil {
		return nil, 0, err
	}
	list, err := e.users(ctx, a, 0)
	if err != nil {
		return nil, 0, err
	}
	known := make(map[string]User, len(list))
	for _, u := range list {
		known[u.Ref.Name] = u
	}
	var errs []error
	for _, row := range report.Rows {
		if row.Root {
			found = append(found, rootFindings(a.ID, row)...)
			continue
		}
		user, ok := known[row.User]
		if !ok || user.Quarantine == "" && !e.cfg.Policy.Suspicious(row, e.now()) {
			continue // deleted since the report was made, or nothing to look at
		}
		fs, err := e.surveyUser(ctx, a, user)
		if err != nil {
			errs = append(errs, err)
		}
		found = append(found, fs...)
	}
	return found, len(list), errors.Join(errs...)
}

func rootFindings(account string, row ReportRow) []Finding {
	for _, k := range row.Keys {
		if k.Active {
			key := Key{Status: Active, Created: k.Rotated, LastUse: k.LastUse}
			return []Finding{{Breach: RootKey, User: UserRef{Account: account, Name: row.User}, Key: key}}
		}
	}
	return nil
}

func (e *Engine) surveyUser(ctx context.Context, a Account, u User) ([]Finding, error) {
	keys, err := e.keys(ctx, a, u.Ref)
	if ClassOf(err) == ClassGone && err != nil {
		return nil, nil // deleted a moment ago
	}
	if err != nil {
		return nil, err
	}
	p, err := e.Get(ctx, u.Ref.ID())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("read progress of %s: %w", u.Ref, err)
	}
	found := append(quarantined(u, keys), slices.DeleteFunc(e.cfg.Policy.Findings(u.Ref, keys, e.now()), p.expects)...)
	var owns Ownership
	if len(found) > 0 {
		if owns = e.cfg.Owners.Of(ctx, u, p.Link); owns.Err != nil {
			e.log.Warn("look up an owner", "user", u.Ref.String(), "from", owns.From, "err", owns.Err)
		}
	}
	for i := range found {
		found[i].Owner, found[i].Doubt = owns.Owner(), owns.Doubt
		if x := e.cfg.Exemptions[u.Ref]; x.Holds(e.now()) && found[i].Breach != Quarantined { // which nobody has accepted
			found[i].Exempt = x
		}
		if r, ok := p.Running(); ok {
			found[i].Running = r.Stage
		}
	}
	return found, nil
}

// quarantined names every key that works of a user whose key AWS has found in public: which one it was, AWS tells by mail alone.
func quarantined(u User, keys []Key) []Finding {
	var found []Finding
	for _, k := range keys {
		if u.Quarantine != "" && k.Status == Active {
			found = append(found, Finding{Breach: Quarantined, User: u.Ref, Key: k})
		}
	}
	return found
}

// inQuarantine tells whether the latest list of the account's users had a user quarantined. It asks nobody; that nothing is known of it
// says nothing.
func (e *Engine) inQuarantine(u UserRef) bool {
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	return slices.ContainsFunc(e.people.lists[u.Account].users, func(known User) bool { return known.Ref == u && known.Quarantine != "" })
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
		due := p.owe(f, e.cfg.Policy, e.now())
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

// owe adds the warning for the highest threshold that the key has reached, unless it has been added before or nobody can act on it.
func (p *Progress) owe(f Finding, policy Policy, now time.Time) bool {
	days := 0
	switch f.Breach {
	case TooOld:
		days = wholeDays(policy.MaxAge)
	case SoonTooOld:
		days = wholeDays(policy.WarnAge)
	}
	if days == 0 || f.Owner == "" || f.Exempt.Holds(now) || f.Running != "" {
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
	p.Notices = append(p.Notices, Notice{Key: f.Key.ID, Days: days, Owner: f.Owner, Created: f.Key.Created, Due: now})
	return true
}

func wholeDays(d time.Duration) int { return int(d / (24 * time.Hour)) }
