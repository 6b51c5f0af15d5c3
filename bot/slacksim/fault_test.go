package slacksim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

func TestFail(t *testing.T) {
	for _, test := range []struct {
		name    string
		fault   slacksim.Fault
		applied bool
		check   func(error) bool
	}{
		{"error code", slacksim.Fault{Error: "internal_error"}, false, func(err error) bool { return code(err) == "internal_error" }},
		{"error code, applied", slacksim.Fault{Error: "fatal_error", Apply: true}, true, func(err error) bool { return code(err) == "fatal_error" }},
		{"server error", slacksim.Fault{Status: 503}, false, func(err error) bool {
			status, ok := errors.AsType[slack.StatusCodeError](err)
			return ok && status.Code == 503
		}},
		{"rate limit", slacksim.Fault{RetryAfter: 7}, false, func(err error) bool {
			limited, ok := errors.AsType[*slack.RateLimitedError](err)
			return ok && limited.RetryAfter == 7*time.Second
		}},
		{"cut", slacksim.Fault{Drop: true}, false, func(err error) bool { return err != nil }},
		{"cut, applied", slacksim.Fault{Drop: true, Apply: true}, true, func(err error) bool { return err != nil }},
		{"late", slacksim.Fault{Delay: time.Millisecond}, true, func(err error) bool { return err == nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := onNetwork(t, slacksim.Config{Burst: -1})
			b.sim.Fail("chat.postMessage", test.fault)
			post := func() error {
				_, _, err := b.api.PostMessageContext(t.Context(), "C1", slack.MsgOptionText("x", false))
				return err
			}
			if err := post(); !test.check(err) {
				t.Errorf("post: %v", err)
			}
			if got := len(b.ana.Screen().Channels[0].Messages) == 1; got != test.applied {
				t.Errorf("applied: %v, want %v", got, test.applied)
			}
			if !strings.Contains(string(b.sim.Traffic()), "chat.postMessage\n") {
				t.Error("the call is not in the traffic")
			}
			if err := post(); err != nil {
				t.Errorf("after the fault: %v", err)
			}
			b.sim.Fail("chat.postMessage", slacksim.Fault{Times: -1, Error: "internal_error"})
			if first, second := post(), post(); first == nil || second == nil {
				t.Errorf("a lasting fault: %v, %v", first, second)
			}
			b.sim.Heal()
			if err := post(); err != nil {
				t.Errorf("after healing: %v", err)
			}
		})
	}
}

// patience is how long the clients of the tests below wait for an answer.
const patience = 10 * time.Second

// send calls a path of the protocol face with a form.
func (b *bench) send(ctx context.Context, path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://slack.test"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+b.sim.BotToken())
	client := b.sim.HTTPClient()
	client.Timeout = patience
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close() // what is looked at is the head
	}
	return resp, err
}

// spoilt are the ways an answer can be lost, and how the client sees each.
var spoilt = map[string]struct {
	fault slacksim.Fault
	seen  func(resp *http.Response, err error, after time.Duration) bool
}{
	"429": {slacksim.Fault{RetryAfter: 7}, func(resp *http.Response, err error, _ time.Duration) bool {
		return err == nil && resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "7"
	}},
	"5xx": {slacksim.Fault{Status: http.StatusServiceUnavailable}, func(resp *http.Response, err error, _ time.Duration) bool {
		return err == nil && resp.StatusCode == http.StatusServiceUnavailable
	}},
	"cut": {slacksim.Fault{Drop: true}, func(_ *http.Response, err error, after time.Duration) bool {
		return err != nil && after == 0
	}},
	"timeout": {slacksim.Fault{Hang: true}, func(_ *http.Response, err error, after time.Duration) bool {
		return errors.Is(err, context.DeadlineExceeded) && after == patience
	}},
}

