package rotation_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// end checks what holds when all is over, and ends the processes.
func (f *fleet) end() {
	f.t.Helper()
	f.any() // the last one may have died with the last write
	time.Sleep(time.Minute)
	synctest.Wait()
	f.invariants()
	for _, p := range f.alive() {
		if _, n := p.SecretsHeld(); n != 0 {
			f.t.Errorf("process %d remembers %d secrets", p.n, n)
		}
	}
	f.stop()
	r, p := f.rotation(), f.progress()
	if r.Stage != f.way.ends || p.Live() {
		f.t.Errorf("it ends at %s because of %+v, live %v; want %s", r.Stage, r.Failure, p.Live(), f.way.ends)
	}
	err := f.kept.Live(context.Background(), func(id string, _ uint64) error { return fmt.Errorf("%s is live", id) })
	if err != nil {
		f.t.Error(err)
	}
	for _, k := range f.cloud.all() {
		if f.cloud.byBot(k.ID) && (k.ID != r.New || f.hand.given[k.ID] != 1) {
			f.t.Errorf("orphan: %+v, the new key is %s, shown %v", k, r.New, f.hand.given)
		}
	}
	issued := 0
	for _, r := range p.All() { // a request that was not settled may be worked again after its rotation has ended
		issued += r.Issued
	}
	if n := f.cloud.count("create"); n > issued {
		f.t.Errorf("%d keys were created, %d are known", n, issued)
	}
	for _, m := range f.hand.standing() {
		if m.shows != "" || !f.leaves {
			f.t.Errorf("the message %s is left in Slack, with the secret of %q", m.ts, m.shows)
		}
	}
	if f.digests > 1 {
		f.t.Errorf("%d digests were sent", f.digests)
	}
	f.audit(p)
	if f.t.Failed() {
		f.tell(p)
	}
}

// tell prints what happened, for whoever has to find out why.
func (f *fleet) tell(p rotation.Progress) {
	f.t.Logf("changes: %v", f.cloud.changes)
	for _, e := range p.Trail {
		f.t.Logf("%s %s %s %s: %s to %s, %s %s", e.At.Format(time.TimeOnly), e.Actor, e.Action, e.Outcome, e.From, e.To, e.Key, e.Detail)
	}
}

// invariants hold at every moment.
func (f *fleet) invariants() {
	f.t.Helper()
	r, keys := f.rotation(), f.cloud.all()
	working := slices.ContainsFunc(keys, func(k rotation.Key) bool {
		return k.Status == rotation.Active && (k.ID == f.old || !f.cloud.byBot(k.ID) || f.hand.given[k.ID] > 0)
	})
	if !working && !f.way.retires && !f.way.leaks && f.cloud.user.ID == r.UserID {
		f.t.Errorf("the owner has no working key: %+v", keys)
	}
	f.hand.mu.Lock()
	for key, n := range f.hand.given {
		if n > 1 {
			f.t.Errorf("the secret of %s was shown in %d messages", key, n)
		}
	}
	for _, broken := range f.hand.broken {
		f.t.Error(broken)
	}
	f.hand.mu.Unlock()
	text := fmt.Sprintf("%+v", f.progress())
	for secret := range f.cloud.secrets {
		if strings.Contains(text, secret) {
			f.t.Errorf("a secret is in the store: %s", secret)
		}
	}
	if n := len(r.Asks); n > rotation.KeepAsks {
		f.t.Errorf("%d asks are in the document", n)
	}
	for _, p := range f.alive() {
		if n, _ := p.SecretsHeld(); n != 0 && r.Stage != rotation.Creating && r.Stage != rotation.Delivering {
			f.t.Errorf("process %d holds %d secrets at %s", p.n, n, r.Stage)
		}
	}
	for _, took := range f.takes {
		if lease := rotation.LeaseOf(took.stage); took.after < lease {
			f.t.Errorf("%s was taken over after %s, which is less than %s", took.stage, took.after, lease)
		}
	}
}

// audit checks that every decision, refusal and effect has its entry, once.
func (f *fleet) audit(p rotation.Progress) {
	f.t.Helper()
	filed := map[string]rotation.Entry{}
	err := f.kept.Entries(context.Background(), func(key string, e rotation.Entry) error { filed[key] = e; return nil })
	if err != nil {
		f.t.Error(err)
	}
	all := slices.Clone(p.Trail)
	for _, key := range slices.Sorted(maps.Keys(filed)) {
		if strings.Contains(key, p.User.ID()) {
			all = append(all, filed[key])
		}
	}
	for _, r := range p.All() {
		for _, a := range r.Asks {
			for _, d := range a.Decisions {
				n := 0
				for _, e := range all {
					if e.Actor == string(d.By) && e.Action == a.Closed && e.Outcome == "moved" && e.At.Equal(d.At) {
						n++
					}
				}
				if n != 1 {
					f.t.Errorf("%d entries tell that %s decided %s at %s", n, d.By, a.Closed, a.Stage)
				}
			}
		}
	}
	creations := 0
	for _, e := range all {
		if e.Action == "create-key" && e.Outcome == "intended" {
			creations++
		}
	}
	if n := f.cloud.count("create"); n > creations {
		f.t.Errorf("%d keys were created, %d were intended", n, creations)
	}
}
