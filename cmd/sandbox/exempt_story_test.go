package main

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// chooses has a member choose in the menu of a message, by the words of an option.
func (s *story) chooses(member, place, menu, option string, words ...string) {
	s.t.Helper()
	m := s.offer(member, place, menu, words...)
	s.must(s.w.slack.As(member).Click(s.ctx, slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: menu, Selected: option}))
}

// dayIn is a day as a date picker has it, by the world's clock.
func (s *story) dayIn(days int) string {
	return s.w.clock.now().AddDate(0, 0, days).Format(time.DateOnly)
}

// exempts fills in the form that is open: the key by its id, the last day and the reason. It returns what stands beside the fields.
func (s *story) exempts(member, key, until, reason string) map[string]string {
	s.t.Helper()
	v, err := s.modal(s.ctx, member, "Ask for an exemption", func(v slacksim.View) bool { return v.Submit != "" })
	s.must(err)
	option, err := optionFor(v, key[:4]+"…"+key[len(key)-4:])
	s.must(err)
	problems, err := s.w.slack.As(member).Submit(s.ctx, map[string]string{"key": option, "until": until, "reason": reason})
	s.must(err)
	return problems
}

// asked plays until an exemption of the active key of a user waits for a decision.
func (s *story) asked(member, user string, days int) string {
	s.t.Helper()
	key := s.keyOf(user, false).ID
	if _, err := s.w.slack.As(member).Command(s.ctx, "general", "/rotate-key", "exempt "+key); err != nil {
		s.t.Fatal(err)
	}
	if problems := s.exempts(member, key, s.dayIn(days), "the vendor takes no second key before spring"); len(problems) > 0 {
		s.t.Fatalf("the form complains: %v", problems)
	}
	_, err := s.modal(s.ctx, member, "Ask for an exemption", func(v slacksim.View) bool {
		return v.Submit == "" && strings.Contains(viewText(v), "Until they have decided nothing is accepted")
	})
	s.must(err)
	s.must(s.w.slack.As(member).CloseView(s.ctx))
	s.offer(carol, "key-approvals", "exempt-approve", "Accept what is found about a key of "+user+"?", key, "before spring")
	return key
}

// Ana asks from her warning, Carol accepts, the digest tells of it, she and on-call are told before it ends and when.
func TestStory_AnExemption(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("ci-deploy", false).ID
	s.chooses(ana, dm, "finding", "Ask for an exemption", "A key of ci-deploy is too old")
	for _, wrong := range []struct{ until, reason, at, words string }{
		{s.dayIn(-1), "x", "until", "That day is over"},
		{s.dayIn(370), "x", "until", "a year at most"},
		{s.dayIn(20), " ", "reason", "Give a reason"},
	} {
		if problems := s.exempts(ana, key, wrong.until, wrong.reason); !strings.Contains(problems[wrong.at], wrong.words) || len(problems) != 1 {
			t.Errorf("until %s for %q: %v", wrong.until, wrong.reason, problems)
		}
	}
	if problems := s.exempts(ana, key, s.dayIn(20), "the vendor takes no second key before spring"); len(problems) > 0 {
		t.Fatalf("the form complains: %v", problems)
	}
	s.offer(carol, "key-approvals", "exempt-approve", "Accept what is found about a key of ci-deploy?", key, "<@"+ana+"> asks", "before spring", "too old", "<@"+carol+"> or <@"+dave+"> may decide")
	s.types(ana, "list", "an exemption until", "nobody has decided yet")
	s.click(carol, "key-approvals", "exempt-approve", "ci-deploy")
	s.see(carol, "key-approvals", "Accepted: accept what is found about a key of ci-deploy", "Accepted by <@"+carol+">")
	s.see(ana, dm, "Accepted: the exemption of a key of ci-deploy")
	s.types(ana, "list", "exempt until", "accepted by <@"+carol+">", "before spring")
	s.types(carol, "whois "+key, "exempt until", "accepted by <@"+carol+">")
	s.w.skip(time.Hour)
	s.types(dave, "digest", "by direct message")
	s.see(dave, dm, "Access keys today", "Exempt for now:", "ci-deploy in acme-production", "before spring")

	s.w.skip(7 * day)
	s.see(dave, "on-call", "week", "Exempt, and about to end:", "ci-deploy in acme-production", "accepted by <@"+carol+">", "before spring",
		"To prolong it, <@"+ana+"> or on-call types", "/rotate-key exempt "+key)
	s.w.skip(8 * day)
	for member, place := range map[string]string{ana: dm, dave: "on-call"} {
		s.see(member, place, "An exemption for ci-deploy ends soon", "accepted until", "Owner: <@"+ana+">")
	}
	s.w.skip(7 * day)
	for member, place := range map[string]string{ana: dm, dave: "on-call"} {
		s.see(member, place, "An exemption for ci-deploy has ended", "at its date")
	}
	s.types(ana, "history", "ci-deploy", "accepted by <@"+carol+">", "at its date")
	s.types(carol, "unexempt "+key, "nothing to end")
	if n := s.changes("UpdateAccessKey") + s.changes("DeleteAccessKey"); n != 0 {
		t.Errorf("%d keys were changed", n)
	}
	s.recorded(ana, "moved", "exempt", "before spring")
	s.recorded(carol, "moved", "approve-exemption")
	s.recorded("clock", "moved", "end-exemption")
}

