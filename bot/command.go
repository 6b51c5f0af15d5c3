package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"html"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// command answers /rotate-key. The modal is opened at once, since the trigger lives for three seconds, and filled after.
func (b *Bot) command(ctx context.Context, who caller, l letter) {
	said := readTyped(b.view.accounts.all(), l.Text)
	if said.ok && said.row.do == nil {
		b.openKeys(ctx, who, l.Trigger)
		return
	}
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err == nil && said.ok {
		err = said.row.may.refuses(actor)
	}
	switch {
	case err != nil:
		b.turnAway(ctx, who, strings.TrimSpace(l.Command+" "+said.kept()), err)
	case said.ok:
		said.row.do(b, ctx, errand{who: who, actor: actor, args: said.args, trigger: l.Trigger})
	default:
		b.reply(ctx, who, notUnderstood(said))
	}
}

// openKeys opens the modal and fills it with the keys of the person who asked.
func (b *Bot) openKeys(ctx context.Context, who caller, trigger string) {
	if who.replay {
		b.reply(ctx, who, plain(restarted+"Please type the command again."))
		return
	}
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
	return keysModal(b.cfg.Outbox.today(), held, func(c keyChoice) string { return b.foretell(ctx, who, c) })
}

// fill replaces what an open modal shows. The person may have closed it meanwhile, which is no failure.
func (b *Bot) fill(ctx context.Context, viewID string, v slack.ModalViewRequest) {
	if _, err := b.cfg.Slack.UpdateViewContext(ctx, v, "", "", viewID); err != nil {
		b.log.Warn("fill the modal", "err", err)
	}
}

// title names what a submitted form is about, and tells whether it is one of ours.
func (l letter) title() (string, bool) {
	switch l.Callback {
	case keysCallback:
		return keysTitle, true
	case exemptCallback:
		return exemptTitle, true
	case exemptDenyCallback:
		return exemptDenyTitle, true
	}
	on, ok := l.reasonFor()
	return reasonTitle(on), ok
}

// reasonFor is the move that a submitted reason is for.
func (l letter) reasonFor() (rotation.On, bool) {
	on, ok := strings.CutPrefix(l.Callback, reasonCallback)
	return rotation.On(on), ok && slices.Contains([]rotation.On{rotation.Deny, rotation.Close, rotation.Overrule}, rotation.On(on))
}

// firstInput is where a form can show what is wrong with it as a whole.
func (l letter) firstInput() string {
	if l.Callback == keysCallback {
		return inputKey
	}
	return inputReason
}

// problems are what keeps a form from being taken as it is, by block.
func (l letter) problems() map[string]string {
	if l.Kind != kindSubmission {
		return nil
	}
	var problems map[string]string
	if on, ok := l.reasonFor(); ok {
		_, problems = parseReasonModal(on, l.state())
	} else {
		_, problems = parseKeysModal(l.state())
	}
	return problems
}

// outcome does what a form asks for, and returns what came of it.
func (b *Bot) outcome(ctx context.Context, who caller, l letter) (a formAnswer) {
	defer b.rescue("a form", func(err error) {
		title, _ := l.title()
		a = formAnswer{view: modal(title, refusalText(b.view, b.logged("submit", err)))}
	})
	if v, mine := b.exemptionOutcome(ctx, who, l); mine {
		return formAnswer{view: v}
	}
	if on, ok := l.reasonFor(); ok {
		reason, _ := parseReasonModal(on, l.state())
		return formAnswer{view: b.reasonedView(ctx, who, on, l.Metadata, reason)}
	}
	choice, _ := parseKeysModal(l.state())
	return b.requestedView(ctx, who, choice)
}

func (b *Bot) requestedView(ctx context.Context, who caller, choice keyChoice) formAnswer {
	p, err := b.requestKey(ctx, who, choice)
	if err != nil {
		err = b.logged("request", err)
		text := refusalText(b.view, err)
		return formAnswer{view: keysModalProblem(text), problems: besideField(err, text)}
	}
	return formAnswer{view: keysModalDone(b.view, *p.Rotation)}
}

// formAnswer is what came of a form: a view that tells it, and, if somebody can mend it in the form, where. The view is for when the form is
// not there any more.
type formAnswer struct {
	view     slack.ModalViewRequest
	problems map[string]string // by block
}

// response is the acknowledgement that brings the answer.
func (a formAnswer) response() *slack.ViewSubmissionResponse {
	if len(a.problems) > 0 {
		return slack.NewErrorsViewSubmissionResponse(a.problems)
	}
	return slack.NewUpdateViewSubmissionResponse(&a.view)
}

