package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// claims makes a claim and compares the answer.
func claims(t *testing.T, s rotation.Store, c rotation.Claim, want bool) {
	t.Helper()
	got, err := s.Claim(t.Context(), c)
	if err != nil {
		t.Errorf("claim %+v: %v", c, err)
	} else if got != want {
		t.Errorf("claim %+v: got %v, want %v", c, got, want)
	}
}

// at makes a claim from one minute after noon to another.
func at(holder string, from, until int) rotation.Claim {
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	return rotation.Claim{Name: "digest/2026-W47", Holder: holder, Now: minute(from), Until: minute(until)}
}

func claimFreeAndHeld(t *testing.T, s rotation.Store) {
	claims(t, s, at("a", 0, 10), true)
	claims(t, s, at("b", 0, 10), false)
	claims(t, s, at("b", 5, 100), false)
	claims(t, s, at("A", 5, 100), false)
	claims(t, s, at("a", 5, 10), true)
}

func claimRunsOut(t *testing.T, s rotation.Store) {
	claims(t, s, at("a", 0, 10), true)
	last := at("b", 10, 20)
	last.Now = last.Now.Add(-time.Nanosecond)
	claims(t, s, last, false)
	claims(t, s, at("b", 10, 20), true) // exactly at its end it is over
	claims(t, s, at("a", 10, 20), false)
	claims(t, s, at("a", 19, 30), false)
	claims(t, s, at("a", 25, 30), true)

	elsewhere := at("b", 29, 40)
	elsewhere.Now = elsewhere.Now.In(time.FixedZone("", -8*60*60))
	claims(t, s, elsewhere, false)
	elsewhere.Now = elsewhere.Now.Add(time.Minute)
	claims(t, s, elsewhere, true)
}

func claimProlonged(t *testing.T, s rotation.Store) {
	claims(t, s, at("a", 0, 10), true)
	claims(t, s, at("a", 5, 60), true)
	claims(t, s, at("b", 15, 20), false)
	claims(t, s, at("a", 20, 30), true) // which does not shorten it
	claims(t, s, at("b", 45, 50), false)
	claims(t, s, at("b", 60, 70), true)
	claims(t, s, at("a", 65, 90), false)
}

func claimNamesApart(t *testing.T, s rotation.Store) {
	names := []string{
		"a", "A", "a ", " a", "a/b", "a//b", "a\x00", "a\x00b", "ключ", "%61", "*", "meta", "..", strings.Repeat("n", 1023), strings.Repeat("n", 1024),
	}
	for i, name := range names {
		c := at(fmt.Sprint(i), 0, 10)
		c.Name = name
		claims(t, s, c, true)
	}
	for i, name := range names {
		c := at(fmt.Sprint(i), 1, 10)
		c.Name = name
		claims(t, s, c, true)
		c.Holder = "another"
		claims(t, s, c, false)
	}
}

func claimAtOnce(t *testing.T, s rotation.Store) {
	const claimers, rounds = 8, 10
	for round := range rounds { // in each, the earlier claim has just run out
		won := make([]int, claimers)
		together(claimers, func(i int) {
			mine, err := s.Claim(t.Context(), at(fmt.Sprint(i), 10*round, 10*round+10))
			if err != nil {
				t.Errorf("claim: %v", err)
			}
			if mine {
				won[i] = 1
			}
		})
		total := 0
		for _, n := range won {
			total += n
		}
		if total != 1 {
			t.Fatalf("round %d: %d claimers have it: %v", round, total, won)
		}
	}
}

func claimRefused(t *testing.T, s rotation.Store) {
	nobody, nothing, long, bytes := at("", 0, 10), at("a", 0, 10), at("a", 0, 10), at("\xff", 0, 10)
	nothing.Name = ""
	long.Name = strings.Repeat("n", 1025)
	for _, c := range []rotation.Claim{nobody, nothing, long, bytes, at("a", 10, 10), at("a", 10, 5)} {
		if mine, err := s.Claim(t.Context(), c); err == nil || mine {
			t.Errorf("claim %.60q by %q from %v until %v: got %v and error %v", c.Name, c.Holder, c.Now, c.Until, mine, err)
		}
	}
	claims(t, s, at("b", 0, 10), true)
}
