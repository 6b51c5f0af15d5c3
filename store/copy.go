package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// Two claims mark stores that are not to be run on. Where two copies of one store are run on, each of them makes every effect: so the
// one that was copied is marked too.
const (
	copyMark  = "copy"  // of the target; its note says how far the copy is
	movedMark = "moved" // of the source; its note says where to

	copying = "unfinished, of "
	copied  = "finished, of "
)

// Copied counts what Copy has found in the source, and so in the target.
type Copied struct{ Users, Claims, Entries, Envelopes int }

// Copy copies everything from one store to another, which must be empty or hold an unfinished copy of the same one, and then reads both
// to compare them. The names are what the marks say: how the stores are opened. Nobody may run on either of them meanwhile. It can be
// cut off anywhere and called again: what is there already is compared, and written again only if it differs.
//
// A crash leaves a target that Usable refuses, until a later call has finished it. The source is marked last: a crash just before
// leaves two whole stores, and calling Copy again marks it.
func Copy(ctx context.Context, from, to Closer, fromName, toName string) (Copied, error) {
	source, err := contents(from)
	if err != nil {
		return Copied{}, err
	}
	target, err := contents(to)
	if err != nil {
		return Copied{}, err
	}
	for _, s := range []Closer{from, to} {
		if err := quiet(ctx, s); err != nil {
			return Copied{}, err
		}
	}
	if err := beginCopy(ctx, target, fromName); err != nil {
		return Copied{}, err
	}
	var found Copied
	for _, k := range kinds {
		if err := copyKind(ctx, k, source, target); err != nil {
			return found, err
		}
	}
	if found, err = compare(ctx, source, target); err != nil {
		return found, err
	}
	if err := mark(ctx, target, copyMark, copied+fromName); err != nil {
		return found, err
	}
	return found, mark(ctx, source, movedMark, toName)
}

// Usable refuses a store that nobody may run on: one that is an unfinished copy, or was copied to another.
func Usable(ctx context.Context, s rotation.Store) error {
	c, err := s.Claimed(ctx, copyMark)
	if err == nil && strings.HasPrefix(c.Note, copying) {
		return fmt.Errorf("this store is an unfinished copy of %s: finish it with keyturner store copy", strings.TrimPrefix(c.Note, copying))
	}
	if err == nil || errors.Is(err, rotation.ErrNotFound) {
		c, err = s.Claimed(ctx, movedMark)
	}
	switch {
	case err == nil && c.Note != "":
		return fmt.Errorf("this store was copied to %s, and two that are run on would do everything twice: run on that one, or copy this one to a new place", c.Note)
	case err != nil && !errors.Is(err, rotation.ErrNotFound):
		return fmt.Errorf("read whether the store may be run on: %w", err)
	}
	return nil
}

func contents(s Closer) (documents, error) {
	if has, ok := s.(interface{ contents() documents }); ok {
		return has.contents(), nil
	}
	return documents{}, fmt.Errorf("a store of type %T cannot be copied", s)
}

func (d documents) contents() documents { return d }

// leadTime is longer than whoever leads may leave its claim unchanged.
const leadTime = 25 * time.Second

// quiet refuses a store that a process leads on. A file's lock has told already.
func quiet(ctx context.Context, s Closer) error {
	if !s.Shared() {
		return nil
	}
	before, err := s.Claimed(ctx, rotation.LeadClaim)
	if errors.Is(err, rotation.ErrNotFound) || err == nil && before.Holder == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("see whether anybody runs on the store: %w", err)
	}
	timer := time.NewTimer(leadTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	after, err := s.Claimed(ctx, rotation.LeadClaim)
	switch {
	case err != nil:
		return fmt.Errorf("see whether anybody runs on the store: %w", err)
	case after.Rev != before.Rev:
		return errors.New("a keyturner runs on the store: stop every one of them first")
	}
	return nil
}

// beginCopy marks the target as an unfinished copy. It refuses one that holds anything else.
func beginCopy(ctx context.Context, target documents, fromName string) error {
	c, err := target.Claimed(ctx, copyMark)
	switch {
	case err == nil && (c.Note == copying+fromName || c.Note == copied+fromName):
		return nil
	case err == nil:
		return fmt.Errorf("the target is a copy already: %s; give an empty one", c.Note)
	case !errors.Is(err, rotation.ErrNotFound):
		return err
	}
	for _, k := range kinds {
		err := target.back.each(ctx, k, func(key string, _ []byte) error {
			return fmt.Errorf("the target is in use: it holds the %s %q; give an empty one", k, key)
		})
		if err != nil {
			return err
		}
	}
	return mark(ctx, target, copyMark, copying+fromName)
}

