package app_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// crowd is the people: what they have seen, and which keys they have.
type crowd struct {
	w       *world
	old     []sight                    // copies of messages with buttons, as they once were
	wallets map[string]map[string]bool // by user: the ids of keys that the owner has the secret of
	seen    map[string]string          // by channel and timestamp: what the transcript has told of a message
}

// sight is a message as a member once saw it.
type sight struct {
	member  string
	message slacksim.Message
}

// press is something to be clicked on a screen.
type press struct {
	member                    string
	message                   slacksim.Message
	block, action, value, opt string // opt: of a menu
	stale                     bool
}

// on is what the click asks for, and ref the rotation and turn, or the user.
func (p press) on() (on, ref string) {
	if p.opt != "" {
		on, ref, _ = strings.Cut(p.opt, " ")
		return on, ref
	}
	return p.action, p.value
}

func (c *crowd) hold(user rotation.UserRef, key string) {
	if c.wallets[user.String()] == nil {
		c.wallets[user.String()] = map[string]bool{}
	}
	c.wallets[user.String()][key] = true
}

// presses lists what a member could click in messages now.
func (c *crowd) presses(member string) []press {
	var all []press
	for _, channel := range c.w.slack.As(member).Screen().Channels {
		for _, m := range channel.Messages {
			all = append(all, pressesOf(member, m)...)
		}
	}
	return all
}

func pressesOf(member string, m slacksim.Message) []press {
	var all []press
	for _, b := range m.Blocks {
		for _, el := range elements(b) {
			p := press{member: member, message: m, block: text(b["block_id"]), action: text(el["action_id"]), value: text(el["value"])}
			switch text(el["type"]) {
			case "button":
				all = append(all, p)
			case "overflow":
				options, _ := el["options"].([]any)
				for _, o := range options {
					option, _ := o.(map[string]any)
					p.opt = text(option["value"])
					all = append(all, p)
				}
			}
		}
	}
	return all
}

func elements(b map[string]any) []map[string]any {
	var all []map[string]any
	list, _ := b["elements"].([]any)
	for _, one := range append(slices.Clone(list), b["accessory"], b["element"]) {
		if el, ok := one.(map[string]any); ok {
			all = append(all, el)
		}
	}
	return all
}

func text(v any) string { s, _ := v.(string); return s }

