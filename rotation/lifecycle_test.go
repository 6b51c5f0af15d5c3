package rotation

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite what is generated from the table")

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func allStages() []Stage {
	var stages []Stage
	for _, m := range lifecycle {
		for _, s := range []Stage{m.From, m.To} {
			if !slices.Contains(stages, s) {
				stages = append(stages, s)
			}
		}
	}
	return stages
}

func TestLifecycle_EveryStageIsReachedAndLeft(t *testing.T) {
	begins := []Stage{Requested, Confirmed, Grace, Switching, Leaked}
	for _, s := range allStages() {
		reached := slices.Contains(begins, s) || slices.ContainsFunc(lifecycle, func(m Move) bool { return m.To == s && m.From != s })
		left := slices.ContainsFunc(lifecycle, func(m Move) bool { return m.From == s && m.To != s })
		if !reached {
			t.Errorf("nothing leads to %s", s)
		}
		if left == s.Ended() {
			t.Errorf("%s: ended is %v, but a move leads away: %v", s, s.Ended(), left)
		}
	}
}

func TestLifecycle_EveryWorkingStageHasOneEffectAndBothOutcomes(t *testing.T) {
	for _, s := range allStages() {
		working := strings.HasSuffix(string(s), "ing") && s != Switching && s != Expiring
		if (effects[s] != nil) != working || s.Working() != working {
			t.Errorf("%s: has an effect: %v, works: %v; by its name: %v", s, effects[s] != nil, s.Working(), working)
		}
		if !working {
			continue
		}
		has := func(on On) bool {
			return slices.ContainsFunc(lifecycle, func(m Move) bool { return m.From == s && m.On == on })
		}
		if !has(Succeed) || !has(Fail) && !has(Lose) {
			t.Errorf("%s: needs a move on success and one on failure", s)
		}
		for _, m := range lifecycle {
			if m.From == s && m.By != ByEngine {
				t.Errorf("%s on %s: only the engine moves a working stage", s, m.On)
			}
		}
	}
}

// Invariant 1: deactivating and deleting are entered by an approver's approval of just that, or again by an approver after a failure
// that came of it.
func TestLifecycle_NoChangeWithoutADecision(t *testing.T) {
	wants := map[Stage]Stage{Creating: Requested, Deactivating: Confirmed, Deleting: Expiring}
	for _, m := range lifecycle {
		asked, guarded := wants[m.To]
		switch {
		case !guarded:
		case m.To == Deactivating && m.From == Leaked && m.On == Approve && m.By == ByResponder && m.Gate == stillActive:
		case m.To == Deactivating && m.From == Stuck && m.On == TryAgain && m.By == ByResponder && m.If.name == "stuck at deactivating and leaked":
		case m.From == asked && m.On == Approve && m.By == ByApprover && m.Gate != nil:
		case m.From == asked && m.On == Proceed && m.By == ByClock && m.If == approved && m.Gate != nil: // of what was approved before
		case m.From == Stuck && m.On == TryAgain && m.By == ByApprover && m.If != nil && strings.HasPrefix(m.If.name, "stuck at "+string(m.To)):
		case m.To == Creating && m.From == Discarding: // the re-issue of what was approved
		case m.To == Creating && m.From == Offered && m.On == Collect && m.By == ByOwner && m.Gate != nil: // as above: only Creating leads there
		default:
			t.Errorf("%s on %s leads to %s without its decision", m.From, m.On, m.To)
		}
	}
}

func TestLifecycle_RollbackIsEasierThanProgress(t *testing.T) {
	for _, from := range []Stage{Grace, Expiring} {
		m, ok := Rotation{Stage: from, Kind: Replace}.find(Reactivate)
		if !ok || m.Gate != nil || m.By != ByOwner|ByApprover || m.If != inactiveByUs {
			t.Errorf("%s: the owner or an approver must be able to reactivate what was deactivated here, with no gate: %+v", from, m)
		}
	}
}

func TestLifecycle_NoTwoRowsApplyAtOnce(t *testing.T) {
	for _, r := range everyRotation() {
		seen := map[On]int{}
		for _, m := range lifecycle {
			if m.From == r.Stage && (m.If == nil || m.If.holds(r)) {
				seen[m.On]++
			}
		}
		for on, n := range seen {
			if n > 1 {
				t.Errorf("%s %s (then %s, failed at %s) on %s: %d rows apply", r.Kind, r.Stage, r.Then, r.Failure.At, on, n)
			}
		}
	}
}

