package app

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

const slackPart = `slack: {approvals_channel: C0123456789, oncall_channel: C0123456790, approvers: [U0AAAAAAAAA, U0BBBBBBBBB]}
`

func TestParse_Organization(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       Organization
		problem    string
	}{
		{"least", "organization: {role_name: keyturner}", Organization{RoleName: "keyturner"}, ""},
		{
			"all", `organization: {role_name: security/keyturner, external_id: x-1, include: [ou-ab12-cdef3456, r-ab12], exclude: ["env=dev*"]}`,
			Organization{
				RoleName: "security/keyturner", ExternalID: "x-1", Include: []Choice{{Unit: "ou-ab12-cdef3456"}, {Unit: "r-ab12"}},
				Exclude: []Choice{{Tag: "env", Value: "dev*"}},
			},
			"",
		},
		{"no role", "organization: {external_id: x-1}", Organization{}, "2:15: role_name is missing"},
		{"an ARN for the name", "organization: {role_name: 'arn:aws:iam::111122223333:role/x y'}", Organization{}, "2:27: role_name is not the name"},
		{"empty", "organization:", Organization{}, "2:1: organization has no value"},
		{"misspelled", "organization: {role_nam: keyturner}", Organization{}, "write role_name"},
		{"neither unit nor tag", "organization: {role_name: x, include: [prod]}", Organization{}, `"prod" is neither a unit nor a tag`},
		{"includes nothing", "organization: {role_name: x, include: []}", Organization{}, "include is empty"},
		{"external id", "organization: {role_name: x, external_id: y z}", Organization{}, "2:43: external_id has characters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, err := Parse("f", []byte(slackPart+test.text+"\n"))
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("got %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, cfg.Organization); diff != "" {
				t.Errorf("organization (-want +got):\n%s", diff)
			}
			var out strings.Builder
			if err := cfg.Summary(&out); err != nil || !strings.Contains(out.String(), "as role "+test.want.RoleName) {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
	if _, err := Parse("f", []byte(slackPart)); err == nil || !strings.Contains(err.Error(), "accounts is missing") {
		t.Errorf("neither accounts nor an organization: %v", err)
	}
}

// TestWithMembers: the accounts of the organization are added, and those listed keep their settings.
func TestWithMembers(t *testing.T) {
	cfg, err := Parse("f", []byte(slackPart+`
accounts: [{id: "111122223333", name: own}, {id: "222233334444", name: Beta, role: "arn:aws:iam::222233334444:role/special"}]
organization: {role_name: keyturner, external_id: x-1, exclude: ["keys=no*"]}
exemptions: [{user: 333344445555/vendor, reason: later, until: 2027-01-31}]
`))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim := iamsim.New(iamsim.Config{PageSize: 1})
		own := sim.AddAccount("111122223333", "own")
		beta, gamma, delta := sim.AddAccount("222233334444", "beta"), sim.AddAccount("333344445555", "BETA"), sim.AddAccount("444455556666", "delta")
		gone := sim.AddAccount("555566667777", "gone")
		gone.SetState(iamsim.StateSuspended)
		delta.Place("", map[string]string{"keys": "none"})
		sim.AddOrganization(iamsim.Organization{Management: own, Members: []*iamsim.Account{beta, gamma, delta, gone}})
		key, secret := own.Principal("keyturner")
		reach := aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: sim.Transport()}}
		got, err := cfg.withMembers(t.Context(), cfg.members(reach))
		if err != nil {
			t.Fatal(err)
		}
		want := append(cfg.Accounts[:2:2], Account{
			ID: "333344445555", Name: "BETA (333344445555)", Role: "arn:aws:iam::333344445555:role/keyturner", ExternalID: "x-1", Delivery: cfg.Accounts[0].Delivery,
		})
		if diff := cmp.Diff(want, got.Accounts); diff != "" {
			t.Errorf("accounts (-want +got):\n%s", diff)
		}
		sim.Fail("ListAccounts", iamsim.Fault{Code: "AccessDenied"})
		if _, err := cfg.withMembers(t.Context(), cfg.members(reach)); err == nil || !strings.Contains(err.Error(), "organization-policy.json") {
			t.Errorf("an organization that may not be listed: %v", err)
		}
	})
}
