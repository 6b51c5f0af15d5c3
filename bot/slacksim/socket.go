package slacksim

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Reasons Slack gives for a disconnect.
const (
	DisconnectWarning  = "warning"
	DisconnectRefresh  = "refresh_requested"
	DisconnectDisabled = "link_disabled"
	DisconnectTooMany  = "too_many_websockets"
)

const (
	maxSockets    = 10
	maxAck        = 20_480 // bytes; Slack ignores an acknowledgement from here on
	closeAfter    = 10 * time.Second
	writeWait     = 10 * time.Second
	debugLife     = 360 * time.Second // of a socket opened with debug_reconnects=true
	retriesOfLost = 3
)

var errClosed = errors.New("slacksim: closed")

// socket is one WebSocket of the app. Frames queue without bound, so that handing one over
// never blocks; a client that stops reading loses the connection at the write deadline.
type socket struct {
	conn  *websocket.Conn
	base  string // scheme and host for URLs in payloads
	wake  chan struct{}
	gone  chan struct{} // closed by cut
	once  sync.Once
	queue [][]byte // under Sim.mu
	going bool     // a disconnect was sent: nothing more goes this way
	life  *time.Timer
	fault SocketFault
}

func (sock *socket) cut() {
	sock.once.Do(func() {
		close(sock.gone)
		_ = sock.conn.Close() // already broken is as good
	})
}

var upgrader = websocket.Upgrader{
	CheckOrigin:     func(*http.Request) bool { return true }, // slack-go sends the API's own origin
	WriteBufferSize: 32 << 10,
}

func (s *Sim) openConnection(c *call) (reply, *apiError) {
	ticket := randomUUID()
	s.tickets[ticket] = true
	base := "ws" + strings.TrimPrefix(c.base, "http")
	return reply{"url": base + linkPath + "?ticket=" + ticket + "&app_id=" + appID}, nil
}

// serveLink takes a WebSocket whose ticket was issued and not used yet.
func (s *Sim) serveLink(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	s.mu.Lock()
	valid := s.tickets[ticket] && !s.closed
	delete(s.tickets, ticket)
	s.mu.Unlock()
	if !valid {
		http.Error(w, "invalid ticket", http.StatusForbidden)
		return
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.cfg.Logger.Warn("upgrade to a websocket failed", "err", err)
		return // Upgrade has answered
	}
	sock := &socket{conn: conn, base: "http://" + r.Host, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	if r.TLS != nil {
		sock.base = "https://" + r.Host
	}
	life := s.cfg.ConnectionLife
	if r.URL.Query().Get("debug_reconnects") == "true" {
		life = debugLife
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		sock.cut()
		return
	}
	s.wg.Add(1)
	s.join(sock, life)
	s.wg.Go(func() { s.write(sock) })
	s.mu.Unlock()
	defer s.wg.Done()
	s.read(sock)
}

// join greets a new socket, or turns it away when ten are open.
func (s *Sim) join(sock *socket, life time.Duration) {
	open := len(s.ready())
	s.sockets = append(s.sockets, sock)
	sock.fault = s.takeSocketFault()
	switch {
	case sock.fault.Cut:
		sock.going = true
		sock.cut()
		return
	case sock.fault.Mute:
		sock.going = true
		return
	}
	if open >= maxSockets {
		s.dismiss(sock, DisconnectTooMany)
		return
	}
	s.send(sock, mustJSON(map[string]any{
		"type": "hello", "num_connections": open + 1, "connection_info": map[string]any{"app_id": appID},
		"debug_info": map[string]any{
			"host": "applink-sandbox", "build_number": 10, "approximate_connection_time": int(life.Seconds()),
		},
	}))
	sock.life = time.AfterFunc(life, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dismiss(sock, DisconnectRefresh)
	})
	if sock.fault.Disconnect != "" {
		s.dismiss(sock, sock.fault.Disconnect)
	}
	s.touch()
}

// dismiss tells a socket to go, and cuts it ten seconds later.
func (s *Sim) dismiss(sock *socket, reason string) {
	if sock.going || s.closed {
		return
	}
	sock.going = true
	s.send(sock, disconnectFrame(reason))
	time.AfterFunc(closeAfter, sock.cut)
	s.touch()
}

// Disconnect sends every open socket a disconnect with the reason, takes it out of
// rotation and cuts it ten seconds later. Clients are expected to connect anew, and may,
// whatever the reason: plan faults of apps.connections.open to keep them out.
func (s *Sim) Disconnect(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sock := range s.sockets {
		s.dismiss(sock, reason)
	}
}

