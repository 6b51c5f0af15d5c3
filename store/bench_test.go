package store_test

import (
	"errors"
	"path/filepath"
	"slices"
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

// BenchmarkDynamo tells what our side of a write costs, and dynalite's: nothing about DynamoDB.
func BenchmarkDynamo(b *testing.B) {
	endpoint := dynalitetest.Start(b)
	b.Run("Replace", func(b *testing.B) {
		s := openTable(b, endpoint, newTable(b, endpoint))
		p, err := s.Create(b.Context(), typical(0))
		for b.Loop() {
			if err == nil {
				p, err = s.Replace(b.Context(), p)
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkWrite compares writes with the least that a durable one of as many bytes can be in bbolt: putting a document and having it on the
// disk. After each one such a put is made. Move is a decision of a person, from reading where the rotation stands to its entry being kept;
// Accept takes in an envelope.
func BenchmarkWrite(b *testing.B) {
	b.Run("Move", func(b *testing.B) {
		s := openBolt(b, filepath.Join(b.TempDir(), "keyturner.db"))
		engine, err := rotation.New(rotation.Config{Store: s, Hand: struct{ rotation.Hand }{}, Approvers: []rotation.MemberID{"U02APPROVER"}})
		if err != nil {
			b.Fatal(err)
		}
		besidePut(b, func(i int) (rotation.Progress, error) {
			p := typical(i)
			r := p.Rotation
			r.ID, r.User, r.Stage, r.Turn = p.User.ID()+"-1", p.User, rotation.Requested, 1
			r.Asks = append(r.Asks, rotation.Ask{Stage: rotation.Requested, Turn: 1, At: r.Begun})
			return s.Create(b.Context(), p)
		}, func(p rotation.Progress) error {
			by := rotation.Actor{Member: "U02APPROVER", Approver: true}
			_, err := engine.Act(b.Context(), p.Rotation.Ref(), rotation.Deny, by, "It is not needed.")
			return err
		})
	})
	b.Run("Accept", func(b *testing.B) {
		s := openBolt(b, filepath.Join(b.TempDir(), "keyturner.db"))
		body := make([]byte, 3000)
		besidePut(b, func(i int) (rotation.Envelope, error) {
			return rotation.Envelope{ID: strconv.Itoa(i), At: time.Now(), Body: body}, nil
		}, func(v rotation.Envelope) error {
			_, err := s.Accept(b.Context(), v)
			return err
		})
	})
}

// besidePut measures write, on what ready has made ready, beside putting a document of 4 KB in place of another with bbolt alone.
func besidePut[T any](b *testing.B, ready func(i int) (T, error), write func(T) error) {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	doc := make([]byte, 4000)
	put := func(i int) error {
		return db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("progress"))
			if err != nil {
				return err
			}
			return bucket.Put([]byte(typical(i%benchUsers).User.ID()), doc)
		})
	}
	for i := range benchUsers {
		if err := put(i); err != nil {
			b.Fatal(err)
		}
	}
	var ours, plain []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		what, err := ready(i)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		begun := time.Now()
		err = write(what)
		between := time.Now()
		b.StopTimer()
		err = errors.Join(err, put(i))
		if err != nil {
			b.Fatal(err)
		}
		ours, plain = append(ours, between.Sub(begun)), append(plain, time.Since(between))
		b.StartTimer()
	}
	b.ReportMetric(1/median(ours), "writes/s")
	b.ReportMetric(1/median(plain), "puts/s")
	b.ReportMetric(median(ours)/median(plain), "x-put")
}

// median is in seconds.
func median(of []time.Duration) float64 {
	slices.Sort(of)
	return of[len(of)/2].Seconds()
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
