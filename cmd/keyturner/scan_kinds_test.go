package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/cmd/keyturner/listing"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// TestScan_KindsOfAccounts is a table of what can be the matter with an account, on its real wire, and of what the listing says: the state, the
// cause, and what to do or to wait for. None that was not read in full reads as if there were nothing to find.
func TestScan_KindsOfAccounts(t *testing.T) {
	always := func(op, code string) func(*iamsim.Sim, *iamsim.Account) {
		return func(s *iamsim.Sim, _ *iamsim.Account) {
			s.Fail(op, iamsim.Fault{Account: "222233334444", Code: code, Times: -1})
		}
	}
	once := func(op, code string) func(*iamsim.Sim, *iamsim.Account) {
		return func(s *iamsim.Sim, _ *iamsim.Account) {
			s.Fail(op, iamsim.Fault{Account: "222233334444", Code: code, Times: 2})
		}
	}
	for _, test := range []struct {
		name  string
		users int
		spoil func(*iamsim.Sim, *iamsim.Account)
		state string
		says  []string
	}{
		{"read", 1, nil, listing.Read, []string{"1 finding in 1 account with 1 user."}},
		{"101 users", 101, nil, listing.Read, []string{"1 finding in 1 account with 101 users."}},
		{"5,000 users", 5000, nil, listing.Read, []string{"1 finding in 1 account with 5000 users."}},
		{"throttled for ever", 1, always("*", "Throttling"), listing.NotRead, []string{"Throttling: Rate exceeded; try again in some minutes."}},
		{"throttled for a moment", 1, once("GetAccountAuthorizationDetails", "Throttling"), listing.Read, []string{"1 finding in 1 account"}},
		{"denied", 1, always("*", "AccessDenied"), listing.NotRead, []string{"AccessDenied", "check that those credentials are valid"}},
		{"half denied", 1, always("GetAccessKeyLastUsed", "AccessDenied"), listing.Partly, []string{"too-old", "not seen: when keys were last used", "the role needs iam:GetAccessKeyLastUsed"}},
		{"no details", 1, always("GetAccountAuthorizationDetails", "AccessDenied"), listing.Partly, []string{"too-old", "the role needs iam:GetAccountAuthorizationDetails"}},
		{"suspended", 1, func(_ *iamsim.Sim, a *iamsim.Account) { a.SetState(iamsim.StateSuspended) }, listing.NotRead, []string{"let the trust policy of arn:aws:iam::222233334444:role/keyturner name"}},
		{"the role is gone", 1, func(s *iamsim.Sim, _ *iamsim.Account) {
			s.Fail("AssumeRole", iamsim.Fault{Code: "AccessDenied", Times: -1})
		}, listing.NotRead, []string{"AssumeRole", "let the trust policy of arn:aws:iam::222233334444:role/keyturner name"}},
		{"report not present", 1, once("GetCredentialReport", "ReportNotPresent"), listing.Read, []string{"1 finding"}},
		{"report in progress for a while", 1, once("GetCredentialReport", "ReportInProgress"), listing.Read, []string{"1 finding"}},
		{"report in progress for ever", 1, always("GetCredentialReport", "ReportInProgress"), listing.NotRead, []string{"AWS has not made it within 5m0s, try again later"}},
		{"report expired", 1, once("GetCredentialReport", "ReportExpired"), listing.Read, []string{"1 finding"}},
		{"quota", 1, always("GenerateCredentialReport", "LimitExceeded"), listing.NotRead, []string{"LimitExceeded", "try again later"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := scanKind(t, test.users, test.spoil)
			var out bytes.Buffer
			if err := found.Table(&out, false); err != nil {
				t.Fatal(err)
			}
			if len(found.Accounts) != 1 || found.Accounts[0].State != test.state || found.Complete != (test.state == listing.Read) {
				t.Errorf("state: %+v", found.Accounts)
			}
			says := test.says
			switch test.state {
			case listing.NotRead:
				says = append(says, "Nothing is known of 1 account.", "222233334444")
				if strings.Contains(out.String(), "0 findings") {
					t.Errorf("it reads as if there were nothing to find:\n%s", out.String())
				}
			case listing.Partly:
				says = append(says, "Not everything was seen in 1 account.")
			}
			for _, want := range says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not said:\n%s", want, out.String())
				}
			}
		})
	}
}

// scanKind scans one account of some users, each owned, of whom the first has a key that is too old.
func scanKind(t *testing.T, users int, spoil func(*iamsim.Sim, *iamsim.Account)) (found listing.Listing) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyturner.yaml")
	text := "accounts:\n  - {id: \"222233334444\", name: odd, role: \"arn:aws:iam::222233334444:role/keyturner\", external_id: right}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := app.LoadForScan(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim := iamsim.New(iamsim.Config{Now: time.Now})
		hub, odd := sim.AddAccount("111122223333", "hub"), sim.AddAccount("222233334444", "odd")
		odd.AddRole("keyturner", "right")
		for i := range users {
			name, age := fmt.Sprintf("user-%04d", i), 5
			if i == 0 {
				age = 100
			}
			odd.AddUser(iamsim.User{Name: name, Tags: map[string]string{"slack-user-id": "U0BBBBBBBBB"}})
			odd.AddKey(name, iamsim.Key{Created: time.Now().Add(-time.Duration(age) * 24 * time.Hour), LastUsed: time.Now().Add(-time.Hour), Service: "s3"})
		}
		if spoil != nil {
			spoil(sim, odd)
		}
		key, secret := hub.Principal("keyturner")
		found, err = app.Scan(t.Context(), app.ScanOptions{
			Config: cfg, Version: "v0.0.0", Now: time.Now,
			AWS: &aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: sim.Transport()}},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	return found
}
