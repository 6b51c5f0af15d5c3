package rotation_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// looks counts the look-ups of a key's last use.
func (b *bench) looks() int {
	n := 0
	for _, c := range b.sim.Calls() {
		if c.Op == "GetAccessKeyLastUsed" {
			n++
		}
	}
	return n
}

// passes lets time pass.
func passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func missing(p rotation.Proof) []rotation.BlockCode {
	var codes []rotation.BlockCode
	for _, b := range p.Missing {
		codes = append(codes, b.Code)
	}
	return codes
}

// TestProof_OpensByItself has an owner who never clicks: the engine finds out what is missing, and when nothing is any more.
func TestProof_OpensByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		if r.Proof.Again.Sub(r.Since) != 2*time.Hour || !r.Proof.At.IsZero() {
			t.Fatalf("the first look: %+v", r.Proof)
		}
		before := b.looks()
		passes(time.Until(r.Proof.Again) - time.Second)
		if n := b.looks() - before; n != 0 {
			t.Errorf("%d look-ups in the first hours", n)
		}
		passes(2 * time.Minute)
		got := b.rotation().Proof
		if !slices.Equal(missing(got), []rotation.BlockCode{rotation.NewNeverUsed}) || got.Again.IsZero() || got.Opened != 0 {
			t.Errorf("after the first look: %+v", got)
		}
		before = b.looks()
		passes(10 * time.Hour)
		if n := (b.looks() - before) / 2; n < 2 || n > 11 {
			t.Errorf("it looked %d times in ten hours", n)
		}
		if err := b.account.Use(string(r.New), "s3", "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		passes(6 * time.Hour)
		got = b.rotation().Proof
		if !got.Open() || got.Opened != 1 || !got.Again.IsZero() {
			t.Errorf("with the new key used and the old one quiet: %+v", got)
		}
		before = b.looks()
		passes(day)
		if n := b.looks() - before; n != 0 {
			t.Errorf("%d look-ups although nothing is missing", n)
		}
		if r := b.rotation(); r.Stage != rotation.Switching || b.rotation().Turn != r.Turn {
			t.Errorf("looking has moved the rotation to %s", r.Stage)
		}
	})
}

const day = 24 * time.Hour

// TestProof_ARefusedConfirmationIsKept: what the owner was told is kept, and looked at again without another click.
func TestProof_ARefusedConfirmationIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		for _, key := range []string{string(r.New), string(b.old)} {
			if err := b.account.Use(key, "s3", "eu-west-1"); err != nil {
				t.Fatal(err)
			}
		}
		_, err := b.engine.Act(t.Context(), r.Ref(), rotation.Confirm, rotation.Actor{Member: owner}, "")
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.Blocked {
			t.Fatalf("confirm: %v", err)
		}
		got := b.rotation()
		if !slices.Equal(missing(got.Proof), []rotation.BlockCode{rotation.OldUsed}) || got.Turn != r.Turn {
			t.Errorf("after the refusal: %+v at turn %d, want %d", got.Proof, got.Turn, r.Turn)
		}
		if in := time.Until(got.Proof.Again); in < terms.Quiet-time.Minute || in > terms.Quiet {
			t.Errorf("it looks again in %s, want when the old key has been quiet", in)
		}
		passes(terms.Quiet + time.Minute)
		if got := b.rotation().Proof; !got.Open() || got.Opened != 1 {
			t.Errorf("when the old key has been quiet: %+v", got)
		}
		if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Confirm, rotation.Actor{Member: owner}, ""); err != nil {
			t.Errorf("confirm: %v", err)
		}
	})
}

// TestProof_UnreadIsNotUnused: what could not be read is missing, and nothing comes of it.
func TestProof_UnreadIsNotUnused(t *testing.T) {
	for _, op := range []string{"GetUser", "ListAccessKeys", "GetAccessKeyLastUsed"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				r := b.playTo(rotation.Switching)
				if err := b.account.Use(string(r.New), "s3", "eu-west-1"); err != nil {
					t.Fatal(err)
				}
				b.sim.Fail(op, iamsim.Fault{Code: "AccessDenied", Times: 2})
				passes(2*time.Hour + time.Minute)
				got := b.rotation()
				if !slices.Equal(missing(got.Proof), []rotation.BlockCode{rotation.NewUnknown, rotation.OldUnknown}) || got.Stage != rotation.Switching {
					t.Errorf("%s: %+v", got.Stage, got.Proof)
				}
				passes(time.Hour)
				if got := b.rotation().Proof; !got.Open() {
					t.Errorf("an hour later: %+v", got)
				}
			})
		})
	}
}

// TestProof_SomebodyElsesChangeStopsIt: the engine need not wait for a click to see that the keys are not as they were left.
func TestProof_SomebodyElsesChangeStopsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Switching)
		b.account.RecreateUser(ci.Name)
		passes(2*time.Hour + time.Minute)
		if r := b.rotation(); r.Stage != rotation.Stuck || r.Failure.Block != rotation.UserReplaced {
			t.Errorf("%s because of %+v, want stuck", r.Stage, r.Failure)
		}
	})
}
