package bot

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"github.com/keyturner/keyturner/rotation"
)

var _ rotation.Mail = (*People)(nil)

// addressBook remembers for standingFor whose an e-mail address is. A scan asks for many.
type addressBook struct {
	mu   sync.Mutex
	seen map[string]addressed
	pace *rate.Limiter
}

type addressed struct {
	at     time.Time
	member rotation.MemberID
	doubt  rotation.Doubt
}

// maxAddresses bounds how many addresses are remembered.
const maxAddresses = 2000

// lookUps is how often Slack lets a workspace be asked for a member by an address (https://docs.slack.dev/reference/methods/users.lookupByEmail).
const (
	lookUps     = time.Minute / 50
	lookUpBurst = 20
)

// MemberOf implements rotation.Mail. Whoever is not an active full member of our own team, or has not confirmed the address, is not the one
// whom it names.
func (p *People) MemberOf(ctx context.Context, address string) (rotation.MemberID, rotation.Doubt, error) {
	key := strings.ToLower(address)
	if known, ok := p.book.find(key, p.clock()); ok {
		return known.member, known.doubt, nil
	}
	team := p.Team()
	if team == "" {
		return "", "", errTeamUnknown
	}
	if err := p.book.wait(ctx); err != nil {
		return "", "", &rotation.CallError{Op: "look up an e-mail address", Class: rotation.ClassThrottled, Code: "paced", Err: err}
	}
	user, err := p.Slack.GetUserByEmailContext(ctx, address)
	found := addressed{at: p.clock()}
	switch answer, answered := errors.AsType[slack.SlackErrorResponse](err); {
	case answered && answer.Err == "users_not_found":
		found.doubt = rotation.NoSuchMember
	case err != nil:
		return "", "", classify("look up an e-mail address", err)
	case user.TeamID != team:
		found.doubt = rotation.OtherTeam
	case notStanding(user, team) != "":
		found.doubt = rotation.NotFull
	case !user.IsEmailConfirmed:
		found.doubt = rotation.NotConfirmed
	default:
		found.member = rotation.MemberID(user.ID)
	}
	p.book.keep(key, found)
	return found.member, found.doubt, nil
}

// AddressOf implements rotation.Mail. Slack tells an address only with a scope of its own: that it tells none says nothing.
func (p *People) AddressOf(ctx context.Context, m rotation.MemberID) (string, error) {
	seen, err := p.look(ctx, m)
	switch {
	case err != nil:
		return "", err
	case seen.standing && seen.address == "":
		return "", &rotation.CallError{Op: "read a member's e-mail address", Class: rotation.ClassDenied, Err: errors.New("no address was told: the app may lack the scope users:read.email")}
	case !seen.standing || !seen.confirmed:
		return "", nil
	}
	return seen.address, nil
}

func (a *addressBook) find(address string, now time.Time) (addressed, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.seen[address]
	age := now.Sub(found.at)
	return found, ok && age >= 0 && age < standingFor
}

func (a *addressBook) keep(address string, found addressed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil || len(a.seen) >= maxAddresses {
		a.seen = map[string]addressed{}
	}
	a.seen[address] = found
}

// wait waits until Slack may be asked.
func (a *addressBook) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.pace == nil {
		a.pace = rate.NewLimiter(rate.Every(lookUps), lookUpBurst)
	}
	pace := a.pace
	a.mu.Unlock()
	return pace.Wait(ctx)
}
