package slacksim_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// partner adds a channel shared with another company, and somebody who works there.
func partner(b *bench) *slacksim.Person {
	b.sim.AddMember(slacksim.Member{ID: "U7", Name: "pia", Email: "pia@partner.example", TeamID: "T7"})
	b.sim.AddChannel(slacksim.Channel{ID: "C7", Name: "with-partner", SharedWith: []string{"T7"}})
	return b.sim.As("U7")
}

func TestSlackConnect_Objects(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1})
	pia := partner(b)
	ctx := t.Context()
	info := func(id string) *slack.Channel {
		t.Helper()
		ch, err := b.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	if ch := info("C7"); !ch.IsExtShared || !ch.IsShared || !cmp.Equal(ch.ConnectedTeamIDs, []string{"T7"}) || !cmp.Equal(ch.SharedTeamIDs, []string{b.sim.TeamID(), "T7"}) {
		t.Errorf("the shared channel: %+v", ch)
	}
	if ch := info("C1"); ch.IsExtShared || ch.IsShared {
		t.Errorf("a channel that is not shared: %+v", ch)
	}
	members, _, err := b.api.GetUsersInConversationContext(ctx, &slack.GetUsersInConversationParameters{ChannelID: "C7"})
	if diff := cmp.Diff([]string{b.sim.BotUserID(), "U1", "U2", "U4", "U7"}, members); diff != "" || err != nil {
		t.Errorf("members: %v (-want +got):\n%s", err, diff)
	}
	if _, sees := pia.Screen().Channel("C1"); sees {
		t.Error("a member of another workspace sees a channel that is not shared with it")
	}
	user, err := b.api.GetUserInfoContext(ctx, "U7")
	if err != nil || user.TeamID != "T7" || user.Profile.Email != "" || user.IsStranger {
		t.Errorf("users.info: %+v, %v; want another team and no e-mail address", user, err)
	}
	if _, err := b.api.GetUserByEmailContext(ctx, "pia@partner.example"); code(err) != "users_not_found" {
		t.Errorf("by e-mail: %s", code(err))
	}
	all, err := b.api.GetUsersContext(ctx)
	for _, u := range all {
		if u.TeamID != b.sim.TeamID() {
			t.Errorf("users.list has %s of team %s", u.ID, u.TeamID)
		}
	}
	if err != nil || len(all) == 0 {
		t.Errorf("users.list: %d, %v", len(all), err)
	}
}

func TestSlackConnect_Payloads(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		pia := partner(b)
		type origin struct {
			Kind, Team, UserTeam, SourceTeam, InstalledIn string
			Shared                                        bool
		}
		var got []origin
		b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
			ack()
			switch data := ev.Data.(type) {
			case slack.InteractionCallback:
				got = append(got, origin{Kind: string(data.Type), UserTeam: data.User.TeamID, InstalledIn: data.Team.ID})
			case slackevents.EventsAPIEvent:
				o := origin{Kind: data.InnerEvent.Type, InstalledIn: data.TeamID, Shared: data.IsExtSharedChannel}
				var outer struct {
					Event struct {
						Team       string
						UserTeam   string `json:"user_team"`
						SourceTeam string `json:"source_team"`
					}
				}
				if err := json.Unmarshal(ev.Request.Payload, &outer); err != nil {
					t.Error(err)
				}
				o.Team, o.UserTeam, o.SourceTeam = outer.Event.Team, outer.Event.UserTeam, outer.Event.SourceTeam
				got = append(got, o)
			}
		})
		if _, _, err := b.api.PostMessageContext(ctx, "C7", slack.MsgOptionText("x", false), slack.MsgOptionBlocks(buttons("go"))); err != nil {
			t.Fatal(err)
		}
		for _, who := range []*slacksim.Person{pia, b.ana} {
			if err := who.Say(ctx, "C7", "hello @keyturner"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := who.Click(ctx, slacksim.Target{Channel: "C7", ActionID: "go"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := b.ana.Say(ctx, "C1", "hello @keyturner"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ours := b.sim.TeamID()
		want := []origin{
			{"app_mention", "T7", "T7", "T7", ours, true},
			{"block_actions", "", "T7", "", ours, false},
			{"app_mention", ours, ours, ours, ours, true},
			{"block_actions", "", ours, "", ours, false},
			{"app_mention", ours, "", "", ours, false},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("origins (-want +got):\n%s", diff)
		}
		past, err := b.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: "C7"})
		if err != nil || len(past.Messages) != 3 || past.Messages[1].Team != "T7" {
			t.Errorf("history: %+v, %v", past, err)
		}
		if _, err := pia.Command(ctx, "C7", "/rotate-key", ""); !errors.Is(err, slacksim.ErrNoCommand) {
			t.Errorf("a command of another workspace's app: %v", err)
		}
	})
}

