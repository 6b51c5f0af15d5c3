package app_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// mishap is what happens to one outside call: a row of the table.
type mishap struct {
	scene string // in which the call is made
	op    string // "slack chat.update"
	n     int    // the how manieth of its kind since the scene began
	end   ending
}

// ending is how a call goes wrong.
type ending struct {
	applied bool // the other side carries it out, and only its answer does not come
	crash   bool // the process dies at it, and another one takes its place
	silent  bool // the process does not notice; of what has no answer anyway
}

func (e ending) String() string {
	s := "not applied"
	if e.applied {
		s = "applied"
	}
	switch {
	case e.crash:
		return s + ", crash"
	case e.silent:
		return s + ", unnoticed"
	}
	return s + ", continue"
}

// endings are those of one kind of call. An acknowledgement has no answer, so that one which is lost on its way is noticed by Slack alone.
func endings(op string) []ending {
	all := []ending{{}, {applied: true}, {crash: true}, {applied: true, crash: true}}
	if op == ackCall {
		all = append(all, ending{silent: true})
	}
	return all
}

// The calls on a socket, beside the methods of the Web API.
const (
	dialCall = "slack socket"
	ackCall  = "slack acknowledgement"
)

// changingCalls change something, so that each of them gets its rows, and not only the first of a scene.
var changingCalls = []string{
	"aws CreateAccessKey", "aws UpdateAccessKey", "aws DeleteAccessKey", "aws CreateSecret", "aws PutSecretValue", "aws PutParameter",
	"slack chat.postMessage", "slack chat.update", "slack chat.delete", "slack views.update", "slack files.completeUploadExternal", ackCall,
	"store Create", "store Replace", "store Claim", "store Record", "store Accept", "store Settle", "store KeepReading", "store DropReadings",
}

// outcall is an outside call that was made.
type outcall struct {
	scene, op string
	n         int
	premise   bool // it goes wrong because the plot is about that
}

// calls counts the outside calls of the first process in each slot, and lets the mishap happen.
type calls struct {
	mu      sync.Mutex
	scene   string
	counts  map[string]int // in the scene, and after the mishap's scene began, since then
	total   map[string]int // since the beginning
	made    []outcall
	wanted  *mishap // nil: none
	began   bool    // the mishap's scene
	struck  bool    // it has happened
	issuing bool    // then a key was being made or handed over
	ailing  string  // the AWS operation that goes on failing when the SDK tries it again
	usual   map[string]func(n int, to string) *plight
}

// plight is what goes wrong with a call as the story has it, mishap or not.
type plight struct {
	aws     iamsim.Fault
	slack   slacksim.Fault
	refused bool // the other side says no: it is never carried out
	premise bool // the plot goes on from this one call going wrong in just this way
}

func newCalls(m *mishap) *calls {
	return &calls{wanted: m, counts: map[string]int{}, total: map[string]int{}, usual: map[string]func(int, string) *plight{}}
}

// enter begins a scene.
func (c *calls) enter(scene string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scene = scene
	if c.wanted == nil || !c.began {
		clear(c.counts)
	}
	if c.wanted != nil && c.wanted.scene == scene {
		c.began = true
	}
}

// next takes note of a call, of a post with the channel that it goes to, and tells what becomes of it.
func (c *calls) next(r *replica, op, to string) (*ending, *plight) {
	c.mu.Lock()
	c.counts[op]++
	c.total[op]++
	total, usual := c.total[op], c.usual[op]
	c.mu.Unlock()
	var as *plight
	if usual != nil {
		as = usual(total, to)
	}
	if !c.hits(r, op, as) {
		return nil, as
	}
	end := c.wanted.end
	r.w.story.add("!  %s: %s (replica %d)", op, end, r.slot+1)
	if end.crash {
		return &end, as
	}
	if as != nil && as.refused {
		end.applied = false
	}
	return &end, nil
}

