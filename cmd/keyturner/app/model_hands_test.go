package app_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// What people do that they should not: they click what is another's to click, and touch AWS by hand.

// doImproperClick has somebody click who may not: the owner or whoever asked, in place of another approver, or anybody else.
func (w *world) doImproperClick(t *rapid.T) {
	var all, own []press
	for _, p := range w.kept.progresses() {
		r, runs := p.Running()
		if !runs {
			continue
		}
		for _, member := range everybody {
			for _, b := range w.people.presses(member) {
				on, ref := b.on()
				concerned := w.watch.owns(member, *r) || member == string(r.Requester)
				switch {
				case ref != r.Ref().String() || b.message.Channel != approvals:
				case slices.Contains(approvers, member) && concerned && on != "reactivate":
					own = append(own, b)
				case !slices.Contains(approvers, member):
					all = append(all, b)
				}
			}
		}
	}
	if len(own) > 0 && rapid.IntRange(0, 3).Draw(t, "another approver's") > 0 {
		all = own
	}
	if len(all) == 0 {
		t.Skip("nothing to click")
	}
	w.people.click(pick(t, "button", all))
}

// doByHand has somebody else touch AWS.
func (w *world) doByHand(t *rapid.T) {
	u := pick(t, "user", w.seeds)
	account, user := w.accounts[u.account], rotation.UserRef{Account: u.account, Name: u.name}
	o := w.watch
	o.foreign[user] = time.Now()
	keys := account.Keys(u.name)
	how := rapid.IntRange(0, 5).Draw(t, "how")
	switch {
	case how == 0:
		id := account.AddKey(u.name, iamsim.Key{})
		w.story.add("somebody creates a key of %s by hand: %s", u.name, short(id))
		w.people.hold(user, id)
	case how == 1 && len(keys) > 0:
		k := pick(t, "key", keys)
		w.story.add("somebody deletes %s of %s by hand", short(k.ID), u.name)
		o.gone[k.ID] = true
		account.RemoveKey(k.ID)
	case how == 2 && len(keys) > 0:
		k := pick(t, "key", keys)
		w.story.add("somebody switches %s of %s from %s by hand", short(k.ID), u.name, k.Status)
		o.toggled[k.ID] = true
		account.SetKeyStatus(k.ID, k.Status != "Active")
	case how == 3:
		for _, k := range keys {
			o.gone[k.ID] = true
		}
		w.story.add("somebody deletes the user %s and makes another of that name", u.name)
		o.mu.Lock()
		o.userIDs[user] = account.RecreateUser(u.name)
		o.mu.Unlock()
	case len(keys) > 0:
		k := pick(t, "key", keys)
		if !w.people.wallets[user.String()][k.ID] {
			return // nobody has its secret
		}
		err := account.Use(k.ID, "ec2", "eu-west-1")
		w.story.add("somebody uses %s of %s: %v", short(k.ID), u.name, orOK(err))
	}
}

// doUseInGrace picks a key that is inactive and may be deleted soon, and has somebody use it.
func (w *world) doUseInGrace(t *rapid.T) {
	var resting []rotation.Rotation
	for _, p := range w.kept.progresses() {
		if r, runs := p.Running(); runs && (r.Stage == rotation.Grace || r.Stage == rotation.Expiring) {
			resting = append(resting, *r)
		}
	}
	if len(resting) == 0 {
		t.Skip("no grace runs")
	}
	w.useInGrace(pick(t, "rotation", resting))
}

// useInGrace has somebody turn an old key on by hand, use it, and turn it off again: only its last use tells.
func (w *world) useInGrace(r rotation.Rotation) {
	account, key := w.accounts[r.User.Account], string(r.Old)
	w.watch.foreign[r.User] = time.Now()
	account.SetKeyStatus(key, true)
	w.sleep(10 * time.Second) // until AWS takes it
	err := account.Use(key, "ec2", "eu-west-1")
	account.SetKeyStatus(key, false)
	recorded := slices.ContainsFunc(account.Keys(r.User.Name), func(k iamsim.KeyView) bool { // AWS records one use in a quarter of an hour
		return k.ID == key && !k.LastUsed.Before(w.now().Add(-time.Second))
	})
	if err == nil && recorded {
		w.watch.usedInGrace[key] = w.now()
	}
	w.story.add("somebody turns on %s of %s by hand, uses it, and turns it off again: %v", short(key), r.User.Name, orOK(err))
}

// doRivalKey loses the answer to the next creation, and has somebody make a key of that user by hand in the same moment.
func (w *world) doRivalKey(t *rapid.T) {
	var asked []rotation.Rotation
	for _, p := range w.kept.progresses() {
		if r, runs := p.Running(); runs && r.Stage == rotation.Requested && len(w.accounts[r.User.Account].Keys(r.User.Name)) == 1 {
			asked = append(asked, *r)
		}
	}
	if len(asked) == 0 {
		t.Skip("nobody asks for a key")
	}
	r := pick(t, "rotation", asked)
	w.watch.foreign[r.User] = time.Now()
	w.story.add("the answer to the next creation is lost, and somebody makes a key of %s then", r.User.Name)
	w.aws.Fail("CreateAccessKey", iamsim.Fault{Drop: true, After: func() {
		if account := w.accounts[r.User.Account]; len(account.Keys(r.User.Name)) == 1 {
			id := account.AddKey(r.User.Name, iamsim.Key{})
			w.people.hold(r.User, id)
			w.story.add("somebody creates a key of %s by hand: %s", r.User.Name, short(id))
		}
	}})
	if all := slices.DeleteFunc(w.proper(), func(p press) bool { on, ref := p.on(); return on != "approve" || ref != r.Ref().String() }); len(all) > 0 {
		w.people.click(pick(t, "button", all))
	}
}

// doLateUse has an old key used between the approval to deactivate it and the call, which AWS takes only minutes later.
func (w *world) doLateUse(t *rapid.T) {
	all := slices.DeleteFunc(w.proper(), func(p press) bool {
		on, ref := p.on()
		at, err := rotation.ParseRef(ref)
		doc, _ := w.kept.progress(at.UserDoc())
		r, runs := doc.Running()
		return on != "approve" || err != nil || !runs || r.Stage != rotation.Confirmed || r.Ref() != at
	})
	if len(all) == 0 || w.shape.useLag > 0 {
		t.Skip("nothing is to be deactivated, or AWS tells of a use too late")
	}
	w.lateUse(pick(t, "button", all))
}

func (w *world) lateUse(approve press) {
	_, ref := approve.on()
	at, _ := rotation.ParseRef(ref)
	doc, _ := w.kept.progress(at.UserDoc())
	key, account := string(doc.Rotation.Old), w.accounts[doc.User.Account]
	w.story.add("AWS will not deactivate %s of %s for minutes, in which it is used", short(key), doc.User.Name)
	w.aws.Fail("UpdateAccessKey", iamsim.Fault{Code: "ServiceFailure", Times: 15, Before: func() {
		_ = account.Use(key, "s3", "eu-west-1") // it may be inactive by then
	}})
	w.people.click(approve)
}
