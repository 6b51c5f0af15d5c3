package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// People tells what a Slack member is to Keyturner at the moment they act.
type People struct {
	Slack     *slack.Client
	Approvers []rotation.MemberID
	OnCall    []rotation.MemberID
	Now       func() time.Time // nil: time.Now

	mu   sync.Mutex
	team string // our own; until Bot.Check has learned it, nobody is believed
	seen map[rotation.MemberID]sighting
}

type sighting struct {
	at       time.Time
	standing bool
}

// standingFor is how long it is believed that a member is an active full member of our team.
const standingFor = time.Minute

// setTeam says which team is our own.
func (p *People) setTeam(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.team = id
}

// Actor looks a member up. It refuses whoever is not an active full member of our own team, and fails closed: if Slack cannot be
// asked, nobody is believed.
func (p *People) Actor(ctx context.Context, id rotation.MemberID) (rotation.Actor, error) {
	standing, err := p.standing(ctx, id)
	if err != nil {
		return rotation.Actor{Member: id}, fmt.Errorf("look up member %s: %w", id, err)
	}
	if !standing {
		return rotation.Actor{Member: id}, &rotation.Refusal{Code: rotation.NotMember, By: id}
	}
	return rotation.Actor{
		Member: id, Approver: slices.Contains(p.Approvers, id), OnCall: slices.Contains(p.OnCall, id),
	}, nil
}

func (p *People) standing(ctx context.Context, id rotation.MemberID) (bool, error) {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	p.mu.Lock()
	seen, ok := p.seen[id]
	team := p.team
	p.mu.Unlock()
	if team == "" {
		return false, errors.New("our own team is not known yet")
	}
	if age := now().Sub(seen.at); ok && age >= 0 && age < standingFor {
		return seen.standing, nil
	}
	user, err := p.Slack.GetUserInfoContext(ctx, string(id))
	if err != nil {
		return false, classify("look up a member", err)
	}
	standing := !user.Deleted && !user.IsBot && !user.IsRestricted && !user.IsUltraRestricted && !user.IsStranger &&
		!user.IsInvitedUser && user.TeamID == team
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[rotation.MemberID]sighting{}
	}
	p.seen[id] = sighting{now(), standing}
	return standing, nil
}
