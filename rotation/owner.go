package rotation

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Owners finds the Member answerable for a User: by an explicit link, else by the user's tag, else nobody.
type Owners struct {
	Tag   string // the key of the IAM user tag that holds a Slack member id
	Links map[UserRef]MemberID
}

var memberID = regexp.MustCompile(`^[UW][A-Z0-9]{2,}$`)

// Of returns the owner, or "" if nobody is. A tag that holds no Slack member id names nobody.
func (o Owners) Of(u User) MemberID {
	if m, ok := o.Links[u.Ref]; ok {
		return m
	}
	if tag := u.Tags[o.Tag]; memberID.MatchString(tag) {
		return MemberID(tag)
	}
	return ""
}

// directory remembers each account's users for a short while, since finding a Member's users means listing all.
type directory struct {
	mu    sync.Mutex
	lists map[string]userList
}

type userList struct {
	users []User
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
	e.people.mu.Lock()
	defer e.people.mu.Unlock()
	if e.people.lists == nil {
		e.people.lists = map[string]userList{}
	}
	e.people.lists[a.ID] = userList{users, e.now()}
	return users, nil
}

// Owned lists the users that m owns, in every account, with their keys as they are now. An account or user that cannot be read is a
// Holding with its error.
func (e *Engine) Owned(ctx context.Context, m MemberID) ([]Holding, error) {
	var held []Holding
	for _, a := range e.cfg.Accounts {
		users, err := e.ownedIn(ctx, a, m)
		if err != nil {
			held = append(held, Holding{User: UserRef{Account: a.ID}, Err: err})
			continue
		}
		for _, u := range users {
			held = append(held, e.holding(ctx, u))
		}
	}
	return held, ctx.Err()
}

func (e *Engine) ownedIn(ctx context.Context, a Account, m MemberID) ([]User, error) {
	for _, age := range []time.Duration{fresh, staleMiss} {
		users, err := e.users(ctx, a, age)
		if err != nil {
			return nil, err
		}
		owned := slices.DeleteFunc(slices.Clone(users), func(u User) bool { return e.cfg.Owners.Of(u) != m })
		if len(owned) > 0 {
			return owned, nil
		}
	}
	return nil, nil
}
