package rotation_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// byAge is a policy with a strict rule for people and a loose one for a path.
func byAge() rotation.Policy {
	p := benchPolicy
	p.Rules = []rotation.AgeRule{
		{Name: "people", Matches: rotation.Matches{Tag: "kind", Value: "person"}, WarnAge: 20 * day, MaxAge: 30 * day, UnusedAge: 10 * day},
		{Name: "vendors", Matches: rotation.Matches{Paths: []string{"/vendor/*"}}, WarnAge: 300 * day, MaxAge: 365 * day, UnusedAge: 365 * day},
		{Name: "elsewhere", Matches: rotation.Matches{Accounts: []string{"999999999999"}}, WarnAge: day, MaxAge: 2 * day, UnusedAge: day},
	}
	return p
}

func TestPolicy_For(t *testing.T) {
	person := map[string]string{"kind": "person"}
	for _, test := range []struct {
		name string
		user rotation.User
		want int // days of the most
	}{
		{"no rule", rotation.User{Ref: ci, Path: "/"}, 90},
		{"by tag", rotation.User{Ref: ci, Path: "/", Tags: person}, 30},
		{"by path", rotation.User{Ref: ci, Path: "/vendor/x/"}, 365},
		{"the first counts", rotation.User{Ref: ci, Path: "/vendor/", Tags: person}, 30},
		{"by account", rotation.User{Ref: rotation.UserRef{Account: "999999999999", Name: "x"}, Path: "/"}, 2},
		{"tags not known: the strictest that may", rotation.User{Ref: ci, Path: "/vendor/", Untold: true}, 30},
	} {
		if got := byAge().For(test.user); got.MaxAge != time.Duration(test.want)*day || len(got.Rules) != 0 {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestScan_ByRules: each user is judged by their rule, and those whom only another's rule makes suspect are not asked for their keys.
func TestScan_ByRules(t *testing.T) {
	inScan(t, iamsim.Config{}, func(s *scanned) {
		add := func(name, path string, tags map[string]string, age int) {
			s.first.AddUser(iamsim.User{Name: name, Path: path, Tags: tags})
			s.first.AddKey(name, iamsim.Key{Created: ago(age), LastUsed: ago(0), Service: "s3"})
		}
		add("ana", "/", map[string]string{"kind": "person"}, 40)
		add("robot", "/", map[string]string{"kind": "machine"}, 40)
		add("vendor", "/vendor/", nil, 200)
		for _, bare := range []bool{false, true} {
			if bare {
				s.sim.Fail("GetAccountAuthorizationDetails", iamsim.Fault{Code: "AccessDenied", Times: -1})
			}
			before := s.calls()["ListAccessKeys"]
			policy := byAge()
			var got []string
			states := rotation.Scan{Accounts: s.accounts, Policy: policy}.Each(s.Context(), func(seen rotation.Sight) error {
				for _, f := range policy.Judge(seen, time.Now()) {
					got = append(got, string(f.Breach)+" "+f.User.Name)
				}
				return nil
			})
			slices.Sort(got)
			want := []string{"idle idle", "root-key <root_account>", "too-old ana", "too-old stale"}
			if diff := cmp.Diff(want, got); diff != "" || states[0].Err != nil {
				s.Errorf("bare %v: %v (-want +got):\n%s", bare, states[0].Err, diff)
			}
			if n := s.calls()["ListAccessKeys"] - before; !bare && n != 3 {
				s.Errorf("%d users were asked for their keys, want those found alone", n)
			}
		}
	})
}

// TestSurvey_AgeRunsUntilTheOldKeyIsGone: a key that its rotation has made inactive is still too old until it is deleted.
func TestSurvey_AgeRunsUntilTheOldKeyIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		for _, stage := range []rotation.Stage{rotation.Requested, rotation.Switching, rotation.Grace, rotation.Expiring, rotation.Done} {
			b.playTo(stage)
			s, err := b.engine.Survey(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			old := slices.ContainsFunc(s.Findings, func(f rotation.Finding) bool { return f.Breach == rotation.TooOld && f.Key.ID == b.old })
			if there := stage != rotation.Done; old != there {
				t.Errorf("%s: the old key is found too old: %v", stage, old)
			}
		}
	})
}
