package rotation_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// TestApproval_Opens reads times in Vienna.
func TestApproval_Opens(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, vienna)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	office := rotation.Window{Days: []time.Weekday{time.Tuesday, time.Thursday}, From: 9 * time.Hour, Until: 16 * time.Hour, Zone: vienna}
	night := rotation.Window{Days: []time.Weekday{time.Friday}, From: 22 * time.Hour, Until: 2 * time.Hour, Zone: vienna}
	gap := rotation.Window{From: 2 * time.Hour, Until: 2*time.Hour + 30*time.Minute, Zone: vienna}
	freeze := rotation.Freeze{From: at("2026-12-21 00:00"), Until: at("2027-01-07 00:00"), Reason: "Christmas"}
	then := rotation.Freeze{From: at("2027-01-07 00:00"), Until: at("2027-01-08 10:00"), Reason: "the week after"}
	for _, test := range []struct {
		name    string
		rule    rotation.Approval
		t, want string // no want: never
	}{
		{"at any time", rotation.Approval{}, "2026-11-22 03:00", "2026-11-22 03:00"},
		{"within", rotation.Approval{Windows: []rotation.Window{office}}, "2026-11-24 09:00", "2026-11-24 09:00"},
		{"before", rotation.Approval{Windows: []rotation.Window{office}}, "2026-11-24 08:59", "2026-11-24 09:00"},
		{"when it shuts", rotation.Approval{Windows: []rotation.Window{office}}, "2026-11-24 16:00", "2026-11-26 09:00"},
		{"over the weekend", rotation.Approval{Windows: []rotation.Window{office}}, "2026-11-27 08:00", "2026-12-01 09:00"},
		{"across midnight", rotation.Approval{Windows: []rotation.Window{night}}, "2026-11-28 01:30", "2026-11-28 01:30"},
		{"after midnight", rotation.Approval{Windows: []rotation.Window{night}}, "2026-11-28 02:00", "2026-12-04 22:00"},
		{"the sooner of two", rotation.Approval{Windows: []rotation.Window{office, night}}, "2026-11-26 17:00", "2026-11-27 22:00"},
		{"in a freeze", rotation.Approval{Freezes: []rotation.Freeze{freeze}}, "2026-12-24 20:00", "2027-01-07 00:00"},
		{"the last moment of it", rotation.Approval{Freezes: []rotation.Freeze{freeze}}, "2027-01-06 23:59", "2027-01-07 00:00"},
		{"two freezes", rotation.Approval{Freezes: []rotation.Freeze{then, freeze}}, "2026-12-24 20:00", "2027-01-08 10:00"},
		{"a freeze over a window", rotation.Approval{Windows: []rotation.Window{office}, Freezes: []rotation.Freeze{freeze}}, "2026-12-17 17:00", "2027-01-07 09:00"},
		{"a time that the clocks skip", rotation.Approval{Windows: []rotation.Window{gap}}, "2026-03-28 03:00", "2026-03-29 03:00"},
		{"a window of no day", rotation.Approval{Windows: []rotation.Window{{Days: []time.Weekday{9}, Until: time.Hour}}}, "2026-11-24 09:00", ""},
	} {
		got, ok := test.rule.Opens(at(test.t))
		if text := got.In(vienna).Format("2006-01-02 15:04"); ok != (test.want != "") || ok && text != test.want {
			t.Errorf("%s, from %s: opens %s, %v; want %s", test.name, test.t, text, ok, test.want)
		}
	}
}

// mornings is a rule for all: changes are made from 8 to 9 o'clock, in UTC.
func mornings() rotation.Approval {
	return rotation.Approval{
		Name: "mornings", By: rotation.Circle{Members: []rotation.MemberID{carol, dave}},
		Windows: []rotation.Window{{From: 8 * time.Hour, Until: 9 * time.Hour}}, Remind: rotation.DefaultReminders(),
		Escalate: rotation.Escalation{After: 5 * time.Hour, To: rotation.Circle{Members: []rotation.MemberID{erin}}},
	}
}

func (b *bench) tries(on rotation.On, by rotation.MemberID) rotation.Code {
	b.t.Helper()
	_, err := b.engine.Act(b.t.Context(), b.rotation().Ref(), on, rotation.Actor{Member: by}, "because")
	if err != nil && code(err) == "" {
		b.t.Errorf("%s by %s: %v", on, by, err)
	}
	passes(time.Second)
	return code(err)
}

// held has one person approve on Monday at noon of what is done on Tuesday.
func held(t *testing.T) *bench {
	t.Helper()
	b := waits(t, mornings(), &directory{})
	if got := b.tries(rotation.Approve, carol); got != "" {
		t.Fatalf("approved outside of the window: %s", got)
	}
	return b
}

func TestEngine_HoldsUntilTheWindowOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := held(t)
		opens := time.Date(2000, 1, 4, 8, 0, 0, 0, time.UTC)
		if r := b.rotation(); r.Stage != rotation.Requested || !r.Held.Equal(opens) || !r.Waits() || !r.Deadline.IsZero() {
			t.Errorf("%s held until %s, ends %s: want it to wait for %s", r.Stage, r.Held, r.Deadline, opens)
		}
		if got := b.tries(rotation.Approve, dave); got != rotation.NotNow {
			t.Errorf("one approval more: %q", got)
		}
		before, err := b.kept.Get(t.Context(), ci.ID())
		if err != nil {
			t.Fatal(err)
		}
		passes(time.Until(opens) - time.Minute) // longer than an ask stands
		if after, err := b.kept.Get(t.Context(), ci.ID()); err != nil || after.Rev != before.Rev {
			t.Errorf("written %d times while it waits, %v", after.Rev-before.Rev, err)
		}
		if n := b.applied("CreateAccessKey"); n != 0 || b.rotation().Stage != rotation.Requested {
			t.Errorf("%d keys made before the window opens, %s", n, b.rotation().Stage)
		}
		passes(3 * time.Minute)
		r := b.rotation()
		if d, ok := r.Asks[0].ClosedBy(); r.Stage != rotation.Switching || !r.Held.IsZero() || !ok || d.By != carol || r.Asks[0].Closed != string(rotation.Approve) {
			t.Errorf("%s, closed %s by %+v: want the key made on Carol's word", r.Stage, r.Asks[0].Closed, d)
		}
		if n := b.applied("CreateAccessKey"); n != 1 {
			t.Errorf("%d keys made", n)
		}
		if got := b.told(); len(got) != 1 || got[0] != "Tue 08:00 proceed" {
			t.Errorf("the clock brought %q: nobody is to be reminded of what is approved", got)
		}
	})
}

// TestEngine_HeldIsDeniedWithdrawnAndOvertaken as any open ask.
func TestEngine_HeldIsDeniedWithdrawnAndOvertaken(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(*bench)
		want   rotation.Stage
	}{
		{"denied", func(b *bench) { b.tries(rotation.Deny, dave) }, rotation.Denied},
		{"withdrawn", func(b *bench) { b.tries(rotation.Cancel, owner) }, rotation.Cancelled},
		{"a key in the slot", func(b *bench) { b.account.AddKey(ci.Name, iamsim.Key{Created: time.Now()}) }, rotation.Stuck},
		{"the key made inactive", func(b *bench) { b.account.SetKeyStatus(string(b.old), false) }, rotation.Stuck},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := held(t)
				test.before(b)
				passes(24 * time.Hour)
				if r := b.rotation(); r.Stage != test.want {
					t.Errorf("%s because of %+v, want %s", r.Stage, r.Failure, test.want)
				}
				if n := b.applied("CreateAccessKey"); n != 0 {
					t.Errorf("%d keys made", n)
				}
			})
		})
	}
}

// confirmedHeld leads on: the deactivation is approved on Tuesday and held for a day.
func confirmedHeld(t *testing.T) *bench {
	t.Helper()
	b := held(t)
	passes(time.Until(time.Date(2000, 1, 4, 10, 0, 0, 0, time.UTC)))
	if err := b.account.Use(string(b.rotation().New), "s3", "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	passes(time.Hour)
	if got := b.tries(rotation.Confirm, owner); got != "" {
		t.Fatalf("confirm: %s", got)
	}
	if got := b.tries(rotation.Approve, dave); got != "" || !b.rotation().Waits() {
		t.Fatalf("approve: %s, waits %v", got, b.rotation().Waits())
	}
	return b
}

// TestEngine_LooksAgainWhenTheWindowOpens: evidence ages while it waits.
func TestEngine_LooksAgainWhenTheWindowOpens(t *testing.T) {
	opens := time.Date(2000, 1, 5, 8, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name string
		use  time.Time // of the old key; zero: none
		want rotation.Stage
		asks int
	}{
		{"nothing has changed", time.Time{}, rotation.Grace, 2},
		{"it was used, and has been quiet since", opens.Add(-5 * time.Hour), rotation.Confirmed, 3},
		{"it is in use", opens.Add(-10 * time.Minute), rotation.Switching, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := confirmedHeld(t)
				if !test.use.IsZero() {
					passes(time.Until(test.use))
					if err := b.account.Use(string(b.old), "s3", "eu-west-1"); err != nil {
						t.Fatal(err)
					}
				}
				passes(time.Until(opens) + 3*time.Minute)
				if r := b.rotation(); r.Stage != test.want || len(r.Asks) != test.asks {
					t.Errorf("%s after %d asks, %+v; want %s after %d", r.Stage, len(r.Asks), r.Failure, test.want, test.asks)
				}
			})
		})
	}
}

