package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// backend keeps documents without knowing what they say. It is all that a further kind of store has to bring along, besides a way to
// open it. What it calls back may call every method: no lock is held and no transaction open meanwhile.
type backend interface {
	// put stores d if it may follow what is stored. ErrConflict: it may not, and nothing was changed.
	put(ctx context.Context, k kind, d document) error
	// get reads a document. ErrNotFound: there is none.
	get(ctx context.Context, k kind, key string) ([]byte, error)
	// each calls fn with every document of a kind, in the order of keys, each as it is when its turn comes.
	each(ctx context.Context, k kind, fn func(key string, text []byte) error) error
	// open calls fn with the key and the rev of every open document of a kind. It may lag behind a write by a moment.
	open(ctx context.Context, k kind, fn func(key string, rev uint64) error) error
	// drop removes the documents that are still at the rev they have in list, or at whichever for anyRev.
	drop(ctx context.Context, k kind, list []document) error
}

// documents implements rotation.Store with a backend.
type documents struct{ back backend }

// anyRev has a document dropped without a look at it.
const anyRev = 0

// batch is how many documents one transaction reads or drops at most.
const batch = 64

// Get implements rotation.Store.
func (d documents) Get(ctx context.Context, id string) (rotation.Progress, error) {
	text, err := d.back.get(ctx, progressKind, id)
	var p rotation.Progress
	if err == nil {
		p, err = decodeProgress(id, text)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("get progress %.100q: %w", id, err)
	}
	return p, nil
}

// Create implements rotation.Store.
func (d documents) Create(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s, err := sealNew(p)
	if err == nil {
		err = d.back.put(ctx, progressKind, s.document)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("create progress of %s: %w", p.User, err)
	}
	return s.kept, nil
}

// Replace implements rotation.Store.
func (d documents) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s, err := sealNext(p)
	if err == nil {
		err = d.back.put(ctx, progressKind, s.document)
	}
	if err != nil {
		return rotation.Progress{}, fmt.Errorf("replace progress of %s at rev %d: %w", p.User, p.Rev, err)
	}
	return s.kept, nil
}

// Scan implements rotation.Store.
func (d documents) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	return d.back.each(ctx, progressKind, func(id string, text []byte) error {
		p, err := decodeProgress(id, text)
		if err != nil {
			return fmt.Errorf("scan: read progress %q: %w", id, err)
		}
		return fn(p)
	})
}

// Live implements rotation.Store.
func (d documents) Live(ctx context.Context, fn func(id string, rev uint64) error) error {
	return d.back.open(ctx, progressKind, fn)
}

// Claimed implements rotation.Store.
func (d documents) Claimed(ctx context.Context, name string) (rotation.Claim, error) {
	text, err := d.back.get(ctx, claimKind, name)
	var c rotation.Claim
	if err == nil {
		c, err = decodeClaim(name, text)
	}
	if err != nil {
		return rotation.Claim{}, fmt.Errorf("read claim %.100q: %w", name, err)
	}
	return c, nil
}

// Claim implements rotation.Store.
func (d documents) Claim(ctx context.Context, c rotation.Claim) (rotation.Claim, error) {
	s, err := sealClaim(c)
	if err == nil {
		err = d.back.put(ctx, claimKind, s.document)
	}
	if err != nil {
		return rotation.Claim{}, fmt.Errorf("claim %.100q at rev %d: %w", c.Name, c.Rev, err)
	}
	return s.kept, nil
}

// Record implements rotation.Store.
func (d documents) Record(ctx context.Context, key string, e rotation.Entry) error {
	doc, err := sealEntry(key, e)
	if err == nil {
		err = d.back.put(ctx, entryKind, doc)
	}
	if err != nil && !errors.Is(err, rotation.ErrConflict) { // it is kept already
		return fmt.Errorf("record entry %.100q of %q: %w", key, e.Action, err)
	}
	return nil
}

// Entries implements rotation.Store.
func (d documents) Entries(ctx context.Context, fn func(key string, e rotation.Entry) error) error {
	return d.back.each(ctx, entryKind, func(key string, text []byte) error {
		e, err := decodeEntry(text)
		if err != nil {
			return fmt.Errorf("read entry %.100q: %w", key, err)
		}
		return fn(key, e)
	})
}

// Accept implements rotation.Inbox.
func (d documents) Accept(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	s, err := sealAccepted(v)
	if err == nil {
		err = d.back.put(ctx, inboxKind, s.document)
	}
	if err != nil {
		return rotation.Envelope{}, fmt.Errorf("accept envelope %.100q: %w", v.ID, err)
	}
	return s.kept, nil
}

// Settle implements rotation.Inbox.
func (d documents) Settle(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	s, err := sealSettled(v)
	if err == nil {
		err = d.back.put(ctx, inboxKind, s.document)
	}
	if err != nil {
		return rotation.Envelope{}, fmt.Errorf("settle envelope %.100q at rev %d: %w", v.ID, v.Rev, err)
	}
	return s.kept, nil
}

// Waiting implements rotation.Inbox. Each envelope is read by itself, so that one which is done by now is left out although the index has
// not followed yet.
func (d documents) Waiting(ctx context.Context, fn func(rotation.Envelope) error) error {
	odd := odd{what: "envelope"}
	err := d.back.open(ctx, inboxKind, func(id string, _ uint64) error {
		text, err := d.back.get(ctx, inboxKind, id)
		if errors.Is(err, rotation.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read envelope %.100q: %w", id, err)
		}
		v, err := decodeEnvelope(id, text)
		if err != nil {
			odd.add(id, err)
			return nil
		}
		if v.Done {
			return nil
		}
		return fn(v)
	})
	if err != nil {
		return err
	}
	return odd.err()
}

// odd are documents that cannot be read. They hide none of the others, and are not passed over in silence.
type odd struct {
	what  string
	n     int
	first error
}

func (o *odd) add(key string, err error) {
	if o.n++; o.n == 1 {
		o.first = fmt.Errorf("read %s %.100q: %w", o.what, key, err)
	}
}

func (o *odd) err() error {
	if o.n > 1 {
		return fmt.Errorf("%w; and %d more like it", o.first, o.n-1)
	}
	return o.first
}

// Forget implements rotation.Inbox. A crash leaves some of them for the next call.
func (d documents) Forget(ctx context.Context, before time.Time) error {
	var old []document
	odd := odd{what: "envelope"}
	err := d.back.each(ctx, inboxKind, func(id string, text []byte) error {
		v, err := decodeEnvelope(id, text)
		if err != nil {
			odd.add(id, err)
			return nil
		}
		if !v.Done || !v.At.Before(before) {
			return nil
		}
		if old = append(old, document{key: id, rev: v.Rev}); len(old) < batch {
			return nil
		}
		err = d.back.drop(ctx, inboxKind, old)
		old = old[:0]
		return err
	})
	if err == nil && len(old) > 0 {
		err = d.back.drop(ctx, inboxKind, old)
	}
	if err == nil {
		err = odd.err()
	}
	if err != nil {
		return fmt.Errorf("forget envelopes: %w", err)
	}
	return nil
}
