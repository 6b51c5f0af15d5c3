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

func TestNeedlessMessage(t *testing.T) {
	ago := func(days int) time.Time { return monday.Add(-time.Duration(days) * 24 * time.Hour) }
	never := rotation.Notice{
		Key: oldKey, Days: 45, Owner: owner, Created: ago(60), Due: monday, Unused: rotation.Unneeded, Use: rotation.LastUse{State: rotation.NeverUsed},
		Instead: rotation.Instead{Alternative: rotation.Federation, By: rotation.ByName, Word: "ci"},
	}
	idle := never
	idle.Created, idle.Unused, idle.Use = ago(80), rotation.Idle, rotation.LastUse{State: rotation.Used, At: ago(70), Service: "s3", Region: "eu-west-1"}
	idle.Days, idle.Instead = 75, rotation.Instead{Alternative: rotation.IdentityCenter, By: rotation.ByConsole}
	late := idle
	late.Days, late.Owner, late.Instead = 90, rotation.MemberID(squad), rotation.Instead{Alternative: rotation.WorkloadRole}
	var texts strings.Builder
	for _, test := range []struct {
		name   string
		notice rotation.Notice
		wants  []string
	}{
		{"never", never, []string{"It has never been used", "retire it", "by OIDC", "the user's name has “ci” in it"}},
		{"idle", idle, []string{"It has not been used since", "by s3", "before", "IAM Identity Center", "has a password for AWS's console"}},
		{"late-group", late, []string{"and this one is", "give what runs it a role", "Whoever of the group clicks"}},
	} {
		m := warningMessage(testView(), test.notice, ci)
		goldenMessage(t, "needless/"+test.name, m)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", test.name, m.Text)
		for _, want := range test.wants {
			if !strings.Contains(m.Text, want) {
				t.Errorf("%s: the text does not say %q: %s", test.name, want, m.Text)
			}
		}
		want := []string{"retire " + ci.ID() + "/" + oldKey.Mark(), "start " + ci.ID()}
		if diff := cmp.Diff(want, clicksOn(m)); diff != "" {
			t.Errorf("%s: buttons, retiring first (-want +got):\n%s", test.name, diff)
		}
		if strings.Contains(string(encode(t, m.Blocks[len(m.Blocks)-1])), string(oldKey)) {
			t.Errorf("%s: a button carries the key's id", test.name)
		}
	}
	golden(t, "needless.golden.txt", []byte(texts.String()))
}

// TestInsteadOf has a text for each alternative and each sign, and no foreign word in any.
func TestInsteadOf(t *testing.T) {
	var texts strings.Builder
	signs := constants(t, "alternative.go", "Sign")
	for _, name := range slices.Sorted(maps.Keys(constants(t, "alternative.go", "Alternative"))) {
		alternative := rotation.Alternative(constants(t, "alternative.go", "Alternative")[name])
		text := insteadOf(rotation.Instead{Alternative: alternative})
		if text == "" {
			t.Errorf("no text for %s", name)
		}
		checkWords(t, text)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, text)
	}
	for _, name := range slices.Sorted(maps.Keys(signs)) {
		text := insteadOf(rotation.Instead{Alternative: rotation.WorkloadRole, By: rotation.Sign(signs[name]), Word: "ci"})
		if strings.Contains(text, "That fits") != (name != "NoSign") {
			t.Errorf("%s: %s", name, text)
		}
		checkWords(t, text)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, text)
	}
	if text := insteadOf(rotation.Instead{}); text != "" {
		t.Errorf("of a notice from before: %q", text)
	}
	golden(t, "instead.golden.txt", []byte(texts.String()))
}

