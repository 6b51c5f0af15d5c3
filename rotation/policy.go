package rotation

import "time"

// Policy is what counts as a breach: the first rule that is for a user, or else what stands beside them.
type Policy struct {
	WarnAge   time.Duration // from this age a key is soon too old
	MaxAge    time.Duration // from this age it is too old
	UnusedAge time.Duration // unused for this long, it is idle
	Rules     []AgeRule     // may be empty
}

// AgeRule is what counts for some users, such as people or machines. None of its ages is zero.
type AgeRule struct {
	Name                       string
	Matches                    Matches
	WarnAge, MaxAge, UnusedAge time.Duration
}

func (r AgeRule) policy() Policy {
	return Policy{WarnAge: r.WarnAge, MaxAge: r.MaxAge, UnusedAge: r.UnusedAge}
}

// For is what counts for a user, without rules. If their tags are not known it is the strictest of what may: a key is rather looked at
// than overlooked.
func (p Policy) For(u User) Policy {
	base := Policy{WarnAge: p.WarnAge, MaxAge: p.MaxAge, UnusedAge: p.UnusedAge}
	var may []Policy
	for _, r := range p.Rules {
		m := r.Matches
		if u.Untold && m.Tag != "" {
			if m.Tag = ""; m.Holds(u.Ref, Traits{Path: u.Path}) {
				may = append(may, r.policy())
			}
			continue
		}
		if m.Holds(u.Ref, Traits{Path: u.Path, Tags: u.Tags}) {
			base = r.policy()
			break
		}
	}
	for _, q := range may {
		base = base.least(q)
	}
	return base
}

// strictest is the strictest that may count for some user of an account.
func (p Policy) strictest(account string) Policy {
	least := Policy{WarnAge: p.WarnAge, MaxAge: p.MaxAge, UnusedAge: p.UnusedAge}
	for _, r := range p.Rules {
		if m := (Matches{Accounts: r.Matches.Accounts}); m.Holds(UserRef{Account: account}, Traits{}) {
			least = least.least(r.policy())
		}
	}
	return least
}

// least takes the shorter of each age.
func (p Policy) least(q Policy) Policy {
	return Policy{WarnAge: min(p.WarnAge, q.WarnAge), MaxAge: min(p.MaxAge, q.MaxAge), UnusedAge: min(p.UnusedAge, q.UnusedAge)}
}
