package app

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// The formats of ids. Slack calls its ids opaque but for the first letter; all seen have 9 to 11 characters. The sets of IAM are
// those of its API reference for RoleArn, ExternalId, UserName and tag keys.
var (
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	channelID  = regexp.MustCompile(`^[CG][A-Z0-9]{8,20}$`)
	memberID   = regexp.MustCompile(`^[UW][A-Z0-9]{8,20}$`)
	groupID    = regexp.MustCompile(`^S[A-Z0-9]{8,20}$`)
	userName   = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	roleARN    = regexp.MustCompile(`^arn:aws(?:-[a-z]+)*:iam::([0-9]{12}):role/(?:[\x21-\x7e]{1,510}/)?[\w+=,.@-]{1,64}$`)
	externalID = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
	tagKey     = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$`)
)

const (
	channelExample = "the channel's id as in C0123456789, found at the end of the channel's details"
	memberExample  = "a member's id as in U0123456789, found in the member's profile under Copy member ID"
)

// dynamoPattern is a region and a table's name
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html).
var dynamoPattern = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+/[A-Za-z0-9_.-]{3,255}$`)

func (in *reader) store(root section, cfg *Config) {
	if _, ok := root.values["store"]; !ok {
		return
	}
	text, at, ok := root.text("store", cfg.Store, true)
	if !ok {
		return
	}
	kind, path, _ := strings.Cut(text, ":")
	switch {
	case text == "mem", kind == "bolt" && path != "", kind == "dynamodb" && dynamoPattern.MatchString(path):
		cfg.Store = text
	case kind == "dynamodb":
		in.fail(at, "store names no DynamoDB table", "dynamodb:REGION/TABLE, as in dynamodb:eu-central-1/keyturner")
	case kind == "bolt":
		in.fail(at, "store names no file", "bolt: and the path, as in "+cfg.Store)
	case strings.HasPrefix(text, "/"), strings.HasSuffix(text, ".db"):
		in.fail(at, "store does not say what kind it is", "bolt: before the path, as in "+cfg.Store)
	default:
		in.fail(at, "store "+shown(text)+" is of a kind that is not built in", "bolt:PATH, dynamodb:REGION/TABLE, or mem to try things out")
	}
}

func (in *reader) timezone(root section, cfg *Config) {
	if _, ok := root.values["timezone"]; !ok {
		return
	}
	const example = "an IANA zone such as Europe/Berlin or UTC"
	text, at, ok := root.text("timezone", example, true)
	if !ok {
		return
	}
	// "Local" loads everywhere, and means something else on every machine.
	zone, err := time.LoadLocation(text)
	if err != nil || text == "Local" {
		in.fail(at, "timezone "+shown(text)+" is not known", example)
		return
	}
	cfg.Timezone = zone
}

func (in *reader) slack(root section, cfg *Config) {
	s, ok := root.child("slack")
	if _, there := root.values["slack"]; in.noSlack && !there {
		return
	}
	if !ok {
		in.missing(root, "slack", "slack: with approvals_channel, oncall_channel and approvers")
		return
	}
	cfg.Slack = Slack{
		ApprovalsChannel: in.id(s, "approvals_channel", channelID, channelExample),
		OncallChannel:    in.id(s, "oncall_channel", channelID, channelExample),
		Approvers:        in.members(s, "approvers"),
		Oncall:           in.members(s, "oncall"),
	}
	if node, there := s.value("approvers"); there && len(cfg.Slack.Approvers) == 0 {
		in.fail(positionOf(node), "approvers is empty", "at least one, better two: nobody can approve for their own keys")
	} else if !there {
		in.missing(s, "approvers", "approvers: [U0123456789] with the ids of those who may approve")
	}
}

// missing reports that a part is absent, or there with nothing in it. A part that is there and of the wrong form was reported by
// whoever tried to read it.
func (in *reader) missing(s section, name, write string) {
	if _, ok := s.value(name); ok {
		return
	}
	if entry, ok := s.values[name]; ok {
		in.fail(positionOf(entry.Key), name+" has no value", write)
		return
	}
	in.lacks.note(s.at, name+" is missing", write)
}

// id reads a required field in the given format.
func (in *reader) id(s section, name string, format *regexp.Regexp, example string) string {
	text, at, ok := s.text(name, example, true)
	if ok && !format.MatchString(text) {
		in.fail(at, name+" "+shown(text)+" is not an id", example)
	}
	return text
}

