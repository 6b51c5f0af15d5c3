package bot

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// explain answers who would be asked about a user's keys.
func (b *Bot) explain(ctx context.Context, e errand) {
	u, _ := e.user()
	x, err := b.cfg.Engine.Explain(ctx, u, e.actor)
	if err != nil {
		b.refuse(ctx, e.who, err)
		return
	}
	b.reply(ctx, e.who, explainMessage(b.cfg.Outbox.today(), x, b.whyNot(ctx, x)))
}

// whyNot tells of those without standing what Slack says of them.
func (b *Bot) whyNot(ctx context.Context, x rotation.Explanation) map[rotation.MemberID]string {
	reasons := map[rotation.MemberID]string{}
	for _, c := range slices.Concat(x.People, x.Second) {
		if c.Bar != rotation.HasNoStand {
			continue
		}
		if seen, err := b.cfg.People.look(ctx, c.Member); err == nil {
			reasons[c.Member] = seen.reason
		}
	}
	return reasons
}

// explainMessage tells who decides about a user's keys and why, who cannot, how many are needed, and what happens if nobody answers.
func explainMessage(v view, x rotation.Explanation, reasons map[rotation.MemberID]string) message {
	var d draft
	d.header("Who decides about " + tidy(x.User.Name))
	d.say(sentences(ownedBy(v, x), because(x.Rule)))
	d.say("*Needed:* " + needed(x))
	d.say("*Who may decide:* " + able(x))
	d.say(sentences(cannot(x.People, reasons), "Neither the owner nor who asks for a rotation may decide about it, nor who overrules the evidence approve on it."))
	d.say(afterThat(x, reasons))
	d.say(windowed(x.Rule, v.now))
	d.say(now(v, x))
	d.say("*If nobody answers:* " + withoutAnswer(x))
	d.note("Who may is asked again at each click: of the rule as it is configured then, and of Slack.")
	return d.message()
}

func ownedBy(v view, x rotation.Explanation) string {
	if x.Owner == "" {
		return v.user(x.User) + " has no owner, so no rotation can begin. " + v.nameOwner()
	}
	return v.user(x.User) + " belongs to " + mention(x.Owner) + "."
}

// because tells which rule goes for a user, and by what.
func because(a rotation.Approval) string {
	m := a.Matches
	var by []string
	part := func(word string, patterns []string) {
		if len(patterns) > 0 {
			by = append(by, word+" "+anyOf(each(patterns, pattern)))
		}
	}
	part("its name is like", m.Users)
	part("its path is like", m.Paths)
	if m.Tag != "" {
		by = append(by, "its tag "+code(m.Tag)+" is like "+pattern(m.Value))
	}
	part("it is in the account", m.Accounts)
	switch {
	case a.Name == rotation.DefaultApproval:
		return "No rule of its own is for it, so the approvers that the configuration names for all decide."
	case len(by) == 0:
		return "The rule " + code(a.Name) + " is for every user."
	}
	return "The rule " + code(a.Name) + " is for it, because " + allOf(by) + "."
}

// pattern shows what a rule's names are like. An asterisk would be taken for a mark of bold.
func pattern(p string) string { return code(strings.ReplaceAll(p, "*", "…")) }

func each[A, B any](list []A, convert func(A) B) []B {
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = convert(v)
	}
	return out
}

func needed(x rotation.Explanation) string {
	w := x.Terms.Wanted
	s := count(w.At(rotation.Requested), "approval") + " to create a key, " + strconv.Itoa(w.At(rotation.Confirmed)) +
		" to deactivate the old one, " + strconv.Itoa(w.At(rotation.Expiring)) + " to delete it."
	if w.Most() > 1 {
		s += " Each by another person."
	}
	return s + " One denial ends a request. Making the old key active again needs none."
}

// able names who may decide, and says if those are too few.
func able(x rotation.Explanation) string {
	names := each(x.Able(), mention)
	s := "nobody."
	if len(names) > 0 {
		s = allOf(names) + "."
	}
	return sentences(s, besideThose(x))
}

