package app

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyturner/keyturner/rotation"
)

// full states every field. Tests of refusals replace a part of it, so its lines matter.
const full = `store: bolt:/var/lib/keyturner/keyturner.db
timezone: Europe/Berlin
slack:
  approvals_channel: C0123456789
  oncall_channel: G0123456790
  approvers: [U0123456789, W0123456790]
  oncall: [U0123456790]
accounts:
  - id: "111122223333"
    name: production
    role: arn:aws:iam::111122223333:role/keyturner
    external_id: d8f2-4b
  - id: "012345678901"
    name: sandbox
owners:
  tag: owner
  links: {"111122223333/ci-deploy": U0123456789}
exemptions:
  - {user: 111122223333/backup, reason: "replaced in May", until: 2027-01-31}
policy:
  warn_age: 60d
  max_age: 80d
  unused_age: 30d
  quiet: 1d12h
  grace: 240h
  approval_expires: 1h
  secret_visible: 1m
schedule:
  scan: "30 6 * * *"
  digest: "0 9 * * MON"
`

const minimal = `slack: {approvals_channel: C0123456789, oncall_channel: C0123456789, approvers: [U0123456789]}
accounts: [{id: "111122223333", name: production}]
`

var ignoreCron = cmp.Options{
	cmpopts.IgnoreFields(Cron{}, "Schedule"),
	cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }),
}

