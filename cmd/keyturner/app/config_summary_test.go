package app

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestConfig_Summary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // The bubble begins on 2000-01-01 at 00:00 UTC, a Saturday.
		cfg, err := Parse("kt.yaml", []byte(strings.Replace(full, "2027-01-31", "2000-01-05", 1)))
		if err != nil {
			t.Fatal(err)
		}
		got := summary(t, cfg)
		want := `store      bolt:/var/lib/keyturner/keyturner.db
time zone  Europe/Berlin, where it is Sat 2000-01-01 01:00 CET
accounts   2
           111122223333 production, as arn:aws:iam::111122223333:role/keyturner
           012345678901 sandbox, as keyturner's own credentials
scan       30 6 * * *, next Sat 2000-01-01 06:30 CET, then Sun 2000-01-02 06:30 CET
digest     0 9 * * MON, next Mon 2000-01-03 09:00 CET, then Mon 2000-01-10 09:00 CET, to G0123456790
findings   a key of 80d, or unused for 30d; its owner is asked to rotate it from 60d
rotation   deactivated after 36h without use, asked to be deleted 10d later
requests   lapse after 1h without an answer; a secret stays in its message for at most 1m
approvers  U0123456789, W0123456790, in C0123456789
on-call    U0123456790
owners     1 by link, the others by the tag owner
exempt     111122223333/backup until the end of 2000-01-05: replaced in May
warning    the exemption of 111122223333/backup ends within two weeks.
`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Summary (-want +got):\n%s", diff)
		}
		time.Sleep(5*Day - time.Hour) // midnight after the 5th in Berlin
		if got := summary(t, cfg); !strings.Contains(got, "warning    the exemption of 111122223333/backup has expired") {
			t.Errorf("no warning about the expired exemption:\n%s", got)
		}
	})
}

func TestConfig_SummaryWarns(t *testing.T) {
	cfg, err := Parse("kt.yaml", []byte(minimal+"store: mem\nschedule: {scan: '0 */2 1 * *', digest: '@hourly'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * time.Hour)
		got := summary(t, cfg)
		for _, want := range []string{
			"warning    U0123456789 is the only approver. Nobody approves for their own keys, so theirs can never be rotated; add a second approver.\n",
			"warning    slack.oncall is empty",
			"warning    store mem forgets",
			"warning    two digests come before the next scan",
			"warning    AWS makes a new credential report every 4 hours at most",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		cfg.Store = "bolt:here.db"
		if got := summary(t, cfg); !strings.Contains(got, "warning    store bolt:here.db is relative") {
			t.Errorf("no warning about a relative path:\n%s", got)
		}
	})
}

func TestConfig_SummaryKeepsExternalID(t *testing.T) {
	cfg, err := Parse("kt.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if got := summary(t, cfg); strings.Contains(got, "d8f2-4b") {
		t.Errorf("the external id is shown:\n%s", got)
	}
}

func summary(t *testing.T, cfg Config) string {
	t.Helper()
	var b strings.Builder
	if err := cfg.Summary(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestConfig_SummaryOfWindows warns of freezes that are over, or too long.
func TestConfig_SummaryOfWindows(t *testing.T) {
	now := time.Now().UTC()
	freeze := func(from, until int) string {
		date := func(days int) string { return now.AddDate(0, 0, days).Format(time.DateOnly) }
		return minimal + "approval:\n  - name: payments\n    approvers: [S0123456789]\n    freezes:\n      - {from: " + date(from) + ", until: " + date(until) + ", reason: An audit}\n"
	}
	for _, test := range []struct{ file, want string }{
		{freeze(-9, -2), "warning    the freeze \"An audit\" of the approval rule payments ended on " + now.AddDate(0, 0, -2).Format(time.DateOnly) + "; remove it.\n"},
		{freeze(-9, -2), "; the window of changes is open now\n"},
		{freeze(-2, 3), "; the next window of changes opens on " + now.AddDate(0, 0, 4).Format("Mon 2006-01-02") + " 00:00 UTC\n"},
		{freeze(-2, 90), "warning    under the approval rule payments nothing can be changed for more than two months; shorten its freezes.\n"},
	} {
		cfg, err := Parse("kt.yaml", []byte(test.file))
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(t, cfg); !strings.Contains(got, test.want) {
			t.Errorf("no %q in\n%s", test.want, got)
		}
	}
}
