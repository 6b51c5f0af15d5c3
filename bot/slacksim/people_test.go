package slacksim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
)

func TestPeople(t *testing.T) {
	b := onNetwork(t, slacksim.Config{PageSize: 2})
	b.sim.AddUserGroup(slacksim.UserGroup{ID: "S1", Handle: "oncall", Name: "On call", Users: []string{"U2"}})
	b.sim.AddUserGroup(slacksim.UserGroup{ID: "S2", Handle: "past", Disabled: true})
	ctx := t.Context()

	user, err := b.api.GetUserByEmailContext(ctx, "ANA@example.com")
	if err != nil || user.ID != "U1" || user.Profile.Email != "ana@example.com" || user.TeamID != b.sim.TeamID() {
		t.Errorf("by e-mail: %+v, %v", user, err)
	}
	for email, want := range map[string]string{"gone@example.com": "users_not_found", "nobody@example.com": "users_not_found"} {
		if _, err := b.api.GetUserByEmailContext(ctx, email); code(err) != want {
			t.Errorf("%s: %s, want %s", email, code(err), want)
		}
	}
	for id, want := range map[string][3]bool{"U3": {true, false, false}, "U4": {false, true, false}, "U5": {false, false, true}} {
		u, err := b.api.GetUserInfoContext(ctx, id)
		if err != nil || [3]bool{u.Deleted, u.IsRestricted && u.IsUltraRestricted, u.IsStranger} != want {
			t.Errorf("%s: %+v, %v", id, u, err)
		}
	}
	all, err := b.api.GetUsersContext(ctx)
	if err != nil || len(all) != 5 {
		t.Errorf("users.list over pages: %d, %v; want the bot and four members", len(all), err)
	}
	groups, err := b.api.GetUserGroupsContext(ctx, slack.GetUserGroupsOptionIncludeUsers(true))
	if err != nil || len(groups) != 1 || groups[0].Handle != "oncall" || len(groups[0].Users) != 1 {
		t.Errorf("groups: %+v, %v", groups, err)
	}
	members, err := b.api.GetUserGroupMembersContext(ctx, "S1")
	if diff := cmp.Diff([]string{"U2"}, members); diff != "" || err != nil {
		t.Errorf("group members: %v\n%s", err, diff)
	}
	if _, err := b.api.GetUserGroupMembersContext(ctx, "S2"); code(err) != "no_such_subteam" {
		t.Errorf("disabled group: %s", code(err))
	}
	auth, err := b.api.AuthTestContext(ctx)
	if err != nil || auth.UserID != b.sim.BotUserID() || auth.TeamID != b.sim.TeamID() {
		t.Errorf("auth.test: %+v, %v", auth, err)
	}
	app, err := b.api.GetBotInfoContext(ctx, slack.GetBotInfoParameters{Bot: auth.BotID})
	if err != nil || app.UserID != auth.UserID {
		t.Errorf("bots.info: %+v, %v", app, err)
	}
	if team, err := b.api.GetTeamInfoContext(ctx); err != nil || team.ID != b.sim.TeamID() {
		t.Errorf("team.info: %+v, %v", team, err)
	}
}

func TestConversations(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	open := func(users ...string) string {
		_, _, _, err := b.api.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: users, ReturnIM: true})
		return code(err)
	}
	for users, want := range map[string]string{
		"U1": "ok", "U9": "user_not_found", "U3": "user_disabled", "U5": "user_not_visible", "U1,U2": "ok", "": "users_list_not_supplied",
	} {
		if got := open(users); got != want {
			t.Errorf("open %q: %s, want %s", users, got, want)
		}
	}
	dm, _, already, err := b.api.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: []string{"U1"}, ReturnIM: true})
	if err != nil || !already || dm.ID != "D1" || dm.User != "U1" || !dm.IsIM {
		t.Errorf("open again: %+v, already %v, %v", dm, already, err)
	}
	info, err := b.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: "C1", IncludeNumMembers: true})
	if err != nil || info.Name != "key-approvals" || !info.IsMember || info.NumMembers != 4 {
		t.Errorf("info: %+v, %v", info, err)
	}
	if _, _, err := b.api.GetUsersInConversationContext(ctx, &slack.GetUsersInConversationParameters{ChannelID: "C3"}); code(err) != "channel_not_found" {
		t.Errorf("members of a private channel: %s", code(err))
	}
	if _, err := b.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: "C4"}); code(err) != "not_in_channel" {
		t.Errorf("history of a channel without the bot: %s", code(err))
	}
	if _, _, _, err := b.api.JoinConversationContext(ctx, "C4"); err != nil {
		t.Errorf("join: %v", err)
	}
	if _, warning, _, err := b.api.JoinConversationContext(ctx, "C4"); err != nil || warning != "already_in_channel" {
		t.Errorf("join again: warning %q, %v", warning, err)
	}
	_, ts, err := b.api.PostMessageContext(ctx, "C4", slack.MsgOptionText("here now", false))
	if err != nil {
		t.Fatal(err)
	}
	link, err := b.api.GetPermalinkContext(ctx, &slack.PermalinkParameters{Channel: "C4", Ts: ts})
	if err != nil || !strings.HasSuffix(link, "/archives/C4/p"+strings.ReplaceAll(ts, ".", "")) {
		t.Errorf("permalink %q, %v", link, err)
	}
	if err := b.api.AddReactionContext(ctx, "eyes", slack.NewRefToMessage("C4", ts)); err != nil {
		t.Error(err)
	}
	if err := b.api.AddReactionContext(ctx, "eyes", slack.NewRefToMessage("C4", ts)); code(err) != "already_reacted" {
		t.Errorf("react twice: %s", code(err))
	}
}

