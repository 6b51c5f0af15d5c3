package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

var configSeeds = []string{
	full,
	minimal,
	ruleFile,
	"\ufeff" + strings.ReplaceAll(full, "\n", "\r\n"),
	"", "---\n...\n---\na: 1\n", "a: &x 1\nb: *x\n<<: {a: 1}\n? k\n: v\n", "- - -", "{a: [}", "a: 'x", "a: |\n x\n", "? [a]: b", "slack: \xff", "slack: {a: b,\rc: d}\r\nschedule:\r\n  scan: \"",
	minimal + "policy: {max_age: 99999d}",
	minimal + "schedule: {scan: '*/7 1-5,9 ? JAN-MAR SUN'}",
	minimal + "owners: {links: {111122223333/a: U0123456789}}",
	minimal + "schedule: {scan: '0 0 29 2 *', digest: \"@monthly\"}\ntimezone: Africa/Cairo\nstore: mem\n",
	minimal + "store: dynamodb:eu-central-1/keyturner\n",
	// The clocks of the Azores skip midnight in spring and have it twice in autumn; Samoa skipped a whole day.
	minimal + "timezone: Atlantic/Azores\nexemptions: [{user: 111122223333/a, reason: x, until: 2027-03-27}, {user: 111122223333/b, reason: x, until: 2027-03-28}]\n",
	minimal + "timezone: Atlantic/Azores\nexemptions: [{user: 111122223333/a, reason: x, until: 2027-10-30}]\n",
	minimal + "timezone: Pacific/Apia\nexemptions: [{user: 111122223333/a, reason: x, until: 2011-12-29}, {user: 111122223333/b, reason: x, until: 2011-12-30}]\n",
	minimal + "exemptions: [{user: 111122223333/a, reason: \"it's \\u2028 odd\", until: 9999-12-31}, {user: 111122223333/b, reason: x, until: 0000-01-01}]\n",
}

// FuzzConfig loads any bytes, with any value on one line of them: either they are refused with a place in the file, or what they say can
// be written as a file again that is accepted and says the same.
func FuzzConfig(f *testing.F) {
	for _, seed := range configSeeds {
		f.Add([]byte(seed), uint8(0), "")
	}
	for i, value := range []string{
		"bolt:x", "Asia/Beirut", "", "C0123456789 # x", "'G0123456790'", "[U0123456789,]", "\"\"", "", "0123", "|\n     two words", ">-\n     x", "arn:aws:iam::1:role/x",
		"=,.@:/-_", "!!str x", "*x", "", "π", "{? a : b}", "", "{user: 012345678901/a, reason: 'a''b', until: 2028-02-29}", "", "1d1ns", "106751d", "1h1d", "0x1h", "9e3s", "24h0m0s", "٣d", "",
		"@yearly", "\"*/59 23 31 1-12/2 ?\"",
	} {
		f.Add([]byte(full), uint8(i), value)
	}
	for i, value := range []string{"[011122223333, production]", "['*']", "[/x'y/]", "a b=c=d", "[S0123456789,W0123456789]", "{delete: 5}", "1d"} {
		f.Add([]byte(ruleFile), uint8(i+4), value)
	}
	f.Add([]byte("\"\t3\"\n2"), uint8(1), "{user: 01234u678901/a, reason: n: 'a''b'a''b', until: 2028-02-29}")
	path := filepath.Join(f.TempDir(), "kt.yaml")
	f.Fuzz(func(t *testing.T, text []byte, line uint8, value string) {
		text = withValue(text, line, value)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path)
		if err != nil {
			checkRefusal(t, path, text, err)
			return
		}
		checkConfig(t, cfg)
		checkDates(t, string(text), cfg.Exemptions)
		again, err := Parse("again.yaml", []byte(asFile(cfg)))
		if err != nil {
			t.Fatalf("accepted, and refused when written again: %v\n%s", err, asFile(cfg))
		}
		if diff := cmp.Diff(cfg, again, ignoreCron); diff != "" {
			t.Fatalf("written and read again (-before +after):\n%s", diff)
		}
		var b strings.Builder
		if err := cfg.Summary(&b); err != nil {
			t.Fatal(err)
		}
		control := func(r rune) bool { return r != '\n' && unicode.IsControl(r) }
		if !utf8.ValidString(b.String()) || strings.ContainsFunc(b.String(), control) {
			t.Errorf("Summary is not plain text: %q", b.String())
		}
	})
}

