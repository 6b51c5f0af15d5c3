package bot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// Slack waits three seconds for an acknowledgement. What becomes of an envelope is told before.
const (
	acceptTime = 1500 * time.Millisecond // bounds recording an envelope
	answerBy   = 2200 * time.Millisecond // after it was read: no longer is waited for its being recorded
	patience   = 2 * time.Second         // after it was read: no longer is waited for the outcome of a submitted form
	gap        = time.Second             // keeps a late outcome from overtaking the acknowledgement, which travels another way
)

// Both together are less than takeOver: who works on an envelope is not overtaken.
const (
	workTime  = 2 * time.Minute  // bounds what one envelope may take
	notedTime = 30 * time.Second // bounds noting that it is worked
)

const (
	maxRead      = 256 // frames that wait to be looked at; beyond that the reader waits, and Slack with it
	maxAccepting = 64  // envelopes that are recorded at once
)

// inbox is what this process knows of envelopes beside what is stored.
type inbox struct {
	writes chan struct{} // held by every Accept under way

	mu      sync.Mutex
	working map[string]int       // how many goroutines here are at an envelope
	closed  map[string]time.Time // since when an envelope must not be worked any more: it was, or somebody was told that it is not recorded
	others  map[string]watched   // what other processes hold
	odd     map[string]bool      // cannot be read, and is logged
	since   map[string]time.Time // when it was first tried here to answer those whose answer Slack has not taken yet
	failure error                // of the last write; nil: it succeeded
	failing time.Time            // since the first failure in a row
}

func newInbox() *inbox {
	return &inbox{
		writes: make(chan struct{}, maxAccepting), working: map[string]int{}, closed: map[string]time.Time{},
		others: map[string]watched{}, odd: map[string]bool{}, since: map[string]time.Time{},
	}
}

// take hands a frame over to sort. It waits while too many wait already.
func (b *Bot) take(d delivery) { b.frames <- d }

// sort has every frame looked at, some at a time, until there are no more.
func (b *Bot) sort(ctx context.Context) {
	slots := make(chan struct{}, maxAccepting)
	for d := range b.frames {
		slots <- struct{}{}
		d.recorded = sync.OnceFunc(func() { <-slots })
		b.work.Go(func() {
			defer d.settled()
			defer d.recorded()
			defer b.rescue("an envelope", nil)
			b.receive(ctx, d)
		})
	}
}

// rescue keeps a panic from ending the process.
func (b *Bot) rescue(at string, then func(error)) {
	if p := recover(); p != nil {
		b.log.Error("panic", "at", at, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if then != nil {
			then(fmt.Errorf("panic: %v", p))
		}
	}
}

// receive looks at one envelope: what asks for something is recorded, acknowledged and worked, in this order. A crash before it is
// recorded leaves Slack without an acknowledgement, and whoever sent it sees that; after that, it is taken over.
func (b *Bot) receive(ctx context.Context, d delivery) {
	l, err := readLetter(d.frame, b.view.accounts.all())
	if err == nil {
		err = b.foreign(l, d.app)
	}
	var body []byte
	if err == nil {
		body, err = l.encode()
	}
	switch {
	case err != nil:
		b.turnBack(ctx, d, err)
	case l.Kind == "" || l.Kind == kindEvent && b.events[l.Event] == nil:
		b.counts.add("envelope_ignored")
		b.ack(d, nil)
	case len(b.problems(l)) > 0:
		b.counts.add("envelope_ignored")
		b.ack(d, slack.NewErrorsViewSubmissionResponse(b.problems(l)))
	case l.Kind == kindChoice:
		b.counts.add("envelope_ignored")
		b.ack(d, nil)
		d.recorded()
		d.settled()
		b.chosen(ctx, l)
	default:
		b.admit(ctx, d, l, body)
	}
}

// foreign refuses what is not for this app, or not from its own workspace.
func (b *Bot) foreign(l letter, app string) error {
	b.cfg.People.mu.Lock()
	team := b.cfg.People.team
	b.cfg.People.mu.Unlock()
	if l.Team != "" && team != "" && l.Team != team || l.App != "" && app != "" && l.App != app {
		return unreadable("it is of another workspace, or for another app")
	}
	return nil
}

// ack acknowledges an envelope, and tells whether Slack can know.
func (b *Bot) ack(d delivery, payload any) bool {
	err := d.from.ack(d.ID, payload)
	if err != nil {
		b.counts.add("ack_failed")
		b.log.Error("acknowledge", "envelope", d.ID, "err", err)
	}
	return err == nil
}

// admit records an envelope and has it worked.
func (b *Bot) admit(ctx context.Context, d delivery, l letter, body []byte) {
	b.inbox.begin(l.ID)
	defer b.inbox.end(l.ID)
	v := rotation.Envelope{ID: l.ID, At: b.now(), Holder: b.cfg.Engine.Holder(), Body: body}
	kept, err := b.accept(ctx, d.at, v)
	d.recorded()
	switch {
	case errors.Is(err, rotation.ErrConflict): // whoever recorded the first copy works on it
		b.counts.add("envelope_again")
		b.ack(d, nil)
	case err != nil:
		b.counts.add("envelope_unrecorded")
		b.log.Error("record an envelope", "envelope", d.ID, "kind", string(l.Kind), "err", err)
		b.unrecorded(ctx, d, l)
	default:
		b.counts.add("envelope_accepted")
		if b.perform(ctx, d, l, kept) {
			b.settle(ctx, kept)
		}
	}
}

// answerAgain is how long a process tries to give an answer: each time adds an entry of what is refused.
const answerAgain = 5 * time.Minute

// over tells whether an envelope that was worked may be settled. One whose answer Slack could not take is worked again, which does nothing
// twice and answers once more, for as long as anybody may wait for it.
func (b *Bot) over(who caller) bool {
	return !*who.unanswered || b.now().Sub(b.inbox.triedSince(who.once, b.now())) >= answerAgain
}

func (i *inbox) triedSince(id string, now time.Time) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.since[id].IsZero() {
		i.since[id] = now
	}
	return i.since[id]
}

