package slacksim

import "strings"

// userJSON is a user object. The e-mail address needs a scope of its own, and is not shown
// of those of another workspace.
func (s *Sim) userJSON(m *Member) map[string]any {
	profile := map[string]any{"real_name": m.RealName, "display_name": m.Name, "title": m.Title, "team": m.TeamID}
	if s.scopes["users:read.email"] && m.TeamID == teamID && !m.Stranger && m.Email != "" {
		profile["email"] = m.Email
	}
	out := map[string]any{
		"id": m.ID, "team_id": m.TeamID, "name": m.Name, "deleted": m.Deleted, "real_name": m.RealName, "profile": profile,
		"is_bot": m.Bot, "is_app_user": false, "is_stranger": m.Stranger, "updated": s.cfg.Now().Unix(),
	}
	if m.Deleted {
		return out
	}
	out["tz"], out["tz_label"], out["tz_offset"] = m.TimeZone, m.TimeZone, 3600
	out["is_admin"], out["is_owner"], out["is_primary_owner"] = m.Admin, false, false
	out["is_restricted"], out["is_ultra_restricted"] = m.Restricted, m.UltraRestricted
	out["is_email_confirmed"] = !m.Unconfirmed
	return out
}

func (s *Sim) userInfo(c *call) (reply, *apiError) {
	m := s.members[c.args["user"]]
	if m == nil {
		return nil, fail("user_not_found")
	}
	return reply{"user": s.userJSON(m)}, nil
}

func (s *Sim) listUsers(c *call) (reply, *apiError) {
	var all []map[string]any
	for _, id := range s.order {
		if m := s.members[id]; m.TeamID == teamID && !m.Stranger {
			all = append(all, s.userJSON(m))
		}
	}
	page, next, err := page(s, c, all, 1000)
	return reply{"members": page, "cache_ts": s.cfg.Now().Unix(), "response_metadata": cursor(next)}, err
}

func (s *Sim) lookupUser(c *call) (reply, *apiError) {
	for _, id := range s.order {
		m := s.members[id]
		if m.Email != "" && strings.EqualFold(m.Email, c.args["email"]) && !m.Deleted && !m.Stranger && m.TeamID == teamID {
			return reply{"user": s.userJSON(m)}, nil
		}
	}
	return nil, fail("users_not_found")
}

func (s *Sim) groupJSON(g UserGroup, withUsers bool) map[string]any {
	out := map[string]any{
		"id": g.ID, "team_id": teamID, "is_usergroup": true, "is_subteam": true, "name": g.Name, "handle": g.Handle,
		"user_count": len(g.Users), "date_delete": 0, "description": "", "prefs": map[string]any{"channels": []string{}, "groups": []string{}},
	}
	if g.Disabled {
		out["date_delete"] = s.cfg.Now().Unix()
	}
	if withUsers {
		out["users"] = append([]string{}, g.Users...)
	}
	return out
}

func (s *Sim) listGroups(c *call) (reply, *apiError) {
	all := []map[string]any{}
	for _, g := range s.groups {
		if !g.Disabled || c.args.yes("include_disabled") {
			all = append(all, s.groupJSON(g, c.args.yes("include_users")))
		}
	}
	return reply{"usergroups": all}, nil
}

func (s *Sim) listGroupUsers(c *call) (reply, *apiError) {
	for _, g := range s.groups {
		if g.ID == c.args["usergroup"] && (!g.Disabled || c.args.yes("include_disabled")) {
			return reply{"users": append([]string{}, g.Users...)}, nil
		}
	}
	return nil, fail("no_such_subteam")
}

func (s *Sim) botInfo(c *call) (reply, *apiError) {
	if id := c.args["bot"]; id != "" && id != botID {
		return nil, fail("bot_not_found")
	}
	return reply{"bot": map[string]any{
		"id": botID, "deleted": false, "name": botName, "updated": s.cfg.Now().Unix(), "app_id": appID, "user_id": botUser,
		"icons": map[string]any{},
	}}, nil
}

func (s *Sim) teamInfo(*call) (reply, *apiError) {
	return reply{"team": map[string]any{
		"id": teamID, "name": s.cfg.TeamName, "domain": domain, "email_domain": "", "icon": map[string]any{"image_default": true},
	}}, nil
}
