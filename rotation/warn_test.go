package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// at sleeps until a time in the first week of 2000, whose third day is a Monday.
func at(day, hour, minute int) {
	time.Sleep(time.Until(time.Date(2000, 1, day, hour, minute, 0, 0, time.UTC)))
}

// works has the owner be somewhere; nil: Slack does not tell.
func (b *bench) works(zone *time.Location) {
	b.stop()
	b.with = func(cfg *rotation.Config) {
		cfg.Zone = func(_ context.Context, m rotation.MemberID) *time.Location {
			if m.IsGroup() {
				b.t.Errorf("the zone of the group %s was asked for", m)
			}
			return zone
		}
	}
	b.start(-1, false)
}

func (b *bench) notices() []rotation.Notice {
	b.t.Helper()
	p, err := b.kept.Get(b.t.Context(), ci.ID())
	if err != nil && !errors.Is(err, rotation.ErrNotFound) {
		b.t.Fatal(err)
	}
	return p.Notices
}

func (b *bench) survey() rotation.Survey {
	b.t.Helper()
	s, err := b.engine.Survey(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func TestWarn_WaitsForTheOwnersWorkingHours(t *testing.T) {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		day, hour int
		zone      *time.Location
		from      string // empty: at once
	}{
		"at work":             {3, 12, time.UTC, ""},
		"before":              {4, 8, time.UTC, "Tue 09:00"},
		"in the evening":      {4, 17, time.UTC, "Wed 09:00"},
		"on Saturday":         {1, 12, time.UTC, "Mon 09:00"},
		"on Friday night":     {7, 23, time.UTC, "Mon 09:00"},
		"in Tokyo, by day":    {4, 3, tokyo, ""},
		"in Tokyo, at night":  {4, 12, tokyo, "Wed 00:00"},
		"Slack does not tell": {4, 20, nil, "Wed 09:00"},
		"Slack, and by day":   {4, 10, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.works(test.zone)
				at(test.day, test.hour, 0)
				b.survey()
				b.survey()
				all := b.notices()
				if len(all) != 1 {
					t.Fatalf("warnings: %+v, want one", all)
				}
				from := ""
				if !all[0].From.IsZero() {
					from = all[0].From.UTC().Format("Mon 15:04")
				}
				if from != test.from || all[0].Held(time.Now()) != (test.from != "") {
					t.Errorf("waits until %q, held %v; want %q", from, all[0].Held(time.Now()), test.from)
				}
			})
		})
	}
}

