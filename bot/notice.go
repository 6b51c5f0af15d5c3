package bot

import (
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// warningMessage tells an owner that a key is getting too old, or is, or that nobody seems to need it.
func warningMessage(v view, n rotation.Notice, user rotation.UserRef) message {
	if n.Kind == rotation.OwnerTold {
		return passedMessage(v, n, user)
	}
	if n.Unused != "" {
		return needlessMessage(v, n, user)
	}
	reached := time.Duration(n.Days) * 24 * time.Hour
	if n.Most > 0 {
		v.policy.MaxAge = time.Duration(n.Most) * 24 * time.Hour // of the rule for the user
	}
	late := v.policy.MaxAge > 0 && reached >= v.policy.MaxAge
	var d draft
	switch {
	case n.Kind == rotation.LastWarning:
		d.header("Last warning: a key of " + tidy(user.Name) + " is too old")
	case late:
		d.header("A key of " + tidy(user.Name) + " is too old")
	default:
		d.header("A key of " + tidy(user.Name) + " is " + count(n.Days, "day") + " old")
	}
	whose := "You are the owner of "
	if n.Owner.IsGroup() {
		whose = mention(n.Owner) + " is the owner of "
	}
	d.say(whose + v.user(user) + ". Its access key " + code(string(n.Key)) + " was created on " + when(n.Created) +
		" and has reached the age of " + count(n.Days, "day") + ".")
	switch {
	case late:
		d.say("No key may be older than " + span(v.policy.MaxAge) + ". Start its rotation now.")
	case v.policy.MaxAge > 0:
		d.say("No key may be older than " + span(v.policy.MaxAge) + ". Start its rotation before " + when(n.Created.Add(v.policy.MaxAge)) + ".")
	default:
		d.say("Start its rotation soon.")
	}
	d.say(lastCall(n))
	if n.Owner.IsGroup() {
		d.say("Whoever of the group starts it collects: they get the new key, by direct message and alone.")
	}
	d.note("An approver is asked first. Then you get a new key here, and the old one keeps working until you have moved your applications. " +
		"If nobody needs the key, type `/rotate-key` and choose “Retire it”.")
	d.buttons([]slack.BlockElement{startButton(user), findingMenu(user, n.Key)})
	return d.message()
}