// everyRotation makes one rotation for each kind, stage and thing that rows depend on.
func everyRotation() []Rotation {
	var rs []Rotation
	for _, kind := range []Kind{Replace, Adopt, Retire, Leak} {
		for _, s := range allStages() {
			base := Rotation{
				ID: "x-1", Kind: kind, Stage: s, Turn: 7, Owner: "UOWNER", Requester: "UASKER", Old: "AKIAOLD", New: "AKIANEW",
				UserID: "AIDA", Terms: Terms{Quiet: 24 * time.Hour, Grace: 7 * 24 * time.Hour, Expires: time.Hour, Visible: time.Hour},
			}
			if s.asks() {
				base.Asks = []Ask{{Stage: s, Turn: 7}}
			}
			switch s {
			case Requested, Confirmed, Expiring:
				rs = append(rs, base)
				base.Asks = []Ask{{Stage: s, Turn: 7, Wanted: 2}}
				rs = append(rs, base)
				base.Asks, base.Held = []Ask{{Stage: s, Turn: 7, Decisions: []Decision{{By: "UELSE", Approve: true}}}}, noon
				rs = append(rs, base)
			case Discarding:
				for _, to := range []Stage{Creating, Cancelled, Stuck, Grace} {
					base.Then = to
					rs = append(rs, base)
				}
			case Grace:
				rs = append(rs, base)
				base.New = ""
				rs = append(rs, base)
			case Creating:
				rs = append(rs, base)
				base.Delivery.Mode = Reveal
				rs = append(rs, base)
			case Stuck:
				for _, at := range allStages() {
					base.Failure.At = at
					rs = append(rs, base)
				}
				base.Failure = Failure{At: Freezing, Class: ClassDisowned, Key: "AKIANEW"}
				rs = append(rs, base)
				base.New, base.Failure = "", Failure{At: Creating, Class: ClassSuspect, Key: "AKIASUSPECT"}
				rs = append(rs, base)
			default:
				rs = append(rs, base)
			}
		}
	}
	return rs
}

var everyOn = []On{
	Approve, Deny, Cancel, Confirm, Reissue, Abandon, Overrule, Disown, Reactivate, TryAgain, Revoke, Keep, Close, Elapse, Proceed, Succeed, Fail, Lose, Refute, Renew, Yield,
	Collect, Offer, Replenish,
}

// TestStep_Exhaustive tries every event by every actor on every rotation: Step moves exactly where a row says so, and refuses or fails
// with the right kind of error everywhere else. The input is never changed.
func TestStep_Exhaustive(t *testing.T) {
	t.Parallel()
	actors := map[string]Actor{
		"owner": {Member: "UOWNER"}, "asker": {Member: "UASKER"}, "approver": {Member: "UAPP", Approver: true},
		"owning approver": {Member: "UOWNER", Approver: true}, "asking approver": {Member: "UASKER", Approver: true},
		"stranger": {Member: "UX"}, "on-call": {Member: "UCALL", OnCall: true}, "owner on call": {Member: "UOWNER", OnCall: true}, "nobody": {}, "clock": TheClock, "engine": TheEngine,
	}
	may := func(who string, m Move) bool {
		switch who {
		case "owner":
			return m.By&ByOwner != 0
		case "owning approver", "owner on call":
			return m.By&(ByOwner|ByResponder) != 0
		case "asking approver":
			return m.By == ByOwner|ByApprover || m.By&ByResponder != 0 // a rollback, which any approver may make
		case "approver":
			return m.By&(ByApprover|ByResponder) != 0
		case "on-call":
			return m.By&ByResponder != 0
		case "clock":
			return m.By&ByClock != 0
		case "engine":
			return m.By&ByEngine != 0
		}
		return false
	}
	tried := 0
	for _, r := range everyRotation() {
		for who, by := range actors {
			for _, on := range everyOn {
				tried++
				name := fmt.Sprintf("%s %s at %s, %s by %s", r.Kind, r.Stage, r.Failure.At, on, who)
				before := fmt.Sprintf("%+v", r)
				next, err := r.Step(Event{On: on, By: by, At: noon})
				if after := fmt.Sprintf("%+v", r); after != before {
					t.Fatalf("%s: Step changed its receiver", name)
				}
				m, legal := r.find(on)
				refusal, refused := errors.AsType[*Refusal](err)
				_, illegal := errors.AsType[*MoveError](err)
				switch {
				case !legal && err == nil, legal && !may(who, m) && err == nil:
					t.Errorf("%s: moved to %s", name, next.Stage)
				case !legal && !refused && !illegal:
					t.Errorf("%s: got %v, want a refusal", name, err)
				case legal && may(who, m) && m.Gate != nil && (!refused || refusal.Code != Blocked):
					t.Errorf("%s: without evidence the gate must stay shut, got %v", name, err)
				case legal && may(who, m) && m.Gate == nil && (err != nil || next.Stage != m.To || next.Turn != r.Turn+1):
					t.Errorf("%s: got %s at turn %d, %v; want %s", name, next.Stage, next.Turn, err, m.To)
				}
			}
		}
	}
	if tried < 9*len(everyOn)*3*15 {
		t.Errorf("only %d combinations were tried", tried)
	}
	for _, m := range lifecycle {
		if !slices.Contains(everyOn, m.On) {
			t.Errorf("%s from %s was never tried", m.On, m.From)
		}
		if !slices.ContainsFunc(everyRotation(), func(r Rotation) bool { return r.Stage == m.From && (m.If == nil || m.If.holds(r)) }) {
			t.Errorf("no rotation of those tried meets the condition of %s on %s: %s", m.From, m.On, m.If.name)
		}
	}
}

