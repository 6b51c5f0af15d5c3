package bot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// What people are shown of exemptions that were asked for in Slack, and of snoozes. Each message derives from what is stored, as those of
// rotations do.

// wantsAccepted derives which messages there should be about what is accepted of a user's keys.
func (b *Bot) wantsAccepted(p rotation.Progress) []wanted {
	var ws []wanted
	add := func(id, which, channel string, m message) {
		m.mark(which)
		ws = append(ws, wanted{name: id + "/" + which, channel: channel, message: m})
	}
	for _, x := range p.Exemptions {
		add(x.ID, "exempt", b.cfg.Approvals, exemptionCard(b.view, x))
		if x.Stage != rotation.ExemptAsked {
			for which, to := range b.toldOf(x) {
				add(x.ID, which, to, exemptedMessage(b.view, x))
			}
		}
		if !x.Warned.IsZero() {
			add(x.ID, "soononcall", b.cfg.OnCall, endsSoonMessage(b.view, x))
			if x.Owner != "" {
				add(x.ID, "soon", b.place(x.Owner), endsSoonMessage(b.view, x))
			}
		}
		if x.Stage == rotation.ExemptOver || x.Stage == rotation.ExemptEnded {
			add(x.ID, "overoncall", b.cfg.OnCall, endedMessage(b.view, x))
			if x.Owner != "" {
				add(x.ID, "over", b.place(x.Owner), endedMessage(b.view, x))
			}
		}
	}
	for _, s := range p.Snoozes {
		if !s.Ended.IsZero() && !s.Gone && s.Owner != "" {
			add(s.ID, "over", b.place(s.Owner), snoozeOverMessage(b.view, p.User, s))
		}
	}
	return ws
}

// toldOf is who is told what became of an exemption: its owner, and who asked for it.
func (b *Bot) toldOf(x rotation.KeyExemption) map[string]string {
	told := map[string]string{}
	if x.Owner != "" {
		told["exempted"] = b.place(x.Owner)
	}
	if x.Requester != x.Owner {
		told["exemptedasker"] = string(x.Requester)
	}
	return told
}

// exemptionVerdicts name how an exemption stands, to follow "Verdict: ".
var exemptionVerdicts = map[rotation.ExemptionStage]string{
	rotation.ExemptHeld:      "Accepted",
	rotation.ExemptDenied:    "Denied",
	rotation.ExemptWithdrawn: "Withdrawn",
	rotation.ExemptLapsed:    "Lapsed",
	rotation.ExemptEnded:     "Ended early",
	rotation.ExemptOver:      "Over",
	rotation.ExemptReplaced:  "Replaced",
	rotation.ExemptGone:      "Over",
	rotation.ExemptLeaked:    "Over",
}

// exemptionStanding tells in a sentence or two how an exemption stands.
func exemptionStanding(x rotation.KeyExemption) string {
	var last rotation.Decision
	if n := len(x.Decisions); n > 0 {
		last = x.Decisions[n-1]
	}
	held := "It was accepted by " + allOf(each(x.Approvers(), mention)) + ". "
	switch x.Stage {
	case rotation.ExemptAsked:
		return "Nobody has decided about it yet, so nothing is accepted."
	case rotation.ExemptHeld:
		return sentences("*Accepted by "+allOf(each(x.Approvers(), mention))+"* · "+when(last.At)+".", "It holds until "+when(x.Until)+".")
	case rotation.ExemptDenied:
		return sentences("*Denied by "+mention(last.By)+"* · "+when(last.At)+".", reasonGiven(last.Reason))
	case rotation.ExemptWithdrawn:
		return "*Withdrawn by " + mention(x.EndedBy) + "* · " + when(x.Since) + "."
	case rotation.ExemptLapsed:
		return "Nobody decided in time, so it lapsed on " + when(x.Since) + ", and nothing is accepted."
	case rotation.ExemptEnded:
		return held + "*Ended early by " + mention(x.EndedBy) + "* · " + when(x.Since) + "."
	case rotation.ExemptOver:
		return held + "It ended on " + when(x.Until) + ", at its date."
	case rotation.ExemptReplaced:
		return held + "A later exemption of the key took its place on " + when(x.Since) + "."
	case rotation.ExemptLeaked:
		return "The key was reported as leaked on " + when(x.Since) + ", so nothing about it is accepted any more."
	case rotation.ExemptGone:
		return "AWS does not list the key any more since " + when(x.Since) + ", so there is nothing left to accept."
	}
	return "It stands at “" + esc(string(x.Stage)) + "”."
}

