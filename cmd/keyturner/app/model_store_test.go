package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

var errStore = errors.New("write to the disk: input/output error")

// kept is what survives the processes: the store, the faults on the way to it, and how far its indexes lag.
type kept struct {
	w     *world
	mu    sync.Mutex
	base  store.Closer
	plans []*storeFault

	revs      map[string][]version // of every progress, oldest first
	envelopes map[string][]letter  // of every envelope
	refused   map[string]bool      // envelopes of which the bot was told that they are not recorded
	worked    map[string]time.Time // envelopes that are done, and when that was noted, by the model's clock
	struck    []time.Time          // when a fault struck, by the bubble's clock
}

type version struct {
	at   time.Time
	rev  uint64
	live bool
}

type letter struct {
	at       time.Time
	envelope rotation.Envelope
}

// storeFault is a planned failure of the store.
type storeFault struct {
	op    string // the method, or any if empty
	slot  int    // of the replica; negative: any
	times int
	mode  string // "lost": not carried out; "unanswered": carried out; "slow"
	delay time.Duration
}

func openKept(w *world) *kept {
	k := &kept{w: w, revs: map[string][]version{}, envelopes: map[string][]letter{}, refused: map[string]bool{}, worked: map[string]time.Time{}}
	k.reopen()
	return k
}

func (k *kept) reopen() {
	if k.w.shape.bolt == "" {
		if k.base == nil {
			k.base = store.NewMem()
		}
		return
	}
	if k.base != nil {
		_ = k.base.Close()
	}
	base, err := store.Open("bolt:" + k.w.shape.bolt)
	if err != nil {
		k.w.t.Fatalf("open the store: %v", err)
	}
	k.base = base
}

// openFor is the store as a process has it.
func (k *kept) openFor(r *replica) *doorStore { return &doorStore{k: k, r: r, base: k.base} }

// died opens the file anew, as the next process would.
func (k *kept) died(*replica) { k.reopen() }

func (k *kept) close() { _ = k.base.Close() }

// fail plans a fault.
func (k *kept) fail(f storeFault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plans = append(k.plans, &f)
}

func (k *kept) heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plans = nil
}

// ailing tells whether a fault struck soon after a time.
func (k *kept) ailing(since time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.struck, func(t time.Time) bool {
		return !t.Before(since.Add(-time.Minute)) && t.Before(since.Add(5*time.Minute))
	})
}

// strikes counts the faults that have struck.
func (k *kept) strikes() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.struck)
}

func (k *kept) take(op string, slot int) (storeFault, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.plans, func(f *storeFault) bool { return (f.op == "" || f.op == op) && (f.slot < 0 || f.slot == slot) })
	if i < 0 {
		return storeFault{}, false
	}
	f := *k.plans[i]
	k.struck = append(k.struck, time.Now())
	if k.plans[i].times--; k.plans[i].times == 0 {
		k.plans = slices.Delete(k.plans, i, i+1)
	}
	return f, true
}

// progresses reads all there is, past every fault.
func (k *kept) progresses() []rotation.Progress {
	var all []rotation.Progress
	err := k.base.Scan(context.Background(), func(p rotation.Progress) error {
		all = append(all, p)
		return nil
	})
	if err != nil {
		k.w.fail(0, "the store cannot be read: %v", err)
	}
	return all
}

func (k *kept) progress(id string) (rotation.Progress, bool) {
	p, err := k.base.Get(context.Background(), id)
	if err != nil && !errors.Is(err, rotation.ErrNotFound) {
		k.w.fail(0, "the store cannot be read: %v", err)
	}
	return p, err == nil
}

func (k *kept) entries() []rotation.Entry {
	var all []rotation.Entry
	err := k.base.Entries(context.Background(), func(_ string, e rotation.Entry) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		k.w.fail(0, "the entries cannot be read: %v", err)
	}
	for _, p := range k.progresses() {
		all = append(all, p.Trail...)
	}
	return all
}

