package rotation_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// lostCreation is a fleet whose first creation is carried out and not answered, with a trail that tells what it tells.
func lostCreation(t *testing.T, trail func(rotation.KeyID) (rotation.Maker, error)) *fleet {
	t.Helper()
	f := newFleet(t, ways()[0], 1)
	f.fate = first("CreateKey", fate{fails: true, applied: true})
	f.cloud.trail = trail
	f.start()
	return f
}

// until plays until the rotation is in a stage.
func (f *fleet) until(stage rotation.Stage) rotation.Rotation {
	f.t.Helper()
	for range 200 {
		time.Sleep(pace)
		synctest.Wait()
		f.invariants()
		if r := f.rotation(); r.Stage == stage {
			return r
		}
		f.bot()
		f.people()
	}
	f.tell(f.progress())
	f.t.Fatalf("it does not come to %s: it is at %s because of %+v", stage, f.rotation().Stage, f.rotation().Failure)
	return rotation.Rotation{}
}

func (f *fleet) act(on rotation.On, by rotation.Actor) error {
	f.t.Helper()
	_, err := f.decide(on, by)
	return err
}

// decide has a person act, and returns the rotation as their decision left it, before the engine went on.
func (f *fleet) decide(on rotation.On, by rotation.Actor) (rotation.Rotation, error) {
	f.t.Helper()
	ref := f.rotation().Ref()
	p, err := f.any().Act(f.t.Context(), ref, on, by, "because")
	r, _ := p.Find(ref.ID)
	if r == nil {
		return rotation.Rotation{}, err
	}
	return *r, err
}

var approving = rotation.Actor{Member: dave, Approver: true}

func silent(rotation.KeyID) (rotation.Maker, error) { return rotation.MakerUnknown, nil }

func another(rotation.KeyID) (rotation.Maker, error) { return rotation.MakerOther, nil }

func denied(rotation.KeyID) (rotation.Maker, error) {
	return rotation.MakerUnknown, refusedCall("LookupEvents", rotation.ClassDenied)
}

func throttled(rotation.KeyID) (rotation.Maker, error) {
	return rotation.MakerUnknown, refusedCall("LookupEvents", rotation.ClassThrottled)
}

func TestSuspect_OfOursIsRevokedAndMadeAnewWithinTheBound(t *testing.T) {
	for lost := 1; lost <= rotation.MaxIssued+1; lost++ {
		t.Run(fmt.Sprintf("%d answers are lost", lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ways()[0], 1)
				left := lost
				f.fate = func(_ *process, method string) fate {
					if method != "CreateKey" {
						return fate{}
					}
					left--
					return fate{fails: left >= 0, applied: true}
				}
				f.start()
				if lost >= rotation.MaxIssued { // it does not go on by itself for ever
					r := f.until(rotation.Stuck)
					if r.Issued != rotation.MaxIssued || r.Failure.At != rotation.Creating || r.Failure.Class != rotation.ClassUnknown || r.New != "" {
						t.Errorf("stuck with %d keys issued because of %+v", r.Issued, r.Failure)
					}
					if keys := f.cloud.all(); len(keys) != 1 || keys[0].ID != f.old {
						t.Errorf("keys: %+v, want the old one alone", keys)
					}
				}
				f.play()
				if n := f.cloud.count("create"); n != lost+1 {
					t.Errorf("%d keys were created, want %d", n, lost+1)
				}
			})
		})
	}
}

