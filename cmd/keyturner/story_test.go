package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// story plays the people round one IAM user. They see their own screens, click what is on them, try again what Slack says has failed, and
// wait for an answer to what Slack says has arrived.
type story struct {
	w      *world
	u      user
	id     string // of the user's document: what a button's value begins with
	rng    *rand.Rand
	unruly int // so many times, or less often, people click what was clicked a moment ago, and where they may not
	moved  func(phase string)
}

func newStory(w *world, u user, seed uint64) *story {
	return &story{w: w, u: u, id: u.ref().ID(), rng: rand.New(rand.NewPCG(seed, 1)), moved: func(string) {}}
}

// offer is a button that a person would click if they saw it.
type offer struct {
	member string // empty: some approver
	action string
	ref    string // only as of this turn; empty: any
}

// help is what approvers do whenever they are asked: a rotation that got stuck goes on.
var help = []offer{{action: "revoke"}, {action: "try-again"}}

// seek has people click what is offered until a goal is reached. Nobody clicks again what Slack says has arrived, unless they were told
// something since.
func (s *story) seek(ctx context.Context, what string, goal func() bool, offers ...offer) error {
	clicked := map[string]attempt{}
	began, last := time.Now(), time.Now()
	for {
		_, slackNext := s.w.slack.Changed()
		_, awsNext := s.w.aws.Changed()
		if goal() {
			return nil
		}
		if did, err := s.clickOne(ctx, append(slices.Clone(offers), help...), clicked); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		} else if did {
			last = time.Now()
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if since := later(last, s.w.lastStart()); time.Since(since) > s.w.wait() || time.Since(began) > 4*s.w.wait() {
			return fmt.Errorf("nothing has happened for %v, and all in all %v have passed, while waiting until %s; clicked: %v\n%s",
				time.Since(since).Round(time.Second), time.Since(began).Round(time.Second), what, clicked, s.describe())
		}
		select {
		case <-slackNext:
		case <-awsNext:
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		<-time.After(s.w.glance)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// attempt is when somebody clicked what Slack says has arrived, and how much they had been told by then.
type attempt struct {
	at   time.Time
	told int
}

// clickOne clicks the first thing that is offered and was not clicked yet, if somebody listens.
func (s *story) clickOne(ctx context.Context, offers []offer, clicked map[string]attempt) (bool, error) {
	if s.w.slack.Sockets() == 0 {
		return false, nil
	}
	for _, o := range offers {
		member := o.member
		if member == "" {
			member = approvers[s.rng.IntN(len(approvers))]
		}
		m, b, ok := s.find(member, o.action)
		told := s.told(member)
		name := o.member + " " + o.action + " " + b.ref + " at " + m.TS
		if before, did := clicked[name]; !ok || o.ref != "" && o.ref != b.ref || did && (before.told >= told || time.Since(before.at) < s.w.composure) {
			continue
		}
		acked, err := s.click(ctx, member, m, b)
		if err != nil {
			return false, err
		}
		if acked {
			clicked[name] = attempt{time.Now(), told}
		}
		if s.unruly > 0 {
			s.misbehave(ctx, m, b)
		}
		return true, nil
	}
	return false, nil
}

// find looks for the newest message on a member's screen that offers an action on this story's user.
func (s *story) find(member, action string) (slacksim.Message, button, bool) {
	screen := s.w.slack.As(member).Screen()
	channel, _ := screen.Channel("key-approvals")
	for _, c := range []slacksim.Conversation{screen.DM(), channel} {
		if slices.Contains(approvers, member) == (c.ID != approvals) {
			continue
		}
		for _, m := range slices.Backward(c.Messages) {
			for _, b := range buttons(m) {
				if b.action == action && !m.Deleted && strings.HasPrefix(b.ref, s.id+"-") {
					m.Channel = c.ID
					return m, b, true
				}
			}
		}
	}
	return slacksim.Message{}, button{}, false
}

// click clicks, and tells whether Slack says that it has arrived.
func (s *story) click(ctx context.Context, member string, m slacksim.Message, b button) (bool, error) {
	target := slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: b.id, Selected: b.selected}
	d := deed{member, b.action, rotationOf(b.ref), time.Now()}
	arrived, err := arrives(s.w.slack.As(member).Click(ctx, target))
	if arrived && b.action != "deny" { // which first opens a form
		s.w.keep(d)
	}
	return arrived, err
}

func rotationOf(ref string) string { id, _, _ := strings.Cut(ref, "."); return id }

// arrives tells whether Slack says that something has arrived. What it says has failed is no error: the person looks again.
func arrives(err error) (bool, error) {
	for _, failed := range []error{slacksim.ErrNoAnswer, slacksim.ErrNoSocket, slacksim.ErrNotOnScreen, slacksim.ErrTrouble} {
		if errors.Is(err, failed) {
			return false, nil
		}
	}
	return err == nil, err
}

// keep remembers what Slack says has arrived.
func (w *world) keep(d deed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deeds = append(w.deeds, d)
}

// misbehave clicks in what was on the screen a moment ago: the same person again, two others at once, or somebody who may not.
func (s *story) misbehave(ctx context.Context, m slacksim.Message, b button) {
	if b.action == "deny" || b.action == "receipt" {
		return
	}
	stale := slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: b.id, Selected: b.selected}
	for range s.rng.IntN(s.unruly) {
		member := approvers[s.rng.IntN(len(approvers))]
		if m.Channel != approvals || s.rng.IntN(4) == 0 {
			member = s.u.owner
		}
		if m.Channel != approvals && member != s.u.owner {
			continue // nobody else sees an owner's direct messages
		}
		s.w.background.Go(func() {
			d := deed{member, b.action, rotationOf(b.ref), time.Now()}
			arrived, err := arrives(s.w.slack.As(member).ClickStale(ctx, m, stale))
			if arrived {
				s.w.keep(d)
			}
			if err != nil && ctx.Err() == nil {
				s.w.fault("%s clicks %s: %v", member, b.action, err)
			}
		})
	}
}

// uses has the owner's applications use the new key.
func (s *story) uses() error {
	for _, k := range s.w.made(s.u) {
		if k.Status == "Active" {
			return s.u.account.Use(k.ID, "s3", "eu-west-1")
		}
	}
	return fmt.Errorf("%s has no new key to use", s.u.name)
}

// command types until the person is answered. ready tells that they are.
func (s *story) command(ctx context.Context, text string, ready func(slacksim.Screen) bool) error {
	owner := s.w.slack.As(s.u.owner)
	for {
		told := s.told(s.u.owner)
		if err := s.listening(ctx); err != nil {
			return err
		}
		_, err := owner.Command(ctx, general, "/rotate-key", text)
		if arrived, err := arrives(err); err != nil {
			return err
		} else if !arrived {
			continue
		}
		answered := func() bool { return ready(owner.Screen()) || s.told(s.u.owner) > told }
		if err := s.seek(ctx, s.u.owner+" is answered /rotate-key "+text, answered); err != nil {
			return err
		}
		if ready(owner.Screen()) {
			return nil
		}
		_ = owner.CloseAll(ctx) // there may be nothing to close
	}
}

// listening waits until the app has a socket.
func (s *story) listening(ctx context.Context) error {
	return s.seek(ctx, "the app has a socket", func() bool { return s.w.slack.Sockets() > 0 })
}

// request asks for what the story is about until it has begun.
func (s *story) request(ctx context.Context) error {
	owner := s.w.slack.As(s.u.owner)
	begun := s.sees("", "approve")
	values := map[string]string{"key": s.id + "/" + s.u.old, "what": "replace"}
	switch s.u.way {
	case adopts:
		begun = s.sees(s.u.owner, "confirm")
	case retires:
		values["what"] = "retire"
	}
	form := func(screen slacksim.Screen) bool {
		v, ok := screen.Top()
		return ok && v.Submit != "" || begun()
	}
	for !begun() {
		if err := s.command(ctx, "", form); err != nil {
			return err
		}
		if v, ok := owner.Screen().Top(); !ok || v.Submit == "" {
			continue
		}
		d := deed{s.u.owner, "request", "", time.Now()}
		problems, err := owner.Submit(ctx, values)
		arrived, err := arrives(err)
		switch {
		case err != nil:
			return err
		case len(problems) > 0 && !strings.Contains(problems["key"], "could not record this"):
			return fmt.Errorf("the form complains: %v", problems)
		case arrived && len(problems) == 0:
			s.w.keep(d)
			if err := s.seek(ctx, "the request is shown or refused", func() bool { return begun() || refused(owner.Screen()) }); err != nil {
				return err
			}
		}
		_ = owner.CloseAll(ctx) // where it did not arrive they begin again, whatever became of it
	}
	return nil
}

// refused tells whether a form was answered with words that are neither for the time being nor for success.
func refused(screen slacksim.Screen) bool {
	v, ok := screen.Top()
	return ok && v.Submit == "" && !strings.Contains(v.Content(), "has begun") && !strings.Contains(v.Content(), "is working on it")
}

// deny denies the request with a reason, until nobody can approve it any more.
func (s *story) deny(ctx context.Context) error {
	by := approvers[s.rng.IntN(len(approvers))]
	person := s.w.slack.As(by)
	decided := func() bool { return !s.sees("", "approve")() }
	for !decided() {
		form := func() bool {
			v, ok := person.Screen().Top()
			return ok && v.Submit == "Deny" || decided()
		}
		if err := s.seek(ctx, "the form for a denial opens", form, offer{member: by, action: "deny"}); err != nil {
			return err
		}
		v, ok := person.Screen().Top()
		if !ok || v.Submit != "Deny" {
			break
		}
		_, ref, _ := s.find(by, "deny")
		d := deed{by, "deny", rotationOf(ref.ref), time.Now()}
		_, err := person.Submit(ctx, map[string]string{"reason": "not this week"})
		arrived, err := arrives(err)
		if err != nil {
			return err
		}
		if arrived {
			s.w.keep(d)
			if err := s.seek(ctx, "the denial is shown", decided); err != nil {
				return err
			}
		}
		_ = person.CloseAll(ctx)
	}
	_ = person.CloseAll(ctx)
	return nil
}

// describe tells what the people see, for a story that does not go on.
func (s *story) describe() string {
	var b strings.Builder
	for _, member := range []string{s.u.owner, approvers[0]} {
		screen := s.w.slack.As(member).Screen()
		for _, c := range screen.Channels {
			for i, m := range c.Messages {
				if c.ID == approvals && !strings.Contains(m.Content(), s.u.name) || m.Ephemeral && i < len(c.Messages)-3 {
					continue
				}
				fmt.Fprintf(&b, "[%s sees in %s] %.120q %v\n", member, c.Name, m.Text, buttons(m))
			}
		}
		for _, v := range screen.Views {
			fmt.Fprintf(&b, "[%s has open] %.200q\n", member, v.Content())
		}
	}
	fmt.Fprintf(&b, "AWS: %v\n", s.w.keysOf(s.u))
	return b.String()
}