func (in *reader) members(s section, name string) []string {
	var ids []string
	seen := map[string]position{}
	for _, node := range s.list(name) {
		text, at, ok := in.text(node, "member of "+name, memberExample)
		switch before, again := seen[text]; {
		case !ok:
			continue
		case !memberID.MatchString(text):
			in.fail(at, "member "+shown(text)+" in "+name+" is not an id", memberExample)
		case again:
			in.fail(at, fmt.Sprintf("member %s is in %s already, on line %d", text, name, before.line), "each member once")
		}
		seen[text] = at
		ids = append(ids, text)
	}
	return ids
}

func (in *reader) accounts(root section, cfg *Config) {
	const example = "- id: \"111122223333\" and, below it, name: production"
	nodes := root.list("accounts")
	if node, ok := root.value("accounts"); ok && len(nodes) == 0 {
		in.fail(positionOf(node), "accounts is empty", example)
	} else if _, there := root.values["accounts"]; !ok && (there || cfg.Organization == nil) {
		in.missing(root, "accounts", "accounts: with "+example)
	}
	seen := map[string]position{}
	once := func(kind, value, called, write string, at position) {
		if value == "" {
			return
		}
		if before, ok := seen[kind+value]; ok {
			in.fail(at, fmt.Sprintf("%s, on line %d", called, before.line), write)
		}
		seen[kind+value] = at
	}
	for _, node := range nodes {
		s, ok := in.section("accounts", node)
		if !ok {
			continue
		}
		account := in.account(s)
		once("id ", account.ID, "account "+shown(account.ID)+" is listed already", "each account once", s.position("id"))
		once("name ", strings.ToLower(account.Name), "account name "+shown(account.Name)+" is taken already", "a name of its own", s.position("name"))
		if _, ok := s.values["role"]; !ok {
			once("own", "credentials", "account "+shown(account.ID)+" has no role, and keyturner's own credentials belong to one account only: another has none", "role: and the ARN of the role to assume", s.at)
		}
		cfg.Accounts = append(cfg.Accounts, account)
	}
}

// position is where the value of a field stands, or where it would be reported missing.
func (s section) position(name string) position {
	if node, ok := s.value(name); ok {
		return positionOf(node)
	}
	return s.at
}

func (in *reader) account(s section) Account {
	id, at, ok := s.text("id", `the 12 digits in quotes, as in id: "111122223333"`, true)
	if ok && !accountID.MatchString(id) {
		what := "id " + shown(id) + " is not an account number"
		if node, _ := s.value("id"); isNumber(node) {
			what += ", and without quotes other programs read it as a quantity"
		}
		in.fail(at, what, `its 12 digits in quotes, as in "111122223333"`)
	}
	account := Account{ID: id, Name: in.accountName(s)}
	if _, ok := s.values["role"]; ok {
		const example = "the role's ARN, as in arn:aws:iam::111122223333:role/keyturner"
		role, at, ok := s.text("role", example, true)
		match := roleARN.FindStringSubmatch(role)
		switch {
		case !ok:
		case match == nil:
			in.fail(at, "role is not the ARN of an IAM role", example)
		case match[1] != id && accountID.MatchString(id):
			in.fail(at, "role is in account "+match[1]+" and not in "+id, "the ARN of a role in account "+id)
		}
		account.Role = role
	}
	if _, ok := s.values["external_id"]; ok {
		if account.ExternalID = in.externalID(s); account.Role == "" {
			in.fail(s.position("external_id"), "external_id is without a role to send it to", "role: beside it, or leave it out")
		}
	}
	in.delivery(s, &account)
	account.TrailRegions = in.trail(s)
	return account
}

func (in *reader) accountName(s section) string {
	const example = "what people call the account, in at most 64 characters"
	name, at, ok := s.text("name", example, true)
	if ok && utf8.RuneCountInString(name) > 64 {
		in.fail(at, "name has more than 64 characters", example)
	}
	return name
}

