package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// player plays people in a world: they see their own screens, and click what is on them. The tour and the stories of the tests are
// told with it.
type player struct {
	w *world
}

// patience is how long a person looks at the screen for what should appear.
const patience = 20 * time.Second

// dm names a member's direct messages with the app.
const dm = "dm"

// sees waits until the member sees a message in a place that holds all the words, and returns the newest such.
func (p player) sees(ctx context.Context, member, place string, words ...string) (slacksim.Message, error) {
	return p.await(ctx, member, place, "a message with "+quoted(words), func(m slacksim.Message) bool {
		return !m.Ephemeral && hasWords(m, words)
	})
}

// isTold waits for a message that only this member sees.
func (p player) isTold(ctx context.Context, member, place string, words ...string) (slacksim.Message, error) {
	return p.await(ctx, member, place, "an answer with "+quoted(words), func(m slacksim.Message) bool {
		return m.Ephemeral && hasWords(m, words)
	})
}

func (p player) await(ctx context.Context, member, place, what string, ok func(slacksim.Message) bool) (slacksim.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found slacksim.Message
	screen, err := p.w.slack.As(member).Await(ctx, func(s slacksim.Screen) bool {
		m, there := newest(s, place, ok)
		found = m
		return there
	})
	if err != nil {
		return found, fmt.Errorf("%s waits in %s for %s: %w; what is there: %s", member, place, what, err, texts(screen, place))
	}
	return found, nil
}

func newest(s slacksim.Screen, place string, ok func(slacksim.Message) bool) (slacksim.Message, bool) {
	c := conversation(s, place)
	for _, m := range slices.Backward(c.Messages) {
		if !m.Deleted && ok(m) {
			m.Channel = c.ID
			return m, true
		}
	}
	return slacksim.Message{}, false
}

func conversation(s slacksim.Screen, place string) slacksim.Conversation {
	if place == dm {
		return s.DM()
	}
	c, _ := s.Channel(place)
	return c
}

func hasWords(m slacksim.Message, words []string) bool {
	for _, w := range words {
		if !strings.Contains(m.Text, w) {
			return false
		}
	}
	return true
}

func quoted(words []string) string { return fmt.Sprintf("%q", words) }

func texts(s slacksim.Screen, place string) string {
	var b strings.Builder
	for _, m := range conversation(s, place).Messages {
		fmt.Fprintf(&b, "\n- %s", m.Text)
	}
	for _, v := range s.Views {
		fmt.Fprintf(&b, "\n- modal %s %v", v.Title, v.Errors)
	}
	return b.String()
}

// clicks waits until the member sees a message with that button and all the words, and clicks it.
func (p player) clicks(ctx context.Context, member, place, action string, words ...string) (slacksim.Message, error) {
	m, err := p.offered(ctx, member, place, action, words...)
	if err != nil {
		return m, err
	}
	return m, p.w.slack.As(member).Click(ctx, slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: action})
}

// offered waits until the member sees a message with that button and all the words.
func (p player) offered(ctx context.Context, member, place, action string, words ...string) (slacksim.Message, error) {
	return p.await(ctx, member, place, "the button "+action+" on a message with "+quoted(words), func(m slacksim.Message) bool {
		return hasWords(m, words) && hasAction(m, action)
	})
}

func hasAction(m slacksim.Message, action string) bool {
	for _, b := range m.Blocks {
		elements, _ := b["elements"].([]any)
		for _, e := range append(elements, b["accessory"]) {
			if el, ok := e.(map[string]any); ok && el["action_id"] == action {
				return true
			}
		}
	}
	return false
}

// modal waits until the member has an open modal with that title for which ready holds.
func (p player) modal(ctx context.Context, member, title string, ready func(slacksim.View) bool) (slacksim.View, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found slacksim.View
	screen, err := p.w.slack.As(member).Await(ctx, func(s slacksim.Screen) bool {
		v, ok := s.Top()
		found = v
		return ok && v.Title == title && (ready == nil || ready(v))
	})
	if err != nil {
		return found, fmt.Errorf("%s waits for the modal %q: %w; what is there: %s", member, title, err, texts(screen, dm))
	}
	return found, nil
}

