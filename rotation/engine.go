package rotation

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what an Engine works with. Every field is required unless it says what its zero value means.
type Config struct {
	Store      Store
	Accounts   []Account
	Hand       Hand
	Policy     Policy
	Terms      Terms
	Owners     Owners
	Approvals  []Approval                                     // the rules; may be empty
	Approvers  []MemberID                                     // who decides where no rule says who
	Directory  Directory                                      // nil: the rules name no group, and everybody is believed to be a member
	Zone       func(context.Context, MemberID) *time.Location // where somebody works; nil, and nil of one who is not known to: Location
	Location   *time.Location                                 // nil: UTC
	Exemptions map[UserRef]Exemption                          // may be nil
	Shared     bool                                           // other processes may work on the same store at the same time
	Now        func() time.Time                               // nil: time.Now
	Logger     *slog.Logger                                   // nil: discard
}

// Account is one AWS account.
type Account struct {
	ID       string // twelve digits
	Name     string
	IAM      IAM
	Delivery Delivery // how the secrets of its keys go; zero: by DM
	Vault    Vault    // where they are kept, if they go to AWS; else nil
	Trail    Trail    // the history of calls; nil: nobody is told who uses a key
	Regions  []string // in which the trail is read
}

// Engine is the shell round the pure lifecycle: it reads facts, writes intents and outcomes, and makes the calls. Nothing else in
// Keyturner changes AWS.
type Engine struct {
	cfg      Config
	id       string // names this process where it works on something
	tickets  atomic.Uint64
	stops    atomic.Bool // Run has been told to end
	now      func() time.Time
	log      *slog.Logger
	accounts map[string]Account

	approvals Approvals

	wake     chan struct{}
	feed     feed
	secrets  secrets
	people   directory
	busy     busy
	glimpses map[string]glimpse // of the live documents, by id; Run's alone
}

// New checks the configuration. It makes no call and starts nothing.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Hand == nil {
		return nil, errors.New("make engine: a store and a hand are required")
	}
	if cfg.Directory == nil {
		cfg.Directory = noDirectory{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		cfg: cfg, id: rand.Text(), now: cfg.Now, log: cfg.Logger,
		accounts: map[string]Account{}, wake: make(chan struct{}, 1),
	}
	for _, a := range cfg.Accounts {
		e.accounts[a.ID] = a
	}
	e.approvals = NewApprovals(cfg.Approvals, cfg.Approvers)
	e.feed.signal = make(chan struct{}, 1)
	return e, nil
}

// How long Run waits when nothing wakes it. Where others work on the same store, their changes are found by looking.
const (
	tick       = 15 * time.Second
	sharedTick = time.Second
)

