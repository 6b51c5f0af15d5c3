package rotation

import (
	"slices"
	"strings"
)

// Stage is where a rotation stands. Stages rest, waiting for a person or the clock, or they work, with exactly one effect.
type Stage string

// The stages. The words are stored and logged: they do not change.
const (
	Requested Stage = "requested"
	Leaked    Stage = "leaked"    // a key is reported as leaked; one person's word deactivates it
	Switching Stage = "switching" // both keys work; the owner moves the applications
	Confirmed Stage = "confirmed" // the owner says they have moved
	Grace     Stage = "grace"     // the old key is inactive and can be made active again
	Expiring  Stage = "expiring"  // the grace is over
	Stuck     Stage = "stuck"     // a person must say how it goes on
	Offered   Stage = "offered"   // the new key is approved, and made when its owner asks to see it

	Creating     Stage = "creating"
	Delivering   Stage = "delivering"
	Discarding   Stage = "discarding"
	Freezing     Stage = "freezing" // the owner did not ask for the new key: it is made inactive
	Deactivating Stage = "deactivating"
	Reactivating Stage = "reactivating"
	Deleting     Stage = "deleting"

	Done      Stage = "done"
	Denied    Stage = "denied"
	Cancelled Stage = "cancelled"
	Lapsed    Stage = "lapsed"
	Closed    Stage = "closed"
)

// On is what can happen to a rotation.
type On string

// The events. Those of people first, then the clock's, then the engine's.
const (
	Approve    On = "approve"
	Deny       On = "deny"
	Cancel     On = "cancel"
	Confirm    On = "confirm"
	Reissue    On = "reissue"
	Abandon    On = "abandon"
	Overrule   On = "overrule" // an approver answers for the evidence that is missing
	Disown     On = "disown"   // "Not me": the owner did not ask for the new key
	Reactivate On = "reactivate"
	Replenish  On = "replenish" // the owner of a leaked key asks for a new one
	TryAgain   On = "try-again"
	Revoke     On = "revoke" // a suspect, whose secret nobody knows, or a key that its owner disowns
	Keep       On = "keep"   // a suspect: somebody here made it, and the rotation goes on with it
	Close      On = "close"
	Collect    On = "collect" // make the new key, and show it

	Elapse  On = "elapse"
	Proceed On = "proceed" // the window opens for what is approved

	Succeed On = "succeed"
	Fail    On = "fail"
	Yield   On = "yield"  // to a leak of one of the user's keys
	Lose    On = "lose"   // a secret was lost on its way to its owner
	Refute  On = "refute" // the evidence no longer holds
	Renew   On = "renew"  // the evidence changed but holds: ask again on the new one
	Offer   On = "offer"  // there is no window in which the new key could be shown
)

// Role says who may cause an event. Roles combine.
type Role uint8

// The roles.
const (
	ByOwner    Role = 1 << iota
	ByApprover      // never the requester nor the owner
	ByClock
	ByEngine
	ByResponder // an approver or on-call, whoever they are: a leak needs one person's word
)

// Move is one legal row: in stage From, On caused by By leads to To, if If holds and Gate opens.
type Move struct {
	From Stage
	On   On
	By   Role
	To   Stage
	If   *condition
	Gate *gate
}