// TestEngine_RollbackAndLeakWaitForNoWindow, and what repeats a change does.
func TestEngine_RollbackAndLeakWaitForNoWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := confirmedHeld(t)
		passes(time.Until(time.Date(2000, 1, 5, 10, 0, 0, 0, time.UTC))) // in the grace
		if got := b.tries(rotation.Reactivate, owner); got != "" || b.rotation().Stage != rotation.Switching {
			t.Errorf("reactivated outside of the window: %q, %s", got, b.rotation().Stage)
		}
		q := rotation.Request{User: ci, Key: b.old, Leak: true, By: rotation.Actor{Member: carol}}
		if _, err := b.engine.Request(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if got := b.tries(rotation.Approve, carol); got != "" || b.rotation().Stage != rotation.Grace {
			t.Errorf("a leak outside of the window: %q, %s", got, b.rotation().Stage)
		}
		passes(terms.Grace + time.Minute)
		if got := b.tries(rotation.Approve, dave); got != "" || b.rotation().Stage != rotation.Done {
			t.Errorf("its deletion: %q, %s", got, b.rotation().Stage)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := waits(t, mornings(), &directory{})
		p, err := b.kept.Get(t.Context(), ci.ID())
		if err != nil {
			t.Fatal(err)
		}
		p.Rotation.Stage, p.Rotation.Failure = rotation.Stuck, rotation.Failure{At: rotation.Creating, Class: rotation.ClassDenied}
		p.Rotation.Asks[0].Stage = rotation.Stuck
		if _, err := b.kept.Replace(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := b.tries(rotation.TryAgain, carol); got != rotation.WindowShut {
			t.Errorf("tried again outside of the window: %q", got)
		}
		if got := b.tries(rotation.Close, carol); got != "" {
			t.Errorf("closed outside of the window: %q", got)
		}
	})
}

// TestEngine_GoesByTheWindowsOfNow: a freeze holds back what was approved before it, and one that is lifted no longer does.
func TestEngine_GoesByTheWindowsOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := held(t)
		again := func(change func(*rotation.Approval)) {
			b.stop()
			with := b.with
			b.with = func(cfg *rotation.Config) {
				with(cfg)
				cfg.Approvals = slices.Clone(cfg.Approvals)
				change(&cfg.Approvals[0])
			}
			b.start(-1, false)
		}
		freeze := rotation.Freeze{From: time.Date(2000, 1, 4, 0, 0, 0, 0, time.UTC), Until: time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC), Reason: "an audit"}
		again(func(a *rotation.Approval) { a.Freezes = []rotation.Freeze{freeze} })
		passes(time.Until(time.Date(2000, 1, 4, 12, 0, 0, 0, time.UTC)))
		if r := b.rotation(); !r.Waits() || !r.Held.Equal(time.Date(2000, 2, 1, 8, 0, 0, 0, time.UTC)) || b.applied("CreateAccessKey") != 0 {
			t.Errorf("%s held until %s in a freeze", r.Stage, r.Held)
		}
		again(func(a *rotation.Approval) { a.Freezes, a.Windows = nil, nil })
		passes(time.Minute)
		if r := b.rotation(); r.Stage != rotation.Switching {
			t.Errorf("%s held until %s after the freeze was lifted", r.Stage, r.Held)
		}
	})
}

// TestEngine_ProceedsOnce lets the process die at each of its writes.
func TestEngine_ProceedsOnce(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		for _, applied := range []bool{false, true} {
			if testing.Short() && applied != (n%2 == 0) {
				continue // each takes four days of ticks, which the race detector makes long
			}
			t.Run(fmt.Sprintf("write %d, applied %v", n, applied), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := confirmedHeld(t)
					b.stop()
					b.start(n, applied)
					for range 26 {
						passes(time.Hour)
						b.restart()
					}
					if got := b.applied("UpdateAccessKey"); got != 1 || b.rotation().Stage != rotation.Expiring {
						t.Errorf("%d keys made inactive, %s", got, b.rotation().Stage)
					}
				})
			})
		}
	}
}

// TestEngine_ForeseesTheWindow: who asks is told before that an approval would have to wait, unless what they ask for never does.
func TestEngine_ForeseesTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		rule := mornings()
		b.stop()
		b.with = func(cfg *rotation.Config) { cfg.Approvals = []rotation.Approval{rule} }
		b.start(-1, false)
		opens, ok := rule.Opens(time.Now())
		if !ok || !opens.After(time.Now()) {
			t.Fatalf("the window opens at %v, %v", opens, ok)
		}
		for _, c := range []struct {
			request rotation.Request
			want    time.Time
		}{
			{rotation.Request{User: ci, By: rotation.Actor{Member: owner}}, opens},
			{rotation.Request{User: ci, By: rotation.Actor{Member: owner}, Key: b.old, Retire: true}, opens},
			{rotation.Request{User: ci, By: rotation.Actor{Member: owner}, Key: b.old, Leak: true}, time.Time{}},
		} {
			f, err := b.engine.Foresee(t.Context(), c.request)
			if err != nil || !f.Opens.Equal(c.want) {
				t.Errorf("%+v: %v, %v; want %v", c.request, f.Opens, err, c.want)
			}
		}
		time.Sleep(time.Until(opens))
		if f, err := b.engine.Foresee(t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: owner}}); err != nil || !f.Opens.IsZero() {
			t.Errorf("in the window it is told of %v, %v", f.Opens, err)
		}
	})
}
