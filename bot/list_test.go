package bot

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// jobs are users whose keys an owner is told of at once, and of which others are told.
func jobs() []rotation.UserRef {
	var all []rotation.UserRef
	for i := range 4 {
		all = append(all, rotation.UserRef{Account: wUser.Account, Name: fmt.Sprintf("job-%d", i)})
	}
	return all
}

// owesLists stores what a scan writes. The last document tells the owner, and the first on-call, but for those that are not written.
func (w *world) owesLists(but ...int) {
	w.t.Helper()
	all := jobs()
	ids := each(all, rotation.UserRef.ID)
	for i, u := range all {
		n := rotation.Notice{Key: w.aws.keys[0].ID, Days: 90, Owner: wOwner, Created: w.aws.keys[0].Created, Due: time.Now(), In: ids[3]}
		passed := n
		passed.Kind, passed.In = rotation.PassedOn, ids[0]
		switch i {
		case 3:
			n.Among = ids
		case 0:
			passed.Among = ids
		}
		if slices.Contains(but, i) {
			continue
		}
		if _, err := w.kept.Create(w.t.Context(), rotation.Progress{User: u, Notices: []rotation.Notice{n, passed}, Owed: true}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// lists are the messages about jobs, in the owner's DM and in on-call's channel.
func (w *world) lists() (own, passed []string) {
	w.t.Helper()
	pick := func(messages []slacksim.Message, words string) (texts []string) {
		for _, m := range messages {
			if strings.Contains(m.Text, words) {
				texts = append(texts, m.Text)
			}
		}
		return texts
	}
	c, _ := w.alice.Screen().Channel(wOnCall)
	return pick(w.olivia.Screen().DM().Messages, "need"), pick(c.Messages, "No answer:")
}

// listsTold holds that every notice is told, and that nothing is left of how.
func (w *world) listsTold() {
	w.t.Helper()
	for _, u := range jobs() {
		p, err := w.kept.Get(w.t.Context(), u.ID())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, n := range p.Notices {
			if n.Sent.IsZero() || n.Failed != "" || n.Among != nil {
				w.t.Errorf("%s: %+v, want it told", u, n)
			}
		}
		if len(p.Notices) != 2 || len(p.Posts) > 0 || p.Owed {
			w.t.Errorf("%s: %d notices, owed %v, and left over: %v", u, len(p.Notices), p.Owed, p.Posts)
		}
	}
}

func TestList_OneMessageForAll(t *testing.T) {
	for name, shared := range map[string]bool{"one process": false, "two": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.shared = shared
				w.owesLists()
				all := []*process{w.boot()}
				if shared {
					all = append(all, w.boot())
				}
				time.Sleep(5 * time.Minute)
				own, passed := w.lists()
				if len(own) != 1 || len(passed) != 1 {
					t.Fatalf("%d messages to the owner and %d to on-call, want one each: %q %q", len(own), len(passed), own, passed)
				}
				for _, u := range jobs() {
					if !strings.Contains(own[0], u.Name) || !strings.Contains(passed[0], u.Name) {
						t.Errorf("%s is not in both: %q %q", u.Name, own, passed)
					}
				}
				w.listsTold()
				for _, p := range all {
					p.end()
				}
			})
		})
	}
}

// TestList_Crash kills the process at each of its writes and messages. Everything is told in the end, and once: only a DM whose answer nobody has
// heard may stand twice.
func TestList_Crash(t *testing.T) {
	counted := func(op string) bool { return op == "store Replace" || op == "slack chat.postMessage" }
	var calls atomic.Int64
	count := func(p *process) {
		p.before = func(op string) error {
			if counted(op) {
				calls.Add(1)
			}
			return nil
		}
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.owesLists()
		p := w.boot(count)
		time.Sleep(5 * time.Minute)
		p.end()
	})
	most := calls.Load()
	if most < 10 {
		t.Fatalf("%d calls, want more", most)
	}
	for i := range most {
		for _, effect := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, effect %v", i+1, effect), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.owesLists()
					var n atomic.Int64
					p := w.boot(func(p *process) {
						hit := func(op string) error {
							if counted(op) && n.Add(1) == i+1 {
								p.kill()
								return errDead
							}
							return nil
						}
						if p.before = hit; effect {
							p.before, p.after = nil, hit
						}
					})
					time.Sleep(time.Minute)
					p.stop()
					q, err := w.kept.Get(t.Context(), jobs()[3].ID())
					if err != nil {
						t.Fatal(err)
					}
					unheard := false
					for _, post := range q.Posts {
						unheard = unheard || !post.Known()
					}
					second := w.boot()
					time.Sleep(6 * time.Minute)
					own, passed := w.lists()
					if len(own) == 0 || len(own) > 1 && !unheard || len(own) > 2 || len(passed) != 1 {
						t.Errorf("%d messages to the owner and %d to on-call", len(own), len(passed))
					}
					w.listsTold()
					second.end()
				})
			})
		}
	}
}

