package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// deed is something a person does, what they see of it at once, and what it changes.
type deed struct {
	prepare func(*world)                                             // before the process under test
	lead    func(*testing.T, *world)                                 // in it, up to the last step
	act     func(context.Context, *world) (answer string, err error) // the last step
	effect  func(*world) int                                         // how often it has been done
	tells   func(*world) string                                      // what the person has been told beside
}

func deeds() map[string]deed {
	return map[string]deed{
		"command": {
			act: func(ctx context.Context, w *world) (string, error) {
				reply, err := w.olivia.Command(ctx, wApprovals, "/rotate-key", "status")
				return reply.Text, err
			},
			effect: func(w *world) int { return strings.Count(told(w.olivia, wApprovals), "/rotate-key") },
			tells:  func(w *world) string { return told(w.olivia, wApprovals) },
		},
		"click": {
			prepare: (*world).requested,
			act: func(ctx context.Context, w *world) (string, error) {
				return "", w.alice.Click(ctx, approve())
			},
			effect: func(w *world) int { return w.moves("approve") },
			tells:  func(w *world) string { return told(w.alice, wApprovals) },
		},
		"withdrawal": {
			prepare: (*world).requested,
			act: func(ctx context.Context, w *world) (string, error) {
				return "", w.olivia.Click(ctx, slacksim.Target{Channel: w.sim.BotUserID(), ActionID: string(rotation.Cancel)})
			},
			effect: func(w *world) int { return w.moves("cancel") },
			tells:  func(w *world) string { return told(w.olivia, w.sim.BotUserID()) },
		},
		"another key": {
			prepare: (*world).switching,
			act: func(ctx context.Context, w *world) (string, error) {
				return "", w.olivia.Click(ctx, slacksim.Target{Channel: w.sim.BotUserID(), ActionID: string(rotation.Reissue)})
			},
			effect: func(w *world) int { return w.moves("reissue") },
			tells:  func(w *world) string { return told(w.olivia, w.sim.BotUserID()) },
		},
		"form": {
			lead: func(t *testing.T, w *world) {
				if _, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
			},
			act: func(ctx context.Context, w *world) (string, error) {
				errs, err := w.olivia.Submit(ctx, nil)
				return errs[inputKey], err
			},
			effect: func(w *world) int { return w.moves("request") },
			tells: func(w *world) string {
				top, _ := w.olivia.Screen().Top()
				return top.Content()
			},
		},
	}
}

// play does a deed up to its last step, in a process with hooks.
func (d deed) play(t *testing.T, w *world, hooks ...func(*process)) *process {
	t.Helper()
	if d.prepare != nil {
		d.prepare(w)
	}
	p := w.boot(hooks...)
	if d.lead != nil {
		d.lead(t, w)
	}
	return p
}

func TestInbox_EachDeedIsDoneOnce(t *testing.T) {
	for name, deed := range deeds() {
		for _, fault := range []slacksim.EnvelopeFault{{}, {Duplicate: true}, {LoseAck: true}, {Delay: 2 * time.Second}} {
			t.Run(fmt.Sprintf("%s %+v", name, fault), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					p := deed.play(t, w)
					w.sim.FailEnvelope("", fault)
					if _, err := deed.act(t.Context(), w); (err != nil) != fault.LoseAck {
						t.Errorf("the person sees %v", err)
					}
					time.Sleep(time.Minute)
					p.end()
					if deed.effect(w) != 1 || w.waiting() != 0 {
						t.Errorf("done %d times, %d waiting; want once, none\n%s", deed.effect(w), w.waiting(), p.wrote.String())
					}
					if again := p.bot.Counts()["envelope_again"]; (again == 1) != fault.Duplicate {
						t.Errorf("%d envelopes were recognised", again)
					}
				})
			})
		}
	}
}

// failing makes the first Accept after it is armed go wrong.
type failing struct {
	apply, hang bool
	armed       atomic.Bool
	release     chan struct{}
}

func (f *failing) hook(p *process) {
	f.release = make(chan struct{})
	wrong := func(op string) error {
		if op != "store Accept" || !f.armed.CompareAndSwap(true, false) {
			return nil
		}
		if f.hang {
			<-f.release
			return nil
		}
		return errors.New("disk full")
	}
	if f.apply {
		p.after = wrong
	} else {
		p.before = wrong
	}
}