func TestOffers(t *testing.T) {
	tests := []struct {
		name string
		r    Rotation
		by   Role
		want []On
	}{
		{"approver decides the creation", Rotation{Stage: Requested}, ByApprover, []On{Approve, Deny}},
		{"owner may withdraw", Rotation{Stage: Requested}, ByOwner, []On{Cancel}},
		{"owner switches", Rotation{Stage: Switching, Kind: Replace}, ByOwner, []On{Confirm, Reissue, Abandon, Disown}},
		{"an approver may end it when the owner is gone", Rotation{Stage: Switching, Kind: Replace}, ByApprover, []On{Overrule, Close}},
		{"nobody here turns a leftover on", Rotation{Stage: Grace, Kind: Retire}, ByOwner | ByApprover, []On{Cancel}},
		{"owner of two keys switches", Rotation{Stage: Switching, Kind: Adopt}, ByOwner, []On{Confirm, Cancel}},
		{"rollback", Rotation{Stage: Grace}, ByOwner, []On{Reactivate}},
		{
			"a suspect is revoked or kept by an approver alone",
			Rotation{Stage: Stuck, Failure: Failure{At: Creating, Class: ClassSuspect, Key: "K"}},
			ByApprover,
			[]On{Revoke, Keep, TryAgain, Close},
		},
		{
			"and not by its owner",
			Rotation{Stage: Stuck, Failure: Failure{At: Creating, Class: ClassSuspect, Key: "K"}},
			ByOwner,
			nil,
		},
		{
			"a suspect that nobody can name is neither revoked nor kept",
			Rotation{Stage: Stuck, Failure: Failure{At: Creating, Class: ClassSuspect}},
			ByApprover,
			[]On{TryAgain, Close},
		},
		{
			"a key that its owner disowns is revoked or left",
			Rotation{Stage: Stuck, New: "K", Failure: Failure{At: Freezing, Class: ClassDisowned, Key: "K"}},
			ByApprover,
			[]On{Revoke, Close},
		},
		{
			"one that could not be made inactive yet is tried again",
			Rotation{Stage: Stuck, New: "K", Failure: Failure{At: Freezing, Class: ClassDenied}},
			ByApprover,
			[]On{TryAgain, Close},
		},
		{"nobody disowns a key that was there before", Rotation{Stage: Confirmed, Kind: Adopt}, ByOwner, []On{Cancel}},
		{"nothing while it works", Rotation{Stage: Creating}, ByOwner | ByApprover, nil},
		{"nothing after the end", Rotation{Stage: Done}, ByOwner | ByApprover, nil},
		{
			"a key left over cannot be walked away from",
			Rotation{Stage: Stuck, New: "K", Failure: Failure{At: Discarding, Class: ClassDenied}},
			ByApprover,
			[]On{TryAgain},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.r.Offers(test.by)); diff != "" {
				t.Errorf("offers (-want +got):\n%s", diff)
			}
		})
	}
}

// diagram draws the table for the README: a Mermaid state diagram without the failures, which all lead to stuck.
func diagram() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> requested\n    [*] --> confirmed: retire\n    [*] --> grace: retire an inactive key\n    [*] --> switching: adopt\n    [*] --> leaked: leak\n")
	type edge struct{ from, to Stage }
	var order []edge
	labels := map[edge][]string{}
	for _, m := range lifecycle {
		if m.On == Fail || m.From == m.To {
			continue
		}
		e := edge{m.From, m.To}
		if labels[e] == nil {
			order = append(order, e)
		}
		if l := string(m.On); !slices.Contains(labels[e], l) {
			labels[e] = append(labels[e], l)
		}
	}
	for _, e := range order {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", e.from, e.to, strings.Join(labels[e], ", "))
	}
	for _, s := range allStages() {
		if s.Ended() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// TestDiagram keeps the README's diagram true. Run with -update to rewrite it.
func TestDiagram(t *testing.T) {
	const path, begin, end = "../README.md", "<!-- stages: generated by go test ./rotation -update -->\n", "<!-- /stages -->\n"
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(readme), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no generated part: it stands between %q and %q", path, begin, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+diagram()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(diagram(), got); diff != "" {
		t.Errorf("the README's diagram is not the table's; rewrite it with go test ./rotation -update (-want +got):\n%s", diff)
	}
}
