package slacksim

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// readable finds a conversation a read method names, and checks the scope its kind needs:
// suffix is ":read" or ":history".
func (s *Sim) readable(id, suffix string) (*channel, *apiError) {
	ch := s.channels[id]
	if ch == nil || (ch.private && !ch.bot) {
		return nil, fail("channel_not_found")
	}
	prefix := map[string]string{"im": "im", "mpim": "mpim", "channel": "channels"}[ch.kind]
	if ch.private {
		prefix = "groups"
	}
	return ch, s.needAny(prefix + suffix)
}

func (s *Sim) channelJSON(ch *channel) map[string]any {
	out := map[string]any{
		"id": ch.id, "created": ch.created, "is_archived": ch.archived, "context_team_id": teamID, "is_org_shared": false,
		"is_im": ch.kind == "im", "is_mpim": ch.kind == "mpim", "is_channel": ch.kind == "channel" && !ch.private,
		"is_group": ch.private, "is_private": ch.private || ch.kind != "channel", "is_member": ch.bot,
	}
	if ch.kind == "im" {
		out["user"], out["is_user_deleted"], out["is_open"] = ch.with, s.members[ch.with].Deleted, true
		return out
	}
	out["name"], out["name_normalized"] = ch.name, ch.name
	out["is_general"], out["is_shared"], out["is_ext_shared"] = false, ch.shared(), ch.shared()
	out["is_pending_ext_shared"], out["pending_shared"] = false, []string{}
	out["shared_team_ids"] = append([]string{teamID}, ch.sharedWith...)
	if ch.shared() {
		out["connected_team_ids"], out["conversation_host_id"] = ch.sharedWith, teamID
	}
	out["creator"] = botUser
	out["topic"] = map[string]any{"value": ch.topic, "creator": "", "last_set": 0}
	out["purpose"] = map[string]any{"value": "", "creator": "", "last_set": 0}
	return out
}

func (s *Sim) conversationInfo(c *call) (reply, *apiError) {
	ch, err := s.readable(c.args["channel"], ":read")
	if err != nil {
		return nil, err
	}
	out := s.channelJSON(ch)
	if c.args.yes("include_num_members") {
		out["num_members"] = len(s.memberIDs(ch))
	}
	return reply{"channel": out}, nil
}

func (s *Sim) openConversation(c *call) (reply, *apiError) {
	if id := c.args["channel"]; id != "" {
		ch := s.channels[id]
		switch {
		case ch == nil:
			return nil, fail("channel_not_found")
		case ch.kind == "channel":
			return nil, fail("method_not_supported_for_channel_type")
		}
		return s.opened(c, ch, true), nil
	}
	users := strings.FieldsFunc(c.args["users"], func(r rune) bool { return r == ',' || r == ' ' })
	if len(users) == 0 {
		return nil, fail("users_list_not_supplied")
	}
	for _, id := range users {
		switch m := s.members[id]; {
		case m == nil:
			return nil, fail("user_not_found")
		case m.Stranger:
			return nil, fail("user_not_visible")
		case m.Deleted:
			return nil, fail("user_disabled")
		case id == botUser:
			return nil, fail("invalid_user_combination")
		}
	}
	if len(users) > 1 {
		return s.openGroup(c, users)
	}
	if err := s.needAny("im:write"); err != nil {
		return nil, err
	}
	before := s.channels[dmID(users[0])] != nil
	if !before && c.args.yes("prevent_creation") {
		return nil, fail("channel_not_found")
	}
	return s.opened(c, s.dm(users[0]), before), nil
}

// openGroup opens the direct message of several members and the bot.
func (s *Sim) openGroup(c *call, users []string) (reply, *apiError) {
	if len(users) > 8 {
		return nil, fail("too_many_users")
	}
	if err := s.needAny("mpim:write"); err != nil {
		return nil, err
	}
	slices.Sort(users)
	users = slices.Compact(users)
	id := "G" + strings.Join(users, "")
	ch := s.channels[id]
	if ch != nil {
		return s.opened(c, ch, true), nil
	}
	ch = s.newChannel(id, "mpim")
	ch.members = users
	ch.name = "mpdm-" + strings.ToLower(strings.Join(users, "--")) + "-1"
	return s.opened(c, ch, false), nil
}

func (s *Sim) opened(c *call, ch *channel, before bool) reply {
	s.touch()
	if c.args.yes("return_im") {
		return reply{"no_op": before, "already_open": before, "channel": s.channelJSON(ch)}
	}
	return reply{"no_op": before, "already_open": before, "channel": map[string]any{"id": ch.id}}
}

