package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"time"
)

//go:embed page
var pageFiles embed.FS

// maxSkip bounds one leap of the clock, in hours.
const maxSkip = 24 * 366

// pageHandler serves the page, the control faces of both simulators, the clock, and the stream of changes. The control faces guard
// themselves against pages of other sites, and the clock is put behind the same guard by asking for the same header.
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
	mux.HandleFunc("GET /clock", func(rw http.ResponseWriter, _ *http.Request) { w.answerClock(rw) })
	mux.HandleFunc("POST /clock/skip", w.serveSkip)
	return withHeaders(mux)
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

func (w *world) answerClock(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(rw, `{"now":%q}`, w.clock.now().Format(time.RFC3339))
}

func (w *world) serveSkip(rw http.ResponseWriter, r *http.Request) {
	var asked struct{ Hours int }
	switch err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<10)).Decode(&asked); {
	case r.Header.Get("X-Sandbox") != "1":
		http.Error(rw, "header X-Sandbox: 1 is missing", http.StatusForbidden)
	case err != nil || asked.Hours < 1 || asked.Hours > maxSkip:
		http.Error(rw, fmt.Sprintf("write how far to skip: {\"hours\": 24}, from 1 to %d", maxSkip), http.StatusBadRequest)
	default:
		w.skip(time.Duration(asked.Hours) * time.Hour)
		w.answerClock(rw)
	}
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
		_, err := fmt.Fprintf(rw, "data: {\"slack\":%d,\"aws\":%d,\"now\":%q}\n\n", slackVersion, awsVersion, w.clock.now().Format(time.RFC3339))
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
		case <-timer.C:
		}
		timer.Stop()
	}
}
