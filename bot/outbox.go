package bot

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"github.com/keyturner/keyturner/rotation"
)

// OutboxConfig is what an Outbox works with. Every field is required unless it says what its zero value means.
type OutboxConfig struct {
	Slack    *slack.Client
	People   *People
	Accounts func() map[string]string // each account's name by its id, as they are now; nil: none
	OwnerTag string                   // the IAM user tag that names an owner
	Policy   rotation.Policy
	// Approvals are the rules, as the engine has them; may be empty.
	Approvals []rotation.Approval
	Traced    map[string]bool  // the accounts whose trail of calls the engine can read; nil: none
	Now       func() time.Time // nil: time.Now
}

// Outbox is the one place where messages leave for Slack: paced per channel, with every failure classified. It hands secrets over,
// and is so the engine's rotation.Hand.
type Outbox struct {
	slack  *slack.Client
	people *People
	view   view
	now    func() time.Time

	mu    sync.Mutex
	paces map[string]*rate.Limiter
}

var _ rotation.Hand = (*Outbox)(nil)

// NewOutbox makes an outbox. It makes no call.
func NewOutbox(cfg OutboxConfig) *Outbox {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Outbox{
		slack: cfg.Slack, people: cfg.People, now: cfg.Now, paces: map[string]*rate.Limiter{},
		view: view{
			accounts: cfg.Accounts, approvals: rotation.NewApprovals(cfg.Approvals, cfg.People.Approvers),
			traced: cfg.Traced, ownerTag: cfg.OwnerTag, policy: cfg.Policy,
		},
	}
}

// today is the view for what is sent once and may speak of now.
func (o *Outbox) today() view {
	v := o.view
	v.now = o.now()
	return v
}

// Slack takes about one new message a second in a channel, several hundred a minute in a workspace, and about fifty edits, deletions
// or looks at a channel's history a minute in a workspace, and lets short bursts pass (https://docs.slack.dev/apis/web-api/rate-limits).
var paces = map[string]struct {
	each  time.Duration
	burst int
}{
	"post in a channel": {time.Second, 4},
	"post":              {time.Minute / 200, 20},
	"edit":              {time.Minute / 50, 25},
	"delete":            {time.Minute / 50, 25},
	"look for":          {time.Minute / 50, 10},
}

// pace waits until the call may be made: one limiter for each way of calling, and for posting one more in each channel.
func (o *Outbox) pace(ctx context.Context, way, channel string) error {
	if way == "post" {
		if err := o.limiter("post in a channel", channel).Wait(ctx); err != nil {
			return err
		}
	}
	return o.limiter(way, "").Wait(ctx)
}

func (o *Outbox) limiter(way, channel string) *rate.Limiter {
	o.mu.Lock()
	defer o.mu.Unlock()
	limiter, ok := o.paces[way+channel]
	if !ok {
		limiter = rate.NewLimiter(rate.Every(paces[way].each), paces[way].burst)
		o.paces[way+channel] = limiter
	}
	return limiter
}

// maxWaits bounds how often one message waits out Slack's Retry-After before it is left for a later round.
const maxWaits = 3

// paced makes one call that posts, waiting as Slack asks.
func (o *Outbox) paced(ctx context.Context, way, channel string, call func() error) error {
	op := way + " a message"
	for waits := 0; ; waits++ {
		if err := o.pace(ctx, way, channel); err != nil { // nothing was sent
			return &rotation.CallError{Op: op, Class: rotation.ClassThrottled, Code: "paced", Err: err}
		}
		err := call()
		limited, ok := errors.AsType[*slack.RateLimitedError](err)
		if !ok || waits >= maxWaits {
			return classify(op, err)
		}
		select {
		case <-ctx.Done():
			return classify(op, err)
		case <-time.After(limited.RetryAfter):
		}
	}
}

