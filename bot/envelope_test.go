package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// frames are envelopes as Slack sends them, by name.
var frames = map[string]string{
	"command": `{"envelope_id":"e-1","type":"slash_commands","accepts_response_payload":true,"payload":{"token":"t","team_id":"T1","team_domain":"acme",` +
		`"channel_id":"C1","channel_name":"general","user_id":"U1","user_name":"ana","command":"/rotate-key","text":" status ","api_app_id":"A1",` +
		`"is_enterprise_install":"false","response_url":"https://hooks.slack.com/commands/T1/1/x","trigger_id":"1.2.ab"}}`,
	"click": `{"envelope_id":"e-2","type":"interactive","payload":{"type":"block_actions","user":{"id":"U1","name":"ana","team_id":"T1"},"api_app_id":"A1",` +
		`"container":{"type":"message","message_ts":"1700000000.000100","channel_id":"C1","is_ephemeral":false},"trigger_id":"1.2.ab","team":{"id":"T1"},` +
		`"enterprise":null,"channel":{"id":"C1","name":"general"},"message":{"text":"wJalrXUtnFEMI","blocks":[{"type":"from_tomorrow","x":[1]}]},` +
		`"state":{"values":{}},"response_url":"https://hooks.slack.com/actions/T1/1/x","actions":[{"type":"button","action_id":"approve","block_id":"ask1",` +
		`"value":"mfrggzdf-1.1","text":{"type":"plain_text","text":"Approve"}}]}}`,
	"menu on an ephemeral message": `{"envelope_id":"e-3","type":"interactive","payload":{"type":"block_actions","user":{"id":"U1"},"team":null,` +
		`"container":{"type":"message","message_ts":"1.1","channel_id":"C1","is_ephemeral":true},"actions":[{"type":"overflow","action_id":"more","block_id":"b",` +
		`"selected_option":{"value":"close mfrggzdf-1.7"}}]}}`,
	"form": `{"envelope_id":"e-4","type":"interactive","payload":{"type":"view_submission","team":{"id":"T1"},"user":{"id":"U1"},"api_app_id":"A1","trigger_id":"1.2.ab",` +
		`"view":{"id":"V1","callback_id":"reason:deny","private_metadata":"mfrggzdf-1.1","blocks":[{"type":"from_tomorrow"}],` +
		`"state":{"values":{"reason":{"reason":{"type":"plain_text_input","value":"not now"}},"other":{"x":{"type":"checkboxes","selected_options":[]}}}}}}}`,
	"choice in a form": `{"envelope_id":"e-5","type":"interactive","payload":{"type":"block_actions","user":{"id":"U1"},"view":{"id":"V1","state":{"values":{}}},"actions":[{"action_id":"what"}]}}`,
	"closed form":      `{"envelope_id":"e-6","type":"interactive","payload":{"type":"view_closed","user":{"id":"U1"},"view":{"id":"V1"}}}`,
	"event": `{"envelope_id":"e-7","type":"events_api","retry_attempt":2,"retry_reason":"timeout","payload":{"team_id":"T1","api_app_id":"A1","type":"event_callback",` +
		`"event_id":"Ev1","event":{"type":"app_home_opened","user":"U1","tab":"home"}}}`,
	"event about a member": `{"envelope_id":"e-8","type":"events_api","payload":{"type":"event_callback","event_id":"Ev2","event":{"type":"user_change","user":{"id":"U2","deleted":true}}}}`,
	"limited":              `{"envelope_id":"e-9","type":"events_api","payload":{"type":"app_rate_limited","team_id":"T1"}}`,
}

