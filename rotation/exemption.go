package rotation

import (
	"slices"
	"strconv"
	"time"
)

// An exemption that is asked for in Slack is of one key, by its id: the user's next key has to be accepted anew. It is decided upon as a change
// in AWS is, by the rule for its user and by other people than who asks and who owns the key, and as many must approve of it as of the
// rule's gravest change: what is accepted stays as it is for up to a year. It hides nothing: the digest lists it, and it ends by itself.
// Of a key that is exposed or reported as leaked nothing can be accepted, and a rotation of the key may begin whenever it likes.

// ExemptionStage is where an exemption that was asked for stands.
type ExemptionStage string

// The stages of an exemption. After the first two nothing happens any more.
const (
	ExemptAsked     ExemptionStage = "asked"
	ExemptHeld      ExemptionStage = "held"
	ExemptDenied    ExemptionStage = "denied"
	ExemptWithdrawn ExemptionStage = "withdrawn" // before it was decided upon
	ExemptLapsed    ExemptionStage = "lapsed"    // nobody decided in time
	ExemptEnded     ExemptionStage = "ended"     // early, by a person
	ExemptOver      ExemptionStage = "over"      // at its date
	ExemptReplaced  ExemptionStage = "replaced"  // by a later one of the same key
	ExemptGone      ExemptionStage = "gone"      // the key is not there any more
	ExemptLeaked    ExemptionStage = "leaked"    // the key was reported as leaked
)

// Ended tells whether nothing can happen to the exemption any more.
func (s ExemptionStage) Ended() bool { return s != ExemptAsked && s != ExemptHeld }

// KeyExemption is an exemption of one key, from the asking to its end.
type KeyExemption struct {
	ID        string // the id of the user's document, a dash, "e" and a number
	User      UserRef
	UserID    string
	Key       KeyID
	Reason    string
	Until     time.Time // the first moment at which it does not hold any more
	Requester MemberID
	Owner     MemberID // or the group that owns the user; empty: nobody does
	Traits    Traits   // by which the rule of its approvals is found
	Wanted    int      // how many must approve
	Once      string   // names the asking

	Stage     ExemptionStage
	Turn      int
	Asked     time.Time
	Deadline  time.Time // when it lapses if nobody decides
	Since     time.Time // when Stage was entered
	Shown     Key       // as the approvers see it
	ShownAt   time.Time
	Found     []Breach // what was found about the key then
	Decisions []Decision
	EndedBy   MemberID
	Warned    time.Time // when it was so near to its end that people are told; zero: it is not
}

// Ref is the reference that a button shown now carries.
func (x KeyExemption) Ref() Ref { return Ref{x.ID, x.Turn} }

// Holds tells whether the exemption is in force.
func (x KeyExemption) Holds(now time.Time) bool { return x.Stage == ExemptHeld && now.Before(x.Until) }

// Exemption is what a finding carries of it.
func (x KeyExemption) Exemption() Exemption {
	return Exemption{Reason: x.Reason, Until: x.Until, By: x.Approvers()}
}

// Approvers lists who has approved.
func (x KeyExemption) Approvers() []MemberID {
	var by []MemberID
	for _, d := range x.Decisions {
		if d.Approve {
			by = append(by, d.By)
		}
	}
	return by
}

// Lacks is how many more must approve.
func (x KeyExemption) Lacks() int { return max(x.Wanted, 1) - len(x.Approvers()) }

// exemptionWarning is how long before its end people are told of it.
const exemptionWarning = 7 * 24 * time.Hour

// NearEnd tells whether it holds, and not for long.
func (x KeyExemption) NearEnd(now time.Time) bool {
	return x.Holds(now) && !now.Before(x.Until.Add(-exemptionWarning))
}

// warnsAt is when people are told that it ends soon; zero: they have been, or its approval told them.
func (x KeyExemption) warnsAt() time.Time {
	at := x.Until.Add(-exemptionWarning)
	if x.Stage != ExemptHeld || !x.Warned.IsZero() || !at.After(x.Since) {
		return time.Time{}
	}
	return at
}

// next is when something falls due for it by itself; zero: never.
func (x KeyExemption) next() time.Time {
	switch warns := x.warnsAt(); {
	case x.Stage == ExemptAsked:
		return x.Deadline
	case x.Stage != ExemptHeld:
		return time.Time{}
	case !warns.IsZero():
		return warns
	}
	return x.Until
}

// enter makes the exemption enter a stage.
func (x *KeyExemption) enter(s ExemptionStage, at time.Time) {
	x.Stage, x.Since = s, at
	x.Turn++
}

// decide counts a decision in, and tells whether that ends the asking.
func (x *KeyExemption) decide(d Decision) bool {
	x.Decisions = append(slices.Clone(x.Decisions), d)
	switch {
	case !d.Approve:
		x.enter(ExemptDenied, d.At)
	case x.Lacks() <= 0:
		x.enter(ExemptHeld, d.At)
	default:
		return false
	}
	return true
}

