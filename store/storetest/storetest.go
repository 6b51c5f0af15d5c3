// Package storetest is the suite that every implementation of [rotation.Store] passes. A backend's test calls [Run], [RunFaults] for what
// a broken write leaves and, if it keeps anything beyond the process, [RunReopen]:
//
//	func TestBolt(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) rotation.Store { … })
//	}
//
// # Design
//
// The suite asks for what the interface promises and no more. A scan may miss a document that is created while it runs; a list that
// was empty may come back nil; nothing is said about how an id or a name is stored. Documents stay below 300 KB, since DynamoDB keeps
// at most 400 KB in one item, and claims' names and users are such as every backend can have for keys.
//
// Live and Waiting may lag behind a write. What they tell is compared at once all the same, unless a backend says with [Lag] for how long
// it may take: only then the suite looks again until it is right.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
)

// Option says what a backend may do that others do not.
type Option func(*lagging)

// Lag lets Live and Waiting be behind a write for so long.
func Lag(d time.Duration) Option { return func(l *lagging) { l.lag = d } }

// lagging is a store whose Live and Waiting may be behind.
type lagging struct {
	rotation.Store
	lag time.Duration
}

// Run checks the stores that open makes: a new, empty one at each call, closed by t.Cleanup if it needs to be.
func Run(t *testing.T, open func(t *testing.T) rotation.Store, options ...Option) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, rotation.Store)
	}{
		{"Get/not_found", getNotFound},
		{"Create/first_and_conflict", createAndConflict},
		{"Create/two_at_once", createAtOnce},
		{"Replace/counts_revs", replaceCountsRevs},
		{"Replace/conflicts", replaceConflicts},
		{"Replace/lost_update", replaceLostUpdate},
		{"Replace/counter", replaceCounter},
		{"Progress/every_field", everyField},
		{"Progress/sparse", sparse},
		{"Progress/odd_text", oddText},
		{"Progress/odd_users", oddUsers},
		{"Progress/big", big},
		{"Progress/copies", copies},
		{"Scan/order", scanOrder},
		{"Scan/empty", scanEmpty},
		{"Scan/early_stop", scanStops},
		{"Scan/other_calls_inside", scanCalls},
		{"Scan/sees_changes", scanSeesChanges},
		{"Scan/beside_writers", scanBesideWriters},
		{"Live/follows_documents", liveFollows},
		{"Live/many", liveMany},
		{"Live/early_stop", liveStops},
		{"Live/other_calls_inside", liveCalls},
		{"Live/changed_at_once", liveAtOnce},
		{"Claim/not_found", claimNotFound},
		{"Claim/counts_revs", claimCountsRevs},
		{"Claim/conflicts", claimConflicts},
		{"Claim/given_up", claimGivenUp},
		{"Claim/names_apart", claimNamesApart},
		{"Claim/two_at_once", claimAtOnce},
		{"Claim/refused", claimRefused},
		{"Entries/order", entriesOrder},
		{"Entries/same_key", entriesSameKey},
		{"Entries/every_field", entriesEveryField},
		{"Entries/early_stop", entriesStop},
		{"Entries/record_inside", entriesRecordInside},
		{"Entries/recorded_at_once", entriesAtOnce},
		{"Entries/refused", entriesRefused},
		{"Inbox/accepted_once", acceptedOnce},
		{"Inbox/accepted_at_once", acceptedAtOnce},
		{"Inbox/every_value", envelopeValues},
		{"Inbox/settled", settled},
		{"Inbox/settled_at_once", settledAtOnce},
		{"Inbox/copies", envelopeCopies},
		{"Inbox/waiting", waitingExact},
		{"Inbox/early_stop", waitingStops},
		{"Inbox/other_calls_inside", waitingCalls},
		{"Inbox/forgets", forgets},
		{"Inbox/forgets_many", forgetsMany},
		{"Inbox/refused", envelopesRefused},
		{"Readings/every_field", readingsEveryField},
		{"Readings/order", readingsOrder},
		{"Readings/big", readingsBig},
		{"Readings/dropped", readingsDropped},
		{"Readings/early_stop", readingsStop},
		{"Readings/refused", readingsRefused},
		{"Context/cancelled", cancelled},
		{"Context/cancelled_inside", cancelledInside},
		{"Model", model},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, subject(open(t), options))
		})
	}
}

func subject(s rotation.Store, options []Option) rotation.Store {
	l := lagging{Store: s}
	for _, option := range options {
		option(&l)
	}
	return l
}

// eventually compares what an index tells, as soon as it is told or, for a backend that lags, until it is right.
func eventually(t tester, s rotation.Store, diff func() string) {
	t.Helper()
	var lag time.Duration
	if l, ok := s.(lagging); ok {
		lag = l.lag
	}
	deadline := time.After(lag)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		wrong := diff()
		if wrong == "" {
			return
		}
		if lag == 0 {
			t.Fatal(wrong)
		}
		select {
		case <-deadline:
			t.Fatalf("after %v still: %s", lag, wrong)
		case <-again.C:
		}
	}
}

// tester is *testing.T or *rapid.T.
type tester interface {
	rapid.TB
	Context() context.Context
}

