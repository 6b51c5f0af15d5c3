package app_test

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// actions are what can happen in a step, each as often as it should come up among the others.
func (w *world) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){}
	add := func(times int, name string, do func(*rapid.T)) {
		for i := range times {
			all[fmt.Sprintf("%s %d", name, i+1)] = func(t *rapid.T) {
				if len(w.running()) == 0 && rapid.IntRange(0, 2).Draw(t, "up again") > 0 {
					w.restore()
				}
				do(t)
				w.sleep(rapid.SampledFrom([]time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 40 * time.Second}).Draw(t, "pause"))
			}
		}
	}
	add(24, "somebody does what is asked", w.doProgress)
	add(3, "somebody clicks anything", w.doAnyClick)
	add(6, "somebody clicks who may not", w.doImproperClick)
	add(3, "two clicks at once", w.doTwoClicks)
	add(2, "an old copy is clicked", w.doStaleClick)
	add(3, "a command", w.doCommand)
	add(4, "a command about a user", w.doCommandAbout)
	add(1, "a link", w.doLink)
	add(1, "a leak is reported", w.doLeaked)
	add(2, "somebody reminds or cancels", w.doNudge)
	add(2, "a public key is given", w.doPublicKey)
	add(1, "windows are closed", w.doCloseWindows)
	add(4, "something is accepted, or not", w.doAccept)
	add(4, "an exemption is asked for", w.doExempt)
	add(2, "a Home tab is opened", func(t *rapid.T) { w.people.opensHome(pick(t, "member", everybody)) })
	add(6, "a form", w.doForm)
	add(7, "an application moves", w.doMove)
	add(3, "some time passes", w.doSleep)
	add(3, "the clock leaps", w.doLeap)
	add(8, "what is waited for comes", w.doDue)
	add(3, "AWS fails", w.doAWSFault)
	add(3, "Slack fails", w.doSlackFault)
	add(2, "an envelope goes astray", w.doEnvelopeFault)
	add(3, "the store fails", w.doStoreFault)
	add(2, "sockets end", w.doSockets)
	add(3, "a crash", w.doCrash)
	add(4, "a start", w.doStart)
	add(1, "a stop", w.doStop)
	add(1, "somebody touches AWS", w.doByHand)
	add(1, "somebody uses a key in its grace", w.doUseInGrace)
	add(1, "a creation goes astray", w.doRivalKey)
	add(2, "an old key is used once more", w.doLateUse)
	add(1, "somebody leaves or returns", w.doPeople)
	add(1, "everything heals", w.doHeal)
	add(1, "calm", func(*rapid.T) { w.calm() })
	all[""] = func(*rapid.T) { w.check() }
	return all
}

func pick[T any](t *rapid.T, name string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, name)]
}

// proper lists what people who may could click now.
func (w *world) proper() []press {
	var all []press
	for _, p := range w.kept.progresses() {
		var r rotation.Rotation
		if p.Rotation != nil {
			r = *p.Rotation
		}
		for _, member := range everybody {
			if !w.watch.wasActive(member, w.now()) || member == guest || member == stranger {
				continue
			}
			owner := p.Rotation != nil && w.watch.owns(member, r)
			for _, b := range w.people.presses(member) {
				on, ref := b.on()
				at, err := rotation.ParseRef(ref)
				switch {
				case on == "start":
					if ref == p.User.ID() && (w.watch.ownsNow(member, p.User) || member == dora) {
						all = append(all, b)
					}
				case err != nil || at.ID != r.ID:
				case on == "receipt" || on == "confirm" || on == "reissue" || on == "abandon" || on == "cancel" || on == "disown" || on == "replenish":
					if owner {
						all = append(all, b)
					}
				case on == "collect":
					if member == string(r.Owner) {
						all = append(all, b)
					}
				case slices.Contains(approvers, member) && !owner && member != string(r.Requester):
					all = append(all, b)
				}
			}
		}
	}
	return all
}

