package app_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaultPairs plays short stories of the whole bot, once for each of its outside calls and each way in which that call can go wrong.
func TestFaultPairs(t *testing.T) {
	known := map[string]bool{}
	rows, ran, table := 0, 0, map[string]int{}
	for _, l := range plots {
		made, want := l.record(t)
		for _, m := range mishaps(made, known) {
			rows++
			table[m.op]++
			if name := l.name + "/" + m.String(); chosen(name) {
				ran++
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { l.suffer(t, m, want) })
				})
			}
		}
	}
	covers(t, table)
	t.Logf("%d of %d rows are run", ran, rows)
}

// chosen tells whether a row is run: all of them with KEYTURNER_REQUIRE=all, and otherwise every seventh.
func chosen(name string) bool {
	if os.Getenv("KEYTURNER_REQUIRE") == "all" && !raceEnabled {
		return true
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()%7 == 0
}

func (m mishap) String() string { return fmt.Sprintf("%s/%s #%d, %s", m.scene, m.op, m.n, m.end) }

// mishaps are the rows of a plot: for the first call of each kind in a scene, and for each call that changes something.
func mishaps(made []outcall, known map[string]bool) []mishap {
	var all []mishap
	fresh := map[string]bool{}
	for _, c := range made {
		if !known[c.scene] {
			known[c.scene], fresh[c.scene] = true, true
		}
		if !fresh[c.scene] || c.premise || c.n > 1 && !slices.Contains(changingCalls, c.op) {
			continue
		}
		for _, end := range endings(c.op) {
			all = append(all, mishap{c.scene, c.op, c.n, end})
		}
	}
	return all
}

// record plays a plot without a mishap.
func (l plot) record(t *testing.T) (made []outcall, end standing) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, l.shape, nil)
		defer p.finally(t)
		l.play(p)
		p.concludes()
		if tale := p.story.text(); strings.Contains(tale, "has ended by itself") || strings.Contains(tale, "cannot start") {
			t.Fatalf("%s: a process has ended by itself", l.name)
		}
		made, end = slices.Clone(p.calls.made), p.standing()
	})
	if t.Failed() {
		t.FailNow()
	}
	return made, end
}

// suffer plays a plot with a mishap.
func (l plot) suffer(t *testing.T, m mishap, want standing) {
	p := newPlay(t, l.shape, &m)
	defer p.finally(t)
	l.play(p)
	p.concludes()
	if !p.calls.struck {
		t.Error("the call was not made")
	}
	p.compare(t, p.standing(), want, m)
}

// concludes waits until nothing is left to do, and holds what must be so then.
func (p *play) concludes() {
	p.calls.enter("the end")
	p.leap(visible + time.Minute) // no secret is left standing
	p.calm()
	p.watch.inv5End()
	p.verdict()
}

func (p *play) finally(t *testing.T) {
	if t.Failed() {
		t.Log("\n" + p.tale() + "\n\n" + strings.TrimSpace(p.logged()))
	}
	p.end()
}

// logged is what the bot has logged of things that went wrong.
func (p *play) logged() string {
	p.logs.mu.Lock()
	defer p.logs.mu.Unlock()
	var bad []string
	for line := range strings.Lines(p.logs.buf.String()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") {
			bad = append(bad, line)
		}
	}
	return strings.Join(bad, "")
}
