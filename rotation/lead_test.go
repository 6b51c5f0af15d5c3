package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
)

// race is some processes that want to lead.
type race struct {
	t       *testing.T
	kept    *quickStore
	trouble atomic.Pointer[trouble]
	linger  time.Duration // how long who led takes to stop, at most
	leading atomic.Int32
	worst   atomic.Int32 // the most that led at once
	led     atomic.Int32 // how many times somebody began to
	seed    uint64
}

func newRace(t *testing.T, seed uint64) *race {
	r := &race{t: t, kept: newQuickStore(), seed: seed}
	r.trouble.Store(&trouble{})
	return r
}

// runner is one process in the race.
type runner struct {
	engine *rotation.Engine
	store  *far
	stop   func() // by itself; returns when it has stopped
	kill   func() // at once
	leads  atomic.Bool
	began  atomic.Int64 // when it began to lead
	ended  atomic.Int64 // when its context ended
}

// quit is how often, of all, who leads stops by itself.
func (r *race) join(quit float64) *runner {
	r.seed++
	rnd := rand.New(rand.NewPCG(r.seed, 7))
	one := &runner{store: &far{quickStore: r.kept, trouble: func() trouble { return *r.trouble.Load() }, rnd: rand.New(rand.NewPCG(r.seed, 8))}}
	engine, err := rotation.New(rotation.Config{Store: one.store, Hand: newHand(), Shared: true})
	if err != nil {
		r.t.Fatal(err)
	}
	one.engine = engine
	ctx, cancel := context.WithCancel(context.Background())
	killed, stopped := make(chan struct{}), make(chan struct{})
	lead := func(ctx context.Context) error {
		one.began.Store(time.Now().UnixNano())
		one.leads.Store(true)
		r.led.Add(1)
		n := r.leading.Add(1)
		if n > r.worst.Load() {
			r.worst.Store(n)
		}
		defer r.leading.Add(-1)
		defer one.leads.Store(false)
		by := time.Hour
		if rnd.Float64() < quit {
			by = time.Duration(rnd.IntN(60)) * time.Second
		}
		select {
		case <-killed:
			return nil
		case <-time.After(by):
			return nil
		case <-ctx.Done():
			one.ended.Store(time.Now().UnixNano())
		}
		if r.linger > 0 {
			select {
			case <-killed:
			case <-time.After(time.Duration(rnd.Int64N(int64(r.linger)))):
			}
		}
		return nil
	}
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			if err := engine.Lead(ctx, "messages", lead); err != nil {
				r.t.Errorf("lead: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	one.stop = func() { cancel(); <-stopped }
	one.kill = sync.OnceFunc(func() {
		one.store.cut.Store(true)
		close(killed)
		cancel()
	})
	return one
}

// TestLead_OneAtATime lets up to four processes lead by turns over bad lines, stop, die and come back, as rapid says: there are never two
// at once, and when the lines are good again there is one.
func TestLead_OneAtATime(t *testing.T) {
	t.Parallel()
	schedules, changes := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 4).Draw(rt, "processes")
		part := rapid.Float64Range(0, 0.6)
		how := trouble{
			lost: part.Draw(rt, "lost"), slow: part.Draw(rt, "slow"), deaf: part.Draw(rt, "deaf"),
			long:   time.Duration(rapid.IntRange(0, 30).Draw(rt, "long")) * time.Second,
			outage: time.Duration(rapid.IntRange(0, 60).Draw(rt, "outage")) * time.Second,
		}
		quit, restarts := part.Draw(rt, "quit"), rapid.IntRange(0, 3).Draw(rt, "restarts")
		linger := time.Duration(rapid.IntRange(0, int(rotation.StopBefore/time.Millisecond)).Draw(rt, "linger")) * time.Millisecond
		seed := rapid.Uint64().Draw(rt, "seed")
		for again := range uint64(20) {
			schedules++
			worst, led, leader := int32(0), int32(0), int32(0)
			synctest.Test(t, func(t *testing.T) {
				r := newRace(t, seed+again*1000)
				r.linger = linger
				r.trouble.Store(&how)
				rnd := rand.New(rand.NewPCG(seed+again, 9))
				var runners []*runner
				for range n {
					runners = append(runners, r.join(quit))
				}
				for range 8 {
					time.Sleep(time.Duration(rnd.IntN(40)) * time.Second)
					if i := rnd.IntN(n); rnd.IntN(4) < restarts {
						if rnd.IntN(2) == 0 {
							runners[i].kill()
						}
						go runners[i].stop()
						runners[i] = r.join(quit)
					}
				}
				r.trouble.Store(&trouble{})
				time.Sleep(2 * time.Minute) // what was slow arrives
				quiet := r.join(0)
				for _, one := range runners {
					one.stop()
				}
				time.Sleep(rotation.LeaseTime + 2*rotation.RenewEvery)
				leader = r.leading.Load()
				quiet.stop()
				worst, led = r.worst.Load(), r.led.Load()
			})
			changes += int(led)
			if worst > 1 {
				rt.Fatalf("%d led at once, with seed %d", worst, seed+again*1000)
			}
			if leader != 1 {
				rt.Fatalf("%d lead in the end, with seed %d", leader, seed+again*1000)
			}
		}
	})
	t.Logf("%d schedules, in which somebody began to lead %d times", schedules, changes)
	if changes < 2*schedules {
		t.Errorf("in %d schedules somebody began to lead only %d times", schedules, changes)
	}
}

