package slacksim

import (
	"errors"
	"slices"
	"time"
)

// Why a human is told that something failed.
var (
	// ErrNoAnswer: the app did not acknowledge in time.
	ErrNoAnswer = errors.New("slacksim: the app did not acknowledge in time (operation_timeout)")
	// ErrNoSocket: no Socket Mode connection was open.
	ErrNoSocket = errors.New("slacksim: no Socket Mode connection is open (dispatch_failed)")
)

// envelope is one delivery to the app.
type envelope struct {
	id           string
	kind         string
	payloadTaken bool // accepts_response_payload
	attempt      int
	reason       string
	payload      func(base string) map[string]any // built when it is sent, for the host of the socket
	settle       func(payload map[string]any, err error)
	fault        EnvelopeFault
	timer        *time.Timer
}

// deliver sends an envelope to one socket taken at random, and starts the clock of its
// acknowledgement. settle is called exactly once, with s.mu held.
func (s *Sim) deliver(env *envelope) {
	env.id = randomUUID()
	if s.closed {
		env.settle(nil, errClosed)
		return
	}
	env.fault = s.takeEnvelopeFault(env.kind)
	ready := s.ready()
	if len(ready) == 0 {
		env.settle(nil, ErrNoSocket)
		return
	}
	sock := ready[s.rng.IntN(len(ready))]
	s.waiting[env.id] = env
	env.timer = time.AfterFunc(s.cfg.AckLimit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting[env.id] == env {
			delete(s.waiting, env.id)
			env.settle(nil, ErrNoAnswer)
		}
	})
	frame := mustJSON(map[string]any{
		"envelope_id": env.id, "type": env.kind, "accepts_response_payload": env.payloadTaken,
		"retry_attempt": env.attempt, "retry_reason": env.reason, "payload": env.payload(sock.base),
	})
	s.route(sock, env.fault, frame)
}

// route puts a frame on the wire, through the fault planned for it.
func (s *Sim) route(sock *socket, f EnvelopeFault, frame []byte) {
	put := func() {
		s.send(sock, frame)
		if f.Duplicate {
			s.send(sock, frame)
		}
	}
	later := func(d time.Duration, do func()) {
		time.AfterFunc(d, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			do()
		})
	}
	switch {
	case f.Lose:
	case f.Delay > 0:
		later(f.Delay, put)
	case f.Reorder:
		done := false
		s.held = append(s.held, func() {
			if !done {
				done = true
				put()
			}
		})
		later(time.Second, s.release)
	default:
		put()
		s.release()
	}
}

// release sends what was held back to arrive out of order.
func (s *Sim) release() {
	held := s.held
	s.held = nil
	for _, put := range held {
		put()
	}
}

// redeliveries of an event Slack believes lost, after the first attempt.
var redeliveries = [retriesOfLost]time.Duration{0, time.Minute, 5 * time.Minute}

// emit sends an event, if the app is subscribed to it and the scope it needs is granted,
// and again while it is not acknowledged.
func (s *Sim) emit(scope string, event map[string]any) {
	if (scope != "" && !s.scopes[scope]) || !s.subscribed(event) {
		return
	}
	place := s.channels[stringAt(event, "channel")]
	body := map[string]any{
		"token": "sandbox", "team_id": teamID, "context_team_id": teamID, "context_enterprise_id": nil, "api_app_id": appID,
		"type": "event_callback", "event_id": randomID("Ev"), "event_time": s.cfg.Now().Unix(), "event_context": randomID("EC"),
		"is_ext_shared_channel": place != nil && place.shared(), "event": event,
		"authorizations": []any{map[string]any{
			"enterprise_id": nil, "team_id": teamID, "user_id": botUser, "is_bot": true, "is_enterprise_install": false,
		}},
	}
	frozen := mustJSON(body) // the state it shows is of now, however late it is delivered
	s.attempt(frozen, 0)
}

// subscribed reports whether the app asked for events of this kind. What comes as
// "message" is subscribed to by the kind of conversation: "message.im".
func (s *Sim) subscribed(event map[string]any) bool {
	name := stringAt(event, "type")
	if name == "message" {
		name += "." + stringAt(event, "channel_type")
	}
	return s.cfg.Events == nil || slices.Contains(s.cfg.Events, name)
}

func (s *Sim) attempt(body []byte, n int) {
	env := &envelope{kind: "events_api", attempt: n, payload: func(string) map[string]any {
		var payload map[string]any
		_ = decodeJSON(body, &payload) // made by mustJSON
		return payload
	}}
	if n > 0 {
		env.reason = "timeout"
	}
	env.settle = func(_ map[string]any, err error) {
		if err == nil || s.closed || n >= retriesOfLost {
			return
		}
		time.AfterFunc(redeliveries[n], func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.attempt(body, n+1)
		})
	}
	s.deliver(env)
}
