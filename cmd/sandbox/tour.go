package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// tour plays one whole rotation in a world of its own and writes what happens. It fails unless everything happened as told and
// the end state is right.
func tour(ctx context.Context, out io.Writer) (err error) {
	var logs locked
	w, err := newWorld(ctx, settings{slack: "127.0.0.1:0", aws: "127.0.0.1:0", logs: &logs})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, w.close())
		if err != nil {
			err = fmt.Errorf("%w\nThe app's log:\n%s", err, logs.Bytes())
		}
	}()
	g := &guide{player: player{w}, out: out, logs: &logs}
	if err := g.tell(ctx); err != nil {
		return err
	}
	return g.verify()
}

// guide tells the story while playing it.
type guide struct {
	player
	out   io.Writer
	logs  *locked
	told  int // AWS calls already told
	began time.Time
}

var names = map[string]string{ana: "Ana", ben: "Ben", carol: "Carol", dave: "Dave"}

// tell is the story, from top to bottom. Each line that can fail ends it.
func (g *guide) tell(ctx context.Context) error {
	const user = "ci-deploy"
	old, err := g.key(user, "Active", false)
	if err != nil {
		return err
	}
	g.began = g.w.clock.now()
	service := func(key string) error { return g.w.account.Use(key, "s3", "eu-west-1") }
	var fresh string
	var early, secretMessage slacksim.Message

	return g.steps(ctx,
		g.chapter("The digest"),
		g.hears(dave, "on-call", "ci-deploy"),
		g.hears(ana, dm, "ci-deploy"),

		g.chapter("Ana asks for a new key"),
		g.asks(ana, user),
		g.hears(ana, dm, "Key rotation for "+user),
		g.does(ana, "tries to approve her own request", func(ctx context.Context) error {
			_, err := g.clicks(ctx, ana, "key-approvals", "approve", user)
			return err
		}),
		g.isAnswered(ana, "key-approvals", "approver"),

		g.chapter("Carol approves, and AWS makes the key"),
		g.does(carol, "clicks Create the new key", func(ctx context.Context) (err error) {
			early, err = g.clicks(ctx, carol, "key-approvals", "approve", user)
			return err
		}),
		g.quietly(func(ctx context.Context) (err error) {
			secretMessage, err = g.awaitSecret(ctx, ana)
			return err
		}),
		g.calls(),
		g.saw("Slack shows Ana, and only her, the secret of the new key. She stores it."),
		g.does(dave, "clicks Create the new key a moment later, on a screen that has not caught up", func(ctx context.Context) error {
			return g.w.slack.As(dave).ClickStale(ctx, early, slacksim.Target{Channel: early.Channel, TS: early.TS, ActionID: "approve"})
		}),
		g.isAnswered(dave, "key-approvals", "<@"+carol+">"),
		g.does(ana, "clicks I have stored it", func(ctx context.Context) error {
			_, err := g.clicks(ctx, ana, dm, "receipt")
			return err
		}),
		g.gone(ana, &secretMessage),

		g.chapter("Ana moves the applications"),
		g.does(ana, "says that they use the new key, which is not so yet", func(ctx context.Context) error {
			_, err := g.clicks(ctx, ana, dm, "confirm")
			return err
		}),
		g.isAnswered(ana, dm, "not"),
		g.saw("The build server now signs with the new key. A day passes, in which nothing uses the old one."),
		g.quietly(func(context.Context) error {
			k, err := g.key(user, "Active", true)
			if err != nil {
				return err
			}
			fresh = k.ID
			return service(fresh)
		}),
		g.passes(25*time.Hour),
		g.confirmsAndIsApproved(dave, user, old.ID),
		g.calls(),

		g.chapter("Something was forgotten"),
		g.quietly(func(context.Context) error {
			err := service(old.ID)
			if err == nil {
				return errors.New("the old key still works after it was deactivated")
			}
			return g.saw("The nightly report signs with the old key, and AWS answers: " + err.Error())(ctx)
		}),
		g.does(ana, "clicks Reactivate the old key; nobody has to approve that", func(ctx context.Context) error {
			_, err := g.clicks(ctx, ana, dm, "reactivate")
			return err
		}),
		g.quietly(func(ctx context.Context) error {
			if err := g.awaitStatus(ctx, user, old.ID, "Active"); err != nil {
				return err
			}
			_, err := g.offered(ctx, ana, dm, "confirm", user)
			return err
		}),
		g.calls(),
		g.quietly(func(context.Context) error { return service(old.ID) }),
		g.saw("The nightly report runs again. Ana moves it to the new key as well. Two days pass."),
		g.passes(48*time.Hour),
		g.quietly(func(context.Context) error { return service(fresh) }),
		g.confirmsAndIsApproved(carol, user, old.ID),
		g.calls(),

		g.chapter("The grace is over"),
		g.saw("Seven days pass. Nobody misses the old key."),
		g.passes(7*day+time.Hour),
		g.hears(dave, "key-approvals", "Delete the old key"),
		g.does(dave, "clicks Delete, and confirms it", func(ctx context.Context) error {
			_, err := g.clicks(ctx, dave, "key-approvals", "approve", "Delete the old key of "+user)
			return err
		}),
		g.quietly(func(ctx context.Context) error { return g.awaitStatus(ctx, user, old.ID, "") }),
		g.calls(),
		g.hears(ana, dm, "Done"),
	)
}