func TestInbox_WhatCannotBeRecordedIsToldInTime(t *testing.T) {
	for name, deed := range deeds() {
		for fault, f := range map[string]*failing{
			"fails, not applied": {}, "fails, applied": {apply: true}, "hangs, not applied yet": {hang: true}, "hangs, applied": {apply: true, hang: true},
		} {
			t.Run(name+" "+fault, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					p := deed.play(t, w, f.hook)
					f.armed.Store(true)
					begun := time.Now()
					said, err := deed.act(t.Context(), w)
					if said == "" {
						for deed.tells(w) == "" && time.Since(begun) < 10*time.Second {
							time.Sleep(10 * time.Millisecond)
						}
						said = strings.TrimSpace(deed.tells(w))
					}
					if took := time.Since(begun); err != nil || said != notRecorded || took > 1600*time.Millisecond {
						t.Errorf("%q, %v after %v; want that it was not recorded, in little more than a second", said, err, took)
					}
					if err := p.bot.Ready(); err == nil || !strings.Contains(err.Error(), "cannot be recorded since") {
						t.Errorf("ready: %v, want that nothing can be recorded", err)
					}
					time.Sleep(sweepEvery)
					close(f.release)
					time.Sleep(2 * sweepEvery)
					if err := p.bot.Ready(); err != nil {
						t.Errorf("ready: %v, want that writing works again", err)
					}
					p.end()
					if deed.effect(w) != 0 || w.waiting() != 0 {
						t.Errorf("done %d times, %d waiting; want that it stays undone\n%s", deed.effect(w), w.waiting(), p.wrote.String())
					}
				})
			})
		}
	}
}

// TestInbox_Crash kills the process at each call that follows a deed, before and after the call's effect, and starts another.
func TestInbox_Crash(t *testing.T) {
	for name, deed := range deeds() {
		for _, applied := range []bool{false, true} {
			for at := 1; at <= 14; at++ {
				t.Run(fmt.Sprintf("%s/call %d, applied %v", name, at, applied), func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) { crash(t, w, deed, at, applied) })
				})
			}
		}
	}
}

func crash(t *testing.T, w *world, d deed, at int, applied bool) {
	t.Helper()
	var armed, accepted atomic.Bool
	var calls atomic.Int32
	var died string
	kill := func(p *process, when bool) func(string) error {
		return func(op string) error {
			if !armed.Load() || op == "store Live" || op == "store Waiting" {
				return nil
			}
			if when && op == "store Accept" {
				accepted.Store(true)
			}
			if when == applied && int(calls.Add(1)) == at {
				died = op
				p.kill()
				return errDead
			}
			return nil
		}
	}
	first := d.play(t, w, func(p *process) { p.before, p.after = kill(p, false), kill(p, true) })
	armed.Store(true)
	_, err := d.act(t.Context(), w)
	time.Sleep(5 * time.Second)
	first.kill()
	first.stop()
	second := w.boot()
	time.Sleep(3 * time.Minute)
	second.end()
	first.end()
	if died == "" {
		return // there are not so many calls
	}
	t.Logf("died at %s; the person saw %v", died, err)
	want := 0
	if accepted.Load() {
		want = 1
	}
	if err == nil && want == 0 {
		t.Error("the person saw no failure")
	}
	if name := d.tells(w); strings.Contains(name, "out of date") || strings.Contains(name, "already") || strings.Contains(name, "nothing was done") {
		t.Errorf("the person was told %q", name)
	}
	got := d.effect(w)
	if d.prepare == nil && d.lead == nil && want == 1 && got == 2 {
		got = 1 // an answer may be given twice
	}
	if got != want || w.waiting() != 0 {
		t.Errorf("died at %s: done %d times, want %d; %d waiting\n%s", died, got, want, w.waiting(), second.wrote.String())
	}
}

