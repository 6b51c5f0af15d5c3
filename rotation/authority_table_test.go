package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// cast are the persons of the table, in its order of columns. Slack's own word on each comes before the engine's: those without standing are
// turned away by it, as the bot does.
var cast = []struct {
	name   string
	member rotation.MemberID
	onCall bool
	barred bool // by Slack: no active full member of our own workspace
}{
	{"owner", owner, false, false},
	{"requester", asker, true, false},
	{"approver by name", carol, false, false},
	{"approver by group", frank, false, false},
	{"overruler", dave, false, false},
	{"second circle", erin, false, false},
	{"on-call", "UONCALL", true, false},
	{"stranger", "USTRANGER", false, false},
	{"guest", "UGUEST", false, true},
	{"bot", "UBOT", false, true},
	{"deactivated", "UGONE", false, true},
	{"other team", "UOTHER", false, true},
	{"Slack Connect", "UCONNECT", false, true},
}

// scene is a rule, and what has happened under it.
type scene struct {
	name   string
	rule   rotation.Approval
	before func(*rotation.Rotation, *rotation.Ask)
}

func scenes() []scene {
	barred := []rotation.MemberID{"UGUEST", "UBOT", "UGONE", "UOTHER", "UCONNECT"}
	by := rotation.Circle{Members: append([]rotation.MemberID{owner, asker, carol, dave}, barred...), Groups: []rotation.GroupID{payers}}
	plain := rotation.Approval{Name: "plain", By: by}
	two, late, shut, frozen := plain, plain, plain, plain
	two.Wanted = rotation.Wanted{Create: 2, Deactivate: 2, Delete: 2}
	late.Escalate = rotation.Escalation{After: time.Hour, To: rotation.Circle{Members: append([]rotation.MemberID{erin, owner}, barred...)}}
	shut.Windows = []rotation.Window{{Days: []time.Weekday{time.Tuesday}, Until: time.Hour}}
	frozen.Freezes = []rotation.Freeze{{From: tableTime.Add(-time.Hour), Until: tableTime.Add(99 * time.Hour), Reason: "an audit"}}
	approved := func(by rotation.MemberID) func(*rotation.Rotation, *rotation.Ask) {
		return func(_ *rotation.Rotation, ask *rotation.Ask) {
			ask.Decisions = []rotation.Decision{{By: by, Approve: true, At: tableTime}}
		}
	}
	return []scene{
		{"one approval", plain, nil},
		{"two approvals, none given", two, nil},
		{"two approvals, one given by the approver by name", two, approved(carol)},
		{"a second circle, not asked yet", late, nil},
		{"a second circle, asked", late, func(_ *rotation.Rotation, ask *rotation.Ask) { ask.Escalated = tableTime }},
		{"outside of the window", shut, nil},
		{"outside of the window, approved by the approver by name", shut, func(r *rotation.Rotation, ask *rotation.Ask) {
			approved(carol)(r, ask)
			r.Held = tableTime.Add(time.Hour)
		}},
		{"in a freeze", frozen, nil},
	}
}

// tableTime is a Monday.
var tableTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// verdicts words what an attempt comes to.
func verdictOf(p rotation.Progress, err error) string {
	refusal, refused := errors.AsType[*rotation.Refusal](err)
	switch {
	case err != nil && !refused:
		return "error: " + err.Error()
	case refused:
		return string(refusal.Code)
	case p.Rotation.Waits():
		return "HELD"
	case p.Rotation.Stage != rotation.Stuck && p.Rotation.Turn == 3:
		return "COUNTED"
	}
	return "YES"
}

// calm is AWS as the rotation left it: every gate opens.
type calm struct {
	rotation.IAM
	seen rotation.Evidence
}

func (c calm) User(_ context.Context, name string) (rotation.User, error) {
	return rotation.User{Ref: rotation.UserRef{Account: account, Name: name}, ID: c.seen.UserID}, nil
}

func (c calm) Keys(context.Context, string) ([]rotation.Key, error) {
	return slices.Clone(c.seen.Keys), nil
}

func (c calm) LastUse(_ context.Context, id rotation.KeyID) (rotation.LastUse, error) {
	k, _ := c.seen.Key(id)
	return k.LastUse, nil
}

// asked is a rotation at a stage, with the evidence on which each of its moves is open.
func asked(stage rotation.Stage) (rotation.Rotation, rotation.Evidence) {
	status := rotation.Active
	if stage == rotation.Expiring || stage == rotation.Grace || stage == rotation.Stuck {
		status = rotation.Inactive
	}
	used := rotation.LastUse{State: rotation.Used, At: tableTime.Add(-100 * time.Hour)}
	seen := rotation.Evidence{At: tableTime, UserID: "AIDA", Keys: []rotation.Key{{ID: "OLD", Status: status, Created: tableTime.Add(-999 * time.Hour), LastUse: used}}}
	r := rotation.Rotation{
		ID: "x", User: ci, UserID: "AIDA", Kind: rotation.Replace, Stage: stage, Owner: owner, Requester: asker, Old: "OLD", Idle: used, Turn: 3, Issued: 1,
		Terms: rotation.Terms{Quiet: time.Hour, Grace: time.Hour, Expires: 99 * time.Hour}, Since: tableTime,
	}
	if stage != rotation.Requested && stage != rotation.Leaked {
		r.New = "NEW"
		seen.Keys = append(seen.Keys, rotation.Key{ID: "NEW", Status: rotation.Active, LastUse: rotation.LastUse{State: rotation.Used, At: tableTime}})
	}
	if stage == rotation.Leaked {
		r.Kind = rotation.Leak
	}
	if stage == rotation.Stuck {
		r.Failure = rotation.Failure{At: rotation.Deleting, Class: rotation.ClassExhausted}
	}
	return r, seen
}

