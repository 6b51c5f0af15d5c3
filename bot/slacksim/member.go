package slacksim

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Person is a scripted human: they see their own screen, and do nothing that is not
// possible there. Their methods wait as a human would, for the acknowledgement or the
// failure Slack shows after three seconds.
type Person struct {
	sim *Sim
	id  string
}

// As returns the human behind a member id. The methods of an unknown or deactivated one
// fail.
func (s *Sim) As(memberID string) *Person { return &Person{sim: s, id: memberID} }

// ID is the member id.
func (p *Person) ID() string { return p.id }

// Target is what a human clicks. Name a message by Channel and TS, or a view by ViewID.
// With Channel alone it is the newest message there that has the element; with none of the
// three it is the open modal, or else the home tab. BlockID and Value tell elements with
// one ActionID apart. Selected is what is picked in a select, radio, checkbox (several
// separated by commas) or overflow menu: an option's value or its words.
type Target struct {
	Channel, TS string
	ViewID      string
	ActionID    string
	BlockID     string
	Value       string
	Selected    string
}

// Reply is the message a slash command was answered with. It is zero when the app
// acknowledged without one.
type Reply struct {
	ResponseType string // "ephemeral" or "in_channel"
	Text         string
	Blocks       []map[string]any
	TS           string
}

// ErrNoCommand means that the app has no such slash command.
var ErrNoCommand = errors.New("slacksim: not a valid command")

const (
	noResponse     = "This app did not respond"
	troubleConnect = "We had some trouble connecting. Try again?"
)

// active fails when the member cannot use Slack. Like all that follow, it wants s.mu held.
func (s *Sim) active(member string) error {
	if m := s.members[member]; m == nil || m.Deleted || m.Bot {
		return notOnScreen("member %q cannot sign in", member)
	}
	return nil
}

// place finds a conversation as a human names it: by id, by name, or the bot's user id for
// their direct message with it.
func (s *Sim) place(member, name string) (*channel, error) {
	if err := s.active(member); err != nil {
		return nil, err
	}
	if name == botUser || name == dmID(member) {
		return s.dm(member), nil
	}
	ch := s.channels[name]
	for _, id := range s.listed {
		if ch == nil && name != "" && s.channels[id].name == strings.TrimPrefix(name, "#") {
			ch = s.channels[id]
		}
	}
	if ch == nil || !ch.has(member) {
		return nil, notOnScreen("no conversation %q", name)
	}
	return ch, nil
}

// await waits for an interaction to be settled.
func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Command types a slash command. It returns what the app answered with, or
// [ErrNoAnswer], [ErrNoSocket] or [ErrNoCommand], of which the screen shows a notice.
func (p *Person) Command(ctx context.Context, channel, command, text string) (Reply, error) {
	s := p.sim
	done := make(chan error, 1)
	var out Reply
	s.mu.Lock()
	ch, err := s.place(p.id, channel)
	switch {
	case err != nil:
	case ch.archived:
		err = notOnScreen("channel %q is archived", channel)
	case !s.offers(p.id, command):
		s.notice(p.id, command+" is not a valid command.")
		err = fmt.Errorf("%w: %s", ErrNoCommand, command)
	default:
		s.command(p.id, ch, command, text, func(r Reply, err error) {
			out = r
			done <- err
		})
	}
	s.mu.Unlock()
	if err != nil {
		return Reply{}, err
	}
	if err := await(ctx, done); err != nil {
		return Reply{}, fmt.Errorf("%s: %w", command, err)
	}
	return out, nil
}

// offers reports whether a member can use a slash command: that of an app that has it, in
// the workspace it is installed in. Those who share a channel from another one cannot.
func (s *Sim) offers(member, command string) bool {
	registered := s.cfg.Commands == nil || slices.Contains(s.cfg.Commands, command)
	return s.scopes["commands"] && registered && s.members[member].TeamID == teamID
}

func (s *Sim) command(member string, ch *channel, command, text string, settled func(Reply, error)) {
	u := &replyURL{channel: ch.id, member: member}
	s.deliver(&envelope{
		kind: "slash_commands", payloadTaken: true,
		payload: func(base string) map[string]any {
			return s.commandPayload(base, member, ch, command, s.escape(text), u)
		},
		settle: func(payload map[string]any, err error) {
			if err != nil {
				code := "operation_timeout"
				if errors.Is(err, ErrNoSocket) {
					code = "dispatch_failed"
				}
				s.notice(member, fmt.Sprintf("%s failed with the error %q", command, code))
				settled(Reply{}, err)
				return
			}
			settled(s.commandReply(u, payload, command))
		},
	})
}

