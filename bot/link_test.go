package bot

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// ledger is a log that can be read while it is written.
type ledger struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *ledger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *ledger) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// line is a workspace and one link to it, in a bubble.
type line struct {
	*link
	t     *testing.T
	sim   *slacksim.Sim
	ana   *slacksim.Person
	wrote ledger
	tally tally
	taken atomic.Int32
	done  chan error
}

// onLine runs a test with a link that acknowledges whatever comes.
func onLine(t *testing.T, cfg slacksim.Config, test func(*testing.T, *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Burst = -1
		sim := slacksim.New(cfg)
		t.Cleanup(sim.Close)
		sim.AddMember(slacksim.Member{ID: "U1", Name: "ana"})
		sim.AddChannel(slacksim.Channel{ID: "C1", Name: "general"})
		ln := &line{t: t, sim: sim, ana: sim.As("U1"), done: make(chan error, 1)}
		ln.link = newLink(linkConfig{
			api: simClient(sim), dialer: sim.SocketDialer(), log: ln.wrote.logger(), counts: &ln.tally,
			take: func(d delivery) {
				ln.taken.Add(1)
				_ = d.from.ack(d.ID, nil)
				d.settled()
			},
		})
		test(t, ln)
	})
}

func simClient(sim *slacksim.Sim) *slack.Client {
	return slack.New(sim.BotToken(), slack.OptionAPIURL("http://slack.test/api/"), slack.OptionAppLevelToken(sim.AppToken()),
		slack.OptionHTTPClient(sim.HTTPClient()))
}

// start runs the link until the test ends.
func (ln *line) start() {
	ctx, cancel := context.WithCancel(ln.t.Context())
	ln.t.Cleanup(func() {
		cancel()
		synctest.Wait()
	})
	go func() { ln.done <- ln.run(ctx) }()
	synctest.Wait()
}

// opens counts the attempts to open a socket so far.
func opens(sim *slacksim.Sim) int { return exchanges(sim, "apps.connections.open\n") }

// exchanges counts what crossed the wire and begins with prefix.
func exchanges(sim *slacksim.Sim, prefix string) (n int) {
	for _, e := range sim.Exchanges() {
		if bytes.HasPrefix(e, []byte(prefix)) {
			n++
		}
	}
	return n
}

func TestLink_NeverReconnectsInAHotLoop(t *testing.T) {
	const minutes = 20
	for name, tt := range map[string]struct {
		trouble  func(*slacksim.Sim)
		min, max int // attempts
	}{
		"warning":                {away(reasonWarning), 15, 70},
		"refresh requested":      {away(reasonRefresh), 15, 70},
		"too many sockets":       {away(reasonTooMany), 8, 21},
		"a reason of tomorrow":   {away("moved_to_mars"), 15, 70},
		"accepted and closed":    {func(s *slacksim.Sim) { s.FailSocket(slacksim.SocketFault{Times: -1, Cut: true}) }, 15, 70},
		"accepted and silent":    {func(s *slacksim.Sim) { s.FailSocket(slacksim.SocketFault{Times: -1, Mute: true}) }, 10, 40},
		"server error":           {openFails(slacksim.Fault{Status: 503}), 15, 70},
		"internal error":         {openFails(slacksim.Fault{Error: "internal_error"}), 15, 70},
		"cut while asked":        {openFails(slacksim.Fault{Drop: true}), 15, 70},
		"no answer":              {openFails(slacksim.Fault{Hang: true}), 10, 40},
		"limited for 30 seconds": {openFails(slacksim.Fault{RetryAfter: 30}), 15, 40},
	} {
		t.Run(name, func(t *testing.T) {
			onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
				tt.trouble(ln.sim)
				ln.start()
				time.Sleep(minutes * time.Minute)
				n := opens(ln.sim)
				if n < tt.min || n > tt.max {
					t.Errorf("%d attempts in %d minutes, want %d to %d", n, minutes, tt.min, tt.max)
				}
				ln.sim.Heal()
				time.Sleep(2*crowded + openTime + time.Second)
				if ln.sim.Sockets() != 1 || !ln.current().open {
					t.Errorf("%d sockets after it is mended; state %+v", ln.sim.Sockets(), ln.current())
				}
			})
		})
	}
}

