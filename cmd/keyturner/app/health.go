package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Ready tells whether clicks are heard and can be recorded: nil, or what is missing.
func (a *App) Ready() error { return a.bot.Ready() }

// serveHealth answers /livez while the program runs, and /readyz with 200 if clicks are heard and can be recorded, with 503 and what is
// missing if not. Neither tells anything that is secret, and nothing can be done there.
func (a *App) serveHealth(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.health)
	if err != nil {
		return fmt.Errorf("listen for health checks at %s: %w; give another address to --health, such as 127.0.0.1:8080", a.health, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	const patience = 5 * time.Second
	server := &http.Server{Handler: mux, ReadTimeout: patience, WriteTimeout: patience}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health checks at %s: %w", a.health, err)
	}
	return nil
}
