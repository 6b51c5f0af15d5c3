package app_test

import (
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// check holds everything that has happened since it was called last against the invariants of the design.
func (w *world) check() {
	w.t.Helper()
	synctest.Wait()
	w.steps++
	w.reap()
	o := w.watch
	done := o.readCalls()
	o.settlePosts()
	o.listen(w.checked)
	o.keptInAWS()
	w.people.look()
	for _, c := range done {
		c.effective = c.changes()
		o.inv8(c)
		o.inv1(c)
		o.inv2(c)
		o.inv3(c)
		o.inv6(c)
		o.inv7(c)
	}
	progresses := w.kept.progresses()
	o.inv1Links(progresses)
	o.inv1Decisions(progresses)
	o.inv1Accepted(progresses)
	o.inv4()
	o.inv5(progresses)
	o.inv6Decisions(progresses)
	o.inv10Posts()
	w.checked = w.now()
	w.verdict()
}

// verdict ends the run if an invariant does not hold.
func (w *world) verdict() {
	w.t.Helper()
	w.watch.mu.Lock()
	broken := w.watch.broken
	w.watch.mu.Unlock()
	if len(broken) > 0 {
		w.t.Fatalf("invariant %d: %s", broken[0].invariant, broken[0].rule)
	}
}

// changes tells whether the call altered anything.
func (c *change) changes() bool {
	k, there := c.before.key(c.key)
	return c.op == "CreateAccessKey" || there && (c.op == "DeleteAccessKey" || k.Status != c.status)
}

// held tells whether something was so when the bot looked, or when it made the call.
func (c *change) held(is func(look) bool) bool {
	return slices.ContainsFunc(append(slices.Clone(c.looks), c.before), is)
}

// rotation is the one under which the call was made.
func (c *change) rotation() (rotation.Rotation, bool) {
	r, ok := c.doc.Running()
	if !ok {
		return rotation.Rotation{}, false
	}
	return *r, true
}

// inv8: only that key. Every change names user and key, they are those of the running rotation, and the user is the one that it began with.
func (o *watch) inv8(c *change) {
	r, runs := c.rotation()
	switch {
	case c.user.Name == "" || c.op != "CreateAccessKey" && c.key == "":
		o.w.fail(8, "a change that does not name user and key: %s", c)
	case !runs:
		o.w.fail(8, "a change while no rotation runs: %s", c)
	case c.op != "CreateAccessKey" && c.key != r.Old && c.key != r.New:
		o.w.fail(8, "a change of a key that is not the rotation's: %s, %s", c, r.ID)
	case !c.held(func(l look) bool { return l.userID == r.UserID }):
		o.w.fail(8, "a change of another user under the same name: %s", c)
	}
}

// inv1: no change without a decision. Each change happens in its own stage, under an approval of that stage by somebody who may, given before on
// the evidence that still holds.
func (o *watch) inv1(c *change) {
	r, runs := c.rotation()
	if !runs || !c.effective {
		return
	}
	switch {
	case c.op == "CreateAccessKey" && r.Stage == rotation.Creating:
		o.approved(c, r, rotation.Requested)
		status := "Active"
		if r.Kind == rotation.Leak {
			status = "Inactive"
		}
		if !c.held(func(l look) bool {
			return len(l.keys) == 1 && l.keys[0].ID == string(r.Old) && l.keys[0].Status == status
		}) {
			o.w.fail(1, "a key is created though the old one is not the only one, and active: %s", c)
		}
	case c.op == "UpdateAccessKey" && c.status == "Inactive" && r.Stage == rotation.Deactivating && c.key == r.Old && r.Kind == rotation.Leak:
		o.cut(c, r)
	case c.op == "UpdateAccessKey" && c.status == "Inactive" && r.Stage == rotation.Deactivating && c.key == r.Old:
		o.approved(c, r, rotation.Confirmed)
		o.asShown(c, r, rotation.Confirmed)
	case c.op == "DeleteAccessKey" && r.Stage == rotation.Deleting && c.key == r.Old:
		o.approved(c, r, rotation.Expiring)
		o.asShown(c, r, rotation.Expiring)
	case c.op == "UpdateAccessKey" && c.status == "Active" && r.Stage == rotation.Reactivating && c.key == r.Old:
		o.wished(c, r)
	case c.op == "UpdateAccessKey" && c.status == "Inactive" && r.Stage == rotation.Freezing && c.key == r.New:
		o.frozen(c, r)
	case r.Stage == rotation.Discarding && c.key == r.New:
		o.revoked(c, r)
	default:
		o.w.fail(1, "a change that its stage does not call for: %s at %s", c, r.Stage)
	}
}

// approved holds that somebody who may has approved of a stage, and has really clicked.
func (o *watch) approved(c *change, r rotation.Rotation, stage rotation.Stage) {
	ask, ok := r.Approved(stage)
	wanted, people := o.w.needed(r.User, stage), map[rotation.MemberID]bool{}
	for _, d := range ask.Decisions {
		people[d.By] = d.Approve
		o.approvedBy(c, r, ask, d)
	}
	if !ok || len(ask.Decisions) != wanted || len(people) != wanted || slices.Contains(slices.Collect(maps.Values(people)), false) {
		o.w.fail(1, "a change without %d approvals of %s: %s", wanted, stage, c)
	}
}

// approvedBy holds that of one of those who approved.
func (o *watch) approvedBy(c *change, r rotation.Rotation, ask rotation.Ask, d rotation.Decision) {
	ref := rotation.Ref{ID: r.ID, Turn: ask.Turn}.String()
	switch {
	case !o.mayDecide(string(d.By), d.At):
		o.w.fail(1, "a change approved by somebody who may not: %s, %s", c, d.By)
	case o.owns(string(d.By), r) || d.By == r.Requester:
		o.w.fail(1, "a change approved by its owner or requester: %s, %s", c, d.By)
	case !o.hasAsked(string(d.By), "approve", ref, d.At):
		o.w.fail(1, "a change approved by somebody who has not clicked: %s, %s %s", c, d.By, ref)
	case ask.Stage != rotation.Expiring && !d.At.Before(ask.At.Add(expires)):
		o.w.fail(1, "a change approved after the ask had expired: %s", c)
	case d.At.After(c.at):
		o.w.fail(1, "a change before its approval: %s", c)
	}
}

// cut holds that somebody who may has said that a leaked key is made inactive: an approver or on-call, whoever they are.
func (o *watch) cut(c *change, r rotation.Rotation) {
	ask, _ := r.Approved(rotation.Leaked)
	ref := rotation.Ref{ID: r.ID, Turn: ask.Turn}.String()
	if !slices.ContainsFunc(ask.Decisions, func(d rotation.Decision) bool {
		return d.Approve && o.mayRespond(string(d.By), d.At) && o.hasAsked(string(d.By), "approve", ref, d.At) && !d.At.After(c.at)
	}) {
		o.w.fail(1, "a leaked key is made inactive though nobody who may has said so: %s", c)
	}
}

// asShown holds that the evidence of the approval was there when the bot looked before the change.
func (o *watch) asShown(c *change, r rotation.Rotation, stage rotation.Stage) {
	ask, _ := r.Approved(stage)
	key := r.Old
	if stage == rotation.Confirmed && ask.Overruled.By != "" {
		key = "" // whose use was known, and may have gone on
	}
	want := ask.Evidence.Digest(key)
	if !c.held(func(l look) bool { return l.evidence().Digest(key) == want }) {
		o.w.fail(1, "a change on other evidence than was approved of: %s", c)
	}
}

// wished holds that the owner or an approver wants the old key back.
func (o *watch) wished(c *change, r rotation.Rotation) {
	for _, who := range append(o.ownersOf(r), approvers...) {
		for turn := range r.Turn {
			ref := rotation.Ref{ID: r.ID, Turn: turn}.String()
			if o.hasAsked(who, "reactivate", ref, c.at) {
				return
			}
		}
	}
	o.w.fail(1, "a key is reactivated though nobody asked for it: %s", c)
}

// frozen holds that a new key which is made inactive was made by this rotation, and that its owner disowns it.
func (o *watch) frozen(c *change, r rotation.Rotation) {
	if !o.madeIn(c.key, r) {
		o.w.fail(1, "a key is made inactive that the rotation has not made: %s", c)
	}
	for turn := range r.Turn {
		if o.anyAsked(r, "disown", turn, c.at) {
			return
		}
	}
	o.w.fail(1, "a new key is made inactive though its owner has not said that it is not theirs: %s", c)
}

// revoked holds that a new key which is revoked was made by this rotation, has not been used, and that its owner wanted that or never had it.
func (o *watch) revoked(c *change, r rotation.Rotation) {
	if c.op == "UpdateAccessKey" && c.status == "Active" {
		if !c.held(func(l look) bool { k, _ := l.key(c.key); return !k.LastUsed.IsZero() }) {
			o.w.fail(1, "a revoked key is made active though nobody uses it: %s", c)
		}
		return
	}
	if slices.ContainsFunc(r.Asks, func(a rotation.Ask) bool {
		return a.Stuck.Key == c.key && a.Closed == "revoke" && len(a.Decisions) == 1
	}) {
		return // a suspect, or a key that its owner disowns, that an approver had revoked: inv1Decisions judges that
	}
	if !o.madeIn(c.key, r) {
		o.w.fail(1, "a key is revoked that the rotation has not made: %s", c)
	}
	if !c.held(func(l look) bool { k, there := l.key(c.key); return !there || k.LastUsed.IsZero() }) {
		o.w.fail(1, "a new key is revoked though it is in use: %s", c)
	}
	handedOver := slices.ContainsFunc(o.trail(c.doc), func(e rotation.Entry) bool {
		return e.Rotation == r.ID && e.From == rotation.Delivering && e.To == rotation.Switching && e.Key == c.key
	})
	if !handedOver {
		return
	}
	for turn := range r.Turn {
		if o.anyAsked(r, "reissue", turn, c.at) || o.anyAsked(r, "abandon", turn, c.at) {
			return
		}
	}
	o.w.fail(1, "a key is revoked that its owner has and wants: %s", c)
}

// trail is a document's, with what has been filed of it.
func (o *watch) trail(p rotation.Progress) []rotation.Entry {
	if p.Filed == 0 {
		return p.Trail
	}
	return o.w.kept.entries()
}

func (o *watch) madeIn(key rotation.KeyID, r rotation.Rotation) bool {
	return slices.ContainsFunc(o.changes, func(c *change) bool {
		made, runs := c.rotation()
		return c.made == key && runs && made.ID == r.ID
	})
}

func (o *watch) ownerOf(u rotation.UserRef) string {
	if p, ok := o.w.kept.progress(u.ID()); ok && p.Link != nil {
		return string(p.Link.Owner)
	}
	for _, s := range o.w.seeds {
		if s.account == u.Account && s.name == u.Name {
			return s.owner
		}
	}
	return ""
}

// owns tells whether a member is the owner of a rotation, or of the group that owns its user.
func (o *watch) owns(member string, r rotation.Rotation) bool {
	return member == string(r.Owner) || r.Group == team && slices.Contains(ofTeam, member)
}

// ownersOf lists who may make the owner's moves.
func (o *watch) ownersOf(r rotation.Rotation) []string {
	owners := []string{string(r.Owner)}
	if r.Group == team {
		owners = append(owners, ofTeam...)
	}
	return owners
}

// inv1Decisions: every decision that is stored was made by somebody who clicked, and might.
func (o *watch) inv1Decisions(all []rotation.Progress) {
	for _, p := range all {
		for _, r := range p.All() {
			o.requested(r)
			for _, a := range r.Asks {
				o.decided(r, a)
			}
		}
	}
}

func (o *watch) requested(r rotation.Rotation) {
	if o.requests[r.ID] {
		return
	}
	o.requests[r.ID] = true
	who := string(r.Requester)
	for key := range o.asked {
		id := r.User.ID()
		leaked := r.Kind == rotation.Leak && key == who+" leaked "+string(r.Old)
		retired := r.Kind == rotation.Retire && strings.HasPrefix(key, who+" retire "+id+"/")
		if key == who+" start "+id || leaked || retired || strings.HasPrefix(key, who+" request "+id+"/") {
			owned := o.everOwned(string(r.Owner), r.User) || r.Kind == rotation.Leak && r.Owner == ""
			if !owned || !o.owns(who, r) && who != dora && !slices.Contains(approvers, who) && !o.everOwned(who, r.User) {
				o.w.fail(1, "a rotation is begun by somebody who may not: %s by %s, for %s", r.User, who, r.Owner)
			}
			return
		}
	}
	o.w.fail(1, "a rotation is begun that nobody has asked for: %s", r.ID)
}

func (o *watch) decided(r rotation.Rotation, a rotation.Ask) {
	if a.Stuck.Class == rotation.ClassSuspect && (a.Closed == "keep" || a.Closed == "close") {
		o.excused[string(a.Stuck.Key)] = "an approver chose to leave it as it is"
	}
	for _, d := range a.Decisions {
		ref := rotation.Ref{ID: r.ID, Turn: a.Turn}.String()
		isOwner := o.owns(string(d.By), r)
		on := "approve" // one of several, which did not end the ask
		if last, ok := a.ClosedBy(); ok && last == d {
			on = a.Closed
		}
		ownerMay := on == "cancel" || on == "reactivate" || on == "disown"
		switch {
		case !o.hasAsked(string(d.By), on, ref, d.At):
			o.w.fail(1, "a decision is stored that nobody has made: %s %s by %s", ref, on, d.By)
		case ownerMay && isOwner && o.wasActive(string(d.By), d.At):
		case (a.Stage == rotation.Leaked || a.Stuck.At == rotation.Leaked) && o.mayRespond(string(d.By), d.At):
		case !o.mayDecide(string(d.By), d.At):
			o.w.fail(1, "a decision is stored of somebody who may not: %s %s by %s", ref, on, d.By)
		case on != "reactivate" && (isOwner || d.By == r.Requester):
			o.w.fail(1, "a decision is stored of the owner or the requester: %s %s by %s", ref, on, d.By)
		}
	}
}

// inv2: never an active key deleted, and the old one only after the whole grace, in which its last use has not moved.
func (o *watch) inv2(c *change) {
	if c.op != "DeleteAccessKey" || !c.effective {
		return
	}
	r, _ := c.rotation()
	if !c.held(func(l look) bool { k, _ := l.key(c.key); return k.Status == "Inactive" }) && c.key != r.New {
		o.w.fail(2, "an active key is deleted: %s", c)
	}
	if c.key != r.Old {
		return // revoked judges it
	}
	since := o.graceBegan(c, r)
	for _, earlier := range o.changes {
		if earlier.key == c.key && earlier.op == "UpdateAccessKey" && earlier.inOrder < c.inOrder && earlier.effective && earlier.at.After(since) {
			since = earlier.at
		}
	}
	if c.at.Before(since.Add(grace)) {
		o.w.fail(2, "a key is deleted before its grace is over: %s", c)
	}
	if used := o.usedInGrace[string(c.key)]; used.After(since) && c.at.After(used.Add(o.w.shape.useLag+2*time.Minute)) {
		o.w.fail(2, "a key is deleted though somebody used it in its grace: %s, used %s", c, used)
	}
	k, _ := c.before.key(c.key)
	if k.LastUsed.After(since.Add(time.Minute)) && !o.toggled[string(c.key)] && !c.held(func(l look) bool {
		k, _ := l.key(c.key)
		return !k.LastUsed.After(since.Add(time.Minute))
	}) {
		o.w.fail(2, "a key is deleted that was used in its grace: %s, used %s, inactive since %s", c, k.LastUsed, since)
	}
}

// graceBegan is when the last use of the old key was last taken for known: when it was made inactive, or when a person let the grace begin anew;
// and for a key that was inactive when its retirement began, then.
func (o *watch) graceBegan(c *change, r rotation.Rotation) time.Time {
	began := r.Begun
	for _, e := range o.trail(c.doc) {
		if e.Rotation == r.ID && e.To == rotation.Grace && (e.From == rotation.Deactivating || e.From == rotation.Stuck) {
			began = e.At
		}
	}
	return began
}

// inv3: never fewer working keys than the owner agreed to. Create before deactivate, always.
func (o *watch) inv3(c *change) {
	if c.op != "UpdateAccessKey" || c.status != "Inactive" || !c.effective {
		return
	}
	r, _ := c.rotation()
	old := func(l look) iamsim.KeyView { k, _ := l.key(r.Old); return k }
	owner := string(r.Owner)
	switch {
	case c.key == r.New && r.Stage == rotation.Discarding && r.Kind == rotation.Leak: // the old one is not to work
	case c.key == r.New && r.Stage == rotation.Discarding:
		if !c.held(func(l look) bool { return old(l).Status == "Active" }) && !o.toggled[string(r.Old)] && !o.gone[string(r.Old)] {
			o.w.fail(3, "the new key is revoked while the old one does not work: %s", c)
		}
	case c.key == r.New && r.Stage == rotation.Freezing: // frozen judges it
	case r.Kind == rotation.Leak: // cut judges it
	case r.Kind == rotation.Retire:
		if !slices.ContainsFunc(c.looks, func(l look) bool { return quietAt(old(l), c.at) }) {
			o.w.fail(3, "a key is retired that was in use: %s", c)
		}
		if string(r.Requester) != owner {
			o.w.fail(3, "a key is retired that its owner has not agreed to: %s", c)
		}
	case o.overruled(c, r):
		if !c.held(func(l look) bool { k, _ := l.key(r.New); return k.Status == "Active" }) {
			o.w.fail(3, "the old key is deactivated though the new one is not active: %s", c)
		}
	default:
		if !c.held(func(l look) bool {
			k, there := l.key(r.New)
			return there && k.Status == "Active" && !k.LastUsed.IsZero() && quietAt(old(l), c.at)
		}) {
			o.w.fail(3, "the old key is deactivated before the new one is used and the old one quiet: %s", c)
		}
		if r.Kind == rotation.Replace && !o.shownKey[string(r.New)] {
			o.w.fail(3, "the old key is deactivated though the owner never got the new one: %s", c)
		}
		ask, _ := r.Approved(rotation.Confirmed)
		if !o.confirmed(r, ask) {
			o.w.fail(3, "the old key is deactivated though the owner has not confirmed: %s", c)
		}
	}
}

// overruled tells whether the evidence for a deactivation was overruled, and holds that it was by somebody who may.
func (o *watch) overruled(c *change, r rotation.Rotation) bool {
	ask, _ := r.Approved(rotation.Confirmed)
	d := ask.Overruled
	if d.By == "" {
		return false
	}
	for turn := range ask.Turn {
		asked := o.hasAsked(string(d.By), "overrule", rotation.Ref{ID: r.ID, Turn: turn}.String(), d.At)
		if asked && o.mayDecide(string(d.By), d.At) && !o.owns(string(d.By), r) && d.By != r.Requester {
			return true
		}
	}
	o.w.fail(3, "evidence is overruled by somebody who has not done so, or may not: %s, %s", c, d.By)
	return true
}

func quietAt(k iamsim.KeyView, at time.Time) bool {
	last := k.LastUsed
	if last.IsZero() {
		last = k.Created
	}
	return k.Status == "Active" && !at.Before(last.Add(quiet))
}

func (o *watch) confirmed(r rotation.Rotation, ask rotation.Ask) bool {
	for turn := range ask.Turn {
		if o.anyAsked(r, "confirm", turn, ask.At) {
			return true
		}
	}
	return false
}

// inv4: a secret is shown at most once, to its owner alone, and is nowhere else. What is stored is looked at when it is written, and
// what Slack is told as it is told.
func (o *watch) inv4() {
	o.scanText("the log", string(o.w.logs.fresh()))
	if raw := o.w.kept.bytes(); len(raw) > 0 {
		o.scanText("the file of the store", string(raw))
	}
}

// inv5: no orphan. Every key that the bot made is delivered, or known to a rotation that will see to it. That it comes to an end is judged
// when everything is calm.
func (o *watch) inv5(all []rotation.Progress) {
	for _, c := range o.changes {
		if c.made == "" || o.excused[string(c.made)] != "" || o.gone[string(c.made)] {
			continue
		}
		if _, there := o.see(c.user).key(c.made); !there || o.knows(all, c) {
			continue
		}
		o.w.fail(5, "a key that the bot made belongs to no rotation: %s of %s", short(string(c.made)), c.user.Name)
	}
	for _, p := range all {
		r, runs := p.Running()
		if runs && r.Kind == rotation.Replace && r.Stage == rotation.Switching && !o.shownKey[string(r.New)] {
			o.w.fail(5, "a key counts as delivered whose secret was never shown: %s of %s", short(string(r.New)), p.User.Name)
		}
	}
}

func (o *watch) knows(all []rotation.Progress, c *change) bool {
	for _, p := range all {
		if p.User != c.user {
			continue
		}
		for _, r := range p.All() {
			switch {
			case r.New == c.made && (o.shownKey[string(c.made)] || !r.Ended() || r.Stage == rotation.Closed), r.Old == c.made:
				return true
			case r.Failure.Key == c.made && r.Stage == rotation.Stuck:
				return true
			case r.Intent != nil && !slices.Contains(r.Intent.Known, c.made) && !r.Ended():
				return true
			}
		}
	}
	return false
}

// inv6: at most once per decision. In one turn of a rotation each of its changes is made once.
func (o *watch) inv6(c *change) {
	r, runs := c.rotation()
	if !runs || !c.effective {
		return
	}
	for _, other := range o.changes[:c.inOrder] {
		or, ok := other.rotation()
		same := ok && or.ID == r.ID && or.Turn == r.Turn && other.op == c.op && other.status == c.status && other.effective
		taken := (c.status == "Active" || r.Stage == rotation.Freezing) && c.r != other.r // taken over soon, since two of them do no harm
		if same && !taken && !o.gone[string(other.made)] && !o.toggled[string(c.key)] {
			o.w.fail(6, "a change is made twice for one decision: %s and before %s", c, other)
		}
	}
}

// inv6Decisions: an ask is answered once, by as many as are needed, or by one who ends it.
func (o *watch) inv6Decisions(all []rotation.Progress) {
	for _, p := range all {
		for _, r := range p.All() {
			for _, a := range r.Asks {
				if len(a.Decisions) > o.w.needed(r.User, a.Stage) && len(a.Approvals()) == len(a.Decisions) || len(a.Decisions) > len(a.Approvals())+1 {
					o.w.fail(6, "an ask has more than one decision: %s turn %d", r.ID, a.Turn)
				}
			}
		}
	}
}

// inv7: unknown is not unused. Nothing is deactivated, deleted or created after a look that failed.
func (o *watch) inv7(c *change) {
	r, runs := c.rotation()
	if !runs || !c.effective || c.status == "Active" {
		return
	}
	needed := []string{"GetUser " + c.user.String(), "ListAccessKeys " + c.user.String()}
	whatever := !r.Disowned.IsZero() || r.Kind == rotation.Leak && r.Stage == rotation.Deactivating // whose use makes no difference
	if c.op != "CreateAccessKey" && !whatever {
		needed = append(needed, "GetAccessKeyLastUsed "+string(c.key))
	}
	if r.Stage == rotation.Deactivating && r.Kind != rotation.Retire && !whatever {
		needed = append(needed, "GetAccessKeyLastUsed "+string(r.New))
	}
	for _, subject := range needed {
		read, tried := c.reads[subject]
		if listed := c.held(func(l look) bool { _, there := l.key(c.key); return there }); !listed && r.Stage == rotation.Discarding {
			continue // AWS's lists lag behind a creation
		}
		switch {
		case !tried || !read.ok || c.sent.Sub(read.at) > recently:
			o.w.fail(7, "a change though %s was not read: %s", strings.Fields(subject)[0], c)
		case read.turn < r.Turn: // it was read for the decision, and not again for what follows it
			o.w.fail(7, "a change though %s was not read since its stage began: %s", strings.Fields(subject)[0], c)
		}
	}
}

// inv10Posts: nothing stands twice in a channel, and in a DM only if an answer was lost.
func (o *watch) inv10Posts() {
	o.mu.Lock()
	posts := slices.Clone(o.posts)
	o.mu.Unlock()
	standing := map[string][]*posting{}
	lost := map[string]int{}
	for _, p := range posts {
		if p.name == "" || p.ts == "" {
			continue
		}
		if p.lost {
			lost[p.name]++
		}
		if slices.ContainsFunc(o.w.messages(p.channel), func(m slacksim.Message) bool { return m.TS == p.ts }) {
			standing[p.name] = append(standing[p.name], p)
		}
	}
	for name, ps := range standing {
		inChannel := ps[0].channel == approvals || ps[0].channel == onCall
		switch {
		case inChannel && len(ps) > 1:
			o.w.fail(10, "a message stands twice in a channel: %s", o.w.short(name))
		case !inChannel && len(ps) > 1+lost[name]+o.w.deaths+o.w.kept.strikes():
			o.w.fail(10, "a message stands twice in a DM though no answer was lost: %s", o.w.short(name))
		}
	}
}
