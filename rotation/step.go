package rotation

import (
	"slices"
	"time"
)

// Actor is who causes an event. For a person the roles are looked up at the moment of the click; being the owner or the requester
// follows from the rotation itself.
type Actor struct {
	Member   MemberID // empty for the clock and the engine
	Approver bool
	OnCall   bool // may begin a rotation for an owner
	Fellow   bool // of the group that owns the user
	System   Role // ByClock or ByEngine
}

// The actors that are no persons.
var (
	TheClock  = Actor{System: ByClock}
	TheEngine = Actor{System: ByEngine}
)

func (a Actor) String() string {
	switch a.System {
	case ByClock:
		return "clock"
	case ByEngine:
		return "engine"
	}
	return string(a.Member)
}

// Event is what happened: which, by whom, when, and what it brought along.
type Event struct {
	On       On
	By       Actor
	At       time.Time
	Evidence Evidence // as read for the gate, or before the effect
	Reason   string   // typed by a person
	Key      KeyID    // created
	Modal    string   // the window that the owner has opened, for Collect
	Delivery Delivery // of the key that is asked for, for Replenish
	Settled  bool     // it is known that no key was made, so that an open intent is closed
	Failure  Failure
	Held     time.Time // of an approval: when the window opens; zero: it is open
}

// Step applies an event: value in, value out, no outside call. It refuses with *Refusal what this person may not do or what a gate
// holds back, and with *MoveError what the table does not have.
//
// One struct carries all that an event brings, instead of the four parameters of the first sketch: an event then is a value that
// can be tested, logged and recorded as it is.
func (r Rotation) Step(ev Event) (Rotation, error) {
	if ev.On == Approve {
		r.Held = ev.Held
	}
	move, ok := r.find(ev.On)
	if !ok {
		return r, r.noMove(ev.On)
	}
	if err := r.allow(move, ev.By); err != nil {
		return r, err
	}
	if ev.On == Reissue && r.Issued >= maxIssued {
		return r, &Refusal{Code: Reissued, User: r.User, Rotation: &r}
	}
	if move.Gate != nil {
		if blocks := move.Gate.check(r, ev.Evidence, ev.At); len(blocks) > 0 {
			return r, &Refusal{Code: Blocked, User: r.User, Rotation: &r, Blocks: blocks}
		}
	}
	if ev.On == Approve && move.To == r.Stage {
		return r.countIn(ev), nil
	}
	return r.apply(move, ev), nil
}

// maxIssued bounds how many keys one rotation creates: the first and two re-issues.
const maxIssued = 3

func (r Rotation) noMove(on On) error {
	if r.Ended() {
		return &Refusal{Code: HasEnded, User: r.User, Rotation: &r}
	}
	if on == Succeed || on == Fail || on == Lose || on == Elapse || on == Proceed || on == Yield || on == Refute || on == Renew || on == Offer {
		return &MoveError{From: r.Stage, On: on}
	}
	return &Refusal{Code: NotNow, User: r.User, Rotation: &r}
}

// allow is the one rule of who may make a move. An approver is never the requester nor the owner: two people stand behind every
// change.
func (r Rotation) allow(m Move, by Actor) error {
	if m.By&by.System != 0 {
		return nil
	}
	owner, requester := by.Member == r.Owner || by.Fellow && r.Group != "" && (m.On != Collect || !r.letCreate(by.Member)), by.Member == r.Requester
	if by.Member != "" && m.By&ByOwner != 0 && (owner || by.Approver && m.By&ByApprover != 0) {
		return nil // the owner's own moves, and rollbacks, which any approver may make
	}
	if by.Member != "" && m.By&ByResponder != 0 && (by.Approver || by.OnCall) {
		return nil
	}
	refusal := &Refusal{Code: NotOwner, User: r.User, Rotation: &r, By: r.Owner}
	if m.By&(ByApprover|ByResponder) == 0 {
		return refusal
	}
	switch {
	case m.By&ByApprover == 0:
		refusal.Code, refusal.By = NotResponder, ""
	case !by.Approver || by.Member == "":
		refusal.Code, refusal.By = NotApprover, ""
	case requester:
		refusal.Code, refusal.By = OwnRequest, r.Requester
	case owner:
		refusal.Code = OwnKey
	case m.On == Approve && r.hasOverruled(by.Member):
		refusal.Code, refusal.By = OwnOverrule, by.Member
	case m.On == Approve && r.hasApproved(by.Member):
		refusal.Code, refusal.By = Approved, by.Member
	default:
		return nil
	}
	return refusal
}

