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
