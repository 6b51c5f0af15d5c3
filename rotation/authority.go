package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Directory tells who people are in Slack at the moment it is asked, or a minute before.
type Directory interface {
	// Group lists the members of a user group.
	Group(ctx context.Context, id GroupID) ([]MemberID, error)
	// Standing tells whether a member is an active full member of our own workspace.
	Standing(ctx context.Context, m MemberID) (bool, error)
}

// noDirectory is for an engine whose rules name no group.
type noDirectory struct{}

func (noDirectory) Group(context.Context, GroupID) ([]MemberID, error) {
	return nil, errors.New("there is nobody to ask for the members of a group")
}

func (noDirectory) Standing(context.Context, MemberID) (bool, error) { return true, nil }

// roles says what a person is to this rotation: an approver by the rule as it is configured now, and of the group that owns the user.
func (e *Engine) roles(ctx context.Context, r Rotation, ev Event) (Actor, error) {
	by, unread := e.authorize(ctx, r, ev)
	ev.By = by
	by, err := e.asFellow(ctx, r, ev)
	if move, _ := r.find(ev.On); err == nil && by.Fellow && move.By&ByOwner != 0 {
		return by, nil // their own move
	}
	if unread != nil {
		return by, unread
	}
	return by, err
}

// authorize says of a person whether they are an approver of this rotation. It asks only where the move is an approver's, so that nothing
// keeps an owner from their own moves. Rollback and the end of a leak are easier than progress: there any approver counts.
func (e *Engine) authorize(ctx context.Context, r Rotation, ev Event) (Actor, error) {
	by := ev.By
	move, ok := r.find(ev.On)
	switch {
	case !ok || by.System != 0 || by.Member == "" || move.By&(ByApprover|ByResponder) == 0:
		return by, nil
	case move.By&ByOwner != 0 && by.Member == r.Owner, move.By&ByResponder != 0 && by.OnCall:
		return by, nil
	}
	circle := e.approvals.ForRotation(r).Decides(r)
	if ev.On == Reactivate || move.By&ByResponder != 0 {
		circle = circle.and(e.approvals.Default().By)
	}
	var err error
	if by.Approver, err = e.within(ctx, circle, by.Member); err != nil {
		return by, &Refusal{Code: GroupUnread, User: r.User, Rotation: &r, Err: err}
	}
	return by, nil
}

// within tells whether a member is in a circle. Who is not in what could be read is in no group that could not; the error says which.
func (e *Engine) within(ctx context.Context, c Circle, m MemberID) (bool, error) {
	if slices.Contains(c.Members, m) {
		return true, nil
	}
	var unread error
	for _, g := range c.Groups {
		members, err := e.cfg.Directory.Group(ctx, g)
		if err != nil {
			unread = errors.Join(unread, fmt.Errorf("read the user group %s: %w", g, err))
		}
		if err == nil && slices.Contains(members, m) {
			return true, nil
		}
	}
	return false, unread
}

// approvable refuses a request that the rule leaves nobody, or too few, to approve of. It asks about no more people than it needs.
func (e *Engine) approvable(ctx context.Context, q Request, s subject) error {
	wanted, have := s.rule.Wanted.Most(), 0
	people, unread := e.candidates(ctx, s.rule.By)
	for _, c := range people {
		if c.Member == s.owns.Member || c.Member == q.By.Member {
			continue
		}
		able, err := e.able(ctx, c.Member, s.owns.Group)
		if err != nil {
			unread = errors.Join(unread, fmt.Errorf("look up member %s: %w", c.Member, err))
		}
		if able {
			have++
		}
		if have == wanted {
			return nil
		}
	}
	refusal := &Refusal{Code: NoApprover, User: q.User, By: s.owns.Owner(), Wanted: wanted, Have: have}
	if unread != nil {
		refusal.Code, refusal.Err = GroupUnread, unread
	}
	return refusal
}

// able tells whether somebody is a member in good standing, and not of the group that owns the user.
func (e *Engine) able(ctx context.Context, m MemberID, owners GroupID) (bool, error) {
	if owners != "" {
		if fellow, err := e.inGroup(ctx, owners, m); err != nil || fellow {
			return false, err
		}
	}
	return e.cfg.Directory.Standing(ctx, m)
}
