package bot

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// How many keys have a section with a button in a message about many, and how many users or owners are named of the others.
const (
	ownRows    = 15
	passedRows = 10
	maxOthers  = 20
)

// daysOld is the age of a notice's key when it fell due.
func daysOld(n rotation.Notice) string {
	return count(int(n.Due.Sub(n.Created)/(24*time.Hour)), "day") + " old"
}

// oldest puts the oldest keys first.
func oldest(all []rotation.Listed) []rotation.Listed {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b rotation.Listed) int { return a.Notice.Created.Compare(b.Notice.Created) })
	return all
}

// forOthers is what the message needs of Slack's bound on all blocks, beside its rows.
const forOthers = 3500

// list has a section for each key as far as there is room, and tells of the others together.
func (d *draft) list(v view, all []rotation.Listed, most int, button func([]rotation.Listed, int) *slack.Accessory, tell func(rotation.Listed) string, others func([]rotation.Listed) string) {
	room := maxAllBlocks - forOthers
	for i, l := range all {
		words := "*" + v.user(l.Progress.User) + "*, key " + short(l.Notice.Key) + ", " + daysOld(l.Notice) + "\n" + tell(l)
		var row draft
		row.show(words, words, button(all, i))
		if room -= weight(row); i == most || room < 0 {
			d.say(others(all[i:]))
			return
		}
		d.add(row)
	}
}

// listButton begins what helps a key: its retirement if it is not used, or else the rotation, once for each user.
func listButton(all []rotation.Listed, i int) *slack.Accessory {
	l := all[i]
	if l.Notice.Unused != "" {
		return slack.NewAccessory(retireButton(l.Progress.User, l.Notice.Key))
	}
	if slices.ContainsFunc(all[:i], func(o rotation.Listed) bool { return o.Progress.User == l.Progress.User && o.Notice.Unused == "" }) {
		return nil
	}
	return slack.NewAccessory(startButton(l.Progress.User))
}

// listStart begins the rotation of a key, once for each user: a key may be retired by its owner alone, and others are told.
func listStart(all []rotation.Listed, i int) *slack.Accessory {
	l := all[i]
	if slices.ContainsFunc(all[:i], func(o rotation.Listed) bool { return o.Progress.User == l.Progress.User }) {
		return nil
	}
	return slack.NewAccessory(startButton(l.Progress.User))
}

// ownerListMessage tells an owner of many keys at once.
func ownerListMessage(v view, all []rotation.Listed) message {
	all = oldest(all)
	n := all[0].Notice
	var d draft
	needs := plural(len(all), " needs you", " need you")
	d.header(count(len(all), "key") + " of yours" + needs)
	whose := "You are the owner of these keys."
	if n.Owner.IsGroup() {
		d = draft{}
		d.header(count(len(all), "key") + " of your group" + needs)
		whose = mention(n.Owner) + " is the owner of these keys. Whoever of the group starts a rotation gets the new key."
	}
	d.say(sentences(whose, "The oldest come first."))
	d.list(v, all, ownRows, listButton, func(l rotation.Listed) string { return v.calledFor(l.Notice) }, func(rest []rotation.Listed) string { return otherUsers(v, rest) })
	d.note("An approver is asked before anything changes. To be left alone about one key for a while, type `/rotate-key snooze AKIA… 7`; to keep one as it is, " +
		"`/rotate-key exempt AKIA…`. If one is not yours, tell an approver: they link it to who it belongs to.")
	return d.message()
}

// calledFor tells what was found about a key and what comes next, in a list.
func (v view) calledFor(n rotation.Notice) string {
	found := ""
	most := v.policy.MaxAge
	if n.Most > 0 {
		most = time.Duration(n.Most) * 24 * time.Hour
	}
	switch old := n.Due.Sub(n.Created); {
	case n.Unused == rotation.Unneeded:
		found = "It has never been used. Retire it if nobody needs it."
	case n.Unused != "":
		found = "It has not been used since " + when(n.Use.At) + ". Retire it if nobody needs it."
	case most > 0 && old >= most:
		found = "Too old: " + span(most) + " is the most. Start its rotation now."
	case most > 0:
		found = "Start its rotation before " + when(n.Created.Add(most)) + "."
	}
	switch n.Kind {
	case rotation.LastWarning:
		return sentences(found, "*This is the last warning:* if nobody acts by "+when(n.On)+", "+willTell(n)+".")
	case rotation.OwnerTold:
		return sentences(found, "Two warnings were not answered, so "+willTell(n)+".")
	}
	return found
}

