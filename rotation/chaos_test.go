package rotation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// lagging is a store whose Live is behind its writes: it tells of each document, for a while, what was true before.
type lagging struct {
	rotation.Store
	f   *fleet
	rnd *rand.Rand
}

func (l lagging) Live(ctx context.Context, fn func(string, uint64) error) error {
	l.f.mu.Lock()
	lags, ghost := l.rnd.IntN(3) == 0, l.rnd.IntN(10) == 0
	old := l.f.lived
	l.f.mu.Unlock()
	if lags && old != nil {
		for id, rev := range old {
			if err := fn(id, rev); err != nil {
				return err
			}
		}
		return nil
	}
	now := map[string]uint64{}
	err := l.Store.Live(ctx, func(id string, rev uint64) error { now[id] = rev; return fn(id, rev) })
	l.f.mu.Lock()
	l.f.lived = now
	l.f.mu.Unlock()
	if ghost && err == nil {
		err = fn("nobodyisthere234", 7) // which was never stored, or is not any more
	}
	return err
}

// TestEngines_Chaos plays all ways with up to three processes, each call of which may be lost, carried out or not, or be halted, and
// each of which may die at any time and come back, until it lets them be: the invariants hold all along, and the rotation comes to
// its end. The number is the seed.
func TestEngines_Chaos(t *testing.T) {
	t.Parallel()
	all := ways()
	for seed := range uint64(120) {
		w := all[int(seed)%len(all)]
		t.Run(fmt.Sprintf("%d %s", seed, w.name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 3))
				n := 1 + rnd.IntN(3)
				f := newFleet(t, w, n)
				f.leaves, f.chaos = true, true
				f.pick = rand.New(rand.NewPCG(seed, 4)).IntN
				f.lag = rand.New(rand.NewPCG(seed, 5))
				calm := time.Now().Add(40 * time.Minute)
				base := f.fate
				f.fate = func(p *process, method string) fate {
					switch roll := rnd.IntN(100); {
					case time.Now().After(calm):
						return fate{}
					case roll < 2 && f.shared && !slices.Contains([]string{"Accept", "Settle", "Forget"}, method):
						f.halted[p] = true
						wait := time.Duration(rnd.IntN(200)) * time.Second
						return fate{before: func() { time.Sleep(wait) }}
					case roll < 3:
						return fate{fails: true, dies: true, applied: rnd.IntN(2) == 0}
					case roll < 10:
						return fate{fails: true, applied: rnd.IntN(2) == 0}
					case base != nil:
						return base(p, method)
					}
					return fate{}
				}
				for range n {
					f.start()
				}
				f.wakeAtRandom(rand.New(rand.NewPCG(seed, 6)))
				f.play()
			})
		})
	}
}
