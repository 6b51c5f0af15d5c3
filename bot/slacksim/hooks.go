package slacksim

import "net/http"

// serveHook answers a post to a response URL: a new message, or a change to the one that was
// interacted with, which is the only way to change an ephemeral message. It needs no token
// and no membership, and works five times within thirty minutes.
func (s *Sim) serveHook(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.replyURLs[c.req.URL.Path]
	refuse := func(status int, code string) answer {
		return answer{status: status, body: map[string]any{"ok": false, "error": code}}
	}
	switch {
	case u == nil:
		return refuse(http.StatusNotFound, "no_service")
	case s.cfg.Now().After(u.until):
		return refuse(http.StatusNotFound, "expired_url")
	case u.uses >= replyURLUses:
		return refuse(http.StatusNotFound, "used_url")
	}
	if wait := s.limited("hook "+c.req.URL.Path, replyURLUses, 60); wait > 0 {
		return tooMany(wait)
	}
	a, err := parseArgs(c.req, c.body)
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_payload")
	}
	if err := s.applyHook(u, a); err != nil {
		body := map[string]any{"ok": false, "error": err.code}
		if len(err.messages) > 0 {
			body["response_metadata"] = map[string]any{"messages": err.messages}
		}
		return answer{status: http.StatusBadRequest, body: body}
	}
	u.uses++
	return answer{body: "ok"}
}

func (s *Sim) applyHook(u *replyURL, a args) *apiError {
	ch := s.channels[u.channel]
	original := ch.find(u.message)
	if a.yes("delete_original") {
		if original == nil {
			return fail("message_not_found")
		}
		s.remove(ch, original)
		return nil
	}
	in, err := s.readContent(a)
	if err != nil {
		return err
	}
	if in.empty() {
		return fail("no_text")
	}
	if a.yes("replace_original") && original != nil {
		s.edit(ch, original, func(m *message) {
			in.fill(m)
			m.editedTS = s.stamp()
		})
		return nil
	}
	thread, err := ch.thread(a["thread_ts"])
	if err != nil {
		return err
	}
	m := &message{user: botUser, byBot: true, thread: thread, only: u.member}
	if a["response_type"] == "in_channel" {
		m.only = ""
	}
	in.fill(m)
	s.post(ch, m)
	if u.message == "" {
		u.message = m.ts
	}
	return nil
}
