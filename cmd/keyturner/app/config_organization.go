package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
)

// Organization says which accounts of an AWS organization are looked after beside those that are listed.
type Organization struct {
	// RoleName is the name of the role to assume in each account, with its path if it has one.
	RoleName string
	// ExternalID is sent with AssumeRole. Default none.
	ExternalID string
	// Include are the accounts meant: those in a unit, or with a tag. Empty: all that are active.
	Include []Choice
	// Exclude are those of them that are not.
	Exclude []Choice
}

// Choice is a unit of the organization, or a tag of an account.
type Choice struct {
	Unit       string // ou-… or r-…; empty: the tag
	Tag, Value string // Value with * for any characters
}

func (c Choice) String() string {
	if c.Unit != "" {
		return "the unit " + c.Unit
	}
	return "the tag " + c.Tag + "=" + c.Value
}

// The formats of Organizations' ids (https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccountsForParent.html).
var (
	orgUnit  = regexp.MustCompile(`^(?:r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})$`)
	roleName = regexp.MustCompile(`^(?:[\x21-\x7e]{1,510}/)?[\w+=,.@-]{1,64}$`)
)

func (in *reader) organization(root section, cfg *Config) {
	if _, there := root.values["organization"]; !there {
		return
	}
	s, ok := root.child("organization")
	if !ok {
		in.missing(root, "organization", "organization: with role_name")
		return
	}
	cfg.Organization = &Organization{Include: in.choices(s, "include"), Exclude: in.choices(s, "exclude")}
	const example = "the name that the role has in every account, as in keyturner"
	name, at, ok := s.text("role_name", example, true)
	if ok && (!roleName.MatchString(name) || strings.HasPrefix(name, "/")) {
		in.fail(at, "role_name is not the name of an IAM role", example)
	}
	cfg.Organization.RoleName = name
	if _, there := s.values["external_id"]; there {
		cfg.Organization.ExternalID = in.externalID(s)
	}
}

// externalID reads what the trust policy of a role asks for.
func (in *reader) externalID(s section) string {
	const example = "the value the role's trust policy asks for: 2 or more letters, digits or any of +=,.@:/-_"
	text, at, ok := s.text("external_id", example, true)
	if ok && (!externalID.MatchString(text) || len(text) < 2 || len(text) > 1224) {
		in.fail(at, "external_id has characters or a length that AWS does not accept", example)
	}
	return text
}

func (in *reader) choices(s section, name string) []Choice {
	const example = "a unit's id as in ou-ab12-cdef3456, or an account's tag as in env=prod or env=*"
	var all []Choice
	nodes := s.list(name)
	if node, there := s.value(name); there && len(nodes) == 0 {
		in.fail(positionOf(node), name+" is empty", "at least one, or leave it out")
	}
	for _, node := range nodes {
		text, at, ok := in.text(node, "member of "+name, example)
		key, value, tag := strings.Cut(text, "=")
		switch {
		case !ok:
		case orgUnit.MatchString(text):
			all = append(all, Choice{Unit: text})
		case tag && tagKey.MatchString(key) && value != "" && utf8.RuneCountInString(value) <= 256:
			all = append(all, Choice{Tag: key, Value: value})
		default:
			in.fail(at, "member of "+name+" "+shown(text)+" is neither a unit nor a tag", example)
		}
	}
	return all
}

// summary tells which accounts are meant.
func (o Organization) summary() []string {
	lines := []string{"every active account, as role " + o.RoleName}
	if len(o.Include) > 0 {
		lines[0] = "active accounts in or with " + choiceList(o.Include) + ", as role " + o.RoleName
	}
	if len(o.Exclude) > 0 {
		lines = append(lines, "but none in or with "+choiceList(o.Exclude))
	}
	return append(lines, "those listed keep their own settings; the organization is read before each scan")
}

func choiceList(choices []Choice) string {
	var all []string
	for _, c := range choices {
		all = append(all, c.String())
	}
	return strings.Join(all, " or ")
}

// members finds the accounts of the organization; nil: there is none.
func (c Config) members(cfg aws.Config) *awsiam.Organization {
	if c.Organization == nil {
		return nil
	}
	domain := func(choices []Choice) (all []awsiam.Choice) {
		for _, c := range choices {
			all = append(all, awsiam.Choice{Unit: c.Unit, Tag: c.Tag, Is: func(value string) bool { return rotation.Like(c.Value, value) }})
		}
		return all
	}
	return awsiam.NewOrganization(cfg, domain(c.Organization.Include), domain(c.Organization.Exclude))
}

// withMembers adds the accounts of the organization that are not listed.
func (c Config) withMembers(ctx context.Context, org *awsiam.Organization) (Config, error) {
	if org == nil {
		return c, nil
	}
	found, err := org.Members(ctx)
	if err != nil {
		return c, err
	}
	c.Accounts = slices.Clone(c.Accounts)
	for _, m := range found {
		if slices.ContainsFunc(c.Accounts, func(a Account) bool { return a.ID == m.ID }) {
			continue
		}
		if slices.ContainsFunc(c.Accounts, func(a Account) bool { return strings.EqualFold(a.Name, m.Name) }) {
			m.Name = fmt.Sprintf("%s (%s)", m.Name, m.ID)
		}
		c.Accounts = append(c.Accounts, Account{
			ID: m.ID, Name: m.Name, Role: fmt.Sprintf("arn:%s:iam::%s:role/%s", m.Partition, m.ID, c.Organization.RoleName),
			ExternalID: c.Organization.ExternalID, Delivery: rotation.ByDM,
		})
	}
	if len(c.Accounts) == 0 {
		return c, &rotation.CallError{
			Op: "choose accounts of the organization", Class: rotation.ClassInvalid,
			Err: errors.New("none is active and included: change include or exclude under organization"),
		}
	}
	return c, nil
}
