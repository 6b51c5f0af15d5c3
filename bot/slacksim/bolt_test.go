package slacksim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/bot/slacksim/npmtest"
)

// heartbeat is how often the Node clients want signs of life, and how long they wait before
// they connect anew. Their default is 5 s.
const heartbeat = 2 * time.Second

// startNode serves a workspace, runs a script of testdata/bolt against it and waits for its
// socket. The context ends when the script does.
func startNode(t *testing.T, script string) (context.Context, *bench) {
	t.Helper()
	folder := npmtest.Folder(t, "testdata/bolt")
	b := onNetwork(t, slacksim.Config{Burst: -1, PingEvery: heartbeat / 4})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	node := exec.CommandContext(ctx, "node", script) // killed when the context ends
	node.Dir = folder
	node.Env = append(
		os.Environ(), "SLACK_API_URL="+b.url, "SLACK_BOT_TOKEN="+b.sim.BotToken(), "SLACK_APP_TOKEN="+b.sim.AppToken(),
		fmt.Sprintf("HEARTBEAT_MS=%d", heartbeat.Milliseconds()),
	)
	var said bytes.Buffer // read when Wait has returned
	node.Stdout, node.Stderr = &said, &said
	if err := node.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := node.Wait(); err != nil && ctx.Err() == nil {
			t.Errorf("%s ended by itself: %v", script, err)
		}
		cancel()
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", script, said.Bytes())
		}
	})
	b.awaitSockets(ctx, 1)
	return ctx, b
}

// command has ana type one that the app must acknowledge.
func (b *bench) command(ctx context.Context, text string) slacksim.Reply {
	b.t.Helper()
	reply, err := b.ana.Command(ctx, "C1", "/rotate-key", text)
	if err != nil {
		b.t.Fatalf("/rotate-key %s: %v", text, err)
	}
	return reply
}

// see waits until ana's screen is as wanted.
func (b *bench) see(ctx context.Context, what string, ok func(slacksim.Screen) bool) slacksim.Screen {
	b.t.Helper()
	screen, err := b.ana.Await(ctx, ok)
	if err != nil {
		for _, c := range screen.Channels {
			if m, ok := c.Last(); ok {
				b.t.Logf("newest in %s: %s", c.ID, m.Text)
			}
		}
		b.t.Fatalf("%s: %v; modals %+v, home tab %+v, notices %+v", what, err, screen.Views, screen.Home, screen.Notices)
	}
	return screen
}

// last waits for a newest message with the text, in a channel or, by the bot's id, in the direct
// message.
func (b *bench) last(ctx context.Context, channel, text string) slacksim.Message {
	b.t.Helper()
	var m slacksim.Message
	b.see(ctx, "message "+text, func(s slacksim.Screen) bool {
		c, _ := s.Channel(channel)
		m, _ = c.Last()
		return m.Text == text
	})
	return m
}

