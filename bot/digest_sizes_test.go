package bot

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/rotation"
)

// company is a survey with n keys that need attention, of every kind that comes often, and one accepted for each nine of them.
func company(n int) rotation.Survey {
	const day = 24 * time.Hour
	s := rotation.Survey{At: monday, Accounts: []rotation.AccountState{
		{ID: ci.Account, Name: "Production", Users: 4 * n, Ages: []int{20, 30, 10, 5, n, 0, 0}}, {ID: "444455556666", Name: "Data & Research", Users: n, Ages: []int{1, 2, 3, 0, 0, 0, 0}},
	}}
	kinds := []rotation.Breach{rotation.TooOld, rotation.Unneeded, rotation.SoonTooOld, rotation.Idle, rotation.TwoActive, rotation.LeftInactive, rotation.TooOld}
	for i := range n + n/9 {
		u := rotation.UserRef{Account: s.Accounts[i%2].ID, Name: fmt.Sprintf("service-%05d", i)}
		f := aFinding(kinds[i%len(kinds)], u, rotation.KeyID(fmt.Sprintf("AKIAAAAAAAAAAAA%05d", i)), 91+i%400)
		if i%5 == 4 {
			f.Owner = ""
		}
		if i%10 == 9 {
			f.Exempt = rotation.Exemption{Reason: "The vendor cannot change it before spring.", Until: monday.Add(time.Duration(5+i%60) * day), By: []rotation.MemberID{alice}}
		}
		s.Findings = append(s.Findings, f)
	}
	order := rotation.Breaches()
	slices.SortStableFunc(s.Findings, func(a, b rotation.Finding) int {
		return cmp.Or(slices.Index(order, a.Breach)-slices.Index(order, b.Breach), a.Key.Created.Compare(b.Key.Created))
	})
	return s
}

// quarter is twelve weeks, the last of which counted n.
func quarter(n int) []report.Week {
	var weeks []report.Week
	for i := range report.Trend {
		weeks = append(weeks, report.Week{Name: fmt.Sprintf("2026-W%02d", 36+i), Due: n + 2*(report.Trend-1-i), TooOld: n / 2, Whole: i != 3})
	}
	return weeks
}

// pictured is a digest with its picture, as it stands in Slack in the end.
func pictured(m message, d report.Digest) message {
	if d.Picture != nil {
		m = m.pictured("F0123456789", d.Alt)
	}
	return m
}

// TestDigest_OfAnySize: what is sent of a company without a finding, with one, with a dozen and with ten thousand. The words are what mail and
// Teams are made from, in package report.
func TestDigest_OfAnySize(t *testing.T) {
	for _, n := range []int{0, 1, 12, 10_000} {
		s, weeks := company(n), quarter(n)
		var running []rotation.Rotation
		if n >= 12 {
			running = []rotation.Rotation{replace(t).toSwitching().r, replace(t).r}
		}
		due, _ := setApart(byKey(s.Findings), s.At)
		if len(due) != n {
			t.Fatalf("%d keys need attention, want %d", len(due), n)
		}
		d, err := inWords(testView(), s, running, weeks, func(id string) string { return "@" + strings.ToLower(id) })
		if err != nil || d.Picture == nil {
			t.Fatalf("in words: %v, with a picture of %d bytes", err, len(d.Picture))
		}
		m := pictured(digestMessage(testView(), s, running, weeks), d)
		goldenMessage(t, fmt.Sprintf("digest/%d", n), m)
		counted(t, m, n)
		d.Picture = []byte("PNG") // another drawing is no other digest
		golden(t, fmt.Sprintf("digest/%d.words.json", n), encode(t, d))
	}
}

// counted holds that each of n keys is either shown or counted, in the blocks.
func counted(t *testing.T, m message, n int) {
	t.Helper()
	rows, left := 0, 0
	for _, b := range m.Blocks {
		s, ok := b.(*slack.SectionBlock)
		if !ok || s.Text == nil {
			continue
		}
		if strings.Contains(s.Text.Text, ", key `AKIA") {
			rows++
		}
		if rest, ok := strings.CutPrefix(s.Text.Text, "*And "); ok {
			if _, err := fmt.Sscanf(rest, "%d other key", &left); err != nil {
				t.Error(err)
			}
		}
	}
	if rows+left != n || rows == 0 && n > 0 {
		t.Errorf("of %d keys %d are shown and %d counted", n, rows, left)
	}
}

