package rotation_test

import (
	"context"
	"errors"
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

// bench is AWS with one user, a store, and engines that live and die on it. It runs in a synctest bubble.
type bench struct {
	t       *testing.T
	sim     *iamsim.Sim
	account *iamsim.Account
	kept    rotation.Store
	hand    *hand
	aws     rotation.IAM
	trail   rotation.Trail
	regions []string // of the trail
	old     rotation.KeyID
	with    func(*rotation.Config) // nil: as it is

	engine *rotation.Engine
	store  *faulty
	stop   func()
}

func newBench(t *testing.T) *bench { return openBench(t) }

// newTracedBench lets the engine read the trail of two regions.
func newTracedBench(t *testing.T) *bench { return openBench(t, "eu-west-1", "us-east-1") }

func openBench(t *testing.T, regions ...string) *bench {
	t.Helper()
	b := &bench{t: t, regions: regions, sim: iamsim.New(iamsim.Config{}), kept: store.NewMem(), hand: newHand()}
	b.account = b.sim.AddAccount(account, "acme")
	b.account.AddUser(iamsim.User{Name: ci.Name, Tags: map[string]string{"slack-user-id": string(owner)}})
	b.old = rotation.KeyID(b.account.AddKey(ci.Name, iamsim.Key{
		Created: time.Now().Add(-100 * 24 * time.Hour), LastUsed: time.Now().Add(-3 * time.Hour), Service: "s3", Region: "eu-west-1",
	}))
	id, secret := b.account.Principal("keyturner")
	adapter, err := awsiam.New(awsiam.Config{ID: account, ReadsPerSecond: 1000, WritesPerSecond: 1000, TrailRegions: regions, AWS: aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
		HTTPClient: &http.Client{Transport: b.sim.Transport()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.aws, b.trail = adapter, adapter
	b.start(-1, false)
	t.Cleanup(func() { b.stop() })
	return b
}

// start begins a process that dies at its n-th write to the store, carried out or not; below zero it lives.
func (b *bench) start(n int, apply bool) {
	b.t.Helper()
	b.store = newFaulty(b.kept, nthWrite(n, apply))
	cfg := rotation.Config{
		Store: b.store, Accounts: []rotation.Account{{ID: account, Name: "acme", IAM: b.aws, Trail: b.trail, Regions: b.regions}}, Hand: b.hand,
		Policy: rotation.Policy{WarnAge: 75 * 24 * time.Hour, MaxAge: 90 * 24 * time.Hour, UnusedAge: 45 * 24 * time.Hour},
		Terms:  terms, Owners: rotation.Owners{Tag: "slack-user-id"}, Approvers: []rotation.MemberID{carol, dave},
	}
	if b.with != nil {
		b.with(&cfg)
	}
	engine, err := rotation.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.engine = engine
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("engine: %v", err)
		}
	})
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
		act(rotation.TryAgain, dave)
	}
	b.tidy()
}

// tidy deletes the messages with secrets that are due to go, as the bot does.
func (b *bench) tidy() {
	r := b.rotation()
	if r == nil {
		return
	}
	for _, h := range r.Handovers() {
		if !h.Due(time.Now()) {
			continue
		}
		b.hand.remove(h.Post.TS)
		_, err := b.engine.Note(b.t.Context(), ci.ID(), func(p *rotation.Progress) { p.Rotation.Removed(h.Post) })
		if err != nil && !errors.Is(err, errCrash) {
			b.t.Errorf("note: %v", err)
		}
	}
}

// play lets people and engines go on until the rotation has ended, and checks the invariants after every step.
func (b *bench) play() {
	step := time.Minute
	for range 2000 {
		time.Sleep(step)
		synctest.Wait()
		b.restart()
		b.check()
		r := b.rotation()
		if r != nil && r.Ended() || b.t.Failed() {
			break
		}
		if step = time.Minute; r != nil && r.Stage == rotation.Grace {
			step = 10 * time.Minute // nobody does anything
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
	for _, broken := range b.hand.broken {
		b.t.Error(broken)
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
