package bot

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/rotation"
)

// Today's digest is sent to whoever types /rotate-key digest, by direct message: what only the channel would show them is gone when Slack is loaded
// again, and can show no file. It changes nothing of the week's digest, and counts in no trend.
//
// Of several processes any may take the command, and one scans. So who waits stands in a claim, which the one that leads looks at with every
// pulse: a scan is never made twice at the same time, whoever asks while one is made is answered from it, and who waits survives a crash.
const askedClaim = "asked/digest"

// asking is somebody who waits for today's digest.
type asking struct {
	Member  rotation.MemberID
	At      int64 // when they asked, in Unix seconds
	Tries   int
	Channel string // of the message, once it is sent: its files are still to come
	TS      string
}

// next is when it is tried again, at growing intervals.
func (a asking) next() time.Time { return time.Unix(a.At, 0).Add(time.Minute<<a.Tries - time.Minute) }

const (
	maxAskings  = 100             // who may wait at the same time
	maxAsked    = 8               // attempts at one answer, over about two hours
	answerTime  = 2 * time.Minute // bounds one attempt
	answerPause = time.Minute     // after the claim could not be read
)

// askDigest has today's digest sent. Who may ask are those to whom whois tells of any key: it tells of all of them, as the one in on-call's
// channel does.
func (b *Bot) askDigest(ctx context.Context, e errand) {
	again := false
	err := b.changeAskings(ctx, func(waiting []asking) ([]asking, error) {
		again = slices.ContainsFunc(waiting, func(a asking) bool { return a.Member == e.who.member })
		switch {
		case again:
			return waiting, nil
		case len(waiting) >= maxAskings:
			return nil, &rotation.CallError{Op: "send you today's digest", Class: rotation.ClassThrottled, Err: errors.New("too many people wait for theirs")}
		}
		return append(waiting, asking{Member: e.who.member, At: b.now().Unix()}), nil
	})
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, plain(askedText(again)))
	b.Wake()
}

func askedText(again bool) string {
	said := "Keyturner is putting today's digest together, and sends it to you by direct message."
	if again {
		said = "You have asked for today's digest already. Keyturner is putting it together, and sends it to you by direct message."
	}
	return said + " If the accounts were not read within the last " + span(fresh) + ", they are read first: that can take some minutes."
}

// onlyYours says where the week's digest is.
func onlyYours(channel string) string {
	return "You asked for this, and only you see it. The digest of the week is in <#" + esc(channel) + "> as ever."
}

// askings reads who waits.
func (b *Bot) askings(ctx context.Context) (rotation.Claim, []asking, error) {
	claim, err := b.cfg.Engine.Claimed(ctx, askedClaim)
	if errors.Is(err, rotation.ErrNotFound) {
		claim, err = rotation.Claim{Name: askedClaim}, nil
	}
	var waiting []asking
	if err == nil && claim.Note != "" {
		err = json.Unmarshal([]byte(claim.Note), &waiting)
	}
	if err != nil {
		return claim, nil, fmt.Errorf("read who waits for today's digest: %w", err)
	}
	return claim, waiting, nil
}

// changeAskings writes who waits. A crash before it leaves what was asked in the inbox, and what was sent to be sent again.
func (b *Bot) changeAskings(ctx context.Context, change func([]asking) ([]asking, error)) error {
	for {
		claim, waiting, err := b.askings(ctx)
		if err != nil {
			return err
		}
		changed, err := change(slices.Clone(waiting))
		if err != nil || slices.Equal(changed, waiting) {
			return err
		}
		claim.Note = ""
		if len(changed) > 0 {
			note, err := json.Marshal(changed)
			if err != nil {
				return fmt.Errorf("write who waits for today's digest: %w", err)
			}
			claim.Note = string(note)
		}
		if _, err = b.cfg.Engine.Claim(ctx, claim); !errors.Is(err, rotation.ErrConflict) {
			return err
		}
	}
}

// noteAsking writes how far an answer is, or that it is over, even while the process stops. It returns what is kept of it; one that is not there
// any more is over. It has some patience: what is not noted is sent again.
func (b *Bot) noteAsking(ctx context.Context, m rotation.MemberID, note func(a *asking) (over bool)) (kept asking, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	change := func(waiting []asking) ([]asking, error) {
		kept = asking{}
		i := slices.IndexFunc(waiting, func(a asking) bool { return a.Member == m })
		switch {
		case i < 0:
			return waiting, nil
		case note(&waiting[i]):
			return slices.Delete(waiting, i, i+1), nil
		}
		kept = waiting[i]
		return waiting, nil
	}
	for try := 1; ; try++ {
		if err = b.changeAskings(ctx, change); err == nil || try == noteTries || !sleep(ctx, time.Second<<(try-1)) {
			return kept, err
		}
	}
}

