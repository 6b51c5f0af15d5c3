package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
	"github.com/keyturner/keyturner/store"
)

const (
	account            = "111122223333"
	owner, carol, dave = rotation.MemberID("UOWNER"), rotation.MemberID("UCAROL"), rotation.MemberID("UDAVE")
)

var (
	ci    = rotation.UserRef{Account: account, Name: "ci"}
	terms = rotation.Terms{Quiet: 2 * time.Hour, Grace: 3 * time.Hour, Expires: 8 * time.Hour, Visible: time.Hour}
)

// hand gives secrets to a person who remembers each.
type hand struct {
	mu      sync.Mutex
	given   map[rotation.KeyID]int
	refuse  error // what HandOver answers, if anything
	refused int   // how many times it still does
}

func (h *hand) Reach(context.Context, rotation.MemberID) error { return nil }

func (h *hand) HandOver(_ context.Context, r rotation.Rotation, key rotation.KeyID, s rotation.Secret) (rotation.Post, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused > 0 {
		h.refused--
		return rotation.Post{}, h.refuse
	}
	if s.Empty() || r.Owner != owner {
		return rotation.Post{}, errors.New("an empty secret, or one for somebody else")
	}
	h.given[key]++
	return rotation.Post{Channel: "D1", TS: string(key)}, nil
}

// faulty is a store that fails one write, carried out or not, and every call after it, as a store does for a process that has died.
type faulty struct {
	rotation.Store
	mu      sync.Mutex
	left    int // writes until it fails; negative: never
	apply   bool
	crashed bool
}

var errCrash = errors.New("the process has died")

func (f *faulty) write(ctx context.Context, p rotation.Progress, do func(context.Context, rotation.Progress) (rotation.Progress, error)) (rotation.Progress, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return p, errCrash
	}
	f.left--
	if f.left != 0 {
		return do(ctx, p)
	}
	f.crashed = true
	if f.apply {
		if _, err := do(ctx, p); err != nil {
			return p, err
		}
	}
	return p, errCrash
}

func (f *faulty) Create(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	return f.write(ctx, p, f.Store.Create)
}

func (f *faulty) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	return f.write(ctx, p, f.Store.Replace)
}

func (f *faulty) Get(ctx context.Context, id string) (rotation.Progress, error) {
	if f.dead() {
		return rotation.Progress{}, errCrash
	}
	return f.Store.Get(ctx, id)
}

func (f *faulty) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	if f.dead() {
		return errCrash
	}
	return f.Store.Scan(ctx, fn)
}

