package bot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// TestDigest_TellsOnceWhatIsStuck, why and who decides, also if the account could not be read and whatever the survey knew.
func TestDigest_TellsOnceWhatIsStuck(t *testing.T) {
	t.Parallel()
	stuck := replace(t).by(alice, rotation.Approve).fails(rotation.ClassDenied).r
	other := replace(t).toSwitching().r
	other.User.Name = "other"
	running := []rotation.Rotation{other, stuck}
	unread := rotation.Survey{At: monday, Accounts: survey().Accounts[2:3]}
	tooOld := rotation.Survey{At: monday, Accounts: survey().Accounts[:1], Findings: []rotation.Finding{aFinding(rotation.TooOld, ci, oldKey, 95)}}
	tooOld.Findings[0].Running = rotation.Stuck
	exempt := tooOld
	exempt.Findings = []rotation.Finding{tooOld.Findings[0]}
	exempt.Findings[0].Exempt = rotation.Exemption{Reason: "later", Until: monday.AddDate(0, 1, 0)}
	exposed := tooOld
	exposed.Findings = append([]rotation.Finding{aFinding(rotation.Quarantined, ci, oldKey, 95)}, tooOld.Findings...)
	for name, s := range map[string]rotation.Survey{
		"its account could not be read": unread, "the key is too old": tooOld, "that is exempt": exempt, "the key is exposed": exposed,
		"the survey knew of it": tooOld.WithStuck(running),
	} {
		m := digestMessage(testView(), s, running, inWeek("2026-W47"))
		checkMessage(t, m)
		shown := string(encode(t, m.Blocks))
		for _, want := range []string{"ts rotation is stuck since", "The new key could not be created.", "Next: <@UALICE> or <@UBOB> decides."} {
			if n := strings.Count(shown, want); n != 1 {
				t.Errorf("%s: %q stands there %d times, want once:\n%s", name, want, n, m.Text)
			}
		}
		if strings.Contains(shown, `"action_id": "start"`) || !strings.Contains(m.Text, "1 key needs attention") || !strings.Contains(m.Text, "other in Production, switching") {
			t.Errorf("%s: %s", name, m.Text)
		}
		d, err := inWords(testView(), s, running, inWeek("2026-W47"), func(id string) string { return id })
		if err != nil || len(d.Rows) != 1 || !strings.Contains(d.Rows[0].Found, "The new key could not be created.") || !strings.Contains(d.Rows[0].Next, "Next: UALICE or UBOB decides.") {
			t.Errorf("%s: elsewhere %+v, %v", name, d.Rows, err)
		}
		var words bytes.Buffer
		for _, n := range d.Notes {
			words.WriteString(strings.Join(n.Lines, "\n"))
		}
		if strings.Contains(words.String(), "stuck") {
			t.Errorf("%s: told once more: %s", name, words.String())
		}
		if over := digestMessage(testView(), s.WithStuck(running), nil, inWeek("2026-W47")); strings.Contains(over.Text, "is stuck") {
			t.Errorf("%s: told although it is over by now: %s", name, over.Text)
		}
	}
}

// TestTheRest_CountsEveryKind of finding.
func TestTheRest_CountsEveryKind(t *testing.T) {
	t.Parallel()
	var rest []keyFindings
	for _, b := range rotation.Breaches() {
		rest = append(rest, keyFindings{Finding: rotation.Finding{Breach: b}})
		if inShort[b] == "" {
			t.Errorf("%s has no name", b)
		}
	}
	if got := theRest(rest); strings.Count(got, ": 1") != len(rest) {
		t.Errorf("of %d kinds: %s", len(rest), got)
	}
}