// asRotation is who decides about an exemption, in the form that the rules are read in.
func asRotation(x rotation.KeyExemption) rotation.Rotation {
	return rotation.Rotation{User: x.User, Owner: x.Owner, Requester: x.Requester, Traits: x.Traits}
}

// exemptionDeciders mentions who may still decide about an exemption.
func (v view) exemptionDeciders(x rotation.KeyExemption) []string {
	approved := each(x.Approvers(), mention)
	return slices.DeleteFunc(v.deciders(asRotation(x)), func(name string) bool { return slices.Contains(approved, name) })
}

// exemptionCard asks the approvers whether what is found about a key is accepted. Once it is answered it keeps the facts and tells the answer.
func exemptionCard(v view, x rotation.KeyExemption) message {
	var d draft
	what := "accept what is found about a key of " + tidy(x.User.Name)
	open := x.Stage == rotation.ExemptAsked
	if open {
		d.header(sentence(what + "?"))
	} else {
		d.header(exemptionVerdicts[x.Stage] + ": " + what)
	}
	d.say(sentences(mention(x.Requester)+" asks for an exemption of one key of "+v.user(x.User)+" until "+when(x.Until)+".", reasonGiven(x.Reason)))
	d.facts(v.exemptionFacts(x))
	if !open {
		d.say(exemptionStanding(x))
		if x.Stage == rotation.ExemptHeld {
			d.buttons([]slack.BlockElement{endExemptionButton(v, x)})
		}
		return d.message()
	}
	if x.Wanted > 1 {
		d.say(v.exemptionApprovals(x))
	}
	d.say("*If you approve*, the key stays as it is, and its owner is not warned about it until " + when(x.Until) + ". The digest lists it as exempt, with your name and the reason. " +
		"A new key is not covered.\n*If you deny*, nothing is accepted, and the owner is warned as before.")
	names := "Nobody is left who may decide. The operator must add an approver to Keyturner's configuration."
	if able := v.exemptionDeciders(x); len(able) > 0 {
		names = anyOf(able) + " may decide. The owner and whoever asks may not."
	}
	d.note(sentences("This stands until "+when(x.Deadline)+". Without a decision it lapses then.", names, "The facts were read from AWS on "+when(x.ShownAt)+"."))
	d.buttons(decideExemptionButtons(x))
	return d.message()
}

func (v view) exemptionApprovals(x rotation.KeyExemption) string {
	given := x.Approvers()
	if len(given) == 0 {
		return "*" + count(x.Wanted, "approval") + " are needed*, by different people. One denial ends it."
	}
	return fmt.Sprintf("*%d of %d approved* by %s.", len(given), x.Wanted, allOf(each(given, mention)))
}

func (v view) exemptionFacts(x rotation.KeyExemption) []fact {
	found := "nothing now"
	if len(x.Found) > 0 {
		found = strings.Join(each(x.Found, func(b rotation.Breach) string { return v.breach(b, x.Shown) }), "; ")
	}
	return []fact{
		{"Account", v.accountInFull(x.User.Account)},
		{"IAM user", code(x.User.Name)},
		{"Owner", mention(x.Owner)},
		{"Key", code(string(x.Key))},
		{"Status", esc(string(x.Shown.Status))},
		{"Age", age(x.Shown.Age(x.ShownAt)) + ", created on " + when(x.Shown.Created)},
		{"Last used", lastUse(x.Shown.LastUse)},
		{"Found", found},
	}
}

