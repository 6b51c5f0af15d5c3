package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

// The second circle: Erin, and a group with Frank and the owner in it.
const second = rotation.GroupID("SSECOND")

var people2 = map[rotation.GroupID][]rotation.MemberID{second: {frank, owner}}

// patient is a rule for all under which Carol, who is in Tokyo, and Dave, who is in New York, decide.
func patient(wanted int) rotation.Approval {
	return rotation.Approval{
		Name: "patient", By: rotation.Circle{Members: []rotation.MemberID{carol, dave}}, Wanted: rotation.Wanted{Create: wanted, Deactivate: wanted},
		Expires: 14 * 24 * time.Hour, Remind: []time.Duration{4 * time.Hour, 24 * time.Hour},
		Escalate: rotation.Escalation{
			After: 50 * time.Hour, To: rotation.Circle{Members: []rotation.MemberID{erin}, Groups: []rotation.GroupID{second}},
		},
	}
}

// waits begins a rotation under a rule on a Monday at noon, in UTC.
func waits(t *testing.T, rule rotation.Approval, d *directory) *bench {
	t.Helper()
	b := newBench(t)
	b.stop()
	b.with = func(cfg *rotation.Config) {
		cfg.Approvals, cfg.Directory = []rotation.Approval{rule}, d
		var looked atomic.Int64 // no clock stands still while it is looked at
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(looked.Add(1)) * time.Nanosecond) }
		cfg.Zone = func(_ context.Context, m rotation.MemberID) *time.Location {
			name := map[rotation.MemberID]string{carol: "Asia/Tokyo", dave: "America/New_York"}[m]
			if name == "" {
				return nil
			}
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Error(err)
			}
			return zone
		}
	}
	time.Sleep(time.Until(time.Date(2000, 1, 3, 12, 0, 0, 0, time.UTC))) // a bubble begins on a Saturday
	b.start(-1, false)
	if _, err := b.engine.Request(t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: asker, OnCall: true}}); err != nil {
		t.Fatal(err)
	}
	return b
}

// told lists the entries of what the clock has brought, with their times.
func (b *bench) told() []string {
	b.t.Helper()
	p, err := b.kept.Get(b.t.Context(), ci.ID())
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, e := range trail(b.t, b.kept, p) {
		if e.Actor == "clock" {
			all = append(all, strings.TrimSpace(e.At.UTC().Format("Mon 15:04")+" "+e.Action+" "+e.Detail))
		}
	}
	return all
}

// TestEngine_RemindsAndEscalates has nobody answer: each is reminded in their own working hours, and then the second circle is asked and
// reminded, and nobody more.
func TestEngine_RemindsAndEscalates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waits(t, patient(1), &directory{groups: people2})
		passes(13 * 24 * time.Hour)
		want := []string{
			"Mon 18:00 remind reminded: UDAVE", // 13 o'clock in New York, 4 hours after 9
			"Tue 04:00 remind reminded: UCAROL",
			"Tue 18:00 remind reminded: UDAVE",
			"Wed 04:00 remind reminded: UCAROL",
			"Wed 14:00 escalate asked too: UERIN, SSECOND",
			"Thu 10:00 remind reminded: UERIN, UFRANK", // who have no zone of their own; the owner is not asked
			"Fri 10:00 remind reminded: UERIN, UFRANK",
		}
		if diff := cmp.Diff(want, b.told(), minutes()); diff != "" {
			t.Errorf("what the clock brought (-want +got):\n%s", diff)
		}
		r := b.rotation()
		if ask, open := r.CurrentAsk(); r.Stage != rotation.Requested || r.Turn != 1 || !open || !ask.Again.IsZero() || !ask.Escalates.IsZero() || ask.Escalated.IsZero() {
			t.Errorf("%s at turn %d, %+v: want the ask as it was, with nothing more to come but its end", r.Stage, r.Turn, ask)
		}
		passes(24 * time.Hour)
		r = b.rotation()
		if ask := r.Asks[0]; r.Stage != rotation.Lapsed || ask.Lapsed.IsZero() || slices.ContainsFunc(ask.Reminders, func(x rotation.Reminder) bool { return x.To != nil }) {
			t.Errorf("%s, %+v: want it lapsed, and whom it had reminded left to the entries", r.Stage, ask)
		}
	})
}

// minutes compares times to the minute: a round comes some seconds late.
func minutes() cmp.Option {
	return cmp.Comparer(func(a, b string) bool {
		near := func(s string) string { return s[:min(8, len(s))] + s[min(9, len(s)):] } // to ten minutes
		return near(a) == near(b)
	})
}

