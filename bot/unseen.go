package bot

import (
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// unseenLines name what the role in an account may not look at, so that nobody takes it for clean.
func unseenLines(s rotation.Survey) list {
	var ls []string
	for _, a := range s.Accounts {
		var parts []string
		for _, u := range a.Unseen {
			parts = append(parts, u.What()+" (its role needs "+esc(u.Permission())+")")
		}
		if len(parts) > 0 {
			ls = append(ls, stateName(a)+": "+strings.Join(parts, "; ")+".")
		}
	}
	return list{"Not seen, since Keyturner's role may not look", ls}
}

// stateName names an account of a survey.
func stateName(a rotation.AccountState) string {
	if n := tidy(a.Name); n != "" {
		return esc(clip(n, 60)) + " (" + esc(a.ID) + ")"
	}
	return esc(a.ID)
}
