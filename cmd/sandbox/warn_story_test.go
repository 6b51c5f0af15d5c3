package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// aboutKeys are the messages in a member's DM that name an IAM user.
func (s *story) aboutKeys(member, user string) (texts []string) {
	for _, m := range s.w.slack.As(member).Screen().DM().Messages {
		if strings.Contains(m.Text, user) {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// At a weekend Keyturner finds keys that are too old. Nobody is written to until they are at work, and then once; about what has been seen to
// meanwhile, not at all. It survives a restart.
func TestStory_AWarningWaitsForTheMorning(t *testing.T) {
	t.Parallel()
	saturday := nextMonday(t).AddDate(0, 0, -2)
	if saturday.Before(time.Now()) {
		saturday = saturday.AddDate(0, 0, 7)
	}
	folder := t.TempDir()
	s := beginWith(t, settings{begins: saturday, data: folder})
	s.see(dave, "on-call", "week", "need attention") // the scan is over
	s.types(ben, "list", "A message about", "to <@"+ben+"> waits until", "when their working hours begin")
	s.types(ben, "snooze "+s.keyOf("image-scanner", false).ID, "You are not warned about")
	if texts := s.aboutKeys(ben, "reporting"); len(texts) > 0 {
		t.Errorf("written to on a Saturday: %q", texts)
	}
	s.stop()

	s = beginWith(t, settings{begins: saturday.AddDate(0, 0, 1), data: folder})
	s.types(ben, "list", "to <@"+ben+"> waits until")
	s.w.account.RemoveKey(s.keyOf("legacy-billing", false).ID)
	for _, user := range []string{"reporting", "legacy-billing"} {
		if texts := s.aboutKeys(ben, user); len(texts) > 0 {
			t.Errorf("written to on a Sunday: %q", texts)
		}
	}
	s.w.skip(saturday.AddDate(0, 0, 2).Add(-2 * time.Hour).Sub(s.w.clock.now())) // Monday, half past 9
	s.see(ben, dm, "A key of reporting is 75 days old")
	s.see(ana, dm, "A key of ci-deploy is too old")
	for user, want := range map[string]int{"reporting": 1, "legacy-billing": 0} {
		if texts := s.aboutKeys(ben, user); len(texts) != want {
			t.Errorf("%d messages about %s, want %d: %q", len(texts), user, want, texts)
		}
	}
	for _, text := range s.aboutKeys(ben, "image-scanner") {
		if strings.Contains(text, "is too old") {
			t.Errorf("warned while it is snoozed: %s", text)
		}
	}
}

// Nobody answers for three weeks: whom Keyturner warns and when, what on-call is told, and what they can do.
func TestStory_AnOwnerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c := &chronicle{zone: vienna(t)}
	c.monday = winterMonday(time.Now().In(c.zone))
	c.story = beginWith(t, settings{begins: c.monday.Add(-52 * time.Hour)})
	c.see(dave, "on-call", "week", "need attention")
	c.note("Friday, 20:00. A scan finds keys that are too old. Their owners are at home.")

	c.until(time.Sunday, -1, "12:00")
	for _, user := range []string{"legacy-billing", "reporting"} {
		if texts := c.aboutKeys(ben, user); len(texts) > 0 {
			t.Errorf("written to at the weekend: %q", texts)
		}
	}
	c.note("Nobody is written to at the weekend.")
	c.until(time.Monday, 0, "09:05")
	c.sight(ben, dm, "A key of legacy-billing is too old")
	c.sight(ben, dm, "A key of reporting is 75 days old")
	everybody := func(words string) {
		for user, owner := range map[string]string{"image-scanner": ben, "legacy-billing": ben, "web-frontend": ana, "ci-deploy": ana, "metrics-export": carol} {
			c.see(owner, dm, words, "of "+user+" ")
		}
	}
	everybody("too old")
	c.until(time.Monday, 1, "09:05")
	everybody("Last warning")
	c.note("Ben has not acted.")
	c.sight(ben, dm, "Last warning: a key of legacy-billing is too old")
	c.until(time.Tuesday, 1, "10:00")
	c.chooses(ana, dm, "finding", "Snooze the warnings for 14 days", "Last warning: a key of ci-deploy is too old")
	c.note("Ana snoozes ci-deploy, and is heard of no more.")
	c.until(time.Thursday, 1, "11:05")
	c.sight(dave, "on-call", "No answer:", "legacy-billing")
	c.sight(ben, dm, "Others are told about a key of legacy-billing")
	c.until(time.Monday, 2, "11:05")
	c.see(dave, "on-call", "legacy-billing", "Warned twice, and passed on")
	c.note("The digest tells of it too. Ben's other key is too old by now, of which he was warned before.")
	c.sight(ben, dm, "Last warning: a key of reporting is too old")
	c.until(time.Thursday, 2, "12:05")
	c.sight(dave, "on-call", "No answer: a key of reporting")
	c.offer(dave, "on-call", "start", "No answer: a key of reporting")
	c.click(dave, "on-call", "start", "No answer: a key of reporting")
	c.offer(carol, "key-approvals", "approve", "reporting", "Owner: <@"+ben+">")
	c.note("Dave starts the rotation from there. If it is approved, the new key goes to Ben.")

	counts := map[string]int{}
	for _, m := range conversation(c.w.slack.As(dave).Screen(), "on-call").Messages {
		if strings.Contains(m.Text, "No answer:") {
			counts["on-call"]++
			if strings.Contains(m.Text, "ci-deploy") {
				t.Errorf("what is snoozed is passed on: %s", m.Text)
			}
		}
	}
	for _, text := range c.aboutKeys(ben, "legacy-billing") {
		if strings.Contains(text, "legacy-billing is too old") || strings.Contains(text, "told about a key") {
			counts["ben"]++
		}
	}
	if counts["on-call"] != 2 || counts["ben"] != 3 {
		t.Errorf("messages: %v, want 2 to on-call and 3 to Ben", counts)
	}
	c.recorded("clock", "moved", "pass-on", "to on-call", ben)
	c.compare("owner-does-not-answer.txt")
}

// An owner of forty keys gets one message, and on-call gets one.
func TestStory_ManyKeysOfOneOwner(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.see(ben, dm, "reporting")
	for i := range 40 {
		name := fmt.Sprintf("batch-%02d", i)
		s.w.account.AddUser(iamsim.User{Name: name, Tags: map[string]string{"slack-user-id": ben}})
		s.w.account.AddKey(name, iamsim.Key{Created: s.w.clock.now().Add(-time.Duration(100+i) * day), LastUsed: s.w.clock.now(), Service: "s3", Region: region})
	}
	s.w.skip(day)
	s.see(ben, dm, "40 keys of yours need you", "batch-39")
	m := s.see(ben, dm, "40 keys of yours need you")
	oldest := rotation.UserRef{Account: accountID, Name: "batch-39"}
	s.must(s.w.slack.As(ben).Click(s.ctx, slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: "start", Value: oldest.ID()}))
	s.offer(carol, "key-approvals", "approve", "batch-39", "Owner: <@"+ben+">")
	if texts := s.aboutKeys(ben, "batch-"); len(slices.DeleteFunc(texts, func(text string) bool { return !strings.Contains(text, "need you") })) != 1 {
		t.Errorf("%d messages: %q", len(texts), texts)
	}
	s.w.skip(7 * day)
	s.see(ben, dm, "keys of yours need you", "This is the last warning")
	s.w.skip(3*day + time.Hour) // a Friday
	s.see(dave, "on-call", "No answer:", "keys are too old", "<@"+ben+">", "And")
	s.see(ben, dm, "keys of yours need you", "Two warnings were not answered, so Keyturner passes it on to on-call")
	lists := 0
	for _, text := range s.aboutKeys(ben, "batch-38") {
		if strings.Contains(text, "need you") {
			lists++
		}
	}
	if lists != 3 {
		t.Errorf("%d messages about batch-38, want 3", lists)
	}
}