// withValue puts a value on a line of the file, in the place of the one that is there.
func withValue(text []byte, line uint8, value string) []byte {
	if value == "" {
		return text
	}
	lines := strings.SplitAfter(string(text), "\n")
	at := &lines[int(line)%len(lines)]
	name, _, _ := strings.Cut(*at, ": ")
	*at = name + ": " + value + "\n"
	return []byte(strings.Join(lines, ""))
}

// planted are made up, in the form of real ones. No part of them stands in a seed or in a text of ours.
var planted = []string{
	"xoxb-" + "857203946102-7390284615733-Zk3vQ9pLmW7xRt2aBcDeYuIo",
	"xapp-" + "1-ABQ7Z4M2KX9-7390284615733-8f2b9c4d7e1a6053",
	"wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
	"Qz/Lm+Tn4VxPa8sYcK/u" + "DgRw2eHbJf9iOoZkXyWv",
}

// FuzzConfigSecret plants a secret in a file: no part of it may come back in an error, and a Slack token is always one.
func FuzzConfigSecret(f *testing.F) {
	for _, seed := range configSeeds {
		for i := range planted {
			f.Add(seed, uint16(i*len(seed)/len(planted)), uint8(i))
		}
	}
	for at := range len(full) {
		f.Add(full, uint16(at), uint8(at))
	}
	for _, at := range []string{"scan: \"", "digest: '0 0 * * ", "until: ", "tag: ", "max_age: 1d"} {
		text := strings.Replace(full, at[:strings.Index(at, ":")+1], at, 1)
		f.Add(text, uint16(strings.Index(text, at)+len(at)), uint8(2))
	}
	f.Fuzz(func(t *testing.T, text string, at uint16, which uint8) {
		before := text[:min(int(at), len(text))]
		secret := planted[int(which)%len(planted)]
		_, err := Parse("kt.yaml", []byte(before+secret+text[len(before):]))
		if err == nil {
			if slackToken.MatchString(secret) {
				t.Fatal("a file with a Slack token was accepted")
			}
			return
		}
		const part = 8
		for i := range len(secret) - part + 1 {
			if said := secret[i : i+part]; strings.Contains(err.Error(), said) && !strings.Contains(text, said) {
				t.Fatalf("the error has %q of the secret: %v", said, err)
			}
		}
	})
}

var lineBreak = regexp.MustCompile(`\r\n|\r|\n`)

var refusalForm = regexp.MustCompile(`^:([1-9]\d*):([1-9]\d*): [^\n]+; write [^\n]+$`)

// checkRefusal holds that an error names a place that is in the file, what is wrong there and what to write, in one line.
func checkRefusal(t *testing.T, path string, text []byte, err error) {
	t.Helper()
	said, ok := strings.CutPrefix(err.Error(), path)
	match := refusalForm.FindStringSubmatch(said)
	if !ok || match == nil {
		t.Fatalf("error in another form: %q", err)
	}
	if slackToken.MatchString(said) || regexp.MustCompile(`[A-Za-z0-9/+=]{40}`).MatchString(said) || strings.ContainsFunc(said, unicode.IsControl) || !utf8.ValidString(said) {
		t.Fatalf("error with what may be a secret or is no text: %q", err)
	}
	line, _ := strconv.Atoi(match[1])
	column, _ := strconv.Atoi(match[2])
	lines := lineBreak.Split(strings.TrimPrefix(string(text), "\ufeff"), -1)
	guess := strings.Contains(said, "this is not YAML") // where the parser of YAML gave up, which may be a column too far
	if line > len(lines) || !guess && column > utf8.RuneCountInString(lines[line-1])+1 {
		t.Fatalf("error at a place that is not in the file: %v", err)
	}
}

