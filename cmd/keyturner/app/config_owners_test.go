package app

import (
	"strings"
	"testing"
)

func TestParse_OwnersByEmail(t *testing.T) {
	for written, want := range map[string]struct{ tag, problem, summary string }{
		"email_tag: owner-email":             {tag: "owner-email", summary: "the tag owner, then by the e-mail address in the tag owner-email\n"},
		"email_names: true":                  {summary: "the tag owner, then by the e-mail address that is the user's name\n"},
		"email_names: false":                 {summary: "the tag owner\n"},
		"email_tag: m\n  email_names: true":  {tag: "m", summary: "the tag owner, then by the e-mail address in the tag m or in the user's name\n"},
		"groups: {S0123456789: C0123456789}": {summary: "the user group S0123456789, in C0123456789\n"},
		"groups: {U0123456789: C0123456789}": {problem: "17:12: group \"U0123456789\" is not an id; write a user group's id as in S0123456789, and the id of its channel"},
		"groups: {S0123456789: general}":     {problem: "17:25: channel \"general\" of a group is not an id; write the channel's id as in C0123456789, found at the end of the channel's details"},
		"email_tag: aws:mail":                {problem: "17:14: email_tag is not a name that IAM allows; write the name of an IAM user tag, as in owner-email"},
		"email_tag: Owner":                   {problem: "17:14: email_tag is the tag that holds a member's id; write the name of another one"},
		"email_tag:":                         {problem: "17:3: email_tag has no value; write email_tag: the name of an IAM user tag, as in owner-email"},
		"email_names: yes":                   {problem: "17:16: email_names is neither true nor false; write true or false"},
		"email_names: [true]":                {problem: "17:16: email_names is not one plain value on one line; write true or false"},
		"email_name: true":                   {problem: `17:3: unknown field "email_name" in owners; write email_names`},
	} {
		cfg, err := Parse("kt.yaml", []byte(strings.Replace(full, "  tag: owner\n", "  tag: owner\n  "+written+"\n", 1)))
		if want.problem != "" {
			if err == nil || err.Error() != "kt.yaml:"+want.problem {
				t.Errorf("%s: error %v, want %s", written, err, want.problem)
			}
			continue
		}
		var summary strings.Builder
		if err == nil {
			err = cfg.Summary(&summary)
		}
		if err != nil || cfg.Owners.EmailTag != want.tag || cfg.Owners.EmailNames != strings.Contains(written, "true") || !strings.Contains(summary.String(), want.summary) {
			t.Errorf("%s: %+v, %v\n%s", written, cfg.Owners, err, summary.String())
		}
	}
}
