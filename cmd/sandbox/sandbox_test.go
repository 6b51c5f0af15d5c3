package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestTour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := tour(t.Context(), &out); err != nil {
		t.Fatalf("tour: %v\n%s", err, out.String())
	}
	for _, want := range []string{"CreateAccessKey ci-deploy", "Reactivate the old key", "DeleteAccessKey ci-deploy", "is deleted"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the transcript does not tell of %q:\n%s", want, out.String())
		}
	}
}

func TestStory_UnmappedPerson(t *testing.T) {
	t.Parallel()
	s := begin(t)
	if _, err := s.w.slack.As(dave).Command(s.ctx, "general", "/rotate-key", ""); err != nil {
		t.Fatal(err)
	}
	v, err := s.modal(s.ctx, dave, "Rotate a key", func(v slacksim.View) bool { return strings.Contains(viewText(v), "owner") })
	s.must(err)
	if v.Submit != "" || !strings.Contains(viewText(v), "slack-user-id") {
		t.Errorf("the modal should offer nothing and name the tag: %s", viewText(v))
	}
	s.recorded(dave, "refused", "no-member")
}

func TestStory_Commands(t *testing.T) {
	t.Parallel()
	s := begin(t)
	for text, want := range map[string]string{
		"help": "/rotate-key status", "status": "no rotation", "statsu": "/rotate-key status", "rm -rf /": "help",
	} {
		if _, err := s.w.slack.As(ana).Command(s.ctx, "general", "/rotate-key", text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		s.told(ana, "general", want)
	}
}

func TestStory_GuestIsRefused(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.w.slack.AddMember(slacksim.Member{ID: "U0GUEST001", Name: "gus", Restricted: true})
	s.w.slack.AddChannel(slacksim.Channel{ID: "C0SHARED01", Name: "project", Members: []string{"U0GUEST001", ana}})
	if _, err := s.w.slack.As("U0GUEST001").Command(s.ctx, "project", "/rotate-key", "status"); err != nil {
		t.Fatal(err)
	}
	s.told("U0GUEST001", "project", "full member")
	s.recorded("U0GUEST001", "refused", "not-member")
}

func TestStory_OnlyAnApproverWhoDidNotAskAndDoesNotOwn(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.click(ben, "key-approvals", "approve", "ci-deploy")
	s.told(ben, "key-approvals", "Only an approver")

	// Dave is on call: he starts Carol's rotation from the digest, so neither of them may approve it, and he is told that at once.
	row := s.offer(dave, "on-call", "start", "metrics-export")
	for _, b := range row.Blocks {
		if strings.Contains(blockText(b), "metrics-export") {
			id, _ := b["block_id"].(string)
			s.must(s.w.slack.As(dave).Click(s.ctx, slacksim.Target{Channel: row.Channel, TS: row.TS, ActionID: "start", BlockID: id}))
		}
	}
	s.told(dave, "on-call", "approve")
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("%d keys were created", n)
	}
	s.recorded(ben, "refused", "not-approver")
}

func TestStory_OwnRequestCannotBeApproved(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, carol, "metrics-export", false))
	s.click(carol, "key-approvals", "approve", "metrics-export")
	s.told(carol, "key-approvals", "<@"+dave+">")
	s.recorded(carol, "refused", "own-request")
}

func TestStory_DecidedTwice(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	seen := s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.offer(ana, dm, "confirm", "ci-deploy")
	s.must(s.w.slack.As(dave).ClickStale(s.ctx, seen, slacksim.Target{Channel: seen.Channel, TS: seen.TS, ActionID: "approve"}))
	s.told(dave, "key-approvals", "<@"+carol+">")
	if n := s.changes("CreateAccessKey"); n != 1 {
		t.Errorf("%d keys were created, want 1", n)
	}
	s.recorded(dave, "refused", "decided")
}

