package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// scanDay is when the scans of the golden files were made.
var scanDay = time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)

// scanConfig is a configuration without Slack, of three accounts; the roles of the second and the third lack something.
const scanConfig = `
accounts:
  - {id: "111122223333", name: production}
  - {id: "222233334444", name: sandbox, role: "arn:aws:iam::222233334444:role/keyturner", external_id: right}
  - {id: "333344445555", name: tools, role: "arn:aws:iam::333344445555:role/keyturner", external_id: wrong}
owners:
  email_tag: owner-email
  links: {"111122223333/backup": U0AAAAAAAAA}
exemptions:
  - {user: 111122223333/vendor, reason: the appliance cannot change keys yet, until: 2027-01-31}
`

// scanSim is what that configuration reads, as it is at the time of now.
func scanSim(t *testing.T, now func() time.Time) (sim *iamsim.Sim, key, secret string) {
	t.Helper()
	sim = iamsim.New(iamsim.Config{Now: now})
	production := sim.AddAccount("111122223333", "production")
	ago := func(days int) time.Time { return now().Add(-time.Duration(days) * 24 * time.Hour) }
	add := func(a *iamsim.Account, user iamsim.User, keys ...iamsim.Key) {
		user.ID, user.Created = "AIDA"+user.Name, ago(1000)
		a.AddUser(user)
		for _, k := range keys {
			if a.AddKey(user.Name, k) == "" {
				t.Fatalf("no key for %s", user.Name)
			}
		}
	}
	used := func(id string, age, idle int) iamsim.Key {
		return iamsim.Key{ID: id, Created: ago(age), LastUsed: ago(idle), Service: "s3", Region: "eu-west-1"}
	}
	production.SetRootKey(ago(2000), ago(3))
	ana := map[string]string{"slack-user-id": "U0BBBBBBBBB"}
	add(production, iamsim.User{Name: "ci-deploy", Path: "/ci/", Tags: ana}, used("AKIAEXAMPLE000000001", 400, 0))
	add(production, iamsim.User{Name: "backup"}, used("AKIAEXAMPLE000000002", 80, 1))
	add(production, iamsim.User{Name: "idle", Tags: map[string]string{"owner-email": "ben@example.com"}}, used("AKIAEXAMPLE000000003", 60, 50))
	add(production, iamsim.User{Name: "never"}, iamsim.Key{ID: "AKIAEXAMPLE000000004", Created: ago(50)})
	add(production, iamsim.User{Name: "twice", Tags: ana}, used("AKIAEXAMPLE000000005", 20, 0), used("AKIAEXAMPLE000000006", 10, 0))
	left := used("AKIAEXAMPLE000000007", 30, 20)
	left.Inactive = true
	add(production, iamsim.User{Name: "left", Tags: ana}, left)
	add(production, iamsim.User{Name: "vendor"}, used("AKIAEXAMPLE000000008", 500, 0))
	add(production, iamsim.User{
		Name: "leaky", Tags: ana, Policies: []string{"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"},
	}, used("AKIAEXAMPLE000000009", 5, 0))
	add(production, iamsim.User{Name: "fine", Tags: ana}, used("AKIAEXAMPLE000000010", 5, 0))

	sandbox := sim.AddAccount("222233334444", "sandbox")
	sandbox.AddRole("keyturner", "right")
	add(sandbox, iamsim.User{Name: "old"}, used("AKIAEXAMPLE000000011", 100, 70))
	for _, op := range []string{"GetAccountAuthorizationDetails", "GetUser", "GetAccessKeyLastUsed"} {
		sim.Fail(op, iamsim.Fault{Account: "222233334444", Code: "AccessDenied", Times: -1})
	}
	tools := sim.AddAccount("333344445555", "tools")
	tools.AddRole("keyturner", "another")
	add(tools, iamsim.User{Name: "hidden"}, used("AKIAEXAMPLE000000012", 900, 0))
	key, secret = production.Principal("keyturner")
	return sim, key, secret
}

// scanServer serves a simulator of AWS, and returns the environment that points the program at it.
func scanServer(t *testing.T, aws http.Handler, key, secret string) map[string]string {
	t.Helper()
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	return map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CA_BUNDLE": "",
	}
}
