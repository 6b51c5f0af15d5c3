package bot

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// The thread of each card in the approvals channel is the audit trail of what the card asks: one line for each decision, effect, reminder, failure
// and refusal, told once and never edited. The lines are derived from the entries of the trail, one after the other, and the progress keeps how
// many have been told (Progress.Told). So each is told once, by whichever process shows messages, and after a crash it is looked for by its
// nonce like any message. What leaves the trail before it could be told stays untold here; the audit has it.

// nextReply finds the next line that is to be told. A line waits for its card.
func (b *Bot) nextReply(p rotation.Progress) (wanted, bool) {
	for i, e := range p.Trail {
		seq := p.Filed + i
		r, ours := p.Find(e.Rotation)
		if seq < p.Told || !ours {
			continue
		}
		line, ask := trailLine(*r, p.Trail[:i], e)
		if line == "" {
			continue
		}
		card := p.Posts[r.ID+"/ask"+strconv.Itoa(ask.Turn)]
		if !card.Known() {
			return wanted{}, false
		}
		m := plain(line)
		m.Thread = card.TS
		return wanted{name: r.ID + "/trail" + strconv.Itoa(seq), channel: card.Channel, message: m, once: true, done: func(p *rotation.Progress, _ rotation.Post) { p.Told = max(p.Told, seq+1) }}, true
	}
	return wanted{}, false
}

// noteDone notes that what is sent once has been sent, or cannot be.
func (b *Bot) noteDone(ctx context.Context, p rotation.Progress, w wanted, at rotation.Post) error {
	_, err := b.note(ctx, p.User.ID(), func(p *rotation.Progress) {
		at.At = b.begun(p.Posts[w.name])
		delete(p.Posts, w.name)
		w.done(p, at)
	})
	return err
}

// trailLine is an entry in one line, and the ask in whose thread it belongs; nothing if it is told elsewhere, or was before.
func trailLine(r rotation.Rotation, before []rotation.Entry, e rotation.Entry) (string, rotation.Ask) {
	ask, there := askOf(r, e)
	if !there {
		return "", ask
	}
	line := ""
	switch {
	case e.Outcome == "moved" && e.Action != "request": // which the card tells
		line = movedLine(r, ask, e)
	case e.Outcome == "refused" && !toldBefore(before, e):
		line = refusedLine(e)
	}
	if line == "" {
		return "", ask
	}
	return line + " · " + when(e.At), ask
}

// askOf finds the ask that an entry belongs to: the one that it decides, or else the latest one by then.
func askOf(r rotation.Rotation, e rotation.Entry) (ask rotation.Ask, there bool) {
	for _, a := range r.Asks {
		if slices.ContainsFunc(a.Decisions, func(d rotation.Decision) bool { return string(d.By) == e.Actor && d.At.Equal(e.At) }) {
			return a, true
		}
		if !a.At.After(e.At) {
			ask, there = a, true
		}
	}
	return ask, there
}

// toldBefore tells whether the same person was refused the same for the same reason before, of which one line is enough.
func toldBefore(before []rotation.Entry, e rotation.Entry) bool {
	return slices.ContainsFunc(before, func(b rotation.Entry) bool {
		return b.Rotation == e.Rotation && b.Outcome == e.Outcome && b.Actor == e.Actor && b.Action == e.Action && b.Detail == e.Detail
	})
}

// refusedLines are the refusals that are worth keeping in sight: somebody did what was not theirs to do, or what the evidence forbade.
var refusedLines = map[rotation.Code]string{
	rotation.NotApprover:  "they are no approver here",
	rotation.NotResponder: "they are neither an approver nor on call",
	rotation.NotOwner:     "the key is not theirs",
	rotation.OwnRequest:   "they asked for it themselves",
	rotation.OwnKey:       "the key is their own",
	rotation.OwnerLeft:    "the owner has left the group that owns it",
	rotation.GroupUnread:  "Slack did not tell who is in the group that decides",
	rotation.Blocked:      "the facts in AWS did not allow it",
}

