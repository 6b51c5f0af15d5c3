package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// bent is an adapter of which single calls go another way.
type bent struct {
	rotation.IAM
	keys   func(context.Context, string) ([]rotation.Key, error)
	create func(context.Context, string) (rotation.Key, rotation.Secret, error)
	maker  func() (rotation.Maker, error)
}

func (w bent) Maker(ctx context.Context, id rotation.KeyID, since time.Time) (rotation.Maker, error) {
	if w.maker == nil {
		return w.IAM.Maker(ctx, id, since)
	}
	return w.maker()
}

func madeByAnother() (rotation.Maker, error) { return rotation.MakerOther, nil }

func (w bent) Keys(ctx context.Context, user string) ([]rotation.Key, error) {
	if w.keys == nil {
		return w.IAM.Keys(ctx, user)
	}
	return w.keys(ctx, user)
}

func (w bent) CreateKey(ctx context.Context, user string) (rotation.Key, rotation.Secret, error) {
	if w.create == nil {
		return w.IAM.CreateKey(ctx, user)
	}
	return w.create(ctx, user)
}

// bend begins a process whose calls to AWS go through w.
func (b *bench) bend(w bent) {
	b.stop()
	w.IAM = b.aws
	b.aws = w
	b.start(-1, false)
}

// flaky is a store that takes no write for a while, and never one that comes too late.
type flaky struct {
	rotation.Store
	mu    sync.Mutex
	skip  int           // writes that it takes before
	while time.Duration // 0: it takes all
	until time.Time
}

func (f *flaky) fail(skip int, while time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skip, f.while, f.until = skip, while, time.Time{}
}

func (f *flaky) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	f.mu.Lock()
	if f.while > 0 && f.skip == 0 && f.until.IsZero() {
		f.until = time.Now().Add(f.while)
	}
	f.skip--
	full := time.Now().Before(f.until)
	f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return p, err
	}
	if full {
		return p, errors.New("the disk is full")
	}
	return f.Store.Replace(ctx, p)
}

func (b *bench) flaky() *flaky {
	b.stop()
	f := &flaky{Store: b.kept}
	b.kept = f
	b.start(-1, false)
	return f
}

// await lets time pass, in which nobody does anything, until the rotation is in a stage.
func (b *bench) await(stage rotation.Stage) *rotation.Rotation {
	b.t.Helper()
	for range 600 {
		synctest.Wait()
		if r := b.rotation(); r != nil && r.Stage == stage {
			return r
		}
		time.Sleep(time.Minute)
	}
	b.t.Fatalf("the rotation does not come to %s: %+v", stage, b.rotation())
	return nil
}

// act lets a person act on the rotation as it is, and its effect be made.
func (b *bench) act(on rotation.On, by rotation.MemberID) error {
	b.t.Helper()
	_, err := b.engine.Act(b.t.Context(), b.rotation().Ref(), on, rotation.Actor{Member: by, Approver: by != owner}, "because")
	time.Sleep(time.Second)
	synctest.Wait()
	return err
}

func (b *bench) must(on rotation.On, by rotation.MemberID) {
	b.t.Helper()
	if err := b.act(on, by); err != nil {
		b.t.Fatalf("%s by %s: %v", on, by, err)
	}
}

// called counts the calls of an operation, whatever came of them.
func (b *bench) called(op string) int {
	n := 0
	for _, c := range b.sim.Calls() {
		if c.Op == op {
			n++
		}
	}
	return n
}

// handedOver checks that one key was made, and that its secret was shown once and can be removed.
func (b *bench) handedOver() {
	b.t.Helper()
	r := b.rotation()
	if n := b.called("CreateAccessKey"); n != 1 {
		b.t.Errorf("CreateAccessKey was called %d times", n)
	}
	if len(b.hand.given) != 1 || b.hand.given[r.New] != 1 {
		b.t.Errorf("secrets given: %v, want one of %s, once", b.hand.given, r.New)
	}
	if b.hand.shown(r.Handover.Post.TS) != r.New {
		b.t.Errorf("hand-over: %+v, want the post of %s", r.Handover, r.New)
	}
}

