package rotation_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

const (
	erin  = rotation.MemberID("UERIN")
	frank = rotation.MemberID("UFRANK")
	asker = rotation.MemberID("UASKER")

	payers = rotation.GroupID("SPAYERS")
	lost   = rotation.GroupID("SLOST") // which cannot be read
)

// directory is a workspace of which one group cannot be read.
type directory struct {
	groups map[rotation.GroupID][]rotation.MemberID
	gone   []rotation.MemberID // deactivated
}

func (d *directory) Group(_ context.Context, id rotation.GroupID) ([]rotation.MemberID, error) {
	members, ok := d.groups[id]
	if !ok {
		return nil, errors.New("no_such_subteam")
	}
	return members, nil
}

func (d *directory) Standing(_ context.Context, m rotation.MemberID) (bool, error) {
	return !slices.Contains(d.gone, m), nil
}

// rules: payments are decided by a group, shared users by a group that cannot be read and by Erin, tagged ones by Erin alone; all else
// by Carol and Dave.
var rules = []rotation.Approval{
	{
		Name: "payments", Matches: rotation.Matches{Users: []string{"pay-*"}},
		By: rotation.Circle{Groups: []rotation.GroupID{payers}}, Wanted: rotation.Wanted{Deactivate: 2},
	},
	{Name: "shared", Matches: rotation.Matches{Paths: []string{"/shared/*"}}, By: rotation.Circle{Members: []rotation.MemberID{erin}, Groups: []rotation.GroupID{lost}}},
	{Name: "tagged", Matches: rotation.Matches{Tag: "team", Value: "core*"}, By: rotation.Circle{Members: []rotation.MemberID{erin, owner, asker}}},
}

