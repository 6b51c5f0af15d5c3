package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Explanation is who would be asked about a user's keys, and who of them cannot answer.
type Explanation struct {
	User    UserRef
	Owner   MemberID // empty: nobody is
	Group   GroupID  // that owns the user, if one does
	Rule    Approval
	Terms   Terms     // of the rotation that runs, or of the next one
	Running *Rotation // nil: none does
	People  []Candidate
	Second  []Candidate // the second circle
	Unread  error       // what could not be read: there may be more people than those
}

// Candidate is one of those whom a rule names.
type Candidate struct {
	Member MemberID
	Via    GroupID // the first of the rule's groups that has them; empty: the rule names them
	Bar    Bar
}

// Bar is why somebody whom a rule names cannot decide.
type Bar string

// The bars.
const (
	NoBar        Bar = ""
	IsOwner      Bar = "owner"
	IsRequester  Bar = "requester"
	HasNoStand   Bar = "not-member" // no active full member
	HasApproved  Bar = "approved"
	HasOverruled Bar = "overruled" // the evidence that is missing
	StandUnknown Bar = "unknown"   // it could not be looked up, or there are too many to do so: nobody is believed until they click
)

// Able lists those whom nothing is known to bar.
func (x Explanation) Able() []MemberID {
	var able []MemberID
	for _, c := range x.People {
		if c.Bar == NoBar {
			able = append(able, c.Member)
		}
	}
	return able
}

// maxLookups bounds how many people an explanation looks up in Slack, which takes about a hundred look-ups a minute.
const maxLookups = 30

// Explain tells who decides about a user's keys. The owner may ask, and so may on-call and whoever may decide.
func (e *Engine) Explain(ctx context.Context, ref UserRef, by Actor) (Explanation, error) {
	x, err := e.explain(ctx, ref, by)
	if err != nil {
		return x, e.refused(ctx, ref, "", Entry{Actor: by.String(), Action: "explain"}, err)
	}
	return x, nil
}

func (e *Engine) explain(ctx context.Context, ref UserRef, by Actor) (Explanation, error) {
	s, err := e.subject(ctx, ref)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{User: s.user, Owner: s.owns.Owner(), Rule: s.rule, Terms: s.rule.terms(e.cfg.Terms)}
	if p, err := e.Get(ctx, s.user.ID()); err == nil {
		if r, runs := p.Running(); runs {
			x.Running, x.Owner, x.Rule, x.Terms = r, r.Owner, e.approvals.ForRotation(*r), r.Terms
		}
	}
	owner := by.Member != "" && by.Member == x.Owner
	if x.Group = s.owns.Group; x.Group != "" && !owner {
		owner, _ = e.inGroup(ctx, x.Group, by.Member) // nobody is believed where it cannot be told
	}
	if !by.OnCall && !owner {
		decides, err := e.within(ctx, x.Rule.By.and(x.Rule.Escalate.To).and(e.approvals.Default().By), by.Member)
		switch {
		case err != nil:
			return x, &Refusal{Code: GroupUnread, User: ref, Err: err}
		case !decides:
			return x, &Refusal{Code: NotInvolved, User: ref}
		}
	}
	x.People, x.Unread = e.candidates(ctx, x.Rule.By)
	e.bar(ctx, &x)
	second := x
	second.People, err = e.candidates(ctx, x.Rule.Escalate.To)
	x.Unread = errors.Join(x.Unread, err)
	e.bar(ctx, &second)
	x.Second = second.People
	return x, nil
}

// candidates lists whom a circle names, each once.
func (e *Engine) candidates(ctx context.Context, c Circle) ([]Candidate, error) {
	var all []Candidate
	add := func(m MemberID, via GroupID) {
		if !slices.ContainsFunc(all, func(c Candidate) bool { return c.Member == m }) {
			all = append(all, Candidate{Member: m, Via: via})
		}
	}
	for _, m := range c.Members {
		add(m, "")
	}
	var unread error
	for _, g := range c.Groups {
		members, err := e.cfg.Directory.Group(ctx, g)
		if err != nil {
			unread = errors.Join(unread, fmt.Errorf("read the user group %s: %w", g, err))
		}
		for _, m := range members {
			add(m, g)
		}
	}
	return all, unread
}

// bar finds out who cannot decide, and why.
func (e *Engine) bar(ctx context.Context, x *Explanation) {
	var r Rotation
	if x.Running != nil {
		r = *x.Running
	}
	for i := range x.People {
		c := &x.People[i]
		switch {
		case c.Member == x.Owner:
			c.Bar = IsOwner
		case c.Member == r.Requester:
			c.Bar = IsRequester
		case r.hasOverruled(c.Member):
			c.Bar = HasOverruled
		case r.hasApproved(c.Member):
			c.Bar = HasApproved
		case i >= maxLookups:
			c.Bar = StandUnknown
		default:
			c.Bar = e.lookUp(ctx, c.Member, x.Group)
		}
	}
}

// lookUp finds what Slack has against somebody's deciding about a user that a group may own.
func (e *Engine) lookUp(ctx context.Context, m MemberID, owners GroupID) Bar {
	standing, err := e.cfg.Directory.Standing(ctx, m)
	fellow := false
	if err == nil && owners != "" {
		fellow, err = e.inGroup(ctx, owners, m)
	}
	switch {
	case err != nil:
		return StandUnknown
	case !standing:
		return HasNoStand
	case fellow:
		return IsOwner
	}
	return NoBar
}
