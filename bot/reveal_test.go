package bot

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// offered leads a rotation to where its owner may open the new key.
func (w *world) offered() {
	w.t.Helper()
	w.delivery = rotation.Delivery{Mode: rotation.Reveal}
	w.requested()
	p := w.boot()
	must(w.t, w.alice.Click(w.t.Context(), approve()))
	time.Sleep(time.Minute)
	p.end()
	if made, _ := w.aws.count(); w.stage() != rotation.Offered || made != 0 {
		w.t.Fatalf("the rotation is at %s, and %d keys were made:\n%s", w.stage(), made, p.wrote.String())
	}
}

// collect is the button for the new key in the newest message that has it.
func (w *world) collect() slacksim.Target {
	w.t.Helper()
	var at slacksim.Target
	for _, c := range w.olivia.Screen().Channels {
		for _, m := range c.Messages {
			if m.Has(string(rotation.Collect)) {
				at = slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: string(rotation.Collect)}
			}
		}
	}
	if at.TS == "" {
		w.t.Fatal("no message has a button for the new key")
	}
	return at
}

func (w *world) stage() rotation.Stage {
	r, _ := w.progress().Running()
	if r == nil {
		return ""
	}
	return r.Stage
}

// count counts the keys that were made, and those that are there.
func (a *account) count() (made, there int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.created, len(a.keys)
}

const theirSecret = "wJalrXUtnFEMI" // as the simulated account begins it

// secretIn lists the exchanges with Slack that hold the secret.
func (w *world) secretIn() (names []string) {
	for _, raw := range w.sim.Exchanges() {
		if name, rest, _ := strings.Cut(string(raw), "\n"); strings.Contains(rest, theirSecret) {
			names = append(names, name)
		}
	}
	return names
}

// TestReveal_Story: the key is made at the click, and its secret goes to Slack once and does not come back, whatever is done with the window.
func TestReveal_Story(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.offered()
		p := w.boot()
		defer p.end()
		at := w.collect()
		must(t, w.olivia.Click(t.Context(), at))
		time.Sleep(20 * time.Second)
		top, open := w.olivia.Screen().Top()
		if made, _ := w.aws.count(); !open || !strings.Contains(top.Content(), "AWS_SECRET_ACCESS_KEY="+theirSecret) || w.stage() != rotation.Switching || made != 1 {
			t.Fatalf("at %s, with %d keys made, the window shows %s", w.stage(), made, top.Content())
		}
		must(t, w.olivia.CloseView(t.Context()))
		time.Sleep(time.Minute)
		if got := w.secretIn(); len(got) != 1 || got[0] != "views.update" {
			t.Errorf("the secret is in %v, want one edit of the window", got)
		}
		if strings.Contains(p.wrote.String(), theirSecret) || strings.Contains(w.recorded(), theirSecret) {
			t.Error("the secret is in the log or in the store")
		}
		_ = w.olivia.ClickStale(t.Context(), slacksim.Message{Channel: at.Channel, TS: at.TS}, at) // a second click makes no second key
		time.Sleep(time.Minute)
		if made, _ := w.aws.count(); made != 1 || w.stage() != rotation.Switching {
			t.Errorf("%d keys were made, and it is at %s", made, w.stage())
		}
	})
}

// TestFound_AWindowThatDoesNotOpenIsOnRecord: a click that comes too late for a window is answered with what to do, and has an entry.
func TestFound_AWindowThatDoesNotOpenIsOnRecord(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.offered()
		w.sim.Fail("views.open", slacksim.Fault{Error: "expired_trigger_id"})
		p := w.boot()
		must(t, w.olivia.Click(t.Context(), w.collect()))
		time.Sleep(time.Minute)
		p.end()
		dm, _ := w.olivia.Screen().Channel(w.sim.BotUserID())
		last, _ := dm.Last()
		if !strings.Contains(last.Text, "click again") || !last.Ephemeral {
			t.Errorf("the owner is told %q", last.Text)
		}
		recorded := false
		must(t, w.kept.Entries(t.Context(), func(_ string, e rotation.Entry) error {
			recorded = recorded || e.Actor == wOwner && e.Action == string(rotation.Collect) && e.Outcome == "failed"
			return nil
		}))
		if made, _ := w.aws.count(); !recorded || made != 0 || w.stage() != rotation.Offered {
			t.Errorf("it is on record: %v; %d keys were made, the rotation is at %s", recorded, made, w.stage())
		}
	})
}

// TestReveal_ClosedWindow: a window that is closed before there is a key leaves none, and one that is closed before the secret is shown leaves
// one that is revoked; the owner may open the key again.
func TestReveal_ClosedWindow(t *testing.T) {
	for name, test := range map[string]struct {
		at   string // the call before which it is closed
		made int
	}{
		"before there is a key": {"aws User", 0},
		"after it was made":     {"aws CreateKey", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.offered()
				var armed atomic.Bool
				p := w.boot(func(p *process) {
					p.before = func(op string) error {
						if op == test.at && armed.Load() && w.stage() == rotation.Creating && armed.CompareAndSwap(true, false) {
							return w.olivia.CloseAll(t.Context())
						}
						return nil
					}
				})
				defer p.end()
				armed.Store(true)
				must(t, w.olivia.Click(t.Context(), w.collect()))
				time.Sleep(time.Minute)
				if made, there := w.aws.count(); armed.Load() || w.stage() != rotation.Offered || made != test.made || there != 1 {
					t.Fatalf("at %s, with %d keys made and %d there:\n%s", w.stage(), made, there, p.wrote.String())
				}
				must(t, w.olivia.Click(t.Context(), w.collect()))
				time.Sleep(time.Minute)
				if top, open := w.olivia.Screen().Top(); !open || !strings.Contains(top.Content(), theirSecret) || w.stage() != rotation.Switching {
					t.Errorf("at %s, the second window shows %s", w.stage(), top.Content())
				}
			})
		})
	}
}
