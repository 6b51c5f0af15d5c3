package rotation_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// perform has an application use a key.
func (b *bench) perform(key rotation.KeyID, region, agent string) {
	b.t.Helper()
	err := b.account.Perform(string(key), iamsim.Activity{Service: "ec2", Region: region, UserAgent: agent, SourceIP: "192.0.2.7"})
	if err != nil {
		b.t.Fatal(err)
	}
}

// lookups counts the requests to CloudTrail.
func (b *bench) lookups() int {
	n := 0
	for _, c := range b.sim.Calls() {
		if c.Op == "LookupEvents" {
			n++
		}
	}
	return n
}

// TestTrace_ByItself has an owner who confirms too early: the engine finds out who uses the old key still, and does not ask for that too often.
func TestTrace_ByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTracedBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		b.perform(b.old, "eu-west-1", "Boto3/1.34 md/command#ec2.describe")
		if n := b.lookups(); n != 0 {
			t.Errorf("CloudTrail was asked %d times before anybody knew of a use", n)
		}
		if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Confirm, rotation.Actor{Member: owner}, ""); code(err) != rotation.Blocked {
			t.Fatalf("confirmed: %v", err)
		}
		passes(time.Minute)
		got := b.rotation()
		want := []rotation.Caller{{Service: "ec2", Agent: "Boto3/1.34", Address: "192.0.2.7", Calls: 1, Names: []string{"DescribeInstances"}, Regions: []string{"eu-west-1"}}}
		if diff := cmp.Diff(want, got.Trace.Callers, cmpopts.IgnoreFields(rotation.Caller{}, "Last")); diff != "" {
			t.Errorf("callers (-want +got):\n%s", diff)
		}
		if n := b.lookups(); n != 2 {
			t.Errorf("CloudTrail was asked %d times, want once in each region", n)
		}
		if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Confirm, rotation.Actor{Member: owner}, ""); code(err) != rotation.Blocked {
			t.Fatalf("confirmed: %v", err)
		}
		passes(time.Minute)
		if n := b.lookups(); n != 2 {
			t.Errorf("CloudTrail was asked %d times, want no more for a second click", n)
		}
		if got.Turn != r.Turn || got.Proof.Open() {
			t.Errorf("a look has moved something: %+v", got)
		}
		for range 4 {
			b.perform(b.old, "eu-west-1", "Boto3/1.34")
			passes(2 * time.Hour)
		}
		if n := b.lookups(); n < 4 || n > 8 {
			t.Errorf("CloudTrail was asked %d times in eight hours", n)
		}
	})
}

// TestTrace_Unread has regions that do not answer: they are named, the others are told, and the gate goes by the evidence alone.
func TestTrace_Unread(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  iamsim.Fault
		unread []rotation.Unread
		found  int
	}{
		{"one region is down", iamsim.Fault{Times: -1, Status: 503, Region: "us-east-1"}, []rotation.Unread{{Region: "us-east-1", Class: rotation.ClassUnknown}}, 1},
		{"throttled", iamsim.Fault{Times: -1, Code: "Throttling", Region: "us-east-1"}, []rotation.Unread{{Region: "us-east-1", Class: rotation.ClassThrottled}}, 1},
		{"hangs", iamsim.Fault{Times: -1, Delay: time.Hour, Region: "us-east-1"}, []rotation.Unread{{Region: "us-east-1", Class: rotation.ClassUnknown}}, 1},
		{"denied everywhere", iamsim.Fault{Times: -1, Code: "AccessDenied"}, []rotation.Unread{{Region: "eu-west-1", Class: rotation.ClassDenied}, {Region: "us-east-1", Class: rotation.ClassDenied}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTracedBench(t)
				defer func() { b.stop() }()
				r := b.playTo(rotation.Switching)
				b.perform(b.old, "eu-west-1", "Boto3/1.34")
				b.sim.Fail("LookupEvents", test.fault)
				began := time.Now()
				got, err := b.engine.Trace(t.Context(), r.Ref(), rotation.Actor{Member: owner})
				if err != nil || time.Since(began) > time.Minute {
					t.Fatalf("after %s: %v", time.Since(began), err)
				}
				if diff := cmp.Diff(test.unread, got.Trace.Unread); diff != "" || len(got.Trace.Callers) != test.found {
					t.Errorf("%d callers; unread (-want +got):\n%s", len(got.Trace.Callers), diff)
				}
				if diff := cmp.Diff(got.Trace, b.rotation().Trace); diff != "" {
					t.Errorf("what was told is not what is kept (-told +kept):\n%s", diff)
				}
				// Denied, or no call seen: neither shuts the gate nor opens it.
				b.perform(r.New, "eu-west-1", "Boto3/1.34")
				_, err = b.engine.Act(t.Context(), r.Ref(), rotation.Confirm, rotation.Actor{Member: owner}, "")
				if code(err) != rotation.Blocked {
					t.Errorf("the old key is in use, and it was confirmed: %v", err)
				}
				passes(2*time.Hour + time.Minute)
				if _, err = b.engine.Act(t.Context(), b.rotation().Ref(), rotation.Confirm, rotation.Actor{Member: owner}, ""); err != nil {
					t.Errorf("the old key is quiet, and it was not confirmed: %v", err)
				}
			})
		})
	}
}

