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

// weekdays are the days as they are written.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// windows reads when changes are made.
func (in *reader) windows(s section, cfg *Config) []rotation.Window {
	const example = "windows: [{days: [mon, tue, wed, thu], hours: 09:00-17:00}]"
	if _, there := s.values["windows"]; there && len(s.list("windows")) == 0 {
		in.fail(s.position("windows"), "windows is empty, so nothing could ever be changed", example+", or leave it out")
	}
	var all []rotation.Window
	for _, node := range s.list("windows") {
		part, ok := in.section("windows", node)
		if !ok {
			continue
		}
		w := rotation.Window{Until: Day, Zone: cfg.Timezone, Days: in.days(part)}
		if _, there := part.values["hours"]; there {
			w.From, w.Until = in.hours(part)
		}
		if _, there := part.values["zone"]; there {
			const zones = "an IANA zone such as Europe/Berlin or UTC"
			text, at, ok := part.text("zone", zones, true)
			zone, err := time.LoadLocation(text)
			if ok && (err != nil || text == "Local") {
				in.fail(at, "zone "+shown(text)+" is not known", zones)
			}
			w.Zone = zone
		}
		all = append(all, w)
	}
	return all
}

func (in *reader) days(s section) []time.Weekday {
	const example = "days as in [mon, tue], or leave it out for all"
	if _, there := s.values["days"]; there && len(s.list("days")) == 0 {
		in.fail(s.position("days"), "days is empty, so this window never opens", example)
	}
	var all []time.Weekday
	for _, node := range s.list("days") {
		text, at, ok := in.text(node, "member of days", example)
		i := slices.Index(weekdays, strings.ToLower(text))
		switch {
		case !ok:
		case i < 0:
			in.fail(at, "member of days "+shown(text)+" is not one of "+strings.Join(weekdays, ", "), example)
		case slices.Contains(all, time.Weekday(i)):
			in.fail(at, text+" is in days already", "each once")
		}
		all = append(all, time.Weekday(i))
	}
	return all
}

func (in *reader) hours(s section) (from, until time.Duration) {
	const example = "hours: 09:00-17:00, or 22:00-02:00 for one that ends on the next day"
	text, at, ok := s.text("hours", example, true)
	first, last, cut := strings.Cut(text, "-")
	from, okFrom := clockTime(first)
	until, okUntil := clockTime(last)
	switch {
	case !ok:
	case !cut || !okFrom || !okUntil || from == Day:
		in.fail(at, "hours "+shown(text)+" are not two times of the day", example)
	case from == until:
		in.fail(at, "hours "+shown(text)+" are none, so this window never opens", example)
	}
	return from, until
}

// clockTime reads a time of the day, up to 24:00.
func clockTime(text string) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "24:00" {
		return Day, true
	}
	at, err := time.Parse("15:04", text)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, err == nil && len(text) == len("15:04")
}

// freezes reads when no changes are made.
func (in *reader) freezes(s section, cfg *Config) []rotation.Freeze {
	const (
		date = "a date as in 2026-12-20"
		why  = "why nothing may change, in at most 200 characters"
	)
	var all []rotation.Freeze
	for _, node := range s.list("freezes") {
		part, ok := in.section("freezes", node)
		if !ok {
			continue
		}
		sound := true
		day := func(name string) (time.Time, position) {
			text, at, ok := part.text(name, date, true)
			day, err := time.Parse(time.DateOnly, text)
			if ok && err != nil {
				in.fail(at, name+" "+shown(text)+" is not a date", date)
			}
			sound = sound && ok && err == nil
			return day, at
		}
		from, _ := day("from")
		until, at := day("until")
		if sound && until.Before(from) {
			in.fail(at, "the freeze ends before it begins", "the last day of it, not before "+from.Format(time.DateOnly))
		}
		reason, at, ok := part.text("reason", why, true)
		if ok && len([]rune(reason)) > 200 {
			in.fail(at, "reason has more than 200 characters", why)
		}
		all = append(all, rotation.Freeze{From: dayAfter(from.AddDate(0, 0, -1), cfg.Timezone), Until: dayAfter(until, cfg.Timezone), Reason: reason})
		if len(all) > maxFreezes {
			in.fail(part.at, "freezes has more than "+strconv.Itoa(maxFreezes)+" entries", "fewer")
		}
	}
	return all
}

// maxFreezes bounds the freezes of a rule.
const maxFreezes = 20

// windowLine tells when changes under a rule are made, and when next.
func windowLine(rule rotation.Approval, now time.Time) string {
	if len(rule.Windows)+len(rule.Freezes) == 0 {
		return ""
	}
	at, ok := rule.Opens(now)
	switch {
	case !ok:
		return "; no window opens"
	case at.Equal(now):
		return "; the window of changes is open now"
	}
	return "; the next window of changes opens on " + clock(at.In(now.Location()))
}

// windowWarnings are about freezes that are over, and about windows that no change fits in.
func (c Config) windowWarnings(now time.Time) []string {
	var found []string
	for _, rule := range c.Approval {
		for _, f := range rule.Freezes {
			if !f.Until.After(now) {
				found = append(found, fmt.Sprintf("the freeze %q of the approval rule %s ended on %s; remove it.", f.Reason, rule.Name, f.Until.Add(-1).In(c.Timezone).Format(time.DateOnly)))
			}
		}
		if at, ok := rule.Opens(now); !ok || at.After(now.AddDate(0, 2, 0)) {
			found = append(found, fmt.Sprintf("under the approval rule %s nothing can be changed for more than two months; shorten its freezes.", rule.Name))
		}
	}
	return found
}
