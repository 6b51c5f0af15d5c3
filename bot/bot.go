package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

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
	Approvals string // channel id of the approvals channel
	OnCall    string // channel id of the on-call channel
	// Scan and Digest give the next time after t at which the scan and the digest are due.
	Scan, Digest func(t time.Time) time.Time
	Location     *time.Location   // of the ISO week of a digest; nil: UTC
	Now          func() time.Time // nil: time.Now
	Logger       *slog.Logger     // nil: discard
}

// Bot answers people and shows them what is stored.
type Bot struct {
	cfg    Config
	now    func() time.Time
	log    *slog.Logger
	view   view
	holder string // names this process in claims
	wake   chan struct{}

	// These belong to the goroutine that shows.
	again       map[string]*time.Timer // appointments with users whose messages could not be shown
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
	return &Bot{
		cfg: cfg, now: cfg.Now, log: cfg.Logger, view: cfg.Outbox.view, holder: rand.Text(), wake: make(chan struct{}, 1),
		again: map[string]*time.Timer{}, removeAgain: map[string]time.Time{},
	}, nil
}

// Check makes sure that the tokens work and that both channels can be posted in, and says what to do if not.
func (b *Bot) Check(ctx context.Context) error {
	auth, err := b.cfg.Slack.AuthTestContext(ctx)
	if err != nil {
		return fmt.Errorf("check the bot token with Slack: %w; put a valid one (xoxb-…) in SLACK_BOT_TOKEN", err)
	}
	b.cfg.People.setTeam(auth.TeamID)
	for what, id := range map[string]string{"approvals": b.cfg.Approvals, "on-call": b.cfg.OnCall} {
		channel, err := b.cfg.Slack.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
		switch {
		case err != nil:
			return fmt.Errorf("look up the %s channel %s: %w; give the id of a channel that the app is in", what, id, err)
		case !channel.IsMember:
			return fmt.Errorf("the app is not in the %s channel #%s: invite it there with /invite", what, channel.Name)
		case channel.IsExtShared:
			return fmt.Errorf("the %s channel #%s is shared with another company: choose one that is not", what, channel.Name)
		}
	}
	return nil
}

// Run serves until ctx ends: the socket, the outbox and the schedules. It returns after the clicks under way are answered.
func (b *Bot) Run(ctx context.Context) error {
	if err := b.Check(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.listen(ctx) })
	g.Go(func() error { return b.show(ctx) })
	g.Go(func() error { return b.keepSchedules(ctx) })
	err := g.Wait()
	b.work.Wait()
	return err
}

// Wake makes the schedules look at the clock at once, after a leap of it.
func (b *Bot) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
