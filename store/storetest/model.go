package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
)

// model runs random sequences of calls beside a model of a few lines. All sequences use the one store, each with users and names of its
// own, since opening a store for each would take most of the time; each ends with nothing live and nothing waiting.
func model(t *testing.T, s rotation.Store) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &modelled{
			store: s, run: fmt.Sprintf("%06d", runs), docs: map[string]rotation.Progress{}, claims: map[string]rotation.Claim{},
			entries: map[string]rotation.Entry{}, inbox: map[string]rotation.Envelope{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create":  m.create,
			"replace": m.replace,
			"claim":   m.claim,
			"record":  m.record,
			"accept":  m.accept,
			"settle":  m.settle,
			"forget":  m.forget,
			"scan":    m.scan,
			"":        m.check,
		})
		m.end(rt)
	})
}

type modelled struct {
	store   rotation.Store
	run     string
	docs    map[string]rotation.Progress
	claims  map[string]rotation.Claim
	entries map[string]rotation.Entry
	inbox   map[string]rotation.Envelope
}

func (m *modelled) name(t *rapid.T) string {
	return m.run + "/" + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
}

func rev(t *rapid.T) uint64 { return rapid.Uint64Range(0, 4).Draw(t, "rev") }

func (m *modelled) progress(t *rapid.T) rotation.Progress {
	return rotation.Progress{
		User:  rotation.UserRef{Account: "1", Name: m.name(t)},
		Rev:   rev(t),
		Count: rapid.IntRange(0, 9).Draw(t, "count"),
		Owed:  rapid.Bool().Draw(t, "owed"),
	}
}

// outcome compares an answer with what the model says, and tells whether the model is to follow.
func outcome[T any](t *rapid.T, got T, err error, want T, conflict bool) bool {
	switch {
	case conflict && !errors.Is(err, rotation.ErrConflict):
		t.Fatalf("got error %v, want a conflict", err)
	case conflict:
		return false
	case err != nil:
		t.Fatal(err)
	}
	if diff := same(got, want); diff != "" {
		t.Fatalf("returned (-want +got):\n%s", diff)
	}
	return true
}

func (m *modelled) create(t *rapid.T) {
	p := m.progress(t)
	_, exists := m.docs[p.User.ID()]
	got, err := m.store.Create(t.Context(), p)
	p.Rev = 1
	if outcome(t, got, err, p, exists) {
		m.docs[p.User.ID()] = p
	}
}

func (m *modelled) replace(t *rapid.T) {
	p := m.progress(t)
	conflict := p.Rev == 0 || m.docs[p.User.ID()].Rev != p.Rev
	got, err := m.store.Replace(t.Context(), p)
	p.Rev++
	if outcome(t, got, err, p, conflict) {
		m.docs[p.User.ID()] = p
	}
}

func (m *modelled) claim(t *rapid.T) {
	c := rotation.Claim{Name: m.name(t), Rev: rev(t), Holder: rapid.SampledFrom([]string{"", "h", "i"}).Draw(t, "holder"), Note: "n"}
	conflict := m.claims[c.Name].Rev != c.Rev
	got, err := m.store.Claim(t.Context(), c)
	c.Rev++
	if outcome(t, got, err, c, conflict) {
		m.claims[c.Name] = c
	}
}

func (m *modelled) record(t *rapid.T) {
	key, e := m.name(t), rotation.Entry{Detail: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "detail")}
	if err := m.store.Record(t.Context(), key, e); err != nil {
		t.Fatal(err)
	}
	if _, there := m.entries[key]; !there {
		m.entries[key] = e
	}
}

func (m *modelled) envelope(t *rapid.T) rotation.Envelope {
	v := rotation.Envelope{
		ID: m.name(t), Rev: rev(t), At: noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "minute")) * time.Minute),
		Done: rapid.Bool().Draw(t, "done"),
	}
	if !v.Done {
		v.Body = []byte("body")
	}
	return v
}

func (m *modelled) accept(t *rapid.T) {
	v := m.envelope(t)
	_, exists := m.inbox[v.ID]
	got, err := m.store.Accept(t.Context(), v)
	v.Rev = 1
	if outcome(t, got, err, v, exists) {
		m.inbox[v.ID] = v
	}
}

func (m *modelled) settle(t *rapid.T) {
	v := m.envelope(t)
	conflict := v.Rev == 0 || m.inbox[v.ID].Rev != v.Rev
	got, err := m.store.Settle(t.Context(), v)
	v.Rev++
	if outcome(t, got, err, v, conflict) {
		m.inbox[v.ID] = v
	}
}

func (m *modelled) forget(t *rapid.T) {
	before := noon.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "before")) * time.Minute)
	if err := m.store.Forget(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(m.inbox, func(_ string, v rotation.Envelope) bool { return v.Done && v.At.Before(before) })
}

// scan compares what the lists tell of this run's, in their order.
func (m *modelled) scan(t *rapid.T) {
	var users, keys []string
	if err := m.store.Scan(t.Context(), func(p rotation.Progress) error {
		if strings.HasPrefix(p.User.Name, m.run) {
			users = append(users, p.User.ID())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := same(users, slices.Sorted(maps.Keys(m.docs))); diff != "" {
		t.Fatalf("scanned (-want +got):\n%s", diff)
	}
	if err := m.store.Entries(t.Context(), func(key string, e rotation.Entry) error {
		if strings.HasPrefix(key, m.run) {
			keys = append(keys, key)
			if diff := same(e, m.entries[key]); diff != "" {
				t.Fatalf("entry (-want +got):\n%s", diff)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := same(keys, slices.Sorted(maps.Keys(m.entries))); diff != "" {
		t.Fatalf("entries (-want +got):\n%s", diff)
	}
}

func (m *modelled) check(t *rapid.T) {
	for id, want := range m.docs {
		got, err := m.store.Get(t.Context(), id)
		if diff := same(got, want); err != nil || diff != "" {
			t.Fatalf("stored (-want +got), error %v:\n%s", err, diff)
		}
	}
	for name, want := range m.claims {
		got, err := m.store.Claimed(t.Context(), name)
		if diff := same(got, want); err != nil || diff != "" {
			t.Fatalf("claimed (-want +got), error %v:\n%s", err, diff)
		}
	}
	m.indexes(t)
}

// indexes compares Live and Waiting.
func (m *modelled) indexes(t *rapid.T) {
	t.Helper()
	wantLive, waits := map[string]uint64{}, map[string]rotation.Envelope{}
	for id, p := range m.docs {
		if p.Owed {
			wantLive[id] = p.Rev
		}
	}
	for id, v := range m.inbox {
		if !v.Done {
			waits[id] = v
		}
	}
	eventually(t, m.store, func() string {
		got := live(t, m.store)
		maps.DeleteFunc(got, func(id string, _ uint64) bool { _, mine := m.docs[id]; return !mine })
		return same(got, wantLive)
	})
	eventually(t, m.store, func() string {
		got := waiting(t, m.store)
		maps.DeleteFunc(got, func(id string, _ rotation.Envelope) bool { return !strings.HasPrefix(id, m.run) })
		return same(got, waits)
	})
}

// end leaves nothing live and nothing waiting, so that the next run has less to read. One that fails leaves it.
func (m *modelled) end(t *rapid.T) {
	for _, p := range m.docs {
		if p.Owed {
			p.Owed = false
			replace(t, m.store, p)
		}
	}
	for _, v := range m.inbox {
		if !v.Done {
			v.Done = true
			settle(t, m.store, v)
		}
	}
	if err := m.store.Forget(t.Context(), noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}