// otherUsers names the users of the keys that have no section of their own.
func otherUsers(v view, rest []rotation.Listed) string {
	var names []string
	for _, l := range rest {
		if name := code(l.Progress.User.Name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if n := len(names) - maxOthers; n > 0 {
		names = append(names[:maxOthers:maxOthers], count(n, "other user"))
	}
	return "*And " + count(len(rest), "other key") + "*, of " + strings.Join(names, ", ") + ". Type `/rotate-key list`, or open the Home tab, to see them all."
}

// beyondOf names who is told after a silent owner, but where they would be called by that.
func beyondOf(n rotation.Notice) string {
	switch {
	case len(n.To) == 0:
		return "on-call"
	case n.Owner.IsGroup():
		return "those whom the approval rule names next"
	}
	return allOf(each(n.To, mention))
}

// willTell says that others come in, to follow a comma. It is true before they are told too, who may be at work later than the owner.
func willTell(n rotation.Notice) string { return "Keyturner passes it on to " + beyondOf(n) }

// lastCall tells what comes of silence.
func lastCall(n rotation.Notice) string {
	if n.Kind != rotation.LastWarning {
		return ""
	}
	return "*This is the last warning.* Nobody has acted on the one before. If nobody acts by " + when(n.On) + ", " + willTell(n) +
		". To start the rotation, to retire the key, to snooze or to ask for an exemption is enough."
}

// passedMessage tells an owner that others are told.
func passedMessage(v view, n rotation.Notice, user rotation.UserRef) message {
	var d draft
	d.header("Others are told about a key of " + tidy(user.Name))
	whose := "You are the owner of "
	if n.Owner.IsGroup() {
		whose = mention(n.Owner) + " is the owner of "
	}
	d.say(whose + v.user(user) + ". Its access key " + code(string(n.Key)) + " is " + daysOld(n) + ". Two warnings were not answered, so " + willTell(n) + ".")
	d.say("*What you can do:* start the rotation now, or say why it cannot be: write to them, or ask for an exemption. If the key is not yours, tell an approver, who links it to whom it belongs to.")
	if n.Unused != "" {
		d.buttons([]slack.BlockElement{retireButton(user, n.Key), findingMenu(user, n.Key)})
	} else {
		d.buttons([]slack.BlockElement{startButton(user), findingMenu(user, n.Key)})
	}
	return d.message()
}

// passedOnMessage tells on-call, or who comes next, about owners who do not answer. Each key is told once.
func passedOnMessage(v view, all []rotation.Listed) message {
	all = oldest(all)
	var d draft
	story := "The owners were warned twice, and have not acted. The keys still work."
	if len(all) == 1 {
		story = "Its owner was warned twice, and has not acted. The key still works."
		d.header("No answer: a key of " + tidy(all[0].Progress.User.Name) + " is too old")
	} else {
		d.header("No answer: " + strconv.Itoa(len(all)) + " keys are too old")
	}
	call := ""
	if to := all[0].Notice.To; len(to) > 0 {
		call = pinged(each(to, mention)) + ": please help."
	}
	d.say(sentences(call, story))
	d.list(v, all, passedRows, listStart, silent, otherOwners)
	d.say("*What helps:* write to the owner. If they have left, or the key is not theirs, an approver names another owner: `/rotate-key link @member ACCOUNT/USER`. " +
		"On-call and approvers can start a rotation here: the new key goes to the owner.")
	d.note("Each key is passed on once, and its owner is told. The digest lists it until it is dealt with.")
	return d.message()
}

// silent tells who has not answered, and since when.
func silent(l rotation.Listed) string {
	at, unreached := l.Warned()
	s := "Owner: " + mention(l.Notice.Owner) + "."
	switch {
	case unreached:
		s += " *Slack takes no messages for them.*"
	case len(at) > 0:
		s += " Warned on " + allOf(each(at, when)) + "."
	}
	switch l.Notice.Unused {
	case "":
		return s
	case rotation.Unneeded:
		return s + " The key has never been used."
	}
	return s + " The key has not been used since " + when(l.Notice.Use.At) + "."
}

// otherOwners counts the keys that have no section of their own, by owner.
func otherOwners(rest []rotation.Listed) string {
	counts := map[rotation.MemberID]int{}
	var owners []rotation.MemberID
	for _, l := range rest {
		if counts[l.Notice.Owner]++; counts[l.Notice.Owner] == 1 {
			owners = append(owners, l.Notice.Owner)
		}
	}
	slices.SortStableFunc(owners, func(a, b rotation.MemberID) int { return counts[b] - counts[a] })
	var names []string
	for i, m := range owners {
		if i == maxOthers {
			names = append(names, count(len(owners)-i, "other owner"))
			break
		}
		names = append(names, mention(m)+" ("+strconv.Itoa(counts[m])+")")
	}
	return "*And " + count(len(rest), "other key") + "*, of " + strings.Join(names, ", ") + ". The file in the digest's thread has them all."
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