// TestBolt holds the simulator to an app that Slack's own framework runs: whatever a person
// does, the app answers, as its documentation says.
func TestBolt(t *testing.T) {
	t.Parallel()
	ctx, b := startNode(t, "app.mjs")
	bot := b.sim.BotUserID()

	if got := b.command(ctx, "ack now"); got.Text != "Acknowledged now" || got.ResponseType != "ephemeral" {
		t.Errorf("ack answered %+v", got)
	}

	b.command(ctx, "respond")
	if m := b.last(ctx, "C1", "Responded"); m.Ephemeral {
		t.Errorf("respond in the channel posted %+v", m)
	}

	b.command(ctx, "form")
	b.see(ctx, "the form", func(s slacksim.Screen) bool { return len(s.Views) == 1 })
	errs, err := b.ana.Submit(ctx, map[string]string{"text": "x"})
	if diff := cmp.Diff(map[string]string{"reason": "Too short"}, errs); diff != "" || err != nil {
		t.Errorf("submit: %v (-want +got):\n%s", err, diff)
	}
	if errs, err := b.ana.Submit(ctx, map[string]string{"text": "it leaked"}); err != nil || len(errs) > 0 {
		t.Errorf("submit again: %v, %v", errs, err)
	}
	b.last(ctx, bot, "Because it leaked")

	b.command(ctx, "card")
	card := b.last(ctx, "C1", "Rotate the key?")
	if err := b.ana.Click(ctx, slacksim.Target{Channel: "C1", TS: card.TS, ActionID: "approve"}); err != nil {
		t.Errorf("click: %v", err)
	}
	if m := b.last(ctx, "C1", "Approved r-1 by <@U1>"); m.TS != card.TS || len(m.Blocks) != 0 {
		t.Errorf("the card became %+v", m)
	}
	b.command(ctx, "card")
	card = b.last(ctx, "C1", "Rotate the key?")
	if err := b.ana.Click(ctx, slacksim.Target{Channel: "C1", TS: card.TS, ActionID: "deny"}); err != nil {
		t.Errorf("click: %v", err)
	}
	if m := b.last(ctx, "C1", "Denied"); m.TS != card.TS {
		t.Errorf("respond in place of the card posted %+v", m)
	}

	if err := b.ana.OpenHome(ctx); err != nil {
		t.Error(err)
	}
	b.see(ctx, "the home tab", func(s slacksim.Screen) bool { return s.Home != nil && strings.Contains(s.Home.Content(), "Your keys") })

	b.sim.Fail("chat.postMessage", slacksim.Fault{RetryAfter: 1}) // the client waits and tries again by itself
	if err := b.ana.Say(ctx, bot, "hello"); err != nil {
		t.Error(err)
	}
	b.last(ctx, bot, "You said hello")

	b.command(ctx, "file")
	m := b.last(ctx, "C1", "This week")
	if len(m.Files) != 1 || string(m.Files[0].Content) != "user,key\nana,1\n" || m.Files[0].Title != "Stale keys" {
		t.Errorf("the file came as %+v", m.Files)
	}
	if screen := b.ana.Screen(); len(screen.Views) != 0 || len(screen.Notices) != 0 {
		t.Errorf("modals %+v and notices %+v are left", screen.Views, screen.Notices)
	}
	if got := b.calls("apps.connections.open"); got != 1 {
		t.Errorf("the app connected %d times; nothing gave it a reason to", got)
	}
	reconnects(ctx, t, b)
}

// TestBareSocketModeClient holds the simulator to the client below Bolt.
func TestBareSocketModeClient(t *testing.T) {
	t.Parallel()
	ctx, b := startNode(t, "socket.mjs")
	b.sim.FailEnvelope("events_api", slacksim.EnvelopeFault{Lose: true})
	if err := b.ana.Say(ctx, b.sim.BotUserID(), "hello"); err != nil {
		t.Error(err)
	}
	b.last(ctx, b.sim.BotUserID(), "You said hello, attempt 1")
	reconnects(ctx, t, b)
}

// reconnects sends the client away for every reason there is, and without one. It has to be
// back by itself, once for each.
func reconnects(ctx context.Context, t *testing.T, b *bench) {
	t.Helper()
	sendAway := map[string]func(){"a cut": b.sim.CutSockets}
	for _, reason := range disconnects {
		sendAway[reason] = func() { b.sim.Disconnect(reason) }
	}
	for _, reason := range slices.Sorted(maps.Keys(sendAway)) {
		before := b.calls("apps.connections.open")
		sendAway[reason]()
		b.awaitSockets(ctx, 0)
		if _, err := b.ana.Command(ctx, "C1", "/rotate-key", "ack lost"); !errors.Is(err, slacksim.ErrNoSocket) {
			t.Errorf("command during %s: %v, want no socket", reason, err)
		}
		b.awaitSockets(ctx, 1)
		if got := b.command(ctx, "ack after "+reason).Text; !strings.HasSuffix(got, "after "+reason) {
			t.Errorf("after %s the app answers %q", reason, got)
		}
		if got := b.calls("apps.connections.open") - before; got != 1 {
			t.Errorf("after %s the app connected %d times, want once", reason, got)
		}
	}
}

// calls counts the calls of a method so far.
func (b *bench) calls(method string) int {
	n := 0
	for _, exchange := range b.sim.Exchanges() {
		if bytes.HasPrefix(exchange, []byte(method+"\n")) {
			n++
		}
	}
	return n
}
