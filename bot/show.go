package bot

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// wanted is one message that should stand in Slack for a user's progress.
type wanted struct {
	name    string // the rotation's id, a slash and which message of it; or "notice/", the key, a slash, the days and the kind
	channel string // where to post it; a member's id means their DM
	message message
	once    bool // it is sent and never edited: a notice, or a line of a thread
	// done notes that what is sent once was sent, and where it stands, or that it cannot be.
	done   func(*rotation.Progress, rotation.Post)
	notice *rotation.Notice // that it tells
}

// wants derives from progress which messages there should be.
func (b *Bot) wants(p rotation.Progress) []wanted {
	var ws []wanted
	add := func(r rotation.Rotation, which, channel string, m message) {
		m.mark(which)
		ws = append(ws, wanted{name: r.ID + "/" + which, channel: channel, message: m})
	}
	for _, r := range p.All() {
		if r.Owner != "" {
			add(r, "owner", string(r.Owner), ownerCard(b.view, r))
		}
		for i := 1; i <= r.Issued+1; i++ {
			which, open := "offer"+strconv.Itoa(i), r.Stage == rotation.Offered && i == r.Issued+1
			if open || p.Posts[r.ID+"/"+which].Known() {
				add(r, which, string(r.Owner), offerMessage(b.view, r, open))
			}
		}
		if channel := b.cfg.Groups[r.Group]; channel != "" {
			add(r, "group", channel, groupCard(b.view, r))
		}
		for i := 1; i <= r.Issued; i++ {
			which := "receipt" + strconv.Itoa(i)
			if m, ok := receipt(b.view, r, i, p.Posts[r.ID+"/"+which].Known()); ok {
				add(r, which, string(r.Owner), m)
			}
		}
		which := "open" + strconv.Itoa(r.Proof.Opened)
		if m, ok := opened(b.view, r, p.Posts[r.ID+"/"+which].Known()); ok && b.reaches(r) != "" {
			add(r, which, b.reaches(r), m)
		}
		for _, ask := range r.Asks {
			add(r, "ask"+strconv.Itoa(ask.Turn), b.cfg.Approvals, approvalCard(b.view, r, ask))
			for _, w := range b.chasing(r, ask, b.permalink(p.Posts[r.ID+"/ask"+strconv.Itoa(ask.Turn)])) {
				add(r, w.name, w.channel, w.message)
			}
			if ask.Stage == rotation.Leaked && b.cfg.OnCall != b.cfg.Approvals {
				add(r, "leak"+strconv.Itoa(ask.Turn), b.cfg.OnCall, approvalCard(b.view, r, ask))
			}
			if ask.Overruled.By != "" && b.reaches(r) != "" {
				add(r, "overruled"+strconv.FormatInt(ask.Overruled.At.Unix(), 10), b.reaches(r), overruledMessage(b.view, r, ask))
			}
		}
		if r.Kind == rotation.Leak && !r.CutOff.IsZero() && b.reaches(r) != "" {
			add(r, "cut"+strconv.FormatInt(r.CutOff.Unix(), 10), b.reaches(r), cutMessage(b.view, r))
		}
		if !r.Disowned.IsZero() {
			add(r, "disowned", b.cfg.OnCall, disownedMessage(b.view, r))
		}
		if slices.ContainsFunc(r.Handovers(), func(h rotation.Handover) bool { return h.Failed != "" }) {
			add(r, "alarm", b.cfg.OnCall, exposedMessage(b.view, r))
		}
	}
	ws = append(ws, b.wantsAccepted(p)...)
	ws = append(ws, b.linkNotice(p)...)
	return append(ws, b.wantsNotices(p)...)
}

// place is where an owner is written to: a group has a channel, which may have gone from the configuration since.
func (b *Bot) place(owner rotation.MemberID) string {
	if owner.IsGroup() {
		return cmp.Or(b.cfg.Groups[rotation.GroupID(owner)], b.cfg.OnCall)
	}
	return string(owner)
}

func noticeName(n rotation.Notice) string {
	return strings.TrimSuffix("notice/"+string(n.Key)+"/"+strconv.Itoa(n.Days)+"/"+string(n.Kind), "/")
}

// receipt is the message below the secret of the i-th key issued, if there should be one: the secret was shown, or the message is there.
func receipt(v view, r rotation.Rotation, i int, there bool) (message, bool) {
	lost := r.New == "" || r.Lost.Key == r.New || !makesKey(r)
	switch {
	case i < r.Issued || lost:
		return overtakenReceipt(r), there
	case r.Handover.Until.IsZero():
		return message{}, false
	}
	return receiptMessage(v, r), true
}

