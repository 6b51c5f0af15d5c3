package iamsim

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
)

// authorizationDetailsResult is what GetAccountAuthorizationDetails answers. The
// four kinds share one sequence of pages.
type authorizationDetailsResult struct {
	UserDetailList  list[userDetail]
	GroupDetailList list[groupDetail]
	RoleDetailList  list[roleDetail]
	Policies        list[policyXML]
	page
}

type userDetail struct {
	Path                    string
	UserName                string
	UserID                  string `xml:"UserId"`
	Arn                     string
	CreateDate              string
	GroupList               list[string]
	AttachedManagedPolicies list[policyXML]
	Tags                    list[tag]
}

type groupDetail struct {
	Path       string
	GroupName  string
	GroupID    string `xml:"GroupId"`
	Arn        string
	CreateDate string
}

type roleDetail struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
}

// detail is one entity in the sequence of pages: position orders users before
// groups before roles.
type detail struct {
	position string
	add      func(*authorizationDetailsResult)
}

func getAccountAuthorizationDetails(rq *request) (any, error) {
	wanted, err := rq.detailKinds()
	if err != nil {
		return nil, err
	}
	var details []detail
	for _, kind := range []string{"User", "Group", "Role"} {
		if len(wanted) == 0 || slices.Contains(wanted, kind) {
			details = append(details, rq.account.details(kind)...)
		}
	}
	details, tail, err := paginate(rq, details, func(d detail) string { return d.position })
	if err != nil {
		return nil, err
	}
	result := &authorizationDetailsResult{page: tail}
	for _, d := range details {
		d.add(result)
	}
	return result, nil
}

// detailKinds returns the Filter parameter, checked.
func (rq *request) detailKinds() ([]string, error) {
	known := []string{"User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"}
	wanted := rq.members("Filter")
	for _, kind := range wanted {
		if !slices.Contains(known, kind) {
			return nil, errConstraint("filter", kind, "Member must satisfy enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]")
		}
	}
	return wanted, nil
}

// details returns the entities of one kind in page order. The lock is held.
func (a *Account) details(kind string) []detail {
	var details []detail
	switch kind {
	case "User":
		for _, u := range a.users {
			details = append(details, detail{"1" + u.fold, func(r *authorizationDetailsResult) {
				r.UserDetailList.Member = append(r.UserDetailList.Member, u.detail())
			}})
		}
	case "Group":
		for _, name := range a.groups() {
			details = append(details, detail{"2" + name, func(r *authorizationDetailsResult) {
				r.GroupDetailList.Member = append(r.GroupDetailList.Member, a.groupDetail(name))
			}})
		}
	case "Role":
		for _, r := range slices.SortedFunc(maps.Values(a.roles), func(x, y *role) int { return cmp.Compare(fold(x.name), fold(y.name)) }) {
			details = append(details, detail{"3" + fold(r.name), func(result *authorizationDetailsResult) {
				result.RoleDetailList.Member = append(result.RoleDetailList.Member, a.roleDetail(r))
			}})
		}
	}
	return details
}

func (u *user) detail() userDetail {
	return userDetail{
		Path: u.Path, UserName: u.Name, UserID: u.ID, Arn: u.arn(), CreateDate: stamp(u.Created),
		GroupList:               list[string]{u.Groups},
		AttachedManagedPolicies: list[policyXML]{u.attached()},
		Tags:                    list[tag]{u.tags},
	}
}

func (a *Account) groupDetail(name string) groupDetail {
	return groupDetail{
		Path: "/", GroupName: name, GroupID: stableID(prefixGroup, a.id+"/"+name),
		Arn: a.arn("iam", "group/"+name), CreateDate: stamp(a.created),
	}
}

func (a *Account) roleDetail(r *role) roleDetail {
	return roleDetail{
		Path: "/", RoleName: r.name, RoleID: r.id, Arn: a.arn("iam", "role/"+r.name),
		CreateDate: stamp(r.created), AssumeRolePolicyDocument: url.QueryEscape(r.trustPolicy()),
	}
}
