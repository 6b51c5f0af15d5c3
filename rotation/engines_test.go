package rotation_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// someWays are the ways that together come to every working stage.
func someWays() []way {
	return slices.DeleteFunc(ways(), func(w way) bool { return !slices.Contains([]string{"replace", "reissue", "reactivate"}, w.name) })
}

// wakeAtRandom wakes the processes at random moments until the bubble's test ends.
func (f *fleet) wakeAtRandom(rnd *rand.Rand) {
	done := f.t.Context().Done()
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(rnd.IntN(3000)) * time.Millisecond):
			}
			f.mu.Lock()
			woken := f.processes[rnd.IntN(len(f.processes))]
			f.mu.Unlock()
			woken.Wake()
		}
	}()
}

// TestEngines_MakeEachEffectOnce lets two and three processes work on one store, with clicks on any of them: the changes are those that
// one process makes alone, and nothing is taken over from anybody.
func TestEngines_MakeEachEffectOnce(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		alone := clean(t, w)
		for seed := range uint64(6) {
			n := 2 + int(seed%2)
			t.Run(fmt.Sprintf("%s by %d, seed %d", w.name, n, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(seed, 1))
					f := newFleet(t, w, n)
					f.pick = rand.New(rand.NewPCG(seed, 2)).IntN
					for range n {
						f.start()
					}
					f.wakeAtRandom(rnd)
					f.play()
					if got, want := f.cloud.changes, alone.cloud.changes; !slices.Equal(got, want) {
						t.Errorf("changes %v, want %v", got, want)
					}
					for _, method := range []string{"CreateKey", "DeleteKey", "Prepare", "HandOver"} {
						if got, want := f.called(method), alone.called(method); got != want {
							t.Errorf("%s was called %d times, want %d", method, got, want)
						}
					}
					if len(f.takes) > 0 {
						t.Errorf("taken over though nobody died: %+v", f.takes)
					}
				})
			})
		}
	}
}

func (f *fleet) called(method string) int {
	n := 0
	for _, called := range f.calls {
		if called == method {
			n++
		}
	}
	return n
}

// TestEngines_OneDiesAtAWrite kills one of two processes at each of its writes, carried out or not. The other one goes on: with what was
// the dead one's, after the lease and not before, and not much later.
func TestEngines_OneDiesAtAWrite(t *testing.T) {
	t.Parallel()
	taken := map[rotation.Stage]int{}
	for _, w := range someWays() {
		for _, applied := range []bool{false, true} {
			for n, reached := 1, true; reached; n++ {
				t.Run(fmt.Sprintf("%s, write %d applied %v", w.name, n, applied), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newFleet(t, w, 2)
						f.leaves = true
						left := n
						f.fate = func(p *process, method string) fate {
							if p.n == 0 && slices.Contains(storeWrites(), method) {
								left--
							}
							dies := left == 0 && p.n == 0
							return fate{fails: dies, dies: dies, applied: applied}
						}
						f.start()
						f.start()
						f.play()
						reached = f.processes[0].store.dead()
						for _, took := range f.takes {
							taken[took.stage]++
							if lease := rotation.LeaseOf(took.stage); took.after > lease+3*rotation.SharedTick {
								t.Errorf("%s was taken over only after %s", took.stage, took.after)
							}
						}
						if len(f.takes) > 1 {
							t.Errorf("taken over more than once: %+v", f.takes)
						}
					})
				})
			}
		}
	}
	for _, stage := range workingStages {
		if taken[stage] == 0 {
			t.Errorf("nobody died in %s: %v", stage, taken)
		}
	}
}

var workingStages = []rotation.Stage{
	rotation.Creating, rotation.Delivering, rotation.Discarding, rotation.Deactivating, rotation.Reactivating, rotation.Deleting,
}

// byEngine are the calls that effects make; User is the first of each look.
var byEngine = []string{"User", "Maker", "CreateKey", "SetStatus", "DeleteKey", "Prepare", "HandOver", "Replace"}

// TestEngines_OneIsHalted halts a process in each of its calls to AWS, to Slack and to the store, before or after it is carried out, for
// longer than the lease. Another one goes on meanwhile; the halted one then tells what came of its call, too late.
func TestEngines_OneIsHalted(t *testing.T) {
	t.Parallel()
	const halt = rotation.WorkLease + time.Minute
	tookOver := 0
	for _, w := range someWays() {
		count := map[string]int{}
		for _, method := range clean(t, w).calls {
			count[method]++
			if !slices.Contains(byEngine, method) {
				continue
			}
			for _, before := range []bool{true, false} {
				n := count[method]
				t.Run(fmt.Sprintf("%s/%s %d before %v", w.name, method, n, before), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newFleet(t, w, 2)
						f.leaves = true
						met := 0
						f.fate = func(p *process, called string) fate {
							if called == method {
								met++
							}
							if called != method || met != n {
								return fate{}
							}
							met++
							f.halted[p] = true
							stop := func() { time.Sleep(halt) }
							if before {
								return fate{before: stop}
							}
							return fate{after: stop}
						}
						f.start()
						f.start()
						f.play()
						tookOver += len(f.takes)
					})
				})
			}
		}
	}
	if tookOver < 20 {
		t.Errorf("only %d effects were taken over", tookOver)
	}
}
