package slacksim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// TestStory_CommandToForm walks a command through a modal that is opened, updated,
// submitted in vain and submitted well.
func TestStory_CommandToForm(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	var closed []slack.InteractionCallback
	tries := 0
	b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
		if ev.Type == socketmode.EventTypeSlashCommand {
			ack()
			cmd, _ := ev.Data.(slack.SlashCommand)
			view, err := b.api.OpenViewContext(ctx, cmd.TriggerID, slack.ModalViewRequest{
				Type: slack.VTModal, Title: plainText("Loading"), Blocks: slack.Blocks{BlockSet: []slack.Block{section("One moment")}},
			})
			if err != nil {
				b.must(ctx, "open view", err)
				return
			}
			_, err = b.api.UpdateViewContext(ctx, form(cmd.Command+" "+cmd.Text), "", view.Hash, view.ID)
			b.must(ctx, "update view", err)
			return
		}
		call, _ := ev.Data.(slack.InteractionCallback)
		switch call.Type {
		case slack.InteractionTypeViewSubmission:
			if tries++; tries == 1 {
				ack(slack.NewErrorsViewSubmissionResponse(map[string]string{"reason": "Too short"}))
				return
			}
			state := call.View.State.Values
			got := state["reason"]["text"].Value + "/" + state["account"]["pick"].SelectedOption.Value + "/" + call.View.PrivateMetadata
			ack()
			_, _, err := b.api.PostMessageContext(ctx, "U1", slack.MsgOptionText(got, false))
			b.must(ctx, "post", err)
		case slack.InteractionTypeViewClosed:
			closed = append(closed, call)
			ack()
		}
	})

	if _, err := b.ana.Command(ctx, "C1", "/rotate-key", "now"); err != nil {
		t.Fatalf("command: %v", err)
	}
	screen, err := b.ana.Await(ctx, func(s slacksim.Screen) bool {
		v, ok := s.Top()
		return ok && v.Title == "/rotate-key now"
	})
	if err != nil {
		t.Fatalf("await the form: %v; screen %+v", err, screen.Views)
	}
	if errs, err := b.ana.Submit(ctx, map[string]string{"text": "x"}); err != nil || errs["account"] == "" {
		t.Fatalf("submit without an account: errors %v, %v; want Slack's own objection", errs, err)
	}
	if tries != 0 {
		t.Fatal("an incomplete form reached the app")
	}
	errs, err := b.ana.Submit(ctx, map[string]string{"pick": "Account two"})
	if diff := cmp.Diff(map[string]string{"reason": "Too short"}, errs); diff != "" || err != nil {
		t.Fatalf("errors of the app (-want +got):\n%s%v", diff, err)
	}
	if top, ok := b.ana.Screen().Top(); !ok || top.Errors["reason"] != "Too short" {
		t.Fatalf("the modal shows %+v, want the error", top.Errors)
	}
	if errs, err := b.ana.Submit(ctx, map[string]string{"text": "leaked"}); err != nil || len(errs) > 0 {
		t.Fatalf("second submit: %v %v", errs, err)
	}
	screen, err = b.ana.Await(ctx, func(s slacksim.Screen) bool { return len(s.DM().Messages) == 1 })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := screen.DM().Messages[0].Text, "leaked/two/ref-1"; got != want {
		t.Errorf("DM is %q, want %q", got, want)
	}
	if len(screen.Views) != 0 {
		t.Errorf("%d views are open, want none", len(screen.Views))
	}
	if len(closed) != 0 {
		t.Errorf("a submitted view was reported as closed")
	}
}

// TestStory_Approval posts a card, has it clicked, updates it and refuses another member by
// an ephemeral message that is then replaced.
func TestStory_Approval(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
		ack()
		call, _ := ev.Data.(slack.InteractionCallback)
		if len(call.ActionCallback.BlockActions) != 1 {
			return
		}
		action := call.ActionCallback.BlockActions[0]
		var err error
		switch {
		case action.ActionID == "dismiss":
			_, _, err = b.api.PostMessageContext(ctx, "", slack.MsgOptionReplaceOriginal(call.ResponseURL), slack.MsgOptionText("As you wish.", false))
		case call.User.ID == "U2":
			_, err = b.api.PostEphemeralContext(ctx, call.Channel.ID, call.User.ID,
				slack.MsgOptionText("Not you", false), slack.MsgOptionBlocks(section("Not you"), buttons("dismiss")))
		default:
			_, _, _, err = b.api.UpdateMessageContext(ctx, call.Channel.ID, call.Message.Timestamp,
				slack.MsgOptionText(fmt.Sprintf("Approved by %s: %s", call.User.Name, action.Value), false))
		}
		b.must(ctx, "answer "+action.ActionID, err)
	})
	channel, ts, err := b.api.PostMessageContext(ctx, "#key-approvals",
		slack.MsgOptionText("Approve?", false), slack.MsgOptionBlocks(section("Approve?"), buttons("approve", "deny")))
	if err != nil || channel != "C1" {
		t.Fatalf("post: channel %q, %v", channel, err)
	}
	seen, _ := b.ana.Screen().Channels[0].Last()

	card := slacksim.Target{Channel: "C1", TS: ts, ActionID: "approve"}
	if err := b.ben.Click(ctx, card); err != nil {
		t.Fatalf("ben clicks: %v", err)
	}
	if _, err := b.ben.Await(ctx, func(s slacksim.Screen) bool { return len(s.Channels[0].Messages) == 2 }); err != nil {
		t.Fatal(err)
	}
	if n := len(b.ana.Screen().Channels[0].Messages); n != 1 {
		t.Errorf("ana sees %d messages, want 1: the ephemeral one is not hers", n)
	}
	if err := b.ben.Click(ctx, slacksim.Target{Channel: "C1", ActionID: "dismiss"}); err != nil {
		t.Fatalf("ben dismisses: %v", err)
	}
	if _, err := b.ben.Await(ctx, func(s slacksim.Screen) bool {
		m, _ := s.Channels[0].Last()
		return m.Text == "As you wish." && m.Ephemeral && len(m.Blocks) == 0
	}); err != nil {
		t.Fatal(err)
	}

	if err := b.ana.Click(ctx, card); err != nil {
		t.Fatalf("ana clicks: %v", err)
	}
	screen, err := b.ana.Await(ctx, func(s slacksim.Screen) bool {
		m, _ := s.Channels[0].Message(ts)
		return strings.HasPrefix(m.Text, "Approved")
	})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := screen.Channels[0].Message(ts)
	if want := "Approved by ana: v-approve"; m.Text != want || len(m.Blocks) != 0 || !m.Edited {
		t.Errorf("message is %+v, want %q without blocks, edited", m, want)
	}
	if err := b.ana.Click(ctx, card); !errors.Is(err, slacksim.ErrNotOnScreen) {
		t.Errorf("click on a removed button: %v, want ErrNotOnScreen", err)
	}
	if err := b.ana.ClickStale(ctx, seen, slacksim.Target{ActionID: "deny"}); err != nil {
		t.Errorf("stale click: %v", err)
	}
	if _, err := b.ana.Await(ctx, func(s slacksim.Screen) bool {
		m, _ := s.Channels[0].Message(ts)
		return m.Text == "Approved by ana: v-deny"
	}); err != nil {
		t.Error(err)
	}
}
