package rotation_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// TestReplenish_WhoMayAskAndWhen: the owner of a leaked key alone asks for a new one, once it is inactive and as long as it stays so.
func TestReplenish_WhoMayAskAndWhen(t *testing.T) {
	call := rotation.Actor{Member: "UCALL", OnCall: true}
	for _, test := range []struct {
		name    string
		by      rotation.Actor
		meddle  string // a status that somebody else gives the leaked key
		early   bool
		refused bool
		stage   rotation.Stage
	}{
		{"its owner", rotation.Actor{Member: owner}, "", false, false, rotation.Requested},
		{"its owner, before it is decided", rotation.Actor{Member: owner}, "", true, true, rotation.Leaked},
		{"an approver", rotation.Actor{Member: carol, Approver: true}, "", false, true, rotation.Grace},
		{"on-call, who reported it", call, "", false, true, rotation.Grace},
		{"its owner, after somebody made it active", rotation.Actor{Member: owner}, "Active", false, true, rotation.Stuck},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer func() { b.stop() }()
				if err := b.reports(b.old, call, ""); err != nil {
					t.Fatal(err)
				}
				if !test.early {
					if err := b.decides(rotation.Approve, call); err != nil {
						t.Fatal(err)
					}
					passes(time.Minute)
				}
				if test.meddle != "" {
					if err := b.aws.SetStatus(t.Context(), ci.Name, b.old, rotation.Status(test.meddle)); err != nil {
						t.Fatal(err)
					}
				}
				err := b.decides(rotation.Replenish, test.by)
				if (err != nil) != test.refused || b.rotation().Stage != test.stage {
					t.Errorf("%v; at %s, want %s", err, b.rotation().Stage, test.stage)
				}
				if n := b.applied("CreateAccessKey"); n != 0 {
					t.Errorf("%d keys were created before anybody approved", n)
				}
			})
		})
	}
}
