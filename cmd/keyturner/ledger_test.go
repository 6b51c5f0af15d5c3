package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
	"github.com/keyturner/keyturner/store"
)

// deed is what a person did and Slack saw acknowledged.
type deed struct {
	member, action string
	rotation       string // empty: a request
	at             time.Time
}

// apply carries a call out, and watches the keys that it changes: an active key is never deleted, and no user is without one that works.
func (w *world) apply(c call, body []byte, do func() int) {
	op, _, _ := strings.Cut(c.op, " ")
	if op != "CreateAccessKey" && op != "UpdateAccessKey" && op != "DeleteAccessKey" {
		do()
		return
	}
	form, _ := url.ParseQuery(string(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.users, func(u user) bool { return u.name == form.Get("UserName") })
	if i < 0 {
		w.faults = append(w.faults, fmt.Sprintf("%s names no user of this world", c.op))
		do()
		return
	}
	before := w.keysOf(w.users[i])
	if do() != 200 {
		return
	}
	after := w.keysOf(w.users[i])
	key := form.Get("AccessKeyId")
	for id := range after {
		if _, old := before[id]; !old {
			key = id
		}
	}
	w.changes = append(w.changes, change{c.op, w.users[i].name, key})
	if op == "DeleteAccessKey" && before[key] == "Active" {
		w.faults = append(w.faults, "an active key was deleted: "+key)
	}
	if !slices.Contains(values(after), "Active") {
		w.faults = append(w.faults, fmt.Sprintf("after %s of %s, %s has no working key", c.op, key, w.users[i].name))
	}
}

func values(m map[string]string) []string {
	var vs []string
	for _, v := range m {
		vs = append(vs, v)
	}
	return vs
}

// keysOf lists a user's keys with their status.
func (w *world) keysOf(u user) map[string]string {
	found := map[string]string{}
	for _, k := range u.account.Keys(u.name) {
		found[k.ID] = k.Status
	}
	return found
}

// made lists the keys of a user that the program has made and that still exist.
func (w *world) made(u user) []iamsim.KeyView {
	return slices.DeleteFunc(u.account.Keys(u.name), func(k iamsim.KeyView) bool { return !k.ByBot })
}

// leaks looks for every secret that AWS has handed out where none may be: in the bytes of the store and in what the program said.
func (w *world) leaks(ctx context.Context) error {
	content, err := w.raw(ctx)
	if err != nil {
		return err
	}
	for place, content := range map[string][]byte{"the log": w.logs.Bytes(), "the store": content} {
		for _, secret := range w.aws.Secrets() {
			if holds(content, secret) {
				return errors.New("a secret is in " + place)
			}
		}
		if holds(content, w.slack.BotToken()) || holds(content, w.slack.AppToken()) {
			return errors.New("a token is in " + place)
		}
	}
	return nil
}

// shown looks for every secret in all that went to and came from Slack: each may be in edits of one message, in its owner's DM, and
// nowhere else. It tells which secrets were shown, by the owner.
func (w *world) shown() (map[string]string, error) {
	at, owners := map[string]string{}, map[string]string{}
	for _, exchange := range w.slack.Exchanges() {
		for _, secret := range w.aws.Secrets() {
			if !holds(exchange, secret) {
				continue
			}
			name, content, _ := bytes.Cut(exchange, []byte("\n"))
			where, err := edited(content)
			switch {
			case string(name) != "chat.update":
				return nil, fmt.Errorf("a secret went through Slack's %s", name)
			case err != nil:
				return nil, err
			case at[secret] != "" && at[secret] != where:
				return nil, fmt.Errorf("a secret was shown at %s and at %s", at[secret], where)
			}
			at[secret] = where
		}
	}
	for _, u := range w.users {
		dm := w.slack.As(u.owner).Screen().DM().ID
		for secret, where := range at {
			if strings.HasPrefix(where, dm+" ") {
				owners[secret] = u.owner
			}
		}
	}
	if len(owners) != len(at) {
		return nil, errors.New("a secret was shown to somebody who owns no key")
	}
	return owners, nil
}

// edited reads from a recorded call which message it edits.
func edited(content []byte) (string, error) {
	for line := range bytes.Lines(content) {
		form, err := url.ParseQuery(string(bytes.TrimSpace(line)))
		if err == nil && form.Get("ts") != "" {
			return form.Get("channel") + " " + form.Get("ts"), nil
		}
	}
	return "", errors.New("a call that edits a message names none")
}

// verify checks the end of a world, in which nothing runs any more.
func (w *world) verify(ctx context.Context) error {
	kept, err := w.kept()
	if err != nil {
		return err
	}
	defer kept.Close()
	var errs []error
	for _, f := range w.faults {
		errs = append(errs, errors.New(f))
	}
	owners, err := w.shown()
	errs = append(errs, err, w.leaks(ctx))
	book, err := read(ctx, kept)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, u := range w.users {
		if err := errors.Join(w.noOrphan(u, book, owners), w.effectsOf(u, book)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u.name, err))
		}
	}
	return errors.Join(append(errs, w.nothingLost(book), w.noCardTwice(book))...)
}

// book is what the store holds at the end.
type book struct {
	progress map[string]rotation.Progress // by the IAM user's name
	entries  []rotation.Entry
	waiting  int
}

func read(ctx context.Context, kept store.Closer) (book, error) {
	b := book{progress: map[string]rotation.Progress{}}
	errs := []error{
		kept.Scan(ctx, func(p rotation.Progress) error {
			b.progress[p.User.Name] = p
			b.entries = append(b.entries, p.Trail...)
			return nil
		}),
		kept.Entries(ctx, func(_ string, e rotation.Entry) error {
			b.entries = append(b.entries, e)
			return nil
		}),
		kept.Waiting(ctx, func(rotation.Envelope) error {
			b.waiting++
			return nil
		}),
	}
	return b, errors.Join(errs...)
}

