package bot

import (
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// TestDoubts: whatever keeps something from naming an owner is told, in the digest, to whoever looks and in a refusal; and what could not be
// looked up never reads as if there were no owner.
func TestDoubts(t *testing.T) {
	v := testView()
	for _, name := range constants(t, "owner.go", "Doubt") {
		doubt := rotation.Doubt(name)
		if doubts[doubt] == "" {
			t.Errorf("%s has no words", name)
			continue
		}
		k := keyFindings{Finding: aFinding(rotation.TooOld, ci, oldKey, 95), breaches: []rotation.Breach{rotation.TooOld}, first: true}
		k.Owner, k.Doubt = "", doubt
		said := map[string]string{
			"digest": dueWords(v, k), "whois": ended(v.ownedBy(rotation.Ownership{From: rotation.FromTag, Doubt: doubt})),
		}
		if doubt != rotation.NotLookedUp {
			said["refusal"] = refusalText(v, &rotation.Refusal{Code: rotation.NoOwner, User: ci, Doubt: doubt})
		}
		for where, words := range said {
			checkWords(t, words)
			unknown := strings.Contains(words, "could not be looked up") && strings.Contains(words, "not known")
			if unknown != (doubt == rotation.NotLookedUp) || !unknown && !strings.Contains(words, doubts[doubt]) {
				t.Errorf("%s of %s: %s", where, name, words)
			}
			if nobody := strings.Contains(strings.ToLower(words), "nobody") || strings.Contains(words, "no owner"); unknown && nobody {
				t.Errorf("%s of %s reads as if there were no owner: %s", where, name, words)
			}
		}
		if startable(k) {
			t.Errorf("%s: the digest offers to start", name)
		}
	}
}
