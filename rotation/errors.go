package rotation

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a Store answers.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("changed meanwhile")
)

// Class tells failed calls apart by what may be concluded from them.
type Class string

// The classes of failure. All but ClassUnknown mean that the call changed nothing.
const (
	ClassDenied    Class = "denied"    // not permitted; retrying cannot help
	ClassThrottled Class = "throttled" // later may help
	ClassQuota     Class = "quota"     // AWS's limit of two keys, or another one
	ClassGone      Class = "gone"      // the user or key is not there
	ClassInvalid   Class = "invalid"   // AWS or Slack refuses the request as it is
	ClassRefused   Class = "refused"   // Slack does not take the message to this person or channel
	ClassUnknown   Class = "unknown"   // the answer was lost: it may have been done
	ClassChanged   Class = "changed"   // the facts are not what the rotation left: somebody else acted
	ClassSuspect   Class = "suspect"   // a key appeared that the bot may or may not have made
	ClassExhausted Class = "exhausted" // a bounded number of attempts is used up
	ClassDisowned  Class = "disowned"  // the owner did not ask for the new key
	ClassLeaked    Class = "leaked"    // a key of the user leaked, which goes first
	ClassOverdue   Class = "overdue"   // a person has not done in time what the rotation waits for
)

// CallError is a failed call to the outside, classified by the adapter that made it.
type CallError struct {
	Op        string // what was attempted, such as "create access key for ci-deploy"
	Class     Class
	Code      string // the service's own, such as "AccessDenied"
	RequestID string
	Err       error
}

func (e *CallError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Op, e.Class, e.Err) }
func (e *CallError) Unwrap() error { return e.Err }

// ClassOf reads the class of a failed call. An error that no adapter classified is ClassUnknown.
func ClassOf(err error) Class {
	if call, ok := errors.AsType[*CallError](err); ok {
		return call.Class
	}
	return ClassUnknown
}

// Code says why a person was refused, so that the answer can say what the way out is.
type Code string

// The refusals.
const (
	NotApprover   Code = "not-approver"   // only an approver may
	NotOwner      Code = "not-owner"      // only the key's owner may
	OwnRequest    Code = "own-request"    // requester and approver must be two people
	OwnKey        Code = "own-key"        // an owner cannot approve for their own key
	Outdated      Code = "outdated"       // the button is from an earlier turn
	Decided       Code = "decided"        // somebody else decided first
	HasEnded      Code = "ended"          // the rotation is over
	NotNow        Code = "not-now"        // the table has no such move here
	Blocked       Code = "blocked"        // a gate does not open
	NoOwner       Code = "no-owner"       // the user has no owner to give a key to
	OwnerUnknown  Code = "owner-unknown"  // the owner could not be looked up: unknown, not absent
	GroupOwned    Code = "group-owned"    // only a member of the group that owns it may begin
	OwnerLeft     Code = "owner-left"     // who would get the secret is not of the group any more
	OwnLink       Code = "own-link"       // nobody makes themselves an owner
	CannotOwn     Code = "cannot-own"     // the person named is no active full member
	NoMember      Code = "no-member"      // the person owns no IAM user
	NotMember     Code = "not-member"     // deactivated, guest, stranger or bot
	AlreadyRuns   Code = "already-runs"   // one rotation per user at a time
	NoKeys        Code = "no-keys"        // the user has no key
	NotThatKey    Code = "not-that-key"   // the key is not one of the user's
	Leftover      Code = "leftover"       // an inactive key occupies the second slot
	TooManyKeys   Code = "too-many-keys"  // three keys or more
	OnlyInactive  Code = "only-inactive"  // nothing to replace
	NewerKey      Code = "newer-key"      // of two active keys the older goes first
	NoAccount     Code = "no-account"     // the account is not in the configuration
	UserGone      Code = "user-gone"      // no such IAM user now
	Unreachable   Code = "unreachable"    // AWS could not be asked: unknown, not empty
	Reissued      Code = "reissued-often" // the bound on new keys is reached
	NoApprover    Code = "no-approver"    // nobody, or too few, are left who could approve
	NothingAsked  Code = "nothing-asked"  // no ask is open
	TooSoon       Code = "too-soon"       // it was done a short while ago
	RemindedOften Code = "reminded-often" // the bound on reminders is reached
	NotResponder  Code = "not-responder"  // only an approver or on-call may
	NoRecipient   Code = "no-public-key"  // secrets are sealed here, and the owner has set no public key
	LeakedKey     Code = "private-key"    // what was given looks like a private key
	NoPlace       Code = "no-place"       // the service that is to keep the secret takes no such name
	GroupUnread   Code = "group-unread"   // who may approve could not be read from Slack: unknown, so nobody more
	NotInvolved   Code = "not-involved"   // neither the owner, nor an approver, nor on-call
	NoTrail       Code = "no-trail"       // CloudTrail is not read in this account
	WindowShut    Code = "window-shut"    // changes are made in a window, which is not open
	OwnOverrule   Code = "own-overrule"   // whoever overrules the evidence does not approve on it
	Approved      Code = "approved"       // the same person has approved already, and another one is wanted

	ExemptionAsked   Code = "exemption-asked"   // one of the key waits for a decision already
	ExemptionMoved   Code = "exemption-moved"   // the button is from an earlier turn of the exemption
	ExemptionRenewed Code = "exemption-renewed" // the key is not as it was shown any more
	ExemptionsFull   Code = "exemptions-full"   // the bound on exemptions of a user is reached
	NoExemption      Code = "no-exemption"      // none of the key holds or is asked for
	NoSuchTime       Code = "no-such-time"      // an exemption has a reason, and an end within a year
	NeverAccepted    Code = "never-accepted"    // the key, or one of its user, is exposed
	SnoozedNow       Code = "snoozed-now"       // a snooze of the key holds
	SnoozedOften     Code = "snoozed-often"     // the bound on snoozes of a key is reached
)

