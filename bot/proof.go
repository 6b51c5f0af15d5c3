package bot

import (
	"strings"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// missing tells the owner what keeps the confirmation back still, as Keyturner has found by itself, and when it looks again.
func missing(r rotation.Rotation) string {
	p := r.Proof
	switch {
	case p.At.IsZero() && p.Again.IsZero():
		return ""
	case p.At.IsZero():
		return "Keyturner looks by itself from " + when(p.Again) + " on, and tells you when you can confirm."
	case p.Open():
		return "*Nothing is missing any more*, as Keyturner saw on " + when(p.At) + ": you can confirm now."
	}
	lines := []string{"*Still missing*, as Keyturner saw on " + when(p.At) + ":"}
	for _, b := range p.Missing {
		lines = append(lines, "• "+sentences(sentence(finding(b)), ownersPart(r, b)))
	}
	return strings.Join(append(lines, "Keyturner looks again on "+when(p.Again)+", and tells you when you can confirm."), "\n")
}

// ownersPart tells what the owner can do about what is missing.
func ownersPart(r rotation.Rotation, b rotation.Block) string {
	switch b.Code {
	case rotation.NewNeverUsed:
		return "Start an application with it."
	case rotation.NewUnknown, rotation.OldUnknown:
		return "What is not known does not count as unused."
	case rotation.OldUsed:
		return sentences("Find what uses it and move that too.", quietFor(r), notBefore(b))
	}
	return notBefore(b)
}

func notBefore(b rotation.Block) string {
	if b.Again.IsZero() {
		return ""
	}
	return "That is so on " + when(b.Again) + " at the earliest."
}

// opened is the message that tells the owner that they can confirm, if there should be one: nothing is missing, or the message is there.
func opened(v view, r rotation.Rotation, there bool) (message, bool) {
	ready := r.Stage == rotation.Switching && r.Proof.Open()
	if r.Proof.Opened == 0 || !ready && !there {
		return message{}, false
	}
	var d draft
	d.header("Key rotation for " + tidy(r.User.Name))
	switch {
	case ready:
		d.say("*You can confirm now.* The new key " + short(r.New) + " of " + v.user(r.User) + " is in use, and the old one, " + short(r.Old) +
			", has been quiet for at least " + span(r.Terms.Quiet) + ", as AWS showed on " + when(r.Proof.At) + ".")
		d.say("If all your applications use the new key, click “" + label(r, rotation.Confirm) + "”. Keyturner checks it once more, and an approver decides after that whether the old key is deactivated.")
		d.buttons([]slack.BlockElement{v.button(r, rotation.Confirm, r.Ref())})
	case r.Stage == rotation.Switching && !r.Proof.At.IsZero():
		d.say("The new key of " + v.user(r.User) + " was in use and the old one quiet, but that has changed.")
		d.say(missing(r))
	default:
		d.say("The new key of " + v.user(r.User) + " was in use and the old one quiet. The rotation has gone on since.")
	}
	return d.message(), true
}

func quietFor(r rotation.Rotation) string {
	if r.Terms.Quiet == 0 {
		return ""
	}
	return "It must be quiet for " + span(r.Terms.Quiet) + "."
}