// step is one line of the story.
type step func(ctx context.Context) error

func (g *guide) steps(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		if err := s(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *guide) say(format string, args ...any) { fmt.Fprintf(g.out, format+"\n", args...) }

func (g *guide) chapter(title string) step {
	return func(context.Context) error {
		g.say("\n%s  %s\n", g.w.clock.now().UTC().Format("Mon 2 Jan 15:04"), title)
		return nil
	}
}

func (g *guide) saw(what string) step {
	return func(context.Context) error {
		g.say("           %s", what)
		return nil
	}
}

func (g *guide) quietly(do step) step { return do }

func (g *guide) does(member, what string, do step) step {
	return func(ctx context.Context) error {
		g.say("  %-7s  %s", names[member], what)
		return do(ctx)
	}
}

// hears tells the newest message that a member sees with these words.
func (g *guide) hears(member, place string, words ...string) step {
	return func(ctx context.Context) error {
		m, err := g.sees(ctx, member, place, words...)
		g.quote(member, place, m)
		return err
	}
}

// isAnswered tells the answer that this member alone sees.
func (g *guide) isAnswered(member, place string, words ...string) step {
	return func(ctx context.Context) error {
		m, err := g.isTold(ctx, member, place, words...)
		g.quote(member, "only "+names[member]+" sees this", m)
		return err
	}
}

// shownLines is how much of a long message the story quotes.
const shownLines = 4

func (g *guide) quote(member, place string, m slacksim.Message) {
	if place == dm {
		place = "DM to " + names[member]
	} else if !strings.HasPrefix(place, "only") {
		place = "#" + place
	}
	lines := strings.Split(strings.TrimSpace(readable(m.Text)), "\n")
	g.say("  Slack    [%s] %s", place, lines[0])
	for i, line := range lines[1:] {
		if i+1 == shownLines {
			g.say("           …")
			break
		}
		g.say("           %s", line)
	}
}

// calls tells what has changed in AWS since it was last told.
func (g *guide) calls() step {
	return func(context.Context) error {
		all := g.w.aws.Calls()
		for _, c := range all[g.told:] {
			if slices.Contains([]string{"CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"}, c.Op) {
				g.say("  AWS      %s %s %s", c.Op, c.UserName, c.AccessKeyId)
			}
		}
		g.told = len(all)
		return nil
	}
}

func (g *guide) passes(d time.Duration) step {
	return func(context.Context) error {
		g.w.skip(d)
		return nil
	}
}

// asks types the command and fills in the modal.
func (g *guide) asks(member, user string) step {
	return func(ctx context.Context) error {
		g.say("  %-7s  /rotate-key", names[member])
		if err := g.requests(ctx, member, user, false); err != nil {
			return err
		}
		g.say("  %-7s  chooses the key of %s and submits", names[member], user)
		return nil
	}
}

// confirmsAndIsApproved has Ana confirm, and an approver deactivate the old key.
func (g *guide) confirmsAndIsApproved(approver, user, old string) step {
	return func(ctx context.Context) error {
		return g.steps(ctx,
			g.does(ana, "clicks My applications use the new key", func(ctx context.Context) error {
				_, err := g.clicks(ctx, ana, dm, "confirm")
				return err
			}),
			g.does(approver, "reads the evidence, clicks Deactivate, and confirms it", func(ctx context.Context) error {
				_, err := g.clicks(ctx, approver, "key-approvals", "approve", "Deactivate the old key of "+user)
				return err
			}),
			g.quietly(func(ctx context.Context) error {
				if err := g.awaitStatus(ctx, user, old, "Inactive"); err != nil {
					return err
				}
				if _, err := g.sees(ctx, approver, "key-approvals", "Approved: deactivate the old key of "+user); err != nil {
					return err
				}
				_, err := g.offered(ctx, ana, dm, "reactivate", user)
				return err
			}),
		)
	}
}

// gone waits until a message that the member saw has been deleted.
func (g *guide) gone(member string, seen *slacksim.Message) step {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_, err := g.w.slack.As(member).Await(ctx, func(s slacksim.Screen) bool {
			_, there := s.DM().Message(seen.TS)
			return !there
		})
		if err != nil {
			return fmt.Errorf("the message with the secret is still there: %w", err)
		}
		g.say("  Slack    The message with the secret is deleted.")
		return nil
	}
}