// mark names the message in its buttons, so that a click tells which message it was.
func (m message) mark(which string) {
	for _, block := range m.Blocks {
		if row, ok := block.(*slack.ActionBlock); ok {
			row.BlockID = which
		}
	}
}

// show keeps Slack as the stored progress says, beginning with whatever was left to do before. One process at a time does it, and in it
// one goroutine for each user, so that one whose message has to wait for its turn holds up nobody else's.
func (b *Bot) show(ctx context.Context) error {
	s := showing{bot: b, again: map[string]bool{}, slots: make(chan struct{}, maxShowing)}
	defer s.wait()
	for {
		err := b.cfg.Engine.Live(ctx, func(p rotation.Progress) error {
			s.start(ctx, p.User.ID())
			return ctx.Err()
		})
		if err == nil || ctx.Err() != nil {
			break
		}
		b.log.Error("look for what is to be shown", "err", err)
		sleep(ctx, againSoon)
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
			s.start(ctx, id)
		}
	}
}

// maxShowing is how many users' messages are sent at once; each waits for its turn with Slack, and for the store.
const maxShowing = 8

// showing is which users' messages are being brought up to date.
type showing struct {
	bot   *Bot
	slots chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex
	again map[string]bool // by id of those under way: whether there was another change meanwhile
}

