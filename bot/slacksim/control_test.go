package slacksim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// page is a browser on the control face.
type page struct {
	t      *testing.T
	server *httptest.Server
}

func openPage(t *testing.T, b *bench) page {
	server := httptest.NewServer(b.sim.Control())
	t.Cleanup(server.Close)
	return page{t, server}
}

func (p page) post(route string, body any) map[string]any {
	p.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.server.URL+"/slack/"+route, strings.NewReader(string(raw)))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("X-Sandbox", "1")
	return p.do(req)
}

func (p page) screen(as string) slacksim.Screen {
	p.t.Helper()
	var out slacksim.Screen
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.server.URL+"/slack/screen?as="+as, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	raw, err := json.Marshal(p.do(req))
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p page) do(req *http.Request) map[string]any {
	p.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		p.t.Fatalf("%s %s: status %d, %q", req.Method, req.URL.Path, resp.StatusCode, raw)
	}
	return out
}

func TestControl_Story(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
		switch data := ev.Data.(type) {
		case slack.SlashCommand:
			view := form("Rotate " + data.Text)
			if data.ChannelName == "directmessage" {
				view.Title = plainText("From a DM")
			}
			_, err := b.api.OpenViewContext(ctx, data.TriggerID, view)
			b.must(ctx, "open", err)
		case slack.InteractionCallback:
			if data.Type == slack.InteractionTypeViewSubmission && data.View.State.Values["reason"]["text"].Value == "bad" {
				ack(slack.NewErrorsViewSubmissionResponse(map[string]string{"reason": "No"}))
				return
			}
		}
		ack()
	})
	p := openPage(t, b)
	if got := p.post("command", map[string]any{"as": "U1", "channel": "C1", "text": "/rotate-key  my key "}); got["ok"] != true {
		t.Fatalf("command: %v", got)
	}
	view := p.screen("U1").Views[0]
	if view.Title != "Rotate my key" || view.Submit != "Send" || len(view.Blocks) != 2 {
		t.Fatalf("view: %+v", view)
	}
	fill := func(text string) map[string]any {
		return p.post("submit", map[string]any{"as": "U1", "view": view.ID, "values": map[string]any{
			"reason": map[string]any{"text": text}, "account": map[string]any{"pick": []string{"two"}},
		}})
	}
	want := map[string]any{"ok": false, "error": "Some fields need another look.", "errors": map[string]any{"reason": "No"}}
	if diff := cmp.Diff(want, fill("bad")); diff != "" {
		t.Errorf("submit (-want +got):\n%s", diff)
	}
	if got := p.screen("U1").Views[0]; got.Errors["reason"] != "No" {
		t.Errorf("errors on the screen: %v", got.Errors)
	}
	if got := fill("good"); got["ok"] != true || len(p.screen("U1").Views) != 0 {
		t.Errorf("submit: %v", got)
	}

	if _, _, err := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText("x", false), slack.MsgOptionBlocks(buttons("go"))); err != nil {
		t.Fatal(err)
	}
	m, _ := p.screen("U1").Channels[0].Last()
	click := map[string]any{"as": "U1", "channel": "C1", "ts": m.TS, "block_id": "buttons", "action_id": "go", "value": "v-go", "selected": nil}
	if got := p.post("click", click); got["ok"] != true {
		t.Errorf("click: %v", got)
	}
	click["action_id"] = "gone"
	if got := p.post("click", click); got["ok"] != false || got["error"] == "" {
		t.Errorf("click on nothing: %v", got)
	}
	if got := p.screen("U1").Channels[0].Unread; got != 1 {
		t.Errorf("%d unread, want 1", got)
	}
	p.post("read", map[string]any{"as": "U1", "channel": "C1"})
	if got := p.screen("U1").Channels[0].Unread; got != 0 {
		t.Errorf("%d unread after reading", got)
	}
	if got := p.post("command", map[string]any{"as": "U1", "channel": "C1", "text": "hello"}); got["ok"] != true {
		t.Errorf("say: %v", got)
	}
	if last, _ := p.screen("U2").Channels[0].Last(); last.Text != "hello" || last.User != "U1" {
		t.Errorf("ben sees %+v", last)
	}
	p.post("home", map[string]any{"as": "U1"})
	p.post("command", map[string]any{"as": "U1", "channel": "D1", "text": "/rotate-key"})
	view = p.screen("U1").Views[0]
	if view.Title != "From a DM" {
		t.Errorf("view: %q", view.Title)
	}
	if got := p.post("close", map[string]any{"as": "U1", "view": view.ID}); got["ok"] != true || len(p.screen("U1").Views) != 0 {
		t.Errorf("close: %v", got)
	}
	if got := p.post("home", map[string]any{"as": "U3"}); got["ok"] != false {
		t.Errorf("a deactivated member opened the home tab: %v", got)
	}
}

func TestControl_Guard(t *testing.T) {
	sim := slacksim.New(slacksim.Config{})
	populate(sim)
	for _, test := range []struct {
		name, method, target, host, header string
		want                               int
	}{
		{"screen", "GET", "/slack/screen?as=U1", "localhost:8080", "", 200},
		{"screen with the prefix cut off", "GET", "/screen?as=U1", "127.0.0.1:8080", "", 200},
		{"IPv6", "GET", "/slack/screen?as=U1", "[::1]:8080", "", 200},
		{"rebound name", "GET", "/slack/screen?as=U1", "evil.example:8080", "", 403},
		{"name that only begins like it", "GET", "/slack/screen?as=U1", "127.0.0.1.evil.example", "", 403},
		{"post", "POST", "/slack/read", "localhost", "1", 200},
		{"post without the header", "POST", "/slack/read", "localhost", "", 403},
		{"get of a deed", "GET", "/slack/read", "localhost", "1", 405},
		{"unknown", "GET", "/slack/nothing", "localhost", "", 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.target, strings.NewReader(`{"as":"U1","channel":"C1"}`))
			r.Host = test.host
			if test.header != "" {
				r.Header.Set("X-Sandbox", test.header)
			}
			w := httptest.NewRecorder()
			sim.Control().ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("status %d, want %d: %s", w.Code, test.want, w.Body)
			}
		})
	}
}

func TestTraffic(t *testing.T) {
	b := onNetwork(t, slacksim.Config{KeepTraffic: 3000})
	ctx := t.Context()
	b.run(ctx, ackOnly)
	if _, _, err := b.api.PostMessageContext(ctx, "U1", slack.MsgOptionText("needle one", false)); err != nil {
		t.Fatal(err)
	}
	openPage(t, b).screen("U1")
	var seen []string
	for _, exchange := range b.sim.Exchanges() {
		name, rest, _ := strings.Cut(string(exchange), "\n")
		if strings.Contains(rest, "needle") {
			seen = append(seen, name)
		}
	}
	if len(seen) == 0 || strings.Count(string(b.sim.Traffic()), "needle one") < 2 {
		t.Errorf("the text was seen in %v", seen)
	}
	for range 20 {
		if _, err := b.api.AuthTestContext(ctx); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, exchange := range b.sim.Exchanges() {
		total += len(exchange)
	}
	if total > 3000 {
		t.Errorf("%d bytes kept, want at most 3000", total)
	}
}