func TestUserGroups_Disabled(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		var saw journal
		b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
			ack()
			outer, _ := ev.Data.(slackevents.EventsAPIEvent)
			if e, ok := outer.InnerEvent.Data.(*slackevents.SubteamUpdatedEvent); ok && e.Subteam.DateDelete > 0 {
				saw.add("disabled " + e.Subteam.ID)
			}
		})
		group := slacksim.UserGroup{ID: "S1", Handle: "oncall", Name: "On call", Users: []string{"U2"}}
		b.sim.AddUserGroup(group)
		group.Disabled = true
		b.sim.AddUserGroup(group)
		synctest.Wait()
		saw.want(t, "disabled S1")
		groups, err := b.api.GetUserGroupsContext(ctx)
		if err != nil || len(groups) != 0 {
			t.Errorf("groups: %+v, %v; want none that are in use", groups, err)
		}
		groups, err = b.api.GetUserGroupsContext(ctx, slack.GetUserGroupsOptionIncludeDisabled(true))
		if err != nil || len(groups) != 1 || groups[0].DateDelete == 0 {
			t.Errorf("groups, the disabled ones too: %+v, %v", groups, err)
		}
		if _, err := b.api.GetUserGroupMembersContext(ctx, "S1"); code(err) != "no_such_subteam" {
			t.Errorf("members of a disabled group: %s", code(err))
		}
		users, err := b.api.GetUserGroupMembersContext(ctx, "S1", slack.GetUserGroupMembersOptionIncludeDisabled(true))
		if diff := cmp.Diff([]string{"U2"}, users); diff != "" || err != nil {
			t.Errorf("members, asked for although disabled: %v\n%s", err, diff)
		}
		// On a plan without user groups every such method fails.
		b.sim.Fail("usergroups.users.list", slacksim.Fault{Error: "plan_upgrade_required"})
		if _, err := b.api.GetUserGroupMembersContext(ctx, "S1"); code(err) != "plan_upgrade_required" {
			t.Errorf("without the plan: %s", code(err))
		}
	})
}

func TestEvents_Subscribed(t *testing.T) {
	for _, test := range []struct {
		name   string
		events []string
		want   []string
	}{
		{"to all", nil, []string{"app_home_opened", "message", "app_mention", "user_change"}},
		{"to none", []string{}, nil},
		{"to some", []string{"message.im", "user_change"}, []string{"message", "user_change"}},
		{"to messages elsewhere", []string{"message", "message.channels"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, slacksim.Config{Events: test.events}, func(t *testing.T, b *bench, ctx context.Context) {
				var saw journal
				b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
					ack()
					outer, _ := ev.Data.(slackevents.EventsAPIEvent)
					saw.add(outer.InnerEvent.Type)
				})
				if err := errors.Join(b.ana.OpenHome(ctx), b.ana.Say(ctx, b.sim.BotUserID(), "hi"), b.ana.Say(ctx, "C1", "hi @keyturner")); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				b.sim.AddMember(slacksim.Member{ID: "U2", Name: "ben", Deleted: true})
				synctest.Wait()
				saw.want(t, test.want...)
			})
		})
	}
}
