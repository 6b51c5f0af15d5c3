package bot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackutilsx"

	"github.com/keyturner/keyturner/rotation"
)

// message is what is posted or edited: blocks for the eye, and a text that tells the same in full. Screen readers and notifications
// use the text alone. It is escaped, and it never holds a secret.
type message struct {
	Text   string
	Blocks []slack.Block
	Thread string `json:",omitempty"` // the message that it is a reply to
}

// plain is a message of words alone: mrkdwn, escaped by whoever wrote it.
func plain(text string) message {
	var d draft
	d.say(text)
	return d.message()
}

func (m message) options() []slack.MsgOption {
	options := []slack.MsgOption{slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...)}
	if m.Thread != "" {
		options = append(options, slack.MsgOptionTS(m.Thread))
	}
	return options
}

// hash identifies what the message says, so that an edit which would change nothing is not sent.
func (m message) hash() string {
	h := sha256.New()
	// Blocks are plain structs, which always encode.
	_ = json.NewEncoder(h).Encode(m)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// view is what rendering needs beside stored state. Its zero value renders.
type view struct {
	accounts  accountNames
	approvals rotation.Approvals // the rules
	ownerTag  string             // the IAM tag that names an owner; empty: ways to name one are told without it
	traced    map[string]bool    // the accounts of which it can be asked who uses a key
	policy    rotation.Policy    // for the limits that warnings and the digest mention
	// now is the time of rendering, for the ages in the keys modal alone; zero leaves them out. Cards are edited in place and come out
	// the same byte for byte from the same stored state, so they never look at it.
	now time.Time
}

// Limits that Slack sets (https://docs.slack.dev/reference/block-kit/blocks). Text beyond maxText makes chat.update fail with
// msg_too_long, and blocks beyond some 13,200 characters in all have been refused as msg_blocks_too_long.
const (
	maxText      = 4000
	maxBlocks    = 50
	maxBlockText = 3000
	maxHeader    = 150
	maxLabel     = 75 // of a button or an option
	maxAllBlocks = 12500
)

// maxReason bounds what a person types as a reason, and what is shown of it.
const maxReason = 300

// draft composes a message. Each piece is given once and goes into the blocks and, without its formatting, into the text.
type draft struct {
	text   []string
	blocks []slack.Block
}

// fact is one labelled value of a card.
type fact struct{ label, value string }

func (d *draft) header(title string) {
	d.blocks = append(d.blocks, slack.NewHeaderBlock(plainText(clip(title, maxHeader))))
	d.text = append(d.text, esc(sentence(title)))
}

// say adds a paragraph of mrkdwn; an empty one adds nothing.
func (d *draft) say(s string) { d.show(s, s, nil) }

// show adds a paragraph that reads otherwise in the text, with an element at its right if there is one.
func (d *draft) show(block, text string, right *slack.Accessory) {
	if block == "" {
		return
	}
	d.blocks = append(d.blocks, slack.NewSectionBlock(mrkdwn(block), nil, right))
	d.text = append(d.text, unformatted(text))
}

// note adds small print.
func (d *draft) note(s string) {
	if s == "" {
		return
	}
	d.blocks = append(d.blocks, slack.NewContextBlock("", mrkdwn(s)))
	d.text = append(d.text, unformatted(s))
}

// facts adds labelled values, at most ten.
func (d *draft) facts(facts []fact) {
	var fields []*slack.TextBlockObject
	var text []string
	for _, f := range facts {
		fields = append(fields, mrkdwn("*"+f.label+"*\n"+f.value))
		text = append(text, f.label+": "+ended(unformatted(f.value)))
	}
	d.blocks = append(d.blocks, slack.NewSectionBlock(nil, fields, nil))
	d.text = append(d.text, strings.Join(text, " "))
}

// buttons adds what people may click. The text does not tell of them: each paragraph above says what can be done.
func (d *draft) buttons(elements []slack.BlockElement) {
	if len(elements) > 0 {
		d.blocks = append(d.blocks, slack.NewActionBlock("", elements...))
	}
}

// add appends another draft.
func (d *draft) add(other draft) {
	d.text = append(d.text, other.text...)
	d.blocks = append(d.blocks, other.blocks...)
}

const restInMessage = "Open the message for the rest."

func (d *draft) message() message {
	return message{Text: joinWithin(d.text, "\n", maxText, restInMessage), Blocks: d.blocks}
}

// joinWithin joins whole pieces up to a length in characters, and ends with rest if some had to be left out.
func joinWithin(pieces []string, sep string, limit int, rest string) string {
	all := strings.Join(pieces, sep)
	if utf8.RuneCountInString(all) <= limit {
		return all
	}
	limit -= utf8.RuneCountInString(sep + rest)
	kept, n := []string{}, 0
	for _, p := range pieces {
		if n += utf8.RuneCountInString(p + sep); n > limit {
			break
		}
		kept = append(kept, p)
	}
	return strings.Join(append(kept, rest), sep)
}

// mrkdwn is verbatim: Slack turns no plain words of it into links or mentions.
func mrkdwn(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, s, false, true)
}

func plainText(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
}

// esc makes foreign words safe in mrkdwn: one line, no control characters, no code marks, and &, < and > escaped, so that they can
// neither mention anybody nor look like a line of ours.
func esc(s string) string { return slackutilsx.EscapeMessage(tidy(s)) }

