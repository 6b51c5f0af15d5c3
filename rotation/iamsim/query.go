package iamsim

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// maxBody is the most bytes of a request that are read.
const maxBody = 1 << 20

// api is one service. Those of the Query protocol are told apart by the Version
// parameter and have a namespace; those of the JSON protocol are told apart by
// their operation and have neither.
type api struct {
	service, version, namespace string
	internal                    string // error code of a fault of a JSON service
	global                      bool   // its events are those of eventHome
	operations                  map[string]operation
}

// operation carries out one action with the lock held. A nil result has no
// Result element, or is an empty JSON object.
type operation func(*request) (result any, err error)

var iamAPI = &api{
	service:   "iam",
	version:   "2010-05-08",
	namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
	global:    true,
	operations: map[string]operation{
		"CreateAccessKey":                createAccessKey,
		"CreateUser":                     createUser,
		"DeleteAccessKey":                deleteAccessKey,
		"DeleteUser":                     deleteUser,
		"GenerateCredentialReport":       generateCredentialReport,
		"GetAccessKeyLastUsed":           getAccessKeyLastUsed,
		"GetAccountAuthorizationDetails": getAccountAuthorizationDetails,
		"GetAccountSummary":              getAccountSummary,
		"GetCredentialReport":            getCredentialReport,
		"GetUser":                        getUser,
		"ListAccessKeys":                 listAccessKeys,
		"ListAccountAliases":             listAccountAliases,
		"ListAttachedUserPolicies":       listAttachedUserPolicies,
		"ListUserTags":                   listUserTags,
		"ListUsers":                      listUsers,
		"TagUser":                        tagUser,
		"UntagUser":                      untagUser,
		"UpdateAccessKey":                updateAccessKey,
	},
}

var stsAPI = &api{
	service:   "sts",
	version:   "2011-06-15",
	namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
	operations: map[string]operation{
		"AssumeRole":        assumeRole,
		"GetAccessKeyInfo":  getAccessKeyInfo,
		"GetCallerIdentity": getCallerIdentity,
	},
}

// apiOf picks the service by version, or else by the name in the credential scope.
func apiOf(params url.Values, r *http.Request) *api {
	switch params.Get("Version") {
	case stsAPI.version:
		return stsAPI
	case iamAPI.version:
		return iamAPI
	}
	if sig, err := parseSignature(r); err == nil && sig.service == stsAPI.service {
		return stsAPI
	}
	return iamAPI
}

// ServeHTTP is the protocol face. It refuses any Host that is not a loopback one
// with 403, so that a web page cannot reach it under a name of its own.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isLoopback(r.Host) {
		http.Error(w, "the simulator answers loopback hosts only", http.StatusForbidden)
		return
	}
	s.serve(w, r)
}

// isLoopback reports whether a Host header names this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// serve answers one request and records it before the answer leaves.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{sim: s, request: r, requestID: newRequestID()}
	x.call = Call{At: s.now(), Attempt: attemptOf(r.Header.Get("Amz-Sdk-Request"))}
	reply := x.answer()
	x.call.Cut = reply.drop || reply.truncate
	if !reply.drop {
		x.call.Status = reply.status
	}
	s.record(x.call)
	w.Header().Set("Date", s.cfg.SignNow().UTC().Format(http.TimeFormat))
	w.Header().Set("X-Amzn-RequestId", x.requestID)
	reply.write(w)
}

// attemptOf reads the n of "attempt=n; max=m"; zero if there is none.
func attemptOf(header string) int {
	var n int
	for part := range strings.SplitSeq(header, ";") {
		if _, err := fmt.Sscanf(strings.TrimSpace(part), "attempt=%d", &n); err == nil {
			return n
		}
	}
	return 0
}

// exchange is one request on its way to an answer.
type exchange struct {
	sim       *Sim
	request   *http.Request
	requestID string
	api       *api
	call      Call
}

// answer authenticates the request and runs its operation, under a fault if one
// is armed for it.
func (x *exchange) answer() reply {
	x.api = iamAPI
	rq, err := x.read()
	if err != nil {
		return x.failure(err)
	}
	who, err := x.sim.authenticate(x.request, rq.body, x.api.service)
	if who.account != nil {
		x.call.Account = who.account.id
	}
	if err != nil {
		return x.failure(err)
	}
	x.call.Caller = who.arn
	rq.caller, rq.account = who, who.account
	if f := x.sim.takeFault(rq); f != nil {
		return x.faulty(rq, f)
	}
	return x.run(rq)
}