func TestStory_DenialWithAReason(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.click(carol, "key-approvals", "deny", "ci-deploy")
	_, err := s.modal(s.ctx, carol, "Deny the request", nil)
	s.must(err)
	if _, err := s.w.slack.As(carol).Submit(s.ctx, map[string]string{"reason": "not during the freeze"}); err != nil {
		t.Fatal(err)
	}
	s.see(ana, dm, "ci-deploy", "denied")
	s.see(dave, "key-approvals", "Denied", "not during the freeze")
	s.recorded(carol, "moved", "not during the freeze")
}

func TestStory_NobodyDecidesAndALateClick(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	seen := s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.w.skip(73 * time.Hour)
	s.see(ana, dm, "ci-deploy", "Nobody decided in time")
	s.must(s.w.slack.As(carol).ClickStale(s.ctx, seen, slacksim.Target{Channel: seen.Channel, TS: seen.TS, ActionID: "approve"}))
	s.told(carol, "key-approvals", "Nobody decided in time")
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("%d keys were created", n)
	}
}

func TestStory_OneRotationAtATime(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.offer(ana, dm, "start", "ci-deploy")
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.click(ana, dm, "start", "ci-deploy")
	s.told(ana, dm, "already")
	s.recorded(ana, "refused", "already-runs")
}

func TestStory_TwoUsedKeysAreAdopted(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "web-frontend", false))
	s.click(ana, dm, "confirm", "web-frontend")
	s.told(ana, dm, "in use")
	for _, op := range []string{"CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"} {
		if n := s.changes(op); n != 0 {
			t.Errorf("%s was called %d times", op, n)
		}
	}
	s.w.skip(26 * time.Hour)
	s.click(ana, dm, "confirm", "web-frontend")
	s.click(carol, "key-approvals", "approve", "web-frontend")
	s.offer(ana, dm, "reactivate", "web-frontend")
	inactive, err := s.key("web-frontend", "Inactive", false)
	s.must(err)
	if age := s.w.clock.now().Sub(inactive.Created); age < 200*day {
		t.Errorf("the key of %v was deactivated: it should be the older one", age)
	}
}

func TestStory_LeftoverIsRetiredFirst(t *testing.T) {
	t.Parallel()
	s := begin(t)
	leftover, err := s.key("image-scanner", "Inactive", false)
	s.must(err)
	s.click(ben, dm, "start", "image-scanner")
	s.told(ben, dm, "Retire")

	if _, err := s.w.slack.As(ben).Command(s.ctx, "general", "/rotate-key", ""); err != nil {
		t.Fatal(err)
	}
	v, err := s.modal(s.ctx, ben, "Rotate a key", func(v slacksim.View) bool { return v.Submit != "" })
	s.must(err)
	if !strings.Contains(viewText(v), "Retire it first") {
		t.Errorf("the modal does not say what to do: %s", viewText(v))
	}
	s.must(s.submits(s.ctx, ben, leftover.ID, "retire"))
	s.w.skip(8 * day)
	s.click(carol, "key-approvals", "approve", "image-scanner", "elete")
	s.must(s.awaitStatus(s.ctx, "image-scanner", leftover.ID, ""))
	s.see(ben, dm, "image-scanner", "is deleted")
}

func TestStory_RetireAnUnusedKey(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("data-import", false)
	s.must(s.requests(s.ctx, ana, "data-import", true))
	s.click(dave, "key-approvals", "approve", "data-import")
	s.must(s.awaitStatus(s.ctx, "data-import", key.ID, "Inactive"))
	s.offer(ana, dm, "reactivate", "data-import")
	s.w.skip(8 * day)
	s.click(carol, "key-approvals", "approve", "data-import", "elete")
	s.must(s.awaitStatus(s.ctx, "data-import", key.ID, ""))
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("%d keys were created", n)
	}
}

func TestStory_UserDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.w.account.RemoveUser("ci-deploy")
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.told(carol, "key-approvals", "ci-deploy")
	s.recorded(carol, "refused", "user-gone")
}

