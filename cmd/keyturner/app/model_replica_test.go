package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

var errKilled = errors.New("the process was killed")

// replica is one process of the bot. A goroutine cannot be killed, so a killed process goes on, and reaches nothing any more: neither the
// store nor AWS nor Slack.
type replica struct {
	w          *world
	slot, life int
	app        *app.App
	cancel     context.CancelFunc
	store      *doorStore
	done       chan error
	ended      atomic.Bool
	dead       atomic.Bool
	closing    sync.Once

	mu    sync.Mutex
	note  string // of what it died
	conns map[net.Conn]bool
	plan  *crash
	reads map[string]reading
	looks map[rotation.UserRef][]look
}

// crash kills a process at one of its outside calls.
type crash struct {
	kind  string // "store", "aws", "slack", or any if empty; or the beginning of "kind op"
	left  int    // calls until then
	after bool   // once the call has been carried out, and before its answer
}

// call makes one outside call, unless the process is dead, and kills it where that is planned.
func (r *replica) call(kind, op string, do func() error) error {
	if r.dead.Load() {
		return errKilled
	}
	now, after := r.reaches(kind + " " + op)
	if now && !after {
		r.kill(fmt.Sprintf("before %s %s", kind, op))
		return errKilled
	}
	err := do()
	if now {
		r.kill(fmt.Sprintf("after %s %s, before its answer", kind, op))
	}
	if r.dead.Load() {
		return errKilled
	}
	return err
}

func (r *replica) reaches(op string) (now, after bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plan == nil || !strings.HasPrefix(op, r.plan.kind) {
		return false, false
	}
	if r.plan.left--; r.plan.left > 0 {
		return false, false
	}
	after = r.plan.after
	r.plan = nil
	return true, after
}

// kill ends the process at once.
func (r *replica) kill(why string) {
	r.mu.Lock()
	first := !r.dead.Swap(true)
	if first {
		r.note = why
	}
	conns := r.conns
	r.conns = nil
	r.mu.Unlock()
	r.cancel()
	for c := range conns {
		_ = c.Close()
	}
}

func (r *replica) deathNote() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.note
}

// close ends what is left of the process.
func (r *replica) close() { r.closing.Do(func() { _ = r.app.Close() }) }

// dial connects to Slack.
func (r *replica) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if r.dead.Load() {
		return nil, errKilled
	}
	conn, err := r.w.slack.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead.Load() {
		_ = conn.Close()
		return nil, errKilled
	}
	if r.conns == nil {
		r.conns = map[net.Conn]bool{}
	}
	r.conns[conn] = true
	return &line{conn, r}, nil
}

// line is a connection that the process forgets when it closes it.
type line struct {
	net.Conn
	r *replica
}

func (l *line) Close() error {
	l.r.mu.Lock()
	delete(l.r.conns, l.Conn)
	l.r.mu.Unlock()
	return l.Conn.Close()
}

// slackDoor is the process's way to Slack's Web API.
type slackDoor struct {
	r    *replica
	next http.RoundTripper
}

func (d slackDoor) RoundTrip(q *http.Request) (*http.Response, error) {
	op := q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]
	if strings.HasPrefix(q.URL.Path, "/hooks/") {
		op = "response_url"
	}
	var post *posting
	if op == "chat.postMessage" {
		post = d.r.w.watch.posting(d.r, q)
	}
	var answer *http.Response
	var whole bool
	err := d.r.call("slack", op, func() (err error) {
		if answer, err = d.next.RoundTrip(q); err == nil {
			whole = readAll(answer)
		}
		return err
	})
	if post != nil {
		d.r.w.watch.posted(post, answer, err == nil && whole)
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// readAll takes a body off the wire, so that a process which dies after the call has no part of the answer. A body that breaks off goes
// on doing so.
func readAll(answer *http.Response) bool {
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	rest := io.Reader(bytes.NewReader(body))
	if err != nil {
		rest = io.MultiReader(rest, broken{err})
	}
	answer.Body = io.NopCloser(rest)
	return err == nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// awsDoor is the process's way to AWS.
type awsDoor struct{ r *replica }

func (d awsDoor) RoundTrip(q *http.Request) (*http.Response, error) {
	form, err := formOf(q)
	if err != nil {
		return nil, err
	}
	op := form.Get("Action")
	if op == "" {
		op = q.Header.Get("X-Amz-Target")
	}
	var answer *http.Response
	var whole bool
	err = d.r.call("aws", op, func() (err error) {
		watched := d.r.w.watch.changing(d.r, q, op, form)
		if answer, err = d.r.w.aws.Transport().RoundTrip(q); err == nil {
			whole = readAll(answer)
		}
		ok := err == nil && whole
		if watched != nil {
			d.r.w.watch.answered(watched, answer, ok)
		}
		d.r.noteRead(d.r.w.watch.accountOf(q), op, form, ok && answer.StatusCode == http.StatusOK)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func formOf(q *http.Request) (url.Values, error) {
	if q.Body == nil {
		return url.Values{}, nil
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	_ = q.Body.Close()
	q.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return url.Values{}, nil // JSON: another service's
	}
	return form, nil
}

// reading is how the latest look at one fact ended.
type reading struct {
	ok   bool
	at   time.Time // the bubble's
	turn int       // of the user's rotation then
}

// noteRead remembers what the process has tried to read of a user, and what was in AWS then.
func (r *replica) noteRead(account, op string, form url.Values, ok bool) {
	user, subject := rotation.UserRef{Account: account, Name: form.Get("UserName")}, op
	switch op {
	case "GetAccessKeyLastUsed":
		subject += " " + form.Get("AccessKeyId")
		user.Name = r.w.userOf(account, form.Get("AccessKeyId"))
	case "GetUser", "ListAccessKeys":
		subject += " " + user.String()
	default:
		return
	}
	seen, turn := r.w.watch.see(user), 0
	if p, ok := r.w.kept.progress(user.ID()); ok && p.Rotation != nil {
		turn = p.Rotation.Turn
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads == nil {
		r.reads, r.looks = map[string]reading{}, map[rotation.UserRef][]look{}
	}
	if was := r.reads[subject]; ok || !was.ok || was.turn < turn || time.Since(was.at) > recently { // else somebody else's look here has failed
		r.reads[subject] = reading{ok, time.Now(), turn}
	}
	if ok {
		r.looks[user] = append(slices.DeleteFunc(r.looks[user], func(l look) bool { return time.Since(l.at) > recently }), seen)
	}
}

// recently is how old a look may be on which a change is founded: the bot bounds a step by a minute.
const recently = time.Minute + 5*time.Second

// looksAt gives what was in AWS when the process read something of a user in the last minute.
func (r *replica) looksAt(user rotation.UserRef) []look {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.looks[user]), func(l look) bool { return time.Since(l.at) > recently })
}

func (r *replica) allReads() map[string]reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.reads)
}

// userOf finds whose a key is.
func (w *world) userOf(account, key string) string {
	for _, u := range w.seeds {
		if u.account == account && slices.ContainsFunc(w.accounts[account].Keys(u.name), func(k iamsim.KeyView) bool { return k.ID == key }) {
			return u.name
		}
	}
	return ""
}

// peek reads a body and leaves it to be read.
func peek(answer *http.Response) string {
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return string(body)
}
