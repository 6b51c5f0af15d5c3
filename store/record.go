package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/keyturner/keyturner/rotation"
)

// The schemas of the documents that this program writes. It reads them and every earlier one.
const (
	progressSchema = 1
	claimSchema    = 1
	entrySchema    = 1
)

// The stored structs. Those whose fields are all plain are converted as a whole, so that a field added on one side alone does not
// compile; the others field by field, which the round trip test holds complete.
type (
	progressRecord struct {
		Schema   int                   `json:"schema"`
		Rev      uint64                `json:"rev"`
		User     userRecord            `json:"user"`
		Count    int                   `json:"count,omitzero"`
		Rotation *rotationRecord       `json:"rotation,omitempty"`
		Past     []rotationRecord      `json:"past,omitempty"`
		Notices  []noticeRecord        `json:"notices,omitempty"`
		Posts    map[string]postRecord `json:"posts,omitempty"`
		Trail    []entryRecord         `json:"trail,omitempty"`
	}

	rotationRecord struct {
		ID        string            `json:"id"`
		Kind      rotation.Kind     `json:"kind"`
		User      userRecord        `json:"user"`
		UserID    string            `json:"user_id,omitzero"`
		Owner     rotation.MemberID `json:"owner,omitzero"`
		Requester rotation.MemberID `json:"requester,omitzero"`
		Reason    string            `json:"reason,omitzero"`
		Old       rotation.KeyID    `json:"old,omitzero"`
		New       rotation.KeyID    `json:"new,omitzero"`
		Terms     termsRecord       `json:"terms,omitzero"`
		Stage     rotation.Stage    `json:"stage"`
		Turn      int               `json:"turn,omitzero"`
		Begun     time.Time         `json:"begun,omitzero"`
		Since     time.Time         `json:"since,omitzero"`
		Deadline  time.Time         `json:"deadline,omitzero"`
		Asks      []askRecord       `json:"asks,omitempty"`
		Intent    *intentRecord     `json:"intent,omitempty"`
		Retry     retryRecord       `json:"retry,omitzero"`
		Issued    int               `json:"issued,omitzero"`
		Then      rotation.Stage    `json:"then,omitzero"`
		Idle      lastUseRecord     `json:"idle,omitzero"`
		Failure   failureRecord     `json:"failure,omitzero"`
		Lost      failureRecord     `json:"lost,omitzero"`
		Handover  handoverRecord    `json:"handover,omitzero"`
		Stale     []handoverRecord  `json:"stale,omitempty"`
	}

	userRecord struct {
		Account string `json:"account"`
		Name    string `json:"name"`
	}

	termsRecord struct {
		Quiet   time.Duration `json:"quiet_ns,omitzero"`
		Grace   time.Duration `json:"grace_ns,omitzero"`
		Expires time.Duration `json:"expires_ns,omitzero"`
		Visible time.Duration `json:"visible_ns,omitzero"`
	}

	askRecord struct {
		Stage     rotation.Stage   `json:"stage"`
		Turn      int              `json:"turn,omitzero"`
		At        time.Time        `json:"at,omitzero"`
		Evidence  evidenceRecord   `json:"evidence,omitzero"`
		Decisions []decisionRecord `json:"decisions,omitempty"`
		Closed    string           `json:"closed,omitzero"`
		Stuck     failureRecord    `json:"stuck,omitzero"`
	}

	decisionRecord struct {
		By       rotation.MemberID `json:"by"`
		At       time.Time         `json:"at,omitzero"`
		Approve  bool              `json:"approve"`
		Reason   string            `json:"reason,omitzero"`
		Evidence string            `json:"evidence,omitzero"`
	}

	evidenceRecord struct {
		At     time.Time   `json:"at,omitzero"`
		UserID string      `json:"user_id,omitzero"`
		Keys   []keyRecord `json:"keys,omitempty"`
	}

	keyRecord struct {
		ID      rotation.KeyID  `json:"id"`
		Status  rotation.Status `json:"status,omitzero"`
		Created time.Time       `json:"created,omitzero"`
		LastUse lastUseRecord   `json:"last_use,omitzero"`
	}

	lastUseRecord struct {
		State   rotation.UseState `json:"state,omitzero"`
		At      time.Time         `json:"at,omitzero"`
		Service string            `json:"service,omitzero"`
		Region  string            `json:"region,omitzero"`
	}

	intentRecord struct {
		At    time.Time        `json:"at,omitzero"`
		Known []rotation.KeyID `json:"known,omitempty"`
	}

	retryRecord struct {
		Attempts int       `json:"attempts,omitzero"`
		At       time.Time `json:"at,omitzero"`
		Last     string    `json:"last,omitzero"`
	}

	failureRecord struct {
		At    rotation.Stage     `json:"at,omitzero"`
		Class rotation.Class     `json:"class,omitzero"`
		Block rotation.BlockCode `json:"block,omitzero"`
		Text  string             `json:"text,omitzero"`
		Key   rotation.KeyID     `json:"key,omitzero"`
	}

	handoverRecord struct {
		Post     postRecord `json:"post,omitzero"`
		Until    time.Time  `json:"until,omitzero"`
		Received time.Time  `json:"received,omitzero"`
		Gone     bool       `json:"gone,omitzero"`
	}

	postRecord struct {
		Channel string `json:"channel,omitzero"`
		TS      string `json:"ts,omitzero"`
		Shown   string `json:"shown,omitzero"`
	}

	noticeRecord struct {
		Key     rotation.KeyID    `json:"key"`
		Days    int               `json:"days,omitzero"`
		Owner   rotation.MemberID `json:"owner,omitzero"`
		Created time.Time         `json:"created,omitzero"`
		Due     time.Time         `json:"due,omitzero"`
		Sent    time.Time         `json:"sent,omitzero"`
		Failed  string            `json:"failed,omitzero"`
	}

	entryRecord struct {
		At       time.Time      `json:"at,omitzero"`
		Actor    string         `json:"actor,omitzero"`
		Action   string         `json:"action,omitzero"`
		Outcome  string         `json:"outcome,omitzero"`
		User     string         `json:"user,omitzero"`
		Rotation string         `json:"rotation,omitzero"`
		From     rotation.Stage `json:"from,omitzero"`
		To       rotation.Stage `json:"to,omitzero"`
		Key      rotation.KeyID `json:"key,omitzero"`
		Detail   string         `json:"detail,omitzero"`
	}

	// loneEntry is an entry that is a document of its own.
	loneEntry struct {
		Schema int `json:"schema"`
		entryRecord
	}

	// claimRecord is stored under the claim's name.
	claimRecord struct {
		Schema int       `json:"schema"`
		Holder string    `json:"holder"`
		Until  time.Time `json:"until"`
	}
)

