package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/deploy"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
	"github.com/keyturner/keyturner/store"
)

// settings say where the sandbox listens and what it keeps.
type settings struct {
	page, slack, aws string // addresses to listen at; empty page: no page
	data             string // folder of the bbolt file; empty: a temporary one, removed at the end
	logs             io.Writer
	applications     bool      // run applications that keep using their keys
	begins           time.Time // zero: now, or when people are at work next
	further          string    // lines of configuration beside the sandbox's own
}

// world is one running sandbox: simulated Slack, simulated AWS, the real app between them, and the page.
type world struct {
	clock   *clock
	slack   *slacksim.Sim
	aws     *iamsim.Sim
	account *iamsim.Account
	power   *power
	faults  *faults
	changes *changes // of what is neither in Slack nor in AWS

	applications *applications

	name                      string // tells this world from one that runs later
	pageURL, slackURL, awsURL string
	storePath                 string

	servers   []server
	temporary string
}

// server is one listener with what answers on it.
type server struct {
	*http.Server
	net.Listener
}

// newWorld listens and wires everything; run serves. Close it in any case.
func newWorld(ctx context.Context, s settings) (_ *world, err error) {
	w := &world{clock: newClock(s.begins), changes: newChanges(), name: rand.Text(), applications: &applications{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	log := slog.New(slog.NewTextHandler(s.logs, nil))
	manifest, err := deploy.SlackManifest()
	if err != nil {
		return nil, err
	}
	w.slack = slacksim.New(slacksim.Config{
		Now: w.clock.now, TeamName: "Acme", Scopes: manifest.OAuthConfig.Scopes.Bot, Commands: manifest.Commands(), Events: manifest.Events(),
	})
	w.aws = iamsim.New(iamsim.Config{Now: w.clock.now})
	seedSlack(w.slack)
	w.account = seedAWS(w.aws, w.clock.now())

	if s.applications {
		w.applications = newApplications(w.aws, w.account, w.changes)
	}

	slackDoor := newDoor(w.slack, w.slack.CutSockets)
	if w.slackURL, err = w.listen(s.slack, slackDoor); err != nil {
		return nil, err
	}
	if w.awsURL, err = w.listen(s.aws, w.aws); err != nil {
		return nil, err
	}
	if s.page != "" {
		if w.pageURL, err = w.listen(s.page, w.pageHandler()); err != nil {
			return nil, err
		}
	}
	if s.data == "" {
		if w.temporary, err = os.MkdirTemp("", "keyturner-sandbox-"); err != nil {
			return nil, fmt.Errorf("make a folder for the store: %w", err)
		}
		s.data = w.temporary
	}
	w.storePath = filepath.Join(s.data, "keyturner.db")
	cfg, err := readConfig(w.storePath, w.clock.now(), s.further)
	if err != nil {
		return nil, err
	}
	if err := forgetMessages(ctx, cfg.Store); err != nil {
		return nil, err
	}
	id, secret := w.account.Principal("keyturner")
	w.power = newPower(app.Options{
		Config:   cfg,
		AppToken: w.slack.AppToken(),
		BotToken: w.slack.BotToken(),
		SlackURL: w.slackURL + "/api/",
		AWS: &aws.Config{
			Region:       "us-east-1",
			BaseEndpoint: aws.String(w.awsURL),
			Credentials:  credentials.NewStaticCredentialsProvider(id, secret, ""),
		},
		AWSPace: 500, // nobody else shares the simulated AWS
		Now:     w.clock.now,
		Logger:  log,
	})
	w.faults = newFaults(w.aws, slackDoor, w.power, w.changes)
	for _, s := range w.servers {
		if addr := s.Listener.Addr().String(); !loopback(addr) {
			log.Warn("other machines can reach this address", "addr", addr)
		}
	}
	return w, w.power.start(ctx)
}

// forgetMessages has the app post anew what an earlier run has left open: the simulated Slack begins empty each time, and so the messages
// that the store knows of are not there any more.
func forgetMessages(ctx context.Context, spec string) error {
	kept, err := store.Open(spec)
	if err != nil {
		return err
	}
	err = kept.Scan(ctx, func(p rotation.Progress) error {
		p.Posts, p.Told = nil, 0
		_, err := kept.Replace(ctx, p)
		return err
	})
	return errors.Join(err, kept.Close())
}

// listen opens an address for a handler, and returns its URL.
func (w *world) listen(addr string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen at %s: %w; give another address, such as 127.0.0.1:0", addr, err)
	}
	w.servers = append(w.servers, server{&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, l})
	return "http://" + l.Addr().String(), nil
}

// run serves until ctx ends.
func (w *world) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	served := make(chan struct{})
	for _, s := range w.servers {
		g.Go(func() error {
			if err := s.Serve(s.Listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve at %s: %w", s.Listener.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(served)
		return w.power.run(ctx)
	})
	g.Go(func() error {
		w.applications.run(ctx)
		return nil
	})
	g.Go(func() error { // the app stops first, while the simulators still answer it
		<-served
		w.slack.Close()
		for _, s := range w.servers {
			s.Server.Close()
		}
		return nil
	})
	return g.Wait()
}

// ready waits until the app has opened its socket.
func (w *world) ready(ctx context.Context) error {
	for {
		_, next := w.slack.Changed()
		if w.slack.Sockets() > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the app's socket: %w", ctx.Err())
		case <-next:
		}
	}
}

// skip moves the clock ahead, and has everybody look at it. Whatever uses a key does so until the clock leaps, and goes on after.
func (w *world) skip(d time.Duration) {
	w.applications.useAll()
	w.clock.skip(d)
	w.applications.useAll()
	w.changes.touch()
	w.power.wake()
}

// close closes the store and removes what is temporary.
func (w *world) close() error {
	var errs []error
	for _, s := range w.servers {
		s.Server.Close()
		s.Listener.Close()
	}
	if w.power != nil {
		errs = append(errs, w.power.kill())
	}
	if w.temporary != "" {
		errs = append(errs, os.RemoveAll(w.temporary))
	}
	return errors.Join(errs...)
}
