package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// calm heals everything, has every replica run, and waits until nothing should be left to do. What was promised must have been kept then.
func (w *world) calm() {
	w.story.add("— calm —")
	w.heal()
	w.restore()
	for range 130 { // two hours: what could not be sent is tried again after up to one
		w.sleep(time.Minute)
		w.restore()
		if w.settled() {
			break
		}
	}
	w.sleep(10 * time.Second)
	w.check()
	w.watch.inv9()
	w.watch.inv10()
	w.verdict()
}

// restore starts what is down. One replica is enough where the store is not shared.
func (w *world) restore() {
	w.reap()
	for slot := range w.replicas {
		if w.replicas[slot] == nil && (slot == 0 || w.shape.shared && slot < w.shape.replicas) {
			w.story.add("replica %d starts", slot+1)
			w.start(slot)
		}
	}
}

// settled tells whether the bot has nothing to do by itself now.
func (w *world) settled() bool {
	if len(w.kept.waiting()) > 0 || w.watch.missingDigest() != "" {
		return false
	}
	return !slices.ContainsFunc(w.kept.progresses(), func(p rotation.Progress) bool {
		r, runs := p.Running()
		unshown := slices.ContainsFunc(p.All(), func(r rotation.Rotation) bool { return len(w.watch.cards(r)) > 0 })
		return p.Owed && w.watch.reachable(p) || runs && r.Stage.Working() || unshown || len(w.watch.accepted(p)) > 0
	})
}

// reachable tells whether the owner can be written to: what is owed to somebody who has left cannot be sent.
func (o *watch) reachable(p rotation.Progress) bool {
	people := []string{o.ownerOf(p.User)}
	for _, r := range p.All() {
		people = append(people, string(r.Owner))
	}
	for _, x := range p.Exemptions {
		people = append(people, string(x.Owner), string(x.Requester))
	}
	for _, s := range p.Snoozes {
		people = append(people, string(s.Owner))
	}
	for _, n := range p.Notices {
		people = append(people, string(n.Owner))
	}
	return !slices.ContainsFunc(people, o.isAbsent)
}

func (o *watch) isAbsent(member string) bool {
	return slices.ContainsFunc(o.absent[member], func(a absence) bool { return a.until.IsZero() })
}

// inv9: every click is answered, and every decision and refusal has an entry.
func (o *watch) inv9() {
	entries := o.w.kept.entries()
	for _, d := range o.order {
		if !d.acked || d.kind != "click" && d.kind != "form" && d.kind != "slash_commands" {
			continue
		}
		o.w.kept.mu.Lock()
		refused := o.w.kept.refused[d.id]
		patience := d.tried && o.w.kept.worked[d.id].Sub(d.at) >= answerAgain
		o.w.kept.mu.Unlock()
		opens := d.kind == "click" && slices.Contains([]string{"deny", "close", "overrule", "exempt-deny"}, d.on) && (slices.Contains(approvers, d.member) || d.member == dora || o.w.deaths > 0) // a form; the decision comes with it
		recorded := d.on == "" || d.kind == "click" && d.on == "exempt" || opens || refused || slices.ContainsFunc(entries, func(e rotation.Entry) bool { return e.Actor == d.member && sameMove(e, d) })
		if d.answered == "" && !patience && (!refused || o.w.deaths == 0) && (d.on == "" || !o.tookEffect(entries, d)) {
			o.w.fail(9, "a click is not answered: %s", d)
		}
		if !recorded && !o.w.kept.ailing(d.sent) && d.answered != "with a form" && d.answered != "in its form" && d.answered != "in the acknowledgement" {
			o.w.fail(9, "a click has no entry: %s", d)
		}
	}
}

// answerAgain is for how long the bot tries to give an answer that Slack does not take, less the time between two checks.
const answerAgain = 4 * time.Minute

// sameMove tells whether an entry may be that of a click.
func sameMove(e rotation.Entry, d *delivery) bool {
	on := d.on
	if begins(on) {
		on = "request"
	}
	if action, ok := acceptActions[d.on]; ok && e.Action == action {
		return true
	}
	return e.Action == on || e.Action == d.on || e.Action == "finding" && d.kind == "click" || strings.HasPrefix(e.Action, "more")
}

// tookEffect tells whether a click moved something: its card shows that.
func (o *watch) tookEffect(entries []rotation.Entry, d *delivery) bool {
	id, _, _ := strings.Cut(d.ref, ".")
	return slices.ContainsFunc(entries, func(e rotation.Entry) bool {
		return e.Actor == d.member && e.Outcome == "moved" && ((e.Action == d.on || e.Action == acceptActions[d.on]) && e.Rotation == id || begins(d.on) && e.Action == "request")
	})
}

// begins tells whether a button asks for a rotation.
func begins(on string) bool { return on == "start" || on == "retire" }

