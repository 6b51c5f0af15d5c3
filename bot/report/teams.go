package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// Teams posts digests to a Microsoft Teams workflow ("Send webhook alerts to a channel") as an Adaptive Card.
type Teams struct {
	webhook string
	client  *http.Client
}

// NewTeams takes the workflow's URL, whose signature is a secret: it is never told. A URL without TLS is refused, but for this machine.
func NewTeams(webhook string) (*Teams, error) {
	u, err := url.Parse(webhook)
	local := err == nil && u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost")
	if err != nil || u.Host == "" || u.Scheme != "https" && !local {
		return nil, errors.New("the URL of the Teams workflow must begin with https:// and name a host")
	}
	return &Teams{webhook: webhook, client: &http.Client{Timeout: teamsTime, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // whose target nobody has chosen
	}}}, nil
}

const teamsTime = 30 * time.Second

// Name is teams.
func (t *Teams) Name() string { return "teams" }

// String names the sink without its URL.
func (t *Teams) String() string { return "Microsoft Teams" }

// GoString is String.
func (t *Teams) GoString() string { return t.String() }

// Send posts the digest. Whether Teams shows it, the workflow does not tell: it answers when it has accepted it.
func (t *Teams) Send(ctx context.Context, d Digest) error {
	body, err := card(d)
	if err != nil {
		return fmt.Errorf("write the card of week %s: %w", d.Week, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.webhook, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("prepare the card of week %s: %w", d.Week, unnamed(err))
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := t.client.Do(req)
	if err != nil {
		return &SendError{Sink: t.String(), Err: unnamed(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4096) // so that the connection can be used again
	if res.StatusCode/100 == 2 {
		return nil
	}
	gone := res.StatusCode/100 == 3 || res.StatusCode/100 == 4 && res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusRequestTimeout
	return &SendError{Sink: t.String(), Err: fmt.Errorf("the workflow answered %s", res.Status), Permanent: gone}
}

// unnamed is an error without the URL that it names.
func unnamed(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// Cards of more than 28 KB are refused (https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages).
const (
	maxCard      = 28_000
	maxCardHead  = 500
	maxCardTitle = 100
)

// room is how much a card shows: characters of a text, rows, and lines of a note. A card that comes out too large is made again with less room:
// how many bytes a text takes depends on what it says.
type room struct{ text, alt, rows, lines int }

var rooms = []room{{300, 1000, maxCardRows, 8}, {200, 600, maxCardRows, 6}, {120, 400, 8, 4}, {80, 200, 6, 3}, {60, 100, 4, 2}}

type object = map[string]any

// card is an Adaptive Card 1.4 in the envelope that workflows want
// (https://learn.microsoft.com/connectors/teams#microsoft-teams-webhook). Without the picture: a workflow takes none.
func card(d Digest) (body []byte, err error) {
	for _, r := range rooms {
		if body, err = json.Marshal(r.card(d)); err != nil || len(body) <= maxCard {
			break
		}
	}
	return body, err
}

func (r room) card(d Digest) object {
	body := []any{
		object{"type": "TextBlock", "text": d.title(), "size": "Large", "weight": "Bolder", "wrap": true, "style": "heading"},
		words(clip(d.Headline, maxCardHead), object{"weight": "Bolder"}),
	}
	if d.Alt != "" {
		body = append(body, words(clip(d.Alt, r.alt), object{"isSubtle": true}))
	}
	for _, n := range d.Notes {
		body = append(body, words(clip(n.Title, maxCardTitle), object{"weight": "Bolder", "separator": true}))
		for _, l := range n.Lines[:min(len(n.Lines), r.lines)] {
			body = append(body, words("- "+clip(l, r.text), nil))
		}
		if more := len(n.Lines) - r.lines; more > 0 {
			body = append(body, words(fmt.Sprintf("And %d more.", more), nil))
		}
	}
	rows, rest := d.first(r.rows, inSlack)
	for _, row := range rows {
		body = append(body, object{"type": "Container", "separator": true, "items": []any{
			words(clip(row.name(), r.text), object{"weight": "Bolder"}),
			words(clip(row.Found, r.text), nil), words(clip(row.Next, r.text), object{"isSubtle": true}),
		}})
	}
	if rest != "" {
		body = append(body, words(rest, nil))
	}
	body = append(body, words("Rotate a key by typing /rotate-key in Slack.", object{"isSubtle": true, "separator": true}))
	return object{"type": "message", "attachments": []any{object{
		"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil,
		"content": object{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
			"msteams": object{"width": "Full"}, "body": body,
		},
	}}}
}

// words is a text block that says what it is given: Markdown in it stays as it was typed.
func words(text string, how object) object {
	block := object{"type": "TextBlock", "text": plain(text), "wrap": true}
	maps.Copy(block, how)
	return block
}