func (w *world) doProgress(t *rapid.T) {
	all := w.proper()
	if len(all) == 0 {
		w.people.command(pick(t, "member", []string{olivia, oscar, alice}), "")
		return
	}
	running := slices.DeleteFunc(slices.Clone(all), func(p press) bool { return p.action == "start" })
	if len(running) > 0 && rapid.IntRange(0, 4).Draw(t, "begin another") > 0 {
		all = running
	}
	b := pick(t, "button", all)
	if on, _ := b.on(); (on == "abandon" || on == "disown" || on == "overrule" || on == "cancel" || on == "close" || on == "deny") && rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		b = pick(t, "button", all) // these end rotations, and would end most of them early
	}
	w.people.click(b)
}

func (w *world) doAnyClick(t *rapid.T) {
	all := w.people.presses(pick(t, "member", everybody))
	if len(all) == 0 {
		t.Skip("nothing to click")
	}
	w.people.click(pick(t, "button", all))
}

func (w *world) doTwoClicks(t *rapid.T) {
	var all []press
	if rapid.Bool().Draw(t, "by those who may") {
		all = w.proper()
	} else {
		for _, member := range everybody {
			all = append(all, w.people.presses(member)...)
		}
	}
	if len(all) == 0 {
		t.Skip("nothing to click")
	}
	first := pick(t, "first", all)
	_, ref := first.on()
	same := slices.DeleteFunc(slices.Clone(all), func(p press) bool { _, r := p.on(); return r != ref })
	w.people.click(first, pick(t, "second", same))
}

func (w *world) doStaleClick(t *rapid.T) {
	if len(w.people.old) == 0 {
		t.Skip("nobody has seen anything")
	}
	seen := pick(t, "copy", w.people.old)
	b := pick(t, "button", pressesOf(seen.member, seen.message))
	b.stale = true
	w.people.click(b)
}

func (w *world) doCommand(t *rapid.T) {
	member := pick(t, "member", slices.Concat(everybody, []string{olivia, oscar, alice, olivia, oscar}))
	w.people.command(member, pick(t, "words", []string{"", "", "", "status", "help", "list", "history", "frobnicate <!channel> `x`"}))
}

func (w *world) doForm(t *rapid.T) {
	var open []form
	for _, member := range everybody {
		if f, ok := w.people.form(member); ok {
			open = append(open, f)
		}
	}
	if len(open) == 0 {
		t.Skip("no form is open")
	}
	f := pick(t, "form", open)
	if rapid.IntRange(0, 9).Draw(t, "close it") == 0 {
		w.story.add("%s closes “%s”", nick(f.member), f.view.Title)
		_ = w.slack.As(f.member).CloseView(t.Context())
		return
	}
	values := map[string]string{"reason": pick(t, "reason", []string{"", "because <@UGUEST> & “so”", "because"})}
	switch {
	case f.isRequest():
		values["key"], values["what"] = pick(t, "key", f.keys), pick(t, "what", f.whats)
	case f.until:
		values["key"], values["until"] = pick(t, "key", f.keys), w.now().AddDate(0, 0, pick(t, "days", []int{0, 1, 9, 9, 30, 364, 400})).UTC().Format(time.DateOnly)
	}
	w.people.submit(f, values)
}

// doMove has an owner give the applications a key that they have the secret of.
func (w *world) doMove(t *rapid.T) {
	u := pick(t, "user", w.seeds)
	user := rotation.UserRef{Account: u.account, Name: u.name}
	keys := slices.DeleteFunc(w.accounts[u.account].Keys(u.name), func(k iamsim.KeyView) bool { return !w.people.wallets[user.String()][k.ID] })
	if len(keys) == 0 {
		return
	}
	newest := slices.MaxFunc(keys, func(a, b iamsim.KeyView) int { return a.Created.Compare(b.Created) })
	if rapid.IntRange(0, 6).Draw(t, "which") == 0 {
		newest = pick(t, "key", keys)
	}
	w.move(user, newest.ID)
}

func (w *world) doSleep(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 20 * time.Minute}).Draw(t, "time")
	w.story.add("%s pass", d)
	w.useKeys()
	w.sleep(d)
	w.useKeys()
}

func (w *world) doLeap(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		30 * time.Minute, time.Hour, quiet, quiet + time.Hour, grace, grace + time.Hour, expires, day, 3 * day, 8 * day, 40 * day,
	}).Draw(t, "time")
	w.story.add("the clock leaps by %s", d)
	w.leap(d)
}

