package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// types has a member type after /rotate-key, and waits for an answer to that with words.
func (s *story) types(member, text string, words ...string) slacksim.Message {
	s.t.Helper()
	var last string
	if m, ok := newest(s.w.slack.As(member).Screen(), "general", func(m slacksim.Message) bool { return m.Ephemeral }); ok {
		last = m.TS
	}
	if _, err := s.w.slack.As(member).Command(s.ctx, "general", "/rotate-key", text); err != nil {
		s.t.Fatalf("%s types %q: %v", member, text, err)
	}
	m, err := s.await(s.ctx, member, "general", "an answer to "+text+" with "+quoted(words), func(m slacksim.Message) bool {
		return m.Ephemeral && m.TS > last && hasWords(m, words)
	})
	s.must(err)
	return m
}

func TestStory_ListOfKeys(t *testing.T) {
	t.Parallel()
	s := begin(t)
	m := s.types(ana, "list", "ci-deploy", "91 days old", "by s3", "web-frontend", "data-import", "never, as far as AWS has recorded")
	for _, foreign := range []string{"reporting", "metrics-export"} {
		if strings.Contains(m.Text, foreign) {
			t.Errorf("another one's user %s is listed: %s", foreign, m.Text)
		}
	}
	s.types(carol, "list acme-production/reporting", "reporting", "75 days old", "<@"+ben+">")
	s.types(carol, "list "+accountID+"/nobody", "no IAM user")
	s.types(ben, "list acme-production/ci-deploy", "Only an approver")
	s.w.aws.Fail("ListAccessKeys", iamsim.Fault{Code: "AccessDenied", Times: -1})
	s.types(ana, "list", "could not be read")
	s.recorded(ben, "refused", "not-approver", "list "+accountID+"/ci-deploy")
}

func TestStory_HistoryTellsWhoDecided(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.types(ana, "history", "no rotation that has ended")
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.click(carol, "key-approvals", "deny", "ci-deploy")
	_, err := s.modal(s.ctx, carol, "Deny the request", nil)
	s.must(err)
	if _, err := s.w.slack.As(carol).Submit(s.ctx, map[string]string{"reason": "not during the freeze"}); err != nil {
		t.Fatal(err)
	}
	s.see(ana, dm, "ci-deploy", "denied")
	told := []string{"ci-deploy", "Denied by <@" + carol + ">", "not during the freeze", "<!date^"}
	s.types(ana, "history", told...)
	s.types(ana, "history acme-production/CI-deploy", told...)
	s.types(dave, "history acme-production/ci-deploy", told...)
	m := s.types(ben, "history acme-production/ci-deploy", "of which you were the owner")
	if strings.Contains(m.Text, "freeze") {
		t.Errorf("ben is told of what is not his: %s", m.Text)
	}
}

func TestStory_CancelByTyping(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.types(ana, "cancel", "nothing to cancel")
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(ana, dm, "cancel", "ci-deploy")
	s.types(ben, "cancel acme-production/ci-deploy", "nothing to cancel")
	s.types(ana, "cancel", "The rotation has ended")
	s.see(ana, dm, "ci-deploy", "The rotation has ended")
	s.recorded(ana, "moved", "cancel")
}

func TestStory_CancelNamesTheChoice(t *testing.T) {
	t.Parallel()
	s := begin(t)
	for _, user := range []string{"ci-deploy", "ana-laptop"} {
		s.must(s.requests(s.ctx, ana, user, false))
		s.offer(carol, "key-approvals", "approve", user)
	}
	s.types(ana, "cancel", "/rotate-key cancel "+accountID+"/ci-deploy", "/rotate-key cancel "+accountID+"/ana-laptop")
	s.offer(ana, dm, "cancel", "ci-deploy")
	s.types(ana, "cancel acme-production/ana-laptop", "ana-laptop", "The rotation has ended")
	s.offer(ana, dm, "cancel", "ci-deploy")
}

// Dave, on call, has asked for Carol's key to be replaced: only its owner can cancel that.
func TestStory_CancelIsTheOwners(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.types(ana, "cancel", "nothing to cancel")
	row := s.offer(dave, "on-call", "start", "legacy-billing")
	for _, b := range row.Blocks {
		if strings.Contains(blockText(b), "legacy-billing") {
			id, _ := b["block_id"].(string)
			s.must(s.w.slack.As(dave).Click(s.ctx, slacksim.Target{Channel: row.Channel, TS: row.TS, ActionID: "start", BlockID: id}))
		}
	}
	s.offer(ben, dm, "cancel", "legacy-billing")
	s.types(dave, "cancel", "Only the owner", "<@"+ben+">")
	s.recorded(dave, "refused", "not-owner", "cancel")
}

