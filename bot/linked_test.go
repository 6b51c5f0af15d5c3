package bot

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// TestLinked_IsToldOnce: who is made an owner hears of it by DM, once, whatever becomes of the process that tells them.
func TestLinked_IsToldOnce(t *testing.T) {
	for _, name := range []string{"", "killed after the message", "the answer is lost"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				told := func() (n int) {
					for _, m := range w.sim.As("UBOB").Screen().DM().Messages {
						if strings.Contains(m.Text, "You own the keys of ci-deploy") && strings.Contains(m.Text, "<@UALICE> made you the owner") {
							n++
						}
					}
					return n
				}
				once := name != ""
				p := w.boot(func(p *process) {
					p.after = func(op string) error {
						if op != "slack chat.postMessage" || !once {
							return nil
						}
						once = false
						if name == "the answer is lost" {
							return errors.New("lost")
						}
						p.kill()
						return nil
					}
				})
				if _, err := p.engine.Link(t.Context(), wUser, "UBOB", rotation.Actor{Member: wApprover, Approver: true}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				p.end()
				for range 2 {
					p = w.boot()
					time.Sleep(2 * time.Hour)
					p.end()
				}
				most := 1
				if name != "" {
					most = 2 // nobody can look into a DM
				}
				if n := told(); n < 1 || n > most {
					t.Errorf("told %d times, want at most %d", n, most)
				}
				if p := w.progress(); p.Owed || p.Link == nil || p.Link.Untold || len(p.Posts) != 0 {
					t.Errorf("afterwards: owed %v, link %+v, posts %v", p.Owed, p.Link, p.Posts)
				}
			})
		})
	}
	m := youOwnMessage(testView(), ci, rotation.Link{Owner: owner, By: alice, At: monday})
	goldenMessage(t, "linked", m)
}

// An owner who was linked before anybody was told of it is not told now.
func TestLinked_OldLinksAreNotTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.kept.Create(t.Context(), rotation.Progress{User: wUser, Owed: true, Link: &rotation.Link{Owner: "UBOB", By: wApprover, At: time.Now()}})
		if err != nil {
			t.Fatal(err)
		}
		p := w.boot()
		time.Sleep(5 * time.Minute)
		p.end()
		if n := len(w.sim.As("UBOB").Screen().DM().Messages); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}
