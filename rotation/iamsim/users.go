package iamsim

import (
	"strings"
)

// userXML is the User type of the IAM API. ListUsers leaves Tags out.
type userXML struct {
	Path             string
	UserName         string
	UserID           string `xml:"UserId"`
	Arn              string
	CreateDate       string
	PasswordLastUsed string     `xml:",omitempty"`
	Tags             *list[tag] `xml:",omitempty"`
}

type userResult struct {
	User userXML
}

type listUsersResult struct {
	Users list[userXML]
	page
}

func (u *user) xml() userXML {
	return userXML{
		Path: u.Path, UserName: u.Name, UserID: u.ID, Arn: u.arn(),
		CreateDate: stamp(u.Created), PasswordLastUsed: stamp(u.PasswordLastUsed),
	}
}

// xmlTagged adds the tags, which only GetUser and CreateUser answer.
func (u *user) xmlTagged() userXML {
	x := u.xml()
	if len(u.tags) > 0 {
		x.Tags = &list[tag]{u.tags}
	}
	return x
}

func listUsers(rq *request) (any, error) {
	prefix := rq.params.Get("PathPrefix")
	if rq.params.Has("PathPrefix") && !strings.HasPrefix(prefix, "/") {
		return nil, errValidation("The specified value for pathPrefix is invalid. It must begin with the / character.")
	}
	users := rq.account.users
	if prefix != "" && prefix != "/" {
		users = nil
		for _, u := range rq.account.users {
			if strings.HasPrefix(u.Path, prefix) {
				users = append(users, u)
			}
		}
	}
	users, tail, err := paginate(rq, users, func(u *user) string { return u.fold })
	if err != nil {
		return nil, err
	}
	result := listUsersResult{page: tail}
	for _, u := range users {
		result.Users.Member = append(result.Users.Member, u.xml())
	}
	return result, nil
}

func getUser(rq *request) (any, error) {
	u, err := rq.subject()
	if err != nil {
		return nil, err
	}
	return userResult{u.xmlTagged()}, nil
}

func createUser(rq *request) (any, error) {
	name, err := rq.required("UserName")
	if err != nil {
		return nil, err
	}
	if len(name) > 64 || !namePattern.MatchString(name) {
		return nil, errValidation("The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-")
	}
	path := rq.params.Get("Path")
	if rq.params.Has("Path") && (len(path) > 512 || !pathPattern.MatchString(path)) {
		return nil, errValidation("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	tags, err := rq.tags()
	if err != nil {
		return nil, err
	}
	if rq.account.user(name) != nil {
		e := namedError("EntityAlreadyExists")
		e.Message = "User with name " + name + " already exists."
		return nil, e
	}
	if len(rq.account.users) >= userQuota {
		return nil, errQuota("UsersPerAccount", userQuota)
	}
	u := rq.account.insert(User{Name: name, Path: path})
	for _, t := range tags {
		u.setTag(t)
	}
	rq.elements = map[string]any{"user": map[string]any{
		"path": u.Path, "userName": u.Name, "userId": u.ID, "arn": u.arn(), "createDate": trailTime(u.Created),
	}}
	return userResult{u.xmlTagged()}, nil
}

func deleteUser(rq *request) (any, error) {
	u, err := rq.namedUser()
	if err != nil {
		return nil, err
	}
	switch {
	case len(u.keys) > 0:
		return nil, errConflict("Cannot delete entity, must delete access keys first.")
	case u.PasswordEnabled:
		return nil, errConflict("Cannot delete entity, must delete login profile first.")
	case len(u.Policies) > 0:
		return nil, errConflict("Cannot delete entity, must detach all policies first.")
	case len(u.Groups) > 0:
		return nil, errConflict("Cannot delete entity, must remove users from group first.")
	}
	rq.account.drop(u)
	return nil, nil
}

type policyXML struct {
	PolicyName string
	PolicyArn  string
}

// attached lists the policies of a user by ARN; a policy's name ends its ARN.
func (u *user) attached() []policyXML {
	var policies []policyXML
	for _, arn := range u.Policies {
		policies = append(policies, policyXML{PolicyName: arn[strings.LastIndex(arn, "/")+1:], PolicyArn: arn})
	}
	return policies
}

type listAttachedUserPoliciesResult struct {
	AttachedPolicies list[policyXML]
	page
}

func listAttachedUserPolicies(rq *request) (any, error) {
	u, err := rq.namedUser()
	if err != nil {
		return nil, err
	}
	policies, tail, err := paginate(rq, u.attached(), func(p policyXML) string { return p.PolicyArn })
	if err != nil {
		return nil, err
	}
	return listAttachedUserPoliciesResult{list[policyXML]{policies}, tail}, nil
}

type listAccountAliasesResult struct {
	AccountAliases list[string]
	page
}

func listAccountAliases(rq *request) (any, error) {
	var aliases []string
	if rq.account.alias != "" {
		aliases = append(aliases, rq.account.alias)
	}
	aliases, tail, err := paginate(rq, aliases, func(alias string) string { return alias })
	if err != nil {
		return nil, err
	}
	return listAccountAliasesResult{list[string]{aliases}, tail}, nil
}

type summaryEntry struct {
	Key   string `xml:"key"`
	Value int    `xml:"value"`
}

type accountSummaryResult struct {
	SummaryMap struct {
		Entry []summaryEntry `xml:"entry"`
	}
}

func getAccountSummary(rq *request) (any, error) {
	rootKeys, devices := 0, 0
	if rq.account.root != nil {
		rootKeys = 1
	}
	for _, u := range rq.account.users {
		if u.MFA {
			devices++
		}
	}
	var result accountSummaryResult
	result.SummaryMap.Entry = []summaryEntry{
		{"AccessKeysPerUserQuota", keyQuota},
		{"AccountAccessKeysPresent", rootKeys},
		{"AccountMFAEnabled", 1},
		{"AccountPasswordPresent", 1},
		{"Groups", len(rq.account.groups())},
		{"GroupsQuota", 300},
		{"MFADevices", devices},
		{"MFADevicesInUse", devices},
		{"Roles", len(rq.account.roles)},
		{"RolesQuota", 1000},
		{"Users", len(rq.account.users)},
		{"UsersQuota", userQuota},
	}
	return result, nil
}
