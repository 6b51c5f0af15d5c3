package rotation_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// reports has a key reported as leaked.
func (b *bench) reports(key rotation.KeyID, by rotation.Actor, once string) error {
	b.t.Helper()
	_, err := b.engine.Request(b.t.Context(), rotation.Request{User: ci, Key: key, Leak: true, By: by, Once: once})
	return err
}

func (b *bench) decides(on rotation.On, by rotation.Actor) error {
	b.t.Helper()
	_, err := b.engine.Act(b.t.Context(), b.rotation().Ref(), on, by, "because")
	passes(time.Second)
	return err
}

func (b *bench) status(key rotation.KeyID) string {
	for _, k := range b.account.Keys(ci.Name) {
		if k.ID == string(key) {
			return k.Status
		}
	}
	return ""
}

// TestLeak_OnePersonsWord: whoever is on call or an approver decides, even if they reported it or own the key; an owner alone does not.
func TestLeak_OnePersonsWord(t *testing.T) {
	for name, test := range map[string]struct {
		by    rotation.Actor
		moves bool
	}{
		"on-call who reported it":    {rotation.Actor{Member: dave, OnCall: true}, true},
		"an approver":                {rotation.Actor{Member: carol, Approver: true}, true},
		"an owner who is on call":    {rotation.Actor{Member: owner, OnCall: true}, true},
		"an owner who is neither":    {rotation.Actor{Member: owner}, false},
		"somebody else":              {rotation.Actor{Member: "UX"}, false},
		"nobody that can be named":   {rotation.Actor{OnCall: true}, false},
		"on-call, by another's word": {rotation.Actor{Member: "UCALL", OnCall: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				if err := b.account.Use(string(b.old), "s3", "eu-west-1"); err != nil { // by whoever has it
					t.Fatal(err)
				}
				if err := b.reports(b.old, rotation.Actor{Member: dave, OnCall: true}, ""); err != nil {
					t.Fatal(err)
				}
				if n := b.applied("UpdateAccessKey"); n != 0 {
					t.Fatalf("%d keys were changed by a report", n)
				}
				err := b.decides(rotation.Approve, test.by)
				if moved := err == nil; moved != test.moves {
					t.Fatalf("approve: %v, want that it moves: %v", err, test.moves)
				}
				if got := b.status(b.old); (got == "Inactive") != test.moves {
					t.Errorf("the key is %s", got)
				}
			})
		})
	}
}

// TestLeak_WhatItWaitsFor: that it is that user's key, and active. Nothing else.
func TestLeak_WhatItWaitsFor(t *testing.T) {
	tests := []struct {
		name    string
		happens func(*bench)
		want    rotation.Stage
	}{
		{"a third key", func(b *bench) { b.account.AddKey(ci.Name, iamsim.Key{}) }, rotation.Grace},
		{"a use that cannot be read", func(b *bench) { b.sim.Fail("GetAccessKeyLastUsed", iamsim.Fault{Code: "AccessDenied", Times: 2}) }, rotation.Grace},
		{"another user under the name", func(b *bench) { b.account.RecreateUser(ci.Name) }, rotation.Stuck},
		{"somebody was quicker", func(b *bench) { b.account.SetKeyStatus(string(b.old), false) }, rotation.Stuck},
		{"the key is gone", func(b *bench) { b.account.RemoveKey(string(b.old)) }, rotation.Stuck},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				if err := b.reports(b.old, rotation.Actor{Member: carol, Approver: true}, ""); err != nil {
					t.Fatal(err)
				}
				test.happens(b)
				_ = b.decides(rotation.Approve, rotation.Actor{Member: carol, Approver: true}) // refused where it stops
				if r := b.rotation(); r.Stage != test.want {
					t.Errorf("%s because of %+v, want %s", r.Stage, r.Failure, test.want)
				}
			})
		})
	}
}

// TestLeak_GoesFirst: a rotation that runs gives way and leaves AWS as it is, whatever it waits for; the same report again does nothing.
func TestLeak_GoesFirst(t *testing.T) {
	for _, stage := range []rotation.Stage{rotation.Requested, rotation.Switching, rotation.Confirmed} {
		t.Run(string(stage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.playTo(stage)
				before := b.account.Keys(ci.Name)
				for range 2 {
					err := b.reports(b.old, rotation.Actor{Member: dave, OnCall: true}, "E1")
					if refusal, ok := errors.AsType[*rotation.Refusal](err); err != nil && (!ok || refusal.Code != rotation.AlreadyRuns) {
						t.Fatal(err)
					}
				}
				p, err := b.kept.Get(t.Context(), ci.ID())
				if err != nil {
					t.Fatal(err)
				}
				if p.Count != 2 || p.Rotation.Kind != rotation.Leak || p.Past[0].Stage != rotation.Closed || p.Past[0].Failure.Class != rotation.ClassLeaked {
					t.Fatalf("%d rotations, now a %s at %s, before that %+v", p.Count, p.Rotation.Kind, p.Rotation.Stage, p.Past)
				}
				if after := b.account.Keys(ci.Name); len(after) != len(before) {
					t.Errorf("keys %+v, before %+v", after, before)
				}
				if err := b.decides(rotation.Approve, rotation.Actor{Member: dave, OnCall: true}); err != nil {
					t.Fatal(err)
				}
				err = b.reports(b.old, rotation.Actor{Member: dave, OnCall: true}, "E1") // heard once more after a restart
				if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.AlreadyRuns || b.rotation().Stage != rotation.Grace {
					t.Errorf("heard again: %v, now %s", err, b.rotation().Stage)
				}
			})
		})
	}
}

// TestLeak_WithoutAnOwner: nobody needs to be answerable for a key that others have.
func TestLeak_WithoutAnOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.account.AddUser(iamsim.User{Name: "nobodys"})
		key := b.account.AddKey("nobodys", iamsim.Key{Created: time.Now().Add(-24 * time.Hour)})
		p, err := b.engine.Request(t.Context(), rotation.Request{
			User: rotation.UserRef{Account: account, Name: "nobodys"}, Key: rotation.KeyID(key), Leak: true, By: rotation.Actor{Member: dave, OnCall: true},
		})
		if err != nil || p.Rotation.Stage != rotation.Leaked || p.Rotation.Owner != "" {
			t.Errorf("%v, %+v", err, p.Rotation)
		}
		if err := b.reports(b.old, rotation.Actor{Member: "UX"}, ""); err == nil {
			t.Error("a stranger has reported a leak")
		}
	})
}
