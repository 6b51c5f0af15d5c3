package rotation

import (
	"cmp"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// History lists the ended rotations of which m was the owner or the requester, the latest first.
func (e *Engine) History(ctx context.Context, m MemberID) ([]Rotation, error) {
	var found []Rotation
	err := e.Each(ctx, func(p Progress) error {
		found = append(found, slices.DeleteFunc(p.ended(), func(r Rotation) bool { return r.Owner != m && r.Requester != m })...)
		return nil
	})
	latestFirst(found)
	return found, err
}

// HistoryOf lists the ended rotations of one user, the latest first.
func (e *Engine) HistoryOf(ctx context.Context, u UserRef) ([]Rotation, error) {
	p, err := e.Get(ctx, u.ID())
	if errors.Is(err, ErrNotFound) { // IAM finds names without regard to case, and the store does not
		var user User
		if user, err = e.describe(ctx, u); err != nil {
			return nil, err
		}
		if p, err = e.Get(ctx, user.Ref.ID()); errors.Is(err, ErrNotFound) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read progress of %s: %w", u, err)
	}
	found := p.ended()
	latestFirst(found)
	return found, nil
}

func (p Progress) ended() []Rotation {
	return slices.DeleteFunc(slices.Clone(p.All()), func(r Rotation) bool { return !r.Ended() })
}

func latestFirst(rs []Rotation) {
	slices.SortFunc(rs, func(a, b Rotation) int { return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(b.ID, a.ID)) })
}

// describe reads a user of one of the accounts, in its own spelling.
func (e *Engine) describe(ctx context.Context, u UserRef) (User, error) {
	account, ok := e.reach(ctx, u.Account)
	if !ok {
		return User{}, &Refusal{Code: NoAccount, User: u}
	}
	user, err := account.IAM.User(ctx, u.Name)
	if err != nil {
		return User{}, unreachable(u, err)
	}
	return user, nil
}

// HoldingOf reads one user with its keys as they are now, and its owner.
func (e *Engine) HoldingOf(ctx context.Context, u UserRef) (Holding, error) {
	user, err := e.describe(ctx, u)
	if err != nil {
		return Holding{}, err
	}
	return e.holding(ctx, user), nil
}

func (e *Engine) holding(ctx context.Context, u User) Holding {
	h := Holding{User: u.Ref, Exempt: e.cfg.Exemptions[u.Ref]}
	p, err := e.Get(ctx, u.Ref.ID())
	if err != nil && !errors.Is(err, ErrNotFound) {
		h.Ownership, h.Err = Ownership{Doubt: NotLookedUp, Err: err}, fmt.Errorf("read progress of %s: %w", u.Ref, err)
		return h
	}
	h.Running, _ = p.Running()
	h.Exemptions, h.Snoozes = p.Accepted(e.now())
	h.Held = p.held(e.now())
	h.Ownership = e.cfg.Owners.Of(ctx, u, p.Link)
	if h.Keys, h.Err = e.keys(ctx, e.account(u.Ref.Account), u.Ref); h.Err == nil {
		h.Findings = e.findingsOf(p, Sight{User: u, Keys: h.Keys})
	}
	return h
}

// Whose is what is known of a key.
type Whose struct {
	Key     KeyID
	Account string         // in which AWS has it; empty: in none that could be read
	Holding Holding        // of the user whose it is; without a user if AWS names none, as of a root user's key
	Past    []Rotation     // that have dealt with the key, the latest first
	Unread  []AccountState // accounts that could not be read, if it was found in no other: it may be there
}

// Found is the key itself, if AWS lists it now.
func (w Whose) Found() (Key, bool) {
	return Evidence{Keys: w.Holding.Keys}.Key(w.Key)
}

// Whois looks for a key in every account, and on record. That an account cannot be read says nothing about the key, and so says an
// account that denies the question: AWS also denies what it does not have.
func (e *Engine) Whois(ctx context.Context, id KeyID) (Whose, error) {
	w := Whose{Key: id}
	err := e.Each(ctx, func(p Progress) error {
		for _, r := range p.All() {
			if r.Old == id || r.New == id {
				w.Past = append(w.Past, r)
			}
		}
		return nil
	})
	if err != nil {
		return w, fmt.Errorf("look for key %s on record: %w", id, err)
	}
	latestFirst(w.Past)
	accounts := e.listed()
	answers := askWhose(ctx, accounts, id)
	for i, a := range accounts {
		switch answer := answers[i]; {
		case answer.err == nil:
			w.Account, w.Unread = a.ID, nil
			w.Holding = e.userOfKey(ctx, UserRef{Account: a.ID, Name: answer.user})
			return w, ctx.Err()
		case ClassOf(answer.err) != ClassGone:
			w.Unread = append(w.Unread, AccountState{ID: a.ID, Name: a.Name, Err: answer.err})
		}
	}
	return w, ctx.Err()
}

// userOfKey reads the user whose key was found. One that cannot be read is a Holding with its error.
func (e *Engine) userOfKey(ctx context.Context, u UserRef) Holding {
	if u.Name == "" {
		return Holding{User: u}
	}
	h, err := e.HoldingOf(ctx, u)
	if err != nil {
		return Holding{User: u, Ownership: Ownership{Doubt: NotLookedUp, Err: err}, Err: err}
	}
	return h
}

// asksAtOnce bounds how many accounts are asked at the same time.
const asksAtOnce = 8

type whoseAnswer struct {
	user string
	err  error
}

// askWhose asks every account for the user of a key.
func askWhose(ctx context.Context, accounts []Account, id KeyID) []whoseAnswer {
	answers := make([]whoseAnswer, len(accounts))
	slots := make(chan struct{}, asksAtOnce)
	var wg sync.WaitGroup
	for i, a := range accounts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i].user, answers[i].err = a.IAM.UserOf(ctx, id)
		})
	}
	wg.Wait()
	return answers
}

// Account is the account that the key was made in, as far as its id tells: those that AWS has issued for some years begin with it. The
// layout is not documented (https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489), so it is a hint to people, and
// nothing is decided by it.
func (k KeyID) Account() (id string, ok bool) {
	if len(k) != 20 {
		return "", false
	}
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(string(k[4:])))
	if err != nil || raw[0]&0x80 == 0 { // older ids tell nothing
		return "", false
	}
	n := uint64(0)
	for _, b := range raw[:6] {
		n = n<<8 | uint64(b)
	}
	return fmt.Sprintf("%012d", n&0x7fffffffff80>>7), true
}
