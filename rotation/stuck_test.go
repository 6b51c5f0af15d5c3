package rotation_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// TestSurvey_AStuckRotationIsAFinding: whatever the scan sees or does not see of its user, once, and as long as it is stuck.
func TestSurvey_AStuckRotationIsAFinding(t *testing.T) {
	for _, test := range []struct {
		name    string
		maxAge  int // in days; the key is 100 days old
		unread  bool
		exempt  bool
		others  []rotation.Breach // of the same key
		lastUse rotation.UseState
	}{
		{"the key is too old as well", 90, false, false, []rotation.Breach{rotation.TooOld}, rotation.Used},
		{"nothing else makes the scan look at its user", 1000, false, false, nil, rotation.UseUnknown},
		{"the account cannot be read", 90, true, false, nil, rotation.UseUnknown},
		{"what is found of the user is accepted", 90, false, true, []rotation.Breach{rotation.TooOld}, rotation.Used},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.stop()
				b.with = func(c *rotation.Config) {
					c.Policy.MaxAge, c.Policy.WarnAge = time.Duration(test.maxAge)*day, time.Duration(test.maxAge)*day
					if test.exempt {
						c.Exemptions = map[rotation.UserRef]rotation.Exemption{ci: {Reason: "the vendor is slow", Until: time.Now().Add(day)}}
					}
				}
				b.start(-1, false)
				b.playTo(rotation.Requested)
				b.sim.Fail("CreateAccessKey", iamsim.Fault{Code: "AccessDenied"})
				b.must(rotation.Approve, carol)
				b.await(rotation.Stuck)
				if test.unread {
					b.sim.Fail("*", iamsim.Fault{Code: "AccessDenied", Times: -1})
				}
				s, err := b.engine.Survey(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if test.unread != (len(s.Unread()) == 1) {
					t.Errorf("accounts: %+v", s.Accounts)
				}
				var others []rotation.Breach
				for _, f := range s.Findings {
					if f.Breach != rotation.StuckRotation {
						others = append(others, f.Breach)
					}
				}
				i := slices.IndexFunc(s.Findings, func(f rotation.Finding) bool { return f.Breach == rotation.StuckRotation })
				if i != 0 || !slices.Equal(others, test.others) || len(s.Findings) != 1+len(others) {
					t.Fatalf("found %+v, want the stuck rotation first and once, and %v", s.Findings, test.others)
				}
				f := s.Findings[i]
				if f.User != ci || f.Key.ID != b.old || f.Owner != owner || f.Stuck == nil || f.Stuck.Stage != rotation.Stuck || f.UserID == "" ||
					f.Key.Created.IsZero() || f.Key.LastUse.State != test.lastUse || f.Exempt.Reason != "" {
					t.Errorf("it is told of as %+v", f)
				}
				if again := s.WithStuck([]rotation.Rotation{*b.rotation()}); len(again.Findings) != len(s.Findings) {
					t.Errorf("told twice: %+v", again.Findings)
				}
				b.sim.Heal()
				b.must(rotation.Close, dave)
				b.ended(rotation.Closed)
				if s, err = b.engine.Survey(t.Context()); err != nil || len(s.Findings) > 0 && s.Findings[0].Breach == rotation.StuckRotation {
					t.Errorf("it is closed, and found all the same: %+v, %v", s.Findings, err)
				}
			})
		})
	}
}