// Refusal is an answer to a person: why not, with the facts that the answer needs.
type Refusal struct {
	Code     Code
	User     UserRef
	Rotation *Rotation
	// Exemption is set where the answer is about one.
	Exemption *KeyExemption
	By        MemberID // who decided, owns or requested, as the code needs
	Turn      int      // of the button that was clicked, for Decided
	Key       KeyID
	Blocks    []Block   // for Blocked
	Again     time.Time // for TooSoon and WindowShut
	Doubt     Doubt     // for NoOwner
	Err       error     // for Unreachable

	Wanted, Have int // for NoApprover: how many approvers are needed and how many there are
}

func (e *Refusal) Error() string {
	parts := []string{"refused", string(e.Code)}
	for _, b := range e.Blocks {
		parts = append(parts, string(b.Code))
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

func (e *Refusal) Unwrap() error { return e.Err }

// MoveError says that the table has no such move.
type MoveError struct {
	From Stage
	On   On
}

func (e *MoveError) Error() string { return fmt.Sprintf("no move on %s from %s", e.On, e.From) }

// Block is one reason why a gate stays shut.
type Block struct {
	Code  BlockCode
	Key   Key       // the key it is about
	Again time.Time // when to look again, if time can open the gate
}

// BlockCode names a gate's finding.
type BlockCode string

// What can keep a gate shut. Those of the first group open with time or use; those of the second mean that somebody else changed
// something, and a person must decide.
const (
	NewNeverUsed BlockCode = "new-never-used"
	NewUnknown   BlockCode = "new-unknown"
	NewUsed      BlockCode = "new-used"
	OldUsed      BlockCode = "old-used"
	OldTooYoung  BlockCode = "old-too-young"
	OldUnknown   BlockCode = "old-unknown"
	SlotTaken    BlockCode = "slot-taken"
	NotAsShown   BlockCode = "not-as-shown"
	PlaceShut    BlockCode = "place-shut" // the secret's place in AWS could not be made ready

	OldGone      BlockCode = "old-gone"
	OldInactive  BlockCode = "old-inactive"
	OldActive    BlockCode = "old-active"
	OldMoved     BlockCode = "old-moved"
	NewGone      BlockCode = "new-gone"
	NewInactive  BlockCode = "new-inactive"
	ExtraKey     BlockCode = "extra-key"
	UserReplaced BlockCode = "user-replaced"
)

// Foreign tells whether somebody else must have acted: the rotation stops and asks a person.
func (b Block) Foreign() bool {
	switch b.Code {
	case OldGone, OldInactive, OldActive, OldMoved, NewGone, NewInactive, ExtraKey, UserReplaced:
		return true
	}
	return false
}
