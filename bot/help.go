package bot

import (
	"strconv"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

func helpMessage() message {
	var d draft
	d.header("How Keyturner rotates a key")
	d.say("Keyturner replaces AWS access keys without breaking what uses them. Nothing is changed in AWS before an approver has agreed, and an approver is never the one who asks or the owner.")
	d.say("1. You ask. An approver agrees, and a second key is created.\n2. You get its secret once, in a direct message, and move your applications.\n" +
		"3. You confirm. Keyturner checks in AWS that the new key is used and the old one is quiet.\n4. An approver agrees, and the old key is made inactive. " +
		"For some days one click makes it active again, with no approval.\n5. An approver agrees, and the old key is deleted.")
	var lines []string
	for _, row := range vocabulary() {
		lines = append(lines, "• "+row.usage()+": "+row.what+"."+whoMay[row.may])
	}
	d.say("What you can type:\n" + strings.Join(lines, "\n"))
	return d.message()
}

// whoMay follows what a command does.
var whoMay = map[audience]string{approvers: " For approvers.", responders: " For approvers and on-call."}

// maxStatus bounds how many rotations a status lists.
const maxStatus = 15

// statusMessage tells where rotations stand, the running ones first.
func statusMessage(v view, progresses []rotation.Progress) message {
	var running, ended []rotation.Rotation
	for _, p := range progresses {
		switch {
		case p.Rotation == nil:
		case p.Rotation.Ended():
			ended = append(ended, *p.Rotation)
		default:
			running = append(running, *p.Rotation)
		}
	}
	var d draft
	switch {
	case len(running) > 0:
		d.header("Your rotations: " + strconv.Itoa(len(running)) + " running")
	case len(ended) > 0:
		d.header("Your rotations: none is running")
	default:
		return plain("You have no rotation. Type `/rotate-key` to begin one.")
	}
	all := append(running, ended...)
	for i, r := range all {
		if i == maxStatus {
			d.say("And " + count(len(all)-i, "other rotation") + ". The bot's direct messages to you have a card for each.")
			break
		}
		d.show(statusLines(v, r, stepper(r)), statusLines(v, r, stepperInWords(r)), nil)
	}
	return d.message()
}

func statusLines(v view, r rotation.Rotation, steps string) string {
	s := "*" + v.user(r.User) + "*, key " + short(r.Old) + "\n" + steps + "\n" + standing(r)
	if !r.Ended() {
		s += " Next: " + v.next(r) + "."
	}
	return s
}

// startedMessage answers whoever began a rotation from a button.
func startedMessage(v view, r rotation.Rotation) message {
	return plain(sentences("The rotation of "+short(r.Old)+" of "+v.user(r.User)+" has begun.", standing(r), "Next: "+v.next(r)+"."))
}
