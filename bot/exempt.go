package bot

import (
	"context"
	"errors"
	"slices"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// How exemptions are asked for, decided upon and ended. The value of a button is the rotation.Ref of the exemption.
const (
	actionExemptApprove = "exempt-approve"
	actionExemptDeny    = "exempt-deny"
	actionExemptEnd     = "exempt-end"

	exemptCallback     = "exempt" // its private metadata is account/user
	exemptDenyCallback = "exempt-deny"

	inputUntil = "until" // the last day, as 2027-01-31
)

const (
	exemptTitle     = "Ask for an exemption"
	exemptDenyTitle = "Deny the exemption"
)

func decideExemptionButtons(x rotation.KeyExemption) []slack.BlockElement {
	approve := slack.NewButtonBlockElement(actionExemptApprove, x.Ref().String(), plainText("Accept it"))
	approve.AccessibilityLabel = clip("Accept what is found about "+x.Key.Short()+" of "+tidy(x.User.Name), maxLabel)
	approve.Style = slack.StylePrimary
	deny := slack.NewButtonBlockElement(actionExemptDeny, x.Ref().String(), plainText("Deny"))
	deny.AccessibilityLabel = clip("Deny the exemption of "+x.Key.Short()+" of "+tidy(x.User.Name), maxLabel)
	return []slack.BlockElement{approve, deny}
}

func endExemptionButton(v view, x rotation.KeyExemption) *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(actionExemptEnd, x.Ref().String(), plainText("End the exemption"))
	b.AccessibilityLabel = clip("End the exemption of "+x.Key.Short()+" of "+tidy(x.User.Name), maxLabel)
	b.Confirm = confirmation("End the exemption of "+x.Key.Short()+"?", sentences(
		x.Key.Short()+" belongs to "+tidy(x.User.Name)+" in "+plainAccount(v, x.User.Account)+".",
		"What is found about it counts again, and its owner is warned. Nothing is changed in AWS."), "End it", "Leave it")
	return b
}

// clickExemption does what a button of an exemption says, if it is one.
func (b *Bot) clickExemption(ctx context.Context, who caller, actor rotation.Actor, l letter, c clicked) (mine bool, err error) {
	if !slices.Contains([]string{actionExemptApprove, actionExemptDeny, actionExemptEnd}, c.Action) {
		return false, nil
	}
	ref, err := rotation.ParseRef(c.Value)
	if err != nil {
		return true, b.cfg.Engine.Refuse(ctx, who.member, c.Action, err)
	}
	b.repair(ctx, ref, l.Message.Channel, l.Message.TS, c.Block)
	switch c.Action {
	case actionExemptDeny:
		if who.replay {
			b.reply(ctx, who, plain(restarted+"Please click again."))
			return true, nil
		}
		x, err := b.cfg.Engine.MayDecideExemption(ctx, ref, actor)
		if err == nil {
			_, err = b.cfg.Slack.OpenViewContext(ctx, l.Trigger, exemptDenyModal(b.view, x))
			err = classify("open the modal", err)
		}
		return true, err
	case actionExemptApprove:
		_, err = b.cfg.Engine.DecideExemption(ctx, ref, actor, rotation.Decision{Approve: true})
	default:
		_, err = b.cfg.Engine.EndExemption(ctx, ref, actor)
	}
	if who.replay && didBefore(err, who) {
		err = nil
	}
	return true, err
}

// didBefore tells whether an exemption refuses what the same person has done to it since they asked for that.
func didBefore(err error, who caller) bool {
	refusal, ok := errors.AsType[*rotation.Refusal](err)
	if !ok || refusal.Exemption == nil || !slices.Contains([]rotation.Code{rotation.ExemptionMoved, rotation.Approved}, refusal.Code) {
		return false
	}
	x := refusal.Exemption
	decided := slices.ContainsFunc(x.Decisions, func(d rotation.Decision) bool { return d.By == who.member && !d.At.Before(who.accepted) })
	return decided || x.EndedBy == who.member && !x.Since.Before(who.accepted)
}

