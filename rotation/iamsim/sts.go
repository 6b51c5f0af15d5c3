package iamsim

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// maxSession is how long a role may be assumed for, by its default maximum
// session duration as well as under role chaining.
const maxSession = time.Hour

// Formats of AssumeRole's parameters (STS API Reference).
var (
	roleARNPattern    = regexp.MustCompile(`^arn:aws:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]{1,64})$`)
	sessionPattern    = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalIDPattern = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
)

// role is a role that can be assumed.
type role struct {
	name, id   string
	externalID string
	created    time.Time
}

// trustPolicy is the role's AssumeRolePolicyDocument.
func (r *role) trustPolicy() string {
	condition := ""
	if r.externalID != "" {
		condition = fmt.Sprintf(`,"Condition":{"StringEquals":{"sts:ExternalId":%q}}`, r.externalID)
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"` + condition + `}]}`
}

type getCallerIdentityResult struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

func getCallerIdentity(rq *request) (any, error) {
	return getCallerIdentityResult{Arn: rq.caller.arn, UserID: rq.caller.id, Account: rq.account.id}, nil
}

type getAccessKeyInfoResult struct {
	Account string
}

func getAccessKeyInfo(rq *request) (any, error) {
	id, err := rq.keyID()
	if err != nil {
		return nil, err
	}
	if k := rq.sim.keys[id]; k != nil {
		return getAccessKeyInfoResult{k.user.account.id}, nil
	}
	account, ok := AccountOf(id)
	if !ok {
		return nil, errValidation("The access key id %s does not tell its account", id)
	}
	return getAccessKeyInfoResult{account}, nil
}

type assumeRoleResult struct {
	Credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	}
	AssumedRoleUser struct {
		AssumedRoleID string `xml:"AssumedRoleId"`
		Arn           string
	}
	SourceIdentity string `xml:",omitempty"`
}

func assumeRole(rq *request) (any, error) {
	session, err := rq.required("RoleSessionName")
	if err != nil {
		return nil, err
	}
	if !sessionPattern.MatchString(session) {
		return nil, errConstraint("roleSessionName", session, `Member must satisfy regular expression pattern: [\w+=,.@-]{2,64}`)
	}
	lifetime, err := rq.sessionLifetime()
	if err != nil {
		return nil, err
	}
	account, r, err := rq.trustingRole()
	if err != nil {
		return nil, err
	}
	g := rq.sim.openSession(account, r, session, lifetime)
	var result assumeRoleResult
	result.Credentials.AccessKeyID = g.keyID
	result.Credentials.SecretAccessKey = g.secret
	result.Credentials.SessionToken = g.token
	result.Credentials.Expiration = stamp(g.expires)
	result.AssumedRoleUser.AssumedRoleID = r.id + ":" + session
	result.AssumedRoleUser.Arn = g.arn()
	result.SourceIdentity = rq.params.Get("SourceIdentity")
	rq.elements = map[string]any{
		"credentials":     map[string]any{"accessKeyId": g.keyID, "expiration": trailTime(g.expires)},
		"assumedRoleUser": map[string]any{"assumedRoleId": r.id + ":" + session, "arn": g.arn()},
	}
	return result, nil
}

// trustingRole finds the role asked for and checks that it trusts the caller.
// AWS tells nobody which of the two was missing.
func (rq *request) trustingRole() (*Account, *role, error) {
	arn, err := rq.required("RoleArn")
	if err != nil {
		return nil, nil, err
	}
	parts := roleARNPattern.FindStringSubmatch(arn)
	if parts == nil {
		return nil, nil, errValidation("%s is invalid", arn)
	}
	externalID := rq.params.Get("ExternalId")
	if rq.params.Has("ExternalId") && (len(externalID) < 2 || len(externalID) > 1224 || !externalIDPattern.MatchString(externalID)) {
		return nil, nil, errConstraint("externalId", externalID, `Member must satisfy regular expression pattern: [\w+=,.@:\/-]{2,1224}`)
	}
	account := rq.sim.account(parts[1])
	if account != nil && !account.shut() {
		if r := account.roles[fold(parts[2])]; r != nil && (r.externalID == "" || r.externalID == externalID) {
			return account, r, nil
		}
	}
	e := namedError("AccessDenied")
	e.Message = fmt.Sprintf("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", rq.caller.arn, arn)
	return nil, nil, e
}

// sessionLifetime is DurationSeconds, an hour if absent.
func (rq *request) sessionLifetime() (time.Duration, error) {
	seconds, err := rq.integer("DurationSeconds", int(maxSession/time.Second), 900, 43200)
	if err != nil {
		return 0, err
	}
	lifetime := time.Duration(seconds) * time.Second
	switch {
	case lifetime <= maxSession:
		return lifetime, nil
	case strings.Contains(rq.caller.arn, ":assumed-role/"):
		return 0, errValidation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	default:
		return 0, errValidation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
}

// openSession makes temporary credentials for a role and forgets those that
// expired more than a day ago. The lock is held.
func (s *Sim) openSession(account *Account, r *role, session string, lifetime time.Duration) *grant {
	now := seconds(s.cfg.SignNow())
	for id, old := range s.grants {
		if !old.expires.IsZero() && now.Sub(old.expires) > 24*time.Hour {
			delete(s.grants, id)
		}
	}
	g := &grant{
		keyID: newKeyID(prefixTemporary, account.id), secret: newSecret(), token: newSessionToken(),
		account: account, roleName: r.name, roleID: r.id,
		session: session, opened: seconds(s.now()), expires: now.Add(lifetime),
	}
	s.grants[g.keyID] = g
	return g
}
