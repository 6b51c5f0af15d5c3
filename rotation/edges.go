package rotation

import (
	"context"
	"time"
)

// IAM is one AWS account's users and keys. Every failed call is a *CallError, and every call names the user and the key: an
// implementation refuses an empty user name or key id without calling, since AWS would take it for the caller's own.
type IAM interface {
	Reader
	Surveyor
	Changer
}

// Reader is the half of IAM that changes nothing.
type Reader interface {
	// Users lists all users with their tags.
	Users(ctx context.Context) ([]User, error)
	// User reads one user with its tags. ClassGone: there is none of that name.
	User(ctx context.Context, name string) (User, error)
	// Keys lists a user's keys, oldest first, with their last use still unknown. ClassGone: there is no such user.
	Keys(ctx context.Context, user string) ([]Key, error)
	// LastUse tells when a key was last used.
	LastUse(ctx context.Context, id KeyID) (LastUse, error)
	// UserOf names the user whose key it is; empty if AWS names none, as for the root user's. ClassGone: the account has no such key.
	UserOf(ctx context.Context, id KeyID) (string, error)
	// Maker tells who made a key, by the account's trail of calls since a time.
	Maker(ctx context.Context, id KeyID, since time.Time) (Maker, error)
}

// Surveyor is what a scan reads of a whole account, a piece at a time, so that nobody need keep an account in memory. An error of each
// ends the reading and is returned as it is. After an error, what each was told is not the whole.
type Surveyor interface {
	// Report reads the account's credential report, having a new one made if AWS keeps none, and tells when it was made. It names no key
	// ids and may be four hours old.
	Report(ctx context.Context, each func(ReportRow) error) (made time.Time, err error)
	// Details lists all users with their tags, groups and quarantine.
	Details(ctx context.Context, each func(User) error) error
	// Names lists all users without those, for whom Details are denied.
	Names(ctx context.Context, each func(User) error) error
}

// Maker is who made a key, as far as the trail tells.
type Maker string

// The makers. A call is on the trail some minutes after it was made.
const (
	MakerUnknown Maker = ""      // not on the trail, or not yet
	MakerUs      Maker = "us"    // a session of ours: this one, or one of an earlier or another process
	MakerOther   Maker = "other" // anybody else
)

// Changer is the half of IAM that needs a decision.
type Changer interface {
	// CreateKey creates a key, with one attempt and no more. ClassUnknown: there may now be a key whose secret is lost.
	CreateKey(ctx context.Context, user string) (Key, Secret, error)
	// SetStatus makes a key Active or Inactive. Setting the status that it has succeeds.
	SetStatus(ctx context.Context, user string, id KeyID, to Status) error
	// DeleteKey deletes a key. ClassGone: it was not there.
	DeleteKey(ctx context.Context, user string, id KeyID) error
}

// ReportRow is one user of the report, or the root user.
type ReportRow struct {
	User string // "<root_account>" for root
	Root bool
	// Console tells that the user has a password for AWS's console.
	Console bool
	Keys    []ReportKey // the slots that the report can show, in no particular order; only those in use
}

// ReportKey is one of the report's key slots.
type ReportKey struct {
	Active  bool
	Rotated time.Time // created or last changed; zero if the report does not say
	LastUse LastUse
}

// Hand gives a secret to its owner, in one message: made ready before there is a secret, and filled when there is one.
type Hand interface {
	// Prepare makes sure that the owner can be written to, and posts the message that will show the secret, or nothing if r's Delivery
	// shows it in none. ClassRefused: they cannot be. For Reveal, it makes sure that the window r.Modal is open. ClassGone: it is not.
	Prepare(ctx context.Context, r Rotation) (Post, error)
	// HandOver shows the secret, sealed if r's Delivery says so, in the message at r.Handover.Post or in the window r.Modal. Done again, it shows the same in the same place. ClassGone: the
	// message is not there any more; ClassRefused: Slack does not take it; ClassUnknown: it may stand there.
	HandOver(ctx context.Context, r Rotation, key KeyID, secret Secret) error
	// Withdraw deletes a message that Prepare has posted and that no secret was put into. One that is not there any more is deleted.
	Withdraw(ctx context.Context, post Post) error
}