var refusedBySlack = &rotation.CallError{Op: "post", Class: rotation.ClassRefused, Err: errors.New("refused")}

func TestEngine_ALaggingListIsNoRevokedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		var made time.Time
		iam := b.aws
		b.bend(bent{
			create: func(ctx context.Context, user string) (rotation.Key, rotation.Secret, error) {
				made = time.Now()
				return iam.CreateKey(ctx, user)
			},
			keys: func(ctx context.Context, user string) ([]rotation.Key, error) {
				keys, err := iam.Keys(ctx, user)
				if time.Since(made) < 5*time.Second {
					keys = slices.DeleteFunc(keys, func(k rotation.Key) bool { return k.ID != b.old })
				}
				return keys, err
			},
		})
		b.hand.refused, b.hand.refuse = 1, refusedBySlack
		r := b.playTo(rotation.Stuck)
		if keys := b.account.Keys(ci.Name); len(keys) != 1 || r.New != "" {
			t.Errorf("the rotation has %q as its new key, stuck because of %+v, and the user has %+v; want the old key alone", r.New, r.Failure, keys)
		}
	})
}

func TestEngine_NoLookForgetsAnOpenIntent(t *testing.T) {
	for name, fault := range map[string]iamsim.Fault{"throttled": {Code: "Throttling", Times: 12}, "denied": {Code: "AccessDenied"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.bend(bent{maker: madeByAnother})
				b.playTo(rotation.Requested)
				b.sim.Fail("CreateAccessKey", iamsim.Fault{Apply: true, Drop: true, After: func() { b.sim.Fail("GetUser", fault) }})
				b.must(rotation.Approve, carol)
				r := b.await(rotation.Stuck)
				if r.Failure.Class == rotation.ClassDenied {
					b.must(rotation.TryAgain, dave)
					r = b.await(rotation.Stuck)
				}
				if r.Failure.Class != rotation.ClassSuspect || r.Failure.Key == "" || r.Failure.Key == b.old {
					t.Fatalf("stuck because of %+v, want the key that appeared as a suspect", r.Failure)
				}
				b.account.RemoveKey(string(r.Failure.Key))
				b.must(rotation.TryAgain, dave)
				if r := b.await(rotation.Switching); b.hand.given[r.New] != 1 {
					t.Errorf("secrets given: %v, want that of %s", b.hand.given, r.New)
				}
			})
		})
	}
}

func TestEngine_CreatesOnceWithinTheSettleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		var made time.Time
		throttled := false
		iam := b.aws
		b.bend(bent{
			maker: madeByAnother,
			create: func(ctx context.Context, user string) (rotation.Key, rotation.Secret, error) {
				made = time.Now()
				return iam.CreateKey(ctx, user)
			},
			keys: func(ctx context.Context, user string) ([]rotation.Key, error) {
				if !made.IsZero() && !throttled {
					throttled = true
					return nil, &rotation.CallError{Op: "list", Class: rotation.ClassThrottled, Err: errors.New("slow down")}
				}
				keys, err := iam.Keys(ctx, user)
				if time.Since(made) < 50*time.Second {
					keys = slices.DeleteFunc(keys, func(k rotation.Key) bool { return k.ID != b.old })
				}
				return keys, err
			},
		})
		b.playTo(rotation.Requested)
		b.sim.Fail("CreateAccessKey", iamsim.Fault{Apply: true, Drop: true})
		b.must(rotation.Approve, carol)
		if r := b.await(rotation.Stuck); r.Failure.Class != rotation.ClassSuspect {
			t.Errorf("stuck because of %+v, want a suspect", r.Failure)
		}
		if n := b.called("CreateAccessKey"); n != 1 {
			t.Errorf("CreateAccessKey was called %d times", n)
		}
	})
}

