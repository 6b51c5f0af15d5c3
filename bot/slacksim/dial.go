package slacksim

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// pipes is the in-process server behind [Sim.Dial].
type pipes struct {
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}
	once   sync.Once
}

// Accept is of net.Listener, as are Close and Addr.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "slacksim", Net: "pipe"} }

func (p *pipes) close() {
	_ = p.server.Close() // closes p; its error is always nil
}

// Dial connects to the protocol face inside the process, whatever the address. No network
// is involved, so a synctest bubble can hold both ends. It fits the DialContext of an
// http.Transport and the NetDialContext of a websocket.Dialer.
func (s *Sim) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	if s.pipes == nil {
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		p.server = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
		s.wg.Go(func() { _ = p.server.Serve(p) }) // ends with ErrServerClosed
		s.pipes = p
	}
	p := s.pipes
	s.mu.Unlock()
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// HTTPClient returns a client whose every request goes to the protocol face through
// [Sim.Dial]. It keeps no connections, so nothing of it outlives its last request.
func (s *Sim) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.Dial, DisableKeepAlives: true}}
}

// SocketDialer returns the dialer for a Socket Mode client that goes through [Sim.Dial].
func (s *Sim) SocketDialer() *websocket.Dialer {
	return &websocket.Dialer{NetDialContext: s.Dial, WriteBufferSize: 32 << 10}
}