// start brings a user's messages up to date, or notes for whoever does that there is more to do.
func (s *showing) start(ctx context.Context, id string) {
	s.bot.homes.note(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, runs := s.again[id]; runs {
		s.again[id] = true
		return
	}
	s.again[id] = false
	s.wg.Go(func() {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		for more := true; more; more = s.goOn(id) {
			s.bot.showOne(ctx, id)
		}
	})
}

// goOn tells whether there was another change, and forgets the user if not.
func (s *showing) goOn(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := s.again[id]
	if s.again[id] = false; !more {
		delete(s.again, id)
	}
	return more
}

func (s *showing) wait() { s.wg.Wait() }

// coalesce is how long changes are gathered before they are shown.
const coalesce = 150 * time.Millisecond

// again is when a message that could not be sent is tried again: soon if the failure may pass, later if somebody must mend it.
const (
	againSoon  = 5 * time.Second
	againLater = 5 * time.Minute
)

// showOne brings one user's messages up to date, and comes back to those that fail: once for each user, however often it fails.
func (b *Bot) showOne(ctx context.Context, id string) {
	failed := map[string]bool{}
	var wait time.Duration
	for ctx.Err() == nil {
		p, err := b.cfg.Engine.Get(ctx, id)
		if err != nil {
			b.log.Error("read progress to show it", "id", id, "err", err)
			b.comeBack(id, againSoon)
			return
		}
		act := b.firstToDo(p, failed)
		if act.do == nil {
			break
		}
		err = act.do(ctx)
		if err == nil || errors.Is(err, rotation.ErrConflict) {
			continue
		}
		failed[act.name] = true
		again := againAfter(err)
		if wait == 0 || again < wait {
			wait = again
		}
		if ctx.Err() == nil && !errors.Is(err, errCarried) {
			b.log.Error("show progress", "user", p.User.String(), "what", act.name, "again_in", again, "err", err)
		}
	}
	if wait > 0 {
		b.comeBack(id, wait)
	}
}

// toDo is the next thing that brings a user's messages nearer to what they should be; without do, there is none.
type toDo struct {
	name string
	do   func(context.Context) error
}

// firstToDo finds a message that is missing or says something else, a secret that must go, or, if nothing of that is left, the mark that
// something was owed. What has failed in this round is left for the next.
func (b *Bot) firstToDo(p rotation.Progress, failed map[string]bool) toDo {
	for _, w := range b.wants(p) {
		post, there := p.Posts[w.name]
		switch {
		case failed[w.name] || post.Known() && post.Shown == w.message.hash():
		case there && post.Known():
			return toDo{w.name, func(ctx context.Context) error { return b.editCard(ctx, p, w, post) }}
		case w.notice != nil:
			return toDo{w.name, func(ctx context.Context) error { return b.sendNotice(ctx, p, w) }}
		default:
			return toDo{w.name, func(ctx context.Context) error { return b.send(ctx, p, w) }}
		}
	}
	for _, r := range p.All() {
		for _, h := range r.Handovers() {
			if h.Due(b.now()) && !failed[h.Post.TS] && !b.now().Before(b.mayRemove(h.Post.TS, time.Time{})) {
				return toDo{h.Post.TS, func(ctx context.Context) error { return b.removeSecret(ctx, p, r.ID, h.Post) }}
			}
		}
	}
	if act := b.nextList(p, failed); act.do != nil {
		return act
	}
	if w, ok := b.nextReply(p); ok && !failed[w.name] {
		return toDo{w.name, func(ctx context.Context) error { return b.send(ctx, p, w) }}
	}
	if p.Owed && len(failed) == 0 {
		return toDo{"owed", func(ctx context.Context) error {
			p.Owed, p.Posts = false, b.wantedPosts(p)
			_, err := b.cfg.Engine.Keep(ctx, p)
			return err
		}}
	}
	return toDo{}
}

// wantedPosts are the posts of the messages that there should be: what has left the progress, such as an old ask, is edited no more.
func (b *Bot) wantedPosts(p rotation.Progress) map[string]rotation.Post {
	posts := map[string]rotation.Post{}
	for _, w := range b.wants(p) {
		if post, ok := p.Posts[w.name]; ok {
			posts[w.name] = post
		}
	}
	return posts
}

// againAfter is when what failed is tried again: soon if the failure may pass, later if somebody must mend it, and when it is settled
// if it is not known whether it did.
func againAfter(err error) time.Duration {
	if open, ok := errors.AsType[*unsettled](err); ok {
		return open.wait
	}
	if errors.Is(err, rotation.ErrNotTold) || errors.Is(err, errCarried) {
		return againLater
	}
	switch rotation.ClassOf(err) {
	case rotation.ClassRefused, rotation.ClassDenied, rotation.ClassInvalid:
		return againLater
	}
	return againSoon
}

// comeBack has a user's messages looked at again after a time, unless that happens sooner anyway.
func (b *Bot) comeBack(id string, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := time.Now().Add(wait)
	earlier, ok := b.again[id]
	if ok && time.Now().Before(earlier.at) && !at.Before(earlier.at) {
		return
	}
	if ok {
		earlier.timer.Stop()
	}
	b.again[id] = appointment{at, time.AfterFunc(wait, func() { b.cfg.Engine.Touch(id) })}
}

// appointment is when a user's messages are looked at again.
type appointment struct {
	at    time.Time
	timer *time.Timer
}

// note writes what has been sent or removed, with some patience, and even while the process stops: otherwise it would be sent again.
func (b *Bot) note(ctx context.Context, id string, fn func(*rotation.Progress)) (rotation.Progress, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	for try := 1; ; try++ {
		p, err := b.cfg.Engine.Note(ctx, id, fn)
		if err == nil || try == noteTries || ctx.Err() != nil {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, err
		case <-time.After(time.Second << (try - 1)):
		}
	}
}

const (
	noteTime  = 10 * time.Second
	noteTries = 3
)

// repair takes up a message that the store does not know of, when somebody clicks in it: its post's answer was lost. A second copy of
// a message is taken away.
func (b *Bot) repair(ctx context.Context, ref rotation.Ref, channel, ts, which string) {
	if channel == "" || ts == "" || !markPattern.MatchString(which) {
		return
	}
	name := ref.ID + "/" + which
	p, err := b.cfg.Engine.Get(ctx, ref.UserDoc())
	if err != nil {
		return // the action itself says what is wrong
	}
	at := p.Posts[name]
	switch {
	case at.TS == ts:
	case at.Known():
		if err := b.cfg.Outbox.remove(ctx, rotation.Post{Channel: channel, TS: ts}); err != nil {
			b.log.Warn("remove the second copy of a message", "message", name, "err", err)
		}
	default:
		_, err := b.note(ctx, ref.UserDoc(), func(p *rotation.Progress) {
			_, ours := p.Find(ref.ID)
			if _, exemption := p.FindExemption(ref.ID); !ours && !exemption || p.Posts[name].Known() {
				return
			}
			if p.Posts == nil {
				p.Posts = map[string]rotation.Post{}
			}
			p.Posts[name], p.Owed = rotation.Post{Channel: channel, TS: ts}, true
		})
		if err != nil {
			b.log.Warn("take up a message", "message", name, "err", err)
			return
		}
		b.cfg.Engine.Touch(ref.UserDoc())
	}
}

// markPattern is what mark writes into buttons.
var markPattern = regexp.MustCompile(`^(owner|group|alarm|disowned|exempt|exempted|exemptedasker|(ask|receipt|open|offer|leak|cut)[0-9]{1,6})$`)
