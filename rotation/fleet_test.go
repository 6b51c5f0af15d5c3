package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// fleet is one or several processes on one store, the cloud they work on, and the people who rotate one key with them. It runs in a
// synctest bubble.
type fleet struct {
	t         *testing.T
	way       way
	kept      *quickStore
	cloud     *cloud
	hand      *hand
	old       rotation.KeyID
	processes []*process
	shared    bool
	delivery  rotation.Delivery
	vault     vault
	regions   []string                             // of the trail
	fate      func(p *process, method string) fate // nil: all goes well
	pick      func(n int) int                      // which of n processes hears of a click; nil: the first

	mu        sync.Mutex
	calls     []string             // by all processes, as they came
	written   map[string]time.Time // when each ticket was stored first
	takes     []take               // what was taken over from another process
	halted    map[*process]bool    // those that were halted, and do what they do at a wrong time
	leaves    bool                 // a message that waits for a secret may be left over
	chaos     bool                 // processes that died come back
	lag       *rand.Rand           // Live lags behind
	lived     map[string]uint64    // what it told last
	leap      atomic.Int64         // how far the processes' clocks are ahead
	delivered int                  // envelopes
	digests   int                  // times that the digest was sent
}

// process is one Keyturner.
type process struct {
	*rotation.Engine
	n      int
	store  *faulty
	stop   func()
	leaves atomic.Bool // it stops
}

// take is a take-over of an effect.
type take struct {
	stage rotation.Stage
	after time.Duration // since the ticket that was replaced was stored, or its attempt was due
}

var quick = rotation.Terms{Quiet: 10 * time.Minute, Grace: 10 * time.Minute, Expires: 8 * time.Hour, Visible: 10 * time.Minute}

func newFleet(t *testing.T, w way, n int) *fleet {
	t.Helper()
	f := &fleet{
		t: t, way: w, kept: newQuickStore(), cloud: newCloud(), hand: newHand(), shared: n > 1, fate: w.fate,
		written: map[string]time.Time{}, halted: map[*process]bool{},
	}
	f.cloud.check = f.allowed
	f.old = f.cloud.add(rotation.Active, 100*24*time.Hour, 3*time.Hour)
	if w.setup != nil {
		w.setup(f)
	}
	t.Cleanup(f.stop)
	return f
}