// sealed is a progress ready to be stored.
type sealed struct {
	id   string
	doc  []byte
	kept rotation.Progress // as it will be read again: a deep copy
}

// sealNew prepares what Create stores.
func sealNew(p rotation.Progress) (sealed, error) {
	p.Rev = 1
	return seal(p)
}

// sealNext prepares what Replace stores. A progress that was never stored has nothing to replace.
func sealNext(p rotation.Progress) (sealed, error) {
	if p.Rev == 0 {
		return sealed{}, rotation.ErrConflict
	}
	p.Rev++
	return seal(p)
}

// seal encodes p. A user whose name would not be read again as it was given is refused, since the document could not be found under
// its id.
func seal(p rotation.Progress) (sealed, error) {
	s := sealed{id: p.User.ID()}
	var err error
	if s.doc, err = encodeProgress(p); err != nil {
		return sealed{}, err
	}
	s.kept, err = decodeProgress(s.id, s.doc)
	return s, err
}

// follows tells whether s may take the place of the stored document: the one before it, or none for the first.
func (s sealed) follows(stored []byte) error {
	var at struct {
		Rev uint64 `json:"rev"`
	}
	if stored != nil {
		if err := json.Unmarshal(stored, &at); err != nil {
			return fmt.Errorf("read the stored rev: %w", err)
		}
	}
	if at.Rev+1 != s.kept.Rev {
		return fmt.Errorf("stored at rev %d: %w", at.Rev, rotation.ErrConflict)
	}
	return nil
}

