package bot

import (
	"slices"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// ownedBy names who is answerable for a user, and where that stands; or that it is nobody, or not known.
func (v view) ownedBy(o rotation.Ownership) string {
	switch {
	case o.Owner() != "":
		return mention(o.Owner()) + ", " + v.source(o)
	case o.Unknown():
		return "not known. " + doubts[o.Doubt]
	case o.Doubt != "":
		return "nobody. " + doubts[o.Doubt]
	}
	return "nobody"
}

// source tells where it stands who is answerable, to follow a name.
func (v view) source(o rotation.Ownership) string {
	switch o.From {
	case rotation.FromLink:
		return "linked by " + mention(o.Link.By) + " on " + when(o.Link.At)
	case rotation.FromConfig:
		return "named in Keyturner's configuration"
	case rotation.FromTag:
		return "named by the tag " + code(v.ownerTag)
	case rotation.FromMailTag:
		return "named by the e-mail address in a tag"
	}
	return "named by the e-mail address that is the IAM user's name"
}

// doubts tell why something that should name an owner does not.
var doubts = map[rotation.Doubt]string{
	rotation.NoMemberID:   "Its tag holds something that is no Slack member ID.",
	rotation.OtherGroup:   "Its tag names a user group that may not own keys: the operator gives it a channel in the configuration.",
	rotation.OtherTeam:    "What should name its owner names a member of another workspace.",
	rotation.NoSuchMember: "Nobody in this workspace has the e-mail address that should name its owner.",
	rotation.NotFull:      "The e-mail address that should name its owner belongs to nobody who is an active, full member of this workspace.",
	rotation.NotConfirmed: "The e-mail address that should name its owner was never confirmed in Slack.",
	rotation.NotLookedUp:  "Its owner could not be looked up.",
}

// maxNamed bounds how many users a sentence names.
const maxNamed = 10

// whyYours tells a person by what they own each of their users.
func (v view) whyYours(held []rotation.Holding) string {
	var sources []string
	users := map[string][]string{}
	for _, h := range held {
		if h.User.Name == "" || h.Ownership.Owner() == "" {
			continue
		}
		source := "you are " + v.source(h.Ownership)
		if h.Ownership.Group != "" {
			source = "your group " + mention(h.Ownership.Owner()) + " is " + v.source(h.Ownership)
		}
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
		users[source] = append(users[source], code(h.User.Name))
	}
	var parts []string
	for _, source := range sources {
		names := users[source]
		if n := len(names) - maxNamed; n > 0 {
			names = append(names[:maxNamed:maxNamed], count(n, "other"))
		}
		parts = append(parts, strings.Join(names, ", ")+": "+source+".")
	}
	return joinWithin(parts, "\n", maxBlockText, "And others.")
}

// linkedMessage answers whoever linked or unlinked a user.
func linkedMessage(v view, l rotation.Linked) message {
	var s string
	switch {
	case l.Before.Owner() == l.After.Owner() && l.After.Owner() != "":
		s = v.user(l.User) + " has the owner that it had: " + ended(v.ownedBy(l.After))
	case l.After.Owner() != "":
		before := "Before, the owner was " + ended(v.ownedBy(l.Before))
		if l.Before.Owner() == "" && l.Before.Doubt == "" {
			before = "Before, it had no owner."
		}
		s = sentences(mention(l.After.Owner())+" is the owner of "+v.user(l.User)+" now, "+ended(v.source(l.After)), before)
	default:
		s = "There is no link for " + v.user(l.User) + " now. The owner is " + ended(v.ownedBy(l.After)) + " " + v.nameOwner()
	}
	if r := l.Running; r != nil && r.Owner != l.After.Member {
		s += "\nA rotation is under way, and it stays with " + mention(r.Owner) + " until it ends: who owns the user by then matters for the next one."
	}
	return plain(s)
}
