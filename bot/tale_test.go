package bot

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

const (
	owner  rotation.MemberID = "UOLIVIA"
	oncall rotation.MemberID = "UCARLO"
	alice  rotation.MemberID = "UALICE"
	bob    rotation.MemberID = "UBOB"

	oldKey   rotation.KeyID = "AKIAIOSFODNN7EXA7Q2X"
	newKey   rotation.KeyID = "AKIAJQRSTUVW2EXA9K4M"
	otherKey rotation.KeyID = "AKIAKZYXWVUT3EXA5H8P"
)

var (
	ci     = rotation.UserRef{Account: "111122223333", Name: "ci-deploy"}
	monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	terms  = rotation.Terms{Quiet: 24 * time.Hour, Grace: 7 * 24 * time.Hour, Expires: 72 * time.Hour, Visible: time.Hour}
)

func testView() view {
	return view{
		accounts: func() map[string]string {
			return map[string]string{ci.Account: "Production", "444455556666": "Data & Research"}
		},
		approvals: rotation.NewApprovals(nil, []rotation.MemberID{alice, bob, owner}),
		ownerTag:  "keyturner:owner",
		policy:    rotation.Policy{WarnAge: 75 * 24 * time.Hour, MaxAge: 90 * 24 * time.Hour, UnusedAge: 45 * 24 * time.Hour},
	}
}

// tale leads one rotation through the real lifecycle.
type tale struct {
	t   *testing.T
	r   rotation.Rotation
	now time.Time

	quietSince time.Time // the old key's last use
	oldStatus  rotation.Status
	newMade    time.Time
	newUsed    bool
	newOff     bool
	trail      []rotation.Entry
}

func begin(t *testing.T, q rotation.Request, prepare func(*tale)) *tale {
	t.Helper()
	tl := &tale{t: t, now: monday, quietSince: monday.Add(-3 * time.Hour), oldStatus: rotation.Active}
	if prepare != nil {
		prepare(tl)
	}
	q.User = ci
	if q.By.Member == "" {
		q.By.Member = owner
	}
	r, err := rotation.Start(q, owner, tl.evidence(), terms, tl.now)
	if err != nil {
		t.Fatal(err)
	}
	p := rotation.Progress{User: ci}
	p.Begin(r)
	tl.r = *p.Rotation
	return tl
}

func replace(t *testing.T) *tale {
	return begin(t, rotation.Request{Reason: "The key is 95 days old.", By: rotation.Actor{Member: oncall}}, nil)
}

func adopt(t *testing.T) *tale {
	return begin(t, rotation.Request{}, func(tl *tale) { tl.newMade = monday.Add(-30 * 24 * time.Hour) })
}

func retire(t *testing.T) *tale {
	return begin(t, rotation.Request{Retire: true, Key: oldKey, Reason: "The job runs in another account now."}, func(tl *tale) {
		tl.quietSince = monday.Add(-70 * 24 * time.Hour)
	})
}

func leak(t *testing.T) *tale {
	return begin(t, rotation.Request{Leak: true, Key: oldKey, Reason: "It stands in a public repository.", By: rotation.Actor{Member: oncall}}, nil)
}

func retireLeftover(t *testing.T) *tale {
	return begin(t, rotation.Request{Retire: true, Key: oldKey}, func(tl *tale) {
		tl.quietSince, tl.oldStatus = monday.Add(-70*24*time.Hour), rotation.Inactive
	})
}

func (tl *tale) evidence() rotation.Evidence {
	e := rotation.Evidence{At: tl.now, UserID: "AIDAEXAMPLE"}
	e.Keys = append(e.Keys, rotation.Key{
		ID: oldKey, Status: tl.oldStatus, Created: monday.Add(-95 * 24 * time.Hour),
		LastUse: rotation.LastUse{State: rotation.Used, At: tl.quietSince, Service: "s3", Region: "eu-west-1"},
	})
	if !tl.newMade.IsZero() {
		k := rotation.Key{ID: newKey, Status: rotation.Active, Created: tl.newMade, LastUse: rotation.LastUse{State: rotation.NeverUsed}}
		if tl.newUsed {
			k.LastUse = rotation.LastUse{State: rotation.Used, At: tl.now.Add(-time.Hour), Service: "sts", Region: "us-east-1"}
		}
		if tl.newOff {
			k.Status = rotation.Inactive
		}
		e.Keys = append(e.Keys, k)
	}
	return e
}

