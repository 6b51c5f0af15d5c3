package bot

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/rotation"
)

// digestMessage tells on-call what a survey found, the gravest first, and who owes the next click. Whatever is found, it stays within
// Slack's limits: what does not fit is counted. An account that could not be read is named before everything else.
func digestMessage(v view, s rotation.Survey, running []rotation.Rotation, weeks []report.Week) message {
	return digestOf(v, s, running, heading{title: "Access keys, week " + weeks[len(weeks)-1].Name, change: changed(weeks)})
}

// heading is what a digest is called, how it compares with an earlier one, and what else is to be said of it.
type heading struct{ title, change, note string }

func digestOf(v view, s rotation.Survey, running []rotation.Rotation, h heading) message {
	s = s.WithStuck(running)
	rows := byKey(s.Findings)
	due, _ := setApart(rows, s.At)
	before, after := listsOf(v, s, running, rows)
	room := roomFor(slices.Concat(before, after))
	var head, tail draft
	head.header(h.title)
	head.say(sentences(headline(s, due), h.change, besides(rows, s.At)))
	for _, l := range before {
		head.say(l.bulleted(room))
	}
	for _, l := range after {
		tail.say(l.bulleted(room))
	}
	if len(s.Accounts) > 0 {
		tail.note("The accounts were read on " + when(s.At) + ".")
	}
	tail.note(h.note)
	head.add(dueRows(v, due, maxBlocks-1-len(head.blocks)-len(tail.blocks), maxAllBlocks-forPicture-weight(head)-weight(tail)))
	head.add(tail)
	return head.message()
}

// forPicture is what the picture may take of Slack's bound, with what it says to who does not see it.
const forPicture = 2500

// keyFindings is one key, or the root user, with all that was found about it.
type keyFindings struct {
	rotation.Finding
	breaches []rotation.Breach
	accepted rotation.Exemption // of some of the findings, if not of all
	first    bool               // the user's first row
	blocker  rotation.KeyID
}

// byKey brings the findings of each key together, in the order of each one's gravest.
func byKey(findings []rotation.Finding) []keyFindings {
	type id struct {
		user rotation.UserRef
		key  rotation.KeyID
	}
	rows := make([]keyFindings, 0, len(findings))
	index, firsts := make(map[id]int, len(findings)), make(map[rotation.UserRef]int, len(findings))
	leftovers := map[rotation.UserRef]rotation.KeyID{}
	for _, f := range findings {
		if f.Breach == rotation.LeftInactive {
			leftovers[f.User] = f.Key.ID
		}
		if i, ok := firsts[f.User]; ok && f.Breach == rotation.Unowned && (rows[i].Exempt.Reason == "") == (f.Exempt.Reason == "") {
			rows[i].breaches = append(rows[i].breaches, f.Breach) // of the user, who has a row already
			continue
		}
		key := id{f.User, f.Key.ID}
		if i, ok := index[key]; ok {
			rows[i].join(f)
			continue
		}
		_, there := firsts[f.User]
		index[key] = len(rows)
		rows = append(rows, keyFindings{Finding: f, breaches: []rotation.Breach{f.Breach}, first: !there})
		if !there {
			firsts[f.User] = index[key]
		}
	}
	for i := range rows {
		rows[i].blocker = leftovers[rows[i].User]
	}
	return rows
}

// join adds what else was found about the key.
func (k *keyFindings) join(f rotation.Finding) {
	k.breaches = append(k.breaches, f.Breach)
	k.accept(f.Exempt)
	if f.Stuck != nil {
		k.Stuck = f.Stuck
	}
	if k.Policy.MaxAge == 0 { // not all kinds of findings go by it
		k.Policy = f.Policy
	}
	if k.Snooze.By == "" {
		k.Snooze = f.Snooze
	}
}

// accept notes whether a further finding of the key is accepted. A key of which one is not is listed with all of them.
func (k *keyFindings) accept(x rotation.Exemption) {
	switch {
	case k.Exempt.Reason != "" && x.Reason == "":
		k.accepted, k.Exempt = k.Exempt, rotation.Exemption{}
	case k.Exempt.Reason == "" && x.Reason != "":
		k.accepted = x
	}
}

// setApart sets apart the keys whose findings are accepted for now. Users of whom nothing is found but that they have no owner are in neither: they
// are told of together, and would drown the keys.
func setApart(rows []keyFindings, at time.Time) (due, exempt []keyFindings) {
	due = make([]keyFindings, 0, len(rows))
	for _, k := range rows {
		if k.Exempt.Holds(at) {
			exempt = append(exempt, k)
		} else if k.Breach != rotation.Unowned {
			due = append(due, k)
		}
	}
	return due, exempt
}

