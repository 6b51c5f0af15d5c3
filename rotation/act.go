package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Request begins a rotation, or says with a *Refusal why it cannot. The owner may ask, and so may an approver or on-call for an
// owner; whoever asks cannot approve.
//
// A crash before its write leaves nothing; one after it, a rotation that has begun and that others find by Live, though nobody was told.
func (e *Engine) Request(ctx context.Context, q Request) (Progress, error) {
	p, err := e.request(ctx, q)
	if err != nil {
		return p, e.refused(ctx, q.User, "", Entry{Actor: q.By.String(), Action: "request", Key: q.Key}, err)
	}
	e.feed.add(q.User.ID())
	e.Wake()
	return p, nil
}

func (e *Engine) request(ctx context.Context, q Request) (Progress, error) {
	about, err := e.requestable(ctx, q)
	if err != nil {
		return Progress{}, err
	}
	seen, err := e.look(ctx, q.User)
	if err != nil {
		return Progress{}, unreachable(q.User, err)
	}
	for {
		p, err := e.cfg.Store.Get(ctx, q.User.ID())
		fresh := errors.Is(err, ErrNotFound)
		if fresh {
			p, err = Progress{User: q.User}, nil
		}
		if err != nil {
			return p, fmt.Errorf("read progress of %s: %w", q.User, err)
		}
		if q.Leak {
			e.giveWay(&p, q)
		}
		if earlier, there := p.inTheWay(q); there {
			return p, &Refusal{Code: AlreadyRuns, User: q.User, Rotation: earlier}
		}
		r, err := e.starting(ctx, q, about, seen)
		if err != nil {
			return p, err
		}
		p.Begin(r)
		if q.Leak {
			p.leaves(r.Old, ExemptLeaked, e.now())
		}
		p.log(Entry{
			At: e.now(), Actor: q.By.String(), Action: "request", Outcome: "moved", User: q.User.String(), Rotation: p.Rotation.ID,
			To: r.Stage, Key: r.Old, Detail: r.Reason,
		})
		stored, err := e.put(ctx, p, fresh)
		if !errors.Is(err, ErrConflict) {
			return stored, err
		}
	}
}

// inTheWay finds the rotation that runs, or the one that the very same asking has begun, ended or not.
func (p Progress) inTheWay(q Request) (*Rotation, bool) {
	if r, runs := p.Running(); runs {
		return r, true
	}
	for _, r := range p.All() {
		if q.Once != "" && r.Once == q.Once {
			return &r, true
		}
	}
	return nil, false
}

func (e *Engine) put(ctx context.Context, p Progress, fresh bool) (Progress, error) {
	if fresh {
		return e.cfg.Store.Create(ctx, p)
	}
	return e.replace(ctx, p)
}

// subject is the user that a request is about, as far as it says who is asked.
type subject struct {
	user   UserRef // as AWS spells it
	known  User
	owns   Ownership
	traits Traits
	rule   Approval
}

// subject reads a user.
func (e *Engine) subject(ctx context.Context, ref UserRef) (subject, error) {
	user, err := e.describe(ctx, ref)
	if err != nil {
		return subject{}, err
	}
	s := subject{user: user.Ref, known: user, traits: e.approvals.traits(user)}
	s.rule = e.approvals.For(s.user, s.traits)
	s.owns, err = e.ownership(ctx, user)
	return s, err
}

// requestable finds the owner and checks that the person may ask, and that somebody could approve.
func (e *Engine) requestable(ctx context.Context, q Request) (subject, error) {
	s, err := e.subject(ctx, q.User)
	if err != nil {
		return s, err
	}
	approver, unread := e.within(ctx, s.rule.By, q.By.Member)
	responds := q.Leak && (approver || q.By.Approver || q.By.OnCall)
	if !responds {
		if s.owns, err = e.collects(ctx, s.owns, q); err != nil {
			return s, err
		}
	}
	owner := s.owns.Member
	may := approver || q.By.OnCall || owner != "" && q.By.Member == owner
	switch {
	case responds: // it goes on without an owner too, and on one person's word
		return s, nil
	case s.owns.Unknown():
		return s, &Refusal{Code: OwnerUnknown, User: q.User, Err: s.owns.Err}
	case !may && unread != nil:
		return s, &Refusal{Code: GroupUnread, User: q.User, Err: unread}
	case !may:
		return s, &Refusal{Code: NotOwner, User: q.User, By: owner}
	case q.Leak:
		return s, nil
	case owner == "":
		return s, &Refusal{Code: NoOwner, User: q.User, Doubt: s.owns.Doubt}
	}
	return s, e.approvable(ctx, q, s)
}

