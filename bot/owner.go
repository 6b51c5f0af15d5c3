package bot

import (
	"slices"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// ownerCard shows a rotation in the owner's DM: how far it is, what happens now, who owes the next click, and what the owner does.
func ownerCard(v view, r rotation.Rotation) message {
	var d draft
	d.header("Key rotation for " + tidy(r.User.Name))
	d.show(stepper(r), stepperInWords(r), nil)
	d.facts(ownerFacts(v, r))
	d.say(exposed(r))
	d.say(sentences(cameBack(r), standingForOwner(r)))
	switch {
	case r.Stage == rotation.Offered:
		d.say("*Next:* you open your new key, until " + when(r.Deadline) + ".")
	case r.Stage == rotation.Switching:
		d.say("*Next:* you move your applications and confirm it.")
	case !r.Ended():
		d.say("*Next:* " + v.next(r) + ".")
	}
	said := advice(r)
	last := len(said)
	if r.Stage == rotation.Switching {
		last-- // who uses the old key stands below what is missing, and the other ways at the end
	}
	for i, s := range said {
		if i == last {
			v.sayUsers(&d, r)
		}
		d.say(s)
	}
	if last == len(said) {
		v.sayUsers(&d, r)
	}
	d.buttons(v.offer(r, rotation.ByOwner, r.Ref()))
	return d.message()
}

// standingForOwner is standing in words for the owner.
func standingForOwner(r rotation.Rotation) string {
	switch {
	case r.Stage == rotation.Delivering:
		return sentences("The new key "+short(r.New)+" is created. Its secret "+onItsWay(r, "you")+".", retrying(r))
	case r.Stage == rotation.Switching && r.Kind == rotation.Adopt:
		return "Two keys are active: " + short(r.Old) + " and " + short(r.New) + "."
	case r.Stage == rotation.Switching:
		return "The new key " + short(r.New) + " is created, and both keys work."
	}
	return standing(r)
}

func ownerFacts(v view, r rotation.Rotation) []fact {
	facts := []fact{{"Account", v.accountInFull(r.User.Account)}, {"IAM user", code(r.User.Name)}}
	if heirless(r) {
		facts = append(facts, fact{"Key", code(string(r.Old))})
	} else {
		facts = append(facts, fact{"Old key", code(string(r.Old))})
	}
	if r.New != "" {
		facts = append(facts, fact{"New key", code(string(r.New))})
	}
	if r.Requester != r.Owner {
		facts = append(facts, fact{askedBy(r), mention(r.Requester)})
	}
	if reason := tidy(r.Reason); reason != "" {
		facts = append(facts, fact{"Reason", typed(reason)})
	}
	return facts
}

// step is one step of the way, as it reads before and after.
type step struct{ ahead, done string }

var (
	stepAsk        = step{"ask", "asked"}
	stepReport     = step{"report a leak", "leak reported"}
	stepTwo        = step{"find two keys", "two active keys found"}
	stepLeftover   = step{"find the key", "found inactive"}
	stepCreate     = step{"create a new key", "created"}
	stepSwitch     = step{"switch your applications", "switched"}
	stepDeactivate = step{"deactivate", "deactivated"}
	stepDelete     = step{"delete", "deleted"}
)

// way lists the steps of a rotation.
func way(r rotation.Rotation) []step {
	switch {
	case r.Kind == rotation.Leak:
		return []step{stepReport, stepDeactivate, stepDelete}
	case r.Kind == rotation.Adopt:
		return []step{stepTwo, stepSwitch, stepDeactivate, stepDelete}
	case leftover(r) && r.Stage != rotation.Denied && r.Stage != rotation.Lapsed:
		return []step{stepLeftover, stepDelete}
	case r.Kind == rotation.Retire:
		return []step{stepAsk, stepDeactivate, stepDelete}
	}
	return []step{stepAsk, stepCreate, stepSwitch, stepDeactivate, stepDelete}
}

// stepAt is the step that a stage belongs to.
func stepAt(r rotation.Rotation, s rotation.Stage) step {
	switch s {
	case rotation.Requested, rotation.Creating, rotation.Offered, rotation.Delivering, rotation.Discarding:
		if r.Kind == rotation.Leak {
			return stepDelete
		}
		if !r.Disowned.IsZero() {
			return stepSwitch
		}
		return stepCreate
	case rotation.Freezing:
		if r.Kind == rotation.Leak {
			return stepDelete
		}
		return stepSwitch
	case rotation.Confirmed, rotation.Leaked, rotation.Deactivating:
		return stepDeactivate
	case rotation.Grace, rotation.Expiring, rotation.Deleting:
		return stepDelete
	case rotation.Stuck, rotation.Closed:
		if at := r.Failure.At; at != rotation.Stuck && at != rotation.Closed { // as earlier versions stored it of a stuck one that yielded
			return stepAt(r, at)
		}
	}
	return stepBack(r)
}

// stepBack is the step at which a rotation without a new key yet, or any more, ends; and the one to which making the old key active
// leads back.
func stepBack(r rotation.Rotation) step {
	switch {
	case r.Kind == rotation.Retire && leftover(r):
		return stepDelete
	case heirless(r):
		return stepDeactivate
	case r.Kind == rotation.Adopt || r.Stage == rotation.Switching || r.New != "" || !r.Disowned.IsZero():
		return stepSwitch
	}
	return stepCreate
}

// marks of the stepper. The words beside them tell the same.
const (
	markDone  = "✓ "
	markNow   = "● "
	markAhead = "○ "
	markEnd   = "✗ "
)

// stepper shows the way as one line.
func stepper(r rotation.Rotation) string {
	var parts []string
	for _, s := range progress(r) {
		part := s.mark + s.words
		if s.nuance != "" {
			part += " (" + s.nuance + ")"
		}
		if s.mark == markNow {
			part = "*" + part + "*"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "   ")
}

// stepperInWords is the stepper for who hears it.
func stepperInWords(r rotation.Rotation) string {
	heard := map[string]string{markDone: "done", markNow: "now", markAhead: "to come", markEnd: "the end"}
	var parts []string
	for _, s := range progress(r) {
		note := heard[s.mark]
		if s.nuance != "" {
			note += ", " + s.nuance
		}
		parts = append(parts, s.words+" ("+note+")")
	}
	return "Steps: " + strings.Join(parts, ", ") + "."
}

type marked struct{ mark, words, nuance string }

func progress(r rotation.Rotation) []marked {
	var line []marked
	steps := way(r)
	current := slices.Index(steps, stepAt(r, r.Stage))
	for i, s := range steps {
		switch {
		case i < current || r.Stage == rotation.Done:
			line = append(line, marked{markDone, s.done, ""})
		case i == current && r.Ended():
			return append(line, marked{markEnd, string(r.Stage), ""})
		case i == current:
			line = append(line, marked{markNow, s.ahead, nuance(r)})
		default:
			line = append(line, marked{markAhead, s.ahead, ""})
		}
	}
	return line
}

// nuance tells what the current step's name does not.
func nuance(r rotation.Rotation) string {
	if r.Kind == rotation.Leak && slices.Contains([]rotation.Stage{rotation.Creating, rotation.Delivering}, r.Stage) {
		return "a new key is on its way"
	}
	switch r.Stage {
	case rotation.Stuck:
		return "stuck"
	case rotation.Discarding:
		return "revoking the new key"
	case rotation.Freezing:
		return "making the new key inactive"
	case rotation.Reactivating:
		return "making " + r.Old.Short() + " active again"
	case rotation.Grace:
		return "after the grace"
	case rotation.Requested, rotation.Leaked, rotation.Confirmed, rotation.Expiring:
		if r.Waits() {
			return "waiting for its window"
		}
		return "waiting for approval"
	case rotation.Offered:
		return "waiting for its owner"
	}
	return ""
}

// cameBack tells the owner why the rotation is at switching again.
func cameBack(r rotation.Rotation) string {
	last := lastAsk(r)
	switch {
	case r.Stage != rotation.Switching:
		return ""
	case last.Stage != rotation.Confirmed && last.Stage != rotation.Expiring:
		if r.Failure.At == rotation.Discarding && r.Failure.Block == rotation.NewUsed {
			return "The new key was not revoked, since somebody has used it. Go on with it. If you do not know who uses it, tell on-call at once."
		}
	case last.Closed == string(rotation.Deny):
		return "The deactivation was not approved. " + answer(r, last)
	case last.Closed == string(rotation.Elapse):
		return "Nobody decided about the deactivation in time. Confirm again when you are ready."
	case last.Closed == string(rotation.Cancel) && last.Overruled.By != "":
		return "You said that the old key is still needed."
	case last.Closed == string(rotation.Cancel):
		return "You took your confirmation back."
	}
	return backAgain(r)
}

// advice tells the owner what to do, a paragraph each.
func advice(r rotation.Rotation) []string {
	before := short(r.Old)
	switch r.Stage {
	case rotation.Requested:
		if r.Waits() {
			return []string{"You need not do anything now. You get the new key here when it is created. " + keepsOn(r)}
		}
		return []string{"You need not do anything now. When an approver has agreed, you get the new key here. " + keepsOn(r)}
	case rotation.Offered:
		return []string{"*What to do:* Click “" + label(r, rotation.Collect) + "” when you are ready to store a secret. The key is made then, and its secret is shown to you " +
			"once, in a window. " + collectUntil(r)}
	case rotation.Creating, rotation.Delivering:
		switch {
		case r.Delivery.InAWS():
			return []string{"You need not do anything now. A message of its own says where the secret is."}
		case r.Modal != "":
			return []string{"Leave the window open that you have opened: the secret is shown there."}
		case r.Delivery.Mode == rotation.Reveal:
			return []string{"You need not do anything now."}
		}
		return []string{"You need not do anything now. The secret comes in a message of its own."}
	case rotation.Switching:
		return slices.DeleteFunc([]string{aboutSecret(r), whatToDo(r), missing(r), mailHint(r), otherWays(r)}, func(s string) bool { return s == "" })
	case rotation.Leaked:
		return []string{"Be ready: if it is decided so, everything that uses " + before + " fails at once. Give what must go on another key or, better, a role."}
	case rotation.Freezing:
		return []string{"You need not do anything now. On-call has been told. If somebody else uses your Slack account, end its sessions in Slack and change your password."}
	case rotation.Confirmed:
		if r.Kind == rotation.Retire {
			return []string{"You need not do anything now. If the key is needed after all, click “Keep the key”."}
		}
		if isOverruled(r) {
			return []string{"If something still needs the old key, click “" + label(r, rotation.Cancel) + "” now, or tell the approvers."}
		}
		return []string{"You need not do anything now. If something still uses the old key, click “Take my confirmation back”."}
	case rotation.Grace, rotation.Expiring:
		if leftover(r) {
			return []string{"You need not do anything now. If the key should be kept after all, click “" + label(r, rotation.Cancel) + "”."}
		}
		if r.Kind == rotation.Leak {
			return slices.DeleteFunc(afterLeak(r), func(s string) bool { return s == "" })
		}
		return []string{"If something has stopped working, click “" + label(r, rotation.Reactivate) + "”. That needs no approval, and " + before +
			" works again within moments. Otherwise you need not do anything."}
	case rotation.Stuck:
		if slices.Contains(r.Offers(rotation.ByOwner), rotation.Reactivate) {
			return []string{"If something has stopped working, click “" + label(r, rotation.Reactivate) + "”. That needs no approval."}
		}
		return []string{"You need not do anything now. The approvers have been asked how it goes on."}
	case rotation.Closed:
		if r.Failure.Class == rotation.ClassLeaked {
			return []string{"A key of this user, " + short(r.Failure.Key) + ", is reported as leaked. That goes first and has a message of its own. The keys stay as they are until it is decided."}
		}
		if r.Failure.At == "" {
			return []string{"An approver ended it while the applications were being moved. Both keys are active. Look in AWS whether they are as you need them."}
		}
		return []string{"It was stuck for this reason: " + lowerFirst(trouble(r, r.Failure)), "Look in AWS whether the keys are as you need them."}
	}
	return nil
}

// aboutSecret tells what became of the message with the secret.
func aboutSecret(r rotation.Rotation) string {
	h := r.Handover
	switch {
	case !makesKey(r) || h.Until.IsZero():
		return ""
	case r.Delivery.InAWS():
		return aboutStored(r)
	case r.Delivery.Mode == rotation.Reveal:
		if r.Collects != "" {
			return "The secret was shown to " + mention(r.Collects) + ", in the window that they opened. It is in no message."
		}
		return "The secret was shown in the window that you opened. It is in no message."
	case h.Failed != "":
		return "Slack does not let Keyturner delete the message with the secret. Ask an admin of the workspace to delete it. On-call has been told."
	case !h.Received.IsZero():
		return "You said on " + when(h.Received) + " that you have stored the secret. The message with it is deleted."
	case h.Gone:
		return "The message with the secret was deleted when its time was over. If you have not stored the secret, click “" + label(r, rotation.Reissue) + "”."
	}
	return "The secret is in its own message in this conversation. Store it and click “I have stored it” below it. The message is deleted after " + when(h.Until) + " in any case."
}

// whatToDo tells how to switch, and on which evidence the rotation goes on.
func whatToDo(r rotation.Rotation) string {
	return "*What to do:* Give every application the new key " + short(r.New) + " instead of " + short(r.Old) + ". When all of them use it, click “" +
		label(r, rotation.Confirm) + "”. Keyturner then checks in AWS that the new key has been used at least once and that the old one has been quiet for " +
		span(r.Terms.Quiet) + ". An approver decides after that whether the old key is deactivated."
}

// mailHint warns of the one use of a key that does not look like one: SES derives SMTP passwords from the secret
// (https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html).
func mailHint(r rotation.Rotation) string {
	for _, a := range r.Asks {
		if old, ok := a.Evidence.Key(r.Old); ok && old.LastUse.Service == "ses" {
			return "The old key was used by `ses`. If an application sends mail through SMTP, its password was derived from the old secret: derive a new one."
		}
	}
	return ""
}

// otherWays tells what the other buttons do.
func otherWays(r rotation.Rotation) string {
	if r.Kind == rotation.Adopt {
		return "If you need both keys, click “" + label(r, rotation.Cancel) + "”. The rotation ends then, and both stay active."
	}
	lost := "If you lost the secret, have another key issued."
	if r.Delivery.InAWS() {
		lost = "If the secret is not where it should be, have another key issued."
	}
	return lost + " If you want no new key, keep the old one. Both revoke " + short(r.New) +
		", and both are possible only as long as nobody has used it. If you did not ask for a new key at all, click “" + label(r, rotation.Disown) +
		"”: it is made inactive at once, and on-call is told."
}
