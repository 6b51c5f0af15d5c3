package bot

import (
	"strconv"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// fewUnowned is how many users without an owner a digest names; of more, it tells the number.
const fewUnowned = 5

// unownedOf are the users of whom nothing is found but that they have no owner.
func unownedOf(rows []keyFindings, at time.Time) []keyFindings {
	var found []keyFindings
	for _, k := range rows {
		if k.Breach == rotation.Unowned && !k.Exempt.Holds(at) {
			found = append(found, k)
		}
	}
	return found
}

// besides tells beside the headline how many users have no owner.
func besides(rows []keyFindings, at time.Time) string {
	switch n := len(unownedOf(rows, at)); n {
	case 0:
		return ""
	case 1:
		return "Besides, 1 user with an active key has no owner."
	default:
		return "Besides, " + strconv.Itoa(n) + " users with active keys have no owner."
	}
}

// unownedLines tells of them together, so that hundreds take no more room than a few: how many they are, what to do, and who they are or where that
// stands. Of whom it is not known is told apart.
func unownedLines(v view, s rotation.Survey, rows []keyFindings) list {
	l := list{title: "Without an owner"}
	found := unownedOf(rows, s.At)
	switch n := len(found); {
	case n > fewUnowned:
		l.lines = append(l.lines, "Nobody is answerable for "+strconv.Itoa(n)+" users with active keys, so nobody is warned. The file with all findings names them. "+v.nameOwner())
	case n > 0:
		for _, k := range found {
			l.lines = append(l.lines, sentences(v.user(k.User)+" has an active key, and nobody is answerable for it.", doubts[k.Doubt]))
		}
		l.lines = append(l.lines, v.nameOwner())
	}
	if s.Unasked > 0 {
		l.lines = append(l.lines, "Of "+count(s.Unasked, "other user")+" with an active key it is not known yet whether anybody is answerable: the e-mail addresses that "+
			"should name their owners could not be looked up, or not all at once. The next scan goes on.")
	}
	return l
}
