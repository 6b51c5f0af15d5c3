package bot

import (
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// sameUser compares as IAM does, which finds names without regard to case.
func sameUser(a, b rotation.UserRef) bool {
	return a.Account == b.Account && strings.EqualFold(a.Name, b.Name)
}

// maxListed bounds how many users, or rotations, an answer lists.
const maxListed = 12

// keysMessage lists a person's keys.
func keysMessage(v view, held []rotation.Holding) message {
	var d draft
	if len(held) == 0 {
		return plain("No IAM user names you as its owner. " + v.nameOwner())
	}
	d.header("Your keys")
	for i, h := range held {
		if i == maxListed {
			d.say("And " + count(len(held)-i, "other IAM user") + ". Type " + "`/rotate-key`" + " to choose among all of them.")
			break
		}
		d.say(ownLines(v, h))
	}
	d.note(v.whyYours(held))
	return d.message()
}

// noAddress is said instead of keys that are missing because nobody could tell that they are a person's.
const noAddress = "Your e-mail address or your user groups could not be looked up in Slack, so keys that name you by them may be missing here. Try again in some minutes."

// notYoursForSure is said of a user whose owner could not be looked up.
const notYoursForSure = "Whether it is yours could not be looked up, so nothing can be done about it now. Try again in some minutes."

// ownLines is heldLines for the person whose user it should be.
func ownLines(v view, h rotation.Holding) string {
	if h.User.Name != "" && h.Ownership.Unknown() {
		return heldLines(v, h) + "\n" + notYoursForSure
	}
	return heldLines(v, h)
}

// keysOfMessage lists one user's keys for an approver.
func keysOfMessage(v view, h rotation.Holding) message {
	var d draft
	d.header("The keys of " + tidy(h.User.Name))
	d.say(heldLines(v, h))
	d.say(ended("Owner: " + v.ownedBy(h.Ownership)))
	return d.message()
}

// heldLines tells of one user and each of its keys. What could not be read is said, and never looks like no keys.
func heldLines(v view, h rotation.Holding) string {
	switch {
	case h.User.Account == "":
		return noAddress
	case h.User.Name == "":
		return "*" + v.accountInFull(h.User.Account) + "* could not be read, so keys of yours may be missing here. " + notRead(h.Err)
	case h.Err != nil:
		return "*" + v.user(h.User) + "*\nIts keys could not be read, so they are not known now. " + notRead(h.Err)
	}
	lines := []string{"*" + v.user(h.User) + "*"}
	for _, k := range h.Keys {
		lines = append(lines, "• "+keyLine(v, k)+v.foundOf(h, k.ID))
	}
	if len(h.Keys) == 0 {
		lines = append(lines, "It has no access key.")
	}
	if h.Running != nil {
		lines = append(lines, "A rotation is under way. "+standing(*h.Running)+" Next: "+v.next(*h.Running)+".")
	}
	lines = append(lines, acceptedLines(v, h, "")...)
	lines = append(lines, heldWarnings(h.Held)...)
	return strings.Join(lines, "\n")
}

// keyLine is a key with its state, its age and its last use.
func keyLine(v view, k rotation.Key) string {
	return short(k.ID) + ": " + lowerFirst(esc(string(k.Status))) + aged(v, k, ", ", " old") + ", created on " + when(k.Created) + ". Last used: " + lastUse(k.LastUse) + "."
}

// historyMessage lists ended rotations with their decisions.
func historyMessage(v view, none string, rs []rotation.Rotation, past []rotation.Past) message {
	accepted := pastLines(v, past)
	if len(rs)+len(accepted) == 0 {
		return plain(none)
	}
	var d draft
	if len(accepted) == 0 {
		d.header("Rotations that have ended")
	} else {
		d.header("What has ended")
	}
	for i, r := range rs {
		if i == maxListed {
			d.say("And " + count(len(rs)-i, "earlier one") + ".")
			break
		}
		d.say(historyLines(v, r))
	}
	for i, line := range accepted {
		if i == maxListed {
			d.say("And " + count(len(accepted)-i, "earlier exemption or snooze") + ".")
			break
		}
		d.say(line)
	}
	d.note("The latest come first. The audit trail has all that is not shown here.")
	return d.message()
}

// maxDecisions bounds how many decisions of one rotation are listed.
const maxDecisions = 8

// historyLines tells one ended rotation: what it was about, when it began and ended, and who decided what.
func historyLines(v view, r rotation.Rotation) string {
	lines := []string{
		"*" + v.user(r.User) + "*, key " + short(r.Old) + ". " + ending(r),
		sentences("Asked for by "+mention(r.Requester)+" on "+when(r.Begun)+", ended on "+when(r.Since)+".", "Owner: "+mention(r.Owner)+".", reasonGiven(clip(r.Reason, 100))),
	}
	decided := 0
	for _, ask := range r.Asks {
		if ask.Open() {
			continue
		}
		if decided++; decided > maxDecisions {
			return strings.Join(append(lines, "• And others after that."), "\n")
		}
		lines = append(lines, "• "+askName(r, ask)+" "+shortAnswer(r, ask))
	}
	return strings.Join(lines, "\n")
}

// askName names what was asked.
func askName(r rotation.Rotation, ask rotation.Ask) string {
	switch ask.Stage {
	case rotation.Requested:
		return "A new key:"
	case rotation.Confirmed:
		return "Making " + short(r.Old) + " inactive:"
	case rotation.Expiring:
		return "Deleting " + short(r.Old) + ":"
	}
	return "It was stuck:"
}

// shortAnswer is answer with a reason that does not fill the list.
func shortAnswer(r rotation.Rotation, ask rotation.Ask) string {
	if n := len(ask.Decisions); n > 0 {
		d := ask.Decisions[n-1]
		return sentences("*"+verdict(ask)+" by "+mention(d.By)+"* · "+when(d.At)+".", reasonGiven(clip(d.Reason, 100)))
	}
	return answer(r, ask)
}

// whichMessage answers who has none, or several, of the rotations that a command could be about.
func whichMessage(v view, command string, all []rotation.Rotation) message {
	typing := "/rotate-key " + command
	if len(all) == 0 {
		words := map[string]string{
			"cancel": "No rotation that you own or asked for is running under that name, so there is nothing to cancel.",
			"remind": "No rotation that you own or asked for waits for an approver, so there is nobody to remind.",
		}
		return plain(words[command] + " Type `/rotate-key status` to see your rotations.")
	}
	var d draft
	d.say("Several rotations could be meant, so nothing was done. Type one of these:")
	for i, r := range all {
		if i == maxListed {
			d.say("Or the same for one of the " + count(len(all)-i, "other") + " that `/rotate-key status` shows.")
			break
		}
		d.say("• " + code(typing+" "+r.User.String()) + ": " + standing(r))
	}
	return d.message()
}

// cancelledMessage tells what came of a cancel that was typed.
func cancelledMessage(v view, r rotation.Rotation) message {
	if r.Ended() {
		return plain(sentences("*"+v.user(r.User)+"*:", ending(r)))
	}
	return plain(sentences("*"+v.user(r.User)+"*:", standing(r), "Next: "+v.next(r)+"."))
}