// key finds the one key of a user that has the status, made by the app or not.
func (p player) key(user, status string, byBot bool) (iamsim.KeyView, error) {
	for _, k := range p.w.account.Keys(user) {
		if k.Status == status && k.ByBot == byBot {
			return k, nil
		}
	}
	return iamsim.KeyView{}, fmt.Errorf("%s has no such key (status %s, made by the app: %v): %+v", user, status, byBot, p.w.account.Keys(user))
}

// requests types /rotate-key, chooses the first key of user that may be chosen, and submits the modal.
func (p player) requests(ctx context.Context, member, user string, retire bool) error {
	if _, err := p.w.slack.As(member).Command(ctx, "general", "/rotate-key", ""); err != nil {
		return err
	}
	return p.fillsIn(ctx, member, user, retire)
}

// awaitStatus waits until AWS shows a key with a status; an empty one means that it is gone.
func (p player) awaitStatus(ctx context.Context, user, key, status string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, next := p.w.aws.Changed()
		found := ""
		for _, k := range p.w.account.Keys(user) {
			if k.ID == key {
				found = k.Status
			}
		}
		if found == status {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until AWS shows %s as %q: it is %q", key, status, found)
		case <-next:
		}
	}
}

// awaitSecret waits until the member sees a message that holds a secret AWS has handed out.
func (p player) awaitSecret(ctx context.Context, member string) (slacksim.Message, error) {
	shows := func(text []byte) bool {
		return slices.ContainsFunc(p.w.aws.Secrets(), func(s string) bool { return holds(text, s) })
	}
	m, err := p.await(ctx, member, dm, "the secret", func(m slacksim.Message) bool {
		blocks, err := json.Marshal(m.Blocks)
		return err == nil && shows(blocks)
	})
	if err == nil && shows([]byte(m.Text)) {
		err = errors.New("the secret is in the text that a notification shows")
	}
	return m, err
}

var (
	dateMark = regexp.MustCompile(`<!date\^[^|>]*\|([^>]*)>`)
	nameMark = regexp.MustCompile(`<@([A-Z0-9]+)>`)
)

// readable is a message's text as a reader in a terminal sees it.
func readable(text string) string {
	text = dateMark.ReplaceAllString(text, "$1")
	text = nameMark.ReplaceAllStringFunc(text, func(m string) string {
		if name, ok := names[m[2:len(m)-1]]; ok {
			return "@" + name
		}
		return m
	})
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
}

// fillsIn waits for the modal of keys, chooses the oldest active key of user, or to retire its inactive one, and submits it.
func (p player) fillsIn(ctx context.Context, member, user string, retire bool) error {
	v, err := p.modal(ctx, member, "Rotate a key", func(v slacksim.View) bool { return v.Submit != "" })
	if err != nil {
		return err
	}
	what := "replace"
	if retire {
		what = "retire"
	}
	option, err := optionFor(v, " of "+user+" in ")
	if err != nil {
		return err
	}
	problems, err := p.w.slack.As(member).Submit(ctx, map[string]string{"key": option, "what": what})
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("the modal complains: %v", problems)
	}
	if err != nil {
		return fmt.Errorf("%s asks for a new key of %s: %w", member, user, err)
	}
	return nil
}

// optionFor finds the value of the first option whose text holds the words.
func optionFor(v slacksim.View, words string) (string, error) {
	raw, err := json.Marshal(v.Blocks)
	if err != nil {
		return "", fmt.Errorf("read the modal: %w", err)
	}
	var blocks []struct {
		Element struct {
			Options []struct {
				Text  struct{ Text string }
				Value string
			}
		}
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		return "", fmt.Errorf("read the modal: %w", err)
	}
	for _, b := range blocks {
		for _, o := range b.Element.Options {
			if strings.Contains(o.Text.Text, words) {
				return o.Value, nil
			}
		}
	}
	return "", fmt.Errorf("the modal offers nothing with %q: %s", words, raw)
}
