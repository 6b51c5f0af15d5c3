package rotation_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/keyturner/keyturner/rotation"
)

// outsideReads are the methods of IAM that change nothing: carried out or not, a lost answer is the same, and so is one that says no.
var outsideReads = []string{"Users", "User", "Keys", "LastUse", "UserOf", "Report", "Details", "Names", "Maker", "Calls"}

// spoilt is each way in which a call can go wrong.
func spoilt(method string) map[string]fate {
	all := map[string]fate{"lost": {fails: true}, "lost, then the process dies": {fails: true, dies: true}}
	if slices.Contains(outsideReads, method) {
		return all
	}
	all["carried out and lost"] = fate{fails: true, applied: true}
	all["carried out, then the process dies"] = fate{fails: true, applied: true, dies: true}
	if !slices.Contains(storeWrites(), method) {
		all["throttled"] = fate{fails: true, err: refusedCall(method, rotation.ClassThrottled)}
	}
	return all
}

// ofManyAccounts are the writes of a scan of more than the one account that the ways have. TestSurvey_BearsALostCache spoils them.
var ofManyAccounts = []string{"KeepReading", "DropReadings"}

// nth is the fate of the n-th call of a method, by whichever process; the other calls go as they would.
func nth(method string, n int, becomes fate, otherwise func(*process, string) fate) func(*process, string) fate {
	return func(p *process, called string) fate {
		if called == method {
			if n--; n == 0 {
				return becomes
			}
		}
		if otherwise == nil {
			return fate{}
		}
		return otherwise(p, called)
	}
}

// clean plays a way as it goes by itself.
func clean(t *testing.T, w way) (played *fleet) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		played = newFleet(t, w, 1)
		played.start()
		played.play()
	})
	return played
}

// TestFaultPairs plays every way a rotation can go, once for each call to AWS, to Slack and to the store that it makes and for each way
// in which that call can go wrong: not carried out or carried out, with the process going on or another one taking its place. The
// table is made from what is called, so that none is left out.
func TestFaultPairs(t *testing.T) {
	t.Parallel()
	met, rows := map[string]int{}, 0
	for _, w := range ways() {
		count := map[string]int{}
		byItself := clean(t, w)
		for _, method := range byItself.calls {
			count[method]++
			for name, becomes := range spoilt(method) {
				met[method]++
				if rows++; testing.Short() && rows%4 != 0 {
					continue // go test plays them all, the race detector some
				}
				n := count[method]
				t.Run(fmt.Sprintf("%s/%s %d %s", w.name, method, n, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newFleet(t, w, 1)
						f.fate = nth(method, n, becomes, f.fate)
						f.leaves = becomes.dies || method == "Prepare"
						f.start()
						f.play()
						lost := becomes.dies || method == "CreateKey"
						if got, want := f.cloud.changes, byItself.cloud.changes; !lost && !slices.Equal(got, want) {
							t.Errorf("changes %v, want %v", got, want)
						}
					})
				})
			}
		}
	}
	for _, method := range slices.Concat(methods[rotation.IAM](), methods[rotation.Hand](), methods[rotation.Vault](), methods[rotation.Trail](), storeWrites()) {
		if met[method] == 0 && !slices.Contains(ofManyAccounts, method) {
			t.Errorf("%s is never called, so that nothing is known of its failures", method)
		}
	}
	t.Logf("faults by method: %v", met)
}
