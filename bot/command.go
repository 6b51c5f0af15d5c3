package bot

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// command answers /rotate-key. The modal is opened at once, since the trigger lives for three seconds, and filled after.
func (b *Bot) command(ctx context.Context, cmd slack.SlashCommand) {
	who := caller{member: rotation.MemberID(cmd.UserID), channel: cmd.ChannelID, responseURL: cmd.ResponseURL}
	words := strings.Fields(cmd.Text)
	if len(words) == 0 {
		b.openKeys(ctx, who, cmd.TriggerID)
		return
	}
	if _, err := b.cfg.People.Actor(ctx, who.member); err != nil {
		b.turnAway(ctx, who, cmd.Command+" "+words[0], err)
		return
	}
	switch strings.ToLower(words[0]) {
	case "help":
		b.reply(ctx, who, helpMessage())
	case "status":
		found, err := b.cfg.Engine.Involving(ctx, who.member)
		if err != nil {
			b.refuse(ctx, who, err)
			return
		}
		b.reply(ctx, who, statusMessage(b.cfg.Outbox.today(), found))
	default:
		b.reply(ctx, who, unknownCommand(cmd.Text))
	}
}

// openKeys opens the modal and fills it with the keys of the person who asked.
func (b *Bot) openKeys(ctx context.Context, who caller, trigger string) {
	opened, err := b.cfg.Slack.OpenViewContext(ctx, trigger, keysModalLoading())
	if err != nil {
		b.refuse(ctx, who, classify("open the modal", err))
		return
	}
	b.fill(ctx, opened.ID, b.keysView(ctx, who))
}

func (b *Bot) keysView(ctx context.Context, who caller) slack.ModalViewRequest {
	if _, err := b.cfg.People.Actor(ctx, who.member); err != nil {
		return keysModalProblem(refusalText(b.view, b.recordTurnedAway(ctx, who, "open the modal", err)))
	}
	held, err := b.cfg.Engine.Owned(ctx, who.member)
	if err != nil {
		return keysModalProblem(refusalText(b.view, b.logged("list keys", err)))
	}
	if len(held) == 0 {
		err := &rotation.Refusal{Code: rotation.NoMember, By: who.member}
		return keysModalProblem(refusalText(b.view, b.recordTurnedAway(ctx, who, "open the modal", err)))
	}
	return keysModal(b.cfg.Outbox.today(), held)
}

// fill replaces what an open modal shows. The person may have closed it meanwhile, which is no failure.
func (b *Bot) fill(ctx context.Context, viewID string, v slack.ModalViewRequest) {
	if _, err := b.cfg.Slack.UpdateViewContext(ctx, v, "", "", viewID); err != nil {
		b.log.Warn("fill the modal", "err", err)
	}
}

// submitRequest answers a submitted keys modal.
func (b *Bot) submitRequest(call slack.InteractionCallback) handler {
	choice, problems := parseKeysModal(call.View.State)
	if len(problems) > 0 {
		return func(_ context.Context, ack func(any)) { ack(slack.NewErrorsViewSubmissionResponse(problems)) }
	}
	return b.submit(call.View.ID, func(ctx context.Context) slack.ModalViewRequest {
		return b.requestedView(ctx, callerOf(call), choice)
	})
}

// patience is how long a submitted modal waits for the outcome before it says that it is being worked on, within Slack's three
// seconds; gap keeps the outcome of slow work from overtaking that acknowledgement, which travels another way.
const (
	patience = 2 * time.Second
	gap      = time.Second
)

// submit acknowledges a modal with the view that says what came of it, or, if that takes long, with one that says so and is filled in
// later.
func (b *Bot) submit(viewID string, work func(context.Context) slack.ModalViewRequest) handler {
	return func(ctx context.Context, ack func(any)) {
		outcome := make(chan slack.ModalViewRequest, 1)
		b.work.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					b.log.Error("panic while working", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
					outcome <- keysModalProblem(refusalText(b.view, fmt.Errorf("panic: %v", p)))
				}
			}()
			outcome <- work(ctx)
		})
		select {
		case v := <-outcome:
			ack(slack.NewUpdateViewSubmissionResponse(&v))
		case <-time.After(patience):
			busy := workingModal()
			ack(slack.NewUpdateViewSubmissionResponse(&busy))
			v := <-outcome
			<-time.After(gap)
			b.fill(ctx, viewID, v)
		}
	}
}

