package rotation

import (
	"slices"
	"time"
)

// A leaked key is made inactive on one person's word, an approver's or on-call's, whoever reported it and whoever owns it: each minute counts,
// what is undone by one click does not need two people, and who has the key already is not kept out by a second opinion. No evidence is
// waited for: that the key is in use may be the harm itself. Only that key of that user is touched. After that it goes on as after any
// deactivation, with a grace and a deletion that two people stand behind.

// startLeak asks whether a leaked key is made inactive now.
func (r Rotation) startLeak(key Key, e Evidence) (Rotation, error) {
	if key.Status != Active {
		return Rotation{}, &Refusal{Code: OnlyInactive, User: r.User, Key: key.ID}
	}
	r.Kind = Leak
	return r.ask(Leaked, e), nil
}

// checkStillActive is all that a leak waits for.
func checkStillActive(r Rotation, e Evidence, _ time.Time) []Block {
	if e.UserID != r.UserID {
		return []Block{{Code: UserReplaced}}
	}
	old, there := e.Key(r.Old)
	switch {
	case !there:
		return []Block{{Code: OldGone, Key: Key{ID: r.Old}}}
	case old.Status != Active:
		return []Block{{Code: OldInactive, Key: old}}
	}
	return nil
}

// giveWay ends a rotation that a leak of one of the user's keys goes before, if it has nothing under way. AWS stays as it is.
func (e *Engine) giveWay(p *Progress, q Request) {
	r, runs := p.Running()
	heard := slices.ContainsFunc(p.All(), func(r Rotation) bool { return q.Once != "" && r.Once == q.Once })
	if !runs || heard {
		return
	}
	if _, ok := r.find(Yield); ok {
		failure := Failure{Class: ClassLeaked, Key: q.Key}
		_ = e.step(p, r, Event{On: Yield, By: TheEngine, At: e.now(), Failure: failure}) // the table has it
	}
}
