// Package listing writes what a scan has found: as a table for people, and as JSON, CSV, SARIF and Markdown for other programs and for
// evidence.
//
// # Design
//
// JSON and CSV are for auditors and are promised not to change: fields are added at the end, none is renamed, and Schema changes if one
// must mean something else. Times are RFC 3339 in UTC, ages whole days, and what is not known is empty or "unknown", never "no". Each
// account has its record, whatever was found in it, so that a file which says nothing about an account says so itself.
package listing

import (
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// Schema names the form of the JSON and of the CSV.
const Schema = "keyturner.scan/1"

// Listing is the outcome of a scan.
type Listing struct {
	Schema    string    `json:"schema"`
	Version   string    `json:"keyturner"` // the program's
	ScannedAt time.Time `json:"scanned_at"`
	// Complete tells whether everything could be looked at. If not, that nothing was found says nothing.
	Complete bool      `json:"complete"`
	Source   string    `json:"source"` // Live or Report
	Policy   Policy    `json:"policy"`
	Accounts []Account `json:"accounts"`
	Findings []Finding `json:"findings"` // the gravest first
}

// The sources of what is listed.
const (
	Live   = "live"   // the keys of whomever the credential report makes suspect, as they are now
	Report = "report" // the credential report, which is at most four hours old and has no key ids
)

// Policy is what counted as a finding, in days, where no rule said otherwise.
type Policy struct {
	WarnAge   int `json:"warn_age_days"`
	MaxAge    int `json:"max_age_days"`
	UnusedAge int `json:"unused_age_days"`
}

// The states of an account.
const (
	Read    = "read"     // all was seen
	Partly  = "partly"   // the role may not see everything, or some users could not be read
	NotRead = "not-read" // nothing is known
)

// Account is an account of the scan.
type Account struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
	// ReportMade is when AWS made the credential report; nil: there was none to read.
	ReportMade *time.Time `json:"report_made"`
	Users      int        `json:"users"`
	Findings   int        `json:"findings"`
	Unseen     []Unseen   `json:"unseen"`
	Error      string     `json:"error"`
}

// Unseen is what the role may not look at.
type Unseen struct {
	What       string `json:"what"`
	Permission string `json:"permission"`
}

// Finding is one breach of one key, or of a user.
type Finding struct {
	Rule        string     `json:"rule"`
	Severity    string     `json:"severity"` // critical, high, medium or low
	Controls    []string   `json:"controls"`
	AccountID   string     `json:"account_id"`
	AccountName string     `json:"account_name"`
	User        string     `json:"user"`
	UserID      string     `json:"user_id"`
	UserPath    string     `json:"user_path"`
	KeyID       string     `json:"key_id"` // empty where the source is the report, and for the root user
	KeyStatus   string     `json:"key_status"`
	KeyCreated  *time.Time `json:"key_created"` // nil: not known
	KeyAge      *int       `json:"key_age_days"`
	LastUse     string     `json:"last_use"` // used, never or unknown
	LastUsed    *time.Time `json:"last_used"`
	LastService string     `json:"last_used_service"`
	LastRegion  string     `json:"last_used_region"`
	Owner       string     `json:"owner"`
	// OwnerKnown tells whether it could be found out who the owner is, nobody included.
	OwnerKnown   bool       `json:"owner_known"`
	Exempt       bool       `json:"exempt"`
	ExemptReason string     `json:"exempt_reason"`
	ExemptUntil  *time.Time `json:"exempt_until"` // the first moment at which it does not hold
	MaxAge       int        `json:"max_age_days"` // what counted for the key; 0 for the root user

	Remark string `json:"remark"` // what of the finding is not certain

	exemptDay string // the last day on which it holds, as the configuration has it
}

// Rule is what a kind of finding is called and means.
type Rule struct {
	ID, Title, Severity, Advice string
	Controls                    []string
}