func (s *Sim) joinConversation(c *call) (reply, *apiError) {
	ch := s.channels[c.args["channel"]]
	switch {
	case ch == nil:
		return nil, fail("channel_not_found")
	case ch.kind != "channel" || ch.private:
		return nil, fail("method_not_supported_for_channel_type")
	case ch.archived:
		return nil, fail("is_archived")
	case ch.bot:
		return reply{
			"channel": s.channelJSON(ch), "warning": "already_in_channel",
			"response_metadata": map[string]any{"warnings": []string{"already_in_channel"}},
		}, nil
	}
	ch.bot = true
	s.touch()
	s.emit("channels:read", map[string]any{
		"type": "member_joined_channel", "user": botUser, "channel": ch.id, "channel_type": "C", "team": teamID, "event_ts": s.stamp(),
	})
	return reply{"channel": s.channelJSON(ch)}, nil
}

func (s *Sim) conversationMembers(c *call) (reply, *apiError) {
	ch, err := s.readable(c.args["channel"], ":read")
	if err != nil {
		return nil, err
	}
	page, next, err := page(s, c, s.memberIDs(ch), 100)
	return reply{"members": page, "response_metadata": cursor(next)}, err
}

func (s *Sim) history(c *call) (reply, *apiError) {
	ch, err := s.readable(c.args["channel"], ":history")
	switch {
	case err != nil:
		return nil, err
	case !ch.bot:
		return nil, fail("not_in_channel")
	}
	var found []map[string]any
	for _, m := range slices.Backward(ch.messages) {
		if m.only == "" && m.thread == "" && within(m.ts, c.args) {
			found = append(found, s.pastJSON(c, ch, m))
		}
	}
	page, next, err := page(s, c, found, 100)
	return reply{"messages": page, "has_more": next != "", "pin_count": 0, "response_metadata": cursor(next)}, err
}

func (s *Sim) threadReplies(c *call) (reply, *apiError) {
	ch, err := s.readable(c.args["channel"], ":history")
	switch {
	case err != nil:
		return nil, err
	case !ch.bot:
		return nil, fail("not_in_channel")
	}
	thread, err := ch.thread(c.args["ts"])
	if err != nil || thread == "" {
		return nil, fail("thread_not_found")
	}
	found := []map[string]any{s.pastJSON(c, ch, ch.find(thread))}
	for _, m := range ch.replies(thread) {
		if within(m.ts, c.args) {
			found = append(found, s.pastJSON(c, ch, m))
		}
	}
	page, next, err := page(s, c, found, 1000)
	return reply{"messages": page, "has_more": next != "", "response_metadata": cursor(next)}, err
}

// pastJSON is a message as the history methods show it: metadata in full only when asked.
func (s *Sim) pastJSON(c *call, ch *channel, m *message) map[string]any {
	out := s.messageJSON(ch, m)
	if meta, ok := m.metadata.(map[string]any); ok && !c.args.yes("include_all_metadata") {
		out["metadata"] = map[string]any{"event_type": meta["event_type"]}
	}
	return out
}

// within applies oldest and latest. Timestamps of one length compare as strings.
func within(ts string, a args) bool {
	oldest, latest := a["oldest"], a["latest"]
	if a.yes("inclusive") && (ts == oldest || ts == latest) {
		return true
	}
	return (oldest == "" || after(ts, oldest)) && (latest == "" || after(latest, ts))
}

func after(a, b string) bool {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return x > y
}

// page cuts one page out of a list, by the call's cursor and limit.
func page[T any](s *Sim, c *call, all []T, size int) (cutOut []T, next string, err *apiError) {
	if text := c.args["limit"]; text != "" {
		n, convErr := strconv.Atoi(text)
		if convErr != nil || n < 0 {
			return nil, "", fail("invalid_limit")
		}
		size = min(orDefault(n, size), 1000)
	}
	if s.cfg.PageSize > 0 {
		size = min(size, s.cfg.PageSize)
	}
	start := 0
	if text := c.args["cursor"]; text != "" {
		raw, decodeErr := base64.StdEncoding.DecodeString(text)
		n, convErr := strconv.Atoi(strings.TrimPrefix(string(raw), "next:"))
		if decodeErr != nil || convErr != nil || n < 0 || n > len(all) {
			return nil, "", fail("invalid_cursor")
		}
		start = n
	}
	end := min(start+size, len(all))
	if end < len(all) {
		next = base64.StdEncoding.EncodeToString([]byte("next:" + strconv.Itoa(end)))
	}
	cutOut = all[start:end]
	if cutOut == nil {
		cutOut = []T{}
	}
	return cutOut, next, nil
}

func cursor(next string) map[string]any { return map[string]any{"next_cursor": next} }
