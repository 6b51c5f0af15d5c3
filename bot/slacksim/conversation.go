package slacksim

import (
	"slices"
	"strings"
)

// channel is a conversation: a channel, a direct message with the bot ("im") or a
// direct message of several ("mpim").
type channel struct {
	sim                   *Sim
	id, name, topic, kind string
	private, archived     bool
	bot, everyone         bool
	members               []string // without the bot
	sharedWith            []string // ids of other workspaces
	messages              []*message
	unread                map[string]int // by member
	created               int64
	with                  string // of an im: the member
}

// message is one message, or an ephemeral one when only is set.
type message struct {
	ts, user, text, thread string
	blocks                 []block
	attachments, metadata  any
	username               string
	editedTS               string
	only                   string // the one member an ephemeral message is shown to
	deleted                bool   // a tombstone above a thread
	files                  []*upload
	reactions              []string
	byBot                  bool

	pending map[string][]string                  // action ids clicked and not yet acknowledged, by member
	failed  map[string]string                    // failure shown to a member
	values  map[string]map[string]map[string]any // selected values: member, block, action
}

// block is one Block Kit block or element as the app sent it. Blocks are never
// changed once stored, so they are shared without copying.
type block = map[string]any

func (s *Sim) newChannel(id, kind string) *channel {
	ch := &channel{sim: s, id: id, kind: kind, bot: true, unread: map[string]int{}, created: s.cfg.Now().Unix()}
	s.channels[id] = ch
	s.listed = append(s.listed, id)
	return ch
}

// dm returns the direct message of the bot with a member, made at first use. Its id
// follows from the member's, so it is the same after a restart.
func (s *Sim) dm(member string) *channel {
	id := dmID(member)
	ch := s.channels[id]
	if ch == nil {
		ch = s.newChannel(id, "im")
		ch.with, ch.members = member, []string{member}
	}
	return ch
}

func dmID(member string) string { return "D" + strings.TrimLeft(member, "UW") }

// has reports whether the member belongs to the conversation. Deactivated members belong to
// no channel, strangers only where they are named, and members of another workspace where
// they are named or the channel is shared with it.
func (ch *channel) has(member string) bool {
	m := ch.sim.members[member]
	switch {
	case m == nil, m.Deleted && ch.kind == "channel":
		return false
	case member == botUser:
		return ch.bot
	}
	atHome := m.TeamID == teamID || slices.Contains(ch.sharedWith, m.TeamID)
	return (ch.everyone && atHome && !m.Stranger) || slices.Contains(ch.members, member)
}

