package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"

	"github.com/keyturner/keyturner/bot"
	"github.com/keyturner/keyturner/cmd/keyturner/listing"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/store"
)

// Options is all that the program runs on. The product fills it from its file and environment, the sandbox from its simulators.
type Options struct {
	Config   Config
	AppToken string           // xapp-…
	BotToken string           // xoxb-…
	SlackURL string           // of the Web API, with a slash at its end; empty: Slack's own
	Health   string           // address of the health endpoints; empty: none
	AWS      *aws.Config      // nil: the SDK's usual chain
	AWSPace  float64          // calls a second that change nothing, in each account; 0: what AWS is known to bear
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: discard
	Sinks    []bot.Sink       // where the digest goes beside Slack
	Version  string           // of the program

	// These are for running inside a test's own network.
	Store       store.Closer      // nil: the one that Config names
	SlackHTTP   http.RoundTripper // nil: http.DefaultTransport
	SlackDialer *websocket.Dialer // nil: the bot's own
}

// slackTimeout bounds one call to Slack.
const slackTimeout = 15 * time.Second

// App is the wired program.
type App struct {
	store    store.Closer
	accounts []*awsiam.Account
	engine   *rotation.Engine
	bot      *bot.Bot
	health   string
	log      *slog.Logger
}

// New opens the store and wires everything round it. It does not call Slack, and AWS only to list the accounts of an organization, without
// which there would be accounts that nobody looks after. Close it after Run.
//
// It is one straight line on purpose: who gets what can be read from top to bottom.
func New(ctx context.Context, o Options) (*App, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	cfg := o.Config
	if o.AWS == nil {
		loaded, err := awsiam.LoadAWS(ctx)
		if err != nil {
			return nil, err
		}
		o.AWS = &loaded
	}
	roster := newRoster(o)
	domain, err := roster.read(ctx)
	if err != nil {
		return nil, err
	}
	traced := map[string]bool{} // which takes more than an organization tells of its accounts
	for _, a := range cfg.Accounts {
		traced[a.ID] = len(a.TrailRegions) > 0
	}

	slackOptions := []slack.Option{
		slack.OptionAppLevelToken(o.AppToken), slack.OptionHTTPClient(&http.Client{Timeout: slackTimeout, Transport: o.SlackHTTP}),
	}
	if o.SlackURL != "" {
		slackOptions = append(slackOptions, slack.OptionAPIURL(o.SlackURL))
	}
	api := slack.New(o.BotToken, slackOptions...)

	kept, err := o.open()
	if err != nil {
		return nil, err
	}
	if err := store.Usable(ctx, kept); err != nil {
		return nil, errors.Join(fmt.Errorf("use the store %s: %w", cfg.Store, err), kept.Close())
	}
	a := &App{store: kept, health: o.Health, log: o.Logger}

	for _, account := range domain {
		a.accounts = append(a.accounts, roster.opened[account.ID])
	}

	policy := cfg.findings()
	people := &bot.People{Slack: api, Approvers: members(cfg.Slack.Approvers), OnCall: members(cfg.Slack.Oncall), Now: o.Now}
	outbox := bot.NewOutbox(bot.OutboxConfig{
		Slack: api, People: people, Accounts: roster.called, OwnerTag: cfg.Owners.Tag, Policy: policy, Approvals: cfg.Approval, Traced: traced, Now: o.Now,
	})
	a.engine, err = rotation.New(rotation.Config{
		Store:    kept,
		Shared:   kept.Shared(),
		Accounts: domain,
		Members:  roster.anew(),
		Hand:     outbox,
		Policy:   policy,
		Terms: rotation.Terms{
			Quiet: cfg.Policy.Quiet, Grace: cfg.Policy.Grace, Expires: cfg.Policy.ApprovalExpires, Visible: cfg.Policy.SecretVisible,
		},
		Owners:     owners(cfg.Owners, people),
		Approvals:  cfg.Approval,
		Approvers:  people.Approvers,
		Directory:  people,
		Zone:       people.Zone,
		Location:   cfg.Timezone,
		Exemptions: exemptions(cfg.Exemptions),
		Now:        o.Now,
		Logger:     o.Logger,
	})
	if err == nil {
		a.bot, err = bot.New(bot.Config{
			Slack: api, Engine: a.engine, Outbox: outbox, People: people, Dialer: o.SlackDialer,
			Approvals: cfg.Slack.ApprovalsChannel, OnCall: cfg.Slack.OncallChannel, Groups: groupChannels(cfg.Owners),
			Scan: cfg.Schedule.Scan.Next, Digest: cfg.Schedule.Digest.Next, Location: cfg.Timezone,
			Sinks: o.Sinks, Listing: func(w io.Writer, s rotation.Survey) error {
				return listing.OfSurvey(s, listing.Clerk{Policy: policy, Names: roster.called(), Version: o.Version}).CSV(w)
			},
			Now: o.Now, Logger: o.Logger,
		})
	}
	if err != nil {
		return nil, errors.Join(err, kept.Close())
	}
	return a, nil
}

func (o Options) open() (store.Closer, error) {
	if o.Store != nil {
		return o.Store, nil
	}
	return store.Config{Logger: o.Logger, AWS: o.AWS}.Open(o.Config.Store)
}

// Run serves until ctx ends, and returns after what was under way has been carried through. An account that cannot be reached, or
// whose credentials belong to another one, is logged and named in the digest; the others are served.
func (a *App) Run(ctx context.Context) error {
	for _, account := range a.accounts {
		if err := account.Check(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("an account cannot be served", "err", err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.engine.Run(ctx) })
	g.Go(func() error { return a.bot.Run(ctx) })
	if a.health != "" {
		g.Go(func() error { return a.serveHealth(ctx) })
	}
	return g.Wait()
}

// Wake makes everything look at the clock at once, after a leap of it.
func (a *App) Wake() {
	a.engine.Wake()
	a.bot.Wake()
}

// Close closes the store.
func (a *App) Close() error {
	if err := a.store.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

func members(ids []string) []rotation.MemberID {
	var ms []rotation.MemberID
	for _, id := range ids {
		ms = append(ms, rotation.MemberID(id))
	}
	return ms
}

func owners(o Owners, people *bot.People) rotation.Owners {
	links := map[rotation.UserRef]rotation.MemberID{}
	for name, m := range o.Links {
		if u, err := rotation.ParseUserRef(name); err == nil {
			links[u] = rotation.MemberID(m)
		}
	}
	var groups []rotation.GroupID
	for _, g := range slices.Sorted(maps.Keys(o.Groups)) {
		groups = append(groups, rotation.GroupID(g))
	}
	return rotation.Owners{
		Tag: o.Tag, Links: links, Team: people.Team, MailTag: o.EmailTag, MailNames: o.EmailNames, Mail: people, Groups: groups, Members: people.Group,
	}
}

func groupChannels(o Owners) map[rotation.GroupID]string {
	channels := map[rotation.GroupID]string{}
	for g, channel := range o.Groups {
		channels[rotation.GroupID(g)] = channel
	}
	return channels
}

func exemptions(xs map[string]Exemption) map[rotation.UserRef]rotation.Exemption {
	byUser := map[rotation.UserRef]rotation.Exemption{}
	for name, x := range xs {
		if u, err := rotation.ParseUserRef(name); err == nil {
			byUser[u] = rotation.Exemption{Reason: x.Reason, Until: x.Until}
		}
	}
	return byUser
}
