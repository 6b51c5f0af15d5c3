package bot

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// wanted is one message that should stand in Slack for a user's progress.
type wanted struct {
	name    string // the rotation's id, a slash and which message of it
	channel string // where to post it; a member's id means their DM
	message message
}

// wants derives from progress which messages there should be.
func (b *Bot) wants(p rotation.Progress) []wanted {
	var ws []wanted
	for _, r := range p.All() {
		ws = append(ws, wanted{r.ID + "/owner", string(r.Owner), ownerCard(b.view, r)})
		ws = append(ws, receipts(r)...)
		for _, ask := range r.Asks {
			ws = append(ws, wanted{r.ID + "/ask" + strconv.Itoa(ask.Turn), b.cfg.Approvals, approvalCard(b.view, r, ask)})
		}
	}
	return ws
}

// receipts are the messages below each secret that was handed over.
func receipts(r rotation.Rotation) []wanted {
	var ws []wanted
	for i := 1; i <= r.Issued; i++ {
		m := overtakenReceipt()
		if i == r.Issued {
			if r.Handover.Post.TS == "" {
				break
			}
			m = receiptMessage(r)
		}
		ws = append(ws, wanted{r.ID + "/receipt" + strconv.Itoa(i), string(r.Owner), m})
	}
	return ws
}

// show keeps Slack as the stored progress says, beginning with everything that was stored before.
func (b *Bot) show(ctx context.Context) error {
	err := b.cfg.Engine.Each(ctx, func(p rotation.Progress) error {
		b.showOne(ctx, p.User.ID())
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("show what is stored: %w", err)
	}
	for {
		ids, err := b.cfg.Engine.Changed(ctx)
		if err != nil {
			return nil
		}
		select { // an effect that follows a decision at once is shown with it
		case <-ctx.Done():
			return nil
		case <-time.After(coalesce):
		}
		for _, id := range ids {
			b.showOne(ctx, id)
		}
	}
}

// coalesce is how long changes are gathered before they are shown.
const coalesce = 150 * time.Millisecond

// again is when a message that could not be sent is tried again: soon if the failure may pass, later if somebody must mend it.
const (
	againSoon  = 5 * time.Second
	againLater = 5 * time.Minute
)

// showOne brings one user's messages up to date, and comes back to those that fail: once for each user, however often it fails.
func (b *Bot) showOne(ctx context.Context, id string) {
	p, err := b.cfg.Engine.Get(ctx, id)
	if err != nil {
		b.log.Error("read progress to show it", "id", id, "err", err)
		b.comeBack(id, againSoon)
		return
	}
	var wait time.Duration
	for _, err := range []error{b.showCards(ctx, p), b.removeSecrets(ctx, p), b.sendNotices(ctx, p)} {
		if err == nil || ctx.Err() != nil {
			continue
		}
		again := againSoon
		if c := rotation.ClassOf(err); c == rotation.ClassRefused || c == rotation.ClassDenied || c == rotation.ClassInvalid {
			again = againLater
		}
		if wait == 0 || again < wait {
			wait = again
		}
		b.log.Error("show progress", "user", p.User.String(), "again_in", again, "err", err)
	}
	if wait > 0 {
		b.comeBack(id, wait)
	}
}

// comeBack has a user's messages looked at again after a time, in place of any earlier appointment.
func (b *Bot) comeBack(id string, wait time.Duration) {
	if earlier, ok := b.again[id]; ok {
		earlier.Stop()
	}
	b.again[id] = time.AfterFunc(wait, func() { b.cfg.Engine.Touch(id) })
}

// showCards posts the cards that are missing and edits those that say something else. A crash between posting and noting where it
// stands leaves a message that nobody edits any more; its buttons answer that they are outdated once the rotation has moved.
func (b *Bot) showCards(ctx context.Context, p rotation.Progress) error {
	var errs []error
	for _, w := range b.wants(p) {
		post, known := p.Posts[w.name]
		var err error
		switch {
		case !known:
			post, err = b.cfg.Outbox.post(ctx, w.channel, w.message)
		case post.Shown == w.message.hash():
			continue
		default:
			post, err = b.cfg.Outbox.edit(ctx, post, w.message)
			if rotation.ClassOf(err) == rotation.ClassGone && err != nil {
				post, err = b.cfg.Outbox.post(ctx, w.channel, w.message)
			}
		}
		if err == nil {
			_, err = b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
				if p.Posts == nil {
					p.Posts = map[string]rotation.Post{}
				}
				p.Posts[w.name] = post
			})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	return errors.Join(errs...)
}

// removeSecrets deletes the messages with a secret that have been receipted or have stood long enough. Deleting comes before noting
// it: a crash between deletes again, which finds nothing.
func (b *Bot) removeSecrets(ctx context.Context, p rotation.Progress) error {
	var errs []error
	for _, r := range p.All() {
		for _, h := range r.Handovers() {
			if !h.Due(b.now()) || b.now().Before(b.removeAgain[h.Post.TS]) {
				continue
			}
			err := b.cfg.Outbox.removeSecret(ctx, h.Post)
			if err != nil {
				b.removeAgain[h.Post.TS] = b.now().Add(againSoon)
				errs = append(errs, fmt.Errorf("remove the secret's message of %s: %w", r.ID, err))
				continue
			}
			delete(b.removeAgain, h.Post.TS)
			_, err = b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
				if cur, ok := p.Find(r.ID); ok {
					cur.Removed(h.Post)
				}
			})
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// note writes what has been sent or removed, even while the process stops: otherwise it would be sent again.
func (b *Bot) note(ctx context.Context, id string, fn func(*rotation.Progress)) (rotation.Progress, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	return b.cfg.Engine.Note(ctx, id, fn)
}

const noteTime = 10 * time.Second

// sendNotices sends the warnings that are owed. A crash between sending and noting it sends one twice.
func (b *Bot) sendNotices(ctx context.Context, p rotation.Progress) error {
	var errs []error
	for _, n := range p.Notices {
		if !n.Sent.IsZero() || n.Failed != "" {
			continue
		}
		_, err := b.cfg.Outbox.post(ctx, string(n.Owner), warningMessage(b.cfg.Outbox.today(), n, p.User))
		refused := rotation.ClassOf(err) == rotation.ClassRefused && err != nil
		if err != nil && !refused {
			errs = append(errs, fmt.Errorf("warn of %s: %w", n.Key, err))
			continue
		}
		_, err = b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
			for i := range p.Notices {
				if p.Notices[i].Key == n.Key && p.Notices[i].Days == n.Days {
					p.Notices[i].Sent = b.now()
					if refused {
						p.Notices[i].Sent, p.Notices[i].Failed = time.Time{}, "Slack does not take messages for the owner"
					}
				}
			}
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
