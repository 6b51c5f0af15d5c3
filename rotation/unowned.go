package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A user with an active key is a finding if nobody is answerable for them, whatever the key's age. Of those whose keys there is no other
// reason to look at, a scan knows from the report that they have one, and from their details what names an owner; so finding them costs no call
// to AWS. They are told of without a key id, as findings of the user.
//
// What Slack must be asked for is bounded: of addresses of such users that are not known, a survey asks for maxAsked, after all accounts are read;
// that takes two minutes at Slack's pace. What it answers is kept in memory for some days, so that the next survey goes on with others. Of
// those that were not asked for, or for which there was no answer, it is unknown whether anybody is answerable: they are counted as such, and are
// never findings.

// maxAsked is how many addresses one survey asks for, and maxAnswers how many are kept; who is found is believed for longer than that nobody is.
const (
	maxAsked   = 100
	maxAnswers = 5000
	answerFor  = 7 * 24 * time.Hour
	missingFor = 2 * 24 * time.Hour
)

// answer is whose an address was, when Slack was asked.
type answer struct {
	member MemberID
	doubt  Doubt
	at     time.Time
}

// errNotAsked is why it is not known whose an address is.
var errNotAsked = errors.New("not asked for yet: a scan asks for so many addresses and no more")

// named tells whether the configuration or a tag names who is answerable, without asking anybody. That the tags are not known tells nothing.
func (o Owners) named(u User) bool {
	owns := o.of(u, nil, func(string) (MemberID, Doubt, error) { return "", NoSuchMember, nil })
	return owns.Owner() != "" || owns.Unknown()
}

// worksFor tells whether one of the keys is active.
func worksFor(keys []Key) bool {
	return slices.ContainsFunc(keys, func(k Key) bool { return k.Status == Active })
}

// unowned is what is found of a user with an active key, who is answerable for whom is owns; nil: somebody is, or it is not known.
func (e *Engine) unowned(u User, owns Ownership) []Finding {
	if owns.Owner() != "" || owns.Unknown() {
		return nil
	}
	f := Finding{Breach: Unowned, User: u.Ref, UserID: u.ID, Path: u.Path, Doubt: owns.Doubt}
	e.accept(&f, Progress{User: u.Ref})
	return []Finding{f}
}

// strays finds those of the users for whom nobody is answerable, and counts those of whom it is not known.
func (e *Engine) strays(ctx context.Context, users []User) (found []Finding, unasked int, err error) {
	if len(users) == 0 {
		return nil, 0, nil
	}
	links, err := e.links(ctx, 0)
	if err != nil {
		return nil, len(users), fmt.Errorf("find users without an owner: %w", err)
	}
	users = e.longestUnasked(users)
	asked := 0
	whose := func(address string) (MemberID, Doubt, error) { return e.whoseAddress(ctx, address, &asked) }
	for _, u := range users {
		var link *Link
		if l, ok := links[u.Ref.ID()]; ok {
			link = &l
		}
		owns := e.cfg.Owners.of(u, link, whose)
		if owns.Unknown() {
			unasked++
		}
		found = append(found, e.unowned(u, owns)...)
	}
	return found, unasked, nil
}

// longestUnasked puts first those whose address nobody has asked for, then those for whom that is the longest ago: where there are more than are
// asked for while an answer is believed, the others would come to it never.
func (e *Engine) longestUnasked(users []User) []User {
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	at := make(map[UserRef]time.Time, len(users))
	for _, u := range users {
		at[u.Ref] = e.people.answers[strings.ToLower(e.cfg.Owners.address(u))].at
	}
	return slices.SortedStableFunc(slices.Values(users), func(a, b User) int { return at[a.Ref].Compare(at[b.Ref]) })
}

// whoseAddress is whose an address is by what was answered lately, or else by asking, maxAsked times at most.
func (e *Engine) whoseAddress(ctx context.Context, address string, asked *int) (MemberID, Doubt, error) {
	key := strings.ToLower(address)
	e.people.mu.Lock()
	known, ok := e.people.answers[key]
	e.people.mu.Unlock()
	believed := missingFor
	if known.member != "" {
		believed = answerFor
	}
	if age := e.now().Sub(known.at); ok && age >= 0 && age < believed {
		return known.member, known.doubt, nil
	}
	if *asked >= maxAsked {
		return "", "", errNotAsked
	}
	*asked++
	member, doubt, err := e.cfg.Owners.Mail.MemberOf(ctx, address)
	if err != nil {
		return "", "", err
	}
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	if e.people.answers == nil || len(e.people.answers) >= maxAnswers {
		e.people.answers = map[string]answer{}
	}
	e.people.answers[key] = answer{member, doubt, e.now()}
	return member, doubt, nil
}