// exemptedMessage tells an owner, and whoever asked, what became of an exemption.
func exemptedMessage(v view, x rotation.KeyExemption) message {
	var d draft
	d.header(exemptionVerdicts[x.Stage] + ": the exemption of a key of " + tidy(x.User.Name))
	d.say("It was asked for by " + mention(x.Requester) + ", for the key " + short(x.Key) + " of " + v.user(x.User) + " until " + when(x.Until) + ". " + exemptionStanding(x))
	switch x.Stage {
	case rotation.ExemptHeld:
		d.say("Nobody is warned about the key while it holds, and the digest lists it. You are told before it ends. It is of this key alone: a new one is not covered. " +
			"A rotation can begin at any time.")
		d.buttons([]slack.BlockElement{endExemptionButton(v, x)})
	case rotation.ExemptDenied, rotation.ExemptLapsed:
		d.say("Start the rotation of the key, or talk to the approvers and ask again.")
		d.buttons([]slack.BlockElement{startButton(x.User)})
	}
	return d.message()
}

// endsSoonMessage tells the owner and on-call that what was accepted is not for long any more.
func endsSoonMessage(v view, x rotation.KeyExemption) message {
	var d draft
	d.header("An exemption for " + tidy(x.User.Name) + " ends soon")
	d.say("What is found about the key " + short(x.Key) + " of " + v.user(x.User) + " is accepted until " + when(x.Until) + ", and not after that. Owner: " + mention(x.Owner) + ".")
	d.say("Start the rotation of the key now. If it cannot be replaced by then, type `/rotate-key exempt " + esc(string(x.Key)) + "` to ask the approvers again.")
	d.buttons([]slack.BlockElement{startButton(x.User)})
	return d.message()
}

// endedMessage tells the owner and on-call that what was accepted is not any more.
func endedMessage(v view, x rotation.KeyExemption) message {
	var d draft
	d.header("An exemption for " + tidy(x.User.Name) + " has ended")
	d.say("What is found about the key " + short(x.Key) + " of " + v.user(x.User) + " is not accepted any more. Owner: " + mention(x.Owner) + ".")
	d.say(exemptionStanding(x))
	d.say("Start the rotation of the key now.")
	d.buttons([]slack.BlockElement{startButton(x.User)})
	return d.message()
}

// snoozeOverMessage tells an owner that they are warned again.
func snoozeOverMessage(v view, u rotation.UserRef, s rotation.Snooze) message {
	var d draft
	d.header("Your snooze for " + tidy(u.Name) + " is over")
	d.say(mention(s.By) + " silenced the warnings about the key " + short(s.Key) + " of " + v.user(u) + " until " + when(s.Until) + ". From now on they come again.")
	d.say("Start its rotation now. If the key cannot be replaced yet, type `/rotate-key exempt " + esc(string(s.Key)) + "` to ask the approvers to accept that.")
	d.buttons([]slack.BlockElement{startButton(u)})
	return d.message()
}

// exemptLine tells of an exemption that holds, or is asked for, in a line that begins with its key.
func exemptLine(x rotation.KeyExemption) string {
	if x.Stage == rotation.ExemptAsked {
		return sentences(short(x.Key)+": an exemption until "+when(x.Until)+" is asked for by "+mention(x.Requester)+", and nobody has decided yet.", reasonGiven(clip(x.Reason, 100)))
	}
	return sentences(short(x.Key)+": exempt until "+when(x.Until)+", accepted by "+allOf(each(x.Approvers(), mention))+".", reasonGiven(clip(x.Reason, 100)))
}

func snoozeLine(s rotation.Snooze) string {
	return short(s.Key) + ": warnings snoozed until " + when(s.Until) + " by " + mention(s.By) + "."
}