func TestSuspect_WhatTheTrailTells(t *testing.T) {
	tests := []struct {
		name     string
		trail    func(rotation.KeyID) (rotation.Maker, error)
		from, to time.Duration // when it is stuck, after the creation
		asked    int           // how often the trail is read, at most
	}{
		{"another made it", another, time.Minute, 2 * time.Minute, 1},
		{"it may not be read", denied, time.Minute, 2 * time.Minute, 1},
		{"it says nothing", silent, 14 * time.Minute, 16 * time.Minute, 15},
		{"it cannot be read now", throttled, 14 * time.Minute, 16 * time.Minute, 15},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := lostCreation(t, test.trail)
				defer f.stop()
				r := f.until(rotation.Stuck)
				if took := r.Since.Sub(r.Intent.At); took < test.from || took > test.to {
					t.Errorf("stuck after %s, want between %s and %s", took, test.from, test.to)
				}
				if n := f.called("Maker"); n < 1 || n > test.asked {
					t.Errorf("the trail was read %d times, want at most %d", n, test.asked)
				}
				if r.Failure.Class != rotation.ClassSuspect || r.Failure.Key == "" || r.Failure.Key == f.old || r.New != "" || r.Intent == nil {
					t.Errorf("stuck because of %+v, with the new key %q and the intent %+v", r.Failure, r.New, r.Intent)
				}
				want := []rotation.On{rotation.Revoke, rotation.Keep, rotation.TryAgain, rotation.Close}
				if got := r.Offers(rotation.ByApprover); !slices.Equal(got, want) {
					t.Errorf("offers %v, want %v", got, want)
				}
				if len(f.cloud.changes) != 1 {
					t.Errorf("changes: %v, want the creation alone", f.cloud.changes)
				}
				if !r.Handover.Due(time.Now()) || f.hand.shown(r.Handover.Post.TS) != "" {
					t.Errorf("the message that waits for a secret should go: %+v", r.Handover)
				}
			})
		})
	}
}

func TestSuspect_ALateTrailIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := lostCreation(t, nil)
		f.cloud.trail = func(key rotation.KeyID) (rotation.Maker, error) {
			if time.Since(began) < 9*time.Minute {
				return rotation.MakerUnknown, nil
			}
			return rotation.MakerUs, nil
		}
		f.play()
		if r := f.rotation(); r.Issued != 2 || slices.ContainsFunc(r.Asks, func(a rotation.Ask) bool { return a.Stage == rotation.Stuck }) {
			t.Errorf("%d keys were issued, asks %+v: nobody should have been asked", r.Issued, r.Asks)
		}
	})
}

func TestSuspect_TheTrailIsReadAgainOnTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := lostCreation(t, denied)
		f.until(rotation.Stuck)
		f.cloud.trail = nil // somebody has granted the permission
		if err := f.act(rotation.TryAgain, approving); err != nil {
			t.Fatal(err)
		}
		f.play()
		if r := f.rotation(); r.Issued != 2 {
			t.Errorf("%d keys were issued, want the suspect and another", r.Issued)
		}
	})
}

func TestSuspect_WhoMayDecideAndWhen(t *testing.T) {
	use := func(f *fleet, id rotation.KeyID) { f.cloud.use(id) }
	set := func(f *fleet, id rotation.KeyID, to rotation.Status) { f.cloud.find(id).Status = to }
	tests := []struct {
		name    string
		on      rotation.On
		by      rotation.Actor
		happens func(*fleet, rotation.KeyID)
		code    rotation.Code
		block   rotation.BlockCode
	}{
		{"the owner revokes", rotation.Revoke, rotation.Actor{Member: owner}, nil, rotation.NotApprover, ""},
		{"the owner keeps", rotation.Keep, rotation.Actor{Member: owner, Approver: true}, nil, rotation.NotApprover, ""},
		{"a suspect in use is revoked", rotation.Revoke, approving, use, rotation.Blocked, rotation.NewUsed},
		{"a suspect whose use is not known is revoked", rotation.Revoke, approving, func(f *fleet, id rotation.KeyID) {
			f.cloud.find(id).LastUse = rotation.LastUse{}
		}, rotation.Blocked, rotation.NewUnknown},
		{"a suspect of another user is revoked", rotation.Revoke, approving, func(f *fleet, _ rotation.KeyID) { f.cloud.user.ID = "AIDA2" }, rotation.Blocked, rotation.UserReplaced},
		{"a suspect in use is kept", rotation.Keep, approving, use, "", ""},
		{"an inactive suspect is kept", rotation.Keep, approving, func(f *fleet, id rotation.KeyID) { set(f, id, rotation.Inactive) }, rotation.Blocked, rotation.NewInactive},
		{"a suspect that is gone is kept", rotation.Keep, approving, func(f *fleet, id rotation.KeyID) {
			f.cloud.keys = slices.DeleteFunc(f.cloud.keys, func(k rotation.Key) bool { return k.ID == id })
		}, rotation.Blocked, rotation.NewGone},
		{"a suspect is kept beside a third key", rotation.Keep, approving, func(f *fleet, _ rotation.KeyID) {
			f.cloud.add(rotation.Active, time.Hour, 0)
		}, rotation.Blocked, rotation.ExtraKey},
		{"an unused suspect is revoked", rotation.Revoke, approving, nil, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := lostCreation(t, another)
				defer f.stop()
				before := f.until(rotation.Stuck)
				suspect := before.Failure.Key
				if test.happens != nil {
					test.happens(f, suspect)
				}
				r, err := f.decide(test.on, test.by)
				if got := code(err); got != test.code || test.code == "" && err != nil {
					t.Fatalf("got %v, want %q", err, test.code)
				}
				switch {
				case test.block != "":
					if blocks := refusal(err).Blocks; len(blocks) != 1 || blocks[0].Code != test.block {
						t.Errorf("blocks: %+v, want %s", blocks, test.block)
					}
					fallthrough
				case test.code != "":
					r = f.rotation()
					if r.Stage != rotation.Stuck || r.Failure != before.Failure || r.Turn != before.Turn {
						t.Errorf("a refused decision moved it to %s because of %+v", r.Stage, r.Failure)
					}
				case r.New != suspect || r.Failure.Key != "":
					t.Errorf("at %s with the new key %q, want %s", r.Stage, r.New, suspect)
				}
			})
		})
	}
}

