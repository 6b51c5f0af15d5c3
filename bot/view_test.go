package bot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

func TestOwnerCard(t *testing.T) {
	var texts strings.Builder
	all := tales(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := ownerCard(testView(), all[name].r)
		goldenMessage(t, "owner/"+name, m)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, m.Text)
	}
	golden(t, "owner.golden.txt", []byte(texts.String()))
}

func TestApprovalCard(t *testing.T) {
	var texts strings.Builder
	all := tales(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name].r
		for i, ask := range r.Asks {
			m := approvalCard(testView(), r, ask)
			fmt.Fprintf(&texts, "--- %s, ask %d\n%s\n\n", name, i+1, m.Text)
			if i < len(r.Asks)-1 {
				checkMessage(t, m)
				continue
			}
			goldenMessage(t, "approval/"+name, m)
		}
	}
	golden(t, "approval.golden.txt", []byte(texts.String()))
}

// Every kind is told in every stage that its rows of the lifecycle lead to.
func TestTalesReachEveryStage(t *testing.T) {
	seen := map[rotation.Kind]map[rotation.Stage]bool{rotation.Replace: {}, rotation.Adopt: {}, rotation.Retire: {}, rotation.Leak: {}}
	for _, tl := range tales(t) {
		seen[tl.r.Kind][tl.r.Stage] = true
	}
	successor := []string{"Requested", "Offered", "Creating", "Delivering", "Discarding", "Freezing", "Leaked"}
	cannot := map[rotation.Kind][]string{
		rotation.Replace: {"Leaked"},
		rotation.Leak:    {"Switching", "Confirmed", "Cancelled", "Lapsed"},
		rotation.Adopt:   append(successor, "Denied", "Lapsed"),
		rotation.Retire:  append(successor, "Switching"),
	}
	for name, value := range constants(t, "lifecycle.go", "Stage") {
		for kind, stages := range seen {
			if want := !slices.Contains(cannot[kind], name); want != stages[rotation.Stage(value)] {
				t.Errorf("%s at %s told: %v, want %v", kind, value, !want, want)
			}
		}
	}
}

func TestCardsOfferWhatTheLifecycleOffers(t *testing.T) {
	for name, tl := range tales(t) {
		r := tl.r
		if got, want := clickable(t, ownerCard(testView(), r), r.Ref()), set(r.Offers(rotation.ByOwner)); !cmp.Equal(got, want) {
			t.Errorf("%s: owner's buttons: %s", name, cmp.Diff(want, got))
		}
		for i, ask := range r.Asks {
			want := map[rotation.On]bool{}
			if i == len(r.Asks)-1 {
				want = set(r.Offers(deciding))
			}
			if got := clickable(t, approvalCard(testView(), r, ask), r.Ref()); !cmp.Equal(got, want) {
				t.Errorf("%s: approvers' buttons of ask %d: %s", name, i+1, cmp.Diff(want, got))
			}
		}
	}
}

func set(ons []rotation.On) map[rotation.On]bool {
	m := map[rotation.On]bool{}
	for _, on := range ons {
		m[on] = true
	}
	return m
}

// clickable lists the moves that a message's elements stand for, each of which must name ref.
func clickable(t *testing.T, m message, ref rotation.Ref) map[rotation.On]bool {
	t.Helper()
	found := map[rotation.On]bool{}
	add := func(actionID, value string) {
		on, got, err := parseAction(actionID, value)
		if err != nil || got != ref {
			t.Errorf("parseAction(%q, %q) = %v, %v, %v, want ref %v", actionID, value, on, got, err, ref)
		}
		found[on] = true
	}
	for _, b := range m.Blocks {
		actions, ok := b.(*slack.ActionBlock)
		if !ok {
			continue
		}
		buttons := 0
		for _, e := range actions.Elements.ElementSet {
			switch e := e.(type) {
			case *slack.ButtonBlockElement:
				buttons++
				add(e.ActionID, e.Value)
				if e.AccessibilityLabel == "" {
					t.Errorf("button %s has no accessibility label", e.ActionID)
				}
			case *slack.OverflowBlockElement:
				for _, o := range e.Options {
					add(e.ActionID, o.Value)
				}
				if both := found[rotation.Abandon] && found[rotation.Disown] && len(e.Options) == 2; e.Confirm != nil && len(e.Options) > 1 && !both {
					t.Errorf("one dialog stands for %d options", len(e.Options))
				}
			}
		}
		if buttons > maxVisible {
			t.Errorf("%d buttons in a row, want at most %d", buttons, maxVisible)
		}
	}
	return found
}