// verify checks the end state: the old key gone, the new one active, the secret seen once by its owner and found nowhere else.
func (g *guide) verify() error {
	keys := g.w.account.Keys("ci-deploy")
	if len(keys) != 1 || keys[0].Status != "Active" || !keys[0].ByBot {
		return fmt.Errorf("check the end: ci-deploy should have the one new key, active: %+v", keys)
	}
	if err := g.w.leaks(g.logs.Bytes()); err != nil {
		return fmt.Errorf("check the end: %w", err)
	}
	g.say("\nThe old key is gone and the new one works: %s. Its secret was shown once, to Ana, and is in no other message,\n"+
		"in no log and not in the database. %d days in a few seconds.", keys[0].ID, int(g.w.clock.now().Sub(g.began)/day))
	return nil
}

// leaks looks for every secret that AWS has handed out in the logs, in the bytes of the store, and in all that went to or came from Slack.
// Each may be in one edit of the message that was made ready for it, and in Slack's own answer to that edit.
func (w *world) leaks(logs []byte) error {
	stored, err := os.ReadFile(w.storePath)
	if err != nil {
		return fmt.Errorf("read the store's file: %w", err)
	}
	var errs []error
	for _, secret := range w.aws.Secrets() {
		if holds(stored, secret) {
			errs = append(errs, errors.New("a secret is in the store"))
		}
		if holds(logs, secret) {
			errs = append(errs, errors.New("a secret is in the logs"))
		}
		shown := 0
		for _, exchange := range w.slack.Exchanges() {
			if !holds(exchange, secret) {
				continue
			}
			name, _, _ := bytes.Cut(exchange, []byte("\n"))
			if string(name) != "chat.update" {
				errs = append(errs, fmt.Errorf("a secret went through Slack's %s", name))
			}
			shown++
		}
		if shown > 1 {
			errs = append(errs, fmt.Errorf("a secret was shown %d times", shown))
		}
	}
	return errors.Join(errs...)
}

// holds looks for a secret as it is and as a form would carry it.
func holds(b []byte, secret string) bool {
	return bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte(url.QueryEscape(secret)))
}

// locked is a buffer that several goroutines write to.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Bytes returns a copy of what has been written.
func (l *locked) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}
