package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// The people and places of the sandbox.
const (
	ana   = "U0ANA00001"
	ben   = "U0BEN00001"
	carol = "U0CAROL001"
	dave  = "U0DAVE0001"

	approvals = "C0APPROVAL"
	onCall    = "C0ONCALL01"
	general   = "C0GENERAL1"

	platform        = "S0PLATFORM"
	platformChannel = "C0PLATFORM"

	accountID = "111122223333"
	stagingID = "222233334444" // its secrets are shown in a window
	dataID    = "333344445555" // its secrets go to Secrets Manager
)

// configuration is what an operator would write for this workspace. The sandbox reads it as the product does.
const configuration = `
store: %s
slack:
  approvals_channel: ` + approvals + `
  oncall_channel: ` + onCall + `
  approvers: [` + carol + `, ` + dave + `]
  oncall: [` + dave + `]
accounts:
  - {id: "` + accountID + `", name: acme-production, cloudtrail: {regions: [` + region + `, us-east-1]}}
  - {id: "` + stagingID + `", name: acme-staging, role: "arn:aws:iam::` + stagingID + `:role/keyturner", delivery: reveal}
  - {id: "` + dataID + `", name: acme-data, role: "arn:aws:iam::` + dataID + `:role/keyturner", delivery: secretsmanager, secret_name: "keyturner/{user}", secret_region: ` + region + `}
owners:
  email_tag: owner-email
  groups: {` + platform + `: ` + platformChannel + `}
exemptions:
  - {user: ` + accountID + `/backup-agent, reason: "The vendor's appliance takes no second key until its May release.", until: %s}
`

func readConfig(storePath string, now time.Time, further string) (app.Config, error) {
	until := now.AddDate(0, 5, 0).Format(time.DateOnly)
	return app.Parse("sandbox.yaml", fmt.Appendf(nil, configuration+further, "bolt:"+storePath, until))
}

func seedSlack(s *slacksim.Sim) {
	for _, m := range []slacksim.Member{
		{ID: ana, Name: "ana", RealName: "Ana Silva", Title: "Engineer", Email: "ana@example.com"},
		{ID: ben, Name: "ben", RealName: "Ben Okafor", Title: "Engineer", Email: "ben@example.com"},
		{ID: carol, Name: "carol", RealName: "Carol Lindqvist", Title: "Approver", Email: "carol@example.com"},
		{ID: dave, Name: "dave", RealName: "Dave Moreau", Title: "Approver, on call", Email: "dave@example.com"},
	} {
		s.AddMember(m)
	}
	s.AddChannel(slacksim.Channel{ID: general, Name: "general", Topic: "Company-wide announcements"})
	s.AddChannel(slacksim.Channel{ID: approvals, Name: "key-approvals", Topic: "Decisions about AWS access keys"})
	s.AddUserGroup(slacksim.UserGroup{ID: platform, Handle: "platform", Name: "Platform", Users: []string{ana, ben}})
	s.AddChannel(slacksim.Channel{ID: platformChannel, Name: "platform", Topic: "The platform team"})
	s.AddChannel(slacksim.Channel{ID: onCall, Name: "on-call", Topic: "What needs attention this week"})
}

const day = 24 * time.Hour

// seededKey is one key of the seed: how old it is, how long ago it was used, by what.
type seededKey struct {
	age, used time.Duration // used 0: never
	service   string
	inactive  bool
}

// seededUser is one IAM user of the seed. application is what runs as it.
type seededUser struct {
	name, owner, application string
	keys                     []seededKey
}

// elsewhere is what other accounts have, whose secrets take other ways.
var elsewhere = []struct {
	id, name string
	users    []seededUser
}{
	{stagingID, "acme-staging", []seededUser{
		{"preview-deploy", ana, "", []seededKey{{age: 30 * day, used: 5 * time.Hour, service: "s3"}}},
		{"smoke-tests", platform, "", []seededKey{{age: 35 * day, used: 90 * time.Minute, service: "lambda"}}},
	}},
	{dataID, "acme-data", []seededUser{{"warehouse-loader", ben, "", []seededKey{{age: 40 * day, used: 7 * time.Hour, service: "redshift"}}}}},
}

// seed shows every finding at least once, an owner who is named by an e-mail address, and one that is a user group.
var seed = []seededUser{
	{"ci-deploy", ana, "build server", []seededKey{{age: 91 * day, used: 2 * time.Hour, service: "s3"}}},
	{"ana-laptop", "ana@example.com", "command line of Ana", []seededKey{{age: 12 * day, used: 2 * time.Hour, service: "ec2"}}},
	{"data-import", ana, "", []seededKey{{age: 60 * day}}},
	{"web-frontend", ana, "web shop", []seededKey{{age: 200 * day, used: 3 * time.Hour, service: "s3"}, {age: 20 * day, used: time.Hour, service: "s3"}}},
	{"reporting", ben, "monthly reports", []seededKey{{age: 75 * day, used: 26 * time.Hour, service: "athena"}}},
	{"legacy-billing", ben, "billing run", []seededKey{{age: 400 * day, used: 70 * time.Hour, service: "dynamodb"}}},
	{"image-scanner", ben, "image scanner", []seededKey{{age: 120 * day, used: 5 * time.Hour, service: "ecr"}, {age: 500 * day, used: 300 * day, service: "ecr", inactive: true}}},
	{"mobile-push", platform, "push gateway", []seededKey{{age: 30 * day, used: 40 * time.Minute, service: "sns"}}},
	{"ses-smtp-user.news", ben, "newsletter", []seededKey{{age: 50 * day, used: 6 * time.Hour, service: "ses"}}},
	{"metrics-export", carol, "metrics exporter", []seededKey{{age: 95 * day, used: 8 * time.Hour, service: "cloudwatch"}}},
	{"nightly-cron", "", "nightly batch", []seededKey{{age: 180 * day, used: 10 * time.Hour, service: "s3"}}},
	{"backup-agent", carol, "backup appliance", []seededKey{{age: 300 * day, used: 9 * time.Hour, service: "s3"}}},
}

func seedAWS(s *iamsim.Sim, now time.Time) *iamsim.Account {
	a := s.AddAccount(accountID, "acme-production")
	seedUsers(a, accountID, seed, now)
	a.SetRootKey(now.Add(-700*day), now.Add(-200*day))
	for _, other := range elsewhere {
		b := s.AddAccount(other.id, other.name)
		b.AddRole("keyturner", "")
		seedUsers(b, other.id, other.users, now)
	}
	return a
}

func seedUsers(a *iamsim.Account, account string, users []seededUser, now time.Time) {
	for _, u := range users {
		tags := map[string]string{"team": "platform"}
		switch {
		case strings.Contains(u.owner, "@"):
			tags["owner-email"] = u.owner
		case u.owner != "":
			tags["slack-user-id"] = u.owner
		}
		oldest := u.keys[0].age
		for _, k := range u.keys {
			oldest = max(oldest, k.age)
		}
		_, userID := iamsim.SeedIDs(account, u.name)
		a.AddUser(iamsim.User{Name: u.name, ID: userID, Created: now.Add(-oldest - day), Tags: tags})
		for i, k := range u.keys {
			id, _ := iamsim.SeedIDs(account, fmt.Sprintf("%s key %d", u.name, i))
			key := iamsim.Key{ID: id, Created: now.Add(-k.age), Inactive: k.inactive}
			if k.used > 0 {
				key.LastUsed, key.Service, key.Region = now.Add(-k.used), k.service, region
			}
			a.AddKey(u.name, key)
		}
	}
}
