package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
)

// What people type, and what is accepted for a time; and what must hold of it.

// ofTeam are the members of the user group that may own users.
var ofTeam = []string{olivia, oscar}

// ownsNow tells whether a member is the owner of a user, or of the group that is.
func (o *watch) ownsNow(member string, u rotation.UserRef) bool {
	owner := o.ownerOf(u)
	p, _ := o.w.kept.progress(u.ID())
	return member == owner || o.w.shape.group && owner == olivia && p.Link == nil && slices.Contains(ofTeam, member)
}

// everOwned tells whether a member has ever been the owner of a user, or of the group that was.
func (o *watch) everOwned(member string, u rotation.UserRef) bool {
	if o.linked[u.ID()+" "+member] {
		return true
	}
	for _, s := range o.w.seeds {
		if s.account == u.Account && s.name == u.Name {
			return s.owner != "" && s.owner == member || o.w.shape.group && s.owner == olivia && (slices.Contains(ofTeam, member) || member == team)
		}
	}
	return false
}

// anyAsked tells whether one of those who may make the owner's moves asked for one, at a turn.
func (o *watch) anyAsked(r rotation.Rotation, on string, turn int, at time.Time) bool {
	ref := rotation.Ref{ID: r.ID, Turn: turn}.String()
	return slices.ContainsFunc(o.ownersOf(r), func(m string) bool { return o.hasAsked(m, on, ref, at) })
}

// deliveryOf is the way that a secret should go: that of the account whose key it is of.
func (o *watch) deliveryOf(secret string) rotation.Mode {
	if account, made := o.made[secret]; made {
		return o.w.deliveryIn(account)
	}
	return "" // of a key that the bot has not made: shownIn refuses it
}

func (w *world) deliveryIn(account string) rotation.Mode {
	if account == prod {
		return w.shape.delivery
	}
	return w.shape.second
}

// anyKey picks a key of any user.
func (w *world) anyKey(t *rapid.T) (seeded, string) {
	u := pick(t, "user", w.seeds)
	keys := w.accounts[u.account].Keys(u.name)
	if len(keys) == 0 {
		t.Skip("the user has no key")
	}
	return u, pick(t, "key", keys).ID
}

// involved picks somebody who may have to do with a user.
func (w *world) involved(t *rapid.T, u seeded) string {
	return pick(t, "member", append([]string{alice, bob, carol, dora, olivia, oscar, guest}, slices.Repeat([]string{w.ownerNow(u)}, 8)...))
}

func (w *world) ownerNow(u seeded) string {
	if owner := w.watch.ownerOf(rotation.UserRef{Account: u.account, Name: u.name}); owner != "" {
		return owner
	}
	return dora
}

func (w *world) doCommandAbout(t *rapid.T) {
	u, key := w.anyKey(t)
	user := u.account + "/" + u.name
	w.people.command(w.involved(t, u), pick(t, "words", []string{
		"exempt " + key, "exempt " + key, "exempt " + user, "unexempt " + key, "snooze " + key + " 3", "snooze " + key, "whois " + key,
		"list " + user, "history " + user, "explain " + user, "digest",
	}))
}

// doExempt has an owner, or on-call, ask for an exemption and fill in the form at once.
func (w *world) doExempt(t *rapid.T) {
	u, key := w.anyKey(t)
	member := pick(t, "member", []string{w.ownerNow(u), w.ownerNow(u), dora})
	w.people.command(member, "exempt "+key)
	w.sleep(5 * time.Second)
	f, open := w.people.form(member)
	if !open || !f.until {
		return
	}
	days := pick(t, "days", []int{0, 1, 9, 9, 30, 364})
	w.people.submit(f, map[string]string{"key": f.keys[0], "until": w.now().AddDate(0, 0, days).UTC().Format(time.DateOnly), "reason": "because"})
	if rapid.Bool().Draw(t, "an approver sees it at once") {
		w.sleep(5 * time.Second)
		w.doAccept(t)
	}
}

func (w *world) doLink(t *rapid.T) {
	u := pick(t, "user", w.seeds)
	user := u.account + "/" + u.name
	words := "unlink " + user
	if rapid.IntRange(0, 2).Draw(t, "link") > 0 {
		words = "link <@" + pick(t, "owner", []string{olivia, oscar, alice, carol, guest}) + "> " + user
	}
	w.people.command(pick(t, "member", []string{alice, bob, carol, olivia}), words)
}

