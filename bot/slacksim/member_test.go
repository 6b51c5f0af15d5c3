package slacksim_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// TestPerson_OnlyWhatIsOnScreen tries what a human cannot do.
func TestPerson_OnlyWhatIsOnScreen(t *testing.T) {
	b := onNetwork(t, slacksim.Config{Burst: -1})
	ctx := t.Context()
	b.run(ctx, ackOnly)
	post := func(channel string, opts ...slack.MsgOption) string {
		_, ts, err := b.api.PostMessageContext(ctx, channel, append(opts, slack.MsgOptionText("x", false))...)
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	card := slack.MsgOptionBlocks(buttons("go"))
	shown, deleted := post("C1", card), post("C1", card)
	if _, _, err := b.api.DeleteMessageContext(ctx, "C1", deleted); err != nil {
		t.Fatal(err)
	}
	twice := post("C1", slack.MsgOptionBlocks(
		slack.NewActionBlock("first", slack.NewButtonBlockElement("go", "1", plainText("Go"))),
		slack.NewActionBlock("second", slack.NewButtonBlockElement("go", "2", plainText("Go"))),
	))
	hers := post("U1", card)
	own := slack.NewButtonBlockElement("go", "1", plainText("Go"))
	own.VisibleToUserIDs = []string{"U2"}
	bens := post("C1", slack.MsgOptionBlocks(slack.NewActionBlock("", own)))

	for _, test := range []struct {
		name   string
		who    string
		target slacksim.Target
		ok     bool
	}{
		{"a button", "U1", slacksim.Target{Channel: "C1", TS: shown, ActionID: "go"}, true},
		{"a button by the channel's name", "U1", slacksim.Target{Channel: "#key-approvals", TS: shown, ActionID: "go"}, true},
		{"no such button", "U1", slacksim.Target{Channel: "C1", TS: shown, ActionID: "stop"}, false},
		{"no such value", "U1", slacksim.Target{Channel: "C1", TS: shown, ActionID: "go", Value: "other"}, false},
		{"a deleted message", "U1", slacksim.Target{Channel: "C1", TS: deleted, ActionID: "go"}, false},
		{"two alike", "U1", slacksim.Target{Channel: "C1", TS: twice, ActionID: "go"}, false},
		{"two alike, told apart by block", "U1", slacksim.Target{Channel: "C1", TS: twice, ActionID: "go", BlockID: "second"}, true},
		{"two alike, told apart by value", "U1", slacksim.Target{Channel: "C1", TS: twice, ActionID: "go", Value: "1"}, true},
		{"another's direct message", "U2", slacksim.Target{Channel: "D1", TS: hers, ActionID: "go"}, false},
		{"a channel they are not in", "U2", slacksim.Target{Channel: "C3", ActionID: "go"}, false},
		{"a button shown to others", "U1", slacksim.Target{Channel: "C1", TS: bens, ActionID: "go"}, false},
		{"a button shown to them", "U2", slacksim.Target{Channel: "C1", TS: bens, ActionID: "go"}, true},
		{"a guest", "U4", slacksim.Target{Channel: "C1", TS: shown, ActionID: "go"}, true},
		{"a deactivated member", "U3", slacksim.Target{Channel: "C1", TS: shown, ActionID: "go"}, false},
		{"a stranger", "U5", slacksim.Target{Channel: "C1", TS: shown, ActionID: "go"}, false},
		{"nobody", "U99", slacksim.Target{Channel: "C1", TS: shown, ActionID: "go"}, false},
		{"a view that is not there", "U1", slacksim.Target{ActionID: "go"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := b.sim.As(test.who).Click(ctx, test.target)
			if (err == nil) != test.ok || (err != nil && !errors.Is(err, slacksim.ErrNotOnScreen)) {
				t.Errorf("click: %v, want it to work: %v", err, test.ok)
			}
		})
	}
	for name, err := range map[string]error{
		"say in a channel they are not in": b.ben.Say(ctx, "C3", "x"),
		"say in an archived channel":       b.ana.Say(ctx, "C2", "x"),
		"close no modal":                   b.ana.CloseView(ctx),
		"fill in no modal":                 b.ana.Fill(map[string]string{"x": "y"}),
		"read elsewhere":                   b.ben.Read("C3"),
	} {
		if !errors.Is(err, slacksim.ErrNotOnScreen) {
			t.Errorf("%s: %v, want ErrNotOnScreen", name, err)
		}
	}
}

func TestPerson_Screen(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	if dm := b.ana.Screen().DM(); dm.ID != "D1" || len(dm.Messages) != 0 {
		t.Errorf("before the first message the DM is %+v", dm)
	}
	menu := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plainText("Which key"), "pick", slack.NewOptionBlockObject("v", plainText("Old key"), nil))
	if _, _, err := b.api.PostMessageContext(ctx, "U1", slack.MsgOptionText("notification", false), slack.MsgOptionBlocks(
		section("the *words*"), slack.NewContextBlock("", plainText("small print")), slack.NewActionBlock("", menu), buttons("go"),
	)); err != nil {
		t.Fatal(err)
	}
	screen := b.ana.Screen()
	m, ok := screen.DM().Last()
	if !ok || !m.Has("go") || !m.Has("pick") || m.Has("stop") {
		t.Errorf("elements of %+v", m)
	}
	for _, words := range []string{"notification", "the *words*", "small print", "Which key", "Old key", "go"} {
		if !strings.Contains(m.Content(), words) {
			t.Errorf("the content lacks %q: %s", words, m.Content())
		}
	}
	if strings.Contains(m.Content(), "v-go") {
		t.Error("the content has a button's value, which nobody sees")
	}
	if screen.DM().Unread != 1 {
		t.Errorf("%d unread", screen.DM().Unread)
	}
	if c, ok := b.ben.Screen().Channel("C3"); ok {
		t.Errorf("ben sees the private channel %+v", c)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.ana.Await(canceled, func(slacksim.Screen) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("await without hope: %v", err)
	}
}

// TestSubmit_Checks has Slack itself object to what was typed.
func TestSubmit_Checks(t *testing.T) {
	b := onNetwork(t, slacksim.Config{})
	ctx := t.Context()
	input := func(id string, el slack.BlockElement) slack.Block {
		return slack.NewInputBlock(id, plainText(id), nil, el)
	}
	short := slack.NewPlainTextInputBlockElement(nil, "text")
	short.MinLength, short.MaxLength = 3, 5
	view := slack.ModalViewRequest{
		Type: slack.VTModal, Title: plainText("Checks"), Submit: plainText("Send"),
		Blocks: slack.Blocks{BlockSet: []slack.Block{
			input("text", short), input("mail", slack.NewEmailTextInputBlockElement(nil, "mail")),
			input("link", slack.NewURLTextInputBlockElement(nil, "link")), input("days", slack.NewNumberInputBlockElement(nil, "days", false)),
		}},
	}
	b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
		if cmd, ok := ev.Data.(slack.SlashCommand); ok {
			_, err := b.api.OpenViewContext(ctx, cmd.TriggerID, view)
			b.must(ctx, "open", err)
		}
		ack()
	})
	if _, err := b.ana.Command(ctx, "C1", "/rotate-key", ""); err != nil {
		t.Fatal(err)
	}
	good := map[string]string{"text": "four", "mail": "a@b.c", "link": "https://x", "days": "30"}
	for field, values := range map[string][]string{
		"text": {"", "ab", "abcdef"}, "mail": {"", "nobody"}, "link": {"example.com"}, "days": {"many"},
	} {
		for _, value := range values {
			form := map[string]string{}
			maps.Copy(form, good)
			form[field] = value
			errs, err := b.ana.Submit(ctx, form)
			if err != nil || len(errs) != 1 || errs[field] == "" {
				t.Errorf("%s %q: errors %v, %v; want one at the field", field, value, errs, err)
			}
		}
	}
	if errs, err := b.ana.Submit(ctx, good); err != nil || len(errs) != 0 {
		t.Errorf("a good form: %v, %v", errs, err)
	}
}
