package bot

import (
	"errors"
	"testing"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// TestPeople_WhoIsBelieved: whoever is no active full member of our own workspace has no say, whatever a rule names them as.
func TestPeople_WhoIsBelieved(t *testing.T) {
	inTown(t, slacksim.Config{Burst: -1}, func(t *testing.T, sim *slacksim.Sim, people *People, _ *counting) {
		for member, want := range map[rotation.MemberID]bool{
			"UANA": true, "UNEW": true, "UGUEST": false, "UVISITOR": false, "UGONE": false, "UROBOT": false, "USTRANGE": false, "UFAR": false,
		} {
			people.Approvers = []rotation.MemberID{member}
			a, err := people.Actor(t.Context(), member)
			refusal, refused := errors.AsType[*rotation.Refusal](err)
			if want != (err == nil && a.Approver) || !want && (!refused || refusal.Code != rotation.NotMember) {
				t.Errorf("%s: %+v, %v; want believed %v", member, a, err, want)
			}
		}
		if a, err := people.Actor(t.Context(), "UNOBODY"); err == nil {
			t.Errorf("somebody whom Slack does not know is believed: %+v", a)
		}
	})
}

// TestPeople_Zone: what Slack does not tell is not known, and not UTC.
func TestPeople_Zone(t *testing.T) {
	inTown(t, slacksim.Config{Burst: -1}, func(t *testing.T, sim *slacksim.Sim, people *People, _ *counting) {
		for member, zone := range map[rotation.MemberID]string{"UTOKYO": "Asia/Tokyo", "UODD": "Atlantis/Capital", "ULOCAL": "Local"} {
			sim.AddMember(slacksim.Member{ID: string(member), Name: string(member), TimeZone: zone})
		}
		for member, want := range map[rotation.MemberID]string{"UTOKYO": "Asia/Tokyo", "UANA": "Europe/Vienna", "UODD": "", "ULOCAL": "", "UGONE": "", "UNOBODY": ""} {
			got := ""
			if zone := people.Zone(t.Context(), member); zone != nil {
				got = zone.String()
			}
			if got != want {
				t.Errorf("the zone of %s is %q, want %q", member, got, want)
			}
		}
		if zone := zoneNamed(""); zone != nil {
			t.Errorf("no zone is %s", zone)
		}
	})
}