// hits takes down a call and tells whether it is the mishap's.
func (c *calls) hits(r *replica, op string, as *plight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = append(c.made, outcall{c.scene, op, c.counts[op], as != nil && as.premise})
	if !c.began || c.struck || c.wanted.op != op || c.wanted.n != c.counts[op] {
		return false
	}
	c.struck = true
	for _, p := range r.w.kept.progresses() {
		if run, runs := p.Running(); runs && (run.Stage == rotation.Creating || run.Stage == rotation.Delivering) {
			c.issuing = true
		}
	}
	return true
}

// dieAt has a process die at the call that it is about to make.
func dieAt(r *replica, call string, end *ending) {
	if end == nil || !end.crash {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan = &crash{kind: call, left: 1, after: end.applied}
}

// awsCalls is awsDoor with the mishap.
type awsCalls struct {
	c    *calls
	r    *replica
	next awsDoor
}

func (d awsCalls) RoundTrip(q *http.Request) (*http.Response, error) {
	form, err := formOf(q)
	if err != nil {
		return nil, err
	}
	target := form.Get("Action")
	if target == "" {
		target = q.Header.Get("X-Amz-Target")
	}
	op := target[strings.LastIndexByte(target, '.')+1:]
	if f := d.faultFor(op, target, q.Header.Get("Amz-Sdk-Request")); f != nil {
		d.r.w.aws.Fail(op, *f)
	}
	return d.next.RoundTrip(q)
}

// faultFor is the fault of one request. A call that fails does so however often the SDK tries it.
func (d awsCalls) faultFor(op, target, attempt string) *iamsim.Fault {
	if again := attempt != "" && !strings.HasPrefix(attempt, "attempt=1"); again {
		d.c.mu.Lock()
		defer d.c.mu.Unlock()
		if d.c.ailing == op {
			return &iamsim.Fault{Drop: true}
		}
		return nil
	}
	end, as := d.c.next(d.r, "aws "+op, "")
	dieAt(d.r, "aws "+target, end)
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if d.c.ailing == op {
		d.c.ailing = ""
	}
	switch {
	case as != nil:
		return &as.aws
	case end == nil || end.crash:
		return nil
	}
	d.c.ailing = op
	if !end.applied && !slices.Contains(changingCalls, "aws "+op) {
		return &iamsim.Fault{Code: "Throttling"}
	}
	return &iamsim.Fault{Drop: true, Apply: end.applied}
}

// slackCalls is slackDoor with the mishap.
type slackCalls struct {
	c    *calls
	r    *replica
	next slackDoor
}

func (d slackCalls) RoundTrip(q *http.Request) (*http.Response, error) {
	op := q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]
	if strings.HasPrefix(q.URL.Path, "/hooks/") {
		op = "response_url"
	}
	if strings.HasPrefix(q.URL.Path, "/upload/") {
		op = "upload"
	}
	form, err := formOf(q)
	if err != nil {
		return nil, err
	}
	end, as := d.c.next(d.r, "slack "+op, form.Get("channel"))
	dieAt(d.r, "slack "+op, end)
	switch {
	case as != nil:
		d.r.w.slack.Fail(op, as.slack)
	case end == nil || end.crash:
	case !end.applied && !slices.Contains(changingCalls, "slack "+op):
		d.r.w.slack.Fail(op, slacksim.Fault{Status: http.StatusServiceUnavailable})
	default:
		d.r.w.slack.Fail(op, slacksim.Fault{Drop: true, Apply: end.applied})
	}
	return d.next.RoundTrip(q)
}

var errBroken = errors.New("the connection is broken")

// dialSocket opens a connection for a socket.
func (c *calls) dialSocket(r *replica) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		end, _ := c.next(r, dialCall, "")
		dieAt(r, dialCall, end)
		if end != nil && !end.crash && !end.applied {
			return nil, errBroken
		}
		err = r.call("slack", strings.TrimPrefix(dialCall, "slack "), func() (err error) {
			conn, err = r.dial(ctx, network, addr)
			return err
		})
		if err == nil && end != nil {
			_ = conn.Close()
			err = errBroken
		}
		if err != nil {
			return nil, err
		}
		return &socketLine{conn, c, r}, nil
	}
}