func mark(ctx context.Context, d documents, name, note string) error {
	c, err := d.Claimed(ctx, name)
	if errors.Is(err, rotation.ErrNotFound) {
		c, err = rotation.Claim{Name: name}, nil
	}
	if err != nil || c.Note == note {
		return err
	}
	c.Note = note
	_, err = d.Claim(ctx, c)
	return err
}

// stays tells what belongs to one store alone.
func stays(k kind, key string) bool {
	return k == claimKind && (key == copyMark || key == movedMark || key == rotation.LeadClaim)
}

func copyKind(ctx context.Context, k kind, source, target documents) error {
	finished := false
	if c, err := target.Claimed(ctx, copyMark); err == nil {
		finished = strings.HasPrefix(c.Note, copied)
	}
	return source.back.each(ctx, k, func(key string, text []byte) error {
		if stays(k, key) {
			return nil
		}
		stored, err := target.back.get(ctx, k, key)
		if errors.Is(err, rotation.ErrNotFound) {
			stored, err = nil, nil
		}
		same := false
		if err == nil && stored != nil {
			same, err = k.same(key, text, stored)
		}
		switch {
		case err != nil:
			return fmt.Errorf("read the %s %q of the target: %w", k, key, err)
		case same:
			return nil
		case finished:
			return fmt.Errorf("the %s %q is not as it was copied: one of the two stores has been run on since; give an empty target", k, key)
		}
		rev := uint64(1)
		if stored != nil {
			if rev, err = revOf(stored); err != nil {
				return err
			}
			rev++
		}
		d, err := k.at(key, text, rev)
		if err == nil {
			err = target.back.put(ctx, k, d)
		}
		if err != nil {
			return fmt.Errorf("copy the %s %q: %w", k, key, err)
		}
		return nil
	})
}

// compare reads both stores from end to end.
func compare(ctx context.Context, source, target documents) (Copied, error) {
	var found Copied
	for _, k := range kinds {
		n := 0
		err := source.back.each(ctx, k, func(key string, text []byte) error {
			if stays(k, key) {
				return nil
			}
			n++
			stored, err := target.back.get(ctx, k, key)
			same := false
			if err == nil {
				same, err = k.same(key, text, stored)
			}
			if err == nil && !same {
				err = errors.New("it is not the same")
			}
			if err != nil {
				return fmt.Errorf("compare the %s %q: %w", k, key, err)
			}
			return nil
		})
		if err != nil {
			return found, err
		}
		there := 0
		err = target.back.each(ctx, k, func(key string, _ []byte) error {
			if !stays(k, key) {
				there++
			}
			return nil
		})
		if err != nil {
			return found, err
		}
		if there != n {
			return found, fmt.Errorf("compare the copy: the source has %d of %s, and the target %d", n, k, there)
		}
		*map[kind]*int{progressKind: &found.Users, claimKind: &found.Claims, entryKind: &found.Entries, inboxKind: &found.Envelopes}[k] = n
	}
	return found, nil
}

// same compares two stored documents but for their revs, which count writes of one store.
func (k kind) same(key string, a, b []byte) (bool, error) {
	x, err := k.at(key, a, 1)
	if err != nil {
		return false, err
	}
	y, err := k.at(key, b, 1)
	return err == nil && bytes.Equal(x.text, y.text), err
}

// at is a stored document as it would be at another rev.
func (k kind) at(key string, text []byte, rev uint64) (document, error) {
	switch k {
	case progressKind:
		p, err := decodeProgress(key, text)
		if err != nil {
			return document{}, err
		}
		p.Rev = rev
		s, err := sealProgress(p)
		return s.document, err
	case claimKind:
		c, err := decodeClaim(key, text)
		if err != nil {
			return document{}, err
		}
		c.Rev = rev - 1
		s, err := sealClaim(c)
		return s.document, err
	case inboxKind:
		v, err := decodeEnvelope(key, text)
		if err != nil {
			return document{}, err
		}
		v.Rev = rev
		s, err := sealEnvelope(v)
		return s.document, err
	}
	e, err := decodeEntry(text)
	if err != nil {
		return document{}, err
	}
	return sealEntry(key, e)
}
