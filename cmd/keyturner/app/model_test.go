package app_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
)

// TestModel plays the whole bot against simulated AWS, Slack, people and applications, with every fault there is, and holds the ten
// invariants of the design after every step. A run that breaks one is told in words.
//
// By itself it is short. A long run is
//
//	go test ./cmd/keyturner/app -run 'TestModel$' -rapid.checks=2000 -rapid.steps=100 -timeout=24h
func TestModel(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector makes it take minutes")
	}
	modest(t, "rapid.checks", "8")
	modest(t, "rapid.steps", "40")
	var told string // the shortest failing run
	done := tally{}
	t.Cleanup(func() {
		t.Logf("played:\n%s", done)
		if told != "" {
			t.Log("\n" + told)
		}
	})
	files := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			s := drawShape(rt, files)
			w := newWorld(rt, s)
			defer func() {
				p := recover()
				if story := w.tale(); p != nil && len(w.watch.broken) > 0 && (told == "" || len(story) < len(told)) {
					told = story
				}
				done.add(w)
				w.end()
				if p != nil {
					panic(p)
				}
			}()
			rt.Repeat(w.actions())
			w.finish()
		})
	})
}

// modest sets a flag of rapid unless it was given, for this test alone.
func modest(t *testing.T, name, value string) {
	t.Helper()
	given := os.Getenv(strings.ToUpper(strings.ReplaceAll(name, ".", "_"))) != ""
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set(name, before); err != nil {
			t.Error(err)
		}
	})
}

// ways are those in which a secret can go, the plain direct message more often than the others.
var ways = []rotation.Mode{"", "", rotation.Reveal, rotation.Sealed, rotation.InSecretsManager, rotation.InSSM}

func drawShape(t *rapid.T, files string) shape {
	s := shape{
		replicas: rapid.IntRange(1, 3).Draw(t, "replicas"),
		lag:      rapid.SampledFrom([]time.Duration{0, 0, time.Second, 3 * time.Second}).Draw(t, "lag of the store"),
		useLag:   rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(t, "lag of the last use"),
		eventLag: rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(t, "lag of CloudTrail"),
		seed:     rapid.Uint64().Draw(t, "sockets"),
		delivery: rapid.SampledFrom(ways).Draw(t, "delivery"),
		second:   rapid.SampledFrom(ways).Draw(t, "delivery of the second account"),
		group:    rapid.IntRange(0, 3).Draw(t, "a group owns") == 0,
		mail:     rapid.IntRange(0, 3).Draw(t, "addresses name owners") == 0,
		ruled:    rapid.IntRange(0, 3).Draw(t, "a rule") == 0,
		traced:   rapid.IntRange(0, 3).Draw(t, "CloudTrail is asked") == 0,
	}
	for range rapid.IntRange(1, 3).Draw(t, "users") {
		s.users |= 1 << rapid.IntRange(0, len(seed)-1).Draw(t, "user")
	}
	s.shared = s.replicas > 1 || rapid.Bool().Draw(t, "shared")
	if !s.shared && rapid.Bool().Draw(t, "in a file") {
		file, err := os.CreateTemp(files, "model-*.db")
		if err != nil {
			t.Fatalf("make a file: %v", err)
		}
		s.bolt = file.Name()
		_ = file.Close()
		_ = os.Remove(s.bolt)
		s.bolt = filepath.Clean(s.bolt)
	}
	return s
}

// tale is the transcript with the state at its end.
func (w *world) tale() string {
	var b strings.Builder
	b.WriteString(w.story.text())
	b.WriteString("\n\nstate:\n")
	for _, p := range w.kept.progresses() {
		if p.Rotation != nil {
			r := p.Rotation
			b.WriteString("  " + p.User.String() + " " + w.short(r.Ref().String()) + " " + string(r.Stage) + " old " + short(string(r.Old)) + " new " + short(string(r.New)) + "\n")
		}
		for _, k := range w.watch.see(p.User).keys {
			b.WriteString("    " + short(k.ID) + " " + k.Status + "\n")
		}
	}
	return b.String()
}

// tally counts what the runs have come to.
type tally map[string]int

func (y tally) add(w *world) {
	y["runs"]++
	y["steps"] += w.steps
	y["deaths"] += w.deaths
	y["envelopes"] += len(w.watch.order)
	y["calls to AWS"] += len(w.aws.Calls())
	for _, c := range w.watch.changes {
		y[strings.TrimSuffix(c.op, "AccessKey")+c.status]++
	}
	for _, e := range w.kept.entries() {
		if e.Outcome == "moved" && e.From == "" && e.To == "" {
			y["done "+e.Action]++
		}
		if e.Outcome == "moved" && e.From != e.To {
			y[fmt.Sprintf("move %s on %s to %s", e.From, e.Action, e.To)]++
		}
	}
	y["delivery "+string(w.shape.delivery)]++
	y["delivery "+string(w.shape.second)]++
	for _, p := range w.kept.progresses() {
		if p.Link != nil {
			y["links"]++
		}
		for _, x := range p.Exemptions {
			y["exemptions "+string(x.Stage)]++
		}
		y["snoozes"] += len(p.Snoozes)
		for _, r := range p.All() {
			y["rotations "+string(r.Stage)]++
			y[string(r.Kind)]++
		}
	}
}

func (y tally) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(y)) {
		parts = append(parts, fmt.Sprintf("%7d  %s", y[name], name))
	}
	return strings.Join(parts, "\n")
}
