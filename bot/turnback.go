package bot

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/slack-go/slack"
)

// notRecorded tells somebody that the store did not answer in time, or not well.
const notRecorded = "Keyturner could not record this, so nothing was done. " +
	"If only an answer was lost, it may still go through: look at the newest message of the rotation first, then try again."

// notReadable answers what cannot be read.
const notReadable = "Keyturner could not read this; nothing was done. Type `/rotate-key` to begin again, or use the newest message of the rotation."

// ephemeral is a message in an acknowledgement that only whoever typed the command sees.
type ephemeral struct {
	Type string `json:"response_type"`
	Text string `json:"text"`
}

func privately(text string) ephemeral { return ephemeral{"ephemeral", text} }

// unrecorded tells whoever sent an envelope, within Slack's three seconds, that it could not be recorded. It is not worked after that,
// unless this process ends before it finds it recorded all the same. An event is not acknowledged: Slack brings it again.
func (b *Bot) unrecorded(ctx context.Context, d delivery, l letter) {
	switch l.Kind {
	case kindCommand:
		b.inbox.close(l.ID)
		b.ack(d, privately(notRecorded))
	case kindSubmission:
		b.inbox.close(l.ID)
		b.ack(d, slack.NewErrorsViewSubmissionResponse(map[string]string{l.firstInput(): notRecorded}))
	case kindClick:
		b.inbox.close(l.ID)
		b.ack(d, nil)
		b.reply(ctx, callerOf(l, b.now()), plain(notRecorded))
	}
}

// turnBack acknowledges what cannot be read, so that Slack does not send it again, and answers it where there is a way to.
func (b *Bot) turnBack(ctx context.Context, d delivery, err error) {
	b.counts.add("envelope_unreadable")
	why, ok := errors.AsType[unreadable](err)
	if !ok {
		why = "it cannot be kept"
	}
	b.log.Error("an envelope cannot be read", "envelope", cut(d.ID, maxID), "type", cut(d.Type, maxID), "why", string(why))
	var p struct {
		Type        json.RawMessage `json:"type"`
		ResponseURL json.RawMessage `json:"response_url"`
	}
	_ = json.Unmarshal(d.Payload, &p) // what is not there is empty
	var kind, url string
	_, _ = json.Unmarshal(p.Type, &kind), json.Unmarshal(p.ResponseURL, &url)
	var payload any
	switch {
	case d.Type == "slash_commands":
		payload = privately(notReadable)
	case kind == "view_submission":
		v := keysModalProblem(notReadable)
		payload = slack.NewUpdateViewSubmissionResponse(&v)
	}
	if d.ID != "" {
		b.ack(d, payload)
	}
	if payload == nil && url != "" {
		d.settled()
		d.recorded()
		b.reply(ctx, caller{responseURL: url}, plain(notReadable))
	}
}