// lifecycle is the whole life of a rotation. Anything that is not here is illegal. The buttons that are offered, the stepper, the
// diagram in the README and the exhaustive test derive from it.
var lifecycle = []Move{
	{Requested, Approve, ByApprover, Requested, notEnough, slotFree},
	{Requested, Approve, ByApprover, Creating, enough, slotFree},
	{Requested, Proceed, ByClock, Creating, approved, slotFree},
	{Requested, Deny, ByApprover, Denied, notExposed, nil},
	{Requested, Deny, ByApprover, Grace, exposed, nil},
	{Requested, Cancel, ByOwner, Cancelled, notExposed, nil},
	{Requested, Cancel, ByOwner, Grace, exposed, nil},
	{Requested, Elapse, ByClock, Lapsed, notExposed, nil},
	{Requested, Elapse, ByClock, Grace, exposed, nil},

	{Leaked, Approve, ByResponder, Deactivating, nil, stillActive},
	{Leaked, Deny, ByResponder, Denied, nil, nil},

	{Creating, Succeed, ByEngine, Delivering, nil, nil},
	{Creating, Lose, ByEngine, Discarding, nil, nil},
	{Creating, Offer, ByEngine, Offered, revealed, nil},
	{Offered, Collect, ByOwner, Creating, nil, slotFree},
	{Offered, Cancel, ByOwner, Cancelled, notExposed, nil},
	{Offered, Cancel, ByOwner, Grace, exposed, nil},
	{Offered, Elapse, ByClock, Lapsed, notExposed, nil},
	{Offered, Elapse, ByClock, Grace, exposed, nil},
	{Delivering, Succeed, ByEngine, Switching, notExposed, nil},
	{Delivering, Succeed, ByEngine, Grace, exposed, nil},
	{Delivering, Lose, ByEngine, Discarding, nil, nil},

	{Switching, Confirm, ByOwner, Confirmed, nil, moved},
	{Switching, Overrule, ByApprover, Confirmed, nil, sound},
	{Switching, Reissue, ByOwner, Discarding, madeHere, newUnused},
	{Switching, Abandon, ByOwner, Discarding, madeHere, newUnused},
	{Switching, Disown, ByOwner, Freezing, madeHere, nil},
	{Switching, Cancel, ByOwner, Cancelled, adopted, nil},
	{Switching, Elapse, ByClock, Stuck, nil, nil},
	{Switching, Close, ByApprover, Closed, nil, nil},

	{Confirmed, Approve, ByApprover, Confirmed, notEnough, movedAsShown},
	{Confirmed, Approve, ByApprover, Deactivating, enough, movedAsShown},
	{Confirmed, Proceed, ByClock, Deactivating, approved, movedAsShown},
	{Confirmed, Deny, ByApprover, Switching, succeeded, nil},
	{Confirmed, Deny, ByApprover, Denied, retired, nil},
	{Confirmed, Disown, ByOwner, Freezing, madeHere, nil},
	{Confirmed, Cancel, ByOwner, Switching, succeeded, nil},
	{Confirmed, Cancel, ByOwner, Cancelled, retired, nil},
	{Confirmed, Elapse, ByClock, Switching, succeeded, nil},
	{Confirmed, Elapse, ByClock, Lapsed, retired, nil},
	{Confirmed, Renew, ByEngine, Confirmed, nil, moved},
	{Confirmed, Refute, ByEngine, Switching, succeeded, nil},
	{Confirmed, Refute, ByEngine, Cancelled, retired, nil},

	{Deactivating, Succeed, ByEngine, Grace, nil, nil},
	{Deactivating, Renew, ByEngine, Confirmed, nil, moved},
	{Deactivating, Refute, ByEngine, Switching, succeeded, nil},
	{Deactivating, Refute, ByEngine, Cancelled, retired, nil},

	{Grace, Reactivate, ByOwner | ByApprover, Reactivating, inactiveByUs, nil},
	{Grace, Replenish, ByOwner, Requested, replenishable, slotFree},
	{Grace, Reissue, ByOwner, Discarding, replenished, newUnused},
	{Grace, Disown, ByOwner, Freezing, replenished, nil},
	{Grace, Cancel, ByOwner, Cancelled, leftover, nil},
	{Grace, Elapse, ByClock, Expiring, nil, stillIdle},
	{Expiring, Reactivate, ByOwner | ByApprover, Reactivating, inactiveByUs, nil},
	{Expiring, Disown, ByOwner, Freezing, replenished, nil},
	{Expiring, Cancel, ByOwner, Cancelled, leftover, nil},
	{Expiring, Approve, ByApprover, Expiring, notEnough, idleAsShown},
	{Expiring, Approve, ByApprover, Deleting, enough, idleAsShown},
	{Expiring, Proceed, ByClock, Deleting, approved, idleAsShown},
	{Expiring, Deny, ByApprover, Grace, nil, stillIdle},
	{Expiring, Renew, ByEngine, Expiring, nil, stillIdle},
	{Reactivating, Succeed, ByEngine, Switching, succeeded, nil},
	{Reactivating, Succeed, ByEngine, Cancelled, retired, nil},
	{Reactivating, Succeed, ByEngine, Leaked, exposed, nil},
	{Deleting, Succeed, ByEngine, Done, nil, nil},
	{Deleting, Renew, ByEngine, Expiring, nil, stillIdle},

	{Discarding, Succeed, ByEngine, Creating, then(Creating), nil},
	{Discarding, Succeed, ByEngine, Cancelled, then(Cancelled), nil},
	{Discarding, Succeed, ByEngine, Stuck, then(Stuck), nil},
	{Discarding, Succeed, ByEngine, Grace, then(Grace), nil},
	{Discarding, Refute, ByEngine, Switching, notExposed, nil},
	{Discarding, Refute, ByEngine, Grace, exposed, nil},

	{Freezing, Succeed, ByEngine, Stuck, nil, nil},

	{Creating, Fail, ByEngine, Stuck, nil, nil},
	{Discarding, Fail, ByEngine, Stuck, nil, nil},
	{Freezing, Fail, ByEngine, Stuck, nil, nil},
	{Deactivating, Fail, ByEngine, Stuck, nil, nil},
	{Reactivating, Fail, ByEngine, Stuck, nil, nil},
	{Deleting, Fail, ByEngine, Stuck, nil, nil},
	{Requested, Fail, ByEngine, Stuck, nil, nil},
	{Leaked, Fail, ByEngine, Stuck, nil, nil},
	{Offered, Fail, ByEngine, Stuck, nil, nil},
	{Switching, Fail, ByEngine, Stuck, nil, nil},
	{Confirmed, Fail, ByEngine, Stuck, nil, nil},
	{Grace, Fail, ByEngine, Stuck, nil, nil},
	{Expiring, Fail, ByEngine, Stuck, nil, nil},

	{Stuck, Revoke, ByApprover, Discarding, suspected, suspectUnused},
	{Stuck, Revoke, ByApprover, Discarding, disowned, nil},
	{Stuck, Keep, ByApprover, Switching, all(suspected, notExposed), suspectActive},
	{Stuck, Keep, ByApprover, Grace, all(suspected, exposed), suspectActive},
	{Stuck, TryAgain, ByApprover, Requested, stuckAt(Requested), slotFree},
	{Stuck, TryAgain, ByApprover, Creating, stuckAt(Creating), nil},
	{Stuck, TryAgain, ByApprover, Offered, stuckAt(Offered), slotFree},
	{Stuck, TryAgain, ByApprover, Discarding, stuckAt(Discarding), nil},
	{Stuck, TryAgain, ByApprover, Freezing, all(stuckAt(Freezing), notFrozen), nil},
	{Stuck, TryAgain, ByApprover, Switching, all(stuckAt(Switching, Confirmed), succeeded), nil},
	{Stuck, TryAgain, ByApprover, Confirmed, all(stuckAt(Confirmed), retired), moved},
	{Stuck, TryAgain, ByApprover, Deactivating, all(stuckAt(Deactivating), notExposed), nil},
	{Stuck, TryAgain, ByResponder, Deactivating, all(stuckAt(Deactivating), exposed), nil},
	{Stuck, TryAgain, ByResponder, Leaked, stuckAt(Leaked), stillActive},
	{Stuck, TryAgain, ByApprover, Reactivating, stuckAt(Reactivating), nil},
	{Stuck, TryAgain, ByApprover, Grace, stuckAt(Grace, Expiring), inactive},
	{Stuck, TryAgain, ByApprover, Deleting, stuckAt(Deleting), nil},
	{Stuck, Reactivate, ByOwner | ByApprover, Reactivating, all(stuckAt(Deactivating, Grace, Expiring, Reactivating, Deleting), inactiveByUs), nil},
	{Stuck, Close, ByApprover, Closed, noOrphan, nil},

	{Requested, Yield, ByEngine, Closed, nil, nil},
	{Offered, Yield, ByEngine, Closed, nil, nil},
	{Switching, Yield, ByEngine, Closed, nil, nil},
	{Confirmed, Yield, ByEngine, Closed, nil, nil},
	{Grace, Yield, ByEngine, Closed, nil, nil},
	{Expiring, Yield, ByEngine, Closed, nil, nil},
	{Stuck, Yield, ByEngine, Closed, noOrphan, nil},
}

