package slacksim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

func TestTriggers(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := onNetwork(t, slacksim.Config{Now: func() time.Time { return now }})
	ctx := t.Context()
	open := func(trigger string) string {
		_, err := b.api.OpenViewContext(ctx, trigger, form("Form"))
		return code(err)
	}
	_, first := commandURLs(t, b)
	_, late := commandURLs(t, b)
	if got := open("1.2.3"); got != "invalid_trigger_id" {
		t.Errorf("made-up trigger: %s", got)
	}
	if _, err := b.api.OpenViewContext(ctx, first, slack.ModalViewRequest{Type: slack.VTModal, Title: plainText("Empty")}); code(err) != "invalid_arguments" {
		t.Errorf("view without blocks: %s", code(err))
	}
	if got := open(first); got != "ok" {
		t.Errorf("trigger after a refused view: %s", got)
	}
	if got := open(first); got != "exchanged_trigger_id" {
		t.Errorf("second use: %s", got)
	}
	now = now.Add(3*time.Second + time.Millisecond)
	if got := open(late); got != "expired_trigger_id" {
		t.Errorf("after three seconds: %s", got)
	}
}

func TestUpdateView(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	_, trigger := commandURLs(t, b)
	opened, err := b.api.OpenViewContext(ctx, trigger, form("First"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.ana.Fill(map[string]string{"text": "typed", "pick": "one"}); err != nil {
		t.Fatal(err)
	}
	updated, err := b.api.UpdateViewContext(ctx, form("Second"), "", opened.Hash, opened.ID)
	if err != nil || updated.Hash == opened.Hash {
		t.Fatalf("update: %v; hash %q, was %q", err, updated.Hash, opened.Hash)
	}
	if got := updated.State.Values["reason"]["text"].Value; got != "typed" {
		t.Errorf("what was typed became %q", got)
	}
	if _, err := b.api.UpdateViewContext(ctx, form("Third"), "", opened.Hash, opened.ID); code(err) != "hash_conflict" {
		t.Errorf("with the old hash: %s", code(err))
	}
	if _, err := b.api.UpdateViewContext(ctx, form("Third"), "", "", "V0"); code(err) != "not_found" {
		t.Errorf("unknown view: %s", code(err))
	}
	_, err = b.api.UpdateViewContext(ctx, form("A title of far more than 24"), "", "", opened.ID)
	reply, _ := errors.AsType[slack.SlackErrorResponse](err)
	want := []string{"[ERROR] must be less than 25 characters [json-pointer:/view/title/text]"}
	if diff := cmp.Diff(want, reply.ResponseMetadata.Messages); diff != "" || reply.Err != "invalid_arguments" {
		t.Errorf("%s: messages (-want +got):\n%s", reply.Err, diff)
	}
	if err := b.ana.CloseView(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.api.UpdateViewContext(ctx, form("Fourth"), "", "", opened.ID); code(err) != "not_found" {
		t.Errorf("closed view: %s", code(err))
	}
}

// modalApp opens a form for a command and leaves everything else to answer.
func modalApp(ctx context.Context, b *bench, answer func(slack.InteractionCallback, func(...any))) handler {
	return func(ev socketmode.Event, ack func(...any)) {
		switch data := ev.Data.(type) {
		case slack.SlashCommand:
			_, err := b.api.OpenViewContext(ctx, data.TriggerID, form("Root"))
			b.must(ctx, "open", err)
			ack()
		case slack.InteractionCallback:
			answer(data, ack)
		default:
			ack()
		}
	}
}

var filled = map[string]string{"text": "because", "pick": "one"}

func TestSubmit_Answers(t *testing.T) {
	long := form(strings.Repeat("x", 30))
	for _, test := range []struct {
		name    string
		payload any
		silent  bool
		titles  []string // of the stack afterwards
		trouble bool
	}{
		{name: "nothing closes", titles: []string{}},
		{name: "empty object closes", payload: map[string]any{}, titles: []string{}},
		{name: "clear", payload: slack.NewClearViewSubmissionResponse(), titles: []string{}},
		{name: "update", payload: slack.NewUpdateViewSubmissionResponse(new(form("Next"))), titles: []string{"Next"}},
		{name: "push", payload: slack.NewPushViewSubmissionResponse(new(form("Next"))), titles: []string{"Root", "Next"}},
		{name: "errors", payload: slack.NewErrorsViewSubmissionResponse(map[string]string{"reason": "No"}), titles: []string{"Root"}},
		{name: "error at no input", payload: slack.NewErrorsViewSubmissionResponse(map[string]string{"text": "No"}), titles: []string{"Root"}, trouble: true},
		{name: "invalid view", payload: slack.NewUpdateViewSubmissionResponse(&long), titles: []string{"Root"}, trouble: true},
		{name: "unknown", payload: map[string]any{"ok": true}, titles: []string{"Root"}, trouble: true},
		{name: "silence", silent: true, titles: []string{"Root"}, trouble: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
				b.run(ctx, modalApp(ctx, b, func(_ slack.InteractionCallback, ack func(...any)) {
					switch {
					case test.silent:
					case test.payload == nil:
						ack()
					default:
						ack(test.payload)
					}
				}))
				if _, err := b.ana.Command(ctx, "C1", "/rotate-key", ""); err != nil {
					t.Fatal(err)
				}
				_, err := b.ana.Submit(ctx, filled)
				if errors.Is(err, slacksim.ErrTrouble) != test.trouble || (err != nil) != test.trouble {
					t.Errorf("submit: %v, want trouble: %v", err, test.trouble)
				}
				titles := []string{}
				for _, v := range b.ana.Screen().Views {
					titles = append(titles, v.Title)
				}
				if diff := cmp.Diff(test.titles, titles); diff != "" {
					t.Errorf("stack (-want +got):\n%s", diff)
				}
				if top, ok := b.ana.Screen().Top(); test.trouble && (!ok || top.Failed == "") {
					t.Error("the modal does not say that it failed")
				}
			})
		})
	}
}