// TestList_WithoutItsTeller: what a crash of the scan has left without a document that tells it comes by itself, after some minutes.
func TestList_WithoutItsTeller(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.owesLists(0, 3)
		p := w.boot()
		time.Sleep(8 * time.Minute)
		if own, passed := w.lists(); len(own) != 0 || len(passed) != 0 {
			t.Errorf("told too soon: %q %q", own, passed)
		}
		time.Sleep(10 * time.Minute)
		own, passed := w.lists()
		if len(own) != 2 || len(passed) != 2 {
			t.Errorf("%d messages to the owner and %d to on-call, want two each: %q %q", len(own), len(passed), own, passed)
		}
		p.end()
	})
}

// TestList_WhatIsNotSoAnyMore: a key that somebody has seen to meanwhile is left out, also the one whose document tells of the others; and if all
// are, nothing is told.
func TestList_WhatIsNotSoAnyMore(t *testing.T) {
	for name, gone := range map[string][]int{"another one": {1}, "the one that tells": {3}, "all": {0, 1, 2, 3}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.owesLists()
				for _, i := range gone {
					q, err := w.kept.Get(t.Context(), jobs()[i].ID())
					if err != nil {
						t.Fatal(err)
					}
					q.Snoozes = []rotation.Snooze{{ID: q.User.ID() + "-s1", Key: q.Notices[0].Key, At: time.Now().Add(time.Second), Until: time.Now().Add(100 * time.Hour)}}
					if _, err := w.kept.Replace(t.Context(), q); err != nil {
						t.Fatal(err)
					}
				}
				p := w.boot()
				time.Sleep(5 * time.Minute)
				own, passed := w.lists()
				want := 1
				if len(gone) == 4 {
					want = 0
				}
				if len(own) != want || len(passed) != want {
					t.Errorf("%d messages to the owner and %d to on-call, want %d each", len(own), len(passed), want)
				}
				for i, u := range jobs() {
					if told := strings.Contains(strings.Join(own, ""), u.Name); told == slices.Contains(gone, i) {
						t.Errorf("%s is told of: %v", u.Name, told)
					}
					q, err := w.kept.Get(t.Context(), u.ID())
					if err != nil || slices.ContainsFunc(q.Notices, rotation.Notice.Waits) || slices.Contains(gone, i) && len(q.Notices) > 0 {
						t.Errorf("%s: %+v, %v", u.Name, q.Notices, err)
					}
				}
				p.end()
			})
		})
	}
}

// TestList_TheOwnerHasLeft: what Slack does not take is noted of each. On-call's channel is one that somebody mends: what is passed on waits.
func TestList_TheOwnerHasLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.owesLists()
		w.sim.Fail("chat.postMessage", slacksim.Fault{Error: "channel_not_found", Times: -1})
		p := w.boot()
		time.Sleep(2 * time.Minute)
		each := func(of func(n rotation.Notice) bool) {
			t.Helper()
			for _, u := range jobs() {
				q, err := w.kept.Get(t.Context(), u.ID())
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range q.Notices {
					if n.Kind != rotation.PassedOn && (n.Failed != notTaken || !n.Sent.IsZero()) || n.Kind == rotation.PassedOn && !of(n) {
						t.Errorf("%s: %+v", u.Name, n)
					}
				}
			}
		}
		each(rotation.Notice.Waits)
		w.sim.Heal()
		time.Sleep(10 * time.Minute)
		each(func(n rotation.Notice) bool { return !n.Sent.IsZero() && n.Failed == "" })
		if own, passed := w.lists(); len(own) != 0 || len(passed) != 1 {
			t.Errorf("%d messages to the owner and %d to on-call, want none and one", len(own), len(passed))
		}
		p.end()
	})
}

// TestList_NotAtNight: what could not be sent in its time, since no process ran, waits for the next working hours, by itself or with others.
func TestList_NotAtNight(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		time.Sleep(time.Until(time.Date(2000, 1, 3, 12, 0, 0, 0, time.UTC)))
		w.owesLists()
		alone := rotation.Notice{Key: w.aws.keys[0].ID, Days: 90, Owner: wOwner, Created: w.aws.keys[0].Created, Due: time.Now()}
		lone := rotation.UserRef{Account: wUser.Account, Name: "solo-user"}
		if _, err := w.kept.Create(t.Context(), rotation.Progress{User: lone, Notices: []rotation.Notice{alone}, Owed: true}); err != nil {
			t.Fatal(err)
		}
		told := func() (own, passed, single int) {
			a, b := w.lists()
			for _, m := range w.olivia.Screen().DM().Messages {
				if strings.Contains(m.Text, "solo-user") {
					single++
				}
			}
			return len(a) - single, len(b), single // each of them says what the owner need do
		}
		time.Sleep(time.Until(time.Date(2000, 1, 3, 22, 0, 0, 0, time.UTC)))
		p := w.boot()
		time.Sleep(10 * time.Hour)
		if own, passed, single := told(); own+passed+single != 0 {
			t.Errorf("at night: %d and %d lists, %d warnings", own, passed, single)
		}
		time.Sleep(time.Until(time.Date(2000, 1, 4, 9, 5, 0, 0, time.UTC)))
		if own, passed, single := told(); own != 1 || passed != 1 || single != 1 {
			t.Errorf("in the morning: %d and %d lists, %d warnings; want one each", own, passed, single)
		}
		w.listsTold()
		p.end()
	})
}
