package app

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/keyturner/keyturner/rotation"
)

const remindExample = "times, each after the one before, as in [4h, 1d, 2d], or none"

// remind reads when those asked are reminded.
func (in *reader) remind(s section) []time.Duration {
	node, ok := s.value("remind")
	if _, there := s.values["remind"]; !there {
		return rotation.DefaultReminders()
	}
	if text, plain := scalarOf(node, ok); plain && text == "none" {
		return nil
	}
	if _, list := node.(*ast.SequenceNode); !list {
		in.fail(s.position("remind"), "remind is neither times nor none", remindExample)
		return nil
	}
	var steps []time.Duration
	for _, one := range s.list("remind") {
		text, at, ok := in.text(one, "member of remind", remindExample)
		d, valid := parseDuration(text)
		switch {
		case !ok:
		case !valid:
			in.fail(at, "member of remind "+shown(text)+" is not a duration", remindExample)
		case d < time.Hour:
			in.fail(at, "member of remind "+shown(text)+" is too short", "1h or more")
		case len(steps) == rotation.MaxReminders:
			in.fail(at, "remind has more than "+strconv.Itoa(rotation.MaxReminders)+" times", "fewer")
		}
		steps = append(steps, d)
	}
	if len(steps) == 0 {
		in.fail(positionOf(node), "remind is empty", remindExample)
	}
	return steps
}

func scalarOf(node ast.Node, there bool) (string, bool) {
	if !there {
		return "", false
	}
	text, ok := scalar(node)
	return strings.TrimSpace(text), ok
}

// escalate reads who else is asked, and when.
func (in *reader) escalate(s section, by rotation.Circle) rotation.Escalation {
	var e rotation.Escalation
	if _, there := s.values["escalate"]; !there {
		return e
	}
	const example = "escalate: {after: 24h, to: [S0123456789]}"
	node, ok := s.value("escalate")
	if !ok {
		in.missing(s, "escalate", example)
		return e
	}
	part, ok := in.section("escalate", node)
	if !ok {
		return e
	}
	if _, there := part.values["after"]; there {
		in.duration(part, "after", &e.After, time.Hour, 0)
	} else {
		in.missing(part, "after", "after: 24h")
	}
	e.To = in.circle(part, "to")
	others := slices.ContainsFunc(e.To.Members, func(m rotation.MemberID) bool { return !slices.Contains(by.Members, m) }) ||
		slices.ContainsFunc(e.To.Groups, func(g rotation.GroupID) bool { return !slices.Contains(by.Groups, g) })
	if !others && !e.To.Empty() {
		in.fail(part.position("to"), "escalate asks nobody who is not asked before", "somebody who is not among the rule's approvers")
	}
	return e
}

// timely finds the rules whose second circle would never be asked, since the request has lapsed by then.
func (in *reader) timely(root section, cfg *Config) {
	if !in.sound() {
		return
	}
	for i, node := range root.list("approval") {
		s, ok := in.section("approval", node)
		if !ok || i >= len(cfg.Approval) {
			continue
		}
		rule, stands := cfg.Approval[i], cfg.expires(cfg.Approval[i])
		if rule.Escalate.After == 0 || rule.Escalate.After < stands {
			continue
		}
		part, ok := s.child("escalate")
		if !ok {
			continue
		}
		in.fail(part.position("after"), fmt.Sprintf("escalate comes after %s, and a request of this rule lapses after %s", days(rule.Escalate.After), days(stands)),
			"a shorter time, or expires: with a longer one beside it")
	}
}

// expires is how long a request stands under a rule.
func (c Config) expires(rule rotation.Approval) time.Duration {
	if rule.Expires > 0 {
		return rule.Expires
	}
	return c.Policy.ApprovalExpires
}

// timingLine tells when people are reminded, and who is asked after them.
func timingLine(rule rotation.Approval) string {
	line := "; nobody is reminded"
	if len(rule.Remind) > 0 {
		var steps []string
		for _, d := range rule.Remind {
			steps = append(steps, days(d))
		}
		line = "; reminded after " + strings.Join(steps, ", then ") + " of working time"
	}
	if e := rule.Escalate; e.After > 0 {
		line += "; after " + days(e.After) + " asked too: " + strings.Join(names(e.To), ", ")
	}
	return line
}