// doDue moves the clock to what a rotation waits for: the end of its grace or of its quiet.
func (w *world) doDue(t *rapid.T) {
	var waits []time.Duration
	for _, p := range w.kept.progresses() {
		r, runs := p.Running()
		switch {
		case runs && r.Stage == rotation.Grace:
			waits = append(waits, r.Deadline.Sub(w.now())+time.Minute)
		case runs && r.Stage == rotation.Switching:
			waits = append(waits, quiet+time.Minute)
		}
	}
	if len(waits) == 0 {
		t.Skip("nothing is waited for")
	}
	d := max(pick(t, "wait", waits), time.Second)
	w.story.add("the clock leaps by %s, to what is waited for", d.Truncate(time.Second))
	w.leap(d)
}

func (w *world) doAWSFault(t *rapid.T) {
	op := pick(t, "operation", []string{
		"GetUser", "ListAccessKeys", "GetAccessKeyLastUsed", "CreateAccessKey", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey",
		"ListUsers", "GetCredentialReport", "LookupEvents", "AssumeRole", "*",
	})
	f := pick(t, "fault", []iamsim.Fault{
		{Drop: true},
		{Drop: true, Apply: true},
		{Truncate: true, Apply: true},
		{Code: "Throttling"},
		{Code: "AccessDenied"},
		{Code: "ServiceFailure"},
		{Code: "ServiceFailure", Apply: true},
		{Status: 502},
		{Status: 502, Apply: true},
		{Delay: 20 * time.Second},
		{Delay: 20 * time.Second, Apply: true},
		{Delay: 70 * time.Second},
		{Delay: 70 * time.Second, Apply: true},
	})
	f.Times = pick(t, "times", []int{1, 1, 1, 2, 4, 30})
	w.story.add("AWS %s will fail %d times: %+v", op, f.Times, faultWords(f))
	w.aws.Fail(op, f)
}

func faultWords(f iamsim.Fault) string {
	s := f.Code
	switch {
	case f.Drop:
		s = "answer lost"
	case f.Truncate:
		s = "answer cut"
	case f.Status != 0:
		s = fmt.Sprint(f.Status)
	case s == "":
		s = "slow by " + f.Delay.String()
	}
	if f.Apply {
		return s + ", carried out"
	}
	return s
}

func (w *world) doSlackFault(t *rapid.T) {
	method := pick(t, "method", []string{
		"chat.postMessage", "chat.postMessage", "chat.update", "chat.update", "chat.delete", "chat.postEphemeral", "views.open", "views.update", "views.publish",
		"users.info", "conversations.history", "response_url", "apps.connections.open", "auth.test", "conversations.info",
	})
	f := pick(t, "fault", []slacksim.Fault{
		{Drop: true},
		{Drop: true, Apply: true},
		{Error: "internal_error"},
		{Error: "internal_error", Apply: true},
		{Status: 503},
		{Status: 503, Apply: true},
		{RetryAfter: 1},
		{RetryAfter: 30},
		{Delay: 2 * time.Second},
		{Delay: 20 * time.Second},
		{Hang: true},
		{Hang: true, Apply: true},
		{Error: "fatal_error", Apply: true},
	})
	f.Times = pick(t, "times", []int{1, 1, 1, 2, 5, 20})
	w.story.add("Slack %s will fail %d times: %+v", method, f.Times, f)
	w.slack.Fail(method, f)
}

func (w *world) doEnvelopeFault(t *rapid.T) {
	f := pick(t, "fault", []slacksim.EnvelopeFault{
		{Lose: true}, {LoseAck: true}, {Duplicate: true}, {Duplicate: true}, {Reorder: true}, {Delay: 2 * time.Second}, {Delay: 5 * time.Second},
	})
	f.Times = pick(t, "times", []int{1, 1, 2})
	w.story.add("the next %d envelopes: %+v", f.Times, f)
	w.slack.FailEnvelope("", f)
}

