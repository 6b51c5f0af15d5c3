package bot

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/keyturner/keyturner/rotation"
)

// phrase is one row of what can be typed after /rotate-key. How a text is read, what is stored and logged of it, who may, the help and the
// answer to a slip of the keys all derive from the rows.
type phrase struct {
	word  string
	takes []argument
	may   audience
	what  string // it does, to follow the command and a colon
	do    func(*Bot, context.Context, errand)
}

// errand is a row that somebody typed.
type errand struct {
	who   caller
	actor rotation.Actor
	args  []string // as many as the row takes, in the form that their kind keeps
	// trigger opens a modal, for three seconds; empty when it is worked again.
	trigger string
}

// audience is who may type a command.
type audience int

const (
	anybody    audience = iota
	approvers           // those who may approve
	responders          // those who may approve, and on-call
)

// refuses is why somebody may not, or nil.
func (a audience) refuses(by rotation.Actor) error {
	switch {
	case a == approvers && !by.Approver:
		return &rotation.Refusal{Code: rotation.NotApprover}
	case a == responders && !by.Approver && !by.OnCall:
		return &rotation.Refusal{Code: rotation.NotResponder}
	}
	return nil
}

// vocabulary lists what can be typed. A word may have several rows, which differ in what they take.
func vocabulary() []phrase {
	user := []argument{userArgument}
	return []phrase{
		{"", nil, anybody, "choose one of your keys, and replace or retire it", nil}, // it opens the form: see openKeys
		{"status", nil, anybody, "see where your rotations stand and who owes the next click", (*Bot).tellStatus},
		{"help", nil, anybody, "read this", (*Bot).tellHelp},
		{"list", nil, anybody, "see your keys, with their age, last use and state", (*Bot).tellKeys},
		{"list", user, approvers, "see the keys of one IAM user", (*Bot).tellKeysOf},
		{"history", nil, anybody, "see your rotations that have ended, and who decided what", (*Bot).tellHistory},
		{"history", user, anybody, "see those of one IAM user", (*Bot).tellHistoryOf},
		{"cancel", nil, anybody, "withdraw the request of your running rotation, as the button on its card does", (*Bot).cancel},
		{"cancel", user, anybody, "name the IAM user whose rotation it is, if several run", (*Bot).cancel},
		{"remind", nil, anybody, "ask the approvers again about your waiting rotation, once an hour", (*Bot).remind},
		{"remind", user, anybody, "name the IAM user whose rotation it is, if several wait", (*Bot).remind},
		{"link", []argument{memberArgument, userArgument}, approvers, "make somebody the owner of an IAM user", (*Bot).link},
		{"unlink", user, approvers, "take that back", (*Bot).unlink},
		{"explain", user, anybody, "see who decides about the keys of one IAM user, and why", (*Bot).explain},
		{"leaked", []argument{keyArgument}, anybody, "say that others have that key, or may have it: one approver or on-call deactivates it at once", (*Bot).reportLeak},
		{"exempt", []argument{keyArgument}, anybody, "ask the approvers to accept what is found about that key, for a time and with a reason; its owner may, and on-call", (*Bot).exempt},
		{"exempt", user, anybody, "name the IAM user, and choose among its keys", (*Bot).exempt},
		{"unexempt", []argument{keyArgument}, anybody, "end that, or take back that it was asked; its owner may, and approvers", (*Bot).unexempt},
		{"snooze", []argument{keyArgument}, anybody, "not be warned about that key of yours for 7 days, twice at most", (*Bot).snooze},
		{"snooze", []argument{keyArgument, daysArgument}, anybody, "the same for that many days", (*Bot).snooze},
		{"mykey", nil, anybody, "see the public key that secrets are sealed for", (*Bot).tellKey},
		{"mykey", []argument{publicKeyArgument}, anybody, "set it, for the accounts where secrets are sealed", (*Bot).setKey},
		{"digest", nil, responders, "be sent today's digest: every key that needs attention, with the picture and the file", (*Bot).askDigest},
		{"whois", []argument{keyArgument}, responders, "see whose key that is, and what is known of it", (*Bot).tellWhose},
	}
}

// argument is one word after a command's own.
type argument struct {
	name string // as the help writes it
	how  string // to type it, to follow "write"
	// read makes of a word the form that is kept of it, if it is one of this kind. Nothing else of what is typed is stored, logged or
	// shown: a person may paste a secret.
	read func(accounts map[string]string, word string) (kept string, ok bool)
	rest bool // it is all that follows, and not one word
}

// The kinds of arguments.
var (
	keyArgument    = argument{"AKIA…", "a key's id, which is AKIA or ASIA and 16 capital letters and digits", readKey, false}
	daysArgument   = argument{"days", "a number of days from 1 to 14", readDays, false}
	memberArgument = argument{"@member", "an at sign and the name of a member of this workspace, and choose them from Slack's list", readMember, false}
	// An account is named as the configuration has it, by its id or its name.
	userArgument = argument{"account/user", "the id or the name of an AWS account that Keyturner looks after, a slash and the IAM user's name", readUser, false}
)

var (
	keyPattern    = regexp.MustCompile(`^A[KS]IA[A-Z0-9]{16}$`)
	memberPattern = regexp.MustCompile(`^<@[UW][A-Z0-9]{2,20}>$`)
	namePattern   = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	runPattern    = regexp.MustCompile(`[A-Za-z0-9+=]{30,}`)
)

func readKey(_ map[string]string, word string) (string, bool) {
	return word, keyPattern.MatchString(word)
}