// attempt lets a person try a move in a scene.
func attempt(t *testing.T, s scene, stage rotation.Stage, on rotation.On, who int) string {
	t.Helper()
	r, seen := asked(stage)
	if stage != rotation.Switching && stage != rotation.Grace {
		ask := rotation.Ask{Stage: stage, Turn: 3, At: tableTime, Evidence: seen, Wanted: s.rule.Wanted.At(stage)}
		if stage == rotation.Confirmed {
			ask.Overruled = rotation.Decision{By: dave, At: tableTime, Approve: true}
		}
		if s.before != nil {
			s.before(&r, &ask)
		}
		r.Asks = []rotation.Ask{ask}
	}
	kept := store.NewMem()
	p := rotation.Progress{User: ci}
	p.Begin(r)
	if _, err := kept.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	gone := slices.DeleteFunc(slices.Clone(s.rule.By.Members), func(m rotation.MemberID) bool { return len(m) < 4 })
	e, err := rotation.New(rotation.Config{
		Store: kept, Hand: newHand(), Accounts: []rotation.Account{{ID: account, IAM: calm{seen: seen}}}, Approvals: []rotation.Approval{s.rule},
		Directory: &directory{groups: map[rotation.GroupID][]rotation.MemberID{payers: {frank, owner}}, gone: gone}, Now: func() time.Time { return tableTime },
	})
	if err != nil {
		t.Fatal(err)
	}
	person := cast[who]
	if person.barred {
		err := e.Refuse(t.Context(), person.member, string(on), &rotation.Refusal{Code: rotation.NotMember, By: person.member})
		return verdictOf(p, err)
	}
	after, err := e.Act(t.Context(), p.Rotation.Ref(), on, rotation.Actor{Member: person.member, OnCall: person.onCall}, "because")
	if err != nil {
		if en, ok := trailOf(t, kept, ci); !ok || en.Outcome != "refused" || en.Actor != string(person.member) {
			t.Errorf("%s, %s by the %s: refused, and the entry is %+v", stage, on, person.name, en)
		}
	} else if en, ok := trailOf(t, kept, ci); !ok || en.Outcome != "moved" || en.Actor != string(person.member) {
		t.Errorf("%s, %s by the %s: done, and the entry is %+v", stage, on, person.name, en)
	}
	return verdictOf(after, err)
}

// TestAuthority_Table is every person at every stage under every rule, for each thing that people can do there. It is generated, and kept to be
// read: a change of it is a change of who may do what.
func TestAuthority_Table(t *testing.T) {
	stages := []rotation.Stage{rotation.Requested, rotation.Leaked, rotation.Switching, rotation.Confirmed, rotation.Grace, rotation.Expiring, rotation.Stuck}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s\n", strings.TrimSpace(tableHead))
	for _, s := range scenes() {
		fmt.Fprintf(&out, "\n== %s ==\n", s.name)
		for _, stage := range stages {
			r, _ := asked(stage)
			offered := r.Offers(rotation.ByOwner | rotation.ByApprover | rotation.ByResponder)
			for _, on := range offered {
				if on == rotation.Approve || on == rotation.Deny || on == rotation.Overrule || on == rotation.Cancel || on == rotation.Reactivate || on == rotation.TryAgain || on == rotation.Close {
					writeRow(t, &out, s, row{stage, on})
				}
			}
		}
	}
	path := filepath.Join("testdata", "authority.txt")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("who may do what has changed (-want +got):\n%s", diff)
	}
}

const tableHead = `
Who may do what: generated by go test ./rotation -update.
The rule names the owner, the requester, the approver by name, the overruler, and a group with the approver by group and the owner in it. It
names everybody whom Slack does not count as an active, full member as well, and whom the bot turns away first. The overruler has overruled the evidence of what is confirmed.
YES: it is done. COUNTED: the approval counts, and more are wanted. HELD: it is approved, and done when the window opens.
`

type row struct {
	stage rotation.Stage
	on    rotation.On
}

// writeRow writes what a move comes to for everybody, those together for whom it is the same.
func writeRow(t *testing.T, out *bytes.Buffer, s scene, at row) {
	t.Helper()
	var order []string
	by := map[string][]string{}
	for i, person := range cast {
		v := attempt(t, s, at.stage, at.on, i)
		if by[v] == nil {
			order = append(order, v)
		}
		by[v] = append(by[v], person.name)
	}
	fmt.Fprintf(out, "%s, %s\n", at.stage, at.on)
	slices.Sort(order) // what is done comes first
	for _, v := range order {
		fmt.Fprintf(out, "    %-14s %s\n", v, strings.Join(by[v], ", "))
	}
}
