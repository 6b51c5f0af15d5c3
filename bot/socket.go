package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
)

const (
	ackTime   = 3 * time.Second  // bounds writing an acknowledgement: Slack counts three seconds
	silence   = 30 * time.Second // without a frame or a ping, after which a connection is dead; Slack pings every few seconds
	closeTime = 2 * time.Second  // how long Slack is waited for when we close a connection
	readLimit = 4 << 20          // of one frame from Slack, in bytes
)

// maxAck is the size from which on Slack drops an acknowledgement in silence, in bytes.
const maxAck = 20_480

var errAckTooLarge = fmt.Errorf("acknowledgement of %d bytes or more: Slack drops it in silence", maxAck)

// listen holds the sockets open and has what comes answered. It ends with ctx, after everything that has been read is acknowledged, or
// when Slack says what only a person can mend.
func (b *Bot) listen(ctx context.Context) error {
	var sorting sync.WaitGroup
	whole := context.WithoutCancel(ctx) // what has been read is carried through
	sorting.Go(func() { b.sort(whole) })
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range b.links {
		g.Go(func() error { return l.run(ctx) })
	}
	g.Go(func() error { return b.keepInbox(ctx) })
	err := g.Wait()
	close(b.frames) // no reader is left
	sorting.Wait()
	return err
}

// Ready is nil while a socket is open and what comes through it can be recorded. Otherwise it says what is missing, and since when.
func (b *Bot) Ready() error { return errors.Join(b.connected(), b.inbox.writable()) }

func (b *Bot) connected() error {
	var last linkState
	for _, l := range b.links {
		state := l.current()
		if state.open {
			return nil
		}
		if state.since.After(last.since) || last.since.IsZero() {
			last = state
		}
	}
	since := last.since.UTC().Format(time.RFC3339)
	if last.why == nil {
		return fmt.Errorf("no socket to Slack has been opened since the start at %s", since)
	}
	return fmt.Errorf("no socket to Slack is open since %s: %w", since, last.why)
}

// Counts tells how often what has happened since the start, by name:
//
//   - opened, open_failed: attempts to open a socket
//   - disconnect_warning, disconnect_refresh_requested, disconnect_link_disabled, disconnect_too_many_websockets, disconnect_other:
//     connections that Slack announced the end of
//   - connection_lost: those that ended without a word
//   - envelope_accepted: recorded and acknowledged
//   - envelope_again: delivered once more, and acknowledged only
//   - envelope_ignored: that ask for nothing
//   - envelope_unreadable: acknowledged if they can be, and answered if there is a way to
//   - envelope_unrecorded: not recorded in time, which whoever sent them was told
//   - envelope_replayed: taken over from a process that did not come to an end with them
//   - ack_failed: acknowledgements that could not be written
func (b *Bot) Counts() map[string]int { return b.counts.all() }

// conn is one connection. Its reader runs until the connection ends, answers pings, and hands on what comes.
type conn struct {
	linkConfig
	ws  *websocket.Conn
	app string // whom Slack greeted

	hello   chan struct{} // closed when Slack has said hello
	leaving chan struct{} // closed when Slack has said that the connection ends; reason is set before
	done    chan struct{} // closed when it has ended; err is set before
	reason  string
	err     error

	hurry   func()        // closes hurried
	hurried chan struct{} // closed when there is no time left to wait for Slack to close

	writing sync.Mutex

	mu      sync.Mutex
	stopped bool // what is read from now on is left to Slack, which finds it unacknowledged
	taken   sync.WaitGroup
}

// delivery is a frame that asks for an acknowledgement.
type delivery struct {
	frame
	app  string    // whom it is for
	at   time.Time // read
	from interface {
		ack(id string, payload any) error
	}
	recorded, settled func() // to be called when it is recorded and when it is acknowledged, or will not be
}

func newConn(ws *websocket.Conn, cfg linkConfig) *conn {
	c := &conn{
		linkConfig: cfg, ws: ws,
		hello: make(chan struct{}), leaving: make(chan struct{}), done: make(chan struct{}), hurried: make(chan struct{}),
	}
	c.hurry = sync.OnceFunc(func() { close(c.hurried) })
	return c
}

