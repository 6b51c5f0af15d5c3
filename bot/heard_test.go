package bot

import (
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// TestHeard reads the messages as a screen reader does, by their texts alone, for what somebody must know to decide or to act.
func TestHeard(t *testing.T) {
	v := testView()
	hears := func(name string, m message, facts ...string) {
		t.Helper()
		for _, fact := range facts {
			if !strings.Contains(m.Text, fact) {
				t.Errorf("%s does not tell %q: %s", name, fact, m.Text)
			}
		}
		if strings.Contains(m.Text, theSecret) || strings.ContainsAny(m.Text, "*`") {
			t.Errorf("%s tells a secret, or marks: %s", name, m.Text)
		}
	}
	for name, tl := range tales(t) {
		r := tl.r
		if ask, open := r.CurrentAsk(); open {
			facts := []string{r.User.Name, "Production (" + r.User.Account + ")", mention(r.Owner), mention(r.Requester), "This stands until"}
			if _, known := ask.Evidence.Key(r.Old); known && ask.Stage != rotation.Stuck {
				facts = append(facts, string(r.Old), "Status: ", "Age: ", "Last used: ", "If you approve, ", "If you deny, ", "The facts were read from AWS on ")
			}
			if reason := tidy(r.Reason); reason != "" && ask.Stage == rotation.Requested {
				facts = append(facts, reason)
			}
			hears(name+", the approvers", approvalCard(v, r, ask), facts...)
		}
		hears(name+", the owner", ownerCard(v, r), r.User.Name, "Production ("+r.User.Account+")", string(r.Old), "Steps: ")
		group := r
		group.Group = "S0SQUAD01"
		hears(name+", the group", groupCard(v, group), r.User.Name, string(r.Old), "Steps: ", "<!subteam^S0SQUAD01>")
		for i, e := range tl.trail {
			if line, _ := trailLine(r, tl.trail[:i], e); line != "" {
				hears(name+", the thread", plain(line), unformatted(when(e.At)))
			}
		}
	}
	today := digestOf(v, survey(), nil, heading{"Access keys today", "", onlyYours("CONCALL")})
	hears("today's digest", today, "Access keys today", "need attention", "only you see it", "<#CONCALL>", "Data &amp; Research (444455556666)", "The accounts were read on ")
	leaked := leak(t).by(oncall, rotation.Approve).works().r
	hears("a leaked key, its owner", ownerCard(v, leaked), "Give me a new key", "Reactivate", "Reported by: "+mention(oncall))
	hears("a report", reportedMessage(v, leak(t).r), "AKIA…7Q2X of ci-deploy in Production", "one is enough", "on-call's")
	last := aNotice(rotation.LastWarning, 104)
	hears("a last warning", warningMessage(v, last, ci), "ci-deploy in Production", string(oldKey), "last warning", unformatted(when(last.On)), "on-call", "Start its rotation now")
	hears("that it is passed on", warningMessage(v, aNotice(rotation.OwnerTold, 108), ci), "ci-deploy in Production", string(oldKey), "108 days", "on-call", "start the rotation now")
	hears("many keys", ownerListMessage(v, someListed(rotation.FirstWarning, 5, owner)), "5 keys", "job-00 in Production", "AKIA…0004", "Start its rotation now", "/rotate-key snooze")
	hears("what is passed on", passedOnMessage(v, someListed(rotation.PassedOn, 5, owner)), "5 keys", "job-04 in Production", mention(owner), "Warned on", "/rotate-key link")
	hears("a link", youOwnMessage(v, ci, rotation.Link{Owner: owner, By: alice, At: monday}), "ci-deploy in Production", mention(alice), "If the user is not yours")
}
