package main

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// requestView opens the modal of keys and waits until it is filled.
func (s *story) requestView(member string) string {
	s.t.Helper()
	if _, err := s.w.slack.As(member).Command(s.ctx, "general", "/rotate-key", ""); err != nil {
		s.t.Fatal(err)
	}
	v, err := s.modal(s.ctx, member, "Rotate a key", func(v slacksim.View) bool { return !strings.Contains(viewText(v), "Reading your keys") })
	s.must(err)
	s.must(s.w.slack.As(member).CloseView(s.ctx))
	return v.Content()
}

func TestStory_AnApproverLinksAnOwner(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.types(carol, "link @ben acme-production/nightly-cron", "<@"+ben+"> is the owner of nightly-cron", "it had no owner")
	if v := s.requestView(ben); !strings.Contains(v, "nightly-cron") || !strings.Contains(v, "linked by <@"+carol+">") {
		t.Errorf("the modal does not tell of the link: %s", v)
	}
	s.must(s.requests(s.ctx, ben, "nightly-cron", false))
	s.click(dave, "key-approvals", "approve", "nightly-cron")
	_, err := s.awaitSecret(s.ctx, ben)
	s.must(err)
	s.types(carol, "whois "+s.keyOf("nightly-cron", false).ID, "Owner: <@"+ben+">, linked by <@"+carol+">")
	s.types(dave, "link @ana acme-production/nightly-cron", "<@"+ana+"> is the owner", "it stays with <@"+ben+">")
	s.types(dave, "unlink acme-production/nightly-cron", "There is no link", "The owner is nobody", "it stays with <@"+ben+">")
	s.offer(ben, dm, "confirm", "nightly-cron")
	s.recorded(carol, "moved", "link", "owner "+ben)
}

// A link counts more than the tag, and taking it back gives the user to whom the tag names.
func TestStory_ALinkBeforeATag(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.types(dave, "link @ben acme-production/ci-deploy", "<@"+ben+"> is the owner", "Before, the owner was <@"+ana+">, named by the tag slack-user-id")
	s.types(ben, "list", "ci-deploy: you are linked by <@"+dave+">")
	if v := s.requestView(ana); strings.Contains(v, "ci-deploy") {
		t.Errorf("ana still sees it: %s", v)
	}
	s.types(dave, "unlink acme-production/ci-deploy", "<@"+ana+"> is the owner of ci-deploy", "named by the tag slack-user-id")
	s.types(ana, "list", "ci-deploy")
}

func TestStory_WhoMayNotLink(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.w.slack.AddMember(slacksim.Member{ID: "U0GUEST001", Name: "gus", Restricted: true})
	s.types(ana, "link @ana acme-production/nightly-cron", "Only an approver")
	s.types(carol, "link @carol acme-production/nightly-cron", "Nobody makes themselves the owner")
	s.types(carol, "link @gus acme-production/nightly-cron", "not an active, full member")
	s.types(carol, "link @ben acme-production/nobody", "no IAM user")
	s.types(carol, "link @ben elsewhere/nightly-cron", "For account/user, write")
	s.types(carol, "link ben acme-production/nightly-cron", "For @member, write")
	s.types(carol, "list acme-production/nightly-cron", "Owner: nobody")
	for _, refused := range [][]string{{ana, "not-approver"}, {carol, "own-link"}, {carol, "cannot-own"}, {carol, "user-gone"}} {
		s.recorded(refused[0], "refused", refused[1], "link")
	}
}

func TestStory_AnAddressNamesTheOwner(t *testing.T) {
	t.Parallel()
	s := begin(t)
	if v := s.requestView(ana); !strings.Contains(v, "ana-laptop") || !strings.Contains(v, "named by the e-mail address in a tag") {
		t.Errorf("the modal does not tell whose the address is: %s", v)
	}
	s.must(s.requests(s.ctx, ana, "ana-laptop", false))
	s.click(carol, "key-approvals", "approve", "ana-laptop")
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
}

