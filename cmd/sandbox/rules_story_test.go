package main

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// deployers is a user group that decides about ci-deploy.
const deployers = "S0DEPLOYERS"

const deployRule = `
approval:
  - name: deploys
    users: ["ci-*"]
    approvers: [` + deployers + `]
    needed: {create: 2}
    expires: 24h
`

// beginRuled starts a world with a rule, and with a group of these members.
func beginRuled(t *testing.T, rule string, members ...string) *story {
	t.Helper()
	s := beginWith(t, settings{further: rule})
	s.group(members...)
	return s
}

// group says who is in the group, and lets what was believed of it be forgotten.
func (s *story) group(members ...string) {
	s.w.slack.AddUserGroup(slacksim.UserGroup{ID: deployers, Handle: "deployers", Name: "Deployers", Users: members})
	s.w.skip(2 * time.Minute)
}

func TestStory_TwoOfThree(t *testing.T) {
	t.Parallel()
	s := beginRuled(t, deployRule, carol, dave, ben, ana)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.see(carol, "key-approvals", "2 approvals are needed", "<!subteam^"+deployers+">")
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(ben, "key-approvals", "1 of 2 approved by <@"+carol+">", "One more approver must decide")
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.told(carol, "key-approvals", "You have approved this already")
	s.click(ana, "key-approvals", "approve", "ci-deploy")
	s.told(ana, "key-approvals", "You asked for this rotation yourself")
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("%d keys were created on one approval of two", n)
	}
	s.click(ben, "key-approvals", "approve", "ci-deploy")
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	s.see(dave, "key-approvals", "Approved by <@"+carol+"> and <@"+ben+">")
	if n := s.changes("CreateAccessKey"); n != 1 {
		t.Errorf("%d keys were created, want 1", n)
	}
	s.recorded(carol, "moved", "approve")
	s.recorded(ben, "moved", "approve")
	s.recorded(carol, "refused", "approved")
}

func TestStory_ADenialAfterAnApproval(t *testing.T) {
	t.Parallel()
	s := beginRuled(t, deployRule, carol, dave, ben)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	seen := s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(dave, "key-approvals", "1 of 2 approved")
	s.click(dave, "key-approvals", "deny", "ci-deploy")
	_, err := s.modal(s.ctx, dave, "Deny the request", nil)
	s.must(err)
	if _, err := s.w.slack.As(dave).Submit(s.ctx, map[string]string{"reason": "the build is frozen"}); err != nil {
		t.Fatal(err)
	}
	s.see(ana, dm, "denied", "the build is frozen", "<@"+carol+"> had approved")
	s.must(s.w.slack.As(ben).ClickStale(s.ctx, seen, slacksim.Target{Channel: seen.Channel, TS: seen.TS, ActionID: "approve"}))
	s.told(ben, "key-approvals", "Denied by <@"+dave+">")
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("%d keys were created", n)
	}
}

func TestStory_AnApproverDeactivatedBeforeTheirClick(t *testing.T) {
	t.Parallel()
	s := beginRuled(t, deployRule, carol, dave, ben)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.w.skip(2 * time.Minute) // what was known of her is looked up again
	s.w.slack.Fail("users.info", slacksim.Fault{Delay: 500 * time.Millisecond})
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.w.slack.AddMember(slacksim.Member{ID: carol, Name: "carol", Deleted: true})
	s.click(dave, "key-approvals", "approve", "ci-deploy")
	s.see(ben, "key-approvals", "1 of 2 approved by <@"+dave+">")
	s.recorded(carol, "refused", "not-member")
}

func TestStory_AGroupThatChangedBeforeTheClick(t *testing.T) {
	t.Parallel()
	s := beginRuled(t, deployRule, carol, dave)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.click(ben, "key-approvals", "approve", "ci-deploy")
	s.told(ben, "key-approvals", "Only an approver")
	s.group(ben, dave)
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.told(carol, "key-approvals", "Only an approver", "<!subteam^"+deployers+">")
	s.click(ben, "key-approvals", "approve", "ci-deploy")
	s.see(dave, "key-approvals", "1 of 2 approved by <@"+ben+">")
	s.recorded(carol, "refused", "not-approver")
}

func TestStory_AGroupThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := beginRuled(t, deployRule, carol, dave)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.w.skip(2 * time.Minute)
	s.w.slack.Fail("usergroups.users.list", slacksim.Fault{Times: -1, Error: "plan_upgrade_required"})
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.told(carol, "key-approvals", "Slack did not tell who is in the group", "usergroups:read")
	s.w.slack.Heal()
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(dave, "key-approvals", "1 of 2 approved by <@"+carol+">")
	s.recorded(carol, "refused", "group-unread")
}

func TestStory_TooFewCouldApprove(t *testing.T) {
	t.Parallel()
	s := beginRuled(t, deployRule, ana, carol, ben)
	s.w.slack.AddMember(slacksim.Member{ID: ben, Name: "ben", Deleted: true})
	s.w.skip(2 * time.Minute)
	if err := s.requests(s.ctx, ana, "ci-deploy", false); err == nil || !strings.Contains(err.Error(), "map[key:This needs the approval of 2 people") {
		t.Errorf("beside the key stands %v", err)
	}
	s.recorded(ana, "refused", "no-approver")
}

func TestStory_Explain(t *testing.T) {
	t.Parallel()
	s := beginRuled(t, deployRule, carol, dave, ana, ben)
	s.w.slack.AddMember(slacksim.Member{ID: ben, Name: "ben", Deleted: true})
	s.w.skip(2 * time.Minute)
	explain := func(member, about string, words ...string) {
		t.Helper()
		if _, err := s.w.slack.As(member).Command(s.ctx, "general", "/rotate-key", "explain "+about); err != nil {
			t.Fatal(err)
		}
		s.told(member, "general", words...)
	}
	explain(ana, "acme-production/ci-deploy", "rule deploys", "2 approvals to create", "<@"+carol+"> and <@"+dave+">", "<@"+ben+"> (deactivated in Slack)", "<@"+ana+"> (the owner)", "after 24 hours")
	explain(carol, accountID+"/legacy-billing", "belongs to <@"+ben+">", "for all decide")
	explain(ana, accountID+"/legacy-billing", "Only the owner of")
	s.recorded(ana, "refused", "explain", "not-involved")
}
