package slacksim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// code is the error code of a Web API reply, or the error's text.
func code(err error) string {
	if err == nil {
		return "ok"
	}
	if reply, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return reply.Err
	}
	return err.Error()
}

func TestPostMessage_Where(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	for _, test := range []struct {
		name, channel, want string
	}{
		{"channel", "C1", "ok"},
		{"name", "#key-approvals", "ok"},
		{"direct message opened by posting", "U1", "ok"},
		{"unknown", "C9", "channel_not_found"},
		{"empty", "", "channel_not_found"},
		{"archived", "C2", "is_archived"},
		{"private without the bot", "C3", "channel_not_found"},
		{"public without the bot", "C4", "not_in_channel"},
		{"deactivated member never written to", "U3", "channel_not_found"},
		{"stranger", "U5", "channel_not_found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := b.api.PostMessageContext(t.Context(), test.channel, slack.MsgOptionText("hi", false))
			if got := code(err); got != test.want {
				t.Errorf("post to %q: %s, want %s", test.channel, got, test.want)
			}
		})
	}
}

func TestPostMessage_Content(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1})
	long := strings.Repeat("x", 3000)
	for _, test := range []struct {
		name string
		opts []slack.MsgOption
		want string
	}{
		{"nothing", nil, "no_text"},
		{"blocks alone", []slack.MsgOption{slack.MsgOptionBlocks(section("x"))}, "ok"},
		{"an invalid block", []slack.MsgOption{slack.MsgOptionBlocks(section(long + "x"))}, "invalid_blocks"},
		{"too much in all", []slack.MsgOption{slack.MsgOptionBlocks(section(long), section(long), section(long), section(long), section(long))}, "msg_blocks_too_long"},
		{"text too long is cut", []slack.MsgOption{slack.MsgOptionText(strings.Repeat("x", 50_000), false)}, "ok"},
		{"metadata", []slack.MsgOption{slack.MsgOptionText("x", false), slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "kt", EventPayload: map[string]any{"id": "1"}})}, "ok"},
		{"metadata of a bad name", []slack.MsgOption{slack.MsgOptionText("x", false), slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "k t", EventPayload: map[string]any{}})}, "invalid_metadata_schema"},
		{"a thread that is not there", []slack.MsgOption{slack.MsgOptionText("x", false), slack.MsgOptionTS("1.000001")}, "thread_not_found"},
		{"another name", []slack.MsgOption{slack.MsgOptionText("x", false), slack.MsgOptionUsername("boss")}, "missing_scope"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := b.api.PostMessageContext(t.Context(), "C1", test.opts...)
			if got := code(err); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	for _, m := range b.ana.Screen().Channels[0].Messages {
		if len(m.Text) > 40_000 {
			t.Errorf("a message of %d characters was kept whole", len(m.Text))
		}
	}
}

