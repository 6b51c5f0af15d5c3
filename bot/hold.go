package bot

import (
	"context"

	"github.com/keyturner/keyturner/rotation"
)

// A warning does not hurry: it waits until its owner is at work.

// wantsNotices derives which warnings there should be now. What waits for its owner's working hours is not among them.
func (b *Bot) wantsNotices(p rotation.Progress) []wanted {
	var ws []wanted
	for i, n := range p.Notices {
		if n.In == "" && n.Waits() && !n.Held(b.now()) {
			m := warningMessage(b.cfg.Outbox.today(), n, p.User)
			ws = append(ws, wanted{name: noticeName(n), channel: b.place(n.Owner), message: m, once: true, notice: &p.Notices[i]})
		}
	}
	return ws
}

// sendNotice sends a warning if it is so still, and drops it if not: should it be so again, the scan finds it.
func (b *Bot) sendNotice(ctx context.Context, p rotation.Progress, w wanted) error {
	if until := b.cfg.Engine.PutsOff(ctx, *w.notice); !until.IsZero() && p.Posts[w.name].Nonce == "" {
		_, err := b.note(ctx, p.User.ID(), func(p *rotation.Progress) { p.PutOff(*w.notice, until) })
		return err
	}
	stands, err := b.cfg.Engine.Stands(ctx, p, *w.notice)
	switch {
	case err != nil:
		return err
	case stands:
		return b.send(ctx, p, w)
	}
	_, err = b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
		delete(p.Posts, w.name)
		p.Drop(*w.notice)
	})
	return err
}

// heldWarnings tell what waits for working hours, the owner's or those of others who are told.
func heldWarnings(held []rotation.Notice) []string {
	return each(held, func(n rotation.Notice) string {
		if n.Kind == rotation.PassedOn {
			return "• " + short(n.Key) + " is passed on to " + beyondOf(n) + " on " + when(n.From) + " if nobody acts before."
		}
		return "• A message about " + short(n.Key) + " to " + mention(n.Owner) + " waits until " + when(n.From) + ", when their working hours begin."
	})
}