func TestDestructiveMovesAskOnceMore(t *testing.T) {
	v := testView()
	for name, tl := range tales(t) {
		for _, on := range tl.r.Offers(rotation.ByOwner | deciding) {
			want := slices.Contains([]rotation.On{rotation.Reissue, rotation.Abandon, rotation.Disown, rotation.Revoke, rotation.Keep}, on) ||
				on == rotation.Approve && tl.r.Stage != rotation.Requested || on == rotation.Reactivate && tl.r.Kind == rotation.Leak
			dialog := v.dialog(tl.r, on)
			if (dialog != nil) != want {
				t.Errorf("%s: dialog on %s: %v, want %v", name, on, dialog != nil, want)
			}
			if dialog != nil && !strings.Contains(dialog.Text.Text, "ci-deploy") {
				t.Errorf("%s: the dialog on %s does not name the user: %s", name, on, dialog.Text.Text)
			}
		}
	}
}

func TestCardsDependOnNoClock(t *testing.T) {
	early, late := testView(), testView()
	early.now, late.now = monday, monday.Add(500*24*time.Hour)
	for name, tl := range tales(t) {
		if a, b := ownerCard(early, tl.r), ownerCard(late, tl.r); a.hash() != b.hash() {
			t.Errorf("%s: the owner's card changes with the clock", name)
		}
		for _, ask := range tl.r.Asks {
			if a, b := approvalCard(early, tl.r, ask), approvalCard(late, tl.r, ask); a.hash() != b.hash() {
				t.Errorf("%s: the approvals card changes with the clock", name)
			}
		}
	}
}

func TestNobodyLeftToDecide(t *testing.T) {
	v := testView()
	v.approvals = rotation.NewApprovals(nil, []rotation.MemberID{owner, oncall})
	r := replace(t).r
	for _, text := range []string{approvalCard(v, r, r.Asks[0]).Text, ownerCard(v, r).Text} {
		if !strings.Contains(strings.ToLower(text), "nobody is left who may decide") {
			t.Errorf("the card does not say that nobody may decide: %s", text)
		}
	}
}

func TestMailPasswordsAreDerivedFromTheSecret(t *testing.T) {
	r := replace(t).toSwitching().r
	if strings.Contains(ownerCard(testView(), r).Text, "SMTP") {
		t.Error("the card warns of SMTP passwords for a key that sends no mail")
	}
	r.Asks[0].Evidence.Keys[0].LastUse.Service = "ses"
	if text := ownerCard(testView(), r).Text; !strings.Contains(text, "SMTP") {
		t.Errorf("the card does not warn of SMTP passwords: %s", text)
	}
}

func TestFullKeyIDStandsOnceInBlocks(t *testing.T) {
	for name, tl := range tales(t) {
		messages := []message{ownerCard(testView(), tl.r)}
		for _, ask := range tl.r.Asks {
			messages = append(messages, approvalCard(testView(), tl.r, ask))
		}
		for _, m := range messages {
			if n := strings.Count(string(encode(t, m.Blocks)), string(oldKey)); n != 1 {
				t.Errorf("%s: the old key's full id stands %d times, want once", name, n)
			}
		}
	}
}

