package bot

import (
	"cmp"
	"slices"

	"github.com/keyturner/keyturner/rotation"
)

// groupCard shows, in the channel of the user group that owns the IAM user, a rotation that one of its members has begun. Any of them may
// make the owner's moves; the secret is between Keyturner and the one who collects it.
func groupCard(v view, r rotation.Rotation) message {
	var d draft
	d.header("Key rotation for " + tidy(r.User.Name))
	d.show(stepper(r), stepperInWords(r), nil)
	d.facts(append(ownerFacts(v, r), fact{"Group", mention(rotation.MemberID(r.Group))}, fact{"Collected by", holder(r)}))
	d.say(standing(r))
	if !r.Ended() {
		d.say("*Next:* " + v.next(r) + ".")
		collects := ""
		switch {
		case r.Stage == rotation.Offered:
			collects = "Whoever of the group clicks first gets the new key, in a window that nobody else sees."
		case r.Collects != "":
			collects = mention(r.Collects) + " has opened the new key, and has its secret alone."
		case r.Kind == rotation.Leak && slices.ContainsFunc(r.Asks, func(a rotation.Ask) bool { return a.Stage == rotation.Requested }):
			collects = mention(r.Owner) + " has asked for a new key, and gets its secret alone."
		case r.Owner != "" && r.Kind != rotation.Leak:
			collects = mention(r.Owner) + " has begun it, and gets the secret alone."
		}
		d.note(sentences(collects, "Every member of "+mention(rotation.MemberID(r.Group))+" may do here what its owner may, and none of them may approve."))
	}
	d.buttons(v.offer(r, rotation.ByOwner, r.Ref()))
	return d.message()
}

// norGroup says that nobody of the owning group may decide.
func norGroup(r rotation.Rotation) string {
	if r.Group == "" {
		return ""
	}
	return "Nor may anybody of " + mention(rotation.MemberID(r.Group)) + "."
}

// holder names who has the new key.
func holder(r rotation.Rotation) string { return mention(cmp.Or(r.Collects, r.Owner)) }

// opener names who may open the new key.
func opener(r rotation.Rotation) string {
	if r.Group != "" {
		return mention(r.Owner) + " or somebody else of " + mention(rotation.MemberID(r.Group))
	}
	return mention(r.Owner)
}

// reaches is where those answerable for a rotation are written to about it: the group's channel, if a group owns the user, or else the owner.
func (b *Bot) reaches(r rotation.Rotation) string {
	return cmp.Or(b.cfg.Groups[r.Group], string(r.Owner))
}