func TestEngine_ALateAnswerToTheCreationIsHandedOver(t *testing.T) {
	for _, stops := range []bool{false, true} {
		t.Run(fmt.Sprintf("the process stops meanwhile %v", stops), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.flaky()
				iam := b.aws
				b.bend(bent{create: func(ctx context.Context, user string) (rotation.Key, rotation.Secret, error) {
					key, secret, err := iam.CreateKey(ctx, user)
					<-ctx.Done() // the step's time is over when the answer is there
					return key, secret, err
				}})
				b.playTo(rotation.Requested)
				b.must(rotation.Approve, carol)
				if stops {
					b.stop()
					b.start(-1, false)
				}
				b.await(rotation.Switching)
				b.handedOver()
			})
		})
	}
}

func TestEngine_AKeyWhoseOutcomeCannotBeWrittenIsHandedOver(t *testing.T) {
	tests := []struct {
		name  string
		while time.Duration
		stops bool
	}{
		{"for a second", time.Second, false},
		{"for a second in which the process stops", time.Second, true},
		{"for a minute", time.Minute, false}, // beyond the patience of one write
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				store := b.flaky()
				b.playTo(rotation.Requested)
				b.sim.Fail("CreateAccessKey", iamsim.Fault{After: func() { store.fail(0, test.while) }})
				b.must(rotation.Approve, carol)
				if test.stops {
					b.stop()
					b.start(-1, false)
				}
				b.await(rotation.Switching)
				b.handedOver()
			})
		})
	}
}

func TestEngine_AHandOverWhoseOutcomeCannotBeWrittenIsKnown(t *testing.T) {
	for _, while := range []time.Duration{time.Second, time.Minute} {
		t.Run(while.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				store := b.flaky()
				b.playTo(rotation.Requested)
				b.sim.Fail("CreateAccessKey", iamsim.Fault{After: func() { store.fail(1, while) }})
				b.must(rotation.Approve, carol)
				if r := b.rotation(); r.Stage != rotation.Delivering || b.hand.given[r.New] != 1 {
					t.Fatalf("at %s with %v given, want the hand-over made and not written", r.Stage, b.hand.given)
				}
				if err := b.account.Use(string(b.rotation().New), "s3", "eu-west-1"); err != nil { // the owner is quick
					t.Fatal(err)
				}
				b.await(rotation.Switching)
				b.handedOver()
			})
		})
	}
}

func TestEngine_AMessageThatStaysHoldsUpNoReissue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Requested)
		b.must(rotation.Approve, carol)
		first := b.await(rotation.Switching)
		b.must(rotation.Reissue, owner)
		r := b.await(rotation.Switching) // nobody has deleted the message
		if r.New == first.New || b.hand.given[r.New] != 1 {
			t.Fatalf("the new key is %s and was %s, secrets given: %v", r.New, first.New, b.hand.given)
		}
		stale := first.Handover.Post
		if len(r.Stale) != 1 || r.Stale[0].Post != stale || !r.Stale[0].Due(time.Now()) || b.hand.shown(r.Handover.Post.TS) != r.New {
			t.Fatalf("stale: %+v, current: %+v; want the first message to be removed now", r.Stale, r.Handover)
		}
		for range 2 { // whatever has changed, and then, with nothing new, what is due
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if ids, err := b.engine.Changed(ctx); err != nil || !slices.Contains(ids, ci.ID()) {
				t.Errorf("changed: %v, %v; want the user whose message is due", ids, err)
			}
			cancel()
		}
		p, err := b.engine.Note(t.Context(), ci.ID(), func(p *rotation.Progress) { p.Rotation.Removed(stale) })
		if err != nil || len(p.Rotation.Stale) != 0 || p.Rotation.Handover.Gone {
			t.Errorf("after the removal: stale %+v, current %+v, %v", p.Rotation.Stale, p.Rotation.Handover, err)
		}
	})
}
