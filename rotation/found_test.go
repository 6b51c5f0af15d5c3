package rotation_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestFound_ARefusalHasItsEntryThoughItsTimeHasRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		b.sim.Fail("GetUser", iamsim.Fault{Delay: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := b.engine.Act(ctx, r.Ref(), rotation.Confirm, rotation.Actor{Member: owner}, "")
		if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Fatalf("got %v at %v, want a failure when the time is over", err, ctx.Err())
		}
		p, err := b.engine.Get(t.Context(), ci.ID())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(p.Trail, func(e rotation.Entry) bool {
			return e.Actor == string(owner) && e.Action == string(rotation.Confirm) && e.Outcome == "failed" && e.Rotation == r.ID
		}) {
			t.Errorf("no entry tells that it failed: %+v", p.Trail)
		}
	})
}

// TestFound_AFullQuotaIsNoProofThatNothingWasMade loses the answer to a creation of which AWS's list shows nothing for some minutes: the next
// attempt finds the quota full, of that very key.
func TestFound_AFullQuotaIsNoProofThatNothingWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		iam, lags := b.aws, true
		b.bend(bent{keys: func(ctx context.Context, user string) ([]rotation.Key, error) {
			keys, err := iam.Keys(ctx, user)
			if lags {
				keys = slices.DeleteFunc(keys, func(k rotation.Key) bool { return k.ID != b.old })
			}
			return keys, err
		}})
		b.playTo(rotation.Requested)
		b.sim.Fail("CreateAccessKey", iamsim.Fault{Apply: true, Drop: true})
		b.must(rotation.Approve, carol)
		r := b.await(rotation.Stuck)
		if r.Failure.Class != rotation.ClassQuota || r.Intent == nil || slices.Contains(r.Offers(rotation.ByApprover), rotation.Close) {
			t.Errorf("stuck because of %+v with the intent %+v, may be closed; want the quota, and that it stays open", r.Failure, r.Intent)
		}
		lags = false
		b.must(rotation.TryAgain, dave)
		r = b.await(rotation.Switching)
		if keys := b.account.Keys(ci.Name); len(keys) != 2 || b.hand.given[r.New] != 1 {
			t.Errorf("keys %+v, secrets given %v; want the old one, and one that was handed over", keys, b.hand.given)
		}
	})
}

func TestFound_ACreationThatCertainlyMadeNothingCanBeClosed(t *testing.T) {
	for name, spoil := range map[string]func(*bench){
		"it is denied": func(b *bench) { b.sim.Fail("CreateAccessKey", iamsim.Fault{Code: "AccessDenied"}) },
		"it is denied after an answer was lost": func(b *bench) {
			b.sim.Fail("CreateAccessKey", iamsim.Fault{Drop: true, After: func() { b.sim.Fail("CreateAccessKey", iamsim.Fault{Code: "AccessDenied"}) }})
		},
		"somebody else takes the slot after an answer was lost": func(b *bench) {
			b.sim.Fail("CreateAccessKey", iamsim.Fault{Drop: true, After: func() { b.account.SetKeyStatus(string(b.old), false) }})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				b.playTo(rotation.Requested)
				spoil(b)
				b.must(rotation.Approve, carol)
				if r := b.await(rotation.Stuck); r.Intent != nil || !slices.Contains(r.Offers(rotation.ByApprover), rotation.Close) {
					t.Fatalf("stuck because of %+v with the intent %+v, offers %v", r.Failure, r.Intent, r.Offers(rotation.ByApprover))
				}
				b.must(rotation.Close, dave)
				b.ended(rotation.Closed)
			})
		})
	}
}

func TestFound_AnIntentThatCannotBeWrittenPostsNoSecondMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		disk := b.flaky()
		b.playTo(rotation.Requested)
		disk.fail(1, 30*time.Second) // the approval is written, and nothing for a while
		b.must(rotation.Approve, carol)
		b.await(rotation.Switching)
		if left := b.hand.standing(); len(left) != 1 {
			t.Errorf("messages for the secret: %+v, want one", left)
		}
	})
}

// TestFound_ARevokedSuspectsSecretReachedNobody: the message that waited for it says of it neither that it was shown nor that there is another.
func TestFound_ARevokedSuspectsSecretReachedNobody(t *testing.T) {
	r := rotation.Rotation{
		ID: "x-1", Kind: rotation.Replace, Stage: rotation.Stuck, User: ci, UserID: "AIDA", Owner: owner, Requester: owner, Old: "AKIAOLD",
		Failure: rotation.Failure{At: rotation.Creating, Class: rotation.ClassSuspect, Key: "AKIASUSPECT"},
	}
	seen := rotation.Evidence{At: time.Now(), UserID: "AIDA", Keys: []rotation.Key{
		{ID: "AKIAOLD", Status: rotation.Active}, {ID: "AKIASUSPECT", Status: rotation.Active, LastUse: rotation.LastUse{State: rotation.NeverUsed}},
	}}
	next, err := r.Step(rotation.Event{On: rotation.Revoke, By: approving, At: time.Now(), Evidence: seen})
	if err != nil || next.New != "AKIASUSPECT" || next.Lost.Key != next.New || next.Failure != (rotation.Failure{}) {
		t.Errorf("at %s with the new key %q, lost %+v, failure %+v, %v", next.Stage, next.New, next.Lost, next.Failure, err)
	}
}

func TestSurvey_StoresTheWarningThatIsDueOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		for range 2 {
			if _, err := b.engine.Survey(t.Context()); err != nil {
				t.Fatal(err)
			}
			p, err := b.engine.Get(t.Context(), ci.ID())
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Notices) != 1 || p.Notices[0].Key != b.old || p.Notices[0].Owner != owner || p.Notices[0].Days != 90 || !p.Notices[0].Sent.IsZero() || !p.Owed {
				t.Errorf("notices: %+v, owed %v; want one that is owed, of a key of 100 days", p.Notices, p.Owed)
			}
		}
	})
}