// extreme is ten thousand findings, each with the longest there can be: names of IAM of 64 characters, the longest reasons that are taken, and
// names of accounts and failures that do not end.
func extreme(t *testing.T) (view, rotation.Survey, []rotation.Rotation) {
	t.Helper()
	v, s := testView(), rotation.Survey{At: monday}
	long := func(i int) string { return fmt.Sprintf("%05d%s", i, strings.Repeat("=", 59)) }
	member := rotation.MemberID("U" + strings.Repeat("W", 20))
	reason := strings.Repeat("<&ü\"", maxReason/4)
	v.ownerTag = strings.Repeat("o", 128)
	names := map[string]string{}
	v.accounts = func() map[string]string { return names }
	s.Unlisted = refusedByAWS(rotation.ClassDenied)
	for i := range 300 {
		id := fmt.Sprintf("%012d", i)
		names[id] = strings.Repeat("<&\"ü", 64)
		s.Left = append(s.Left, rotation.Departed{ID: id, Name: names[id], Since: monday})
		s.Accounts = append(s.Accounts, rotation.AccountState{
			ID: id, Name: names[id], Users: 100, Err: refusedByAWS(rotation.ClassUnknown), Unseen: []rotation.Unseen{rotation.KeysUnseen, rotation.LastUseUnseen, rotation.TagsUnseen},
			Ages: []int{1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6},
		})
	}
	var running []rotation.Rotation
	for i := range 11_000 {
		u := rotation.UserRef{Account: fmt.Sprintf("%012d", i%300), Name: long(i)}
		f := aFinding(rotation.TooOld, u, rotation.KeyID(fmt.Sprintf("AKIAAAAAAAAAAAA%05d", i)), 4000)
		f.Owner, f.Snooze = member, rotation.Snooze{By: member, Until: monday.Add(time.Hour)}
		f.Key.LastUse = rotation.LastUse{State: rotation.Used, At: monday.AddDate(-1, 0, 0), Service: strings.Repeat("s", 200), Region: strings.Repeat("r", 200)}
		f.Instead = rotation.Instead{Alternative: rotation.WorkloadRole, By: rotation.ByName, Word: strings.Repeat("w", 64)}
		if i%3 == 0 {
			f.Owner, f.Doubt = "", rotation.NotFull
		}
		idle := f
		idle.Breach = rotation.Idle
		switch x := (rotation.Exemption{Reason: reason, Until: monday.Add(time.Hour), By: slices.Repeat([]rotation.MemberID{member}, 12)}); {
		case i%11 == 0:
			f.Exempt, idle.Exempt = x, x
		case i%2 == 0:
			f.Exempt = x
		}
		s.Findings = append(s.Findings, f, idle)
	}
	for i := range 300 {
		r := replace(t).r
		r.User, r.Reason = rotation.UserRef{Account: fmt.Sprintf("%012d", i), Name: long(i) + "r"}, reason
		running = append(running, r)
		r.Asks = slices.Clone(r.Asks)
		r.Asks[0].Overruled = rotation.Decision{By: bob, At: monday, Reason: reason}
		s.Overruled = append(s.Overruled, r)
	}
	return v, s, running
}

