package main

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// gone waits until a member's DM has a message no more.
func (s *story) gone(member, ts string) {
	s.t.Helper()
	_, err := s.w.slack.As(member).Await(s.ctx, func(sc slacksim.Screen) bool {
		_, there := sc.DM().Message(ts)
		return !there
	})
	s.must(err)
}

// Ana never has to guess: her card tells what is missing, and when nothing is any more she gets one new message.
func TestStory_TheGateOpensByItself(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, fresh := s.switching("ci-deploy")
	s.see(ana, dm, "Key rotation for ci-deploy", "Keyturner looks by itself from")
	s.w.skip(3 * time.Hour)
	s.see(ana, dm, "Key rotation for ci-deploy", "Still missing", "AWS has no use of the new key")

	s.use(fresh.ID)
	s.use(old.ID)
	s.click(ana, dm, "confirm", "Key rotation for ci-deploy")
	s.told(ana, dm, "is still in use")
	s.see(ana, dm, "Key rotation for ci-deploy", "Still missing", "is still in use", "Keyturner looks again on")
	for range 5 {
		s.w.skip(6 * time.Hour)
	}
	opened := s.see(ana, dm, "You can confirm now", fresh.ID[len(fresh.ID)-4:])
	s.see(ana, dm, "Steps:", "Nothing is missing any more")
	s.click(ana, dm, "confirm", "You can confirm now")
	after := s.see(ana, dm, "The rotation has gone on since")
	if after.TS != opened.TS {
		t.Error("another message tells that the rotation has gone on")
	}
	s.offer(carol, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	for _, op := range []string{"UpdateAccessKey", "DeleteAccessKey"} {
		if n := s.changes(op); n != 0 {
			t.Errorf("looking has called %s %d times", op, n)
		}
	}
}

// Somebody who is on call asks for a key in Ana's name, and she never wanted it. The key has been used by then.
func TestStory_NotMe(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, fresh := s.switching("ci-deploy")
	secret, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	s.use(fresh.ID)

	s.click(ana, dm, "disown", "Have you stored the secret")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", fresh.ID, "Inactive"))
	s.gone(ana, secret.TS)
	s.see(ana, dm, "you did not ask for")
	told := s.see(dave, "on-call", "Not me", "ci-deploy", fresh.ID, "Requested by: <@"+ana+">", "Approved by: <@"+carol+">")
	s.see(carol, "key-approvals", "The owner did not ask for the new key of ci-deploy")
	if k := s.keyOf("ci-deploy", false); k.ID != old.ID {
		t.Errorf("the old key should be active: %+v", k)
	}

	s.click(dave, "key-approvals", "revoke", "ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", fresh.ID, ""))
	after := s.see(dave, "on-call", "Not me", "It is revoked")
	if after.TS != told.TS {
		t.Error("on-call is told twice, in two messages")
	}
	s.see(ana, dm, "cancelled", "did not ask for the new key")
	s.recorded(ana, "moved", "disown")
}

// AWS does not let the bot make the key inactive: on-call and the approvers are told so, and it is tried again.
func TestStory_NotMeIsDeniedByAWS(t *testing.T) {
	t.Parallel()
	s := begin(t)
	_, fresh := s.switching("ci-deploy")
	s.w.aws.Fail("UpdateAccessKey", iamsim.Fault{Code: "AccessDenied", Times: 1})
	s.click(ana, dm, "disown", "Have you stored the secret")
	s.see(carol, "key-approvals", "stuck", "could not be made inactive")
	s.see(dave, "on-call", "Not me", "It may still be active")
	s.click(dave, "key-approvals", "try-again", "ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", fresh.ID, "Inactive"))
	s.click(dave, "key-approvals", "close", "What becomes of it")
	_, err := s.modal(s.ctx, dave, "Close the rotation", nil)
	s.must(err)
	if _, err := s.w.slack.As(dave).Submit(s.ctx, map[string]string{"reason": "kept for the investigation"}); err != nil {
		t.Fatal(err)
	}
	s.see(ana, dm, "closed")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", fresh.ID, "Inactive"))
}

