package bot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// homes knows whose Home tabs are kept up to date: of those who have opened theirs. That they have is kept in the store, as a claim that
// nobody holds, so that whichever process leads brings them up to date.
type homes struct {
	signal chan struct{}

	mu      sync.Mutex
	changed map[string]bool // ids of progress
	opened  map[rotation.MemberID]look
	held    map[rotation.MemberID]keysRead
}

// look is what was found when the store was asked whether a member has opened their Home tab.
type look struct {
	at     time.Time
	opened bool
}

// keysRead are a member's users as they were read.
type keysRead struct {
	at   time.Time
	held []rotation.Holding
	err  error
}

func newHomes() *homes {
	return &homes{
		signal: make(chan struct{}, 1), changed: map[string]bool{},
		opened: map[rotation.MemberID]look{}, held: map[rotation.MemberID]keysRead{},
	}
}

const (
	homePause  = 5 * time.Second  // in which changes are gathered
	openedFor  = time.Minute      // how long it is believed that somebody has not opened their Home tab
	heldAnew   = time.Minute      // a tab that is opened shows keys no older than this
	heldFor    = 30 * time.Minute // and one that is brought up to date, than this
	homeClaims = "home/"          // and the member's id
)

// note has the Home tabs of those who are concerned brought up to date soon.
func (h *homes) note(id string) {
	h.mu.Lock()
	h.changed[id] = true
	h.mu.Unlock()
	select {
	case h.signal <- struct{}{}:
	default:
	}
}

func (h *homes) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := slices.Sorted(maps.Keys(h.changed))
	clear(h.changed)
	return ids
}

// homeOpened shows a member their Home tab, and remembers that they look at it.
func (b *Bot) homeOpened(ctx context.Context, who caller, l letter) {
	if err := b.publishHome(ctx, l.Member, heldAnew); err != nil {
		b.log.Error("show a Home tab", "member", string(l.Member), "err", err)
		*who.unanswered = mayPass(err)
		return
	}
	_, err := b.cfg.Engine.Claim(ctx, rotation.Claim{Name: homeClaims + string(l.Member)})
	if err != nil && !errors.Is(err, rotation.ErrConflict) {
		b.log.Error("remember that a Home tab is looked at", "member", string(l.Member), "err", err)
		return
	}
	b.homes.mu.Lock()
	defer b.homes.mu.Unlock()
	b.homes.opened[l.Member] = look{b.now(), true}
}

// keepHomes brings the Home tabs up to date when something changes.
func (b *Bot) keepHomes(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.homes.signal:
		}
		if !sleep(ctx, homePause) {
			return nil
		}
		for _, m := range b.concerned(ctx, b.homes.take()) {
			if !b.hasOpened(ctx, m) {
				continue
			}
			if err := b.publishHome(ctx, m, heldFor); err != nil && ctx.Err() == nil {
				b.log.Warn("bring a Home tab up to date", "member", string(m), "err", err) // the next change, or opening it, shows it
			}
		}
	}
}

// concerned lists whose Home tabs a change may alter: the owners and requesters, and all who may decide or are on call.
func (b *Bot) concerned(ctx context.Context, ids []string) []rotation.MemberID {
	if len(ids) == 0 {
		return nil
	}
	members := slices.Concat(b.cfg.People.Approvers, b.cfg.People.OnCall)
	for _, id := range ids {
		p, err := b.cfg.Engine.Get(ctx, id)
		if err == nil && p.Rotation != nil {
			members = append(members, p.Rotation.Owner, p.Rotation.Requester)
			members = append(members, b.inGroups(ctx, *p.Rotation)...)
		}
		for _, x := range p.Exemptions {
			members = append(members, x.Owner, x.Requester)
		}
		for _, s := range p.Snoozes {
			members = append(members, s.Owner)
		}
	}
	slices.Sort(members)
	return slices.Compact(members)
}