// read is the reader. It only dispatches: what it calls may wait for room, and for nothing else.
func (c *conn) read() {
	defer close(c.done)
	defer c.ws.Close()
	c.ws.SetReadLimit(readLimit)
	alive := func() error { return c.ws.SetReadDeadline(time.Now().Add(silence)) }
	answerPing := c.ws.PingHandler()
	c.ws.SetPingHandler(func(words string) error { return errors.Join(alive(), answerPing(words)) })
	for {
		if c.err = alive(); c.err != nil {
			return
		}
		_, raw, err := c.ws.ReadMessage()
		if err != nil {
			c.err = err
			return
		}
		c.dispatch(raw)
	}
}

func (c *conn) dispatch(raw []byte) {
	f, err := openFrame(raw)
	switch {
	case err != nil:
		c.counts.add("envelope_unreadable")
		c.log.Error("a frame is no JSON object", "bytes", len(raw))
	case f.Type == "hello":
		if !c.greeted() {
			c.app = f.App
			close(c.hello)
		}
	case f.Type == "disconnect":
		c.counts.addDisconnect(f.Reason)
		if c.reason == "" {
			c.reason = orUnnamed(f.Reason)
			close(c.leaving)
		}
	default:
		c.deliver(f)
	}
}

func orUnnamed(reason string) string {
	if reason == "" {
		return "no reason given"
	}
	return reason
}

func (c *conn) deliver(f frame) {
	c.mu.Lock()
	stopped := c.stopped
	if !stopped {
		c.taken.Add(1)
	}
	c.mu.Unlock()
	if !stopped {
		c.take(delivery{frame: f, app: c.app, at: time.Now(), from: c, settled: sync.OnceFunc(c.taken.Done)})
	}
}

// ack acknowledges an envelope, and answers with payload where Slack takes one; nil is none. A nil error means that it is written.
func (c *conn) ack(id string, payload any) error {
	raw, err := json.Marshal(struct {
		ID      string `json:"envelope_id"`
		Payload any    `json:"payload,omitempty"`
	}{id, payload})
	if err != nil {
		return fmt.Errorf("encode the acknowledgement: %w", err)
	}
	if len(raw) >= maxAck {
		return errAckTooLarge
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	err = c.ws.SetWriteDeadline(time.Now().Add(ackTime))
	if err == nil {
		err = c.ws.WriteMessage(websocket.TextMessage, raw)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the acknowledgement: %w", err), c.ws.Close()) // the reader ends, and the link opens another
	}
	return nil
}

// finish closes the connection in an orderly way: nothing more is taken, what has been taken is acknowledged, and Slack is told.
func (c *conn) finish() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.taken.Wait()
	deadline := time.Now().Add(closeTime)
	if c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline) == nil {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		select {
		case <-c.done:
		case <-timer.C:
		}
	}
	_ = c.ws.Close() // closed already is as good
	<-c.done
}

func (c *conn) greeted() bool { return isClosed(c.hello) }

// ended tells why the connection is not of use any more, and nil while it is.
func (c *conn) ended() error {
	switch {
	case isClosed(c.leaving):
		return &sentAway{c.reason}
	case isClosed(c.done):
		return fmt.Errorf("read from the socket: %w", c.err)
	}
	return nil
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// tally counts what happens, by name.
type tally struct {
	mu sync.Mutex
	by map[string]int
}

func (t *tally) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = map[string]int{}
	}
	t.by[name]++
}

// addDisconnect counts an end of a connection that Slack has announced. Reasons unknown here share a name, since they are not ours to
// choose.
func (t *tally) addDisconnect(reason string) {
	switch reason {
	case reasonWarning, reasonRefresh, reasonDisabled, reasonTooMany:
		t.add("disconnect_" + reason)
	default:
		t.add("disconnect_other")
	}
}

func (t *tally) all() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.by)
}