// differs tells whether a key is not as it was shown to the approvers, in what they may have gone by: its status, and that it was never
// used. That a key in use is used again changes nothing.
func (x KeyExemption) differs(k Key) bool {
	began := x.Shown.LastUse.State == NeverUsed && k.LastUse.State == Used
	return x.Shown.Status != k.Status || began
}

// What stays of exemptions and snoozes in a user's document: those that are not over, and the latest of the others.
const (
	keepExemptions = 5
	keepSnoozes    = 8
	// maxUnended bounds the exemptions of a user that are not over: of each of two keys, one that holds and one that is asked for.
	maxUnended = 4
)

// FindExemption returns the exemption with that id.
func (p *Progress) FindExemption(id string) (*KeyExemption, bool) {
	i := slices.IndexFunc(p.Exemptions, func(x KeyExemption) bool { return x.ID == id })
	if i < 0 {
		return nil, false
	}
	return &p.Exemptions[i], true
}

// ExemptionOf is the exemption in force of a key of the user, if there is one.
func (p Progress) ExemptionOf(key KeyID, now time.Time) (KeyExemption, bool) {
	for _, x := range p.Exemptions {
		if x.Key == key && x.Holds(now) {
			return x, true
		}
	}
	return KeyExemption{}, false
}

// askedFor is the exemption of a key that is still to be decided upon.
func (p Progress) askedFor(key KeyID) (KeyExemption, bool) {
	i := slices.IndexFunc(p.Exemptions, func(x KeyExemption) bool { return x.Key == key && x.Stage == ExemptAsked })
	if i < 0 {
		return KeyExemption{}, false
	}
	return p.Exemptions[i], true
}

func (p *Progress) addExemption(x KeyExemption) {
	p.Exemptions = append(slices.Clip(p.Exemptions), x)
	for i := 0; len(p.Exemptions) > keepExemptions && i < len(p.Exemptions); {
		if !p.Exemptions[i].Stage.Ended() {
			i++
			continue
		}
		p.forgetPosts(p.Exemptions[i].ID)
		p.Exemptions = slices.Delete(p.Exemptions, i, i+1)
	}
}

// grantID names something new of the user: Rev is another one at each write.
func (p Progress) grantID(kind string) string {
	return p.User.ID() + "-" + kind + strconv.FormatUint(p.Rev+1, 10)
}

// exemptionEntry is the audit line of what happened to an exemption.
func (x KeyExemption) exemptionEntry(actor, action, detail string) Entry {
	return Entry{At: x.Since, Actor: actor, Action: action, Outcome: "moved", User: x.User.String(), Rotation: x.ID, Key: x.Key, Detail: detail}
}

// tend lets the clock go on with exemptions and snoozes, and tells whether anything has changed.
func (p *Progress) tend(now time.Time) bool {
	changed := false
	for i, x := range p.Exemptions {
		at := x.next()
		if at.IsZero() || now.Before(at) {
			continue
		}
		switch {
		case x.Stage == ExemptAsked:
			x.enter(ExemptLapsed, now)
			p.log(x.exemptionEntry(TheClock.String(), "lapse-exemption", ""))
		case !now.Before(x.Until):
			x.enter(ExemptOver, now)
			p.log(x.exemptionEntry(TheClock.String(), "end-exemption", "at its date"))
		default:
			x.Warned = now
		}
		p.Exemptions = slices.Clone(p.Exemptions)
		p.Exemptions[i], changed = x, true
	}
	changed = p.endSnoozes(now) || changed
	p.Owed = p.Owed || changed
	return changed
}

// tends is when tend has something to do; zero: never.
func (p Progress) tends() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, x := range p.Exemptions {
		sooner(x.next())
	}
	for _, s := range p.Snoozes {
		if s.Ended.IsZero() {
			sooner(s.Until)
		}
	}
	return at
}

// ownedBy has a new owner be told of what is accepted.
func (p *Progress) ownedBy(owner MemberID) {
	p.Exemptions, p.Snoozes = slices.Clone(p.Exemptions), slices.Clone(p.Snoozes)
	for i := range p.Exemptions {
		if !p.Exemptions[i].Stage.Ended() {
			p.Exemptions[i].Owner = owner
		}
	}
	for i := range p.Snoozes {
		if p.Snoozes[i].Ended.IsZero() {
			p.Snoozes[i].Owner = owner
		}
	}
}

// deleted is the key that an event tells to be deleted; empty: none.
func deleted(r Rotation, ev Event) KeyID {
	switch {
	case ev.On != Succeed:
	case r.Stage == Deleting:
		return r.Old
	case r.Stage == Discarding:
		return r.New
	}
	return ""
}

// leaves ends what is accepted of a key that is not there any more, or that others may have.
func (p *Progress) leaves(key KeyID, why ExemptionStage, at time.Time) {
	if key == "" {
		return
	}
	p.Exemptions = slices.Clone(p.Exemptions)
	for i := range p.Exemptions {
		if x := &p.Exemptions[i]; x.Key == key && !x.Stage.Ended() {
			x.enter(why, at)
			p.log(x.exemptionEntry(TheEngine.String(), "end-exemption", string(why)))
			p.Owed = true
		}
	}
	p.dropSnoozes(key, why, at)
}
