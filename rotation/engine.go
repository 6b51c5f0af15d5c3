package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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
	Approvers  []MemberID
	Exemptions map[UserRef]Exemption // may be nil
	Now        func() time.Time      // nil: time.Now
	Logger     *slog.Logger          // nil: discard
}

// Account is one AWS account.
type Account struct {
	ID   string // twelve digits
	Name string
	IAM  IAM
}

// Engine is the shell round the pure lifecycle: it reads facts, writes intents and outcomes, and makes the calls. Nothing else in
// Keyturner changes AWS.
type Engine struct {
	cfg      Config
	now      func() time.Time
	log      *slog.Logger
	accounts map[string]Account
	wake     chan struct{}
	feed     feed
	secrets  secrets
	people   directory
	busy     busy
}

// New checks the configuration. It makes no call and starts nothing.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Hand == nil {
		return nil, errors.New("make engine: a store and a hand are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		cfg: cfg, now: cfg.Now, log: cfg.Logger,
		accounts: map[string]Account{}, wake: make(chan struct{}, 1),
	}
	for _, a := range cfg.Accounts {
		e.accounts[a.ID] = a
	}
	e.feed.signal = make(chan struct{}, 1)
	return e, nil
}

// tick is how long Run waits when nothing wakes it.
const tick = 15 * time.Second

