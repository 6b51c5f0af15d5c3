package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// ended checks where the rotation ended.
func (b *bench) ended(in rotation.Stage) {
	b.t.Helper()
	if r := b.rotation(); r.Stage != in || len(r.Offers(rotation.ByOwner|rotation.ByApprover)) != 0 {
		b.t.Errorf("got %s because of %+v, want %s", r.Stage, r.Failure, in)
	}
}

// retire has the owner ask for the retirement of the old key.
func (b *bench) retire() {
	b.t.Helper()
	request := rotation.Request{User: ci, Key: b.old, Retire: true, By: rotation.Actor{Member: owner}}
	if _, err := b.engine.Request(b.t.Context(), request); err != nil {
		b.t.Fatal(err)
	}
}

func code(err error) rotation.Code { return refusal(err).Code }

// refusal is what err refuses; the zero value if it refuses nothing.
func refusal(err error) rotation.Refusal {
	if refusal, ok := errors.AsType[*rotation.Refusal](err); ok {
		return *refusal
	}
	return rotation.Refusal{}
}

func TestEngine_ADiscardThatWasDeniedOnceStillEnds(t *testing.T) {
	for on, want := range map[rotation.On]rotation.Stage{rotation.Close: rotation.Closed, rotation.TryAgain: rotation.Switching} {
		t.Run(string(on), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.hand.refused, b.hand.refuse = 1, refusedBySlack
				b.sim.Fail("DeleteAccessKey", iamsim.Fault{Code: "AccessDenied"})
				r := b.playTo(rotation.Stuck)
				if r.Failure.At != rotation.Discarding || r.Failure.Class != rotation.ClassDenied || r.Failure.Key != r.New {
					t.Fatalf("stuck because of %+v, want the denied revocation of %s", r.Failure, r.New)
				}
				if slices.Contains(r.Offers(rotation.ByApprover), rotation.Close) {
					t.Errorf("it may be closed while %s is left over", r.New)
				}
				b.must(rotation.TryAgain, dave)
				r = b.await(rotation.Stuck)
				if r.Failure.At != rotation.Creating || r.Failure.Class != rotation.ClassRefused || r.New != "" {
					t.Errorf("stuck because of %+v with the new key %q, want the refused secret and no key", r.Failure, r.New)
				}
				if keys := b.account.Keys(ci.Name); len(keys) != 1 {
					t.Errorf("keys: %+v, want the old one alone", keys)
				}
				b.must(on, dave)
				if r := b.await(want); want == rotation.Switching && b.hand.given[r.New] != 1 {
					t.Errorf("secrets given: %v, want that of %s", b.hand.given, r.New)
				}
			})
		})
	}
}

func TestEngine_AUserMadeAnewDuringARevocationCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Switching)
		b.sim.Fail("UpdateAccessKey", iamsim.Fault{Code: "ServiceFailure", Times: 3, Before: func() { b.account.RecreateUser(ci.Name) }})
		b.must(rotation.Reissue, owner)
		if r := b.await(rotation.Stuck); r.Failure.Block != rotation.UserReplaced {
			t.Errorf("stuck because of %+v, want another user", r.Failure)
		}
		b.must(rotation.TryAgain, dave)
		if r := b.await(rotation.Stuck); !slices.Contains(r.Offers(rotation.ByApprover), rotation.Close) {
			t.Errorf("offers: %v, want close among them", r.Offers(rotation.ByApprover))
		}
		b.must(rotation.Close, dave)
		b.ended(rotation.Closed)
		b.account.AddKey(ci.Name, iamsim.Key{Created: time.Now().Add(-time.Hour)})
		if _, err := b.engine.Request(t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: owner}}); err != nil {
			t.Errorf("begin one for the new user: %v", err)
		}
	})
}