func TestStory_RemindTheApprovers(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.types(ana, "remind", "nobody to remind")
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.types(ana, "remind", "less than an hour ago")
	s.w.skip(61 * time.Minute)
	s.types(ana, "remind", "asked again", "ci-deploy", "decides")
	first := s.see(carol, "key-approvals", "A decision is still missing", "ci-deploy", "<@"+carol+">")
	s.types(ana, "remind", "less than an hour ago")
	s.w.skip(61 * time.Minute)
	s.types(ana, "remind "+accountID+"/ci-deploy", "asked again")
	_, err := s.await(s.ctx, dave, "key-approvals", "another reminder", func(m slacksim.Message) bool {
		return m.TS > first.TS && strings.Contains(m.Text, "still missing")
	})
	s.must(err)
	s.click(dave, "key-approvals", "approve", "ci-deploy")
	s.see(carol, "key-approvals", "A reminder of <@"+ana+">", "Approved by <@"+dave+">")
	s.types(ana, "remind", "nobody to remind")
	s.recorded(ana, "refused", "too-soon", "remind")
}

func TestStory_WhoisAKey(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("legacy-billing", false)
	for _, member := range []string{carol, dave} {
		s.types(member, "whois "+key.ID, key.ID, "acme-production ("+accountID+")", "IAM user: legacy-billing", "Owner: <@"+ben+">", "active, 400 days old", "by dynamodb")
	}
	s.types(carol, "whois AKIARZPUZDIKGB2VALC4", "No account", "123456789012")
	s.types(ana, "whois "+key.ID, "Only on-call and those who may approve")
	s.recorded(ana, "refused", "not-responder", "whois "+key.ID)
}

func TestStory_WhoisInAnAccountThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("ci-deploy", false)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	for _, code := range []string{"AccessDenied", "Throttling", "ServiceFailure"} {
		s.w.aws.Fail("GetAccessKeyLastUsed", iamsim.Fault{Code: code, Times: -1}) // a scan that goes on meanwhile meets it too
		m := s.types(carol, "whois "+key.ID, "not known whose key", "acme-production", "a rotation of ci-deploy")
		if strings.Contains(m.Text, "No account") {
			t.Errorf("%s: what is not known reads as nobody's: %s", code, m.Text)
		}
		s.w.aws.Heal()
	}
}

// A key that a rotation has deleted is still known by it.
func TestStory_WhoisADeletedKey(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, _ := s.graced("ci-deploy")
	s.w.skip(8 * day)
	s.click(carol, "key-approvals", "approve", "ci-deploy", "elete")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, ""))
	s.see(ana, dm, "ci-deploy", "has taken its place")
	s.types(carol, "whois "+old.ID, "No account", "old key of a rotation of ci-deploy", "has taken its place")
}

// TestStory_APastedSecretIsKeptNowhere pastes a secret after every command, with what the command takes and without.
func TestStory_APastedSecretIsKeptNowhere(t *testing.T) {
	t.Parallel()
	s := begin(t)
	secrets := []string{"wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMIxK7MDENGx" + "bPxRfiCYEXAMPLEKEY"}
	for _, secret := range secrets {
		for _, word := range []string{"", "status", "help", "list", "history", "cancel", "remind", "whois", "digest", "link", "unlink", "frobnicate"} {
			for _, text := range []string{word + " " + secret, word + " " + accountID + "/" + secret, word + " AKIAIOSFODNN7EXA7Q2X " + secret, secret + " " + word} {
				for _, member := range []string{ana, carol} {
					if _, err := s.w.slack.As(member).Command(s.ctx, "general", "/rotate-key", text); err != nil {
						t.Fatalf("%q: %v", text, err)
					}
				}
			}
		}
	}
	s.types(ana, "status", "no rotation")
	all := s.entries() // stops the world
	stored, err := os.ReadFile(s.w.storePath)
	s.must(err)
	for _, secret := range secrets {
		if holds(stored, secret) || holds(s.logs.Bytes(), secret) {
			t.Errorf("it is in the store or in the logs")
		}
		for _, e := range all {
			if strings.Contains(e.Action+e.Detail+e.User, secret) {
				t.Errorf("it is in an entry: %+v", e)
			}
		}
		typed, said := 0, 0
		for _, exchange := range s.w.slack.Exchanges() {
			switch name, _, _ := bytes.Cut(exchange, []byte("\n")); {
			case !holds(exchange, secret) && !holds(exchange, strings.ReplaceAll(secret, "/", `\/`)):
			case string(name) == "frame sent":
				typed++
			default:
				said++
				t.Errorf("it went back through Slack: %s", exchange)
			}
		}
		if typed == 0 || said > 0 {
			t.Errorf("%d commands with it were sent, and %d answers", typed, said)
		}
	}
}