func TestReadLetter(t *testing.T) {
	want := map[string]letter{
		"command": {
			Kind: kindCommand, Member: "U1", Channel: "C1", ReplyTo: "https://hooks.slack.com/commands/T1/1/x", Command: "/rotate-key", Text: "status",
			ID: "e-1", Trigger: "1.2.ab", Team: "T1", App: "A1",
		},
		"click": {
			Kind: kindClick, Member: "U1", Channel: "C1", ReplyTo: "https://hooks.slack.com/actions/T1/1/x",
			Clicks: []clicked{{"approve", "mfrggzdf-1.1", "ask1"}}, Message: place{"C1", "1700000000.000100"}, ID: "e-2", Trigger: "1.2.ab", Team: "T1", App: "A1",
		},
		"menu on an ephemeral message": {
			Kind: kindClick, Member: "U1", Channel: "C1", Clicks: []clicked{{"more", "close mfrggzdf-1.7", "b"}}, ID: "e-3",
		},
		"form": {
			Kind: kindSubmission, Member: "U1", View: "V1", Callback: "reason:deny", Metadata: "mfrggzdf-1.1", Inputs: map[string]string{"reason": "not now"},
			ID: "e-4", Trigger: "1.2.ab", Team: "T1", App: "A1",
		},
		"choice in a form":     {Member: "U1", ID: "e-5"},
		"closed form":          {Member: "U1", ID: "e-6"},
		"event":                {Kind: kindEvent, Member: "U1", Event: "app_home_opened", ID: "Ev1", Team: "T1", App: "A1"},
		"event about a member": {Kind: kindEvent, Member: "U2", Event: "user_change", ID: "Ev2"},
		"limited":              {ID: "e-9", Team: "T1"},
	}
	for name, raw := range frames {
		t.Run(name, func(t *testing.T) {
			f, err := openFrame([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			got, err := readLetter(f, nil)
			if diff := cmp.Diff(want[name], got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if got.Kind == "" {
				return
			}
			body, err := got.encode()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(body, []byte("wJalr")) {
				t.Errorf("what stood in the message is kept: %s", body)
			}
			kept, err := decodeLetter(body)
			got.ID, got.Trigger, got.Team, got.App = "", "", "", ""
			if diff := cmp.Diff(got, kept); diff != "" || err != nil {
				t.Errorf("kept: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestReadLetter_Limits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("é", n/2) }
	read := func(kind, payload string) (letter, error) {
		return readLetter(frame{Type: kind, ID: "e", Payload: json.RawMessage(payload)}, nil)
	}
	l, err := read("slash_commands", `{"user_id":"U1","command":"/rotate-key","text":"x`+long(2*maxCommand)+`"}`)
	if err != nil || l.Text != "?" {
		t.Errorf("a long text is kept as %q, %v", l.Text, err)
	}
	click := `{"type":"block_actions","user":{"id":"U1"},"actions":[%s]}`
	view := `{"type":"view_submission","user":{"id":"U1"},"view":{"id":"V1","callback_id":"request","private_metadata":"%s","state":{"values":{"key":{"key":{"value":"%s"}}}}}}`
	for name, tt := range map[string]struct{ kind, payload string }{
		"a member":        {"slash_commands", `{"user_id":"U` + long(maxID+2) + `","command":"/rotate-key"}`},
		"a response URL":  {"slash_commands", `{"user_id":"U","command":"/rotate-key","response_url":"h` + long(maxURL) + `"}`},
		"a value":         {"interactive", fmt.Sprintf(click, `{"action_id":"approve","value":"x`+long(maxValue)+`"}`)},
		"an action":       {"interactive", fmt.Sprintf(click, `{"action_id":"x`+long(maxID+2)+`"}`)},
		"a block":         {"interactive", fmt.Sprintf(click, `{"action_id":"x","block_id":"x`+long(maxID+2)+`"}`)},
		"six clicks":      {"interactive", fmt.Sprintf(click, `{},{},{},{},{},{}`)},
		"no click":        {"interactive", fmt.Sprintf(click, ``)},
		"metadata":        {"interactive", fmt.Sprintf(view, "x"+long(maxMetadata), "")},
		"an input":        {"interactive", fmt.Sprintf(view, "", "x"+long(maxInput))},
		"nobody":          {"interactive", fmt.Sprintf(strings.Replace(view, "U1", "", 1), "", "")},
		"another's form":  {"interactive", fmt.Sprintf(strings.Replace(view, "request", "theirs", 1), "", "")},
		"another move":    {"interactive", fmt.Sprintf(strings.Replace(view, "request", "reason:approve", 1), "", "")},
		"no command":      {"slash_commands", `{"user_id":"U1"}`},
		"no payload":      {"slash_commands", ``},
		"a shortcut":      {"interactive", `{"type":"shortcut","user":{"id":"U1"}}`},
		"a nameless one":  {"events_api", `{"type":"event_callback","event_id":"E","event":{}}`},
		"one without id":  {"events_api", `{"type":"event_callback","event":{"type":"user_change"}}`},
		"an unknown type": {"hello_again", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := read(tt.kind, tt.payload)
			if _, ok := errors.AsType[unreadable](err); !ok {
				t.Errorf("got %+v, %v; want that it is unreadable", l, err)
			}
		})
	}
}

func TestDecodeLetter_Strict(t *testing.T) {
	good := `{"schema":1,"kind":"click","member":"U1"}`
	if _, err := decodeLetter([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"nothing": ``, "no JSON": `{"schema":1,`, "no object": `[]`, "no schema": `{"kind":"click"}`, "a newer schema": `{"schema":2,"kind":"click"}`,
		"an unknown field": `{"schema":1,"kind":"click","mood":"good"}`, "two": good + good, "an unknown kind": `{"schema":1,"kind":"wink"}`, "no kind": `{"schema":1}`,
		"another type": `{"schema":1,"kind":"click","member":7}`,
	} {
		if l, err := decodeLetter([]byte(body)); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestInbox_Malformed(t *testing.T) {
	for name, tt := range map[string]struct {
		frame  string // URL stands for a response URL that works
		acks   string // how the acknowledgement begins; empty: there is none
		answer bool   // through the response URL
		count  string
	}{
		"no JSON":                  {frame: `{"envelope_id":"m"`},
		"no object":                {frame: `["m"]`},
		"nothing":                  {frame: ``},
		"null":                     {frame: `null`},
		"no id":                    {frame: `{"type":"slash_commands","payload":{}}`},
		"an id that is no text":    {frame: `{"type":"slash_commands","envelope_id":7,"payload":{}}`},
		"no type":                  {frame: `{"envelope_id":"m","payload":{"user_id":"U1"}}`, acks: `{"envelope_id":"m"}`},
		"a type that is no text":   {frame: `{"envelope_id":"m","type":7}`, acks: `{"envelope_id":"m"}`},
		"an unknown type":          {frame: `{"envelope_id":"m","type":"workflow","payload":{"response_url":"URL"}}`, acks: `{"envelope_id":"m"}`, answer: true},
		"a command without a form": {frame: `{"envelope_id":"m","type":"slash_commands"}`, acks: `{"envelope_id":"m","payload":{"response_type":"ephemeral","text":"Keyturner could not read this; `},
		"a command by a number":    {frame: `{"envelope_id":"m","type":"slash_commands","payload":{"user_id":7,"response_url":"URL"}}`, acks: `{"envelope_id":"m","payload":{"response_type":"ephemeral","text":"Keyturner could not read this; `},
		"a click that is none":     {frame: `{"envelope_id":"m","type":"interactive","payload":{"type":"block_actions","actions":"x","response_url":"URL"}}`, acks: `{"envelope_id":"m"}`, answer: true},
		"another's form":           {frame: `{"envelope_id":"m","type":"interactive","payload":{"type":"view_submission","user":{"id":"U1"},"view":{"callback_id":"theirs"}}}`, acks: `{"envelope_id":"m","payload":{"response_action":"update","view":{"type":"modal"`},
		"a shortcut":               {frame: `{"envelope_id":"m","type":"interactive","payload":{"type":"message_action","user":{"id":"U1"},"response_url":"URL"}}`, acks: `{"envelope_id":"m"}`, answer: true},
		"an event without a name":  {frame: `{"envelope_id":"m","type":"events_api","payload":{"type":"event_callback","event_id":"E"}}`, acks: `{"envelope_id":"m"}`},
		"of another team":          {frame: `{"envelope_id":"m","type":"interactive","payload":{"type":"block_actions","user":{"id":"UALICE"},"team":{"id":"T9"},"actions":[{}],"response_url":"URL"}}`, acks: `{"envelope_id":"m"}`, answer: true},
		"for another app":          {frame: `{"envelope_id":"m","type":"slash_commands","payload":{"user_id":"UALICE","command":"/rotate-key","api_app_id":"A9"}}`, acks: `{"envelope_id":"m","payload":{"response_type":"ephemeral","text":"Keyturner could not read this; `},
		"asks for nothing":         {frame: frames["closed form"], acks: `{"envelope_id":"e-6"}`, count: "envelope_ignored"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				p := w.boot()
				if _, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", "help"); err != nil {
					t.Fatal(err)
				}
				url := regexp.MustCompile(`"response_url":"([^"]+)"`).FindSubmatch(w.sim.Traffic())[1]
				time.Sleep(time.Second)
				before, answers := exchanges(w.sim, "frame received\n"), exchanges(w.sim, "response_url\n")
				w.sim.Push([]byte(strings.ReplaceAll(tt.frame, "URL", string(url))))
				time.Sleep(time.Second)
				acks := exchanges(w.sim, "frame received\n") - before
				if want := min(len(tt.acks), 1); acks != want || want == 1 && exchanges(w.sim, "frame received\n"+tt.acks) != 1 {
					t.Errorf("%d acknowledgements, want %s", acks, tt.acks)
				}
				if got := exchanges(w.sim, "response_url\n") - answers; got != 0 != tt.answer || tt.answer && !strings.Contains(told(w.olivia, wApprovals), "could not read this; nothing was done") {
					t.Errorf("%d answers", got)
				}
				if tt.count == "" {
					tt.count = "envelope_unreadable"
				}
				if n := p.bot.Counts()[tt.count]; n != 1 {
					t.Errorf("counts %v", p.bot.Counts())
				}
				if logged := p.wrote.String(); strings.Contains(logged, "UALICE") || strings.Contains(logged, "hooks") {
					t.Errorf("the log has what was in it:\n%s", logged)
				}
				if _, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", "help"); err != nil || opens(w.sim) != sockets {
					t.Errorf("afterwards: %v, %d connections", err, opens(w.sim))
				}
				p.end()
			})
		})
	}
}

// listener keeps what was acknowledged.
type listener struct{ ids []string }

func (l *listener) ack(id string, _ any) error {
	l.ids = append(l.ids, id)
	return nil
}

// agreeable is a Slack that says yes to everything.
type agreeable struct{}

func (agreeable) RoundTrip(r *http.Request) (*http.Response, error) {
	body := `{"ok":true,"channel":"C1","ts":"1.1","view":{"id":"V1"},"user":{"id":"U1","team_id":"T1"},"members":[]}`
	if !strings.Contains(r.URL.Path, "/api/") {
		body = "ok"
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// alone makes a bot on such a Slack, with a store of its own.
func alone(tb testing.TB, wrote *ledger) *Bot {
	tb.Helper()
	api := slack.New("xoxb-x", slack.OptionHTTPClient(&http.Client{Transport: agreeable{}}))
	people := &People{Slack: api, Approvers: []rotation.MemberID{"U1"}}
	people.setTeam("T1")
	outbox := NewOutbox(OutboxConfig{Slack: api, People: people})
	engine, err := rotation.New(rotation.Config{Store: store.NewMem(), Hand: outbox})
	if err != nil {
		tb.Fatal(err)
	}
	later := func(t time.Time) time.Time { return t.Add(time.Hour) }
	b, err := New(Config{
		Slack: api, Engine: engine, Outbox: outbox, People: people, Approvals: "C1", OnCall: "C2", Scan: later, Digest: later, Logger: wrote.logger(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	b.events = map[string]func(context.Context, caller, letter){"user_change": func(context.Context, caller, letter) {}}
	return b
}

// FuzzEnvelope holds every frame that can come to this: it is acknowledged once if its id can be read, and never panics; what is kept of
// it is small, and is read again as it was.
func FuzzEnvelope(f *testing.F) {
	for _, raw := range frames {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fr, err := openFrame(raw)
		id, readable := envelopeID(raw)
		if readable && (err != nil || fr.ID != id) {
			t.Fatalf("the id %q is read as %q, %v", id, fr.ID, err)
		}
		if err != nil {
			return
		}
		if l, err := readLetter(fr, nil); err == nil && l.Kind != "" {
			checkKept(t, l)
		}
		var wrote ledger
		b, heard := alone(t, &wrote), &listener{}
		b.receive(t.Context(), delivery{frame: fr, app: "A1", at: time.Now(), from: heard, recorded: func() {}, settled: func() {}})
		b.work.Wait()
		if fr.ID != "" && (len(heard.ids) != 1 || heard.ids[0] != fr.ID) || fr.ID == "" && len(heard.ids) > 0 {
			t.Errorf("acknowledged: %q, want %q once", heard.ids, fr.ID)
		}
		if logged := wrote.String(); strings.Contains(logged, "msg=panic") || b.inbox.writable() != nil {
			t.Errorf("%v\n%s", b.inbox.writable(), logged)
		}
		err = b.cfg.Engine.Waiting(t.Context(), func(v rotation.Envelope) error { return fmt.Errorf("%q waits", v.ID) })
		if err != nil {
			t.Error(err)
		}
	})
}

// envelopeID reads the id in another way. Which of two counts that differ in case is left open.
func envelopeID(raw []byte) (id string, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return "", false
	}
	for name := range fields {
		if name != "envelope_id" && strings.EqualFold(name, "envelope_id") {
			return "", false
		}
	}
	err := json.Unmarshal(fields["envelope_id"], &id)
	return id, err == nil && id != ""
}

func checkKept(t *testing.T, l letter) {
	t.Helper()
	body, err := l.encode()
	if err != nil {
		return
	}
	if len(body) > maxLetter {
		t.Errorf("%d bytes are kept", len(body))
	}
	kept, err := decodeLetter(body)
	l.ID, l.Trigger, l.Team, l.App = "", "", "", ""
	if diff := cmp.Diff(l, kept); diff != "" || err != nil {
		t.Errorf("%v (-was +is):\n%s", err, diff)
	}
}

// FuzzLetter reads what might stand in a store: no panic, and what is understood is written as it was read.
func FuzzLetter(f *testing.F) {
	for _, raw := range frames {
		fr, err := openFrame([]byte(raw))
		if err != nil {
			f.Fatal(err)
		}
		if l, err := readLetter(fr, nil); err == nil && l.Kind != "" {
			body, err := l.encode()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := decodeLetter(body)
		if err != nil {
			return
		}
		first, err := l.encode()
		if err != nil {
			return
		}
		again, err := decodeLetter(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.encode(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%v:\n%s\n%s", err, first, second)
		}
	})
}