// letCreate tells whether m has approved of the new key: who did so does not collect it, whatever group they have joined since.
func (r Rotation) letCreate(m MemberID) bool {
	ask, _ := r.Approved(Requested)
	return slices.ContainsFunc(ask.Decisions, func(d Decision) bool { return d.By == m })
}

func (r Rotation) hasApproved(m MemberID) bool {
	ask, _ := r.CurrentAsk()
	return ask.approvedBy(m)
}

// countIn keeps an approval that does not complete what is wanted, or that comes outside of the window. The turn stays, so that the buttons do, and the next approver may have
// clicked at the same moment.
func (r Rotation) countIn(ev Event) Rotation {
	r.Asks = slices.Clone(r.Asks)
	r.Asks[len(r.Asks)-1].decide(ev, r.Old)
	if r.Held = ev.Held; !complete(r) {
		r.Held = time.Time{}
	} else {
		r.Deadline = time.Time{} // what is approved does not lapse
	}
	return r
}

// decide adds what a person decided to an ask.
func (a *Ask) decide(ev Event, old KeyID) {
	a.Decisions = append(slices.Clone(a.Decisions), Decision{
		By: ev.By.Member, At: ev.At, Reason: clipTo(ev.Reason, maxReason),
		Approve:  slices.Contains([]On{Approve, TryAgain, Revoke, Keep}, ev.On),
		Evidence: a.Evidence.Digest(old),
	})
}

// apply makes the move and keeps the books that go with it.
func (r Rotation) apply(m Move, ev Event) Rotation {
	r.Asks = slices.Clone(r.Asks)
	r.Held = time.Time{}
	r.closeAsk(ev)
	r.absorb(m, ev)
	r.Stage = m.To
	r.Turn++
	r.Since = ev.At
	r.Retry, r.Work = Retry{}, ""
	if m.To != Creating && m.To != Delivering {
		r.Modal = ""
	}
	if m.To != Stuck && m.To != Creating || m.From == Discarding || ev.Settled {
		r.Intent = nil // one that is open outlives a stop: what the lost answer brought is still to be found out
	}
	r.Deadline = r.deadline()
	r.Proof = Proof{Opened: r.Proof.Opened}
	if m.To == Switching {
		r.Proof.Again = ev.At.Add(firstLook)
	}
	if m.To.asks() {
		ask := r.timed(r.newAsk(ev.Evidence), ev.On)
		ask.Overruled = r.overruling(ev)
		r.Asks = append(r.Asks, ask)
		r.forgetAsks(keepAsks)
		r.forgetReminders(2)
	}
	return r
}

// newAsk is the question of the stage that has just been entered.
func (r Rotation) newAsk(e Evidence) Ask {
	return Ask{Stage: r.Stage, Turn: r.Turn, At: r.Since, Evidence: e, Wanted: r.Terms.Wanted.At(r.Stage), Stuck: r.failureIfStuck()}
}

// forgetAsks keeps the asks bounded: the first goes that has a later one of its stage and, if it was approved, a later approval. Of
// each stage two are left at least, if there were as many.
func (r *Rotation) forgetAsks(most int) {
	for len(r.Asks) > most {
		i := slices.IndexFunc(r.Asks, func(a Ask) bool {
			return slices.ContainsFunc(r.Asks, func(b Ask) bool {
				return b.Turn > a.Turn && b.Stage == a.Stage && (a.Closed != string(Approve) || b.Closed == a.Closed)
			})
		})
		if i < 0 {
			return
		}
		r.Asks = slices.Delete(slices.Clone(r.Asks), i, i+1)
	}
}

func (r *Rotation) closeAsk(ev Event) {
	n := len(r.Asks)
	if n == 0 || !r.Asks[n-1].Open() {
		return
	}
	ask := r.Asks[n-1]
	ask.Closed = string(ev.On)
	if ev.On == Proceed {
		ask.Closed = string(Approve) // by the last of those who did
	}
	ask.forgetWhom()
	ask.Stuck.Text = "" // which the entry has, and the card does not tell
	if ev.On == Elapse {
		ask.Lapsed = ev.At
	}
	if ev.By.Member != "" {
		ask.decide(ev, r.Old)
	}
	r.Asks[n-1] = ask
}

