package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

func (b *Bot) clicks(ctx context.Context, who caller, l letter) {
	for _, c := range l.Clicks {
		if err := b.click(ctx, who, l, c); err != nil {
			b.refuse(ctx, who, err)
		}
	}
}

// click does what one button says. A nil error means that the person sees the result in an edited card or a modal.
func (b *Bot) click(ctx context.Context, who caller, l letter, c clicked) error {
	if c.Action == actionKeys {
		b.openKeys(ctx, who, l.Trigger)
		return nil
	}
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, c.Action, err)
	}
	switch c = c.unfolded(); c.Action {
	case actionStart:
		return b.start(ctx, who, actor, c.Value)
	case actionRetire:
		return b.retire(ctx, who, actor, c.Value)
	case actionFinding:
		return b.clickFinding(ctx, who, actor, l.Trigger, c.Value)
	}
	if mine, err := b.clickExemption(ctx, who, actor, l, c); mine {
		return err
	}
	on, ref, err := parseAction(c.Action, c.Value)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, c.Action, err)
	}
	b.repair(ctx, ref, l.Message.Channel, l.Message.TS, c.Block)
	switch on {
	case onReceipt:
		_, err = b.cfg.Engine.Receipt(ctx, ref, actor)
	case onTrace:
		err = b.trace(ctx, who, ref, actor)
	case rotation.Deny, rotation.Close, rotation.Overrule:
		if who.replay {
			b.reply(ctx, who, plain(restarted+"Please click again."))
			return nil
		}
		err = b.askReason(ctx, l.Trigger, on, ref, actor)
	case rotation.Collect:
		if who.replay {
			b.reply(ctx, who, plain(restarted+"Please click again."))
			return nil
		}
		err = b.collect(ctx, who, l.Trigger, ref, actor)
	default:
		err = b.move(ctx, who, rotation.Event{On: on, By: actor}, ref)
	}
	return err
}

// move makes a person's move, unless a replay finds that they made it before.
func (b *Bot) move(ctx context.Context, who caller, ev rotation.Event, ref rotation.Ref) error {
	if who.replay && b.moved(ctx, who, ev.On, ref) {
		return nil
	}
	_, err := b.cfg.Engine.Act(ctx, ref, ev.On, ev.By, ev.Reason)
	refusal, ok := errors.AsType[*rotation.Refusal](err)
	if ok && who.replay && refusal.Code == rotation.Decided && refusal.By == who.member && refusal.Rotation != nil && closedBy(*refusal.Rotation, ref.Turn, ev.On) {
		return nil
	}
	return err
}

// closedBy tells whether the ask of a turn was ended by that very move.
func closedBy(r rotation.Rotation, turn int, on rotation.On) bool {
	return slices.ContainsFunc(r.Asks, func(a rotation.Ask) bool { return a.Turn == turn && a.Closed == string(on) })
}

// moved tells whether the trail has the move, by the same person, since what they did was accepted.
func (b *Bot) moved(ctx context.Context, who caller, on rotation.On, ref rotation.Ref) bool {
	p, err := b.cfg.Engine.Get(ctx, ref.UserDoc())
	return err == nil && slices.ContainsFunc(p.Trail, func(e rotation.Entry) bool {
		return e.Outcome == "moved" && e.Rotation == ref.ID && e.Action == string(on) && e.Actor == string(who.member) && !e.At.Before(who.accepted)
	})
}

// start begins a rotation from a row of the digest or from a warning.
func (b *Bot) start(ctx context.Context, who caller, actor rotation.Actor, id string) error {
	p, err := b.cfg.Engine.Get(ctx, id)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, actionStart, fmt.Errorf("find the user of the button: %w", err))
	}
	p, err = b.request(ctx, who, rotation.Request{User: p.User, By: actor})
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

// reasonedView carries a decision with a reason through; the modal says what came of it, and the card shows it.
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
	return b.move(ctx, who, rotation.Event{On: on, By: actor, Reason: reason}, ref)
}
