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

// TestExemption_WhoDecides is every person under every rule: the same who decide about a change in AWS, and never the owner or who asks.
func TestExemption_WhoDecides(t *testing.T) {
	const (
		yes    = rotation.Code("")
		no     = rotation.NotApprover
		unread = rotation.GroupUnread
	)
	core := rotation.Traits{Path: "/", Tags: map[string]string{"team": "core-eu"}}
	for i, test := range []struct {
		user   string
		traits rotation.Traits
		owner  rotation.MemberID
		member rotation.MemberID
		want   rotation.Code
	}{
		{"ci", rotation.Traits{Path: "/"}, owner, carol, yes},
		{"ci", rotation.Traits{Path: "/"}, owner, erin, no},
		{"ci", rotation.Traits{Path: "/"}, owner, owner, rotation.OwnKey},
		{"ci", rotation.Traits{Path: "/"}, owner, asker, no},
		{"ci", rotation.Traits{Path: "/"}, "", carol, yes},
		{"ci", rotation.Traits{Path: "/"}, "", "", no},
		{"pay-gate", rotation.Traits{Path: "/"}, owner, carol, no},
		{"pay-gate", rotation.Traits{Path: "/"}, owner, frank, yes},
		{"pay-gate", rotation.Traits{Path: "/"}, owner, asker, rotation.OwnRequest},
		{"s3", rotation.Traits{Path: "/shared/eu/"}, owner, erin, yes},
		{"s3", rotation.Traits{Path: "/shared/eu/"}, owner, carol, unread},
		{"bot", core, owner, erin, yes},
		{"bot", core, owner, owner, rotation.OwnKey},
		{"bot", core, rotation.MemberID(payers), erin, rotation.OwnerUnknown}, // nobody can be asked who is of that group
	} {
		d := &directory{groups: map[rotation.GroupID][]rotation.MemberID{payers: {frank, erin, owner, asker}}}
		e, kept := ruled(t, d)
		x := rotation.KeyExemption{
			User: rotation.UserRef{Account: account, Name: test.user}, Key: "AKIAKEY", Owner: test.owner, Requester: asker, Traits: test.traits,
			Stage: rotation.ExemptAsked, Turn: 1, Deadline: time.Now().Add(time.Hour), Until: time.Now().Add(time.Hour),
		}
		x.ID = x.User.ID() + "-e1"
		if _, err := kept.Create(t.Context(), rotation.Progress{User: x.User, Exemptions: []rotation.KeyExemption{x}}); err != nil {
			t.Fatal(err)
		}
		_, err := e.MayDecideExemption(t.Context(), x.Ref(), rotation.Actor{Member: test.member, Approver: true, OnCall: true})
		if got := codeOf(err); got != test.want {
			t.Errorf("case %d: %s about %s of %s: %q, want %q (%v)", i, test.member, test.user, test.owner, got, test.want, err)
		}
	}
}