// read finds out what is asked for, and of which service.
func (x *exchange) read() (*request, error) {
	target := x.request.Header.Get("X-Amz-Target")
	if target != "" {
		x.api, x.call.Op = apiOfTarget(target)
	}
	body, err := readBody(x.request)
	if err != nil {
		return nil, err
	}
	rq := &request{sim: x.sim, body: body, requestID: x.requestID, origin: originOf(x.request)}
	if target == "" {
		if rq.params, err = readParams(x.request, body); err != nil {
			return nil, err
		}
		x.api = apiOf(rq.params, x.request)
		x.call.Op = rq.params.Get("Action")
		x.call.UserName, x.call.AccessKeyId = rq.params.Get("UserName"), rq.params.Get("AccessKeyId")
	} else if x.api == unknownAPI {
		return nil, errUnknownOperation(target)
	}
	rq.api, rq.op = x.api, x.call.Op
	return rq, nil
}

// operation finds the code of what is asked for.
func (rq *request) operation() (operation, error) {
	run := rq.api.operations[rq.op]
	version := rq.params.Get("Version")
	switch {
	case rq.op == "":
		return nil, &apiError{"MissingAction", "The request is missing an action or a required parameter.", http.StatusBadRequest}
	case run == nil || version != rq.api.version:
		return nil, errInvalidAction(rq.op, cmp.Or(version, "NO_VERSION_SPECIFIED"))
	}
	return run, nil
}

// run carries the operation out and words its outcome.
func (x *exchange) run(rq *request) reply {
	operate, err := rq.operation()
	if err != nil {
		return x.failure(err)
	}
	x.sim.mu.Lock()
	rq.now = x.sim.now()
	var result any
	if rq.api == iamAPI && x.sim.hurried(rq.account, "", x.sim.cfg.CallsPerSecond) {
		err = namedError("Throttling") // and not on the trail
	} else {
		result, err = operate(rq)
		rq.trace(err)
	}
	x.sim.mu.Unlock()
	if err != nil {
		return x.failure(err)
	}
	x.call.Applied = true
	x.call.AccessKeyId = cmp.Or(rq.touched, x.call.AccessKeyId)
	return x.success(rq.op, result)
}

// success words the outcome of an operation that went well.
func (x *exchange) success(op string, result any) reply {
	encode := x.api.successXML
	if x.api.speaksJSON() {
		encode = successJSON
	}
	body, err := encode(op, x.requestID, result)
	if err != nil {
		return x.failure(fmt.Errorf("encode the answer to %s: %w", op, err))
	}
	return reply{status: http.StatusOK, contentType: x.api.contentType(), body: body}
}

// failure words an error as AWS does; one that AWS does not know is a
// ServiceFailure.
func (x *exchange) failure(err error) reply {
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		x.sim.log.Error("answer failed", "op", x.call.Op, "err", err)
		e = namedError("ServiceFailure")
	}
	encode := x.api.errorXML
	if x.api.speaksJSON() {
		e, encode = e.forJSON(x.api), errorJSON
	}
	x.call.Code = e.Code
	body, err := encode(x.requestID, e)
	if err != nil {
		x.sim.log.Error("error envelope failed", "op", x.call.Op, "err", err)
	}
	return reply{status: e.Status, contentType: x.api.contentType(), body: body}
}

// readBody reads the body of a request as received.
func readBody(r *http.Request) ([]byte, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return nil, &apiError{"InvalidAction", "The Query protocol takes GET and POST only", http.StatusMethodNotAllowed}
	}
	body, err := io.ReadAll(io.LimitReader(bodyOf(r), maxBody+1))
	switch {
	case err != nil:
		return nil, &apiError{"MalformedInput", "The request body could not be read", http.StatusBadRequest}
	case len(body) > maxBody:
		return nil, &apiError{"MalformedInput", "The request body is too large", http.StatusRequestEntityTooLarge}
	}
	return body, nil
}

// readParams reads the parameters from the query string and, for a POST, from
// the form in the body.
func readParams(r *http.Request, body []byte) (url.Values, error) {
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &apiError{"MalformedQueryString", "The query string contains a syntax error.", http.StatusBadRequest}
	}
	if r.Method == http.MethodGet {
		return params, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &apiError{"MalformedInput", "The form in the request body contains a syntax error.", http.StatusBadRequest}
	}
	for name, values := range form {
		params[name] = append(params[name], values...)
	}
	return params, nil
}

// bodyOf returns the body of a request, which a client request may lack.
func bodyOf(r *http.Request) io.Reader {
	if r.Body == nil {
		return http.NoBody
	}
	return r.Body
}
