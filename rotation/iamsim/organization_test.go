package iamsim_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// members adds that many further accounts.
func (w *world) members(n int) []*iamsim.Account {
	accounts := make([]*iamsim.Account, n)
	for i := range accounts {
		accounts[i] = w.AddAccount(fmt.Sprintf("2222333344%02d", i), fmt.Sprintf("member-%d", i))
	}
	return accounts
}

func TestOrganizations_Paging(t *testing.T) {
	for _, test := range []struct {
		name    string
		empty   bool
		cap     int
		results int32
		pages   []int
	}{
		{name: "default", pages: []int{20, 3}},
		{name: "as asked for", results: 10, pages: []int{10, 10, 3}},
		{name: "less than asked for", cap: 9, pages: []int{9, 9, 5}},
		{name: "empty pages", empty: true, results: 12, pages: []int{0, 12, 0, 11}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, iamsim.Config{PageSize: test.cap})
			w.AddOrganization(iamsim.Organization{Management: w.account, Members: w.members(22), EmptyPages: test.empty})
			w.AddAccount("999999999999", "stranger")
			in := &organizations.ListAccountsInput{}
			if test.results != 0 {
				in.MaxResults = &test.results
			}
			var pages []int
			seen := map[string]bool{}
			pager := organizations.NewListAccountsPaginator(organizations.NewFromConfig(w.homeConfig(w.account)), in)
			for pager.HasMorePages() {
				page := must(pager.NextPage(t.Context()))(t).Accounts
				pages = append(pages, len(page))
				for _, account := range page {
					seen[*account.Id] = true
				}
			}
			diff(t, pages, test.pages)
			if len(seen) != 23 || !seen[accountID] || seen["999999999999"] {
				t.Errorf("listed %v", seen)
			}
		})
	}
}

func TestOrganizations_Accounts(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	members := w.members(4)
	for i, state := range []string{iamsim.StateSuspended, iamsim.StatePendingClosure, iamsim.StateClosed, iamsim.StatePendingActivation} {
		members[i].SetState(state)
		diff(t, members[i].State(), state)
	}
	diff(t, w.account.State(), iamsim.StateActive)
	list := func(o iamsim.Organization) (states, statuses []string) {
		o.ID, o.Management, o.Members = "o-abcdefghij", w.account, members
		w.AddOrganization(o)
		out := must(organizations.NewFromConfig(w.homeConfig(w.account)).ListAccounts(t.Context(), nil))(t)
		first := out.Accounts[0]
		diff(t, []string{*first.Id, *first.Arn, *first.Name, *first.Email}, []string{
			accountID, "arn:aws:organizations::111122223333:account/o-abcdefghij/111122223333", "acme", "aws+111122223333@example.com",
		})
		if first.JoinedMethod != types.AccountJoinedMethodInvited || out.Accounts[1].JoinedMethod != types.AccountJoinedMethodCreated || first.JoinedTimestamp.Year() != 2016 {
			t.Errorf("joined by %s at %s", first.JoinedMethod, first.JoinedTimestamp)
		}
		for _, a := range out.Accounts {
			states, statuses = append(states, string(a.State)), append(statuses, string(a.Status))
		}
		return states, statuses
	}
	none := make([]string, 5)
	allStates := []string{"ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED", "PENDING_ACTIVATION"}
	allStatuses := []string{"ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "SUSPENDED", ""}
	for _, test := range []struct {
		name             string
		o                iamsim.Organization
		states, statuses []string
	}{
		{"both", iamsim.Organization{}, allStates, allStatuses},
		{"Status retired", iamsim.Organization{OmitStatus: true}, allStates, none},
		{"State not there yet", iamsim.Organization{OmitState: true}, none, allStatuses},
	} {
		t.Run(test.name, func(t *testing.T) {
			states, statuses := list(test.o)
			diff(t, states, test.states)
			diff(t, statuses, test.statuses)
		})
	}
}

func TestOrganizations_Refusals(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	member, stranger := w.AddAccount("222233334444", "member"), w.AddAccount("333344445555", "stranger")
	w.AddOrganization(iamsim.Organization{Management: w.account, Members: []*iamsim.Account{member}})
	for _, test := range []struct {
		name    string
		account *iamsim.Account
		in      organizations.ListAccountsInput
		code    string
	}{
		{name: "member", account: member, code: "AccessDeniedException"},
		{name: "in no organization", account: stranger, code: "AWSOrganizationsNotInUseException"},
		{name: "no results", account: w.account, in: organizations.ListAccountsInput{MaxResults: aws.Int32(0)}, code: "InvalidInputException"},
		{name: "too many results", account: w.account, in: organizations.ListAccountsInput{MaxResults: aws.Int32(21)}, code: "InvalidInputException"},
		{name: "foreign token", account: w.account, in: organizations.ListAccountsInput{NextToken: aws.String("eA")}, code: "InvalidInputException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := organizations.NewFromConfig(w.homeConfig(test.account)).ListAccounts(t.Context(), &test.in)
			wantCode(t, err, test.code)
		})
	}
	defer func() {
		if recover() == nil {
			t.Error("an organization without a management account was accepted")
		}
	}()
	w.AddOrganization(iamsim.Organization{})
}

func TestOrganizations_NobodyGetsIntoAClosedAccount(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	member := w.AddAccount("222233334444", "member")
	role := member.AddRole("keybot", "")
	for state, code := range map[string]string{
		iamsim.StateActive: "", iamsim.StatePendingClosure: "", iamsim.StateSuspended: "AccessDenied", iamsim.StateClosed: "AccessDenied",
	} {
		member.SetState(state)
		_, err := w.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("sess")})
		if code != "" {
			wantCode(t, err, code)
		} else if err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
}
