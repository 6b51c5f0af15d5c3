package rotation

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// UserRef names an IAM user: the account's twelve digits and the user's name.
type UserRef struct {
	Account string
	Name    string
}

// String is "account/name", as people write it in commands and in the configuration.
func (u UserRef) String() string { return u.Account + "/" + u.Name }

// ParseUserRef reads "account/name".
func ParseUserRef(s string) (UserRef, error) {
	account, name, ok := strings.Cut(s, "/")
	if !ok || account == "" || name == "" {
		return UserRef{}, fmt.Errorf("read user %q: write it as account/user, such as 111122223333/ci-deploy", s)
	}
	return UserRef{Account: account, Name: name}, nil
}

// ID identifies the user's Progress. It is opaque, so that a button can carry it without telling anybody whom it is about,
// and derived, so that no index is needed to find the document again: 16 characters of a-z2-7.
func (u UserRef) ID() string {
	sum := sha256.Sum256([]byte("keyturner user " + u.String()))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// User is an IAM user as AWS describes it.
type User struct {
	Ref     UserRef
	ID      string // the unique id, AIDA…: another user under the same name has another
	Path    string // begins and ends with a slash
	Created time.Time
	Tags    map[string]string
	// Console tells that the user has a password for AWS's console, as far as a report has told: it is a person.
	Console bool
	Groups  []string // of IAM; nil also where they are not known
	Untold  bool     // the tags are not known
	// Quarantine is the policy that AWS attaches to a user whose key it has found in public; empty: none was seen.
	Quarantine string
}

// KeyID is an access key's id, AKIA…. It is not secret.
type KeyID string

// Short is the id as people compare it: the prefix and the last four characters. Characters, since a form may bring any text as an id.
func (k KeyID) Short() string {
	id := []rune(k)
	if len(id) <= 8 {
		return string(k)
	}
	return string(id[:4]) + "…" + string(id[len(id)-4:])
}

// Mark names the key among those of a user, in a button that shall not carry its id.
func (k KeyID) Mark() string {
	sum := sha256.Sum256([]byte("keyturner key " + string(k)))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
}

// Status is a key's status as AWS writes it. A value that is neither of these two is neither working nor safe to delete.
type Status string

// The two statuses that a key is given.
const (
	Active   Status = "Active"
	Inactive Status = "Inactive"
)

// UseState tells how much is known about a key's last use. Its zero value is the one that blocks.
type UseState string

// What can be known of a key's last use.
const (
	UseUnknown UseState = ""      // not looked up, or the look-up failed: never to be read as unused
	NeverUsed  UseState = "never" // AWS has no use on record
	Used       UseState = "used"
)

// LastUse is what AWS tells of a key's latest use. AWS records the first use in each 15 minutes, with a lag
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyLastUsed.html).
type LastUse struct {
	State   UseState
	At      time.Time // set if State is Used
	Service string    // such as "s3"
	Region  string    // such as "eu-west-1"; empty for a service without regions
}

// Key is an access key's metadata. It never holds the secret.
type Key struct {
	ID      KeyID
	Status  Status
	Created time.Time
	LastUse LastUse
}

// Age is how long ago the key was created.
func (k Key) Age(now time.Time) time.Duration { return now.Sub(k.Created) }

// Secret is the secret half of a key. Every usual way of printing, logging or storing it yields a placeholder; Reveal alone gives
// the value, and only the hand-over calls it.
type Secret struct{ value string }

// NewSecret wraps a secret.
func NewSecret(value string) Secret { return Secret{value} }

const redacted = "[secret]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.value }

// Empty tells whether there is no secret.
func (s Secret) Empty() bool { return s.value == "" }

func (s Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return redacted }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the secret from whatever would be stored or sent.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// MarshalText does so for keys of maps and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Evidence is the facts that a gate read: the user's id and keys, each with its last use, at one moment. An Ask keeps it, so that
// what a decision was given on can be shown and compared.
type Evidence struct {
	At     time.Time
	UserID string
	Keys   []Key // oldest first
}

// Key finds a key by its id.
func (e Evidence) Key(id KeyID) (Key, bool) {
	i := slices.IndexFunc(e.Keys, func(k Key) bool { return k.ID == id })
	if i < 0 {
		return Key{}, false
	}
	return e.Keys[i], true
}

// IDs lists the keys' ids.
func (e Evidence) IDs() []KeyID {
	ids := make([]KeyID, 0, len(e.Keys))
	for _, k := range e.Keys {
		ids = append(ids, k.ID)
	}
	return ids
}

// Digest identifies what matters of the evidence to a decision about the key old: the user, which keys there are and their
// status, and when old was last used. A further use of the other key does not change it.
func (e Evidence) Digest(old KeyID) string {
	if e.At.IsZero() {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "user %s\n", e.UserID)
	for _, k := range e.Keys {
		fmt.Fprintf(h, "key %s %s\n", k.ID, k.Status)
		if k.ID == old {
			fmt.Fprintf(h, "use %s %d\n", k.LastUse.State, k.LastUse.At.Unix())
		}
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))
}