// Names and reasons are written by others. They must not mention anybody, look like ours, or break Slack's limits.
func TestForeignWords(t *testing.T) {
	hostile := "<!channel> *Approved by <@UBOSS>* `x` \n> line & more \u202e" + strings.Repeat("<&>", 400)
	v := testView()
	v.accounts = func() map[string]string { return map[string]string{ci.Account: hostile} }
	var approvers []rotation.MemberID
	for i := range 200 {
		approvers = append(approvers, rotation.MemberID(fmt.Sprintf("UAPPROVER%03d", i)))
	}
	v.approvals = rotation.NewApprovals(nil, approvers)
	for name, tl := range tales(t) {
		r := tl.r
		r.Reason, r.User.Name = hostile, strings.Repeat("n", 63)+"_"
		for i := range r.Asks {
			for j := range r.Asks[i].Decisions {
				r.Asks[i].Decisions[j].Reason = hostile
			}
			if r.Asks[i].Overruled.By != "" {
				r.Asks[i].Overruled.Reason = hostile
			}
			for j := range r.Asks[i].Evidence.Keys {
				r.Asks[i].Evidence.Keys[j].LastUse.Service, r.Asks[i].Evidence.Keys[j].LastUse.Region = hostile, hostile
			}
		}
		messages := []message{
			ownerCard(v, r), startedMessage(v, r),
			statusMessage(v, []rotation.Progress{{Rotation: &r}}), notUnderstood(readTyped(nil, hostile)),
			plain(refusalText(v, &rotation.Refusal{Code: rotation.NotNow, User: r.User, Rotation: &r})),
		}
		for _, ask := range r.Asks {
			messages = append(messages, approvalCard(v, r, ask))
		}
		for _, m := range messages {
			checkMessage(t, m)
			whole := m.Text + string(encode(t, m.Blocks))
			for _, bad := range []string{"<!channel>", "<@UBOSS>", "\u202e", "\n> line"} {
				if strings.Contains(m.Text, bad) {
					t.Errorf("%s: %q came through: %s", name, bad, whole)
				}
			}
		}
		for _, on := range []rotation.On{rotation.Deny, rotation.Close, rotation.Overrule} {
			checkView(t, reasonModal(on, r))
		}
		checkView(t, keysModalDone(v, r))
	}
}

func TestParseAction(t *testing.T) {
	ref := rotation.Ref{ID: ci.ID() + "-2", Turn: 7}
	tests := []struct {
		name, action, value string
		on                  rotation.On
		ok                  bool
	}{
		{"button", "approve", ref.String(), rotation.Approve, true},
		{"receipt", "receipt", ref.String(), onReceipt, true},
		{"overflow", "more", "close " + ref.String(), rotation.Close, true},
		{"engine's event", "succeed", ref.String(), "", false},
		{"engine's event in the overflow", "more", "fail " + ref.String(), "", false},
		{"start carries no reference", "start", ci.ID(), "", false},
		{"empty overflow", "more", "", "", false},
		{"foreign value", "approve", "hello", "", false},
		{"negative turn", "deny", ref.ID + ".-1", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on, got, err := parseAction(tt.action, tt.value)
			if (err == nil) != tt.ok || on != tt.on || tt.ok && got != ref {
				t.Errorf("parseAction(%q, %q) = %v, %v, %v", tt.action, tt.value, on, got, err)
			}
		})
	}
}

func TestWords(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct{ name, got, want string }{
		{"span of a day", span(day), "24 hours"},
		{"span of days", span(7 * day), "7 days"},
		{"span of minutes", span(90 * time.Minute), "90 minutes"},
		{"span of one hour", span(time.Hour), "1 hour"},
		{"age is rounded down", age(95*day + 23*time.Hour), "95 days"},
		{"young age", age(20 * time.Minute), "less than an hour"},
		{"age with clocks apart", age(-time.Minute), "less than an hour"},
		{"one", anyOf([]string{"<@U1>"}), "<@U1>"},
		{"three", anyOf([]string{"<@U1>", "<@U2>", "<@U3>"}), "<@U1>, <@U2> or <@U3>"},
		{"escaped", esc("a<b>\n`&`"), "a&lt;b&gt; '&amp;'"},
		{"clipped", clip("äöüß", 3), "äö…"},
		{"unknown account", view{}.accountInFull("111122223333"), "111122223333"},
		{"unknown use", lastUse(rotation.LastUse{}), "not known, which is not the same as never"},
		{"time", when(monday), "<!date^1795424400^{date_short} at {time}|2026-11-23 09:00 UTC>"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}