// absorb takes over what the event brought.
func (r *Rotation) absorb(m Move, ev Event) {
	switch {
	case ev.On == Collect:
		r.Modal, r.Collects = ev.Modal, ""
		if ev.By.Fellow {
			r.Collects = ev.By.Member
		}
	case ev.On == Replenish:
		r.replenish(ev)
	case m.From == Creating && ev.On == Succeed:
		r.New, r.Issued = ev.Key, r.Issued+1
	case m.From == Delivering && ev.On == Succeed:
		r.Handover.Until = ev.At.Add(r.Terms.Visible)
	case ev.On == Lose:
		if m.From == Creating {
			r.New, r.Issued = ev.Key, r.Issued+1
		}
		r.Handover.Until = ev.At // it may show the secret, for all that is known
		r.Then, r.Lost = r.afterLoss(ev.Failure)
	case ev.On == Disown:
		r.Disowned, r.Handover.Until = ev.At, ev.At
	case m.From == Freezing && ev.On == Succeed:
		r.Failure = Failure{At: Freezing, Class: ClassDisowned, Key: r.New}
	case ev.On == Revoke && r.disowned():
		r.Then, r.Failure = r.afterDisowned(), Failure{}
	case ev.On == Revoke:
		r.New, r.Issued, r.Then = r.Failure.Key, r.Issued+1, Creating
		r.Lost, r.Failure = Failure{At: Creating, Class: ClassSuspect, Key: r.Failure.Key}, Failure{}
	case ev.On == Keep:
		r.New, r.Failure = r.Failure.Key, Failure{}
		r.adopt()
	case ev.On == Reissue:
		r.Then, r.Handover.Until = Creating, ev.At
	case ev.On == Abandon:
		r.Then, r.Handover.Until = Cancelled, ev.At
	case m.From == Discarding && m.To == Stuck && ev.On == Succeed:
		r.New, r.Failure = "", r.Lost
	case m.From == Discarding && ev.On == Succeed:
		r.New = ""
	case ev.On == Fail || ev.On == Refute || ev.On == Yield:
		at := m.From
		if at == Stuck { // it stands where it got stuck
			at = r.Failure.At
		}
		r.Failure = ev.Failure
		r.Failure.At, r.Failure.Text = at, clip(ev.Failure.Text)
		if m.From == Creating {
			r.Handover.Until = ev.At // nothing will be shown in it
		}
		if m.From == Discarding && r.Failure.Key == "" {
			r.Failure.Key = r.New
		}
		if m.From == Discarding && ev.On == Refute && r.Lost.Class == ClassSuspect {
			r.adopt() // whoever uses it has made it: nobody was given its secret here
		}
	case m.To == Stuck: // the clock
		r.Failure = Failure{At: m.From, Class: ClassOverdue}
	case m.From == Stuck && m.To != Closed:
		r.Failure = Failure{}
	}
	if m.To == Grace && (m.From == Deactivating || m.From == Stuck && ev.On == TryAgain) {
		old, _ := ev.Evidence.Key(r.Old)
		r.Idle, r.CutOff = old.LastUse, time.Time{}
		if _, overruled := r.overruled(); overruled || r.Kind == Leak {
			r.CutOff = r.Since
		}
	}
}

// adopt goes on with a key that was not made here. After a leak there is nothing to move to it.
func (r *Rotation) adopt() {
	if r.Kind != Leak {
		r.Kind = Adopt
	}
}

// afterLoss decides what follows the revocation of a key whose secret reached nobody: another try, unless Slack refuses the owner or AWS
// the secret, or the bound is reached.
func (r *Rotation) afterLoss(f Failure) (Stage, Failure) {
	f.At, f.Key, f.Text = Creating, r.New, clip(f.Text)
	inVain := f.Class == ClassRefused || r.Delivery.InAWS() && (f.Class == ClassDenied || f.Class == ClassInvalid || f.Class == ClassQuota)
	if !inVain && r.Issued < maxIssued {
		return Creating, f
	}
	return Stuck, f
}

// switchTime is how long the owner may take to move the applications before an approver is asked whether that goes on.
const switchTime = 30 * 24 * time.Hour

func (r *Rotation) deadline() time.Time {
	switch r.Stage {
	case Requested, Confirmed, Offered:
		return r.Since.Add(r.Terms.Expires)
	case Grace:
		return r.Since.Add(r.Terms.Grace)
	case Switching:
		return r.Since.Add(switchTime)
	}
	return time.Time{}
}

func (r *Rotation) failureIfStuck() Failure {
	if r.Stage == Stuck {
		return r.Failure
	}
	return Failure{}
}
