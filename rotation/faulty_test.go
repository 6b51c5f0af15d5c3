package rotation_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// fate is what becomes of one call to the outside.
type fate struct {
	fails   bool   // the caller gets an error
	applied bool   // it is carried out all the same
	dies    bool   // and the process dies
	err     error  // nil: the answer is lost
	before  func() // called before it is carried out, or would have been
	after   func() // called then
}

// faulty is the store of one process. It asks what becomes of each write; a process that has died gets no answer any more.
type faulty struct {
	to rotation.Store

	mu      sync.Mutex
	fate    func(method string) fate // nil: all goes well
	crashed bool
	died    chan struct{} // closed then
	cut     atomic.Bool   // nothing is reached for some time
	lossy   atomic.Int64  // every n-th read fails
	reads   atomic.Int64
}

func newFaulty(to rotation.Store, next func(method string) fate) *faulty {
	return &faulty{to: to, fate: next, died: make(chan struct{})}
}

// nthWrite fails the n-th write, carried out or not, and lets the process die with it; below one, none.
func nthWrite(n int, applied bool) func(string) fate {
	return func(string) fate {
		n--
		return fate{fails: n == 0, applied: applied, dies: n == 0}
	}
}

var (
	errCrash = errors.New("the process has died")
	errLost  = errors.New("the answer was lost")
)

// decide tells what becomes of a call, and lets the process die if it must.
func (f *faulty) decide(method string) (fate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.crashed:
		return fate{}, errCrash
	case f.cut.Load() && slices.Contains(storeWrites(), method):
		return fate{}, errLost
	}
	if f.fate == nil {
		return fate{}, nil
	}
	next := f.fate(method)
	if next.dies {
		f.crashed = true
		close(f.died)
	}
	return next, nil
}

// write makes one call that changes something outside, as fate has it.
func (f *faulty) write(method string, do func() error) error {
	next, err := f.decide(method)
	if err != nil {
		return err
	}
	if next.before != nil {
		next.before()
	}
	if !next.fails || next.applied {
		err = do()
	}
	if next.after != nil {
		next.after()
	}
	switch {
	case err != nil || !next.fails:
		return err
	case next.dies:
		return errCrash
	case next.err != nil:
		return next.err
	}
	return errLost
}

func (f *faulty) read(do func() error) error {
	switch {
	case f.dead():
		return errCrash
	case f.cut.Load(), f.lossy.Load() > 0 && f.reads.Add(1)%f.lossy.Load() == 0:
		return errLost
	}
	return do()
}

func (f *faulty) dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// kill lets the process die between two calls.
func (f *faulty) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.crashed {
		f.crashed = true
		close(f.died)
	}
}

func (f *faulty) Create(ctx context.Context, p rotation.Progress) (stored rotation.Progress, err error) {
	err = f.write("Create", func() (err error) { stored, err = f.to.Create(ctx, p); return err })
	return stored, err
}

func (f *faulty) Replace(ctx context.Context, p rotation.Progress) (stored rotation.Progress, err error) {
	err = f.write("Replace", func() (err error) { stored, err = f.to.Replace(ctx, p); return err })
	return stored, err
}

func (f *faulty) Claim(ctx context.Context, c rotation.Claim) (stored rotation.Claim, err error) {
	err = f.write("Claim", func() (err error) { stored, err = f.to.Claim(ctx, c); return err })
	return stored, err
}

func (f *faulty) Record(ctx context.Context, key string, e rotation.Entry) error {
	return f.write("Record", func() error { return f.to.Record(ctx, key, e) })
}

func (f *faulty) Accept(ctx context.Context, v rotation.Envelope) (stored rotation.Envelope, err error) {
	err = f.write("Accept", func() (err error) { stored, err = f.to.Accept(ctx, v); return err })
	return stored, err
}

func (f *faulty) Settle(ctx context.Context, v rotation.Envelope) (stored rotation.Envelope, err error) {
	err = f.write("Settle", func() (err error) { stored, err = f.to.Settle(ctx, v); return err })
	return stored, err
}

func (f *faulty) Forget(ctx context.Context, before time.Time) error {
	return f.write("Forget", func() error { return f.to.Forget(ctx, before) })
}

func (f *faulty) KeepReading(ctx context.Context, r rotation.Reading) error {
	return f.write("KeepReading", func() error { return f.to.KeepReading(ctx, r) })
}

func (f *faulty) DropReadings(ctx context.Context) error {
	return f.write("DropReadings", func() error { return f.to.DropReadings(ctx) })
}

func (f *faulty) Get(ctx context.Context, id string) (p rotation.Progress, err error) {
	err = f.read(func() (err error) { p, err = f.to.Get(ctx, id); return err })
	return p, err
}

func (f *faulty) Scan(ctx context.Context, fn func(rotation.Progress) error) error {
	return f.read(func() error { return f.to.Scan(ctx, fn) })
}

func (f *faulty) Live(ctx context.Context, fn func(string, uint64) error) error {
	return f.read(func() error { return f.to.Live(ctx, fn) })
}

func (f *faulty) Claimed(ctx context.Context, name string) (c rotation.Claim, err error) {
	err = f.read(func() (err error) { c, err = f.to.Claimed(ctx, name); return err })
	return c, err
}

func (f *faulty) Entries(ctx context.Context, fn func(string, rotation.Entry) error) error {
	return f.read(func() error { return f.to.Entries(ctx, fn) })
}

func (f *faulty) Waiting(ctx context.Context, fn func(rotation.Envelope) error) error {
	return f.read(func() error { return f.to.Waiting(ctx, fn) })
}

func (f *faulty) Readings(ctx context.Context, fn func(rotation.Reading) error) error {
	return f.read(func() error { return f.to.Readings(ctx, fn) })
}

var _ rotation.Store = (*faulty)(nil)

// storeReads are the methods of a store that change nothing. All others are writes.
var storeReads = []string{"Get", "Scan", "Live", "Claimed", "Entries", "Waiting", "Readings"}

func methods[T any]() []string {
	var names []string
	for m := range reflect.TypeFor[T]().Methods() {
		names = append(names, m.Name)
	}
	return names
}

// storeWrites lists the methods of a store that write, whatever is added to them.
func storeWrites() []string {
	return slices.DeleteFunc(methods[rotation.Store](), func(m string) bool { return slices.Contains(storeReads, m) })
}

// TestFaulty makes sure that the tests spoil every write of a store: a method that was forgotten would always succeed.
func TestFaulty(t *testing.T) {
	for _, method := range methods[rotation.Store]() {
		for _, dies := range []bool{false, true} {
			asked := ""
			f := newFaulty(nil, func(m string) fate { asked = m; return fate{fails: true, dies: dies} })
			if slices.Contains(storeReads, method) {
				f.kill()
			}
			call := reflect.ValueOf(f).MethodByName(method)
			args := []reflect.Value{reflect.ValueOf(t.Context())}
			for i := 1; i < call.Type().NumIn(); i++ {
				args = append(args, reflect.Zero(call.Type().In(i)))
			}
			results := call.Call(args)
			err, _ := reflect.TypeAssert[error](results[len(results)-1])
			write := slices.Contains(storeWrites(), method)
			switch {
			case write && (asked != method || dies != errors.Is(err, errCrash) || err == nil):
				t.Errorf("%s: the fate of %q was asked for, got error %v", method, asked, err)
			case !write && !errors.Is(err, errCrash):
				t.Errorf("%s: a dead process got %v", method, err)
			}
		}
	}
}