// post sends a new message, which carries the nonce. To a member's id, it goes to their DM with the app; the Post holds the DM's own id.
func (o *Outbox) post(ctx context.Context, channel string, m message, nonce string) (rotation.Post, error) {
	sent := rotation.Post{Shown: m.hash()}
	options := append(m.options(), slack.MsgOptionMetadata(slack.SlackMetadata{
		EventType: nonceEvent, EventPayload: map[string]any{nonceField: nonce},
	}))
	err := o.paced(ctx, "post", channel, func() (err error) {
		sent.Channel, sent.TS, err = o.slack.PostMessageContext(ctx, channel, options...)
		return err
	})
	return sent, err
}

// The nonce stands in a message's metadata. Every app and member of the workspace can read it there
// (https://docs.slack.dev/messaging/message-metadata): it says nothing.
const (
	nonceEvent = "keyturner_message"
	nonceField = "nonce"
)

// maxPages bounds how far back a message is looked for.
const maxPages = 10

// find looks for a message whose post was not answered. Without one, sure tells whether it certainly is not there; in a DM, and without the
// scope to read the channel's history, nobody can tell. What a found message says is not known.
func (o *Outbox) find(ctx context.Context, channel string, mark rotation.Post) (found rotation.Post, sure bool, err error) {
	if !readable(channel) {
		return rotation.Post{}, false, nil
	}
	q := slack.GetConversationHistoryParameters{
		ChannelID: channel, Limit: 200, IncludeAllMetadata: true,
		Oldest: strconv.FormatInt(mark.At.Add(-clockSkew).Unix(), 10) + ".000000",
	}
	for range maxPages {
		var page *slack.GetConversationHistoryResponse
		err := o.paced(ctx, "look for", channel, func() (err error) {
			page, err = o.slack.GetConversationHistoryContext(ctx, &q)
			return err
		})
		if err != nil && rotation.ClassOf(err) == rotation.ClassDenied {
			return rotation.Post{}, false, nil
		}
		if err != nil {
			return rotation.Post{}, false, err
		}
		for _, m := range page.Messages {
			if m.Metadata.EventType == nonceEvent && m.Metadata.EventPayload[nonceField] == mark.Nonce {
				return rotation.Post{Channel: channel, TS: m.Timestamp}, true, nil
			}
		}
		if !page.HasMore {
			return rotation.Post{}, true, nil
		}
		q.Cursor = page.ResponseMetaData.NextCursor
	}
	return rotation.Post{}, false, nil
}

// readable tells whether what stands in a channel may be read: not in a DM, which is named by its member.
func readable(channel string) bool {
	return strings.HasPrefix(channel, "C") || strings.HasPrefix(channel, "G")
}

// clockSkew is how far Slack's clock, which stamps messages, may be behind ours.
const clockSkew = 5 * time.Minute

// edit replaces what a message says.
func (o *Outbox) edit(ctx context.Context, p rotation.Post, m message) (rotation.Post, error) {
	err := o.paced(ctx, "edit", p.Channel, func() error {
		_, _, _, err := o.slack.UpdateMessageContext(ctx, p.Channel, p.TS, m.options()...)
		return err
	})
	p.Shown = m.hash()
	return p, err
}

// remove deletes a message. One that is not there any more is deleted.
func (o *Outbox) remove(ctx context.Context, p rotation.Post) error {
	err := o.paced(ctx, "delete", p.Channel, func() error {
		_, _, err := o.slack.DeleteMessageContext(ctx, p.Channel, p.TS)
		return err
	})
	if rotation.ClassOf(err) == rotation.ClassGone && err != nil {
		return nil
	}
	return err
}

// removeSecret deletes the message with a secret. Where Slack does not let messages be deleted, the secret is at least taken out of it.
func (o *Outbox) removeSecret(ctx context.Context, p rotation.Post) error {
	err := o.remove(ctx, p)
	if err == nil || rotation.ClassOf(err) != rotation.ClassRefused {
		return err
	}
	if _, edited := o.edit(ctx, p, removedSecret()); edited != nil {
		return edited
	}
	return nil
}

