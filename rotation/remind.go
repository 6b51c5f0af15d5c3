package rotation

import (
	"context"
	"slices"
	"time"
)

// Reminder is one time that somebody, or the clock, had the approvers asked again.
type Reminder struct {
	By MemberID // empty: the clock
	At time.Time
	To []MemberID // whom the clock had reminded, while the ask is open; of a person's, all who may decide
}

// How often the approvers are asked again about one ask: so that it helps who waits, and stays worth reading.
const (
	remindEvery  = time.Hour
	maxReminders = 5
)

// Remind has the approvers asked again about what they have been asked for a while. The owner and the requester may. A crash before its
// write leaves nothing; one after it, a message that is owed.
func (e *Engine) Remind(ctx context.Context, id string, by Actor) (Progress, error) {
	doc := Ref{ID: id}.UserDoc()
	p, err := e.update(ctx, doc, func(p *Progress) error {
		r, ok := p.Find(id)
		if !ok {
			return &Refusal{Code: Outdated, User: p.User}
		}
		if err := r.remind(by, e.now()); err != nil {
			return err
		}
		p.Owed = true
		p.log(Entry{
			At: e.now(), Actor: by.String(), Action: "remind", Outcome: "moved", User: p.User.String(), Rotation: r.ID,
			From: r.Stage, To: r.Stage, Key: r.Old,
		})
		return nil
	})
	if err != nil {
		return p, e.refused(ctx, p.User, doc, Entry{Actor: by.String(), Action: "remind", Rotation: id}, err)
	}
	return p, nil
}

// remind adds a reminder to the open ask, or says why not now.
func (r *Rotation) remind(by Actor, now time.Time) error {
	refusal := &Refusal{User: r.User, Rotation: r, By: r.Owner}
	ask, open := r.CurrentAsk()
	if by.Member != r.Owner && by.Member != r.Requester {
		refusal.Code = NotOwner
		return refusal
	}
	last := ask.At
	if n := len(ask.Reminders); n > 0 {
		last = ask.Reminders[n-1].At
	}
	switch {
	case r.Ended():
		refusal.Code = HasEnded
	case !open:
		refusal.Code = NothingAsked
	case ask.byPeople() >= maxReminders:
		refusal.Code = RemindedOften
	case now.Before(last.Add(remindEvery)):
		refusal.Code, refusal.Again = TooSoon, last.Add(remindEvery)
	default:
		ask.Reminders = append(slices.Clip(ask.Reminders), Reminder{By: by.Member, At: now})
		r.Asks[len(r.Asks)-1] = ask
		return nil
	}
	return refusal
}

// Reminded tells whether somebody has had the approvers asked again since a time, about the open ask.
func (r Rotation) Reminded(by MemberID, since time.Time) bool {
	ask, _ := r.CurrentAsk()
	for _, x := range ask.Reminders {
		if x.By == by && !x.At.Before(since) {
			return true
		}
	}
	return false
}
