package slacksim_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// duties are what clients of Socket Mode need of a simulator to behave as against Slack, and
// the tests that hold it to each. Those of Bolt show most of them at once.
var duties = []struct {
	duty  string
	tests []string
}{
	{"apps.connections.open takes an empty JSON body and an empty form", []string{"TestWire_Arguments", "TestBolt"}},
	{"hello is the first frame", []string{"TestSocket_EleventhIsTurnedAway"}},
	{"a ping at least every ten seconds, and a pong for each of the client's", []string{"TestSocket_Pings", "TestSocket_StaysOpenWhenIdle", "TestBolt"}},
	{"an acknowledgement with an empty payload is one without", []string{"TestSocket_AckPayloads", "TestSubmit_Answers", "TestBolt"}},
	{"an envelope goes to one connection, any of them", []string{"TestSocket_TwoShareTheLoad"}},
	{"three seconds to acknowledge, then a failure to see; events come again with retry_attempt", []string{
		"TestSocket_NoAcknowledgement", "TestSocket_EventsComeAgain", "TestBareSocketModeClient",
	}},
	{"disconnect for every reason, and a hard close ten seconds later", []string{
		"TestSocket_ReconnectsAfterDisconnect", "TestSocket_HardClose", "TestBolt", "TestBareSocketModeClient",
	}},
	{"an eleventh connection is refused with too_many_websockets", []string{"TestSocket_EleventhIsTurnedAway"}},
	{"a connection that ends without a close frame is no trouble", []string{"TestSocket_EndsAbruptly", "TestSocket_ReconnectsAfterDisconnect"}},
	{"a close frame is answered with one", []string{"TestSocket_AnswersClose", "TestBolt"}},
	{"acknowledgements of 20,480 bytes and more are ignored, unless switched off", []string{"TestSocket_BigAck"}},
	{"envelopes can be lost, doubled, delayed and reordered", []string{"TestFailEnvelope"}},
}

// TestDuties finds the tests that the table names.
func TestDuties(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				known[f.Name.Name] = true
			}
		}
	}
	for _, d := range duties {
		for _, test := range d.tests {
			if !known[test] {
				t.Errorf("%s: there is no %s", d.duty, test)
			}
		}
	}
}

// disconnects are the reasons Slack gives.
var disconnects = []string{
	slacksim.DisconnectWarning, slacksim.DisconnectRefresh, slacksim.DisconnectDisabled, slacksim.DisconnectTooMany,
}

// link opens a socket by hand and reads its hello.
func (b *bench) link(ctx context.Context) *websocket.Conn {
	b.t.Helper()
	_, url, err := b.api.StartSocketModeContext(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	conn, _, err := b.sim.SocketDialer().DialContext(ctx, url, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	var hello map[string]any
	if err := conn.ReadJSON(&hello); err != nil || hello["type"] != "hello" {
		b.t.Fatalf("first frame %v, %v", hello, err)
	}
	return conn
}

func TestSocket_Pings(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		conn := b.link(ctx)
		start := time.Now()
		var pings []time.Duration
		conn.SetPingHandler(func(string) error {
			pings = append(pings, time.Since(start))
			return nil
		})
		pong := ""
		conn.SetPongHandler(func(data string) error {
			pong = data
			return nil
		})
		if err := conn.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(start.Add(35 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, frame, err := conn.ReadMessage(); err == nil {
			t.Errorf("an idle socket got %s", frame)
		}
		if diff := cmp.Diff([]time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second}, pings); diff != "" {
			t.Errorf("pings (-want +got):\n%s", diff)
		}
		if pong != "are you there" {
			t.Errorf("the client's ping was answered with %q", pong)
		}
	})
}

// TestSocket_HardClose stays where it was told to go.
func TestSocket_HardClose(t *testing.T) {
	for _, reason := range disconnects {
		t.Run(reason, func(t *testing.T) {
			cfg := slacksim.Config{PingEvery: time.Minute} // no ping may be halfway through when the connection is cut
			bubble(t, cfg, func(t *testing.T, b *bench, ctx context.Context) {
				conn := b.link(ctx)
				b.sim.Disconnect(reason)
				start := time.Now()
				var frame map[string]any
				if err := conn.ReadJSON(&frame); err != nil || frame["type"] != "disconnect" || frame["reason"] != reason || frame["envelope_id"] != nil {
					t.Errorf("frame %v, %v", frame, err)
				}
				_, _, err := conn.ReadMessage()
				if !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) || time.Since(start) != 10*time.Second {
					t.Errorf("%v after %v, want the connection cut after 10 s", err, time.Since(start))
				}
			})
		})
	}
}

func TestSocket_EndsAbruptly(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		conn := b.link(ctx)
		if n := b.sim.Sockets(); n != 1 {
			t.Errorf("%d sockets are open, want 1", n)
		}
		if err := conn.NetConn().Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := b.sim.Sockets(); n != 0 {
			t.Errorf("%d sockets are open after the only one broke", n)
		}
	})
}

func TestSocket_AnswersClose(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		conn := b.link(ctx)
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		if err := conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("a close frame is answered with %v", err)
		}
	})
}
