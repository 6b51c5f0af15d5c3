package bot

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// replies are what stands in the threads of the approvals channel, in order.
func (w *world) replies() []string {
	c, _ := w.alice.Screen().Channel(wApprovals)
	var lines []string
	for _, m := range c.Messages {
		if m.ThreadTS != "" {
			lines = append(lines, m.Text)
		}
	}
	return lines
}

// plays has a rotation be approved, and somebody try what is not theirs.
func (w *world) plays(t *testing.T) {
	t.Helper()
	stranger := w.sim.As("UBOB")
	for range 3 {
		_ = stranger.Click(t.Context(), slacksim.Target{Channel: wApprovals, ActionID: string(rotation.Approve)})
		time.Sleep(5 * time.Second)
	}
	if err := w.alice.Click(t.Context(), approve()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Minute)
}

func wantsLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i, words := range want {
		if i >= len(got) || !strings.Contains(got[i], words) {
			t.Errorf("line %d does not hold %q", i+1, words)
		}
	}
	if len(got) != len(want) || t.Failed() {
		t.Errorf("there are %d lines, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

// ownRequest has alice, an approver, ask for the rotation herself, so that she may not approve.
func TestTrail_IsToldInTheThreadOfTheCard(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		if _, err := p.engine.Request(t.Context(), rotation.Request{User: wUser, By: rotation.Actor{Member: "UBOB", Approver: true}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		w.plays(t)
		p.end()
		wantsLines(t, w.replies(), "Refused: <@UBOB> tried to approve, but they asked for it themselves. Nothing was changed.",
			"<@UALICE> approved. Shown were the facts of", "AWS has made the new key AKIA…9K01.", "The secret of AKIA…9K01 was handed over.")
		if p := w.progress(); p.Owed || p.Told < 4 || slices.ContainsFunc(slices.Collect(maps.Keys(p.Posts)), func(n string) bool { return strings.Contains(n, "trail") }) {
			t.Errorf("afterwards owed %v, told %d, %d posts", p.Owed, p.Told, len(p.Posts))
		}
		c, _ := w.alice.Screen().Channel(wApprovals)
		for _, m := range c.Messages {
			if m.ThreadTS != "" && !m.Has("x") && strings.Contains(m.Text, theSecret) {
				t.Error("a line has the secret")
			}
		}
	})
}

// Each line is told once, whatever becomes of the call that tells it, and whatever dies when.
func TestTrail_EachLineOnce(t *testing.T) {
	for _, name := range []string{"answer lost", "refused for a while", "killed before", "killed after", "killed before it is noted", "two replicas"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.requested()
				w.shared = name == "two replicas"
				once := true
				hook := func(p *process) {
					inThread := func() bool { return len(w.progress().Trail) > 0 && w.moves("approve") == 1 }
					p.before = func(op string) error {
						if op == "slack chat.postMessage" && once && inThread() && w.marked() {
							switch name {
							case "refused for a while":
								once = false
								return errors.New("connection refused")
							case "killed before":
								once = false
								p.kill()
							}
						}
						return nil
					}
					p.after = func(op string) error {
						if op == "slack chat.postMessage" && once && inThread() && w.marked() {
							switch name {
							case "answer lost":
								once = false
								return errors.New("the answer was lost")
							case "killed after", "killed before it is noted":
								once = false
								p.kill()
							}
						}
						return nil
					}
				}
				p := w.boot(hook)
				q := p
				if w.shared {
					q = w.boot()
				}
				if err := w.alice.Click(t.Context(), approve()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				p.end()
				switch {
				case w.shared:
					q.end()
				case p.dead.Load():
					p = w.boot()
					time.Sleep(10 * time.Minute)
					p.end()
				}
				if name != "two replicas" && once {
					t.Error("nothing went wrong")
				}
				wantsLines(t, w.replies(), "<@UALICE> approved", "AWS has made the new key", "was handed over")
			})
		})
	}
}

// marked tells whether a line is on its way.
func (w *world) marked() bool {
	for name := range w.progress().Posts {
		if strings.Contains(name, "/trail") {
			return true
		}
	}
	return false
}

// TestTrailLines tells every move of every tale, in words that stand for themselves.
func TestTrailLines(t *testing.T) {
	var texts strings.Builder
	all := tales(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		tl := all[name]
		fmt.Fprintf(&texts, "--- %s\n", name)
		for i, e := range tl.trail {
			line, ask := trailLine(tl.r, tl.trail[:i], e)
			if line == "" {
				continue
			}
			checkMessage(t, plain(line))
			if strings.Contains(line, "\n") || strings.Contains(line, "internal words") {
				t.Errorf("%s: %s", name, line)
			}
			fmt.Fprintf(&texts, "%s at turn %d: %s\n", ask.Stage, ask.Turn, plain(line).Text)
		}
	}
	golden(t, "trail.golden.txt", []byte(texts.String()))
	for on, words := range constants(t, "lifecycle.go", "On") {
		said := rotation.On(words)
		if _, told := acts[said]; told != slices.Contains(ranked, said) {
			t.Errorf("%s: told as what a person does: %v", on, told)
		}
	}
}

func TestTrail_WhatTheClockBrings(t *testing.T) {
	r := replace(t).r
	for _, tt := range []struct{ action, detail, want string }{
		{"remind", "reminded: UALICE, S0DECIDE1", "Keyturner has reminded <@UALICE> and <!subteam^S0DECIDE1>."},
		{"escalate", "asked too: UBOB", "Asked too: <@UBOB>."},
		{"elapse", "", "The time for a decision is over."},
		{"remind", "", ""},
		{"something-new", "", ""},
	} {
		e := rotation.Entry{At: monday.Add(time.Hour), Actor: "clock", Action: tt.action, Outcome: "moved", Rotation: r.ID, From: rotation.Requested, Detail: tt.detail}
		if line, _ := trailLine(r, nil, e); !strings.Contains(line, tt.want) || tt.want == "" && line != "" {
			t.Errorf("%s: %q, want %q in it", tt.action, line, tt.want)
		}
	}
}

// Of the same refusal one line is enough, and what moves nothing has none.
func TestTrail_IsBounded(t *testing.T) {
	r := replace(t).r
	entry := func(actor, action, outcome, detail string) rotation.Entry {
		return rotation.Entry{At: monday.Add(time.Hour), Actor: actor, Action: action, Outcome: outcome, Rotation: r.ID, Detail: detail}
	}
	refused := entry("UEVE", "approve", "refused", "refused: not-approver")
	trail := []rotation.Entry{
		refused, refused, entry("UEVE", "approve", "refused", "refused: outdated"), entry("UMAL", "approve", "refused", "refused: not-approver"),
		entry("engine", "creating", "postponed", "x"), entry("clock", "elapse", "moved", ""), refused,
		entry("UEVE", "no-such-move", "moved", "because of <!channel> & *bold*"), entry("UEVE", "approve", "failed", "internal words"),
		entry("engine", "create-key", "intended", ""), entry("UEVE", "request", "moved", ""),
	}
	var told []int
	for i, e := range trail {
		line, _ := trailLine(r, trail[:i], e)
		if strings.Contains(line, "<!channel>") {
			t.Errorf("foreign words are not escaped: %s", line)
		}
		if line != "" {
			told = append(told, i)
		}
	}
	if want := []int{0, 3, 5, 7}; !slices.Equal(told, want) {
		t.Errorf("told are the entries %v, want %v", told, want)
	}
}
