package bot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// Reminders, the call of the second circle, and what is told when nobody decides: all of it derived from the ask.

// chasing lists the messages beside its card that there should be about an ask, with the address of that card if it is known.
func (b *Bot) chasing(r rotation.Rotation, ask rotation.Ask, card string) []wanted {
	var ws []wanted
	turn := strconv.Itoa(ask.Turn)
	for i, x := range ask.Reminders {
		ws = append(ws, wanted{name: fmt.Sprintf("remind%s-%d", turn, i+1), channel: b.cfg.Approvals, message: reminderMessage(b.view, r, ask, x, card)})
	}
	if !ask.Escalated.IsZero() {
		ws = append(ws, wanted{name: "escalate" + turn, channel: b.cfg.Approvals, message: escalationMessage(b.view, r, ask, card)})
	}
	if !ask.Lapsed.IsZero() {
		if r.Owner != "" {
			ws = append(ws, wanted{name: "lapsed" + turn, channel: string(r.Owner), message: lapsedMessage(b.view, r, ask)})
		}
		ws = append(ws, wanted{name: "unanswered" + turn, channel: b.cfg.OnCall, message: unansweredMessage(b.view, r, ask)})
	}
	return ws
}

// pinged mentions everybody in a list: those who are left out of it would not be notified.
func pinged(names []string) string { return strings.Join(names, ", ") }

// reminderMessage asks the approvers again. It has no buttons: the card that was asked with, at a link if that is known, has the facts to
// decide on.
func reminderMessage(v view, r rotation.Rotation, ask rotation.Ask, x rotation.Reminder, card string) message {
	var d draft
	if !ask.Open() || r.Waits() {
		by := ""
		if x.By != "" {
			by = " of " + mention(x.By)
		}
		d.say("A reminder" + by + " about " + v.user(r.User) + " from " + when(x.At) + ". " + cameOf(r, ask))
		return d.message()
	}
	d.header("A decision is still missing: " + lowerFirst(askTitle(r, ask)))
	since := "The request has waited since " + when(ask.At) + "."
	if x.By != "" {
		d.say(mention(x.By) + " asks again about " + v.user(r.User) + ", key " + short(r.Old) + ". " + since)
		d.card(card)
		d.note(sentences(standsUntil(r, ask), v.mayDecide(r, ask), v.askedNext(r, ask)))
		return d.message()
	}
	// Slack notifies whoever is named anywhere in a message: nobody else is named, and no group.
	d.say(sentences(remindedOf(ask, x), "This is about "+v.user(r.User)+", key "+short(r.Old)+".", since))
	d.card(card)
	d.note(standsUntil(r, ask))
	return d.message()
}

// remindedOf names whom the clock has had reminded and who have not approved since.
func remindedOf(ask rotation.Ask, x rotation.Reminder) string {
	var names []string
	for _, m := range x.To {
		if !slices.ContainsFunc(ask.Approvals(), func(d rotation.Decision) bool { return d.By == m }) {
			names = append(names, mention(m))
		}
	}
	if len(names) == 0 {
		return "Whoever was reminded here has approved."
	}
	return pinged(names) + ": please decide."
}

// cameOf tells how the ask ended, or that it is approved and what it waits for.
func cameOf(r rotation.Rotation, ask rotation.Ask) string {
	if ask.Open() && r.Waits() {
		return waitsForWindow(r)
	}
	return answer(r, ask)
}

// card points to where the facts and the buttons are.
func (d *draft) card(address string) {
	if address == "" {
		d.say("Its card in this channel has the facts and the buttons.")
		return
	}
	d.show("<"+address+"|Its card> in this channel has the facts and the buttons.", "Its card in this channel has the facts and the buttons: "+address, nil)
}

// secondCircle mentions whom the rule has asked when nobody decides, those who may never decide about r left out.
func (v view) secondCircle(r rotation.Rotation) []string {
	to := v.approvals.ForRotation(r).Escalate.To
	var names []string
	for _, m := range to.Members {
		if m != r.Owner && m != r.Requester {
			names = append(names, mention(m))
		}
	}
	return append(names, each(to.Groups, mentionGroup)...)
}

// escalationMessage asks the second circle.
func escalationMessage(v view, r rotation.Rotation, ask rotation.Ask, card string) message {
	names := v.secondCircle(r)
	var d draft
	if !ask.Open() || r.Waits() || len(names) == 0 {
		d.say("On " + when(ask.Escalated) + " others were asked to decide about " + v.user(r.User) + ", too. " + cameOf(r, ask))
		return d.message()
	}
	d.header("Nobody has decided yet: " + lowerFirst(askTitle(r, ask)))
	d.say(pinged(names) + ": you may decide this now, too. It is about " + v.user(r.User) + ", key " + short(r.Old) + ". The request has waited since " + when(ask.At) + ".")
	d.card(card)
	d.note(standsUntil(r, ask))
	return d.message()
}