func (in *reader) owners(root section, cfg *Config) {
	s, ok := root.child("owners")
	if !ok {
		return
	}
	if _, ok := s.values["tag"]; ok {
		cfg.Owners.Tag = in.tag(s, "tag", "slack-user-id")
	}
	if _, ok := s.values["email_tag"]; ok {
		cfg.Owners.EmailTag = in.tag(s, "email_tag", "owner-email")
		if strings.EqualFold(cfg.Owners.EmailTag, cfg.Owners.Tag) {
			in.fail(s.position("email_tag"), "email_tag is the tag that holds a member's id", "the name of another one")
		}
	}
	if _, ok := s.values["email_names"]; ok {
		names, at, ok := s.text("email_names", "true or false", true)
		if ok && names != "true" && names != "false" {
			in.fail(at, "email_names is neither true nor false", "true or false")
		}
		cfg.Owners.EmailNames = names == "true"
	}
	if groups, ok := s.value("groups"); ok {
		in.ownerGroups(groups, cfg)
	}
	links, ok := s.value("links")
	if !ok {
		return
	}
	seen := map[string]position{}
	in.mapping(links, "links", func(name string, entry *ast.MappingValueNode) {
		in.user(name, positionOf(entry.Key), cfg, seen)
		member, at, ok := in.text(entry.Value, "owner", memberExample)
		if ok && !memberID.MatchString(member) {
			in.fail(at, "owner "+shown(member)+" is not an id", memberExample)
		}
		cfg.Owners.Links[name] = member
	})
}

// ownerGroups reads which user groups may own users, and where they are written to.
func (in *reader) ownerGroups(node ast.Node, cfg *Config) {
	const example = "a user group's id as in S0123456789, and the id of its channel"
	in.mapping(node, "groups", func(name string, entry *ast.MappingValueNode) {
		at := positionOf(entry.Key)
		if !groupID.MatchString(name) {
			in.fail(at, "group "+shown(name)+" is not an id", example)
		}
		if _, again := cfg.Owners.Groups[name]; again {
			in.fail(at, "group "+shown(name)+" stands here twice", "each group once")
		}
		channel, at, ok := in.text(entry.Value, "channel of a group", channelExample)
		if ok && !channelID.MatchString(channel) {
			in.fail(at, "channel "+shown(channel)+" of a group is not an id", channelExample)
		}
		if cfg.Owners.Groups == nil {
			cfg.Owners.Groups = map[string]string{}
		}
		cfg.Owners.Groups[name] = channel
	})
}

// tag reads the name of an IAM user tag.
func (in *reader) tag(s section, field, as string) string {
	example := "the name of an IAM user tag, as in " + as
	tag, at, ok := s.text(field, example, true)
	if ok && (!tagKey.MatchString(tag) || strings.HasPrefix(strings.ToLower(tag), "aws:")) {
		in.fail(at, field+" is not a name that IAM allows", example)
	}
	return tag
}

// user checks "account/user": that it has this form, names a listed account, and is not in seen. IAM does not tell names apart
// by case.
func (in *reader) user(text string, at position, cfg *Config, seen map[string]position) {
	const example = "account/user, as in 111122223333/ci-deploy"
	account, user, _ := strings.Cut(text, "/")
	listed := cfg.Organization != nil // whose accounts are not known yet
	for _, a := range cfg.Accounts {
		listed = listed || a.ID == account
	}
	switch {
	case !accountID.MatchString(account):
		in.fail(at, "this does not begin with an account number", example)
	case strings.Contains(user, "/"):
		in.fail(at, "the user's path does not belong here", account+"/ and the user's name alone")
	case !userName.MatchString(user):
		in.fail(at, "no name of an IAM user follows the account number", example)
	case !listed && in.sound(): // an account with a problem of its own is not listed either
		in.fail(at, "account "+account+" is not listed under accounts", "it there first, or leave this out")
	}
	key := strings.ToLower(text)
	if before, ok := seen[key]; ok {
		in.fail(at, fmt.Sprintf("this user stands on line %d already", before.line), "each user once")
	}
	seen[key] = at
}

func (in *reader) exemptions(root section, cfg *Config) {
	const (
		userExample   = "account/user, as in 111122223333/ci-deploy"
		reasonExample = "why this is accepted, in at most 500 characters"
		untilExample  = "the last day on which it holds, as in 2027-01-31"
	)
	seen := map[string]position{}
	for _, node := range root.list("exemptions") {
		s, ok := in.section("exemptions", node)
		if !ok {
			continue
		}
		user, at, ok := s.text("user", userExample, true)
		if ok {
			in.user(user, at, cfg, seen)
		}
		reason, at, ok := s.text("reason", reasonExample, true)
		if ok && utf8.RuneCountInString(reason) > 500 {
			in.fail(at, "reason has more than 500 characters", reasonExample)
		}
		until, at, ok := s.text("until", untilExample, true)
		date, err := time.Parse(time.DateOnly, until)
		if ok && err != nil {
			in.fail(at, "until "+shown(until)+" is not a date", untilExample)
		}
		cfg.Exemptions[user] = Exemption{Reason: reason, Until: dayAfter(date, cfg.Timezone)}
	}
}
