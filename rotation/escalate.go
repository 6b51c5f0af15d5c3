package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// While an ask waits, the engine has those asked reminded, at growing intervals of their own working time, and after a while has a second
// circle asked as well, who may decide from then on. When it looks next is kept in the ask, so that nothing of it is lost in a crash, and
// each time is one compare-and-swap, so that it comes once however many processes there are. Which intervals, and after which time, is among
// the terms of a rotation; who they are is asked of the rule as it is configured then, like all authority.

// Escalation is who else is asked when an ask has waited for a time.
type Escalation struct {
	After time.Duration // by the clock, day and night, so that everybody can tell when; 0: nobody else is asked
	To    Circle
}

// DefaultReminders are the intervals at which those asked are reminded, if a rule says nothing else: each after the one before it.
func DefaultReminders() []time.Duration {
	return []time.Duration{4 * time.Hour, oneDay, 2 * oneDay}
}

// leakReminders are for an ask about a leaked key, which waits for nobody's working hours.
var leakReminders = []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour}

// How much there is of reminders: intervals in a rule, and messages about one ask, of which there are several for one interval where people
// work in several zones.
const (
	MaxReminders = 5
	maxNudges    = 9
)

// lookAgain is when the engine looks again whom to remind, if it could not be found out who is asked.
const lookAgain = 15 * time.Minute

// Decides is who may decide about what is asked: those whom the rule names, and the second circle once it has been asked.
func (a Approval) Decides(r Rotation) Circle {
	if ask, open := r.CurrentAsk(); open && !ask.Escalated.IsZero() {
		return a.By.and(a.Escalate.To)
	}
	return a.By
}

// reminders are the intervals for the open ask.
func (r Rotation) reminders() []time.Duration {
	if r.Stage == Leaked {
		return leakReminders
	}
	return r.Terms.Remind
}

// timed sets when a new ask is brought to mind. One that takes the place of another because the facts have changed leaves the second circle
// asked, or about to be.
func (r Rotation) timed(a Ask, on On) Ask {
	if steps := r.reminders(); len(steps) > 0 {
		a.Again = a.At.Add(steps[0]) // nobody's working time is over sooner
	}
	if r.Terms.Escalate > 0 && r.Stage != Leaked {
		a.Escalates = a.At.Add(r.Terms.Escalate)
	}
	if n := len(r.Asks); on == Renew && n > 0 {
		a.Escalates, a.Escalated = r.Asks[n-1].Escalates, r.Asks[n-1].Escalated
	}
	return a
}

// stirs is when the engine has to do with the open ask next; zero: never by itself.
func (r Rotation) stirs() time.Time {
	ask, open := r.CurrentAsk()
	if complete(r) {
		return time.Time{}
	}
	if !open || ask.Escalates.IsZero() || !ask.Again.IsZero() && ask.Again.Before(ask.Escalates) {
		return ask.Again
	}
	return ask.Escalates
}

// stirring tells whether that is now.
func (r Rotation) stirring(now time.Time) bool {
	at := r.stirs()
	return !at.IsZero() && !now.Before(at)
}

// stir has the second circle asked, or those who have not decided reminded, whichever is due.
func (e *Engine) stir(ctx context.Context, r Rotation) error {
	ask, _ := r.CurrentAsk()
	if now := e.now(); !ask.Escalates.IsZero() && !now.Before(ask.Escalates) {
		return e.escalate(ctx, r)
	}
	return e.nudge(ctx, r)
}

