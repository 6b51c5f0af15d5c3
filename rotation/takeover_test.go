package rotation_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// TestEngines_WaitingIsNoDeath has Slack ask for so much patience that the process with the secret waits longer than the lease before it
// tries again: the other one leaves it to it, and shows meanwhile that it waits.
func TestEngines_WaitingIsNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 2)
		left := 6
		f.fate = func(_ *process, method string) fate {
			if method != "HandOver" || left == 0 {
				return fate{}
			}
			left--
			return fate{fails: true, err: refusedCall(method, rotation.ClassThrottled)}
		}
		f.start()
		f.start()
		f.until(rotation.Delivering)
		f.bot()
		before := f.rotation().Retry
		time.Sleep(pace)
		synctest.Wait()
		if r, p := f.rotation(), f.progress(); r.Retry.Attempts <= before.Attempts || !p.Owed {
			t.Errorf("after another failed attempt %+v, owed %v: nobody would show it", r.Retry, p.Owed)
		}
		f.play()
		if r := f.rotation(); len(f.takes) > 0 || r.Issued != 1 || left > 0 {
			t.Errorf("taken over: %+v, %d keys issued, %d attempts left", f.takes, r.Issued, left)
		}
	})
}

// TestEngines_ALateStartIsSeen cuts a process off from the store between the click and its effect, for nearly as long as the lease. When it
// begins after all, the other one sees that it lives.
func TestEngines_ALateStartIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 2)
		a := f.start()
		f.start()
		f.until(rotation.Requested)
		f.fate = func(_ *process, method string) fate {
			switch {
			case method == "CreateKey":
				return fate{before: func() { time.Sleep(10 * time.Second) }}
			case method == "Replace" && f.rotation().Stage == rotation.Requested:
				return fate{after: func() { a.store.cut.Store(true) }}
			}
			return fate{}
		}
		f.click(carol, rotation.Approve)
		time.Sleep(rotation.WorkLease - 5*time.Second)
		a.store.cut.Store(false)
		f.play()
		if n := f.called("CreateKey"); len(f.takes) > 0 || n != 1 {
			t.Errorf("taken over: %+v, %d keys were created", f.takes, n)
		}
	})
}

// TestEngines_ALateSuccessCounts halts a process in the creation of a key until another one has taken it over. The key and its secret are
// there, so that no other is made.
func TestEngines_ALateSuccessCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 2)
		f.fate = func(p *process, method string) fate {
			switch method {
			case "CreateKey":
				f.halted[p] = true
				return fate{after: func() { time.Sleep(rotation.WorkLease + 30*time.Second) }}
			case "Maker": // which the other one still asks when the first one is back
				return fate{after: func() { time.Sleep(45 * time.Second) }}
			}
			return fate{}
		}
		f.start()
		f.start()
		f.play()
		if r := f.rotation(); len(f.takes) != 1 || r.Issued != 1 || f.hand.given[r.New] != 1 {
			t.Errorf("taken over: %+v, %d keys issued, shown %v; want the one key handed over by who made it", f.takes, r.Issued, f.hand.given)
		}
	})
}

// TestEngines_AStopLeavesWhatFollowsToOthers stops a process, cleanly, in the middle of an effect: it finishes that, and the other one goes
// on at once, but for a secret that the first one holds.
func TestEngines_AStopLeavesWhatFollowsToOthers(t *testing.T) {
	for method, want := range map[string]rotation.Stage{"DeleteKey": rotation.Creating, "CreateKey": rotation.Switching} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ways()[1], 2)
				a, b := f.start(), f.start()
				met := make(chan struct{})
				f.fate = func(p *process, called string) fate {
					switch {
					case called == method && p == a:
						return fate{after: func() { close(met); time.Sleep(10 * time.Second) }}
					case called == "Prepare" && p == b:
						return fate{after: func() { time.Sleep(10 * time.Second) }}
					}
					return fate{}
				}
				for range 5 {
					f.people()
					select {
					case <-met:
					case <-time.After(pace):
						continue
					}
					break
				}
				a.stop()
				f.pick = func(n int) int { return n - 1 }
				time.Sleep(3 * rotation.SharedTick)
				synctest.Wait()
				r := f.rotation()
				if r.Stage != want || want == rotation.Creating && !b.Mine(r.Work) {
					t.Errorf("at %s, worked on by the other one: %v", r.Stage, b.Mine(r.Work))
				}
				a.store.kill()
				f.fate = nil
				f.play()
				if r := f.rotation(); r.Issued != 2 {
					t.Errorf("%d keys were issued", r.Issued)
				}
			})
		})
	}
}

// TestEngines_ALossyLineHoldsUpNoTakeOver: that a look fails now and then tells nothing of whether another process lives.
func TestEngines_ALossyLineHoldsUpNoTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 2)
		f.fate = first("CreateKey", fate{fails: true, dies: true})
		f.start()
		b := f.start()
		f.until(rotation.Requested)
		f.click(carol, rotation.Approve)
		b.store.lossy.Store(6) // of each round, which looks twice, the second look
		time.Sleep(rotation.WorkLease + 10*time.Second)
		synctest.Wait()
		if len(f.takes) != 1 {
			t.Errorf("taken over: %+v, at %s", f.takes, f.rotation().Stage)
		}
		b.store.lossy.Store(0)
		f.play()
	})
}