// A new key is disowned after its owner, or somebody under their name, has confirmed.
func TestStory_NotMeAfterTheConfirmation(t *testing.T) {
	t.Parallel()
	s := begin(t)
	_, fresh := s.switching("ci-deploy")
	s.use(fresh.ID)
	s.w.skip(25 * time.Hour)
	s.click(ana, dm, "confirm", "ci-deploy")
	s.click(ana, dm, "disown", "Key rotation for ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", fresh.ID, "Inactive"))
	m := s.see(carol, "key-approvals", "Disowned: deactivate the old key of ci-deploy")
	if strings.Contains(m.Text, "If you approve") {
		t.Errorf("the ask is open still: %s", m.Text)
	}
}

// reasons types a reason into the modal with that title.
func (s *story) reasons(member, title, reason string) {
	s.t.Helper()
	_, err := s.modal(s.ctx, member, title, func(v slacksim.View) bool { return v.Submit != "" })
	s.must(err)
	problems, err := s.w.slack.As(member).Submit(s.ctx, map[string]string{"reason": reason})
	s.must(err)
	if len(problems) > 0 {
		s.t.Fatalf("the modal complains: %v", problems)
	}
}

// The old key is used by a host that nobody can reach: an approver answers for that, another one decides on it, and the digest tells.
func TestStory_AnApproverOverrulesTheEvidence(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, _ := s.switching("ci-deploy")
	s.use(old.ID)
	s.click(ana, dm, "confirm", "Key rotation for ci-deploy")
	s.told(ana, dm, "is still in use")

	s.click(dave, "key-approvals", "overrule", "ci-deploy")
	s.reasons(dave, "Overrule the evidence", "the host is gone and nobody can reach it")
	ask := s.offer(carol, "key-approvals", "approve", "Deactivate the old key of ci-deploy", "<@"+dave+"> overruled", "the host is gone",
		"AWS says:", "no use of the new key", "is still in use")
	if strings.Contains(ask.Text, "AWS agrees") {
		t.Errorf("the card says that AWS agrees: %s", ask.Text)
	}
	s.see(ana, dm, "was overruled", "the host is gone", old.ID[len(old.ID)-4:])
	s.offer(ana, dm, "cancel", "Key rotation for ci-deploy")
	s.use(old.ID)
	s.click(carol, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
	s.offer(ana, dm, "reactivate", "ci-deploy")
	s.w.skip(7 * day)
	s.see(dave, "on-call", "Evidence overruled lately: 1", "<@"+dave+">", "the host is gone")
	s.offer(carol, "key-approvals", "approve", "Delete the old key of ci-deploy")
	s.recorded(dave, "moved", "overrule", "the host is gone")
}

// What somebody else has done nobody can overrule, and an owner cannot overrule for themselves.
func TestStory_WhatCannotBeOverruled(t *testing.T) {
	t.Parallel()
	s := begin(t)
	_, fresh := s.switching("ci-deploy")
	s.w.account.SetKeyStatus(fresh.ID, false)
	s.click(dave, "key-approvals", "overrule", "ci-deploy")
	s.reasons(dave, "Overrule the evidence", "it is urgent")
	_, err := s.modal(s.ctx, dave, "Overrule the evidence", func(v slacksim.View) bool {
		return v.Submit == "" && strings.Contains(viewText(v), "is not active")
	})
	s.must(err)
	s.see(carol, "key-approvals", "stuck", "is not active")
	if n := s.changes("UpdateAccessKey"); n != 0 {
		t.Errorf("%d keys were changed", n)
	}
	s.recorded(dave, "refused", "new-inactive")
}

// Dave, who is on call, reports a key that is in use and deactivates it himself, while a rotation of it waits for an approver.
func TestStory_ALeakedKeyIsDeactivatedOnOnePersonsWord(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old := s.keyOf("ci-deploy", false)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.use(old.ID)

	s.types(dave, "leaked "+old.ID, "is reported as leaked", "ci-deploy")
	s.see(carol, "key-approvals", "Overtaken")
	s.offer(carol, "key-approvals", "approve", "Leaked: deactivate a key of ci-deploy now?", old.ID)
	s.see(ana, dm, "Be ready")
	s.click(ben, "on-call", "approve", "Leaked: deactivate a key of ci-deploy now?")
	s.told(ben, "on-call", "Only on-call and those who may approve")
	if n := s.changes("UpdateAccessKey"); n != 0 {
		t.Fatalf("%d keys were changed before anybody decided", n)
	}

	s.click(dave, "on-call", "approve", "Leaked: deactivate a key of ci-deploy now?")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
	s.see(ana, dm, "A leaked key of ci-deploy is deactivated", "<@"+dave+"> has decided so")
	s.see(carol, "key-approvals", "Approved: deactivate a leaked key of ci-deploy")
	s.offer(ana, dm, "reactivate", "Key rotation for ci-deploy")

	s.click(ana, dm, "replenish", "Key rotation for ci-deploy")
	s.click(carol, "key-approvals", "approve", "Create a new key for ci-deploy?", "is reported as leaked and is inactive")
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	fresh := s.keyOf("ci-deploy", true)
	s.see(ana, dm, "Key rotation for ci-deploy", "is yours")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
	s.w.skip(15 * day)
	s.click(carol, "key-approvals", "approve", "Delete a key of ci-deploy?")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, ""))
	s.see(ana, dm, "has taken its place")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", fresh.ID, "Active"))
	s.recorded(dave, "moved", "approve")
}