// memberIDs lists who belongs, the bot included.
func (s *Sim) memberIDs(ch *channel) []string {
	var ids []string
	for _, id := range s.order {
		if ch.has(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// find returns the message with the timestamp, ephemeral ones included.
func (ch *channel) find(ts string) *message {
	for _, m := range ch.messages {
		if m.ts == ts {
			return m
		}
	}
	return nil
}

// replies lists the messages of a thread without its parent.
func (ch *channel) replies(ts string) []*message {
	var out []*message
	for _, m := range ch.messages {
		if m.thread == ts && m.ts != ts && m.only == "" {
			out = append(out, m)
		}
	}
	return out
}

// post appends a message and counts it as unread for everyone who sees it, save its
// author.
func (s *Sim) post(ch *channel, m *message) {
	m.ts = s.stamp()
	m.pending, m.failed = map[string][]string{}, map[string]string{}
	m.values = map[string]map[string]map[string]any{}
	ch.messages = append(ch.messages, m)
	for _, id := range s.memberIDs(ch) {
		if id != m.user && (m.only == "" || m.only == id) {
			ch.unread[id]++
		}
	}
	s.touch()
	if m.byBot && m.only == "" {
		s.echo(ch, s.messageJSON(ch, m))
	}
}

// remove deletes a message. A parent of a thread leaves a tombstone.
func (s *Sim) remove(ch *channel, m *message) {
	before := s.messageJSON(ch, m)
	if m.only == "" && len(ch.replies(m.ts)) > 0 {
		*m = message{ts: m.ts, user: m.user, byBot: m.byBot, deleted: true, text: "This message was deleted."}
	} else {
		ch.messages = slices.DeleteFunc(ch.messages, func(o *message) bool { return o == m })
	}
	s.touch()
	if m.byBot && m.only == "" {
		s.echo(ch, map[string]any{
			"subtype": "message_deleted", "hidden": true, "deleted_ts": m.ts, "ts": s.stamp(), "previous_message": before,
		})
	}
}

// edit puts new content into a message and clears what a member saw fail on it.
func (s *Sim) edit(ch *channel, m *message, change func(*message)) {
	before := s.messageJSON(ch, m)
	change(m)
	m.failed = map[string]string{}
	s.touch()
	if m.byBot && m.only == "" {
		s.echo(ch, map[string]any{
			"subtype": "message_changed", "hidden": true, "ts": s.stamp(),
			"message": s.messageJSON(ch, m), "previous_message": before,
		})
	}
}

// echo sends an app's own message in a direct message back to it, as Slack does
// for an app subscribed to message.im: what the bot posts, it also receives.
func (s *Sim) echo(ch *channel, event map[string]any) {
	if ch.kind != "im" {
		return
	}
	event["type"], event["channel"], event["channel_type"] = "message", ch.id, "im"
	event["event_ts"] = event["ts"]
	s.emit("im:history", event)
}

// messageJSON is a message as Web API replies, events and interactions carry it.
func (s *Sim) messageJSON(ch *channel, m *message) map[string]any {
	out := map[string]any{"type": "message", "user": m.user, "ts": m.ts, "text": m.text}
	s.origin(ch, m.user, out)
	if m.byBot {
		out["bot_id"], out["app_id"] = botID, appID
		out["bot_profile"] = map[string]any{
			"id": botID, "app_id": appID, "user_id": botUser, "name": botName, "deleted": false,
			"updated": ch.created, "team_id": teamID, "icons": map[string]any{},
		}
	}
	if m.username != "" {
		out["subtype"], out["username"] = "bot_message", m.username
	}
	if m.deleted {
		out["subtype"] = "tombstone"
	}
	if len(m.blocks) > 0 {
		out["blocks"] = m.blocks
	}
	if m.attachments != nil {
		out["attachments"] = m.attachments
	}
	if m.metadata != nil {
		out["metadata"] = m.metadata
	}
	if m.editedTS != "" {
		out["edited"] = map[string]any{"user": m.user, "ts": m.editedTS}
	}
	if len(m.reactions) > 0 {
		out["reactions"] = reactionsJSON(m.reactions)
	}
	if len(m.files) > 0 {
		out["files"] = filesJSON(m.files)
	}
	s.threadJSON(ch, m, out)
	return out
}

// origin says whose workspace a message comes from. In a channel that is shared with
// another one, it is said three times over.
func (s *Sim) origin(ch *channel, member string, out map[string]any) {
	team := teamID
	if m := s.members[member]; m != nil {
		team = m.TeamID
	}
	out["team"] = team
	if ch.shared() {
		out["user_team"], out["source_team"] = team, team
	}
}

// shared reports whether the channel is shared with another company.
func (ch *channel) shared() bool { return len(ch.sharedWith) > 0 }

func (s *Sim) threadJSON(ch *channel, m *message, out map[string]any) {
	if m.thread != "" {
		out["thread_ts"] = m.thread
		if parent := ch.find(m.thread); parent != nil {
			out["parent_user_id"] = parent.user
		}
		return
	}
	if replies := ch.replies(m.ts); len(replies) > 0 {
		out["thread_ts"], out["reply_count"], out["latest_reply"] = m.ts, len(replies), replies[len(replies)-1].ts
	}
}

func reactionsJSON(names []string) []map[string]any {
	var out []map[string]any
	for _, name := range names {
		out = append(out, map[string]any{"name": name, "users": []string{botUser}, "count": 1})
	}
	return out
}
