package slacksim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// bubble runs a test with fake time around a workspace reached through pipes.
func bubble(t *testing.T, cfg slacksim.Config, test func(t *testing.T, b *bench, ctx context.Context)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(b.sim.Close)
		defer cancel()
		test(t, b, ctx)
	})
}

func TestSocket_StaysOpenWhenIdle(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		b.run(ctx, ackOnly)
		opened := func() (n int) {
			for _, exchange := range b.sim.Exchanges() {
				if strings.HasPrefix(string(exchange), "apps.connections.open\n") {
					n++
				}
			}
			return n
		}
		time.Sleep(4 * time.Hour)
		if n := opened(); n != 1 {
			t.Errorf("the client connected %d times in four idle hours, want once", n)
		}
		time.Sleep(2 * time.Hour) // past the refresh
		b.awaitSockets(ctx, 1)
		if n := opened(); n != 2 {
			t.Errorf("the client connected %d times after a refresh, want twice", n)
		}
	})
}

func TestSocket_ReconnectsAfterDisconnect(t *testing.T) {
	for _, reason := range append(disconnects, "") {
		t.Run(reason, func(t *testing.T) {
			bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
				b.run(ctx, ackOnly)
				if reason == "" {
					b.sim.CutSockets()
				} else {
					b.sim.Disconnect(reason)
				}
				time.Sleep(20 * time.Second)
				b.awaitSockets(ctx, 1)
				if _, err := b.ana.Command(ctx, "C1", "/rotate-key", ""); err != nil {
					t.Errorf("command after %q: %v", reason, err)
				}
			})
		})
	}
}

func TestSocket_TwoShareTheLoad(t *testing.T) {
	bubble(t, slacksim.Config{Burst: -1}, func(t *testing.T, b *bench, ctx context.Context) {
		var first, second atomic.Int32
		count := func(n *atomic.Int32) handler {
			return func(_ socketmode.Event, ack func(...any)) { n.Add(1); ack() }
		}
		b.run(ctx, count(&first))
		b.run(ctx, count(&second))
		for range 40 {
			if _, err := b.ana.Command(ctx, "C1", "/rotate-key", ""); err != nil {
				t.Fatal(err)
			}
		}
		if first.Load()+second.Load() != 40 || first.Load() == 0 || second.Load() == 0 {
			t.Errorf("sockets took %d and %d envelopes, want 40 in all and some each", first.Load(), second.Load())
		}
	})
}

func TestSocket_EleventhIsTurnedAway(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	connect := func() map[string]any {
		_, url, err := b.api.StartSocketModeContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		var frame map[string]any
		if err := conn.ReadJSON(&frame); err != nil {
			t.Fatal(err)
		}
		if _, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil); err == nil {
			t.Error("a ticket opened two sockets")
		}
		return frame
	}
	for n := 1; n <= 10; n++ {
		if frame := connect(); frame["type"] != "hello" || frame["num_connections"] != float64(n) {
			t.Errorf("socket %d: %v", n, frame)
		}
	}
	if frame := connect(); frame["type"] != "disconnect" || frame["reason"] != slacksim.DisconnectTooMany {
		t.Errorf("socket 11: %v", frame)
	}
}

func TestSocket_NoAcknowledgement(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		_, err := b.ana.Command(ctx, "C1", "/rotate-key", "")
		if !errors.Is(err, slacksim.ErrNoSocket) {
			t.Errorf("command without a socket: %v", err)
		}
		b.run(ctx, func(socketmode.Event, func(...any)) {})
		if _, _, err := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText("x", false), slack.MsgOptionBlocks(buttons("go"))); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := b.ana.Command(ctx, "C1", "/rotate-key", ""); !errors.Is(err, slacksim.ErrNoAnswer) || time.Since(start) != 3*time.Second {
			t.Errorf("command: %v after %v, want no answer after 3 s", err, time.Since(start))
		}
		if err := b.ana.Click(ctx, slacksim.Target{Channel: "C1", ActionID: "go"}); !errors.Is(err, slacksim.ErrNoAnswer) {
			t.Errorf("click: %v", err)
		}
		screen := b.ana.Screen()
		var notices []string
		for _, n := range screen.Notices {
			notices = append(notices, n.Text)
		}
		want := []string{`/rotate-key failed with the error "dispatch_failed"`, `/rotate-key failed with the error "operation_timeout"`}
		if diff := cmp.Diff(want, notices); diff != "" {
			t.Errorf("notices (-want +got):\n%s", diff)
		}
		if m, _ := screen.Channels[0].Last(); m.Failed == "" || len(m.Pending) != 0 {
			t.Errorf("message after a click in vain: %+v", m)
		}
	})
}