func TestEngine_AUsedKeyIsMadeActiveBeforeItGoesOnWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Requested)
		b.must(rotation.Approve, carol)
		key := string(b.await(rotation.Switching).New)
		b.sim.Fail("DeleteAccessKey", iamsim.Fault{Code: "ServiceFailure", Times: 3, Before: func() {
			b.account.SetKeyStatus(key, true) // the use was before, and AWS shows it only now
			if err := b.account.Use(key, "s3", "eu-west-1"); err != nil {
				t.Error(err)
			}
			b.account.SetKeyStatus(key, false)
		}})
		b.must(rotation.Reissue, owner)
		r := b.await(rotation.Switching)
		if r.Failure.Block != rotation.NewUsed || string(r.New) != key {
			t.Errorf("at switching to %s because of %+v, want %s, since it is used", r.New, r.Failure, key)
		}
		for _, k := range b.account.Keys(ci.Name) {
			if k.Status != "Active" {
				t.Errorf("%s is %s", k.ID, k.Status)
			}
		}
		b.must(rotation.Confirm, owner)
	})
}

func TestEngine_ALostDeactivationWaitsForTheLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Confirmed)
		b.sim.Fail("UpdateAccessKey", iamsim.Fault{Apply: true, Drop: true, After: func() {
			b.sim.Fail("GetAccessKeyLastUsed", iamsim.Fault{Code: "Throttling", Times: 12})
		}})
		b.must(rotation.Approve, dave)
		if r := b.await(rotation.Grace); r.Idle.State != rotation.Used {
			t.Errorf("last use when it was made inactive: %+v, want the one that AWS has", r.Idle)
		}
		b.sim.Heal()
		b.await(rotation.Expiring)
	})
}

func TestEngine_AClickAfterTheAsksTimeLapsesIt(t *testing.T) {
	tests := []struct {
		ask, want rotation.Stage
		code      rotation.Code
	}{
		{rotation.Requested, rotation.Lapsed, rotation.HasEnded},
		{rotation.Confirmed, rotation.Switching, rotation.Outdated},
	}
	for _, test := range tests {
		t.Run(string(test.ask), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.playTo(test.ask)
				b.stop() // the click is the first thing that the next process hears of
				time.Sleep(terms.Expires)
				err := b.act(rotation.Approve, dave)
				if got := code(err); got != test.code {
					t.Errorf("got %v, want a refusal: %s", err, test.code)
				}
				if r := b.rotation(); r.Stage != test.want {
					t.Errorf("got %s, want %s", r.Stage, test.want)
				}
			})
		})
	}
}

func TestStep_AnApproverWhoAskedMayRollBack(t *testing.T) {
	r := rotation.Rotation{ID: "x-1", Kind: rotation.Replace, Owner: owner, Requester: dave}
	asker := rotation.Actor{Member: dave, Approver: true}
	for _, r.Stage = range []rotation.Stage{rotation.Grace, rotation.Expiring, rotation.Stuck} {
		r.Failure.At = rotation.Deleting
		next, err := r.Step(rotation.Event{On: rotation.Reactivate, By: asker, At: time.Now()})
		if err != nil || next.Stage != rotation.Reactivating {
			t.Errorf("%s: got %s, %v", r.Stage, next.Stage, err)
		}
	}
	r.Stage = rotation.Expiring
	if _, err := r.Step(rotation.Event{On: rotation.Approve, By: asker, At: time.Now()}); code(err) != rotation.OwnRequest {
		t.Errorf("approve the deletion: got %v, want a refusal", err)
	}
}

func TestEngine_ADeletedUserStopsItAndItCanBeClosed(t *testing.T) {
	for _, on := range []rotation.On{rotation.Confirm, rotation.Reissue, rotation.Abandon} {
		t.Run(string(on), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.playTo(rotation.Switching)
				b.account.RemoveUser(ci.Name)
				if err := b.act(on, owner); code(err) != rotation.UserGone {
					t.Errorf("got %v, want a refusal: the user is gone", err)
				}
				if r := b.rotation(); r.Stage != rotation.Stuck || r.Failure.Class != rotation.ClassGone {
					t.Fatalf("got %s because of %+v, want stuck: the user is gone", r.Stage, r.Failure)
				}
				b.must(rotation.Close, dave)
				b.ended(rotation.Closed)
			})
		})
	}
}