// hasOpened tells whether a member has ever opened their Home tab. If that cannot be read, it is not brought up to date.
func (b *Bot) hasOpened(ctx context.Context, m rotation.MemberID) bool {
	b.homes.mu.Lock()
	seen := b.homes.opened[m]
	b.homes.mu.Unlock()
	if seen.opened || !seen.at.IsZero() && b.now().Sub(seen.at) < openedFor {
		return seen.opened
	}
	_, err := b.cfg.Engine.Claimed(ctx, homeClaims+string(m))
	if err != nil && !errors.Is(err, rotation.ErrNotFound) {
		return false
	}
	b.homes.mu.Lock()
	defer b.homes.mu.Unlock()
	b.homes.opened[m] = look{b.now(), err == nil}
	return err == nil
}

// publishHome shows a member their Home tab as things are, with keys that were read no longer ago than maxAge.
func (b *Bot) publishHome(ctx context.Context, m rotation.MemberID, maxAge time.Duration) error {
	v, err := b.homeOf(ctx, m, maxAge)
	if err != nil {
		return err
	}
	_, err = b.cfg.Slack.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: string(m), View: v})
	return classify("publish a Home tab", err)
}

func (b *Bot) homeOf(ctx context.Context, m rotation.MemberID, maxAge time.Duration) (slack.HomeTabViewRequest, error) {
	actor, err := b.cfg.People.Actor(ctx, m)
	if refusal, refused := errors.AsType[*rotation.Refusal](err); refused {
		return homeRefused(refusalText(b.view, refusal)), nil
	}
	if err != nil {
		return slack.HomeTabViewRequest{}, err
	}
	h := home{actor: actor, link: b.permalink}
	var read bool
	h.groups, read = b.groupsOf(ctx, m)
	h.unread = !read
	accepted := map[string]rotation.Progress{}
	err = b.cfg.Engine.Each(ctx, func(p rotation.Progress) error {
		_, runs := p.Running()
		h.note(p, accepted)
		switch {
		case runs:
			h.running = append(h.running, p)
		case p.Rotation != nil && p.Rotation.Owner == m && b.now().Sub(p.Rotation.Since) < recentlyEnded:
			h.ended = append(h.ended, p)
		}
		return nil
	})
	if err != nil {
		return slack.HomeTabViewRequest{}, err
	}
	h.held, h.heldErr = b.heldBy(ctx, m, maxAge)
	h.bring(accepted, b.now())
	if actor.OnCall || actor.Approver {
		h.found, h.foundErr = b.foundNow(ctx)
		h.digest = b.latestDigest(ctx)
	}
	if h.foundErr != nil {
		b.log.Error("show a Home tab", "member", string(m), "err", h.foundErr)
	}
	return homeView(b.cfg.Outbox.today(), h), nil
}

// recentlyEnded is how long a Home tab tells of a rotation that has ended.
const recentlyEnded = 30 * 24 * time.Hour

// heldBy reads what a member owns, or returns what was read not long ago.
func (b *Bot) heldBy(ctx context.Context, m rotation.MemberID, maxAge time.Duration) ([]rotation.Holding, error) {
	b.homes.mu.Lock()
	seen, ok := b.homes.held[m]
	b.homes.mu.Unlock()
	if age := b.now().Sub(seen.at); ok && seen.err == nil && age >= 0 && age < maxAge {
		return seen.held, nil
	}
	held, err := b.cfg.Engine.Owned(ctx, m)
	b.homes.mu.Lock()
	defer b.homes.mu.Unlock()
	b.homes.held[m] = keysRead{b.now(), held, err}
	return held, err
}

// permalink is the address of a message; empty if the workspace's own address is not known.
func (b *Bot) permalink(p rotation.Post) string {
	if b.workspace == "" || !p.Known() {
		return ""
	}
	return strings.TrimSuffix(b.workspace, "/") + "/archives/" + p.Channel + "/p" + strings.ReplaceAll(p.TS, ".", "")
}