func TestSocket_EventsComeAgain(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		var mu sync.Mutex
		type delivery struct {
			After   time.Duration
			Attempt int
			Reason  string
		}
		var got []delivery
		ids, envelopes := map[string]bool{}, map[string]bool{}
		start := time.Now()
		b.run(ctx, func(ev socketmode.Event, _ func(...any)) {
			mu.Lock()
			defer mu.Unlock()
			outer, _ := ev.Data.(slackevents.EventsAPIEvent)
			call, _ := outer.Data.(*slackevents.EventsAPICallbackEvent)
			ids[call.EventID], envelopes[ev.Request.EnvelopeID] = true, true
			got = append(got, delivery{time.Since(start), ev.Request.RetryAttempt, ev.Request.RetryReason})
		})
		if err := b.ana.OpenHome(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		want := []delivery{
			{0, 0, ""},
			{3 * time.Second, 1, "timeout"},
			{6*time.Second + time.Minute, 2, "timeout"},
			{9*time.Second + 6*time.Minute, 3, "timeout"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
		if len(ids) != 1 || len(envelopes) != 4 {
			t.Errorf("%d event ids in %d envelopes, want 1 in 4", len(ids), len(envelopes))
		}
	})
}

func TestSocket_Events(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		var got journal
		b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
			ack()
			outer, _ := ev.Data.(slackevents.EventsAPIEvent)
			line := outer.InnerEvent.Type
			switch e := outer.InnerEvent.Data.(type) {
			case *slackevents.MessageEvent:
				line += "/" + e.SubType + "/" + e.Channel
				content := &slack.Msg{Text: e.Text, BotID: e.BotID}
				switch e.SubType {
				case "message_changed":
					content = e.Message
				case "message_deleted":
					content = e.PreviousMessage
				}
				line += "/" + content.Text
				if content.BotID != "" {
					line += "/bot"
				}
			case *slackevents.AppMentionEvent:
				line += "/" + e.User + "/" + e.Text
			case *slackevents.AppHomeOpenedEvent:
				line += "/" + e.User + "/" + e.Channel
				if e.View != nil {
					line += "/" + e.View.CallbackID
				}
			}
			got.add(line)
		})
		step := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		bot := b.sim.BotUserID()
		step(b.ana.OpenHome(ctx))
		_, err := b.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: "U1", View: slack.HomeTabViewRequest{
			Type: slack.VTHomeTab, CallbackID: "inbox", Blocks: slack.Blocks{BlockSet: []slack.Block{section("Hello")}},
		}})
		step(err)
		step(b.ana.OpenHome(ctx))
		step(b.ana.Say(ctx, bot, "hi"))
		step(b.ana.Say(ctx, "C1", "hello @keyturner"))
		step(b.ana.Say(ctx, "C1", "hello all"))
		step(b.ana.Say(ctx, "C1", "hello @ben"))
		dm, ts, err := b.api.PostMessageContext(ctx, "U1", slack.MsgOptionText("echo", false))
		step(err)
		_, _, _, err = b.api.UpdateMessageContext(ctx, dm, ts, slack.MsgOptionText("echo 2", false))
		step(err)
		_, _, err = b.api.DeleteMessageContext(ctx, dm, ts)
		step(err)
		b.sim.AddMember(slacksim.Member{ID: "U2", Name: "ben", Deleted: true})
		synctest.Wait()
		b.sim.AddMember(slacksim.Member{ID: "U6", Name: "new"})
		synctest.Wait()
		_, _, _, err = b.api.JoinConversationContext(ctx, "C4")
		step(err)
		got.want(
			t, "app_home_opened/U1/D1", "app_home_opened/U1/D1/inbox", "message//D1/hi", "app_mention/U1/hello <@"+bot+">",
			"message//D1/echo/bot", "message/message_changed/D1/echo 2/bot", "message/message_deleted/D1/echo 2/bot", "user_change", "team_join",
			"member_joined_channel",
		)
		if c, _ := b.ana.Screen().Channel("C1"); c.Messages[2].Text != "hello <@U2>" {
			t.Errorf("a mention reads %q", c.Messages[2].Text)
		}
	})
}