// Store keeps one Progress per user, what Slack has delivered, claims, entries, and what a scan has read that is not through. Every method is
// durable when it returns nil. An error other than ErrNotFound and ErrConflict means that the outcome is unknown: read again.
//
// It is wider than one would like, because one write has to be one transaction of one store; each of its five parts is small.
type Store interface {
	// Get reads a user's progress by UserRef.ID. ErrNotFound: there is none.
	Get(ctx context.Context, id string) (Progress, error)
	// Create stores a new progress, at Rev 1, and returns it. ErrConflict: there is one.
	Create(ctx context.Context, p Progress) (Progress, error)
	// Replace stores p if the stored one is still at p.Rev, and returns it at the next Rev. ErrConflict: it is not.
	Replace(ctx context.Context, p Progress) (Progress, error)
	// Scan calls fn with every progress, in the order of ids, each as it is when its turn comes. fn may call the other methods. An error
	// of fn ends the scan and is returned.
	Scan(ctx context.Context, fn func(Progress) error) error
	// Live calls fn with the id and the rev of every progress that was Live when it was stored, in no order. It may lag behind a
	// write by a moment; it is how an engine finds its work without reading everything. fn may call the other methods.
	Live(ctx context.Context, fn func(id string, rev uint64) error) error

	// Claimed reads a claim. ErrNotFound: nobody ever had the name.
	Claimed(ctx context.Context, name string) (Claim, error)
	// Claim stores c if the stored one is still at c.Rev, or for Rev 0 if there is none, and returns it at the next Rev. ErrConflict: it is not.
	Claim(ctx context.Context, c Claim) (Claim, error)

	// Record keeps an entry under a key: one that belongs to no progress, such as a refused command of a stranger, or to none any
	// more. The same key again changes nothing, and is no error.
	Record(ctx context.Context, key string, e Entry) error
	// Entries calls fn with the entries kept by Record, in the order of their keys.
	Entries(ctx context.Context, fn func(key string, e Entry) error) error

	Inbox
	Readings
}

// Inbox keeps what Slack has delivered until it has been worked, and some time after, so that a second delivery is recognised.
type Inbox interface {
	// Accept stores a new envelope, at Rev 1, and returns it. ErrConflict: there is one with that ID, worked or not.
	Accept(ctx context.Context, v Envelope) (Envelope, error)
	// Settle stores v if the stored one is still at v.Rev, and returns it at the next Rev. ErrConflict: it is not, or is not there.
	Settle(ctx context.Context, v Envelope) (Envelope, error)
	// Waiting calls fn with every envelope that is not Done, in no order. It may lag behind a write by a moment. One that cannot be read is
	// an error after all the others.
	Waiting(ctx context.Context, fn func(Envelope) error) error
	// Forget drops the envelopes that are Done and were accepted before a time. One that cannot be read stays, and is an error in the end.
	Forget(ctx context.Context, before time.Time) error
}

// Claim is a name that stands for something which happens once, or which one process does at a time. There is no time in it: who waits
// for a holder that has died measures by its own clock for how long the Rev has not changed, so that clocks need not agree.
type Claim struct {
	Name   string
	Rev    uint64 // the store's version; 0: not stored yet
	Holder string // empty: nobody
	Note   string // what the holder wants remembered
}

// Envelope is one thing that Slack delivered and that was acknowledged. Body is the bot's own, and empty once it is Done.
type Envelope struct {
	ID     string
	Rev    uint64
	At     time.Time // accepted
	Holder string    // the process that works on it
	Body   []byte
	Done   bool
}