// TestFail_AnyMethod plans each fault, with and without effect, for every method there is.
func TestFail_AnyMethod(t *testing.T) {
	bubble(t, slacksim.Config{Burst: -1}, func(t *testing.T, b *bench, ctx context.Context) {
		paths := map[string]string{"response_url": "/hooks/commands/T1/1/x", "upload": "/upload/F1"}
		for _, method := range slacksim.Methods() {
			paths[method] = "/api/" + method
		}
		for method, path := range paths {
			for name, way := range spoilt {
				for _, apply := range []bool{false, true} {
					way.fault.Apply = apply
					b.sim.Fail(method, way.fault)
					start := time.Now()
					if resp, err := b.send(ctx, path, nil); !way.seen(resp, err, time.Since(start)) {
						t.Errorf("%s, %s, apply %v: %+v, %v after %v", method, name, apply, resp, err, time.Since(start))
					}
				}
			}
			if resp, err := b.send(ctx, path, nil); err != nil || resp.StatusCode >= 429 {
				t.Errorf("%s after the faults: %+v, %v", method, resp, err)
			}
		}
	})
}

// deed is a call that changes what a person or another call can see, and what it needs.
type deed struct {
	t        *testing.T
	ctx      context.Context
	b        *bench
	path     string
	triggers chan string
	replies  chan string
}

// do fails the test when a step of the preparation failed.
func (d *deed) do(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// command has ana type one, and returns its trigger and response URL.
func (d *deed) command() (trigger, replyURL string) {
	_, err := d.b.ana.Command(d.ctx, "C1", "/rotate-key", "")
	d.do(err)
	return <-d.triggers, <-d.replies
}

func (d *deed) post() (ts string) {
	_, ts, err := d.b.api.PostMessageContext(d.ctx, "C1", slack.MsgOptionText("old", false))
	d.do(err)
	return ts
}

func (d *deed) modal() *slack.View {
	trigger, _ := d.command()
	opened, err := d.b.api.OpenViewContext(d.ctx, trigger, withButton("Old"))
	d.do(err)
	return &opened.View
}

func (d *deed) upload() (id string) {
	place, err := d.b.api.GetUploadURLExternalContext(d.ctx, slack.GetUploadURLExternalParameters{FileName: "a.csv", FileSize: 3})
	d.do(err)
	d.do(d.b.api.UploadToURL(d.ctx, slack.UploadToURLParameters{UploadURL: place.UploadURL, Content: "a,b", Filename: "a.csv"}))
	return place.FileID
}

// world is all that can be seen of what deeds do.
func (d *deed) world() string {
	var out []any
	for _, id := range []string{"U1", "U2"} {
		screen := d.b.sim.As(id).Screen()
		screen.Version = 0
		out = append(out, screen)
	}
	past, err := d.b.api.GetConversationHistoryContext(d.ctx, &slack.GetConversationHistoryParameters{ChannelID: "C1"})
	d.do(err)
	elsewhere, err := d.b.api.GetConversationInfoContext(d.ctx, &slack.GetConversationInfoInput{ChannelID: "C4"})
	d.do(err)
	_, err = d.b.api.GetConversationInfoContext(d.ctx, &slack.GetConversationInfoInput{ChannelID: "D2"})
	raw, marshalErr := json.Marshal(append(out, past.Messages, elsewhere.IsMember, code(err)))
	d.do(marshalErr)
	return string(raw)
}

func formJSON(view any) string {
	raw, err := json.Marshal(view)
	if err != nil {
		panic(err) // of the tests' own making
	}
	return string(raw)
}

// deeds prepare a call each, and return its arguments. What the other methods do, if
// anything, shows only in a later call: they hand out URLs.
var deeds = map[string]func(d *deed) url.Values{
	"chat.postMessage":   func(*deed) url.Values { return url.Values{"channel": {"C1"}, "text": {"new"}} },
	"chat.postEphemeral": func(*deed) url.Values { return url.Values{"channel": {"C1"}, "user": {"U1"}, "text": {"new"}} },
	"chat.update":        func(d *deed) url.Values { return url.Values{"channel": {"C1"}, "ts": {d.post()}, "text": {"new"}} },
	"chat.delete":        func(d *deed) url.Values { return url.Values{"channel": {"C1"}, "ts": {d.post()}} },
	"reactions.add": func(d *deed) url.Values {
		return url.Values{"channel": {"C1"}, "timestamp": {d.post()}, "name": {"eyes"}}
	},
	"conversations.open": func(*deed) url.Values { return url.Values{"users": {"U2"}} },
	"conversations.join": func(*deed) url.Values { return url.Values{"channel": {"C4"}} },
	"files.completeUploadExternal": func(d *deed) url.Values {
		return url.Values{"channel_id": {"C1"}, "files": {formJSON([]any{map[string]string{"id": d.upload()}})}}
	},
	"views.open": func(d *deed) url.Values {
		trigger, _ := d.command()
		return url.Values{"trigger_id": {trigger}, "view": {formJSON(form("New"))}}
	},
	"views.push": func(d *deed) url.Values {
		d.modal()
		d.do(d.b.ana.Click(d.ctx, slacksim.Target{ActionID: "more"}))
		return url.Values{"trigger_id": {<-d.triggers}, "view": {formJSON(form("New"))}}
	},
	"views.update": func(d *deed) url.Values {
		return url.Values{"view_id": {d.modal().ID}, "view": {formJSON(form("New"))}}
	},
	"views.publish": func(*deed) url.Values {
		home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{section("New")}}}
		return url.Values{"user_id": {"U1"}, "view": {formJSON(home)}}
	},
	"response_url": func(d *deed) url.Values {
		_, replyURL := d.command()
		d.path = strings.TrimPrefix(replyURL, "http://slack.test")
		return url.Values{"text": {"new"}}
	},
}

