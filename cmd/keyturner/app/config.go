// Package app is the keyturner program without its command line: its configuration, and the wiring of store, AWS and Slack
// around the domain.
//
// # Design
//
// The configuration file is read by hand from the syntax tree and not decoded by reflection, for three reasons: an operator is
// told the line and column of the value that is wrong and what to write in its place; a value is read exactly as it stands
// there, so that an account number keeps its leading zeros; and no error can echo a credential pasted into the wrong place.
// Anchors, aliases, merge keys and tags are refused: who may approve has to be readable on the line that says it.
//
// Everything that can be judged without a network is judged here. Whether a channel, a member or a role exists is not.
package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"time"
	_ "time/tzdata" // zones must resolve in a container that has none

	"github.com/robfig/cron/v3"

	"github.com/keyturner/keyturner/rotation"
)

// Config is a configuration that has been checked: every limit documented on its fields holds. Get one from [Load], [Parse] or,
// for the values of an empty file, [Default].
type Config struct {
	// Store says where rotations are kept: "bolt:PATH" for a file, "dynamodb:REGION/TABLE" for several replicas, "mem" for memory
	// that is gone after a restart.
	// Default "bolt:keyturner.db", relative to the working directory.
	Store string
	// Timezone is the zone of the schedules, of the dates of exemptions and of the times shown in Slack. Never nil. Default UTC.
	Timezone *time.Location
	// Slack names the channels and members that decide.
	Slack Slack
	// Accounts are the AWS accounts looked after, at least one unless there is an Organization, in the order of the file; id and name are unique.
	Accounts []Account
	// Organization says which accounts of an organization are looked after as well. Nil: none.
	Organization *Organization
	// Mail says where the digest goes by mail. Nil: nowhere.
	Mail *Mail
	// Approval are the rules of who approves, the first that is for a user counting. For whom there is none, Slack.Approvers decide.
	Approval []rotation.Approval
	// Ages are the rules of what counts as a finding, the first that is for a user counting. For whom there is none, Policy counts.
	Ages []rotation.AgeRule
	// Owners says how the owner of an IAM user is found.
	Owners Owners
	// Exemptions are the accepted findings by "account/user", as "111122223333/backup". Never nil. One that has expired is
	// kept: it is the caller who has a clock.
	Exemptions map[string]Exemption
	// Policy holds the ages and waits of the lifecycle.
	Policy Policy
	// Schedule says when to look, and when to report.
	Schedule Schedule
}

// Slack names the channels and members that decide. Ids are Slack's own (C…, G…, U…, W…), never names.
type Slack struct {
	// ApprovalsChannel is the channel in which each rotation has its card. Required.
	ApprovalsChannel string
	// OncallChannel is the channel that receives the digest and alarms. Required; may be the approvals channel.
	OncallChannel string
	// Approvers may approve, deny and overrule where no rule of Approval says who; never for keys they own. At least one, no duplicates.
	Approvers []string
	// Oncall may start rotations from the digest. Default none. No duplicates.
	Oncall []string
}

// Account is one AWS account.
type Account struct {
	// ID is the account's number: 12 digits, leading zeros included.
	ID string
	// Name is what people call it, at most 64 characters. Unique regardless of case.
	Name string
	// Role is the ARN of the role to assume in this account. Empty: the credentials keyturner runs under are used as they are,
	// which only one account can have.
	Role string
	// ExternalID is sent with AssumeRole against the confused deputy. Default none.
	ExternalID string
	// Delivery is how the secrets of new keys reach who needs them. Default [rotation.ByDM].
	Delivery rotation.Mode
	// SecretName is under which name a secret is kept in AWS, with [rotation.UserMark] for the IAM user's name. Set if Delivery is one
	// to AWS, and only then.
	SecretName string
	// SecretRegion is the region that the secret is kept in. Set if SecretName is.
	SecretRegion string
	// SecretKMSKey is the key that encrypts it: an id, an alias or an ARN. Default the one that AWS has for the service.
	SecretKMSKey string
	// TrailRegions are those in which CloudTrail is asked who uses a key. Default none: nobody is told.
	TrailRegions []string
}

// delivery is how the domain has it.
func (a Account) delivery() rotation.Delivery {
	return rotation.Delivery{Mode: a.Delivery, Name: a.SecretName, Region: a.SecretRegion, KMSKey: a.SecretKMSKey}
}

// Owners says how the owner of an IAM user is found: a link that an approver has made first, then one of the file, then the tag, then an
// e-mail address.
type Owners struct {
	// Tag is the IAM user tag whose value is the owner's Slack member id, alone or after the workspace's id and a slash or a dot. Default
	// "slack-user-id".
	Tag string
	// EmailTag is the IAM user tag whose value is the owner's e-mail address. Default none. Not Tag.
	EmailTag string
	// EmailNames says that an IAM user's name may be the owner's e-mail address. Default false.
	EmailNames bool
	// Groups maps the id of each Slack user group that may own users to its channel. Default none.
	Groups map[string]string
	// Links maps "account/user" to the owner's member id. Never nil.
	Links map[string]string
}