// TestWarn_OpensByItself: whoever shows messages is told when the hours begin, once, and also after a restart. Nobody looks before.
func TestWarn_OpensByItself(t *testing.T) {
	for name, restarts := range map[string]bool{"running": false, "restarted": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				at(1, 12, 0)
				b.survey()
				p, err := b.kept.Get(t.Context(), ci.ID())
				if err != nil {
					t.Fatal(err)
				}
				p.Owed = false // nothing can be shown yet
				if _, err = b.engine.Keep(t.Context(), p); err != nil || !p.Live() {
					t.Fatalf("%v, live %v", err, p.Live())
				}
				if restarts {
					at(2, 12, 0)
					b.stop()
					b.start(-1, false)
				}
				passes(time.Minute)
				var told []string
				changed := func(until time.Time) {
					ctx, cancel := context.WithDeadline(t.Context(), until)
					defer cancel()
					for {
						ids, err := b.engine.Changed(ctx)
						if err != nil {
							return
						}
						for range ids {
							told = append(told, time.Now().UTC().Format("Mon 15:04"))
						}
					}
				}
				changed(time.Date(2000, 1, 2, 13, 0, 0, 0, time.UTC))
				told = nil
				changed(time.Date(2000, 1, 5, 9, 0, 0, 0, time.UTC))
				if diff := cmp.Diff([]string{"Mon 09:00"}, told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestWarn_WhatIsNotSoAnyMore: what a warning waits for, it may have been about nothing by then.
func TestWarn_WhatIsNotSoAnyMore(t *testing.T) {
	accept := func(p *rotation.Progress) {
		now := time.Now().Add(time.Second)
		p.Exemptions = []rotation.KeyExemption{{ID: ci.ID() + "-e1", Key: p.Notices[0].Key, Reason: "because", Stage: rotation.ExemptHeld, Since: now, Asked: now, Until: now.AddDate(0, 1, 0)}}
	}
	change := func(fn func(*rotation.Progress)) func(*bench) {
		return func(b *bench) {
			if _, err := b.engine.Note(b.t.Context(), ci.ID(), fn); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		meanwhile func(*bench)
		stands    bool
		unread    bool // until it has been tried for a while
	}{
		"nothing":             {meanwhile: func(*bench) {}, stands: true},
		"the key was deleted": {meanwhile: func(b *bench) { b.account.RemoveKey(string(b.old)) }},
		"made inactive":       {meanwhile: func(b *bench) { b.account.SetKeyStatus(string(b.old), false) }},
		"the user is gone":    {meanwhile: func(b *bench) { b.account.RemoveUser(ci.Name) }},
		"it is accepted":      {meanwhile: change(accept)},
		"asked for before, and accepted": {meanwhile: change(func(p *rotation.Progress) {
			accept(p)
			p.Exemptions[0].Asked = p.Notices[0].Due.Add(-time.Hour)
			p.Exemptions[0].Since = p.Exemptions[0].Asked
		})},
		"snoozed while the scan went on": {meanwhile: change(func(p *rotation.Progress) {
			p.Snoozes = []rotation.Snooze{{ID: "s", Key: p.Notices[0].Key, At: p.Notices[0].Due.Add(-time.Minute), Until: time.Now().Add(14 * 24 * time.Hour)}}
		})},
		"an exemption is asked": {meanwhile: change(func(p *rotation.Progress) { accept(p); p.Exemptions[0].Stage = rotation.ExemptAsked })},
		"it is snoozed": {meanwhile: change(func(p *rotation.Progress) {
			p.Snoozes = []rotation.Snooze{{ID: "s", Key: p.Notices[0].Key, At: time.Now().Add(time.Second), Until: time.Now().Add(14 * 24 * time.Hour)}}
		})},
		"linked to somebody else": {meanwhile: change(func(p *rotation.Progress) { p.Link = &rotation.Link{Owner: dave} })},
		"linked to its owner":     {meanwhile: change(func(p *rotation.Progress) { p.Link = &rotation.Link{Owner: owner} }), stands: true},
		"a rotation began": {meanwhile: func(b *bench) {
			if _, err := b.engine.Request(b.t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: owner}}); err != nil {
				b.t.Fatal(err)
			}
		}},
		"AWS does not answer": {meanwhile: func(b *bench) { b.sim.Fail("ListAccessKeys", iamsim.Fault{Code: "AccessDenied", Times: -1}) }, stands: true, unread: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				at(1, 12, 0)
				b.survey()
				passes(time.Minute)
				test.meanwhile(b)
				at(3, 9, 1)
				p, err := b.kept.Get(t.Context(), ci.ID())
				if err != nil {
					t.Fatal(err)
				}
				stands, err := b.engine.Stands(t.Context(), p, p.Notices[0])
				if test.unread {
					if !errors.Is(err, rotation.ErrNotTold) {
						t.Fatalf("got %v, %v; want that it is not known yet", stands, err)
					}
					at(3, 10, 1)
					stands, err = b.engine.Stands(t.Context(), p, p.Notices[0])
				}
				if err != nil || stands != test.stands {
					t.Errorf("stands: %v, %v; want %v", stands, err, test.stands)
				}
			})
		})
	}
}

// TestWarn_FollowsTheOwner: a warning that waits is of whoever the scan finds to be the owner then.
func TestWarn_FollowsTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		at(1, 12, 0)
		b.survey()
		key := b.account.Keys(ci.Name)[0]
		b.account.RemoveUser(ci.Name)
		b.account.AddUser(iamsim.User{Name: ci.Name, Created: key.Created, Tags: map[string]string{"slack-user-id": string(dave)}})
		b.account.AddKey(ci.Name, iamsim.Key{ID: key.ID, Created: key.Created})
		b.survey()
		all := b.notices()
		if len(all) != 1 || all[0].Owner != dave || !all[0].Held(time.Now()) {
			t.Errorf("warnings: %+v, want one, for the new owner", all)
		}
		if slices.ContainsFunc(all, func(n rotation.Notice) bool { return n.Owner == owner }) {
			t.Error("the former owner is still to be warned")
		}
	})
}

// answered is what has been sent in some days, in each of which there is a scan, by somebody who sends what is due.
func (b *bench) sends(days int, each func(day int)) (sent []string) {
	b.t.Helper()
	for day := range days {
		if each != nil {
			each(day)
		}
		b.survey()
		for range 24 {
			passes(time.Hour)
			if _, err := b.engine.Note(b.t.Context(), ci.ID(), func(p *rotation.Progress) {
				for i, n := range p.Notices {
					if now := time.Now(); n.Waits() && !n.Held(now) && (n.In == "" || len(n.Among) > 0) {
						p.Notices[i].Sent = now
						sent = append(sent, strings.TrimSpace(now.UTC().Format("Jan 2 Mon 15h ")+strconv.Itoa(n.Days)+" "+string(n.Kind)))
					}
				}
			}); err != nil && !errors.Is(err, rotation.ErrNotFound) {
				b.t.Fatal(err)
			}
		}
	}
	return sent
}