// click clicks, all of them in the same instant, and tells how Slack answered each.
func (c *crowd) click(all ...press) {
	words := make([]string, len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, p := range all {
		on, ref := p.on()
		old := ""
		if p.stale {
			old = " on an old copy"
		}
		words[i] = fmt.Sprintf("%s clicks %s %s in %s%s", nick(p.member), on, c.w.short(ref), c.w.place(p.message.Channel), old)
		wg.Go(func() {
			target := slacksim.Target{Channel: p.message.Channel, TS: p.message.TS, ActionID: p.action, BlockID: p.block, Value: p.value, Selected: p.opt}
			person := c.w.slack.As(p.member)
			if p.stale {
				errs[i] = person.ClickStale(context.Background(), p.message, target)
			} else {
				errs[i] = person.Click(context.Background(), target)
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		c.w.story.add("%s → %s", words[i], reaction(err))
	}
}

// reaction words what a person sees at once.
func reaction(err error) string {
	switch {
	case err == nil:
		return "acknowledged"
	case errors.Is(err, slacksim.ErrNoAnswer):
		return "“This app did not respond”"
	case errors.Is(err, slacksim.ErrNoSocket):
		return "no socket is open"
	case errors.Is(err, slacksim.ErrNotOnScreen):
		return "not on the screen"
	}
	return err.Error()
}

func (c *crowd) command(member, words string) {
	reply, err := c.w.slack.As(member).Command(context.Background(), onCall, "/rotate-key", words)
	answer := reaction(err)
	if reply.Text != "" {
		answer += ": " + clipped(reply.Text)
	}
	c.w.story.add("%s types /rotate-key %s → %s", nick(member), words, answer)
	synctest.Wait()
}

func (c *crowd) opensHome(member string) {
	err := c.w.slack.As(member).OpenHome(context.Background())
	c.w.story.add("%s opens their Home tab → %s", nick(member), reaction(err))
	synctest.Wait()
}

// form is a modal that can be submitted.
type form struct {
	member string
	view   slacksim.View
	keys   []string // to choose from
	whats  []string
	until  bool // it asks for a day
}

func (c *crowd) form(member string) (form, bool) {
	view, open := c.w.slack.As(member).Screen().Top()
	if !open || view.Submit == "" {
		return form{}, false
	}
	f := form{member: member, view: view}
	for _, b := range view.Blocks {
		for _, el := range elements(b) {
			f.until = f.until || text(el["type"]) == "datepicker"
			options, _ := el["options"].([]any)
			for _, o := range options {
				option, _ := o.(map[string]any)
				switch text(el["action_id"]) {
				case "key":
					f.keys = append(f.keys, text(option["value"]))
				case "what":
					f.whats = append(f.whats, text(option["value"]))
				}
			}
		}
	}
	return f, true
}

func (f form) isRequest() bool { return len(f.keys) > 0 && !f.until }

func (c *crowd) submit(f form, values map[string]string) {
	problems, err := c.w.slack.As(f.member).Submit(context.Background(), values)
	answer := reaction(err)
	if len(problems) > 0 {
		answer = "problems: " + strings.Join(slices.Sorted(maps.Values(problems)), "; ")
	}
	c.w.story.add("%s submits “%s” %v → %s", nick(f.member), f.view.Title, values, answer)
	synctest.Wait()
	if top, open := c.w.slack.As(f.member).Screen().Top(); open && err == nil {
		c.w.story.add("   the form says: %s", clipped(top.Content()))
	}
}

// look has everybody look at their screens: owners note the secrets that they are shown, and old copies are kept.
func (c *crowd) look() {
	if c.seen == nil {
		c.seen = map[string]string{}
	}
	for _, member := range everybody {
		if top, open := c.w.slack.As(member).Screen().Top(); open {
			c.holdShown(top.Content())
		}
		for _, channel := range c.w.slack.As(member).Screen().Channels {
			for _, m := range channel.Messages {
				c.notice(member, channel, m)
			}
		}
	}
}

func (c *crowd) notice(member string, channel slacksim.Conversation, m slacksim.Message) {
	at := channel.ID + "/" + m.TS
	content := m.Content()
	if m.Ephemeral {
		at = member + "/" + at
	}
	if c.seen[at] == content {
		return
	}
	verb := "is new"
	if _, known := c.seen[at]; known {
		verb = "changes"
	}
	c.seen[at] = content
	where := c.w.place(channel.ID)
	if m.Ephemeral {
		where += ", only for " + nick(member)
	}
	c.w.story.add("   %s: a message %s: %s", where, verb, clipped(c.w.hide(content)))
	if len(pressesOf(member, m)) > 0 {
		if c.old = append(c.old, sight{member, m}); len(c.old) > 80 {
			c.old = slices.Delete(c.old, 0, 20)
		}
	}
	if channel.Kind == "im" {
		c.holdShown(opened(content, identity))
	}
}

// holdShown has whoever sees it keep the key whose secret they see.
func (c *crowd) holdShown(content string) {
	key, _, ok := secretIn(content)
	for _, u := range c.w.seeds {
		user := rotation.UserRef{Account: u.account, Name: u.name}
		if ok && slices.ContainsFunc(c.w.accounts[u.account].Keys(u.name), func(k iamsim.KeyView) bool { return k.ID == key }) {
			c.hold(user, key) // shownIn holds that they are its owner
		}
	}
}

// secretIn finds a key with its secret in what a message says.
func secretIn(content string) (key, secret string, ok bool) {
	_, rest, found := strings.Cut(content, "AWS_ACCESS_KEY_ID=")
	if !found {
		return "", "", false
	}
	key, rest, _ = strings.Cut(rest, "\n")
	_, secret, found = strings.Cut(rest, "AWS_SECRET_ACCESS_KEY=")
	secret, _, _ = strings.Cut(secret, "\n")
	return key, secret, found
}

func clipped(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 160 {
		return strings.ToValidUTF8(s[:160], "") + "…"
	}
	return s
}

// application runs as an IAM user, and signs with one key until a person gives it another.
type application struct {
	user rotation.UserRef
	key  string
}

// useKeys has every application use its key now.
func (w *world) useKeys() {
	for _, a := range w.apps {
		_ = w.accounts[a.user.Account].Use(a.key, "s3", "eu-west-1") // one that is refused has nobody to tell here
	}
}

// move gives a user's applications another key.
func (w *world) move(user rotation.UserRef, key string) {
	i := slices.IndexFunc(w.apps, func(a *application) bool { return a.user == user })
	if i < 0 {
		w.apps = append(w.apps, &application{user: user})
		i = len(w.apps) - 1
	}
	w.apps[i].key = key
	err := w.accounts[user.Account].Use(key, "s3", "eu-west-1")
	w.story.add("the application of %s now uses %s: %v", user.Name, short(key), orOK(err))
}

func orOK(err error) string {
	if err == nil {
		return "it works"
	}
	return err.Error()
}

func short(key string) string {
	if len(key) < 8 {
		return key
	}
	return "…" + key[len(key)-4:]
}

// story is the transcript of a run, a line for each thing that happened.
type story struct {
	w     *world
	mu    sync.Mutex
	lines []string
}

func (s *story) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.w.now().Sub(s.w.began).Truncate(time.Second)
	s.lines = append(s.lines, fmt.Sprintf("+%-12s %s", at, fmt.Sprintf(format, args...)))
}

func (s *story) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// short words a ref, or the id of a user, with the user's name.
func (w *world) short(ref string) string {
	for _, u := range w.seeds {
		id := rotation.UserRef{Account: u.account, Name: u.name}.ID()
		if rest, ok := strings.CutPrefix(ref, id); ok {
			return u.name + rest
		}
	}
	return ref
}

func (w *world) place(channel string) string {
	switch channel {
	case approvals:
		return "#approvals"
	case onCall:
		return "#on-call"
	}
	for _, id := range everybody {
		if channel == dm(id) {
			return nick(id) + "'s DM"
		}
	}
	return channel
}

// dm is the direct message of the bot with a member.
func dm(member string) string { return "D" + strings.TrimLeft(member, "UW") }

// hide takes secrets out of what is told in the transcript.
func (w *world) hide(s string) string {
	for _, secret := range w.aws.Secrets() {
		s = strings.ReplaceAll(s, secret, "[the secret]")
	}
	return s
}
