package rotation

import (
	"context"
	"time"
)

// IAM is one AWS account's users and keys. Every failed call is a *CallError, and every call names the user and the key: an
// implementation refuses an empty user name or key id without calling, since AWS would take it for the caller's own.
type IAM interface {
	Reader
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
	// Report reads the account's credential report, having a new one made if AWS keeps none.
	Report(ctx context.Context) (Report, error)
}

// Changer is the half of IAM that needs a decision.
type Changer interface {
	// CreateKey creates a key, with one attempt and no more. ClassUnknown: there may now be a key whose secret is lost.
	CreateKey(ctx context.Context, user string) (Key, Secret, error)
	// SetStatus makes a key Active or Inactive. Setting the status that it has succeeds.
	SetStatus(ctx context.Context, user string, id KeyID, to Status) error
	// DeleteKey deletes a key. ClassGone: it was not there.
	DeleteKey(ctx context.Context, user string, id KeyID) error
}

// Report is what the credential report tells. It names no key ids and may be four hours old: it shortlists, and never decides.
type Report struct {
	Made time.Time
	Rows []ReportRow
}

// ReportRow is one user of the report, or the root user.
type ReportRow struct {
	User string // "<root_account>" for root
	Root bool
	Keys []ReportKey // the slots that the report can show, in no particular order; only those in use
}

// ReportKey is one of the report's key slots.
type ReportKey struct {
	Active  bool
	Rotated time.Time // created or last changed; zero if the report does not say
	LastUse LastUse
}

// Hand gives a secret to its owner.
type Hand interface {
	// Reach makes sure that the owner can be written to, before there is a secret. ClassRefused: they cannot.
	Reach(ctx context.Context, owner MemberID) error
	// HandOver shows the secret to the owner, once, and returns where. ClassRefused: it was certainly not shown.
	HandOver(ctx context.Context, r Rotation, key KeyID, secret Secret) (Post, error)
}

// Store keeps one Progress per user and the claims that make a thing happen once. Every method is durable when it returns nil. An
// error other than ErrNotFound and ErrConflict means that the outcome is unknown: read again.
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
	// Claim takes the name for holder until a time, and tells whether holder has it now: nobody had it, or the earlier claim
	// has run out at now, or it is holder's own, which is then prolonged.
	Claim(ctx context.Context, c Claim) (bool, error)
	// Record keeps an entry that belongs to no user's progress, such as a refused command of a stranger.
	Record(ctx context.Context, e Entry) error
	// Entries calls fn with the entries kept by Record, oldest first.
	Entries(ctx context.Context, fn func(Entry) error) error
}

// Claim asks for a name: Holder wants Name until Until, as of Now.
type Claim struct {
	Name   string
	Holder string
	Now    time.Time
	Until  time.Time
}
