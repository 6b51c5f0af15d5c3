package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
	"github.com/keyturner/keyturner/store"
)

// story is a player in a world of its own that fails its test when something does not happen.
type story struct {
	player
	t    *testing.T
	ctx  context.Context
	logs *locked
	stop func()
}

// begin starts a world. At the end of the test the app is stopped, and every secret that AWS handed out is looked for where none may
// be.
func begin(t *testing.T) *story {
	t.Helper()
	return beginWith(t, settings{})
}

// beginIn is begin on a folder that an earlier world has left.
func beginIn(t *testing.T, folder string) *story {
	t.Helper()
	return beginWith(t, settings{data: folder})
}

// beginWith starts a world with settings of its own, at addresses of its own.
func beginWith(t *testing.T, set settings) *story {
	t.Helper()
	s := &story{t: t, ctx: t.Context(), logs: &locked{}}
	set.page, set.slack, set.aws, set.logs = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", s.logs
	if set.data == "" {
		set.data = t.TempDir()
	}
	if set.begins.IsZero() {
		set.begins = nextMonday(t)
	}
	w, err := newWorld(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	s.player = player{w}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, w.close()); err != nil {
			t.Errorf("stop the world: %v", err)
		}
		if err := w.leaks(s.logs.Bytes()); err != nil {
			t.Errorf("secrets: %v", err)
		}
	}
	s.must(w.ready(t.Context()))
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("the app's log:\n%s", s.logs.Bytes())
		}
	})
	return s
}

// nextMonday is when stories begin, unless they say otherwise: people are at work.
func nextMonday(t *testing.T) time.Time {
	t.Helper()
	now := time.Now().In(vienna(t))
	return time.Date(now.Year(), now.Month(), now.Day()+(8-int(now.Weekday()))%7, 11, 30, 0, 0, now.Location())
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) click(member, place, action string, words ...string) slacksim.Message {
	s.t.Helper()
	m, err := s.clicks(s.ctx, member, place, action, words...)
	s.must(err)
	return m
}

func (s *story) see(member, place string, words ...string) slacksim.Message {
	s.t.Helper()
	m, err := s.sees(s.ctx, member, place, words...)
	s.must(err)
	return m
}

func (s *story) told(member, place string, words ...string) {
	s.t.Helper()
	_, err := s.isTold(s.ctx, member, place, words...)
	s.must(err)
}

func (s *story) offer(member, place, action string, words ...string) slacksim.Message {
	s.t.Helper()
	m, err := s.offered(s.ctx, member, place, action, words...)
	s.must(err)
	return m
}

func (s *story) use(key string) {
	s.t.Helper()
	s.must(s.w.account.Use(key, "s3", "eu-west-1"))
}

func (s *story) keyOf(user string, byBot bool) iamsim.KeyView {
	s.t.Helper()
	k, err := s.key(user, "Active", byBot)
	s.must(err)
	return k
}

// switching plays until both keys of a user work and the owner has the secret.
func (s *story) switching(user string) (old, fresh iamsim.KeyView) {
	s.t.Helper()
	old = s.keyOf(user, false)
	s.must(s.requests(s.ctx, ana, user, false))
	s.click(carol, "key-approvals", "approve", user)
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	s.offer(ana, dm, "confirm", user)
	return old, s.keyOf(user, true)
}

// graced plays on until the old key is inactive.
func (s *story) graced(user string) (old, fresh iamsim.KeyView) {
	s.t.Helper()
	old, fresh = s.switching(user)
	s.use(fresh.ID)
	s.w.skip(25 * time.Hour)
	s.click(ana, dm, "confirm", user)
	s.click(dave, "key-approvals", "approve", "Deactivate the old key of "+user)
	s.must(s.awaitStatus(s.ctx, user, old.ID, "Inactive"))
	s.offer(ana, dm, "reactivate", user)
	return old, fresh
}

// entries stops the world and reads what is on record.
func (s *story) entries() []rotation.Entry {
	s.t.Helper()
	s.stop()
	kept, err := store.Open("bolt:" + s.w.storePath)
	s.must(err)
	defer kept.Close()
	var all []rotation.Entry
	s.must(kept.Entries(s.ctx, func(_ string, e rotation.Entry) error {
		all = append(all, e)
		return nil
	}))
	s.must(kept.Scan(s.ctx, func(p rotation.Progress) error {
		all = append(all, p.Trail...)
		return nil
	}))
	return all
}

// recorded stops the world and fails unless there is an entry of that actor, with that outcome and those words in its detail.
func (s *story) recorded(actor, outcome string, words ...string) {
	s.t.Helper()
	all := s.entries()
	if !slices.ContainsFunc(all, func(e rotation.Entry) bool {
		return e.Actor == actor && e.Outcome == outcome &&
			!slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e.Detail+" "+e.Action, w) })
	}) {
		s.t.Errorf("no entry of %s, %s, with %q; there are: %+v", actor, outcome, words, all)
	}
}

// changes counts the calls that changed AWS.
func (s *story) changes(op string) int {
	n := 0
	for _, c := range s.w.aws.Calls() {
		if c.Op == op && c.Applied {
			n++
		}
	}
	return n
}
