package rotation_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

var approving2 = rotation.Actor{Member: dave, Approver: true}

// TestOverrule_LeadsToADecisionOfItsOwn has an approver answer for an old key that is in use all the time.
func TestOverrule_LeadsToADecisionOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		act := func(on rotation.On, by rotation.Actor, reason string) error {
			_, err := b.engine.Act(t.Context(), b.rotation().Ref(), on, by, reason)
			passes(time.Second)
			return err
		}
		use := func() {
			if err := b.account.Use(string(b.old), "s3", "eu-west-1"); err != nil {
				t.Fatal(err)
			}
		}
		b.playTo(rotation.Switching)
		use()
		if err := act(rotation.Overrule, rotation.Actor{Member: owner, Approver: true}, "mine"); err == nil {
			t.Fatal("an owner has overruled the evidence of their own key")
		}
		if err := act(rotation.Overrule, approving2, "the job is switched off tonight"); err != nil {
			t.Fatal(err)
		}
		ask, _ := b.rotation().CurrentAsk()
		if ask.Stage != rotation.Confirmed || ask.Overruled.By != dave || ask.Overruled.Reason != "the job is switched off tonight" {
			t.Fatalf("the ask is %+v", ask)
		}
		if n := b.applied("UpdateAccessKey"); n != 0 {
			t.Errorf("%d keys were changed before anybody approved of it", n)
		}
		passes(20 * time.Minute)
		use()
		if err := act(rotation.Approve, rotation.Actor{Member: carol, Approver: true}, ""); err != nil {
			t.Fatalf("approve, with a use since it was asked: %v", err)
		}
		if r := b.rotation(); r.Stage != rotation.Grace || r.CutOff.IsZero() {
			t.Errorf("%s, cut off %s; want the grace", r.Stage, r.CutOff)
		}
		passes(terms.Grace + time.Minute)
		if r := b.rotation(); r.Stage != rotation.Expiring {
			t.Errorf("%s because of %+v, want that the deletion is asked for", r.Stage, r.Failure)
		}
	})
}

// TestOverrule_EndsWithTheWayBack: what was overruled once holds for that one deactivation.
func TestOverrule_EndsWithTheWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Switching)
		steps := []struct {
			on rotation.On
			by rotation.Actor
		}{
			{rotation.Overrule, approving2},
			{rotation.Approve, rotation.Actor{Member: carol, Approver: true}},
			{rotation.Reactivate, rotation.Actor{Member: owner}},
		}
		for _, s := range steps {
			if _, err := b.engine.Act(t.Context(), b.rotation().Ref(), s.on, s.by, "because"); err != nil {
				t.Fatalf("%s: %v", s.on, err)
			}
			passes(time.Second)
		}
		_, err := b.engine.Act(t.Context(), b.rotation().Ref(), rotation.Confirm, rotation.Actor{Member: owner}, "")
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.Blocked {
			t.Errorf("confirm, with nothing overruled any more: %v, want that it is blocked", err)
		}
	})
}

// TestOverrule_NotWhatSomebodyElseHasDone: the rotation stops instead.
func TestOverrule_NotWhatSomebodyElseHasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		b.account.SetKeyStatus(string(r.New), false)
		if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Overrule, approving2, "because"); err == nil {
			t.Error("an inactive new key was overruled")
		}
		if r := b.rotation(); r.Stage != rotation.Stuck || r.Failure.Block != rotation.NewInactive {
			t.Errorf("%s because of %+v, want stuck", r.Stage, r.Failure)
		}
	})
}