// inv10: nothing accepted is lost. The inbox is empty, and what stands in Slack is what the stored state calls for.
func (o *watch) inv10() {
	for _, v := range o.w.kept.waiting() {
		o.w.fail(10, "an accepted envelope is never worked: %s", v.ID)
	}
	for _, p := range o.w.kept.progresses() {
		if p.Owed && o.reachable(p) {
			o.w.fail(10, "messages are owed for ever: %s", p.User)
		}
		r, runs := p.Running()
		if runs && r.Stage.Working() && r.Retry.At.Before(o.w.now()) {
			o.w.fail(10, "a working stage stands still: %s at %s", r.ID, r.Stage)
		}
		for _, r := range p.All() {
			for _, problem := range o.cards(r) {
				o.w.fail(10, "a card is not as it should be: %s", problem)
			}
			for _, h := range r.Handovers() {
				if h.Due(o.w.now()) {
					o.w.fail(10, "a secret's message that is due stands for ever: %s", r.ID)
				}
			}
		}
		for _, problem := range o.accepted(p) {
			o.w.fail(10, "what is accepted is not shown as it should be: %s", problem)
		}
		for _, n := range p.Notices {
			if n.Waits() && !n.Held(o.w.now()) && o.reachable(p) {
				o.w.fail(10, "a warning is never sent: %s", p.User)
			}
		}
	}
	for week, n := range o.digests() {
		if n > 1 {
			o.w.fail(10, "the digest of a week stands twice: %s, %d times", week, n)
		}
	}
	if week := o.missingDigest(); week != "" {
		o.w.fail(10, "the digest of the last week is missing: %s", week)
	}
}

// cards holds that the cards of a rotation stand in Slack, offering what the lifecycle offers now, and nothing else. It tells what is wrong.
func (o *watch) cards(r rotation.Rotation) (problems []string) {
	want := map[string]bool{}
	if ask, open := r.CurrentAsk(); open || len(r.Asks) > 0 && !r.Ended() {
		if !open {
			ask = r.Asks[len(r.Asks)-1]
		}
		for _, on := range r.Offers(rotation.ByApprover | rotation.ByResponder) {
			want[approvals+" "+string(on)+" "+rotation.Ref{ID: r.ID, Turn: turnOf(r, ask, open)}.String()] = true
		}
	}
	owner := string(r.Owner)
	if owner != "" && !o.isAbsent(owner) {
		for _, on := range r.Offers(rotation.ByOwner) {
			want[dm(owner)+" "+string(on)+" "+r.Ref().String()] = true
		}
	}
	for _, channel := range []string{approvals, dm(owner)} {
		for _, m := range o.w.messages(channel) {
			for _, b := range pressesOf(owner, m) {
				on, ref := b.on()
				at, err := rotation.ParseRef(ref)
				if err != nil || at.ID != r.ID || on == "receipt" || on == "trace" {
					continue
				}
				is := channel + " " + on + " " + ref
				if _, wanted := want[is]; !wanted {
					if channel == approvals {
						problems = append(problems, "it offers what is not possible now: "+on+" "+o.w.short(ref))
					}
					continue
				}
				want[is] = false
			}
		}
	}
	for button, missing := range want {
		if missing {
			problems = append(problems, "it is missing, or does not offer what is possible: "+o.w.short(button))
		}
	}
	return problems
}

func turnOf(r rotation.Rotation, ask rotation.Ask, open bool) int {
	if open {
		return ask.Turn
	}
	return r.Turn
}

// digests counts those that stand, by the week.
func (o *watch) digests() map[string]int {
	weeks := map[string]int{}
	for _, m := range o.w.messages(onCall) {
		if head, rest, ok := strings.Cut(m.Content(), "-W"); ok && len(head) >= 4 && len(rest) >= 2 {
			weeks[head[len(head)-4:]+"-W"+rest[:2]]++
		}
	}
	return weeks
}

// missingDigest is the latest week in which a digest was due and none stands.
func (o *watch) missingDigest() string {
	var due time.Time
	next := o.w.config.Schedule.Digest.Next
	for t := next(o.w.began); !t.After(o.w.now()); t = next(t) {
		due = t
	}
	year, week := due.UTC().ISOWeek()
	name := fmt.Sprintf("%d-W%02d", year, week)
	if due.IsZero() || o.digests()[name] > 0 {
		return ""
	}
	return name
}

// finish brings every rotation to its end, as people would who do what is asked, and checks what must hold then.
func (w *world) finish() {
	w.story.add("— the end: everybody does what is asked —")
	for _, who := range []string{alice, bob, carol, olivia, oscar} {
		w.returns(who)
	}
	w.calm()
	for range 60 {
		if !w.advance() {
			break
		}
		w.sleep(time.Minute)
		w.restore()
		w.check()
	}
	w.leap(day)
	w.sleep(2 * time.Minute)
	w.calm()
	w.watch.inv5End()
	w.verdict()
}