// TestEngines_ACutProcessForgetsItsSecret cuts a process off from the store just after it has made a key. The other one revokes that key and
// tries to make another one; when the first comes back, it must not take the revoked one for it.
func TestEngines_ACutProcessForgetsItsSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 2)
		var created atomic.Int32
		f.fate = func(p *process, method string) fate {
			if method != "CreateKey" {
				return fate{}
			}
			switch n := created.Add(1); {
			case n == 1:
				return fate{after: func() { p.store.cut.Store(true) }}
			case n < 7: // the other one gets none for some time, and lets go of it in between
				return fate{fails: true, err: refusedCall(method, rotation.ClassThrottled)}
			}
			return fate{}
		}
		a := f.start()
		f.start()
		f.until(rotation.Creating)
		f.pick = func(int) int { return 1 }
		for created.Load() < 3 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if n, _ := a.SecretsHeld(); n != 1 {
			t.Fatalf("the process that is cut off holds %d secrets", n)
		}
		a.store.cut.Store(false)
		time.Sleep(2 * rotation.SharedTick)
		synctest.Wait()
		if _, n := a.SecretsHeld(); n != 0 {
			t.Errorf("it still remembers %d secrets", n)
		}
		f.pick = nil
		f.play()
		if r := f.rotation(); len(f.hand.given) != 1 || f.hand.given[r.New] != 1 {
			t.Errorf("shown: %v, want the secret of %s alone", f.hand.given, r.New)
		}
	})
}

// TestEngines_AHaltedProcessUndoesNothingOfAnothers has a process hear very late that its creation was not carried out. Another one has
// meanwhile begun a creation of its own, of which it does not know the outcome yet.
func TestEngines_AHaltedProcessUndoesNothingOfAnothers(t *testing.T) {
	tests := []struct {
		name string
		late fate
	}{
		{"throttled", fate{fails: true, err: refusedCall("CreateKey", rotation.ClassThrottled)}},
		{"denied", fate{fails: true, err: refusedCall("CreateKey", rotation.ClassDenied)}},
		{"by the quota", fate{fails: true, err: refusedCall("CreateKey", rotation.ClassQuota)}},
		{"lost", fate{fails: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ways()[0], 2)
				created := 0
				f.fate = func(p *process, method string) fate {
					if method != "CreateKey" {
						return fate{}
					}
					switch created++; created {
					case 1:
						f.halted[p] = true
						late := test.late
						late.before = func() { time.Sleep(rotation.WorkLease + 10*time.Second) }
						return late
					case 2:
						return fate{fails: true, applied: true}
					}
					return fate{}
				}
				f.start()
				f.start()
				f.play()
				r := f.rotation()
				stuck := slices.ContainsFunc(r.Asks, func(a rotation.Ask) bool { return a.Stage == rotation.Stuck })
				if stuck || r.Issued != 2 || f.cloud.count("create") != 2 {
					t.Errorf("%d keys issued, %v, asks %+v: the other one's creation should have been found out", r.Issued, f.cloud.changes, r.Asks)
				}
			})
		})
	}
}

// TestEngines_LiveAgain has a second rotation of the same user begin after the first has ended and its document was at rest.
func TestEngines_LiveAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 2)
		f.start()
		f.start()
		for range 2 {
			for range 100 {
				time.Sleep(pace)
				synctest.Wait()
				f.bot()
				if p := f.progress(); p.Rotation != nil && p.Rotation.Ended() && !p.Live() {
					break
				}
				f.people()
			}
			f.cloud.use(f.rotation().New)
			time.Sleep(time.Hour)
			f.old = f.rotation().New
			f.click(owner, "request")
			f.click(carol, rotation.Approve)
			f.until(rotation.Switching)
		}
		f.play()
		if r := f.rotation(); r.ID != ci.ID()+"-3" {
			t.Errorf("the last rotation is %s, want the third", r.ID)
		}
	})
}

// TestEngine_ALostAnswerOfTheStoreHoldsNothingUp: what was written goes on, though it was not said to be written.
func TestEngine_ALostAnswerOfTheStoreHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 1)
		lost := false
		f.fate = func(_ *process, method string) fate {
			if lost || method != "Replace" || f.cloud.count("create") == 0 {
				return fate{}
			}
			lost = true
			return fate{fails: true, applied: true}
		}
		f.start()
		f.until(rotation.Requested)
		f.click(carol, rotation.Approve)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if r := f.rotation(); r.Stage != rotation.Switching || !lost {
			t.Errorf("at %s after some seconds, lost %v", r.Stage, lost)
		}
		f.play()
	})
}

// TestEngine_ALeapOfTheClock has the clock of the configuration leap ahead, as in the sandbox: what falls due by it happens at once.
func TestEngine_ALeapOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 1)
		p := f.start()
		f.until(rotation.Grace)
		f.leap.Store(int64(quick.Grace))
		p.Wake()
		synctest.Wait()
		if r := f.rotation(); r.Stage != rotation.Expiring {
			t.Errorf("at %s, want %s at once", r.Stage, rotation.Expiring)
		}
		f.play()
	})
}

// TestEngine_AReceiptIsDueUntilItsMessageIsGone: whoever shows what is stored hears of it again and again.
func TestEngine_AReceiptIsDueUntilItsMessageIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 1)
		p := f.start()
		defer f.stop()
		f.until(rotation.Switching)
		r := f.rotation()
		if _, err := p.Receipt(t.Context(), rotation.Ref{ID: r.ID, Turn: r.Issued}, rotation.Actor{Member: owner}); err != nil {
			t.Fatal(err)
		}
		changed := func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ids, err := p.Changed(ctx)
			return err == nil && slices.Contains(ids, ci.ID())
		}
		for i := range 3 {
			if !changed() {
				t.Fatalf("after %d times nobody hears any more of the message that is due", i)
			}
		}
		f.bot()
		for changed() { // the last of it
		}
		if h := f.rotation().Handover; !h.Gone {
			t.Errorf("hand-over: %+v", h)
		}
	})
}