// Exemption is a finding accepted for one IAM user.
type Exemption struct {
	// Reason is shown wherever the finding would have been. Never empty.
	Reason string
	// Until is the first moment at which the exemption no longer holds: midnight in Timezone after the date in the file, or when
	// that day begins if its clocks skip midnight, so that the date itself is still covered.
	Until time.Time
}

// Policy holds the ages and waits of the lifecycle. Durations are elapsed time: a day is 24 hours.
type Policy struct {
	// WarnAge is the age from which the owner of a key is asked to rotate it. Default 75 days, below MaxAge.
	WarnAge time.Duration
	// MaxAge is the age from which a key is a finding. Default 90 days.
	MaxAge time.Duration
	// UnusedAge is how long a key goes without use before it is a finding. Default 45 days, at least 24 h.
	UnusedAge time.Duration
	// Quiet is how long the old key must not have been used before it may be deactivated. Default and minimum 24 h: AWS is
	// hours late with "last used".
	Quiet time.Duration
	// Grace is how long the old key stays inactive, and restorable, before its deletion is asked for. Default 7 days, at least 24 h.
	Grace time.Duration
	// ApprovalExpires is how long a request waits for an approver before it lapses. Default 72 h, at least 1 h.
	ApprovalExpires time.Duration
	// SecretVisible is how long the direct message with a secret stays if its owner does not confirm having stored it.
	// Default 1 h, from 1 minute to 24 h.
	SecretVisible time.Duration
}

// Schedule says when to look, and when to report. Both run in Config.Timezone.
type Schedule struct {
	// Scan is when every account is read. Default "0 7 * * *", each day at 7.
	Scan Cron
	// Digest is when the summary is posted. Default "0 9 * * MON", Mondays at 9.
	Digest Cron
}

// Cron is a schedule with the text it was written as. Its Next answers in the zone of its argument; the fields mean Config.Timezone.
type Cron struct {
	// Spec is the text of the file: five fields, or @daily and its like.
	Spec string
	cron.Schedule
}

// Day is the unit d of durations in the file.
const Day = 24 * time.Hour

// Default returns the values that a file need not state. It is no valid configuration: Slack and Accounts have no defaults.
func Default() Config {
	return Config{
		Store:      "bolt:keyturner.db",
		Timezone:   time.UTC,
		Owners:     Owners{Tag: "slack-user-id", Links: map[string]string{}},
		Exemptions: map[string]Exemption{},
		Policy: Policy{
			WarnAge:         75 * Day,
			MaxAge:          90 * Day,
			UnusedAge:       45 * Day,
			Quiet:           24 * time.Hour,
			Grace:           7 * Day,
			ApprovalExpires: 72 * time.Hour,
			SecretVisible:   time.Hour,
		},
		Schedule: Schedule{
			Scan:   mustCron("0 7 * * *", time.UTC),
			Digest: mustCron("0 9 * * MON", time.UTC),
		},
	}
}

// maxSize bounds the configuration file, in bytes.
const maxSize = 1 << 20

// lineEnds is white space that means nothing in YAML, and from which the parser miscounts: a CR after a comment makes one more
// line for it, a space after a value one more column.
var lineEnds = regexp.MustCompile(`(?m)[ \t\r]+$`)

// Load reads and checks the configuration file at path. The error is one line, "path:LINE:COL: what is wrong; write …", without
// LINE and COL when the file cannot be read at all.
func Load(path string) (Config, error) { return load(&reader{name: path}) }

// LoadForScan is Load for whom Slack is not needed: it may be missing, and is checked if it is there.
func LoadForScan(path string) (Config, error) { return load(&reader{name: path, noSlack: true}) }

func load(in *reader) (Config, error) {
	path := in.name
	data, err := os.ReadFile(path)
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return Config{}, fmt.Errorf("%s: cannot be read: %w; write a file there, starting from deploy/keyturner.example.yaml", path, err)
	}
	return parse(in, data)
}

// Parse checks the configuration in data, in UTF-8; name stands for its path in the error, which is as for [Load]. Of several
// problems the one that stands first in the file is reported. The result does not depend on the time of day, the machine's zone
// or its environment.
func Parse(name string, data []byte) (Config, error) { return parse(&reader{name: name}, data) }

func parse(in *reader, data []byte) (Config, error) {
	data = lineEnds.ReplaceAll(bytes.TrimPrefix(data, []byte("\ufeff")), nil)
	root, ok := in.parse(data)
	if !ok {
		return Config{}, in.err()
	}
	cfg := in.config(root)
	if err := in.err(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// config reads the whole file. What it returns is of use only if no problem was noted.
func (in *reader) config(root section) Config {
	cfg := Default()
	in.store(root, &cfg)
	in.timezone(root, &cfg)
	in.slack(root, &cfg)
	in.organization(root, &cfg)
	in.mail(root, &cfg)
	in.accounts(root, &cfg)
	in.approval(root, &cfg)
	in.owners(root, &cfg)
	in.exemptions(root, &cfg)
	in.policy(root, &cfg)
	in.ages(root, &cfg)
	in.schedule(root, &cfg)
	if _, there := root.values["slack"]; there || !in.noSlack {
		in.approvable(root, &cfg)
		in.timely(root, &cfg)
	}
	return cfg
}