// An owner reports their own key and cannot decide about it; a stranger learns nothing; a key that nobody has is told to be none.
func TestStory_WhoReportsALeak(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("reporting", false) // Ben's
	if m := s.types(ana, "leaked "+key.ID, "Only on-call and those who may approve"); strings.Contains(m.Text, "reporting") || strings.Contains(m.Text, ben) {
		t.Errorf("somebody learns whose key it is: %s", m.Text)
	}
	s.types(dave, "leaked AKIAIOSFODNN7EXA7Q2X", "Whose key is")

	s.types(ben, "leaked "+key.ID, "is reported as leaked")
	s.click(ben, "key-approvals", "approve", "Leaked: deactivate a key of reporting now?")
	s.told(ben, "key-approvals", "Only on-call")
	s.click(carol, "key-approvals", "deny", "Leaked: deactivate a key of reporting now?")
	s.reasons(carol, "Deny the request", "the honeypot's")
	s.see(ben, dm, "denied", "the honeypot's")
	if n := s.changes("UpdateAccessKey"); n != 0 {
		t.Errorf("%d keys were changed", n)
	}
	s.types(ana, "leaked "+s.keyOf("mobile-push", false).ID, "is reported as leaked") // she is of the group that owns it
	s.recorded(ana, "refused", "not-owner")
}

// AWS has quarantined a user: the digest says so first, and how to go on.
func TestStory_AQuarantinedUserIsInTheDigest(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.see(dave, "on-call", "week", "need attention")
	s.w.account.AddUser(iamsim.User{Name: "leaky", Tags: map[string]string{"slack-user-id": ana}, Policies: []string{
		"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
	}})
	key := s.w.account.AddKey("leaky", iamsim.Key{})
	s.w.skip(7 * day)
	s.see(dave, "on-call", "leaky", "AWS has found a key of this user in public", "/rotate-key leaked "+key)
	s.must(s.requests(s.ctx, ana, "leaky", false))
	s.see(carol, "key-approvals", "Create a new key for leaky", "AWS has found a key of this user in public")
}