func encodeProgress(p rotation.Progress) ([]byte, error) { return json.Marshal(fromProgress(p)) }

// decodeProgress reads the document stored under id, and refuses one that is about another user.
func decodeProgress(id string, doc []byte) (rotation.Progress, error) {
	var r progressRecord
	if err := decode(doc, progressSchema, &r, &r.Schema); err != nil {
		return rotation.Progress{}, err
	}
	p := r.progress()
	if got := p.User.ID(); got != id {
		return rotation.Progress{}, fmt.Errorf("it is about %s, whose id is %s", p.User, got)
	}
	return p, nil
}

func encodeEntry(e rotation.Entry) ([]byte, error) {
	return json.Marshal(loneEntry{entrySchema, fromEntry(e)})
}

func decodeEntry(doc []byte) (rotation.Entry, error) {
	var r loneEntry
	if err := decode(doc, entrySchema, &r, &r.Schema); err != nil {
		return rotation.Entry{}, err
	}
	return rotation.Entry(r.entryRecord), nil
}

// decodeClaim reads a claim; no document means that nobody ever had it.
func decodeClaim(doc []byte) (claimRecord, error) {
	var r claimRecord
	if doc == nil {
		return r, nil
	}
	if err := decode(doc, claimSchema, &r, &r.Schema); err != nil {
		return claimRecord{}, err
	}
	return r, nil
}

// maxName bounds a claim's name, so that every backend can have it as a key.
const maxName = 1024

// checkClaim refuses what cannot be a claim, and would be a mistake of the caller.
func checkClaim(c rotation.Claim) error {
	switch {
	case c.Name == "" || c.Holder == "":
		return errors.New("a claim needs a name and a holder")
	case len(c.Name) > maxName:
		return fmt.Errorf("a claim's name has at most %d bytes, not %d", maxName, len(c.Name))
	case !utf8.ValidString(c.Name) || !utf8.ValidString(c.Holder):
		return errors.New("a claim's name and holder are UTF-8")
	case !c.Until.After(c.Now):
		return errors.New("a claim ends after it begins")
	}
	return nil
}

// settle decides what becomes of a claim that held tells about when c asks for it: what is stored from now on, and whether c's holder
// has it. The zero claimRecord is nobody's.
func settle(c rotation.Claim, held claimRecord) (claimRecord, bool) {
	free := held.Holder == "" || !c.Now.Before(held.Until)
	if !free && held.Holder != c.Holder {
		return held, false
	}
	if !free && held.Until.After(c.Until) {
		return held, true
	}
	return claimRecord{Schema: claimSchema, Holder: c.Holder, Until: c.Until.UTC()}, true
}

// newerError refuses what a later version wrote: reading it would miss something, and writing it again would lose that.
type newerError struct{ found, known int }

func (e *newerError) Error() string {
	return fmt.Sprintf("a newer Keyturner wrote it, with schema %d; this one reads up to %d: run the newer one", e.found, e.known)
}

// decode reads a document of at most the given schema into v, whose own schema field found points to, and nothing that v does not have.
func decode(doc []byte, schema int, v any, found *int) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err != nil {
		// What a newer schema has changed is no damage.
		var mark struct {
			Schema int `json:"schema"`
		}
		if json.Unmarshal(doc, &mark) != nil {
			return fmt.Errorf("it is not a stored document: %w", err)
		}
		*found = mark.Schema
	}
	switch {
	case *found > schema:
		return &newerError{*found, schema}
	case *found < 1:
		return errors.New("it has no schema number")
	case err != nil:
		return fmt.Errorf("it does not follow schema %d: %w", *found, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}