// TestWarn_TwoSilences has an owner not answer, from Monday the 3rd on: when they are warned, and when others are told.
func TestWarn_TwoSilences(t *testing.T) {
	for name, test := range map[string]struct {
		age  int // of the key on the 1st, in days
		each func(b *bench, day int)
		want []string
	}{
		"of a key that is too old already": {100, nil, []string{
			"Jan 3 Mon 09h 90", "Jan 10 Mon 09h 109 last", "Jan 13 Thu 09h 112 passed-on", "Jan 13 Thu 09h 112 told",
		}},
		"of one that has been warned of before": {76, nil, []string{
			"Jan 3 Mon 09h 75", "Jan 17 Mon 09h 90 last", "Jan 20 Thu 09h 95 passed-on", "Jan 20 Thu 09h 95 told",
		}},
		"snoozed after the first one": {100, func(b *bench, day int) {
			if day == 4 {
				if _, err := b.engine.Snooze(b.t.Context(), ci, b.old, 7, rotation.Actor{Member: owner}, ""); err != nil {
					b.t.Error(err)
				}
			}
		}, []string{"Jan 3 Mon 09h 90", "Jan 19 Wed 09h 118", "Jan 26 Wed 09h 125 last"}},
		"linked to somebody else after the last one": {100, func(b *bench, day int) {
			if day == 10 {
				if _, err := b.engine.Link(b.t.Context(), ci, dave, rotation.Actor{Member: carol, Approver: true}); err != nil {
					b.t.Error(err)
				}
			}
		}, []string{"Jan 3 Mon 09h 90", "Jan 10 Mon 09h 109 last", "Jan 18 Tue 09h 117", "Jan 25 Tue 09h 124 last"}},
		"its tag names somebody else after it was passed on": {100, func(b *bench, day int) {
			if day != 14 {
				return
			}
			key := b.account.Keys(ci.Name)[0]
			b.account.RemoveUser(ci.Name)
			b.account.AddUser(iamsim.User{Name: ci.Name, Created: key.Created, Tags: map[string]string{"slack-user-id": string(dave)}})
			b.account.AddKey(ci.Name, iamsim.Key{ID: key.ID, Created: key.Created, LastUsed: time.Now(), Service: "s3", Region: "eu-west-1"})
		}, []string{
			"Jan 3 Mon 09h 90", "Jan 10 Mon 09h 109 last", "Jan 13 Thu 09h 112 passed-on", "Jan 13 Thu 09h 112 told",
			"Jan 17 Mon 09h 116", "Jan 24 Mon 09h 123 last",
		}},
		"a rotation lapses after the last one": {100, func(b *bench, day int) {
			if day == 11 {
				if _, err := b.engine.Request(b.t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: owner}}); err != nil {
					b.t.Error(err)
				}
			}
		}, []string{"Jan 3 Mon 09h 90", "Jan 10 Mon 09h 109 last", "Jan 19 Wed 09h 118", "Jan 26 Wed 09h 125 last"}},
		"the key is deleted after the last one": {100, func(b *bench, day int) {
			if day == 10 {
				b.account.RemoveKey(string(b.old))
			}
		}, []string{"Jan 3 Mon 09h 90", "Jan 10 Mon 09h 109 last"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.works(time.UTC)
				b.account.RemoveKey(string(b.old))
				b.account.AddKey(ci.Name, iamsim.Key{ID: string(b.old), Created: time.Now().Add(-time.Duration(test.age) * 24 * time.Hour), LastUsed: time.Now(), Service: "s3", Region: "eu-west-1"})
				at(1, 8, 30)
				var each func(int)
				if test.each != nil {
					each = func(day int) { test.each(b, day) }
				}
				got := b.sends(26, each)
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
				s := b.survey()
				passed := slices.ContainsFunc(s.Findings, func(f rotation.Finding) bool { return !f.Passed.IsZero() })
				if want := strings.Contains(strings.Join(got, " "), "passed-on"); passed != want {
					t.Errorf("the findings tell that it was passed on: %v, want %v", passed, want)
				}
			})
		})
	}
}

