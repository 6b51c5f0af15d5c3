package store

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
)

var errBroken = errors.New("broken for the test")

// SetFresh sets how old a page may be that documents are still taken from.
func SetFresh(d *Dynamo, age time.Duration) { d.table.fresh = age }

// Drop removes an envelope that is still at rev.
func Drop(ctx context.Context, s rotation.Store, id string, rev uint64) error {
	return s.(interface{ contents() documents }).contents().back.drop(ctx, inboxKind, []document{{key: id, rev: rev}})
}

// Break makes every change of a Mem or a Bolt fail from now on, before or after it is committed, until mend is called.
func Break(s rotation.Store, applied bool) (mend func()) {
	switch s := s.(type) {
	case *Mem:
		back := s.back.(*memory)
		whole := back.commit
		back.commit = func(apply func() error) error {
			if !applied {
				return errBroken
			}
			if err := whole(apply); err != nil {
				return err
			}
			return errBroken
		}
		return func() { back.commit = whole }
	case *Bolt:
		back := s.back.(*boltFile)
		whole := back.commit
		back.commit = func(apply func(*bbolt.Tx) error) error {
			err := whole(func(tx *bbolt.Tx) error {
				err := apply(tx)
				if err == nil && !applied {
					err = errBroken
				}
				return err
			})
			if err == nil {
				err = errBroken
			}
			return err
		}
		return func() { back.commit = whole }
	}
	return nil
}

// Scribble has a Mem hold something else than what was stored as an envelope, as another program might leave it in a table.
func Scribble(m *Mem, id string) {
	kept := m.back.(*memory).kinds[inboxKind]
	d := kept[id]
	d.text = []byte("no JSON")
	kept[id] = d
}

// PutOddReading stores what is no reading of this version where readings are.
func PutOddReading(ctx context.Context, s rotation.Store, key, text string) error {
	return s.(interface{ contents() documents }).contents().back.put(ctx, readingKind, document{key: key, rev: 1, text: []byte(text)})
}
