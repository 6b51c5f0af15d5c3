package rotation_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// TestSurvey_AsksWhetherAKeyIsNeeded has keys that are not used, young and old: their owner is asked once, and again when the age calls for it.
func TestSurvey_AsksWhetherAKeyIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		const days = 24 * time.Hour
		used := func(ago time.Duration) iamsim.Key {
			return iamsim.Key{Created: time.Now().Add(-60 * days), LastUsed: time.Now().Add(-ago), Service: "s3", Region: "eu-west-1"}
		}
		add := func(name string, u iamsim.User, k iamsim.Key) rotation.UserRef {
			u.Name, u.Tags = name, map[string]string{"slack-user-id": string(owner)}
			b.account.AddUser(u)
			b.account.AddKey(name, k)
			return rotation.UserRef{Account: account, Name: name}
		}
		never := add("blue-falcon", iamsim.User{Path: "/github/"}, iamsim.Key{Created: time.Now().Add(-60 * days)})
		idle := add("ana", iamsim.User{PasswordEnabled: true}, used(50*days))
		busy := add("busy", iamsim.User{}, used(40*days))
		young := add("young", iamsim.User{}, iamsim.Key{Created: time.Now().Add(-40 * days)})
		old := add("old-falcon", iamsim.User{Path: "/github/"}, iamsim.Key{Created: time.Now().Add(-80 * days)})
		asks := func(u rotation.UserRef) (all []rotation.Notice) {
			p, _ := b.kept.Get(t.Context(), u.ID())
			for _, n := range p.Notices {
				all = append(all, rotation.Notice{Days: n.Days, Unused: n.Unused, Instead: n.Instead})
			}
			return all
		}
		survey := func() {
			t.Helper()
			s, err := b.engine.Survey(t.Context())
			if err != nil || len(s.Unread()) > 0 {
				t.Fatalf("survey: %+v, %v", s.Unread(), err)
			}
		}
		byPath := rotation.Instead{Alternative: rotation.Federation, By: rotation.ByPath, Word: "github"}
		byConsole := rotation.Instead{Alternative: rotation.IdentityCenter, By: rotation.ByConsole}
		for range 2 {
			survey()
			for u, want := range map[rotation.UserRef][]rotation.Notice{
				never: {{Days: 45, Unused: rotation.Unneeded, Instead: byPath}}, idle: {{Days: 45, Unused: rotation.Idle, Instead: byConsole}}, busy: nil, young: nil,
				old: {{Days: 75, Unused: rotation.Unneeded, Instead: byPath}}, // once, with the warning of its age
			} {
				if diff := cmp.Diff(want, asks(u)); diff != "" {
					t.Errorf("%s is asked (-want +got):\n%s", u.Name, diff)
				}
			}
		}
		time.Sleep(16 * days)
		survey()
		want := []rotation.Notice{{Days: 45, Unused: rotation.Unneeded, Instead: byPath}, {Days: 75, Unused: rotation.Unneeded, Instead: byPath}}
		if diff := cmp.Diff(want, asks(never)); diff != "" {
			t.Errorf("at the age of 76 days (-want +got):\n%s", diff)
		}
		if got := asks(young); len(got) != 1 || got[0].Unused != rotation.Unneeded {
			t.Errorf("56 days old: %+v", got)
		}
		// The last use cannot be read: it is unknown, and nobody is told that the key is not used.
		hidden := add("hidden", iamsim.User{}, iamsim.Key{Created: time.Now().Add(-80 * days)})
		time.Sleep(5 * time.Hour) // until AWS makes a new report
		b.sim.Fail("GetAccessKeyLastUsed", iamsim.Fault{Code: "AccessDenied", Times: -1})
		if _, err := b.engine.Survey(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := asks(hidden); len(got) != 1 || got[0].Unused != "" || got[0].Days != 75 {
			t.Errorf("of a key whose last use is not known: %+v", got)
		}
	})
}
