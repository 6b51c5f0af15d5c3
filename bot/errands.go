package bot

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// What each row of the vocabulary does. An errand that is worked again after a restart finds what it has done, and says it again.

func (b *Bot) tellHelp(ctx context.Context, e errand) { b.reply(ctx, e.who, helpMessage()) }

func (b *Bot) tellStatus(ctx context.Context, e errand) {
	found, err := b.cfg.Engine.Involving(ctx, e.who.member)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, statusMessage(b.cfg.Outbox.today(), found))
}

func (b *Bot) tellKeys(ctx context.Context, e errand) {
	held, err := b.cfg.Engine.Owned(ctx, e.who.member)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, keysMessage(b.cfg.Outbox.today(), held))
}

// user is the argument of an errand that names an IAM user, if it has one.
func (e errand) user() (rotation.UserRef, bool) {
	if len(e.args) == 0 {
		return rotation.UserRef{}, false
	}
	u, err := rotation.ParseUserRef(e.args[0])
	return u, err == nil
}

func (b *Bot) tellKeysOf(ctx context.Context, e errand) {
	u, _ := e.user()
	held, err := b.cfg.Engine.HoldingOf(ctx, u)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, keysOfMessage(b.cfg.Outbox.today(), held))
}

func (b *Bot) tellHistory(ctx context.Context, e errand) {
	found, err := b.cfg.Engine.History(ctx, e.who.member)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	past, err := b.pastOf(ctx, e, func(rotation.UserRef) bool { return true }, false)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, historyMessage(b.view, "You have no rotation that has ended.", found, past))
}

// tellHistoryOf shows those who decide, and on-call, all of a user's rotations, and anybody else those that they have to do with.
func (b *Bot) tellHistoryOf(ctx context.Context, e errand) {
	u, _ := e.user()
	found, err := b.cfg.Engine.HistoryOf(ctx, u)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	none := "No rotation of " + b.view.user(u) + " that has ended is on record."
	if responders.refuses(e.actor) != nil {
		none = "No rotation of " + b.view.user(u) + " has ended of which you were the owner or which you asked for. Of others' rotations, those who may approve and on-call are told."
		found = slices.DeleteFunc(found, func(r rotation.Rotation) bool { return r.Owner != e.who.member && r.Requester != e.who.member })
	}
	past, err := b.pastOf(ctx, e, func(of rotation.UserRef) bool { return sameUser(of, u) }, responders.refuses(e.actor) == nil)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, historyMessage(b.view, none, found, past))
}

// mine finds the one running rotation that an errand is about: the person's own, and of a named user if the errand names one. Otherwise it
// answers them.
func (b *Bot) mine(ctx context.Context, e errand, command string, fits func(rotation.Rotation) bool) (rotation.Rotation, bool) {
	found, err := b.cfg.Engine.Involving(ctx, e.who.member)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return rotation.Rotation{}, false
	}
	named, isNamed := e.user()
	var all []rotation.Rotation
	for _, p := range found {
		if r := *p.Rotation; (!isNamed || sameUser(r.User, named)) && fits(r) {
			all = append(all, r)
		}
	}
	own := slices.DeleteFunc(slices.Clone(all), func(r rotation.Rotation) bool { return r.Owner != e.who.member })
	if command == "cancel" && len(own) > 0 { // which only an owner can
		all = own
	}
	if len(all) == 1 {
		return all[0], true
	}
	b.reply(ctx, e.who, whichMessage(b.view, command, all))
	return rotation.Rotation{}, false
}

// cancel does what the button on the owner's card does. Whoever asked for somebody else's rotation is told who can.
func (b *Bot) cancel(ctx context.Context, e errand) {
	r, ok := b.mine(ctx, e, "cancel", func(r rotation.Rotation) bool {
		return !r.Ended() || e.who.replay && b.moved(ctx, e.who, rotation.Cancel, r.Ref())
	})
	if !ok {
		return
	}
	if err := b.move(ctx, e.who, rotation.Event{On: rotation.Cancel, By: e.actor}, r.Ref()); err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	p, err := b.cfg.Engine.Get(ctx, r.User.ID())
	if now, there := p.Find(r.ID); err == nil && there {
		r = *now
	}
	b.reply(ctx, e.who, cancelledMessage(b.view, r))
}

func (b *Bot) remind(ctx context.Context, e errand) {
	r, ok := b.mine(ctx, e, "remind", func(r rotation.Rotation) bool { _, waits := r.CurrentAsk(); return waits })
	if !ok {
		return
	}
	if !e.who.replay || !r.Reminded(e.who.member, e.who.accepted) {
		if _, err := b.cfg.Engine.Remind(ctx, r.ID, e.actor); err != nil {
			b.refuse(ctx, e.who, err)
			return
		}
	}
	b.reply(ctx, e.who, plain("The approvers are asked again about "+b.view.user(r.User)+". Next: "+b.view.next(r)+"."))
}

// link makes somebody the owner of a user. They must be one to whom a key can be given.
func (b *Bot) link(ctx context.Context, e errand) {
	m := rotation.MemberID(strings.Trim(e.args[0], "<@>"))
	u, err := rotation.ParseUserRef(e.args[1])
	if err == nil {
		_, err = b.cfg.People.Actor(ctx, m)
	}
	if _, refused := errors.AsType[*rotation.Refusal](err); refused {
		b.turnAway(ctx, e.who, "link", &rotation.Refusal{Code: rotation.CannotOwn, By: m})
		return
	}
	var linked rotation.Linked
	if err == nil {
		linked, err = b.cfg.Engine.Link(ctx, u, m, e.actor)
	}
	b.tellLinked(ctx, e, linked, err)
}

func (b *Bot) unlink(ctx context.Context, e errand) {
	u, _ := e.user()
	linked, err := b.cfg.Engine.Unlink(ctx, u, e.actor)
	b.tellLinked(ctx, e, linked, err)
}

func (b *Bot) tellLinked(ctx context.Context, e errand, linked rotation.Linked, err error) {
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, linkedMessage(b.view, linked))
}

func (b *Bot) tellWhose(ctx context.Context, e errand) {
	found, err := b.cfg.Engine.Whois(ctx, rotation.KeyID(e.args[0]))
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	for _, a := range found.Unread {
		b.log.Warn("look for a key", "account", a.ID, "err", a.Err)
	}
	b.reply(ctx, e.who, whoseTraced(b.cfg.Outbox.today(), found, b.cfg.Engine.TraceKey(ctx, found.Account, found.Key)))
}