// advance has people take every running rotation one step on, and tells whether one runs still.
func (w *world) advance() bool {
	runs := false
	for _, p := range w.kept.progresses() {
		r, ok := p.Running()
		if !ok {
			continue
		}
		runs = true
		w.take(*r)
	}
	if runs {
		w.leap(quiet / 2)
	}
	return runs
}

// take has somebody who may take the next step of a rotation.
func (w *world) take(r rotation.Rotation) {
	switch r.Stage {
	case rotation.Offered:
		_ = w.slack.As(string(r.Owner)).CloseAll(context.Background())
		w.press(r, "collect")
	case rotation.Requested, rotation.Leaked, rotation.Confirmed, rotation.Expiring:
		late := r.Stage == rotation.Confirmed && w.shape.seed%4 == 1 && w.shape.useLag == 0 && w.retries[r.ID+" late"] == 0
		for _, p := range w.proper() {
			if on, ref := p.on(); late && on == "approve" && ref == r.Ref().String() {
				w.retries[r.ID+" late"]++
				w.lateUse(p)
				w.sleep(5 * time.Minute)
				return
			}
		}
		w.press(r, "approve")
	case rotation.Grace:
		if _, used := w.watch.usedInGrace[string(r.Old)]; !used && w.shape.seed%4 == 0 {
			w.useInGrace(r)
		}
		w.leap(grace)
	case rotation.Switching:
		w.switching(r)
	case rotation.Stuck:
		w.unstick(r)
	}
}

// switching has the owner move the applications and confirm, or get another key if the secret was never stored.
func (w *world) switching(r rotation.Rotation) {
	switch {
	case !w.people.wallets[r.User.String()][string(r.New)] && r.Kind == rotation.Adopt:
		w.press(r, "cancel") // an approver believed that somebody has its secret
		return
	case !w.people.wallets[r.User.String()][string(r.New)]:
		if !w.press(r, "reissue") || r.Issued >= 3 {
			w.press(r, "abandon")
		}
		return
	default:
		w.move(r.User, string(r.New))
	}
	w.press(r, "confirm")
}

// unstick has an approver settle a stuck rotation: look in AWS, then try again or close.
func (w *world) unstick(r rotation.Rotation) {
	if r.Failure.Class == rotation.ClassSuspect && w.retries[r.ID+" suspect"] < 4 {
		w.retries[r.ID+" suspect"]++
		on := "revoke"
		if k, _ := w.watch.see(r.User).key(r.Failure.Key); !k.LastUsed.IsZero() {
			on = "keep" // it is somebody's
		}
		if w.press(r, on) {
			return
		}
	}
	for _, k := range w.accounts[r.User.Account].Keys(r.User.Name) {
		if r.Failure.At == rotation.Discarding && k.ID == string(r.New) {
			w.story.add("an approver deletes %s of %s by hand", short(k.ID), r.User.Name)
			w.watch.gone[k.ID] = true
			w.accounts[r.User.Account].RemoveKey(k.ID)
			w.press(r, "try-again")
			return
		}
	}
	w.retries[r.ID]++
	if w.retries[r.ID] < 4 && w.press(r, "try-again") {
		return
	}
	w.press(r, "close")
	w.closeForms()
}

func (w *world) closeForms() {
	for _, member := range everybody {
		if f, open := w.people.form(member); open && len(f.keys) == 0 {
			w.people.submit(f, map[string]string{"reason": "it is over"})
		}
	}
}

// press has somebody who may click a button of a rotation, and tells whether there is one.
func (w *world) press(r rotation.Rotation, on string) bool {
	for _, p := range w.proper() {
		move, ref := p.on()
		if move == on && ref == r.Ref().String() {
			w.people.click(p)
			w.sleep(20 * time.Second)
			return true
		}
	}
	return false
}

// inv5End: every key that the bot made has been delivered or is gone, and no rotation hangs.
func (o *watch) inv5End() {
	for _, p := range o.w.kept.progresses() {
		if r, runs := p.Running(); runs {
			o.w.fail(5, "a rotation never ends: %s at %s", r.ID, r.Stage)
		}
	}
	for _, c := range o.changes {
		if c.made == "" || o.gone[string(c.made)] || o.excused[string(c.made)] != "" {
			continue
		}
		k, there := o.see(c.user).key(c.made)
		if there && !o.shownKey[string(c.made)] {
			o.w.fail(5, "a key that the bot made was neither delivered nor revoked: %s of %s, %s", short(k.ID), c.user.Name, k.Status)
		}
	}
	for _, member := range everybody {
		for _, m := range o.w.messages(dm(member)) {
			if _, _, ok := secretIn(m.Content()); ok {
				o.w.fail(10, "a secret stands in a DM for ever: that of %s", nick(member))
			}
		}
	}
}
