package app

import (
	"fmt"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// ages reads what counts as a finding for some users. What a rule does not say is as under policy.
func (in *reader) ages(root section, cfg *Config) {
	seen := map[string]position{}
	for _, node := range root.list("ages") {
		s, ok := in.section("ages", node)
		if !ok {
			continue
		}
		name, _, _ := in.ruleName(s, seen)
		rule := rotation.AgeRule{
			Name: name, Matches: in.matches(s, cfg), WarnAge: cfg.Policy.WarnAge, MaxAge: cfg.Policy.MaxAge, UnusedAge: cfg.Policy.UnusedAge,
		}
		given := 0
		for field, set := range map[string]*time.Duration{"warn_age": &rule.WarnAge, "max_age": &rule.MaxAge, "unused_age": &rule.UnusedAge} {
			if _, there := s.values[field]; there {
				given++
				in.duration(s, field, set, Day, 0)
			}
		}
		switch {
		case given == 0:
			in.missing(s, "max_age", "max_age, warn_age or unused_age: a rule without an age says nothing")
		case in.sound() && rule.WarnAge >= rule.MaxAge:
			in.fail(s.at, "in this entry of ages warn_age "+days(rule.WarnAge)+" is not below max_age "+days(rule.MaxAge), "both, warn_age the shorter")
		}
		cfg.Ages = append(cfg.Ages, rule)
	}
}

// ageLines tell of each rule for whom it is and what counts.
func (c Config) ageLines() []string {
	var lines []string
	for _, r := range c.Ages {
		lines = append(lines, fmt.Sprintf("%s, for %s: a key of %s, or unused for %s; asked for from %s", r.Name, whom(r.Matches), days(r.MaxAge), days(r.UnusedAge), days(r.WarnAge)))
	}
	return lines
}
