package slacksim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// request is one call on the wire, as some client or other would write it.
type request struct {
	method, path, contentType, bearer, body string
}

func (b *bench) raw(t *testing.T, q request) (status int, header http.Header, body map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), q.method, b.url+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	if q.contentType != "" {
		req.Header.Set("Content-Type", q.contentType)
	}
	if q.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", q.path, err, raw)
	}
	return resp.StatusCode, resp.Header, body
}

func TestWire_Arguments(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1})
	bot, app := b.sim.BotToken(), b.sim.AppToken()
	const formType, jsonType = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	blocks := `[{"type":"divider"}]`
	form := url.Values{"channel": {"C1"}, "blocks": {blocks}, "text": {"a & b"}, "team_id": {"T1"}}
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	for key, values := range form {
		if err := w.WriteField(key, values[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		q    request
		want string
	}{
		{"form, token in the header", request{"POST", "chat.postMessage", formType, bot, form.Encode()}, "ok"},
		{"form, token in the body", request{"POST", "chat.postMessage", formType, "", form.Encode() + "&token=" + bot}, "ok"},
		{"multipart", request{"POST", "chat.postMessage", w.FormDataContentType(), bot, multi.String()}, "ok"},
		{"JSON", request{"POST", "chat.postMessage", jsonType, bot, `{"channel":"C1","text":"x","blocks":` + blocks + `,"thread_ts":null}`}, "ok"},
		{"query", request{"GET", "chat.postMessage?" + form.Encode(), "", bot, ""}, "ok"},
		{"blocks that are no list", request{"POST", "chat.postMessage", jsonType, bot, `{"channel":"C1","blocks":{}}`}, "invalid_blocks_format"},
		{"blocks that are no JSON", request{"POST", "chat.postMessage", formType, bot, "channel=C1&blocks=nope"}, "invalid_blocks_format"},
		{"attachments that are no JSON", request{"POST", "chat.postMessage", formType, bot, "channel=C1&attachments=nope"}, "invalid_attachments"},
		{"metadata that is no JSON", request{"POST", "chat.postMessage", formType, bot, "channel=C1&text=x&metadata=nope"}, "invalid_metadata_format"},
		{"markdown and text", request{"POST", "chat.postMessage", formType, bot, "channel=C1&text=x&markdown_text=x"}, "markdown_text_conflict"},
		{"markdown alone", request{"POST", "chat.postMessage", formType, bot, "channel=C1&markdown_text=x"}, "ok"},
		{"broken JSON", request{"POST", "chat.postMessage", jsonType, bot, `{"channel"`}, "invalid_json"},
		{"no token", request{"POST", "chat.postMessage", formType, "", form.Encode()}, "not_authed"},
		{"unknown method", request{"POST", "chat.shout", formType, bot, ""}, "unknown_method"},
		{"socket with an empty JSON body", request{"POST", "apps.connections.open", jsonType, app, ""}, "ok"},
		{"socket with an empty form", request{"POST", "apps.connections.open", formType, app, ""}, "ok"},
		{"socket by GET", request{"GET", "apps.connections.open", "", app, ""}, "insecure_request"},
		{"socket with the bot token", request{"POST", "apps.connections.open", "", bot, ""}, "not_allowed_token_type"},
		{"test", request{"POST", "api.test", formType, "", "foo=bar"}, "ok"},
		{"test of an error", request{"POST", "api.test", formType, "", "error=my_error"}, "my_error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, _, body := b.raw(t, test.q)
			got := "ok"
			if body["ok"] != true {
				got, _ = body["error"].(string)
			}
			if got != test.want || status != 200 {
				t.Errorf("%s (HTTP %d), want %s: %v", got, status, test.want, body)
			}
		})
	}
}

func TestWire_Errors(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Scopes: []string{"chat:write"}, Burst: 1})
	bot := b.sim.BotToken()
	post := request{"POST", "chat.postMessage", "application/json", bot, `{"channel":"C1","blocks":[{"type":"header"}]}`}
	_, header, body := b.raw(t, post)
	want := map[string]any{
		"ok": false, "error": "invalid_blocks", "errors": []any{"missing required field: text [json-pointer:/blocks/0]"},
		"response_metadata": map[string]any{"messages": []any{"[ERROR] missing required field: text [json-pointer:/blocks/0]"}},
	}
	if diff := cmp.Diff(want, body); diff != "" || !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
		t.Errorf("invalid blocks (-want +got):\n%s", diff)
	}
	_, _, body = b.raw(t, request{"GET", "users.info?user=U1", "", bot, ""})
	want = map[string]any{"ok": false, "error": "missing_scope", "needed": "users:read", "provided": "chat:write"}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("missing scope (-want +got):\n%s", diff)
	}
	post.body = `{"channel":"C1","text":"x"}`
	b.raw(t, post)
	status, header, body := b.raw(t, post)
	if status != http.StatusTooManyRequests || header.Get("Retry-After") != "1" || body["error"] != "ratelimited" {
		t.Errorf("too fast: HTTP %d, Retry-After %q, %v", status, header.Get("Retry-After"), body)
	}
}

