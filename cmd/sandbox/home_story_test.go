package main

import (
	"strings"
	"testing"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// home waits until a member's Home tab says all of the words.
func (s *story) home(member string, words ...string) slacksim.View {
	s.t.Helper()
	screen, err := s.w.slack.As(member).Await(s.ctx, func(screen slacksim.Screen) bool {
		if screen.Home == nil {
			return false
		}
		for _, w := range words {
			if !strings.Contains(screen.Home.Content(), w) {
				return false
			}
		}
		return true
	})
	if err != nil {
		s.t.Fatalf("the Home tab of %s should say %q: %v; it says %+v", member, words, err, screen.Home)
	}
	return *screen.Home
}

func TestStory_HomeTabs(t *testing.T) {
	t.Parallel()
	s := begin(t)
	for _, member := range []string{ana, carol} {
		s.must(s.w.slack.As(member).OpenHome(s.ctx))
		s.home(member, "Nothing waits for you")
	}
	if v := s.home(ana, "ci-deploy", "Needs attention: too old", "data-import", "never used"); strings.Contains(v.Content(), "All accounts") || strings.Contains(v.Content(), "legacy-billing") {
		t.Error("an engineer is shown all accounts, or others' keys")
	}
	s.home(carol, "Keys that need attention: ", "legacy-billing", "Owner: <@"+ben+">", "need attention in", "All accounts")

	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	v := s.home(carol, "Waiting for you: 1", "ci-deploy", "Decide on the card", "1 rotation running, 1 waiting for a decision")
	card := s.offer(carol, "key-approvals", "approve", "ci-deploy")
	if link := "/p" + strings.ReplaceAll(card.TS, ".", ""); !strings.Contains(v.Content(), link) {
		t.Errorf("no link to the card at %s: %s", link, v.Content())
	}
	s.home(ana, "Nothing waits for you", "Your rotations")

	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.home(ana, "Waiting for you: 1", "Move your applications to the new key")
	s.home(carol, "Nothing waits for you")

	// Whoever never opened theirs has none.
	if s.w.slack.As(dave).Screen().Home != nil {
		t.Error("a Home tab was published that nobody opened")
	}
}

func TestStory_HomeTabOpensTheModal(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.w.slack.As(ana).OpenHome(s.ctx))
	v := s.home(ana, "ci-deploy")
	s.must(s.w.slack.As(ana).Click(s.ctx, slacksim.Target{ViewID: v.ID, ActionID: "keys"}))
	_, err := s.modal(s.ctx, ana, "Rotate a key", func(v slacksim.View) bool { return v.Submit != "" })
	s.must(err)
}

func TestStory_HomeTabOfAGuest(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.w.slack.AddMember(slacksim.Member{ID: "U0GUEST001", Name: "gus", Restricted: true})
	s.must(s.w.slack.As("U0GUEST001").OpenHome(s.ctx))
	if v := s.home("U0GUEST001", "full members"); strings.Contains(v.Content(), "Your keys") {
		t.Errorf("a guest is shown keys: %s", v.Content())
	}
}