func unreachable(u UserRef, err error) error {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal
	}
	if ClassOf(err) == ClassGone {
		return &Refusal{Code: UserGone, User: u, Err: err}
	}
	return &Refusal{Code: Unreachable, User: u, Err: err}
}

// Act lets a person cause an event. The reference says which rotation they mean and at which turn they saw it, so that the second
// of two clicks finds that the first was there. A nil error means that the move is stored; its effect follows.
//
// A crash before its write leaves the rotation as it was; one after it, the move with its decision and its entry, whose effect is made by
// whoever finds it, and which the same click, done again, is told of.
func (e *Engine) Act(ctx context.Context, ref Ref, on On, by Actor, reason string) (Progress, error) {
	return e.cause(ctx, ref, Event{On: on, By: by, Reason: reason})
}

// Collect lets the owner have the new key made, to be shown in a window that they have opened. It is Act otherwise.
func (e *Engine) Collect(ctx context.Context, ref Ref, by Actor, modal string) (Progress, error) {
	return e.cause(ctx, ref, Event{On: Collect, By: by, Modal: modal})
}

func (e *Engine) cause(ctx context.Context, ref Ref, ev Event) (Progress, error) {
	p, err := e.act(ctx, ref, ev)
	if err != nil {
		entry := Entry{Actor: ev.By.String(), Action: string(ev.On), Rotation: ref.ID, Detail: ev.Reason}
		return p, e.refused(ctx, p.User, ref.UserDoc(), entry, err)
	}
	e.feed.add(ref.UserDoc())
	e.Wake()
	return p, nil
}

func (e *Engine) act(ctx context.Context, ref Ref, ev Event) (Progress, error) {
	for {
		p, err := e.cfg.Store.Get(ctx, ref.UserDoc())
		if errors.Is(err, ErrNotFound) {
			return p, &Refusal{Code: Outdated}
		}
		if err != nil {
			return p, fmt.Errorf("read rotation %s: %w", ref.ID, err)
		}
		cur, err := p.at(ref)
		if err != nil {
			return p, err
		}
		ev.At = e.now()
		stepErr := e.expire(&p, cur, ev.At)
		if stepErr == nil {
			if ev.By, err = e.roles(ctx, *cur, ev); err != nil {
				return p, err
			}
			move, err := cur.check(ev)
			if err == nil {
				err = e.inWindow(*cur, move, &ev)
			}
			if err != nil {
				return p, err
			}
			if err := e.refill(ctx, *cur, &ev); err != nil {
				return p, err
			}
			var lookErr error
			if move.Gate != nil {
				ev.Evidence, lookErr = e.look(ctx, p.User)
			}
			if stepErr = e.tryStep(&p, cur, ev, lookErr); stepErr != nil && !e.followUp(&p, cur, ev, stepErr) {
				return p, stepErr
			}
		}
		stored, err := e.replace(ctx, p)
		switch {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			return p, fmt.Errorf("write rotation %s: %w", ref.ID, err)
		}
		e.feed.add(ref.UserDoc())
		return stored, stepErr
	}
}

// tryStep makes the move, unless the facts could not be read.
func (e *Engine) tryStep(p *Progress, cur *Rotation, ev Event, lookErr error) error {
	if lookErr != nil {
		return unreachable(p.User, lookErr)
	}
	return e.step(p, cur, ev)
}

