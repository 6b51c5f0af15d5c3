package bot

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyturner/keyturner/rotation"
)

// list is a part of a digest under a title of its own, a line for each thing, the gravest first.
type list struct {
	title string
	lines []string
}

// listsOf are the lists of a digest: what is not known, which comes before the keys, and what comes after them.
func listsOf(v view, s rotation.Survey, running []rotation.Rotation, rows []keyFindings) (before, after []list) {
	_, exempt := setApart(rows, s.At)
	before = []list{rosterLines(s), unreadLines(s), unseenLines(s)}
	after = []list{unownedLines(v, s, rows), leftLines(s), runningLines(v, running), overruledLines(v, s.Overruled), endingLines(v, rows, s.At), exemptLines(v, exempt, s.At)}
	return before, after
}

// maxLines and maxList bound each list, in lines and in characters, and forLists all of a message's, so that they leave room for the keys.
const (
	maxLines = 8
	maxList  = 2000
	forLists = 6000
)

// roomFor is how many characters each of some lists may take.
func roomFor(lists []list) int {
	full := 0
	for _, l := range lists {
		full += min(1, len(l.lines))
	}
	return min(maxList, forLists/max(1, full))
}

// within are the lines as far as they fit, and how many others there are.
func (l list) within(characters int) []string {
	for i, line := range l.lines {
		if characters -= utf8.RuneCountInString(line); i == maxLines || characters < 0 {
			return append(slices.Clone(l.lines[:i]), "And "+count(len(l.lines)-i, "other")+".")
		}
	}
	return l.lines
}

// bulleted is the list as mrkdwn; nothing if it has no line.
func (l list) bulleted(characters int) string {
	if len(l.lines) == 0 {
		return ""
	}
	return strings.Join(append([]string{"*" + l.title + ":*"}, l.within(characters)...), "\n• ")
}

// nearEnd is how long before its end an exemption is listed first: it is in a weekly digest a week before, at the least.
const nearEnd = 14 * 24 * time.Hour

// endingLines lists what is accepted and will not be for long, the next to end first, with who can prolong it and how. What is accepted of a
// key whose other findings are not is among it.
func endingLines(v view, rows []keyFindings, at time.Time) list {
	var ending []keyFindings
	for _, k := range rows {
		if !k.Exempt.Holds(at) {
			k.Exempt = k.accepted
		}
		if k.Exempt.Holds(at) && k.Exempt.Until.Sub(at) <= nearEnd {
			ending = append(ending, k)
		}
	}
	slices.SortStableFunc(ending, func(a, b keyFindings) int { return a.Exempt.Until.Compare(b.Exempt.Until) })
	l := list{title: "Exempt, and about to end"}
	for _, k := range ending {
		l.lines = append(l.lines, v.exemptLine(k)+" "+prolonged(k))
	}
	return l
}

// prolonged tells who can have an exemption prolonged, and how. A later one of the same key takes its place.
func prolonged(k keyFindings) string {
	switch {
	case len(k.Exempt.By) == 0:
		return "It stands in Keyturner's configuration, where the operator can give it a later day."
	case k.Owner == "":
		return "To prolong it, on-call types " + code("/rotate-key exempt "+string(k.Key.ID)) + ", and approvers decide."
	}
	return "To prolong it, " + mention(k.Owner) + " or on-call types " + code("/rotate-key exempt "+string(k.Key.ID)) + ", and approvers decide."
}

// exemptLines lists what else is accepted: until when, by whom and why.
func exemptLines(v view, exempt []keyFindings, at time.Time) list {
	l := list{title: "Exempt for now"}
	for _, k := range exempt {
		if k.Exempt.Until.Sub(at) > nearEnd {
			l.lines = append(l.lines, v.exemptLine(k))
		}
	}
	return l
}

func (v view) exemptLine(k keyFindings) string {
	who := v.user(k.User) + ", " + short(k.Key.ID)
	switch k.Breach {
	case rotation.Unowned:
		who = v.user(k.User) + ", which has no owner"
	case rotation.RootKey:
		who = "The root user of " + v.accountInFull(k.User.Account)
	}
	return who + ": " + acceptedUntil(k.Exempt)
}