// slowFirst answers the first claim very late, though it was carried out at once.
type slowFirst struct {
	*quickStore
	met bool
}

func (s *slowFirst) Claim(ctx context.Context, c rotation.Claim) (rotation.Claim, error) {
	taken, err := s.quickStore.Claim(ctx, c)
	if !s.met {
		s.met = true
		time.Sleep(rotation.LeaseTime + 3*rotation.RenewEvery)
	}
	return taken, err
}

func TestLead_ALateAnswerIsNoLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRace(t, 1)
		late, err := rotation.New(rotation.Config{Store: &slowFirst{quickStore: r.kept}, Hand: newHand(), Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- late.Lead(ctx, "messages", func(context.Context) error {
				t.Errorf("it leads when its answer comes, and so does another: %d", r.leading.Load())
				return nil
			})
		}()
		time.Sleep(time.Second)
		b := r.join(0)
		time.Sleep(2 * time.Minute)
		if r.leading.Load() != 1 {
			t.Errorf("%d lead", r.leading.Load())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.stop()
	})
}

// leader waits until one of the runners leads.
func (r *race) leader(runners ...*runner) *runner {
	r.t.Helper()
	for range 600 {
		synctest.Wait()
		for _, one := range runners {
			if one.leads.Load() {
				return one
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatal("nobody leads")
	return nil
}

func TestLead_FailsOverInTime(t *testing.T) {
	const soonest, latest = rotation.LeaseTime - rotation.RenewEvery, rotation.LeaseTime + 2*rotation.RenewEvery
	tests := []struct {
		name     string
		ends     func(*runner)
		from, to time.Duration // after that
		stops    bool          // the one that led has to, in time
	}{
		{"a clean stop", func(one *runner) { one.stop() }, 0, rotation.RenewEvery + time.Second, false},
		{"a death", func(one *runner) { one.kill() }, soonest, latest, false},
		{"a cut line", func(one *runner) { one.store.cut.Store(true) }, soonest, latest, true},
	}
	for _, test := range tests {
		for seed := range uint64(20) {
			t.Run(fmt.Sprintf("%s %d", test.name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRace(t, seed*100)
					a, b := r.join(0), r.join(0)
					defer b.stop()
					defer a.stop()
					first := r.leader(a, b)
					other := map[*runner]*runner{a: b, b: a}[first]
					if seed%2 == 1 { // or just after it began to lead
						time.Sleep(time.Minute + time.Duration(seed)*777*time.Millisecond)
					}
					if !first.leads.Load() || r.led.Load() != 1 {
						t.Fatalf("the lead changed %d times with nothing wrong", r.led.Load())
					}
					gone := time.Now()
					test.ends(first)
					r.leader(other)
					began := time.Unix(0, other.began.Load())
					if took := began.Sub(gone); took < test.from || took > test.to {
						t.Errorf("the other one leads after %s, want between %s and %s", took, test.from, test.to)
					}
					if margin := began.Sub(time.Unix(0, first.ended.Load())); test.stops && margin < rotation.StopBefore {
						t.Errorf("the first had %s to stop, want %s", margin, rotation.StopBefore)
					}
					if r.worst.Load() != 1 {
						t.Error("two led at once")
					}
				})
			})
		}
	}
}

// stuckClaims never answers a renewal, whatever its context says.
type stuckClaims struct {
	*quickStore
	after atomic.Int32
	free  chan struct{}
}

func (s *stuckClaims) Claim(ctx context.Context, c rotation.Claim) (rotation.Claim, error) {
	if s.after.Add(-1) < 0 {
		<-s.free
	}
	return s.quickStore.Claim(ctx, c)
}

func TestLead_StopsAlthoughTheStoreHangs(t *testing.T) {
	for renewals := range 3 {
		t.Run(fmt.Sprintf("after %d renewals", renewals), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stuckClaims{quickStore: newQuickStore(), free: make(chan struct{})}
				s.after.Store(int32(1 + renewals))
				engine, err := rotation.New(rotation.Config{Store: s, Hand: newHand(), Shared: true})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				began := time.Now()
				var led time.Duration
				done := make(chan error, 1)
				go func() {
					done <- engine.Lead(ctx, "x", func(ctx context.Context) error {
						<-ctx.Done()
						if led == 0 {
							led = time.Since(began)
						}
						return ctx.Err()
					})
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				last := time.Duration(renewals) * rotation.RenewEvery
				if want := last + rotation.LeaseTime - rotation.StopBefore; led != want {
					t.Errorf("it led for %s, want %s: the last renewal that was answered began after %s", led, want, last)
				}
				cancel()
				close(s.free)
				if err := <-done; err != nil {
					t.Errorf("lead: %v", err)
				}
			})
		})
	}
}