// exempt opens the form, for the user that was typed or whose key it is.
func (b *Bot) exempt(ctx context.Context, e errand) {
	if e.who.replay {
		b.reply(ctx, e.who, plain(restarted+"Please type the command again."))
		return
	}
	opened, err := b.cfg.Slack.OpenViewContext(ctx, e.trigger, modal(exemptTitle, "Reading the keys from AWS. This takes some seconds."))
	if err != nil {
		b.refuse(ctx, e.who, classify("open the modal", err))
		return
	}
	u, named := e.user()
	var key rotation.KeyID
	if !named {
		key = rotation.KeyID(e.args[0])
	}
	b.fill(ctx, opened.ID, b.exemptView(ctx, e, u, key))
}

// exemptView is the form for a user, or for the one whose key it is.
func (b *Bot) exemptView(ctx context.Context, e errand, u rotation.UserRef, key rotation.KeyID) slack.ModalViewRequest {
	var err error
	if u.Name == "" {
		u, err = b.userOf(ctx, e, key, "exempt")
	}
	var h rotation.Holding
	if err == nil {
		h, err = b.cfg.Engine.MayExempt(ctx, u, e.actor)
		err = outsiders(err, e.actor, key)
	}
	if err != nil {
		return modal(exemptTitle, refusalText(b.view, b.logged("exempt", err)))
	}
	return exemptModal(b.cfg.Outbox.today(), h, key)
}

// userOf finds the user whose key it is. Whoever may not know is not told whether there is one.
func (b *Bot) userOf(ctx context.Context, e errand, key rotation.KeyID, action string) (rotation.UserRef, error) {
	found, err := b.cfg.Engine.Whois(ctx, key)
	switch {
	case err != nil:
		return rotation.UserRef{}, err
	case found.Holding.User.Name != "":
		return found.Holding.User, nil
	}
	refusal := responders.refuses(e.actor)
	if refusal == nil {
		refusal = &rotation.Refusal{Code: rotation.NotOwner}
		for _, a := range found.Unread {
			refusal = &rotation.Refusal{Code: rotation.Unreachable, User: rotation.UserRef{Account: a.ID}, Err: a.Err}
		}
	}
	return rotation.UserRef{}, b.cfg.Engine.Refuse(ctx, e.who.member, action, refusal)
}

// outsiders tells somebody who named a key, and not its user, nothing of whose it is, unless they own it or may know.
func outsiders(err error, actor rotation.Actor, key rotation.KeyID) error {
	refusal, ok := errors.AsType[*rotation.Refusal](err)
	outside := responders.refuses(actor)
	if key != "" && ok && outside != nil && slices.Contains([]rotation.Code{rotation.NotOwner, rotation.OwnerUnknown}, refusal.Code) {
		return outside
	}
	return err
}

// problems are what keeps a form from being taken as it is, by block.
func (b *Bot) problems(l letter) map[string]string {
	switch {
	case l.Kind != kindSubmission:
		return nil
	case l.Callback == exemptCallback:
		_, problems := parseExemptModal(l.Metadata, l.state(), b.now().In(b.cfg.Location))
		return problems
	case l.Callback == exemptDenyCallback && reasonIn(l.state()) == "":
		return map[string]string{inputReason: "Give a reason. It is kept with the decision."}
	case l.Callback == exemptDenyCallback:
		return nil
	}
	return l.problems()
}

// exemptionOutcome does what a form about an exemption asks for, if it is one.
func (b *Bot) exemptionOutcome(ctx context.Context, who caller, l letter) (v slack.ModalViewRequest, mine bool) {
	title, done, err := exemptTitle, "", error(nil)
	switch l.Callback {
	case exemptCallback:
		done, err = b.askExemption(ctx, who, l)
	case exemptDenyCallback:
		title, done = exemptDenyTitle, "The exemption is denied, and your reason is kept with it. Its card shows that, and the owner is told."
		err = b.denyExemption(ctx, who, l)
	default:
		return v, false
	}
	if err != nil {
		return modal(title, refusalText(b.view, b.logged(l.Callback, err))), true
	}
	return modal(title, done), true
}

