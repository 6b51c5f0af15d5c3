package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyturner/keyturner/rotation"
)

// What a scan has found is in the memory of the process that leads, and any process may show a Home tab. So the lines that Home tabs show of
// it are kept in a claim. The file of the digest has all of it.
const foundClaim = "found"

// found is what Home tabs show of the latest scan.
type found struct {
	At    int64       // when it began, in Unix seconds
	Head  string      // all of it in a sentence
	Gaps  []string    // lists of what is not known
	Due   int         // keys that need attention
	Lines []foundLine // as many of them as are kept, the gravest first
}

// foundLine is a key that needs attention.
type foundLine struct {
	User string // the id of the user's document
	Text string
}

// maxFound bounds the lines that are kept, in bytes: a document of the store takes 400 KB, and a Home tab 250 KB in all.
const maxFound = 80_000

// foundIn is what is kept of a survey.
func foundIn(v view, s rotation.Survey) found {
	rows := byKey(s.Findings)
	due, _ := setApart(rows, s.At)
	f := found{At: s.At.Unix(), Head: headline(s, due), Due: len(due)}
	gaps := []list{rosterLines(s), unreadLines(s), unseenLines(s)}
	for _, l := range gaps {
		if list := l.bulleted(roomFor(gaps)); list != "" {
			f.Gaps = append(f.Gaps, list)
		}
	}
	left := maxFound
	for _, k := range due {
		line := foundLine{k.User.ID(), v.foundText(k, s)}
		raw, _ := json.Marshal(line) // plain strings, which always encode
		if left -= len(raw); left < 0 {
			break
		}
		f.Lines = append(f.Lines, line)
	}
	return f
}

// foundText tells of a key in a line.
func (v view) foundText(k keyFindings, s rotation.Survey) string {
	if k.Breach == rotation.RootKey {
		return "*The root user of " + v.accountInFull(k.User.Account) + " has an access key.* Sign in as root and delete it."
	}
	old := ""
	if !k.Key.Created.IsZero() {
		old = ", " + age(k.Key.Age(s.At)) + " old"
	}
	whose := "Owner: " + mention(k.Owner) + "."
	switch {
	case k.Doubt == rotation.NotLookedUp:
		whose = "Its owner could not be looked up."
	case k.Owner == "":
		whose = "Nobody is answerable for it."
	}
	return v.user(k.User) + ", " + short(k.Key.ID) + old + ": *" + inWordsOf(k.breaches) + "*. " + whose
}

// inWordsOf names breaches in short.
func inWordsOf(bs []rotation.Breach) string {
	return strings.Join(each(bs, func(b rotation.Breach) string { return inShort[b] }), ", ")
}

// keepFound has Home tabs show what the latest scan has found. A crash before it leaves them with what an earlier one had, and they say when.
func (d *digests) keepFound(ctx context.Context) error {
	note, err := json.Marshal(foundIn(d.cfg.Outbox.today(), d.last))
	if err != nil {
		return fmt.Errorf("write what Home tabs show of a scan: %w", err)
	}
	claim, err := d.cfg.Engine.Claimed(ctx, foundClaim)
	if errors.Is(err, rotation.ErrNotFound) {
		claim, err = rotation.Claim{Name: foundClaim}, nil
	}
	if err == nil {
		claim.Note = string(note)
		_, err = d.cfg.Engine.Claim(ctx, claim)
	}
	if err != nil && !errors.Is(err, rotation.ErrConflict) { // a conflict: another one leads by now
		return fmt.Errorf("keep what Home tabs show of a scan: %w", err)
	}
	d.homes.note(foundClaim)
	return nil
}

// foundNow reads it; nil: there is none yet.
func (b *Bot) foundNow(ctx context.Context) (*found, error) {
	claim, err := b.cfg.Engine.Claimed(ctx, foundClaim)
	if errors.Is(err, rotation.ErrNotFound) {
		return nil, nil
	}
	var f found
	if err == nil {
		err = json.Unmarshal([]byte(claim.Note), &f)
	}
	if err != nil {
		return nil, fmt.Errorf("read what the latest scan has found: %w", err)
	}
	return &f, nil
}

// latestDigest is the address of the digest that stands in on-call's channel; empty if it is not known.
func (b *Bot) latestDigest(ctx context.Context) string {
	claim, err := b.cfg.Engine.Claimed(ctx, "digest/"+isoWeek(lastDue(b.cfg.Digest, b.now()), b.cfg.Location))
	ts, sent := strings.CutPrefix(claim.Note, "sent ")
	if err != nil || !sent {
		return ""
	}
	return b.permalink(rotation.Post{Channel: b.cfg.OnCall, TS: ts})
}

