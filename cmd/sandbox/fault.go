package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// The names of what can be broken.
const (
	awsThrottles = "aws-throttles"
	awsDenies    = "aws-denies"
	slackDown    = "slack-down"
	botKilled    = "bot-killed"
)

// fault is one thing that a person can break, and mend.
type fault struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Expect string `json:"expect"` // what to expect while it is broken
	Mend   string `json:"mend"`   // what mending it is called
	On     bool   `json:"on"`
}

// breakable is everything that can be broken, in the order in which it is offered.
var breakable = []fault{
	{
		Name: awsThrottles, Title: "AWS throttles", Mend: "Let AWS answer",
		Expect: "AWS answers every call with Throttling. What cannot be read never counts as unused: steps are refused or wait, and go on later.",
	},
	{
		Name: awsDenies, Title: "AWS denies changes", Mend: "Permit changes",
		Expect: "Creating, deactivating and deleting keys is answered with AccessDenied. The rotation gets stuck and asks an approver. Permit changes, then click Try again there.",
	},
	{
		Name: slackDown, Title: "Slack is down", Mend: "Bring Slack back",
		Expect: "Slack answers 503, and every socket is cut: this app does not respond. What the bot had to say comes once Slack is back.",
	},
	{
		Name: botKilled, Title: "The bot is killed", Mend: "Start it again",
		Expect: "Its program ends in the middle of whatever it does: this app does not respond. Started again, it goes on from what it had stored, and does nothing twice.",
	},
}

// faults switches what can be broken.
type faults struct {
	aws     *iamsim.Sim
	door    *door
	power   *power
	changes *changes

	mu sync.Mutex
	on map[string]bool
}

func newFaults(aws *iamsim.Sim, d *door, p *power, c *changes) *faults {
	return &faults{aws: aws, door: d, power: p, changes: c, on: map[string]bool{}}
}

// list returns what can be broken, and what is.
func (f *faults) list() []fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(breakable)
	for i := range all {
		all[i].On = f.on[all[i].Name]
	}
	return all
}

// set breaks or mends one thing. What was waiting for it goes on at once.
func (f *faults) set(ctx context.Context, name string, on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.ContainsFunc(breakable, func(b fault) bool { return b.Name == name }) {
		return fmt.Errorf("nothing here is called %q", name)
	}
	if f.on[name] == on {
		return nil
	}
	switch name {
	case slackDown:
		f.door.set(!on)
	case botKilled:
		if err := f.switchBot(ctx, on); err != nil {
			return err
		}
	}
	f.on[name] = on
	f.armAWS()
	f.changes.touch()
	f.power.wake()
	return nil
}

func (f *faults) switchBot(ctx context.Context, off bool) error {
	if !off {
		return f.power.start(ctx)
	}
	err := f.power.kill()
	f.door.cut()
	return err
}

// armAWS plans anew what AWS is to answer. Of two faults that strike one call the first planned is answered.
func (f *faults) armAWS() {
	f.aws.Heal()
	if f.on[awsThrottles] {
		f.aws.Fail("*", iamsim.Fault{Code: "Throttling", Times: -1})
	}
	if !f.on[awsDenies] {
		return
	}
	for _, op := range []string{"CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"} {
		f.aws.Fail(op, iamsim.Fault{Code: "AccessDenied", Times: -1})
	}
}

// door stands before the simulated Slack. While it is shut every call is answered 503, except the one that opens a socket: that one
// waits, so that the app is back when Slack is, and not after a pause of its own that has grown with the outage.
type door struct {
	slack http.Handler
	cut   func() // cuts every socket

	mu   sync.Mutex
	open chan struct{} // closed while the door is open
}

func newDoor(slack http.Handler, cut func()) *door {
	d := &door{slack: slack, cut: cut, open: make(chan struct{})}
	close(d.open)
	return d
}

func (d *door) set(open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if open {
		close(d.open)
		return
	}
	d.open = make(chan struct{})
	d.cut()
}

func (d *door) opened() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

func (d *door) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	opened := d.opened()
	select {
	case <-opened:
		d.slack.ServeHTTP(rw, r)
		return
	default:
	}
	if !strings.HasSuffix(r.URL.Path, "/apps.connections.open") {
		http.Error(rw, "the simulated Slack is down", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<16)) // only then does the server notice a client that leaves
	if err != nil {
		http.Error(rw, "the request cannot be read", http.StatusBadRequest)
		return
	}
	select {
	case <-r.Context().Done():
	case <-opened:
		r.Body = io.NopCloser(bytes.NewReader(body))
		d.slack.ServeHTTP(rw, r)
	}
}
