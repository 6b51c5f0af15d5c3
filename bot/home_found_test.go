package bot

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// homeOf is everything that a person's Home tab says.
func homeOf(p *slacksim.Person) string {
	if h := p.Screen().Home; h != nil {
		return h.Content()
	}
	return ""
}

// TestHome_ShowsWhatTheLatestScanFound: whichever process shows it, before a scan has ended and after a restart, and to nobody who may not ask.
func TestHome_ShowsWhatTheLatestScanFound(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.shared, w.aws.reports = true, true
		w.aws.slow(5 * time.Minute)
		homes := func(p *process) {
			p.events = map[string]func(context.Context, caller, letter){
				"app_home_opened": func(ctx context.Context, who caller, l letter) { p.bot.homeOpened(ctx, who, l) },
			}
		}
		first := w.boot(homes)
		opens := func(p *slacksim.Person) {
			t.Helper()
			if err := p.OpenHome(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		opens(w.alice)
		if said := homeOf(w.alice); !strings.Contains(said, "No scan has ended yet, so nothing is known") {
			t.Errorf("while the first scan goes on: %s", said)
		}
		time.Sleep(10 * time.Minute)
		if said := homeOf(w.alice); !strings.Contains(said, "Keys that need attention: 1") || !strings.Contains(said, "too old") {
			t.Errorf("after it: %s", said)
		}
		var blind atomic.Bool
		second := w.boot(homes, func(p *process) {
			p.before = func(op string) error {
				if blind.Load() && op == "store Claimed" {
					return errDead
				}
				return nil
			}
		})
		first.end()
		bob := w.sim.As("UBOB")
		opens(bob) // the other one has not scanned yet
		if said := homeOf(bob); !strings.Contains(said, "Keys that need attention: 1") {
			t.Errorf("another process shows: %s", said)
		}
		blind.Store(true)
		opens(bob)
		if said := homeOf(bob); !strings.Contains(said, "nothing is known about it here") {
			t.Errorf("when it cannot be read: %s", said)
		}
		blind.Store(false)
		opens(w.olivia)
		if said := homeOf(w.olivia); strings.Contains(said, "Keys that need attention") || !strings.Contains(said, "Needs attention: too old") {
			t.Errorf("the owner is shown: %s", said)
		}
		second.end()
	})
}

// TestPacked keeps every line whole and in its order, and counts those that are left out.
func TestPacked(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 40 {
		lines = append(lines, strings.Repeat(string(rune('a'+i%26)), 1+i*40))
	}
	for _, sections := range []int{0, 1, 3, 100} {
		texts, shown := packed(lines, sections)
		all := strings.Join(texts, "\n")
		if len(texts) > sections || all != strings.Join(each(lines[:shown], func(l string) string { return "• " + l }), "\n") {
			t.Errorf("%d sections of %d, with %d lines: %q", len(texts), sections, shown, all)
		}
		for _, text := range texts {
			if n := len([]rune(text)); n > maxBlockText {
				t.Errorf("a section has %d characters", n)
			}
		}
		if sections == 100 && shown != len(lines) {
			t.Errorf("only %d lines are shown", shown)
		}
	}
}

// TestWorstFirst: what is not known comes before what is grave, and what is accepted counts as nothing.
func TestWorstFirst(t *testing.T) {
	t.Parallel()
	with := func(name string, breach rotation.Breach, x rotation.Exemption) rotation.Holding {
		h := rotation.Holding{User: rotation.UserRef{Account: ci.Account, Name: name}}
		if breach != "" {
			h.Findings = []rotation.Finding{{Breach: breach, Exempt: x}}
		}
		return h
	}
	unread := with("unread", "", rotation.Exemption{})
	unread.Err = errDead
	v := testView()
	v.now = monday
	var got []string
	for _, h := range v.worstFirst([]rotation.Holding{
		with("clean", "", rotation.Exemption{}), with("accepted", rotation.Quarantined, rotation.Exemption{Reason: "x", Until: monday.Add(time.Hour)}),
		with("inactive", rotation.LeftInactive, rotation.Exemption{}), with("old", rotation.TooOld, rotation.Exemption{}), unread,
	}) {
		got = append(got, h.User.Name)
	}
	if want := "unread old inactive clean accepted"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}