// expire lets the clock go first where it is late: an ask whose time is over is not decided any more. The refusal says what became of it.
func (e *Engine) expire(p *Progress, cur *Rotation, now time.Time) error {
	late := !cur.Deadline.IsZero() && !now.Before(cur.Deadline)
	if !late || cur.Stage != Requested && cur.Stage != Confirmed && cur.Stage != Offered {
		return nil
	}
	if err := e.step(p, cur, Event{On: Elapse, By: TheClock, At: now}); err != nil {
		return err
	}
	after := *cur
	refusal := &Refusal{Code: Outdated, User: p.User, Rotation: &after}
	if after.Ended() {
		refusal.Code = HasEnded
	}
	return refusal
}

// at finds the rotation as the person saw it, or says what has happened since.
func (p *Progress) at(ref Ref) (*Rotation, error) {
	r, ok := p.Find(ref.ID)
	if !ok {
		return nil, &Refusal{Code: Outdated, User: p.User}
	}
	if r.Turn == ref.Turn {
		return r, nil
	}
	refusal := &Refusal{Code: Outdated, User: p.User, Rotation: r}
	for _, a := range r.Asks {
		if d, ok := a.ClosedBy(); ok && a.Turn == ref.Turn {
			refusal.Code, refusal.By, refusal.Turn = Decided, d.By, a.Turn
		}
	}
	if refusal.Code == Outdated && r.Ended() {
		refusal.Code = HasEnded
	}
	return nil, refusal
}

// check refuses what needs no look at AWS to be refused.
func (r Rotation) check(ev Event) (Move, error) {
	move, ok := r.find(ev.On)
	if !ok {
		return move, r.noMove(ev.On)
	}
	return move, r.allow(move, ev.By)
}

// followUp makes the move that a shut gate itself calls for, and tells whether there is one: a person is asked if somebody else
// changed the keys; an approver is asked again if the evidence changed and holds; the owner is back at switching if it does not. What an
// owner's confirmation lacks moves nothing, and is kept.
func (e *Engine) followUp(p *Progress, cur *Rotation, ev Event, stepErr error) bool {
	refusal, ok := errors.AsType[*Refusal](stepErr)
	if !ok || refusal.Code != Blocked && refusal.Code != UserGone {
		return false
	}
	next := Event{By: TheEngine, At: ev.At, Evidence: ev.Evidence}
	var first Block
	if len(refusal.Blocks) > 0 {
		first = refusal.Blocks[0]
	}
	switch {
	case refusal.Code == UserGone:
		next.On, next.Failure = Fail, Failure{Class: ClassGone, Text: refusal.Error()}
	case slices.ContainsFunc(refusal.Blocks, Block.Foreign):
		first = refusal.Blocks[slices.IndexFunc(refusal.Blocks, Block.Foreign)]
		next.On, next.Failure = Fail, changed(first)
	case first.Code == NotAsShown:
		next.On = Renew
	case ev.On == Confirm && cur.Stage == Switching: // what is missing is kept, and looked at again
	case ev.On == Approve && !unknown(refusal.Blocks):
		next.On, next.Failure = Refute, changed(first)
	default:
		return false
	}
	if next.On == "" {
		cur.Proof, p.Owed = cur.Proof.found(refusal.Blocks, ev.At), true
		if e.traceDue(*cur, ev.At) {
			cur.Proof.Again = ev.At // who uses the old key is read with the next look
		}
		return true
	}
	if _, ok := cur.find(next.On); !ok {
		return false
	}
	before := *cur
	if e.step(p, cur, next) != nil {
		return false
	}
	refusal.Rotation = &before
	return true
}