func over(*asking) bool { return true }

// dueAskings are those whose answer is to be tried now.
func (d *digests) dueAskings(ctx context.Context) ([]asking, error) {
	_, waiting, err := d.askings(ctx)
	return slices.DeleteFunc(waiting, func(a asking) bool { return d.now().Before(a.next()) }), err
}

// answer sends today's digest to everyone who waits for it, from the latest scan if that is fresh, and else from one that is made for all of them.
func (d *digests) answer(ctx context.Context) error {
	due, err := d.dueAskings(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	if d.stale() {
		d.scan(ctx)
		due, err = d.dueAskings(ctx) // with those who have asked meanwhile
	}
	for _, a := range due {
		if ctx.Err() != nil {
			break
		}
		err = errors.Join(err, d.answerOne(ctx, a.Member))
	}
	return err
}

// answerOne makes one attempt at sending somebody today's digest with its files. The attempt is counted before it is made. A crash after the message
// has left and before that is written has it sent again: nobody can look for it in a DM.
func (d *digests) answerOne(ctx context.Context, m rotation.MemberID) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	a, err := d.noteAsking(ctx, m, func(a *asking) bool {
		a.Tries++
		return a.Tries > maxAsked
	})
	if err != nil || a.Member == "" {
		return err
	}
	actor, err := d.cfg.People.Actor(ctx, m)
	if err == nil {
		err = responders.refuses(actor)
	}
	if _, refused := errors.AsType[*rotation.Refusal](err); refused { // since they asked
		_ = d.recordTurnedAway(ctx, caller{member: m}, "/rotate-key digest", err)
		_, err = d.noteAsking(ctx, m, over)
	} else if err == nil {
		err = d.sendAsked(ctx, a)
	}
	if err != nil && a.Tries == maxAsked {
		_, gaveUp := d.noteAsking(ctx, m, over)
		err = errors.Join(err, gaveUp)
	}
	return err
}

func (d *digests) sendAsked(ctx context.Context, a asking) error {
	digest, m, err := d.today(ctx)
	if err != nil {
		return err
	}
	sent := sentDigest{post: rotation.Post{Channel: a.Channel, TS: a.TS}}
	if a.TS == "" {
		if sent.post, err = d.cfg.Outbox.post(ctx, string(a.Member), m, rand.Text()); err != nil {
			return fmt.Errorf("send today's digest to %s: %w", a.Member, err)
		}
		sent.message = m
		if _, err = d.noteAsking(ctx, a.Member, func(a *asking) bool {
			a.Channel, a.TS = sent.post.Channel, sent.post.TS
			return false
		}); err != nil {
			return err
		}
	}
	err = d.share(ctx, sent, digest)
	final, ok := errors.AsType[*report.SendError](err)
	if err != nil && (a.Tries == maxAsked || ok && final.Permanent) {
		err = errors.Join(err, d.tellBelow(ctx, sent.post, sentences("*The picture and the file of this digest could not be sent.*", whyFailed(err), "The operator can mend that; then ask for it again.")))
	} else if err != nil {
		return err
	}
	_, noted := d.noteAsking(ctx, a.Member, over)
	return errors.Join(err, noted)
}

// today is the digest as things are now: its message, and the words and files beside it.
func (d *digests) today(ctx context.Context) (report.Digest, message, error) {
	running, err := d.beside(ctx)
	if err != nil {
		return report.Digest{}, message{}, err
	}
	weeks, err := d.trend(ctx)
	if err != nil {
		return report.Digest{}, message{}, err
	}
	digest, err := d.inWords(ctx, running, weeks)
	digest.Week = d.now().In(d.cfg.Location).Format(time.DateOnly)
	v := d.cfg.Outbox.today()
	return digest, digestOf(v, d.last, running, heading{
		title: "Access keys today", change: sinceWeek(weeks, weekOf("", d.last)),
		note: onlyYours(d.cfg.OnCall),
	}), err
}