func TestUpdate(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	meta := slack.SlackMetadata{EventType: "kt", EventPayload: map[string]any{"id": "7"}}
	dm, ts, err := b.api.PostMessageContext(ctx, "U1",
		slack.MsgOptionText("card", false), slack.MsgOptionBlocks(section("card"), buttons("go")), slack.MsgOptionMetadata(meta))
	if err != nil || dm != "D1" {
		t.Fatalf("post to a member: channel %q, %v; want the D… id", dm, err)
	}
	read := func() slack.Message {
		t.Helper()
		past, err := b.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: dm, IncludeAllMetadata: true})
		if err != nil || len(past.Messages) != 1 {
			t.Fatalf("history: %v", err)
		}
		return past.Messages[0]
	}
	if m := read(); len(m.Blocks.BlockSet) != 2 || m.Metadata.EventPayload["id"] != "7" || m.BotID == "" {
		t.Errorf("as posted: %d blocks, metadata %+v, bot %q", len(m.Blocks.BlockSet), m.Metadata, m.BotID)
	}
	if _, _, _, err := b.api.UpdateMessageContext(ctx, "U1", ts, slack.MsgOptionText("x", false)); code(err) != "channel_not_found" {
		t.Errorf("update by member id: %s, want channel_not_found", code(err))
	}
	if _, _, _, err := b.api.UpdateMessageContext(ctx, dm, ts, slack.MsgOptionText("new", false), slack.MsgOptionBlocks(section("new"))); err != nil {
		t.Fatal(err)
	}
	if m := b.ana.Screen().DM().Messages[0]; m.Edited || m.Text != "new" {
		t.Errorf("with blocks: %+v, want no mark of an edit", m)
	}
	if _, _, text, err := b.api.UpdateMessageContext(ctx, dm, ts, slack.MsgOptionText("done", false)); err != nil || text != "done" {
		t.Fatalf("update: %q, %v", text, err)
	}
	if m := read(); len(m.Blocks.BlockSet) != 0 || m.Metadata.EventPayload["id"] != "7" || m.Edited == nil {
		t.Errorf("text alone: blocks %v, metadata %+v; want none, and metadata kept", m.Blocks.BlockSet, m.Metadata)
	}
	if _, _, _, err := b.api.UpdateMessageContext(ctx, dm, ts, slack.MsgOptionText(strings.Repeat("x", 4001), false)); code(err) != "msg_too_long" {
		t.Errorf("4001 characters: %s, want msg_too_long", code(err))
	}
	if err := b.ana.Say(ctx, b.sim.BotUserID(), "hello"); err != nil {
		t.Fatal(err)
	}
	hers, _ := b.ana.Screen().DM().Last()
	if _, _, _, err := b.api.UpdateMessageContext(ctx, dm, hers.TS, slack.MsgOptionText("x", false)); code(err) != "cant_update_message" {
		t.Errorf("update another's: %s", code(err))
	}
	if _, _, err := b.api.DeleteMessageContext(ctx, dm, hers.TS); code(err) != "cant_delete_message" {
		t.Errorf("delete another's: %s", code(err))
	}
}

func TestDelete(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1})
	ctx := t.Context()
	_, parent, _ := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText("parent", false))
	_, first, _ := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText("reply", false), slack.MsgOptionTS(parent))
	_, second, err := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText("reply to the reply", false), slack.MsgOptionTS(first))
	if err != nil {
		t.Fatal(err)
	}
	thread, _, _, err := b.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{ChannelID: "C1", Timestamp: second})
	if err != nil || len(thread) != 3 || thread[2].ThreadTimestamp != parent {
		t.Fatalf("thread of %d messages, %v; want 3 under one parent", len(thread), err)
	}
	if _, _, err := b.api.DeleteMessageContext(ctx, "C1", parent); err != nil {
		t.Fatal(err)
	}
	m, ok := b.ana.Screen().Channels[0].Message(parent)
	if !ok || !m.Deleted || m.ReplyCount != 2 || strings.Contains(m.Content(), "parent") {
		t.Errorf("parent of a thread shows as %+v, want a tombstone", m)
	}
	if _, _, err := b.api.DeleteMessageContext(ctx, "C1", parent); code(err) != "message_not_found" {
		t.Errorf("delete twice: %s", code(err))
	}
	if _, _, err := b.api.DeleteMessageContext(ctx, "C1", first); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.ana.Screen().Channels[0].Message(first); ok {
		t.Error("a deleted reply is still on the screen")
	}
}

func TestEphemeral(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	ts, err := b.api.PostEphemeralContext(ctx, "C1", "U1", slack.MsgOptionText("psst", false))
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := b.ana.Screen().Channels[0].Message(ts); !ok || !m.Ephemeral {
		t.Errorf("ana sees %+v", m)
	}
	if _, ok := b.ben.Screen().Channels[0].Message(ts); ok {
		t.Error("ben sees what was for ana alone")
	}
	past, err := b.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: "C1"})
	if err != nil || len(past.Messages) != 0 {
		t.Errorf("history has %d messages, %v; ephemeral ones are not in it", len(past.Messages), err)
	}
	if _, _, _, err := b.api.UpdateMessageContext(ctx, "C1", ts, slack.MsgOptionText("x", false)); code(err) != "message_not_found" {
		t.Errorf("update an ephemeral message: %s", code(err))
	}
	if _, err := b.api.PostEphemeralContext(ctx, "C1", "U3", slack.MsgOptionText("x", false)); code(err) != "user_not_in_channel" {
		t.Errorf("to a deactivated member: %s", code(err))
	}
	b.ana.Reload()
	if n := len(b.ana.Screen().Channels[0].Messages); n != 0 {
		t.Errorf("%d messages after a reload, want none", n)
	}
}