// accept records an envelope, and waits no longer than an acknowledgement can. When it gives up, the envelope may be recorded all the
// same, now or later.
func (b *Bot) accept(ctx context.Context, read time.Time, v rotation.Envelope) (rotation.Envelope, error) {
	ctx, cancel := context.WithTimeout(ctx, min(acceptTime, time.Until(read.Add(answerBy))))
	defer cancel()
	select {
	case b.inbox.writes <- struct{}{}:
	case <-ctx.Done(): // a store that hangs holds all of them
		return v, b.inbox.wrote(ctx.Err())
	}
	type answer struct {
		kept rotation.Envelope
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() { <-b.inbox.writes }()
		defer b.rescue("recording an envelope", func(err error) { answers <- answer{v, err} })
		kept, err := b.cfg.Engine.Accept(ctx, v)
		answers <- answer{kept, err}
	}()
	select {
	case a := <-answers:
		return a.kept, b.inbox.wrote(a.err)
	case <-ctx.Done():
	}
	select {
	case a := <-answers: // just in time
		return a.kept, b.inbox.wrote(a.err)
	default:
		return v, b.inbox.wrote(ctx.Err())
	}
}

// perform acknowledges an envelope and does what it asks for. It tells whether that is over.
func (b *Bot) perform(ctx context.Context, d delivery, l letter, v rotation.Envelope) bool {
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	who := callerOf(l, v.At)
	if l.Kind == kindSubmission {
		b.submit(ctx, d, who, l)
		return b.over(who)
	}
	b.ack(d, nil)
	d.settled()
	b.carryOut(ctx, who, l)
	return b.over(who)
}

// carryOut does what a letter asks for and answers it.
func (b *Bot) carryOut(ctx context.Context, who caller, l letter) {
	defer b.rescue(string(l.Kind), func(err error) { b.refuse(ctx, who, err) })
	switch l.Kind {
	case kindCommand:
		b.command(ctx, who, l)
	case kindClick:
		b.clicks(ctx, who, l)
	case kindSubmission:
		b.fill(ctx, l.View, b.outcome(ctx, who, l).view)
	case kindEvent:
		if happen := b.events[l.Event]; happen != nil {
			happen(ctx, who, l)
		}
	}
}

// submit acknowledges a form with the view that says what came of it, or, if that takes long, with one that says so and is filled in
// later.
func (b *Bot) submit(ctx context.Context, d delivery, who caller, l letter) {
	outcome := make(chan formAnswer, 1)
	b.work.Go(func() { outcome <- b.outcome(ctx, who, l) })
	timer := time.NewTimer(time.Until(d.at.Add(patience)))
	defer timer.Stop()
	select {
	case a := <-outcome:
		if !b.ack(d, a.response()) {
			b.fill(ctx, l.View, a.view)
		}
	case <-timer.C:
		title, _ := l.title()
		busy := workingModal(title)
		b.ack(d, slack.NewUpdateViewSubmissionResponse(&busy))
		d.settled()
		a := <-outcome
		<-time.After(gap)
		b.fill(ctx, l.View, a.view)
	}
}

// settle notes that an envelope is worked. Until it is noted, it would be taken over if this process ended.
func (b *Bot) settle(ctx context.Context, v rotation.Envelope) {
	b.inbox.close(v.ID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), notedTime)
	defer cancel()
	v.Done, v.Body = true, nil
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		_, err := b.cfg.Engine.Settle(ctx, v)
		if err = b.inbox.wrote(err); err == nil || errors.Is(err, rotation.ErrConflict) { // a conflict: an earlier try, or somebody else, did
			b.inbox.forget(v.ID)
			return
		}
		select {
		case <-ctx.Done():
			b.log.Error("note that an envelope is worked", "envelope", v.ID, "err", err)
			return
		case <-time.After(wait):
		}
	}
}

// begin and end say that a goroutine here is at an envelope. The same one may come several times at once.
func (i *inbox) begin(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.working[id]++
}

func (i *inbox) end(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.working[id]--; i.working[id] == 0 {
		delete(i.working, id)
	}
}

func (i *inbox) close(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed[id] = time.Now()
}

func (i *inbox) forget(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.closed, id)
}

// prune forgets the closed envelopes that never turned up: the store has not taken them.
func (i *inbox) prune() {
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.DeleteFunc(i.closed, func(_ string, at time.Time) bool { return time.Since(at) > 24*time.Hour })
}

// wrote remembers how a write ended, and returns its error. A conflict is an answer like any other.
func (i *inbox) wrote(err error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case err == nil || errors.Is(err, rotation.ErrConflict):
		i.failure = nil
	case i.failure == nil:
		i.failure, i.failing = err, time.Now()
	default:
		i.failure = err
	}
	return err
}

// writable is nil if the last write succeeded.
func (i *inbox) writable() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failure == nil {
		return nil
	}
	return fmt.Errorf("what people do cannot be recorded since %s: %w", i.failing.UTC().Format(time.RFC3339), i.failure)
}
