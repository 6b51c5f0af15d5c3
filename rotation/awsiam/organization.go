package awsiam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"github.com/keyturner/keyturner/rotation"
)

// Organization finds the accounts of the organization that the credentials are for. Only its management account and delegated
// administrators may list it.
type Organization struct {
	aws              aws.Config
	reads            pace
	include, exclude []Choice
}

// Choice says which accounts of an organization are meant: those in a unit, at any depth, or those with a tag.
type Choice struct {
	Unit string // the id of a unit or of the root; empty: by the tag
	Tag  string
	Is   func(value string) bool // of the tag
}

// Member is an account of an organization.
type Member struct{ ID, Name, Partition string }

// NewOrganization makes no call. Without choices to include, all accounts are.
func NewOrganization(cfg aws.Config, include, exclude []Choice) *Organization {
	cfg = cfg.Copy()
	cfg.Region = cmp.Or(cfg.Region, defaultRegion)
	cfg.Logger = sdkLogger(slog.New(slog.DiscardHandler))
	if cfg.HTTPClient != nil {
		cfg.HTTPClient = plainBodies{cfg.HTTPClient}
	}
	return &Organization{aws: cfg, reads: newPaces(defaultReads, defaultWrites, nil).reads, include: include, exclude: exclude}
}

// Members lists the chosen accounts that are active, by their ids. An error means that it is not known which there are.
func (o *Organization) Members(ctx context.Context) ([]Member, error) {
	const op = "list the accounts of the organization"
	client := organizations.NewFromConfig(o.aws, func(opts *organizations.Options) { opts.Retryer = o.reads.retryer })
	var active []Member
	err := pages(op, func(token *string) (bool, *string, error) {
		out, err := paced(ctx, o.reads, op, func(ctx context.Context) (*organizations.ListAccountsOutput, error) {
			return client.ListAccounts(ctx, &organizations.ListAccountsInput{NextToken: token})
		})
		if err != nil {
			return false, nil, err
		}
		if out.Accounts == nil {
			return false, nil, lost(op, "the answer has no list of accounts")
		}
		for _, a := range out.Accounts {
			if aws.ToString(a.Id) == "" {
				return false, nil, lost(op, "the answer has an account without an id")
			}
			if isActive(a) {
				where, err := arn.Parse(aws.ToString(a.Arn))
				if err != nil {
					return false, nil, lost(op, "the answer has an account without an ARN")
				}
				active = append(active, Member{aws.ToString(a.Id), aws.ToString(a.Name), where.Partition})
			}
		}
		return out.NextToken != nil, out.NextToken, nil
	})
	if err != nil {
		return nil, adviseOrganization(err)
	}
	look := &orgLook{client: client, reads: o.reads, units: map[string]map[string]bool{}, tags: map[string]map[string]string{}}
	var chosen []Member
	for _, m := range active {
		in, err := look.any(ctx, o.include, m.ID)
		if err != nil {
			return nil, adviseOrganization(err)
		}
		out, err := look.any(ctx, o.exclude, m.ID)
		if err != nil {
			return nil, adviseOrganization(err)
		}
		if (in || len(o.include) == 0) && !out {
			chosen = append(chosen, m)
		}
	}
	slices.SortFunc(chosen, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return chosen, nil
}

// isActive goes by State, and by Status where that is not sent: AWS has been retiring it
// (https://docs.aws.amazon.com/organizations/latest/APIReference/API_Account.html).
func isActive(a types.Account) bool {
	if a.State != "" {
		return a.State == types.AccountStateActive
	}
	return a.Status == types.AccountStatusActive
}

func adviseOrganization(err error) error {
	if call, ok := errors.AsType[*rotation.CallError](err); ok && call.Class == rotation.ClassDenied {
		call.Err = fmt.Errorf("%w; run Keyturner in the management account or a delegated administrator's, with deploy/organization-policy.json", call.Err)
	}
	return err
}

// orgLook remembers what has been read of an organization.
type orgLook struct {
	client *organizations.Client
	reads  pace
	units  map[string]map[string]bool   // the accounts in each unit
	tags   map[string]map[string]string // of each account
}

// any tells whether one of the choices means an account.
func (l *orgLook) any(ctx context.Context, choices []Choice, account string) (bool, error) {
	for _, c := range choices {
		if c.Unit != "" {
			if l.units[c.Unit] == nil {
				inside := map[string]bool{}
				if err := l.descend(ctx, c.Unit, inside); err != nil {
					return false, err
				}
				l.units[c.Unit] = inside
			}
			if l.units[c.Unit][account] {
				return true, nil
			}
			continue
		}
		tags, err := l.tagsOf(ctx, account)
		if err != nil {
			return false, err
		}
		if value, has := tags[c.Tag]; has && c.Is(value) {
			return true, nil
		}
	}
	return false, nil
}

// descend collects the accounts in a unit and in those below it.
func (l *orgLook) descend(ctx context.Context, unit string, inside map[string]bool) error {
	op := "list the accounts of the organizational unit " + unit
	err := pages(op, func(token *string) (bool, *string, error) {
		out, err := paced(ctx, l.reads, op, func(ctx context.Context) (*organizations.ListAccountsForParentOutput, error) {
			return l.client.ListAccountsForParent(ctx, &organizations.ListAccountsForParentInput{ParentId: aws.String(unit), NextToken: token})
		})
		if err != nil {
			return false, nil, err
		}
		for _, a := range out.Accounts {
			inside[aws.ToString(a.Id)] = true
		}
		return out.NextToken != nil, out.NextToken, nil
	})
	if err != nil {
		return err
	}
	var below []string
	err = pages(op, func(token *string) (bool, *string, error) {
		out, err := paced(ctx, l.reads, op, func(ctx context.Context) (*organizations.ListOrganizationalUnitsForParentOutput, error) {
			return l.client.ListOrganizationalUnitsForParent(ctx, &organizations.ListOrganizationalUnitsForParentInput{ParentId: aws.String(unit), NextToken: token})
		})
		if err != nil {
			return false, nil, err
		}
		for _, u := range out.OrganizationalUnits {
			below = append(below, aws.ToString(u.Id))
		}
		return out.NextToken != nil, out.NextToken, nil
	})
	if err != nil {
		return err
	}
	for _, u := range below { // at most five levels deep, says AWS
		if err := l.descend(ctx, u, inside); err != nil {
			return err
		}
	}
	return nil
}

func (l *orgLook) tagsOf(ctx context.Context, account string) (map[string]string, error) {
	if l.tags[account] != nil {
		return l.tags[account], nil
	}
	op := "read the tags of account " + account
	tags := map[string]string{}
	err := pages(op, func(token *string) (bool, *string, error) {
		out, err := paced(ctx, l.reads, op, func(ctx context.Context) (*organizations.ListTagsForResourceOutput, error) {
			return l.client.ListTagsForResource(ctx, &organizations.ListTagsForResourceInput{ResourceId: aws.String(account), NextToken: token})
		})
		if err != nil {
			return false, nil, err
		}
		for _, t := range out.Tags {
			tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
		return out.NextToken != nil, out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	l.tags[account] = tags
	return tags, nil
}