// TestFail_Effect loses the answer of every deed, once before it took effect and once after.
// What is seen afterwards has to differ in just the second case.
func TestFail_Effect(t *testing.T) {
	for _, method := range slices.Sorted(maps.Keys(deeds)) {
		for _, name := range slices.Sorted(maps.Keys(spoilt)) {
			for _, apply := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", method, name, apply), func(t *testing.T) {
					bubble(t, slacksim.Config{Burst: -1}, func(t *testing.T, b *bench, ctx context.Context) {
						d := &deed{
							t: t, ctx: ctx, b: b, path: "/api/" + method, triggers: make(chan string, 9), replies: make(chan string, 9),
						}
						b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
							switch data := ev.Data.(type) {
							case slack.SlashCommand:
								d.triggers <- data.TriggerID
								d.replies <- data.ResponseURL
							case slack.InteractionCallback:
								d.triggers <- data.TriggerID
							}
							ack()
						})
						arguments := deeds[method](d)
						before, way := d.world(), spoilt[name]
						way.fault.Apply = apply
						b.sim.Fail(method, way.fault)
						start := time.Now()
						if resp, err := b.send(ctx, d.path, arguments); !way.seen(resp, err, time.Since(start)) {
							t.Errorf("the client sees %+v, %v after %v", resp, err, time.Since(start))
						}
						if applied := d.world() != before; applied != apply {
							t.Errorf("it took effect: %v, want %v", applied, apply)
						}
					})
				})
			}
		}
	}
}

// TestFailEnvelope plans a fault for the first of two deliveries of each kind.
func TestFailEnvelope(t *testing.T) {
	kinds := map[string]func(ctx context.Context, b *bench, text string) error{
		"slash_commands": func(ctx context.Context, b *bench, text string) error {
			_, err := b.ana.Command(ctx, "C1", "/rotate-key", text)
			return err
		},
		"interactive": func(ctx context.Context, b *bench, text string) error {
			return b.ana.Click(ctx, slacksim.Target{Channel: "C1", ActionID: text})
		},
		"events_api": func(ctx context.Context, b *bench, text string) error { return b.ana.Say(ctx, b.sim.BotUserID(), text) },
	}
	for _, test := range []struct {
		name     string
		fault    slacksim.EnvelopeFault
		want     string // what the app got, in this order
		failures int    // that a person sees
		events   string // the same of events: they come again, and nobody waits for them
	}{
		{"none", slacksim.EnvelopeFault{}, "1 2", 0, "1 2"},
		{"lose", slacksim.EnvelopeFault{Lose: true}, "2", 1, "2 1"},
		{"lose the acknowledgement", slacksim.EnvelopeFault{LoseAck: true}, "1 2", 1, "1 2 1"},
		{"duplicate", slacksim.EnvelopeFault{Duplicate: true}, "1 1 2", 0, "1 1 2"},
		{"reorder", slacksim.EnvelopeFault{Reorder: true}, "2 1", 0, "2 1"},
		{"delay", slacksim.EnvelopeFault{Delay: 2 * time.Second}, "2 1", 0, "2 1"},
		{"delay too long", slacksim.EnvelopeFault{Delay: 4 * time.Second}, "2 1", 1, "2 1 1"},
	} {
		for kind, deliver := range kinds {
			want, wantFailures := test.want, test.failures
			if kind == "events_api" {
				want, wantFailures = test.events, 0
			}
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
					var got journal
					b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
						got.add(textOf(ev))
						ack()
					})
					if _, _, err := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText("x", false), slack.MsgOptionBlocks(buttons("1", "2"))); err != nil {
						t.Fatal(err)
					}
					b.sim.FailEnvelope(kind, test.fault)
					var failures atomic.Int32
					var wg sync.WaitGroup
					for _, text := range []string{"1", "2"} {
						wg.Go(func() {
							if err := deliver(ctx, b, text); err != nil {
								failures.Add(1)
							}
						})
						synctest.Wait()
					}
					wg.Wait()
					time.Sleep(5 * time.Second)
					got.want(t, strings.Fields(want)...)
					if n := int(failures.Load()); n != wantFailures {
						t.Errorf("%d failures, want %d", n, wantFailures)
					}
				})
			})
		}
	}
}