// effects names the one outside call of each working stage.
var effects = map[Stage]Effect{
	Creating:     createKey,
	Delivering:   handOver,
	Discarding:   discardNew,
	Freezing:     freezeNew,
	Deactivating: deactivateOld,
	Reactivating: reactivateOld,
	Deleting:     deleteOld,
}

// Ended tells whether a stage is an end.
func (s Stage) Ended() bool {
	switch s {
	case Done, Denied, Cancelled, Lapsed, Closed:
		return true
	}
	return false
}

// Working tells whether a stage has an effect under way.
func (s Stage) Working() bool { return effects[s] != nil }

// asks tells whether a stage waits for a decision.
func (s Stage) asks() bool {
	return s == Requested || s == Leaked || s == Confirmed || s == Expiring || s == Stuck
}

// condition chooses between rows that differ only in what kind of rotation they are for.
type condition struct {
	name  string
	holds func(Rotation) bool
}

var (
	succeeded = &condition{"a successor", func(r Rotation) bool { return r.Kind != Retire && r.Kind != Leak }}
	retired   = &condition{"no successor", func(r Rotation) bool { return r.Kind == Retire }}
	adopted   = &condition{"adopted", func(r Rotation) bool { return r.Kind == Adopt }}
	exposed   = &condition{"leaked", func(r Rotation) bool { return r.Kind == Leak }}
	madeHere  = &condition{"new key made here", func(r Rotation) bool { return r.Kind == Replace }}

	notExposed = &condition{"not leaked", func(r Rotation) bool { return r.Kind != Leak }}
	// revealed is a secret that needs a window to be shown in, which its owner opens.
	revealed = &condition{"to be revealed", func(r Rotation) bool { return r.Delivery.Mode == Reveal }}

	// leftover is a key that was inactive already when its retirement began: nobody here may turn it on, since whoever turned it off had
	// a reason.
	leftover     = &condition{"inactive before", isLeftover}
	inactiveByUs = &condition{"made inactive here", func(r Rotation) bool { return !isLeftover(r) }}
)