// onAsk changes the open ask of r, unless it has been brought to mind, or answered, meanwhile.
func (e *Engine) onAsk(ctx context.Context, r Rotation, fn func(*Progress, *Ask) error) error {
	was, _ := r.CurrentAsk()
	_, err := e.onTurn(ctx, r, func(p *Progress, cur *Rotation) error {
		ask, open := cur.CurrentAsk()
		if !open || !ask.Again.Equal(was.Again) || !ask.Escalates.Equal(was.Escalates) {
			return fmt.Errorf("somebody else has seen to the ask of %s: %w", r.ID, ErrConflict)
		}
		if err := fn(p, &ask); err != nil {
			return err
		}
		cur.Asks = slices.Clone(cur.Asks)
		cur.Asks[len(cur.Asks)-1] = ask
		return nil
	})
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// escalate lets the second circle decide as well. A crash before its write leaves it to be done; one after it, a message that is owed.
func (e *Engine) escalate(ctx context.Context, r Rotation) error {
	to := e.approvals.ForRotation(r).Escalate.To
	return e.onAsk(ctx, r, func(p *Progress, ask *Ask) error {
		now := e.now()
		ask.Escalates = time.Time{}
		if to.Empty() { // the rule has changed since
			return nil
		}
		ask.Escalated, p.Owed = now, true
		if steps := r.reminders(); len(steps) > 0 && (ask.Again.IsZero() || now.Add(steps[0]).Before(ask.Again)) {
			ask.Again = now.Add(steps[0])
		}
		p.log(clockEntry(r, now, "escalate", "asked too: "+to.String()))
		return nil
	})
}

// nudge has those reminded who are asked, can decide, have not, and whose time has come and who are at work. A crash before its write leaves
// it to be done; one after it, a message that is owed.
func (e *Engine) nudge(ctx context.Context, r Rotation) error {
	now := e.now()
	people, unread := e.askedPeople(ctx, r)
	due, again := map[MemberID]bool{}, time.Time{}
	sooner := func(t time.Time) {
		if !t.IsZero() && (again.IsZero() || t.Before(again)) {
			again = t
		}
	}
	for _, c := range people {
		at, next := e.reminderFor(ctx, r, c, now)
		if due[c.Member] = !at.IsZero() && !now.Before(at); due[c.Member] {
			at = next
		}
		sooner(at)
	}
	if unread != nil {
		e.log.Warn("find out who is to be reminded", "rotation", r.ID, "err", unread)
		sooner(now.Add(lookAgain))
	}
	return e.onAsk(ctx, r, func(p *Progress, ask *Ask) error {
		var to []MemberID
		for _, c := range people {
			if due[c.Member] && !ask.approvedBy(c.Member) {
				to = append(to, c.Member)
			}
		}
		if ask.Again = again; len(to) == 0 {
			return nil
		}
		ask.Reminders = append(slices.Clip(ask.Reminders), Reminder{At: now, To: to})
		if len(ask.Reminders)-ask.byPeople() >= maxNudges {
			ask.Again = time.Time{}
		}
		p.Owed = true
		p.log(clockEntry(r, now, "remind", "reminded: "+Circle{Members: to}.String()))
		return nil
	})
}

// clockEntry tells of something that the clock has brought and that moves nothing.
func clockEntry(r Rotation, at time.Time, action, detail string) Entry {
	return Entry{
		At: at, Actor: TheClock.String(), Action: action, Outcome: "moved", User: r.User.String(), Rotation: r.ID,
		From: r.Stage, To: r.Stage, Key: r.Old, Detail: detail,
	}
}

// askedPeople lists those who are asked and whom nothing bars, at most as many as an explanation looks up. Of whom it cannot be told is told
// with the error.
func (e *Engine) askedPeople(ctx context.Context, r Rotation) ([]Candidate, error) {
	circle := e.approvals.ForRotation(r).Decides(r)
	if r.Stage == Leaked {
		circle = circle.and(e.approvals.Default().By)
	}
	x := Explanation{Owner: r.Owner, Group: r.Group, Running: &r}
	var unread error
	x.People, unread = e.candidates(ctx, circle)
	x.People = x.People[:min(len(x.People), maxLookups)]
	e.bar(ctx, &x)
	var able []Candidate
	for _, c := range x.People {
		switch {
		case c.Bar == NoBar, r.Stage == Leaked && c.Bar != HasNoStand && c.Bar != StandUnknown: // one word is enough, whosever it is
			able = append(able, c)
		case c.Bar == StandUnknown:
			unread = errors.Join(unread, fmt.Errorf("look up member %s", c.Member))
		}
	}
	return able, unread
}

// reminderFor is when somebody is to be reminded next, and when after that; zero: not any more.
func (e *Engine) reminderFor(ctx context.Context, r Rotation, c Candidate, now time.Time) (at, next time.Time) {
	ask, _ := r.CurrentAsk()
	since, n := ask.At, 0
	if by := e.approvals.ForRotation(r).By; !ask.Escalated.IsZero() && !slices.Contains(by.Members, c.Member) && !slices.Contains(by.Groups, c.Via) {
		since = ask.Escalated
	}
	for _, x := range ask.Reminders {
		if slices.Contains(x.To, c.Member) {
			since, n = x.At, n+1
		}
	}
	steps := r.reminders()
	if n >= len(steps) {
		return time.Time{}, time.Time{}
	}
	after := afterWork
	zone := e.zone(ctx, c.Member)
	if r.Stage == Leaked {
		after = time.Time.Add
	}
	if at = after(since.In(zone), steps[n]); !now.Before(at) && r.Stage != Leaked {
		at = atWork(now.In(zone)) // it is late; it waits for the morning if need be
	}
	if n+1 < len(steps) {
		next = after(now.In(zone), steps[n+1])
	}
	return at, next
}

// zone is where somebody works, as Slack has it, or else that of the schedules, as for a group.
func (e *Engine) zone(ctx context.Context, m MemberID) *time.Location {
	if e.cfg.Zone != nil && m != "" && !m.IsGroup() {
		if zone := e.cfg.Zone(ctx, m); zone != nil {
			return zone
		}
	}
	if e.cfg.Location != nil {
		return e.cfg.Location
	}
	return time.UTC
}

// approvedBy tells whether somebody has approved.
func (a Ask) approvedBy(m MemberID) bool {
	return slices.ContainsFunc(a.Decisions, func(d Decision) bool { return d.Approve && d.By == m })
}

// byPeople counts the reminders that a person typed.
func (a Ask) byPeople() int {
	n := 0
	for _, x := range a.Reminders {
		if x.By != "" {
			n++
		}
	}
	return n
}

// forgetWhom drops what is of use only while the ask is open: the entries have whom the reminders went to.
func (a *Ask) forgetWhom() {
	a.Again = time.Time{}
	a.Reminders = slices.Clone(a.Reminders)
	for i := range a.Reminders {
		a.Reminders[i].To = nil
	}
}

// forgetReminders keeps what was told beside the cards of the latest asks alone: the messages about earlier ones say already what became of
// them, and the entries have all.
func (r *Rotation) forgetReminders(but int) {
	r.Asks = slices.Clone(r.Asks)
	for i := range len(r.Asks) - but {
		r.Asks[i].Reminders, r.Asks[i].Escalated, r.Asks[i].Lapsed = nil, time.Time{}, time.Time{}
	}
}

// String lists the members and groups.
func (c Circle) String() string {
	var all []string
	for _, m := range c.Members {
		all = append(all, string(m))
	}
	for _, g := range c.Groups {
		all = append(all, string(g))
	}
	return strings.Join(all, ", ")
}