// checkConfig holds the limits that Config documents.
func checkConfig(t *testing.T, cfg Config) {
	t.Helper()
	p := cfg.Policy
	if p.WarnAge < Day || p.WarnAge >= p.MaxAge || p.UnusedAge < Day || p.Quiet < Day || p.Grace < Day || p.ApprovalExpires < time.Hour ||
		p.SecretVisible < time.Minute || p.SecretVisible > Day {
		t.Errorf("policy out of bounds: %+v", p)
	}
	accounts, ids, names, own := map[string]bool{}, 0, map[string]bool{}, 0
	for _, a := range cfg.Accounts {
		accounts[a.ID], names[strings.ToLower(a.Name)] = true, true
		if a.Role == "" {
			own++
		}
		if n := utf8.RuneCountInString(a.Name); !accountID.MatchString(a.ID) || n == 0 || n > 64 || a.Role == "" && a.ExternalID != "" {
			t.Errorf("account %+v", a)
		}
		ids++
	}
	if ids == 0 || len(accounts) != ids || len(names) != ids || own > 1 {
		t.Errorf("accounts are missing or not unique: %+v", cfg.Accounts)
	}
	if cfg.Timezone == nil || cfg.Owners.Links == nil || cfg.Exemptions == nil || cfg.Store == "" || cfg.Owners.Tag == "" || len(cfg.Slack.Approvers) == 0 {
		t.Errorf("incomplete: %+v", cfg)
	}
	for user := range maps.All(cfg.Owners.Links) {
		checkUser(t, user, accounts)
	}
	for user, e := range cfg.Exemptions {
		checkUser(t, user, accounts)
		if e.Reason == "" || e.Until.Location() != cfg.Timezone {
			t.Errorf("exemption %+v", e)
		}
	}
	for _, c := range []Cron{cfg.Schedule.Scan, cfg.Schedule.Digest} {
		if c.Next(time.Date(2026, 11, 23, 9, 0, 0, 0, cfg.Timezone)).IsZero() {
			t.Errorf("schedule %q never comes", c.Spec)
		}
	}
}

var dates = regexp.MustCompile(`\d{4}-\d\d-\d\d`)