// headline is the digest in a sentence. It never calls in order what could not be read.
func headline(s rotation.Survey, due []keyFindings) string {
	all, unread := len(s.Accounts), len(s.Unread())
	head := count(len(due), "key") + " need attention"
	switch len(due) {
	case 0:
		head = "No key needs attention"
	case 1:
		head = "1 key needs attention"
	}
	switch {
	case all == 0:
		return "No AWS account has been read, so nothing is known about any key."
	case len(due) == 0 && unread == all:
		return "Nothing is known about any key, since no account could be read."
	case unread > 0:
		return head + " as far as could be read, but " + strconv.Itoa(unread) + " of " + count(all, "account") +
			" could not be read in full, so nothing is known about the other keys there."
	}
	if s.Unlisted != nil {
		return head + " in the " + count(all, "account") + " known until now."
	}
	return head + " in " + count(all, "account") + "."
}

func unreadLines(s rotation.Survey) list {
	var ls []string
	for _, a := range s.Unread() {
		partly := ""
		if a.Users > 0 {
			partly = "Only some of its users are missing here."
		}
		ls = append(ls, stateName(a)+": "+sentences(notRead(a.Err), partly))
	}
	return list{"Not read in full, so stale keys may be hidden there", ls}
}

// runningLines names who owes the next click, the longest waiting first. What is stuck is a finding, and told as such.
func runningLines(v view, running []rotation.Rotation) list {
	running = slices.DeleteFunc(slices.Clone(running), func(r rotation.Rotation) bool { return r.Stage == rotation.Stuck })
	slices.SortStableFunc(running, func(a, b rotation.Rotation) int { return a.Since.Compare(b.Since) })
	var ls []string
	for _, r := range running {
		ls = append(ls, v.user(r.User)+", "+string(r.Stage)+" since "+when(r.Since)+". Next: "+v.next(r)+".")
	}
	return list{"Rotations under way", ls}
}

// acceptedUntil tells until when, by whom and why findings are accepted.
func acceptedUntil(x rotation.Exemption) string {
	by := ""
	if len(x.By) > 0 {
		by = ", accepted by " + allOf(each(x.By, mention))
	}
	return "exempt until " + when(x.Until) + by + ". " + reasonGiven(clip(x.Reason, 100))
}

// worst is how many keys have a section of their own: who wants to see more opens the file.
const worst = 10

// dueRows has a section for each key as far as blocks and characters allow, and counts the others.
func dueRows(v view, due []keyFindings, blocks, characters int) draft {
	var d draft
	const forTheRest = 700
	characters -= forTheRest
	for i, k := range due {
		var row draft
		var right *slack.Accessory
		switch {
		case retirable(k):
			right = slack.NewAccessory(needlessChoice(k))
		case startable(k):
			right = slack.NewAccessory(startButton(k.User))
		}
		words := dueWords(v, k)
		row.show(words, words, right)
		if characters -= weight(row); characters < 0 || i == worst || blocks == 1 && i < len(due)-1 {
			d.say(theRest(due[i:]))
			return d
		}
		d.add(row)
		blocks--
	}
	return d
}

// weight is how much of Slack's bound on a message's blocks a draft takes.
func weight(d draft) int {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(d.blocks) // plain structs, which always encode
	return utf8.RuneCountInString(b.String())
}

// startable tells whether a button may begin the rotation of what was found.
func startable(k keyFindings) bool {
	return k.first && k.Breach != rotation.RootKey && k.Owner != "" && k.Running == "" && k.blocker == "" &&
		!slices.Contains(k.breaches, rotation.ExtraKeys) && !slices.Contains(k.breaches, rotation.Quarantined)
}

func dueWords(v view, k keyFindings) string {
	if k.Breach == rotation.RootKey {
		return "*Critical: the root user of " + v.accountInFull(k.User.Account) + " has an access key.* " + rootUse(k.Key) +
			" Nobody can restrict what it may do, and Keyturner cannot rotate it. Sign in as root, move whatever uses the key to a role, and delete it."
	}
	if k.Policy.MaxAge > 0 {
		v.policy = k.Policy
	}
	var what []string
	for _, b := range k.breaches {
		if b == rotation.StuckRotation && k.Stuck != nil {
			what = append(what, stuckSince(*k.Stuck))
			continue
		}
		if b == rotation.Unowned && k.Owner == "" {
			continue // what is next says so
		}
		what = append(what, sentence(v.breach(b, k.Key)))
	}
	lines := []string{v.user(k.User) + ", key " + short(k.Key.ID), strings.Join(what, " ")}
	if k.accepted.Reason != "" {
		lines = append(lines, "Some of that is "+acceptedUntil(k.accepted))
	}
	if k.Snooze.By != "" {
		lines = append(lines, "Snoozed until "+when(k.Snooze.Until)+" by "+mention(k.Snooze.By)+".")
	}
	if !k.Passed.IsZero() {
		lines = append(lines, "Warned twice, and passed on on "+when(k.Passed)+".")
	}
	return strings.Join(append(lines, sentences(v.whatNext(k), needless(k))), "\n")
}