// Of an address that names nobody, it is told why; of one that cannot be looked up, that it is not known.
func TestStory_AnAddressThatNamesNobody(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.w.slack.AddMember(slacksim.Member{ID: "U0GUEST001", Name: "gus", Email: "gus@example.com", Restricted: true})
	s.w.slack.AddMember(slacksim.Member{ID: "U0NEW00001", Name: "nina", Email: "nina@example.com", Unconfirmed: true})
	for name, address := range map[string]string{"of-guest": "gus@example.com", "of-new": "nina@example.com", "of-nobody": "nobody@example.com", "of-ben": "ben@example.com"} {
		s.w.account.AddUser(iamsim.User{Name: name, Tags: map[string]string{"owner-email": address}})
		s.w.account.AddKey(name, iamsim.Key{Created: s.w.clock.now().Add(-100 * day)})
	}
	s.types(carol, "list acme-production/of-guest", "Owner: nobody", "no", "active, full member")
	s.types(carol, "list acme-production/of-new", "Owner: nobody", "never confirmed")
	s.types(carol, "list acme-production/of-nobody", "Owner: nobody", "Nobody in this workspace has")
	s.w.slack.Fail("users.lookupByEmail", slacksim.Fault{Error: "internal_error", Times: -1})
	s.types(carol, "list acme-production/of-ben", "Owner: not known")
	s.w.skip(7 * day)
	s.see(dave, "on-call", "of-ben", "not known who is answerable")
	s.see(dave, "on-call", "of-nobody")
}

// A user group owns the user: in its channel they are warned, whoever begins it collects, and the others may act but not approve.
func TestStory_AGroupIsTheOwner(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.w.slack.AddUserGroup(slacksim.UserGroup{ID: platform, Handle: "platform", Name: "Platform", Users: []string{ana, ben, dave}})
	if v := s.requestView(ana); !strings.Contains(v, "mobile-push") || !strings.Contains(v, "your group <!subteam^"+platform+">") {
		t.Errorf("the modal does not tell of the group's: %s", v)
	}
	s.types(carol, "whois "+s.keyOf("mobile-push", false).ID, "Owner: <!subteam^"+platform+">, named by the tag")
	s.w.skip(46 * day)
	warning := s.offer(ben, "platform", "start", "mobile-push", "<!subteam^"+platform+"> is the owner", "has not been used since", "Whoever of the group clicks goes on with it")
	s.must(s.w.slack.As(carol).Click(s.ctx, slacksim.Target{Channel: warning.Channel, TS: warning.TS, ActionID: "start"}))
	s.told(carol, "platform", "you are not of that group")
	s.must(s.w.slack.As(ben).Click(s.ctx, slacksim.Target{Channel: warning.Channel, TS: warning.TS, ActionID: "start"}))
	s.offer(ana, "platform", "cancel", "mobile-push", "Collected by: <@"+ben+">")
	s.click(dave, "key-approvals", "approve", "mobile-push")
	s.told(dave, "key-approvals", "you are of that group", "<@"+carol+">")
	s.click(carol, "key-approvals", "approve", "mobile-push")
	_, err := s.awaitSecret(s.ctx, ben)
	s.must(err)
	fresh := s.keyOf("mobile-push", true)
	s.offer(ana, "platform", "confirm", "mobile-push")
	for _, member := range []string{ana, carol, dave} {
		screen := s.w.slack.As(member).Screen()
		for _, c := range screen.Channels {
			for _, m := range c.Messages {
				for _, secret := range s.w.aws.Secrets() {
					if holds([]byte(m.Text+blocksText(m.Blocks)), secret) {
						t.Errorf("%s sees the secret in %s", member, c.Name)
					}
				}
			}
		}
	}
	s.use(fresh.ID)
	s.w.skip(25 * time.Hour)
	s.click(carol, "platform", "confirm", "mobile-push")
	s.told(carol, "platform", "Only the owner of")
	s.w.slack.AddUserGroup(slacksim.UserGroup{ID: platform, Handle: "platform", Name: "Platform", Users: []string{ben}})
	s.w.skip(2 * time.Minute)
	s.click(ana, "platform", "confirm", "mobile-push")
	s.told(ana, "platform", "Only the owner of")
	s.w.slack.AddUserGroup(slacksim.UserGroup{ID: platform, Handle: "platform", Name: "Platform", Users: []string{ana, ben}})
	s.w.skip(2 * time.Minute)
	s.click(ana, "platform", "confirm", "mobile-push")
	s.see(carol, "key-approvals", "Deactivate the old key of mobile-push")
	s.recorded(ana, "moved", "confirm")
	s.recorded(carol, "refused", "group-owned")
	s.recorded(dave, "refused", "own-key")
}