func TestSuspect_RevokedIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := lostCreation(t, denied)
		suspect := f.until(rotation.Stuck).Failure.Key
		if err := f.act(rotation.Revoke, approving); err != nil {
			t.Fatal(err)
		}
		f.play()
		want := []change{
			{"create", suspect}, {"Inactive", suspect}, {"delete", suspect}, {"create", f.rotation().New}, {"Inactive", f.old}, {"delete", f.old},
		}
		if !slices.Equal(f.cloud.changes, want) {
			t.Errorf("changes %v, want %v", f.cloud.changes, want)
		}
	})
}

// TestSuspect_KeptIsAdopted keeps a key that a person made in the same moment: it takes the old one's place, and is nobody's here to revoke.
func TestSuspect_KeptIsAdopted(t *testing.T) {
	for _, used := range []bool{true, false} {
		t.Run(fmt.Sprintf("used %v", used), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ways()[0], 1)
				var person rotation.KeyID
				f.fate = first("CreateKey", fate{fails: true, before: func() { person = f.cloud.add(rotation.Active, time.Second, 0) }})
				f.start()
				f.until(rotation.Stuck)
				if err := f.act(rotation.Keep, approving); err != nil {
					t.Fatal(err)
				}
				r := f.rotation()
				if r.Stage != rotation.Switching || r.Kind != rotation.Adopt || r.New != person || r.Issued != 0 || r.Intent != nil || r.Deadline.IsZero() {
					t.Fatalf("kept as %+v", r)
				}
				if want := []rotation.On{rotation.Confirm, rotation.Cancel}; !slices.Equal(r.Offers(rotation.ByOwner), want) {
					t.Errorf("the owner is offered %v, want %v: the key was not made here", r.Offers(rotation.ByOwner), want)
				}
				if err := f.act(rotation.Confirm, rotation.Actor{Member: owner}); code(err) != rotation.Blocked {
					t.Errorf("confirm before it is used: got %v, want a refusal", err)
				}
				if !used {
					if err := f.act(rotation.Cancel, rotation.Actor{Member: owner}); err != nil {
						t.Error(err)
					}
					f.way.ends = rotation.Cancelled
				}
				f.play()
				wants := map[bool][]change{true: {{"Inactive", f.old}, {"delete", f.old}}, false: nil}
				if !slices.Equal(f.cloud.changes, wants[used]) {
					t.Errorf("changes %v, want %v", f.cloud.changes, wants[used])
				}
			})
		})
	}
}

func TestSuspect_OfAnotherUserIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 1)
		f.fate = first("CreateKey", fate{fails: true, applied: true, after: func() {
			f.cloud.mu.Lock()
			f.cloud.user.ID, f.cloud.keys = "AIDA2", nil // deleted and made anew, with a key of its own
			f.cloud.mu.Unlock()
			f.cloud.add(rotation.Active, 0, 0)
		}})
		f.start()
		defer f.stop()
		if r := f.until(rotation.Stuck); r.Failure.Block != rotation.UserReplaced {
			t.Errorf("stuck because of %+v: it is another user", r.Failure)
		}
		if n := f.called("Maker"); n != 0 {
			t.Errorf("the trail was read %d times", n)
		}
	})
}
