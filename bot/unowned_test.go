package bot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// strays are n users of whom nothing is found but that they have no owner.
func strays(n int) []rotation.Finding {
	var found []rotation.Finding
	for i := range n {
		found = append(found, rotation.Finding{Breach: rotation.Unowned, User: rotation.UserRef{Account: ci.Account, Name: fmt.Sprintf("stray-%04d", i)}, Doubt: rotation.NoSuchMember})
	}
	return found
}

// TestDigest_TellsOfUsersWithoutAnOwnerTogether: they take no key's place, are counted apart, and are told with what to do.
func TestDigest_TellsOfUsersWithoutAnOwnerTogether(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, fewUnowned, 312, 10000} {
		for _, keys := range []int{0, 20} {
			s := manyFindings(keys)
			s.Findings = append(s.Findings, strays(n)...)
			m := digestMessage(testView(), s, nil, inWeek("2026-W47"))
			checkMessage(t, m)
			shown := string(encode(t, m.Blocks))
			if got, want := strings.Count(shown, `"action_id": "start"`), min(keys, worst); got != want {
				t.Errorf("%d users and %d keys: %d keys are shown, want %d", n, keys, got, want)
			}
			if w := weekOf("2026-W47", s); w.Due != keys {
				t.Errorf("%d users and %d keys: the trend counts %d", n, keys, w.Due)
			}
			named := strings.Count(shown, "stray-")
			switch {
			case n == 0 && strings.Contains(m.Text, "owner"):
				t.Errorf("told of none: %s", m.Text)
			case n > 0 && n <= fewUnowned && (named != n || strings.Count(shown, doubts[rotation.NoSuchMember]) != n):
				t.Errorf("%d are named of %d: %s", named, n, m.Text)
			case n > fewUnowned && (named != 0 || !strings.Contains(m.Text, fmt.Sprintf("Nobody is answerable for %d users", n))):
				t.Errorf("%d are named of %d: %s", named, n, m.Text)
			case n > 0 && (!strings.Contains(m.Text, "/rotate-key link") || !strings.Contains(m.Text, "Besides, ")):
				t.Errorf("not told what to do: %s", m.Text)
			}
			d, err := inWords(testView(), s, nil, inWeek("2026-W47"), func(id string) string { return id })
			if err != nil || len(d.Rows) != keys || n > 0 && (len(d.Notes) != 1 || len(d.Notes[0].Lines) == 0 || !strings.Contains(d.Headline, "no owner")) {
				t.Errorf("%d users elsewhere: %d rows, %+v, %v", n, len(d.Rows), d.Notes, err)
			}
		}
	}
}

// TestDigest_SaysOfWhomItIsNotKnown whether they have an owner.
func TestDigest_SaysOfWhomItIsNotKnown(t *testing.T) {
	t.Parallel()
	s := rotation.Survey{At: monday, Accounts: survey().Accounts[:1], Unasked: 3}
	if m := digestMessage(testView(), s, nil, inWeek("2026-W47")); !strings.Contains(m.Text, "Of 3 other users with an active key it is not known yet") {
		t.Error(m.Text)
	}
}

// TestByKey_AUserHasOneRow for a key and for having no owner, unless one of the two is accepted.
func TestByKey_AUserHasOneRow(t *testing.T) {
	t.Parallel()
	old, other := aFinding(rotation.TooOld, ci, oldKey, 95), aFinding(rotation.LeftInactive, ci, newKey, 20)
	stray := rotation.Finding{Breach: rotation.Unowned, User: ci}
	old.Owner, other.Owner = "", ""
	s := rotation.Survey{At: monday, Accounts: survey().Accounts[:1], Findings: []rotation.Finding{old, other, stray}}
	rows := byKey(s.Findings)
	if len(rows) != 2 || len(rows[0].breaches) != 2 || len(unownedOf(rows, monday)) != 0 {
		t.Errorf("rows: %+v", rows)
	}
	m := digestMessage(testView(), s, nil, inWeek("2026-W47"))
	if strings.Count(m.Text, "Nobody is answerable") != 2 || strings.Contains(m.Text, "Besides") { // once for each key
		t.Error(m.Text)
	}
	later := rotation.Exemption{Reason: "later", Until: monday.AddDate(0, 1, 0)}
	old.Exempt = later
	rows = byKey([]rotation.Finding{old, stray})
	if due, exempt := setApart(rows, monday); len(due) != 0 || len(exempt) != 1 || len(unownedOf(rows, monday)) != 1 {
		t.Errorf("the key is accepted, and that nobody is answerable is not: %+v", rows)
	}
	stray.Exempt = later
	if _, exempt := setApart(byKey([]rotation.Finding{stray}), monday); len(exempt) != 1 || !strings.Contains(testView().exemptLine(exempt[0]), "which has no owner: exempt until") {
		t.Errorf("accepted: %+v", exempt)
	}
}