// step makes one move and lets some minutes pass.
func (tl *tale) step(ev rotation.Event) *tale {
	tl.t.Helper()
	tl.now = tl.now.Add(10 * time.Minute)
	ev.At = tl.now
	if ev.Evidence.At.IsZero() && ev.On != rotation.Lose {
		ev.Evidence = tl.evidence()
	}
	next, err := tl.r.Step(ev)
	if err != nil {
		tl.t.Fatalf("%s at %s: %v", ev.On, tl.r.Stage, err)
	}
	tl.note(next, ev)
	tl.r = next
	return tl
}

// note keeps the entry of a move as the engine does.
func (tl *tale) note(next rotation.Rotation, ev rotation.Event) {
	e := rotation.Entry{
		At: ev.At, Actor: ev.By.String(), Action: string(ev.On), Outcome: "moved", Rotation: next.ID, From: tl.r.Stage, To: next.Stage, Key: next.Old, Detail: ev.Reason,
	}
	if slices.Contains([]rotation.Stage{rotation.Creating, rotation.Delivering, rotation.Discarding, rotation.Freezing}, tl.r.Stage) {
		e.Key = cmp.Or(next.New, tl.r.New)
	}
	if ev.Failure.Class != "" {
		e.Detail = string(ev.Failure.Class) + ": " + ev.Failure.Text
	}
	tl.trail = append(tl.trail, e)
}

func (tl *tale) by(m rotation.MemberID, on rotation.On, reason ...string) *tale {
	tl.t.Helper()
	ev := rotation.Event{On: on, By: rotation.Actor{Member: m, Approver: m == alice || m == bob, OnCall: m == oncall || m == owner && tl.r.Stage == rotation.Leaked}}
	if len(reason) > 0 {
		ev.Reason = reason[0]
	}
	return tl.step(ev)
}

// works lets the effect of the working stage succeed.
func (tl *tale) works() *tale {
	tl.t.Helper()
	ev := rotation.Event{On: rotation.Succeed, By: rotation.TheEngine}
	switch tl.r.Stage {
	case rotation.Creating:
		ev.Key, tl.newMade = newKey, tl.now
		tl.r.Handover = rotation.Handover{Post: rotation.Post{Channel: "DOLIVIA", TS: "1.1"}}
	case rotation.Freezing:
		tl.newOff = true
	case rotation.Deactivating:
		tl.oldStatus = rotation.Inactive
	case rotation.Reactivating:
		tl.oldStatus = rotation.Active
	case rotation.Discarding:
		tl.newMade = time.Time{}
	}
	return tl.step(ev)
}

func (tl *tale) engine(on rotation.On, f rotation.Failure) *tale {
	tl.t.Helper()
	return tl.step(rotation.Event{On: on, By: rotation.TheEngine, Failure: f, Key: f.Key})
}

func (tl *tale) fails(class rotation.Class) *tale {
	tl.t.Helper()
	return tl.engine(rotation.Fail, rotation.Failure{Class: class, Text: "internal words"})
}

func (tl *tale) finds(b rotation.BlockCode, key rotation.KeyID) *tale {
	tl.t.Helper()
	return tl.engine(rotation.Fail, rotation.Failure{Class: rotation.ClassChanged, Block: b, Key: key, Text: "internal words"})
}

func (tl *tale) elapses(d time.Duration) *tale {
	tl.t.Helper()
	tl.now = tl.now.Add(d)
	return tl.step(rotation.Event{On: rotation.Elapse, By: rotation.TheClock})
}

