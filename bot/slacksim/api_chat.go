package slacksim

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// content is what chat.* methods, response URLs and command replies put in a message.
type content struct {
	text                  string
	blocks                []block
	hasBlocks             bool
	attachments, metadata any
	hasMetadata           bool
}

var eventType = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// readContent parses and checks a message's content. Nothing is taken on trust: blocks
// are held to the table, metadata to its form.
func (s *Sim) readContent(a args) (content, *apiError) {
	c := content{text: a["text"]}
	if md := a["markdown_text"]; md != "" {
		if c.text != "" || strings.TrimSpace(a["blocks"]) != "" {
			return c, fail("markdown_text_conflict")
		}
		if utf8.RuneCountInString(md) > maxMarkdown {
			return c, fail("msg_too_long")
		}
		c.text = md
	}
	if err := c.readBlocks(a); err != nil {
		return c, err
	}
	if err := blocksError("invalid_blocks", s.checkFiles(c.blocks)); err != nil {
		return c, err
	}
	var attachments []any
	if ok, err := a.json("attachments", &attachments); err != nil {
		return c, fail("invalid_attachments")
	} else if ok && len(attachments) > 0 {
		c.attachments = attachments
	}
	if len(attachments) > maxAttachments {
		return c, fail("too_many_attachments")
	}
	return c, c.readMetadata(a)
}

func (c *content) readBlocks(a args) *apiError {
	var raw any
	ok, err := a.json("blocks", &raw)
	if err != nil {
		return fail("invalid_blocks_format")
	}
	if !ok {
		return nil
	}
	if _, isList := raw.([]any); !isList {
		return fail("invalid_blocks_format")
	}
	if err := blocksError("invalid_blocks", checkBlocks(OnMessage, raw, "/blocks")); err != nil {
		return err
	}
	if textLength(raw) > maxBlockText {
		return fail("msg_blocks_too_long")
	}
	c.hasBlocks, c.blocks = true, named(blocksOf(raw))
	return nil
}

func (c *content) readMetadata(a args) *apiError {
	var meta map[string]any
	ok, err := a.json("metadata", &meta)
	if err != nil {
		return fail("invalid_metadata_format")
	}
	if !ok {
		return nil
	}
	c.hasMetadata = true
	kind, _ := meta["event_type"].(string)
	payload, isObject := meta["event_payload"].(map[string]any)
	switch {
	case len(meta) == 0 || (kind == "" && meta["event_payload"] == nil):
		return nil // an empty object clears
	case len(a["metadata"]) > maxMetadata:
		return fail("metadata_too_large")
	case !eventType.MatchString(kind) || !isObject:
		return fail("invalid_metadata_schema")
	}
	c.metadata = map[string]any{"event_type": kind, "event_payload": payload}
	return nil
}

// blocksError turns findings into Slack's error reply, or nil.
func blocksError(code string, found []*BlockError) *apiError {
	if len(found) == 0 {
		return nil
	}
	err := fail(code)
	for _, e := range found {
		err.messages = append(err.messages, e.Error())
	}
	return err
}

// textLength adds up every text in the blocks.
func textLength(value any) int {
	n := 0
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			n += textLength(item)
		}
	case map[string]any:
		for key, item := range v {
			if s, ok := item.(string); ok && key == "text" {
				n += utf8.RuneCountInString(s)
			} else {
				n += textLength(item)
			}
		}
	}
	return n
}

// named gives every block and interactive element without an id one, as Slack does.
func named(blocks []block) []block {
	for _, b := range blocks {
		if b["block_id"] == nil || b["block_id"] == "" {
			b["block_id"] = randomHex(3)
		}
		for _, el := range elementsOf(b) {
			kind, _ := el["type"].(string)
			_, text := inContext[kind]
			if !text && b["type"] != "rich_text" && (el["action_id"] == nil || el["action_id"] == "") {
				el["action_id"] = randomHex(3)
			}
		}
	}
	return blocks
}

func (c content) empty() bool {
	return c.text == "" && len(c.blocks) == 0 && c.attachments == nil
}

// fill puts the content into a message.
func (c content) fill(m *message) {
	m.text, m.blocks, m.attachments, m.metadata = c.text, c.blocks, c.attachments, c.metadata
}

// target finds where to post: a channel id, a name with or without "#", or a member's
// id, which stands for the bot's direct message with them.
func (s *Sim) target(name string) (*channel, *apiError) {
	if m := s.members[name]; m != nil && name != botUser {
		if m.Stranger || (m.Deleted && s.channels[dmID(name)] == nil) {
			return nil, fail("channel_not_found")
		}
		return s.dm(name), nil
	}
	ch := s.channels[name]
	for _, id := range s.listed {
		if ch == nil && name != "" && s.channels[id].name == strings.TrimPrefix(name, "#") {
			ch = s.channels[id]
		}
	}
	switch {
	case ch == nil, ch.private && !ch.bot:
		return nil, fail("channel_not_found")
	case ch.archived:
		return nil, fail("is_archived")
	case !ch.bot && !s.scopes["chat:write.public"]:
		return nil, fail("not_in_channel")
	}
	return ch, nil
}