// acceptedLines tell what of a user's keys is accepted for now; key is empty for all of them.
func acceptedLines(v view, h rotation.Holding, key rotation.KeyID) []string {
	var lines []string
	if h.Exempt.Reason != "" && (v.now.IsZero() || h.Exempt.Holds(v.now)) {
		lines = append(lines, "Exempt until "+when(h.Exempt.Until)+". "+reasonGiven(h.Exempt.Reason))
	}
	for _, x := range h.Exemptions {
		over := x.Stage == rotation.ExemptHeld && !v.now.IsZero() && !x.Holds(v.now)
		if !over && (key == "" || x.Key == key) {
			lines = append(lines, exemptLine(x))
		}
	}
	for _, s := range h.Snoozes {
		if (v.now.IsZero() || s.Holds(v.now)) && (key == "" || s.Key == key) {
			lines = append(lines, snoozeLine(s))
		}
	}
	return lines
}

// pastLines tell what was accepted of a user's keys and is over, the latest first.
func pastLines(v view, past []rotation.Past) []string {
	type line struct {
		at    time.Time
		words string
	}
	var ls []line
	for _, p := range past {
		for _, x := range p.Exemptions {
			ls = append(ls, line{x.Since, "*" + v.user(p.User) + "*, " + short(x.Key) + ": an exemption until " + when(x.Until) + ", asked for by " + mention(x.Requester) + ". " +
				sentences(reasonGiven(clip(x.Reason, 100)), exemptionStanding(x))})
		}
		for _, s := range p.Snoozes {
			ls = append(ls, line{s.Ended, "*" + v.user(p.User) + "*, " + short(s.Key) + ": warnings snoozed from " + when(s.At) + " to " + when(s.Ended) + " by " + mention(s.By) + "."})
		}
	}
	slices.SortStableFunc(ls, func(a, b line) int { return b.at.Compare(a.at) })
	return each(ls, func(l line) string { return l.words })
}

// exemptionRefusals answer where a refusal is about an exemption, in place of what is said of a rotation.
var exemptionRefusals = map[rotation.Code]func(view, *rotation.Refusal) string{
	rotation.ExemptionAsked: func(v view, e *rotation.Refusal) string {
		return sentences("An exemption of "+short(e.Key)+" of "+v.user(e.User)+" is asked for already, by "+mention(e.By)+".", v.decidersOf(e), "Nothing was asked twice.")
	},
	rotation.ExemptionMoved: func(v view, e *rotation.Refusal) string {
		if e.Exemption == nil {
			return "This button is out of date, so nothing was done."
		}
		return sentences("This button is out of date, so nothing was done.", exemptionStanding(*e.Exemption))
	},
	rotation.ExemptionRenewed: func(v view, e *rotation.Refusal) string {
		return "The key " + short(e.Key) + " of " + v.user(e.User) + " is not as it was shown any more, so your approval does not count. The card shows it as it is now: look again, and decide on that."
	},
	rotation.NotApprover: func(v view, e *rotation.Refusal) string {
		return sentences("Only an approver can decide about an exemption.", v.decidersOf(e))
	},
	rotation.OwnRequest: func(v view, e *rotation.Refusal) string {
		return sentences("You asked for this exemption yourself.", v.decidersOf(e))
	},
	rotation.OwnKey: func(v view, e *rotation.Refusal) string {
		return sentences("This key is yours, or your group's.", v.decidersOf(e))
	},
	rotation.Approved: func(v view, e *rotation.Refusal) string {
		return sentences("You have approved this already, and your approval counts.", v.decidersOf(e))
	},
	rotation.NotOwner: func(v view, e *rotation.Refusal) string {
		if e.Exemption.Stage == rotation.ExemptAsked {
			return sentences("Only the owner of "+v.user(e.User)+" and "+mention(e.Exemption.Requester)+", who asked, can take this back.", "An approver denies it on its card.")
		}
		return sentences("Only the owner of "+v.user(e.User)+" and those who may approve can end this.", v.decidersOf(e))
	},
}

// decidersOf names who may decide about the exemption of a refusal.
func (v view) decidersOf(e *rotation.Refusal) string {
	if e.Exemption == nil {
		return ""
	}
	names := v.exemptionDeciders(*e.Exemption)
	if len(names) == 0 {
		return "Nobody else may decide, so the operator must add an approver to Keyturner's configuration."
	}
	return sentence(anyOf(names) + " may decide")
}