func (tl *tale) days(n int) *tale { tl.now = tl.now.Add(time.Duration(n) * 24 * time.Hour); return tl }

// with changes what the engine or the outbox notes without a move.
func (tl *tale) with(change func(*rotation.Rotation)) *tale { change(&tl.r); return tl }

// byTwo has two people be needed for the creation, as by a rule.
func byTwo(tl *tale) *tale {
	return tl.with(func(r *rotation.Rotation) { r.Terms.Wanted.Create, r.Asks[0].Wanted = 2, 2 })
}

// suspect lets the answer to the creation be lost, and a key be there.
func suspect(tl *tale) *tale {
	tl.by(alice, rotation.Approve)
	tl.newMade = tl.now
	return tl.engine(rotation.Fail, rotation.Failure{Class: rotation.ClassSuspect, Key: newKey})
}

// looks has the engine find that something is missing, or nothing.
func (tl *tale) looks(codes ...rotation.BlockCode) *tale {
	tl.now = tl.now.Add(2 * time.Hour)
	return tl.with(func(r *rotation.Rotation) {
		p := rotation.Proof{At: tl.now, Opened: r.Proof.Opened}
		for _, c := range codes {
			b := rotation.Block{Code: c, Key: tl.evidence().Keys[1]}
			if strings.HasPrefix(string(c), "old") {
				b.Key = tl.evidence().Keys[0]
			}
			if c == rotation.OldUsed || c == rotation.OldTooYoung {
				b.Again = tl.now.Add(20 * time.Hour)
			}
			p.Missing, p.Again = append(p.Missing, b), tl.now.Add(time.Hour)
		}
		if len(codes) == 0 {
			p.Opened++
		}
		r.Proof = p
	})
}

func (tl *tale) retries(n int) *tale {
	return tl.with(func(r *rotation.Rotation) {
		r.Retry = rotation.Retry{Attempts: n, At: tl.now.Add(time.Minute), Last: "internal words"}
	})
}

func (tl *tale) toSwitching() *tale { return tl.by(alice, rotation.Approve).works().works() }

func (tl *tale) toConfirmed() *tale {
	tl.newUsed = true
	return tl.days(3).by(owner, rotation.Confirm)
}

func (tl *tale) toGrace() *tale    { return tl.by(alice, rotation.Approve).works() }
func (tl *tale) toExpiring() *tale { return tl.elapses(terms.Grace) }

// toReveal begins a rotation whose secret is shown in a window.
func toReveal(t *testing.T) *tale {
	return replace(t).with(func(r *rotation.Rotation) { r.Delivery.Mode = rotation.Reveal })
}

func (tl *tale) offered() *tale {
	tl.t.Helper()
	return tl.by(alice, rotation.Approve).engine(rotation.Offer, rotation.Failure{})
}

func (tl *tale) collects() *tale {
	tl.t.Helper()
	return tl.step(rotation.Event{On: rotation.Collect, By: rotation.Actor{Member: owner}, Modal: "V0REVEAL"})
}