// checkDates holds that each exemption ends with the end of a date that stands in the file.
func checkDates(t *testing.T, text string, exemptions map[string]Exemption) {
	t.Helper()
	if strings.Contains(text, `\`) {
		return // a date may be written with escapes
	}
	for user, e := range exemptions {
		dateOf := func(at time.Time) time.Time {
			year, month, day := at.Date()
			return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		}
		endsWith := func(date string) bool {
			d, err := time.Parse(time.DateOnly, date)
			return err == nil && dateOf(e.Until).After(d) && !dateOf(e.Until.Add(-1)).After(d)
		}
		if !slices.ContainsFunc(dates.FindAllString(text, -1), endsWith) {
			t.Errorf("the exemption of %s ends at %s, which is the end of no date in the file", user, e.Until)
		}
	}
}

func checkUser(t *testing.T, user string, accounts map[string]bool) {
	t.Helper()
	account, name, _ := strings.Cut(user, "/")
	if !accounts[account] || !userName.MatchString(name) {
		t.Errorf("user %q", user)
	}
}

func wallClock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}

// writeRules writes the rules of who approves.
func writeRules(b *strings.Builder, rules []rotation.Approval, zone *time.Location) {
	b.WriteString("approval:\n")
	for _, r := range rules {
		name, err := json.Marshal(r.Name) // which is YAML
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(b, "- name: %s\n  approvers: [%s]\n", name, strings.Join(names(r.By), ", "))
		for field, list := range map[string][]string{"accounts": r.Matches.Accounts, "users": r.Matches.Users, "paths": r.Matches.Paths} {
			if len(list) > 0 {
				fmt.Fprintf(b, "  %s: ['%s']\n", field, strings.ReplaceAll(strings.ReplaceAll(strings.Join(list, "\x00"), "'", "''"), "\x00", "', '"))
			}
		}
		if r.Matches.Tag != "" {
			fmt.Fprintf(b, "  tag: '%s'\n", strings.ReplaceAll(r.Matches.Tag+"="+r.Matches.Value, "'", "''"))
		}
		if r.Expires > 0 {
			fmt.Fprintf(b, "  expires: %s\n", r.Expires)
		}
		remind := "none"
		if len(r.Remind) > 0 {
			remind = strings.ReplaceAll(fmt.Sprint(r.Remind), " ", ", ")
		}
		fmt.Fprintf(b, "  remind: %s\n", remind)
		if e := r.Escalate; e.After > 0 {
			fmt.Fprintf(b, "  escalate: {after: %s, to: [%s]}\n", e.After, strings.Join(names(e.To), ", "))
		}
		if len(r.Windows) > 0 {
			b.WriteString("  windows:\n")
		}
		for _, w := range r.Windows {
			fmt.Fprintf(b, "  - {zone: %s, hours: %s-%s", w.Zone, wallClock(w.From), wallClock(w.Until))
			if len(w.Days) > 0 {
				var days []string
				for _, d := range w.Days {
					days = append(days, weekdays[d])
				}
				fmt.Fprintf(b, ", days: [%s]", strings.Join(days, ", "))
			}
			b.WriteString("}\n")
		}
		if len(r.Freezes) > 0 {
			b.WriteString("  freezes:\n")
		}
		for _, f := range r.Freezes {
			fmt.Fprintf(b, "  - {from: %s, until: %s, reason: '%s'}\n", f.From.In(zone).Add(3*time.Hour).Format(time.DateOnly), f.Until.Add(-1).In(zone).Format(time.DateOnly),
				strings.ReplaceAll(f.Reason, "'", "''"))
		}
		b.WriteString("  needed:\n")
		for field, n := range map[string]int{"create": r.Wanted.Create, "deactivate": r.Wanted.Deactivate, "delete": r.Wanted.Delete} {
			if n > 0 {
				fmt.Fprintf(b, "    %s: %d\n", field, n)
			}
		}
	}
}

// asFile writes a configuration as a file that says the same.
func asFile(cfg Config) string {
	var b strings.Builder
	quoted := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	line := func(indent, name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, quoted(value))
		}
	}
	list := func(ids []string) string { return "[" + strings.Join(ids, ", ") + "]" }
	line("", "store", cfg.Store)
	line("", "timezone", cfg.Timezone.String())
	fmt.Fprintf(&b, "slack:\n  approvals_channel: %s\n  oncall_channel: %s\n", cfg.Slack.ApprovalsChannel, cfg.Slack.OncallChannel)
	fmt.Fprintf(&b, "  approvers: %s\n  oncall: %s\naccounts:\n", list(cfg.Slack.Approvers), list(cfg.Slack.Oncall))
	for _, a := range cfg.Accounts {
		line("- ", "id", a.ID)
		line("  ", "name", a.Name)
		line("  ", "role", a.Role)
		line("  ", "external_id", a.ExternalID)
	}
	writeRules(&b, cfg.Approval, cfg.Timezone)
	fmt.Fprintf(&b, "owners:\n  tag: %s\n  email_names: %v\n", quoted(cfg.Owners.Tag), cfg.Owners.EmailNames)
	line("  ", "email_tag", cfg.Owners.EmailTag)
	b.WriteString("  groups:\n")
	for _, group := range slices.Sorted(maps.Keys(cfg.Owners.Groups)) {
		line("    ", group, cfg.Owners.Groups[group])
	}
	b.WriteString("  links:\n")
	for _, user := range slices.Sorted(maps.Keys(cfg.Owners.Links)) {
		line("    ", quoted(user), cfg.Owners.Links[user])
	}
	b.WriteString("exemptions:\n")
	for _, user := range slices.Sorted(maps.Keys(cfg.Exemptions)) {
		e := cfg.Exemptions[user]
		line("- ", "user", user)
		line("  ", "reason", e.Reason)
		line("  ", "until", e.Until.Add(-1).Format(time.DateOnly))
	}
	p := cfg.Policy
	b.WriteString("policy:\n")
	for name, d := range map[string]time.Duration{
		"warn_age": p.WarnAge, "max_age": p.MaxAge, "unused_age": p.UnusedAge, "quiet": p.Quiet, "grace": p.Grace,
		"approval_expires": p.ApprovalExpires, "secret_visible": p.SecretVisible,
	} {
		line("  ", name, d.String())
	}
	fmt.Fprintf(&b, "schedule:\n  scan: %s\n  digest: %s\n", quoted(cfg.Schedule.Scan.Spec), quoted(cfg.Schedule.Digest.Spec))
	return b.String()
}
