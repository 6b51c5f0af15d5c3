package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// People tells what a Slack member is to Keyturner at the moment they act. It is the engine's rotation.Directory.
type People struct {
	Slack     *slack.Client
	Approvers []rotation.MemberID // those of the default rule
	OnCall    []rotation.MemberID
	Now       func() time.Time // nil: time.Now

	mu     sync.Mutex
	team   string // our own; until Bot.Check has learned it, nobody is believed
	seen   map[rotation.MemberID]sighting
	book   addressBook
	groups map[rotation.GroupID]roster
}

var _ rotation.Directory = (*People)(nil)

// roster is whom Slack named as a group's members, and when.
type roster struct {
	at      time.Time
	members []rotation.MemberID
}

type sighting struct {
	at        time.Time
	standing  bool
	reason    string         // why not, for people
	address   string         // as Slack tells it
	confirmed bool           // the address is theirs
	zone      *time.Location // nil: Slack does not tell it
	name      string         // as it is shown
}

// standingFor is how long it is believed that a member is an active full member of our team.
const standingFor = time.Minute

// setTeam says which team is our own.
func (p *People) setTeam(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.team = id
}

// Team is our own team's id; empty: not known yet.
func (p *People) Team() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.team
}

// Actor looks a member up. It refuses whoever is not an active full member of our own team, and fails closed: if Slack cannot be
// asked, nobody is believed. Whether they are an approver of a rotation is the engine's to say, by the rule for it; here it is said
// whether they are one where no rule says otherwise.
func (p *People) Actor(ctx context.Context, id rotation.MemberID) (rotation.Actor, error) {
	standing, err := p.Standing(ctx, id)
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

// Standing implements rotation.Directory.
func (p *People) Standing(ctx context.Context, id rotation.MemberID) (bool, error) {
	seen, err := p.look(ctx, id)
	return seen.standing, err
}

// Zone is the time zone that Slack has of somebody; nil: it is not known.
func (p *People) Zone(ctx context.Context, id rotation.MemberID) *time.Location {
	seen, err := p.look(ctx, id)
	if err != nil {
		return nil
	}
	return seen.zone
}

// zoneNamed finds a zone by its IANA name. An empty one is not UTC, and Local is this machine's.
func zoneNamed(name string) *time.Location {
	if name == "" || name == "Local" {
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return zone
}

var errTeamUnknown = errors.New("our own team is not known yet")

func (p *People) look(ctx context.Context, id rotation.MemberID) (sighting, error) {
	p.mu.Lock()
	seen, ok := p.seen[id]
	team := p.team
	p.mu.Unlock()
	if team == "" {
		return sighting{}, errTeamUnknown
	}
	if age := p.clock().Sub(seen.at); ok && age >= 0 && age < standingFor {
		return seen, nil
	}
	user, err := p.Slack.GetUserInfoContext(ctx, string(id))
	if err != nil {
		return sighting{}, classify("look up a member", err)
	}
	reason := notStanding(user, team)
	seen = sighting{p.clock(), reason == "", reason, user.Profile.Email, user.IsEmailConfirmed, zoneNamed(user.TZ), cmp.Or(user.Profile.DisplayName, user.RealName, user.Name)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[rotation.MemberID]sighting{}
	}
	p.seen[id] = seen
	return seen, nil
}

// Name is what a member is called, or the id of whoever cannot be looked up.
func (p *People) Name(ctx context.Context, id rotation.MemberID) string {
	seen, err := p.look(ctx, id)
	if err != nil || seen.name == "" {
		return string(id)
	}
	return seen.name
}

// notStanding tells why somebody is no active full member of a team; empty: they are.
func notStanding(user *slack.User, team string) string {
	switch {
	case user.Deleted:
		return "deactivated in Slack"
	case user.IsBot:
		return "an app and no person"
	case user.IsRestricted || user.IsUltraRestricted:
		return "a guest"
	case user.IsStranger || user.TeamID != team:
		return "of another workspace"
	case user.IsInvitedUser:
		return "invited and not here yet"
	}
	return ""
}

func (p *People) clock() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// Group lists the members of a user group. One that is not there, or is disabled, cannot be read: it is an error and not empty.
func (p *People) Group(ctx context.Context, id rotation.GroupID) ([]rotation.MemberID, error) {
	p.mu.Lock()
	known, ok := p.groups[id]
	p.mu.Unlock()
	if age := p.clock().Sub(known.at); ok && age >= 0 && age < standingFor {
		return known.members, nil
	}
	ids, err := p.Slack.GetUserGroupMembersContext(ctx, string(id))
	if err != nil {
		return nil, classify("read a user group", err)
	}
	known = roster{at: p.clock()}
	for _, m := range ids {
		known.members = append(known.members, rotation.MemberID(m))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.groups == nil {
		p.groups = map[rotation.GroupID]roster{}
	}
	p.groups[id] = known
	return known.members, nil
}