// user makes the nth user of a test.
func user(n int) rotation.UserRef {
	return rotation.UserRef{Account: "111122223333", Name: fmt.Sprintf("user-%03d", n)}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// same compares values in which an empty list and none are the same.
func same(got, want any) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func create(t *testing.T, s rotation.Store, p rotation.Progress) rotation.Progress {
	t.Helper()
	stored, err := s.Create(t.Context(), p)
	if err != nil {
		t.Fatalf("create %s: %v", p.User, err)
	}
	return stored
}

func replace(t tester, s rotation.Store, p rotation.Progress) rotation.Progress {
	t.Helper()
	stored, err := s.Replace(t.Context(), p)
	if err != nil {
		t.Fatalf("replace %s at rev %d: %v", p.User, p.Rev, err)
	}
	return stored
}

// expect reads a user's progress and compares.
func expect(t *testing.T, s rotation.Store, want rotation.Progress) {
	t.Helper()
	got, err := s.Get(t.Context(), want.User.ID())
	if err != nil {
		t.Fatalf("get %s: %v", want.User, err)
	}
	if diff := same(got, want); diff != "" {
		t.Errorf("what is stored for %s (-want +got):\n%s", want.User, diff)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func getNotFound(t *testing.T, s rotation.Store) {
	id := create(t, s, rotation.Progress{User: user(1)}).User.ID()
	for _, odd := range []string{
		user(2).ID(), "", " ", "/", "../" + id, id + "/", id[:15], id + "a", strings.ToUpper(id), "\x00", id + "\x00",
		"ключ", "\xff", "%", "*", strings.Repeat("x", 1000), strings.Repeat("x", 100_000),
	} {
		p, err := s.Get(t.Context(), odd)
		wantErr(t, fmt.Sprintf("get %.20q", odd), err, rotation.ErrNotFound)
		if diff := same(p, rotation.Progress{}); diff != "" {
			t.Errorf("get %.20q gave something:\n%s", odd, diff)
		}
	}
}

func createAndConflict(t *testing.T, s rotation.Store) {
	want := rotation.Progress{User: user(1), Rev: 1, Count: 7}
	got := create(t, s, rotation.Progress{User: user(1), Rev: 99, Count: 7})
	if diff := same(got, want); diff != "" {
		t.Errorf("create returned (-want +got):\n%s", diff)
	}
	expect(t, s, want)

	p, err := s.Create(t.Context(), rotation.Progress{User: user(1), Count: 8})
	wantErr(t, "create again", err, rotation.ErrConflict)
	if diff := same(p, rotation.Progress{}); diff != "" {
		t.Errorf("the refused create gave something:\n%s", diff)
	}
	expect(t, s, want)
}

func createAtOnce(t *testing.T, s rotation.Store) {
	const writers = 8
	won := make([]bool, writers)
	together(writers, func(i int) {
		p, err := s.Create(t.Context(), rotation.Progress{User: user(1), Count: i + 1})
		if won[i] = err == nil; won[i] && p.Count != i+1 {
			t.Errorf("writer %d was given count %d", i, p.Count)
		}
		if err != nil {
			wantErr(t, "create", err, rotation.ErrConflict)
		}
	})
	winner := slices.Index(won, true)
	if winner < 0 || slices.Contains(won[winner+1:], true) {
		t.Fatalf("creates that succeeded: %v, want exactly one", won)
	}
	expect(t, s, rotation.Progress{User: user(1), Rev: 1, Count: winner + 1})
}

func replaceCountsRevs(t *testing.T, s rotation.Store) {
	p := create(t, s, rotation.Progress{User: user(1)})
	for rev := uint64(2); rev <= 5; rev++ {
		p.Count++
		p = replace(t, s, p)
		if p.Rev != rev {
			t.Fatalf("replace returned rev %d, want %d", p.Rev, rev)
		}
		expect(t, s, p)
	}
}

func replaceConflicts(t *testing.T, s rotation.Store) {
	create(t, s, rotation.Progress{User: user(1)})
	want := replace(t, s, rotation.Progress{User: user(1), Rev: 1, Count: 1})
	for _, rev := range []uint64{0, 1, 3, 1 << 63, 1<<64 - 1} {
		_, err := s.Replace(t.Context(), rotation.Progress{User: user(1), Rev: rev, Count: 2})
		wantErr(t, fmt.Sprintf("replace at rev %d what is at 2", rev), err, rotation.ErrConflict)
		expect(t, s, want)
	}
	for _, rev := range []uint64{0, 1} {
		_, err := s.Replace(t.Context(), rotation.Progress{User: user(2), Rev: rev})
		wantErr(t, fmt.Sprintf("replace at rev %d what is not there", rev), err, rotation.ErrConflict)
		_, err = s.Get(t.Context(), user(2).ID())
		wantErr(t, "get what was refused", err, rotation.ErrNotFound)
	}
}

func replaceLostUpdate(t *testing.T, s rotation.Store) {
	create(t, s, rotation.Progress{User: user(1)})
	first, _ := s.Get(t.Context(), user(1).ID())
	second, _ := s.Get(t.Context(), user(1).ID())
	first.Trail = append(first.Trail, rotation.Entry{Actor: "UALICE"})
	second.Trail = append(second.Trail, rotation.Entry{Actor: "UBOB"})
	want := replace(t, s, first)
	_, err := s.Replace(t.Context(), second)
	wantErr(t, "the second of two who read the same", err, rotation.ErrConflict)
	expect(t, s, want)
}

func replaceCounter(t *testing.T, s rotation.Store) {
	const writers, times = 8, 10
	create(t, s, rotation.Progress{User: user(1)})
	together(writers, func(int) {
		for done := 0; done < times; {
			p, err := s.Get(t.Context(), user(1).ID())
			if err != nil {
				t.Errorf("get: %v", err)
				return
			}
			p.Count++
			switch _, err := s.Replace(t.Context(), p); {
			case err == nil:
				done++
			case !errors.Is(err, rotation.ErrConflict):
				t.Errorf("replace: %v", err)
				return
			}
		}
	})
	expect(t, s, rotation.Progress{User: user(1), Rev: 1 + writers*times, Count: writers * times})
}
