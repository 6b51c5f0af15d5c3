package bot

import (
	"slices"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// item is something that waits for a member, and since when.
type item struct {
	line  string
	since time.Time
}

// askedExemption is an exemption that waits for a decision, and where its card stands.
type askedExemption struct {
	rotation.KeyExemption
	card rotation.Post
}

// exemptionsToDecide lists the exemptions that the member may decide about.
func exemptionsToDecide(v view, h home) []item {
	var items []item
	for _, x := range h.asked {
		if !slices.Contains(v.exemptionDeciders(x.KeyExemption), mention(h.actor.Member)) {
			continue
		}
		card := ""
		if url := h.link(x.card); x.card.Known() && url != "" {
			card = "<" + url + "|Decide on the card>."
		}
		items = append(items, item{sentences("*Accept a finding?*\n"+v.user(x.User)+", key "+short(x.Key)+", until "+when(x.Until)+". Owner: "+mention(x.Owner)+".",
			"Asked until "+when(x.Deadline)+".", card), x.Since})
	}
	return items
}

// note adds what is accepted, or asked to be, of a user's keys.
func (h *home) note(p rotation.Progress, accepted map[string]rotation.Progress) {
	for _, x := range p.Exemptions {
		if x.Stage == rotation.ExemptAsked {
			h.asked = append(h.asked, askedExemption{x, p.Posts[x.ID+"/exempt"]})
		}
	}
	if len(p.Exemptions)+len(p.Snoozes) > 0 {
		accepted[p.User.ID()] = p
	}
}

// bring has keys that were read a while ago shown with what is accepted of them now.
func (h *home) bring(accepted map[string]rotation.Progress, now time.Time) {
	h.held = slices.Clone(h.held)
	for i := range h.held {
		h.held[i].Exemptions, h.held[i].Snoozes = accepted[h.held[i].User.ID()].Accepted(now)
	}
}