// besideThose tells of the groups that a rule names, and says if those who may decide are too few.
func besideThose(x rotation.Explanation) string {
	s := ""
	var groups []string
	for _, g := range x.Rule.By.Groups {
		groups = append(groups, mentionGroup(g))
	}
	if len(groups) > 0 {
		s = "The rule names " + allOf(groups) + "; who is in it is asked in Slack."
	}
	unsure := x.Unread != nil || slices.ContainsFunc(x.People, func(c rotation.Candidate) bool { return c.Bar == rotation.StandUnknown })
	switch {
	case x.Unread != nil:
		s = sentences(s, "Slack did not tell who is in all of it, so nobody more is taken for an approver now. The operator must check the group and the app's scope usergroups:read.")
	case len(x.Able()) < stillNeeded(x) && !unsure:
		s = sentences(s, "Those are too few: the operator must add approvers.")
	}
	return s
}

// stillNeeded is how many people are needed still.
func stillNeeded(x rotation.Explanation) int {
	if x.Running != nil {
		if ask, open := x.Running.CurrentAsk(); open {
			return ask.Lacks()
		}
	}
	return x.Terms.Wanted.Most()
}

// barred words each bar, to follow a name.
var barred = map[rotation.Bar]string{
	rotation.IsOwner:      "the owner",
	rotation.IsRequester:  "asked for the rotation that runs",
	rotation.HasApproved:  "has approved already",
	rotation.HasOverruled: "has overruled the evidence",
	rotation.HasNoStand:   "no active, full member of this workspace",
	rotation.StandUnknown: "not looked up",
}

// cannot names who of those whom the rule names cannot decide, by why.
func cannot(people []rotation.Candidate, reasons map[rotation.MemberID]string) string {
	by := map[string][]string{}
	for _, c := range people {
		why := barred[c.Bar]
		if reason := reasons[c.Member]; reason != "" {
			why = reason
		}
		if c.Bar != rotation.NoBar {
			by[why] = append(by[why], mention(c.Member))
		}
	}
	if len(by) == 0 {
		return ""
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, allOf(by[why])+" ("+why+")")
	}
	return "*Who cannot:* " + strings.Join(parts, "; ") + "."
}

// now tells what is asked at this moment.
func now(v view, x rotation.Explanation) string {
	if x.Running == nil {
		return "No rotation runs."
	}
	r := *x.Running
	ask, open := r.CurrentAsk()
	if !open {
		return sentences("*Now:* "+standing(r), "Next: "+v.next(r)+".")
	}
	if r.Waits() {
		return sentences("*Now:* "+standing(r), "Next: "+v.next(r)+".")
	}
	return sentences("*Now:* "+standing(r), approvedSoFar(ask), standsUntil(r, ask), "Next: "+v.next(r)+".")
}

// afterThat tells who is reminded and when, and who is asked if that does not help.
func afterThat(x rotation.Explanation, reasons map[rotation.MemberID]string) string {
	reminders := "*Reminders:* " + remindedWhen(x.Terms)
	to := x.Rule.Escalate.To
	if x.Terms.Escalate == 0 || to.Empty() {
		return reminders + "\n*Nobody else is asked* if they do not decide."
	}
	var able []string
	for _, c := range x.Second {
		if c.Bar == rotation.NoBar && c.Via == "" {
			able = append(able, mention(c.Member))
		}
	}
	able = append(able, each(to.Groups, mentionGroup)...)
	if !slices.ContainsFunc(x.Second, func(c rotation.Candidate) bool { return c.Bar == rotation.NoBar || c.Bar == rotation.StandUnknown }) && x.Unread == nil {
		able = nil
	}
	next := "nobody of those who would be asked then could decide, so the operator must name others."
	if len(able) > 0 {
		next = allOf(able) + " will be asked too, and may decide from then on."
	}
	return reminders + "\n" + sentences("*If they have not decided after "+span(x.Terms.Escalate)+":* "+next, cannot(x.Second, reasons))
}

// withoutAnswer tells what becomes of a request that nobody answers.
func withoutAnswer(x rotation.Explanation) string {
	return "a request for a new key lapses after " + span(x.Terms.Expires) + ", and nothing is changed. A request to deactivate goes back to the owner after the same time. " +
		"The owner and on-call are told so. " +
		"The question whether the old key is deleted stands until somebody decides; the key stays inactive so long."
}