// TestEngine_RemindsNobodyWhoHasDecided: nor whoever cannot.
func TestEngine_RemindsNobodyWhoHasDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waits(t, patient(2), &directory{groups: people2, gone: []rotation.MemberID{erin}})
		if _, err := b.engine.Act(t.Context(), b.rotation().Ref(), rotation.Approve, rotation.Actor{Member: dave}, ""); err != nil {
			t.Fatal(err)
		}
		passes(13 * 24 * time.Hour)
		want := []string{
			"Tue 04:00 remind reminded: UCAROL",
			"Wed 04:00 remind reminded: UCAROL",
			"Wed 14:00 escalate asked too: UERIN, SSECOND",
			"Thu 10:00 remind reminded: UFRANK",
			"Fri 10:00 remind reminded: UFRANK",
		}
		if diff := cmp.Diff(want, b.told(), minutes()); diff != "" {
			t.Errorf("what the clock brought (-want +got):\n%s", diff)
		}
	})
}

// TestEngine_WaitsForTheMorning: what fell due while no process ran comes when people are at work.
func TestEngine_WaitsForTheMorning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := patient(1)
		rule.Escalate = rotation.Escalation{}
		b := waits(t, rule, &directory{})
		b.stop()
		passes(4*24*time.Hour + 12*time.Hour) // until midnight of Friday, when it is 9 o'clock on Saturday in Tokyo and Friday evening in New York
		b.start(-1, false)
		passes(4 * 24 * time.Hour)
		want := []string{
			"Mon 00:00 remind reminded: UCAROL",
			"Mon 14:00 remind reminded: UDAVE",
			"Tue 00:00 remind reminded: UCAROL",
			"Tue 14:00 remind reminded: UDAVE",
		}
		if diff := cmp.Diff(want, b.told(), minutes()); diff != "" {
			t.Errorf("what the clock brought (-want +got):\n%s", diff)
		}
	})
}

// TestEngine_ComesBackToAGroupItCouldNotRead: who is in it is unknown, and not nobody.
func TestEngine_ComesBackToAGroupItCouldNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := patient(1)
		rule.By.Groups, rule.Escalate = []rotation.GroupID{payers}, rotation.Escalation{}
		d := &directory{groups: map[rotation.GroupID][]rotation.MemberID{}}
		b := waits(t, rule, d)
		passes(26 * time.Hour) // until Tuesday at 14 o'clock
		b.stop()
		d.groups[payers] = []rotation.MemberID{frank}
		b.start(-1, false)
		passes(time.Hour)
		if got := b.told(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, "reminded: UFRANK") }) {
			t.Errorf("the one in the group was not reminded when it could be read: %q", got)
		}
	})
}

// TestEngine_AsksAgainOnce lets the process die at each of its writes, carried out or not, and beside another one: what the clock brings
// comes once, and nothing of it is lost.
func TestEngine_AsksAgainOnce(t *testing.T) {
	rule := patient(1)
	rule.Remind, rule.Escalate.After = rule.Remind[:1], 24*time.Hour
	const want, hours = 4, 48 // three reminders, and one escalation
	for n := range want + 2 {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, applied %v", n, applied), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := waits(t, rule, &directory{groups: people2})
					b.stop()
					b.start(n, applied)
					for range hours {
						passes(time.Hour)
						b.restart()
					}
					got := b.told()
					if slices.Sort(got); len(got) != want || len(slices.Compact(slices.Clone(got))) != want {
						t.Errorf("%d entries: %q", len(got), got)
					}
					if ask, _ := b.rotation().CurrentAsk(); len(ask.Reminders) != want-1 || ask.Escalated.IsZero() {
						t.Errorf("%d reminders, escalated %s", len(ask.Reminders), ask.Escalated)
					}
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		b := waits(t, rule, &directory{groups: people2})
		b.stop()
		with := b.with
		b.with = func(cfg *rotation.Config) { with(cfg); cfg.Shared = true }
		b.start(-1, false)
		first := b.stop
		b.start(-1, false)
		passes(hours * time.Hour)
		first()
		if got := b.told(); len(got) != want {
			t.Errorf("%d entries by two processes: %q", len(got), got)
		}
	})
}

