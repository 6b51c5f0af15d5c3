package store_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/dynalitetest"
)

// benchUsers is how many documents there are already.
const benchUsers = 200

// typical is a progress of about 4 KB, as after one whole rotation.
func typical(n int) rotation.Progress {
	now := time.Now()
	keys := []rotation.Key{{ID: "AKIAIOSFODNN7EXAMPLE", Status: rotation.Active, Created: now}, {ID: "AKIAI44QH8DHBEXAMPLE", Created: now}}
	ask := rotation.Ask{
		Stage: rotation.Confirmed, At: now, Evidence: rotation.Evidence{At: now, UserID: "AIDACKCEVSQ6C2EXAMPLE", Keys: keys},
		Decisions: []rotation.Decision{{By: "U02APPROVER", At: now, Approve: true, Evidence: "abcdefghijklmnop"}}, Closed: "approve",
	}
	p := rotation.Progress{
		User:     rotation.UserRef{Account: "111122223333", Name: "user-" + strconv.Itoa(n)},
		Rotation: &rotation.Rotation{Stage: rotation.Grace, Owner: "U01OWNER", Begun: now, Since: now, Asks: []rotation.Ask{ask, ask, ask}},
	}
	for range 8 {
		p.Trail = append(p.Trail, rotation.Entry{At: now, Actor: "engine", Action: "succeed", Outcome: "moved", Detail: strings.Repeat("d", 60)})
	}
	return p
}

// replacing replaces the documents of benchUsers in turn.
func replacing(b *testing.B, s rotation.Store) {
	b.Helper()
	kept := make([]rotation.Progress, benchUsers)
	for i := range kept {
		var err error
		if kept[i], err = s.Create(b.Context(), typical(i)); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		p := &kept[i%benchUsers]
		var err error
		if *p, err = s.Replace(b.Context(), *p); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b)
}

// BenchmarkDynamo tells what our side of a write costs, and dynalite's: nothing about DynamoDB.
func BenchmarkDynamo(b *testing.B) {
	endpoint := dynalitetest.Start(b)
	b.Run("Replace", func(b *testing.B) { replacing(b, openTable(b, endpoint, newTable(b, endpoint))) })
}

// BenchmarkWrite compares Replace, and taking in an envelope, with the least that a durable write of as many bytes can be in bbolt.
func BenchmarkWrite(b *testing.B) {
	b.Run("Replace", func(b *testing.B) {
		replacing(b, openBolt(b, filepath.Join(b.TempDir(), "keyturner.db")))
	})
	b.Run("Accept", func(b *testing.B) {
		s := openBolt(b, filepath.Join(b.TempDir(), "keyturner.db"))
		body := make([]byte, 3000)
		for i := 0; b.Loop(); i++ {
			if _, err := s.Accept(b.Context(), rotation.Envelope{ID: strconv.Itoa(i), At: time.Now(), Body: body}); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b)
	})
	b.Run("bbolt.Put", func(b *testing.B) {
		db, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		doc := make([]byte, 4000)
		write := func(i int) {
			err := db.Update(func(tx *bbolt.Tx) error {
				bucket, err := tx.CreateBucketIfNotExists([]byte("progress"))
				if err != nil {
					return err
				}
				return bucket.Put([]byte(typicalIDs[i%benchUsers]), doc)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		for i := range benchUsers {
			write(i)
		}
		for i := 0; b.Loop(); i++ {
			write(i)
		}
		perSecond(b)
	})
}

var typicalIDs = func() (ids [benchUsers]string) {
	for i := range ids {
		ids[i] = typical(i).User.ID()
	}
	return ids
}()

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}

// BenchmarkRead tells what a scan of a company's users costs, on top of opening the file, which reads everything once.
func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keyturner.db")
	s := openBolt(b, path)
	for i := range benchUsers {
		if _, err := s.Create(b.Context(), typical(i)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Scan200", func(b *testing.B) {
		for b.Loop() {
			if err := s.Scan(b.Context(), func(rotation.Progress) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("Open200", func(b *testing.B) {
		for b.Loop() {
			s, err := store.OpenBolt(path, store.Config{})
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
