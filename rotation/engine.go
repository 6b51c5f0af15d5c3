package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// Config is what an Engine works with. Every field is required unless it says what its zero value means.
type Config struct {
	Store      Store
	Accounts   []Account
	Members    func(context.Context) ([]Account, error) // reads which accounts there are by now, for each scan; nil: they stay as they are
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
	cfg     Config
	id      string // names this process where it works on something
	tickets atomic.Uint64
	stops   atomic.Bool // Run has been told to end
	now     func() time.Time
	log     *slog.Logger
	roster  roster

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
		cfg: cfg, id: rand.Text(), now: cfg.Now, log: cfg.Logger, wake: make(chan struct{}, 1),
	}
	e.roster.called = make(chan struct{}, 1)
	e.roster.set(cfg.Accounts)
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
	defer e.followRoll(ctx)()
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
	read   time.Time // when it was read
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
		now := e.now()
		if p.handoverDue(now) || p.Owed && p.Rev != g.rev || p.opened(g.read, now) {
			e.feed.add(id)
		}
		if tends := p.tends(); !tends.IsZero() && !e.now().Before(tends) {
			e.tend(ctx, id)
		}
		r, due := e.due(p)
		g = g.renewed(p, due)
		g.read, g.next = now, p.opens(now, g.next)
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
