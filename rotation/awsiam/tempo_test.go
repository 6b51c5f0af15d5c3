package awsiam_test

import (
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// TestTempo_GivesWay makes many calls where AWS bears only three a second: all succeed, few are throttled once the pace has been
// found, and it comes back when there is room again.
func TestTempo_GivesWay(t *testing.T) {
	inWorld(t, iamsim.Config{CallsPerSecond: 3}, func(w world) {
		const calls = 200
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		started := time.Now()
		for i := range calls {
			if err := list(w, w.account); err != nil {
				w.Fatalf("call %d: %v", i, err)
			}
		}
		throttled := 0
		for _, c := range w.sim.Calls() {
			if c.Code == "Throttling" {
				throttled++
			}
		}
		if took := time.Since(started); throttled > calls/4 || took < calls/3*time.Second || took > calls*time.Second {
			w.Errorf("%d calls in %v, and %d attempts throttled", calls, took, throttled)
		}
	})
}

// TestTempo_ComesBack is throttled for a while and then not any more.
func TestTempo_ComesBack(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		account := w.open(awsiam.Config{ReadsPerSecond: 10})
		pace := func(calls int) time.Duration {
			began := time.Now()
			for range calls {
				if err := list(w, account); err != nil {
					w.Fatal(err)
				}
			}
			return time.Since(began) / time.Duration(calls)
		}
		for range 6 {
			w.sim.Fail("ListAccessKeys", iamsim.Fault{Code: "Throttling", Times: 2})
			pace(1)
		}
		slow := pace(20)
		pace(400)
		if fast := pace(50); slow < 300*time.Millisecond || fast > 110*time.Millisecond {
			w.Errorf("%v a call after throttling, %v later", slow, fast)
		}
	})
}