func refusedLine(e rotation.Entry) string {
	parts := strings.Split(e.Detail, ": ")
	if len(parts) < 2 || refusedLines[rotation.Code(parts[1])] == "" {
		return ""
	}
	return "✗ *Refused:* " + mention(rotation.MemberID(e.Actor)) + " tried to " + tried(rotation.On(e.Action)) + ", but " + refusedLines[rotation.Code(parts[1])] + ". Nothing was changed."
}

// acts tell what people did, to follow their name, and as what they tried.
var acts = map[rotation.On]struct{ did, try string }{
	rotation.Approve:    {"approved", "approve"},
	rotation.Deny:       {"denied it", "deny it"},
	rotation.Cancel:     {"took it back", "take it back"},
	rotation.Confirm:    {"confirmed that the applications use the new key", "confirm that the applications use the new key"},
	rotation.Reissue:    {"asked for another key in place of the new one", "have another key issued"},
	rotation.Abandon:    {"keeps the old key after all, and gives up the new one", "give up the new key"},
	rotation.Overrule:   {"overruled the evidence that is missing", "overrule the evidence that is missing"},
	rotation.Disown:     {"said “Not me”: they did not ask for the new key", "disown the new key"},
	rotation.Reactivate: {"has the old key made active again", "have the old key made active again"},
	rotation.Replenish:  {"asked for a new key in place of the leaked one", "ask for a new key"},
	rotation.TryAgain:   {"had it tried again", "have it tried again"},
	rotation.Revoke:     {"decided that the key is revoked", "have a key revoked"},
	rotation.Keep:       {"said that the key is ours", "keep a key"},
	rotation.Close:      {"closed the rotation", "close the rotation"},
	rotation.Collect:    {"opened the window for the new key", "open the new key"},
	"remind":            {"had the approvers reminded", "have the approvers reminded"},
	"trace":             {"asked CloudTrail who still uses the old key", "ask CloudTrail"},
	"receipt":           {"has stored the secret", "say that the secret is stored"},
}

func tried(on rotation.On) string {
	if words := acts[on].try; words != "" {
		return words
	}
	return "do “" + esc(string(on)) + "”"
}

// movedLine tells a move: who, what, and on what evidence.
func movedLine(r rotation.Rotation, ask rotation.Ask, e rotation.Entry) string {
	on := rotation.On(e.Action)
	switch e.Actor {
	case rotation.TheClock.String():
		return clockLine(on, e)
	case rotation.TheEngine.String():
		return engineLine(r, on, e)
	}
	did := acts[on].did
	if did == "" {
		did = "did “" + esc(e.Action) + "”"
	}
	if on == rotation.Approve && e.From == e.To {
		did += ", and more approvals are needed"
	}
	return sentences("*"+mention(rotation.MemberID(e.Actor))+"* "+ended(did), reasonGiven(e.Detail), onFacts(r, ask, on))
}

// onFacts tells on which evidence a decision was made.
func onFacts(r rotation.Rotation, ask rotation.Ask, on rotation.On) string {
	if ask.Evidence.At.IsZero() || !slices.Contains([]rotation.On{rotation.Approve, rotation.Deny, rotation.Confirm, rotation.Overrule}, on) {
		return ""
	}
	s := "Shown were the facts of " + when(ask.Evidence.At)
	if old, ok := ask.Evidence.Key(r.Old); ok {
		s += ": " + short(old.ID) + " last used " + lastUse(old.LastUse)
	}
	if fresh, ok := ask.Evidence.Key(newIn(r, ask)); ok && fresh.ID != r.Old {
		s += "; " + short(fresh.ID) + " last used " + lastUse(fresh.LastUse)
	}
	return s + "."
}

