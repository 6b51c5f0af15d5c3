package app

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/keyturner/keyturner/rotation"
)

var (
	userPattern = regexp.MustCompile(`^[\w+=,.@*?-]{1,64}$`)
	pathPattern = regexp.MustCompile(`^[/*][\x21-\x7e]{0,511}$`)
)

const (
	deciderExample = "a member's id as in U0123456789, or a user group's as in S0123456789"
	// maxNeeded bounds how many approvals one decision takes.
	maxNeeded = 5
)

// approval reads the rules.
func (in *reader) approval(root section, cfg *Config) {
	seen := map[string]position{}
	all := ""
	for _, node := range root.list("approval") {
		s, ok := in.section("approval", node)
		if !ok {
			continue
		}
		name, at, ok := in.ruleName(s, seen)
		switch {
		case !ok:
		case strings.EqualFold(name, "default"):
			in.fail(at, "the rule default is who slack.approvers names", "another name")
		case all != "":
			in.fail(at, "this rule is never used: the one before it, "+shown(all)+", is for every user", "it before that one")
		}
		rule := rotation.Approval{Name: name, Matches: in.matches(s, cfg), By: in.circle(s, "approvers")}
		rule.Wanted = in.needed(s, rule.By)
		rule.Remind, rule.Escalate = in.remind(s), in.escalate(s, rule.By)
		rule.Windows, rule.Freezes = in.windows(s, cfg), in.freezes(s, cfg)
		if _, ok := s.values["expires"]; ok {
			in.duration(s, "expires", &rule.Expires, time.Hour, 0)
		}
		if in.sound() && everybody(rule.Matches) {
			all = name
		}
		cfg.Approval = append(cfg.Approval, rule)
	}
}

// ruleName reads what a rule is called. Each in a list has a name of its own.
func (in *reader) ruleName(s section, seen map[string]position) (name string, at position, ok bool) {
	const example = "what people call the rule, in at most 64 characters"
	if name, at, ok = s.text("name", example, true); !ok {
		return name, at, ok
	}
	before, again := seen[strings.ToLower(name)]
	seen[strings.ToLower(name)] = at
	switch {
	case utf8.RuneCountInString(name) > 64:
		in.fail(at, "name has more than 64 characters", example)
	case again:
		in.fail(at, fmt.Sprintf("a rule of this name stands on line %d already", before.line), "a name of its own")
	default:
		return name, at, true
	}
	return name, at, false
}

// everybody tells whether a rule leaves nobody to those after it.
func everybody(m rotation.Matches) bool {
	return len(m.Accounts) == 0 && len(m.Users) == 0 && len(m.Paths) == 0 && m.Tag == ""
}

// matches reads for whom a rule is.
func (in *reader) matches(s section, cfg *Config) rotation.Matches {
	var m rotation.Matches
	for _, node := range s.list("accounts") {
		text, at, ok := in.text(node, "member of accounts", "an account's id or name")
		i := slices.IndexFunc(cfg.Accounts, func(a Account) bool { return a.ID == text || strings.EqualFold(a.Name, text) })
		switch {
		case ok && i >= 0:
			m.Accounts = append(m.Accounts, cfg.Accounts[i].ID)
		case ok && cfg.Organization != nil && accountID.MatchString(text):
			m.Accounts = append(m.Accounts, text)
		case ok && in.sound(): // an account with a problem of its own is not listed either
			in.fail(at, "account "+shown(text)+" is not listed under accounts", "the id or the name of one that is")
		}
	}
	m.Users = in.patterns(s, "users", userPattern, "a user's name, with * for any characters, as in ci-*")
	m.Paths = in.patterns(s, "paths", pathPattern, "an IAM path, with * for any characters, as in /ci/*")
	if _, ok := s.values["tag"]; ok {
		const example = "an IAM user tag with its value, as in team=payments, or team=* for any"
		text, at, ok := s.text("tag", example, true)
		key, value, cut := strings.Cut(text, "=")
		if ok && (!cut || !tagKey.MatchString(key) || value == "" || len(value) > 256) {
			in.fail(at, "tag is not a tag and a value", example)
		}
		m.Tag, m.Value = key, value
	}
	for _, name := range []string{"accounts", "users", "paths"} {
		if node, there := s.value(name); there && len(s.list(name)) == 0 {
			in.fail(positionOf(node), name+" is empty, which would be nobody", "at least one, or leave it out for all")
		}
	}
	return m
}

func (in *reader) patterns(s section, name string, format *regexp.Regexp, example string) []string {
	var all []string
	for _, node := range s.list(name) {
		text, at, ok := in.text(node, "member of "+name, example)
		if ok && !format.MatchString(text) {
			in.fail(at, "member of "+name+" "+shown(text)+" is nothing that IAM allows", example)
		}
		all = append(all, text)
	}
	return all
}

// circle reads a list of members and user groups, which may not be empty.
func (in *reader) circle(s section, name string) rotation.Circle {
	var c rotation.Circle
	seen := map[string]position{}
	for _, node := range s.list(name) {
		text, at, ok := in.text(node, "member of "+name, deciderExample)
		switch before, again := seen[text]; {
		case !ok:
			continue
		case !groupID.MatchString(text) && !memberID.MatchString(text):
			in.fail(at, shown(text)+" in "+name+" is not an id", deciderExample)
		case again:
			in.fail(at, fmt.Sprintf("%s is in %s already, on line %d", text, name, before.line), "each once")
		case groupID.MatchString(text):
			c.Groups = append(c.Groups, rotation.GroupID(text))
		default:
			c.Members = append(c.Members, rotation.MemberID(text))
		}
		seen[text] = at
	}
	if node, there := s.value(name); there && len(s.list(name)) == 0 {
		in.fail(positionOf(node), name+" is empty", "at least one: "+deciderExample)
	} else if !there {
		in.missing(s, name, name+": [U0123456789, S0123456789]")
	}
	return c
}