func (w *world) doStoreFault(t *rapid.T) {
	f := storeFault{
		op: pick(t, "operation", []string{
			"", "Get", "Replace", "Replace", "Create", "Claim", "Claimed", "Live", "Record", "Accept", "Accept", "Settle", "Waiting", "Scan",
		}),
		slot: rapid.IntRange(-1, 2).Draw(t, "slot"), mode: pick(t, "mode", []string{"lost", "unanswered", "slow"}),
		times: pick(t, "times", []int{1, 1, 2, 3, 20}), delay: pick(t, "delay", []time.Duration{time.Second, 4 * time.Second, 30 * time.Second}),
	}
	w.story.add("the store's %s will fail %d times for replica %d: %s %s", f.op, f.times, f.slot+1, f.mode, f.delay)
	w.kept.fail(f)
}

func (w *world) doSockets(t *rapid.T) {
	switch how := rapid.IntRange(0, 5).Draw(t, "how"); how {
	case 0:
		w.story.add("all sockets are cut")
		w.slack.CutSockets()
	case 1:
		w.story.add("Slack warns all sockets")
		w.slack.Warn()
	default:
		reason := []string{slacksim.DisconnectWarning, slacksim.DisconnectRefresh, slacksim.DisconnectTooMany, slacksim.DisconnectDisabled}[how-2]
		w.story.add("Slack ends all sockets: %s", reason)
		w.slack.Disconnect(reason)
	}
	synctest.Wait()
}

func (w *world) doCrash(t *rapid.T) {
	up := w.running()
	if len(up) == 0 {
		t.Skip("no replica is up")
	}
	r := pick(t, "replica", up)
	if rapid.IntRange(0, 3).Draw(t, "now") == 0 {
		r.kill("all at once")
		return
	}
	plan := &crash{
		kind: pick(t, "kind", []string{
			"", "store", "aws", "slack", "store Replace", "store Accept", "store Settle", "store Claim", "aws CreateAccessKey", "aws UpdateAccessKey",
			"aws DeleteAccessKey", "slack chat.postMessage", "slack chat.update", "slack chat.delete", "slack response_url",
		}),
		left: rapid.IntRange(1, 6).Draw(t, "calls"), after: rapid.Bool().Draw(t, "after"),
	}
	w.story.add("replica %d will be killed at its call %d of %q, after it: %v", r.slot+1, plan.left, plan.kind, plan.after)
	r.mu.Lock()
	r.plan = plan
	r.mu.Unlock()
}

func (w *world) doStart(t *rapid.T) {
	var down []int
	for slot, r := range w.replicas {
		if r == nil && (slot == 0 || w.shape.shared) {
			down = append(down, slot)
		}
	}
	if len(down) == 0 {
		t.Skip("all replicas are up")
	}
	slot := pick(t, "slot", down)
	w.story.add("replica %d starts", slot+1)
	w.start(slot)
}

func (w *world) doStop(t *rapid.T) {
	up := w.running()
	if len(up) == 0 {
		t.Skip("no replica is up")
	}
	r := pick(t, "replica", up)
	w.story.add("replica %d is stopped", r.slot+1)
	w.stop(r.slot)
}

func (w *world) doPeople(t *rapid.T) {
	who := pick(t, "who", []string{alice, bob, carol, olivia, oscar})
	absent := w.watch.absent[who]
	if n := len(absent); n > 0 && absent[n-1].until.IsZero() {
		w.returns(who)
		return
	}
	w.story.add("%s is deactivated", nick(who))
	w.watch.absent[who] = append(absent, absence{from: w.now()})
	w.slack.AddMember(slacksim.Member{ID: who, Name: nick(who), Deleted: true})
}

func (w *world) returns(who string) {
	absent := w.watch.absent[who]
	if n := len(absent); n > 0 && absent[n-1].until.IsZero() {
		w.story.add("%s is active again", nick(who))
		absent[n-1].until = w.now()
		w.slack.AddMember(slacksim.Member{ID: who, Name: nick(who)})
	}
}

func (w *world) doHeal(*rapid.T) {
	w.story.add("all faults heal")
	w.heal()
}

func (w *world) heal() {
	w.aws.Heal()
	w.slack.Heal()
	w.kept.heal()
	for _, r := range w.running() {
		r.mu.Lock()
		r.plan = nil
		r.mu.Unlock()
	}
}