func berlin(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestParse_Full(t *testing.T) {
	got, err := Parse("kt.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	zone := berlin(t)
	want := Config{
		Store:    "bolt:/var/lib/keyturner/keyturner.db",
		Timezone: zone,
		Slack: Slack{
			ApprovalsChannel: "C0123456789",
			OncallChannel:    "G0123456790",
			Approvers:        []string{"U0123456789", "W0123456790"},
			Oncall:           []string{"U0123456790"},
		},
		Accounts: []Account{
			{ID: "111122223333", Name: "production", Role: "arn:aws:iam::111122223333:role/keyturner", ExternalID: "d8f2-4b", Delivery: rotation.ByDM},
			{ID: "012345678901", Name: "sandbox", Delivery: rotation.ByDM},
		},
		Owners: Owners{Tag: "owner", Links: map[string]string{"111122223333/ci-deploy": "U0123456789"}},
		Exemptions: map[string]Exemption{
			"111122223333/backup": {Reason: "replaced in May", Until: time.Date(2027, 2, 1, 0, 0, 0, 0, zone)},
		},
		Policy: Policy{
			WarnAge: 60 * Day, MaxAge: 80 * Day, UnusedAge: 30 * Day, Quiet: 36 * time.Hour, Grace: 10 * Day,
			ApprovalExpires: time.Hour, SecretVisible: time.Minute,
		},
		Schedule: Schedule{Scan: Cron{Spec: "30 6 * * *"}, Digest: Cron{Spec: "0 9 * * MON"}},
	}
	if diff := cmp.Diff(want, got, ignoreCron); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	// 05:30 in Berlin, an hour ahead of UTC.
	next := got.Schedule.Scan.Next(time.Date(2026, 11, 23, 4, 30, 0, 0, time.UTC))
	if want := time.Date(2026, 11, 23, 6, 30, 0, 0, zone); !next.Equal(want) {
		t.Errorf("next scan = %v, want %v", next, want)
	}
}

func TestParse_Minimal(t *testing.T) {
	got, err := Parse("kt.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Slack = Slack{ApprovalsChannel: "C0123456789", OncallChannel: "C0123456789", Approvers: []string{"U0123456789"}}
	want.Accounts = []Account{{ID: "111122223333", Name: "production", Delivery: rotation.ByDM}}
	if diff := cmp.Diff(want, got, ignoreCron); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestParse_DefaultSchedulesFollowTimezone(t *testing.T) {
	got, err := Parse("kt.yaml", []byte(minimal+"timezone: Europe/Berlin\n"))
	if err != nil {
		t.Fatal(err)
	}
	zone := berlin(t)
	for _, test := range []struct {
		name      string
		cron      Cron
		from, due time.Time
	}{
		{"scan", got.Schedule.Scan, time.Date(2026, 7, 1, 4, 59, 0, 0, time.UTC), time.Date(2026, 7, 1, 7, 0, 0, 0, zone)},
		{"digest", got.Schedule.Digest, time.Date(2026, 11, 23, 7, 59, 0, 0, time.UTC), time.Date(2026, 11, 23, 9, 0, 0, 0, zone)},
	} {
		if next := test.cron.Next(test.from); !next.Equal(test.due) {
			t.Errorf("%s: next after %v = %v, want %v", test.name, test.from, next, test.due)
		}
	}
}

func TestParse_Accepts(t *testing.T) {
	for _, test := range []struct{ name, old, new string }{
		{"unquoted account number, leading zero kept", `"012345678901"`, `012345678901`},
		{"unquoted user and empty sections", "owners:\n  tag: owner\n  links: {\"111122223333/ci-deploy\": U0123456789}\n", "owners:\n"},
		{"all exemptions commented out", `  - {user: 1`, `#  - {user: 1`},
		{"literal reason", `{user: 111122223333/backup, reason: "replaced in May", until: 2027-01-31}`, "user: 111122223333/backup\n    reason: |\n      replaced\n      in May\n    until: '2027-01-31'"},
		{"role with a path in another partition", "role: arn:aws:iam::111122223333:role/", "role: arn:aws-us-gov:iam::111122223333:role/ops/"},
		{"daily", `"30 6 * * *"`, `"@daily"`},
		{"memory", "bolt:/var/lib/keyturner/keyturner.db", "mem"},
		{"CRLF and BOM", "", ""},
		{"comment naming a token's prefix", "timezone:", "# the xoxb-… token is not here\ntimezone:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(full, test.old, test.new, 1)
			if test.old == "" {
				text = "\ufeff" + strings.ReplaceAll(full, "\n", "\r\n")
			} else if text == full {
				t.Fatalf("%q is not in the file", test.old)
			}
			got, err := Parse("kt.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if id := got.Accounts[1].ID; id != "012345678901" {
				t.Errorf("account id = %q, want 012345678901", id)
			}
			if e, ok := got.Exemptions["111122223333/backup"]; ok && e.Reason != "replaced in May" {
				t.Errorf("reason = %q", e.Reason)
			}
		})
	}
}

func TestParse_Refuses(t *testing.T) {
	const member, channel = `; write a member's id as in U0123456789, found in the member's profile under Copy member ID`, `; write the channel's id as in C0123456789, found at the end of the channel's details`
	const duration = `; write a number with its unit, as in 90d, 36h or 30m`
	const cronLine = `; write minute, hour, day, month and weekday in quotes, as in "0 9 * * MON"`
	const file = `; write a configuration as in deploy/keyturner.example.yaml`
	for _, test := range []struct{ name, old, new, want string }{
		// The file as a whole. An empty old replaces everything.
		{"empty", "", "", `1:1: the file is empty` + file},
		{"only comments", "", "# later\n", `1:1: the file is empty` + file},
		{"list", "", "- a\n", `1:1: the file is not made of fields; write name: value lines, as in deploy/keyturner.example.yaml`},
		{"text", "", "hello", `1:1: the file is not made of fields; write name: value lines, as in deploy/keyturner.example.yaml`},
		{"not UTF-8", "", "a: \xff", `1:1: the file is not UTF-8 text; write it in UTF-8`},
		{"two documents", "schedule:", "---\nschedule:", `29:1: a second document begins here; write one configuration per file`},
		{"tab", "  max_age", "\tmax_age", `22:1: this is not YAML: found character tab that cannot start any token` + file},
		{"open bracket", "W0123456790]", "W0123456790", `7:3: this is not YAML: ',' or ']' must be specified` + file},
		{"anchor", "timezone: ", "timezone: &zone ", `2:11: timezone is not one plain value on one line; write an IANA zone such as Europe/Berlin or UTC`},
		{"tag", "timezone: ", "timezone: !!str ", `2:11: timezone is not one plain value on one line; write an IANA zone such as Europe/Berlin or UTC`},
		{"merge key", "  tag:", "  <<:", `16:3: this name is not plain text; write it as text; merge keys, anchors, aliases and tags are not read`},
		{"repeated field", "schedule:", "policy:", `28:1: "policy" stands here again, after line 20; write it once`},

		// Unknown fields.
		{"unknown, near", "max_age", "max_ages", `22:3: unknown field "max_ages" in policy; write max_age`},
		{"unknown, hyphen", "approvals_channel", "approvals-channel", `4:3: unknown field "approvals-channel" in slack; write approvals_channel`},
		{"unknown, top", "schedule:", "schedules:", `28:1: unknown field "schedules"; write schedule`},
		{"unknown, far", "  tag:", "  ldap:", `16:3: unknown field "ldap" in owners; write one of tag, links, email_tag, email_names, groups`},
		{"unknown, elsewhere", "timezone:", "max_age: 90d\ntimezone:", `2:1: unknown field "max_age"; write it under policy`},
		{"unknown, from the top", "  tag:", "  timezone:", `16:3: unknown field "timezone" in owners; write it at the top level, not indented`},
		{"unknown, token", "  oncall:", "  bot_token: x\n  oncall:", `7:3: unknown field "bot_token" in slack: tokens come from SLACK_APP_TOKEN and SLACK_BOT_TOKEN; write it to one of those`},
		{"unknown, in an account", "    name: sandbox", "    nme: sandbox", `14:5: unknown field "nme" in accounts; write name`},
		{"missing, in an account", "    name: sandbox\n", "", `13:5: name is missing; write name: what people call the account, in at most 64 characters`},
		{"unknown, in an exemption", "reason:", "why:", `19:33: unknown field "why" in exemptions; write one of user, reason, until`},
		{"missing, in an exemption", `reason: "replaced in May", `, "", `19:5: reason is missing; write reason: why this is accepted, in at most 500 characters`},

		// Store and zone.
		{"store kind", "bolt:/var", "redis:/var", `1:8: store does not say what kind it is; write bolt: before the path, as in bolt:keyturner.db`},
		{"store unknown", "bolt:/var/lib/keyturner/keyturner.db", "etcd:localhost/keys", `1:8: store "etcd:localhost/keys" is of a kind that is not built in; write bolt:PATH, dynamodb:REGION/TABLE, or mem to try things out`},
		{"store without a table", "bolt:/var/lib/keyturner/keyturner.db", "dynamodb:eu-central-1", `1:8: store names no DynamoDB table; write dynamodb:REGION/TABLE, as in dynamodb:eu-central-1/keyturner`},
		{"store path alone", "bolt:/var", "/var", `1:8: store does not say what kind it is; write bolt: before the path, as in bolt:keyturner.db`},
		{"store without path", "bolt:/var/lib/keyturner/keyturner.db", "'bolt:'", `1:8: store names no file; write bolt: and the path, as in bolt:keyturner.db`},
		{"store empty", "bolt:/var/lib/keyturner/keyturner.db", "", `1:1: store has no value; write store: bolt:keyturner.db`},
		{"zone", "Europe/Berlin", "CEST5", `2:11: timezone "CEST5" is not known; write an IANA zone such as Europe/Berlin or UTC`},
		{"zone of the machine", "Europe/Berlin", "Local", `2:11: timezone "Local" is not known; write an IANA zone such as Europe/Berlin or UTC`},

		// Slack.
		{"no slack", "slack:\n  approvals_channel: C0123456789\n  oncall_channel: G0123456790\n  approvers: [U0123456789, W0123456790]\n  oncall: [U0123456790]\n", "", `1:1: slack is missing; write slack: with approvals_channel, oncall_channel and approvers`},
		{"no channel", "  approvals_channel: C0123456789\n", "", `4:3: approvals_channel is missing; write approvals_channel: the channel's id as in C0123456789, found at the end of the channel's details`},
		{"channel by name", "C0123456789", "'#key-approvals'", `4:22: approvals_channel "#key-approvals" is not an id` + channel},
		{"channel is a comment", "C0123456789", "#key-approvals", `4:3: approvals_channel has no value; write approvals_channel: the channel's id as in C0123456789, found at the end of the channel's details`},
		{"channel is a DM", "G0123456790", "D0123456790", `5:19: oncall_channel "D0123456790" is not an id` + channel},
		{"channel is a list", "C0123456789", "[C0123456789]", `4:22: approvals_channel is not one plain value on one line` + channel},
		{"no approvers", "  approvers: [U0123456789, W0123456790]\n", "", `4:3: approvers is missing; write approvers: [U0123456789] with the ids of those who may approve`},
		{"approvers empty", "[U0123456789, W0123456790]", "[]", `6:14: approvers is empty; write at least one, better two: nobody can approve for their own keys`},
		{"approvers null", " [U0123456789, W0123456790]", "", `6:3: approvers has no value; write approvers: [U0123456789] with the ids of those who may approve`},
		{"approvers not a list", "[U0123456789, W0123456790]", "U0123456789", `6:14: approvers is no list; write each member on a line of its own after "- ", or all in [ ]`},
		{"approver by name", "W0123456790", "'@ann'", `6:28: member "@ann" in approvers is not an id` + member},
		{"approver twice", "W0123456790", "U0123456789", `6:28: member U0123456789 is in approvers already, on line 6; write each member once`},
		{"approver not text", "W0123456790", "{a: b}", `6:28: member of approvers is not one plain value on one line` + member},
		{"on-call by channel", "oncall: [U", "oncall: [C", `7:12: member "C0123456790" in oncall is not an id` + member},

		// Accounts.
		{"accounts empty", "accounts:\n", "accounts: []\nx:\n", `8:11: accounts is empty; write - id: "111122223333" and, below it, name: production`},
		{"accounts not entries", "  - id: \"111122223333\"\n    name", "  - 111122223333\n  - name", `9:5: this entry of accounts is not made of fields; write name: value lines, as in deploy/keyturner.example.yaml`},
		{"id short", `"111122223333"`, `"11112222333"`, `9:9: id "11112222333" is not an account number; write its 12 digits in quotes, as in "111122223333"`},
		{"id with dashes", `"111122223333"`, `1111-2222-3333`, `9:9: id "1111-2222-3333" is not an account number; write its 12 digits in quotes, as in "111122223333"`},
		{"id unquoted and shortened", `"012345678901"`, `12345678901`, `13:9: id "12345678901" is not an account number, and without quotes other programs read it as a quantity; write its 12 digits in quotes, as in "111122223333"`},
		{"id in scientific notation", `"012345678901"`, `1.2345678901e+10`, `13:9: id "1.2345678901e+10" is not an account number, and without quotes other programs read it as a quantity; write its 12 digits in quotes, as in "111122223333"`},
		{"id missing", "  - id: \"012345678901\"\n    name", "  - name", `13:5: id is missing; write id: the 12 digits in quotes, as in id: "111122223333"`},
		{"account twice", `"012345678901"`, `"111122223333"`, `13:9: account "111122223333" is listed already, on line 9; write each account once`},
		{"name twice", `name: sandbox`, `name: Production`, `14:11: account name "Production" is taken already, on line 10; write a name of its own`},
		{"name long", `name: sandbox`, `name: ` + strings.Repeat("né ", 22), `14:11: name has more than 64 characters; write what people call the account, in at most 64 characters`},
		{"two without role", "    role: arn:aws:iam::111122223333:role/keyturner\n    external_id: d8f2-4b\n", "", `11:5: account "012345678901" has no role, and keyturner's own credentials belong to one account only: another has none, on line 9; write role: and the ARN of the role to assume`},
		{"role elsewhere", "111122223333:role", "444455556666:role", `11:11: role is in account 444455556666 and not in 111122223333; write the ARN of a role in account 111122223333`},
		{"role is a user", ":role/keyturner", ":user/keyturner", `11:11: role is not the ARN of an IAM role; write the role's ARN, as in arn:aws:iam::111122223333:role/keyturner`},
		{"external id alone", "    role: arn:aws:iam::111122223333:role/keyturner\n", "", `11:18: external_id is without a role to send it to; write role: beside it, or leave it out`},
		{"external id bad", "d8f2-4b", "'d8 f2'", `12:18: external_id has characters or a length that AWS does not accept; write the value the role's trust policy asks for: 2 or more letters, digits or any of +=,.@:/-_`},

		// Owners and exemptions.
		{"tag reserved", "tag: owner", "tag: aws:owner", `16:8: tag is not a name that IAM allows; write the name of an IAM user tag, as in slack-user-id`},
		{"links a list", `{"111122223333/ci-deploy": U0123456789}`, `[U0123456789]`, `17:10: links is not made of fields; write name: value lines, as in deploy/keyturner.example.yaml`},
		{"link without account", `"111122223333/ci-deploy"`, `ci-deploy`, `17:11: this does not begin with an account number; write account/user, as in 111122223333/ci-deploy`},
		{"link to an account not listed", `"111122223333/ci-deploy"`, `444455556666/ci-deploy`, `17:11: account 444455556666 is not listed under accounts; write it there first, or leave this out`},
		{"link with path", `111122223333/ci-deploy`, `111122223333/ops/ci-deploy`, `17:11: the user's path does not belong here; write 111122223333/ and the user's name alone`},
		{"link without user", `111122223333/ci-deploy`, `111122223333/`, `17:11: no name of an IAM user follows the account number; write account/user, as in 111122223333/ci-deploy`},
		{"link twice but for case", `": U0123456789}`, `": U0123456789, "111122223333/CI-deploy": U0123456789}`, `17:50: this user stands on line 17 already; write each user once`},
		{"link to a name", `": U0123456789}`, `": ann}`, `17:37: owner "ann" is not an id` + member},
		{"exemption without until", ", until: 2027-01-31", "", `19:5: until is missing; write until: the last day on which it holds, as in 2027-01-31`},
		{"exemption without reason", `"replaced in May"`, `""`, `19:41: reason is not one plain value on one line; write why this is accepted, in at most 500 characters`},
		{"exemption of no date", "2027-01-31", "2027-02-30", `19:67: until "2027-02-30" is not a date; write the last day on which it holds, as in 2027-01-31`},
		{"exemption of a day in words", "2027-01-31", "next May", `19:67: until "next May" is not a date; write the last day on which it holds, as in 2027-01-31`},
		{"exemption twice", "policy:", "  - {user: 111122223333/backup, reason: x, until: 2028-01-31}\npolicy:", `20:12: this user stands on line 19 already; write each user once`},
		{"exemption elsewhere", "111122223333/backup", "444455556666/backup", `19:12: account 444455556666 is not listed under accounts; write it there first, or leave this out`},

		// Policy and schedule.
		{"no unit", "max_age: 80d", "max_age: 80", `22:12: max_age "80" has no unit; write 80d for days or 80h for hours`},
		{"no duration", "max_age: 80d", "max_age: 3 months", `22:12: max_age "3 months" is not a duration` + duration},
		{"negative", "max_age: 80d", "max_age: -80h", `22:12: max_age "-80h" is not a duration` + duration},
		{"negative rest", "max_age: 80d", "max_age: 80d-1h", `22:12: max_age "80d-1h" is not a duration` + duration},
		{"overflow", "max_age: 80d", "max_age: 99999d2000000h", `22:12: max_age "99999d2000000h" is not a duration` + duration},
		{"grace short", "grace: 240h", "grace: 23h", `25:10: grace "23h" is too short; write 1d or more`},
		{"quiet short", "quiet: 1d12h", "quiet: 30m", `24:10: quiet "30m" is too short; write 1d or more`},
		{"approval short", "approval_expires: 1h", "approval_expires: 59m", `26:21: approval_expires "59m" is too short; write 1h or more`},
		{"secret too brief", "secret_visible: 1m", "secret_visible: 59s", `27:19: secret_visible "59s" is too short; write 1m or more`},
		{"secret too long", "secret_visible: 1m", "secret_visible: 1d1s", `27:19: secret_visible "1d1s" is too long; write 1d or less`},
		{"warning after the fact", "warn_age: 60d", "warn_age: 80d", `21:13: warn_age 80d is not below max_age 80d; write a shorter time`},
		{"limit below the default warning", "  warn_age: 60d\n  max_age: 80d", "  max_age: 36h", `21:12: max_age 36h is not above warn_age 75d, which it is by default; write a longer time, or warn_age: beside it`},
		{"cron fields", "30 6 * * *", "30 6 * *", `29:9: scan "30 6 * *" is not a cron schedule (expected exactly 5 fields, found 4: [30 6 * *])` + cronLine},
		{"cron range", "0 9 * * MON", "0 25 * * MON", `30:11: digest "0 25 * * MON" is not a cron schedule (end of range (25) above maximum (23): 25)` + cronLine},
		{"cron zone", "0 9 * * MON", "TZ=UTC 0 9 * * MON", `30:11: digest "TZ=UTC 0 9 * * MON" names a zone, which is set by timezone for all` + cronLine},
		{"cron zone alone", "0 9 * * MON", "TZ=UTC", `30:11: digest "TZ=UTC" names a zone, which is set by timezone for all` + cronLine},
		{"cron interval", "0 9 * * MON", "@every 168h", `30:11: digest "@every 168h" counts from the start of the program, so that a restart puts it off` + cronLine},
		{"cron never", "0 9 * * MON", "0 9 31 2 *", `30:11: digest "0 9 31 2 *" names a date that never comes` + cronLine},

		// Order: a missing part may only be misspelled; the first in the file, not the first found; a consequence of a problem is not reported for it.
		{"missing and misspelled", "slack:", "slak:", `3:1: unknown field "slak"; write slack`},
		{"two problems", "policy:\n  warn_age: 60d", "x: 1\npolicy:\n  warn_age: never", `20:1: unknown field "x"; write one of store, timezone, slack, accounts, organization, approval, owners, exemptions, policy, ages, schedule, mail`},
		{"policy before accounts", "store: bolt:/var/lib/keyturner/keyturner.db\n", "policies: {}\n", `1:1: unknown field "policies"; write one of store, timezone, slack, accounts, organization, approval, owners, exemptions, policy, ages, schedule, mail`},
		{"characters, not bytes", `reason: "replaced in May", until: 2027-01-31`, `reason: "für später 🔑", until: soon`, `19:64: until "soon" is not a date; write the last day on which it holds, as in 2027-01-31`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := test.new
			if test.old != "" {
				text = strings.Replace(full, test.old, test.new, 1)
				if text == full {
					t.Fatalf("%q is not in the file", test.old)
				}
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

// TestParse_OwnersBeforeAccounts: an account with a problem of its own must not make a link to it, further up, the problem.
func TestParse_OwnersBeforeAccounts(t *testing.T) {
	text := "owners: {links: {444455556666/ci: U0123456789}}\n" + minimal + "  \n"
	text = strings.Replace(text, `"111122223333"`, "44445555666", 1)
	_, err := Parse("kt.yaml", []byte(text))
	if err == nil || !strings.HasPrefix(err.Error(), "kt.yaml:3:17: id ") {
		t.Errorf("error = %v, want one about the id", err)
	}
}

// These are made up, in the form of real ones.
const (
	botToken  = "xoxb-" + "1234567890-1234567890123-abcdefABCDEF0123456789ab"
	appToken  = "xapp-" + "1-A0123456789-1234567890123-0123456789abcdef"
	awsSecret = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
)

func TestParse_NeverPrintsSecrets(t *testing.T) {
	var places []string
	for line := range strings.Lines(full) {
		line = strings.TrimRight(line, "\n")
		places = append(places, line+" SECRET", "SECRET "+line, "  SECRET: x\n"+line, line+" # SECRET")
		if name, _, ok := strings.Cut(line, ": "); ok {
			places = append(places, name+": SECRET", name+": [SECRET]", name+": {SECRET: SECRET}", name+": *SECRET", name+": 'SECRET", name+": !SECRET x")
		}
	}
	places = append(places, "%YAML SECRET\n---\n"+full, "SECRET")
	position := regexp.MustCompile(`^kt\.yaml:[1-9]\d*:[1-9]\d*: .+; write .+$`)
	for _, place := range places {
		for _, secret := range []string{botToken, appToken, awsSecret} {
			line := strings.ReplaceAll(place, "SECRET", secret)
			_, err := Parse("kt.yaml", []byte(line))
			if err != nil && (strings.Contains(err.Error(), secret) || !position.MatchString(err.Error())) {
				t.Errorf("%s: %v", place, err)
			}
			if secret != awsSecret && (err == nil || !strings.Contains(err.Error(), "tokens come from SLACK_APP_TOKEN")) {
				t.Errorf("%s: token not refused as one: %v", place, err)
			}
		}
		for before := range strings.Lines(full) {
			if strings.HasPrefix(before, strings.SplitN(place, ": ", 2)[0]) && !strings.Contains(place, "%YAML") {
				text := strings.Replace(full, before, strings.ReplaceAll(place, "SECRET", awsSecret)+"\n", 1)
				if _, err := Parse("kt.yaml", []byte(text)); err != nil && strings.Contains(err.Error(), awsSecret) {
					t.Errorf("%s: %v", place, err)
				}
				break
			}
		}
	}
}

func TestParse_TokenPosition(t *testing.T) {
	for _, token := range []string{botToken, appToken, "xoxe.xoxp-1-" + "0123456789abcdef", strings.ToUpper(botToken)} {
		text := strings.Replace(full, "  oncall:", "  # ünsere: "+token+"\n  oncall:", 1)
		_, err := Parse("kt.yaml", []byte(text))
		want := "kt.yaml:7:13: a Slack token does not belong in this file: tokens come from SLACK_APP_TOKEN and SLACK_BOT_TOKEN; " +
			"write it to one of those, or to a file named by SLACK_APP_TOKEN_FILE or SLACK_BOT_TOKEN_FILE"
		if err == nil || err.Error() != want {
			t.Errorf("error\n got %v\nwant %s", err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyturner.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(path)
	if err != nil || cfg.Accounts[0].Name != "production" {
		t.Errorf("Load = %+v, %v", cfg, err)
	}
	missing := filepath.Join(dir, "missing.yaml")
	_, err = Load(missing)
	want := missing + ": cannot be read: no such file or directory; write a file there, starting from deploy/keyturner.example.yaml"
	if err == nil || err.Error() != want {
		t.Errorf("error\n got %v\nwant %s", err, want)
	}
	if _, err := Parse(path, make([]byte, maxSize+1)); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("error of a huge file = %v", err)
	}
}

func TestLoad_Example(t *testing.T) {
	cfg, err := Load("../../../deploy/keyturner.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default().Policy, cfg.Policy); diff != "" {
		t.Errorf("the example's policy is not the default (-default +example):\n%s", diff)
	}
}

func ExampleParse() {
	_, err := Parse("keyturner.yaml", []byte("slack:\n  aprovers: [U0123456789]\n"))
	fmt.Println(err)
	// Output: keyturner.yaml:2:3: unknown field "aprovers" in slack; write approvers
}
