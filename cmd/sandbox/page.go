package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
)

//go:embed page
var pageFiles embed.FS

// maxSkip bounds one leap of the clock, in hours.
const maxSkip = 24 * 366

// maxBody bounds what the page sends.
const maxBody = 1 << 20

// pageHandler serves the page, the control faces of both simulators, and what is the sandbox's own:
//
//	GET  /events            a stream: a line at every change, of what has changed
//	GET  /clock
//	POST /clock/skip        {"hours"}
//	GET  /apps/state
//	POST /apps/switch       {"account","user","key"}: the application of that user uses that key from now on
//	GET  /faults/state
//	POST /faults            {"name","on"}: breaks or mends something
//	POST /late/click        {"as","channel","message","action_id"}: a click on a message as it was earlier
//
// A POST of these is answered {"ok":true,…} or {"ok":false,"error"}.
func (w *world) pageHandler() http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.Handle("/slack/", w.slack.Control())
	mux.Handle("/aws/", w.aws.Control())
	mux.HandleFunc("GET /events", w.serveEvents)
	mux.HandleFunc("GET /clock", func(rw http.ResponseWriter, _ *http.Request) { writeJSON(rw, w.clockNow()) })
	mux.HandleFunc("GET /apps/state", func(rw http.ResponseWriter, _ *http.Request) {
		writeJSON(rw, map[string]any{"applications": w.applications.list()})
	})
	mux.HandleFunc("GET /faults/state", func(rw http.ResponseWriter, _ *http.Request) {
		writeJSON(rw, map[string]any{"faults": w.faults.list()})
	})
	mux.HandleFunc("POST /clock/skip", take(w.askedToSkip))
	mux.HandleFunc("POST /apps/switch", take(w.askedToSwitch))
	mux.HandleFunc("POST /faults", take(w.askedToBreak))
	mux.HandleFunc("POST /late/click", take(w.clickedLate))
	return withHeaders(guard(mux))
}

func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(rw, r)
	})
}

// guard refuses what a page of another site could make a browser send: a POST must carry a header that a form cannot send, and the
// Host must be this machine's, which that of a rebound DNS name is not.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case !loopback(r.Host):
			http.Error(rw, "the sandbox answers at a loopback address only, such as 127.0.0.1", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("X-Sandbox") != "1":
			http.Error(rw, "header X-Sandbox: 1 is missing", http.StatusForbidden)
		default:
			next.ServeHTTP(rw, r)
		}
	})
}

// loopback reports whether a host, with or without a port, can only be this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}

// writeJSON answers the page, which asks again if it has gone.
func writeJSON(rw http.ResponseWriter, value any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(value)
}

// take reads what the page asks for, does it, and answers with what do returns or why it did not succeed.
func take[T any](do func(context.Context, T) (map[string]any, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		var asked T
		if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, maxBody)).Decode(&asked); err != nil {
			http.Error(rw, "the body is not the JSON expected", http.StatusBadRequest)
			return
		}
		answer, err := do(r.Context(), asked)
		if answer == nil {
			answer = map[string]any{}
		}
		if answer["ok"] = err == nil; err != nil {
			answer["error"] = err.Error()
		}
		writeJSON(rw, answer)
	}
}

func (w *world) clockNow() map[string]any {
	return map[string]any{"now": w.clock.now().Format(time.RFC3339)}
}

func (w *world) askedToSkip(_ context.Context, asked struct{ Hours int }) (map[string]any, error) {
	if asked.Hours < 1 || asked.Hours > maxSkip {
		return nil, fmt.Errorf(`write how far to skip: {"hours": 24}, from 1 to %d`, maxSkip)
	}
	w.skip(time.Duration(asked.Hours) * time.Hour)
	return w.clockNow(), nil
}

func (w *world) askedToSwitch(_ context.Context, asked struct{ Account, User, Key string }) (map[string]any, error) {
	return nil, w.applications.switchTo(asked.Account, asked.User, asked.Key)
}

func (w *world) askedToBreak(ctx context.Context, asked struct {
	Name string
	On   bool
},
) (map[string]any, error) {
	return nil, w.faults.set(context.WithoutCancel(ctx), asked.Name, asked.On)
}

// clickedLate plays a member whose screen has not caught up with what happened to a message.
func (w *world) clickedLate(ctx context.Context, asked struct {
	As       string
	Channel  string
	Message  slacksim.Message
	ActionID string `json:"action_id"`
},
) (map[string]any, error) {
	asked.Message.Channel = asked.Channel
	return nil, w.slack.As(asked.As).ClickStale(ctx, asked.Message, slacksim.Target{
		Channel: asked.Channel, TS: asked.Message.TS, ActionID: asked.ActionID,
	})
}

// beat is how often the stream says something though nothing has changed.
const beat = 15 * time.Second

// serveEvents tells the page that something has changed; the page then fetches what it shows.
func (w *world) serveEvents(rw http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(rw)
	rw.Header().Set("Content-Type", "text/event-stream")
	for {
		slackVersion, slackNext := w.slack.Changed()
		awsVersion, awsNext := w.aws.Changed()
		ownVersion, ownNext := w.changes.Changed()
		_, err := fmt.Fprintf(rw, "data: {\"world\":%q,\"slack\":%d,\"aws\":%d,\"sandbox\":%d,\"now\":%q}\n\n",
			w.name, slackVersion, awsVersion, ownVersion, w.clock.now().Format(time.RFC3339))
		if err != nil || flush.Flush() != nil {
			return
		}
		timer := time.NewTimer(beat)
		select {
		case <-r.Context().Done():
			timer.Stop()
			return
		case <-slackNext:
		case <-awsNext:
		case <-ownNext:
		case <-timer.C:
		}
		timer.Stop()
	}
}