func TestFiles(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	content := "user,key\nana,1\n"
	_, err := b.api.UploadFileContext(t.Context(), slack.UploadFileParameters{
		Content: content, FileSize: len(content), Filename: "stale.csv", Title: "Stale keys", Channel: "C1", InitialComment: "This week",
	})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := b.ana.Screen().Channels[0].Last()
	if len(m.Files) != 1 || string(m.Files[0].Content) != content || m.Files[0].Title != "Stale keys" || m.Text != "This week" {
		t.Errorf("message with a file: %+v", m)
	}
	if _, err := b.api.UploadFileContext(t.Context(), slack.UploadFileParameters{
		Content: content, FileSize: len(content), Filename: "x.csv", Channel: "C2",
	}); code(err) == "ok" {
		t.Error("a file was shared in an archived channel")
	}
}

// TestFiles_InABlock: a message may show a file that has been shared in a channel, and who is there sees it.
func TestFiles_InABlock(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1})
	show := func(id string) error {
		image := slack.NewImageBlockSlackFile(&slack.SlackFileObject{ID: id}, "how old the keys are", "", nil)
		_, _, err := b.api.PostMessageContext(t.Context(), "C1", slack.MsgOptionBlocks(image), slack.MsgOptionText("keys", false))
		return err
	}
	upload := func(channel string) string {
		f, err := b.api.UploadFileContext(t.Context(), slack.UploadFileParameters{Content: "\x89PNG", FileSize: 4, Filename: "keys.png", Channel: channel})
		if err != nil {
			t.Fatal(err)
		}
		return f.ID
	}
	if err := show("F0"); code(err) != "invalid_blocks" {
		t.Errorf("a file that is not there: %s", code(err))
	}
	if err := show(upload("")); code(err) != "invalid_blocks" {
		t.Errorf("a file that was shared nowhere: %s", code(err))
	}
	id := upload("C1")
	if err := show(id); err != nil {
		t.Errorf("a file of the channel: %v", err)
	}
	for member, want := range map[string]int{"U1": http.StatusOK, "U99": http.StatusNotFound} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/slack/files/"+id+"?as="+member, http.NoBody)
		b.sim.Control().ServeHTTP(w, r)
		if w.Code != want || want == http.StatusOK && w.Header().Get("Content-Type") != "image/png" {
			t.Errorf("%s gets %d, %s", member, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

// TestHooks_Limits uses a response URL up.
func TestHooks_Limits(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1})
	ctx := t.Context()
	url, _ := commandURLs(t, b)
	for i := range 6 {
		_, _, err := b.api.PostMessageContext(ctx, "", slack.MsgOptionResponseURL(url, slack.ResponseTypeEphemeral), slack.MsgOptionText(fmt.Sprint(i), false))
		if (err != nil) != (i == 5) {
			t.Errorf("post %d to a response URL: %v; five are allowed", i+1, err)
		}
	}
	c, _ := b.ana.Screen().Channel("C1")
	if n := len(c.Messages); n != 5 {
		t.Errorf("%d messages, want 5", n)
	}
}

func TestHooks_Refusals(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := onNetwork(t, slacksim.Config{Now: func() time.Time { return now }, Burst: -1})
	hook, _ := commandURLs(t, b)
	send := func(url, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(raw)
	}
	for _, test := range []struct {
		name, url, body string
		status          int
		want            string
	}{
		{"made up", hook + "0", `{"text":"x"}`, 404, "no_service"},
		{"no JSON", hook, `nope`, 400, "invalid_payload"},
		{"nothing", hook, `{"blocks":null}`, 400, "no_text"},
		{"bad blocks", hook, `{"blocks":[{"type":"nope"}]}`, 400, "invalid_blocks"},
		{"no original to delete", hook, `{"delete_original":true}`, 400, "message_not_found"},
		{"good", hook, `{"text":"x","metadata":{"event_type":"","event_payload":null}}`, 200, "ok"},
		{"delete what it posted", hook, `{"delete_original":true}`, 200, "ok"},
	} {
		if status, body := send(test.url, test.body); status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: HTTP %d %s, want %d %s", test.name, status, body, test.status, test.want)
		}
	}
	now = now.Add(31 * time.Minute)
	if status, body := send(hook, `{"text":"x"}`); status != 404 || !strings.Contains(body, "expired_url") {
		t.Errorf("after half an hour: HTTP %d %s", status, body)
	}
}