func (b *Bot) requestedView(ctx context.Context, who caller, choice keyChoice) slack.ModalViewRequest {
	p, err := b.requestKey(ctx, who, choice)
	if err != nil {
		return keysModalProblem(refusalText(b.view, b.logged("request", err)))
	}
	return keysModalDone(b.view, *p.Rotation)
}

// requestKey finds the chosen user among those that the person owns: the modal's own values are not believed.
func (b *Bot) requestKey(ctx context.Context, who caller, choice keyChoice) (rotation.Progress, error) {
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err != nil {
		return rotation.Progress{}, b.recordTurnedAway(ctx, who, "request", err)
	}
	held, err := b.cfg.Engine.Owned(ctx, who.member)
	if err != nil {
		return rotation.Progress{}, err
	}
	var unread error
	for _, h := range held {
		if h.Err != nil {
			unread = &rotation.Refusal{Code: rotation.Unreachable, User: h.User, Err: h.Err}
		}
		if h.User.ID() == choice.user {
			return b.cfg.Engine.Request(ctx, rotation.Request{
				User: h.User, Key: choice.key, Retire: choice.retire, Reason: choice.reason, By: actor,
			})
		}
	}
	if unread != nil { // it may be in the account that could not be read
		return rotation.Progress{}, b.recordTurnedAway(ctx, who, "request", unread)
	}
	return rotation.Progress{}, b.recordTurnedAway(ctx, who, "request", &rotation.Refusal{Code: rotation.NotOwner, By: who.member})
}

// caller is where an answer to a person goes.
type caller struct {
	member      rotation.MemberID
	channel     string
	responseURL string
}

func callerOf(call slack.InteractionCallback) caller {
	return caller{member: rotation.MemberID(call.User.ID), channel: call.Channel.ID, responseURL: call.ResponseURL}
}

// reply answers so that only the caller sees it.
func (b *Bot) reply(ctx context.Context, who caller, m message) {
	options := m.options()
	if who.responseURL != "" {
		options = append([]slack.MsgOption{slack.MsgOptionResponseURL(who.responseURL, slack.ResponseTypeEphemeral)}, options...)
		if _, _, _, err := b.cfg.Slack.SendMessageContext(ctx, "", options...); err == nil {
			return
		}
		b.log.Warn("answer through the response URL; the ephemeral way is tried")
	}
	if _, err := b.cfg.Slack.PostEphemeralContext(ctx, who.channel, string(who.member), m.options()...); err != nil {
		b.log.Error("answer a person", "member", string(who.member), "err", err)
	}
}

// refuse tells a person why not.
func (b *Bot) refuse(ctx context.Context, who caller, err error) {
	b.reply(ctx, who, plain(refusalText(b.view, b.logged("answer", err))))
}

// turnAway refuses somebody before any rotation is concerned, and records it.
func (b *Bot) turnAway(ctx context.Context, who caller, action string, err error) {
	b.reply(ctx, who, plain(refusalText(b.view, b.recordTurnedAway(ctx, who, action, err))))
}

func (b *Bot) recordTurnedAway(ctx context.Context, who caller, action string, err error) error {
	return b.logged(action, b.cfg.Engine.Refuse(ctx, who.member, action, err))
}

// logged logs what is no plain refusal under a reference that the person is shown too.
func (b *Bot) logged(action string, err error) error {
	if refusal, ok := errors.AsType[*rotation.Refusal](err); ok && refusal.Err == nil {
		b.log.Info("refused", "action", action, "err", err)
		return err
	}
	broken := newBroken(err)
	b.log.Error("could not answer", "action", action, "ref", broken.ref, "err", err)
	return broken
}