// socketLine is a socket's connection, on which the process sends acknowledgements and nothing else that is text.
type socketLine struct {
	net.Conn
	c *calls
	r *replica
}

func (l *socketLine) Write(p []byte) (n int, err error) {
	const finalText = 0x81 // https://www.rfc-editor.org/rfc/rfc6455#section-5.2
	if len(p) == 0 || p[0] != finalText {
		return l.Conn.Write(p)
	}
	end, _ := l.c.next(l.r, ackCall, "")
	dieAt(l.r, ackCall, end)
	switch {
	case end != nil && end.silent:
		return len(p), nil
	case end != nil && !end.crash && !end.applied:
		_ = l.Close()
		return 0, errBroken
	}
	err = l.r.call("slack", strings.TrimPrefix(ackCall, "slack "), func() (err error) {
		n, err = l.Conn.Write(p)
		return err
	})
	if err == nil && end != nil {
		_ = l.Close()
		err = errBroken
	}
	return n, err
}

// storeCalls is doorStore with the mishap.
type storeCalls struct {
	*doorStore
	c *calls
}

func (s storeCalls) next(method string) {
	end, _ := s.c.next(s.r, "store "+method, "")
	dieAt(s.r, "store "+method, end)
	switch {
	case end == nil || end.crash:
	case end.applied:
		s.k.fail(storeFault{op: method, slot: s.r.slot, times: 1, mode: "unanswered"})
	default:
		s.k.fail(storeFault{op: method, slot: s.r.slot, times: 1, mode: "lost"})
	}
}

func (s storeCalls) Get(ctx context.Context, id string) (rotation.Progress, error) {
	s.next("Get")
	return s.doorStore.Get(ctx, id)
}

func (s storeCalls) Create(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s.next("Create")
	return s.doorStore.Create(ctx, p)
}

func (s storeCalls) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	s.next("Replace")
	return s.doorStore.Replace(ctx, p)
}

func (s storeCalls) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	s.next("Scan")
	return s.doorStore.Scan(ctx, fn)
}

func (s storeCalls) Live(ctx context.Context, fn func(string, uint64) error) error {
	s.next("Live")
	return s.doorStore.Live(ctx, fn)
}

func (s storeCalls) Claimed(ctx context.Context, name string) (rotation.Claim, error) {
	s.next("Claimed")
	return s.doorStore.Claimed(ctx, name)
}

func (s storeCalls) Claim(ctx context.Context, c rotation.Claim) (rotation.Claim, error) {
	s.next("Claim")
	return s.doorStore.Claim(ctx, c)
}

func (s storeCalls) Record(ctx context.Context, key string, e rotation.Entry) error {
	s.next("Record")
	return s.doorStore.Record(ctx, key, e)
}

func (s storeCalls) Entries(ctx context.Context, fn func(string, rotation.Entry) error) error {
	s.next("Entries")
	return s.doorStore.Entries(ctx, fn)
}

func (s storeCalls) Accept(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	s.next("Accept")
	return s.doorStore.Accept(ctx, v)
}

func (s storeCalls) Settle(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	s.next("Settle")
	return s.doorStore.Settle(ctx, v)
}

func (s storeCalls) Waiting(ctx context.Context, fn func(rotation.Envelope) error) error {
	s.next("Waiting")
	return s.doorStore.Waiting(ctx, fn)
}

func (s storeCalls) Forget(ctx context.Context, before time.Time) error {
	s.next("Forget")
	return s.doorStore.Forget(ctx, before)
}

func (s storeCalls) KeepReading(ctx context.Context, r rotation.Reading) error {
	s.next("KeepReading")
	return s.doorStore.KeepReading(ctx, r)
}

func (s storeCalls) Readings(ctx context.Context, fn func(rotation.Reading) error) error {
	s.next("Readings")
	return s.doorStore.Readings(ctx, fn)
}

func (s storeCalls) DropReadings(ctx context.Context) error {
	s.next("DropReadings")
	return s.doorStore.DropReadings(ctx)
}
