package rotation_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// TestSurvey_FindsWhatAWSHasQuarantined: a young key in good use is found all the same, and whoever rotates it is warned.
func TestSurvey_FindsWhatAWSHasQuarantined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		b.account.AddUser(iamsim.User{Name: "leaky", Tags: map[string]string{"slack-user-id": string(owner)}, Policies: []string{
			"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
		}})
		key := b.account.AddKey("leaky", iamsim.Key{Created: time.Now().Add(-24 * time.Hour), LastUsed: time.Now().Add(-time.Hour), Service: "s3"})
		leftover := b.account.AddKey("leaky", iamsim.Key{Created: time.Now().Add(-48 * time.Hour), Inactive: true})
		s, err := b.engine.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var found []rotation.KeyID
		for _, f := range s.Findings {
			if f.Breach == rotation.Quarantined {
				found = append(found, f.Key.ID)
			}
		}
		if !slices.Equal(found, []rotation.KeyID{rotation.KeyID(key)}) || s.Findings[0].Breach != rotation.Quarantined {
			t.Errorf("quarantined: %v, want %s alone, and first of %+v", found, key, s.Findings)
		}
		for _, test := range []struct {
			user rotation.UserRef
			want bool
		}{{ci, false}, {rotation.UserRef{Account: account, Name: "leaky"}, true}} {
			if test.want {
				b.account.RemoveKey(leftover) // inactive, which takes the second place
			}
			p, err := b.engine.Request(t.Context(), rotation.Request{User: test.user, By: rotation.Actor{Member: owner}})
			if err != nil || p.Rotation.InPublic != test.want {
				t.Errorf("%s: %v, in public %v, want %v", test.user, err, p.Rotation != nil && p.Rotation.InPublic, test.want)
			}
		}
	})
}