// Run does what is due until ctx ends: it resumes working stages left by a crash, makes effects, and lets the clock elapse. It
// returns after the effects under way have ended.
func (e *Engine) Run(ctx context.Context) error {
	defer e.secrets.clear() // those left over are lost with the process
	defer e.busy.wait()
	defer context.AfterFunc(ctx, func() { e.stops.Store(true) })()
	wait := tick
	if e.cfg.Shared {
		wait = sharedTick
	}
	for {
		if err := e.round(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("look for due rotations", "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-e.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Wake makes Run look at once, after a decision or a leap of the clock.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// glimpse is what a round remembers of a document, so that the next one need not read it.
type glimpse struct {
	rev    uint64
	next   time.Time // when something falls due; zero: nothing will
	work   work      // whose effect is under way
	worked time.Time // since when that has been seen to be due and unchanged, by this machine's clock
}

// work is what changes if whoever makes an effect is alive.
type work struct {
	ticket         string
	turn, attempts int
}

func (e *Engine) round(ctx context.Context) error {
	e.forgetSecrets(ctx)
	seen := map[string]glimpse{}
	err := e.cfg.Store.Live(ctx, func(id string, rev uint64) error {
		g, known := e.glimpses[id]
		if known && g.rev == rev && (g.next.IsZero() || e.now().Before(g.next)) {
			seen[id] = g
			return nil
		}
		p, err := e.Get(ctx, id)
		if err != nil {
			e.log.Error("read progress", "id", id, "err", err)
			if known {
				seen[id] = g
			}
			return ctx.Err()
		}
		if p.handoverDue(e.now()) || p.Owed && p.Rev != g.rev {
			e.feed.add(id)
		}
		if tends := p.tends(); !tends.IsZero() && !e.now().Before(tends) {
			e.tend(ctx, id)
		}
		r, due := e.due(p)
		g = g.renewed(p, due)
		seen[id] = g
		if due && e.mayWork(r, g) {
			e.busy.start(r, func() { e.advance(ctx, r) }, e.Wake)
		}
		return nil
	})
	if err == nil {
		e.glimpses = seen
	}
	return err
}

func (g glimpse) renewed(p Progress, due bool) glimpse {
	var at work
	if r, runs := p.Running(); runs {
		at = work{r.Work, r.Turn, r.Retry.Attempts}
	}
	if !due { // whoever has it may be waiting for its time
		g.worked = time.Time{}
	} else if g.worked.IsZero() || g.work != at {
		g.worked = time.Now()
	}
	g.work = at
	g.rev, g.next = p.Rev, p.next()
	return g
}

// workLease is how long an effect is left to the process that has begun it, if nothing shows that it lives; longer than one step and
// the writing of its outcome, so that two are at it only if one of them was halted. Making a key active again, or inactive that its owner
// disowns, does no harm twice, and somebody waits for it.
const (
	workLease     = 2 * time.Minute
	rollbackLease = 20 * time.Second
)

// mayWork tells whether this process may make the effect of r: unless another one is at it.
func (e *Engine) mayWork(r Rotation, g glimpse) bool {
	if !e.cfg.Shared || !r.Stage.Working() || r.Work == "" || e.mine(r.Work) {
		return true
	}
	lease := workLease
	if r.Stage.urgent() {
		lease = rollbackLease
	}
	return time.Since(g.worked) >= lease
}

// ticket names this process and one of its attempts at an effect. There is a new one for each, so that whoever waits for this process
// to die sees that it lives, and so that an attempt which was thought dead changes nothing when it goes on.
func (e *Engine) ticket() string { return e.id + "." + strconv.FormatUint(e.tickets.Add(1), 10) }

// mine tells whether a ticket is this process's.
func (e *Engine) mine(ticket string) bool { return strings.HasPrefix(ticket, e.id+".") }

// take writes that this process makes the effect of r, unless somebody else has written that meanwhile. It does so before each attempt,
// also where the effect is its own already: for all it knows, the others have been waiting for long.
//
// A crash after this write leaves the effect to whoever finds that nothing happens.
func (e *Engine) take(ctx context.Context, r Rotation) (Rotation, error) {
	ticket := e.ticket()
	_, err := e.onWork(ctx, r, func(_ *Progress, cur *Rotation) error {
		if cur.Retry != r.Retry {
			return fmt.Errorf("%s was tried by another process: %w", r.ID, ErrConflict)
		}
		cur.Work = ticket
		return nil
	})
	r.Work = ticket
	return r, err
}

// next is when something falls due for the document by itself; zero: never.
func (p Progress) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if r, runs := p.Running(); runs {
		switch {
		case r.Stage.Working():
			sooner(cmp.Or(r.Retry.At, r.Since))
		case !r.Deadline.IsZero():
			sooner(later(r.Deadline, r.Retry.At))
		}
		if r.Waits() {
			sooner(later(r.Held, r.Retry.At))
		}
		if at := r.stirs(); !at.IsZero() {
			sooner(later(at, r.Retry.At))
		}
		if r.Stage == Switching && !r.Proof.Again.IsZero() {
			sooner(later(r.Proof.Again, r.Retry.At))
		}
	}
	if tends := p.tends(); !tends.IsZero() {
		sooner(tends)
	}
	for _, r := range p.All() {
		for _, h := range r.Handovers() {
			switch {
			case !h.Post.Known() || h.Gone || h.Until.IsZero() || h.Failed != "":
			case h.Received.IsZero():
				sooner(h.Until)
			default:
				sooner(h.Received)
			}
		}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// due tells whether the engine has something to do for the current rotation.
func (p Progress) due(now time.Time) (Rotation, bool) {
	r, ok := p.Running()
	if !ok || now.Before(r.Retry.At) {
		return Rotation{}, false
	}
	elapsed := !r.Deadline.IsZero() && !now.Before(r.Deadline)
	return *r, r.Stage.Working() || elapsed || r.looks(now) || r.stirring(now) || r.Waits() && !now.Before(r.Held)
}

func (p Progress) handoverDue(now time.Time) bool {
	return slices.ContainsFunc(p.All(), func(r Rotation) bool {
		return slices.ContainsFunc(r.Handovers(), func(h Handover) bool { return h.Due(now) })
	})
}

// stepTime bounds one step, its look-ups and its call; outcomeTime the writing of what came of it.
const (
	stepTime    = time.Minute
	outcomeTime = 30 * time.Second
)

// advance takes one rotation as far as it goes without waiting. A step under way is finished when ctx ends, and so is the hand-over of
// a secret that this process alone knows.
func (e *Engine) advance(ctx context.Context, r Rotation) {
	taken := !e.cfg.Shared // whether it was written a moment ago that the effect is this process's
	for ctx.Err() == nil || r.Stage == Delivering {
		next, more := e.advanceOnce(ctx, r, taken)
		if !more {
			break
		}
		r, taken = next, true
	}
}

func (e *Engine) advanceOnce(ctx context.Context, scanned Rotation, taken bool) (Rotation, bool) {
	detached := context.WithoutCancel(ctx)
	step, cancel := context.WithTimeout(detached, stepTime)
	defer cancel()
	p, err := e.Get(step, scanned.User.ID())
	if err != nil {
		e.log.Error("read progress", "rotation", scanned.ID, "err", err)
		return scanned, false
	}
	r, due := e.due(p)
	if !due || r.ID != scanned.ID {
		return r, false // somebody else has been here since the scan
	}
	if r.Stage.Working() && !taken {
		if r.Work != scanned.Work || r.Turn != scanned.Turn || r.Retry != scanned.Retry {
			return r, false // alive, it turns out
		}
		if r, err = e.take(step, r); err != nil {
			if !errors.Is(err, ErrConflict) {
				e.log.Error("take an effect", "rotation", r.ID, "stage", r.Stage, "err", err)
			}
			return r, false
		}
	}
	if r.Waits() {
		if shut, err := e.holdOn(step, r); shut {
			if err != nil {
				e.log.Warn("put off to the next window", "rotation", r.ID, "err", err)
			}
			return r, false
		}
	} else if !r.Stage.Working() && (r.Deadline.IsZero() || e.now().Before(r.Deadline)) {
		if err := e.byItself(step, r); err != nil {
			e.log.Warn("look by itself", "rotation", r.ID, "err", err)
		}
		return r, false
	}
	ev, err := e.happen(step, r)
	if err != nil {
		e.postpone(detached, r, err)
		return r, false
	}
	p, err = e.settleOutcome(detached, r, ev)
	switch {
	case errors.Is(err, ErrConflict): // it was written although the answer was lost, or another process has gone on without this one
		e.log.Warn("the outcome is written already", "rotation", r.ID, "stage", r.Stage, "err", err)
		e.secrets.prune(p, r.ID)
		next, due := e.due(p)
		return next, due && e.mine(next.Work) && next.Turn != r.Turn
	case err != nil:
		e.log.Error("record outcome", "rotation", r.ID, "stage", r.Stage, "err", err)
		return r, false
	}
	e.secrets.prune(p, r.ID)
	return e.due(p)
}

// outcomeTries bounds how often the outcome of a step is written before it is left to the next round, which looks first.
const outcomeTries = 4

// settleOutcome commits with some patience, on time of its own: what has been done outside must not be forgotten because one write
// failed, or because the call took all the step's time.
func (e *Engine) settleOutcome(ctx context.Context, r Rotation, ev Event) (Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, outcomeTime)
	defer cancel()
	for try := 1; ; try++ {
		p, err := e.commit(ctx, r, ev)
		if err == nil || try == outcomeTries || errors.Is(err, ErrConflict) {
			return p, err
		}
		if _, illegal := errors.AsType[*MoveError](err); illegal {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, err
		case <-time.After(time.Second << try):
		}
	}
}

// happen makes the effect of a working stage, or lets the clock elapse.
func (e *Engine) happen(ctx context.Context, r Rotation) (Event, error) {
	if effect := effects[r.Stage]; effect != nil {
		ev, err := effect(ctx, e, r)
		ev.By = TheEngine
		return ev, err
	}
	ev := Event{On: Elapse, By: TheClock}
	if r.Waits() {
		ev.On = Proceed
	}
	move, ok := r.find(ev.On)
	if !ok || move.Gate == nil {
		return ev, nil
	}
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	ev.Evidence = seen
	if blocks := move.Gate.check(r, seen, e.now()); len(blocks) > 0 {
		if ev.On == Proceed {
			return r.overtaken(blocks, seen)
		}
		return blocked(blocks, seen)
	}
	return ev, nil
}

// errNotKnown postpones: a fact could not be read, and unknown is not unused.
var errNotKnown = errors.New("a fact that the next step depends on could not be read")

// blocked turns what a gate found, when no person is there to be told, into a failure that asks one, or into waiting.
func blocked(blocks []Block, seen Evidence) (Event, error) {
	for _, b := range blocks {
		if b.Foreign() {
			return Event{On: Fail, By: TheEngine, Evidence: seen, Failure: changed(b)}, nil
		}
	}
	return Event{}, errNotKnown
}

func changed(b Block) Failure {
	return Failure{Class: ClassChanged, Block: b.Code, Key: b.Key.ID, Text: "found " + string(b.Code)}
}

// failOr makes a failure of an error that waiting cannot mend, and returns any other.
func (e *Engine) failOr(err error) (Event, error) {
	switch class := ClassOf(err); class {
	case ClassDenied, ClassGone, ClassInvalid, ClassQuota, ClassRefused:
		return Event{On: Fail, By: TheEngine, Failure: Failure{Class: class, Text: err.Error()}}, nil
	}
	return Event{}, err
}

// commit writes the outcome of what r's stage did. A conflict with another writer of the document, such as one that noted a
// message, is read again; a rotation that has moved meanwhile is left alone. A process that others have taken for dead may still tell
// what it has done, but not what it has not.
//
// A crash before this write leaves the working stage with its call made: the effect looks first when it is begun again. A crash after
// it leaves the next stage, which whoever finds it goes on with; of a created key, only the id is stored then: see handOver.
func (e *Engine) commit(ctx context.Context, r Rotation, ev Event) (Progress, error) {
	ev.At = e.now()
	on := e.onWork
	if ev.On == Succeed {
		on = e.onTurn
	}
	return on(ctx, r, func(p *Progress, cur *Rotation) error { return e.step(p, cur, ev) })
}

// onWork changes the stored rotation if it is still at r's turn and no other attempt at its effect has begun.
func (e *Engine) onWork(ctx context.Context, r Rotation, fn func(*Progress, *Rotation) error) (Progress, error) {
	return e.onTurn(ctx, r, func(p *Progress, cur *Rotation) error {
		if cur.Work != r.Work {
			return fmt.Errorf("%s is worked on by another process: %w", r.ID, ErrConflict)
		}
		return fn(p, cur)
	})
}

// onTurn changes the stored rotation if it is still at r's turn.
func (e *Engine) onTurn(ctx context.Context, r Rotation, fn func(*Progress, *Rotation) error) (Progress, error) {
	return e.update(ctx, r.User.ID(), func(p *Progress) error {
		cur, ok := p.Find(r.ID)
		if !ok || cur.Turn != r.Turn {
			return fmt.Errorf("%s at turn %d: %w", r.ID, r.Turn, ErrConflict)
		}
		return fn(p, cur)
	})
}

// step applies ev to cur and adds the entry. The effect of a working stage is this process's from the beginning, unless it stops and has no
// secret to hand over.
func (e *Engine) step(p *Progress, cur *Rotation, ev Event) error {
	next, err := cur.Step(ev)
	if err != nil {
		return err
	}
	if next.Stage == Delivering || next.Stage.Working() && !e.stops.Load() {
		next.Work = e.ticket()
	}
	p.log(moveEntry(*cur, next, ev))
	p.leaves(deleted(*cur, ev), ExemptGone, ev.At)
	p.Owed = true
	*cur = next
	return nil
}

// log adds an entry to the trail.
func (p *Progress) log(en Entry) {
	en.Action, en.Detail = clip(en.Action), clipTo(en.Detail, maxReason)
	p.Trail = append(p.Trail, en)
}

func moveEntry(from, to Rotation, ev Event) Entry {
	key := to.Old
	if slices.Contains([]Stage{Creating, Delivering, Discarding, Freezing}, from.Stage) || slices.Contains([]On{Disown, Revoke, Keep}, ev.On) {
		key = to.New
		if key == "" {
			key = from.New
		}
	}
	detail := ev.Reason
	if slices.Contains([]On{Fail, Lose, Refute, Yield}, ev.On) {
		detail = string(ev.Failure.Class) + ": " + ev.Failure.Text
	}
	return Entry{
		At: ev.At, Actor: ev.By.String(), Action: string(ev.On), Outcome: "moved", User: to.User.String(), Rotation: to.ID,
		From: from.Stage, To: to.Stage, Key: key, Detail: detail,
	}
}

// update changes one document and tells the feed.
func (e *Engine) update(ctx context.Context, id string, fn func(*Progress) error) (Progress, error) {
	p, err := e.change(ctx, id, fn)
	if err == nil {
		e.feed.add(id)
	}
	return p, err
}

// change reads, changes and replaces one document until nobody else came between. The error of fn ends it. A write is whole or is not
// there; what a crash after it leaves stands with each who calls this.
func (e *Engine) change(ctx context.Context, id string, fn func(*Progress) error) (Progress, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		p, err := e.cfg.Store.Get(ctx, id)
		if err != nil {
			return Progress{}, fmt.Errorf("read progress: %w", err)
		}
		if err := fn(&p); err != nil {
			return p, err
		}
		stored, err := e.replace(ctx, p)
		if err == nil {
			return stored, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Progress{}, fmt.Errorf("write progress: %w", err)
		}
		select {
		case <-ctx.Done():
			return Progress{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// replace stores p, and files first what has become too long in it.
func (e *Engine) replace(ctx context.Context, p Progress) (Progress, error) {
	if err := e.file(ctx, &p); err != nil {
		return Progress{}, err
	}
	return e.cfg.Store.Replace(ctx, p)
}

// file moves the earlier half of a long trail out of the document. A crash before the document is written leaves entries both here and
// there, under keys that say that they are the same; they are then recorded once more, which changes nothing.
func (e *Engine) file(ctx context.Context, p *Progress) error {
	if extra := len(p.Notices) - keepNotices; extra > 0 {
		p.Notices = slices.Clone(p.Notices[extra:])
	}
	if len(p.Trail) <= keepTrail {
		return nil
	}
	const half = keepTrail / 2
	for i, en := range p.Trail[:half] {
		if err := e.cfg.Store.Record(ctx, p.entryKey(i), en); err != nil {
			return fmt.Errorf("file an entry of %s: %w", p.User, err)
		}
	}
	p.Trail, p.Filed = slices.Clone(p.Trail[half:]), p.Filed+half
	return nil
}

// entryKey is where the i-th entry of the trail is filed: by its time, then by its document and its number there.
func (p Progress) entryKey(i int) string {
	return fmt.Sprintf("%s/%s/%08d", keyTime(p.Trail[i].At), p.User.ID(), p.Filed+i)
}

// keyTime is a time as the beginning of a key: in the order of time, in UTC.
func keyTime(t time.Time) string { return t.UTC().Format("20060102T150405.000000000Z") }

// maxAttempts bounds how often an effect is tried before a person is asked; with the delays of backoff, about 20 minutes.
const maxAttempts = 8

func backoff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts, 10), 5*time.Minute)
}

// postpone notes that an attempt failed in a way that another may not, or gives up after the last one.
//
// A crash before this write leaves the effect to be begun again at once; one after it, at its time.
func (e *Engine) postpone(ctx context.Context, r Rotation, cause error) {
	ctx, cancel := context.WithTimeout(ctx, outcomeTime)
	defer cancel()
	e.log.Warn("postponed", "rotation", r.ID, "stage", r.Stage, "err", cause)
	later, waits := errors.AsType[*notBefore](cause)
	if r.Stage.Working() && !waits && r.Retry.Attempts+1 >= maxAttempts {
		failure := Failure{Class: ClassExhausted, Text: cause.Error()}
		if _, err := e.settleOutcome(ctx, r, Event{On: Fail, By: TheEngine, Failure: failure}); err != nil {
			e.log.Error("record failure", "rotation", r.ID, "stage", r.Stage, "err", err)
		}
		return
	}
	_, err := e.onWork(ctx, r, func(p *Progress, cur *Rotation) error {
		p.Owed = true
		if r.Stage != Delivering { // whose secret is in this process
			cur.Work = ""
		}
		if waits {
			cur.Retry = Retry{Attempts: r.Retry.Attempts, At: later.at, Last: cause.Error()}
			return nil
		}
		cur.Retry = Retry{Attempts: r.Retry.Attempts + 1, At: e.now().Add(backoff(r.Retry.Attempts)), Last: clip(cause.Error())}
		if _, certain := errors.AsType[*notDone](cause); certain {
			cur.Intent = nil
		}
		if r.Stage.Working() { // an effect; a look that failed is in the log, and comes again until it does not
			p.log(Entry{
				At: e.now(), Actor: "engine", Action: string(r.Stage), Outcome: "postponed", User: r.User.String(), Rotation: r.ID,
				From: r.Stage, To: r.Stage, Key: r.Old, Detail: clip(cause.Error()),
			})
		}
		return nil
	})
	if err != nil {
		e.log.Error("record attempt", "rotation", r.ID, "stage", r.Stage, "err", err)
	}
}

// notBefore postpones without counting as an attempt.
type notBefore struct {
	at  time.Time
	why string
}

func (n *notBefore) Error() string { return n.why }

// busy runs at most one advance per user at a time in this process, and at most perAccount per account, so that one account which
// hangs holds up nobody else's. Rollbacks, freezes and hand-overs wait for no limit.
type busy struct {
	mu       sync.Mutex
	running  map[string]bool
	accounts map[string]int
	wg       sync.WaitGroup
}

const perAccount = 8

// start runs fn, unless there is no place. If somebody may have wanted the place, it tells freed.
func (b *busy) start(r Rotation, fn, freed func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == nil {
		b.running, b.accounts = map[string]bool{}, map[string]int{}
	}
	id, account := r.User.ID(), r.User.Account
	urgent := r.Stage.urgent() || r.Stage == Delivering
	if b.running[id] || b.accounts[account] >= perAccount && !urgent {
		return // the round that follows the end of another comes back to it
	}
	b.running[id] = true
	b.accounts[account]++
	b.wg.Go(func() {
		defer func() {
			b.mu.Lock()
			full := b.accounts[account] >= perAccount
			delete(b.running, id)
			b.accounts[account]--
			b.mu.Unlock()
			if full {
				freed()
			}
		}()
		fn()
	})
}

func (b *busy) wait() { b.wg.Wait() }