// tidy is esc for plain text, where Slack interprets nothing.
func tidy(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsGraphic(c):
			return -1
		case c == '`':
			return '\''
		}
		return c
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// unformatted drops the marks of code and bold. Foreign words have no code marks left, and lose their asterisks.
func unformatted(s string) string { return strings.NewReplacer("`", "", "*", "").Replace(s) }

// clip cuts to a number of characters.
func clip(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

func code(s string) string { return "`" + esc(s) + "`" }

// typed shows the words of a person.
func typed(reason string) string {
	plain := strings.NewReplacer("“", `"`, "”", `"`).Replace(reason) // nothing typed ends the quotation
	return "“" + esc(clip(tidy(plain), maxReason)) + "”"
}

// reasonGiven is a sentence with the reason that a person typed; nothing if they typed none.
func reasonGiven(reason string) string {
	if reason = tidy(reason); reason == "" {
		return ""
	}
	return ended("The reason given: " + typed(reason))
}

// sentence ends s with a full stop and begins it with a capital. s begins with a letter or a mark, never with foreign words.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return ended(strings.ToUpper(s[:1]) + s[1:])
}

// ended ends s with a full stop unless it has an end, which may be that of words quoted.
func ended(s string) string {
	if s == "" || strings.HasSuffix(strings.TrimSuffix(s, "”"), ".") || strings.ContainsAny(s[len(s)-1:], "?!") {
		return s
	}
	return s + "."
}

func lowerFirst(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToLower(first)) + s[n:]
}

// sentences joins those that are not empty.
func sentences(ss ...string) string {
	return strings.Join(slices.DeleteFunc(ss, func(s string) bool { return s == "" }), " ")
}

// when is a time in each reader's own zone, with UTC for readers that cannot show it.
func when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return fmt.Sprintf("<!date^%d^{date_short} at {time}|%s>", t.Unix(), utc(t))
}

// utc is a time where Slack formats none: in plain text.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// span is a configured duration, exact to the minute.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day && d%day == 0:
		return count(int(d/day), "day")
	case d >= time.Hour && d%time.Hour == 0:
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/time.Minute), "minute")
}

// age is a duration that has passed, rounded down.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return count(int(d/day), "day")
	case d >= time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return "less than an hour"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func mention(m rotation.MemberID) string {
	if m == "" {
		return "nobody"
	}
	if m.IsGroup() {
		return "<!subteam^" + esc(string(m)) + ">"
	}
	return "<@" + esc(string(m)) + ">"
}

// maxMentions bounds how many people a sentence names.
const maxMentions = 10

// anyOf lists mentions of people of whom one is enough, and allOf of people who did the same.
func anyOf(names []string) string { return listed(names, "or") }
func allOf(names []string) string { return listed(names, "and") }

func listed(names []string, last string) string {
	if n := len(names); n > maxMentions {
		names = append(slices.Clone(names[:maxMentions]), count(n-maxMentions, "other approver"))
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " " + last + " " + names[n-1]
	}
	return strings.Join(names, "")
}

// mentionGroup names a Slack user group.
func mentionGroup(g rotation.GroupID) string { return "<!subteam^" + esc(string(g)) + ">" }

// deciders mentions those who may decide: the rule's members and groups, without the owner, the requester, who has overruled the evidence and who has
// approved already.
func (v view) deciders(r rotation.Rotation) []string {
	by := v.approvals.ForRotation(r).Decides(r)
	ask, _ := r.CurrentAsk()
	var names []string
	for _, m := range by.Members {
		approved := slices.ContainsFunc(ask.Approvals(), func(d rotation.Decision) bool { return d.By == m })
		if name := mention(m); m != r.Owner && m != r.Requester && m != ask.Overruled.By && !approved && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, g := range by.Groups {
		if name := mentionGroup(g); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// whoDecides names those whose decision is waited for, to follow "Next:".
func (v view) whoDecides(r rotation.Rotation) string {
	names := v.deciders(r)
	ask, _ := r.CurrentAsk()
	switch n := ask.Lacks(); {
	case len(names) == 0:
		return ""
	case n > 1:
		return strconv.Itoa(n) + " of " + anyOf(names) + " decide"
	}
	return anyOf(names) + " decides"
}

// account is an account's name, or its id if it has none.
func (v view) account(id string) string {
	if name := tidy(v.accounts.of(id)); name != "" {
		return esc(clip(name, 60))
	}
	return esc(id)
}

// accountInFull is an account's name and id.
func (v view) accountInFull(id string) string {
	if name := v.account(id); name != esc(id) {
		return name + " (" + esc(id) + ")"
	}
	return esc(id)
}

// user names an IAM user and its account.
func (v view) user(u rotation.UserRef) string { return code(u.Name) + " in " + v.account(u.Account) }

func short(id rotation.KeyID) string { return code(id.Short()) }

// lastUse tells what is known of a key's last use. What is not known never reads as unused.
func lastUse(u rotation.LastUse) string {
	switch u.State {
	case rotation.Used:
		return when(u.At) + usedBy(u)
	case rotation.NeverUsed:
		return "never, as far as AWS has recorded"
	}
	return "not known, which is not the same as never"
}

// usedBy tells which service and region a use was seen in.
func usedBy(u rotation.LastUse) string {
	s := ""
	if u.Service != "" {
		s += " by " + esc(clip(u.Service, 40))
	}
	if u.Region != "" {
		s += " in " + esc(clip(u.Region, 40))
	}
	return s
}