// An approval completes what is wanted, or is counted in and the ask stays as it is: until there are enough, and the window is open.
var (
	enough    = &condition{"the last approval that is wanted", func(r Rotation) bool { return !complete(r) && !lacksMore(r) && r.Held.IsZero() }}
	notEnough = &condition{"more approvals are wanted, or the window is shut", func(r Rotation) bool {
		return !complete(r) && (lacksMore(r) || !r.Held.IsZero())
	}}
	approved = &condition{"all approvals are given", complete}
)

func lacksMore(r Rotation) bool {
	ask, ok := r.CurrentAsk()
	return ok && ask.Lacks() > 1
}

// suspected is a rotation that stopped because a key appeared while the answer to a creation was lost.
var suspected = &condition{"a suspect key", func(r Rotation) bool { return r.Failure.Class == ClassSuspect && r.Failure.Key != "" }}

// disowned is a rotation that stopped with its new key inactive, since the owner did not ask for it; notFrozen one that stopped on the
// way there.
var (
	disowned  = &condition{"a key that its owner disowns", func(r Rotation) bool { return r.Failure.Class == ClassDisowned }}
	notFrozen = &condition{"the new key not made inactive", func(r Rotation) bool { return r.Failure.Class != ClassDisowned }}
)

func isLeftover(r Rotation) bool {
	_, decided := r.Approved(Confirmed)
	return r.Kind == Retire && !decided
}

// noOrphan keeps a rotation open while a key that it made, or may have made, has neither reached its owner nor been revoked. Of a suspect
// that the card names a person may decide.
var noOrphan = &condition{"no key of ours left over", func(r Rotation) bool {
	userGone := r.Failure.Class == ClassGone || r.Failure.Block == UserReplaced // and every key with it
	if r.Intent != nil && !suspected.holds(r) && !userGone {
		return false
	}
	return r.New == "" || r.Failure.At != Discarding || userGone
}}

func all(cs ...*condition) *condition {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = c.name
	}
	return &condition{strings.Join(names, " and "), func(r Rotation) bool {
		return !slices.ContainsFunc(cs, func(c *condition) bool { return !c.holds(r) })
	}}
}

func then(to Stage) *condition {
	return &condition{"then " + string(to), func(r Rotation) bool { return r.Then == to }}
}

func stuckAt(stages ...Stage) *condition {
	names := make([]string, len(stages))
	for i, s := range stages {
		names[i] = string(s)
	}
	name := "stuck at " + strings.Join(names, " or ")
	return &condition{name, func(r Rotation) bool { return slices.Contains(stages, r.Failure.At) }}
}

// find returns the row for On, if the table has one that applies to r.
func (r Rotation) find(on On) (Move, bool) {
	for _, m := range lifecycle {
		if m.From == r.Stage && m.On == on && (m.If == nil || m.If.holds(r)) {
			return m, true
		}
	}
	return Move{}, false
}

// Offers lists what people may do now, in the table's order: the buttons derive from it.
func (r Rotation) Offers(by Role) []On {
	var ons []On
	for _, m := range lifecycle {
		if m.From == r.Stage && m.By&by != 0 && (m.If == nil || m.If.holds(r)) && !slices.Contains(ons, m.On) {
			ons = append(ons, m.On)
		}
	}
	return ons
}
