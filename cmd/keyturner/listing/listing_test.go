package listing

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// TestRules_AreWhatASurveyFinds: each kind of finding has a rule in the same order, so that no list sorts or names it otherwise.
func TestRules_AreWhatASurveyFinds(t *testing.T) {
	for i, b := range rotation.Breaches() {
		if i >= len(Rules) || Rules[i].ID != string(b) {
			t.Fatalf("rule %d is not that of %s: %+v", i, b, Rules)
		}
		if r := RuleOf(b); r.Title == "" || r.Advice == "" || sarifLevels[r.Severity] == "" {
			t.Errorf("%s: %+v", b, r)
		}
	}
	if len(Rules) != len(rotation.Breaches()) {
		t.Errorf("%d rules of %d breaches", len(Rules), len(rotation.Breaches()))
	}
}

// TestOfSurvey_ListsWhatIsStuck, in an account of which nothing else is known.
func TestOfSurvey_ListsWhatIsStuck(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	r := rotation.Rotation{
		User: rotation.UserRef{Account: "111122223333", Name: "ci"}, UserID: "AIDACI", Owner: "UANA", Old: "AKIAOLD", Stage: rotation.Stuck, Traits: rotation.Traits{Path: "/ci/"},
	}
	s := rotation.Survey{At: now, Accounts: []rotation.AccountState{{ID: "111122223333", Err: rotation.ErrNotFound}}}.WithStuck([]rotation.Rotation{r})
	l := OfSurvey(s, Clerk{Names: map[string]string{"111122223333": "acme"}})
	if len(l.Findings) != 1 || l.Due() != 1 || l.Complete {
		t.Fatalf("listed: %+v", l)
	}
	f := l.Findings[0]
	if f.Rule != "stuck-rotation" || f.Severity != "high" || f.KeyID != "AKIAOLD" || f.Owner != "UANA" || !f.OwnerKnown || f.UserPath != "/ci/" || f.LastUse != "unknown" ||
		f.KeyStatus != "" || f.KeyAge != nil {
		t.Errorf("listed as %+v", f)
	}
	for name, write := range map[string]func(Listing, *bytes.Buffer) error{
		"csv":   func(l Listing, b *bytes.Buffer) error { return l.CSV(b) },
		"sarif": func(l Listing, b *bytes.Buffer) error { return l.SARIF(b) },
	} {
		var b bytes.Buffer
		if err := write(l, &b); err != nil || !strings.Contains(b.String(), "stuck-rotation") || !strings.Contains(b.String(), "AKIAOLD") {
			t.Errorf("%s: %s, %v", name, b.String(), err)
		}
	}
}