// commandReply shows the message in an acknowledgement, if there is one.
func (s *Sim) commandReply(u *replyURL, payload map[string]any, command string) (Reply, error) {
	if stringAt(payload, "text") == "" && payload["blocks"] == nil && payload["attachments"] == nil {
		return Reply{}, nil
	}
	a := args{}
	if err := a.addJSON(mustJSON(payload)); err != nil {
		return Reply{}, err
	}
	delete(a, "replace_original")
	if err := s.applyHook(u, a); err != nil {
		s.notice(u.member, fmt.Sprintf("%s failed with the error %q", command, err.code))
		return Reply{}, fmt.Errorf("slacksim: reply in the acknowledgement: %w: %s", err, strings.Join(err.messages, "; "))
	}
	m := s.channels[u.channel].find(u.message)
	r := Reply{ResponseType: "ephemeral", Text: m.text, Blocks: m.blocks, TS: m.ts}
	if m.only == "" {
		r.ResponseType = "in_channel"
	}
	return r, nil
}

func (s *Sim) notice(member, text string) {
	s.notices[member] = append(s.notices[member], Notice{Text: text, At: s.cfg.Now()})
	s.touch()
}

var mention = regexp.MustCompile(`(^|\s)([@#])([\w.-]+)`)

// escape turns @name and #name into the references Slack makes of them when a command asks
// for escaping and in messages.
func (s *Sim) escape(text string) string {
	return mention.ReplaceAllStringFunc(text, func(found string) string {
		part := mention.FindStringSubmatch(found)
		if part[2] == "@" {
			for _, id := range s.order {
				if s.members[id].Name == part[3] {
					return part[1] + "<@" + id + "|" + part[3] + ">"
				}
			}
		} else {
			for _, id := range s.listed {
				if s.channels[id].name == part[3] {
					return part[1] + "<#" + id + "|" + part[3] + ">"
				}
			}
		}
		return found
	})
}

var namedMention = regexp.MustCompile(`<@(\w+)\|[^>]*>`)

// Say writes a message. In the direct message with the bot, and where the bot is mentioned,
// the app hears of it; the human does not wait for that.
func (p *Person) Say(ctx context.Context, channel, text string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := p.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, err := s.place(p.id, channel)
	if err != nil {
		return err
	}
	if ch.archived {
		return notOnScreen("channel %q is archived", channel)
	}
	m := &message{user: p.id, text: namedMention.ReplaceAllString(s.escape(text), "<@$1>"), blocks: richText(text)}
	s.post(ch, m)
	event := map[string]any{
		"channel": ch.id, "user": p.id, "client_msg_id": randomUUID(), "text": m.text, "blocks": m.blocks,
		"ts": m.ts, "event_ts": m.ts,
	}
	s.origin(ch, p.id, event)
	switch {
	case ch.kind == "im":
		event["type"], event["channel_type"] = "message", "im"
		s.emit("im:history", event)
	case ch.bot && strings.Contains(m.text, "<@"+botUser+">"):
		event["type"] = "app_mention"
		s.emit("app_mentions:read", event)
	}
	return nil
}

// richText is what Slack makes of typed text.
func richText(text string) []block {
	return []block{{"type": "rich_text", "block_id": randomHex(3), "elements": []any{map[string]any{
		"type": "rich_text_section", "elements": []any{map[string]any{"type": "text", "text": text}},
	}}}}
}

// OpenHome opens the app's home tab, which the app is told every time.
func (p *Person) OpenHome(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := p.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.active(p.id); err != nil {
		return err
	}
	event := map[string]any{
		"type": "app_home_opened", "user": p.id, "channel": s.dm(p.id).id, "tab": "home", "event_ts": s.stamp(),
	}
	if v := s.homes[p.id]; v != nil {
		event["view"] = s.viewJSON(v)
	}
	s.emit("", event)
	s.touch()
	return nil
}

// Read marks a conversation as read.
func (p *Person) Read(channel string) error {
	s := p.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, err := s.place(p.id, channel)
	if err != nil {
		return err
	}
	delete(ch.unread, p.id)
	s.touch()
	return nil
}

// Reload starts the member's client anew: ephemeral messages, open modals and notices are
// gone, and the app is not told.
func (p *Person) Reload() {
	s := p.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.channels {
		ch.messages = slices.DeleteFunc(ch.messages, func(m *message) bool { return m.only == p.id })
	}
	s.hideAll(p.id)
	delete(s.notices, p.id)
	s.touch()
}
