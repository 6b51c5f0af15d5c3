package iamsim

import (
	"cmp"
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of the Parameter Store (Systems Manager API Reference, PutParameter, and
// User Guide, "Managing parameter tiers").
const (
	maxStandardValue = 4096
	maxAdvancedValue = 8192
	maxLevels        = 15
	maxVersions      = 100
)

// Tiers and the type of a parameter whose value is encrypted.
const (
	tierStandard    = "Standard"
	tierAdvanced    = "Advanced"
	tierIntelligent = "Intelligent-Tiering"
	typeSecure      = "SecureString"
)

var (
	parameterPattern  = regexp.MustCompile(`^(/?[\w.-]+|(/[\w.-]+)+)$`)
	reservedParameter = regexp.MustCompile(`(?i)^/?(aws|ssm)`)
)

// parameter is a parameter of one region.
type parameter struct {
	name, arn, kind string
	tier, dataType  string
	tags            []tag
	versions        []parameterVersion // the newest hundred, oldest first
}

type parameterVersion struct {
	number   int
	value    string
	modified time.Time
}

func (p *parameter) latest() parameterVersion { return p.versions[len(p.versions)-1] }

type putParameterInput struct {
	Name, Value, Type string
	Tier, DataType    string
	Overwrite         bool
	Tags              []tag
}

type putParameterOutput struct {
	Version int
	Tier    string
}

func putParameter(rq *request) (any, error) {
	in, err := decode[putParameterInput](rq)
	if err != nil {
		return nil, err
	}
	in.Name = strings.TrimSpace(in.Name)
	p := rq.account.parameters[rq.caller.region+"/"+in.Name]
	if err := in.check(p); err != nil {
		return nil, err
	}
	if p == nil {
		p = rq.addParameter(&in)
	}
	version := parameterVersion{number: 1, value: in.Value, modified: rq.now}
	if len(p.versions) > 0 {
		version.number = p.latest().number + 1
	}
	p.versions = append(p.versions, version)
	p.versions = p.versions[max(0, len(p.versions)-maxVersions):]
	p.tier = cmp.Or(in.settledTier(), p.tier, tierStandard)
	p.dataType = cmp.Or(in.DataType, p.dataType, "text")
	return putParameterOutput{Version: version.number, Tier: p.tier}, nil
}

// addParameter holds a new parameter without a value yet.
func (rq *request) addParameter(in *putParameterInput) *parameter {
	p := &parameter{name: in.Name, arn: rq.parameterARN(in.Name), kind: in.Type, tags: in.Tags}
	if rq.account.parameters == nil {
		rq.account.parameters = map[string]*parameter{}
	}
	rq.account.parameters[rq.caller.region+"/"+in.Name] = p
	return p
}

func (rq *request) parameterARN(name string) string {
	return "arn:aws:ssm:" + rq.caller.region + ":" + rq.account.id + ":parameter/" + strings.TrimPrefix(name, "/")
}

// settledTier is the tier asked for; "" if none was.
func (in *putParameterInput) settledTier() string {
	if in.Tier != tierIntelligent {
		return in.Tier
	}
	if len(in.Value) > maxStandardValue {
		return tierAdvanced
	}
	return tierStandard
}

// check judges a request, given the parameter there is, or nil. No error quotes
// the value.
func (in *putParameterInput) check(p *parameter) error {
	if err := in.checkName(); err != nil {
		return err
	}
	if err := in.checkValue(p); err != nil {
		return err
	}
	switch {
	case in.Overwrite && len(in.Tags) > 0:
		return errValidation("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case p == nil && in.Type == "":
		return errValidation("A parameter type is required when you create a parameter.")
	case in.Type != "" && !slices.Contains([]string{"String", "StringList", typeSecure}, in.Type):
		return refusal("UnsupportedParameterType", "The parameter type isn't supported.")
	case p != nil && !in.Overwrite:
		return refusal("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case p != nil && in.Type != "" && in.Type != p.kind:
		return refusal("HierarchyTypeMismatchException", "The parameter's type cannot be changed from "+p.kind+" to "+in.Type+".")
	}
	return checkTags(in.Tags)
}

func (in *putParameterInput) checkName() error {
	switch {
	case !parameterPattern.MatchString(in.Name) || len(in.Name) > 1011:
		return errValidation("Parameter name: can only include letters, numbers and the symbols _.- and / in front of every level, and must be a fully qualified name.")
	case reservedParameter.MatchString(in.Name):
		return errValidation("Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).")
	case strings.Count(in.Name, "/") > maxLevels:
		return refusal("HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of "+strconv.Itoa(maxLevels)+" levels.")
	}
	return nil
}

func (in *putParameterInput) checkValue(p *parameter) error {
	tier := in.Tier
	if tier == "" && p != nil {
		tier = p.tier
	}
	limit := maxAdvancedValue
	switch tier {
	case "", tierStandard:
		limit = maxStandardValue
	case tierAdvanced, tierIntelligent:
	default:
		return errConstraint("tier", in.Tier, "Member must satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]")
	}
	switch {
	case in.Value == "":
		return errValidation("Parameter value can't be empty.")
	case len(in.Value) > limit:
		return errValidation("The parameter value has more than the %d characters that its tier supports.", limit)
	case p != nil && p.tier == tierAdvanced && in.Tier == tierStandard:
		return errValidation("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier.")
	}
	return nil
}

type getParameterInput struct {
	Name           string
	WithDecryption bool
}

type parameterJSON struct {
	Name             string
	Type             string
	Value            string
	Version          int
	Selector         string `json:",omitempty"`
	LastModifiedDate float64
	ARN              string
	DataType         string
}

type getParameterOutput struct {
	Parameter parameterJSON
}

// getParameter finds a parameter by name or ARN, and an older version by a number
// behind a colon.
func getParameter(rq *request) (any, error) {
	in, err := decode[getParameterInput](rq)
	if err != nil {
		return nil, err
	}
	id, selector := in.Name, ""
	if i := strings.LastIndexByte(id, ':'); i >= 0 && !strings.Contains(id[i:], "/") {
		id, selector = id[:i], id[i:]
	}
	p := rq.parameter(id)
	if p == nil {
		return nil, refusal("ParameterNotFound", "Parameter "+in.Name+" not found.")
	}
	v := p.latest()
	if selector != "" {
		i := slices.IndexFunc(p.versions, func(v parameterVersion) bool { return ":"+strconv.Itoa(v.number) == selector })
		if i < 0 {
			return nil, refusal("ParameterVersionNotFound", "Systems Manager could not find version "+selector[1:]+" of "+id+".")
		}
		v = p.versions[i]
	}
	value := v.value
	if p.kind == typeSecure && !in.WithDecryption {
		value = ciphertext()
	}
	return getParameterOutput{parameterJSON{
		Name: p.name, Type: p.kind, Value: value, Version: v.number, Selector: selector,
		LastModifiedDate: epoch(v.modified), ARN: p.arn, DataType: p.dataType,
	}}, nil
}

// ciphertext is what a SecureString shows of its value: nothing of it.
func ciphertext() string {
	return base64.StdEncoding.EncodeToString([]byte("\x01\x02\x02\x00" + randomText(90)))
}

// parameter finds a parameter by its name or ARN, or nil.
func (rq *request) parameter(id string) *parameter {
	if p := rq.account.parameters[rq.caller.region+"/"+id]; p != nil {
		return p
	}
	for _, p := range rq.account.parameters {
		if p.arn == id {
			return p
		}
	}
	return nil
}

type addTagsInput struct {
	ResourceType string
	ResourceID   string `json:"ResourceId"`
	Tags         []tag
}

// addTagsToResource tags a parameter; keys match with regard to case.
func addTagsToResource(rq *request) (any, error) {
	in, err := decode[addTagsInput](rq)
	if err != nil {
		return nil, err
	}
	if in.ResourceType != "Parameter" {
		return nil, refusal("InvalidResourceType", "The simulator tags resources of the type Parameter only.")
	}
	p := rq.account.parameters[rq.caller.region+"/"+in.ResourceID]
	switch {
	case p == nil:
		return nil, refusal("InvalidResourceId", "The resource ID isn't valid. Verify that you entered the correct ID and try again.")
	case len(in.Tags) == 0:
		return nil, errRequired("tags")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	tags := slices.Clone(p.tags)
	for _, t := range in.Tags {
		tags = slices.DeleteFunc(tags, func(have tag) bool { return have.Key == t.Key })
	}
	if tags = append(tags, in.Tags...); len(tags) > tagQuota {
		return nil, refusal("TooManyTagsError", "The Targets parameter includes too many tags. Remove one or more tags and try the command again.")
	}
	p.tags = tags
	return nil, nil
}

// checkTags judges the tags of a resource that is no user.
func checkTags(tags []tag) error {
	if len(tags) > tagQuota {
		return errValidation("A resource has at most %d tags.", tagQuota)
	}
	for i, t := range tags {
		if err := t.check("tags." + strconv.Itoa(i+1) + ".member"); err != nil {
			return err
		}
	}
	return nil
}

// ParameterValue returns the decrypted value that the Parameter Store holds in a
// region under that name, and its tags. It reports false if there is none.
func (a *Account) ParameterValue(region, name string) (value string, tags map[string]string, ok bool) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	p := a.parameters[region+"/"+name]
	if p == nil {
		return "", nil, false
	}
	tags = map[string]string{}
	for _, t := range p.tags {
		tags[t.Key] = t.Value
	}
	return p.latest().value, tags, true
}