func (s *Sim) postMessage(c *call) (reply, *apiError) {
	ch, err := s.target(c.args["channel"])
	if err != nil {
		return nil, err
	}
	if c.args["username"] != "" || c.args["icon_url"] != "" || c.args["icon_emoji"] != "" {
		if err := s.needAny("chat:write.customize"); err != nil {
			return nil, err
		}
	}
	in, err := s.readContent(c.args)
	if err != nil {
		return nil, err
	}
	if in.empty() {
		return nil, fail("no_text")
	}
	thread, err := ch.thread(c.args["thread_ts"])
	if err != nil {
		return nil, err
	}
	if err := s.limitedPost(ch.id); err != nil {
		return nil, err
	}
	m := &message{user: botUser, byBot: true, thread: thread, username: c.args["username"]}
	in.text = cut(in.text, maxText)
	in.fill(m)
	s.post(ch, m)
	return reply{"channel": ch.id, "ts": m.ts, "message": s.messageJSON(ch, m)}, nil
}

func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit])
}

// thread resolves a thread_ts to the thread's parent: a reply stands for its own parent.
func (ch *channel) thread(ts string) (string, *apiError) {
	if ts == "" {
		return "", nil
	}
	m := ch.find(ts)
	if m == nil || m.only != "" {
		return "", fail("thread_not_found")
	}
	return orDefault(m.thread, m.ts), nil
}

// own finds a message the bot may change. missing is the error when it is another's.
func (s *Sim) own(c *call, foreign string) (*channel, *message, *apiError) {
	ch := s.channels[c.args["channel"]]
	if ch == nil || (ch.private && !ch.bot) {
		return nil, nil, fail("channel_not_found")
	}
	m := ch.find(c.args["ts"])
	switch {
	case m == nil || m.only != "" || m.deleted:
		return nil, nil, fail("message_not_found")
	case !m.byBot:
		return nil, nil, fail(foreign)
	}
	return ch, m, nil
}

func (s *Sim) updateMessage(c *call) (reply, *apiError) {
	ch, m, err := s.own(c, "cant_update_message")
	if err != nil {
		return nil, err
	}
	in, err := s.readContent(c.args)
	if err != nil {
		return nil, err
	}
	_, hasText := c.args["text"]
	switch {
	case ch.archived:
		return nil, fail("is_archived")
	case !hasText && !in.hasBlocks && in.attachments == nil && !in.hasMetadata && in.text == "":
		return nil, fail("no_text")
	case utf8.RuneCountInString(in.text) > maxUpdateText:
		return nil, fail("msg_too_long")
	}
	onlyRest := !hasText && !in.hasBlocks && in.text == "" // metadata or attachments alone
	s.edit(ch, m, func(m *message) {
		if !in.hasMetadata {
			in.metadata = m.metadata
		}
		if onlyRest {
			in.text, in.blocks = m.text, m.blocks
		}
		in.fill(m)
		m.editedTS = s.stamp()
	})
	return reply{"channel": ch.id, "ts": m.ts, "text": m.text, "message": s.messageJSON(ch, m)}, nil
}

func (s *Sim) deleteMessage(c *call) (reply, *apiError) {
	ch, m, err := s.own(c, "cant_delete_message")
	if err != nil {
		return nil, err
	}
	if m.username != "" {
		return nil, fail("cant_delete_message")
	}
	ts := m.ts
	s.remove(ch, m)
	return reply{"channel": ch.id, "ts": ts}, nil
}

func (s *Sim) postEphemeral(c *call) (reply, *apiError) {
	user := s.members[c.args["user"]]
	ch, err := s.target(c.args["channel"])
	if err != nil {
		return nil, err
	}
	if user == nil || user.Deleted || !ch.has(user.ID) {
		return nil, fail("user_not_in_channel")
	}
	in, err := s.readContent(c.args)
	switch {
	case err != nil:
		return nil, err
	case in.empty():
		return nil, fail("no_text")
	case utf8.RuneCountInString(in.text) > maxText:
		return nil, fail("msg_too_long")
	}
	thread, err := ch.thread(c.args["thread_ts"])
	if err != nil {
		return nil, err
	}
	if err := s.limitedPost(ch.id); err != nil {
		return nil, err
	}
	m := &message{user: botUser, byBot: true, only: user.ID, thread: thread}
	in.fill(m)
	s.post(ch, m)
	return reply{"message_ts": m.ts}, nil
}

func (s *Sim) permalink(c *call) (reply, *apiError) {
	ch := s.channels[c.args["channel"]]
	if ch == nil {
		return nil, fail("channel_not_found")
	}
	m := ch.find(c.args["message_ts"])
	if m == nil || m.only != "" {
		return nil, fail("message_not_found")
	}
	link := "https://" + domain + ".slack.com/archives/" + ch.id + "/p" + strings.ReplaceAll(m.ts, ".", "")
	if m.thread != "" {
		link += "?thread_ts=" + m.thread + "&cid=" + ch.id
	}
	return reply{"channel": ch.id, "permalink": link}, nil
}

func (s *Sim) addReaction(c *call) (reply, *apiError) {
	ch := s.channels[c.args["channel"]]
	if ch == nil {
		return nil, fail("channel_not_found")
	}
	m, name := ch.find(c.args["timestamp"]), strings.Trim(c.args["name"], ":")
	switch {
	case m == nil || m.only != "" || m.deleted:
		return nil, fail("message_not_found")
	case name == "":
		return nil, fail("invalid_name")
	case slices.Contains(m.reactions, name):
		return nil, fail("already_reacted")
	}
	m.reactions = append(m.reactions, name)
	s.touch()
	return nil, nil
}