// TestWire_Payloads compares whole payloads with the shapes Slack documents.
func TestWire_Payloads(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := onNetwork(t, slacksim.Config{Now: func() time.Time { return now }})
	ctx := t.Context()
	var saw payloads
	b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
		saw.add(ev.Request.Payload)
		ack()
	})
	picker := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, nil, "pick", slack.NewOptionBlockObject("v", plainText("V"), nil))
	card := slack.MsgOptionBlocks(slack.NewActionBlock("b1", slack.NewButtonBlockElement("go", "req-1", plainText("Go")).WithStyle(slack.StylePrimary), picker))
	_, ts, err := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText("card", false), card)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ana.Command(ctx, "C1", "/rotate-key", "for @ben in #key-approvals"); err != nil {
		t.Fatal(err)
	}
	if err := b.ana.Click(ctx, slacksim.Target{Channel: "C1", TS: ts, ActionID: "pick", Selected: "v"}); err != nil {
		t.Fatal(err)
	}
	if err := b.ana.Click(ctx, slacksim.Target{Channel: "C1", TS: ts, ActionID: "go"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.api.PostEphemeralContext(ctx, "C1", "U1", slack.MsgOptionText("psst", false), card); err != nil {
		t.Fatal(err)
	}
	if err := b.ana.Click(ctx, slacksim.Target{Channel: "C1", ActionID: "go"}); err != nil {
		t.Fatal(err)
	}
	command, click, hidden := saw.at(t, 0), saw.at(t, 2), saw.at(t, 3)

	user := map[string]any{"id": "U1", "username": "ana", "name": "ana", "team_id": "T0SANDBOX"}
	team := map[string]any{"id": "T0SANDBOX", "domain": "sandbox"}
	wantCommand := map[string]any{
		"token": "sandbox", "team_id": "T0SANDBOX", "team_domain": "sandbox", "channel_id": "C1", "channel_name": "key-approvals",
		"user_id": "U1", "user_name": "ana", "command": "/rotate-key", "text": "for <@U2|ben> in <#C1|key-approvals>",
		"api_app_id": "A0SANDBOX", "is_enterprise_install": "false", "response_url": "…", "trigger_id": "…",
	}
	if diff := cmp.Diff(wantCommand, command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	message, _ := click["message"].(map[string]any)
	if message["ts"] != ts || message["bot_id"] == nil || len(message["blocks"].([]any)) != 1 {
		t.Errorf("message in a click: %v", message)
	}
	delete(click, "message")
	option := map[string]any{"text": map[string]any{"type": "plain_text", "text": "V", "emoji": false}, "value": "v"}
	wantClick := map[string]any{
		"type": "block_actions", "user": user, "team": team, "api_app_id": "A0SANDBOX", "token": "sandbox", "enterprise": nil,
		"is_enterprise_install": false, "trigger_id": "…", "response_url": "…",
		"channel":   map[string]any{"id": "C1", "name": "key-approvals"},
		"container": map[string]any{"type": "message", "message_ts": ts, "channel_id": "C1", "is_ephemeral": false},
		"state": map[string]any{"values": map[string]any{"b1": map[string]any{
			"pick": map[string]any{"type": "static_select", "selected_option": option},
		}}},
		"actions": []any{map[string]any{
			"type": "button", "action_id": "go", "block_id": "b1", "value": "req-1", "style": "primary", "action_ts": "…",
			"text": map[string]any{"type": "plain_text", "text": "Go", "emoji": false},
		}},
	}
	if diff := cmp.Diff(wantClick, click); diff != "" {
		t.Errorf("click (-want +got):\n%s", diff)
	}
	if container, _ := hidden["container"].(map[string]any); container["is_ephemeral"] != true || hidden["message"] != nil || hidden["response_url"] == nil {
		t.Errorf("click on an ephemeral message: %v", hidden)
	}
}

// payloads keeps what came in envelopes, with what differs from run to run blanked.
type payloads struct{ journal }

func (p *payloads) add(raw json.RawMessage) { p.journal.add(string(raw)) }

func (p *payloads) at(t *testing.T, i int) map[string]any {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var out map[string]any
	if i >= len(p.lines) {
		t.Fatalf("%d payloads came, want more than %d", len(p.lines), i)
	}
	if err := json.Unmarshal([]byte(p.lines[i]), &out); err != nil {
		t.Fatal(err)
	}
	blank(out)
	return out
}

func blank(value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			blank(item)
		}
	case map[string]any:
		for key, item := range v {
			switch key {
			case "trigger_id", "response_url", "action_ts":
				v[key] = "…"
			default:
				blank(item)
			}
		}
	}
}

func TestHistory_Window(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := onNetwork(t, slacksim.Config{Now: func() time.Time { return now }})
	ctx := t.Context()
	var stamps []string
	for _, text := range []string{"a", "b", "c"} {
		_, ts, err := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText(text, false),
			slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "kt", EventPayload: map[string]any{"id": text}}))
		if err != nil {
			t.Fatal(err)
		}
		stamps = append(stamps, ts)
		now = now.Add(24 * time.Hour)
	}
	for _, test := range []struct {
		name   string
		params slack.GetConversationHistoryParameters
		want   string
	}{
		{"all", slack.GetConversationHistoryParameters{}, "cba"},
		{"after the first", slack.GetConversationHistoryParameters{Oldest: stamps[0]}, "cb"},
		{"from the first", slack.GetConversationHistoryParameters{Oldest: stamps[0], Latest: stamps[1], Inclusive: true}, "ba"},
		{"before the last", slack.GetConversationHistoryParameters{Latest: stamps[2]}, "ba"},
	} {
		test.params.ChannelID = "C1"
		page, err := b.api.GetConversationHistoryContext(ctx, &test.params)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, m := range page.Messages {
			got.WriteString(m.Text)
			if m.Metadata.EventType != "kt" || m.Metadata.EventPayload != nil {
				t.Errorf("%s: metadata %+v, want the type alone unless asked for", test.name, m.Metadata)
			}
		}
		if got.String() != test.want {
			t.Errorf("%s: %q, want %q", test.name, got.String(), test.want)
		}
	}
}
