package app

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
	"github.com/keyturner/keyturner/store"
)

// TestRoster_ReadAnew: accounts come and go with the organization, each keeps its adapter and so its pace, and its name is known when it has left.
func TestRoster_ReadAnew(t *testing.T) {
	cfg, err := Parse("f", []byte(slackPart+`
accounts: [{id: "111122223333", name: own}]
organization: {role_name: keyturner}
`))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim := iamsim.New(iamsim.Config{})
		own, beta, gamma := sim.AddAccount("111122223333", "own"), sim.AddAccount("222233334444", "beta"), sim.AddAccount("333344445555", "gamma")
		gamma.SetState(iamsim.StatePendingActivation)
		sim.AddOrganization(iamsim.Organization{Management: own, Members: []*iamsim.Account{beta, gamma}})
		for _, a := range []*iamsim.Account{beta, gamma} {
			a.AddRole("keyturner", "")
		}
		key, secret := own.Principal("keyturner")
		reach := aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: sim.Transport()}}
		r := newRoster(Options{Config: cfg, AWS: &reach, Logger: slog.New(slog.DiscardHandler)})
		adapters := map[string]rotation.IAM{}
		read := func(want string) {
			t.Helper()
			all, err := r.anew()(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range all {
				got = append(got, a.Name)
				if before := adapters[a.ID]; before != nil && before != a.IAM {
					t.Errorf("%s has another adapter than before", a.Name)
				}
				adapters[a.ID] = a.IAM
				if r.called()[a.ID] != a.Name {
					t.Errorf("%s is called %q", a.Name, r.called()[a.ID])
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("accounts %v, want %s", got, want)
			}
		}
		read("own beta")
		gamma.SetState(iamsim.StateActive)
		beta.SetState(iamsim.StateSuspended)
		read("own gamma")
		if r.called()["222233334444"] != "beta" {
			t.Error("the name of an account that has left is not known")
		}
		beta.SetState(iamsim.StateActive)
		read("own beta gamma")

		beta.SetState(iamsim.StateClosed)
		gamma.SetState(iamsim.StateClosed)
		sim.Fail("ListAccounts", iamsim.Fault{Code: "AccessDenied", Times: -1})
		if _, err := r.read(t.Context()); rotation.ClassOf(err) != rotation.ClassDenied {
			t.Errorf("an organization that may not be listed: %v", err)
		}
	})
	cfg.Organization = nil
	if newRoster(Options{Config: cfg, AWS: &aws.Config{}}).anew() != nil {
		t.Error("the accounts are read anew where there is no organization")
	}
}

// TestRoster_ANameThatIsUsedAgain means the account that has it now: whoever names it would else act on either.
func TestRoster_ANameThatIsUsedAgain(t *testing.T) {
	cfg, err := Parse("f", []byte(slackPart+`
accounts: [{id: "111122223333", name: own}]
organization: {role_name: keyturner}
`))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim := iamsim.New(iamsim.Config{})
		own, left, next := sim.AddAccount("111122223333", "own"), sim.AddAccount("222233334444", "beta"), sim.AddAccount("333344445555", "Beta")
		next.SetState(iamsim.StatePendingActivation)
		sim.AddOrganization(iamsim.Organization{Management: own, Members: []*iamsim.Account{left, next}})
		key, secret := own.Principal("keyturner")
		reach := aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: sim.Transport()}}
		r := newRoster(Options{Config: cfg, AWS: &reach, Logger: slog.New(slog.DiscardHandler)})
		if _, err := r.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		left.SetState(iamsim.StateSuspended)
		next.SetState(iamsim.StateActive)
		for range 2 {
			if _, err := r.read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if names := r.called(); names["333344445555"] != "Beta" || names["222233334444"] != "beta (222233334444)" {
			t.Errorf("the accounts are called %v", names)
		}
	})
}

// TestNew_ReadsTheOrganizationForEachScan: the program is wired so that an account which has come since the start is in the next scan.
func TestNew_ReadsTheOrganizationForEachScan(t *testing.T) {
	cfg, err := Parse("f", []byte(slackPart+`
accounts: [{id: "111122223333", name: own}]
organization: {role_name: keyturner}
`))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim := iamsim.New(iamsim.Config{})
		own, beta := sim.AddAccount("111122223333", "own"), sim.AddAccount("222233334444", "beta")
		beta.SetState(iamsim.StatePendingActivation)
		beta.AddRole("keyturner", "")
		sim.AddOrganization(iamsim.Organization{Management: own, Members: []*iamsim.Account{beta}})
		key, secret := own.Principal("keyturner")
		reach := aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: sim.Transport()}}
		a, err := New(t.Context(), Options{Config: cfg, AWS: &reach, Store: store.NewMem(), AppToken: "xapp-1", BotToken: "xoxb-1"})
		if err != nil {
			t.Fatal(err)
		}
		beta.SetState(iamsim.StateActive)
		s, err := a.engine.Survey(t.Context())
		if err != nil || len(s.Accounts) != 2 || s.Accounts[1].Name != "beta" || len(s.Unread()) > 0 || len(s.Left) > 0 {
			t.Fatalf("after one has come: %+v, %v", s, err)
		}
		beta.SetState(iamsim.StateSuspended)
		before := len(sim.Calls())
		s, err = a.engine.Survey(t.Context())
		if err != nil || len(s.Accounts) != 1 || len(s.Unread()) > 0 || len(s.Left) != 1 || s.Left[0].Name != "beta" {
			t.Errorf("after one was suspended: %+v, %v", s, err)
		}
		for _, c := range sim.Calls()[before:] {
			if c.Account == "222233334444" || c.Op == "AssumeRole" {
				t.Errorf("%s is called for an account that has left", c.Op)
			}
		}
	})
}
