package bot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// waitsForWindow tells that what is asked is approved and when it is done; nothing if it does not wait for that.
func waitsForWindow(r rotation.Rotation) string {
	if !r.Waits() {
		return ""
	}
	what := "creates the new key"
	switch r.Stage {
	case rotation.Confirmed:
		what = "makes " + short(r.Old) + " inactive"
	case rotation.Expiring:
		what = "deletes " + short(r.Old)
	}
	ask, _ := r.CurrentAsk()
	return sentences("Approved by "+approversOf(ask)+". It waits for the window of changes, which opens on "+when(r.Held)+".",
		"Keyturner looks at the facts once more then, and "+what+" if they still hold. If they have changed, the approvers are asked again.", retrying(r))
}

// heldCard is the card of an ask that is approved and waits for its window.
func heldCard(v view, r rotation.Rotation, ask rotation.Ask, i int) message {
	var d draft
	d.header("Approved, not done yet: " + lowerFirst(strings.Replace(askTitle(r, ask), "?", "", 1)))
	d.say(askStory(v, r, ask, i))
	d.facts(askFacts(v, r, ask))
	d.say(exposed(r))
	d.say(v.waiting(r, ask))
	d.note(factsRead(ask))
	d.buttons(v.offer(r, deciding, rotation.Ref{ID: r.ID, Turn: ask.Turn}))
	return d.message()
}

// waiting tells the approvers the same on their card, with the reason if it is a freeze, and what they can do until then.
func (v view) waiting(r rotation.Rotation, ask rotation.Ask) string {
	why := ""
	if n := len(ask.Decisions); n > 0 {
		if f, frozen := v.approvals.ForRotation(r).FrozenAt(ask.Decisions[n-1].At); frozen {
			why = ended("No changes are made until then: " + typed(f.Reason))
		}
	}
	return sentences("*"+strings.Replace(waitsForWindow(r), ".", ".*", 1), why, "Until then an approver can deny it.")
}

// maxFreezes bounds how many freezes are told of.
const maxFreezes = 5

// windowed tells when changes under a rule are made; nothing if at any time. Freezes that are over are left out.
func windowed(a rotation.Approval, now time.Time) string {
	a.Freezes = slices.DeleteFunc(slices.Clone(a.Freezes), func(f rotation.Freeze) bool { return !f.Until.After(now) })
	slices.SortFunc(a.Freezes, func(f, g rotation.Freeze) int { return f.From.Compare(g.From) })
	a.Freezes = a.Freezes[:min(len(a.Freezes), maxFreezes)]
	if len(a.Windows)+len(a.Freezes) == 0 {
		return ""
	}
	var parts []string
	for _, w := range a.Windows {
		parts = append(parts, esc(windowText(w)))
	}
	s := "Changes are made at any time"
	if len(parts) > 0 {
		s = "Changes are made " + strings.Join(parts, ", and ")
	}
	for _, f := range a.Freezes {
		s += ", but not from " + when(f.From) + " until " + when(f.Until) + " (" + typed(f.Reason) + ")"
	}
	return s + ". What is approved at another time waits for that. Making a key active again waits for nothing, nor does a leak."
}

// windowedFor is windowed for what is asked, if it may have to wait.
func windowedFor(v view, r rotation.Rotation, ask rotation.Ask) string {
	if r.Kind == rotation.Leak || ask.Stage == rotation.Stuck {
		return ""
	}
	rule := v.approvals.ForRotation(r)
	if rule.Freezes = nil; len(rule.Windows) == 0 { // which a card cannot tell from those that are over
		return ""
	}
	return windowed(rule, time.Time{})
}

// windowText is a window as people say it.
func windowText(w rotation.Window) string {
	days := "on every day"
	if len(w.Days) > 0 {
		var names []string
		for _, d := range w.Days {
			names = append(names, d.String())
		}
		days = "on " + allOf(names)
	}
	clock := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", int(d/time.Hour), int(d/time.Minute)%60) }
	zone := "UTC"
	if w.Zone != nil {
		zone = w.Zone.String()
	}
	if w.From == 0 && w.Until == 24*time.Hour {
		return days + " (" + zone + ")"
	}
	next := ""
	if w.Until <= w.From {
		next = " of the next day"
	}
	return days + " from " + clock(w.From) + " to " + clock(w.Until) + next + " (" + zone + ")"
}
