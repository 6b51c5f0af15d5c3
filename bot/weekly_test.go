package bot

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/rotation"
)

// inWeek is the trend of a digest before which there was none.
func inWeek(name string) []report.Week { return []report.Week{{Name: name}} }

func TestChanged_ComparesOnlyWhatIsKnown(t *testing.T) {
	t.Parallel()
	week := func(due int, whole bool) report.Week { return report.Week{Due: due, Whole: whole} }
	for _, c := range []struct {
		weeks []report.Week
		want  string
	}{
		{nil, ""},
		{[]report.Week{week(3, true)}, ""},
		{[]report.Week{week(9, true), week(5, true), week(3, true)}, "That is 2 fewer than the week before."},
		{[]report.Week{week(3, true), week(5, true)}, "That is 2 more than the week before."},
		{[]report.Week{week(3, true), week(3, true)}, "That is as many as the week before."},
		{[]report.Week{week(3, false), week(5, true)}, ""},
		{[]report.Week{week(3, true), week(5, false)}, ""},
	} {
		if got := changed(c.weeks); got != c.want {
			t.Errorf("%v: %q, want %q", c.weeks, got, c.want)
		}
	}
}

func TestUnmarked_SaysWhatSlackShows(t *testing.T) {
	t.Parallel()
	names := func(id string) string { return "(" + id + ")" }
	for mrkdwn, want := range map[string]string{
		"*Owner:* <@U1ANA>, `ci` in acme &amp; co":                          "Owner: (U1ANA), ci in acme & co",
		"created on " + when(time.Unix(0, 0)) + ".":                         "created on 1970-01-01 00:00 UTC.",
		"<!subteam^S0TEAM> and <@U1|ana>":                                   "(S0TEAM) and (U1)",
		"AWS says &lt;b&gt; &amp;lt;":                                       "AWS says <b> &lt;",
		"nothing <here that is a mark":                                      "nothing <here that is a mark",
		sentences("It was last used on "+when(time.Unix(86400, 0))+".", ""): "It was last used on 1970-01-02 00:00 UTC.",
	} {
		if got := unmarked(mrkdwn, names); got != want {
			t.Errorf("%q: %q, want %q", mrkdwn, got, want)
		}
	}
}

// TestInWords_SaysWhatTheMessageSays: who reads the digest elsewhere reads the same, without Slack's marks.
func TestInWords_SaysWhatTheMessageSays(t *testing.T) {
	t.Parallel()
	s := survey()
	s.Accounts[0].Ages = []int{3, 2, 1, 0, 0, 4, 0}
	weeks := []report.Week{{Name: "2026-W46", Due: 9, Whole: true}, {Name: "2026-W47", Due: 7, Whole: true}}
	d, err := inWords(testView(), s, nil, weeks, func(id string) string { return "@" + id })
	if err != nil {
		t.Fatal(err)
	}
	due, _ := setApart(byKey(s.Findings), s.At)
	if len(d.Rows) != len(due) || d.More != 0 || !strings.HasPrefix(string(d.Picture), "\x89PNG") {
		t.Errorf("%d rows of %d keys, %d more, a picture of %d bytes", len(d.Rows), len(due), d.More, len(d.Picture))
	}
	said := d.Headline + d.Alt
	for _, r := range d.Rows {
		if r.User == "" || r.Found == "" || r.Next == "" {
			t.Errorf("a row says only %+v", r)
		}
		said += r.User + r.Key + r.Found + r.Next
	}
	for _, n := range d.Notes {
		said += n.Title + strings.Join(n.Lines, "")
	}
	for _, mark := range []string{"<!", "<@", "*", "`", "&lt;", "•"} {
		if strings.Contains(said, mark) {
			t.Errorf("%q is left in %s", mark, said)
		}
	}
	if !strings.Contains(d.Headline, "2 fewer than the week before") || !strings.Contains(d.Alt, "W46: 9") {
		t.Errorf("it begins %q, the picture says %q", d.Headline, d.Alt)
	}
	full, err := inWords(testView(), manyFindings(5000), nil, weeks, func(id string) string { return id })
	if err != nil || len(full.Rows) != report.MaxRows || full.More == 0 || full.Picture != nil {
		t.Errorf("%d rows and %d more, a picture of %d bytes although no age is known, %v", len(full.Rows), full.More, len(full.Picture), err)
	}
}

func TestWeekOf_IsWholeOnlyIfAllWasSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*rotation.Survey)
		whole bool
	}{
		"all was read":         {func(*rotation.Survey) {}, true},
		"an account is denied": {func(s *rotation.Survey) { s.Accounts[0].Err = rotation.ErrNotFound }, false},
		"something is unseen":  {func(s *rotation.Survey) { s.Accounts[0].Unseen = []rotation.Unseen{rotation.TagsUnseen} }, false},
		"there is no account":  {func(s *rotation.Survey) { s.Accounts = nil }, false},
	} {
		s := rotation.Survey{At: monday, Accounts: []rotation.AccountState{{ID: "111122223333"}}}
		c.spoil(&s)
		if w := weekOf("2026-W47", s); w.Whole != c.whole {
			t.Errorf("%s: %s", name, cmp.Diff(c.whole, w.Whole))
		}
	}
}

// TestDigests_AScanIsFreshFromItsEnd: one that took longer than it stays fresh would otherwise be made again, and again.
func TestDigests_AScanIsFreshFromItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		began, ended time.Time
		stale        bool
	}{
		"none was made":       {stale: true},
		"a long one":          {began: monday.Add(-time.Hour), ended: monday.Add(-time.Minute)},
		"one of this morning": {began: monday.Add(-time.Hour), ended: monday.Add(-59 * time.Minute), stale: true},
		"the clock went back": {began: monday, ended: monday.Add(time.Hour), stale: true},
	} {
		d := digests{Bot: &Bot{now: func() time.Time { return monday }}, last: rotation.Survey{At: c.began}, read: c.ended}
		if got := d.stale(); got != c.stale {
			t.Errorf("%s: %v", name, got)
		}
	}
}