// needed reads how many must approve of each change.
func (in *reader) needed(s section, by rotation.Circle) rotation.Wanted {
	var w rotation.Wanted
	node, ok := s.value("needed")
	if !ok {
		return w
	}
	part, ok := in.section("needed", node)
	if !ok {
		return w
	}
	for name, set := range map[string]*int{"create": &w.Create, "deactivate": &w.Deactivate, "delete": &w.Delete} {
		if _, ok := part.values[name]; !ok {
			continue
		}
		text, at, ok := part.text(name, "a number, as in 2", true)
		n, err := strconv.Atoi(text)
		switch {
		case !ok:
		case err != nil || n < 1 || n > maxNeeded:
			in.fail(at, name+" "+shown(text)+" is not a number from 1 to "+strconv.Itoa(maxNeeded), "how many people must approve, as in 2")
		case len(by.Groups) == 0 && n > len(by.Members) && len(by.Members) > 0:
			in.fail(at, fmt.Sprintf("%s needs %d approvals, and the rule names %d who could give one", name, n, len(by.Members)), "a smaller number, or more approvers")
		}
		*set = n
	}
	return w
}

// approvable finds the owners named in the file for whom nobody, or too few, could approve, where that can be known without Slack.
func (in *reader) approvable(root section, cfg *Config) {
	s, ok := root.child("owners")
	if !ok || !in.sound() {
		return
	}
	links, ok := s.value("links")
	if !ok {
		return
	}
	in.mapping(links, "links", func(name string, entry *ast.MappingValueNode) {
		user, err := rotation.ParseUserRef(name)
		if err != nil {
			return
		}
		rule, known := cfg.ruleFor(user)
		owner := rotation.MemberID(cfg.Owners.Links[name])
		others := slices.DeleteFunc(slices.Clone(rule.By.Members), func(m rotation.MemberID) bool { return m == owner })
		if !known || len(rule.By.Groups) > 0 || len(others) >= rule.Wanted.Most() {
			return
		}
		in.fail(positionOf(entry.Value), fmt.Sprintf("too few could approve for this owner: the rule %s leaves %d of %d people that are needed",
			shown(rule.Name), len(others), rule.Wanted.Most()), "another owner, or add approvers to the rule")
	})
}

// rules are the rules, the default one last.
func (c Config) rules() rotation.Approvals {
	return rotation.NewApprovals(c.Approval, members(c.Slack.Approvers))
}

// ruleFor is the rule for a user of whom nothing but the name is known, unless that takes more.
func (c Config) ruleFor(u rotation.UserRef) (rotation.Approval, bool) {
	for _, rule := range c.rules() {
		m := rule.Matches
		open := len(m.Paths) > 0 || m.Tag != ""
		m.Paths, m.Tag = nil, ""
		if m.Holds(u, rotation.Traits{}) {
			return rule, !open
		}
	}
	return rotation.Approval{}, false
}

// ruleLines tell of each rule for whom it is and who decides.
func (c Config) ruleLines(now time.Time) []string {
	var lines []string
	for _, rule := range c.Approval {
		line := rule.Name + ", for " + whom(rule.Matches) + ": " + strings.Join(names(rule.By), ", ")
		if w := rule.Wanted; w.Most() > 1 {
			line += fmt.Sprintf("; approvals to create %d, to deactivate %d, to delete %d",
				w.At(rotation.Requested), w.At(rotation.Confirmed), w.At(rotation.Expiring))
		}
		line += timingLine(rule)
		if rule.Expires > 0 {
			line += "; lapses after " + days(rule.Expires)
		}
		lines = append(lines, line+windowLine(rule, now))
	}
	return lines
}

func whom(m rotation.Matches) string {
	if everybody(m) {
		return "every user"
	}
	var parts []string
	part := func(word string, list []string) {
		if len(list) > 0 {
			parts = append(parts, word+" "+strings.Join(list, " or "))
		}
	}
	part("users", m.Users)
	part("paths", m.Paths)
	if m.Tag != "" {
		parts = append(parts, "tag "+m.Tag+"="+m.Value)
	}
	part("accounts", m.Accounts)
	return strings.Join(parts, " and ")
}

func names(c rotation.Circle) []string {
	var all []string
	for _, m := range c.Members {
		all = append(all, string(m))
	}
	for _, g := range c.Groups {
		all = append(all, string(g))
	}
	return all
}

// ruleWarnings are about rules that hold up some of those they are for.
func (c Config) ruleWarnings() []string {
	var found []string
	for _, rule := range c.Approval {
		if len(rule.By.Groups) == 0 && len(rule.By.Members) == rule.Wanted.Most() {
			found = append(found, fmt.Sprintf("the approval rule %s needs every approver it names. Nobody approves for their own keys, so theirs can never be rotated; add one.", rule.Name))
		}
	}
	return found
}