// textOf is the text of a command or message, or the action clicked.
func textOf(ev socketmode.Event) string {
	switch data := ev.Data.(type) {
	case slack.SlashCommand:
		return data.Text
	case slack.InteractionCallback:
		return data.ActionCallback.BlockActions[0].ActionID
	case slackevents.EventsAPIEvent:
		if m, ok := data.InnerEvent.Data.(*slackevents.MessageEvent); ok {
			return m.Text
		}
	}
	return string(ev.Type)
}

// plug opens a bare socket, and returns a function that reads the type and reason of the next frame, or "silence" or "end".
func plug(t *testing.T, b *bench) (*websocket.Conn, func() string) {
	t.Helper()
	_, url, err := b.api.StartSocketModeContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := b.sim.SocketDialer().DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	pinged := false
	conn.SetPingHandler(func(string) error { pinged = true; return nil })
	return conn, func() string {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		var frame struct{ Type, Reason string }
		err := conn.ReadJSON(&frame)
		late, ok := errors.AsType[net.Error](err)
		switch ok = ok && late.Timeout(); {
		case ok && pinged:
			return "pings"
		case ok:
			return "silence"
		case err != nil:
			return "end"
		}
		return strings.TrimSpace(frame.Type + " " + frame.Reason)
	}
}

func TestFailSocket(t *testing.T) {
	for name, test := range map[string]struct {
		fault slacksim.SocketFault
		want  []string
	}{
		"none":       {slacksim.SocketFault{}, []string{"hello", "pings"}},
		"cut":        {slacksim.SocketFault{Cut: true}, []string{"end"}},
		"mute":       {slacksim.SocketFault{Mute: true}, []string{"silence"}},
		"disconnect": {slacksim.SocketFault{Disconnect: "warning"}, []string{"hello", "disconnect warning", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, _ context.Context) {
				b.sim.FailSocket(test.fault)
				_, next := plug(t, b)
				for _, want := range test.want {
					if got := next(); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				if _, next := plug(t, b); next() != "hello" {
					t.Error("the fault hits a second socket")
				}
			})
		})
	}
}

func TestFailSocket_NoClose(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, _ context.Context) {
			b.sim.FailSocket(slacksim.SocketFault{NoClose: deaf})
			conn, next := plug(t, b)
			next()
			err := conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
			if got := next(); err != nil || (got == "end") == deaf {
				t.Errorf("deaf %v: after a close frame comes %q, %v", deaf, got, err)
			}
			if synctest.Wait(); !strings.Contains(string(b.sim.Traffic()), "close received\n1000\n") {
				t.Error("the close frame is not on record")
			}
		})
	}
}

func TestWarn(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, _ context.Context) {
		_, next := plug(t, b)
		next()
		b.sim.Warn()
		if got := next(); got != "disconnect warning" {
			t.Errorf("got %q, want a warning", got)
		}
		if !b.sim.Push([]byte(`{"type":"still"}`)) || next() != "still" {
			t.Error("a warned socket takes nothing")
		}
		got := next()
		synctest.Wait() // until the workspace has noticed too
		if got != "end" || b.sim.Push([]byte(`{}`)) {
			t.Errorf("ten seconds later comes %q", got)
		}
	})
}
