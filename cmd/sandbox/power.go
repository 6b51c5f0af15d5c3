package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
)

// power switches the app off, as a crash would, and on again. Of the apps that it starts one runs at a time: a later one begins when
// an earlier one is gone, as with a program that is started again.
type power struct {
	options app.Options
	started chan *running // room for one: run takes it

	mu  sync.Mutex
	now *running // nil: it is off
}

// running is one app from its start to its end.
type running struct {
	app    *app.App
	killed chan struct{}
}

func newPower(o app.Options) *power { return &power{options: o, started: make(chan *running, 1)} }

var errKilled = errors.New("the app has been killed")

// mortal lets nothing more out to AWS once the app is dead.
type mortal struct{ killed <-chan struct{} }

func (m mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-m.killed:
		return nil, errKilled
	default:
		return http.DefaultTransport.RoundTrip(r)
	}
}

// start makes an app on the store that the last one left.
func (p *power) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil {
		return nil
	}
	killed := make(chan struct{})
	o := p.options
	o.AWS = new(aws.Config)
	*o.AWS = p.options.AWS.Copy()
	o.AWS.HTTPClient = &http.Client{Transport: mortal{killed}}
	a, err := app.New(ctx, o)
	if err != nil {
		return fmt.Errorf("start the app: %w", err)
	}
	p.now = &running{app: a, killed: killed}
	p.started <- p.now
	return nil
}

// kill ends the app at once: nothing that it has begun is recorded any more, and nothing is tidied up. Nothing happens if it is off.
func (p *power) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil {
		return nil
	}
	close(p.now.killed)
	err := p.now.app.Close()
	select {
	case <-p.started: // nobody runs it yet
	default:
	}
	p.now = nil
	return err
}

// wake has the app look at the clock, if it is on.
func (p *power) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil {
		p.now.app.Wake()
	}
}

// startPause is how long an app that has ended by itself stays down before it is started again.
const startPause = 2 * time.Second

// run runs what start makes until ctx ends. The first app's failure is the sandbox's; a later one is started again until it is
// killed, since it may fail only for as long as something else is broken.
func (p *power) run(ctx context.Context) error {
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return nil
		case r := <-p.started:
			if err := r.run(ctx, first); err != nil {
				return err
			}
		}
	}
}

func (r *running) run(ctx context.Context, first bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.killed:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		err := r.app.Run(ctx)
		switch {
		case r.isKilled():
			return nil // its last words are in the log
		case first || ctx.Err() != nil:
			return err
		}
		pause := time.NewTimer(startPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

func (r *running) isKilled() bool {
	select {
	case <-r.killed:
		return true
	default:
		return false
	}
}