// Rules are the kinds of findings, the gravest first. Numbers of controls move between versions, so each names its own.
var Rules = []Rule{
	{string(rotation.RootKey), "The root user has an access key", "critical", "Sign in as root, move whatever uses the key to a role, and delete it.", []string{"CIS AWS Foundations 3.0.0 1.4", "SOC 2 CC6.1"}},
	{string(rotation.Quarantined), "AWS has found a key of the user in public", "critical", "Deactivate the key now and leave AWS's policy in place.", []string{"SOC 2 CC6.1", "SOC 2 CC7.4"}},
	{string(rotation.StuckRotation), "The rotation of the key is stuck", "high", "Decide on its card in Slack how it goes on.", nil},
	{string(rotation.TooOld), "The key is as old as the most that is allowed, or older", "high", "Rotate it.", []string{"CIS AWS Foundations 3.0.0 1.14", "CIS AWS Foundations 7.0.0 2.12", "SOC 2 CC6.1"}},
	{string(rotation.ExtraKeys), "The user has more keys than AWS allows", "high", "Delete one that nobody needs.", []string{"CIS AWS Foundations 3.0.0 1.13"}},
	{string(rotation.Unneeded), "The key was never used", "medium", "Retire it.", []string{"CIS AWS Foundations 3.0.0 1.12", "SOC 2 CC6.3"}},
	{string(rotation.Idle), "The key has not been used for long", "medium", "Retire it.", []string{"CIS AWS Foundations 3.0.0 1.12", "SOC 2 CC6.3"}},
	{string(rotation.TwoActive), "Two keys of the user are active", "medium", "Move what uses the older one, and retire it.", []string{"CIS AWS Foundations 3.0.0 1.13"}},
	{string(rotation.SoonTooOld), "The key will soon be too old", "low", "Rotate it.", nil},
	{string(rotation.LeftInactive), "The key is inactive and was never deleted", "low", "Delete it.", []string{"SOC 2 CC6.3"}},
	{string(rotation.Unowned), "Nobody is answerable for the user, who has an active key", "medium", "Name an owner: by `/rotate-key link`, by the tag or in the configuration.", []string{"ISO/IEC 27001:2022 A.5.9", "NIST SP 800-53 Rev. 5 AC-2"}},
}

// RuleOf is what is known of a kind of finding.
func RuleOf(b rotation.Breach) Rule {
	if i := slices.IndexFunc(Rules, func(r Rule) bool { return r.ID == string(b) }); i >= 0 {
		return Rules[i]
	}
	return Rule{ID: string(b), Title: string(b), Severity: "medium"}
}

// Due counts the findings that are not accepted.
func (l Listing) Due() int {
	n := 0
	for _, f := range l.Findings {
		if !f.Exempt {
			n++
		}
	}
	return n
}

// States counts the accounts in a state.
func (l Listing) States(state string) int {
	n := 0
	for _, a := range l.Accounts {
		if a.State == state {
			n++
		}
	}
	return n
}

// called names an account for people.
func (a Account) called() string { return called(a.Name, a.ID) }

func called(name, id string) string {
	if name == "" || name == id {
		return id
	}
	return plain(name) + " (" + id + ")"
}

// lacks tells why an account was not read in full, a sentence for each cause.
func (a Account) lacks() []string {
	var all []string
	if a.Error != "" {
		all = append(all, plain(a.Error))
	}
	for _, u := range a.Unseen {
		all = append(all, "not seen: "+u.What+"; the role needs "+u.Permission)
	}
	return all
}

// plain is text without anything that a terminal would obey.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, text)
}

// key is the key as people compare it.
func (f Finding) key() string {
	if f.KeyID == "" {
		return "–"
	}
	return f.KeyID
}

func (f Finding) used() string {
	if f.LastUsed != nil {
		return f.LastUsed.Format(time.DateOnly)
	}
	return f.LastUse
}

func (f Finding) owner() string {
	switch {
	case f.Owner != "":
		return plain(f.Owner)
	case !f.OwnerKnown:
		return "unknown"
	}
	return "nobody"
}
