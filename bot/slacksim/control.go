package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxControlBody bounds a request to the control face.
const maxControlBody = 1 << 20

// Control is the control face, for a page that shows the workspace: JSON below /slack/, or
// below the root when a mux has cut the prefix off. It stands apart from the protocol face
// and asks for no token, so it guards itself: a POST must carry the header X-Sandbox: 1,
// which a form on another site cannot send, and the Host must be this machine's, which
// that of a rebound DNS name is not.
//
// Escaping what members and the app wrote is the page's duty.
//
//	GET  /slack/screen?as=U1
//	GET  /slack/files/F1?as=U1
//	POST /slack/command  {"as","channel","text"}
//	POST /slack/click    {"as","channel","ts","view","block_id","action_id","value","selected"}
//	POST /slack/submit   {"as","view","values":{block:{action:"v"|["v"]}}}
//	POST /slack/close    {"as","view"}
//	POST /slack/read     {"as","channel"}
//	POST /slack/home     {"as"}
//
// A POST is answered once the app has acknowledged: {"ok":true}, or {"ok":false,"error"}.
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /screen", func(w http.ResponseWriter, r *http.Request) {
		s.answerControl(w, r, nil, s.As(r.URL.Query().Get("as")).Screen())
	})
	mux.HandleFunc("GET /files/{id}", s.serveFile)
	for route, act := range map[string]func(context.Context, *Person, controlRequest) (map[string]string, error){
		"POST /command": controlCommand,
		"POST /click":   controlClick,
		"POST /submit":  controlSubmit,
		"POST /close":   controlClose,
		"POST /read": func(_ context.Context, p *Person, q controlRequest) (map[string]string, error) {
			return nil, p.Read(q.Channel)
		},
		"POST /home": func(ctx context.Context, p *Person, _ controlRequest) (map[string]string, error) {
			return nil, p.OpenHome(ctx)
		},
	} {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { s.serveControl(w, r, act) })
	}
	return guard(mux)
}

// guard refuses what a page of another site could make a browser send.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			http.Error(w, "this host is not served", http.StatusForbidden)
			return
		}
		if r.Method != http.MethodGet && r.Header.Get("X-Sandbox") != "1" {
			http.Error(w, "header X-Sandbox: 1 is missing", http.StatusForbidden)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/slack/") {
			r = r.Clone(r.Context())
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/slack")
		}
		next.ServeHTTP(w, r)
	})
}

// loopback reports whether a Host header names this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}

// controlRequest is the body of any POST.
type controlRequest struct {
	As       string                      `json:"as"`
	Channel  string                      `json:"channel"`
	Text     string                      `json:"text"`
	TS       string                      `json:"ts"`
	View     string                      `json:"view"`
	BlockID  string                      `json:"block_id"`
	ActionID string                      `json:"action_id"`
	Value    string                      `json:"value"`
	Selected picks                       `json:"selected"`
	Values   map[string]map[string]picks `json:"values"`
}

// picks is one string, several, or null.
type picks []string

// UnmarshalJSON takes "v", ["v"] and null.
func (p *picks) UnmarshalJSON(raw []byte) error {
	var one *string
	if err := json.Unmarshal(raw, &one); err == nil {
		if *p = nil; one != nil {
			*p = picks{*one}
		}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(p))
}

func (s *Sim) serveControl(w http.ResponseWriter, r *http.Request, act func(context.Context, *Person, controlRequest) (map[string]string, error)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	var q controlRequest
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err != nil {
		http.Error(w, "the body must be a JSON object", http.StatusBadRequest)
		return
	}
	errs, err := act(r.Context(), s.As(q.As), q)
	out := map[string]any{"ok": err == nil && len(errs) == 0}
	if len(errs) > 0 {
		out["errors"], out["error"] = errs, "Some fields need another look."
	}
	if err != nil {
		out["error"] = humanError(err)
	}
	s.answerControl(w, r, body, out)
}

// humanError words an error as Slack shows it.
func humanError(err error) string {
	switch {
	case errors.Is(err, ErrTrouble):
		return troubleConnect
	case errors.Is(err, ErrNoAnswer), errors.Is(err, ErrNoSocket):
		return noResponse
	}
	return strings.ReplaceAll(err.Error(), "slacksim: ", "")
}

func (s *Sim) answerControl(w http.ResponseWriter, r *http.Request, body []byte, value any) {
	out := mustJSON(value)
	s.pages.record("control "+r.URL.Path, body, out)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(out) // a page gone by now asks again
}

// controlCommand types into the composer: a line that begins with "/" is a command.
func controlCommand(ctx context.Context, p *Person, q controlRequest) (map[string]string, error) {
	if !strings.HasPrefix(q.Text, "/") {
		return nil, p.Say(ctx, q.Channel, q.Text)
	}
	command, text, _ := strings.Cut(strings.TrimSpace(q.Text), " ")
	_, err := p.Command(ctx, q.Channel, command, strings.TrimSpace(text))
	return nil, err
}

func controlClick(ctx context.Context, p *Person, q controlRequest) (map[string]string, error) {
	t := Target{Channel: q.Channel, TS: q.TS, ViewID: q.View, ActionID: q.ActionID, BlockID: q.BlockID, Value: q.Value}
	if q.View != "" {
		t.Channel, t.TS = "", ""
	}
	return nil, p.click(ctx, func() (aimed, []string, error) {
		at, err := p.sim.aim(p.id, t)
		return at, q.Selected, err
	})
}

func controlSubmit(ctx context.Context, p *Person, q controlRequest) (map[string]string, error) {
	return p.submit(ctx, func() (*view, error) {
		v := p.sim.top(p.id)
		if v == nil || v.id != q.View {
			return nil, notOnScreen("no view %q", q.View)
		}
		for blockID, actions := range q.Values {
			for actionID, chosen := range actions {
				b, el, err := match(v.blocks, p.id, Target{BlockID: blockID, ActionID: actionID})
				if err != nil {
					return nil, err
				}
				if err := p.sim.set(v, b, el, chosen); err != nil {
					return nil, err
				}
			}
		}
		return v, nil
	})
}

func controlClose(ctx context.Context, p *Person, q controlRequest) (map[string]string, error) {
	if top, ok := p.Screen().Top(); !ok || top.ID != q.View {
		return nil, notOnScreen("no view %q", q.View)
	}
	return nil, p.CloseView(ctx)
}
