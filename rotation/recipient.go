package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Recipient is the public key that a Member has set for the secrets that are sealed for them.
//
// It is kept as the note of a claim, one for each Member: a claim is what a store has for a name that one value belongs to, changed by
// compare-and-swap, backed up and copied with the rest. So there is no further kind of document for three short fields.
type Recipient struct {
	Key  string    // as the sealing reads it; nothing secret
	At   time.Time // when it was set
	Told bool      // its Member has been told of it
}

type recipientNote struct {
	Key  string    `json:"key"`
	At   time.Time `json:"at"`
	Told bool      `json:"told,omitempty"`
}

func recipientClaim(m MemberID) string { return "mykey/" + string(m) }

// Recipient reads the public key of a member. ErrNotFound: they have set none.
func (e *Engine) Recipient(ctx context.Context, m MemberID) (Recipient, error) {
	_, set, err := e.recipient(ctx, m)
	return set, err
}

func (e *Engine) recipient(ctx context.Context, m MemberID) (Claim, Recipient, error) {
	c, err := e.cfg.Store.Claimed(ctx, recipientClaim(m))
	if err != nil {
		return Claim{Name: recipientClaim(m)}, Recipient{}, fmt.Errorf("read the public key of %s: %w", m, err)
	}
	var note recipientNote
	if err := json.Unmarshal([]byte(c.Note), &note); err != nil || note.Key == "" {
		return c, Recipient{}, fmt.Errorf("read the public key of %s: the note of its claim is none that this program wrote", m)
	}
	return c, Recipient(note), nil
}

// SetRecipient keeps a member's public key in place of an earlier one, and records that. Rotations that run keep the one that they began
// with. It may be done again: setting the same key again changes nothing, and records nothing twice.
//
// A crash before the claim is written leaves the earlier key; one after it, a key that is not recorded and that its member is not told of
// yet, which doing it again finds by Told.
func (e *Engine) SetRecipient(ctx context.Context, m MemberID, key, called string) (Recipient, error) {
	for {
		c, set, err := e.recipient(ctx, m)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return set, err
		}
		if set.Key != key {
			set = Recipient{Key: key, At: e.now()}
			err = e.keepRecipient(ctx, c, m, set)
		} else {
			err = nil
		}
		switch {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			return set, err
		}
		err = e.cfg.Store.Record(ctx, keyTime(set.At)+"/"+recipientClaim(m), Entry{
			At: set.At, Actor: string(m), Action: "set-public-key", Outcome: "moved", Detail: clip("secrets are sealed for " + called),
		})
		if err != nil {
			return set, fmt.Errorf("record the public key of %s: %w", m, err)
		}
		return set, nil
	}
}

func (e *Engine) keepRecipient(ctx context.Context, c Claim, m MemberID, set Recipient) error {
	note, err := json.Marshal(recipientNote{set.Key, set.At.UTC(), set.Told})
	if err != nil {
		return fmt.Errorf("keep the public key of %s: %w", m, err)
	}
	c.Holder, c.Note = string(m), string(note)
	if _, err := e.cfg.Store.Claim(ctx, c); err != nil {
		return fmt.Errorf("keep the public key of %s: %w", m, err)
	}
	return nil
}

// ToldRecipient notes that a member has been told that this key was set for them. A crash before its write has them told again.
func (e *Engine) ToldRecipient(ctx context.Context, m MemberID, told Recipient) error {
	c, set, err := e.recipient(ctx, m)
	if err != nil || set.Key != told.Key || !set.At.Equal(told.At) || set.Told {
		return err
	}
	set.Told = true
	return e.keepRecipient(ctx, c, m, set)
}