// start begins a process.
func (f *fleet) start() *process {
	f.t.Helper()
	p := &process{n: len(f.processes)}
	var kept rotation.Store = observed{f.kept, f, p}
	if f.lag != nil {
		kept = lagging{kept, f, f.lag}
	}
	p.store = newFaulty(kept, func(method string) fate {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, method)
		if f.fate == nil {
			return fate{}
		}
		return f.fate(p, method)
	})
	to := line{p, f.cloud, f.hand, &f.vault}
	engine, err := rotation.New(rotation.Config{
		Store: p.store, Hand: to, Terms: quick, Shared: f.shared,
		Now:      func() time.Time { return time.Now().Add(time.Duration(f.leap.Load())) },
		Accounts: []rotation.Account{{ID: account, Name: "acme", IAM: to, Delivery: f.delivery, Vault: to, Trail: to, Regions: f.regions}},
		Policy:   rotation.Policy{WarnAge: 75 * 24 * time.Hour, MaxAge: 90 * 24 * time.Hour, UnusedAge: 45 * 24 * time.Hour},
		Owners:   rotation.Owners{Tag: "slack-user-id"}, Approvers: []rotation.MemberID{carol, dave},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	p.Engine = engine
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	go func() {
		select {
		case <-p.store.died:
			cancel()
		case <-ctx.Done():
		}
	}()
	p.stop = sync.OnceFunc(func() {
		p.leaves.Store(true)
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("engine: %v", err)
		}
		if _, n := engine.SecretsHeld(); n != 0 {
			f.t.Errorf("a process that has stopped remembers %d secrets", n)
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes = append(f.processes, p)
	return p
}

// alive lists the processes that have not died.
func (f *fleet) alive() []*process {
	return slices.DeleteFunc(slices.Clone(f.processes), func(p *process) bool { return p.store.dead() })
}

// any is the process that hears of the next click. If all have died, there is a new one.
func (f *fleet) any() *process {
	alive := f.alive()
	switch {
	case len(alive) == 0:
		p := f.start()
		f.inbox(p)
		return p
	case f.pick == nil:
		return alive[0]
	}
	return alive[f.pick(len(alive))]
}

func (f *fleet) stop() {
	for _, p := range f.processes {
		p.stop()
	}
}

// observed sees what one process stores.
type observed struct {
	rotation.Store
	f *fleet
	p *process
}

func (o observed) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	before, err := o.Get(ctx, p.User.ID())
	if err != nil {
		return p, err
	}
	stored, err := o.Store.Replace(ctx, p)
	if err == nil {
		o.f.replaced(o.p, before, stored)
	}
	return stored, err
}

// replaced looks at a write: who works on what, and whether somebody else did.
func (f *fleet) replaced(by *process, before, after rotation.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(after.Trail); n > rotation.KeepTrail {
		f.t.Errorf("%d entries are in the document", n)
	}
	if before.Rotation == nil || after.Rotation == nil {
		return
	}
	was, is := before.Rotation, after.Rotation
	if _, known := f.written[is.Work]; !known && is.Work != "" {
		f.written[is.Work] = time.Now()
	}
	if f.shared && is.Stage.Working() && is.Work == "" && is.Retry.At.IsZero() && !by.leaves.Load() {
		f.t.Errorf("%s is nobody's, though it has just begun", is.Stage)
	}
	if was.Turn == is.Turn && was.Work != "" && is.Work != was.Work && by.Mine(is.Work) && !by.Mine(was.Work) {
		since := f.written[was.Work]
		if was.Retry.At.After(since) {
			since = was.Retry.At
		}
		f.takes = append(f.takes, take{is.Stage, time.Since(since)})
	}
}

// allowed holds a change to AWS against what is stored at that moment: the stage whose effect it is, the decision for it, and who makes it.
func (f *fleet) allowed(by *process, op string, key rotation.KeyID) {
	r := f.rotation()
	f.mu.Lock()
	halted := f.halted[by]
	f.mu.Unlock()
	if halted {
		return // it comes too late, and must do no harm: that is seen from what comes of it
	}
	if f.shared && !by.Mine(r.Work) {
		f.t.Errorf("%s of %q by a process that has not taken it: %s is the effect of %q", op, key, r.Stage, r.Work)
	}
	want := map[string]rotation.Stage{
		"create": rotation.Creating, "delete": rotation.Discarding, string(rotation.Inactive): rotation.Discarding, string(rotation.Active): rotation.Discarding,
	}
	asked := map[rotation.Stage]rotation.Stage{
		rotation.Creating: rotation.Requested, rotation.Deactivating: rotation.Confirmed, rotation.Deleting: rotation.Expiring,
	}
	if key == r.Old {
		want = map[string]rotation.Stage{
			"delete": rotation.Deleting, string(rotation.Inactive): rotation.Deactivating, string(rotation.Active): rotation.Reactivating,
		}
	} else if op != "create" && key != r.New {
		f.t.Errorf("%s of %s, which is neither %s nor %s", op, key, r.Old, r.New)
	}
	if key == r.New && op == string(rotation.Inactive) && !r.Disowned.IsZero() && r.Stage == rotation.Freezing {
		want[op] = rotation.Freezing
	}
	if r.Stage != want[op] {
		f.t.Errorf("%s of %q at %s", op, key, r.Stage)
	}
	if r.Kind == rotation.Leak {
		asked[rotation.Deactivating] = rotation.Leaked
	}
	if _, ok := r.Approved(asked[r.Stage]); !ok && asked[r.Stage] != "" {
		f.t.Errorf("%s of %q at %s without an approval", op, key, r.Stage)
	}
	if op == "create" && (r.Intent == nil || r.Handover.Waits() != r.Delivery.Posted() || r.Delivery.InAWS() && !f.vault.isReady(r.Delivery)) {
		f.t.Errorf("a key is created with the intent %+v and the message %+v", r.Intent, r.Handover)
	}
	if k, ok := f.key(key); ok && op == "delete" && k.Status == rotation.Active {
		f.t.Errorf("%s is deleted while it is active", key)
	}
}

func (f *fleet) key(id rotation.KeyID) (rotation.Key, bool) {
	return rotation.Evidence{Keys: f.cloud.all()}.Key(id)
}

func (f *fleet) progress() rotation.Progress {
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	return f.kept.progress[ci.ID()] // nobody alters it
}

func (f *fleet) rotation() rotation.Rotation {
	if p := f.progress(); p.Rotation != nil {
		return *p.Rotation
	}
	return rotation.Rotation{}
}

// click is what a person does with a button: it is accepted, worked and settled, as the bot does it.
func (f *fleet) click(by rotation.MemberID, on rotation.On) {
	f.delivered++
	r, p := f.rotation(), f.any()
	v := rotation.Envelope{
		ID: fmt.Sprintf("E%04d", f.delivered), At: time.Now(), Holder: p.Holder(),
		Body: fmt.Appendf(nil, "%s %s %s", by, on, r.Ref()),
	}
	if v, err := p.Accept(f.t.Context(), v); err == nil {
		f.work(p, v)
	}
}

// work does what an envelope asks for, once, and settles it.
func (f *fleet) work(p *process, v rotation.Envelope) {
	words := strings.Fields(string(v.Body))
	by, on := rotation.MemberID(words[0]), rotation.On(words[1])
	ref, err := rotation.ParseRef(words[2])
	switch {
	case on == "request":
		_, err = p.Request(f.t.Context(), rotation.Request{User: ci, Key: f.way.key(f), Retire: f.way.retires, Leak: f.way.leaks, By: rotation.Actor{Member: by}})
	case on == rotation.Collect:
		_, err = p.Collect(f.t.Context(), ref, rotation.Actor{Member: by}, f.hand.open())
	case on == "receipt":
		_, err = p.Receipt(f.t.Context(), ref, rotation.Actor{Member: by})
	case err == nil:
		_, err = p.Act(f.t.Context(), ref, on, rotation.Actor{Member: by, Approver: by != owner}, "because")
	}
	if _, refused := errors.AsType[*rotation.Refusal](err); err != nil && !refused && !errors.Is(err, errCrash) && !errors.Is(err, errLost) {
		f.t.Errorf("%s by %s at %s: %v", on, by, f.rotation().Stage, err)
	}
	v.Done, v.Body = true, nil
	_, _ = p.Settle(f.t.Context(), v) // if it is not settled, it is worked again: that is what a restart is for
}

// inbox works what a process finds waiting when it begins.
func (f *fleet) inbox(p *process) {
	var waiting []rotation.Envelope
	if err := p.Waiting(f.t.Context(), func(v rotation.Envelope) error { waiting = append(waiting, v); return nil }); err != nil {
		return
	}
	for _, v := range waiting {
		f.work(p, v)
	}
}

// morning is what a process does by its schedule: it surveys, sends the digest once, and forgets what was delivered long ago.
func (f *fleet) morning() {
	for _, few := range []bool{false, true} {
		f.cloud.grant(!few)
		p := f.any()
		if _, err := p.Survey(f.t.Context()); err != nil && !p.store.dead() && !errors.Is(err, errLost) {
			f.t.Errorf("survey: %v", err)
		}
	}
	f.cloud.grant(true)
	p := f.any()
	_, _ = p.Owned(f.t.Context(), owner) // what cannot be read is shown as such
	p = f.any()
	if w, err := p.Whois(f.t.Context(), f.old); err == nil && w.Account == "" && len(w.Unread) == 0 {
		if _, there := f.key(f.old); there {
			f.t.Errorf("whois %s: nobody's, although AWS has it", f.old)
		}
	}
	p = f.any()
	if cur, err := p.Claimed(f.t.Context(), "digest/2026-W48"); errors.Is(err, rotation.ErrNotFound) {
		if _, err := p.Claim(f.t.Context(), rotation.Claim{Name: "digest/2026-W48", Rev: cur.Rev}); err == nil {
			f.digests++
		}
	}
	p = f.any()
	_ = p.Forget(f.t.Context(), time.Now().Add(-10*time.Minute)) // it comes again tomorrow
	p = f.any()
	_ = p.Refuse(f.t.Context(), "UGUEST", "/rotate-key", &rotation.Refusal{Code: rotation.NotMember}) // which was logged, or it says why not
}

// people do what they would do now.
func (f *fleet) people() {
	r := f.rotation()
	if r.ID == "" {
		f.click(owner, "request")
		return
	}
	if on, by := f.way.act(f, r); on != "" {
		f.click(by, on)
	}
	if r := f.rotation(); r.Stage == rotation.Switching && !r.Handover.Until.IsZero() && r.Handover.Received.IsZero() && !r.Handover.Gone {
		p := f.any()
		_, _ = p.Receipt(f.t.Context(), rotation.Ref{ID: r.ID, Turn: r.Issued}, rotation.Actor{Member: owner}) // the button stays
	}
}

// bot shows what is stored: it deletes the messages that are due, and takes away the mark that something was owed.
func (f *fleet) bot() {
	p := f.any()
	doc, err := p.Get(f.t.Context(), ci.ID())
	if err != nil {
		return
	}
	for _, r := range doc.All() {
		for _, h := range r.Handovers() {
			if !h.Due(time.Now()) {
				continue
			}
			f.hand.remove(h.Post.TS)
			_, _ = p.Note(f.t.Context(), ci.ID(), func(p *rotation.Progress) { // or it is removed again
				if cur, ok := p.Find(r.ID); ok {
					cur.Removed(h.Post)
				}
			})
		}
	}
	if doc, err = p.Get(f.t.Context(), ci.ID()); err == nil && doc.Owed {
		doc.Owed, doc.Notices = false, slices.Clone(doc.Notices)
		for i := range doc.Notices {
			doc.Notices[i].Sent = time.Now()
		}
		_, _ = p.Keep(f.t.Context(), doc) // or it is owed still
	}
}

const pace = time.Minute

// play lets the processes and the people go on until the rotation has ended and nothing is left to do.
func (f *fleet) play() {
	f.t.Helper()
	f.morning()
	for range 1000 {
		time.Sleep(pace)
		synctest.Wait()
		f.invariants()
		for f.chaos && f.shared && len(f.alive()) < 2 {
			f.inbox(f.start())
		}
		f.bot()
		if f.rotation().Ended() && !f.progress().Live() || f.t.Failed() {
			break
		}
		f.people()
	}
	f.end()
}
