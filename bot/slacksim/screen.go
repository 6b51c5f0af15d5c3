package slacksim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Screen is what one member sees: their conversations with all messages, their open modals,
// the home tab and notices of what failed. Blocks are shared with the simulator: read them,
// never change them.
type Screen struct {
	Me       string         `json:"me"`
	Team     ScreenTeam     `json:"team"`
	Bot      string         `json:"bot"`
	Members  []ScreenMember `json:"members"`
	Groups   []ScreenGroup  `json:"groups"`
	Channels []Conversation `json:"channels"`
	Views    []View         `json:"views"` // open modals, the topmost last
	Home     *View          `json:"home"`
	Notices  []Notice       `json:"notices"`
	Version  uint64         `json:"version"`
}

// ScreenTeam is the workspace.
type ScreenTeam struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// ScreenMember is somebody a member can see.
type ScreenMember struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	RealName string `json:"real_name"`
	Title    string `json:"title"`
	IsBot    bool   `json:"is_bot"`
	Deleted  bool   `json:"deleted"`
}

// ScreenGroup is a user group a member can see.
type ScreenGroup struct {
	ID     string `json:"id"`
	Handle string `json:"handle"`
}

// Conversation is a channel, or a direct message with the bot.
type Conversation struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Kind     string    `json:"kind"` // "channel", "im" or "mpim"
	With     string    `json:"with,omitempty"`
	Unread   int       `json:"unread"`
	Topic    string    `json:"topic"`
	Messages []Message `json:"messages"`
}

// Message is one message as a member sees it.
type Message struct {
	Channel    string           `json:"-"`
	TS         string           `json:"ts"`
	User       string           `json:"user"`
	Text       string           `json:"text"`
	Blocks     []map[string]any `json:"blocks"`
	Edited     bool             `json:"edited"`
	Deleted    bool             `json:"deleted"` // a tombstone above replies
	Ephemeral  bool             `json:"ephemeral"`
	ThreadTS   string           `json:"thread_ts"` // of a reply: its parent
	ReplyCount int              `json:"reply_count"`
	Files      []ScreenFile     `json:"files,omitempty"`
	Pending    []string         `json:"pending"` // action ids this member clicked and the app has not acknowledged
	Failed     string           `json:"failed"`
}

// ScreenFile is a file shared in a message, with its content.
type ScreenFile struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Title   string `json:"title"`
	Size    int    `json:"size"`
	Content []byte `json:"-"`
}

// View is a modal or the home tab.
type View struct {
	ID      string            `json:"id"`
	Type    string            `json:"type"` // "modal" or "home"
	Title   string            `json:"title"`
	Submit  string            `json:"submit"` // empty: no such button
	Close   string            `json:"close"`
	Blocks  []map[string]any  `json:"blocks"`
	State   ViewState         `json:"state"`
	Hash    string            `json:"hash"`
	Errors  map[string]string `json:"errors"` // by block id
	Pending []string          `json:"pending"`
	Failed  string            `json:"failed"`
}

// ViewState is what stands in the fields of a view: block, action, state as Slack sends it.
type ViewState struct {
	Values map[string]map[string]any `json:"values"`
}

