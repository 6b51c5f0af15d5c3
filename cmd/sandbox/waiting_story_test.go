package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/bot/slacksim"
)

const patientRule = `
approval:
  - name: deploys
    users: ["ci-*"]
    approvers: [` + carol + `, ` + dave + `]
    expires: 7d
    escalate: {after: 3d, to: [` + deployers + `]}
`

// vienna is where everybody in the sandbox is, unless it is said otherwise.
func vienna(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// chronicle is a story that is written down, with the clock of Vienna.
type chronicle struct {
	*story
	zone   *time.Location
	monday time.Time // of the first week; zero: it is found when the story begins
	out    strings.Builder
	nudges int // reminders seen
}

// winterMonday is the next Monday from the 11th of a January on.
func winterMonday(now time.Time) time.Time {
	monday := time.Date(now.Year(), time.January, 11, 0, 0, 0, 0, now.Location())
	if now.After(monday) {
		monday = monday.AddDate(1, 0, 0)
	}
	return monday.AddDate(0, 0, (8-int(monday.Weekday()))%7)
}

// until skips to a time of a day, counted from the Monday on which the story begins: a winter's, so that the clocks do not change.
func (c *chronicle) until(day time.Weekday, week int, clock string) {
	c.t.Helper()
	if c.monday.IsZero() {
		c.monday = winterMonday(c.w.clock.now().In(c.zone))
	}
	at, err := time.Parse("15:04", clock)
	c.must(err)
	when := c.monday.AddDate(0, 0, 7*week+int(day)-1).Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute)
	c.w.skip(when.Sub(c.w.clock.now()))
	fmt.Fprintf(&c.out, "\n%s, %s\n", when.Format("Monday"), clock)
}

