package bot

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

func TestExplainMessage(t *testing.T) {
	payments := rotation.Approval{
		Name: "payments", Matches: rotation.Matches{Users: []string{"ci-*", "cd-*"}, Tag: "team", Value: "pay"},
		By: rotation.Circle{Members: []rotation.MemberID{alice}, Groups: []rotation.GroupID{"SPAYERS"}}, Wanted: rotation.Wanted{Deactivate: 2},
	}
	under := terms
	under.Wanted = payments.Wanted
	patient := terms
	patient.Remind, patient.Escalate = patientRule().Remind, patientRule().Escalate.After
	people := []rotation.Candidate{
		{Member: alice},
		{Member: bob, Via: "SPAYERS"},
		{Member: owner, Via: "SPAYERS", Bar: rotation.IsOwner},
		{Member: "UGONE", Via: "SPAYERS", Bar: rotation.HasNoStand},
		{Member: "UGUEST", Via: "SPAYERS", Bar: rotation.HasNoStand},
	}
	reasons := map[rotation.MemberID]string{"UGONE": "deactivated in Slack", "UGUEST": "a guest"}
	running := byTwo(replace(t)).by(alice, rotation.Approve).r
	var many []rotation.Candidate
	for i := range 200 {
		many = append(many, rotation.Candidate{Member: rotation.MemberID(fmt.Sprintf("UMEMBER%03d", i)), Via: "SPAYERS"})
	}
	tests := map[string]rotation.Explanation{
		"rule":    {User: ci, Owner: owner, Rule: payments, Terms: under, People: people},
		"default": {User: ci, Owner: owner, Rule: rotation.Approval{Name: rotation.DefaultApproval}, Terms: terms, People: people[:2]},
		"running": {User: ci, Owner: owner, Rule: payments, Terms: running.Terms, Running: &running, People: []rotation.Candidate{
			{Member: alice, Bar: rotation.HasApproved}, {Member: bob}, {Member: oncall, Bar: rotation.IsRequester},
		}},
		"nobody": {User: ci, Rule: payments, Terms: under, People: people[2:]},
		"unread": {User: ci, Owner: owner, Rule: payments, Terms: under, People: people[:1], Unread: errors.New("internal words")},
		"escalates": {
			User: ci, Owner: owner, Rule: patientRule(), Terms: patient, People: people[:2],
			Second: []rotation.Candidate{{Member: "UERIN"}, {Member: owner, Bar: rotation.IsOwner}, {Member: bob, Via: second}, {Member: "UGONE", Via: second, Bar: rotation.HasNoStand}},
		},
		"escalates to nobody": {
			User: ci, Owner: owner, Rule: patientRule(), Terms: patient, People: people[:2], Second: []rotation.Candidate{{Member: owner, Bar: rotation.IsOwner}},
		},
		"windows": {User: ci, Owner: owner, Rule: rotation.Approval{
			Name: "payments", By: payments.By, Windows: append(windows(), rotation.Window{From: 22 * time.Hour, Until: 2 * time.Hour}),
			Freezes: []rotation.Freeze{{From: monday, Until: monday.Add(99 * time.Hour), Reason: "The year is being closed."}},
		}, Terms: patient, People: people[:1]},
		"everyone": {User: ci, Owner: owner, Rule: rotation.Approval{Name: "all", By: payments.By}, Terms: under, People: many},
	}
	var texts strings.Builder
	names := make([]string, 0, len(tests))
	for name := range tests {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := explainMessage(testView(), tests[name], reasons)
		goldenMessage(t, "explain/"+name, m)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, m.Text)
	}
	golden(t, "explain.golden.txt", []byte(texts.String()))
}
