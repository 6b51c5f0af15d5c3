package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/keyturner/keyturner/rotation"
)

// kind is what a document is about. Every document has a key, which is one of its kind's, and a rev.
type kind string

const (
	progressKind kind = "progress" // by UserRef.ID; open: Live
	claimKind    kind = "claim"    // by name
	entryKind    kind = "entry"    // by the key it was recorded under; always at rev 1
	inboxKind    kind = "inbox"    // by the envelope's id; open: not Done
	readingKind  kind = "reading"  // by scan, account, turn and part; always at rev 1
)

// kinds are those of the documents. Readings are not among them: nothing is lost with them, so that they are not checked when a file is
// opened, counted in a backup, or copied to another store.
var kinds = []kind{progressKind, claimKind, entryKind, inboxKind}

// document is what a backend stores of any kind, without knowing what it says.
type document struct {
	key     string
	rev     uint64
	text    []byte
	open    bool      // something is to be done about it still, so that it is in the index of its kind
	expires time.Time // when a backend may drop it by itself; zero: never
}

// sealed is a document with what it says: as it will be read again, which makes it a deep copy.
type sealed[T any] struct {
	document
	kept T
}

// follows tells whether d may take the place of the stored document: the one before it, or none for the first.
func (d document) follows(stored []byte) error {
	var at uint64
	if stored != nil {
		var err error
		if at, err = revOf(stored); err != nil {
			return err
		}
	}
	return d.followsRev(at)
}

// followsRev is follows with the stored document's rev; 0: there is none.
func (d document) followsRev(at uint64) error {
	if at+1 != d.rev {
		return fmt.Errorf("stored at rev %d: %w", at, rotation.ErrConflict)
	}
	return nil
}

// revOf reads the rev of a stored document. An entry, which is never replaced, has none, nor has a claim of schema 1: they are at the first.
func revOf(doc []byte) (uint64, error) {
	at := struct {
		Rev uint64 `json:"rev"`
	}{1}
	if err := json.Unmarshal(doc, &at); err != nil {
		return 0, fmt.Errorf("read the stored rev: %w", err)
	}
	return at.Rev, nil
}

// last is the rev after which there is none.
const last = math.MaxUint64

// sealNew prepares what Create stores.
func sealNew(p rotation.Progress) (sealed[rotation.Progress], error) {
	p.Rev = 1
	return sealProgress(p)
}

// sealNext prepares what Replace stores. A progress that was never stored has nothing to replace.
func sealNext(p rotation.Progress) (sealed[rotation.Progress], error) {
	if p.Rev == 0 || p.Rev == last {
		return sealed[rotation.Progress]{}, rotation.ErrConflict
	}
	p.Rev++
	return sealProgress(p)
}

// sealProgress encodes p. A user whose name would not be read again as it was given is refused, since the document could not be found
// under its id.
func sealProgress(p rotation.Progress) (s sealed[rotation.Progress], err error) {
	s.key, s.rev = p.User.ID(), p.Rev
	if s.text, err = encodeProgress(p); err != nil {
		return s, err
	}
	s.kept, err = decodeProgress(s.key, s.text)
	s.open = s.kept.Live()
	return s, err
}

// sealClaim prepares what Claim stores.
func sealClaim(c rotation.Claim) (s sealed[rotation.Claim], err error) {
	if err := checkKey(c.Name); err != nil {
		return s, err
	}
	if c.Rev == last {
		return s, rotation.ErrConflict
	}
	s.key, s.rev = c.Name, c.Rev+1
	if s.text, err = json.Marshal(claimRecord{Schema: claimSchema, Rev: s.rev, Holder: c.Holder, Note: c.Note}); err != nil {
		return s, err
	}
	s.kept, err = decodeClaim(s.key, s.text)
	return s, err
}

// sealAccepted prepares what Accept stores.
func sealAccepted(v rotation.Envelope) (sealed[rotation.Envelope], error) {
	v.Rev = 1
	return sealEnvelope(v)
}

// sealSettled prepares what Settle stores. An envelope that was never accepted cannot be settled.
func sealSettled(v rotation.Envelope) (sealed[rotation.Envelope], error) {
	if v.Rev == 0 || v.Rev == last {
		return sealed[rotation.Envelope]{}, rotation.ErrConflict
	}
	v.Rev++
	return sealEnvelope(v)
}