func TestLead_ReturnsWhatItsWorkReturns(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %v", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := newQuickStore()
				engine, err := rotation.New(rotation.Config{Store: kept, Hand: newHand(), Shared: shared})
				if err != nil {
					t.Fatal(err)
				}
				broken := errors.New("broken")
				if err := engine.Lead(t.Context(), "x", func(context.Context) error { return broken }); !errors.Is(err, broken) {
					t.Errorf("got %v, want what the function returned", err)
				}
				if c, err := kept.Claimed(t.Context(), "x"); shared && (err != nil || c.Holder != "") {
					t.Errorf("the claim is %+v, %v: want it given up", c, err)
				}
			})
		})
	}
}

// TestLead_GivesUpAClaimWhoseRenewalWasLost stops a leader whose last renewal was carried out and not answered.
func TestLead_GivesUpAClaimWhoseRenewalWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newQuickStore()
		var fails atomic.Bool
		store := newFaulty(kept, func(method string) fate { return fate{fails: fails.Load() && method == "Claim", applied: true} })
		engine, err := rotation.New(rotation.Config{Store: store, Hand: newHand(), Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- engine.Lead(ctx, "x", func(ctx context.Context) error { <-ctx.Done(); return nil })
		}()
		time.Sleep(rotation.RenewEvery + time.Second)
		fails.Store(true)
		time.Sleep(rotation.RenewEvery)
		fails.Store(false)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if c, err := kept.Claimed(t.Context(), "x"); err != nil || c.Holder != "" {
			t.Errorf("the claim is %+v, %v: want it given up", c, err)
		}
	})
}