// TestFound_AMessagePreparedForAnEarlierKeyIsNotUsedAgain has a process prepare a message whose intent it cannot be told of, and another one
// take over and show a secret in that message. When the first one makes the next key, it takes another message.
func TestFound_AMessagePreparedForAnEarlierKeyIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := slices.IndexFunc(ways(), func(w way) bool { return w.name == "reissue" })
		f := newFleet(t, ways()[i], 2)
		a := f.start()
		f.start()
		prepared, lost := false, false
		f.fate = func(p *process, method string) fate {
			switch {
			case p != a || lost:
				return fate{}
			case method == "Prepare":
				prepared = true
			case method == "Replace" && prepared:
				lost = true
				return fate{fails: true, applied: true, after: func() { a.store.cut.Store(true) }}
			}
			return fate{}
		}
		f.pick = func(n int) int { return 0 }
		if r := f.until(rotation.Creating); r.Issued != 0 {
			t.Fatalf("%d keys were issued", r.Issued)
		}
		f.pick = func(n int) int { return n - 1 }
		f.until(rotation.Switching)
		a.store.cut.Store(false)
		f.pick = nil
		f.play()
		if !lost || f.rotation().Issued != 2 {
			t.Errorf("the intent was lost: %v; %d keys were issued", lost, f.rotation().Issued)
		}
	})
}

// TestFound_AMessageThatIsNotNeededIsTakenBack has a process prepare a message and fail to write its intent, and another one take over with
// a message of its own. The first one takes its message back, also if Slack does not hear of it at once.
func TestFound_AMessageThatIsNotNeededIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 2)
		a := f.start()
		f.start()
		prepared, lost, refused := false, false, 0
		f.fate = func(p *process, method string) fate {
			switch {
			case method == "Withdraw" && refused < 2:
				refused++
				return fate{fails: true}
			case p != a || lost:
			case method == "Prepare":
				prepared = true
			case method == "Replace" && prepared:
				lost = true
				return fate{fails: true, after: func() { a.store.cut.Store(true) }}
			}
			return fate{}
		}
		f.pick = func(n int) int { return 0 }
		f.until(rotation.Creating)
		f.pick = func(n int) int { return n - 1 }
		f.until(rotation.Switching)
		a.store.cut.Store(false)
		f.pick = nil
		f.play()
		if !lost || refused != 2 {
			t.Errorf("the intent was lost: %v; taking the message back failed %d times", lost, refused)
		}
	})
}

// TestFound_AKeyOfAHaltedCreationIsNotLeft has a key appear in the slot just when another one was revoked: that of a process that was halted
// in its call and taken for dead. It is revoked where CloudTrail knows whose it is, and shown to a person where nobody does.
func TestFound_AKeyOfAHaltedCreationIsNotLeft(t *testing.T) {
	for name, trail := range map[string]func(rotation.KeyID) (rotation.Maker, error){"known": nil, "denied": denied, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := slices.IndexFunc(ways(), func(w way) bool { return w.name == "reissue" })
				f := newFleet(t, ways()[i], 1)
				f.cloud.trail = trail
				var late rotation.KeyID
				f.fate = first("DeleteKey", fate{after: func() {
					late = f.cloud.add(rotation.Active, 0, 0)
					f.cloud.made[late] = true
				}})
				f.start()
				f.play()
				if r := f.rotation(); r.Issued != 3 || late == "" || r.New == late {
					t.Errorf("the new key is %s, the late one %s; %d were made", r.New, late, r.Issued)
				}
			})
		})
	}
}

// TestFound_AKeyThatAWSListsAfterItsDeletionIsWaitedOut: AWS's lists lag behind, also behind a deletion.
func TestFound_AKeyThatAWSListsAfterItsDeletionIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.playTo(rotation.Switching)
		iam, gone, until := b.aws, b.rotation().New, time.Now().Add(40*time.Second)
		ghost := rotation.Key{ID: gone, Status: rotation.Inactive, Created: b.rotation().Since}
		b.bend(bent{keys: func(ctx context.Context, user string) ([]rotation.Key, error) {
			keys, err := iam.Keys(ctx, user)
			if len(keys) == 1 && time.Now().Before(until) {
				keys = append(keys, ghost)
			}
			return keys, err
		}})
		b.must(rotation.Reissue, owner)
		if r := b.await(rotation.Switching); r.Issued != 2 || r.New == gone {
			t.Errorf("%d keys were made, the new one is %s", r.Issued, r.New)
		}
	})
}

// TestFound_ASuspectThatIsUsedAfterAllIsAdopted has an approver revoke a key of which nobody knows who made it, and its maker use it before
// that succeeds: the rotation goes on with it as with one that was kept.
func TestFound_ASuspectThatIsUsedAfterAllIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ways()[0], 1)
		var person rotation.KeyID
		f.fate = first("CreateKey", fate{fails: true, before: func() { person = f.cloud.add(rotation.Active, time.Second, 0) }})
		f.start()
		f.until(rotation.Stuck)
		f.fate = first("SetStatus", fate{fails: true, before: func() { f.cloud.use(person) }})
		if err := f.act(rotation.Revoke, approving); err != nil {
			t.Fatal(err)
		}
		if r := f.until(rotation.Switching); r.New != person || r.Kind != rotation.Adopt {
			t.Errorf("it goes on as %s with %s, want to adopt %s", r.Kind, r.New, person)
		}
		f.play()
	})
}
