package slacksim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// apiError is an error reply of the Web API: HTTP 200 with ok:false, or 429 when
// retryAfter is set.
type apiError struct {
	code             string
	needed, provided string
	messages         []string
	retryAfter       int
	extra            reply // members of the body beside the code
}

// Error is the code.
func (e *apiError) Error() string { return e.code }

func fail(code string) *apiError { return &apiError{code: code} }

// tokenKind is which token a method wants.
type tokenKind string

const (
	noToken tokenKind = ""
	asBot   tokenKind = "bot"
	asApp   tokenKind = "app"
)

// fakeMark is in every token minted here.
const fakeMark = "-sandbox-"

// reply holds the members of an ok reply.
type reply map[string]any

// method is one row of the Web API. Scopes are alternatives: one of them suffices.
type method struct {
	token  tokenKind
	perMin float64
	scopes []string
	run    func(*Sim, *call) (reply, *apiError)
}

var (
	readChannels = []string{"channels:read", "groups:read", "im:read", "mpim:read"}
	readHistory  = []string{"channels:history", "groups:history", "im:history", "mpim:history"}
)

// defaultScopes are those an app of this kind asks for in its manifest.
var defaultScopes = slices.Concat(readChannels, readHistory, []string{
	"app_mentions:read", "channels:join", "chat:write", "commands", "files:write", "im:write", "mpim:write",
	"reactions:write", "team:read", "usergroups:read", "users:read", "users:read.email",
})

// methods is the Web API: what each method needs, its rate, and what it does.
var methods = map[string]method{
	"api.test":                     {noToken, tier4, nil, (*Sim).apiTest},
	"auth.test":                    {asBot, special, nil, (*Sim).authTest},
	"apps.connections.open":        {asApp, tier3, nil, (*Sim).openConnection},
	"bots.info":                    {asBot, tier3, []string{"users:read"}, (*Sim).botInfo},
	"chat.delete":                  {asBot, tier3, []string{"chat:write"}, (*Sim).deleteMessage},
	"chat.getPermalink":            {asBot, special, nil, (*Sim).permalink},
	"chat.postEphemeral":           {asBot, tier4, []string{"chat:write"}, (*Sim).postEphemeral},
	"chat.postMessage":             {asBot, special, []string{"chat:write"}, (*Sim).postMessage},
	"chat.update":                  {asBot, tier3, []string{"chat:write"}, (*Sim).updateMessage},
	"conversations.history":        {asBot, tier3, readHistory, (*Sim).history},
	"conversations.info":           {asBot, tier3, readChannels, (*Sim).conversationInfo},
	"conversations.join":           {asBot, tier3, []string{"channels:join"}, (*Sim).joinConversation},
	"conversations.members":        {asBot, tier4, readChannels, (*Sim).conversationMembers},
	"conversations.open":           {asBot, tier3, []string{"im:write", "mpim:write"}, (*Sim).openConversation},
	"conversations.replies":        {asBot, tier3, readHistory, (*Sim).threadReplies},
	"files.completeUploadExternal": {asBot, tier4, []string{"files:write"}, (*Sim).completeUpload},
	"files.getUploadURLExternal":   {asBot, tier4, []string{"files:write"}, (*Sim).uploadURL},
	"reactions.add":                {asBot, tier3, []string{"reactions:write"}, (*Sim).addReaction},
	"team.info":                    {asBot, tier3, []string{"team:read"}, (*Sim).teamInfo},
	"usergroups.list":              {asBot, tier2, []string{"usergroups:read"}, (*Sim).listGroups},
	"usergroups.users.list":        {asBot, tier2, []string{"usergroups:read"}, (*Sim).listGroupUsers},
	"users.info":                   {asBot, tier4, []string{"users:read"}, (*Sim).userInfo},
	"users.list":                   {asBot, tier2, []string{"users:read"}, (*Sim).listUsers},
	"users.lookupByEmail":          {asBot, tier3, []string{"users:read.email"}, (*Sim).lookupUser},
	"views.open":                   {asBot, tier4, nil, (*Sim).openView},
	"views.publish":                {asBot, tier4, nil, (*Sim).publishView},
	"views.push":                   {asBot, tier4, nil, (*Sim).pushView},
	"views.update":                 {asBot, tier4, nil, (*Sim).updateView},
}

