package main

import (
	"strings"
	"testing"
	"time"
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
