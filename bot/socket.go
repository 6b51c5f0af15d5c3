package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"golang.org/x/sync/errgroup"
)

// ackTime bounds how long an acknowledgement may wait: Slack counts three seconds.
const ackTime = 3 * time.Second

// workTime bounds what one command or click may take.
const workTime = 2 * time.Minute

// readLimit bounds one frame from Slack, in bytes.
const readLimit = 4 << 20

// listen holds the socket open and dispatches what comes. It ends with ctx, or when Slack refuses the app-level token.
func (b *Bot) listen(ctx context.Context) error {
	client := socketmode.New(b.cfg.Slack, socketmode.OptionReadLimit(readLimit))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := client.RunContext(ctx)
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("open the socket to Slack: %w; put a valid app-level token (xapp-…, scope connections:write) in SLACK_APP_TOKEN", err)
	})
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case ev := <-client.Events:
				b.dispatch(ctx, client, ev)
			}
		}
	})
	return g.Wait()
}

// handler answers one envelope. It calls ack once, within Slack's three seconds.
type handler func(ctx context.Context, ack func(payload any))

// dispatch starts the answer to one envelope and returns at once.
func (b *Bot) dispatch(ctx context.Context, client *socketmode.Client, ev socketmode.Event) {
	switch ev.Type {
	case socketmode.EventTypeSlashCommand:
		cmd, _ := ev.Data.(slack.SlashCommand)
		b.answer(ctx, client, ev.Request.EnvelopeID, ackFirst(func(ctx context.Context) { b.command(ctx, cmd) }))
	case socketmode.EventTypeInteractive:
		call, _ := ev.Data.(slack.InteractionCallback)
		b.answer(ctx, client, ev.Request.EnvelopeID, b.interaction(call))
	case socketmode.EventTypeEventsAPI:
		b.answer(ctx, client, ev.Request.EnvelopeID, onlyAck)
	case socketmode.EventTypeErrorBadMessage:
		b.ackUnreadable(ctx, client, ev)
	case socketmode.EventTypeConnectionError, socketmode.EventTypeIncomingError, socketmode.EventTypeErrorWriteFailed:
		b.log.Warn("socket trouble", "event", string(ev.Type))
	case socketmode.EventTypeHello:
		b.log.Info("socket open")
	}
}

func onlyAck(_ context.Context, ack func(any)) { ack(nil) }

// ackFirst is the usual order: acknowledge, then work.
func ackFirst(work func(context.Context)) handler {
	return func(ctx context.Context, ack func(any)) {
		ack(nil)
		work(ctx)
	}
}

// answer runs a handler away from the reader. What Slack has delivered is carried through even while the process stops.
func (b *Bot) answer(ctx context.Context, client *socketmode.Client, envelope string, handle handler) {
	b.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTime)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				b.log.Error("panic while answering", "envelope", envelope, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			}
		}()
		handle(ctx, func(payload any) {
			ctx, cancel := context.WithTimeout(ctx, ackTime)
			defer cancel()
			if err := client.AckCtx(ctx, envelope, payload); err != nil {
				b.log.Error("acknowledge", "envelope", envelope, "err", err)
			}
		})
	})
}

// ackUnreadable acknowledges an envelope that the library cannot decode; Slack would otherwise send it again and again.
func (b *Bot) ackUnreadable(ctx context.Context, client *socketmode.Client, ev socketmode.Event) {
	bad, ok := ev.Data.(*socketmode.ErrorBadMessage)
	if !ok {
		return
	}
	var envelope struct {
		ID string `json:"envelope_id"`
	}
	if err := json.Unmarshal(bad.Message, &envelope); err != nil || envelope.ID == "" {
		b.log.Error("unreadable frame", "err", errors.Join(bad.Cause, err))
		return
	}
	b.log.Error("unreadable envelope", "envelope", envelope.ID, "err", bad.Cause)
	b.answer(ctx, client, envelope.ID, onlyAck)
}