// settled tells what is still to be done, or nil.
func (b book) settled() error {
	if b.waiting > 0 {
		return fmt.Errorf("%d envelopes wait to be worked", b.waiting)
	}
	for name, p := range b.progress {
		r := p.Rotation
		switch {
		case p.Owed:
			return fmt.Errorf("messages are owed to %s", name)
		case r != nil && r.Stage.Working():
			return fmt.Errorf("%s is at %s", name, r.Stage)
		}
	}
	return nil
}

// noOrphan holds that every key that the program made is gone, or is the one of the rotation, and its owner has seen the secret.
func (w *world) noOrphan(u user, b book, owners map[string]string) error {
	p := b.progress[u.name]
	for _, k := range w.made(u) {
		known := slices.ContainsFunc(p.All(), func(r rotation.Rotation) bool { return string(r.New) == k.ID })
		switch owner := owners[u.account.SecretOf(k.ID)]; {
		case !known:
			return fmt.Errorf("orphan: %s exists, and no rotation knows it", k.ID)
		case owner == "":
			return fmt.Errorf("orphan: %s exists, and nobody has seen its secret", k.ID)
		case owner != u.owner:
			return fmt.Errorf("the secret of %s was shown to %s", k.ID, owner)
		}
	}
	return nil
}

// effectsOf holds that every effect has a decision of its own. What the entries tell is compared with the calls that AWS has applied.
func (w *world) effectsOf(u user, b book) error {
	decided, made, gone := map[rotation.Stage]int{}, 0, 0
	for _, e := range b.entries {
		if e.User == u.ref().String() && e.Outcome == "moved" && e.From != e.To && e.Actor != "engine" && e.Actor != "clock" {
			decided[e.To]++
		}
	}
	count := map[string]int{}
	for _, c := range w.changes {
		if c.user != u.name {
			continue
		}
		if c.key == u.old {
			count[c.op]++
			continue
		}
		switch c.op {
		case "CreateAccessKey":
			made++
		case "DeleteAccessKey":
			gone++
		}
	}
	limit := func(op string, n int) error {
		if count[op] > n {
			return fmt.Errorf("second effect: %s of the old key %d times, decided %d times", op, count[op], n)
		}
		return nil
	}
	err := errors.Join(
		limit("UpdateAccessKey Inactive", decided[rotation.Deactivating]),
		limit("UpdateAccessKey Active", decided[rotation.Reactivating]),
		limit("DeleteAccessKey", decided[rotation.Deleting]),
	)
	rotations := decided[rotation.Creating]
	if made-gone > rotations || made > 0 && rotations == 0 {
		err = errors.Join(err, fmt.Errorf("second effect: %d keys were made and %d of them are gone, for %d approvals", made, gone, rotations))
	}
	return err
}

// nothingLost holds that each deed that Slack saw acknowledged is on record since then: as done or as refused. One that a restart has
// found done already needs no second entry, and whoever was told that it could not be recorded knows.
func (w *world) nothingLost(b book) error {
	type key struct{ actor, action, rotation string }
	latest := map[key]time.Time{}
	for _, e := range b.entries {
		k := key{e.Actor, e.Action, e.Rotation}
		if e.Action == "request" || e.Action == "exempt" {
			k.rotation = ""
		}
		latest[k] = later(latest[k], e.At)
	}
	var errs []error
	unrecorded := map[string]int{}
	for _, d := range w.deeds {
		at, known := latest[key{d.member, cmp.Or(recordedAs[d.action], d.action), d.rotation}]
		if known && (!at.Before(d.at) || d.action == "receipt") { // which is given once
			continue
		}
		if unrecorded[d.member]++; unrecorded[d.member] > len(whispers(w, d.member, "could not record this")) {
			errs = append(errs, fmt.Errorf("lost: %s did %q on %s at %s, and nothing is on record", d.member, d.action, d.rotation, d.at.UTC()))
		}
	}
	return errors.Join(errs...)
}

// noCardTwice holds that what stands in the channels is what the store knows of: each card once, no more lines in the threads of a rotation's
// cards than it has entries, and the digest once.
func (w *world) noCardTwice(b book) error {
	known := map[string]string{}
	for _, p := range b.progress {
		for name, post := range p.Posts {
			if post.Channel == approvals && post.Known() {
				known[post.TS] = name
			}
		}
	}
	var errs []error
	screen := w.slack.As(approvers[0]).Screen()
	cards, _ := screen.Channel("key-approvals")
	lines := map[string]int{} // in the threads, by rotation
	for _, m := range cards.Messages {
		if m.ThreadTS != "" && m.ThreadTS != m.TS {
			of, _, _ := strings.Cut(known[m.ThreadTS], "/")
			lines[of]++
			continue
		}
		if _, ok := known[m.TS]; !ok && !m.Ephemeral && !m.Deleted {
			errs = append(errs, fmt.Errorf("a card that the store does not know of: %s", m.Content()))
		}
	}
	entries := map[string]int{}
	for _, e := range b.entries {
		entries[e.Rotation]++
	}
	for of, n := range lines {
		if of == "" || n > entries[of] {
			errs = append(errs, fmt.Errorf("%d lines in the threads of %q, which has %d entries", n, of, entries[of]))
		}
	}
	digests := 0
	digest, _ := screen.Channel("on-call")
	for _, m := range digest.Messages {
		if strings.Contains(m.Content(), "Access keys, week ") {
			digests++
		}
	}
	if digests != 1 {
		errs = append(errs, fmt.Errorf("%d digests", digests))
	}
	return errors.Join(errs...)
}
