package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// call is an outside call of the program at the moment at which it arrives.
type call struct {
	by *replica
	op string // such as "CreateAccessKey", "chat.postMessage in #approvals", "ack interactive"
}

// fate is what becomes of a call.
type fate int

const (
	passes     fate = iota
	killsFirst      // the program is killed before the call is applied, and it never is
	killsAfter      // the call is applied, and the program is killed before it has the answer
)

// door is where one replica reaches all that is outside of it: Slack, AWS, and the table of a shared store. Every call goes through
// judge, and the program is killed on this side of the wire: there is no code for it in the product.
type door struct {
	w       *world
	replica *replica
	table   http.Handler // DynamoDB; nil: the store is a file
}

func newDoor(w *world, r *replica) *door {
	d := &door{w: w, replica: r}
	if w.table != "" {
		target, err := url.Parse(w.table)
		if err != nil {
			w.t.Fatal(err)
		}
		d.table = &httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host },
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
				panic(http.ErrAbortHandler) // the program that asked is gone
			},
		}
	}
	return d
}

func (d *door) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/link") {
		d.link(rw, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // whoever asked was killed in the middle of it
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r = r.WithContext(context.WithoutCancel(r.Context())) // what has arrived is carried out, and dynalite does not survive half a request
	op, to := d.name(r, body)
	c := call{d.replica, op}
	verdict := d.w.judge(c)
	if verdict == killsFirst {
		d.replica.kill("before " + op)
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	d.w.apply(c, body, func() int { to.ServeHTTP(answer, r); return answer.Code })
	if verdict == killsAfter {
		d.replica.kill("after " + op)
		panic(http.ErrAbortHandler)
	}
	maps.Copy(rw.Header(), answer.Header())
	rw.WriteHeader(answer.Code)
	_, _ = rw.Write(answer.Body.Bytes()) // the one who asked may be gone
}

// name says what is called and who answers it.
func (d *door) name(r *http.Request, body []byte) (string, http.Handler) {
	if method, ok := strings.CutPrefix(r.URL.Path, "/api/"); ok {
		return d.slackOp(method, body), d.w.slack
	}
	if strings.HasPrefix(r.URL.Path, "/hooks/") {
		return "response_url", d.w.slack
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		service, op, _ := strings.Cut(target, ".")
		if strings.HasPrefix(service, "DynamoDB") {
			return "DynamoDB " + op, d.table
		}
		return op[strings.LastIndex(op, ".")+1:], d.w.aws
	}
	form, _ := url.ParseQuery(string(body))
	return strings.TrimSpace(form.Get("Action") + " " + form.Get("Status")), d.w.aws
}

// slackOp tells messages apart by where they go, and that with a secret from all others.
func (d *door) slackOp(method string, body []byte) string {
	if !strings.HasPrefix(method, "chat.") {
		return method
	}
	if slices.ContainsFunc(d.w.aws.Secrets(), func(s string) bool { return holds(body, s) }) {
		return method + " of the secret"
	}
	form, _ := url.ParseQuery(string(body))
	switch form.Get("channel") {
	case approvals:
		return method + " in #approvals"
	case onCall:
		return method + " in #on-call"
	case general:
		return method + " in #general"
	}
	return method + " in a DM"
}

// holds looks for a secret as it is and as a form would carry it.
func holds(b []byte, secret string) bool {
	return bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte(url.QueryEscape(secret)))
}

var anyOrigin = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, WriteBufferSize: 32 << 10}

// link passes on the frames of one socket, so that an acknowledgement is a call like any other.
func (d *door) link(rw http.ResponseWriter, r *http.Request) {
	slack, answer, err := d.w.slack.SocketDialer().DialContext(r.Context(), "ws://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		status := http.StatusBadGateway
		if answer != nil {
			status = answer.StatusCode
		}
		http.Error(rw, "no socket", status)
		return
	}
	defer slack.Close()
	program, err := anyOrigin.Upgrade(rw, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer program.Close()
	slack.SetPingHandler(func(words string) error {
		deadline := time.Now().Add(time.Second)
		return errors.Join(
			slack.WriteControl(websocket.PongMessage, []byte(words), deadline),
			program.WriteControl(websocket.PingMessage, []byte(words), deadline),
		)
	})
	kinds := &kinds{by: map[string]string{}}
	var outwards sync.WaitGroup
	outwards.Go(func() {
		defer program.Close()
		for {
			kind, frame, err := slack.ReadMessage()
			if err != nil || program.WriteMessage(kind, kinds.note(frame)) != nil {
				return
			}
		}
	})
	defer outwards.Wait()
	defer slack.Close()
	for {
		kind, frame, err := program.ReadMessage()
		if err != nil || !d.passAck(slack, kind, frame, kinds) {
			return
		}
	}
}

// passAck passes an acknowledgement on to Slack, and tells whether the program lives.
func (d *door) passAck(slack *websocket.Conn, kind int, frame []byte, kinds *kinds) bool {
	c := call{d.replica, "ack " + kinds.of(frame)}
	verdict := d.w.judge(c)
	if verdict == killsFirst {
		d.replica.kill("before " + c.op)
		return false
	}
	var err error
	d.w.apply(c, frame, func() int { err = slack.WriteMessage(kind, frame); return http.StatusOK })
	if verdict == killsAfter {
		d.replica.kill("after " + c.op)
		return false
	}
	return err == nil
}

// kinds remembers of what kind the envelopes were that went to the program.
type kinds struct {
	mu sync.Mutex
	by map[string]string
}

type frame struct {
	ID   string `json:"envelope_id"`
	Type string `json:"type"`
}

func (k *kinds) note(raw []byte) []byte {
	var f frame
	if json.Unmarshal(raw, &f) == nil && f.ID != "" {
		k.mu.Lock()
		k.by[f.ID] = f.Type
		k.mu.Unlock()
	}
	return raw
}

func (k *kinds) of(raw []byte) string {
	var f frame
	if json.Unmarshal(raw, &f) != nil {
		return "nothing"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.by[f.ID]
}
