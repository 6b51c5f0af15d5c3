package bot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"

	"github.com/keyturner/keyturner/rotation"
)

// Config is what a Bot works with. Every field is required unless it says what its zero value means.
type Config struct {
	Slack     *slack.Client // with the bot token and the app-level token
	Engine    *rotation.Engine
	Outbox    *Outbox
	People    *People
	Approvals string                      // channel id of the approvals channel
	OnCall    string                      // channel id of the on-call channel
	Groups    map[rotation.GroupID]string // channel ids of the user groups that own IAM users; may be nil
	// Scan and Digest give the next time after t at which the scan and the digest are due.
	Scan, Digest func(t time.Time) time.Time
	// Listing writes everything a survey has found as a file; nil: there is none.
	Listing  func(w io.Writer, s rotation.Survey) error
	Sinks    []Sink            // where the digest goes beside Slack
	Location *time.Location    // of the ISO week of a digest; nil: UTC
	Dialer   *websocket.Dialer // opens the sockets; nil: one that goes through the environment's proxy
	Now      func() time.Time  // nil: time.Now
	Logger   *slog.Logger      // nil: discard
}

// Bot answers people and shows them what is stored.
type Bot struct {
	cfg  Config
	now  func() time.Time
	log  *slog.Logger
	view view
	wake chan struct{}

	counts tally
	links  [sockets]*link
	inbox  *inbox
	frames chan delivery // read and not looked at yet
	// events are what is done when something happens in the workspace, by Slack's name of it. What is not here is acknowledged, and
	// left.
	events map[string]func(context.Context, caller, letter)

	homes     *homes
	forms     forms  // in which somebody chooses
	workspace string // the address of our own, for links to messages; set by Check

	mu          sync.Mutex
	again       map[string]appointment // with users whose messages could not be shown
	removeAgain map[string]time.Time   // when a secret's message that could not be removed is tried again, by its timestamp

	work sync.WaitGroup
}

// New checks the configuration. It makes no call and starts nothing.
func New(cfg Config) (*Bot, error) {
	if cfg.Slack == nil || cfg.Engine == nil || cfg.Outbox == nil || cfg.People == nil {
		return nil, errors.New("make bot: a Slack client, an engine, an outbox and people are required")
	}
	if cfg.Approvals == "" || cfg.OnCall == "" || cfg.Scan == nil || cfg.Digest == nil {
		return nil, errors.New("make bot: both channels and both schedules are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	b := &Bot{
		cfg: cfg, now: cfg.Now, log: cfg.Logger, view: cfg.Outbox.view, wake: make(chan struct{}, 1),
		frames: make(chan delivery, maxRead), inbox: newInbox(),
		again: map[string]appointment{}, removeAgain: map[string]time.Time{}, homes: newHomes(),
	}
	b.events = map[string]func(context.Context, caller, letter){"app_home_opened": b.homeOpened}
	for i := range b.links {
		b.links[i] = newLink(linkConfig{
			api: cfg.Slack, dialer: cfg.Dialer, log: b.log, counts: &b.counts, take: b.take, delay: time.Duration(i) * apart,
		})
	}
	return b, nil
}

// Check makes sure that the tokens work and that both channels can be posted in, and says what to do if not.
func (b *Bot) Check(ctx context.Context) error {
	auth, err := b.cfg.Slack.AuthTestContext(ctx)
	if err != nil {
		return advised("check the bot token with Slack", err, "put a valid one (xoxb-…) in SLACK_BOT_TOKEN")
	}
	b.cfg.People.setTeam(auth.TeamID)
	b.workspace = auth.URL
	channels := map[string]string{"approvals": b.cfg.Approvals, "on-call": b.cfg.OnCall}
	for group, id := range b.cfg.Groups {
		channels["group "+string(group)] = id
	}
	for what, id := range channels {
		channel, err := b.cfg.Slack.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
		switch {
		case err != nil:
			return advised(fmt.Sprintf("look up the %s channel %s", what, id), err, "give the id of a channel that the app is in")
		case !channel.IsMember:
			return fmt.Errorf("the app is not in the %s channel #%s: invite it there with /invite", what, channel.Name)
		case channel.IsExtShared:
			return fmt.Errorf("the %s channel #%s is shared with another company: choose one that is not", what, channel.Name)
		}
	}
	return nil
}

// advised says what to do about a failed call, unless it may pass by itself.
func advised(op string, err error, advice string) error {
	if err = classify(op, err); mayPass(err) {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

// slowestCheck is the longest wait between two attempts to begin while Slack cannot be reached.
const slowestCheck = time.Minute

// begin checks until Slack has answered.
func (b *Bot) begin(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, slowestCheck) {
		err := b.Check(ctx)
		call, outside := errors.AsType[*rotation.CallError](err)
		if ctx.Err() != nil || !outside || !mayPass(call) {
			return err
		}
		b.log.Error("cannot ask Slack yet", "again_in", wait, "err", err)
		sleep(ctx, wait)
	}
}

// Run serves until ctx ends: the sockets, the outbox and the schedules. It returns after the clicks under way are answered. It can be
// called once.
func (b *Bot) Run(ctx context.Context) error {
	if err := b.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.listen(ctx) })
	g.Go(func() error { return b.cfg.Engine.Lead(ctx, rotation.LeadClaim, b.lead) })
	err := g.Wait()
	b.work.Wait()
	return err
}

// lead does what one process at a time does: it sends what is owed, and keeps the schedules.
func (b *Bot) lead(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.show(ctx) })
	g.Go(func() error { return b.keepHomes(ctx) })
	g.Go(func() error { return b.keepSchedules(ctx) })
	return g.Wait()
}

// Wake makes the schedules look at the clock at once, after a leap of it.
func (b *Bot) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