// maxSections bounds how many sections of lines a Home tab has of the keys that need attention, and maxOwnSections of a person's own.
const (
	maxSections    = 25
	maxOwnSections = 6
)

// packed joins lines to as few sections as Slack's bound on each allows, and tells how many of the lines are in them.
func packed(lines []string, sections int) (texts []string, shown int) {
	room := 0
	for i, line := range lines {
		line = "• " + line
		n := utf8.RuneCountInString(line) + 1
		switch {
		case n <= room:
			texts[len(texts)-1] += "\n" + line
		case len(texts) == sections:
			return texts, i
		default:
			texts, room = append(texts, line), maxBlockText
		}
		room -= n
	}
	return texts, len(lines)
}

// everyKey lists the keys that need attention, as many as there is room for, for those who are told of any key.
func everyKey(d *draft, v view, h home) {
	if h.found == nil {
		d.header("Keys that need attention")
		if h.foundErr != nil {
			d.say("What the latest scan has found could not be read, so nothing is known about it here. Open this page again in a minute.")
			return
		}
		d.say("No scan has ended yet, so nothing is known about the keys.")
		return
	}
	d.header("Keys that need attention: " + strconv.Itoa(h.found.Due))
	d.say(h.found.Head + " The accounts were read on " + when(time.Unix(h.found.At, 0)) + ".")
	for _, gap := range h.found.Gaps {
		d.say(gap)
	}
	running := map[string]rotation.Stage{}
	for _, p := range h.running {
		running[p.User.ID()] = p.Rotation.Stage
	}
	texts, shown := packed(each(h.found.Lines, func(l foundLine) string {
		if stage := running[l.User]; stage != "" {
			return l.Text + " A rotation is under way: " + string(stage) + "."
		}
		return l.Text
	}), maxSections)
	for _, text := range texts {
		d.say(text)
	}
	if left := h.found.Due - shown; left > 0 {
		below := "the digest in on-call's channel"
		if h.digest != "" {
			below = "<" + h.digest + "|" + below + ">"
		}
		d.say("*And " + count(left, "other key") + "*, less grave than these. The file below " + below + " has all of them, and `/rotate-key digest` sends you today's.")
	}
}

// foundOf tells what is found about a key of one's own and is not accepted.
func (v view) foundOf(h rotation.Holding, key rotation.KeyID) string {
	var bs []rotation.Breach
	for _, f := range h.Findings {
		if f.Key.ID == key && !f.Exempt.Holds(v.now) && !slices.Contains(bs, f.Breach) {
			bs = append(bs, f.Breach)
		}
	}
	if len(bs) == 0 {
		return ""
	}
	return " *Needs attention: " + inWordsOf(bs) + ".*"
}

// worstFirst puts first what is not known, and then the users with a finding, the gravest before the others.
func (v view) worstFirst(held []rotation.Holding) []rotation.Holding {
	order := rotation.Breaches()
	gravest := func(h rotation.Holding) int {
		least := len(order)
		if h.Err != nil {
			return -1
		}
		for _, f := range h.Findings {
			if !f.Exempt.Holds(v.now) {
				least = min(least, slices.Index(order, f.Breach))
			}
		}
		return least
	}
	held = slices.Clone(held)
	slices.SortStableFunc(held, func(a, b rotation.Holding) int { return gravest(a) - gravest(b) })
	return held
}

// otherKeys lists, of the users for whom there is no room, every key with a finding, and what is not known.
func otherKeys(d *draft, v view, held []rotation.Holding) {
	var lines []string
	for _, h := range held {
		if h.Err != nil {
			lines = append(lines, strings.ReplaceAll(heldLines(v, h), "\n", ". "))
		}
		for _, k := range h.Keys {
			if what := v.foundOf(h, k.ID); what != "" {
				lines = append(lines, v.user(h.User)+", "+short(k.ID)+aged(v, k, ", ", " old")+"."+what)
			}
		}
	}
	texts, shown := packed(lines, maxOwnSections)
	said := "And " + count(len(held), "other IAM user") + ", whose keys need nothing."
	if len(lines) > 0 {
		d.say("*What needs attention of " + count(len(held), "other IAM user") + ":*")
		said = ""
	}
	for _, text := range texts {
		d.say(text)
	}
	if left := len(lines) - shown; left > 0 {
		said = "And " + count(left, "other") + "."
	}
	d.say(sentences(said, "Type `/rotate-key` to choose among all of them."))
}
