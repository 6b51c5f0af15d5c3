package rotation

import (
	"context"
	"errors"
	"fmt"
)

// Linked is what came of a link: who was answerable before, and who is.
type Linked struct {
	User          UserRef
	Before, After Ownership
	Running       *Rotation // which its own owner keeps; nil: none
}

// Link makes m answerable for a user, whatever else says who is. An approver may, for anybody but themselves: it takes two people to give
// somebody a key. A rotation under way stays with its owner.
//
// A crash before its write leaves the owner as it was; one after it, the new one with the entry. Done again, it changes nothing.
func (e *Engine) Link(ctx context.Context, u UserRef, m MemberID, by Actor) (Linked, error) {
	return e.relink(ctx, u, "link", by, func(before *Link) (*Link, error) {
		switch {
		case m == by.Member:
			return nil, &Refusal{Code: OwnLink, User: u}
		case before != nil && before.Owner == m:
			return before, nil
		}
		return &Link{Owner: m, By: by.Member, At: e.now(), Untold: true}, nil
	})
}

// Unlink takes a link away, so that whatever it was made in place of counts again. An approver may, unless that makes them the owner.
//
// What a crash leaves is as with Link.
func (e *Engine) Unlink(ctx context.Context, u UserRef, by Actor) (Linked, error) {
	return e.relink(ctx, u, "unlink", by, func(*Link) (*Link, error) { return nil, nil })
}

func (e *Engine) relink(ctx context.Context, u UserRef, action string, by Actor, change func(*Link) (*Link, error)) (Linked, error) {
	linked, err := e.tryRelink(ctx, u, action, by, change)
	if err != nil {
		return linked, e.refused(ctx, u, "", Entry{Actor: by.String(), Action: action}, err)
	}
	e.forgetLinks()
	return linked, nil
}

func (e *Engine) tryRelink(ctx context.Context, u UserRef, action string, by Actor, change func(*Link) (*Link, error)) (Linked, error) {
	if !by.Approver {
		return Linked{}, &Refusal{Code: NotApprover, User: u}
	}
	user, err := e.describe(ctx, u)
	if err != nil {
		return Linked{}, err
	}
	for {
		p, err := e.Get(ctx, user.Ref.ID())
		fresh := errors.Is(err, ErrNotFound)
		if fresh {
			p, err = Progress{User: user.Ref}, nil
		}
		if err != nil {
			return Linked{}, fmt.Errorf("read progress of %s: %w", user.Ref, err)
		}
		after, err := change(p.Link)
		if err != nil {
			return Linked{}, err
		}
		linked := Linked{User: user.Ref, Before: e.cfg.Owners.Of(ctx, user, p.Link), After: e.cfg.Owners.Of(ctx, user, after)}
		linked.Running, _ = p.Running()
		switch {
		case after == nil && linked.After.Member == by.Member && linked.Before.Member != by.Member:
			return linked, &Refusal{Code: OwnLink, User: u}
		case after == p.Link: // as it is already
			return linked, nil
		}
		p.Link, p.Owed = after, p.Owed || after != nil
		p.ownedBy(linked.After.Owner())
		p.log(Entry{
			At: e.now(), Actor: by.String(), Action: action, Outcome: "moved", User: user.Ref.String(),
			Detail: "owner " + linked.After.String() + ", before " + linked.Before.String(),
		})
		if _, err := e.put(ctx, p, fresh); !errors.Is(err, ErrConflict) {
			e.feed.add(user.Ref.ID())
			return linked, err
		}
	}
}