func (b *Bot) askExemption(ctx context.Context, who caller, l letter) (string, error) {
	c, problems := parseExemptModal(l.Metadata, l.state(), b.now().In(b.cfg.Location))
	actor, err := b.cfg.People.Actor(ctx, who.member)
	switch {
	case err != nil:
		return "", b.recordTurnedAway(ctx, who, "exempt", err)
	case len(problems) > 0: // its day is over since it was submitted
		return "", b.recordTurnedAway(ctx, who, "exempt", &rotation.Refusal{Code: rotation.NoSuchTime, Again: rotation.ExemptUntil(b.now())})
	}
	x, err := b.cfg.Engine.AskExemption(ctx, rotation.ExemptionRequest{User: c.user, Key: c.key, Until: c.until, Reason: c.reason, By: actor, Once: who.once})
	if err != nil {
		return "", err
	}
	return sentences("The approvers are asked to accept what is found about "+short(x.Key)+" of "+b.view.user(x.User)+" until "+when(x.Until)+".",
		"Until they have decided nothing is accepted. Without a decision it lapses on "+when(x.Deadline)+".",
		"You are told by direct message. To take it back, type `/rotate-key unexempt "+esc(string(x.Key))+"`."), nil
}

func (b *Bot) denyExemption(ctx context.Context, who caller, l letter) error {
	ref, err := rotation.ParseRef(l.Metadata)
	if err != nil {
		return err
	}
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err != nil {
		return b.recordTurnedAway(ctx, who, "deny-exemption", err)
	}
	_, err = b.cfg.Engine.DecideExemption(ctx, ref, actor, rotation.Decision{Reason: reasonIn(l.state())})
	if who.replay && didBefore(err, who) {
		return nil
	}
	return err
}

func exemptDenyModal(v view, x rotation.KeyExemption) slack.ModalViewRequest {
	m := modal(exemptDenyTitle, "You deny the exemption of "+short(x.Key)+" of "+v.user(x.User)+". Nothing is accepted then, and its owner is warned as before.")
	m.Submit, m.Close = plainText("Deny"), plainText("Go back")
	m.CallbackID, m.PrivateMetadata = exemptDenyCallback, x.Ref().String()
	m.Blocks.BlockSet = append(m.Blocks.BlockSet, reasonInput("Why?", "The owner and the other approvers see it.", false))
	return m
}

// unexempt ends what is accepted of a key, or withdraws what is asked for.
func (b *Bot) unexempt(ctx context.Context, e errand) {
	key := rotation.KeyID(e.args[0])
	found, err := b.cfg.Engine.ExemptionsOf(ctx, key)
	if err == nil && len(found) == 0 && !e.who.replay {
		b.turnAway(ctx, e.who, "unexempt", &rotation.Refusal{Code: rotation.NoExemption, Key: key})
		return
	}
	for _, x := range found {
		if err == nil {
			_, err = b.cfg.Engine.EndExemption(ctx, x.Ref(), e.actor)
			err = outsiders(err, e.actor, key)
		}
	}
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, plain("Nothing that is found about "+short(key)+" is accepted any more, and nothing is asked for. Type `/rotate-key` to start its rotation."))
}

// pastOf finds what was accepted of users' keys and is over: all of it, or that with which the person has to do.
func (b *Bot) pastOf(ctx context.Context, e errand, fits func(rotation.UserRef) bool, all bool) ([]rotation.Past, error) {
	found, err := b.cfg.Engine.PastAccepted(ctx)
	m := e.who.member
	var past []rotation.Past
	for _, p := range found {
		if !fits(p.User) {
			continue
		}
		if !all {
			p.Exemptions = slices.DeleteFunc(p.Exemptions, func(x rotation.KeyExemption) bool { return x.Owner != m && x.Requester != m })
			p.Snoozes = slices.DeleteFunc(p.Snoozes, func(s rotation.Snooze) bool { return s.Owner != m && s.By != m })
		}
		past = append(past, p)
	}
	return past, err
}