func TestPushView_StackOfThree(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		var saw journal
		b.run(ctx, modalApp(ctx, b, func(call slack.InteractionCallback, ack func(...any)) {
			ack()
			if call.Type == slack.InteractionTypeViewClosed {
				saw.add(fmt.Sprintf("closed %s, all: %v", call.View.Title.Text, call.IsCleared))
				return
			}
			if call.View.ID == "" || call.Channel.ID != "" || call.ResponseURL != "" {
				t.Errorf("a click in a view carries %+v", call.Container)
			}
			next := map[string]string{"Root": "Second", "Second": "Third", "Third": "Fourth"}[call.View.Title.Text]
			_, err := b.api.PushViewContext(ctx, call.TriggerID, withButton(next))
			saw.add("push " + code(err))
		}))
		_, err := b.ana.Command(ctx, "C1", "/rotate-key", "")
		if err != nil {
			t.Fatal(err)
		}
		root, _ := b.ana.Screen().Top()
		if _, err := b.api.UpdateViewContext(ctx, withButton("Root"), "", root.Hash, root.ID); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := b.ana.Click(ctx, slacksim.Target{ActionID: "more"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if err := b.ana.Click(ctx, slacksim.Target{ViewID: root.ID, ActionID: "more"}); !errors.Is(err, slacksim.ErrNotOnScreen) {
			t.Errorf("click under another modal: %v", err)
		}
		if err := b.ana.CloseView(ctx); err != nil {
			t.Fatal(err)
		}
		if err := b.ana.CloseAll(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		saw.want(t, "push ok", "push ok", "push push_limit_reached", "closed Third, all: false", "closed Root, all: true")
		if n := len(b.ana.Screen().Views); n != 0 {
			t.Errorf("%d views left", n)
		}
	})
}

func withButton(title string) slack.ModalViewRequest {
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: plainText(title), NotifyOnClose: true,
		Blocks: slack.Blocks{BlockSet: []slack.Block{buttons("more")}},
	}
}

