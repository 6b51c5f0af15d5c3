package rotation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// The accounts of an organization come and go while the bot runs. They are read anew before each scan, by whoever scans; the others that share
// the store look whether the claim of the roll has changed. An account that has left is neither scanned nor searched, and is named in the
// digest for some days, which the claim remembers over restarts. Its adapter stays, so that a rotation that runs there goes on, and ends with
// what AWS answers.

// Departed is an account that is not among those looked after any more.
type Departed struct {
	ID, Name string
	Since    time.Time // when that was found
}

const (
	rollClaim = "accounts"         // its note is a roll
	toldLeft  = 8 * 24 * time.Hour // how long an account that has left is named: longer than from one digest to the next
	rollFresh = time.Minute        // how old a list may be where an account is asked for that is not on it
	rollLook  = time.Minute        // how often it is looked whether another process has found a change
)

// roll is what is remembered of the accounts: the names of all by their ids, and those that have left.
type roll struct {
	Listed map[string]string   `json:"listed"`
	Left   map[string]Departed `json:"left,omitempty"`
}

// roster is the accounts that are looked after.
type roster struct {
	mu     sync.RWMutex
	now    []Account
	all    map[string]Account // and those that have left while this process ran
	called chan struct{}      // held while they are read
	at     time.Time          // when they were read last, by whichever outcome
	rev    uint64             // of the claim, when they could be read last
}

func (r *roster) set(accounts []Account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = accounts
	if r.all == nil {
		r.all = map[string]Account{}
	}
	for _, a := range accounts {
		r.all[a.ID] = a
	}
}

// listed are the accounts that are looked after now.
func (e *Engine) listed() []Account {
	e.roster.mu.RLock()
	defer e.roster.mu.RUnlock()
	return e.roster.now
}

// account is an account that is looked after or was, or zero.
func (e *Engine) account(id string) Account {
	e.roster.mu.RLock()
	defer e.roster.mu.RUnlock()
	return e.roster.all[id]
}

// reach is account, for one that may have come a moment ago.
func (e *Engine) reach(ctx context.Context, id string) (Account, bool) {
	a := e.account(id)
	if a.ID == "" && e.cfg.Members != nil && e.rollAge() >= rollFresh {
		if _, err := e.callRoll(ctx); err != nil {
			e.log.Warn("look for an account that is not known", "account", id, "err", err)
		}
		a = e.account(id)
	}
	return a, a.ID != ""
}

func (e *Engine) rollAge() time.Duration {
	e.roster.mu.RLock()
	defer e.roster.mu.RUnlock()
	return e.now().Sub(e.roster.at)
}

// callRoll reads which accounts there are, and tells which have left lately. If they cannot be read, those known stay.
func (e *Engine) callRoll(ctx context.Context) ([]Departed, error) {
	if e.cfg.Members == nil {
		return nil, nil
	}
	select {
	case e.roster.called <- struct{}{}:
		defer func() { <-e.roster.called }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	accounts, err := e.cfg.Members(ctx)
	if err != nil {
		e.log.Error("read which accounts there are", "err", err)
	} else {
		e.roster.set(accounts)
	}
	left, rev, noteErr := e.noteRoll(ctx, accounts, err == nil)
	if noteErr != nil && ctx.Err() == nil {
		e.log.Warn("note which accounts there are", "err", noteErr)
	}
	e.roster.mu.Lock()
	defer e.roster.mu.Unlock()
	e.roster.at = e.now()
	if err == nil && noteErr == nil { // else followRoll tries again
		e.roster.rev = rev
	}
	return left, err
}

// noteRoll writes down the accounts if they have changed. A crash before it leaves that to the next scan; of two processes that write at the same
// time, one does.
func (e *Engine) noteRoll(ctx context.Context, accounts []Account, known bool) ([]Departed, uint64, error) {
	c, err := e.cfg.Store.Claimed(ctx, rollClaim)
	if errors.Is(err, ErrNotFound) {
		c, err = Claim{Name: rollClaim}, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var before roll
	if c.Note != "" {
		if err := json.Unmarshal([]byte(c.Note), &before); err != nil {
			e.log.Warn("read which accounts there were: they are noted anew", "err", err)
			before = roll{}
		}
	}
	after := before
	if known {
		after = before.next(accounts, e.now())
	}
	left := slices.SortedFunc(maps.Values(after.Left), func(a, b Departed) int { return cmp.Compare(a.ID, b.ID) })
	note, err := json.Marshal(after)
	if err != nil || !known || string(note) == c.Note {
		return left, c.Rev, err
	}
	c.Holder, c.Note = "", string(note)
	stored, err := e.cfg.Store.Claim(ctx, c)
	if err != nil {
		return left, 0, fmt.Errorf("claim %s: %w", rollClaim, err)
	}
	return left, stored.Rev, nil
}

// next is the roll when these are the accounts.
func (r roll) next(accounts []Account, now time.Time) roll {
	after := roll{Listed: map[string]string{}, Left: map[string]Departed{}}
	for _, a := range accounts {
		after.Listed[a.ID] = a.Name
	}
	for id, d := range r.Left {
		if _, back := after.Listed[id]; !back && now.Sub(d.Since) < toldLeft {
			after.Left[id] = d
		}
	}
	for id, name := range r.Listed {
		if _, stays := after.Listed[id]; !stays {
			after.Left[id] = Departed{ID: id, Name: name, Since: now.UTC().Truncate(time.Second)}
		}
	}
	return after
}

// followRoll reads the accounts anew when another process has found that they have changed, until ctx ends; call what it returns then.
func (e *Engine) followRoll(ctx context.Context) (wait func()) {
	var follows sync.WaitGroup
	if e.cfg.Shared && e.cfg.Members != nil {
		follows.Go(func() {
			for pause(ctx, rollLook) == nil {
				c, err := e.cfg.Store.Claimed(ctx, rollClaim)
				e.roster.mu.RLock()
				same := c.Rev == e.roster.rev
				e.roster.mu.RUnlock()
				if err == nil && !same {
					_, _ = e.callRoll(ctx) // which has logged it
				}
			}
		})
	}
	return follows.Wait
}