func (k *kept) waiting() []rotation.Envelope {
	var all []rotation.Envelope
	err := k.base.Waiting(context.Background(), func(v rotation.Envelope) error {
		all = append(all, v)
		return nil
	})
	if err != nil {
		k.w.fail(0, "the inbox cannot be read: %v", err)
	}
	return all
}

// bytes is the file, if there is one.
func (k *kept) bytes() []byte {
	if k.w.shape.bolt == "" {
		return nil
	}
	raw, err := os.ReadFile(k.w.shape.bolt)
	if err != nil {
		k.w.fail(0, "the file cannot be read: %v", err)
	}
	return raw
}

func (k *kept) wroteProgress(p rotation.Progress) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := p.User.ID()
	k.revs[id] = append(k.revs[id], version{time.Now(), p.Rev, p.Live()})
}

func (k *kept) wroteEnvelope(v rotation.Envelope) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.envelopes[v.ID] = append(k.envelopes[v.ID], letter{time.Now(), v})
	if v.Done {
		k.worked[v.ID] = k.w.now()
	}
}

// lagging gives the live documents and the waiting envelopes as the indexes showed them some time ago.
func (k *kept) lagging() (live map[string]uint64, waiting []rotation.Envelope) {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := time.Now().Add(-k.w.shape.lag)
	live = map[string]uint64{}
	for id, versions := range k.revs {
		for i, v := range slices.Backward(versions) {
			if v.at.After(seen) {
				continue
			}
			if v.live {
				live[id] = v.rev
			}
			k.revs[id] = versions[i:]
			break
		}
	}
	for id, letters := range k.envelopes {
		for i, l := range slices.Backward(letters) {
			if l.at.After(seen) {
				continue
			}
			if !l.envelope.Done {
				waiting = append(waiting, l.envelope)
			}
			k.envelopes[id] = letters[i:]
			break
		}
	}
	return live, waiting
}

// doorStore is one process's way to the store.
type doorStore struct {
	k    *kept
	r    *replica
	base store.Closer
}

var _ store.Closer = (*doorStore)(nil)

// through makes one call, with the fault that is planned for it.
func (d *doorStore) through(ctx context.Context, op string, do func() error) error {
	return d.r.call("store", op, func() error {
		f, planned := d.k.take(op, d.r.slot)
		if planned {
			d.k.w.story.add("   store %s (replica %d): %s", op, d.r.slot+1, f.mode)
		}
		switch f.mode {
		case "lost":
			return errStore
		case "slow":
			timer := time.NewTimer(f.delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			if d.r.dead.Load() {
				return errKilled
			}
		}
		err := do()
		if f.mode == "unanswered" {
			return errStore
		}
		return err
	})
}

func (d *doorStore) Get(ctx context.Context, id string) (p rotation.Progress, err error) {
	err = d.through(ctx, "Get", func() (err error) { p, err = d.base.Get(ctx, id); return err })
	return zeroIf(p, err), err
}

func zeroIf[T any](v T, err error) T {
	var zero T
	if err != nil {
		return zero
	}
	return v
}

func (d *doorStore) Create(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	return d.write(ctx, "Create", p, d.base.Create)
}

func (d *doorStore) Replace(ctx context.Context, p rotation.Progress) (rotation.Progress, error) {
	return d.write(ctx, "Replace", p, d.base.Replace)
}

func (d *doorStore) write(
	ctx context.Context, op string, p rotation.Progress, do func(context.Context, rotation.Progress) (rotation.Progress, error),
) (stored rotation.Progress, err error) {
	d.k.scan(p)
	err = d.through(ctx, op, func() (err error) {
		if stored, err = do(ctx, p); err == nil {
			d.k.wroteProgress(stored)
		}
		return err
	})
	return zeroIf(stored, err), err
}

func (d *doorStore) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	return d.through(ctx, "Scan", func() error { return d.base.Scan(ctx, fn) })
}