// Four eyes: neither who asks nor the owner decides, and nobody else asks.
func TestStory_WhoDecidesAboutAnExemption(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.asked(dave, "reporting", 30)
	s.click(dave, "key-approvals", "exempt-approve", "reporting")
	s.told(dave, "key-approvals", "You asked for this exemption yourself")
	s.types(dave, "link @carol acme-production/reporting", "<@"+carol+"> is the owner")
	s.click(carol, "key-approvals", "exempt-approve", "reporting")
	s.told(carol, "key-approvals", "This key is yours")
	s.click(ana, "key-approvals", "exempt-approve", "reporting")
	s.told(ana, "key-approvals", "Only an approver can decide")
	s.types(ana, "unexempt "+key, "Only on-call and those who may approve")
	s.types(carol, "unexempt "+key, "nothing is asked for")
	s.see(dave, "key-approvals", "Withdrawn: accept what is found about a key of reporting", "Withdrawn by <@"+carol+">")
	s.see(dave, dm, "Withdrawn: the exemption of a key of reporting")

	if _, err := s.w.slack.As(ana).Command(s.ctx, "general", "/rotate-key", "exempt "+key); err != nil {
		t.Fatal(err)
	}
	v, err := s.modal(s.ctx, ana, "Ask for an exemption", func(v slacksim.View) bool { return !strings.Contains(viewText(v), "Reading the keys") })
	s.must(err)
	if text := viewText(v); strings.Contains(text, "reporting") || !strings.Contains(text, "Only on-call and those who may approve") {
		t.Errorf("a stranger is shown %s", text)
	}
	for _, words := range []string{"own-request", "own-key", "not-approver"} {
		s.recorded(map[string]string{"own-request": dave, "own-key": carol, "not-approver": ana}[words], "refused", words, "approve-exemption")
	}
	s.recorded(ana, "refused", "not-owner", "exempt")
}

// Dave denies, with a reason that Ana is told; the next one nobody answers, and it lapses.
func TestStory_AnExemptionIsDeniedAndOneLapses(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.asked(ana, "ci-deploy", 30)
	s.click(dave, "key-approvals", "exempt-deny", "ci-deploy")
	s.reasons(dave, "Deny the exemption", "a build server can take a role")
	s.see(carol, "key-approvals", "Denied: accept", "Denied by <@"+dave+">", "can take a role")
	s.see(ana, dm, "Denied: the exemption", "can take a role", "Start the rotation")
	s.types(ana, "list", "ci-deploy")
	s.recorded(dave, "moved", "deny-exemption", "can take a role")

	s2 := begin(t)
	if again := s2.asked(ana, "ci-deploy", 30); again != key {
		t.Fatalf("another key: %s", again)
	}
	s2.w.skip(4 * day)
	s2.see(carol, "key-approvals", "Lapsed: accept what is found about a key of ci-deploy", "nothing is accepted")
	s2.see(ana, dm, "Lapsed: the exemption", "Start the rotation")
	s2.recorded("clock", "moved", "lapse-exemption")
}