func (w *world) doLeaked(t *rapid.T) {
	u, key := w.anyKey(t)
	w.people.command(w.involved(t, u), "leaked "+key)
}

func (w *world) doNudge(t *rapid.T) {
	var running []rotation.Rotation
	for _, p := range w.kept.progresses() {
		if r, runs := p.Running(); runs {
			running = append(running, *r)
		}
	}
	if len(running) == 0 {
		t.Skip("nothing runs")
	}
	r := pick(t, "rotation", running)
	words := pick(t, "words", []string{"remind", "remind", "remind " + r.User.String(), "cancel " + r.User.String()})
	members := []string{string(r.Requester), string(r.Requester), string(r.Owner), bob, oscar}
	members = slices.DeleteFunc(members, func(m string) bool { return m == "" }) // a leaked key may have no owner
	w.people.command(pick(t, "member", members), words)
}

func (w *world) doPublicKey(t *rapid.T) {
	if w.shape.delivery != rotation.Sealed && w.shape.second != rotation.Sealed {
		t.Skip("nothing is sealed")
	}
	w.people.command(pick(t, "member", []string{olivia, oscar, alice, carol}), "mykey "+publicKey)
}

func (w *world) doCloseWindows(t *rapid.T) {
	member := pick(t, "member", everybody)
	w.story.add("%s closes all windows", nick(member))
	_ = w.slack.As(member).CloseAll(context.Background()) // none may be open
}

// doAccept has somebody click a button about an exemption, or choose in the menu of a warning.
func (w *world) doAccept(t *rapid.T) {
	var all []press
	for _, member := range everybody {
		for _, b := range w.people.presses(member) {
			on, _ := b.on()
			if b.action == "finding" || strings.HasPrefix(on, "exempt-") {
				all = append(all, b)
			}
		}
	}
	if len(all) == 0 {
		t.Skip("nothing is asked for")
	}
	if asked := slices.DeleteFunc(slices.Clone(all), func(p press) bool { return p.action != "exempt-approve" || !slices.Contains(approvers, p.member) }); len(asked) > 0 && rapid.Bool().Draw(t, "approve") {
		all = asked
	}
	w.people.click(pick(t, "button", all))
}

// acceptActions are the entries of what people do about exemptions and snoozes.
var acceptActions = map[string]string{
	"exempt": "exempt", "exempt-approve": "approve-exemption", "exempt-deny": "deny-exemption", "exempt-end": "unexempt", "snooze7": "snooze", "snooze14": "snooze",
}

// inv1Links: nobody becomes an owner but by an approver who has typed that, and nobody makes themselves one.
func (o *watch) inv1Links(all []rotation.Progress) {
	for _, p := range all {
		if p.Link == nil || o.linked[p.User.ID()+" "+string(p.Link.Owner)] {
			continue
		}
		o.linked[p.User.ID()+" "+string(p.Link.Owner)] = true
		typed := fmt.Sprintf("link <@%s> %s", p.Link.Owner, p.User)
		by := string(p.Link.By)
		if !o.mayDecide(by, p.Link.At) || by == string(p.Link.Owner) || len(o.asked[by+" "+typed]) == 0 || p.Link.Owner == guest {
			o.w.fail(1, "somebody is made an owner by nobody who may: %s of %s by %s", p.Link.Owner, p.User, by)
		}
	}
}

// inv1Accepted: nothing is accepted that nobody has asked for, or that not enough people have approved of, of whom none is the owner or who
// asks. Each is looked at when it is stored first, since an owner may become another one later.
func (o *watch) inv1Accepted(all []rotation.Progress) {
	for _, p := range all {
		for _, x := range p.Exemptions {
			o.once(x.ID, func() { o.exemptionAsked(x) })
			for _, d := range x.Decisions {
				o.once(x.ID+string(d.By)+d.At.String(), func() { o.exemptionDecided(x, d) })
			}
			accepted := !slices.Contains([]rotation.ExemptionStage{
				rotation.ExemptAsked, rotation.ExemptDenied, rotation.ExemptWithdrawn, rotation.ExemptLapsed, rotation.ExemptGone, rotation.ExemptLeaked,
			}, x.Stage)
			if wanted := o.w.needed(p.User, rotation.Requested); accepted && len(x.Approvers()) < wanted {
				o.w.fail(1, "something is accepted without %d approvals: %s", wanted, x.ID)
			}
			if x.Until.After(x.Asked.AddDate(1, 0, 1)) {
				o.w.fail(1, "something is accepted for more than a year: %s", x.ID)
			}
		}
		had := map[rotation.KeyID]int{}
		for _, s := range p.Snoozes {
			o.once(s.ID, func() { o.snoozed(p, s) })
			if had[s.Key]++; had[s.Key] > 2 || s.Until.Sub(s.At) > 14*day {
				o.w.fail(1, "a key is snoozed too often, or for too long: %s", s.ID)
			}
			if slices.ContainsFunc(p.Notices, func(n rotation.Notice) bool {
				return n.Key == s.Key && n.Due.After(s.At) && n.Due.Before(s.Until) && (s.Ended.IsZero() || n.Due.Before(s.Ended))
			}) {
				o.w.fail(1, "an owner is warned of a key that they have snoozed: %s", s.ID)
			}
		}
	}
}