// askedNext tells when others are asked if nobody decides, or who has been. Before that it names nobody, since that would ask them.
func (v view) askedNext(r rotation.Rotation, ask rotation.Ask) string {
	names := v.secondCircle(r)
	switch {
	case len(names) == 0:
		return ""
	case !ask.Escalated.IsZero():
		return "Since " + when(ask.Escalated) + " " + allOf(names) + " may decide, too."
	case !ask.Escalates.IsZero():
		return "If nobody has decided by " + when(ask.Escalates) + ", others are asked, too: `/rotate-key explain` tells who."
	}
	return ""
}

// wereAsked names those who were asked in vain.
func (v view) wereAsked(r rotation.Rotation, ask rotation.Ask) string {
	r.Asks = []rotation.Ask{ask} // as it was while it was open
	r.Asks[0].Closed = ""
	if names := v.deciders(r); len(names) > 0 {
		return "Asked were " + allOf(names) + "."
	}
	return "Nobody was left who could have decided."
}

// inVain tells what a lapsed ask leaves.
func inVain(r rotation.Rotation, ask rotation.Ask) string {
	if ask.Stage == rotation.Confirmed && r.Kind != rotation.Retire {
		return "Both keys stay active, and nothing is broken. The rotation goes on."
	}
	if r.Kind == rotation.Leak {
		return "No new key is created, and the leaked one stays inactive. The rotation goes on."
	}
	return "Nothing was changed, the rotation has ended, and " + short(r.Old) + " keeps working."
}

// lapsedMessage tells the owner that nobody decided in time, and what they can do.
func lapsedMessage(v view, r rotation.Rotation, ask rotation.Ask) message {
	var d draft
	d.header("Nobody decided in time about " + tidy(r.User.Name))
	d.say(sentences(unanswered(r, ask), "It was about "+v.user(r.User)+", key "+short(r.Old)+".", inVain(r, ask)))
	way := "*What you can do:* write to one of them, then type `/rotate-key` to ask again."
	if ask.Stage == rotation.Confirmed && r.Kind != rotation.Retire {
		way = "*What you can do:* write to one of them, then confirm again on the rotation's card."
	}
	if r.Kind == rotation.Leak {
		way = "*What you can do:* write to one of them, then ask for a new key again on the rotation's card."
	}
	d.say(sentences(v.wereAsked(r, ask), way))
	d.note("On-call has been told, too.")
	return d.message()
}

// unansweredMessage tells on-call the same.
func unansweredMessage(v view, r rotation.Rotation, ask rotation.Ask) message {
	var d draft
	d.header("Nobody decided in time about " + tidy(r.User.Name))
	d.say(sentences(unanswered(r, ask), "It was about "+v.user(r.User)+", key "+short(r.Old)+", of "+mention(r.Owner)+".", inVain(r, ask)))
	d.say(sentences(v.wereAsked(r, ask), "If they are not there any more, the operator must name others in Keyturner's configuration. The owner has been told, and can ask again."))
	return d.message()
}

// remindedWhen tells at which intervals those asked are reminded.
func remindedWhen(t rotation.Terms) string {
	if len(t.Remind) == 0 {
		return "nobody is reminded by itself; the owner and who asked can type `/rotate-key remind`."
	}
	return "those asked who have not decided are reminded after " + allOf(each(t.Remind, workSpan)) +
		fmt.Sprintf(", each after the one before, on working days from %d to %d o'clock where they are.", rotation.WorkBegins, rotation.WorkEnds)
}

// workSpan is an interval of working time, in which a whole day is a working day.
func workSpan(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day == 0:
		return count(int(d/day), "working day")
	case d%time.Hour == 0:
		return count(int(d/time.Hour), "working hour")
	}
	return span(d) + " of work"
}

// standsUntil tells how long an open ask stands.
func standsUntil(r rotation.Rotation, ask rotation.Ask) string {
	switch {
	case ask.Stage == rotation.Requested && r.Kind == rotation.Leak:
		return "This stands until " + when(ask.At.Add(r.Terms.Expires)) + ". Without a decision no key is created."
	case ask.Stage == rotation.Requested || ask.Stage == rotation.Confirmed && r.Kind == rotation.Retire:
		return "This stands until " + when(ask.At.Add(r.Terms.Expires)) + ". Without a decision the rotation ends then."
	case ask.Stage == rotation.Confirmed:
		return "This stands until " + when(ask.At.Add(r.Terms.Expires)) + ". Without a decision " + mention(r.Owner) + " is asked to look again."
	}
	return "This stands until somebody decides."
}