// TestWarn_Together: many keys of one owner that fall due in the same scan are told by one document, and few by themselves. What is passed on
// goes to the second circle of each one's rule, in one message for each circle, once a day and with a bound.
func TestWarn_Together(t *testing.T) {
	if testing.Short() {
		t.Skip("it scans many users")
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.stop()
		b.with = func(cfg *rotation.Config) {
			cfg.Approvals = []rotation.Approval{{
				Name: "batch", Matches: rotation.Matches{Users: []string{"batch-*"}}, By: rotation.Circle{Members: []rotation.MemberID{carol}},
				Escalate: rotation.Escalation{To: rotation.Circle{Members: []rotation.MemberID{erin}, Groups: []rotation.GroupID{second}}},
			}}
		}
		b.start(-1, false)
		users := func(form string, n int, m rotation.MemberID) {
			for i := range n {
				name := fmt.Sprintf(form, i)
				b.account.AddUser(iamsim.User{Name: name, Tags: map[string]string{"slack-user-id": string(m)}})
				b.account.AddKey(name, iamsim.Key{Created: time.Now().Add(-100 * 24 * time.Hour), LastUsed: time.Now(), Service: "s3", Region: "eu-west-1"})
			}
		}
		users("batch-%03d", 98, dave)
		users("few-%d", 3, carol)
		at(3, 12, 0)
		tally := func(kind rotation.NoticeKind) (notices int, tellers, to map[string]int) {
			tellers, to = map[string]int{}, map[string]int{}
			err := b.kept.Scan(t.Context(), func(p rotation.Progress) error {
				for _, n := range p.Notices {
					if n.Kind != kind {
						continue
					}
					notices++
					to[fmt.Sprint(n.To)]++
					switch {
					case len(n.Among) == 0:
					case n.In != p.User.ID() || !slices.Contains(n.Among, n.In):
						t.Errorf("%s tells of %v", n.In, n.Among)
					default:
						tellers[fmt.Sprint(n.Owner)] += len(n.Among)
					}
					if told := n.In != ""; told != (n.Owner == dave || n.Kind == rotation.PassedOn) {
						t.Errorf("a notice for %s is told with others: %v", n.Owner, told)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return notices, tellers, to
		}
		send := func() {
			if err := b.kept.Scan(t.Context(), func(p rotation.Progress) error {
				_, err := b.engine.Note(t.Context(), p.User.ID(), func(p *rotation.Progress) {
					for i, n := range p.Notices {
						if n.Waits() {
							p.Notices[i].Sent = time.Now()
						}
					}
				})
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		b.survey()
		if n, tellers, _ := tally(rotation.FirstWarning); n != 102 || len(tellers) != 1 || tellers[string(dave)] != 98 {
			t.Errorf("%d first warnings, told by %v", n, tellers)
		}
		send()
		at(10, 12, 0)
		b.survey()
		if n, _, _ := tally(rotation.LastWarning); n != 102 {
			t.Errorf("%d last warnings", n)
		}
		send()
		at(13, 12, 0)
		b.survey()
		b.survey() // on the same day nothing more is passed on
		n, _, _ := tally(rotation.PassedOn)
		if n != 100 {
			t.Errorf("%d are passed on on the first day, want 100", n)
		}
		send()
		at(14, 12, 0)
		b.survey()
		n, tellers, to := tally(rotation.PassedOn)
		if want := map[string]int{"[SSECOND UERIN]": 98, "[]": 4}; n != 102 || !maps.Equal(to, want) {
			t.Errorf("%d are passed on, to %v, want %v", n, to, want)
		}
		if told, _, _ := tally(rotation.OwnerTold); told != 102 || tellers[string(owner)] > 4 {
			t.Errorf("%d owners told; tellers %v", told, tellers)
		}
		if c, err := b.kept.Claimed(t.Context(), "passed-on"); err != nil || c.Note != "2000-01-14" {
			t.Errorf("the claim of the day: %+v, %v; want one claim for all days", c, err)
		}
		if e := b.entriesOf("pass-on"); e != 102 {
			t.Errorf("%d entries, want 102", e)
		}
		at(17, 12, 0)
		send()
		b.survey()
		if again, _, _ := tally(rotation.PassedOn); again != 102 {
			t.Errorf("passed on again: %d", again)
		}
	})
}

// entriesOf counts what is in the trails.
func (b *bench) entriesOf(action string) (n int) {
	b.t.Helper()
	if err := b.kept.Scan(b.t.Context(), func(p rotation.Progress) error {
		for _, e := range p.Trail {
			if e.Action == action {
				n++
			}
		}
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestWarn_WhoCannotBeReached: an owner whom Slack does not take messages for has not answered either.
func TestWarn_WhoCannotBeReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		var kinds []rotation.NoticeKind
		for _, day := range []int{3, 10, 13} {
			at(day, 12, 0)
			b.survey()
			if _, err := b.engine.Note(t.Context(), ci.ID(), func(p *rotation.Progress) {
				for i, n := range p.Notices {
					if n.Waits() {
						p.Notices[i].Failed = "Slack does not take messages for the owner"
						kinds = append(kinds, n.Kind)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		want := []rotation.NoticeKind{rotation.FirstWarning, rotation.LastWarning, rotation.PassedOn, rotation.OwnerTold}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("notices (-want +got):\n%s", diff)
		}
	})
}

// TestPutOff gives an owner as long to act on a last warning as if it had been sent in its time.
func TestPutOff(t *testing.T) {
	monday := time.Date(2000, 1, 3, 9, 0, 0, 0, time.UTC)
	n := rotation.Notice{Kind: rotation.LastWarning, Key: "K", Owner: owner, Due: monday, From: monday, On: monday.AddDate(0, 0, 3)}
	first, told := n, n
	first.Kind, first.On, told.Sent = rotation.FirstWarning, time.Time{}, monday
	p := rotation.Progress{User: ci, Notices: []rotation.Notice{n, first, told}}
	p.PutOff(n, monday.AddDate(0, 0, 4))
	n.From, n.On, first.From = monday.AddDate(0, 0, 4), monday.AddDate(0, 0, 9), monday.AddDate(0, 0, 4)
	if diff := cmp.Diff([]rotation.Notice{n, first, told}, p.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

// TestHoldingOf_HeldForHours: what waits for nothing but another document to tell it has no hours to name.
func TestHoldingOf_HeldForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		at(3, 12, 0)
		b.survey()
		if _, err := b.engine.Note(t.Context(), ci.ID(), func(p *rotation.Progress) { p.Notices[0].In = "another" }); err != nil {
			t.Fatal(err)
		}
		h, err := b.engine.HoldingOf(t.Context(), ci)
		if err != nil || len(h.Held) > 0 || !b.notices()[0].Held(time.Now()) {
			t.Errorf("waits for working hours: %+v, %v", h.Held, err)
		}
	})
}

// TestWarn_NotPassedOnTooSoon: what is told together is told when the time of each owner to act is over, and while others are at work.
func TestWarn_NotPassedOnTooSoon(t *testing.T) {
	for name, hours := range map[string]int{"in the evening of the others": -8, "in their night": 11} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.stop()
				b.with = func(cfg *rotation.Config) {
					cfg.Zone = func(_ context.Context, m rotation.MemberID) *time.Location {
						if m == dave {
							return time.FixedZone("", hours*60*60)
						}
						return time.UTC
					}
				}
				b.start(-1, false)
				b.account.AddUser(iamsim.User{Name: "far", Tags: map[string]string{"slack-user-id": string(dave)}})
				b.account.AddKey("far", iamsim.Key{Created: time.Now().Add(-100 * 24 * time.Hour), LastUsed: time.Now(), Service: "s3", Region: "eu-west-1"})
				passed, together := 0, map[string]time.Time{}
				for day := 3; day < 20; day++ {
					at(day, 6, 0)
					b.survey()
					if err := b.kept.Scan(t.Context(), func(p rotation.Progress) error {
						var on time.Time
						for _, n := range p.Notices {
							if n.Kind == rotation.LastWarning {
								on = n.On
							}
							if n.Kind != rotation.PassedOn || !n.Waits() {
								continue
							}
							passed++
							from := n.From.UTC()
							list := n.In + n.Due.String()
							if other := together[list]; !other.IsZero() && !other.Equal(from) {
								t.Errorf("%s is told with others, but for another time: %s and %s", p.User, from.Format("Mon 15:04"), other.Format("Mon 15:04"))
							}
							together[list] = from
							if from.Before(on) || from.Hour() < rotation.WorkBegins || from.Hour() >= rotation.WorkEnds {
								t.Errorf("%s is passed on %s, with time until %s", p.User, from.Format("Mon 15:04"), on.UTC().Format("Mon 15:04"))
							}
						}
						_, err := b.engine.Note(t.Context(), p.User.ID(), func(p *rotation.Progress) {
							for i, n := range p.Notices {
								if n.Waits() {
									p.Notices[i].Sent = time.Now()
									if n.From.After(time.Now()) {
										p.Notices[i].Sent = n.From
									}
								}
							}
						})
						return err
					}); err != nil {
						t.Fatal(err)
					}
				}
				if passed != 2 {
					t.Errorf("%d are passed on, want 2", passed)
				}
			})
		})
	}
}
