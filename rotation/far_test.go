package rotation_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// trouble is how badly the claims of one process are reached.
type trouble struct {
	lost   float64       // how many answers are lost, of all
	slow   float64       // how many calls take long
	long   time.Duration // how long these take at most, each way
	deaf   float64       // how many ignore that the caller does not wait any more
	outage time.Duration // for how long nothing can be reached, from time to time
}

// far is a store of claims at the end of a bad line. A call whose caller has gone may still arrive.
type far struct {
	*quickStore
	trouble func() trouble
	mu      sync.Mutex
	rnd     *rand.Rand
	outage  time.Time // until when
	cut     atomic.Bool
}

// trip is one call's way there and back.
type trip struct {
	there, back time.Duration
	arrives     bool
	answered    bool
	deaf        bool
}

func (f *far) trip() trip {
	how := f.trouble()
	f.mu.Lock()
	defer f.mu.Unlock()
	delay := func() time.Duration {
		if f.rnd.Float64() < how.slow {
			return time.Duration(f.rnd.Int64N(int64(how.long) + 1))
		}
		return time.Duration(f.rnd.IntN(50)) * time.Millisecond
	}
	if how.outage > 0 && time.Now().After(f.outage) && f.rnd.IntN(30) == 0 {
		f.outage = time.Now().Add(time.Duration(f.rnd.Int64N(int64(how.outage))))
	}
	t := trip{there: delay(), back: delay(), arrives: true, answered: true, deaf: f.rnd.Float64() < how.deaf}
	if time.Now().Before(f.outage) || f.cut.Load() {
		t.arrives, t.answered = false, false
	} else if f.rnd.Float64() < how.lost {
		t.answered, t.arrives = false, f.rnd.IntN(2) == 0
	}
	return t
}

// call carries do there and its answer back. Who does not wait any more gets no answer, but do may be done nevertheless.
func (f *far) call(ctx context.Context, do func() error) error {
	way := f.trip()
	answer := make(chan error, 1)
	go func() {
		time.Sleep(way.there)
		var err error
		if way.arrives {
			err = do()
		}
		time.Sleep(way.back)
		if !way.answered {
			err = errLost
		}
		answer <- err
	}()
	if way.deaf {
		return <-answer
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-answer:
		return err
	}
}

func (f *far) Claimed(ctx context.Context, name string) (rotation.Claim, error) {
	var got rotation.Claim
	var mu sync.Mutex
	err := f.call(ctx, func() (err error) {
		mu.Lock()
		defer mu.Unlock()
		got, err = f.quickStore.Claimed(context.Background(), name)
		return err
	})
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		return rotation.Claim{}, err
	}
	return got, nil
}

func (f *far) Claim(ctx context.Context, c rotation.Claim) (rotation.Claim, error) {
	var got rotation.Claim
	var mu sync.Mutex
	err := f.call(ctx, func() (err error) {
		mu.Lock()
		defer mu.Unlock()
		got, err = f.quickStore.Claim(context.Background(), c)
		return err
	})
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		return rotation.Claim{}, err
	}
	return got, nil
}