func (f *faulty) dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// bench is AWS with one user, a store, and engines that live and die on it. It runs in a synctest bubble.
type bench struct {
	t       *testing.T
	sim     *iamsim.Sim
	account *iamsim.Account
	kept    rotation.Store
	hand    *hand
	aws     rotation.IAM
	old     rotation.KeyID

	engine *rotation.Engine
	store  *faulty
	stop   func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, sim: iamsim.New(iamsim.Config{}), kept: store.NewMem(), hand: &hand{given: map[rotation.KeyID]int{}}}
	b.account = b.sim.AddAccount(account, "acme")
	b.account.AddUser(iamsim.User{Name: ci.Name, Tags: map[string]string{"slack-user-id": string(owner)}})
	b.old = rotation.KeyID(b.account.AddKey(ci.Name, iamsim.Key{
		Created: time.Now().Add(-100 * 24 * time.Hour), LastUsed: time.Now().Add(-3 * time.Hour), Service: "s3", Region: "eu-west-1",
	}))
	id, secret := b.account.Principal("keyturner")
	adapter, err := awsiam.New(awsiam.Config{ID: account, ReadsPerSecond: 1000, WritesPerSecond: 1000, AWS: aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
		HTTPClient: &http.Client{Transport: b.sim.Transport()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.aws = adapter
	b.start(-1, false)
	return b
}

// start begins a process that dies at its n-th write to the store, carried out or not; below zero it lives.
func (b *bench) start(n int, apply bool) {
	b.t.Helper()
	b.store = &faulty{Store: b.kept, left: n, apply: apply}
	engine, err := rotation.New(rotation.Config{
		Store: b.store, Accounts: []rotation.Account{{ID: account, Name: "acme", IAM: b.aws}}, Hand: b.hand,
		Policy: rotation.Policy{WarnAge: 75 * 24 * time.Hour, MaxAge: 90 * 24 * time.Hour, UnusedAge: 45 * 24 * time.Hour},
		Terms:  terms, Owners: rotation.Owners{Tag: "slack-user-id"}, Approvers: []rotation.MemberID{carol, dave},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.engine = engine
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("engine: %v", err)
		}
	}
}

// restart begins a new process if this one has died.
func (b *bench) restart() {
	if b.store.dead() {
		b.stop()
		b.start(-1, false)
	}
}

func (b *bench) rotation() *rotation.Rotation {
	p, err := b.kept.Get(b.t.Context(), ci.ID())
	if err != nil {
		return nil
	}
	return p.Rotation
}

// people does what the people would do now.
func (b *bench) people() {
	ctx, r := b.t.Context(), b.rotation()
	act := func(on rotation.On, by rotation.MemberID) {
		actor := rotation.Actor{Member: by, Approver: by != owner}
		_, err := b.engine.Act(ctx, r.Ref(), on, actor, "because")
		if _, refused := errors.AsType[*rotation.Refusal](err); err != nil && !refused && !errors.Is(err, errCrash) {
			b.t.Errorf("%s by %s at %s: %v", on, by, r.Stage, err)
		}
	}
	if r == nil {
		request := rotation.Request{User: ci, By: rotation.Actor{Member: owner}}
		if _, err := b.engine.Request(ctx, request); err != nil && !errors.Is(err, errCrash) {
			b.t.Logf("request: %v", err)
		}
		return
	}
	switch r.Stage {
	case rotation.Requested, rotation.Confirmed, rotation.Expiring:
		act(rotation.Approve, carol)
	case rotation.Switching:
		if err := b.account.Use(string(r.New), "s3", "eu-west-1"); err != nil {
			b.t.Logf("use the new key: %v", err)
		}
		act(rotation.Confirm, owner)
	case rotation.Stuck:
		if r.Failure.Class == rotation.ClassSuspect {
			b.account.RemoveKey(string(r.Failure.Key)) // the approver looked: nobody has its secret
		}
		act(rotation.TryAgain, dave)
	}
	if r.Handover.Due(time.Now()) || r.Stage == rotation.Creating && r.Handover.Post.TS != "" {
		_, err := b.engine.Note(ctx, ci.ID(), func(p *rotation.Progress) { p.Rotation.Handover.Gone = true })
		if err != nil && !errors.Is(err, errCrash) {
			b.t.Errorf("note: %v", err)
		}
	}
}

// play lets people and engines go on until the rotation has ended, and checks the invariants after every step.
func (b *bench) play() {
	for range 2000 {
		time.Sleep(time.Minute)
		synctest.Wait()
		b.restart()
		b.check()
		if r := b.rotation(); r != nil && r.Ended() || b.t.Failed() {
			break
		}
		b.people()
	}
	b.stop()
}

// check holds what AWS has against the invariants.
func (b *bench) check() {
	b.t.Helper()
	keys := b.account.Keys(ci.Name)
	working := slices.ContainsFunc(keys, func(k iamsim.KeyView) bool {
		return k.Status == "Active" && (rotation.KeyID(k.ID) == b.old || b.hand.given[rotation.KeyID(k.ID)] > 0)
	})
	if !working {
		b.t.Errorf("the owner has no working key: %+v", keys)
	}
	for key, n := range b.hand.given {
		if n > 1 {
			b.t.Errorf("the secret of %s was shown %d times", key, n)
		}
	}
	for _, c := range b.sim.Calls() {
		if c.Op == "CreateAccessKey" && c.Attempt > 1 {
			b.t.Errorf("CreateAccessKey was retried by the SDK")
		}
	}
}

// done checks the end: one key, made by the bot, active, and its secret given once.
func (b *bench) done() {
	b.t.Helper()
	r := b.rotation()
	if r == nil || r.Stage != rotation.Done {
		b.t.Fatalf("the rotation has not come to its end: %+v", r)
	}
	keys := b.account.Keys(ci.Name)
	if len(keys) != 1 || keys[0].Status != "Active" || !keys[0].ByBot || b.hand.given[rotation.KeyID(keys[0].ID)] != 1 {
		b.t.Errorf("keys at the end: %+v; secrets given: %v", keys, b.hand.given)
	}
}

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