// TestDigest_RetiresFirst has rows for what is not used: retiring first, and rotating only where it can begin.
func TestDigest_RetiresFirst(t *testing.T) {
	other := rotation.UserRef{Account: ci.Account, Name: "other"}
	row := func(change func(*rotation.Finding), more ...rotation.Finding) slack.BlockElement {
		f := aFinding(rotation.Unneeded, ci, oldKey, 60)
		f.Instead = rotation.Instead{Alternative: rotation.RolesAnywhere, By: rotation.ByTag, Word: "backup"}
		change(&f)
		m := digestMessage(testView(), rotation.Survey{At: monday, Accounts: survey().Accounts[:1], Findings: append([]rotation.Finding{f}, more...)}, nil, inWeek("2026-W47"))
		checkMessage(t, m)
		for _, b := range m.Blocks {
			if s, ok := b.(*slack.SectionBlock); ok && strings.Contains(s.Text.Text, oldKey.Short()) && strings.Contains(s.Text.Text, "ci-deploy") {
				if offered := s.Accessory != nil; offered != strings.Contains(s.Text.Text, "its owner retires it here") {
					t.Errorf("offered %v, but the row says: %s", offered, s.Text.Text)
				}
				if s.Accessory == nil {
					return nil
				}
				switch {
				case s.Accessory.OverflowElement != nil:
					return s.Accessory.OverflowElement
				case s.Accessory.ButtonElement != nil:
					return s.Accessory.ButtonElement
				}
			}
		}
		return nil
	}
	menu, ok := row(func(*rotation.Finding) {}).(*slack.OverflowBlockElement)
	if !ok || len(menu.Options) != 2 {
		t.Fatalf("the row offers %+v", menu)
	}
	var got []clicked
	for _, o := range menu.Options {
		got = append(got, clicked{Action: menu.ActionID, Value: o.Value}.unfolded())
	}
	want := []clicked{{Action: actionRetire, Value: ci.ID() + "/" + oldKey.Mark()}, {Action: actionStart, Value: ci.ID()}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("choices (-want +got):\n%s", diff)
	}
	button, ok := row(func(*rotation.Finding) {}, aFinding(rotation.LeftInactive, ci, otherKey, 300)).(*slack.ButtonBlockElement)
	if !ok || button.ActionID != actionRetire {
		t.Errorf("beside an inactive key: %+v", button)
	}
	for name, change := range map[string]func(*rotation.Finding){
		"nobody's": func(f *rotation.Finding) { f.Owner = "" }, "running": func(f *rotation.Finding) { f.Running = rotation.Requested },
		"another's": func(f *rotation.Finding) { f.User, f.Owner = other, "" },
	} {
		if got := row(change); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, c := range []clicked{{Action: actionMore, Value: "close x-1.2"}, {Action: "approve", Value: "retire x"}, {Action: actionMore, Value: "retire"}} {
		if c.unfolded() != c {
			t.Errorf("%+v is taken for a choice of the digest", c)
		}
	}
}

// TestForm_RetiresFirst has a form for a key that is not used: retiring it comes first and is chosen, and the form says why.
func TestForm_RetiresFirst(t *testing.T) {
	v := testView()
	v.now = monday
	held := func(use rotation.LastUse) []rotation.Holding {
		return []rotation.Holding{{User: ci, Keys: []rotation.Key{{ID: oldKey, Status: rotation.Active, Created: monday.Add(-60 * 24 * time.Hour), LastUse: use}}}}
	}
	for _, test := range []struct {
		name  string
		use   rotation.LastUse
		first rotation.Kind
	}{
		{"never used", rotation.LastUse{State: rotation.NeverUsed}, rotation.Retire},
		{"idle", rotation.LastUse{State: rotation.Used, At: monday.Add(-46 * 24 * time.Hour)}, rotation.Retire},
		{"in use", rotation.LastUse{State: rotation.Used, At: monday.Add(-time.Hour)}, rotation.Replace},
		{"not known", rotation.LastUse{}, rotation.Replace},
	} {
		var foretold rotation.Kind
		m := keysModal(v, held(test.use), func(c keyChoice) string { foretold = c.what; return "told" })
		checkView(t, m)
		for _, b := range m.Blocks.BlockSet {
			if in, ok := b.(*slack.InputBlock); ok && in.BlockID == inputWhat {
				radio := in.Element.(*slack.RadioButtonsBlockElement)
				if radio.InitialOption.Value != string(test.first) || radio.Options[0] != radio.InitialOption || len(radio.Options) != 3 || foretold != test.first {
					t.Errorf("%s: %s of %d is chosen, and %s is foretold", test.name, radio.InitialOption.Value, len(radio.Options), foretold)
				}
			}
		}
	}
	f := foresight(replace(t).r)
	if got := doubtful(f); got != "" {
		t.Errorf("of a key in use: %s", got)
	}
	f.Unused, f.Instead = rotation.Unneeded, rotation.Instead{Alternative: rotation.Federation, By: rotation.ByPath, Word: "ci"}
	text := foresightText(v, f)
	checkWords(t, text)
	for _, want := range []string{"Do you need it?", "no use of it on record", "choose to retire it", "by OIDC", "path has “ci” in it"} {
		if !strings.Contains(text, want) {
			t.Errorf("the form does not say %q: %s", want, text)
		}
	}
	f.Unused, f.Use = rotation.Idle, rotation.LastUse{State: rotation.Used, At: monday.Add(-50 * 24 * time.Hour), Service: "s3"}
	if text := foresightText(v, f); !strings.Contains(text, "not been used since") || !strings.Contains(text, "by s3") {
		t.Errorf("of an idle key: %s", text)
	}
	f.Rotation.Kind = rotation.Retire
	if text := foresightText(v, f); strings.Contains(text, "Do you need it?") || !strings.Contains(text, "by OIDC") {
		t.Errorf("of one that is to be retired: %s", text)
	}
}
