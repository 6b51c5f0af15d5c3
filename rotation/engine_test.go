package rotation_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestEngine_AWholeRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.play()
		b.done()
		changes := map[string]int{}
		for _, c := range b.sim.Calls() {
			changes[c.Op]++
		}
		if changes["CreateAccessKey"] != 1 || changes["UpdateAccessKey"] != 1 || changes["DeleteAccessKey"] != 1 {
			t.Errorf("calls: %v, want one of each change", changes)
		}
	})
}

// TestEngine_ACrashAtEveryWrite kills the process at each of its writes in turn, with the write carried out and not, and lets another
// one go on from what is stored.
func TestEngine_ACrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	const writes = 24 // a whole rotation makes fewer
	reached := 0
	for n := 1; n <= writes; n++ {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d applied %v", n, apply), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					b.stop()
					b.start(n, apply)
					first := b.store
					b.play()
					b.done()
					if first.dead() {
						reached++
					}
				})
			})
		}
	}
	if reached < 20 || reached == 2*writes {
		t.Errorf("%d of %d crashes happened: the test should cover every write and end beyond the last", reached, 2*writes)
	}
}

// TestEngine_FaultPairs spoils each call to AWS in each way, once carried out and once not.
func TestEngine_FaultPairs(t *testing.T) {
	t.Parallel()
	faults := map[string]iamsim.Fault{
		"cut": {Drop: true}, "throttled": {Code: "Throttling", Times: 20}, "failing": {Code: "ServiceFailure", Times: 20},
		"truncated": {Truncate: true}, "denied": {Code: "AccessDenied"},
	}
	for _, op := range []string{"GetUser", "ListAccessKeys", "GetAccessKeyLastUsed", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"} {
		for name, fault := range faults {
			for _, apply := range []bool{false, true} {
				if apply && (fault.Code == "Throttling" || fault.Code == "AccessDenied") {
					continue // AWS does not say so of what it has done
				}
				t.Run(fmt.Sprintf("%s %s applied %v", op, name, apply), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBench(t)
						fault := fault
						if fault.Apply = apply || fault.Truncate; op == "CreateAccessKey" && fault.Code == "ServiceFailure" {
							fault.Times = 1
						}
						b.sim.Fail(op, fault)
						b.play()
						b.done()
					})
				})
			}
		}
	}
}

func TestEngine_ASecretThatSlackDoesNotTake(t *testing.T) {
	for _, class := range []rotation.Class{rotation.ClassRefused, rotation.ClassUnknown, rotation.ClassThrottled} {
		t.Run(string(class), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.hand.refused, b.hand.refuse = 1, &rotation.CallError{Op: "post", Class: class, Err: errors.New("refused")}
				b.play()
				b.done()
			})
		})
	}
}

func TestEngine_AThirdKeyStopsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var third string
		b.sim.Fail("CreateAccessKey", iamsim.Fault{Before: func() { third = b.account.AddKey(ci.Name, iamsim.Key{}) }, Code: "LimitExceeded"})
		for range 30 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if r := b.rotation(); r != nil && r.Stage == rotation.Stuck {
				break
			}
			b.people()
		}
		r := b.rotation()
		if r.Stage != rotation.Stuck || r.Failure.Class != rotation.ClassQuota {
			t.Fatalf("got %s, %+v; want stuck by the quota", r.Stage, r.Failure)
		}
		b.stop()
		keys := b.account.Keys(ci.Name)
		if len(keys) != 2 || !slices.ContainsFunc(keys, func(k iamsim.KeyView) bool { return k.ID == third && k.Status == "Active" }) {
			t.Errorf("somebody else's key was touched: %+v", keys)
		}
	})
}

// between lets something happen after the facts for a decision were read, of which the last look-up is that of the last key, and before
// its effect looks again.
func (b *bench) between(happens func()) {
	left := len(b.account.Keys(ci.Name))
	b.sim.Fail("GetAccessKeyLastUsed", iamsim.Fault{Times: left, Apply: true, After: func() {
		if left--; left == 0 {
			happens()
		}
	}})
}

// playTo plays until the rotation is in a stage.
func (b *bench) playTo(stage rotation.Stage) *rotation.Rotation {
	b.t.Helper()
	for range 2000 {
		time.Sleep(time.Minute)
		synctest.Wait()
		if r := b.rotation(); r != nil && r.Stage == stage {
			return r
		}
		b.people()
	}
	b.t.Fatalf("the rotation does not come to %s: %+v", stage, b.rotation())
	return nil
}

func TestEngine_LooksAgainBeforeEachEffect(t *testing.T) {
	tests := []struct {
		name    string
		stage   rotation.Stage // in which the decision is made
		happens func(*bench)
		want    rotation.Stage
		block   rotation.BlockCode
		untouch string // the call that must not be made
	}{
		{"a third key before the creation", rotation.Requested, func(b *bench) {
			b.account.AddKey(ci.Name, iamsim.Key{})
		}, rotation.Stuck, rotation.SlotTaken, "CreateAccessKey"},
		{"another user before the creation", rotation.Requested, func(b *bench) {
			b.account.RecreateUser(ci.Name)
		}, rotation.Stuck, rotation.UserReplaced, "CreateAccessKey"},
		{"a use before the deactivation", rotation.Confirmed, func(b *bench) {
			if err := b.account.Use(string(b.old), "s3", "eu-west-1"); err != nil {
				b.t.Error(err)
			}
		}, rotation.Switching, rotation.OldUsed, "UpdateAccessKey"},
		{"another user before the deactivation", rotation.Confirmed, func(b *bench) {
			b.account.RecreateUser(ci.Name)
		}, rotation.Stuck, rotation.UserReplaced, "UpdateAccessKey"},
		{"made active before the deletion", rotation.Expiring, func(b *bench) {
			b.account.SetKeyStatus(string(b.old), true)
		}, rotation.Stuck, rotation.OldActive, "DeleteAccessKey"},
		{"another user before the deletion", rotation.Expiring, func(b *bench) {
			b.account.RecreateUser(ci.Name)
		}, rotation.Stuck, rotation.UserReplaced, "DeleteAccessKey"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				r := b.playTo(test.stage)
				before := b.applied(test.untouch)
				b.between(func() { test.happens(b) })
				if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Approve, rotation.Actor{Member: carol, Approver: true}, ""); err != nil {
					t.Fatalf("approve: %v", err)
				}
				synctest.Wait()
				time.Sleep(time.Second)
				synctest.Wait()
				if r := b.rotation(); r.Stage != test.want || r.Failure.Block != test.block {
					t.Errorf("got %s because of %+v, want %s because of %s", r.Stage, r.Failure, test.want, test.block)
				}
				if n := b.applied(test.untouch) - before; n != 0 {
					t.Errorf("%s was called %d times", test.untouch, n)
				}
			})
		})
	}
}

func (b *bench) applied(op string) int {
	n := 0
	for _, c := range b.sim.Calls() {
		if c.Op == op && c.Applied {
			n++
		}
	}
	return n
}

func TestEngine_DiscardsOnlyWhatItMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		b.between(func() { b.account.RecreateUser(ci.Name) })
		if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Abandon, rotation.Actor{Member: owner}, ""); err != nil {
			t.Fatalf("abandon: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if r := b.rotation(); r.Stage != rotation.Stuck || r.Failure.Block != rotation.UserReplaced {
			t.Errorf("got %s because of %+v, want stuck: it is another user", r.Stage, r.Failure)
		}
		if n := b.applied("DeleteAccessKey"); n != 0 {
			t.Errorf("%d keys were deleted", n)
		}
	})
}