// Notice tells a member of something that failed, such as a slash command.
type Notice struct {
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Screen returns what the member sees now.
func (p *Person) Screen() Screen {
	p.sim.mu.Lock()
	defer p.sim.mu.Unlock()
	return p.sim.screen(p.id)
}

// Await returns the first screen that satisfies ok, looking again at every change. When ctx
// ends it returns the last screen and an error.
func (p *Person) Await(ctx context.Context, ok func(Screen) bool) (Screen, error) {
	for {
		_, next := p.sim.Changed()
		screen := p.Screen()
		if ok(screen) {
			return screen, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return screen, fmt.Errorf("await what %s sees: %w", p.id, ctx.Err())
		}
	}
}

func (s *Sim) screen(member string) Screen {
	out := Screen{
		Me: member, Team: ScreenTeam{ID: teamID, Name: s.cfg.TeamName}, Bot: botUser, Version: s.version,
		Members: []ScreenMember{}, Groups: []ScreenGroup{}, Channels: []Conversation{}, Views: []View{}, Notices: append([]Notice{}, s.notices[member]...),
	}
	if s.members[member] == nil {
		return out
	}
	for _, g := range s.groups {
		out.Groups = append(out.Groups, ScreenGroup{g.ID, g.Handle})
	}
	for _, id := range s.order {
		m := s.members[id]
		out.Members = append(out.Members, ScreenMember{m.ID, m.Name, m.RealName, m.Title, m.Bot, m.Deleted})
	}
	for _, id := range s.listed {
		if ch := s.channels[id]; ch.has(member) {
			out.Channels = append(out.Channels, s.conversation(ch, member))
		}
	}
	if id := dmID(member); s.channels[id] == nil && s.active(member) == nil {
		out.Channels = append(out.Channels, Conversation{ID: id, Name: botName, Kind: "im", With: botUser, Messages: []Message{}})
	}
	for _, v := range s.stacks[member] {
		out.Views = append(out.Views, screenView(v))
	}
	if v := s.homes[member]; v != nil {
		home := screenView(v)
		out.Home = &home
	}
	return out
}

func (s *Sim) conversation(ch *channel, member string) Conversation {
	out := Conversation{
		ID: ch.id, Name: ch.name, Kind: ch.kind, Unread: ch.unread[member], Topic: ch.topic, Messages: []Message{},
	}
	if ch.kind == "im" {
		out.With, out.Name = botUser, botName
	}
	replies := map[string]int{}
	for _, m := range ch.messages {
		if m.only == "" && m.thread != "" {
			replies[m.thread]++
		}
	}
	for _, m := range ch.messages {
		if m.only == "" || m.only == member {
			shown := screenMessage(ch, m, member)
			shown.ReplyCount = replies[m.ts]
			out.Messages = append(out.Messages, shown)
		}
	}
	return out
}

func screenMessage(ch *channel, m *message, member string) Message {
	out := Message{
		Channel: ch.id, TS: m.ts, User: m.user, Text: m.text, Blocks: append([]block{}, m.blocks...),
		Edited: m.editedTS != "" && len(m.blocks) == 0, Deleted: m.deleted, Ephemeral: m.only != "", ThreadTS: m.thread,
		Pending: append([]string{}, m.pending[member]...), Failed: m.failed[member],
	}
	for _, f := range m.files {
		out.Files = append(out.Files, ScreenFile{f.id, f.name, f.title, len(f.content), f.content})
	}
	return out
}

func screenView(v *view) View {
	label := func(member string) string {
		object, _ := v.body[member].(map[string]any)
		return stringAt(object, "text")
	}
	errs := map[string]string{}
	maps.Copy(errs, v.errors)
	return View{
		ID: v.id, Type: v.kind, Title: label("title"), Submit: label("submit"), Close: label("close"),
		Blocks: append([]block{}, v.blocks...), State: ViewState{stateValues(v.blocks, v.values)}, Hash: v.hash, Errors: errs,
		Pending: append([]string{}, v.pending...), Failed: v.failed,
	}
}

// Channel finds a conversation by id or name, or the direct message with the bot by the
// bot's id. ok is false when the member does not see it.
func (sc Screen) Channel(name string) (c Conversation, ok bool) {
	for _, c := range sc.Channels {
		if c.ID == name || (c.Name == strings.TrimPrefix(name, "#") && c.Kind == "channel") || (c.Kind == "im" && c.With == name) {
			return c, true
		}
	}
	return Conversation{}, false
}

// DM is the direct message with the bot, which is there before its first message.
func (sc Screen) DM() Conversation {
	c, _ := sc.Channel(sc.Bot)
	return c
}

// Top is the topmost modal. ok is false when none is open.
func (sc Screen) Top() (v View, ok bool) {
	if len(sc.Views) == 0 {
		return View{}, false
	}
	return sc.Views[len(sc.Views)-1], true
}

// Message finds a message by its timestamp.
func (c Conversation) Message(ts string) (m Message, ok bool) {
	i := slices.IndexFunc(c.Messages, func(m Message) bool { return m.TS == ts })
	if i < 0 {
		return Message{}, false
	}
	return c.Messages[i], true
}

// Last is the newest message. ok is false when there is none.
func (c Conversation) Last() (m Message, ok bool) {
	if len(c.Messages) == 0 {
		return Message{}, false
	}
	return c.Messages[len(c.Messages)-1], true
}

// Has reports whether the message has an element with the action id.
func (m Message) Has(actionID string) bool { return hasAction(m.Blocks, actionID) }

// Has reports whether the view has an element with the action id.
func (v View) Has(actionID string) bool { return hasAction(v.Blocks, actionID) }

func hasAction(blocks []block, actionID string) bool {
	return slices.ContainsFunc(blocks, func(b block) bool {
		return slices.ContainsFunc(elementsOf(b), func(el block) bool { return el["action_id"] == actionID })
	})
}

// Content is the message's text and all texts of its blocks, a line each: what a search for
// words looks at.
func (m Message) Content() string { return m.Text + "\n" + blockTexts(m.Blocks) }

// Content is the view's title and all texts of its blocks, a line each.
func (v View) Content() string { return v.Title + "\n" + blockTexts(v.Blocks) }

func blockTexts(blocks []block) string {
	var out strings.Builder
	for _, b := range blocks {
		writeTexts(&out, b)
	}
	return out.String()
}

// shown are the members of block objects that hold, or lead to, what is read.
var shown = []string{
	"title", "label", "text", "fields", "elements", "accessory", "element", "options", "option_groups", "initial_value", "hint",
	"description", "placeholder", "rows", "alt_text",
}

func writeTexts(out *strings.Builder, value any) {
	switch v := value.(type) {
	case string:
		out.WriteString(v + "\n")
	case json.Number:
		out.WriteString(v.String() + "\n")
	case []any:
		for _, item := range v {
			writeTexts(out, item)
		}
	case map[string]any:
		for _, member := range shown {
			if inner, ok := v[member]; ok {
				writeTexts(out, inner)
			}
		}
	}
}