// Run does what is due until ctx ends: it resumes working stages left by a crash, makes effects, and lets the clock elapse. It
// returns after the effects under way have ended.
func (e *Engine) Run(ctx context.Context) error {
	defer e.busy.wait()
	for {
		if err := e.round(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("look for due rotations", "err", err)
		}
		timer := time.NewTimer(tick)
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

func (e *Engine) round(ctx context.Context) error {
	return e.cfg.Store.Scan(ctx, func(p Progress) error {
		if r, ok := p.due(e.now()); ok {
			e.busy.start(r, func() { e.advance(ctx, r) }, e.Wake)
		}
		if p.handoverDue(e.now()) {
			e.feed.add(p.User.ID())
		}
		return nil
	})
}

// due tells whether the engine has something to do for the current rotation.
func (p Progress) due(now time.Time) (Rotation, bool) {
	r, ok := p.Running()
	if !ok || now.Before(r.Retry.At) {
		return Rotation{}, false
	}
	elapsed := !r.Deadline.IsZero() && !now.Before(r.Deadline)
	return *r, r.Stage.Working() || elapsed
}

func (p Progress) handoverDue(now time.Time) bool {
	return slices.ContainsFunc(p.All(), func(r Rotation) bool {
		return slices.ContainsFunc(r.Handovers(), func(h Handover) bool { return h.Due(now) })
	})
}

// stepTime bounds one step: its look-ups, its call and its writes.
const stepTime = 2 * time.Minute

// advance takes one rotation as far as it goes without waiting. A step under way is finished when ctx ends, and so is the hand-over of
// a secret that this process alone knows.
func (e *Engine) advance(ctx context.Context, r Rotation) {
	for ctx.Err() == nil || r.Stage == Delivering {
		next, more := e.advanceOnce(ctx, r)
		if !more {
			break
		}
		r = next
	}
}

func (e *Engine) advanceOnce(ctx context.Context, scanned Rotation) (Rotation, bool) {
	detached := context.WithoutCancel(ctx)
	step, cancel := context.WithTimeout(detached, stepTime)
	defer cancel()
	p, err := e.Get(step, scanned.User.ID())
	if err != nil {
		e.log.Error("read progress", "rotation", scanned.ID, "err", err)
		return scanned, false
	}
	r, due := p.due(e.now())
	if !due || r.ID != scanned.ID {
		return r, false // somebody else has been here since the scan
	}
	ev, err := e.happen(step, r)
	if err != nil {
		e.postpone(detached, r, err)
		return r, false
	}
	p, err = e.settleOutcome(detached, r, ev)
	if err != nil {
		e.log.Error("record outcome", "rotation", r.ID, "stage", r.Stage, "err", err)
		return r, false
	}
	if r.Stage == Delivering {
		e.secrets.drop(r.ID)
	}
	return p.due(e.now())
}

// outcomeTries bounds how often the outcome of a step is written before it is left to the next round, which looks first.
const outcomeTries = 4

// settleOutcome commits with some patience, on time of its own: what has been done outside must not be forgotten because one write
// failed, or because the call took all the step's time.
func (e *Engine) settleOutcome(ctx context.Context, r Rotation, ev Event) (Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
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
	move, ok := r.find(Elapse)
	if !ok || move.Gate == nil {
		return ev, nil
	}
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	ev.Evidence = seen
	if blocks := move.Gate.check(r, seen, e.now()); len(blocks) > 0 {
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
// message, is read again; a rotation that has moved meanwhile is left alone.
//
// A crash before this write leaves the working stage with its call made: the effect looks first when it is begun again.
func (e *Engine) commit(ctx context.Context, r Rotation, ev Event) (Progress, error) {
	ev.At = e.now()
	return e.onTurn(ctx, r, func(p *Progress, cur *Rotation) error { return p.step(cur, ev) })
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

// step applies ev to cur and adds the entry.
func (p *Progress) step(cur *Rotation, ev Event) error {
	next, err := cur.Step(ev)
	if err != nil {
		return err
	}
	p.Trail = append(p.Trail, moveEntry(*cur, next, ev))
	*cur = next
	return nil
}

func moveEntry(from, to Rotation, ev Event) Entry {
	key := to.Old
	if from.Stage == Creating || from.Stage == Delivering || from.Stage == Discarding {
		key = to.New
		if key == "" {
			key = from.New
		}
	}
	detail := ev.Reason
	if ev.On == Fail || ev.On == Lose || ev.On == Refute {
		detail = string(ev.Failure.Class) + ": " + ev.Failure.Text
	}
	return Entry{
		At: ev.At, Actor: ev.By.String(), Action: string(ev.On), Outcome: "moved", User: to.User.String(), Rotation: to.ID,
		From: from.Stage, To: to.Stage, Key: key, Detail: detail,
	}
}

// update reads, changes and replaces one document until nobody else came between, and tells the feed. The error of fn ends it.
func (e *Engine) update(ctx context.Context, id string, fn func(*Progress) error) (Progress, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		p, err := e.cfg.Store.Get(ctx, id)
		if err != nil {
			return Progress{}, fmt.Errorf("read progress: %w", err)
		}
		if err := fn(&p); err != nil {
			return p, err
		}
		stored, err := e.cfg.Store.Replace(ctx, p)
		if err == nil {
			e.feed.add(id)
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

// maxAttempts bounds how often an effect is tried before a person is asked; with the delays of backoff, about 20 minutes.
const maxAttempts = 8

func backoff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts, 10), 5*time.Minute)
}

// postpone notes that an attempt failed in a way that another may not, or gives up after the last one.
func (e *Engine) postpone(ctx context.Context, r Rotation, cause error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
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
	_, err := e.onTurn(ctx, r, func(p *Progress, cur *Rotation) error {
		if waits {
			cur.Retry = Retry{Attempts: r.Retry.Attempts, At: later.at, Last: cause.Error()}
			return nil
		}
		cur.Retry = Retry{Attempts: r.Retry.Attempts + 1, At: e.now().Add(backoff(r.Retry.Attempts)), Last: clip(cause.Error())}
		if _, certain := errors.AsType[*notDone](cause); certain {
			cur.Intent = nil
		}
		if r.Stage.Working() { // an effect; a look that failed is in the log, and comes again until it does not
			p.Trail = append(p.Trail, Entry{
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
// hangs holds up nobody else's. Rollbacks and hand-overs wait for no limit.
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
	urgent := r.Stage == Reactivating || r.Stage == Delivering
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