func rootUse(k rotation.Key) string {
	if k.LastUse.State == rotation.Used {
		return "It was last used on " + when(k.LastUse.At) + usedBy(k.LastUse) + "."
	}
	return "Its last use: " + lastUse(k.LastUse) + "."
}

// breach tells what was found about a key.
func (v view) breach(b rotation.Breach, k rotation.Key) string {
	switch b {
	case rotation.Quarantined:
		return "exposed: AWS has found a key of this user in public, and attached a policy named AWSCompromisedKeyQuarantine"
	case rotation.StuckRotation:
		return "its rotation is stuck, and a person must say how it goes on"
	case rotation.TooOld:
		if v.policy.MaxAge > 0 {
			return "too old: created on " + when(k.Created) + ", and " + span(v.policy.MaxAge) + " is the most"
		}
		return "too old: created on " + when(k.Created)
	case rotation.SoonTooOld:
		if v.policy.MaxAge > 0 {
			return "soon too old: it should be replaced before " + when(k.Created.Add(v.policy.MaxAge))
		}
		return "soon too old: created on " + when(k.Created)
	case rotation.Unneeded:
		return "never used since it was created on " + when(k.Created)
	case rotation.Idle:
		return "unused for long: last used on " + when(k.LastUse.At) + usedBy(k.LastUse)
	case rotation.TwoActive:
		return "two keys of this user are active, and one should be enough"
	case rotation.LeftInactive:
		return "inactive and never deleted"
	case rotation.Unowned:
		return "nobody is answerable for its user now"
	case rotation.ExtraKeys:
		return "the user has more keys than AWS allows"
	}
	return "found: " + esc(string(b))
}

// whatNext tells what can be done about a key, and by whom.
func (v view) whatNext(k keyFindings) string {
	owner := "Owner: " + mention(k.Owner) + "."
	stuck := v.stuckNext(k)
	switch {
	case slices.Contains(k.breaches, rotation.Quarantined):
		return sentences(owner, "Do not remove that policy. Unless you know that it was another key, type `/rotate-key leaked "+esc(string(k.Key.ID))+"` now.", stuck)
	case stuck != "":
		return owner + " " + stuck
	case k.Doubt == rotation.NotLookedUp:
		return "Its owner could not be looked up, so it is not known who is answerable. The operator finds the details in the log."
	case k.Owner == "":
		return sentences("Nobody is answerable for it.", doubts[k.Doubt], v.nameOwner())
	case k.Running != "":
		return owner + " A rotation is under way: " + string(k.Running) + "."
	case slices.Contains(k.breaches, rotation.ExtraKeys):
		return owner + " Keyturner cannot tell which keys belong together. Delete one that nobody needs in AWS."
	case k.blocker == k.Key.ID:
		return owner + " The owner can retire it: type `/rotate-key`."
	case k.blocker != "":
		return owner + " The inactive key " + short(k.blocker) + " takes the second place. The owner retires that one first: type `/rotate-key`."
	}
	return owner
}

// inShort names the breaches where they are counted.
var inShort = map[rotation.Breach]string{
	rotation.RootKey:       "root key",
	rotation.Quarantined:   "exposed in public",
	rotation.StuckRotation: "rotation stuck",
	rotation.TooOld:        "too old",
	rotation.ExtraKeys:     "beyond AWS's limit",
	rotation.Unneeded:      "never used",
	rotation.Idle:          "unused for long",
	rotation.TwoActive:     "one of two active keys",
	rotation.SoonTooOld:    "soon too old",
	rotation.LeftInactive:  "left inactive",
	rotation.Unowned:       "without an owner",
}

// theRest sums up what did not fit, by its gravest breach.
func theRest(rest []keyFindings) string {
	var parts []string
	found := map[rotation.Breach]int{}
	for i := range rest {
		found[rest[i].Breach]++
	}
	for _, b := range rotation.Breaches() {
		if found[b] > 0 {
			parts = append(parts, inShort[b]+": "+strconv.Itoa(found[b]))
		}
	}
	return "*And " + count(len(rest), "other key") + ":* " + strings.Join(parts, ", ") + ". They move up here as those above are done, and the file in the thread has all of them."
}
