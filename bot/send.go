package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// unsettled is a message of which it is not known yet whether Slack took it.
type unsettled struct{ wait time.Duration }

func (u *unsettled) Error() string {
	return fmt.Sprintf("it is not known yet whether an earlier attempt reached Slack; it is looked for in %s", u.wait)
}

// settleTime is how long after an attempt whose answer was lost the message is looked for, and where it cannot be looked for, sent again:
// longer than a call may take. It doubles with each attempt: in a channel up to a short time, since a look tells what came of it, and in
// a DM up to a long one, since each attempt may be one more message.
const (
	settleTime = 20 * time.Second
	maxSettle  = 2 * time.Minute
	maxBlind   = time.Hour
)

func settleWait(channel string, mark rotation.Post) time.Duration {
	most := maxBlind
	if readable(channel) {
		most = maxSettle
	}
	return min(settleTime<<min(max(mark.Tries-1, 0), 10), most)
}

// send posts a message that is not known to stand in Slack.
//
// A mark with a nonce is written before the call. A crash before the mark leaves nothing; one after it, or an answer that never came,
// leaves a mark, and the message is looked for by its nonce before it is posted again. In a DM it cannot be looked for, since the bot
// does not ask for the right to read where it shows secrets: there it is posted again. A crash after the call and before its result is
// written is the same as a lost answer.
func (b *Bot) send(ctx context.Context, p rotation.Progress, w wanted) error {
	mark := p.Posts[w.name]
	if mark.Nonce != "" {
		wait := settleWait(w.channel, mark)
		if left := mark.At.Add(wait).Sub(b.now()); left > 0 {
			return &unsettled{min(left, wait)}
		}
		found, err := b.look(ctx, w, mark)
		switch {
		case err != nil:
			return err
		case found.Known():
			return b.sent(ctx, p, w, found)
		}
	}
	mark = rotation.Post{Channel: w.channel, Nonce: rand.Text(), At: b.now(), Tries: mark.Tries + 1}
	p.Posts = maps.Clone(p.Posts)
	if p.Posts == nil {
		p.Posts = map[string]rotation.Post{}
	}
	p.Posts[w.name] = mark
	p, err := b.cfg.Engine.Keep(ctx, p)
	if err != nil {
		return err
	}
	post, err := b.cfg.Outbox.post(ctx, w.channel, w.message, mark.Nonce)
	switch class := rotation.ClassOf(err); {
	case err == nil:
		return b.sent(ctx, p, w, post)
	case class == rotation.ClassUnknown:
		return errors.Join(&unsettled{settleTime}, err)
	case w.once && (class == rotation.ClassRefused || class == rotation.ClassGone):
		return b.undeliverable(ctx, p, w)
	}
	_, noteErr := b.note(ctx, p.User.ID(), func(p *rotation.Progress) { delete(p.Posts, w.name) })
	return errors.Join(err, noteErr)
}

// sent notes where a message stands.
func (b *Bot) sent(ctx context.Context, p rotation.Progress, w wanted, post rotation.Post) error {
	if w.done != nil {
		return b.noteDone(ctx, p, w, post)
	}
	_, err := b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
		if w.once {
			at := b.begun(p.Posts[w.name])
			b.noteNotice(p, w.name, func(n *rotation.Notice) { n.Sent = at })
			return
		}
		p.Posts[w.name] = post
	})
	return err
}

// notTaken is why a notice has failed.
const notTaken = "Slack does not take messages for the owner"

// undeliverable notes that a notice, or a line of a thread, cannot be sent.
func (b *Bot) undeliverable(ctx context.Context, p rotation.Progress, w wanted) error {
	if w.done != nil {
		return b.noteDone(ctx, p, w, rotation.Post{})
	}
	_, err := b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
		b.noteNotice(p, w.name, func(n *rotation.Notice) { n.Failed = notTaken })
	})
	return err
}

// begun is when the attempt was begun of which a mark tells.
func (b *Bot) begun(mark rotation.Post) time.Time {
	if mark.At.IsZero() {
		return b.now()
	}
	return mark.At
}

func (b *Bot) noteNotice(p *rotation.Progress, name string, fn func(*rotation.Notice)) {
	delete(p.Posts, name)
	for i := range p.Notices {
		if noticeName(p.Notices[i]) == name {
			fn(&p.Notices[i])
		}
	}
}

// editCard makes a message say what it should. A crash between the edit and noting it edits once more, to the same.
func (b *Bot) editCard(ctx context.Context, p rotation.Progress, w wanted, post rotation.Post) error {
	edited, err := b.cfg.Outbox.edit(ctx, post, w.message)
	gone := err != nil && rotation.ClassOf(err) == rotation.ClassGone
	if err != nil && !gone {
		return err
	}
	_, err = b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
		if gone {
			delete(p.Posts, w.name) // it is sent anew
			return
		}
		p.Posts[w.name] = edited
	})
	return err
}