func TestInbox_Replay(t *testing.T) {
	deny := slacksim.Target{Channel: wApprovals, ActionID: string(rotation.Deny)}
	for name, tt := range map[string]struct {
		prepare func(*world)
		act     func(context.Context, *world)
		later   time.Duration // until the next start
		tells   func(*world) string
		want    string
	}{
		"a command that opens a form": {
			act:   func(ctx context.Context, w *world) { _, _ = w.olivia.Command(ctx, wApprovals, "/rotate-key", "") },
			tells: func(w *world) string { return told(w.olivia, wApprovals) },
			want:  restarted + "Please type the command again.\n",
		},
		"a click that opens a form": {
			prepare: (*world).requested,
			act:     func(ctx context.Context, w *world) { _ = w.alice.Click(ctx, deny) },
			tells:   func(w *world) string { return told(w.alice, wApprovals) },
			want:    restarted + "Please click again.\n",
		},
		"after the life of the response URL": {
			act:   func(ctx context.Context, w *world) { _, _ = w.olivia.Command(ctx, wApprovals, "/rotate-key", "") },
			later: replyLife,
			tells: func(w *world) string { return told(w.olivia, wApprovals) },
			want:  restarted + "Please type the command again.\n",
		},
		"a click is done however late": {
			prepare: (*world).requested,
			act:     func(ctx context.Context, w *world) { _ = w.alice.Click(ctx, approve()) },
			later:   time.Hour,
			tells:   func(w *world) string { return fmt.Sprint(w.moves("approve")) + told(w.alice, wApprovals) },
			want:    "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if tt.prepare != nil {
					tt.prepare(w)
				}
				first := w.boot(func(p *process) {
					p.after = func(op string) error {
						if op == "store Accept" {
							p.kill()
						}
						return nil
					}
				})
				tt.act(t.Context(), w)
				first.end()
				if w.waiting() != 1 {
					t.Fatalf("%d waiting", w.waiting())
				}
				time.Sleep(tt.later)
				second := w.boot()
				time.Sleep(time.Minute)
				second.end()
				if got := tt.tells(w); got != tt.want || w.waiting() != 0 {
					t.Errorf("told %q, want %q; %d waiting", got, tt.want, w.waiting())
				}
				if n := second.bot.Counts()["envelope_replayed"]; n != 1 {
					t.Errorf("%d envelopes were taken over", n)
				}
			})
		})
	}
}

func TestInbox_AnotherReplicaTakesOverWhatADeadOneLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.requested()
		w.shared = true
		var deadly atomic.Bool
		hook := func(p *process) {
			p.after = func(op string) error {
				if op == "store Accept" && deadly.CompareAndSwap(true, false) {
					p.kill()
				}
				return nil
			}
		}
		both := []*process{w.boot(hook), w.boot(hook)}
		deadly.Store(true)
		if err := w.alice.Click(t.Context(), approve()); !errors.Is(err, slacksim.ErrNoAnswer) {
			t.Errorf("the click: %v", err)
		}
		time.Sleep(takeOver - 5*time.Second)
		if w.moves("approve") != 0 {
			t.Error("it was taken over while its holder might have been alive")
		}
		time.Sleep(2*sweepEvery + 5*time.Second)
		if w.moves("approve") != 1 || w.waiting() != 0 {
			t.Errorf("%d approvals, %d waiting", w.moves("approve"), w.waiting())
		}
		for _, p := range both {
			p.end()
		}
	})
}

func TestInbox_WhoeverWorksIsNotOvertaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.shared = true
		var worked atomic.Int32
		slow := func(p *process) {
			p.events = map[string]func(context.Context, caller, letter){"app_home_opened": func(ctx context.Context, _ caller, _ letter) {
				worked.Add(1)
				<-ctx.Done() // as long as it may
			}}
			failed := 0
			p.before = func(op string) error {
				if op == "store Settle" && failed < 8 {
					failed++
					return errors.New("later")
				}
				return nil
			}
		}
		both := []*process{w.boot(slow), w.boot(slow)}
		if err := w.olivia.OpenHome(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * takeOver)
		for _, p := range both {
			p.end()
		}
		if worked.Load() != 1 || w.waiting() != 0 {
			t.Errorf("worked %d times, %d waiting", worked.Load(), w.waiting())
		}
	})
}

func TestInbox_AnEventComesAgainUntilItIsRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   slacksim.EnvelopeFault
		applied bool
		again   int // deliveries that are only acknowledged
	}{
		"acknowledgements lost": {fault: slacksim.EnvelopeFault{LoseAck: true, Times: 2}, again: 2},
		"envelope lost":         {fault: slacksim.EnvelopeFault{Lose: true}},
		"not recorded":          {},
		"recorded, not known":   {applied: true, again: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var worked atomic.Int32
				f := &failing{apply: tt.applied}
				p := w.boot(f.hook, func(p *process) {
					p.events = map[string]func(context.Context, caller, letter){"app_home_opened": func(_ context.Context, _ caller, l letter) {
						if l.Member == wOwner {
							worked.Add(1)
						}
					}}
				})
				if tt.fault == (slacksim.EnvelopeFault{}) {
					f.armed.Store(true)
				} else {
					w.sim.FailEnvelope("events_api", tt.fault)
				}
				if err := w.olivia.OpenHome(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Minute)
				p.end()
				if worked.Load() != 1 || w.waiting() != 0 || p.bot.Counts()["envelope_again"] != tt.again {
					t.Errorf("worked %d times, %d waiting, counts %v; want once, none, and %d again", worked.Load(), w.waiting(), p.bot.Counts(), tt.again)
				}
			})
		})
	}
}