func TestEngine_NobodyTurnsALeftoverOn(t *testing.T) {
	for _, at := range []rotation.Stage{rotation.Grace, rotation.Expiring, rotation.Stuck} {
		t.Run(string(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.account.SetKeyStatus(string(b.old), false) // somebody had a reason
				b.retire()
				if at == rotation.Stuck {
					b.account.SetKeyStatus(string(b.old), true)
				}
				b.await(at)
				b.account.SetKeyStatus(string(b.old), false)
				for _, by := range []rotation.MemberID{owner, dave} {
					if err := b.act(rotation.Reactivate, by); code(err) != rotation.NotNow {
						t.Errorf("by %s: got %v, want a refusal", by, err)
					}
				}
				if at == rotation.Stuck {
					b.must(rotation.TryAgain, dave)
				}
				b.must(rotation.Cancel, owner)
				b.ended(rotation.Cancelled)
				if keys := b.account.Keys(ci.Name); keys[0].Status != "Inactive" || b.called("UpdateAccessKey") != 0 {
					t.Errorf("%+v was touched", keys)
				}
			})
		})
	}
}

func TestEngine_AnApproverEndsWhatItsOwnerHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Switching)
		b.must(rotation.Close, dave)
		b.ended(rotation.Closed)
	})
}

func TestEngine_AfterThirtyDaysAtSwitchingItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		b.stop()
		time.Sleep(time.Until(r.Since.Add(30*24*time.Hour - time.Minute)))
		b.start(-1, false)
		synctest.Wait()
		if r := b.rotation(); r.Stage != rotation.Switching {
			t.Errorf("it asks before its time: %s because of %+v", r.Stage, r.Failure)
		}
		time.Sleep(2 * time.Minute)
		r = b.await(rotation.Stuck)
		want := []rotation.On{rotation.TryAgain, rotation.Close}
		if _, asked := r.CurrentAsk(); r.Failure.Class != rotation.ClassOverdue || !asked || !slices.Equal(r.Offers(rotation.ByApprover), want) {
			t.Errorf("stuck because of %+v, asked %v, offers %v", r.Failure, asked, r.Offers(rotation.ByApprover))
		}
		b.must(rotation.TryAgain, dave)
		b.await(rotation.Switching)
	})
}

func TestEngine_AnotherKeyThatChangesBeforeTheCallRenewsTheAsk(t *testing.T) {
	for ask, op := range map[rotation.Stage]string{rotation.Confirmed: "UpdateAccessKey", rotation.Expiring: "DeleteAccessKey"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				other := b.account.AddKey(ci.Name, iamsim.Key{Created: time.Now().Add(-time.Hour)})
				b.retire()
				for _, stage := range []rotation.Stage{rotation.Confirmed, rotation.Expiring} {
					r := b.await(stage)
					if stage == ask {
						b.sim.Fail(op, iamsim.Fault{Code: "ServiceFailure", Times: 3, Before: func() { b.account.SetKeyStatus(other, false) }})
						b.must(rotation.Approve, carol)
						first := r.Turn
						r = b.await(stage)
						if ask, open := r.CurrentAsk(); !open || ask.Turn <= first {
							t.Errorf("got %+v, want another ask than that of turn %d", ask, first)
						}
					}
					b.must(rotation.Approve, carol)
				}
				b.await(rotation.Done)
				if keys := b.account.Keys(ci.Name); len(keys) != 1 || keys[0].ID != other {
					t.Errorf("keys: %+v, want %s alone", keys, other)
				}
			})
		})
	}
}

// hanging is an adapter that answers for ci alone.
type hanging struct{ rotation.IAM }

func (h hanging) User(ctx context.Context, name string) (rotation.User, error) {
	if name == ci.Name {
		return h.IAM.User(ctx, name)
	}
	<-ctx.Done()
	return rotation.User{}, ctx.Err()
}

