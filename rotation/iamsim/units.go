package iamsim

import (
	"cmp"
	"maps"
	"slices"
)

type parentInput struct {
	ParentID   string `json:"ParentId"`
	MaxResults *int
	NextToken  string
}

type unitJSON struct {
	ID   string `json:"Id"`
	Arn  string
	Name string
}

// parent finds the unit that a call is about.
func parent(rq *request) (*Organization, parentInput, error) {
	in, err := decode[parentInput](rq)
	if err != nil {
		return nil, in, err
	}
	o, err := rq.managed()
	if err != nil {
		return nil, in, err
	}
	if _, known := o.Units[in.ParentID]; !known && in.ParentID != RootUnit {
		return nil, in, refusal("ParentNotFoundException", "You specified parent that doesn't exist.")
	}
	return o, in, nil
}

// paged is one page of a list and the token of the next one.
func paged[T any](rq *request, all []T, in parentInput) (page []T, next string, err error) {
	size := rq.sim.capped(min(cmp.Or(value(in.MaxResults), maxAccounts), maxAccounts))
	from := 0
	if in.NextToken != "" {
		position, known := rq.decodeMarker(in.NextToken)
		if !known {
			return nil, "", refusal("InvalidInputException", "You provided a next token that is not valid.")
		}
		from = min(len(position), len(all)) // as many marks as were told
	}
	to := min(from+size, len(all))
	if to < len(all) {
		mark := make([]byte, to)
		for i := range mark {
			mark[i] = '.'
		}
		next = rq.encodeMarker(string(mark))
	}
	return all[from:to], next, nil
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// listAccountsForParent lists those right in a unit, and not those in units of it.
func listAccountsForParent(rq *request) (any, error) {
	o, in, err := parent(rq)
	if err != nil {
		return nil, err
	}
	accounts := []accountJSON{}
	for _, a := range rq.sim.joined(o) {
		if cmp.Or(a.unit, RootUnit) == in.ParentID {
			accounts = append(accounts, a.json())
		}
	}
	page, next, err := paged(rq, accounts, in)
	return listAccountsOutput{page, next}, err
}

func listOrganizationalUnitsForParent(rq *request) (any, error) {
	o, in, err := parent(rq)
	if err != nil {
		return nil, err
	}
	units := []unitJSON{}
	for _, id := range slices.Sorted(maps.Keys(o.Units)) {
		if o.Units[id] == in.ParentID {
			units = append(units, unitJSON{id, o.Management.arn("organizations", "ou/"+o.ID+"/"+id), id})
		}
	}
	page, next, err := paged(rq, units, in)
	return struct {
		OrganizationalUnits []unitJSON
		NextToken           string `json:",omitempty"`
	}{page, next}, err
}

func listTagsForResource(rq *request) (any, error) {
	in, err := decode[struct {
		ResourceID string `json:"ResourceId"`
	}](rq)
	if err != nil {
		return nil, err
	}
	o, err := rq.managed()
	if err != nil {
		return nil, err
	}
	a := rq.sim.account(in.ResourceID)
	if a == nil || a.organization != o {
		return nil, refusal("TargetNotFoundException", "You specified a target that doesn't exist.")
	}
	tags := []tag{}
	for _, key := range slices.Sorted(maps.Keys(a.unitTags)) {
		tags = append(tags, tag{Key: key, Value: a.unitTags[key]})
	}
	return struct{ Tags []tag }{tags}, nil
}