// clockLine tells what time has brought: that it is over, or that people were reminded.
func clockLine(on rotation.On, e rotation.Entry) string {
	_, whom, _ := strings.Cut(e.Detail, ": ")
	var names []string
	for name := range strings.SplitSeq(whom, ", ") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, mention(rotation.MemberID(name)))
		}
	}
	switch {
	case on == "remind" && len(names) > 0:
		return "Nobody has decided yet. Keyturner has reminded " + allOf(names) + "."
	case on == "escalate" && len(names) > 0:
		return "Nobody has decided in time. Asked too: " + allOf(names) + "."
	case on != rotation.Elapse:
		return ""
	}
	switch e.From {
	case rotation.Grace:
		return "The grace is over. Asked here whether the key is deleted."
	case rotation.Offered:
		return "The new key was not opened in time."
	case rotation.Switching:
		return "The applications were not moved in time."
	}
	return "The time for a decision is over. Too few decided."
}

// effectLines tell what was done in AWS or in Slack, by the stage that did it.
var effectLines = map[rotation.Stage]string{
	rotation.Creating:     "AWS has made the new key %s.",
	rotation.Delivering:   "The secret of %s was handed over.",
	rotation.Discarding:   "The new key %s is revoked.",
	rotation.Freezing:     "The new key %s was made inactive.",
	rotation.Deactivating: "AWS has made %s inactive.",
	rotation.Reactivating: "AWS has made %s active again.",
	rotation.Deleting:     "AWS has deleted %s.",
}

func engineLine(r rotation.Rotation, on rotation.On, e rotation.Entry) string {
	class, _, _ := strings.Cut(e.Detail, ": ")
	switch on {
	case rotation.Succeed:
		return "✓ " + strings.Replace(effectLines[e.From], "%s", short(e.Key), 1)
	case rotation.Fail:
		return sentences("✗ *Stopped.*", classes[rotation.Class(class)].why, "A person is asked how it goes on.")
	case rotation.Lose:
		return sentences("✗ The secret of "+short(e.Key)+" "+notPassed(r)+", so the key is revoked.", classes[rotation.Class(class)].why)
	case rotation.Refute:
		return "✗ The conditions did not hold any more, so nothing was done."
	case rotation.Renew:
		return "The facts changed and the conditions still hold. They are asked about once more."
	case rotation.Yield:
		return "A key of the user is reported as leaked, which goes first."
	case rotation.Offer:
		return "The new key waits for its owner to open it."
	}
	return ""
}

// look finds what an earlier attempt has sent, if that can be told.
func (b *Bot) look(ctx context.Context, w wanted, mark rotation.Post) (rotation.Post, error) {
	if w.message.Thread != "" {
		found, err := b.cfg.Outbox.findReply(ctx, w.channel, w.message.Thread, func(m slack.Message) bool {
			return m.Metadata.EventType == nonceEvent && m.Metadata.EventPayload[nonceField] == mark.Nonce
		})
		return rotation.Post{Channel: w.channel, TS: found.Timestamp}, err
	}
	found, _, err := b.cfg.Outbox.find(ctx, w.channel, mark)
	return found, err
}

// findReply looks for a reply in a thread, as find does in a channel. Without one, or where nobody may look, it is a message without a
// timestamp.
func (o *Outbox) findReply(ctx context.Context, channel, thread string, is func(slack.Message) bool) (slack.Message, error) {
	q := slack.GetConversationRepliesParameters{ChannelID: channel, Timestamp: thread, Limit: 200, IncludeAllMetadata: true}
	for range maxPages {
		var replies []slack.Message
		more := false
		err := o.paced(ctx, "look for", channel, func() (err error) {
			replies, more, q.Cursor, err = o.slack.GetConversationRepliesContext(ctx, &q)
			return err
		})
		if err != nil {
			if class := rotation.ClassOf(err); class == rotation.ClassDenied || class == rotation.ClassGone {
				return slack.Message{}, nil
			}
			return slack.Message{}, err
		}
		if i := slices.IndexFunc(replies, is); i >= 0 {
			return replies[i], nil
		}
		if !more {
			break
		}
	}
	return slack.Message{}, nil
}