// Warn sends every open socket a warning and cuts it ten seconds later, and lets it take envelopes until then.
func (s *Sim) Warn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sock := range s.ready() {
		s.send(sock, disconnectFrame(DisconnectWarning))
		time.AfterFunc(closeAfter, sock.cut)
	}
}

func disconnectFrame(reason string) []byte {
	return mustJSON(map[string]any{
		"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": "applink-sandbox"},
	})
}

// CutSockets closes every connection without a word, as a failing network does.
func (s *Sim) CutSockets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sock := range s.sockets {
		sock.cut()
	}
}

// Push sends any bytes as a text frame to one socket taken at random, and tells whether there is one. What
// comes back is in [Sim.Exchanges].
func (s *Sim) Push(frame []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready := s.ready()
	if len(ready) == 0 {
		return false
	}
	s.send(ready[s.rng.IntN(len(ready))], slices.Clone(frame))
	return true
}

// Sockets returns how many connections take envelopes now. [Sim.Changed] announces when
// the number changes.
func (s *Sim) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready())
}

func (s *Sim) ready() []*socket {
	var out []*socket
	for _, sock := range s.sockets {
		if !sock.going {
			out = append(out, sock)
		}
	}
	return out
}

// send queues a frame.
func (s *Sim) send(sock *socket, frame []byte) {
	sock.queue = append(sock.queue, frame)
	select {
	case sock.wake <- struct{}{}:
	default:
	}
}

// write sends queued frames and pings until the socket is cut.
func (s *Sim) write(sock *socket) {
	ping := time.NewTicker(s.cfg.PingEvery)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-sock.gone:
			return
		case <-ping.C:
			if sock.fault.Mute {
				continue
			}
			err = sock.conn.WriteControl(websocket.PingMessage, []byte("Ping from applink-sandbox"), time.Now().Add(writeWait))
		case <-sock.wake:
			err = s.flush(sock)
		}
		if err != nil {
			sock.cut()
			return
		}
	}
}

func (s *Sim) flush(sock *socket) error {
	s.mu.Lock()
	frames := sock.queue
	sock.queue = nil
	s.mu.Unlock()
	for _, frame := range frames {
		s.api.record("frame sent", frame)
		if err := sock.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
			return err
		}
		if err := sock.conn.WriteMessage(websocket.TextMessage, frame); err != nil {
			return err
		}
	}
	return nil
}

// read takes acknowledgements until the connection ends, then forgets the socket. Pings
// and close frames of the client are answered by the library.
func (s *Sim) read(sock *socket) {
	defer func() {
		sock.cut()
		s.mu.Lock()
		defer s.mu.Unlock()
		if sock.life != nil {
			sock.life.Stop()
		}
		s.sockets = slices.DeleteFunc(s.sockets, func(o *socket) bool { return o == sock })
		s.touch()
	}()
	if sock.fault.NoClose {
		sock.conn.SetCloseHandler(func(int, string) error { return nil })
	}
	for {
		kind, frame, err := sock.conn.ReadMessage()
		if err != nil {
			if end, ok := errors.AsType[*websocket.CloseError](err); ok {
				s.api.record("close received", []byte(strconv.Itoa(end.Code)))
			}
			if sock.fault.NoClose {
				<-sock.gone
			}
			return
		}
		s.api.record("frame received", frame)
		if kind == websocket.TextMessage {
			s.acknowledge(frame)
		}
	}
}

// acknowledge settles the envelope a frame names, on whichever socket it came. Unknown,
// late and oversized acknowledgements are ignored, as Slack ignores them.
func (s *Sim) acknowledge(frame []byte) {
	var ack struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	if len(frame) >= maxAck && !s.cfg.AcceptBigAcks {
		s.cfg.Logger.Warn("acknowledgement ignored: too large", "bytes", len(frame))
		return
	}
	if err := json.Unmarshal(frame, &ack); err != nil {
		s.cfg.Logger.Warn("frame from the app is not JSON", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	env := s.waiting[ack.EnvelopeID]
	if env == nil || env.fault.LoseAck {
		return
	}
	delete(s.waiting, ack.EnvelopeID)
	env.timer.Stop()
	var payload map[string]any
	if env.payloadTaken && decodeJSON(orEmpty(ack.Payload), &payload) != nil {
		payload = map[string]any{"invalid": string(ack.Payload)}
	}
	env.settle(payload, nil)
}

func orEmpty(raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return []byte("null")
	}
	return raw
}