func (o *watch) once(name string, judge func()) {
	if !o.judged[name] {
		o.judged[name] = true
		judge()
	}
}

func (o *watch) exemptionAsked(x rotation.KeyExemption) {
	who := string(x.Requester)
	if !o.hasAsked(who, "exempt", x.User.ID()+"/"+string(x.Key), x.Asked) || who != dora && !o.everOwned(who, x.User) {
		o.w.fail(1, "an exemption is asked for by nobody who may: %s by %s", x.ID, who)
	}
}

func (o *watch) exemptionDecided(x rotation.KeyExemption, d rotation.Decision) {
	on := "exempt-deny"
	if d.Approve {
		on = "exempt-approve"
	}
	clicked := false
	for turn := range x.Turn + 1 {
		clicked = clicked || o.hasAsked(string(d.By), on, rotation.Ref{ID: x.ID, Turn: turn}.String(), d.At)
	}
	owner := string(d.By) == string(x.Owner) || x.Owner == team && slices.Contains(ofTeam, string(d.By))
	if !clicked || !o.mayDecide(string(d.By), d.At) || d.By == x.Requester || owner {
		o.w.fail(1, "an exemption is decided by somebody who has not clicked, or may not: %s by %s", x.ID, d.By)
	}
}

func (o *watch) snoozed(p rotation.Progress, s rotation.Snooze) {
	by := string(s.By)
	typed := slices.ContainsFunc([]string{" snooze " + string(s.Key), " snooze " + string(s.Key) + " 3"}, func(words string) bool { return len(o.asked[by+words]) > 0 })
	for _, days := range []string{"7", "14"} {
		typed = typed || len(o.asked[by+" snooze"+days+" "+p.User.ID()+"-k"+s.Key.Mark()]) > 0
	}
	if !typed || !o.everOwned(by, p.User) {
		o.w.fail(1, "a key is snoozed by nobody who may: %s by %s", s.ID, by)
	}
}

// accepted holds that the cards of exemptions offer what can be done now and nothing else, and that nothing is accepted beyond its time. It tells
// what is wrong.
func (o *watch) accepted(p rotation.Progress) (problems []string) {
	now := o.w.now()
	for _, x := range p.Exemptions {
		late := x.Stage == rotation.ExemptAsked && now.After(x.Deadline.Add(time.Minute)) || x.Stage == rotation.ExemptHeld && now.After(x.Until.Add(time.Minute))
		if late {
			problems = append(problems, x.ID+" is "+string(x.Stage)+" beyond its time")
		}
		want := map[string]bool{}
		switch x.Stage {
		case rotation.ExemptAsked:
			want["exempt-approve "+x.Ref().String()], want["exempt-deny "+x.Ref().String()] = true, true
		case rotation.ExemptHeld:
			want["exempt-end "+x.Ref().String()] = true
		}
		for _, m := range o.w.messages(approvals) {
			for _, b := range pressesOf(alice, m) {
				on, ref := b.on()
				at, err := rotation.ParseRef(ref)
				is := on + " " + ref
				switch _, wanted := want[is]; {
				case err != nil || at.ID != x.ID:
				case !wanted:
					problems = append(problems, "it offers what is not possible now: "+is)
				default:
					want[is] = false
				}
			}
		}
		for button, missing := range want {
			if missing {
				problems = append(problems, "it does not offer what is possible: "+button)
			}
		}
	}
	for _, s := range p.Snoozes {
		if s.Ended.IsZero() && now.After(s.Until.Add(time.Minute)) {
			problems = append(problems, s.ID+" goes on beyond its time")
		}
	}
	return problems
}