func TestHistory_Pages(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1, PageSize: 2})
	ctx := t.Context()
	want := []string{"e", "d", "c", "b", "a"}
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		if _, _, err := b.api.PostMessageContext(ctx, "C1", slack.MsgOptionText(text, false)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for params := (&slack.GetConversationHistoryParameters{ChannelID: "C1", Limit: 100}); ; {
		page, err := b.api.GetConversationHistoryContext(ctx, params)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			got = append(got, m.Text)
		}
		if !page.HasMore {
			break
		}
		params.Cursor = page.ResponseMetaData.NextCursor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestRateLimit_Posting(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := onNetwork(t, slacksim.Config{Now: func() time.Time { return now }, Burst: 2})
	post := func(channel string) error {
		_, _, err := b.api.PostMessageContext(t.Context(), channel, slack.MsgOptionText("x", false))
		return err
	}
	for range 2 {
		if err := post("C1"); err != nil {
			t.Fatalf("within the burst: %v", err)
		}
	}
	limited, ok := errors.AsType[*slack.RateLimitedError](post("C1"))
	if !ok || limited.RetryAfter != time.Second {
		t.Fatalf("beyond the burst: %v, want a wait of one second", limited)
	}
	if err := post("U1"); err != nil {
		t.Errorf("another channel: %v", err)
	}
	now = now.Add(time.Second)
	if err := post("C1"); err != nil {
		t.Errorf("a second later: %v", err)
	}
}

func TestRateLimit_Tier(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := onNetwork(t, slacksim.Config{Now: func() time.Time { return now }})
	var err error
	calls := 0
	for ; err == nil && calls < 100; calls++ {
		_, err = b.api.GetUserGroupsContext(t.Context())
	}
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); !ok || calls != 21 || limited.RetryAfter != 3*time.Second {
		t.Errorf("call %d of tier 2: %v; want the 21st refused for 3 s", calls, err)
	}
}

func TestScopes(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Scopes: []string{"chat:write", "users:read"}})
	ctx := t.Context()
	_, err := b.api.GetUserByEmailContext(ctx, "ana@example.com")
	reply, ok := errors.AsType[slack.SlackErrorResponse](err)
	if !ok || reply.Err != "missing_scope" || reply.Needed != "users:read.email" || reply.Provided != "chat:write,users:read" {
		t.Errorf("lookupByEmail: %+v", err)
	}
	user, err := b.api.GetUserInfoContext(ctx, "U1")
	if err != nil || user.Profile.Email != "" {
		t.Errorf("users.info: %v, email %q; want none without the scope", err, user.Profile.Email)
	}
	if _, err := b.ana.Command(ctx, "C1", "/rotate-key", ""); !errors.Is(err, slacksim.ErrNoCommand) {
		t.Errorf("command without the scope: %v", err)
	}
}

func TestTokens(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	for _, test := range []struct {
		name, token, want string
	}{
		{"own", b.sim.BotToken(), "ok"},
		{"none", "", "not_authed"},
		{"the app's", b.sim.AppToken(), "not_allowed_token_type"},
		{"real-looking", "xoxb-123456789012-abcdef", "invalid_auth"},
		{"of another sandbox", "xoxb-sandbox-00", "invalid_auth"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := slack.New(test.token, slack.OptionAPIURL(b.url)).AuthTestContext(t.Context())
			if got := code(err); got != test.want {
				t.Errorf("auth.test: %s, want %s", got, test.want)
			}
		})
	}
	if strings.Contains(string(b.sim.Traffic()), "xoxb-123456789012") || !strings.Contains(string(b.sim.Traffic()), b.sim.BotToken()) {
		t.Error("a token that is not the simulator's own was recorded")
	}
}
