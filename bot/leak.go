package bot

import (
	"context"
	"errors"
	"slices"

	"github.com/keyturner/keyturner/rotation"
)

// heirless tells whether the key gets no successor.
func heirless(r rotation.Rotation) bool { return r.Kind == rotation.Retire || r.Kind == rotation.Leak }

// makesKey tells whether the rotation makes a key, or may.
func makesKey(r rotation.Rotation) bool { return r.Kind == rotation.Replace || r.Kind == rotation.Leak }

// exposed warns that AWS has found a key of the user in public: then nobody should wait for applications to move.
func exposed(r rotation.Rotation) string {
	if !r.InPublic || r.Ended() || r.Kind == rotation.Leak {
		return ""
	}
	return "*AWS has found a key of this user in public* and has attached a policy named AWSCompromisedKeyQuarantine, which is not to be removed. " +
		"If it is this key, do not wait for applications to move: type `/rotate-key leaked` and the key's whole id."
}

// reportedBy tells who says that a key is leaked, and why.
func reportedBy(v view, r rotation.Rotation, i int) string {
	s := mention(r.Requester) + " reports that a key of " + v.user(r.User) + " is leaked: others have it, or may have it."
	if i > 0 {
		s += " It has been made active again since it was deactivated."
	}
	if reason := reasonGiven(r.Reason); reason != "" {
		return s + " " + reason
	}
	return s
}

// leakChoices tells what each answer does.
func leakChoices(r rotation.Rotation) string {
	told := ""
	if r.Owner != "" {
		told = " " + mention(r.Owner) + " is told."
	}
	return "*If you approve*, " + short(r.Old) + " stops working at once, in use or not, and nobody else has to agree. Anything that still uses it fails." + told +
		" It can be made active again with one click, for at least " + span(r.Terms.Grace) +
		".\n*If you deny*, it stays active and this ends.\nSessions that were begun with the key live on for up to 36 hours: look in AWS CloudTrail what it was used for."
}

// replenishing tells the approvers that an owner asks for a key in place of the leaked one.
func replenishing(v view, r rotation.Rotation) string {
	return sentences(mention(r.Owner)+" asks for a new key of "+v.user(r.User)+", since "+short(r.Old)+" is reported as leaked and is inactive.", reasonGiven(r.Reason))
}

// askedBy labels who began the rotation.
func askedBy(r rotation.Rotation) string {
	if r.Kind == rotation.Leak {
		return "Reported by"
	}
	return "Requested by"
}

// keepsOn tells what becomes of the old key while a new one is made, or not.
func keepsOn(r rotation.Rotation) string {
	if r.Kind == rotation.Leak {
		return short(r.Old) + " stays inactive."
	}
	return short(r.Old) + " keeps working."
}

// thenEnds tells whether the rotation ends with what it is about.
func thenEnds(r rotation.Rotation) string {
	if r.Kind == rotation.Leak {
		return ""
	}
	return ", and the rotation ends"
}

// afterLeak tells an owner what they can do while their leaked key is inactive.
func afterLeak(r rotation.Rotation) []string {
	offers := r.Offers(rotation.ByOwner)
	var ps []string
	switch {
	case slices.Contains(offers, rotation.Replenish):
		ps = append(ps, "If your applications must go on with a key, click “"+label(r, rotation.Replenish)+"”. An approver is asked, and you alone get it. A role is better, where one fits.")
	case r.New != "":
		ps = append(ps, "The new key "+short(r.New)+" is yours. Give it to your applications in place of "+short(r.Old)+".", aboutSecret(r))
	}
	if r.New != "" && slices.Contains(offers, rotation.Disown) {
		ps = append(ps, "If you did not ask for a new key, click “"+label(r, rotation.Disown)+"”: it is made inactive at once, and on-call is told.")
	}
	return append(ps, "Only if nothing else helps, click “"+label(r, rotation.Reactivate)+"”: "+short(r.Old)+" then works again, for whoever has it too.")
}

// cutMessage tells an owner that their key does not work any more.
func cutMessage(v view, r rotation.Rotation) message {
	var d draft
	d.header("A leaked key of " + tidy(r.User.Name) + " is deactivated")
	by := ""
	if ask, ok := r.Approved(rotation.Leaked); ok && len(ask.Decisions) > 0 {
		by = mention(ask.Decisions[len(ask.Decisions)-1].By) + " has decided so."
	}
	d.say(sentences("Your key "+short(r.Old)+" of "+v.user(r.User)+" was made inactive on "+when(r.CutOff)+", because "+mention(r.Requester)+" reports that it is leaked.",
		by, "Everything that uses it fails now."))
	d.say("*What to do:* Tell on-call what used it, and since when others may have had it. Move what must go on to another key or, better, to a role. The rotation's own message has the buttons: one asks for a new key in its place.")
	return d.message()
}

// reportLeak asks whether a key that others may have is deactivated now. Its owner may, and those who may approve, and on-call; nobody else is
// told whose it is.
func (b *Bot) reportLeak(ctx context.Context, e errand) {
	found, err := b.cfg.Engine.Whois(ctx, rotation.KeyID(e.args[0]))
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	outside := responders.refuses(e.actor) // unless they own it
	if found.Holding.User.Name == "" {     // in no account, or the root user's
		if outside != nil {
			b.turnAway(ctx, e.who, "leaked", outside)
			return
		}
		b.reply(ctx, e.who, whoseMessage(b.cfg.Outbox.today(), found))
		return
	}
	p, err := b.request(ctx, e.who, rotation.Request{User: found.Holding.User, Key: found.Key, Leak: true, By: e.actor})
	refusal, refused := errors.AsType[*rotation.Refusal](err)
	if refused && outside != nil && slices.Contains([]rotation.Code{rotation.NotOwner, rotation.GroupOwned, rotation.OwnerUnknown}, refusal.Code) {
		err = outside
	}
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, reportedMessage(b.view, *p.Rotation))
}

// reportedMessage answers whoever reported a leak.
func reportedMessage(v view, r rotation.Rotation) message {
	return plain(reported(v, r))
}

// reported tells what follows from a report.
func reported(v view, r rotation.Rotation) string {
	return short(r.Old) + " of " + v.user(r.User) + " is reported as leaked. An approver or somebody on call decides whether it is made inactive now; one is enough. " +
		"It is asked in the approvals channel and in on-call's."
}
