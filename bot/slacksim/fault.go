package slacksim

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Fault is one planned failure of an API method. With nothing but Delay set, the call
// succeeds late.
type Fault struct {
	Times      int           // how many calls it hits; 0 means one, negative means all
	Apply      bool          // the call takes effect, and only its answer is spoilt
	Status     int           // HTTP status; 0 means 200, or 429 with RetryAfter
	Error      string        // the error code of the body
	RetryAfter int           // seconds, sent as Retry-After
	Drop       bool          // the connection is cut without an answer
	Hang       bool          // no answer ever comes: the client has to give up by itself
	Delay      time.Duration // before anything else; it ends early when the client gives up
}

// Fail plans a fault for a method such as "chat.postMessage", or for "response_url" and
// "upload". Faults of one method are used up in the order they were planned.
func (s *Sim) Fail(method string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = orDefault(f.Times, 1)
	s.faults[method] = append(s.faults[method], &f)
}

// Heal forgets every planned fault.
func (s *Sim) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
	s.envelopeFaults, s.socketFaults = nil, nil
}

func (s *Sim) takeFault(method string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	planned := s.faults[method]
	if len(planned) == 0 {
		return Fault{}, false
	}
	f := *planned[0]
	if planned[0].Times--; planned[0].Times == 0 {
		s.faults[method] = planned[1:]
	}
	return f, true
}

// withFault serves a call through the fault planned for it. Nil means cut the
// connection.
func (s *Sim) withFault(c *call, serve func(*call) answer) *answer {
	f, planned := s.takeFault(c.name)
	if !planned {
		ans := serve(c)
		return &ans
	}
	wait(c.req, f.Delay)
	spoilt := f.Drop || f.Hang || f.Status != 0 || f.Error != "" || f.RetryAfter != 0
	if f.Apply || !spoilt {
		ans := serve(c)
		if !spoilt {
			return &ans
		}
	}
	if f.Hang {
		select {
		case <-c.req.Context().Done():
		case <-s.done:
		}
		return nil
	}
	if f.Drop {
		return nil
	}
	if f.RetryAfter > 0 {
		ans := tooMany(f.RetryAfter)
		ans.status = orDefault(f.Status, ans.status)
		return &ans
	}
	return &answer{status: f.Status, body: map[string]any{"ok": false, "error": orDefault(f.Error, "internal_error")}}
}

// tooMany is Slack's HTTP 429: the seconds are always an integer.
func tooMany(seconds int) answer {
	return answer{
		status: http.StatusTooManyRequests,
		header: http.Header{"Retry-After": {strconv.Itoa(max(1, seconds))}},
		body:   map[string]any{"ok": false, "error": "ratelimited"},
	}
}

// EnvelopeFault is one planned failure on the way of an envelope to the app, or of its
// acknowledgement back. The clocks of the acknowledgement and the trigger start when
// Slack sends, so a delay uses them up.
type EnvelopeFault struct {
	Times     int  // how many envelopes it hits; 0 means one, negative means all
	Lose      bool // the app never sees it
	LoseAck   bool // the app sees and acknowledges it, and Slack never knows
	Duplicate bool // it arrives twice, with one id
	Reorder   bool // it arrives after the next envelope, or a second later
	Delay     time.Duration
}

type plannedEnvelopeFault struct {
	kind  string
	fault EnvelopeFault
}

// FailEnvelope plans a fault for an envelope type: "slash_commands", "interactive",
// "events_api", or "" for any.
func (s *Sim) FailEnvelope(kind string, f EnvelopeFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = orDefault(f.Times, 1)
	s.envelopeFaults = append(s.envelopeFaults, &plannedEnvelopeFault{kind, f})
}

func (s *Sim) takeEnvelopeFault(kind string) EnvelopeFault {
	i := slices.IndexFunc(s.envelopeFaults, func(p *plannedEnvelopeFault) bool { return p.kind == "" || p.kind == kind })
	if i < 0 {
		return EnvelopeFault{}
	}
	planned := s.envelopeFaults[i]
	if planned.fault.Times--; planned.fault.Times == 0 {
		s.envelopeFaults = slices.Delete(s.envelopeFaults, i, i+1)
	}
	return planned.fault
}

// SocketFault is one planned failure of a socket, from the moment it is opened.
type SocketFault struct {
	Times      int    // how many sockets it hits; 0 means one, negative means all
	Cut        bool   // the connection is closed before the hello
	Mute       bool   // no hello comes, and nothing else either
	Disconnect string // the hello is followed by a disconnect with this reason
	NoClose    bool   // a close frame of the client is not answered, and the connection stays
}

// FailSocket plans a fault for sockets that are opened from now on. Faults are used up in the order they were planned.
func (s *Sim) FailSocket(f SocketFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = orDefault(f.Times, 1)
	s.socketFaults = append(s.socketFaults, &f)
}

func (s *Sim) takeSocketFault() SocketFault {
	if len(s.socketFaults) == 0 {
		return SocketFault{}
	}
	f := *s.socketFaults[0]
	if s.socketFaults[0].Times--; s.socketFaults[0].Times == 0 {
		s.socketFaults = s.socketFaults[1:]
	}
	return f
}
