package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
)

// model runs random sequences of calls beside a model of a few lines. All sequences use the one store, each with users and names of its
// own, since opening a store for each would take most of the time.
func model(t *testing.T, s rotation.Store) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &modelled{store: s, run: fmt.Sprint(runs), docs: map[string]rotation.Progress{}, claims: map[string]rotation.Claim{}, now: noon}
		rt.Repeat(map[string]func(*rapid.T){
			"create":  m.create,
			"replace": m.replace,
			"claim":   m.claim,
			"":        m.check,
		})
	})
}

type modelled struct {
	store  rotation.Store
	run    string
	now    time.Time
	docs   map[string]rotation.Progress
	claims map[string]rotation.Claim
}

func (m *modelled) progress(t *rapid.T) rotation.Progress {
	return rotation.Progress{
		User:  rotation.UserRef{Account: m.run, Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "user")},
		Rev:   rapid.Uint64Range(0, 5).Draw(t, "rev"),
		Count: rapid.IntRange(0, 9).Draw(t, "count"),
	}
}

func (m *modelled) create(t *rapid.T) {
	p := m.progress(t)
	_, exists := m.docs[p.User.ID()]
	got, err := m.store.Create(t.Context(), p)
	p.Rev = 1
	m.outcome(t, got, err, p, exists)
}

func (m *modelled) replace(t *rapid.T) {
	p := m.progress(t)
	conflict := p.Rev == 0 || m.docs[p.User.ID()].Rev != p.Rev
	got, err := m.store.Replace(t.Context(), p)
	p.Rev++
	m.outcome(t, got, err, p, conflict)
}

func (m *modelled) outcome(t *rapid.T, got rotation.Progress, err error, want rotation.Progress, conflict bool) {
	switch {
	case conflict && !errors.Is(err, rotation.ErrConflict):
		t.Fatalf("got error %v, want a conflict", err)
	case conflict:
		return
	case err != nil:
		t.Fatal(err)
	}
	if diff := same(got, want); diff != "" {
		t.Fatalf("returned (-want +got):\n%s", diff)
	}
	m.docs[want.User.ID()] = want
}

func (m *modelled) claim(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "minutes later")) * time.Minute)
	c := rotation.Claim{
		Name:   m.run + rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"),
		Holder: rapid.SampledFrom([]string{"h", "i"}).Draw(t, "holder"),
		Now:    m.now,
		Until:  m.now.Add(time.Duration(rapid.IntRange(1, 4).Draw(t, "minutes held")) * time.Minute),
	}
	held, exists := m.claims[c.Name]
	free := !exists || !m.now.Before(held.Until)
	want := free || held.Holder == c.Holder
	got, err := m.store.Claim(t.Context(), c)
	if err != nil || got != want {
		t.Fatalf("claim %+v of %+v: got %v and error %v, want %v", c, held, got, err, want)
	}
	if want && (free || c.Until.After(held.Until)) {
		m.claims[c.Name] = c
	}
}

func (m *modelled) check(t *rapid.T) {
	for id, want := range m.docs {
		got, err := m.store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := same(got, want); diff != "" {
			t.Fatalf("stored (-want +got):\n%s", diff)
		}
	}
}