// keepDone is how long an envelope that is done stays at least. That is far longer than Slack delivers again, and than anybody's clock
// is wrong; who calls Forget drops it long before.
const keepDone = 7 * 24 * time.Hour

// sealEnvelope encodes v. One that is done stays only to recognise a second delivery, so its body goes, whoever forgot to empty it.
func sealEnvelope(v rotation.Envelope) (s sealed[rotation.Envelope], err error) {
	if err := checkKey(v.ID); err != nil {
		return s, err
	}
	s.key, s.rev, s.open = v.ID, v.Rev, !v.Done
	if v.Done {
		v.Body, s.expires = nil, v.At.Add(keepDone)
	}
	r := envelopeRecord{Schema: envelopeSchema, Rev: v.Rev, At: v.At.UTC(), Holder: v.Holder, Body: v.Body, Done: v.Done}
	if s.text, err = json.Marshal(r); err != nil {
		return s, err
	}
	s.kept, err = decodeEnvelope(s.key, s.text)
	return s, err
}

func encodeProgress(p rotation.Progress) ([]byte, error) { return json.Marshal(fromProgress(p)) }

// decodeProgress reads the document stored under id, and refuses one that is about another user. Schema 1 did not say whether messages
// are owed: so they may be.
func decodeProgress(id string, doc []byte) (rotation.Progress, error) {
	var r progressRecord
	if err := decode(doc, progressSchema, &r, &r.Schema); err != nil {
		return rotation.Progress{}, err
	}
	p := r.progress()
	p.Owed = p.Owed || r.Schema == 1
	if got := p.User.ID(); got != id {
		return rotation.Progress{}, fmt.Errorf("it is about %s, whose id is %s", p.User, got)
	}
	return p, nil
}

// sealEntry prepares what Record stores.
func sealEntry(key string, e rotation.Entry) (document, error) {
	if err := checkKey(key); err != nil {
		return document{}, err
	}
	text, err := encodeEntry(e)
	return document{key: key, rev: 1, text: text}, err
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

// decodeClaim reads a claim. One of schema 1 was a lease: its holder keeps it, and its end becomes the note.
func decodeClaim(name string, doc []byte) (rotation.Claim, error) {
	var r claimRecord
	if err := decode(doc, claimSchema, &r, &r.Schema); err != nil {
		return rotation.Claim{}, err
	}
	c := rotation.Claim{Name: name, Rev: r.Rev, Holder: r.Holder, Note: r.Note}
	switch {
	case r.Schema == 1:
		c.Rev, c.Note = 1, "until "+r.Until.Format(time.RFC3339)
	case r.Rev == 0 || !r.Until.IsZero():
		return rotation.Claim{}, errors.New("it has no rev, or an end: it is no claim")
	}
	return c, nil
}

func decodeEnvelope(id string, doc []byte) (rotation.Envelope, error) {
	var r envelopeRecord
	if err := decode(doc, envelopeSchema, &r, &r.Schema); err != nil {
		return rotation.Envelope{}, err
	}
	if r.Rev == 0 {
		return rotation.Envelope{}, errors.New("it has no rev: it is no envelope")
	}
	return rotation.Envelope{ID: id, Rev: r.Rev, At: r.At, Holder: r.Holder, Body: r.Body, Done: r.Done}, nil
}

// parse reads all of a stored document, and what the backend has to know of it.
func (k kind) parse(key string, text []byte) (document, error) {
	d := document{key: key, rev: 1, text: text}
	var err error
	switch k {
	case progressKind:
		var p rotation.Progress
		p, err = decodeProgress(key, text)
		d.rev, d.open = p.Rev, p.Live()
	case claimKind:
		var c rotation.Claim
		c, err = decodeClaim(key, text)
		d.rev = c.Rev
	case entryKind:
		_, err = decodeEntry(text)
	case inboxKind:
		var v rotation.Envelope
		v, err = decodeEnvelope(key, text)
		d.rev, d.open = v.Rev, !v.Done
	}
	return d, err
}

// maxKey bounds the names that callers choose, so that every backend can have them as keys: DynamoDB's sort keys are that long.
const maxKey = 1024

// checkKey refuses what cannot be the name of a claim, the id of an envelope or the key of an entry, and would be a mistake of the caller.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("it needs a name that is not empty")
	case len(key) > maxKey:
		return fmt.Errorf("a name has at most %d bytes, not %d", maxKey, len(key))
	case !utf8.ValidString(key):
		return errors.New("a name is UTF-8")
	}
	return nil
}
