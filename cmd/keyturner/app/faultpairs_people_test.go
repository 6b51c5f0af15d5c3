package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/rotation"
)

// play is a story that is being played.
type play struct {
	*world
	calls *calls
}

// newPlay makes the world of a story, in which nothing runs yet.
func newPlay(t *testing.T, s shape, m *mishap) *play {
	t.Helper()
	replicas := s.replicas
	s.replicas, s.shared = 0, replicas > 1
	p := &play{newWorld(t, s), newCalls(m)}
	p.shape.replicas = replicas
	return p
}

// begin starts a process of which every outside call is counted.
func (p *play) begin(slot int) {
	w := p.world
	w.lives++
	r := &replica{w: w, slot: slot, life: w.lives, done: make(chan error, 1)}
	r.store = w.kept.openFor(r)
	cloud := w.cloud.Copy()
	cloud.HTTPClient = &http.Client{Transport: awsCalls{p.calls, r, awsDoor{r}}}
	logger := slog.New(slog.NewTextHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	program, err := app.New(ctx, app.Options{
		Config: w.config, AppToken: w.slack.AppToken(), BotToken: w.slack.BotToken(), SlackURL: "http://slack.example/api/",
		AWS: &cloud, AWSPace: 100, Now: w.now, Logger: logger.With("replica", slot+1, "life", r.life),
		Store:       storeCalls{r.store, p.calls},
		SlackHTTP:   slackCalls{p.calls, r, slackDoor{r, &http.Transport{DialContext: r.dial, DisableKeepAlives: true}}},
		SlackDialer: &websocket.Dialer{NetDialContext: p.calls.dialSocket(r), WriteBufferSize: 32 << 10},
	})
	if err != nil {
		w.story.add("replica %d cannot start: %v", slot+1, err)
		w.watch.scanText("the error of New", err.Error())
		cancel()
		return
	}
	r.app = program
	w.replicas[slot] = r
	go func() {
		err := program.Run(ctx)
		r.ended.Store(true)
		r.done <- err
	}()
}

// scene plays a part of the story, and waits until the bot has nothing left to do. What it owes then, it has kept.
func (p *play) scene(name string, do func()) {
	p.calls.enter(name)
	p.story.add("— %s —", name)
	do()
	for range 60 {
		p.pass(5 * time.Second)
		if p.idle() {
			break
		}
	}
	p.pass(20 * time.Second) // what comes round every quarter of a minute
	if p.idle() {
		p.watch.inv9()
		p.watch.inv10()
		p.verdict()
	}
}

// idle tells whether the bot has nothing to do by itself, and no secret to remove.
func (p *play) idle() bool {
	return p.settled() && !slices.ContainsFunc(p.kept.progresses(), func(doc rotation.Progress) bool {
		return slices.ContainsFunc(doc.All(), func(r rotation.Rotation) bool {
			return slices.ContainsFunc(r.Handovers(), func(h rotation.Handover) bool { return h.Due(p.now()) })
		})
	})
}

// pass lets time pass, holds the invariants against what has happened, and has a process that has died replaced.
func (p *play) pass(d time.Duration) {
	p.sleep(d)
	p.check()
	p.restore()
}

// restore has another process take the place of one that has died or ended.
func (p *play) restore() {
	p.reap()
	for slot := range p.shape.replicas {
		if p.replicas[slot] == nil {
			p.story.add("replica %d starts", slot+1)
			p.begin(slot)
		}
	}
}

// patience is how long people wait for something to happen before they try again; and how often they do.
const (
	patience = 40 * time.Second
	glances  = 8
	maxTries = 30
)

// until has people do something until it has had its effect: again, if they are told that it failed, or nothing happens.
func (p *play) until(effect func() bool, do func()) {
	p.t.Helper()
	for range maxTries {
		if effect() {
			return
		}
		do()
		for range glances {
			p.pass(patience / glances)
			if effect() {
				return
			}
		}
	}
	p.fail(0, "people give up")
	p.verdict()
}

// rotation is the current one of a user, if there is one.
func (p *play) rotation(user rotation.UserRef) rotation.Rotation {
	doc, _ := p.kept.progress(user.ID())
	if doc.Rotation == nil {
		return rotation.Rotation{}
	}
	return *doc.Rotation
}

// at tells whether a user's current rotation is the n-th, and has come to a stage.
func (p *play) at(user rotation.UserRef, n int, stage rotation.Stage) func() bool {
	return func() bool {
		doc, _ := p.kept.progress(user.ID())
		return doc.Count == n && doc.Rotation.Stage == stage
	}
}

// click has a member click a button about a user, in the newest message that has it.
func (p *play) click(member, on string, user rotation.UserRef) bool {
	for _, b := range slices.Backward(p.people.presses(member)) {
		action, value := b.on()
		ref, err := rotation.ParseRef(value)
		if action == on && (value == user.ID() || err == nil && ref.UserDoc() == user.ID()) {
			p.people.click(b)
			return true
		}
	}
	p.story.add("%s finds no button %s", nick(member), on)
	return false
}

// decide has a member click until a user's rotation has come to a stage.
func (p *play) decide(member, on string, user rotation.UserRef, to rotation.Stage) {
	p.t.Helper()
	turn := p.rotation(user).Turn
	p.until(func() bool {
		r := p.rotation(user)
		return r.Stage == to && r.Turn > turn
	}, func() {
		if !p.rotation(user).Stage.Working() {
			p.click(member, on, user)
		}
	})
}

// reason has a member click a button that opens a form, and give a reason there.
func (p *play) reason(member, on string, user rotation.UserRef, to rotation.Stage) {
	p.t.Helper()
	p.until(func() bool { return p.rotation(user).Stage == to }, func() {
		if _, open := p.people.form(member); !open {
			p.closeAll(member)
			p.click(member, on, user)
			p.pass(2 * time.Second)
		}
		if f, open := p.people.form(member); open {
			p.people.submit(f, map[string]string{"reason": "because"})
		}
	})
	p.closeAll(member)
}

// asks has a member ask for something to be done about a key, by the form.
func (p *play) asks(member string, user rotation.UserRef, what rotation.Kind) {
	p.t.Helper()
	doc, _ := p.kept.progress(user.ID())
	before := doc.Count
	p.until(func() bool {
		doc, _ := p.kept.progress(user.ID())
		return doc.Count > before
	}, func() {
		if _, open := p.people.form(member); !open {
			p.closeAll(member)
			p.people.command(member, "")
			p.pass(2 * time.Second)
		}
		if f, open := p.people.form(member); open {
			key := f.keys[slices.IndexFunc(f.keys, func(k string) bool { return k[:len(user.ID())] == user.ID() })]
			p.people.submit(f, map[string]string{"key": key, "what": string(what), "reason": "because"})
		}
	})
	p.closeAll(member)
}

func (p *play) closeAll(member string) {
	_ = p.slack.As(member).CloseAll(context.Background()) // nothing may be open
}

// moves has the owner give the applications the new key, and waits until the old one is quiet.
func (p *play) moves(user rotation.UserRef) {
	p.move(user, string(p.rotation(user).New))
	p.leap(quiet + time.Minute)
	p.opens(user)
}

// opens waits until the owner is told that they can confirm.
func (p *play) opens(user rotation.UserRef) {
	p.t.Helper()
	p.until(func() bool {
		doc, _ := p.kept.progress(user.ID())
		proof := doc.Rotation.Proof
		return proof.Open() && doc.Posts[fmt.Sprintf("%s/open%d", doc.Rotation.ID, proof.Opened)].Known()
	}, func() { p.leap(time.Hour) })
}

// has tells whether the owner has the secret of the rotation's new key.
func (p *play) has(user rotation.UserRef) bool {
	r := p.rotation(user)
	return r.Stage == rotation.Switching && p.people.wallets[user.String()][string(r.New)]
}