func TestSocket_AckPayloads(t *testing.T) {
	bubble(t, slacksim.Config{Burst: -1}, func(t *testing.T, b *bench, ctx context.Context) {
		var payload any
		b.run(ctx, func(_ socketmode.Event, ack func(...any)) {
			if payload == nil {
				ack()
				return
			}
			ack(payload)
		})
		for _, test := range []struct {
			name    string
			payload any
			want    slacksim.Reply
			wantErr string
		}{
			{"none", nil, slacksim.Reply{}, ""},
			{"empty, as Bolt acknowledges", map[string]any{}, slacksim.Reply{}, ""},
			{"ephemeral by default", map[string]any{"text": "hi"}, slacksim.Reply{ResponseType: "ephemeral", Text: "hi"}, ""},
			{"in the channel", map[string]any{"text": "hi", "response_type": "in_channel"}, slacksim.Reply{ResponseType: "in_channel", Text: "hi"}, ""},
			{"invalid blocks", map[string]any{"blocks": []any{map[string]any{"type": "nonsense"}}}, slacksim.Reply{}, "invalid_blocks"},
		} {
			payload = test.payload
			got, err := b.ana.Command(ctx, "C1", "/rotate-key", "")
			got.TS, got.Blocks = "", nil
			if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.wantErr == "") {
				t.Errorf("%s: %v (-want +got):\n%s", test.name, err, diff)
			}
			if err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("%s: %v, want %s", test.name, err, test.wantErr)
			}
		}
	})
}

// TestSocket_BigAck sends acknowledgements by hand, because slack-go refuses to.
func TestSocket_BigAck(t *testing.T) {
	for _, test := range []struct {
		name   string
		size   int
		accept bool
		want   bool
	}{
		{"20,479 bytes", 20_479, false, true}, {"20,480 bytes", 20_480, false, false}, {"20,480 bytes, switched on", 20_480, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, slacksim.Config{AcceptBigAcks: test.accept}, func(t *testing.T, b *bench, ctx context.Context) {
				_, url, err := b.api.StartSocketModeContext(ctx)
				if err != nil {
					t.Fatal(err)
				}
				conn, _, err := b.sim.SocketDialer().DialContext(ctx, url, nil)
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						var frame map[string]any
						if conn.ReadJSON(&frame) != nil {
							return
						}
						if id := frame["envelope_id"]; id != nil {
							ack := fmt.Sprintf(`{"envelope_id":%q,"payload":{"text":"%%s"}}`, id)
							ack = fmt.Sprintf(ack, strings.Repeat("x", test.size-len(ack)+len("%s")))
							_ = conn.WriteMessage(websocket.TextMessage, []byte(ack))
						}
					}
				})
				defer wg.Wait()
				defer func() { _ = conn.Close() }()
				synctest.Wait()
				if _, err := b.ana.Command(ctx, "C1", "/rotate-key", ""); (err == nil) != test.want {
					t.Errorf("command: %v, want an answer: %v", err, test.want)
				}
			})
		})
	}
}
