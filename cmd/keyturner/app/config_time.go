package app

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

func (in *reader) policy(root section, cfg *Config) {
	s, ok := root.child("policy")
	if !ok {
		return
	}
	p := &cfg.Policy
	sound := true
	for _, field := range []struct {
		name     string
		set      *time.Duration
		min, max time.Duration // max 0: as long as you like
	}{
		{"warn_age", &p.WarnAge, Day, 0},
		{"max_age", &p.MaxAge, Day, 0},
		{"unused_age", &p.UnusedAge, Day, 0},
		{"quiet", &p.Quiet, Day, 0},
		{"grace", &p.Grace, Day, 0},
		{"approval_expires", &p.ApprovalExpires, time.Hour, 0},
		{"secret_visible", &p.SecretVisible, time.Minute, Day},
	} {
		if _, ok := s.values[field.name]; ok {
			sound = in.duration(s, field.name, field.set, field.min, field.max) && sound
		}
	}
	if !sound || p.WarnAge < p.MaxAge {
		return
	}
	if _, ok := s.value("warn_age"); ok {
		in.fail(s.position("warn_age"), "warn_age "+days(p.WarnAge)+" is not below max_age "+days(p.MaxAge), "a shorter time")
		return
	}
	in.fail(s.position("max_age"), "max_age "+days(p.MaxAge)+" is not above warn_age "+days(p.WarnAge)+", which it is by default",
		"a longer time, or warn_age: beside it")
}

// duration reads a field into set, and reports whether it is a duration within its bounds.
func (in *reader) duration(s section, name string, set *time.Duration, shortest, longest time.Duration) bool {
	const example = "a number with its unit, as in 90d, 36h or 30m"
	text, at, ok := s.text(name, example, true)
	if !ok {
		return false
	}
	d, ok := parseDuration(text)
	switch {
	case !ok && strings.Trim(text, "0123456789") == "":
		in.fail(at, name+" "+shown(text)+" has no unit", text+"d for days or "+text+"h for hours")
	case !ok:
		in.fail(at, name+" "+shown(text)+" is not a duration", example)
	case d < shortest:
		in.fail(at, name+" "+shown(text)+" is too short", days(shortest)+" or more")
	case longest > 0 && d > longest:
		in.fail(at, name+" "+shown(text)+" is too long", days(longest)+" or less")
	default:
		*set = d
		return true
	}
	return false
}

var wholeDays = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

// parseDuration reads Go's durations with an optional number of whole days before them: "7d", "1d12h", "90m".
func parseDuration(text string) (time.Duration, bool) {
	var total time.Duration
	if match := wholeDays.FindStringSubmatch(text); match != nil {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			return 0, false
		}
		total = time.Duration(n) * Day // 99,999 days are 273 years, and 292 fit
		text = match[2]
		if text == "" {
			return total, true
		}
	}
	rest, err := time.ParseDuration(text)
	if err != nil || strings.ContainsAny(text[:1], "+-") || total+rest < total {
		return 0, false
	}
	return total + rest, true
}

func (in *reader) schedule(root section, cfg *Config) {
	cfg.Schedule.Scan = mustCron(cfg.Schedule.Scan.Spec, cfg.Timezone)
	cfg.Schedule.Digest = mustCron(cfg.Schedule.Digest.Spec, cfg.Timezone)
	s, ok := root.child("schedule")
	if !ok {
		return
	}
	in.cron(s, "scan", cfg.Timezone, &cfg.Schedule.Scan)
	in.cron(s, "digest", cfg.Timezone, &cfg.Schedule.Digest)
}

func (in *reader) cron(s section, name string, zone *time.Location, set *Cron) {
	if _, ok := s.values[name]; !ok {
		return
	}
	const example = `minute, hour, day, month and weekday in quotes, as in "0 9 * * MON"`
	text, at, ok := s.text(name, example, true)
	if !ok {
		return
	}
	parsed, problem := parseCron(text, zone)
	if problem != "" {
		in.fail(at, name+" "+shown(text)+" "+problem, example)
		return
	}
	*set = parsed
}

// parseCron reads a standard cron line in zone. The problem, if any, continues a sentence about the line.
func parseCron(spec string, zone *time.Location) (Cron, string) {
	switch {
	case strings.HasPrefix(spec, "TZ="), strings.HasPrefix(spec, "CRON_TZ="):
		return Cron{}, "names a zone, which is set by timezone for all"
	case strings.HasPrefix(spec, "@every"):
		return Cron{}, "counts from the start of the program, so that a restart puts it off"
	}
	parsed, err := cron.ParseStandard(spec)
	if err != nil {
		why := strings.Join(strings.Fields(err.Error()), " ")
		if mayBeSecret(spec) { // of which why may repeat a part
			why = "not understood"
		}
		return Cron{}, "is not a cron schedule (" + why + ")"
	}
	fixed, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Cron{}, "is not at fixed times"
	}
	fixed.Location = zone
	if fixed.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, zone)).IsZero() {
		return Cron{}, "names a date that never comes"
	}
	return Cron{Spec: spec, Schedule: fixed}, ""
}

// mustCron is parseCron for the lines in Default.
func mustCron(spec string, zone *time.Location) Cron {
	parsed, problem := parseCron(spec, zone)
	if problem != "" {
		panic("default schedule " + spec + " " + problem)
	}
	return parsed
}

// days writes a duration as in the file: whole days as 7d, else as Go does, without units that are zero.
func days(d time.Duration) string {
	if d > 0 && d%Day == 0 {
		return strconv.FormatInt(int64(d/Day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// dayAfter is the first moment in zone after date, which is given in UTC. It is not always midnight: some zones skip that in spring,
// and Samoa once skipped a day.
func dayAfter(date time.Time, zone *time.Location) time.Time {
	next := date.AddDate(0, 0, 1)
	year, month, day := next.Date()
	at := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if year, month, day = at.Date(); time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Before(next) {
		_, at = at.ZoneBounds() // where midnight is skipped, Date may give a moment before the gap
	}
	return at
}