func TestDigest_TheLongestStaysWithinEveryLimit(t *testing.T) {
	v, s, running := extreme(t)
	due, _ := setApart(byKey(s.Findings), s.At)
	weeks := quarter(10_000_000)
	d, err := inWords(v, s, running, weeks, func(id string) string { return strings.Repeat(id, 4) })
	if err != nil {
		t.Fatal(err)
	}
	weekly := digestMessage(v, s, running, weeks)
	today := digestOf(v, s, running, heading{"Access keys today", sinceWeek(weeks, weekOf("", s)), onlyYours("C" + strings.Repeat("W", 20))})
	for name, m := range map[string]message{"the week's": weekly, "today's": today} {
		m = pictured(m, d)
		checkMessage(t, m)
		counted(t, m, len(due))
		t.Logf("%s: %d blocks, %d characters in them, %d in the text", name, len(m.Blocks), weight(draft{blocks: m.Blocks}), len([]rune(m.Text)))
	}
	if len([]rune(d.Alt)) > 2000 { // of the picture; it is the message with the files, too
		t.Errorf("the picture says %d characters", len([]rune(d.Alt)))
	}
	d.Picture = []byte("PNG")
	golden(t, "digest/longest.words.json", encode(t, d))
}

// crowd is an account with many users, whose keys are all too old and whom nobody owns.
type crowd struct {
	rotation.IAM
	users int
	old   time.Time
}

func (c crowd) user(i int) rotation.User {
	u := rotation.UserRef{Account: wUser.Account, Name: fmt.Sprintf("user-%05d", i)}
	return rotation.User{Ref: u, ID: fmt.Sprintf("AIDA%05d", i)}
}

func (c crowd) Details(_ context.Context, each func(rotation.User) error) error {
	for i := range c.users {
		if err := each(c.user(i)); err != nil {
			return err
		}
	}
	return nil
}

func (c crowd) Report(_ context.Context, each func(rotation.ReportRow) error) (time.Time, error) {
	for i := range c.users {
		row := rotation.ReportRow{User: c.user(i).Ref.Name, Keys: []rotation.ReportKey{{Active: true, Rotated: c.old, LastUse: rotation.LastUse{State: rotation.Used, At: time.Now()}}}}
		if err := each(row); err != nil {
			return time.Time{}, err
		}
	}
	return time.Now(), nil
}

func (c crowd) Keys(_ context.Context, user string) ([]rotation.Key, error) {
	return []rotation.Key{{ID: rotation.KeyID("AKIAAAAAAAA" + strings.ToUpper(strings.ReplaceAll(user, "-", ""))), Status: rotation.Active, Created: c.old}}, nil
}

func (c crowd) LastUse(context.Context, rotation.KeyID) (rotation.LastUse, error) {
	return rotation.LastUse{State: rotation.Used, At: time.Now(), Service: "s3", Region: "eu-west-1"}, nil
}

// TestDigest_TakesFewCallsWhateverIsFound: a week's digest of ten thousand keys is one message, one with its files, and an edit.
func TestDigest_TakesFewCallsWhateverIsFound(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		calls, uploads := map[string]int{}, 0
		w.digests, w.crowd = true, crowd{w.aws, 10_000, time.Now().AddDate(-1, 0, 0)}
		p := w.boot(func(p *process) {
			p.after = func(op string) error {
				mu.Lock()
				defer mu.Unlock()
				if calls[op]++; strings.HasPrefix(op, "slack F0") { // by the file's id
					uploads++
				}
				return nil
			}
		})
		time.Sleep(time.Hour)
		p.end()
		digests, replies := w.onCallSees()
		if len(digests) != 1 || len(replies) != 1 || !strings.Contains(digests[0].Text, "10000 keys need attention") {
			t.Fatalf("%d digests with %d replies: %.300s", len(digests), len(replies), digests[0].Text)
		}
		sent := uploads
		for op, bound := range map[string]int{
			"slack chat.postMessage": 1, "slack files.getUploadURLExternal": 2, "slack files.completeUploadExternal": 1, "slack chat.update": 1,
			"slack conversations.replies": 1, "slack conversations.history": 0, "slack chat.delete": 0, "slack chat.postEphemeral": 0, "slack views.publish": 0,
		} {
			if sent += calls[op]; calls[op] > bound {
				t.Errorf("%s was called %d times, want at most %d", op, calls[op], bound)
			}
		}
		if sent > 8 || uploads != 2 {
			t.Errorf("%d calls, with %d files: %v", sent, uploads, calls)
		}
	})
}