// An approver ends early what was accepted, and its owner is told. What was accepted of a key is not of the next one.
func TestStory_AnExemptionEndsEarly(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.asked(ana, "ci-deploy", 30)
	s.click(carol, "key-approvals", "exempt-approve", "ci-deploy")
	s.offer(ana, dm, "exempt-end", "Accepted: the exemption")
	s.click(dave, "key-approvals", "exempt-end", "ci-deploy")
	s.see(carol, "key-approvals", "Ended early: accept", "Ended early by <@"+dave+">")
	s.see(ana, dm, "An exemption for ci-deploy has ended", "Ended early by <@"+dave+">")
	s.see(dave, "on-call", "An exemption for ci-deploy has ended")

	s.asked(ana, "ci-deploy", 300)
	s.click(carol, "key-approvals", "exempt-approve", "Accept what is found about a key of ci-deploy?")
	s.see(ana, dm, "Accepted: the exemption")
	old, _ := s.graced("ci-deploy")
	if old.ID != key {
		t.Fatalf("another key: %s", old.ID)
	}
	s.types(ana, "list", "exempt until")
	s.w.skip(8 * day)
	s.click(carol, "key-approvals", "approve", "Delete the old key of ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, ""))
	s.see(ana, dm, "Over: the exemption of a key of ci-deploy", "nothing left to accept")
	if m := s.types(ana, "list", "ci-deploy"); strings.Contains(m.Text, "accepted by") {
		t.Errorf("the new key has inherited it: %s", m.Text)
	}
}

// What the approver was shown has changed: their approval does not count, and the card asks anew.
func TestStory_AnExemptionOfAKeyThatChanged(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.asked(ana, "data-import", 30)
	s.use(key)
	s.click(carol, "key-approvals", "exempt-approve", "data-import", "never, as far as AWS has recorded")
	s.told(carol, "key-approvals", "not as it was shown any more")
	s.offer(carol, "key-approvals", "exempt-approve", "data-import", "by s3")
	s.w.aws.Fail("ListAccessKeys", iamsim.Fault{Code: "AccessDenied", Times: 1})
	s.click(carol, "key-approvals", "exempt-approve", "data-import")
	s.told(carol, "key-approvals", "could not be read")
	s.w.account.RemoveKey(key)
	s.click(carol, "key-approvals", "exempt-approve", "data-import")
	s.told(carol, "key-approvals", "is not a key of data-import")
	s.see(ana, dm, "Over: the exemption of a key of data-import", "nothing left to accept")
	s.recorded("engine", "moved", "renew-exemption")
}

// A leak goes before what was accepted, and of a key that is exposed nobody accepts anything.
func TestStory_NothingIsAcceptedOfALeakedKey(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.asked(ana, "ci-deploy", 30)
	s.click(carol, "key-approvals", "exempt-approve", "ci-deploy")
	s.see(ana, dm, "Accepted: the exemption")
	s.types(ana, "snooze "+key, "You are not warned")
	s.types(dave, "leaked "+key, "is reported as leaked")
	s.see(ana, dm, "Over: the exemption", "reported as leaked")
	s.types(ana, "snooze "+key+" 3", "nobody accepts or silences that")
	if m := s.types(ana, "list", "ci-deploy"); strings.Contains(m.Text, "snoozed") || strings.Contains(m.Text, "exempt until") {
		t.Errorf("something is accepted still: %s", m.Text)
	}
	s.recorded("engine", "moved", "end-snooze", "leaked")
}

// Ben silences a warning about his key, twice; the digest tells of it, and the warnings come again.
func TestStory_ASnooze(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("reporting", false).ID
	s.chooses(ben, dm, "finding", "Snooze the warnings for 14 days", "A key of reporting is 75 days old")
	s.told(ben, dm, "You are not warned about", "reporting")
	s.types(ben, "snooze "+key, "are snoozed until")
	s.types(ana, "snooze "+key, "Only on-call and those who may approve")
	s.types(dave, "snooze "+key, "Only the owner of reporting")
	s.types(ben, "list", "warnings snoozed until", "by <@"+ben+">")
	s.w.skip(7 * day)
	s.see(dave, "on-call", "reporting in acme-production", "Snoozed until", "by <@"+ben+">")
	s.w.skip(7 * day)
	s.see(ben, dm, "Your snooze for reporting is over", "From now on they come again")
	s.types(ben, "snooze "+key+" 3", "You are not warned about")
	before := s.w.clock.now()
	s.w.skip(2 * day) // 91 days old
	for _, m := range s.w.slack.As(ben).Screen().DM().Messages {
		if strings.Contains(m.Text, "A key of reporting is too old") {
			t.Errorf("warned while it is snoozed: %s", m.Text)
		}
	}
	s.w.skip(2 * day)
	s.see(ben, dm, "A key of reporting is too old")
	s.types(ben, "snooze "+key, "have been snoozed twice")
	s.types(ben, "history", "warnings snoozed from")
	if s.w.clock.now().Sub(before) < 4*day {
		t.Error("the clock stands still")
	}
	s.recorded(ben, "moved", "snooze", "until ")
	s.recorded(dave, "refused", "not-owner", "snooze")
}

// The Home tab has the queue of an approver, and what is accepted of an owner's keys.
func TestStory_HomeTellsOfExemptions(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.asked(ana, "ci-deploy", 30)
	for _, member := range []string{ana, carol} {
		s.must(s.w.slack.As(member).OpenHome(s.ctx))
	}
	s.home(carol, "Waiting for you: 1", "Accept a finding?", "Decide on the card")
	s.home(ana, "Nothing waits for you", "nobody has decided yet")
	s.click(carol, "key-approvals", "exempt-approve", "ci-deploy")
	s.home(ana, "exempt until", "accepted by")
	s.home(carol, "Nothing waits for you")
}