// TestTrace_WhoIsTold asks as everybody, and too often.
func TestTrace_WhoIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTracedBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		try := func(by rotation.Actor, want rotation.Code) {
			t.Helper()
			if _, err := b.engine.Trace(t.Context(), r.Ref(), by); code(err) != want || want == "" && err != nil {
				t.Errorf("%+v: got %v, want %q", by, err, want)
			}
		}
		try(rotation.Actor{Member: "USTRANGER"}, rotation.NotInvolved)
		try(rotation.Actor{}, rotation.NotInvolved)
		try(rotation.Actor{Member: "UCALL", OnCall: true}, "")
		before := b.lookups()
		try(rotation.Actor{Member: owner}, "")
		try(rotation.Actor{Member: carol}, "") // whom the configuration names
		if n := b.lookups() - before; n != 0 {
			t.Errorf("CloudTrail was asked %d times again in the same minute", n)
		}
		time.Sleep(3 * time.Minute)
		try(rotation.Actor{Member: carol}, "")
		if n := b.lookups() - before; n != 2 {
			t.Errorf("CloudTrail was asked %d times again later", n)
		}
		p, err := b.kept.Get(t.Context(), ci.ID())
		if err != nil || !slices.ContainsFunc(p.Trail, func(e rotation.Entry) bool {
			return e.Actor == "USTRANGER" && e.Action == "trace" && e.Outcome == "refused"
		}) {
			t.Errorf("the refusal is not on record: %v", err)
		}
		if _, err := b.engine.Trace(t.Context(), rotation.Ref{ID: "aaaaaaaaaaaaaaaa-1"}, rotation.Actor{Member: owner}); code(err) != rotation.Outdated {
			t.Errorf("of nothing: %v", err)
		}
	})
}

// TestTrace_AGroupsKey is asked about by those of the group that owns it, and by nobody whom nothing could be learnt of.
func TestTrace_AGroupsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, members, e := grouped(t)
		shared := rotation.UserRef{Account: account, Name: "shared"}
		p, err := e.Request(t.Context(), rotation.Request{User: shared, By: rotation.Actor{Member: "UANA"}})
		if err != nil {
			t.Fatal(err)
		}
		try := func(by rotation.MemberID, want rotation.Code) {
			t.Helper()
			if _, err := e.Trace(t.Context(), p.Rotation.Ref(), rotation.Actor{Member: by}); code(err) != want {
				t.Errorf("%s: got %v, want %q", by, err, want)
			}
		}
		try("UBEN", rotation.NoTrail) // who would be told, if there were one
		try("UEVE", rotation.NotInvolved)
		members.err = errors.New("cut off")
		try("UBEN", rotation.GroupUnread)
		if n := b.lookups(); n != 0 {
			t.Errorf("CloudTrail was asked %d times", n)
		}
	})
}

// TestTrace_OptIn has an account without regions: CloudTrail is never asked.
func TestTrace_OptIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Switching)
		b.perform(b.old, "eu-west-1", "Boto3/1.34")
		if _, err := b.engine.Trace(t.Context(), r.Ref(), rotation.Actor{Member: owner}); code(err) != rotation.NoTrail {
			t.Errorf("got %v", err)
		}
		passes(7 * time.Hour)
		if n := b.lookups(); n != 0 || !b.rotation().Trace.At.IsZero() || !b.engine.TraceKey(t.Context(), account, b.old).At.IsZero() {
			t.Errorf("CloudTrail was asked %d times", n)
		}
	})
}
