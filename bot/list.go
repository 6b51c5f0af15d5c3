package bot

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/keyturner/keyturner/rotation"
)

// Many notices for the same people go in one message. One document tells it: its mark stays with that document until all the others have noted
// that theirs is told, so that a crash in between leaves them to be noted, and nobody is told twice.

func listName(n rotation.Notice) string {
	to := "owner"
	if n.Kind == rotation.PassedOn {
		to = "others"
	}
	return "list/" + to + "/" + strconv.FormatInt(n.Due.UnixNano(), 36)
}

// nextList finds a list that is to be told, or a notice that no list tells any more.
func (b *Bot) nextList(p rotation.Progress, failed map[string]bool) toDo {
	for _, n := range p.Notices {
		name := listName(n)
		switch {
		case n.In == "" || !n.Waits() || n.Held(b.now()) || failed[name]:
		case len(n.Among) > 0:
			return toDo{name, func(ctx context.Context) error { return b.tellList(ctx, p, n) }}
		default:
			return toDo{name, func(ctx context.Context) error { return b.leaveList(ctx, p, n) }}
		}
	}
	return toDo{}
}

// untaken marks a list that Slack does not take, in place of a timestamp.
const untaken = "untaken"

// tellList sends the list that n, a notice of p, tells, and notes it in all documents.
func (b *Bot) tellList(ctx context.Context, p rotation.Progress, n rotation.Notice) error {
	name := listName(n)
	all, err := b.cfg.Engine.Listed(ctx, n)
	if err != nil {
		return err
	}
	if post := p.Posts[name]; post.Known() {
		return b.noteList(ctx, p, n, all)
	}
	if until := b.cfg.Engine.PutsOff(ctx, n); !until.IsZero() && p.Posts[name].Nonce == "" {
		return b.noteAll(ctx, p, all, func(q *rotation.Progress) { q.PutOff(n, until) })
	}
	all, err = b.standing(ctx, p, n, all)
	if err != nil || len(all) == 0 {
		return err
	}
	w := wanted{name: name, channel: b.place(n.Owner), message: ownerListMessage(b.cfg.Outbox.today(), all), once: true}
	if n.Kind == rotation.PassedOn {
		w.channel, w.message = b.beyond(n.To), passedOnMessage(b.cfg.Outbox.today(), all)
		w.once = false // whoever has a channel that takes no messages mends that, and is told then
	}
	w.done = func(p *rotation.Progress, at rotation.Post) {
		if !at.Known() {
			at.TS = untaken
		}
		if p.Posts == nil {
			p.Posts = map[string]rotation.Post{}
		}
		p.Posts[name] = at
	}
	return b.send(ctx, p, w)
}

// standing are those of a list that are so still. The others are dropped, but for those of p while p has others to tell of.
func (b *Bot) standing(ctx context.Context, p rotation.Progress, n rotation.Notice, all []rotation.Listed) ([]rotation.Listed, error) {
	var stand []rotation.Listed
	var dropped []string
	for _, l := range all {
		stands, err := b.cfg.Engine.Stands(ctx, l.Progress, l.Notice)
		switch {
		case err != nil:
			return nil, err
		case stands:
			stand = append(stand, l)
		case l.Progress.User != p.User:
			if _, err := b.note(ctx, l.Progress.User.ID(), func(q *rotation.Progress) { q.Drop(l.Notice) }); err != nil {
				return nil, err
			}
		default:
			dropped = append(dropped, string(l.Notice.Key))
		}
	}
	if len(stand) > 0 || len(dropped) == 0 {
		return stand, nil
	}
	_, err := b.note(ctx, p.User.ID(), func(q *rotation.Progress) {
		delete(q.Posts, listName(n))
		for _, l := range all {
			q.Drop(l.Notice)
		}
	})
	return nil, err
}

// noteList notes what has been told, the document that tells it last.
func (b *Bot) noteList(ctx context.Context, p rotation.Progress, n rotation.Notice, all []rotation.Listed) error {
	failed := ""
	if p.Posts[listName(n)].TS == untaken {
		failed = notTaken
	}
	at := b.begun(p.Posts[listName(n)])
	return b.noteAll(ctx, p, all, func(q *rotation.Progress) {
		if q.User == p.User {
			delete(q.Posts, listName(n))
		}
		q.ListTold(n, at, failed)
	})
}

// noteAll changes the documents of all that is told together, p last.
func (b *Bot) noteAll(ctx context.Context, p rotation.Progress, all []rotation.Listed, fn func(*rotation.Progress)) error {
	noted := []string{p.User.ID()}
	for _, l := range all {
		id := l.Progress.User.ID()
		if slices.Contains(noted, id) {
			continue
		}
		noted = append(noted, id)
		if _, err := b.note(ctx, id, fn); err != nil {
			return err
		}
	}
	_, err := b.note(ctx, p.User.ID(), fn)
	return err
}

// errCarried puts off what a list is still to tell.
var errCarried = errors.New("a message with others is to tell it")

// leaveList has a notice told by itself that a list should have told by now, unless that is still to come.
func (b *Bot) leaveList(ctx context.Context, p rotation.Progress, n rotation.Notice) error {
	carried, err := b.cfg.Engine.Carried(ctx, n)
	switch {
	case err != nil:
		return err
	case carried:
		return errCarried
	}
	_, err = b.note(ctx, p.User.ID(), func(q *rotation.Progress) { q.ByItself(n) })
	return err
}

// beyond is where those are told who come after a silent owner: the channel of the first group of them that has one, or on-call's.
func (b *Bot) beyond(to []rotation.MemberID) string {
	for _, m := range to {
		if channel := b.cfg.Groups[rotation.GroupID(m)]; m.IsGroup() && channel != "" {
			return channel
		}
	}
	return b.cfg.OnCall
}
