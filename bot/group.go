package bot

import (
	"slices"

	"github.com/keyturner/keyturner/rotation"
)

// groupCard shows, in the channel of the user group that owns the IAM user, a rotation that one of its members has begun. Any of them may
// make the owner's moves; the secret is between Keyturner and the one who collects it.
func groupCard(v view, r rotation.Rotation) message {
	var d draft
	d.header("Key rotation for " + tidy(r.User.Name))
	d.show(stepper(r), stepperInWords(r), nil)
	d.facts(append(ownerFacts(v, r), fact{"Group", mention(rotation.MemberID(r.Group))}, fact{"Collected by", mention(r.Owner)}))
	d.say(standing(r))
	if !r.Ended() {
		d.say("*Next:* " + v.next(r) + ".")
		collects := ""
		switch {
		case r.Kind == rotation.Leak && slices.ContainsFunc(r.Asks, func(a rotation.Ask) bool { return a.Stage == rotation.Requested }):
			collects = mention(r.Owner) + " has asked for a new key, and gets its secret alone."
		case r.Owner != "" && r.Kind != rotation.Leak:
			collects = mention(r.Owner) + " has begun it, and gets the secret alone."
		}
		d.note(sentences(collects, "Every member of "+mention(rotation.MemberID(r.Group))+" may do here what its owner may, and none of them may approve."))
	}
	if r.Stage != rotation.Offered { // whose window is opened by who began it, from the bot's message to them
		d.buttons(v.offer(r, rotation.ByOwner, r.Ref()))
	}
	return d.message()
}

// norGroup says that nobody of the owning group may decide.
func norGroup(r rotation.Rotation) string {
	if r.Group == "" {
		return ""
	}
	return "Nor may anybody of " + mention(rotation.MemberID(r.Group)) + "."
}
