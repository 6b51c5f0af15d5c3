package bot

import (
	"context"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// interaction sorts what a person did.
func (b *Bot) interaction(call slack.InteractionCallback) handler {
	switch call.Type {
	case slack.InteractionTypeBlockActions:
		if call.View.ID == "" { // a choice inside a modal counts when it is submitted
			return ackFirst(func(ctx context.Context) { b.clicks(ctx, call) })
		}
	case slack.InteractionTypeViewSubmission:
		on, isReason := strings.CutPrefix(call.View.CallbackID, reasonCallback)
		switch {
		case call.View.CallbackID == keysCallback:
			return b.submitRequest(call)
		case isReason:
			return b.submitReason(call, rotation.On(on))
		}
	}
	return onlyAck
}

func (b *Bot) clicks(ctx context.Context, call slack.InteractionCallback) {
	for _, a := range call.ActionCallback.BlockActions {
		value := a.Value
		if value == "" {
			value = a.SelectedOption.Value
		}
		if err := b.click(ctx, call, a.ActionID, value); err != nil {
			b.refuse(ctx, callerOf(call), err)
		}
	}
}

// click does what one button says. A nil error means that the person sees the result in an edited card or a modal.
func (b *Bot) click(ctx context.Context, call slack.InteractionCallback, actionID, value string) error {
	who := callerOf(call)
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, actionID, err)
	}
	if actionID == actionStart {
		return b.start(ctx, who, actor, value)
	}
	on, ref, err := parseAction(actionID, value)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, actionID, err)
	}
	switch on {
	case onReceipt:
		_, err = b.cfg.Engine.Receipt(ctx, ref, actor)
	case rotation.Deny, rotation.Close:
		err = b.askReason(ctx, call.TriggerID, on, ref, actor)
	default:
		_, err = b.cfg.Engine.Act(ctx, ref, on, actor, "")
	}
	return err
}

// start begins a rotation from a row of the digest or from a warning.
func (b *Bot) start(ctx context.Context, who caller, actor rotation.Actor, id string) error {
	p, err := b.cfg.Engine.Get(ctx, id)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, actionStart, fmt.Errorf("find the user of the button: %w", err))
	}
	p, err = b.cfg.Engine.Request(ctx, rotation.Request{User: p.User, By: actor})
	if err != nil {
		return err
	}
	b.reply(ctx, who, startedMessage(b.view, *p.Rotation))
	return nil
}

// askReason opens the modal for a decision that carries a reason, unless it would be refused anyway.
func (b *Bot) askReason(ctx context.Context, trigger string, on rotation.On, ref rotation.Ref, actor rotation.Actor) error {
	p, err := b.cfg.Engine.May(ctx, ref, on, actor)
	if err != nil {
		return err
	}
	r, _ := p.Find(ref.ID)
	_, err = b.cfg.Slack.OpenViewContext(ctx, trigger, reasonModal(on, *r))
	return classify("open the modal", err)
}

// submitReason carries the decision through; the modal says what came of it, and the card shows it.
func (b *Bot) submitReason(call slack.InteractionCallback, on rotation.On) handler {
	reason, problems := parseReasonModal(on, call.View.State)
	if len(problems) > 0 {
		return func(_ context.Context, ack func(any)) { ack(slack.NewErrorsViewSubmissionResponse(problems)) }
	}
	return b.submit(call.View.ID, func(ctx context.Context) slack.ModalViewRequest {
		return b.reasonedView(ctx, callerOf(call), on, call.View.PrivateMetadata, reason)
	})
}

func (b *Bot) reasonedView(ctx context.Context, who caller, on rotation.On, value, reason string) slack.ModalViewRequest {
	err := b.decide(ctx, who, on, value, reason)
	if err != nil {
		return reasonModalProblem(on, refusalText(b.view, b.logged(string(on), err)))
	}
	return reasonModalDone(on)
}

func (b *Bot) decide(ctx context.Context, who caller, on rotation.On, value, reason string) error {
	ref, err := rotation.ParseRef(value)
	if err != nil {
		return err
	}
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, string(on), err)
	}
	_, err = b.cfg.Engine.Act(ctx, ref, on, actor, reason)
	return err
}