// asks has the owner ask for an exemption of the bench's key.
func (b *bench) asks(days int) rotation.KeyExemption {
	b.t.Helper()
	x, err := b.engine.AskExemption(b.t.Context(), rotation.ExemptionRequest{
		User: ci, Key: b.old, Until: time.Now().AddDate(0, 0, days), Reason: "the vendor is slow", By: rotation.Actor{Member: owner},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return x
}

func (b *bench) accepts(x rotation.KeyExemption, by rotation.MemberID) rotation.KeyExemption {
	b.t.Helper()
	x, err := b.engine.DecideExemption(b.t.Context(), x.Ref(), rotation.Actor{Member: by}, rotation.Decision{Approve: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return x
}

// found is what a scan finds about the bench's user, and what of it is accepted.
func (b *bench) found() (all, exempt []rotation.Breach) {
	b.t.Helper()
	s, err := b.engine.Survey(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range s.Findings {
		if all = append(all, f.Breach); f.Exempt.Holds(time.Now()) {
			exempt = append(exempt, f.Breach)
		}
	}
	return all, exempt
}

// TestExemption_IsOfOneKey: what is accepted of a key is not of another one, nor that there are two, and it ends at its date.
func TestExemption_IsOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		x := b.asks(30)
		if all, exempt := b.found(); len(exempt) != 0 || !slices.Contains(all, rotation.TooOld) {
			t.Errorf("accepted before anybody has decided: %v of %v", exempt, all)
		}
		x = b.accepts(x, carol)
		if all, exempt := b.found(); !slices.Equal(all, exempt) || !x.Holds(time.Now()) {
			t.Errorf("found %v, accepted %v", all, exempt)
		}
		b.account.AddKey(ci.Name, iamsim.Key{Created: time.Now().Add(-80 * 24 * time.Hour), LastUsed: time.Now().Add(-time.Hour), Service: "s3"})
		all, exempt := b.found()
		if want := []rotation.Breach{rotation.TooOld, rotation.TwoActive, rotation.SoonTooOld}; !slices.Equal(all, want) || !slices.Equal(exempt, want[:1]) {
			t.Errorf("found %v, accepted %v", all, exempt)
		}
		p, err := b.kept.Get(t.Context(), ci.ID())
		if err != nil || slices.ContainsFunc(p.Notices, func(n rotation.Notice) bool { return n.Key == b.old && n.Due.After(x.Since) }) {
			t.Errorf("warned about what is accepted: %+v, %v", p.Notices, err)
		}
		time.Sleep(24 * 24 * time.Hour)
		synctest.Wait()
		if p, _ = b.kept.Get(t.Context(), ci.ID()); p.Exemptions[0].Warned.IsZero() || p.Exemptions[0].Stage != rotation.ExemptHeld {
			t.Errorf("six days before its end: %+v", p.Exemptions[0])
		}
		time.Sleep(6*24*time.Hour + time.Minute)
		synctest.Wait()
		if p, _ = b.kept.Get(t.Context(), ci.ID()); p.Exemptions[0].Stage != rotation.ExemptOver {
			t.Errorf("after its end: %+v", p.Exemptions[0])
		}
		if _, exempt := b.found(); len(exempt) != 0 {
			t.Errorf("accepted after its end: %v", exempt)
		}
		b.stop()
	})
}

// TestExemption_UnknownIsNotExempt: where the store or AWS cannot be read, nothing counts as accepted, and nothing ends either.
func TestExemption_UnknownIsNotExempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.accepts(b.asks(30), carol)
		for _, op := range []string{"ListAccessKeys", "ListUsers", "GetAccountAuthorizationDetails"} {
			b.sim.Fail(op, iamsim.Fault{Code: "AccessDenied", Times: -1})
		}
		if s, _ := b.engine.Survey(t.Context()); len(s.Unread()) != 1 || len(s.Findings) != 0 {
			t.Errorf("unread %v, found %v", s.Unread(), s.Findings)
		}
		p, err := b.kept.Get(t.Context(), ci.ID())
		if err != nil || p.Exemptions[0].Stage != rotation.ExemptHeld {
			t.Errorf("what could not be read has ended it: %+v, %v", p.Exemptions, err)
		}
		b.sim.Heal()
		b.stop()
		engine, err := rotation.New(rotation.Config{
			Store: unreadable{b.kept}, Accounts: []rotation.Account{{ID: account, Name: "acme", IAM: b.aws}}, Hand: b.hand,
			Policy: rotation.Policy{WarnAge: 75 * 24 * time.Hour, MaxAge: 90 * 24 * time.Hour, UnusedAge: 45 * 24 * time.Hour}, Owners: rotation.Owners{Tag: "slack-user-id"},
		})
		if err != nil {
			t.Fatal(err)
		}
		s, _ := engine.Survey(t.Context())
		if len(s.Unread()) != 1 || slices.ContainsFunc(s.Findings, func(f rotation.Finding) bool { return f.Exempt.Reason != "" }) {
			t.Errorf("unread %v, found %+v", s.Unread(), s.Findings)
		}
	})
}

// unreadable is a store that cannot be read.
type unreadable struct{ rotation.Store }

func (unreadable) Get(context.Context, string) (rotation.Progress, error) {
	return rotation.Progress{}, errors.New("disk on fire")
}