func TestHome(t *testing.T) {
	bubble(t, slacksim.Config{}, func(t *testing.T, b *bench, ctx context.Context) {
		var clicked journal
		b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
			ack()
			if call, ok := ev.Data.(slack.InteractionCallback); ok {
				clicked.add(string(call.View.Type) + "/" + call.ActionCallback.BlockActions[0].SelectedOption.Value)
				_, err := b.api.OpenViewContext(ctx, call.TriggerID, form("From home"))
				b.must(ctx, "open from home", err)
			}
		})
		menu := slack.NewOverflowBlockElement("menu", slack.NewOptionBlockObject("later", plainText("Later"), nil))
		home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewSectionBlock(plainText("Key 1"), nil, slack.NewAccessory(menu)),
		}}}
		first, err := b.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: "U1", View: home})
		if err != nil {
			t.Fatal(err)
		}
		second, err := b.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: "U1", View: home, Hash: &first.Hash})
		if err != nil || second.ID != first.ID {
			t.Errorf("publish again: view %s, was %s, %v", second.ID, first.ID, err)
		}
		if _, err := b.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: "U1", View: home, Hash: &first.Hash}); code(err) != "hash_conflict" {
			t.Errorf("publish with an old hash: %s", code(err))
		}
		if err := b.ana.Click(ctx, slacksim.Target{ActionID: "menu", Selected: "Never"}); !errors.Is(err, slacksim.ErrNotOnScreen) {
			t.Errorf("an option that is not there: %v", err)
		}
		if err := b.ana.Click(ctx, slacksim.Target{ActionID: "menu", Selected: "Later"}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ana.Await(ctx, func(s slacksim.Screen) bool { return len(s.Views) == 1 }); err != nil {
			t.Error(err)
		}
		clicked.want(t, "home/later")
	})
}

func TestFill_Elements(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	_, trigger := commandURLs(t, b)
	option := func(v string) *slack.OptionBlockObject {
		return slack.NewOptionBlockObject(v, plainText("Option "+v), nil)
	}
	input := func(id string, el slack.BlockElement) slack.Block {
		return slack.NewInputBlock(id, plainText(id), nil, el).WithOptional(true)
	}
	_, err := b.api.OpenViewContext(ctx, trigger, slack.ModalViewRequest{
		Type: slack.VTModal, Title: plainText("All"), Submit: plainText("Send"),
		Blocks: slack.Blocks{BlockSet: []slack.Block{
			input("b1", slack.NewCheckboxGroupsBlockElement("boxes", option("x"), option("y"), option("z"))),
			input("b2", slack.NewRadioButtonsBlockElement("radio", option("x"), option("y"))),
			input("b3", slack.NewOptionsSelectBlockElement(slack.OptTypeUser, nil, "who")),
			input("b4", slack.NewDatePickerBlockElement("day")),
			input("b5", slack.NewOptionsMultiSelectBlockElement(slack.MultiOptTypeStatic, nil, "many", option("x"), option("y"))),
			input("b6", slack.NewPlainTextInputBlockElement(nil, "none")),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.ana.Fill(map[string]string{"boxes": "x,z", "radio": "y", "who": "U2", "day": "2026-11-23", "many": "Option y"}); err != nil {
		t.Fatal(err)
	}
	top, _ := b.ana.Screen().Top()
	got := map[string]string{}
	for _, actions := range top.State.Values {
		for action, state := range actions {
			got[action] = picksOf(state.(map[string]any))
		}
	}
	want := map[string]string{"boxes": "x z", "radio": "y", "who": "U2", "day": "2026-11-23", "many": "y", "none": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	for id, value := range map[string]string{"boxes": "q", "who": "U99", "nothing": "x"} {
		if err := b.ana.Fill(map[string]string{id: value}); !errors.Is(err, slacksim.ErrNotOnScreen) {
			t.Errorf("fill %s with %q: %v", id, value, err)
		}
	}
}

// picksOf reads the values out of one element's state.
func picksOf(state map[string]any) string {
	var out []string
	for member, value := range state {
		if member == "type" || value == nil {
			continue
		}
		items, isList := value.([]any)
		if !isList {
			items = []any{value}
		}
		for _, item := range items {
			if option, ok := item.(map[string]any); ok {
				item = option["value"]
			}
			out = append(out, item.(string))
		}
	}
	return strings.Join(out, " ")
}
