package app

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// Summary writes for a person what will happen under this configuration: the accounts and how they are reached, the next scans and
// digests, the path of a key through the policy, who decides, and warnings about what is allowed and yet seldom meant. The error
// is that of w. ExternalID is not written.
func (c Config) Summary(w io.Writer) error {
	now := time.Now().In(c.Timezone)
	var b strings.Builder
	fmt.Fprintf(&b, "store      %s\n", c.Store)
	fmt.Fprintf(&b, "time zone  %s, where it is %s\n", c.Timezone, clock(now))
	fmt.Fprintf(&b, "accounts   %d\n", len(c.Accounts))
	for _, a := range c.Accounts {
		by := "keyturner's own credentials"
		if a.Role != "" {
			by = a.Role
		}
		fmt.Fprintf(&b, "           %s %s, as %s\n", a.ID, a.Name, by)
		if a.Delivery != rotation.ByDM {
			fmt.Fprintf(&b, "           %s\n", a.deliverySummary())
		}
		if len(a.TrailRegions) > 0 {
			fmt.Fprintf(&b, "           who still uses a key is read from CloudTrail in %s\n", strings.Join(a.TrailRegions, ", "))
		}
	}
	if c.Organization != nil {
		for i, line := range c.Organization.summary() {
			fmt.Fprintf(&b, "%-10s %s\n", []string{"org", ""}[min(i, 1)], line)
		}
	}
	fmt.Fprintf(&b, "scan       %s, next %s\n", c.Schedule.Scan.Spec, c.next(c.Schedule.Scan, now))
	fmt.Fprintf(&b, "digest     %s, next %s, to %s\n", c.Schedule.Digest.Spec, c.next(c.Schedule.Digest, now), c.Slack.OncallChannel)
	if c.Mail != nil {
		fmt.Fprintf(&b, "           %s\n", c.Mail.summary())
	}
	p := c.Policy
	fmt.Fprintf(&b, "findings   a key of %s, or unused for %s; its owner is asked to rotate it from %s\n", days(p.MaxAge), days(p.UnusedAge), days(p.WarnAge))
	for _, rule := range c.ageLines() {
		fmt.Fprintf(&b, "           %s\n", rule)
	}
	fmt.Fprintf(&b, "rotation   deactivated after %s without use, asked to be deleted %s later\n", days(p.Quiet), days(p.Grace))
	fmt.Fprintf(&b, "requests   lapse after %s without an answer; a secret stays in its message for at most %s\n", days(p.ApprovalExpires), days(p.SecretVisible))
	fmt.Fprintf(&b, "approvers  %s, in %s\n", strings.Join(c.Slack.Approvers, ", "), c.Slack.ApprovalsChannel)
	for _, rule := range c.ruleLines(now) {
		fmt.Fprintf(&b, "approval   %s\n", rule)
	}
	if len(c.Slack.Oncall) > 0 {
		fmt.Fprintf(&b, "on-call    %s\n", strings.Join(c.Slack.Oncall, ", "))
	}
	fmt.Fprintf(&b, "owners     %d by link, the others by the tag %s%s\n", len(c.Owners.Links), c.Owners.Tag, c.Owners.byEmail())
	for _, group := range slices.Sorted(maps.Keys(c.Owners.Groups)) {
		fmt.Fprintf(&b, "           the user group %s, in %s\n", group, c.Owners.Groups[group])
	}
	for _, user := range slices.Sorted(maps.Keys(c.Exemptions)) {
		e := c.Exemptions[user]
		fmt.Fprintf(&b, "exempt     %s until the end of %s: %s\n", user, e.Until.Add(-1).Format(time.DateOnly), e.Reason)
	}
	for _, warning := range c.warnings(now) {
		fmt.Fprintf(&b, "warning    %s\n", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byEmail tells which e-mail addresses name owners.
func (o Owners) byEmail() string {
	switch {
	case o.EmailTag != "" && o.EmailNames:
		return ", then by the e-mail address in the tag " + o.EmailTag + " or in the user's name"
	case o.EmailTag != "":
		return ", then by the e-mail address in the tag " + o.EmailTag
	case o.EmailNames:
		return ", then by the e-mail address that is the user's name"
	}
	return ""
}

// next is the next two times of s.
func (c Config) next(s Cron, now time.Time) string {
	first := s.Next(now)
	return clock(first) + ", then " + clock(s.Next(first))
}

func clock(t time.Time) string { return t.Format("Mon 2006-01-02 15:04 MST") }

// warnings are about what is allowed and yet seldom meant.
func (c Config) warnings(now time.Time) []string {
	var found []string
	warn := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if len(c.Slack.Approvers) == 1 {
		warn("%s is the only approver. Nobody approves for their own keys, so theirs can never be rotated; add a second approver.", c.Slack.Approvers[0])
	}
	found = append(found, c.ruleWarnings()...)
	found = append(found, c.windowWarnings(now)...)
	if len(c.Slack.Oncall) == 0 {
		warn("slack.oncall is empty: nobody can start a rotation from the digest.")
	}
	if c.Store == "mem" {
		warn("store mem forgets every rotation at a restart, keys waiting for their deletion included; use bolt: beyond a trial.")
	} else if path, file := strings.CutPrefix(c.Store, "bolt:"); file && !strings.HasPrefix(path, "/") {
		warn("store %s is relative to the directory keyturner is started in.", c.Store)
	}
	if scan, digest := c.Schedule.Scan.Next(now), c.Schedule.Digest.Next(now); c.Schedule.Digest.Next(digest).Before(scan) {
		warn("two digests come before the next scan; the second will have nothing new.")
	}
	if first := c.Schedule.Scan.Next(now); c.Schedule.Scan.Next(first).Sub(first) < 4*time.Hour {
		warn("AWS makes a new credential report every 4 hours at most; scans closer than that read the old one.")
	}
	for _, user := range slices.Sorted(maps.Keys(c.Exemptions)) {
		switch left := c.Exemptions[user].Until.Sub(now); {
		case left <= 0:
			warn("the exemption of %s has expired and no longer counts; remove or renew it.", user)
		case left < 14*Day:
			warn("the exemption of %s ends within two weeks.", user)
		}
	}
	return found
}
