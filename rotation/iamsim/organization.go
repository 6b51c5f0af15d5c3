package iamsim

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// maxAccounts is the most accounts on a page of ListAccounts (Organizations API
// Reference, ListAccounts).
const maxAccounts = 20

// States of an account in its organization (Organizations API Reference, Account).
const (
	StatePendingActivation = "PENDING_ACTIVATION"
	StateActive            = "ACTIVE"
	StateSuspended         = "SUSPENDED"
	StatePendingClosure    = "PENDING_CLOSURE"
	StateClosed            = "CLOSED"
)

// An Organization describes an AWS organization to [Sim.AddOrganization].
type Organization struct {
	// ID is the organization's id ("o-…"); made if empty.
	ID string
	// Management is the account that may list the others, and is listed too.
	Management *Account
	Members    []*Account
	// EmptyPages puts a page without accounts, but with a NextToken, before every
	// page of ListAccounts, which Organizations says can happen.
	EmptyPages bool
	// Units are the organizational units, each with the unit that it is in, or
	// [RootUnit].
	Units map[string]string
	// OmitState and OmitStatus leave that field out of every account. Status is
	// being retired in favour of State, so there are times when only one is sent.
	OmitState, OmitStatus bool
}

// RootUnit is the id of every organization's root, where accounts are until
// [Account.Place] puts them elsewhere.
const RootUnit = "r-sim1"

// Place puts the account into a unit of its organization and gives it tags there.
func (a *Account) Place(unit string, tags map[string]string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	a.unit, a.unitTags = unit, tags
	a.sim.touch()
}

// AddOrganization joins accounts into an organization. An account that was in
// another leaves it. It panics without a management account.
func (s *Sim) AddOrganization(o Organization) {
	if o.Management == nil {
		panic("iamsim: an organization needs a management account")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o.ID = cmp.Or(o.ID, "o-"+strings.ToLower(stableID("", newRequestID())[:10]))
	for _, a := range append([]*Account{o.Management}, o.Members...) {
		a.organization = &o
	}
	s.touch()
}

// SetState says how the account stands in its organization, [StateActive] until
// then. The role of an account that is suspended or closed cannot be assumed.
func (a *Account) SetState(state string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	a.standing = state
	a.sim.touch()
}

// State returns how the account stands in its organization.
func (a *Account) State() string {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	return a.stateNow()
}

// stateNow is State with the lock held.
func (a *Account) stateNow() string { return cmp.Or(a.standing, StateActive) }

// shut reports whether nobody gets in any more. The lock is held.
func (a *Account) shut() bool {
	return a.standing == StateSuspended || a.standing == StateClosed
}

// status is the state in the fewer words of the Status field, which has none for
// an account that is not active yet. The lock is held.
func (a *Account) status() string {
	switch state := a.stateNow(); state {
	case StateClosed:
		return StateSuspended
	case StatePendingActivation:
		return ""
	default:
		return state
	}
}

type accountJSON struct {
	ID              string `json:"Id"`
	Arn             string
	Email           string
	Name            string
	State           string `json:",omitempty"`
	Status          string `json:",omitempty"`
	JoinedMethod    string
	JoinedTimestamp float64
}

// json describes an account that is in an organization. The lock is held.
func (a *Account) json() accountJSON {
	o := a.organization
	described := accountJSON{
		ID: a.id, Arn: o.Management.arn("organizations", "account/"+o.ID+"/"+a.id),
		Email: "aws+" + a.id + "@example.com", Name: cmp.Or(a.alias, a.id),
		State: a.stateNow(), Status: a.status(),
		JoinedMethod: "CREATED", JoinedTimestamp: epoch(a.created.Add(time.Second / 2)), // a fraction, as AWS sends
	}
	if a == o.Management {
		described.JoinedMethod = "INVITED"
	}
	if o.OmitState {
		described.State = ""
	}
	if o.OmitStatus {
		described.Status = ""
	}
	return described
}

type listAccountsInput struct {
	MaxResults *int
	NextToken  string
}

type listAccountsOutput struct {
	Accounts  []accountJSON
	NextToken string `json:",omitempty"`
}

// listAccounts answers the management account alone. Its NextToken holds the id
// after which the page starts, behind a "+" if the empty page before it is still
// to come.
func listAccounts(rq *request) (any, error) {
	in, err := decode[listAccountsInput](rq)
	if err != nil {
		return nil, err
	}
	o, err := rq.managed()
	if err != nil {
		return nil, err
	}
	size := maxAccounts
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	if size < 1 || size > maxAccounts {
		return nil, refusal("InvalidInputException", "You specified an invalid value for MaxResults: it must be 1 to 20.")
	}
	size = rq.sim.capped(size)
	position := "+"
	if in.NextToken != "" {
		known := false
		if position, known = rq.decodeMarker(in.NextToken); !known {
			return nil, refusal("InvalidInputException", "You provided a next token that is not valid.")
		}
	}
	after := position[1:]
	if o.EmptyPages && position[0] == '+' {
		return listAccountsOutput{Accounts: []accountJSON{}, NextToken: rq.encodeMarker("-" + after)}, nil
	}
	return rq.accountsAfter(after, size), nil
}

// managed is the organization that the caller may look at.
func (rq *request) managed() (*Organization, error) {
	o := rq.account.organization
	switch {
	case o == nil:
		return nil, refusal("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
	case o.Management != rq.account:
		return nil, refusal("AccessDeniedException", "You don't have permissions to access this resource.")
	}
	return o, nil
}

// accountsAfter is one page of the caller's organization, by account id.
func (rq *request) accountsAfter(after string, size int) listAccountsOutput {
	out := listAccountsOutput{Accounts: []accountJSON{}}
	for _, a := range rq.sim.joined(rq.account.organization) {
		switch {
		case a.id <= after:
		case len(out.Accounts) == size:
			out.NextToken = rq.encodeMarker("+" + out.Accounts[size-1].ID)
			return out
		default:
			out.Accounts = append(out.Accounts, a.json())
		}
	}
	return out
}

// joined returns the accounts of an organization by id. The lock is held.
func (s *Sim) joined(o *Organization) []*Account {
	var accounts []*Account
	for _, a := range s.accounts {
		if a.organization == o {
			accounts = append(accounts, a)
		}
	}
	slices.SortFunc(accounts, func(x, y *Account) int { return cmp.Compare(x.id, y.id) })
	return accounts
}
