package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// withEverything fills a store with documents of each kind, some of them at later revs.
func withEverything(t *testing.T, s Closer) Closer {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 70 {
		p, err := s.Create(t.Context(), rotation.Progress{User: rotation.UserRef{Account: "111122223333", Name: fmt.Sprintf("user-%d", i)}, Owed: i%2 == 0})
		must(err)
		if i%3 == 0 {
			p.Count = i
			_, err = s.Replace(t.Context(), p)
			must(err)
		}
		must(s.Record(t.Context(), fmt.Sprintf("key-%d", i), rotation.Entry{Action: "request", Detail: fmt.Sprint(i)}))
		v, err := s.Accept(t.Context(), rotation.Envelope{ID: fmt.Sprintf("envelope-%d", i), At: time.Unix(int64(i), 0), Holder: "a", Body: []byte("work")})
		must(err)
		if i%2 == 0 {
			v.Done = true
			_, err = s.Settle(t.Context(), v)
			must(err)
		}
	}
	c, err := s.Claim(t.Context(), rotation.Claim{Name: "digest/2026-W47", Holder: "a", Note: "sending"})
	must(err)
	c.Note = "sent"
	_, err = s.Claim(t.Context(), c)
	must(err)
	_, err = s.Claim(t.Context(), rotation.Claim{Name: rotation.LeadClaim})
	must(err)
	return s
}

// brittle fails the n-th put, carried out or not, and every later call.
type brittle struct {
	backend
	left  int
	apply bool
}

var errCut = errors.New("the line was cut")

func (b *brittle) put(ctx context.Context, k kind, d document) error {
	b.left--
	if b.left < 0 || b.left == 0 && !b.apply {
		return errCut
	}
	err := b.backend.put(ctx, k, d)
	if b.left == 0 {
		return errors.Join(err, errCut)
	}
	return err
}

func TestCopy_CutOffAnywhereAndFinished(t *testing.T) {
	want := Copied{Users: 70, Claims: 1, Entries: 70, Envelopes: 70}
	for n := 1; ; n += 17 {
		done := false
		for _, apply := range []bool{false, true} {
			from, to := withEverything(t, NewMem()), NewMem()
			cut := &brittle{backend: to.back, left: n, apply: apply}
			_, err := Copy(t.Context(), from, &Mem{documents: documents{cut}}, "A", "B")
			if err == nil {
				done = true
				continue
			}
			if !errors.Is(err, errCut) {
				t.Fatalf("cut at write %d: %v", n, err)
			}
			if err := Usable(t.Context(), to); n > 1 && (err == nil || !strings.Contains(err.Error(), "unfinished copy of A")) {
				t.Errorf("cut at write %d: the copy counts as usable: %v", n, err)
			}
			if err := Usable(t.Context(), from); err != nil {
				t.Errorf("cut at write %d: the source cannot be used: %v", n, err)
			}
			got, err := Copy(t.Context(), from, to, "A", "B")
			if err != nil || got != want {
				t.Errorf("cut at write %d and finished: %+v, %v; want %+v", n, got, err, want)
			}
		}
		if done {
			break
		}
	}
}

func TestCopy_ToAFileAndBack(t *testing.T) {
	from := withEverything(t, NewMem())
	file, err := Open("bolt:" + filepath.Join(t.TempDir(), "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	back := NewMem()
	if _, err := Copy(t.Context(), from, file, "mem", "file"); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), file, back, "file", "mem"); err != nil {
		t.Fatal(err)
	}
	if _, err := compare(t.Context(), from.(*Mem).documents, back.documents); err != nil {
		t.Error(err)
	}
	waiting := 0
	if err := back.Waiting(t.Context(), func(rotation.Envelope) error { waiting++; return nil }); err != nil || waiting != 35 {
		t.Errorf("%d envelopes wait in the copy, %v; want 35", waiting, err)
	}
	if err := Usable(t.Context(), back); err != nil {
		t.Errorf("the copy cannot be used: %v", err)
	}
	for name, s := range map[string]Closer{"mem": from, "file": file} {
		if err := Usable(t.Context(), s); err == nil || !strings.Contains(err.Error(), "was copied to") {
			t.Errorf("%s was copied and counts as usable: %v", name, err)
		}
	}
}

func TestCopy_Refuses(t *testing.T) {
	from := withEverything(t, NewMem())
	taken := withEverything(t, NewMem())
	if _, err := Copy(t.Context(), from, taken, "A", "B"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a target that holds something: %v", err)
	}
	to := NewMem()
	if _, err := Copy(t.Context(), from, to, "A", "B"); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), from, to, "A", "B"); err != nil {
		t.Errorf("a copy that is finished, once more: %v", err)
	}
	if _, err := Copy(t.Context(), from, to, "C", "B"); err == nil || !strings.Contains(err.Error(), "a copy already") {
		t.Errorf("a copy of another store: %v", err)
	}
	p, err := to.Get(t.Context(), rotation.UserRef{Account: "111122223333", Name: "user-1"}.ID())
	if err != nil {
		t.Fatal(err)
	}
	p.Count = 99
	if _, err := to.Replace(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), from, to, "A", "B"); err == nil || !strings.Contains(err.Error(), "run on since") {
		t.Errorf("a copy that has been run on: %v", err)
	}
	if now, err := to.Get(t.Context(), p.User.ID()); err != nil || now.Count != 99 {
		t.Errorf("what was done since the copy is lost: %+v, %v", now, err)
	}
}
