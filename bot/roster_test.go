package bot

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// TestDigest_NamesWhatIsWrongWithTheRoster: that the accounts could not be listed, and who has left, is in every form of the digest, and such a week
// is not taken for whole.
func TestDigest_NamesWhatIsWrongWithTheRoster(t *testing.T) {
	read := []rotation.AccountState{{ID: "111122223333", Name: "Production", Users: 3}}
	for class, want := range map[rotation.Class]string{
		rotation.ClassDenied: "organization-policy.json", rotation.ClassThrottled: "too many requests", rotation.ClassInvalid: "include and exclude",
		rotation.ClassUnknown: "no usable answer",
	} {
		s := rotation.Survey{
			At: monday, Accounts: read, Unlisted: &rotation.CallError{Op: "list", Class: class, Err: errors.New("it broke")},
			Left: []rotation.Departed{{ID: "444455556666", Name: "Old & gone", Since: monday.Add(-48 * time.Hour)}, {ID: "555566667777", Since: monday}},
		}
		m := digestMessage(testView(), s, nil, inWeek("2026-W47"))
		checkMessage(t, m)
		words, err := inWords(testView(), s, nil, inWeek("2026-W47"), func(id string) string { return id })
		if err != nil {
			t.Fatal(err)
		}
		var notes strings.Builder
		for _, n := range words.Notes {
			notes.WriteString(n.Title + ": " + strings.Join(n.Lines, "\n") + "\n")
		}
		for _, text := range []string{m.Text, notes.String()} {
			for _, want := range []string{"could not be listed, so those that are new may be missing", want, "Accounts that have left", "gone (444455556666)", "555566667777"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: %q is not in %s", class, want, text)
				}
			}
		}
		if strings.Contains(m.Text, "in 1 account.") || !strings.Contains(m.Text, "known until now") || weekOf("2026-W47", s).Whole {
			t.Errorf("%s: it is taken for the whole: %s", class, m.Text)
		}
	}
	if s := (rotation.Survey{At: monday, Accounts: read}); rosterLines(s).bulleted(maxList)+leftLines(s).bulleted(maxList) != "" || !weekOf("2026-W47", s).Whole {
		t.Error("something is wrong with a roster that is whole")
	}
}