func readMember(_ map[string]string, word string) (string, bool) {
	return word, memberPattern.MatchString(word)
}

func readUser(accounts map[string]string, word string) (string, bool) {
	account, name, _ := strings.Cut(word, "/")
	if !namePattern.MatchString(name) || looksSecret(name) {
		return "", false
	}
	for id, called := range accounts {
		if account == id || called != "" && strings.EqualFold(account, called) {
			return id + "/" + name, true
		}
	}
	return "", false
}

// looksSecret tells whether a word that could be the name of an IAM user looks more like the secret of a key, or a token.
func looksSecret(name string) bool {
	run := runPattern.FindString(name)
	return strings.ContainsAny(run, "0123456789") && strings.ToLower(run) != run && strings.ToUpper(run) != run || strings.HasPrefix(name, "xox") || strings.HasPrefix(name, "xapp-")
}

// reading is what is understood of a text.
type reading struct {
	row  phrase
	ok   bool   // the text is the row, with args
	word string // otherwise: a word of the vocabulary that begins it
	near string // otherwise: the word of the vocabulary that its beginning is near to
	args []string
}

// mailLink is what Slack makes of an e-mail address, which may be the name of an IAM user.
var mailLink = regexp.MustCompile(`<mailto:[^|>]*\|([^|>]*)>`)

// mentionName is what Slack adds to a member's id in a command.
var mentionName = regexp.MustCompile(`(<@[UW][A-Z0-9]+)\|[^<>]*>`)

// readTyped reads what somebody typed.
func readTyped(accounts map[string]string, text string) reading {
	if looksPrivate(text) {
		return reading{row: privateKeyTyped, ok: true, args: []string{typedPrivate}}
	}
	var words []string
	for w := range strings.FieldsSeq(mentionName.ReplaceAllString(mailLink.ReplaceAllString(text, "$1"), "$1>")) {
		words = append(words, strings.Trim(w, "`"))
	}
	if len(words) == 0 {
		return reading{row: vocabulary()[0], ok: true}
	}
	r := reading{word: strings.ToLower(words[0])}
	known := false
	for _, row := range vocabulary() {
		if row.word != r.word {
			continue
		}
		known = true
		if args, ok := row.read(accounts, words[1:]); ok {
			return reading{row: row, ok: true, args: args}
		}
	}
	if known {
		return r
	}
	return reading{near: nearest(r.word)}
}

func (p phrase) read(accounts map[string]string, words []string) (args []string, ok bool) {
	if n := len(p.takes); n > 0 && p.takes[n-1].rest && len(words) > n {
		words = append(slices.Clone(words[:n-1]), strings.Join(words[n-1:], " "))
	}
	if len(words) != len(p.takes) {
		return nil, false
	}
	for i, a := range p.takes {
		kept, ok := a.read(accounts, words[i])
		if !ok {
			return nil, false
		}
		args = append(args, kept)
	}
	return args, true
}

// maxSlips is how many letters may be wrong in a word that is still taken for one of the vocabulary.
const maxSlips = 2

// nearest is the word of the vocabulary that is nearest to one that is none, or nothing if none is near.
func nearest(word string) string {
	if len(word) > 30 {
		return ""
	}
	best, slips := "", maxSlips+1
	apart := func(known string) int { return max(len(word)-len(known), len(known)-len(word)) }
	for _, row := range vocabulary() {
		n := levenshtein.ComputeDistance(word, row.word)
		if row.word == "" || n > maxSlips || n >= len(row.word)-1 {
			continue
		}
		if n < slips || n == slips && apart(row.word) < apart(best) {
			best, slips = row.word, n
		}
	}
	return best
}

// kept is all that is stored and logged of the text: words of our own, arguments that are what they should be, and a question mark for
// anything else. It is read as the text was.
func (r reading) kept() string {
	switch {
	case r.ok:
		return strings.TrimSpace(strings.Join(append([]string{r.row.word}, r.args...), " "))
	case r.word != "":
		return r.word + " ?"
	}
	return r.near + "?"
}

// usage is how a row is typed.
func (p phrase) usage() string {
	words := []string{"/rotate-key"}
	if p.word != "" {
		words = append(words, p.word)
	}
	for _, a := range p.takes {
		words = append(words, a.name)
	}
	return "`" + strings.Join(words, " ") + "`"
}

// notUnderstood answers a text that is no row. It says nothing of the text: it may be a secret, and Slack would keep it.
func notUnderstood(r reading) message {
	if r.word != "" {
		return plain(howTo(r.word))
	}
	said := "Keyturner does not know this command, and has kept nothing of it."
	if r.near != "" {
		return plain(said + " Did you mean `/rotate-key " + r.near + "`?")
	}
	var all []string
	for _, row := range vocabulary() {
		if word := "`" + strings.TrimSpace("/rotate-key "+row.word) + "`"; !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return plain(said + " Type " + strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1] + ". `/rotate-key help` tells what each does.")
}

// howTo tells how a command of the vocabulary is typed.
func howTo(word string) string {
	var ways, hows []string
	for _, row := range vocabulary() {
		if row.word != word {
			continue
		}
		ways = append(ways, row.usage())
		for _, a := range row.takes {
			if how := "For " + a.name + ", write " + a.how + "."; !slices.Contains(hows, how) {
				hows = append(hows, how)
			}
		}
	}
	return sentences("What follows the command is not what it takes, and nothing of it was kept.", "Type "+strings.Join(ways, " or ")+".", strings.Join(hows, " "))
}
