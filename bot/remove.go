package bot

import (
	"context"
	"fmt"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// removeSecret deletes a message with a secret that has been receipted or has stood long enough. Deleting comes before noting it: a
// crash between deletes again, which finds nothing. Where Slack lets it be neither deleted nor emptied, people are told.
func (b *Bot) removeSecret(ctx context.Context, p rotation.Progress, id string, at rotation.Post) error {
	err := b.cfg.Outbox.removeSecret(ctx, at)
	refused := err != nil && rotation.ClassOf(err) == rotation.ClassRefused
	if err != nil && !refused {
		b.mayRemove(at.TS, b.now().Add(againSoon))
		return fmt.Errorf("remove the secret's message of %s: %w", id, err)
	}
	b.removed(at.TS)
	if refused {
		b.log.Error("the message with a secret can be neither deleted nor emptied", "rotation", id, "err", err)
	}
	_, err = b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
		cur, ok := p.Find(id)
		switch {
		case ok && refused:
			cur.Exposed(at, "Slack refuses to delete or to edit it")
			p.Owed = true
		case ok:
			cur.Removed(at)
			p.Owed = true
		}
	})
	return err
}

// mayRemove tells when a secret's message may be tried to be removed, and moves that to a later time if one is given.
func (b *Bot) mayRemove(ts string, later time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !later.IsZero() {
		b.removeAgain[ts] = later
	}
	return b.removeAgain[ts]
}

func (b *Bot) removed(ts string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.removeAgain, ts)
}
