package awsiam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// organized makes acme the management account of an organization: 25 members without a unit, two in ou-prod, one in a unit of that, and one
// suspended there.
func organized(w world, o iamsim.Organization) {
	o.Management = w.acme
	o.Units = map[string]string{"ou-prod": iamsim.RootUnit, "ou-prod-eu": "ou-prod", "ou-test": iamsim.RootUnit}
	add := func(id, unit string, tags map[string]string) *iamsim.Account {
		a := w.sim.AddAccount(id, "name-"+id)
		a.Place(unit, tags)
		o.Members = append(o.Members, a)
		return a
	}
	for i := range 25 {
		add(fmt.Sprintf("2000000000%02d", i), "", nil)
	}
	add("300000000001", "ou-prod", map[string]string{"team": "payments"})
	add("300000000002", "ou-prod", map[string]string{"team": "core", "keys": "none"})
	add("300000000003", "ou-prod-eu", nil)
	add("300000000004", "ou-prod", nil).SetState(iamsim.StateSuspended)
	add("300000000005", "ou-prod", nil).SetState(iamsim.StatePendingClosure)
	add("400000000001", "ou-test", map[string]string{"team": "payments"})
	w.sim.AddOrganization(o)
}

func equals(want string) func(string) bool { return func(v string) bool { return v == want } }

func TestOrganization(t *testing.T) {
	prod, root := awsiam.Choice{Unit: "ou-prod"}, awsiam.Choice{Unit: iamsim.RootUnit}
	payments := awsiam.Choice{Tag: "team", Is: equals("payments")}
	none := awsiam.Choice{Tag: "keys", Is: equals("none")}
	for _, test := range []struct {
		name             string
		org              iamsim.Organization
		page             int
		include, exclude []awsiam.Choice
		want             int // how many
		ids              string
	}{
		{"all", iamsim.Organization{}, 0, nil, nil, 30, ""},
		{"with empty pages", iamsim.Organization{EmptyPages: true}, 2, nil, nil, 30, ""},
		{"by the older field", iamsim.Organization{OmitState: true}, 0, nil, nil, 30, ""},
		{"by the newer field", iamsim.Organization{OmitStatus: true}, 0, nil, nil, 30, ""},
		{"a unit with those below", iamsim.Organization{}, 1, []awsiam.Choice{prod}, nil, 3, "300000000001 300000000002 300000000003"},
		{"a unit or a tag", iamsim.Organization{}, 0, []awsiam.Choice{prod, payments}, nil, 4, "300000000001 300000000002 300000000003 400000000001"},
		{"a unit without a tag", iamsim.Organization{}, 0, []awsiam.Choice{prod}, []awsiam.Choice{none}, 2, "300000000001 300000000003"},
		{"all but a unit", iamsim.Organization{}, 0, []awsiam.Choice{root}, []awsiam.Choice{prod}, 27, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{PageSize: test.page}, func(w world) {
				organized(w, test.org)
				found, err := awsiam.NewOrganization(w.credentials(w.acme.Principal("keyturner")), test.include, test.exclude).Members(w.Context())
				if err != nil {
					w.Fatal(err)
				}
				var ids []string
				for _, m := range found {
					if m.Name == "" {
						w.Errorf("%s has no name", m.ID)
					}
					ids = append(ids, m.ID)
				}
				if len(ids) != test.want {
					w.Errorf("%d accounts, want %d: %v", len(ids), test.want, ids)
				}
				if diff := cmp.Diff(test.ids, strings.Join(ids, " ")); test.ids != "" && diff != "" {
					w.Errorf("accounts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestOrganization_Fails: a list that was not read to its end is no list.
func TestOrganization_Fails(t *testing.T) {
	choices := []awsiam.Choice{{Unit: "ou-prod"}, {Tag: "team", Is: equals("payments")}}
	for op, fault := range map[string]iamsim.Fault{
		"ListAccounts":                     {Code: "AccessDenied", Times: -1},
		"ListAccountsForParent":            {Code: "AccessDenied", Times: -1},
		"ListOrganizationalUnitsForParent": {Drop: true, Times: -1},
		"ListTagsForResource":              {Code: "TooManyRequests", Times: -1},
	} {
		t.Run(op, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				organized(w, iamsim.Organization{})
				w.sim.Fail(op, fault)
				found, err := awsiam.NewOrganization(w.credentials(w.acme.Principal("keyturner")), choices, nil).Members(w.Context())
				if err == nil || found != nil {
					w.Fatalf("%v, %v", found, err)
				}
				if rotation.ClassOf(err) == rotation.ClassDenied && !strings.Contains(err.Error(), "organization-policy.json") {
					w.Errorf("it does not say what to do: %v", err)
				}
			})
		})
	}
	inWorld(t, iamsim.Config{}, func(w world) {
		organized(w, iamsim.Organization{})
		_, err := awsiam.NewOrganization(w.credentials(w.acme.Principal("keyturner")), []awsiam.Choice{{Unit: "ou-gone"}}, nil).Members(w.Context())
		if err == nil || !strings.Contains(err.Error(), "ou-gone") {
			w.Errorf("a unit that is not there: %v", err)
		}
	})
}