func TestInbox_APanicIsAnswered(t *testing.T) {
	for name, deed := range deeds() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var armed atomic.Bool
				p := deed.play(t, w, func(p *process) {
					p.before = func(op string) error {
						if op == "slack users.info" && armed.CompareAndSwap(true, false) {
							panic("a mistake")
						}
						return nil
					}
				})
				time.Sleep(2 * standingFor)
				armed.Store(true)
				if _, err := deed.act(t.Context(), w); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				p.end()
				if got := deed.tells(w); !strings.Contains(got, "Something broke (reference") {
					t.Errorf("told %q", got)
				}
				if deed.effect(w) != 0 || w.waiting() != 0 {
					t.Errorf("done %d times, %d waiting", deed.effect(w), w.waiting())
				}
			})
		})
	}
}

func TestInbox_ManyAtOnce(t *testing.T) {
	const many = 200
	for name, tt := range map[string]struct {
		store    time.Duration // one Accept takes
		recorded bool
	}{
		"a store that is slow":     {400 * time.Millisecond, true},
		"a store that is too slow": {10 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				p := w.boot(func(p *process) {
					p.before = func(op string) error {
						if op == "store Accept" {
							time.Sleep(tt.store)
						}
						return nil
					}
				})
				var wg sync.WaitGroup
				for range many {
					wg.Go(func() {
						reply, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", "help")
						if err != nil || (reply.Text == notRecorded) == tt.recorded {
							t.Errorf("answered %q, %v", reply.Text, err)
						}
					})
				}
				wg.Wait()
				time.Sleep(2 * time.Minute)
				p.end()
				helped := strings.Count(told(w.olivia, wApprovals), helpMessage().Text)
				counts := p.bot.Counts()
				if tt.recorded && (helped != many || counts["envelope_accepted"] != many) || !tt.recorded && counts["envelope_unrecorded"] != many {
					t.Errorf("%d were helped; counts %v", helped, counts)
				}
				if counts["connection_lost"] != 0 || w.waiting() != 0 {
					t.Errorf("counts %v; %d waiting", counts, w.waiting())
				}
			})
		})
	}
}

func TestInbox_AStopDrains(t *testing.T) {
	for name, deed := range deeds() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var slow atomic.Bool
				p := deed.play(t, w, func(p *process) {
					p.before = func(op string) error {
						if op == "store Accept" && slow.Load() {
							time.Sleep(time.Second)
						}
						return nil
					}
				})
				slow.Store(true)
				acted := make(chan error, 1)
				go func() {
					_, err := deed.act(t.Context(), w)
					acted <- err
				}()
				time.Sleep(300 * time.Millisecond)
				p.stop()
				synctest.Wait()
				if _, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", "late"); err == nil {
					t.Error("a command was taken after the stop")
				}
				if err := <-acted; err != nil {
					t.Errorf("the person sees %v", err)
				}
				p.end()
				if deed.effect(w) != 1 || w.waiting() != 0 {
					t.Errorf("done %d times, %d waiting\n%s", deed.effect(w), w.waiting(), p.wrote.String())
				}
				if n := exchanges(w.sim, "close received\n1000"); n < sockets {
					t.Errorf("%d close frames, want %d", n, sockets)
				}
			})
		})
	}
}

func TestInbox_ASlowOutcomeComesUnderItsOwnTitle(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.requested()
		var slow atomic.Bool
		p := w.boot(func(p *process) {
			p.before = func(op string) error {
				if op == "store Replace" && slow.Load() {
					time.Sleep(10 * time.Second)
				}
				return nil
			}
		})
		if err := w.alice.Click(t.Context(), slacksim.Target{Channel: wApprovals, ActionID: string(rotation.Deny)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		slow.Store(true)
		if errs, err := w.alice.Submit(t.Context(), map[string]string{inputReason: "not now"}); err != nil || len(errs) > 0 {
			t.Fatal(errs, err)
		}
		top, _ := w.alice.Screen().Top()
		if top.Title != reasonTitle(rotation.Deny) || !strings.Contains(top.Content(), "working on it") {
			t.Errorf("while it is worked on: %s", top.Content())
		}
		slow.Store(false)
		time.Sleep(time.Minute)
		p.end()
		top, _ = w.alice.Screen().Top()
		if top.Title != reasonTitle(rotation.Deny) || !strings.Contains(top.Content(), "is denied") {
			t.Errorf("afterwards: %s", top.Content())
		}
	})
}

