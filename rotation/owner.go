package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Owners finds the Member answerable for a User: by a link that an approver has made, else by one of the configuration, else by the user's
// tag, else by an e-mail address, else nobody.
type Owners struct {
	Tag       string // the key of the IAM user tag that holds a Slack member id, of our own team or after its team's id
	Links     map[UserRef]MemberID
	Team      func() string // our own team's id; empty: not known yet. nil: a member id after a team's names nobody
	MailTag   string        // the key of the tag that holds an e-mail address; empty: none does
	MailNames bool          // a user's name may be an e-mail address
	Mail      Mail          // needed if there are addresses
	Groups    []GroupID     // the Slack user groups that may own users; a tag that holds the id of another one names nobody
	// Members lists the members of a group; nil: there are no groups.
	Members func(ctx context.Context, g GroupID) ([]MemberID, error)
}

// Mail tells which addresses belong to which members.
type Mail interface {
	// MemberOf finds the active full member of our own team to whom an address belongs that they have confirmed. A doubt says why it names
	// nobody; an error, that it is not known.
	MemberOf(ctx context.Context, address string) (MemberID, Doubt, error)
	// AddressOf is the address that such a member has confirmed; empty: there is none.
	AddressOf(ctx context.Context, m MemberID) (string, error)
}

// Link says who is answerable for a user, in place of anything else. It is made by an approver.
type Link struct {
	Owner  MemberID
	By     MemberID
	At     time.Time
	Untold bool // the owner has not been told yet
}

// Ownership is who is answerable for a user, and where that stands.
type Ownership struct {
	Member MemberID // empty: nobody, a group, or it is not known who
	Group  GroupID  // the user group that is
	From   Source
	Link   Link   // for FromLink
	Says   string // what the tag or the name says, for the other sources but FromConfig; nobody here chose the words
	Doubt  Doubt  // why it names nobody, although it says something
	Err    error  // for NotLookedUp
}

// Source is where it stands who is answerable for a user.
type Source string

// The sources, in the order in which they count.
const (
	FromNowhere Source = ""
	FromLink    Source = "link"
	FromConfig  Source = "configuration"
	FromTag     Source = "tag"
	FromMailTag Source = "mail-tag"
	FromName    Source = "name"
)

// Doubt is why something that should name an owner does not.
type Doubt string

// The doubts. Of NotLookedUp it does not follow that there is no owner.
const (
	NoMemberID   Doubt = "no-member-id"   // it is no Slack member id
	OtherGroup   Doubt = "other-group"    // it names a user group that may not own users
	OtherTeam    Doubt = "other-team"     // it names a member of another workspace
	NoSuchMember Doubt = "no-such-member" // nobody in the workspace has the address
	NotFull      Doubt = "not-full"       // it is the address of a guest, a bot, or somebody deactivated
	NotConfirmed Doubt = "not-confirmed"  // nobody has confirmed that the address is theirs
	NotLookedUp  Doubt = "not-looked-up"
)