// tales is every state that a rotation can be shown in, each told from its beginning.
func tales(t *testing.T) map[string]*tale {
	receipt := func(r *rotation.Rotation) { r.Handover.Received, r.Handover.Gone = r.Since.Add(5*time.Minute), true }
	fresh := func() *tale { return replace(t).toSwitching() }
	confirmed := func() *tale { return fresh().with(receipt).toConfirmed() }
	grace := func() *tale { return confirmed().toGrace() }
	overruled := func() *tale {
		return fresh().with(receipt).looks(rotation.NewNeverUsed, rotation.OldUsed).by(bob, rotation.Overrule, "The host is gone, and nobody can switch it off.")
	}
	expiring := func() *tale { return grace().toExpiring() }
	undelivered := rotation.Failure{Class: rotation.ClassRefused, Text: "internal words"}
	refuted := rotation.Failure{Class: rotation.ClassChanged, Block: rotation.OldUsed, Key: oldKey}
	return map[string]*tale{
		"replace/requested":             replace(t),
		"replace/requested-own":         begin(t, rotation.Request{}, nil),
		"replace/denied":                replace(t).by(bob, rotation.Deny, "Use a role instead."),
		"replace/withdrawn":             replace(t).by(owner, rotation.Cancel),
		"replace/lapsed":                replace(t).elapses(terms.Expires),
		"replace/creating":              replace(t).by(alice, rotation.Approve),
		"replace/creating-retry":        replace(t).by(alice, rotation.Approve).retries(2),
		"replace/creating-lost":         replace(t).by(alice, rotation.Approve).retries(0),
		"replace/delivering":            replace(t).by(alice, rotation.Approve).works(),
		"replace/discarding-lost":       replace(t).by(alice, rotation.Approve).works().engine(rotation.Lose, rotation.Failure{Class: rotation.ClassUnknown}),
		"replace/switching":             fresh(),
		"replace/switching-received":    fresh().with(receipt),
		"replace/switching-not-stored":  fresh().with(func(r *rotation.Rotation) { r.Handover.Gone = true }),
		"replace/switching-shut":        fresh().looks(rotation.NewNeverUsed, rotation.OldUsed),
		"replace/switching-unread":      fresh().looks(rotation.NewUnknown, rotation.OldUnknown),
		"replace/switching-young":       fresh().looks(rotation.OldTooYoung),
		"replace/switching-open":        fresh().with(receipt).looks(),
		"replace/switching-shut-again":  fresh().with(receipt).looks().looks(rotation.OldUsed),
		"replace/confirmed-after-open":  fresh().with(receipt).looks().toConfirmed(),
		"replace/discarding-reissue":    fresh().by(owner, rotation.Reissue),
		"replace/creating-reissue":      fresh().by(owner, rotation.Reissue).works(),
		"replace/discarding-abandon":    fresh().by(owner, rotation.Abandon),
		"replace/abandoned":             fresh().by(owner, rotation.Abandon).works(),
		"replace/freezing":              fresh().by(owner, rotation.Disown),
		"replace/freezing-confirmed":    confirmed().by(owner, rotation.Disown),
		"replace/stuck-disowned":        fresh().by(owner, rotation.Disown).works(),
		"replace/stuck-freezing":        fresh().by(owner, rotation.Disown).fails(rotation.ClassDenied),
		"replace/freezing-again":        fresh().by(owner, rotation.Disown).fails(rotation.ClassDenied).by(alice, rotation.TryAgain),
		"replace/discarding-disowned":   fresh().by(owner, rotation.Disown).works().by(alice, rotation.Revoke),
		"replace/disowned":              fresh().by(owner, rotation.Disown).works().by(alice, rotation.Revoke).works(),
		"replace/disowned-left":         fresh().by(owner, rotation.Disown).works().by(alice, rotation.Close, "The owner had forgotten."),
		"replace/switching-not-revoked": fresh().by(owner, rotation.Abandon).engine(rotation.Refute, rotation.Failure{Class: rotation.ClassChanged, Block: rotation.NewUsed, Key: newKey}),
		"replace/confirmed":             confirmed(),
		"replace/confirmed-renewed":     confirmed().days(1).engine(rotation.Renew, rotation.Failure{}),
		"replace/switching-denied":      confirmed().by(bob, rotation.Deny, "Not on a Friday."),
		"replace/switching-lapsed":      confirmed().elapses(terms.Expires),
		"replace/switching-taken-back":  confirmed().by(owner, rotation.Cancel),
		"replace/switching-refuted":     confirmed().engine(rotation.Refute, refuted),
		"replace/deactivating":          confirmed().by(alice, rotation.Approve),
		"replace/switching-refuted-2":   confirmed().by(alice, rotation.Approve).engine(rotation.Refute, refuted),
		"replace/requested-in-public":   replace(t).with(func(r *rotation.Rotation) { r.InPublic = true }),
		"replace/confirmed-overruled":   overruled(),
		"replace/overruled-renewed":     overruled().days(1).engine(rotation.Renew, rotation.Failure{}),
		"replace/overruled-grace":       overruled().toGrace(),
		"replace/overruled-taken-back":  overruled().by(owner, rotation.Cancel),
		"replace/grace":                 grace(),
		"replace/grace-unread":          grace().days(7).retries(3),
		"replace/expiring":              expiring(),
		"replace/expiring-renewed":      expiring().engine(rotation.Renew, rotation.Failure{}),
		"replace/grace-denied":          expiring().by(bob, rotation.Deny, "Wait for the end of the month."),
		"replace/reactivating":          grace().by(owner, rotation.Reactivate),
		"replace/reactivating-expiring": expiring().by(bob, rotation.Reactivate),
		"replace/switching-reactivated": expiring().by(bob, rotation.Reactivate).works(),
		"replace/deleting":              expiring().by(alice, rotation.Approve),
		"replace/done":                  expiring().by(alice, rotation.Approve).works(),
		"replace/stuck-requested":       replace(t).finds(rotation.OldInactive, oldKey),
		"replace/requested-again":       replace(t).finds(rotation.OldInactive, oldKey).by(alice, rotation.TryAgain),
		"replace/stuck-denied":          replace(t).by(alice, rotation.Approve).fails(rotation.ClassDenied),
		"replace/stuck-suspect":         replace(t).by(alice, rotation.Approve).engine(rotation.Fail, rotation.Failure{Class: rotation.ClassSuspect, Key: otherKey}),
		"replace/suspect-revoked":       suspect(replace(t)).by(alice, rotation.Revoke),
		"replace/suspect-kept":          suspect(replace(t)).by(bob, rotation.Keep),
		"replace/lost-creation":         replace(t).by(alice, rotation.Approve).engine(rotation.Lose, rotation.Failure{Class: rotation.ClassUnknown, Key: newKey}),
		"replace/secret-exposed":        fresh().with(func(r *rotation.Rotation) { r.Handover.Failed = "internal words" }),
		"replace/stuck-exhausted":       replace(t).by(alice, rotation.Approve).fails(rotation.ClassExhausted),
		"replace/stuck-unreachable":     replace(t).by(alice, rotation.Approve).fails(rotation.ClassRefused),
		"replace/stuck-undelivered":     replace(t).by(alice, rotation.Approve).works().engine(rotation.Lose, undelivered).works(),
		"replace/creating-again":        replace(t).by(alice, rotation.Approve).fails(rotation.ClassDenied).by(bob, rotation.TryAgain),
		"replace/stuck-discarding":      fresh().by(owner, rotation.Reissue).fails(rotation.ClassDenied),
		"replace/stuck-switching":       fresh().finds(rotation.ExtraKey, otherKey),
		"replace/stuck-confirmed":       confirmed().finds(rotation.NewGone, newKey),
		"replace/stuck-deactivating":    confirmed().by(alice, rotation.Approve).fails(rotation.ClassDenied),
		"replace/stuck-reactivating":    grace().by(owner, rotation.Reactivate).fails(rotation.ClassExhausted),
		"replace/stuck-grace":           grace().finds(rotation.OldMoved, oldKey),
		"replace/stuck-grace-denied":    grace().fails(rotation.ClassDenied),
		"replace/stuck-expiring":        expiring().finds(rotation.UserReplaced, ""),
		"replace/stuck-deleting":        expiring().by(alice, rotation.Approve).fails(rotation.ClassExhausted),
		"replace/closed":                grace().finds(rotation.OldMoved, oldKey).by(bob, rotation.Close, "The team deletes the user on Monday."),
		"adopt/switching":               adopt(t),
		"adopt/cancelled":               adopt(t).by(owner, rotation.Cancel),
		"adopt/confirmed":               adopt(t).toConfirmed(),
		"adopt/deactivating":            adopt(t).toConfirmed().by(alice, rotation.Approve),
		"adopt/grace":                   adopt(t).toConfirmed().toGrace(),
		"adopt/expiring":                adopt(t).toConfirmed().toGrace().toExpiring(),
		"adopt/reactivating":            adopt(t).toConfirmed().toGrace().by(owner, rotation.Reactivate),
		"adopt/switching-reactivated":   adopt(t).toConfirmed().toGrace().by(owner, rotation.Reactivate).works(),
		"adopt/deleting":                adopt(t).toConfirmed().toGrace().toExpiring().by(alice, rotation.Approve),
		"adopt/done":                    adopt(t).toConfirmed().toGrace().toExpiring().by(alice, rotation.Approve).works(),
		"adopt/stuck-confirmed":         adopt(t).toConfirmed().finds(rotation.OldGone, oldKey),
		"adopt/closed":                  adopt(t).toConfirmed().finds(rotation.OldGone, oldKey).by(alice, rotation.Close, "Deleted by hand."),
		"leak/leaked":                   leak(t),
		"leak/leaked-nobodys":           leak(t).with(func(r *rotation.Rotation) { r.Owner = "" }),
		"leak/denied":                   leak(t).by(owner, rotation.Deny, "It is the key of the honeypot."),
		"leak/deactivating":             leak(t).by(oncall, rotation.Approve),
		"leak/grace":                    leak(t).by(oncall, rotation.Approve).works(),
		"leak/requested":                leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish),
		"leak/creating":                 leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve),
		"leak/delivering":               leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works(),
		"leak/discarding":               leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().engine(rotation.Lose, rotation.Failure{Class: rotation.ClassUnknown}),
		"leak/stuck-creating":           leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).fails(rotation.ClassDenied),
		"leak/suspect":                  suspect(leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish)),
		"leak/suspect-kept":             suspect(leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish)).by(alice, rotation.Keep),
		"leak/grace-new":                leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works(),
		"leak/grace-denied":             leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Deny, "Use a role."),
		"leak/grace-lapsed":             leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).elapses(terms.Expires),
		"leak/reissuing":                leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works().by(owner, rotation.Reissue),
		"leak/freezing":                 leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works().by(owner, rotation.Disown),
		"leak/disowned":                 leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works().by(owner, rotation.Disown).works(),
		"leak/disowned-revoking":        leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works().by(owner, rotation.Disown).works().by(alice, rotation.Revoke),
		"leak/disowned-grace":           leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works().by(owner, rotation.Disown).works().by(alice, rotation.Revoke).works(),
		"leak/expiring-new":             leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works().toExpiring(),
		"leak/done-new":                 leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).by(alice, rotation.Approve).works().works().toExpiring().by(alice, rotation.Approve).works(),
		"leak/offered":                  leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).with(func(r *rotation.Rotation) { r.Delivery.Mode = rotation.Reveal }).offered(),
		"leak/grace-unopened":           leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Replenish).with(func(r *rotation.Rotation) { r.Delivery.Mode = rotation.Reveal }).offered().elapses(terms.Expires),
		"leak/expiring":                 leak(t).by(oncall, rotation.Approve).works().toExpiring(),
		"leak/deleting":                 leak(t).by(oncall, rotation.Approve).works().toExpiring().by(alice, rotation.Approve),
		"leak/done":                     leak(t).by(oncall, rotation.Approve).works().toExpiring().by(alice, rotation.Approve).works(),
		"leak/reactivating":             leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Reactivate),
		"leak/leaked-again":             leak(t).by(oncall, rotation.Approve).works().by(owner, rotation.Reactivate).works(),
		"leak/stuck-leaked":             leak(t).finds(rotation.UserReplaced, ""),
		"leak/stuck-deactivating":       leak(t).by(oncall, rotation.Approve).fails(rotation.ClassDenied),
		"leak/closed":                   leak(t).finds(rotation.OldGone, oldKey).by(alice, rotation.Close, "Deleted by hand."),
		"replace/overtaken":             replace(t).engine(rotation.Yield, rotation.Failure{Class: rotation.ClassLeaked, Key: oldKey}),
		"replace/switching-overtaken":   fresh().engine(rotation.Yield, rotation.Failure{Class: rotation.ClassLeaked, Key: oldKey}),
		"retire/confirmed":              retire(t),
		"retire/denied":                 retire(t).by(alice, rotation.Deny),
		"retire/kept":                   retire(t).by(owner, rotation.Cancel),
		"retire/lapsed":                 retire(t).elapses(terms.Expires),
		"retire/refuted":                retire(t).engine(rotation.Refute, refuted),
		"retire/deactivating":           retire(t).by(alice, rotation.Approve),
		"retire/deactivating-refuted":   retire(t).by(alice, rotation.Approve).engine(rotation.Refute, refuted),
		"retire/grace":                  retire(t).toGrace(),
		"retire/expiring":               retire(t).toGrace().toExpiring(),
		"retire/reactivating":           retire(t).toGrace().by(alice, rotation.Reactivate),
		"retire/reactivated":            retire(t).toGrace().by(alice, rotation.Reactivate).works(),
		"retire/deleting":               retire(t).toGrace().toExpiring().by(alice, rotation.Approve),
		"retire/done":                   retire(t).toGrace().toExpiring().by(alice, rotation.Approve).works(),
		"retire/stuck-confirmed":        retire(t).finds(rotation.UserReplaced, ""),
		"retire/stuck-grace":            retire(t).toGrace().finds(rotation.OldMoved, oldKey),
		"retire/stuck-deleting":         retire(t).toGrace().toExpiring().by(alice, rotation.Approve).fails(rotation.ClassDenied),
		"retire/closed":                 retire(t).finds(rotation.UserReplaced, "").by(alice, rotation.Close, "The user is a new one."),
		"leftover/grace":                retireLeftover(t),
		"leftover/expiring":             retireLeftover(t).toExpiring(),
		"leftover/kept":                 retireLeftover(t).by(owner, rotation.Cancel),
		"leftover/expiring-kept":        retireLeftover(t).toExpiring().by(owner, rotation.Cancel),
		"rule/requested":                byTwo(replace(t)),
		"rule/one-of-two":               byTwo(replace(t)).by(alice, rotation.Approve),
		"rule/approved":                 byTwo(replace(t)).by(alice, rotation.Approve).by(bob, rotation.Approve),
		"rule/denied-after-one":         byTwo(replace(t)).by(alice, rotation.Approve).by(bob, rotation.Deny, "Not on a Friday."),
		"rule/lapsed-after-one":         byTwo(replace(t)).by(alice, rotation.Approve).elapses(terms.Expires),
		"replace/stuck-overdue":         fresh().elapses(30 * 24 * time.Hour),
		"replace/switching-closed":      fresh().by(alice, rotation.Close, "The owner has left the company."),
		"replace/stuck-not-revoked":     replace(t).by(alice, rotation.Approve).works().engine(rotation.Lose, undelivered).fails(rotation.ClassDenied).by(bob, rotation.TryAgain).works(),
		"reveal/requested":              toReveal(t),
		"reveal/offered":                toReveal(t).offered(),
		"reveal/withdrawn":              toReveal(t).offered().by(owner, rotation.Cancel),
		"reveal/lapsed":                 toReveal(t).offered().elapses(terms.Expires),
		"reveal/stuck":                  toReveal(t).offered().finds(rotation.ExtraKey, otherKey),
		"reveal/creating":               toReveal(t).offered().collects(),
		"reveal/delivering":             toReveal(t).offered().collects().works().with(unposted),
		"reveal/switching":              toReveal(t).offered().collects().works().works().with(unposted),
		"leftover/done":                 retireLeftover(t).toExpiring().by(alice, rotation.Approve).works(),
		"leftover/stuck-grace":          retireLeftover(t).finds(rotation.OldActive, oldKey),
	}
}
