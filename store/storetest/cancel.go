package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

func cancelled(t *testing.T, s rotation.Store) {
	want := create(t, s, rotation.Progress{User: user(1), Owed: true})
	waits := accept(t, s, rotation.Envelope{ID: "waits", At: noon})
	done := accept(t, s, rotation.Envelope{ID: "done", At: noon, Done: true})
	keepReading(t, s, reading("a", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, call := range []struct {
		name string
		make func() error
	}{
		{"get", func() error { _, err := s.Get(ctx, user(1).ID()); return err }},
		{"create", func() error { _, err := s.Create(ctx, rotation.Progress{User: user(2)}); return err }},
		{"replace", func() error { _, err := s.Replace(ctx, rotation.Progress{User: user(1), Rev: 1, Count: 1}); return err }},
		{"scan", func() error {
			return s.Scan(ctx, func(rotation.Progress) error { t.Error("scan called back"); return nil })
		}},
		{"live", func() error {
			return s.Live(ctx, func(string, uint64) error { t.Error("live called back"); return nil })
		}},
		{"claimed", func() error { _, err := s.Claimed(ctx, "n"); return err }},
		{"claim", func() error { _, err := s.Claim(ctx, rotation.Claim{Name: "n", Holder: "h"}); return err }},
		{"record", func() error { return s.Record(ctx, "k", rotation.Entry{Actor: "a"}) }},
		{"entries", func() error { return s.Entries(ctx, func(string, rotation.Entry) error { return nil }) }},
		{"accept", func() error { _, err := s.Accept(ctx, rotation.Envelope{ID: "v"}); return err }},
		{"settle", func() error { _, err := s.Settle(ctx, rotation.Envelope{ID: "waits", Rev: 1, Done: true}); return err }},
		{"waiting", func() error {
			return s.Waiting(ctx, func(rotation.Envelope) error { t.Error("waiting called back"); return nil })
		}},
		{"forget", func() error { return s.Forget(ctx, noon.Add(time.Hour)) }},
		{"keep a reading", func() error { return s.KeepReading(ctx, reading("b", 0)) }},
		{"readings", func() error {
			return s.Readings(ctx, func(rotation.Reading) error { t.Error("readings called back"); return nil })
		}},
		{"drop readings", func() error { return s.DropReadings(ctx) }},
	} {
		wantErr(t, call.name, call.make(), context.Canceled)
	}
	expect(t, s, want)
	_, err := s.Get(t.Context(), user(2).ID())
	wantErr(t, "get what was cancelled", err, rotation.ErrNotFound)
	_, err = s.Claimed(t.Context(), "n")
	wantErr(t, "read the claim that was cancelled", err, rotation.ErrNotFound)
	if got := entries(t, s); len(got) > 0 {
		t.Errorf("the cancelled record left %v", got)
	}
	wantWaiting(t, s, waits)
	wantReadings(t, s, reading("a", 0))
	_, err = s.Accept(t.Context(), done)
	wantErr(t, "accept what was not forgotten", err, rotation.ErrConflict)
}

func cancelledInside(t *testing.T, s rotation.Store) {
	var waits []rotation.Envelope
	for n := range 3 {
		create(t, s, rotation.Progress{User: user(n), Owed: true})
		record(t, s, fmt.Sprint(n), rotation.Entry{})
		waits = append(waits, accept(t, s, rotation.Envelope{ID: fmt.Sprint(n)}))
		keepReading(t, s, reading("a", n))
	}
	wantIndex(t, s)
	wantWaiting(t, s, waits...)
	for _, test := range []struct {
		name string
		list func(ctx context.Context, called func()) error
	}{
		{"scan", func(ctx context.Context, called func()) error {
			return s.Scan(ctx, func(rotation.Progress) error { called(); return nil })
		}},
		{"live", func(ctx context.Context, called func()) error {
			return s.Live(ctx, func(string, uint64) error { called(); return nil })
		}},
		{"entries", func(ctx context.Context, called func()) error {
			return s.Entries(ctx, func(string, rotation.Entry) error { called(); return nil })
		}},
		{"waiting", func(ctx context.Context, called func()) error {
			return s.Waiting(ctx, func(rotation.Envelope) error { called(); return nil })
		}},
		{"readings", func(ctx context.Context, called func()) error {
			return s.Readings(ctx, func(rotation.Reading) error { called(); return nil })
		}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		wantErr(t, test.name, test.list(ctx, func() { calls++; cancel() }), context.Canceled)
		if calls != 1 {
			t.Errorf("%s: %d calls, of which the first cancelled", test.name, calls)
		}
		cancel()
	}
}