// compare holds what is written down against a file.
func (c *chronicle) compare(name string) {
	c.t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		c.must(os.MkdirAll("testdata", 0o755))
		c.must(os.WriteFile(path, []byte(c.out.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	c.must(err)
	if diff := cmp.Diff(string(want), c.out.String()); diff != "" {
		c.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func (c *chronicle) note(text string) { fmt.Fprintf(&c.out, "  %s\n", text) }

var unixMark = regexp.MustCompile(`<!date\^([0-9]+)\^[^|>]*\|[^>]*>`)

// sight writes down what a member sees, with times to the hour: the clock of a test does not stand still.
func (c *chronicle) sight(member, place string, words ...string) {
	c.t.Helper()
	m := c.see(member, place, words...)
	text := unixMark.ReplaceAllStringFunc(m.Text, func(mark string) string {
		seconds, err := strconv.ParseInt(unixMark.FindStringSubmatch(mark)[1], 10, 64)
		c.must(err)
		return time.Unix(seconds, 0).In(c.zone).Format("Monday 15h")
	})
	text = regexp.MustCompile(`AKIA….{4}`).ReplaceAllString(text, "AKIA…")
	text = regexp.MustCompile(`https://[^ \n]*`).ReplaceAllString(text, "(link)")
	fmt.Fprintf(&c.out, "  %s sees in %s:\n    %s\n", names[member], place, strings.ReplaceAll(readable(text), "\n", "\n    "))
}

const still = "A decision is still missing"

// reminders are those in the approvals channel.
func (c *chronicle) reminders() []slacksim.Message {
	return slices.DeleteFunc(conversation(c.w.slack.As(carol).Screen(), "key-approvals").Messages, func(m slacksim.Message) bool {
		return !strings.Contains(m.Text, still) && !strings.Contains(m.Text, "A reminder about")
	})
}

// reminded waits for one more reminder, and writes it down.
func (c *chronicle) reminded(member string) {
	c.t.Helper()
	c.nudges++
	_, err := c.await(c.ctx, member, "key-approvals", "one more reminder", func(slacksim.Message) bool { return len(c.reminders()) >= c.nudges })
	c.must(err)
	c.sight(member, "key-approvals", still, "<@"+member+">")
}

// Nobody answers for a week: who is reminded and when, who is asked after them, who is told in the end, and what the owner can do then.
func TestStory_NobodyAnswersForAWeek(t *testing.T) {
	t.Parallel()
	c := &chronicle{story: beginRuled(t, patientRule, ben, ana), zone: vienna(t)}
	c.w.slack.AddMember(slacksim.Member{ID: carol, Name: "carol", RealName: "Carol Lindqvist", TimeZone: "America/New_York"})

	c.until(time.Monday, 0, "09:30")
	c.must(c.requests(c.ctx, ana, "ci-deploy", false))
	c.offer(carol, "key-approvals", "approve", "ci-deploy", "others are asked, too")
	c.note("Ana asks for a new key of ci-deploy. Carol, who is in New York, and Dave may decide.")
	c.until(time.Monday, 0, "14:05")
	c.reminded(dave)
	c.until(time.Monday, 0, "19:35")
	c.reminded(carol)
	c.until(time.Tuesday, 0, "20:05")
	c.reminded(carol)
	c.note("Dave has gone home. His second reminder waits for the morning.")
	c.until(time.Wednesday, 0, "09:35")
	c.reminded(dave)
	c.until(time.Thursday, 0, "09:05")
	c.click(ben, "key-approvals", "approve", "ci-deploy")
	c.told(ben, "key-approvals", "Only an approver")
	c.note("Ben clicks “Approve”, and is told that only an approver can.")
	c.until(time.Thursday, 0, "09:35")
	c.sight(ben, "key-approvals", "Nobody has decided yet", "<!subteam^"+deployers+">")
	c.see(ben, "key-approvals", "Create a new key for ci-deploy?", "Since", "<!subteam^"+deployers+">")
	c.until(time.Thursday, 0, "14:05")
	c.reminded(ben)
	c.until(time.Saturday, 0, "11:05")
	c.note("It is the weekend, and nobody is reminded.")
	c.until(time.Monday, 1, "09:35")
	c.sight(ana, dm, "Nobody decided in time about")
	c.sight(ana, "on-call", "Nobody decided in time about")
	c.see(ana, dm, "Key rotation for ci-deploy", "Lapsed")
	c.until(time.Monday, 1, "10:05")
	c.types(ana, "explain "+accountID+"/ci-deploy", "Reminders:", "after 4 working hours", "If they have not decided after 3 days", deployers)
	c.must(c.requests(c.ctx, ana, "ci-deploy", false))
	c.click(dave, "key-approvals", "approve", "ci-deploy")
	_, err := c.awaitSecret(c.ctx, ana)
	c.must(err)
	c.note("Ana writes to Dave, and asks again. Dave approves, and Ana has her key.")

	for _, m := range c.reminders() {
		if strings.Contains(m.Text, still) {
			t.Errorf("a reminder was not edited when the request had lapsed: %s", m.Text)
		}
	}
	fmt.Fprintf(&c.out, "\n%d reminders in all.\n", len(c.reminders()))
	c.compare("nobody-answers.txt")
	c.recorded("clock", "moved", "remind", "reminded: "+ben)
	c.recorded("clock", "moved", "escalate", "asked too: "+deployers)
	c.recorded("clock", "moved", "elapse")
}

// Carol approves in a freeze: it is done after it, and everybody is told so. Then the next change waits for nothing more.
func TestStory_AFreezeHoldsWhatIsApproved(t *testing.T) {
	t.Parallel()
	now := nextMonday(t).UTC()
	freeze := fmt.Sprintf("\napproval:\n  - name: deploys\n    users: [\"ci-*\"]\n    approvers: [%s, %s]\n    freezes: [{from: %s, until: %s, reason: \"The year is being closed.\"}]\n",
		carol, dave, now.AddDate(0, 0, -1).Format(time.DateOnly), now.AddDate(0, 0, 4).Format(time.DateOnly))
	s := beginWith(t, settings{further: freeze})
	old := s.keyOf("ci-deploy", false)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	s.see(dave, "key-approvals", "Approved, not done yet: create a new key for ci-deploy", "Approved by <@"+carol+">", "The year is being closed.", "an approver can deny it")
	s.see(ana, dm, "Key rotation for ci-deploy", "waiting for its window", "You get the new key here when it is created")
	s.types(ana, "explain "+accountID+"/ci-deploy", "Changes are made at any time, but not from", "The year is being closed.", "It waits for the window of changes")
	s.w.skip(4 * day) // longer than a request stands
	s.see(dave, "key-approvals", "Approved, not done yet")
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("%d keys were created in the freeze", n)
	}
	s.w.skip(day)
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	s.see(dave, "key-approvals", "Approved: create a new key for ci-deploy", "Approved by <@"+carol+">")
	s.use(s.keyOf("ci-deploy", true).ID)
	s.w.skip(25 * time.Hour)
	s.click(ana, dm, "confirm", "ci-deploy")
	s.click(dave, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
	s.recorded("clock", "moved", "proceed")
}

// Dave overrules the evidence, and cannot approve on his own word.
func TestStory_WhoOverrulesDoesNotApprove(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, _ := s.switching("ci-deploy")
	s.use(old.ID)
	s.click(dave, "key-approvals", "overrule", "ci-deploy")
	s.reasons(dave, "Overrule the evidence", "the host is gone and nobody can reach it")
	s.see(dave, "key-approvals", "Deactivate the old key of ci-deploy", "<@"+dave+"> overruled the evidence, so somebody else must approve")
	s.click(dave, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	s.told(dave, "key-approvals", "You overruled the evidence for this yourself", "<@"+carol+">")
	if n := s.changes("UpdateAccessKey"); n != 0 {
		t.Errorf("%d keys were changed", n)
	}
	s.click(carol, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
	s.recorded(dave, "refused", "own-overrule")
}