// Receipt notes that the owner has stored the secret; the message that showed it is deleted after that. In place of the turn, the
// reference says which of the keys issued so far it is about. A crash after its write leaves the message due to be deleted.
func (e *Engine) Receipt(ctx context.Context, ref Ref, by Actor) (Progress, error) {
	p, err := e.update(ctx, ref.UserDoc(), func(p *Progress) error {
		r, ok := p.Find(ref.ID)
		switch {
		case !ok:
			return &Refusal{Code: Outdated, User: p.User}
		case by.Member != r.Owner:
			return &Refusal{Code: NotOwner, User: p.User, Rotation: r, By: r.Owner}
		case ref.Turn != r.Issued:
			return &Refusal{Code: Outdated, User: p.User, Rotation: r}
		case !r.Handover.Received.IsZero():
			return nil
		}
		r.Handover.Received = e.now()
		p.Owed = true
		p.log(Entry{
			At: e.now(), Actor: by.String(), Action: "receipt", Outcome: "moved", User: p.User.String(), Rotation: r.ID,
			From: r.Stage, To: r.Stage, Key: r.New,
		})
		return nil
	})
	if err != nil {
		return p, e.refused(ctx, p.User, ref.UserDoc(), Entry{Actor: by.String(), Action: "receipt", Rotation: ref.ID}, err)
	}
	return p, nil
}

// refused records a refusal and returns it. If it cannot be recorded, that is said as well. A crash after its write leaves the entry of a
// refusal that nobody was told of.
func (e *Engine) refused(ctx context.Context, user UserRef, id string, entry Entry, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeTime) // it may be the time that has run out
	defer cancel()
	entry.At, entry.Outcome = e.now(), "refused"
	if refusal, ok := errors.AsType[*Refusal](cause); !ok || refusal.Code == Unreachable {
		entry.Outcome = "failed"
	}
	entry.Action, entry.Detail = clip(entry.Action), clip(cause.Error())
	if user.Name != "" {
		entry.User = user.String()
		id = user.ID()
	}
	err := ErrNotFound
	if id != "" {
		_, err = e.update(ctx, id, func(p *Progress) error {
			p.log(entry)
			_, runs := p.Running()
			p.Owed = p.Owed || runs && entry.Rotation != "" // to be told
			return nil
		})
	}
	if errors.Is(err, ErrNotFound) {
		err = e.cfg.Store.Record(ctx, keyTime(entry.At)+"/"+rand.Text(), entry)
	}
	if err != nil {
		return errors.Join(cause, fmt.Errorf("record the refusal: %w", err))
	}
	return cause
}

// maxReason bounds what somebody typed and maxDetail what else is told, in bytes as JSON writes them.
const (
	maxReason = 1000
	maxDetail = 600
)

func clip(s string) string { return clipTo(s, maxDetail) }

func clipTo(s string, most int) string {
	size := 0
	for i, c := range s {
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			size += 2
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == '\u2028' || c == '\u2029' || c == utf8.RuneError:
			size += len(`\u003c`)
		default:
			size += utf8.RuneLen(c)
		}
		if size > most {
			return strings.ToValidUTF8(s[:i], "") + "…"
		}
	}
	return s
}

// Refuse records that a person was turned away before any rotation was concerned, such as a guest.
func (e *Engine) Refuse(ctx context.Context, by MemberID, action string, cause error) error {
	return e.refused(ctx, UserRef{}, "", Entry{Actor: string(by), Action: action}, cause)
}

// May tells whether Act would let a person through as far as can be told without asking AWS, and records a refusal as Act does.
func (e *Engine) May(ctx context.Context, ref Ref, on On, by Actor) (Progress, error) {
	p, err := e.Get(ctx, ref.UserDoc())
	if err == nil {
		var cur *Rotation
		if cur, err = p.at(ref); err == nil {
			ev := Event{On: on, By: by}
			if ev.By, err = e.roles(ctx, *cur, ev); err == nil {
				var move Move
				if move, err = cur.check(ev); err == nil {
					err = e.inWindow(*cur, move, &ev)
				}
			}
		}
	} else if errors.Is(err, ErrNotFound) {
		err = &Refusal{Code: Outdated}
	}
	if err != nil {
		return p, e.refused(ctx, p.User, ref.UserDoc(), Entry{Actor: by.String(), Action: string(on), Rotation: ref.ID}, err)
	}
	return p, nil
}