func away(reason string) func(*slacksim.Sim) {
	return func(s *slacksim.Sim) { s.FailSocket(slacksim.SocketFault{Times: -1, Disconnect: reason}) }
}

func openFails(f slacksim.Fault) func(*slacksim.Sim) {
	f.Times = -1
	return func(s *slacksim.Sim) { s.Fail("apps.connections.open", f) }
}

func TestLink_AConnectionThatLivedLongIsReplacedAtOnce(t *testing.T) {
	for name, end := range map[string]func(*slacksim.Sim){
		"warning":           func(s *slacksim.Sim) { s.Disconnect(reasonWarning) },
		"refresh requested": func(s *slacksim.Sim) { s.Disconnect(reasonRefresh) },
		"unknown reason":    func(s *slacksim.Sim) { s.Disconnect("moved_to_mars") },
		"no reason":         func(s *slacksim.Sim) { s.Disconnect("") },
		"cut":               (*slacksim.Sim).CutSockets,
	} {
		t.Run(name, func(t *testing.T) {
			onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
				ln.start()
				for range 5 {
					time.Sleep(2 * stable)
					end(ln.sim)
					time.Sleep(soon)
					synctest.Wait()
					if ln.sim.Sockets() != 1 {
						t.Fatalf("%d sockets %v later", ln.sim.Sockets(), soon)
					}
				}
				if n := opens(ln.sim); n != 6 {
					t.Errorf("%d attempts, want 6", n)
				}
			})
		})
	}
}

// TestLink_NothingIsLostOverARefresh types commands without a pause while connections are warned and replaced.
func TestLink_NothingIsLostOverARefresh(t *testing.T) {
	onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
		ln.start()
		typed := int32(0)
		typeFor := func(d time.Duration) {
			for begun := time.Now(); time.Since(begun) < d; time.Sleep(37 * time.Millisecond) {
				if _, err := ln.ana.Command(t.Context(), "C1", "/rotate-key", "status"); err != nil {
					t.Fatalf("command %d: %v", typed, err)
				}
				typed++
			}
		}
		for range 3 {
			time.Sleep(70 * time.Second)
			ln.sim.Warn()
			typeFor(15 * time.Second)
		}
		if got := ln.taken.Load(); got != typed {
			t.Errorf("%d envelopes taken of %d", got, typed)
		}
		if counts := ln.tally.all(); counts["disconnect_warning"] != 3 || counts["opened"] != 4 || counts["connection_lost"] != 0 {
			t.Errorf("counts %v, want three warnings and four connections", counts)
		}
	})
}

func TestLink_Watchdog(t *testing.T) {
	for _, tt := range []struct {
		every time.Duration
		want  int // attempts in two minutes
	}{
		{29 * time.Second, 1},
		{time.Hour, 4}, // at 0, 30, 60 and 90 s, and a little
	} {
		t.Run(tt.every.String(), func(t *testing.T) {
			onLine(t, slacksim.Config{PingEvery: tt.every}, func(t *testing.T, ln *line) {
				ln.start()
				time.Sleep(silence - time.Millisecond)
				if n := opens(ln.sim); n != 1 {
					t.Fatalf("%d attempts before %v have passed", n, silence)
				}
				time.Sleep(90*time.Second + time.Millisecond)
				synctest.Wait()
				if n := opens(ln.sim); n != tt.want && (tt.want == 1 || n != tt.want-1) {
					t.Errorf("%d attempts in two minutes, want %d", n, tt.want)
				}
			})
		})
	}
}

