package slacksim

import (
	"fmt"
	"maps"
	"strconv"
	"time"
)

const (
	triggerLife  = 3 * time.Second
	replyURLLife = 30 * time.Minute
	replyURLUses = 5
	keepIDs      = 4096 // beyond so many, those long expired are forgotten
)

// trigger is what a trigger_id stands for: one member's interaction, good for one modal.
type trigger struct {
	member string
	inView bool // the interaction came from a modal, so views.push may use it
	until  time.Time
	used   bool
}

// newTrigger mints a trigger id such as "1234.5678.90ab". Its three seconds begin now, when
// the interaction is sent to the app.
func (s *Sim) newTrigger(member string, inView bool) string {
	now := s.cfg.Now()
	if len(s.triggers) > keepIDs {
		maps.DeleteFunc(s.triggers, func(_ string, t *trigger) bool { return now.Sub(t.until) > time.Hour })
	}
	id := fmt.Sprintf("%d.%d.%s", now.UnixMilli(), len(s.triggers)+1, randomHex(16))
	s.triggers[id] = &trigger{member: member, inView: inView, until: now.Add(triggerLife)}
	return id
}

// exchangeTrigger uses a trigger up.
func (s *Sim) exchangeTrigger(id string) (*trigger, *apiError) {
	t := s.triggers[id]
	switch {
	case t == nil:
		return nil, fail("invalid_trigger_id")
	case t.used:
		return nil, fail("exchanged_trigger_id")
	case s.cfg.Now().After(t.until):
		return nil, fail("expired_trigger_id")
	}
	t.used = true
	return t, nil
}

// replyURL is what a response_url stands for.
type replyURL struct {
	channel string
	member  string
	message string // ts of the message interacted with, or of the command's first reply
	uses    int
	until   time.Time
}

// newReplyURL mints a response URL. kind is "commands" or "actions".
func (s *Sim) newReplyURL(base, kind string, u *replyURL) string {
	now := s.cfg.Now()
	u.until = now.Add(replyURLLife)
	if len(s.replyURLs) > keepIDs {
		maps.DeleteFunc(s.replyURLs, func(_ string, u *replyURL) bool { return now.Sub(u.until) > time.Hour })
	}
	path := hooksPath + kind + "/" + teamID + "/" + strconv.Itoa(len(s.replyURLs)+1) + "/" + randomHex(12)
	s.replyURLs[path] = u
	return base + path
}

// userRef and teamRef are how interactions name the person and the workspace.
func (s *Sim) userRef(id string) map[string]any {
	m := s.members[id]
	return map[string]any{"id": id, "username": m.Name, "name": m.Name, "team_id": m.TeamID}
}

func teamRef() map[string]any { return map[string]any{"id": teamID, "domain": domain} }

// interaction is what all interactive payloads have in common.
func (s *Sim) interaction(kind, member string) map[string]any {
	return map[string]any{
		"type": kind, "user": s.userRef(member), "api_app_id": appID, "token": "sandbox", "team": teamRef(),
		"enterprise": nil, "is_enterprise_install": false,
	}
}

// commandPayload is a slash command. The flag is_enterprise_install is a string here.
func (s *Sim) commandPayload(base, member string, ch *channel, command, text string, u *replyURL) map[string]any {
	name := ch.name
	switch {
	case ch.kind == "im":
		name = "directmessage"
	case ch.private:
		name = "privategroup"
	}
	return map[string]any{
		"token": "sandbox", "team_id": teamID, "team_domain": domain, "channel_id": ch.id, "channel_name": name,
		"user_id": member, "user_name": s.members[member].Name, "command": command, "text": text, "api_app_id": appID,
		"is_enterprise_install": "false", "response_url": s.newReplyURL(base, "commands", u),
		"trigger_id": s.newTrigger(member, false),
	}
}

// messageClick is block_actions on a message. One on an ephemeral message carries no copy
// of it.
func (s *Sim) messageClick(base, member string, ch *channel, m *message, action map[string]any) map[string]any {
	out := s.interaction("block_actions", member)
	container := map[string]any{
		"type": "message", "message_ts": m.ts, "channel_id": ch.id, "is_ephemeral": m.only != "",
	}
	if m.thread != "" {
		container["thread_ts"] = m.thread
	}
	out["container"] = container
	name := ch.name
	if ch.kind == "im" {
		name = "directmessage"
	}
	out["channel"] = map[string]any{"id": ch.id, "name": name}
	if m.only == "" {
		out["message"] = s.messageJSON(ch, m)
	}
	out["state"] = map[string]any{"values": stateValues(m.blocks, m.values[member])}
	out["response_url"] = s.newReplyURL(base, "actions", &replyURL{channel: ch.id, member: member, message: m.ts})
	out["trigger_id"] = s.newTrigger(member, false)
	out["actions"] = []any{action}
	return out
}

// viewClick is block_actions in a modal or the home tab.
func (s *Sim) viewClick(member string, v *view, action map[string]any) map[string]any {
	out := s.interaction("block_actions", member)
	out["container"] = map[string]any{"type": "view", "view_id": v.id}
	out["view"] = s.viewJSON(v)
	out["trigger_id"] = s.newTrigger(member, v.kind == "modal")
	out["actions"] = []any{action}
	return out
}

// viewSubmission is view_submission.
func (s *Sim) viewSubmission(member string, v *view) map[string]any {
	out := s.interaction("view_submission", member)
	out["view"] = s.viewJSON(v)
	out["trigger_id"] = s.newTrigger(member, true)
	out["response_urls"] = []any{}
	return out
}

// viewClosed is view_closed.
func (s *Sim) viewClosed(member string, v *view, cleared bool) map[string]any {
	out := s.interaction("view_closed", member)
	out["view"] = s.viewJSON(v)
	out["is_cleared"] = cleared
	return out
}
