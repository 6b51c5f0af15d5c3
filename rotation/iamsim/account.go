package iamsim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// accountAge is how many years before AddAccount an account is said to have
	// been made, so that its root row is older than its users.
	accountAge = 10

	userQuota = 5000
	keyQuota  = 2
	tagQuota  = 50
)

// An Account is one simulated AWS account. Its methods arrange its content
// directly, as someone other than the caller under test would.
type Account struct {
	sim     *Sim
	id      string
	alias   string
	created time.Time
	users   []*user // sorted by folded name
	roles   map[string]*role
	root    *Key
	report  *report

	organization *Organization // nil: in none
	standing     string        // state in the organization; empty: active
	unit         string        // of the organization; empty: the root
	unitTags     map[string]string
	events       []*event               // oldest first
	paced        map[string][]time.Time // latest calls, by what has a limit of its own
	secrets      map[string]*secret
	parameters   map[string]*parameter
}

// User describes an IAM user to [Account.AddUser].
type User struct {
	Name string
	// Path begins and ends with a slash; empty means "/".
	Path string
	// ID is the unique id ("AIDA…"); made if empty.
	ID string
	// Created is the creation time; zero means now.
	Created time.Time
	Tags    map[string]string
	// PasswordEnabled says that the user can log in to the console.
	PasswordEnabled bool
	// PasswordLastUsed is the last console login; zero means none known.
	PasswordLastUsed time.Time
	// MFA says that the user has an MFA device.
	MFA bool
	// Groups are the names of the groups the user is in.
	Groups []string
	// Policies are the ARNs of managed policies attached to the user.
	Policies []string
}

// user is a User as held; fold is its name without case, by which it is found.
type user struct {
	User
	fold    string
	account *Account
	tags    []tag // sorted by folded key
	keys    []*accessKey
}

func fold(name string) string { return strings.ToLower(name) }

// ID returns the twelve-digit account id.
func (a *Account) ID() string { return a.id }

// arn names a resource of the account, in no region.
func (a *Account) arn(service, resource string) string {
	return "arn:aws:" + service + "::" + a.id + ":" + resource
}

func (u *user) arn() string { return u.account.arn("iam", "user"+u.Path+u.Name) }

// search finds where a name is or would be among the users. The lock is held.
func (a *Account) search(name string) (int, bool) {
	return slices.BinarySearchFunc(a.users, fold(name), func(u *user, want string) int {
		return cmp.Compare(u.fold, want)
	})
}

// user finds a user by name without regard to case, or nil. The lock is held.
func (a *Account) user(name string) *user {
	if i, ok := a.search(name); ok {
		return a.users[i]
	}
	return nil
}

// insert adds a user whose name is free. The lock is held.
func (a *Account) insert(spec User) *user {
	if spec.Path == "" {
		spec.Path = "/"
	}
	if spec.ID == "" {
		spec.ID = newUniqueID(prefixUser)
	}
	if spec.Created.IsZero() {
		spec.Created = seconds(a.sim.now())
	}
	spec.Groups = slices.Sorted(slices.Values(spec.Groups))
	spec.Policies = slices.Sorted(slices.Values(spec.Policies))
	u := &user{User: spec, fold: fold(spec.Name), account: a}
	for _, key := range slices.Sorted(maps.Keys(spec.Tags)) {
		u.setTag(tag{Key: key, Value: spec.Tags[key]})
	}
	u.Tags = nil
	i, _ := a.search(spec.Name)
	a.users = slices.Insert(a.users, i, u)
	return u
}

// drop removes a user with all its keys. The lock is held.
func (a *Account) drop(u *user) {
	for _, k := range slices.Clone(u.keys) {
		a.sim.dropKey(k)
	}
	i, _ := a.search(u.Name)
	a.users = slices.Delete(a.users, i, i+1)
}

// AddUser adds a user. A user of the same name, whatever its case, is kept as it
// is and the new one ignored.
func (a *Account) AddUser(spec User) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	if a.user(spec.Name) != nil {
		a.sim.log.Warn("user exists, not added", "account", a.id, "user", spec.Name)
		return
	}
	a.insert(spec)
	a.sim.touch()
}

// RemoveUser deletes a user together with its keys and whatever else would make
// DeleteUser answer DeleteConflict. It does nothing if there is no such user.
func (a *Account) RemoveUser(name string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	if u := a.user(name); u != nil {
		a.drop(u)
		a.sim.touch()
	}
}

// RecreateUser deletes a user and makes another of the same name, path, tags and
// groups, as infrastructure code does: a new unique id, no keys, no password. It
// returns the new unique id, or "" if there is no such user.
func (a *Account) RecreateUser(name string) (userID string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	old := a.user(name)
	if old == nil {
		return ""
	}
	a.drop(old)
	u := a.insert(User{Name: old.Name, Path: old.Path, Groups: old.Groups, Policies: old.Policies})
	u.tags = old.tags
	a.sim.touch()
	return u.ID
}

// SetRootKey gives the root user an access key, which the credential report and
// the account summary show. It cannot sign. A zero lastUsed means never; a zero
// created removes the key.
func (a *Account) SetRootKey(created, lastUsed time.Time) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	a.root = nil
	if !created.IsZero() {
		a.root = &Key{Created: created, LastUsed: lastUsed, Service: "s3", Region: "us-east-1"}
	}
	a.sim.touch()
}

// AddRole adds a role that any caller of the simulator may assume who sends that
// external id; an empty one means that none is asked for. It returns the ARN.
func (a *Account) AddRole(name, externalID string) (arn string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	r := &role{name: name, id: newUniqueID(prefixRole), externalID: externalID, created: seconds(a.sim.now())}
	a.roles[fold(name)] = r
	a.sim.touch()
	return a.arn("iam", "role/"+name)
}

// groups returns the names of the groups that users of the account are in,
// sorted. The lock is held.
func (a *Account) groups() []string {
	seen := map[string]bool{}
	for _, u := range a.users {
		for _, g := range u.Groups {
			seen[g] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
