package rotation_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// guild is a firm whose accounts come and go.
type guild struct {
	*firm
	mu     sync.Mutex
	listed []rotation.Account
	fails  error
}

// lists has the organization list these accounts from now on.
func (g *guild) lists(accounts []rotation.Account) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listed = accounts
}

// fail has it answer with an error from now on; nil: with its accounts.
func (g *guild) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fails = err
}

func inGuild(t *testing.T, accounts int, test func(*guild)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &guild{firm: newFirm(t, store.NewMem(), accounts)}
		g.listed = g.accounts
		test(g)
	})
}

// process starts an engine, as another process or after a restart.
func (g *guild) process() *rotation.Engine {
	g.Helper()
	return g.with(func(c *rotation.Config) {
		c.Accounts = slices.Clone(g.listed)
		c.Members = func(context.Context) ([]rotation.Account, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.fails != nil {
				return nil, g.fails
			}
			return g.listed, nil
		}
	})
}

// wants scans, and compares which accounts were asked, which have left, and whether the list could be read.
func (g *guild) wants(e *rotation.Engine, asked, left string, listed bool) rotation.Survey {
	g.Helper()
	before := len(g.sim.Calls())
	s, err := e.Survey(g.Context())
	var gone []string
	for _, d := range s.Left {
		gone = append(gone, d.ID[9:])
	}
	if got := g.asked(before); err != nil || got != asked || strings.Join(gone, " ") != left || (s.Unlisted == nil) != listed {
		g.Errorf("calls to %q, want %q; left %v, want %q; unlisted %v; error %v", got, asked, gone, left, s.Unlisted, err)
	}
	if len(s.Accounts) != len(strings.Fields(asked)) || len(s.Unread()) != 0 {
		g.Errorf("accounts: %+v", s.Accounts)
	}
	return s
}

// TestSurvey_AccountsComeAndGo: who is there is read before each scan; who has left is named for some days, over a restart too, and not scanned.
func TestSurvey_AccountsComeAndGo(t *testing.T) {
	inGuild(t, 3, func(g *guild) {
		all := g.accounts
		g.lists(all[:2])
		e := g.process()
		g.wants(e, "000 001", "", true)
		g.lists(all)
		g.wants(e, "000 001 002", "", true)
		g.lists([]rotation.Account{all[0], all[2]})
		s := g.wants(e, "000 002", "001", true)
		if d := s.Left[0]; d.Name != all[1].Name || time.Since(d.Since) > time.Minute {
			g.Errorf("%+v has left", d)
		}
		time.Sleep(7 * day)
		g.wants(g.process(), "000 002", "001", true) // after a restart
		g.fail(errors.New("no answer"))
		g.wants(e, "000 002", "001", false)
		g.fail(nil)
		time.Sleep(2 * day)
		g.wants(g.process(), "000 002", "", true)
		g.lists(all[:2])
		g.wants(e, "000 001", "002", true)
		g.lists(all)
		g.wants(e, "000 001 002", "", true) // it is back
	})
}

// TestRoster_OfOthers: a process that does not scan knows an account that another one has found, within a minute or as soon as it is asked for, and
// goes on with a rotation in one that has left.
func TestRoster_OfOthers(t *testing.T) {
	inGuild(t, 3, func(g *guild) {
		all := g.accounts
		g.lists(all[:1])
		scans, serves, asks := g.process(), g.process(), g.process()
		for range 2 {
			time.Sleep(2 * time.Minute)
			if _, err := asks.HoldingOf(g.Context(), rotation.UserRef{Account: all[1].ID, Name: "never"}); !refusedFor(err, rotation.NoAccount) {
				g.Errorf("of an account that there is not: %v", err)
			}
		}
		ctx, cancel := context.WithCancel(g.Context())
		ended := make(chan error, 1)
		go func() { ended <- serves.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		g.lists(all[:2])
		g.wants(scans, "000 001", "", true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		never := rotation.UserRef{Account: all[1].ID, Name: "never"}
		g.fail(errors.New("no answer")) // it has been asked by now
		if h, err := serves.HoldingOf(g.Context(), never); err != nil || len(h.Keys) != 1 {
			g.Errorf("a process that serves: %+v, %v", h, err)
		}
		synctest.Wait()
		g.fail(nil)
		if h, err := asks.HoldingOf(g.Context(), never); err != nil || len(h.Keys) != 1 {
			g.Errorf("a process that is asked: %+v, %v", h, err)
		}

		p, err := serves.Request(g.Context(), rotation.Request{User: rotation.UserRef{Account: all[1].ID, Name: "old-000"}, By: rotation.Actor{Member: owner}})
		if err != nil {
			g.Fatal(err)
		}
		g.lists(all[:1])
		g.wants(scans, "000", "001", true)
		time.Sleep(2 * time.Minute)
		before := len(g.sim.Calls())
		if _, err := serves.Act(g.Context(), p.Rotation.Ref(), rotation.Approve, rotation.Actor{Member: carol, Approver: true}, ""); err != nil {
			g.Errorf("approve in an account that has left: %v", err)
		}
		time.Sleep(time.Minute)
		if asked := g.asked(before); asked != "001" {
			g.Errorf("calls to %q, want the account that has left", asked)
		}
		cancel()
		if err := <-ended; err != nil {
			g.Error(err)
		}
	})
}

func refusedFor(err error, code rotation.Code) bool {
	r, ok := errors.AsType[*rotation.Refusal](err)
	return ok && r.Code == code
}

// TestRoster_OfOthersReadAgain: a process that could not read the accounts when another one had found a change reads them once more.
func TestRoster_OfOthersReadAgain(t *testing.T) {
	inGuild(t, 2, func(g *guild) {
		all := g.accounts
		g.lists(all[:1])
		scans, serves := g.process(), g.process()
		g.wants(scans, "000", "", true)
		ctx, cancel := context.WithCancel(g.Context())
		ended := make(chan error, 1)
		go func() { ended <- serves.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		g.lists(all)
		g.wants(scans, "000 001", "", true)
		g.fail(errors.New("too many requests"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		g.fail(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		before := len(g.sim.Calls())
		if _, err := serves.Whois(g.Context(), "AKIANOBODY"); err != nil {
			g.Error(err)
		}
		if asked := g.asked(before); asked != "000 001" {
			g.Errorf("it looks in %q, want the new account too", asked)
		}
		cancel()
		if err := <-ended; err != nil {
			g.Error(err)
		}
	})
}
