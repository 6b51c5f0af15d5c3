package store_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/dynalitetest"
	"github.com/keyturner/keyturner/store/storetest"
)

var tables atomic.Int64

// newTable creates a table of its own.
func newTable(t testing.TB, endpoint string) string {
	t.Helper()
	name := fmt.Sprint("keyturner-", tables.Add(1))
	dynalitetest.CreateTable(t, endpoint, name)
	return name
}

func openTable(t testing.TB, endpoint, name string) *store.Dynamo {
	t.Helper()
	s, err := store.OpenDynamo(dynalitetest.Region+"/"+name, store.Config{AWS: dynalitetest.AWS(endpoint)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// dynamo opens tables, and again those that it has opened.
type dynamo struct {
	endpoint string // where tables are created
	through  string // where they are used
	names    map[rotation.Store]string
}

func (d *dynamo) open(t *testing.T) rotation.Store {
	return d.table(t, newTable(t, d.endpoint))
}

func (d *dynamo) table(t *testing.T, name string) rotation.Store {
	s := openTable(t, d.through, name)
	d.names[s] = name
	return s
}

func (d *dynamo) reopen(t *testing.T, s rotation.Store) rotation.Store {
	if err := s.(*store.Dynamo).Close(); err != nil {
		t.Fatal(err)
	}
	return d.table(t, d.names[s])
}

// fewerRuns divides how often the model is run, since each call is a request to another process.
func fewerRuns(t *testing.T, by int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	was := checks.String()
	n, err := strconv.Atoi(was)
	if err == nil {
		err = checks.Set(strconv.Itoa(max(n/by, 1)))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Set(was) })
}

func TestDynamo(t *testing.T) {
	fewerRuns(t, 3)
	endpoint := dynalitetest.Start(t)
	d := &dynamo{endpoint, endpoint, map[rotation.Store]string{}}
	storetest.Run(t, d.open)
	storetest.RunReopen(t, d.open, d.reopen)
}

// TestDynamo_Faults cuts the cable once, which the SDK makes good by another attempt, and for good.
func TestDynamo_Faults(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	for name, times := range map[string]int{"once": 1, "for good": math.MaxInt} {
		t.Run(name, func(t *testing.T) {
			c, through := lay(t, endpoint)
			d := &dynamo{endpoint, through, map[rotation.Store]string{}}
			storetest.RunFaults(t, func(t *testing.T) (rotation.Store, storetest.Broken) {
				return d.open(t), func(applied bool) func() {
					at := before
					if applied {
						at = after
					}
					c.writesCut(times, at)
					return c.whole
				}
			}, d.reopen)
		})
	}
}

// TestDynamo_Lags has an index that says what was so when it was last asked, and pages of two.
func TestDynamo_Lags(t *testing.T) {
	fewerRuns(t, 10)
	endpoint := dynalitetest.Start(t)
	c, through := lay(t, endpoint)
	c.behind = map[string][]byte{}
	d := &dynamo{endpoint, through, map[rotation.Store]string{}}
	storetest.Run(t, d.open, storetest.Lag(10*time.Second))
}

func TestDynamo_SmallPages(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	c, through := lay(t, endpoint)
	c.page = 2
	s := openTable(t, through, newTable(t, endpoint))
	const n = 7
	for i := range n {
		_, create := s.Create(t.Context(), rotation.Progress{User: rotation.UserRef{Account: "1", Name: fmt.Sprint(i)}, Owed: true})
		_, accept := s.Accept(t.Context(), rotation.Envelope{ID: fmt.Sprint("waits-", i)})
		_, done := s.Accept(t.Context(), rotation.Envelope{ID: fmt.Sprint("done-", i), Done: true})
		if err := errors.Join(create, accept, done, s.Record(t.Context(), fmt.Sprint(i), rotation.Entry{})); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (users, live, waiting, entries int) {
		err := errors.Join(
			s.Scan(t.Context(), func(rotation.Progress) error { users++; return nil }),
			s.Live(t.Context(), func(string, uint64) error { live++; return nil }),
			s.Waiting(t.Context(), func(rotation.Envelope) error { waiting++; return nil }),
			s.Entries(t.Context(), func(string, rotation.Entry) error { entries++; return nil }),
		)
		if err != nil {
			t.Error(err)
		}
		return users, live, waiting, entries
	}
	if users, live, waiting, entries := count(); users != n || live != n || waiting != n || entries != n {
		t.Errorf("%d users, %d live, %d waiting, %d entries; want %d of each", users, live, waiting, entries, n)
	}
	if err := s.Forget(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := s.Accept(t.Context(), rotation.Envelope{ID: fmt.Sprint("done-", i), Done: true}); err != nil {
			t.Errorf("accept what should be forgotten: %v", err)
		}
	}
}

// TestDynamo_OwnAnswerLost loses the answer to a write. Before the SDK makes it again, somebody else writes.
func TestDynamo_OwnAnswerLost(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	for _, test := range []struct {
		name   string
		at     cutAt
		others int // writes of somebody else in between
		want   error
		known  bool
	}{
		{"it stands", after, 0, nil, true},
		{"it stands under another", after, 1, nil, false},
		{"it did not arrive", before, 0, nil, true},
		{"another was first", before, 1, rotation.ErrConflict, true},
		{"two others were first", before, 2, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, through := lay(t, endpoint)
			name := newTable(t, endpoint)
			ours, others := openTable(t, through, name), openTable(t, endpoint, name)
			was, err := others.Create(t.Context(), rotation.Progress{User: ci})
			if err != nil {
				t.Fatal(err)
			}
			attempt := 0
			c.mu.Lock()
			c.cut = func(operation string) cutAt {
				if operation != "PutItem" {
					return nowhere
				}
				if attempt++; attempt == 1 {
					return test.at
				}
				for range test.others {
					p, err := others.Get(t.Context(), ci.ID())
					if err == nil {
						p.Count = 9
						_, err = others.Replace(t.Context(), p)
					}
					if err != nil {
						t.Errorf("the other's write: %v", err)
					}
				}
				return nowhere
			}
			c.mu.Unlock()
			was.Owed = true
			got, err := ours.Replace(t.Context(), was)
			switch {
			case attempt != 2:
				t.Errorf("%d attempts", attempt)
			case !test.known && (err == nil || errors.Is(err, rotation.ErrConflict) || !strings.Contains(err.Error(), "is not known")):
				t.Errorf("got error %v, want one that says that the outcome is not known", err)
			case test.known && !errors.Is(err, test.want):
				t.Errorf("got error %v, want %v", err, test.want)
			case err == nil && (got.Rev != 2 || !got.Owed):
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestDynamo_Conflict costs one request: a single attempt that was refused changed nothing.
func TestDynamo_Conflict(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	c, through := lay(t, endpoint)
	s := openTable(t, through, newTable(t, endpoint))
	if _, err := s.Claim(t.Context(), rotation.Claim{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	clear(c.calls)
	if _, err := s.Claim(t.Context(), rotation.Claim{Name: "n"}); !errors.Is(err, rotation.ErrConflict) {
		t.Errorf("got error %v, want a conflict", err)
	}
	if c.calls["PutItem"] != 1 || len(c.calls) != 1 {
		t.Errorf("requests: %v, want one", c.calls)
	}
}

// TestDynamo_ScanOfAnother: what somebody else writes during a scan is seen once the page is no longer fresh.
func TestDynamo_ScanOfAnother(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	name := newTable(t, endpoint)
	ours, others := openTable(t, endpoint, name), openTable(t, endpoint, name)
	for i := range 3 {
		if _, err := others.Create(t.Context(), rotation.Progress{User: rotation.UserRef{Account: "1", Name: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	store.SetFresh(ours, 0)
	calls := 0
	err := ours.Scan(t.Context(), func(p rotation.Progress) error {
		if calls++; calls > 1 {
			if p.Count != 7 {
				t.Errorf("%s is as it was before its turn", p.User)
			}
			return nil
		}
		return others.Scan(t.Context(), func(p rotation.Progress) error {
			p.Count = 7
			_, err := others.Replace(t.Context(), p)
			return err
		})
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestDynamo_TooBig(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	s := openTable(t, endpoint, newTable(t, endpoint))
	p := rotation.Progress{User: ci, Trail: []rotation.Entry{{Detail: strings.Repeat("d", 349<<10)}}}
	if _, err := s.Create(t.Context(), p); err != nil {
		t.Errorf("a document that just fits: %v", err)
	}
	p.Rev, p.Trail[0].Detail = 1, strings.Repeat("d", 351<<10)
	if _, err := s.Replace(t.Context(), p); err == nil || !strings.Contains(err.Error(), "DynamoDB takes 350 KB") {
		t.Errorf("a document that does not: error %v", err)
	}
}

func TestDynamo_Closed(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	s := openTable(t, endpoint, newTable(t, endpoint))
	if !s.Shared() || store.NewMem().Shared() {
		t.Error("a table is shared, memory is not")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i, err := range everyCall(t.Context(), s) {
		if err == nil || errors.Is(err, rotation.ErrNotFound) || errors.Is(err, rotation.ErrConflict) {
			t.Errorf("call %d of a closed store: error %v", i, err)
		}
	}
}

// TestDynamo_Expiry: only what is done is left to DynamoDB to drop, and late.
func TestDynamo_Expiry(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	name := newTable(t, endpoint)
	s := openTable(t, endpoint, name)
	at := time.Unix(1_800_000_000, 0)
	v, accept := s.Accept(t.Context(), rotation.Envelope{ID: "e", At: at})
	_, claim := s.Claim(t.Context(), rotation.Claim{Name: "n"})
	_, create := s.Create(t.Context(), rotation.Progress{User: ci})
	if err := errors.Join(accept, claim, create, s.Record(t.Context(), "k", rotation.Entry{At: at})); err != nil {
		t.Fatal(err)
	}
	if got := expiries(t, endpoint, name); len(got) > 0 {
		t.Errorf("items that expire: %v", got)
	}
	v.Done = true
	if _, err := s.Settle(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if got, want := expiries(t, endpoint, name), at.Unix()+7*24*60*60; len(got) != 1 || got["e"] != fmt.Sprint(want) {
		t.Errorf("items that expire: %v, want e at %d", got, want)
	}
}
