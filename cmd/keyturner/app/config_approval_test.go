package app

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

const ruleFile = minimal + `approval:
  - name: payments
    accounts: [Production]
    users: [pay-*, "*-payments"]
    paths: [/payments/*]
    tag: team=pay*
    approvers: [S0123456789, U0123456791, U0123456792]
    needed: {create: 1, deactivate: 2}
    expires: 24h
    remind: [2h, 1d]
    escalate: {after: 12h, to: [S0123456788, U0123456793]}
  - name: the rest
    windows:
      - {days: [Mon, thu], hours: 22:30-02:00, zone: America/New_York}
      - days: [sat]
    freezes:
      - {from: 2026-12-20, until: 2027-01-03, reason: Christmas}
    approvers: [U0123456791, U0123456792]
    needed: {delete: 2}
`

func TestParse_Approval(t *testing.T) {
	got, err := Parse("kt.yaml", []byte(ruleFile))
	if err != nil {
		t.Fatal(err)
	}
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	both := []rotation.MemberID{"U0123456791", "U0123456792"}
	want := []rotation.Approval{
		{
			Name: "payments",
			Matches: rotation.Matches{
				Accounts: []string{"111122223333"}, Users: []string{"pay-*", "*-payments"}, Paths: []string{"/payments/*"}, Tag: "team", Value: "pay*",
			},
			By:     rotation.Circle{Members: both, Groups: []rotation.GroupID{"S0123456789"}},
			Wanted: rotation.Wanted{Create: 1, Deactivate: 2}, Expires: 24 * time.Hour, Remind: []time.Duration{2 * time.Hour, 24 * time.Hour},
			Escalate: rotation.Escalation{
				After: 12 * time.Hour, To: rotation.Circle{Members: []rotation.MemberID{"U0123456793"}, Groups: []rotation.GroupID{"S0123456788"}},
			},
		},
		{Name: "the rest", By: rotation.Circle{Members: both}, Wanted: rotation.Wanted{Delete: 2}, Remind: rotation.DefaultReminders(), Windows: []rotation.Window{
			{Days: []time.Weekday{time.Monday, time.Thursday}, From: 22*time.Hour + 30*time.Minute, Until: 2 * time.Hour, Zone: newYork},
			{Days: []time.Weekday{time.Saturday}, Until: 24 * time.Hour, Zone: time.UTC},
		}, Freezes: []rotation.Freeze{{
			From: time.Date(2026, 12, 20, 0, 0, 0, 0, time.UTC), Until: time.Date(2027, 1, 4, 0, 0, 0, 0, time.UTC), Reason: "Christmas",
		}}},
	}
	if diff := cmp.Diff(want, got.Approval, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("Approval (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"approval   payments, for users pay-* or *-payments and paths /payments/* and tag team=pay* and accounts 111122223333: U0123456791, U0123456792, S0123456789; approvals to create 1, to deactivate 2, to delete 1; reminded after 2h, then 1d of working time; after 12h asked too: U0123456793, S0123456788; lapses after 1d\n",
		"approval   the rest, for every user: U0123456791, U0123456792; approvals to create 1, to deactivate 1, to delete 2; reminded after 4h, then 1d, then 2d of working time; the next window of changes opens on ",
		"warning    the approval rule the rest needs every approver it names.",
	} {
		if !strings.Contains(summary(t, got), want) {
			t.Errorf("no %q in\n%s", want, summary(t, got))
		}
	}
}

func TestParse_ApprovalRefuses(t *testing.T) {
	const decider = `; write a member's id as in U0123456789, or a user group's as in S0123456789`
	for _, test := range []struct{ name, old, new, want string }{
		{"no name", "- name: payments\n   ", "-", `4:5: name is missing; write name: what people call the rule, in at most 64 characters`},
		{"name twice", "the rest", "Payments", `14:11: a rule of this name stands on line 4 already; write a name of its own`},
		{"reserved name", "the rest", "Default", `14:11: the rule default is who slack.approvers names; write another name`},
		{"no approvers", "    approvers: [U0123456791, U0123456792]\n", "", `14:5: approvers is missing; write approvers: [U0123456789, S0123456789]`},
		{"approvers empty", "[U0123456791, U0123456792]", "[]", `20:16: approvers is empty; write at least one: a member's id as in U0123456789, or a user group's as in S0123456789`},
		{"approver by handle", "S0123456789", "'@payments'", `9:17: "@payments" in approvers is not an id` + decider},
		{"approver twice", "S0123456789", "U0123456792", `9:43: U0123456792 is in approvers already, on line 9; write each once`},
		{"account not listed", "Production", "staging", `5:16: account "staging" is not listed under accounts; write the id or the name of one that is`},
		{"no user's name", "pay-*", "pay/*", `6:13: member of users "pay/*" is nothing that IAM allows; write a user's name, with * for any characters, as in ci-*`},
		{"no path", "/payments/*", "payments", `7:13: member of paths "payments" is nothing that IAM allows; write an IAM path, with * for any characters, as in /ci/*`},
		{"users empty", `[pay-*, "*-payments"]`, "[]", `6:12: users is empty, which would be nobody; write at least one, or leave it out for all`},
		{"tag without a value", "team=pay*", "team", `8:10: tag is not a tag and a value; write an IAM user tag with its value, as in team=payments, or team=* for any`},
		{"needed by half", "deactivate: 2", "deactivate: 1.5", `10:37: deactivate "1.5" is not a number from 1 to 5; write how many people must approve, as in 2`},
		{"needed none", "deactivate: 2", "deactivate: 0", `10:37: deactivate "0" is not a number from 1 to 5; write how many people must approve, as in 2`},
		{"more needed than there are", "delete: 2", "delete: 3", `21:22: delete needs 3 approvals, and the rule names 2 who could give one; write a smaller number, or more approvers`},
		{"needed for something else", "delete: 2", "reactivate: 2", `21:14: unknown field "reactivate" in needed; write deactivate`},
		{"expires soon", "24h", "24m", `11:14: expires "24m" is too short; write 1h or more`},
		{"never used", "  - name: the rest", "  - {name: all, approvers: [S0123456789]}\n  - name: the rest", `15:11: this rule is never used: the one before it, "all", is for every user; write it before that one`},
		{"windows empty", "    windows:\n      - {days: [Mon, thu], hours: 22:30-02:00, zone: America/New_York}\n      - days: [sat]\n", "    windows: []\n", `15:14: windows is empty, so nothing could ever be changed; write windows: [{days: [mon, tue, wed, thu], hours: 09:00-17:00}], or leave it out`},
		{"a window that never opens", "22:30-02:00", "02:00-02:00", `16:35: hours "02:00-02:00" are none, so this window never opens; write hours: 09:00-17:00, or 22:00-02:00 for one that ends on the next day`},
		{"a window on no day", "[sat]", "[]", `17:15: days is empty, so this window never opens; write days as in [mon, tue], or leave it out for all`},
		{"no day", "[sat]", "[saturday]", `17:16: member of days "saturday" is not one of sun, mon, tue, wed, thu, fri, sat; write days as in [mon, tue], or leave it out for all`},
		{"day twice", "[sat]", "[sat, Sat]", `17:21: Sat is in days already; write each once`},
		{"no hours", "22:30-02:00", "10pm-2am", `16:35: hours "10pm-2am" are not two times of the day; write hours: 09:00-17:00, or 22:00-02:00 for one that ends on the next day`},
		{"hours of what", "22:30-02:00", "24:00-02:00", `16:35: hours "24:00-02:00" are not two times of the day; write hours: 09:00-17:00, or 22:00-02:00 for one that ends on the next day`},
		{"no zone", "America/New_York", "Eastern", `16:54: zone "Eastern" is not known; write an IANA zone such as Europe/Berlin or UTC`},
		{"a freeze backwards", "until: 2027-01-03", "until: 2026-12-03", `19:35: the freeze ends before it begins; write the last day of it, not before 2026-12-20`},
		{"a freeze for no reason", ", reason: Christmas", "", `19:9: reason is missing; write reason: why nothing may change, in at most 200 characters`},
		{"a freeze until when", ", until: 2027-01-03", "", `19:9: until is missing; write until: a date as in 2026-12-20`},
		{"a freeze from a word", "2026-12-20", "tomorrow", `19:16: from "tomorrow" is not a date; write a date as in 2026-12-20`},
		{"remind by a word", "[2h, 1d]", "often", `12:13: remind is neither times nor none; write times, each after the one before, as in [4h, 1d, 2d], or none`},
		{"remind empty", "[2h, 1d]", "[]", `12:13: remind is empty; write times, each after the one before, as in [4h, 1d, 2d], or none`},
		{"remind without a unit", "[2h, 1d]", "[2h, 3]", `12:18: member of remind "3" is not a duration; write times, each after the one before, as in [4h, 1d, 2d], or none`},
		{"remind soon", "[2h, 1d]", "[20m]", `12:14: member of remind "20m" is too short; write 1h or more`},
		{"remind often", "[2h, 1d]", "[1h, 1h, 1h, 1h, 1h, 1h]", `12:34: remind has more than 5 times; write fewer`},
		{"escalate to nobody", "to: [S0123456788, U0123456793]", "to: []", `13:32: to is empty` + strings.Replace(decider, "write", "write at least one:", 1)},
		{"escalate to whom", ", to: [S0123456788, U0123456793]", "", `13:15: to is missing; write to: [U0123456789, S0123456789]`},
		{"escalate when", "after: 12h, to", "to", `13:15: after is missing; write after: 24h`},
		{"escalate soon", "after: 12h", "after: 12m", `13:23: after "12m" is too short; write 1h or more`},
		{"escalate to those asked", "[S0123456788, U0123456793]", "[S0123456789, U0123456791]", `13:32: escalate asks nobody who is not asked before; write somebody who is not among the rule's approvers`},
		{"escalate too late", "after: 12h", "after: 24h", `13:23: escalate comes after 1d, and a request of this rule lapses after 1d; write a shorter time, or expires: with a longer one beside it`},
		{
			"nobody could approve for a known owner", "approval:", "owners: {links: {111122223333/ci: U0123456792}}\napproval:",
			`3:35: too few could approve for this owner: the rule "the rest" leaves 1 of 2 people that are needed; write another owner, or add approvers to the rule`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(ruleFile, test.old, test.new, 1)
			if text == ruleFile {
				t.Fatalf("%q is not in the file", test.old)
			}
			_, err := Parse("kt.yaml", []byte(text))
			if err == nil {
				t.Fatalf("accepted, want %s", test.want)
			}
			if got, want := err.Error(), "kt.yaml:"+test.want; got != want {
				t.Errorf("error\n got %s\nwant %s", got, want)
			}
		})
	}
}