func TestEngine_WhatHangsHoldsUpNobodyElse(t *testing.T) {
	const elsewhere = "444455556666"
	rollback, deactivation := rotation.Event{On: rotation.Reactivate, By: rotation.Actor{Member: owner}},
		rotation.Event{On: rotation.Approve, By: rotation.Actor{Member: carol, Approver: true}}
	tests := []struct {
		name  string
		hangs string // the account in which eight rotations hang
		from  rotation.Stage
		ev    rotation.Event
		to    rotation.Stage
	}{
		{"a rollback in another account", elsewhere, rotation.Grace, rollback, rotation.Switching},
		{"a rollback in the same account", account, rotation.Grace, rollback, rotation.Switching},
		{"a deactivation in another account", elsewhere, rotation.Confirmed, deactivation, rotation.Grace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				r := b.playTo(test.from)
				b.stop()
				for i := range 8 {
					p := rotation.Progress{User: rotation.UserRef{Account: test.hangs, Name: fmt.Sprintf("hangs-%d", i)}}
					p.Begin(rotation.Rotation{User: p.User, Kind: rotation.Replace, Stage: rotation.Deactivating, Owner: owner, Old: "AKIAX", Turn: 1})
					if _, err := b.kept.Create(t.Context(), p); err != nil {
						t.Fatal(err)
					}
				}
				iam := hanging{b.aws}
				engine, err := rotation.New(rotation.Config{
					Store: b.kept, Hand: b.hand, Terms: terms, Approvers: []rotation.MemberID{carol},
					Accounts: []rotation.Account{{ID: account, IAM: iam}, {ID: elsewhere, IAM: iam}},
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- engine.Run(ctx) }()
				synctest.Wait()
				if _, err := engine.Act(ctx, r.Ref(), test.ev.On, test.ev.By, ""); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if r := b.rotation(); r.Stage != test.to {
					t.Errorf("got %s, want %s at once", r.Stage, test.to)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestStart_OfTwoActiveKeysTheOlderGoesFirst(t *testing.T) {
	now := time.Now()
	seen := rotation.Evidence{At: now, UserID: "AIDA", Keys: []rotation.Key{
		{ID: "AKIAOLDER", Status: rotation.Active, Created: now.Add(-100 * time.Hour)},
		{ID: "AKIANEWER", Status: rotation.Active, Created: now},
	}}
	request := rotation.Request{User: ci, Key: "AKIANEWER", By: rotation.Actor{Member: owner}}
	_, err := rotation.Start(request, owner, seen, terms, now)
	if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.NewerKey || refusal.Key != "AKIAOLDER" {
		t.Errorf("the newer one: got %v, want a refusal that names the older", err)
	}
	for _, request.Key = range []rotation.KeyID{"AKIAOLDER", ""} {
		r, err := rotation.Start(request, owner, seen, terms, now)
		if err != nil || r.Kind != rotation.Adopt || r.Old != "AKIAOLDER" || r.New != "AKIANEWER" {
			t.Errorf("the older one: got %s of %s for %s, %v", r.Kind, r.New, r.Old, err)
		}
	}
}

// TestEngine_TheSameAskingBeginsOnce asks, ends what it has begun, and hears the very same asking again.
func TestEngine_TheSameAskingBeginsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		ask := rotation.Request{User: ci, By: rotation.Actor{Member: owner}, Once: "envelope-1"}
		p, err := b.engine.Request(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.Act(t.Context(), p.Rotation.Ref(), rotation.Cancel, rotation.Actor{Member: owner}, ""); err != nil {
			t.Fatal(err)
		}
		_, err = b.engine.Request(t.Context(), ask)
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.AlreadyRuns || refusal.Rotation.ID != p.Rotation.ID {
			t.Errorf("the same asking again: %v, want to be told of %s", err, p.Rotation.ID)
		}
		ask.Once = "envelope-2"
		if again, err := b.engine.Request(t.Context(), ask); err != nil || again.Rotation.ID == p.Rotation.ID {
			t.Errorf("another asking: %v, want a second rotation", err)
		}
	})
}

func TestRotation_IsNotClosedBeforeItIsKnownWhatACreationMade(t *testing.T) {
	open := rotation.Rotation{
		Stage: rotation.Stuck, Kind: rotation.Replace, Intent: &rotation.Intent{},
		Failure: rotation.Failure{At: rotation.Creating, Class: rotation.ClassExhausted},
	}
	if slices.Contains(open.Offers(rotation.ByApprover), rotation.Close) {
		t.Error("a rotation can be closed that may have left a key")
	}
	named := open
	named.Failure.Class, named.Failure.Key = rotation.ClassSuspect, "AKIAEXAMPLE"
	if !slices.Contains(named.Offers(rotation.ByApprover), rotation.Close) {
		t.Error("a rotation cannot be closed although the key in question is named")
	}
	replaced := open
	replaced.Failure.Class, replaced.Failure.Block = rotation.ClassChanged, rotation.UserReplaced
	if !slices.Contains(replaced.Offers(rotation.ByApprover), rotation.Close) {
		t.Error("a rotation cannot be closed although its user, and every key with it, is gone")
	}
}
