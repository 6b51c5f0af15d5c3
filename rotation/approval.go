package rotation

import (
	"slices"
	"strings"
	"time"
)

// Circle is people, each by name or all of a Slack user group.
type Circle struct {
	Members []MemberID
	Groups  []GroupID
}

// Empty tells whether the circle names nobody.
func (c Circle) Empty() bool { return len(c.Members) == 0 && len(c.Groups) == 0 }

// and is both circles.
func (c Circle) and(d Circle) Circle {
	return Circle{append(slices.Clip(c.Members), d.Members...), append(slices.Clip(c.Groups), d.Groups...)}
}

// Wanted is how many people must approve of each change. Zero means one.
type Wanted struct {
	Create, Deactivate, Delete int
}

// At is how many must approve of what a stage asks for. How a stuck rotation goes on is one person's to say.
func (w Wanted) At(s Stage) int {
	n := 1
	switch s {
	case Requested:
		n = w.Create
	case Confirmed:
		n = w.Deactivate
	case Expiring:
		n = w.Delete
	}
	return max(n, 1)
}

// Most is how many people a rotation needs at least, so that all of it can be approved.
func (w Wanted) Most() int { return max(w.At(Requested), w.At(Confirmed), w.At(Expiring)) }

// Traits are what rules go by beside a user's account and name.
type Traits struct {
	Path string            // begins and ends with a slash
	Tags map[string]string // those that a rule names, and that the user has
}

// Matches says for which users a rule is. What is empty says nothing; the others must all hold.
type Matches struct {
	Accounts []string // ids
	Users    []string // names, with * for any characters and ? for one; without regard to case, as IAM has it
	Paths    []string // likewise, with regard to case
	Tag      string   // the key of a tag
	Value    string   // of the tag, as Paths
}

// Holds tells whether a user is one of those.
func (m Matches) Holds(u UserRef, t Traits) bool {
	like := func(text string) func(string) bool { return func(pattern string) bool { return glob(pattern, text) } }
	fold := func(pattern string) bool { return glob(strings.ToLower(pattern), strings.ToLower(u.Name)) }
	if len(m.Accounts) > 0 && !slices.Contains(m.Accounts, u.Account) || len(m.Users) > 0 && !slices.ContainsFunc(m.Users, fold) ||
		len(m.Paths) > 0 && !slices.ContainsFunc(m.Paths, like(t.Path)) {
		return false
	}
	if m.Tag == "" {
		return true
	}
	value, has := t.Tags[m.Tag]
	return has && glob(m.Value, value)
}

// Like tells whether text is of a form as in the rules, in which * stands for any characters and ? for one.
func Like(form, text string) bool { return glob(form, text) }

// glob tells whether text is of a form in which * stands for any characters, slashes too, and ? for one.
func glob(pattern, text string) bool {
	p, s := []rune(pattern), []rune(text)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i++
			j++
		case star >= 0: // let the star stand for one more
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// Approval is the rule over decisions: for which users it is, who decides, how many of them, and until when.
type Approval struct {
	Name     string // what people call it
	Matches  Matches
	By       Circle
	Wanted   Wanted
	Expires  time.Duration   // how long an ask stands; 0: as Terms say
	Remind   []time.Duration // when those asked are reminded, each after the one before it, at most MaxReminders
	Windows  []Window        // when changes are made; empty: at any time
	Freezes  []Freeze        // when none are
	Escalate Escalation      // who is asked if they do not decide
}

// DefaultApproval is the name of the rule for whom no other is.
const DefaultApproval = "default"

// Approvals are the rules, the first that is for a user being the one.
type Approvals []Approval

// NewApprovals makes the rules: those given, and for everybody else the flat list of approvers.
func NewApprovals(rules []Approval, approvers []MemberID) Approvals {
	return append(slices.Clone(rules), Approval{Name: DefaultApproval, By: Circle{Members: approvers}, Remind: DefaultReminders()})
}

// For is the rule for a user.
func (as Approvals) For(u UserRef, t Traits) Approval {
	for _, a := range as {
		if a.Matches.Holds(u, t) {
			return a
		}
	}
	return as.Default()
}

// Default is the rule for whom no other is.
func (as Approvals) Default() Approval {
	if len(as) == 0 {
		return Approval{Name: DefaultApproval}
	}
	return as[len(as)-1]
}

// ForRotation is the rule for a rotation, by what its user was when it began.
func (as Approvals) ForRotation(r Rotation) Approval { return as.For(r.User, r.Traits) }

// traits picks what the rules go by.
func (as Approvals) traits(u User) Traits {
	t := Traits{Path: u.Path}
	for _, a := range as {
		if value, has := u.Tags[a.Matches.Tag]; has && a.Matches.Tag != "" {
			if t.Tags == nil {
				t.Tags = map[string]string{}
			}
			t.Tags[a.Matches.Tag] = value
		}
	}
	return t
}

// terms are the terms of a rotation under this rule.
func (a Approval) terms(t Terms) Terms {
	t.Wanted, t.Remind, t.Escalate = a.Wanted, a.Remind, a.Escalate.After
	if a.Expires > 0 {
		t.Expires = a.Expires
	}
	return t
}