func TestStory_UserRecreatedMeanwhile(t *testing.T) {
	t.Parallel()
	s := begin(t)
	_, fresh := s.switching("ci-deploy")
	s.use(fresh.ID)
	s.w.account.RecreateUser("ci-deploy")
	s.w.skip(25 * time.Hour)
	s.click(ana, dm, "confirm", "ci-deploy")
	s.told(ana, dm, "another")
	s.click(carol, "key-approvals", "close", "ci-deploy", "stuck")
	_, err := s.modal(s.ctx, carol, "Close the rotation", nil)
	s.must(err)
	if _, err := s.w.slack.As(carol).Submit(s.ctx, map[string]string{"reason": "the user was made anew"}); err != nil {
		t.Fatal(err)
	}
	s.see(ana, dm, "ci-deploy", "closed")
	if n := s.changes("UpdateAccessKey"); n != 0 {
		t.Errorf("a key of another user was touched %d times", n)
	}
}

func TestStory_AWSDeniesInTheMiddleAndIsMended(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, fresh := s.switching("ci-deploy")
	s.use(fresh.ID)
	s.w.skip(25 * time.Hour)
	s.w.aws.Fail("UpdateAccessKey", iamsim.Fault{Code: "AccessDenied", Times: 1})
	s.click(ana, dm, "confirm", "ci-deploy")
	s.click(carol, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	s.see(carol, "key-approvals", "stuck", "permitted")
	s.click(dave, "key-approvals", "try-again", "ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
	s.offer(ana, dm, "reactivate", "ci-deploy")
	s.recorded("engine", "moved", "AccessDenied")
}

func TestStory_AThirdHandReactivatesInTheGrace(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, _ := s.graced("ci-deploy")
	s.w.account.SetKeyStatus(old.ID, true)
	s.w.skip(8 * day)
	s.see(carol, "key-approvals", "stuck", "ci-deploy")
	s.click(ana, dm, "reactivate", "ci-deploy")
	s.offer(ana, dm, "confirm", "ci-deploy")
	if n := s.changes("DeleteAccessKey"); n != 0 {
		t.Errorf("an active key was deleted")
	}
}

func TestStory_SlackRefusesTheOwner(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.offer(ana, dm, "cancel", "ci-deploy")
	s.w.slack.Fail("chat.postMessage", slacksim.Fault{Error: "user_disabled"}) // the message that will show the secret
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(dave, "key-approvals", "stuck", "Slack does not deliver")
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("a key was created for an owner who cannot be reached")
	}
	s.click(dave, "key-approvals", "try-again", "ci-deploy")
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
}

func TestStory_SlackRefusesTheSecret(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old := s.keyOf("ci-deploy", false)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.offer(ana, dm, "cancel", "ci-deploy")
	s.w.slack.Fail("chat.update", slacksim.Fault{Error: "cant_update_message", Times: -1})
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(dave, "key-approvals", "stuck", "did not reach")
	keys := s.w.account.Keys("ci-deploy")
	if len(keys) != 1 || keys[0].ID != old.ID || keys[0].Status != "Active" {
		t.Errorf("the key whose secret nobody has should be revoked, and the old one active: %+v", keys)
	}
}

// TestStory_ALostAnswerToACreationIsASuspect has a bot that may not ask CloudTrail: a person decides what becomes of the key.
func TestStory_ALostAnswerToACreationIsASuspect(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.w.aws.Fail("LookupEvents", iamsim.Fault{Code: "AccessDenied", Times: -1})
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.w.aws.Fail("CreateAccessKey", iamsim.Fault{Apply: true, Drop: true})
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(ana, dm, "ci-deploy", "did not succeed")
	s.w.skip(2 * time.Minute)
	suspect := s.keyOf("ci-deploy", true).ID
	s.see(dave, "key-approvals", "stuck", suspect)
	if n := s.changes("CreateAccessKey"); n != 1 {
		t.Errorf("%d keys were created, want the one whose answer was lost", n)
	}
	s.click(dave, "key-approvals", "revoke", "ci-deploy")
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	if fresh := s.keyOf("ci-deploy", true).ID; fresh == suspect {
		t.Error("the owner was given the suspect key")
	}
}

func TestStory_ALostAnswerThatDidNothingIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.w.aws.Fail("CreateAccessKey", iamsim.Fault{Drop: true})
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(ana, dm, "ci-deploy", "did not succeed")
	s.w.skip(2 * time.Minute)
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	if n := s.changes("CreateAccessKey"); n != 1 {
		t.Errorf("%d keys were created, want 1", n)
	}
}