// besideField finds the field that a refusal of a request belongs to. Beside a field Slack shows plain words alone: what names people or times is
// told in a view of its own.
func besideField(err error, text string) map[string]string {
	refusal, ok := errors.AsType[*rotation.Refusal](err)
	if !ok || strings.Contains(text, "<") {
		return nil
	}
	field := inputKey
	if refusal.Code == rotation.Blocked || refusal.Code == rotation.OnlyInactive { // another choice for the same key may do
		field = inputWhat
	}
	return map[string]string{field: html.UnescapeString(unformatted(text))}
}

// requestKey finds the chosen user among those that the person owns: the modal's own values are not believed.
func (b *Bot) requestKey(ctx context.Context, who caller, choice keyChoice) (rotation.Progress, error) {
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err != nil {
		return rotation.Progress{}, b.recordTurnedAway(ctx, who, "request", err)
	}
	u, err := b.cfg.Engine.OwnedUser(ctx, who.member, choice.user)
	if err != nil {
		return rotation.Progress{}, b.recordTurnedAway(ctx, who, "request", err)
	}
	return b.request(ctx, who, choice.request(u, actor))
}

// request begins a rotation. When a replay finds one that the same person asked for, it was begun by the first attempt.
func (b *Bot) request(ctx context.Context, who caller, q rotation.Request) (rotation.Progress, error) {
	q.Once = who.once
	p, err := b.cfg.Engine.Request(ctx, q)
	if refusal, ok := errors.AsType[*rotation.Refusal](err); ok && who.replay && refusal.Code == rotation.AlreadyRuns &&
		refusal.Rotation != nil && refusal.Rotation.Requester == who.member {
		p.Rotation = refusal.Rotation
		return p, nil
	}
	return p, err
}

// caller is whom an answer goes to, and where.
type caller struct {
	member      rotation.MemberID
	channel     string
	responseURL string
	once        string    // names what they did, however often it is heard
	accepted    time.Time // when it was recorded what they did; zero: just now
	replay      bool      // they are answered after a restart: triggers are dead, and it may have been done before
	unanswered  *bool     // set if Slack could not take the answer, and may later
}

func callerOf(l letter, accepted time.Time) caller {
	return caller{member: l.Member, channel: l.Channel, responseURL: l.ReplyTo, once: l.ID, accepted: accepted, unanswered: new(bool)}
}

// restarted begins an answer to somebody whose modal can not be opened any more.
const restarted = "Keyturner was restarted while it worked on this. "

const (
	replyLife = 30 * time.Minute // of a response URL
	replyTime = 20 * time.Second // bounds an answer, whatever time the work has left
)

// reply answers so that only the caller sees it.
func (b *Bot) reply(ctx context.Context, who caller, m message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyTime)
	defer cancel()
	var failed []error
	if who.responseURL != "" && (who.accepted.IsZero() || b.now().Sub(who.accepted) < replyLife) {
		options := append([]slack.MsgOption{slack.MsgOptionResponseURL(who.responseURL, slack.ResponseTypeEphemeral)}, m.options()...)
		_, _, _, err := b.cfg.Slack.SendMessageContext(ctx, "", options...)
		if err == nil {
			return
		}
		if broken, ok := errors.AsType[*url.Error](err); ok { // it has the address, by which anybody could answer
			err = broken.Err
		}
		failed = append(failed, classify("answer through the response URL", err))
	}
	if who.channel != "" { // else they clicked in their Home tab
		_, err := b.cfg.Slack.PostEphemeralContext(ctx, who.channel, string(who.member), m.options()...)
		if err == nil {
			return
		}
		failed = append(failed, classify("answer in the channel", err))
	}
	// The bot is not in the channel, or the person is not any more: only a message of its own is left.
	_, err := b.cfg.Outbox.post(ctx, string(who.member), m, rand.Text())
	if err == nil {
		return
	}
	failed = append(failed, err)
	b.log.Error("answer a person", "member", string(who.member), "err", errors.Join(failed...))
	if who.unanswered != nil && slices.ContainsFunc(failed, mayPass) {
		*who.unanswered = true
	}
}

// mayPass tells whether a call that failed may succeed later.
func mayPass(err error) bool {
	class := rotation.ClassOf(err)
	return class == rotation.ClassUnknown || class == rotation.ClassThrottled
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