func ruled(t *testing.T, d *directory) (*rotation.Engine, rotation.Store) {
	t.Helper()
	kept := store.NewMem()
	e, err := rotation.New(rotation.Config{
		Store: kept, Hand: newHand(), Approvals: rules, Approvers: []rotation.MemberID{carol, dave, owner}, Directory: d,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, kept
}

// TestAuthority is every person at every stage under every rule: may they approve, deny, roll back?
func TestAuthority(t *testing.T) {
	type rule struct {
		name   string
		user   string
		traits rotation.Traits
	}
	byDefault := rule{"default", "ci", rotation.Traits{Path: "/"}}
	payments := rule{"payments", "PAY-gate", rotation.Traits{Path: "/"}}
	shared := rule{"shared", "s3", rotation.Traits{Path: "/shared/eu/"}}
	tagged := rule{"tagged", "bot", rotation.Traits{Path: "/", Tags: map[string]string{"team": "core-eu"}}}
	const (
		yes    = rotation.Code("")
		no     = rotation.NotApprover
		own    = rotation.OwnKey
		asked  = rotation.OwnRequest
		unread = rotation.GroupUnread
	)
	verdicts := []struct {
		rule   rule
		member rotation.MemberID
		decide rotation.Code // about each stage
		back   rotation.Code // making the old key active again
	}{
		{byDefault, carol, yes, yes},
		{byDefault, erin, no, no},
		{byDefault, frank, no, no},
		{byDefault, owner, own, yes},
		{byDefault, asker, no, no},
		{byDefault, "", no, no},

		{payments, carol, no, yes}, // an approver, but not of these; a rollback is any approver's
		{payments, frank, yes, yes},
		{payments, erin, yes, yes},
		{payments, owner, own, yes},   // is in the group
		{payments, asker, asked, yes}, // likewise
		{payments, "UX", no, no},

		{shared, erin, yes, yes}, // by name, whatever the group
		{shared, frank, unread, unread},
		{shared, carol, unread, yes},
		{shared, owner, unread, yes}, // a rollback of one's own asks nobody

		{tagged, erin, yes, yes},
		{tagged, frank, no, no},
		{tagged, owner, own, yes},
		{tagged, asker, asked, yes},
	}
	for _, v := range verdicts {
		for _, stage := range []rotation.Stage{rotation.Requested, rotation.Confirmed, rotation.Expiring, rotation.Stuck} {
			for _, on := range []rotation.On{rotation.Approve, rotation.Deny, rotation.Reactivate, rotation.Close} {
				d := &directory{groups: map[rotation.GroupID][]rotation.MemberID{payers: {erin, frank, owner, asker}}}
				e, kept := ruled(t, d)
				user := rotation.UserRef{Account: account, Name: v.rule.user}
				r := rotation.Rotation{User: user, Kind: rotation.Replace, Stage: stage, Owner: owner, Requester: asker, Traits: v.rule.traits, Turn: 3}
				r.Asks = []rotation.Ask{{Stage: stage, Turn: 3, Wanted: 1}}
				if stage == rotation.Stuck {
					r.Failure.At = rotation.Expiring
				}
				p := rotation.Progress{User: user}
				p.Begin(r)
				if _, err := kept.Create(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				want := v.decide
				if on == rotation.Reactivate {
					want = v.back
				}
				if !slices.Contains(r.Offers(rotation.ByApprover), on) {
					want = rotation.NotNow
				}
				_, err := e.May(t.Context(), p.Rotation.Ref(), on, rotation.Actor{Member: v.member, Approver: true})
				if got := code(err); got != want || want == yes && err != nil {
					t.Errorf("rule %s, %s, %s by %q: got %v, want %q", v.rule.name, stage, on, v.member, err, want)
				}
				if e, ok := trailOf(t, kept, user); want != yes && (!ok || e.Outcome != "refused" || e.Actor != string(v.member)) {
					t.Errorf("rule %s, %s, %s by %q: the entry is %+v", v.rule.name, stage, on, v.member, e)
				}
			}
		}
	}
}

func trailOf(t *testing.T, kept rotation.Store, u rotation.UserRef) (rotation.Entry, bool) {
	t.Helper()
	p, err := kept.Get(t.Context(), u.ID())
	if err != nil || len(p.Trail) == 0 {
		return rotation.Entry{}, false
	}
	return p.Trail[len(p.Trail)-1], true
}

// TestMatches holds which rule is for whom.
func TestMatches(t *testing.T) {
	all := rotation.NewApprovals(append([]rotation.Approval{
		{Name: "both", Matches: rotation.Matches{Accounts: []string{account}, Users: []string{"x?", "*-prod"}, Tag: "a", Value: "*"}},
	}, rules...), []rotation.MemberID{carol})
	for _, test := range []struct {
		account, user string
		traits        rotation.Traits
		want          string
	}{
		{account, "xy", rotation.Traits{Tags: map[string]string{"a": ""}}, "both"},
		{account, "XY", rotation.Traits{Tags: map[string]string{"a": "b"}}, "both"},
		{account, "db-prod", rotation.Traits{Tags: map[string]string{"a": "b"}}, "both"},
		{account, "xy", rotation.Traits{}, "default"},
		{"444455556666", "xy", rotation.Traits{Tags: map[string]string{"a": "b"}}, "default"},
		{account, "x", rotation.Traits{Tags: map[string]string{"a": "b"}}, "default"},
		{account, "pay-", rotation.Traits{}, "payments"},
		{account, "repay-1", rotation.Traits{}, "default"},
		{account, "pay-prod", rotation.Traits{Tags: map[string]string{"a": "b"}}, "both"}, // the first counts
		{account, "s", rotation.Traits{Path: "/shared/"}, "shared"},
		{account, "s", rotation.Traits{Path: "/SHARED/"}, "default"},
		{account, "s", rotation.Traits{Path: "/x/shared/"}, "default"},
		{account, "s", rotation.Traits{Tags: map[string]string{"team": "core"}}, "tagged"},
		{account, "s", rotation.Traits{Tags: map[string]string{"team": "score"}}, "default"},
		{account, "s", rotation.Traits{Tags: map[string]string{"Team": "core"}}, "default"},
	} {
		if got := all.For(rotation.UserRef{Account: test.account, Name: test.user}, test.traits).Name; got != test.want {
			t.Errorf("%s/%s with %+v: rule %s, want %s", test.account, test.user, test.traits, got, test.want)
		}
	}
}

// TestStep_AsManyAsAreWanted: one approval after another is counted in, each person's once, and the last one moves.
func TestStep_AsManyAsAreWanted(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	old := rotation.Key{ID: "OLD", Status: rotation.Active, Created: at.Add(-90 * 24 * time.Hour), LastUse: rotation.LastUse{State: rotation.NeverUsed}}
	seen := rotation.Evidence{At: at, UserID: "AIDA", Keys: []rotation.Key{old}}
	q := rotation.Request{User: ci, By: rotation.Actor{Member: asker}}
	r, err := rotation.Start(q, owner, seen, rotation.Terms{Expires: time.Hour, Wanted: rotation.Wanted{Create: 3}}, at)
	if err != nil {
		t.Fatal(err)
	}
	act := func(on rotation.On, m rotation.MemberID) error {
		next, err := r.Step(rotation.Event{On: on, By: rotation.Actor{Member: m, Approver: true}, At: at, Evidence: seen})
		if err == nil {
			r = next
		}
		return err
	}
	for i, step := range []struct {
		by   rotation.MemberID
		want rotation.Code
	}{{carol, ""}, {carol, rotation.Approved}, {owner, rotation.OwnKey}, {asker, rotation.OwnRequest}, {dave, ""}, {dave, rotation.Approved}} {
		before := r
		if err := act(rotation.Approve, step.by); code(err) != step.want {
			t.Fatalf("approval %d, by %s: %v, want %q", i, step.by, err, step.want)
		}
		if r.Stage != rotation.Requested || r.Turn != before.Turn || !r.Deadline.Equal(before.Deadline) || !r.Asks[0].Open() {
			t.Fatalf("approval %d moves it: %+v", i, r)
		}
	}
	if ask, _ := r.CurrentAsk(); ask.Lacks() != 1 || len(ask.Approvals()) != 2 {
		t.Errorf("%d more wanted after two of three: %+v", ask.Lacks(), ask.Decisions)
	}
	two := r
	if err := act(rotation.Deny, carol); err != nil || r.Stage != rotation.Denied { // on second thoughts
		t.Errorf("a denial after two approvals leads to %s, %v", r.Stage, err)
	}
	if d, ok := r.Asks[0].ClosedBy(); !ok || d.By != carol || d.Approve {
		t.Errorf("it is ended by %+v, %v", d, ok)
	}
	r = two
	if err := act(rotation.Approve, erin); err != nil || r.Stage != rotation.Creating || r.Turn != two.Turn+1 || len(r.Asks[0].Approvals()) != 3 {
		t.Errorf("the third approval leads to %s at turn %d with %+v, %v", r.Stage, r.Turn, r.Asks[0].Decisions, err)
	}
	r = two
	lapsed, err := r.Step(rotation.Event{On: rotation.Elapse, By: rotation.TheClock, At: at.Add(time.Hour)})
	if _, ok := lapsed.Asks[0].ClosedBy(); err != nil || ok || lapsed.Stage != rotation.Lapsed {
		t.Errorf("two of three are not enough when its time is over: %s, ended by a person %v, %v", lapsed.Stage, ok, err)
	}
}

// TestStep_EvidenceChangedBetweenApprovals: the first approval counts no more, and both are asked again.
func TestStep_EvidenceChangedBetweenApprovals(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	seen := func(last time.Time) rotation.Evidence {
		use := rotation.LastUse{State: rotation.Used, At: last}
		return rotation.Evidence{At: at, UserID: "AIDA", Keys: []rotation.Key{
			{ID: "OLD", Status: rotation.Active, Created: at.Add(-90 * 24 * time.Hour), LastUse: use},
		}}
	}
	q := rotation.Request{User: ci, Key: "OLD", Retire: true, By: rotation.Actor{Member: owner}}
	first, second := seen(at.Add(-50*time.Hour)), seen(at.Add(-40*time.Hour))
	r, err := rotation.Start(q, owner, first, rotation.Terms{Quiet: 24 * time.Hour, Expires: time.Hour, Wanted: rotation.Wanted{Deactivate: 2}}, at)
	if err != nil {
		t.Fatal(err)
	}
	approve := func(m rotation.MemberID, e rotation.Evidence) error {
		next, err := r.Step(rotation.Event{On: rotation.Approve, By: rotation.Actor{Member: m, Approver: true}, At: at, Evidence: e})
		if err == nil {
			r = next
		}
		return err
	}
	if err := approve(carol, first); err != nil {
		t.Fatal(err)
	}
	if blocks := refusal(approve(dave, second)).Blocks; len(blocks) != 1 || blocks[0].Code != rotation.NotAsShown {
		t.Fatalf("the second approval on other evidence: %+v", blocks)
	}
	if r, err = r.Step(rotation.Event{On: rotation.Renew, By: rotation.TheEngine, At: at, Evidence: second}); err != nil {
		t.Fatal(err)
	}
	if ask, _ := r.CurrentAsk(); ask.Lacks() != 2 || r.Asks[0].Closed != string(rotation.Renew) {
		t.Errorf("it is not asked anew: %+v", r.Asks)
	}
	for _, m := range []rotation.MemberID{carol, dave} {
		if err := approve(m, second); err != nil {
			t.Fatal(err)
		}
	}
	if r.Stage != rotation.Deactivating {
		t.Errorf("both again, and it is at %s", r.Stage)
	}
}