// TestEngine_TheSecondCircleDecidesWhenAsked: not before, and in the ask that takes its place too.
func TestEngine_TheSecondCircleDecidesWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waits(t, patient(2), &directory{groups: people2})
		try := func(by rotation.MemberID, want rotation.Code) {
			t.Helper()
			_, err := b.engine.Act(t.Context(), b.rotation().Ref(), rotation.Approve, rotation.Actor{Member: by}, "")
			if got := code(err); got != want || want == "" && err != nil {
				t.Errorf("by %s: %v, want %q", by, err, want)
			}
		}
		try(erin, rotation.NotApprover)
		try(frank, rotation.NotApprover)
		passes(51 * time.Hour)
		try(owner, rotation.OwnKey) // is in the second circle
		try(asker, rotation.NotApprover)
		try(frank, "")
		try(frank, rotation.Approved)
		try(erin, "")
		passes(time.Second)
		if r := b.rotation(); r.Stage == rotation.Requested {
			t.Errorf("%s after two of the second circle have approved", r.Stage)
		}
	})
}

// TestStep_RenewedAskKeepsTheSecondCircle: whose click may be what renewed it.
func TestStep_RenewedAskKeepsTheSecondCircle(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	old := rotation.Key{ID: "OLD", Status: rotation.Active, Created: at.Add(-90 * 24 * time.Hour), LastUse: rotation.LastUse{State: rotation.NeverUsed}}
	seen := rotation.Evidence{At: at, UserID: "AIDA", Keys: []rotation.Key{old}}
	q := rotation.Request{User: ci, Key: "OLD", Retire: true, By: rotation.Actor{Member: owner}}
	r, err := rotation.Start(q, owner, seen, rotation.Terms{Quiet: time.Hour, Expires: 99 * time.Hour, Escalate: 10 * time.Hour}, at)
	if err != nil {
		t.Fatal(err)
	}
	renew := func() rotation.Ask {
		next, err := r.Step(rotation.Event{On: rotation.Renew, By: rotation.TheEngine, At: at.Add(3 * time.Hour), Evidence: seen})
		if err != nil {
			t.Fatal(err)
		}
		ask, _ := next.CurrentAsk()
		return ask
	}
	if ask := renew(); !ask.Escalates.Equal(at.Add(10*time.Hour)) || !ask.Escalated.IsZero() {
		t.Errorf("renewed before: %+v", ask)
	}
	r.Asks[0].Escalates, r.Asks[0].Escalated = time.Time{}, at.Add(2*time.Hour)
	if ask := renew(); !ask.Escalates.IsZero() || !ask.Escalated.Equal(at.Add(2*time.Hour)) {
		t.Errorf("renewed after: %+v", ask)
	}
}

// TestOverrule_NotApprovedByTheSamePerson: two people stand behind a deactivation whose evidence is missing.
func TestOverrule_NotApprovedByTheSamePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.playTo(rotation.Switching)
		act := func(on rotation.On, by rotation.MemberID) error {
			_, err := b.engine.Act(t.Context(), b.rotation().Ref(), on, rotation.Actor{Member: by}, "because")
			return err
		}
		if err := act(rotation.Overrule, dave); err != nil {
			t.Fatal(err)
		}
		x, err := b.engine.Explain(t.Context(), ci, rotation.Actor{Member: carol})
		if err != nil || !slices.Contains(x.People, rotation.Candidate{Member: dave, Bar: rotation.HasOverruled}) || !slices.Equal(x.Able(), []rotation.MemberID{carol}) {
			t.Errorf("explained as %+v, %v", x.People, err)
		}
		before := b.rotation().Turn
		err = act(rotation.Approve, dave)
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.OwnOverrule || refusal.By != dave {
			t.Fatalf("approved by the one who overruled: %v", err)
		}
		if e, ok := trailOf(t, b.kept, ci); !ok || e.Actor != string(dave) || e.Outcome != "refused" || !strings.Contains(e.Detail, "own-overrule") {
			t.Errorf("the entry is %+v", e)
		}
		if r := b.rotation(); r.Turn != before || r.Stage != rotation.Confirmed {
			t.Errorf("%s at turn %d after the refusal", r.Stage, r.Turn)
		}
		if err := act(rotation.Deny, dave); err != nil { // takes their word back
			t.Errorf("denied by the one who overruled: %v", err)
		}
		if err := act(rotation.Overrule, dave); err != nil {
			t.Fatal(err)
		}
		if err := act(rotation.Approve, carol); err != nil {
			t.Errorf("approved by another: %v", err)
		}
	})
}