func (d *doorStore) Live(ctx context.Context, fn func(string, uint64) error) error {
	return d.through(ctx, "Live", func() error {
		if !d.Shared() {
			return d.base.Live(ctx, fn)
		}
		live, _ := d.k.lagging()
		for _, id := range slices.Sorted(maps.Keys(live)) {
			if err := fn(id, live[id]); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

func (d *doorStore) Claimed(ctx context.Context, name string) (c rotation.Claim, err error) {
	err = d.through(ctx, "Claimed", func() (err error) { c, err = d.base.Claimed(ctx, name); return err })
	return zeroIf(c, err), err
}

func (d *doorStore) Claim(ctx context.Context, c rotation.Claim) (stored rotation.Claim, err error) {
	d.k.scan(c)
	err = d.through(ctx, "Claim", func() (err error) {
		if stored, err = d.base.Claim(ctx, c); err == nil {
			d.k.w.watch.claimed(d.r, stored)
		}
		return err
	})
	return zeroIf(stored, err), err
}

func (d *doorStore) Record(ctx context.Context, key string, e rotation.Entry) error {
	d.k.scan(e)
	return d.through(ctx, "Record", func() error { return d.base.Record(ctx, key, e) })
}

func (d *doorStore) Entries(ctx context.Context, fn func(string, rotation.Entry) error) error {
	return d.through(ctx, "Entries", func() error { return d.base.Entries(ctx, fn) })
}

func (d *doorStore) Accept(ctx context.Context, v rotation.Envelope) (stored rotation.Envelope, err error) {
	d.k.scan(v)
	err = d.through(ctx, "Accept", func() (err error) {
		if stored, err = d.base.Accept(ctx, v); err == nil {
			d.k.wroteEnvelope(stored)
		}
		return err
	})
	if err != nil && !errors.Is(err, rotation.ErrConflict) {
		d.k.mu.Lock()
		d.k.refused[v.ID] = true
		d.k.mu.Unlock()
	}
	return zeroIf(stored, err), err
}

func (d *doorStore) Settle(ctx context.Context, v rotation.Envelope) (stored rotation.Envelope, err error) {
	d.k.scan(v)
	err = d.through(ctx, "Settle", func() (err error) {
		if stored, err = d.base.Settle(ctx, v); err == nil {
			d.k.wroteEnvelope(stored)
		}
		return err
	})
	return zeroIf(stored, err), err
}

func (d *doorStore) Waiting(ctx context.Context, fn func(rotation.Envelope) error) error {
	return d.through(ctx, "Waiting", func() error {
		if !d.Shared() {
			return d.base.Waiting(ctx, fn)
		}
		_, waiting := d.k.lagging()
		slices.SortFunc(waiting, func(a, b rotation.Envelope) int { return strings.Compare(a.ID, b.ID) })
		for _, v := range waiting {
			if err := fn(v); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

func (d *doorStore) Forget(ctx context.Context, before time.Time) error {
	return d.through(ctx, "Forget", func() error { return d.base.Forget(ctx, before) })
}

func (d *doorStore) KeepReading(ctx context.Context, r rotation.Reading) error {
	return d.through(ctx, "KeepReading", func() error { return d.base.KeepReading(ctx, r) })
}

func (d *doorStore) Readings(ctx context.Context, fn func(rotation.Reading) error) error {
	return d.through(ctx, "Readings", func() error { return d.base.Readings(ctx, fn) })
}

func (d *doorStore) DropReadings(ctx context.Context) error {
	return d.through(ctx, "DropReadings", func() error { return d.base.DropReadings(ctx) })
}

func (d *doorStore) Shared() bool { return d.k.w.shape.shared }

// Close leaves the store open for the next process.
func (d *doorStore) Close() error { return nil }

// scan looks for secrets in what is written.
func (k *kept) scan(value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		k.w.fail(0, "encode what is stored: %v", err)
	}
	k.w.watch.scanText("what is stored", string(raw))
	if v, ok := value.(rotation.Envelope); ok {
		k.w.watch.scanText("a stored envelope", string(v.Body))
	}
}