// deaf refuses every acknowledgement.
type deaf struct{}

func (deaf) ack(string, any) error { return errAckTooLarge }

func TestInbox_AnOutcomeThatCannotBeAcknowledgedIsFilledIn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := deeds()["form"].play(t, w)
		top, _ := w.olivia.Screen().Top()
		l := letter{Kind: kindSubmission, Member: wOwner, View: top.ID, Callback: keysCallback, Inputs: map[string]string{
			inputKey: wUser.ID() + "/" + string(w.aws.keys[0].ID), inputWhat: string(rotation.Replace),
		}}
		d := delivery{frame: frame{ID: "e"}, at: time.Now(), from: deaf{}, settled: func() {}}
		p.bot.submit(t.Context(), d, callerOf(l, time.Now()), l)
		top, _ = w.olivia.Screen().Top()
		if !strings.Contains(top.Content(), "has begun") {
			t.Errorf("the form shows %s", top.Content())
		}
		p.end()
	})
}

func TestInbox_WhatAnotherVersionLeftStays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for id, body := range map[string]string{"newer": `{"schema":99,"kind":"click"}`, "broken": "x", "strange": `{"schema":1,"kind":"click","member":"U","more":1}`} {
			if _, err := w.kept.Accept(t.Context(), rotation.Envelope{ID: id, Holder: "before", At: time.Now(), Body: []byte(body)}); err != nil {
				t.Fatal(err)
			}
		}
		p := w.boot()
		time.Sleep(time.Hour)
		p.end()
		if n := strings.Count(p.wrote.String(), "cannot be read; it is left there"); n != 3 || w.waiting() != 3 {
			t.Errorf("said %d times, %d waiting; want 3 and 3", n, w.waiting())
		}
	})
}

func TestInbox_AWorkedEnvelopeIsRecognisedForAnHour(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		push := func() {
			w.sim.Push([]byte(`{"envelope_id":"e-1","type":"slash_commands","payload":{"user_id":"` + wOwner + `","channel_id":"` + wApprovals + `","command":"/rotate-key","text":"help"}}`))
			synctest.Wait()
		}
		answers := func() int { return strings.Count(told(w.olivia, wApprovals), helpMessage().Text) }
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {10 * time.Minute, 1}, {49 * time.Minute, 1}, {12 * time.Minute, 2}} {
			time.Sleep(tt.after)
			push()
			if got := answers(); got != tt.want {
				t.Errorf("%v later: answered %d times in all, want %d", tt.after, got, tt.want)
			}
		}
		p.end()
	})
}

func TestBot_Ready(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		if err := p.bot.Ready(); err != nil {
			t.Errorf("after the start: %v", err)
		}
		w.sim.Fail("apps.connections.open", slacksim.Fault{Times: -1, Status: 503})
		w.sim.CutSockets()
		time.Sleep(time.Minute)
		if err := p.bot.Ready(); err == nil || !strings.Contains(err.Error(), "no socket to Slack is open since 2000-01-01T") || !strings.Contains(err.Error(), "503") {
			t.Errorf("without a socket: %v", err)
		}
		w.sim.Heal()
		time.Sleep(maxWait)
		if err := p.bot.Ready(); err != nil {
			t.Errorf("when it is mended: %v", err)
		}
		p.end()
		if err := p.bot.Ready(); err == nil {
			t.Error("ready after the end")
		}
	})
}

// TestBot_NeverWithoutASocket lets Slack refresh the sockets for a day.
func TestBot_NeverWithoutASocket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		for fewest := sockets; ctx.Err() == nil; {
			_, next := w.sim.Changed()
			if n := w.sim.Sockets(); n < fewest {
				if fewest = n; n == 0 {
					t.Error("no socket is open")
				}
			}
			select {
			case <-next:
			case <-ctx.Done():
				if fewest != sockets-1 {
					t.Errorf("the fewest sockets at any time: %d, want one at a time refreshed", fewest)
				}
			}
		}
		p.end()
	})
}

func TestBot_AFatalLinkEndsRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		w.sim.Disconnect(reasonDisabled)
		err := <-p.done
		if err == nil || !strings.Contains(err.Error(), "Settings → Socket Mode") {
			t.Errorf("Run ended with %v", err)
		}
		p.stop()
		if err := <-p.done; err != nil {
			t.Errorf("the engine ended with %v", err)
		}
	})
}
