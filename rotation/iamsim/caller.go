package iamsim

import (
	"crypto/subtle"
	"net/http"
	"time"
)

// principalSession is the session name in the ARN of an [Account.Principal].
const principalSession = "sandbox"

// grant is a credential that belongs to no user: a principal's or a session's.
type grant struct {
	keyID, secret string
	token         string // session token; empty for a principal
	account       *Account
	roleName      string
	roleID        string
	session       string
	opened        time.Time
	expires       time.Time // by Config.SignNow; zero: never
}

// caller is who signed a request.
type caller struct {
	account *Account
	user    *user // nil for role credentials
	key     *accessKey
	grant   *grant // nil for a user
	keyID   string
	arn     string
	id      string // UserId of GetCallerIdentity
	region  string // of the signature
}

// Principal returns the credentials of a caller that may do everything in the
// account, made at the first call for that name. It answers GetCallerIdentity as
// a session of a role of that name and is no user, so it must name the user of
// every call. Unlike a real role session it has no session token and no expiry.
func (a *Account) Principal(name string) (accessKeyID, secret string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	for _, g := range a.sim.grants {
		if g.account == a && g.token == "" && g.roleName == name {
			return g.keyID, g.secret
		}
	}
	g := &grant{
		keyID: newKeyID(prefixLongTerm, a.id), secret: newSecret(), account: a,
		roleName: name, roleID: newUniqueID(prefixRole), session: principalSession,
		opened: seconds(a.sim.now()),
	}
	a.sim.grants[g.keyID] = g
	return g.keyID, g.secret
}

func (g *grant) arn() string {
	return g.account.arn("sts", "assumed-role/"+g.roleName+"/"+g.session)
}

// authenticate finds out who signed a request for the named service, or how it
// is refused. Use of a user's key is noted.
func (s *Sim) authenticate(r *http.Request, body []byte, service string) (caller, error) {
	sig, err := parseSignature(r)
	if err != nil {
		return caller{}, err
	}
	who, secret, err := s.holder(sig)
	if err != nil {
		return who, err
	}
	if err := sig.check(r, service, s.cfg.SignNow().UTC()); err != nil {
		return who, err
	}
	if !sig.matches(r, body, secret) {
		return who, namedError("SignatureDoesNotMatch")
	}
	if who.key != nil {
		s.mu.Lock()
		s.noteUse(who.key, sig.service, sig.region)
		s.mu.Unlock()
	}
	return who, nil
}

// holder finds whose the key id of a signature is, and its secret. The caller
// returned with an error names only the account, and that only if it is known.
func (s *Sim) holder(sig signature) (caller, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[sig.keyID]; k != nil {
		account := k.user.account
		if sig.token != "" || !s.signs(k, s.now()) {
			return caller{account: account}, "", errInvalidToken()
		}
		return k.caller(sig.region), k.secret, nil
	}
	g := s.grants[sig.keyID]
	switch {
	case g == nil:
		return caller{}, "", errInvalidToken()
	case subtle.ConstantTimeCompare([]byte(g.token), []byte(sig.token)) != 1:
		return caller{account: g.account}, "", errInvalidToken()
	case !g.expires.IsZero() && !s.cfg.SignNow().Before(g.expires):
		return caller{account: g.account}, "", namedError("ExpiredToken")
	}
	return caller{
		account: g.account, grant: g, keyID: g.keyID,
		arn: g.arn(), id: g.roleID + ":" + g.session, region: sig.region,
	}, g.secret, nil
}
