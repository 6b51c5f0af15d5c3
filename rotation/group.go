package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// GroupID identifies a Slack user group (S…).
type GroupID string

// A group owns a user as a person does, but for one thing: whoever of its members begins a rotation collects, and is that rotation's owner,
// to whom alone the secret goes; where it is shown in a window, it goes to whoever of them opens that, and to nobody else. The others may make the owner's moves, and none of them may approve. Who is a member is looked up when
// it matters; where that cannot be told, nobody is believed.

// Owner is who is named as answerable: a member, or a group under its own id.
func (o Ownership) Owner() MemberID {
	if o.Group != "" {
		return MemberID(o.Group)
	}
	return o.Member
}

// IsGroup tells whether an owner is named by the id of a user group.
func (m MemberID) IsGroup() bool { return strings.HasPrefix(string(m), "S") }

// inGroup tells whether m is a member of a group.
func (e *Engine) inGroup(ctx context.Context, g GroupID, m MemberID) (bool, error) {
	if e.cfg.Owners.Members == nil {
		return false, errors.New("there is nobody to ask for the members of a group")
	}
	members, err := e.cfg.Owners.Members(ctx, g)
	if err != nil {
		return false, fmt.Errorf("read the user group %s: %w", g, err)
	}
	return slices.Contains(members, m), nil
}

// groupsOf lists the groups that may own users and that m is a member of.
func (e *Engine) groupsOf(ctx context.Context, m MemberID) (mine []GroupID, err error) {
	for _, g := range e.cfg.Owners.Groups {
		is, groupErr := e.inGroup(ctx, g, m)
		if is {
			mine = append(mine, g)
		}
		err = errors.Join(err, groupErr)
	}
	return mine, err
}

// collects makes whoever asks the owner of the rotation, if a group owns the user and they are of it.
func (e *Engine) collects(ctx context.Context, owns Ownership, q Request) (Ownership, error) {
	if owns.Group == "" {
		return owns, nil
	}
	is, err := e.inGroup(ctx, owns.Group, q.By.Member)
	switch {
	case err != nil:
		return owns, &Refusal{Code: OwnerUnknown, User: q.User, Err: err}
	case !is:
		return owns, &Refusal{Code: GroupOwned, User: q.User, By: owns.Owner()}
	}
	owns.Member = q.By.Member
	return owns, nil
}

// asFellow says of a person whether they are of the group that owns the user. It asks only where that decides: the owner's moves need it,
// an approval must not be given by one of the group, and no key is made for somebody who has left it. A rollback that any approver may make
// waits for no look-up, and what one responder's word is enough for does not either.
func (e *Engine) asFellow(ctx context.Context, r Rotation, ev Event) (Actor, error) {
	by := ev.By
	move, ok := r.find(ev.On)
	rollback := move.By&ByOwner != 0 && move.By&ByApprover != 0 && by.Approver
	if !ok || r.Group == "" || by.Member == "" || rollback || move.By&ByResponder != 0 {
		return by, nil
	}
	var err error
	if by.Member != r.Owner {
		by.Fellow, err = e.inGroup(ctx, r.Group, by.Member)
	}
	stays := true
	if err == nil && (move.To == Creating || ev.On == Reissue) && (ev.On != Collect || !by.Fellow) { // after which the owner gets a secret
		stays, err = e.inGroup(ctx, r.Group, r.Owner)
	}
	switch {
	case err != nil:
		return by, &Refusal{Code: OwnerUnknown, User: r.User, Rotation: &r, Err: err}
	case !stays:
		return by, &Refusal{Code: OwnerLeft, User: r.User, Rotation: &r, By: r.Owner}
	}
	return by, nil
}