// Prepare makes sure that the owner is an active member, and posts the message that will show them the secret, if one will.
func (o *Outbox) Prepare(ctx context.Context, r rotation.Rotation) (rotation.Post, error) {
	if _, err := o.people.Actor(ctx, cmp.Or(r.Collects, r.Owner)); err != nil {
		if _, refused := errors.AsType[*rotation.Refusal](err); refused {
			return rotation.Post{}, &rotation.CallError{Op: "reach the owner", Class: rotation.ClassRefused, Code: "not_an_active_member", Err: err}
		}
		return rotation.Post{}, err
	}
	switch {
	case r.Delivery.InAWS():
		return rotation.Post{}, nil
	case r.Delivery.Mode == rotation.Reveal && r.Modal == "":
		return rotation.Post{}, errNoWindow()
	case r.Delivery.Mode == rotation.Reveal:
		return rotation.Post{}, o.showIn(ctx, r.Modal, revealAhead())
	case r.Delivery.Mode == rotation.Sealed:
		if _, err := sealer(r); err != nil {
			return rotation.Post{}, err
		}
	}
	if r.Handover.Waits() {
		return r.Handover.Post, nil
	}
	post, err := o.post(ctx, string(r.Owner), secretAhead(o.today(), r), rand.Text())
	post.Shown = ""
	return post, err
}

// HandOver puts the secret into the message that was prepared for it, in its blocks and nowhere else. No digest of the content is kept:
// it would be a digest of the secret.
func (o *Outbox) HandOver(ctx context.Context, r rotation.Rotation, key rotation.KeyID, secret rotation.Secret) error {
	if r.Delivery.Mode == rotation.Reveal {
		return o.showIn(ctx, r.Modal, revealWindow(o.today(), r, key, secret))
	}
	m := secretMessage(o.today(), r, key, secret)
	if r.Delivery.Mode == rotation.Sealed {
		to, err := sealer(r)
		if err != nil {
			return err
		}
		sealed, err := seal(to, credentials(key, secret))
		if err != nil {
			return err
		}
		m = sealedMessage(o.today(), r, key, sealed)
	}
	_, err := o.edit(ctx, r.Handover.Post, m)
	return err
}

// Withdraw deletes a message that was prepared for a secret that goes elsewhere.
func (o *Outbox) Withdraw(ctx context.Context, p rotation.Post) error { return o.remove(ctx, p) }

// classify tells apart what may be concluded from a failed call to Slack. nil stays nil.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	call := &rotation.CallError{Op: op, Class: rotation.ClassUnknown, Err: err}
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		call.Class, call.Code, call.Err = rotation.ClassThrottled, "ratelimited", limited
		return call
	}
	answer, ok := errors.AsType[slack.SlackErrorResponse](err)
	if !ok {
		return call
	}
	call.Code = answer.Err
	call.Class = rotation.ClassInvalid
	for class, codes := range slackClasses {
		if slices.Contains(codes, answer.Err) {
			call.Class = class
		}
	}
	return call
}

// slackClasses sorts Slack's error codes (https://docs.slack.dev/reference/methods/chat.postMessage and its neighbours). A code that
// is not listed means that the request itself was wrong.
var slackClasses = map[rotation.Class][]string{
	rotation.ClassThrottled: {"ratelimited", "rate_limited", "message_limit_exceeded"},
	rotation.ClassUnknown:   {"internal_error", "fatal_error", "request_timeout", "service_unavailable"},
	rotation.ClassGone:      {"message_not_found", "thread_not_found", "not_found"},
	rotation.ClassRefused: {
		"channel_not_found", "not_in_channel", "is_archived", "is_inactive", "user_not_found", "users_not_found", "user_disabled",
		"user_not_visible", "cannot_dm_bot", "messages_tab_disabled", "restricted_action", "team_not_found",
		"method_not_supported_for_channel_type", "cant_delete_message", "cant_update_message", "edit_window_closed",
		"compliance_exports_prevent_deletion",
	},
	rotation.ClassDenied: {
		"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "missing_scope", "not_allowed_token_type",
		"no_permission", "access_denied", "org_login_required", "ekm_access_denied", "team_access_not_granted",
	},
}