func TestLink_FramesKeepItAlive(t *testing.T) {
	onLine(t, slacksim.Config{PingEvery: time.Hour}, func(t *testing.T, ln *line) {
		ln.start()
		for range 10 {
			time.Sleep(20 * time.Second)
			if _, err := ln.ana.Command(t.Context(), "C1", "/rotate-key", ""); err != nil {
				t.Fatal(err)
			}
		}
		if n := opens(ln.sim); n != 1 {
			t.Errorf("%d attempts, want one", n)
		}
	})
}

func TestLink_Hopeless(t *testing.T) {
	advice := map[string]string{
		"invalid_auth": "SLACK_APP_TOKEN", "not_authed": "SLACK_APP_TOKEN", "token_revoked": "SLACK_APP_TOKEN", "token_expired": "SLACK_APP_TOKEN",
		"account_inactive": "install it again", "not_allowed_token_type": "xapp-", "missing_scope": "connections:write",
		reasonDisabled: "Settings → Socket Mode",
	}
	for code := range hopeless {
		if advice[code] == "" {
			t.Errorf("%s is tested for no advice", code)
		}
	}
	for code, want := range advice {
		t.Run(code, func(t *testing.T) {
			onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
				if code == reasonDisabled {
					ln.sim.FailSocket(slacksim.SocketFault{Disconnect: code})
				} else {
					ln.sim.Fail("apps.connections.open", slacksim.Fault{Error: code})
				}
				ln.start()
				time.Sleep(closeTime)
				select {
				case err := <-ln.done:
					if err == nil || !strings.Contains(err.Error(), code) || !strings.Contains(err.Error(), want) {
						t.Errorf("%v does not hold %q and %q", err, code, want)
					}
				default:
					t.Error("the link goes on")
				}
				if n := opens(ln.sim); n != 1 {
					t.Errorf("%d attempts, want one", n)
				}
			})
		})
	}
}

func TestLink_RetryAfter(t *testing.T) {
	onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
		ln.sim.Fail("apps.connections.open", slacksim.Fault{RetryAfter: 90})
		ln.start()
		time.Sleep(90*time.Second - time.Millisecond)
		if n := opens(ln.sim); n != 1 {
			t.Errorf("%d attempts before the time that Slack named", n)
		}
		time.Sleep(firstWait + time.Millisecond)
		synctest.Wait()
		if ln.sim.Sockets() != 1 {
			t.Error("no socket after the time that Slack named")
		}
	})
}

func TestLink_WaitsForRoom(t *testing.T) {
	onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
		var others []*websocket.Conn
		for range 10 {
			_, address, err := ln.api.StartSocketModeContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ws, _, err := ln.sim.SocketDialer().DialContext(t.Context(), address, nil)
			if err != nil {
				t.Fatal(err)
			}
			others = append(others, ws)
			go func() {
				for {
					if _, _, err := ws.ReadMessage(); err != nil {
						return
					}
				}
			}()
		}
		ln.start()
		time.Sleep(10 * time.Minute)
		if n := opens(ln.sim) - 10; n < 5 || n > 11 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if logged := ln.wrote.String(); strings.Count(logged, "stop another replica") != 1 {
			t.Errorf("it is not said once what to do:\n%s", logged)
		}
		for _, ws := range others {
			_ = ws.Close()
		}
		time.Sleep(2 * crowded)
		if ln.sim.Sockets() != 1 {
			t.Errorf("%d sockets when there is room", ln.sim.Sockets())
		}
	})
}

func TestLink_LogsChangesAndNotAttempts(t *testing.T) {
	onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
		ln.start()
		ln.sim.Fail("apps.connections.open", slacksim.Fault{Status: 500, Times: -1})
		ln.sim.CutSockets()
		time.Sleep(time.Hour)
		ln.sim.Heal()
		time.Sleep(maxWait)
		synctest.Wait()
		logged := ln.wrote.String()
		if lost, open := strings.Count(logged, "socket to Slack lost"), strings.Count(logged, "socket to Slack open"); lost != 1 || open != 2 {
			t.Errorf("lost %d times and opened %d times:\n%s", lost, open, logged)
		}
		if strings.Contains(logged, "ticket") {
			t.Errorf("the log has an address that opens a socket:\n%s", logged)
		}
	})
}