var (
	tagPattern     = regexp.MustCompile(`^(?:(T[A-Z0-9]{2,})[/.])?([UWS][A-Z0-9]{2,})$`)
	addressPattern = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s.]+$`)
)

// Of finds the owner of u, to whom link was made; nil: nobody has made one.
func (o Owners) Of(ctx context.Context, u User, link *Link) Ownership {
	return o.of(u, link, func(address string) (MemberID, Doubt, error) { return o.Mail.MemberOf(ctx, address) })
}

// of is Of with another way to find out whose an address is.
func (o Owners) of(u User, link *Link, whose func(address string) (MemberID, Doubt, error)) Ownership {
	if link != nil {
		return Ownership{Member: link.Owner, From: FromLink, Link: *link}
	}
	if m, ok := o.Links[u.Ref]; ok {
		return Ownership{Member: m, From: FromConfig}
	}
	if u.Untold {
		return Ownership{From: FromTag, Doubt: NotLookedUp, Err: errors.New("the user's tags are not known")}
	}
	byTag := o.byTag(u.Tags[o.Tag])
	if byTag.Owner() != "" || byTag.Doubt == NotLookedUp {
		return byTag
	}
	by := Ownership{From: FromMailTag, Says: u.Tags[o.MailTag]}
	if o.MailTag == "" || by.Says == "" {
		by.From = FromName
	}
	if by.Says = o.address(u); by.Says == "" {
		return byTag
	}
	if by.Member, by.Doubt, by.Err = whose(by.Says); by.Err != nil {
		by.Member, by.Doubt = "", NotLookedUp
	}
	return by
}

// address is what may name the user's owner as an e-mail address; empty: nothing does.
func (o Owners) address(u User) string {
	switch says := u.Tags[o.MailTag]; {
	case o.MailTag != "" && says != "":
		return says
	case o.MailNames && addressPattern.MatchString(u.Ref.Name):
		return u.Ref.Name
	}
	return ""
}

func (o Owners) byTag(value string) Ownership {
	by := Ownership{From: FromTag, Says: value}
	parts := tagPattern.FindStringSubmatch(value)
	switch {
	case value == "":
		return Ownership{}
	case parts == nil:
		by.Doubt = NoMemberID
	case parts[1] == "":
		return o.byID(by, parts[2])
	case o.Team == nil:
		by.Doubt = OtherTeam
	case o.Team() == "":
		by.Doubt, by.Err = NotLookedUp, errors.New("our own team is not known yet")
	case o.Team() != parts[1]:
		by.Doubt = OtherTeam
	default:
		return o.byID(by, parts[2])
	}
	return by
}

// byID is the member or the group with an id.
func (o Owners) byID(by Ownership, id string) Ownership {
	switch {
	case !MemberID(id).IsGroup():
		by.Member = MemberID(id)
	case slices.Contains(o.Groups, GroupID(id)):
		by.Group = GroupID(id)
	default:
		by.Doubt = OtherGroup
	}
	return by
}

// directory remembers each account's users, and all links, for a short while, since finding a Member's users means listing all.
type directory struct {
	mu    sync.Mutex
	lists map[string]userList
	links linkList

	answers map[string]answer // whose an address was, by the address in lower case

	quarantine map[UserRef]bool // those whom AWS had quarantined when they were last seen
	scanned    time.Time        // when the latest scan was through
}

type userList struct {
	users []User
	at    time.Time
}

type linkList struct {
	links map[string]Link // by the id of the user's document
	at    time.Time
}

// fresh and staleMiss are how old a list may be when somebody's users are found in it, and when none are: a person who was just
// made an owner tries again soon.
const (
	fresh     = 5 * time.Minute
	staleMiss = 10 * time.Second
)

func (e *Engine) users(ctx context.Context, a Account, maxAge time.Duration) ([]User, error) {
	e.people.mu.Lock()
	list, ok := e.people.lists[a.ID]
	e.people.mu.Unlock()
	if age := e.now().Sub(list.at); ok && age >= 0 && age <= maxAge {
		return list.users, nil
	}
	users, err := a.IAM.Users(ctx)
	if err != nil {
		return nil, err
	}
	var quarantine []UserRef
	for _, u := range users {
		if u.Quarantine != "" {
			quarantine = append(quarantine, u.Ref)
		}
	}
	e.people.note(a.ID, quarantine, true)
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	if e.people.lists == nil {
		e.people.lists = map[string]userList{}
	}
	e.people.lists[a.ID] = userList{users, e.now()}
	return users, nil
}

// links lists what approvers have linked.
func (e *Engine) links(ctx context.Context, maxAge time.Duration) (map[string]Link, error) {
	e.people.mu.Lock()
	list := e.people.links
	e.people.mu.Unlock()
	if age := e.now().Sub(list.at); list.links != nil && age >= 0 && age <= maxAge {
		return list.links, nil
	}
	list = linkList{map[string]Link{}, e.now()}
	err := e.Each(ctx, func(p Progress) error {
		if p.Link != nil {
			list.links[p.User.ID()] = *p.Link
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	e.people.links = list
	return list.links, nil
}

// forgetLinks has the links read again when they are needed next.
func (e *Engine) forgetLinks() {
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	e.people.links = linkList{}
}

// ownership finds the owner of a user by what is stored now.
func (e *Engine) ownership(ctx context.Context, u User) (Ownership, error) {
	p, err := e.Get(ctx, u.Ref.ID())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Ownership{}, fmt.Errorf("read progress of %s: %w", u.Ref, err)
	}
	return e.cfg.Owners.Of(ctx, u, p.Link), nil
}

// Owned lists the users that m owns, in every account, with their keys as they are now. An account or user that cannot be read is a
// Holding with its error; one without an account says that m's e-mail address cannot be.
func (e *Engine) Owned(ctx context.Context, m MemberID) ([]Holding, error) {
	users, held, own := e.owned(ctx, m)
	for _, u := range users {
		if h := e.holding(ctx, u); own(h.Ownership) || h.Ownership.Unknown() {
			held = append(held, h)
		}
	}
	return held, ctx.Err()
}

// owned lists the users that m owns by the lists at hand, what could not be read, and tells what makes an owner of them.
func (e *Engine) owned(ctx context.Context, m MemberID) (users []User, unread []Holding, own func(Ownership) bool) {
	address, err := "", error(nil)
	if o := e.cfg.Owners; o.MailTag != "" || o.MailNames {
		if address, err = o.Mail.AddressOf(ctx, m); err != nil {
			address, unread = "", append(unread, Holding{Err: err})
		}
	}
	groups, err := e.groupsOf(ctx, m)
	if err != nil {
		unread = append(unread, Holding{Err: err})
	}
	own = func(o Ownership) bool { return o.Member == m || o.Group != "" && slices.Contains(groups, o.Group) }
	for _, a := range e.listed() {
		theirs, err := e.ownedIn(ctx, a, answering(m, address), own)
		if err != nil {
			unread = append(unread, Holding{User: UserRef{Account: a.ID}, Err: err})
		}
		users = append(users, theirs...)
	}
	return users, unread, own
}

// OwnedUser finds the user with that id among those that m owns. What they hold is not read; that m owns them is looked up again by whatever
// is asked for next.
func (e *Engine) OwnedUser(ctx context.Context, m MemberID, id string) (UserRef, error) {
	users, unread, _ := e.owned(ctx, m)
	for _, u := range users {
		if u.Ref.ID() == id {
			return u.Ref, nil
		}
	}
	if len(unread) > 0 { // they may be where nothing could be read
		return UserRef{}, &Refusal{Code: Unreachable, User: unread[0].User, Err: unread[0].Err}
	}
	return UserRef{}, &Refusal{Code: NotOwner, By: m}
}

// answering tells how to find out, for a list, whose each address is: without asking, since the member's own is known.
func answering(m MemberID, address string) func(string) (MemberID, Doubt, error) {
	return func(of string) (MemberID, Doubt, error) {
		if address != "" && strings.EqualFold(of, address) {
			return m, "", nil
		}
		return "", NoSuchMember, nil
	}
}

// ownedIn finds the users in one account whose owner is the one sought.
func (e *Engine) ownedIn(ctx context.Context, a Account, whose func(string) (MemberID, Doubt, error), own func(Ownership) bool) ([]User, error) {
	for _, age := range []time.Duration{fresh, staleMiss} {
		users, err := e.users(ctx, a, age)
		if err != nil {
			return nil, err
		}
		links, err := e.links(ctx, min(age, linksFresh))
		if err != nil {
			return nil, err
		}
		owned := slices.DeleteFunc(slices.Clone(users), func(u User) bool {
			var link *Link
			if l, ok := links[u.Ref.ID()]; ok {
				link = &l
			}
			return !own(e.cfg.Owners.of(u, link, whose))
		})
		if len(owned) > 0 {
			return owned, nil
		}
	}
	return nil, nil
}

// linksFresh is how old the links may be: another process may have stored one since.
const linksFresh = time.Minute

// Unknown tells whether it may have an owner who could not be looked up.
func (o Ownership) Unknown() bool { return o.Doubt == NotLookedUp }

// String names the owner in the trail.
func (o Ownership) String() string { return cmp.Or(string(o.Owner()), "nobody") }