// serveMethod answers one Web API call.
func (s *Sim) serveMethod(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.runMethod(c)
	if err == nil {
		body := reply{"ok": true}
		maps.Copy(body, out)
		header := http.Header{"X-Oauth-Scopes": {s.granted()}}
		if scopes := methods[c.name].scopes; len(scopes) > 0 {
			header.Set("X-Accepted-Oauth-Scopes", strings.Join(scopes, ","))
		}
		return answer{body: body, header: header}
	}
	if err.retryAfter > 0 {
		return tooMany(err.retryAfter)
	}
	body := reply{"ok": false, "error": err.code}
	maps.Copy(body, err.extra)
	if err.needed != "" {
		body["needed"], body["provided"] = err.needed, err.provided
	}
	if len(err.messages) > 0 {
		body["errors"] = plainMessages(err.messages)
		body["response_metadata"] = map[string]any{"messages": err.messages}
	}
	return answer{body: body}
}

func plainMessages(messages []string) []string {
	var out []string
	for _, m := range messages {
		out = append(out, strings.TrimPrefix(m, "[ERROR] "))
	}
	return out
}

func (s *Sim) runMethod(c *call) (reply, *apiError) {
	m, known := methods[c.name]
	if !known {
		return nil, fail("unknown_method")
	}
	var err error
	if c.args, err = parseArgs(c.req, c.body); err != nil {
		return nil, fail("invalid_json")
	}
	if err := s.authorize(c, m); err != nil {
		return nil, err
	}
	if wait := s.limited(c.name, m.perMin, m.perMin); wait > 0 {
		return nil, &apiError{code: "ratelimited", retryAfter: wait}
	}
	return m.run(s, c)
}

// authorize checks the token and the scopes. Only the two tokens minted by [New] pass.
func (s *Sim) authorize(c *call, m method) *apiError {
	token := strings.TrimPrefix(c.req.Header.Get("Authorization"), "Bearer ")
	token = orDefault(token, c.args["token"])
	switch {
	case m.token == noToken:
		return nil
	case token == "":
		return fail("not_authed")
	case token != s.botToken && token != s.appToken:
		s.cfg.Logger.Warn("token refused: the simulator accepts only its own", "method", c.name)
		return fail("invalid_auth")
	case (token == s.appToken) != (m.token == asApp):
		return fail("not_allowed_token_type")
	case m.token == asApp && c.req.Method != http.MethodPost:
		return fail("insecure_request")
	case len(m.scopes) > 0:
		return s.needAny(m.scopes...)
	}
	return nil
}

// needAny fails with missing_scope unless one of the scopes is granted.
func (s *Sim) needAny(scopes ...string) *apiError {
	if slices.ContainsFunc(scopes, func(scope string) bool { return s.scopes[scope] }) {
		return nil
	}
	return &apiError{code: "missing_scope", needed: strings.Join(scopes, ","), provided: s.granted()}
}

func (s *Sim) granted() string { return strings.Join(s.cfg.Scopes, ",") }

func (s *Sim) apiTest(c *call) (reply, *apiError) {
	echoed := map[string]string{}
	for key, value := range c.args {
		if key != "token" {
			echoed[key] = value
		}
	}
	if code := c.args["error"]; code != "" {
		return nil, &apiError{code: code, extra: reply{"args": echoed}}
	}
	return reply{"args": echoed}, nil
}

func (s *Sim) authTest(*call) (reply, *apiError) {
	return reply{
		"url": "https://" + domain + ".slack.com/", "team": s.cfg.TeamName, "user": botName,
		"team_id": teamID, "user_id": botUser, "bot_id": botID, "is_enterprise_install": false,
	}, nil
}