func TestLink_TheAddressIsInNoError(t *testing.T) {
	_, _, err := websocket.DefaultDialer.DialContext(t.Context(), "wss://host/\x7f?ticket=secret", nil)
	if err == nil || !strings.Contains(err.Error(), "secret") {
		t.Fatalf("the dialer says %v, which has nothing to hide", err)
	}
	if err := withoutAddress(err); strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestLink_Stop(t *testing.T) {
	for name, tt := range map[string]struct {
		fault slacksim.SocketFault
		took  time.Duration
	}{
		"answered":     {slacksim.SocketFault{}, 0},
		"not answered": {slacksim.SocketFault{NoClose: true}, closeTime},
	} {
		t.Run(name, func(t *testing.T) {
			onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
				ln.sim.FailSocket(tt.fault)
				ctx, cancel := context.WithCancel(t.Context())
				go func() { ln.done <- ln.run(ctx) }()
				time.Sleep(time.Minute)
				begun := time.Now()
				cancel()
				if err := <-ln.done; err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				synctest.Wait()
				if n := exchanges(ln.sim, "close received\n1000"); n != 1 {
					t.Errorf("%d close frames with code 1000, want one", n)
				}
			})
		})
	}
}

// written keeps what a client writes.
type written struct {
	net.Conn
	mu  sync.Mutex
	raw [][]byte
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.raw = append(w.raw, bytes.Clone(p))
	w.mu.Unlock()
	return w.Conn.Write(p)
}

func TestConn_Acknowledgements(t *testing.T) {
	onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
		var tap *written
		ln.dialer.WriteBufferSize = 16
		ln.dialer.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := ln.sim.Dial(ctx, network, address)
			tap = &written{Conn: c}
			return tap, err
		}
		var answer atomic.Value
		cfg := ln.linkConfig
		cfg.take = func(d delivery) {
			text, _ := answer.Load().(string)
			err := d.from.ack(d.ID, privately(text))
			if (err != nil) != (len(text) >= maxAck) {
				t.Errorf("an acknowledgement with a text of %d bytes: %v", len(text), err)
			}
			if err != nil {
				_ = d.from.ack(d.ID, nil)
			}
			d.settled()
		}
		ln.link = newLink(cfg)
		ln.start()
		for _, size := range []int{10, 20_300, 20_480} {
			text := strings.Repeat("x", size)
			answer.Store(text)
			reply, err := ln.ana.Command(t.Context(), "C1", "/rotate-key", "")
			if err != nil || (reply.Text == text) != (size < maxAck) {
				t.Errorf("%d bytes: got %d, %v", size, len(reply.Text), err)
			}
			tap.mu.Lock()
			last := tap.raw[len(tap.raw)-1]
			tap.mu.Unlock()
			if size == 20_300 && (last[0] != 0x81 || len(last) < size) { // a final text frame, in one piece
				t.Errorf("the acknowledgement begins with %#x and has %d bytes", last[0], len(last))
			}
		}
	})
}

func TestConn_AFrameThatIsTooLarge(t *testing.T) {
	onLine(t, slacksim.Config{}, func(t *testing.T, ln *line) {
		ln.start()
		ln.sim.Push([]byte(fmt.Sprintf(`{"type":"hello","pad":%q}`, strings.Repeat("x", readLimit))))
		time.Sleep(2 * firstWait)
		if n := opens(ln.sim); n != 2 || ln.sim.Sockets() != 1 {
			t.Errorf("%d attempts, %d sockets; want another connection", n, ln.sim.Sockets())
		}
	})
}
