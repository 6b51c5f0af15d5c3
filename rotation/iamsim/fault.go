package iamsim

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Fault is something that goes wrong with an operation. A failure is one of
// Code, Status, Drop and Truncate; each comes as a pair by Apply, since a caller
// has to cope with both. A fault with none of the four only delays, or only runs
// its hooks, and the operation answers as usual.
//
// Faults strike requests whose signature is good; they do not stack: of several
// armed for a request the oldest strikes.
type Fault struct {
	// Times is how many requests it strikes. Zero means one, below zero every one.
	Times int
	// Apply carries the operation out all the same, and only its answer fails.
	Apply bool
	// Code is the error code to answer, such as "Throttling", "AccessDenied",
	// "ServiceFailure", "LimitExceeded" or "ReportInProgress", with the HTTP
	// status and message that AWS has for it. A JSON service answers its own name
	// of a common one, for instance "ThrottlingException".
	Code string
	// Message replaces the usual message of Code.
	Message string
	// Status replaces the usual HTTP status of Code. Without a Code, 500 answers
	// ServiceFailure, 503 ServiceUnavailable, and any other status a gateway's
	// HTML page, which is no AWS error at all.
	Status int
	// Drop cuts the connection without an answer.
	Drop bool
	// Truncate cuts the connection in the middle of a successful answer.
	Truncate bool
	// Delay is waited before the operation or, with Apply, between the operation
	// and its answer. A request whose client has gone by then is not carried out.
	Delay time.Duration
	// Account and User restrict the fault to callers of that account id and to
	// requests that name that user, or whose AccessKeyId is one of the user's.
	// Empty means any.
	Account, User string
	// Region restricts the fault to requests signed for that region. Empty means any.
	Region string
	// Before runs before the operation and After once it has been carried out or
	// skipped, ahead of the answer. They may call any method of the Sim.
	Before, After func()
}

// armedFault is a fault waiting for its operation.
type armedFault struct {
	Fault
	op   string
	left int // below zero: for ever
}

// Fail arms a fault for an operation, such as "CreateAccessKey"; "*" means any.
func (s *Sim) Fail(op string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &armedFault{Fault: f, op: op, left: cmp.Or(f.Times, 1)})
}

// Heal disarms every fault that has not struck yet or strikes for ever.
func (s *Sim) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault returns the fault that strikes a request, or nil, and counts it.
func (s *Sim) takeFault(rq *request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.faults, func(f *armedFault) bool { return f.strikes(rq) })
	if i < 0 {
		return nil
	}
	f := s.faults[i]
	if f.left--; f.left == 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return &f.Fault
}

// strikes reports whether a fault is meant for a request. The lock is held.
func (f *armedFault) strikes(rq *request) bool {
	if f.op != "*" && f.op != rq.op || f.Account != "" && f.Account != rq.account.id {
		return false
	}
	if f.Region != "" && f.Region != rq.caller.region {
		return false
	}
	return f.User == "" || strings.EqualFold(f.User, rq.userName())
}

// userName is the name of the user a request is about, or "". The lock is held.
func (rq *request) userName() string {
	if rq.params.Has("UserName") {
		return rq.params.Get("UserName")
	}
	if k := rq.account.key(rq.params.Get("AccessKeyId")); k != nil {
		return k.user.Name
	}
	if rq.caller.user != nil {
		return rq.caller.user.Name
	}
	return ""
}

// resource is the ARN that a denial names: the user's if there is one, and any
// for the services that have no users. The lock is held.
func (rq *request) resource() string {
	if rq.api.speaksJSON() {
		return "*"
	}
	if u := rq.account.user(rq.userName()); u != nil {
		return u.arn()
	}
	return rq.account.arn("iam", "user/"+rq.params.Get("UserName"))
}

// faulty answers a request under a fault.
func (x *exchange) faulty(rq *request, f *Fault) reply {
	if f.Before != nil {
		f.Before()
	}
	if !f.Apply && !x.wait(f.Delay) {
		return reply{drop: true}
	}
	var answer reply
	if f.Apply || !f.fails() {
		answer = x.run(rq)
	}
	if f.After != nil {
		f.After()
	}
	if f.Apply && !x.wait(f.Delay) {
		return reply{drop: true}
	}
	return x.spoil(rq, f, answer)
}

// wait spends a delay and reports whether the client is still there.
func (x *exchange) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.request.Context().Done():
		return false
	}
}

// fails reports whether the fault makes the answer a failure.
func (f *Fault) fails() bool { return f.Code != "" || f.Status != 0 || f.Drop || f.Truncate }

// spoil turns the answer of an operation, which is empty if it was not carried
// out, into what the fault asks for.
func (x *exchange) spoil(rq *request, f *Fault, answer reply) reply {
	if !f.fails() {
		return answer
	}
	x.call.Code = ""
	switch {
	case f.Drop:
		return reply{drop: true}
	case f.Truncate:
		return x.truncated(rq, answer)
	}
	x.sim.mu.Lock()
	e := f.apiError(rq, x.api)
	if !f.Apply && e != nil {
		rq.now = x.sim.now()
		rq.trace(e)
	}
	x.sim.mu.Unlock()
	if e == nil {
		x.call.Code = "Status" + strconv.Itoa(f.Status)
		return gatewayPage(f.Status)
	}
	return x.failure(e)
}

// truncated is the first half of a successful answer. If the operation was not
// carried out there is none, and the client sees the start of the envelope.
func (x *exchange) truncated(rq *request, answer reply) reply {
	if answer.status != http.StatusOK {
		x.call.Code = ""
		answer = x.success(rq.op, nil)
	}
	answer.truncate = true
	return answer
}

// apiError is the error that the fault answers; nil if it is not one of AWS's.
// The lock is held.
func (f *Fault) apiError(rq *request, in *api) *apiError {
	code := f.Code
	switch {
	case code != "":
	case f.Status == http.StatusInternalServerError:
		code = "ServiceFailure"
	case f.Status == http.StatusServiceUnavailable:
		code = "ServiceUnavailable"
	default:
		return nil
	}
	e := namedError(code)
	if strings.HasPrefix(code, "AccessDenied") {
		e.Message = errDenied(rq.caller.arn, in.service+":"+rq.op, rq.resource()).Message
	}
	e.Message = cmp.Or(f.Message, e.Message)
	e.Status = cmp.Or(f.Status, e.Status)
	return e
}

// reply is an answer ready to be written.
type reply struct {
	status         int
	contentType    string // empty: text/xml
	body           []byte
	drop, truncate bool
}

// gatewayPage is what a proxy in between answers by itself.
func gatewayPage(status int) reply {
	text := http.StatusText(status)
	return reply{status: status, contentType: "text/html", body: []byte("<html><body><h1>" + text + "</h1></body></html>\n")}
}

// write sends the answer, or as much of it as is to arrive. The panic with
// [http.ErrAbortHandler] is how a handler has its server cut the connection.
func (p reply) write(w http.ResponseWriter) {
	if p.drop {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", cmp.Or(p.contentType, "text/xml"))
	w.Header().Set("Content-Length", strconv.Itoa(len(p.body)))
	w.WriteHeader(p.status)
	if !p.truncate {
		// A failed write means that the client has gone, which concerns nobody else.
		_, _ = w.Write(p.body)
		return
	}
	_, _ = w.Write(p.body[:len(p.body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