// TestExemption_OneDecisionOnce: of two approvers at once each counts once, the button of an earlier turn not at all, and what is asked twice is
// asked once.
func TestExemption_OneDecisionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		q := rotation.ExemptionRequest{User: ci, Key: b.old, Until: time.Now().AddDate(0, 0, 30), Reason: "slow", By: rotation.Actor{Member: owner}, Once: "E1"}
		x, err := b.engine.AskExemption(t.Context(), q)
		again, errAgain := b.engine.AskExemption(t.Context(), q)
		if err != nil || errAgain != nil || again.ID != x.ID {
			t.Fatalf("asked as %s, %v, and again as %s, %v", x.ID, err, again.ID, errAgain)
		}
		q.Once = "E2"
		if _, err := b.engine.AskExemption(t.Context(), q); codeOf(err) != rotation.ExemptionAsked {
			t.Errorf("asked a second time: %v", err)
		}
		b.accepts(x, carol)
		_, err = b.engine.DecideExemption(t.Context(), x.Ref(), rotation.Actor{Member: dave}, rotation.Decision{Approve: true})
		if codeOf(err) != rotation.ExemptionMoved {
			t.Errorf("decided a second time: %v", err)
		}
		later := q
		later.Once, later.Until = "E3", time.Now().AddDate(0, 6, 0)
		y, err := b.engine.AskExemption(t.Context(), later)
		if err != nil {
			t.Fatal(err)
		}
		b.accepts(y, dave)
		p, _ := b.kept.Get(t.Context(), ci.ID())
		if p.Exemptions[0].Stage != rotation.ExemptReplaced || p.Exemptions[1].Stage != rotation.ExemptHeld {
			t.Errorf("after a later one: %s and %s", p.Exemptions[0].Stage, p.Exemptions[1].Stage)
		}
		for _, until := range []time.Time{time.Now(), time.Now().AddDate(1, 0, 2), {}} {
			q.Until = until
			if _, err := b.engine.AskExemption(t.Context(), q); codeOf(err) != rotation.NoSuchTime {
				t.Errorf("until %s: %v", until, err)
			}
		}
		var refused []string
		p, _ = b.kept.Get(t.Context(), ci.ID())
		for _, en := range p.Trail {
			if en.Outcome == "refused" {
				refused = append(refused, en.Action)
			}
		}
		if want := []string{"exempt", "approve-exemption", "exempt", "exempt", "exempt"}; !slices.Equal(refused, want) {
			t.Errorf("refusals on record: %v", refused)
		}
		b.stop()
	})
}

// TestExemption_KeepsTheLatest: however many are asked for, the document stays small, and none that holds is dropped.
func TestExemption_KeepsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		held := b.accepts(b.asks(30), carol)
		ids := map[string]bool{}
		for range 2 * rotation.KeepExemptions {
			x := b.asks(20)
			ids[x.ID] = true
			if _, err := b.engine.EndExemption(t.Context(), x.Ref(), rotation.Actor{Member: owner}); err != nil {
				t.Fatal(err)
			}
		}
		p, _ := b.kept.Get(t.Context(), ci.ID())
		if _, there := p.FindExemption(held.ID); !there || len(p.Exemptions) != rotation.KeepExemptions || len(ids) != 2*rotation.KeepExemptions {
			t.Errorf("%d are kept, the one that holds is there: %v; %d ids", len(p.Exemptions), there, len(ids))
		}
		b.stop()
	})
}

// TestSnooze_IsShortAndRare: at most fourteen days, twice for each key, one at a time, and only by the owner.
func TestSnooze_IsShortAndRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		mine := rotation.Actor{Member: owner}
		for _, stranger := range []rotation.Actor{{Member: carol, Approver: true}, {Member: dave, OnCall: true}, {}} {
			if _, err := b.engine.Snooze(t.Context(), ci, b.old, 3, stranger, ""); codeOf(err) != rotation.NotOwner {
				t.Errorf("%+v: %v", stranger, err)
			}
		}
		for i := range 2 {
			once := fmt.Sprint("E", i)
			s, err := b.engine.Snooze(t.Context(), ci, b.old, 1000, mine, once)
			if err != nil || s.Until.Sub(s.At) != rotation.MaxSnooze {
				t.Fatalf("from %s until %s: %v", s.At, s.Until, err)
			}
			if again, err := b.engine.Snooze(t.Context(), ci, b.old, 1, mine, once); err != nil || again.ID != s.ID {
				t.Errorf("heard again: %+v, %v", again, err)
			}
			if _, err := b.engine.Snooze(t.Context(), ci, b.old, 1, mine, ""); codeOf(err) != rotation.SnoozedNow {
				t.Errorf("snoozed while it is: %v", err)
			}
			if all, exempt := b.found(); len(all) == 0 || len(exempt) != 0 {
				t.Errorf("a snooze hides what is found: %v, exempt %v", all, exempt)
			}
			time.Sleep(rotation.MaxSnooze - time.Minute)
			b.found()
			synctest.Wait()
			if p, _ := b.kept.Get(t.Context(), ci.ID()); len(p.Notices) != 0 && i == 0 || !p.Snoozes[i].Ended.IsZero() {
				t.Errorf("before its end: %+v, %+v", p.Notices, p.Snoozes)
			}
			time.Sleep(2 * time.Minute)
			b.found()
			synctest.Wait()
			if p, _ := b.kept.Get(t.Context(), ci.ID()); len(p.Notices) != 1 || p.Snoozes[i].Ended.IsZero() {
				t.Errorf("after its end: %+v, %+v", p.Notices, p.Snoozes)
			}
		}
		if _, err := b.engine.Snooze(t.Context(), ci, b.old, 1, mine, ""); codeOf(err) != rotation.SnoozedOften {
			t.Errorf("a third time: %v", err)
		}
		b.stop()
	})
}
