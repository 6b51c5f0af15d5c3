package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// claim stores a claim, and reads it again.
func claim(t *testing.T, s rotation.Store, c rotation.Claim) rotation.Claim {
	t.Helper()
	stored, err := s.Claim(t.Context(), c)
	if err != nil {
		t.Fatalf("claim %.60q at rev %d: %v", c.Name, c.Rev, err)
	}
	c.Rev++
	if diff := same(stored, c); diff != "" {
		t.Errorf("claim returned (-want +got):\n%s", diff)
	}
	expectClaim(t, s, c)
	return stored
}

func expectClaim(t *testing.T, s rotation.Store, want rotation.Claim) {
	t.Helper()
	got, err := s.Claimed(t.Context(), want.Name)
	if err != nil {
		t.Fatalf("read claim %.60q: %v", want.Name, err)
	}
	if diff := same(got, want); diff != "" {
		t.Errorf("the claim that is stored (-want +got):\n%s", diff)
	}
}

// wantNoClaim expects a claim to be refused as a conflict.
func wantNoClaim(t *testing.T, s rotation.Store, c rotation.Claim) {
	t.Helper()
	got, err := s.Claim(t.Context(), c)
	wantErr(t, fmt.Sprintf("claim %.60q at rev %d", c.Name, c.Rev), err, rotation.ErrConflict)
	if diff := same(got, rotation.Claim{}); diff != "" {
		t.Errorf("the refused claim gave something:\n%s", diff)
	}
}

func claimNotFound(t *testing.T, s rotation.Store) {
	claim(t, s, rotation.Claim{Name: "digest/2026-W47", Holder: "a"})
	for _, odd := range []string{
		"digest/2026-W48", "digest/2026-W4", "digest/2026-W47/", "DIGEST/2026-W47", "digest/2026-W47\x00", "", " ", "\xff",
		strings.Repeat("n", 1024), strings.Repeat("n", 1025), strings.Repeat("n", 100_000),
	} {
		c, err := s.Claimed(t.Context(), odd)
		wantErr(t, fmt.Sprintf("read claim %.20q", odd), err, rotation.ErrNotFound)
		if diff := same(c, rotation.Claim{}); diff != "" {
			t.Errorf("claim %.20q gave something:\n%s", odd, diff)
		}
	}
}

func claimCountsRevs(t *testing.T, s rotation.Store) {
	c := rotation.Claim{Name: "scan"}
	for rev := range uint64(5) {
		c.Holder, c.Note = fmt.Sprint("h", rev), strings.Repeat("ключ\x00\u2028 ", int(rev))
		if c = claim(t, s, c); c.Rev != rev+1 {
			t.Fatalf("claim returned rev %d, want %d", c.Rev, rev+1)
		}
	}
}

func claimConflicts(t *testing.T, s rotation.Store) {
	for _, rev := range []uint64{1, 2, 1 << 63, 1<<64 - 1} {
		wantNoClaim(t, s, rotation.Claim{Name: "n", Rev: rev, Holder: "a"})
		_, err := s.Claimed(t.Context(), "n")
		wantErr(t, "read what was refused", err, rotation.ErrNotFound)
	}
	claim(t, s, rotation.Claim{Name: "n", Holder: "a"})
	want := claim(t, s, rotation.Claim{Name: "n", Rev: 1, Holder: "a"})
	for _, rev := range []uint64{0, 1, 3, 1 << 63, 1<<64 - 1} {
		for _, holder := range []string{"a", "b", ""} { // whose it is makes no difference
			wantNoClaim(t, s, rotation.Claim{Name: "n", Rev: rev, Holder: holder, Note: "x"})
		}
		expectClaim(t, s, want)
	}
}

func claimGivenUp(t *testing.T, s rotation.Store) {
	c := claim(t, s, rotation.Claim{Name: "n", Holder: "a", Note: "x"})
	c.Holder, c.Note = "", ""
	c = claim(t, s, c)
	wantNoClaim(t, s, rotation.Claim{Name: "n", Holder: "b"}) // somebody had it
	c.Holder = "b"
	claim(t, s, c)
	claim(t, s, rotation.Claim{Name: "nobody's"})
}

// oddKeys are names that must not be taken for one another, in the order of their bytes.
func oddKeys() []string {
	keys := []string{
		"a", "A", "a ", " a", "a/b", "a//b", "a\x00", "a\x00b", "ключ", "%61", "*", "meta", "..", "!0000", "\u00e9", "e\u0301", "😀", "\uffff",
		strings.Repeat("n", 1023), strings.Repeat("n", 1024), "10", "9",
	}
	slices.Sort(keys)
	return keys
}

func claimNamesApart(t *testing.T, s rotation.Store) {
	for i, name := range oddKeys() {
		claim(t, s, rotation.Claim{Name: name, Holder: fmt.Sprint(i)})
	}
	for i, name := range oddKeys() {
		expectClaim(t, s, rotation.Claim{Name: name, Rev: 1, Holder: fmt.Sprint(i)})
		claim(t, s, rotation.Claim{Name: name, Rev: 1})
	}
}

func claimAtOnce(t *testing.T, s rotation.Store) {
	const claimers, rounds = 8, 10
	for round := range rounds {
		won := make([]bool, claimers)
		together(claimers, func(i int) {
			_, err := s.Claim(t.Context(), rotation.Claim{Name: "n", Rev: uint64(round), Holder: fmt.Sprint(i)})
			if won[i] = err == nil; err != nil {
				wantErr(t, "claim", err, rotation.ErrConflict)
			}
		})
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			t.Fatalf("round %d: claims that succeeded: %v, want exactly one", round, won)
		}
		expectClaim(t, s, rotation.Claim{Name: "n", Rev: uint64(round) + 1, Holder: fmt.Sprint(winner)})
	}
}

// badKeys cannot be the name of a claim, the key of an entry or the id of an envelope.
var badKeys = []string{"", "\xff", "a\xff", strings.Repeat("n", 1025), strings.Repeat("ключ", 129)}

func claimRefused(t *testing.T, s rotation.Store) {
	for _, name := range badKeys {
		for _, rev := range []uint64{0, 1} {
			c, err := s.Claim(t.Context(), rotation.Claim{Name: name, Rev: rev, Holder: "a"})
			if err == nil {
				t.Errorf("claim %.60q: got %+v", name, c)
			}
		}
	}
}
