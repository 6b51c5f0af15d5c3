package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// patience is how long a person, or a test, waits for what should happen.
const patience = 60 * time.Second

// restartAge is by how much older a file is when the program starts again after a kill: what waits for a lost answer to show, for
// minutes, need not be waited for.
const restartAge = 20 * time.Minute

// run keeps the program running, whatever kills it, while people play, and then looks at what is left.
func (w *world) run(ctx context.Context, play func(context.Context) error) {
	w.t.Helper()
	keeping, stop := context.WithCancel(ctx)
	var kept sync.WaitGroup
	for _, r := range w.replicas {
		r.start()
		kept.Go(func() {
			for {
				if _, ok := r.gone(keeping); !ok || keeping.Err() != nil {
					return
				}
				w.between(ctx)
				r.start()
			}
		})
	}
	err := play(ctx)
	stop()
	if err != nil {
		for _, r := range w.replicas {
			r.dump()
		}
	}
	w.background.Wait()
	kept.Wait()
	w.onCalls(nil)
	if err := errors.Join(err, w.settle(ctx), w.verify(ctx)); err != nil {
		w.t.Error(err)
	}
}

// between is what happens while the program does not run. Others may have a table meanwhile, and then nothing does.
func (w *world) between(ctx context.Context) {
	if err := w.leaks(ctx); err != nil {
		w.fault("%v", err)
	}
	w.mu.Lock()
	older := w.older
	w.older = nil
	w.mu.Unlock()
	if w.table != "" {
		return
	}
	err := w.age(ctx, func(p *rotation.Progress) {
		ripen(p, restartAge)
		mature(p, older[p.User.Name])
	})
	if err != nil {
		w.fault("age the store: %v", err)
	}
}

// pass has time pass for one user: while the program does not run, or, in a table, beside those that do.
func (w *world) pass(ctx context.Context, by time.Duration, user string) error {
	if w.table != "" {
		return w.age(ctx, func(p *rotation.Progress) {
			if p.User.Name == user {
				mature(p, by)
			}
		})
	}
	w.mu.Lock()
	if w.older == nil {
		w.older = map[string]time.Duration{}
	}
	w.older[user] += by
	w.mu.Unlock()
	for !w.replicas[0].kill("as time passes") { // it is dead already, and what has passed so far may have been counted
		w.mu.Lock()
		counted := w.older == nil
		w.mu.Unlock()
		if counted {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settle stops the program when there is nothing left to do.
func (w *world) settle(ctx context.Context) error {
	for try := 1; ; try++ {
		for _, r := range w.replicas {
			r.stop()
		}
		left, err := w.left(ctx)
		if err != nil || left == nil || try == 4 {
			return errors.Join(err, left)
		}
		for _, r := range w.replicas {
			r.start()
		}
		w.quiet(ctx)
	}
}

// left tells what is still to be done.
func (w *world) left(ctx context.Context) (left, err error) {
	kept, err := w.kept()
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	b, err := read(ctx, kept)
	if err != nil {
		return nil, err
	}
	return b.settled(), nil
}

// quiet waits until nothing has happened for a while.
func (w *world) quiet(ctx context.Context) {
	for {
		_, slackNext := w.slack.Changed()
		_, awsNext := w.aws.Changed()
		select {
		case <-slackNext:
		case <-awsNext:
		case <-time.After(3 * time.Second):
			return
		case <-ctx.Done():
			return
		}
	}
}

// connected waits until the program has a socket.
func (w *world) connected(ctx context.Context) error {
	for {
		_, next := w.slack.Changed()
		if w.slack.Sockets() > 0 {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lastStart is when a process was last started.
func (w *world) lastStart() time.Time {
	var last time.Time
	for _, r := range w.replicas {
		r.mu.Lock()
		last = later(last, r.began)
		r.mu.Unlock()
	}
	return last
}

// wait is how long nothing may happen: on a table, what a killed process was at is left to it for some minutes.
func (w *world) wait() time.Duration {
	if w.table != "" {
		return 5 * time.Minute
	}
	return patience
}