func TestStory_ALostSecretIsReissued(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, first := s.switching("ci-deploy")
	seen, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	s.click(ana, dm, "reissue", "ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", first.ID, ""))
	_, err = s.await(s.ctx, ana, dm, "another secret", func(m slacksim.Message) bool {
		return m.TS > seen.TS && strings.Contains(blocksText(m.Blocks), "AWS_SECRET_ACCESS_KEY")
	})
	s.must(err)
	s.offer(ana, dm, "confirm", "ci-deploy")
	keys := s.w.account.Keys("ci-deploy")
	if len(keys) != 2 || s.keyOf("ci-deploy", false).ID != old.ID {
		t.Errorf("there should be the old key and another new one: %+v", keys)
	}
}

func TestStory_TheTimeLimitDeletesTheSecret(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.switching("ci-deploy")
	seen, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	s.w.skip(61 * time.Minute)
	_, err = s.w.slack.As(ana).Await(s.ctx, func(sc slacksim.Screen) bool {
		_, there := sc.DM().Message(seen.TS)
		return !there
	})
	s.must(err)
}

func TestStory_TheDigestNamesAnAccountThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.see(dave, "on-call", "week", "need attention")
	s.w.aws.Fail("GetCredentialReport", iamsim.Fault{Code: "AccessDenied", Times: -1})
	s.w.skip(7 * day)
	s.see(dave, "on-call", "acme-production", "Not seen", "iam:GetCredentialReport")
	for _, action := range []string{"GetAccountAuthorizationDetails", "ListUsers"} {
		s.w.aws.Fail(action, iamsim.Fault{Code: "AccessDenied", Times: -1})
	}
	s.w.skip(7 * day)
	s.see(dave, "on-call", "acme-production", "AWS did not permit it", "Nothing is known")
}

func TestStory_WarningsComeOnce(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.see(ben, dm, "reporting", "75 days")
	s.w.skip(day)
	s.w.skip(14 * day)
	s.see(ben, dm, "Last warning: a key of reporting is too old")
	s.see(ben, dm, "Last warning: a key of legacy-billing is too old")
	count := map[string]int{}
	for _, m := range s.w.slack.As(ben).Screen().DM().Messages {
		for _, user := range []string{"reporting", "legacy-billing"} {
			if strings.Contains(m.Text, user) {
				count[user]++
			}
		}
	}
	if count["reporting"] != 2 || count["legacy-billing"] != 2 {
		t.Errorf("warnings: %v; want two of the key that became 90 days old, and two of the one that was older", count)
	}
}

// A second run on the same folder finds what the first left open, though the simulated Slack and AWS begin anew.
func TestStory_AFolderKeptAcrossRuns(t *testing.T) {
	t.Parallel()
	first := begin(t)
	first.must(first.requests(first.ctx, ana, "ci-deploy", false))
	first.offer(carol, "key-approvals", "approve", "ci-deploy")
	first.stop()

	second := beginIn(t, filepath.Dir(first.w.storePath))
	second.click(carol, "key-approvals", "approve", "ci-deploy")
	_, err := second.awaitSecret(second.ctx, ana)
	second.must(err)
}

// Carol types her reason while Dave decides: her modal says so, under the title of what she was about to do.
func TestStory_ADenialThatComesTooLate(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.click(carol, "key-approvals", "deny", "ci-deploy")
	_, err := s.modal(s.ctx, carol, "Deny the request", nil)
	s.must(err)
	s.click(dave, "key-approvals", "approve", "ci-deploy")
	s.offer(ana, dm, "confirm", "ci-deploy")
	if _, err := s.w.slack.As(carol).Submit(s.ctx, map[string]string{"reason": "not today"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.modal(s.ctx, carol, "Deny the request", func(v slacksim.View) bool {
		return v.Submit == "" && strings.Contains(viewText(v), "Approved by")
	})
	s.must(err)
	s.recorded(carol, "refused", "decided")
}
