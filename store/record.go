package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// The schemas of the documents that this program writes. It reads them and every earlier one.
const (
	progressSchema = 3
	claimSchema    = 2
	entrySchema    = 1
	envelopeSchema = 1
)

// The stored structs. Those whose fields are all plain are converted as a whole, so that a field added on one side alone does not
// compile; the others field by field, which the round trip test holds complete.
type (
	progressRecord struct {
		Schema     int                   `json:"schema"`
		Rev        uint64                `json:"rev"`
		User       userRecord            `json:"user"`
		Link       *linkRecord           `json:"link,omitempty"`
		Count      int                   `json:"count,omitzero"`
		Rotation   *rotationRecord       `json:"rotation,omitempty"`
		Past       []rotationRecord      `json:"past,omitempty"`
		Notices    []noticeRecord        `json:"notices,omitempty"`
		Exemptions []exemptionRecord     `json:"exemptions,omitempty"`
		Snoozes    []snoozeRecord        `json:"snoozes,omitempty"`
		Posts      map[string]postRecord `json:"posts,omitempty"`
		Owed       bool                  `json:"owed,omitzero"`
		Trail      []entryRecord         `json:"trail,omitempty"`
		Filed      int                   `json:"filed,omitzero"`
		Told       int                   `json:"told,omitzero"`
	}

	rotationRecord struct {
		ID        string            `json:"id"`
		Kind      rotation.Kind     `json:"kind"`
		User      userRecord        `json:"user"`
		UserID    string            `json:"user_id,omitzero"`
		Owner     rotation.MemberID `json:"owner,omitzero"`
		Group     rotation.GroupID  `json:"group,omitzero"`
		Requester rotation.MemberID `json:"requester,omitzero"`
		Once      string            `json:"once,omitzero"`
		Reason    string            `json:"reason,omitzero"`
		Old       rotation.KeyID    `json:"old,omitzero"`
		New       rotation.KeyID    `json:"new,omitzero"`
		Terms     termsRecord       `json:"terms,omitzero"`
		Delivery  deliveryRecord    `json:"delivery,omitzero"`
		Traits    traitsRecord      `json:"traits,omitzero"`
		Stage     rotation.Stage    `json:"stage"`
		Turn      int               `json:"turn,omitzero"`
		InPublic  bool              `json:"in_public,omitzero"`
		Begun     time.Time         `json:"begun,omitzero"`
		Since     time.Time         `json:"since,omitzero"`
		Deadline  time.Time         `json:"deadline,omitzero"`
		Held      time.Time         `json:"held,omitzero"`
		Work      string            `json:"work,omitzero"`
		Asks      []askRecord       `json:"asks,omitempty"`
		Intent    *intentRecord     `json:"intent,omitempty"`
		Retry     retryRecord       `json:"retry,omitzero"`
		Issued    int               `json:"issued,omitzero"`
		Then      rotation.Stage    `json:"then,omitzero"`
		Idle      lastUseRecord     `json:"idle,omitzero"`
		CutOff    time.Time         `json:"cut_off,omitzero"`
		Modal     string            `json:"modal,omitzero"`
		Collects  rotation.MemberID `json:"collects,omitzero"`
		Failure   failureRecord     `json:"failure,omitzero"`
		Lost      failureRecord     `json:"lost,omitzero"`
		Handover  handoverRecord    `json:"handover,omitzero"`
		Proof     proofRecord       `json:"proof,omitzero"`
		Trace     traceRecord       `json:"trace,omitzero"`
		Disowned  time.Time         `json:"disowned,omitzero"`
		Stale     []handoverRecord  `json:"stale,omitempty"`
	}

	linkRecord struct {
		Owner  rotation.MemberID `json:"owner"`
		By     rotation.MemberID `json:"by,omitzero"`
		At     time.Time         `json:"at,omitzero"`
		Untold bool              `json:"untold,omitzero"`
	}

	userRecord struct {
		Account string `json:"account"`
		Name    string `json:"name"`
	}

	termsRecord struct {
		Quiet    time.Duration   `json:"quiet_ns,omitzero"`
		Grace    time.Duration   `json:"grace_ns,omitzero"`
		Expires  time.Duration   `json:"expires_ns,omitzero"`
		Visible  time.Duration   `json:"visible_ns,omitzero"`
		Wanted   wantedRecord    `json:"wanted,omitzero"`
		Remind   []time.Duration `json:"remind_ns,omitempty"`
		Escalate time.Duration   `json:"escalate_ns,omitzero"`
	}

	wantedRecord struct {
		Create     int `json:"create,omitzero"`
		Deactivate int `json:"deactivate,omitzero"`
		Delete     int `json:"delete,omitzero"`
	}

	traitsRecord struct {
		Path string            `json:"path,omitzero"`
		Tags map[string]string `json:"tags,omitempty"`
	}

	deliveryRecord struct {
		Mode      rotation.Mode `json:"mode,omitzero"`
		Name      string        `json:"name,omitzero"`
		Region    string        `json:"region,omitzero"`
		KMSKey    string        `json:"kms_key,omitzero"`
		Recipient string        `json:"recipient,omitzero"`
		Set       time.Time     `json:"set,omitzero"`
	}

	askRecord struct {
		Stage     rotation.Stage   `json:"stage"`
		Turn      int              `json:"turn,omitzero"`
		At        time.Time        `json:"at,omitzero"`
		Evidence  evidenceRecord   `json:"evidence,omitzero"`
		Overruled decisionRecord   `json:"overruled,omitzero"`
		Wanted    int              `json:"wanted,omitzero"`
		Decisions []decisionRecord `json:"decisions,omitempty"`
		Closed    string           `json:"closed,omitzero"`
		Stuck     failureRecord    `json:"stuck,omitzero"`
		Reminders []reminderRecord `json:"reminders,omitempty"`
		Again     time.Time        `json:"again,omitzero"`
		Escalates time.Time        `json:"escalates,omitzero"`
		Escalated time.Time        `json:"escalated,omitzero"`
		Lapsed    time.Time        `json:"lapsed,omitzero"`
	}

	reminderRecord struct {
		By rotation.MemberID   `json:"by"`
		At time.Time           `json:"at,omitzero"`
		To []rotation.MemberID `json:"to,omitempty"`
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

	proofRecord struct {
		At      time.Time     `json:"at,omitzero"`
		Again   time.Time     `json:"again,omitzero"`
		Missing []blockRecord `json:"missing,omitempty"`
		Opened  int           `json:"opened,omitzero"`
	}

	blockRecord struct {
		Code  rotation.BlockCode `json:"code"`
		Key   keyRecord          `json:"key,omitzero"`
		Again time.Time          `json:"again,omitzero"`
	}

	handoverRecord struct {
		Post     postRecord `json:"post,omitzero"`
		Until    time.Time  `json:"until,omitzero"`
		Received time.Time  `json:"received,omitzero"`
		Gone     bool       `json:"gone,omitzero"`
		Failed   string     `json:"failed,omitzero"`
	}

	postRecord struct {
		Channel string    `json:"channel,omitzero"`
		TS      string    `json:"ts,omitzero"`
		Shown   string    `json:"shown,omitzero"`
		Nonce   string    `json:"nonce,omitzero"`
		At      time.Time `json:"at,omitzero"`
		Tries   int       `json:"tries,omitzero"`
	}

	noticeRecord struct {
		Kind    rotation.NoticeKind `json:"kind,omitzero"`
		Key     rotation.KeyID      `json:"key"`
		Days    int                 `json:"days,omitzero"`
		Owner   rotation.MemberID   `json:"owner,omitzero"`
		Created time.Time           `json:"created,omitzero"`
		Due     time.Time           `json:"due,omitzero"`
		From    time.Time           `json:"from,omitzero"`
		Sent    time.Time           `json:"sent,omitzero"`
		Failed  string              `json:"failed,omitzero"`
		Most    int                 `json:"most,omitzero"`
		Unused  rotation.Breach     `json:"unused,omitzero"`
		Use     lastUseRecord       `json:"use,omitzero"`
		Instead insteadRecord       `json:"instead,omitzero"`
		On      time.Time           `json:"on,omitzero"`
		To      []rotation.MemberID `json:"to,omitempty"`
		In      string              `json:"in,omitzero"`
		Among   []string            `json:"among,omitempty"`
	}

	insteadRecord struct {
		Alternative rotation.Alternative `json:"alternative,omitzero"`
		By          rotation.Sign        `json:"by,omitzero"`
		Word        string               `json:"word,omitzero"`
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
		Rev    uint64    `json:"rev,omitzero"`
		Holder string    `json:"holder,omitzero"`
		Note   string    `json:"note,omitzero"`
		Until  time.Time `json:"until,omitzero"` // of schema 1 alone, which had no rev and no note
	}

	// envelopeRecord is stored under the envelope's id.
	envelopeRecord struct {
		Schema int       `json:"schema"`
		Rev    uint64    `json:"rev"`
		At     time.Time `json:"at,omitzero"`
		Holder string    `json:"holder,omitzero"`
		Body   []byte    `json:"body,omitempty"`
		Done   bool      `json:"done,omitzero"`
	}
)

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
