package rotation

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ExemptionRequest is what a person asks for: to accept what is found about a key for a time.
type ExemptionRequest struct {
	User   UserRef
	Key    KeyID
	Until  time.Time // the first moment at which it shall not hold any more
	Reason string
	By     Actor
	Once   string // names the asking: the same one, heard again, asks nothing twice
}

// MayExempt tells whether a person may ask for an exemption of a user's keys, and records a refusal. The owner may, and on-call.
func (e *Engine) MayExempt(ctx context.Context, u UserRef, by Actor) (Holding, error) {
	s, err := e.exempts(ctx, u, by)
	if err != nil {
		return Holding{}, e.refused(ctx, u, "", Entry{Actor: by.String(), Action: "exempt"}, err)
	}
	return e.HoldingOf(ctx, s.user)
}

// exempts reads a user whose keys somebody may ask an exemption of.
func (e *Engine) exempts(ctx context.Context, u UserRef, by Actor) (subject, error) {
	s, err := e.subject(ctx, u)
	if err != nil {
		return s, err
	}
	owner := s.owns.Owner()
	owns, err := e.owns(ctx, owner, by.Member)
	switch {
	case s.owns.Unknown():
		return s, &Refusal{Code: OwnerUnknown, User: u, Err: s.owns.Err}
	case by.OnCall || owns:
		return s, nil
	case err != nil:
		return s, &Refusal{Code: OwnerUnknown, User: u, Err: err}
	}
	return s, &Refusal{Code: NotOwner, User: u, By: owner}
}

// AskExemption asks the approvers to accept what is found about a key, or says with a *Refusal why not. Nothing is accepted by that.
//
// A crash before its write leaves nothing; one after it, an asking that the same one, done again, finds.
func (e *Engine) AskExemption(ctx context.Context, q ExemptionRequest) (KeyExemption, error) {
	x, err := e.askExemption(ctx, q)
	if err != nil {
		return x, e.refused(ctx, q.User, "", Entry{Actor: q.By.String(), Action: "exempt", Key: q.Key}, err)
	}
	e.feed.add(q.User.ID())
	e.Wake()
	return x, nil
}

func (e *Engine) askExemption(ctx context.Context, q ExemptionRequest) (KeyExemption, error) {
	now := e.now()
	s, err := e.exempts(ctx, q.User, q.By)
	switch {
	case err != nil:
		return KeyExemption{}, err
	case q.Reason == "" || !q.Until.After(now) || q.Until.After(ExemptUntil(now)):
		return KeyExemption{}, &Refusal{Code: NoSuchTime, User: q.User, Key: q.Key, Again: ExemptUntil(now)}
	}
	if err := e.approvable(ctx, Request{User: q.User, By: q.By}, s); err != nil {
		return KeyExemption{}, err
	}
	seen, err := e.acceptable(ctx, s.user, q.Key)
	if err != nil {
		return KeyExemption{}, err
	}
	expires := s.rule.terms(e.cfg.Terms).Expires
	x := KeyExemption{
		User: s.user, UserID: seen.UserID, Key: q.Key, Reason: clipTo(q.Reason, maxReason), Until: q.Until, Requester: q.By.Member,
		Owner: s.owns.Owner(), Traits: s.traits, Wanted: s.rule.Wanted.Most(), Once: q.Once,
		Stage: ExemptAsked, Turn: 1, Asked: now, Since: now, Deadline: now.Add(expires),
	}
	if x.Until.Before(x.Deadline) {
		x.Deadline = x.Until
	}
	e.showAs(&x, seen)
	for {
		p, fresh, err := e.progressOf(ctx, s.user)
		if err != nil {
			return x, err
		}
		if i := slices.IndexFunc(p.Exemptions, func(y KeyExemption) bool { return q.Once != "" && y.Once == q.Once }); i >= 0 {
			return p.Exemptions[i], nil
		}
		p.tend(now)
		if err := p.exemptible(q.Key); err != nil {
			return x, err
		}
		x.ID = p.grantID("e")
		p.addExemption(x)
		p.Owed = true
		p.log(x.exemptionEntry(q.By.String(), "exempt", "until "+x.Until.UTC().Format(time.RFC3339)+": "+x.Reason))
		if _, err := e.put(ctx, p, fresh); !errors.Is(err, ErrConflict) {
			return x, err
		}
	}
}

// ExemptUntil is until when an exemption that is asked for now may hold: to the end of the same day a year from now, in any time zone.
func ExemptUntil(now time.Time) time.Time { return now.AddDate(1, 0, 1) }

// exemptible refuses to ask for what is asked for already, and for what nobody accepts.
func (p Progress) exemptible(key KeyID) error {
	unended := slices.DeleteFunc(slices.Clone(p.Exemptions), func(x KeyExemption) bool { return x.Stage.Ended() })
	r, runs := p.Running()
	x, asked := p.askedFor(key)
	switch {
	case runs && r.Kind == Leak && r.Old == key:
		return &Refusal{Code: NeverAccepted, User: p.User, Key: key}
	case asked:
		return &Refusal{Code: ExemptionAsked, User: p.User, Key: key, Exemption: &x, By: x.Requester}
	case len(unended) >= maxUnended:
		return &Refusal{Code: ExemptionsFull, User: p.User, Key: key}
	}
	return nil
}

// showAs has the approvers see a key as it is now.
func (e *Engine) showAs(x *KeyExemption, seen Evidence) {
	x.Shown, _ = seen.Key(x.Key)
	x.ShownAt, x.Found = seen.At, nil
	for _, f := range e.cfg.Policy.For(User{Ref: x.User, Untold: true}).Findings(x.User, seen.Keys, seen.At) {
		if f.Key.ID == x.Key {
			x.Found = append(x.Found, f.Breach)
		}
	}
}

// DecideExemption approves or denies. The reference says which exemption, and at which turn it was seen.
//
// A crash before its write leaves it as it was; one after it, the decision with its entry, which the same click, done again, is told of.
func (e *Engine) DecideExemption(ctx context.Context, ref Ref, by Actor, d Decision) (KeyExemption, error) {
	d.By, d.At, d.Reason = by.Member, e.now(), clipTo(d.Reason, maxReason)
	action := "deny-exemption"
	if d.Approve {
		action = "approve-exemption"
	}
	return e.onExemption(ctx, exemptionMove{ref, by, action, d.Reason}, func(p *Progress, x *KeyExemption) (answer, err error) {
		if x.Turn != ref.Turn || x.Stage != ExemptAsked {
			return nil, &Refusal{Code: ExemptionMoved, User: p.User, Key: x.Key, Exemption: x}
		}
		if err := e.mayDecide(ctx, *x, by); err != nil {
			return nil, err
		}
		if d.Approve {
			if answer, err := e.asShown(ctx, p, x, by); answer != nil || err != nil {
				return answer, err
			}
			d.Evidence = Evidence{At: x.ShownAt, UserID: x.UserID, Keys: []Key{x.Shown}}.Digest(x.Key)
		}
		held := x.decide(d)
		entry := x.exemptionEntry(by.String(), action, d.Reason)
		entry.At = d.At
		p.log(entry)
		if held && x.Stage == ExemptHeld {
			p.replaced(x.ID, d.At)
		}
		return nil, nil
	})
}

// MayDecideExemption tells whether DecideExemption would let a person through, as far as can be told without asking AWS.
func (e *Engine) MayDecideExemption(ctx context.Context, ref Ref, by Actor) (KeyExemption, error) {
	p, err := e.Get(ctx, ref.UserDoc())
	x, there := p.FindExemption(ref.ID)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && !there:
		x, err = &KeyExemption{}, &Refusal{Code: Outdated, User: p.User}
	case err != nil:
		x = &KeyExemption{}
	case x.Turn != ref.Turn || x.Stage != ExemptAsked:
		err = &Refusal{Code: ExemptionMoved, User: p.User, Key: x.Key, Exemption: x}
	default:
		err = e.mayDecide(ctx, *x, by)
	}
	if err != nil {
		return *x, e.refused(ctx, p.User, ref.UserDoc(), Entry{Actor: by.String(), Action: "deny-exemption", Rotation: ref.ID}, err)
	}
	return *x, nil
}

// mayDecide is the rule of who decides: as of a change in AWS.
func (e *Engine) mayDecide(ctx context.Context, x KeyExemption, by Actor) error {
	refusal := &Refusal{User: x.User, Key: x.Key, Exemption: &x, By: x.Owner}
	approver, unread := e.within(ctx, e.approvals.For(x.User, x.Traits).By, by.Member)
	owner, err := e.owns(ctx, x.Owner, by.Member)
	switch {
	case !approver && unread != nil:
		refusal.Code, refusal.Err = GroupUnread, unread
	case !approver || by.Member == "":
		refusal.Code, refusal.By = NotApprover, ""
	case by.Member == x.Requester:
		refusal.Code = OwnRequest
	case err != nil:
		refusal.Code, refusal.Err = OwnerUnknown, err
	case owner:
		refusal.Code = OwnKey
	case slices.Contains(x.Approvers(), by.Member):
		refusal.Code, refusal.By = Approved, by.Member
	default:
		return nil
	}
	return refusal
}

// asShown looks whether the key is what the approvers were shown, and its owner somebody else still. An answer is told after what the look
// has found is written; an error, with nothing written.
func (e *Engine) asShown(ctx context.Context, p *Progress, x *KeyExemption, by Actor) (answer, err error) {
	user, err := e.describe(ctx, x.User)
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Code == UserGone {
		p.leaves(x.Key, ExemptGone, e.now())
		return refusal, nil
	}
	if err != nil {
		return nil, err
	}
	now := e.cfg.Owners.Of(ctx, user, p.Link)
	owns, err := e.owns(ctx, now.Owner(), by.Member)
	switch {
	case now.Unknown() || err != nil:
		return nil, &Refusal{Code: OwnerUnknown, User: x.User, Err: errors.Join(now.Err, err)}
	case owns:
		return nil, &Refusal{Code: OwnKey, User: x.User, Key: x.Key, Exemption: x, By: now.Owner()}
	}
	seen, err := e.acceptable(ctx, x.User, x.Key)
	refusal, _ := errors.AsType[*Refusal](err)
	key, _ := seen.Key(x.Key)
	switch {
	case refusal != nil && refusal.Code == NotThatKey, err == nil && seen.UserID != x.UserID:
		p.leaves(x.Key, ExemptGone, e.now())
		return &Refusal{Code: NotThatKey, User: x.User, Key: x.Key}, nil
	case err != nil:
		return nil, err
	case x.differs(key):
		e.showAs(x, seen)
		x.Decisions, x.Turn = nil, x.Turn+1
		p.log(Entry{At: e.now(), Actor: TheEngine.String(), Action: "renew-exemption", Outcome: "moved", User: x.User.String(), Rotation: x.ID, Key: x.Key})
		return &Refusal{Code: ExemptionRenewed, User: x.User, Key: x.Key, Exemption: x}, nil
	}
	return nil, nil
}

// replaced ends the earlier exemptions of the key that a new one is of.
func (p *Progress) replaced(by string, at time.Time) {
	x, _ := p.FindExemption(by)
	for i := range p.Exemptions {
		if y := &p.Exemptions[i]; y.Key == x.Key && y.ID != by && y.Stage == ExemptHeld {
			y.enter(ExemptReplaced, at)
			p.log(y.exemptionEntry(TheEngine.String(), "end-exemption", string(ExemptReplaced)))
		}
	}
}

// EndExemption withdraws an exemption that is asked for, which the owner and who asked may, or ends one that holds, which the owner may and
// every approver: to look again at what was accepted is easier than to accept it.
//
// What a crash leaves is as with DecideExemption.
func (e *Engine) EndExemption(ctx context.Context, ref Ref, by Actor) (KeyExemption, error) {
	return e.onExemption(ctx, exemptionMove{ref, by, "unexempt", ""}, func(p *Progress, x *KeyExemption) (answer, err error) {
		if x.Turn != ref.Turn || x.Stage.Ended() {
			return nil, &Refusal{Code: ExemptionMoved, User: p.User, Key: x.Key, Exemption: x}
		}
		if err := e.mayEnd(ctx, *x, by); err != nil {
			return nil, err
		}
		to := ExemptEnded
		if x.Stage == ExemptAsked {
			to = ExemptWithdrawn
		}
		x.EndedBy = by.Member
		x.enter(to, e.now())
		p.log(x.exemptionEntry(by.String(), "unexempt", ""))
		return nil, nil
	})
}

func (e *Engine) mayEnd(ctx context.Context, x KeyExemption, by Actor) error {
	owner, ownerErr := e.owns(ctx, x.Owner, by.Member)
	if owner || x.Stage == ExemptAsked && by.Member == x.Requester {
		return nil
	}
	var approver bool
	var unread error
	if x.Stage == ExemptHeld {
		approver, unread = e.within(ctx, e.approvals.For(x.User, x.Traits).By.and(e.approvals.Default().By), by.Member)
	}
	switch {
	case approver:
		return nil
	case ownerErr != nil:
		return &Refusal{Code: OwnerUnknown, User: x.User, Err: ownerErr}
	case unread != nil:
		return &Refusal{Code: GroupUnread, User: x.User, Err: unread}
	}
	return &Refusal{Code: NotOwner, User: x.User, Key: x.Key, Exemption: &x, By: x.Owner}
}

// exemptionMove is what a person does to an exemption.
type exemptionMove struct {
	ref            Ref
	by             Actor
	action, detail string
}

// onExemption makes a person's move in one write. What fn answers is told after that is written; its error, with nothing written.
func (e *Engine) onExemption(ctx context.Context, m exemptionMove, fn func(*Progress, *KeyExemption) (answer, err error)) (KeyExemption, error) {
	var after KeyExemption
	var answer error
	p, err := e.update(ctx, m.ref.UserDoc(), func(p *Progress) error {
		p.tend(e.now()) // the clock goes first where it is late
		p.Exemptions = slices.Clone(p.Exemptions)
		x, there := p.FindExemption(m.ref.ID)
		if !there {
			return &Refusal{Code: Outdated, User: p.User}
		}
		var err error
		if answer, err = fn(p, x); err != nil {
			return err
		}
		p.Owed = true
		x, _ = p.FindExemption(m.ref.ID)
		after = *x
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		err = &Refusal{Code: Outdated}
	}
	if err == nil {
		err = answer
	}
	if err != nil {
		entry := Entry{Actor: m.by.String(), Action: m.action, Rotation: m.ref.ID, Detail: m.detail}
		return after, e.refused(ctx, p.User, m.ref.UserDoc(), entry, err)
	}
	e.Wake()
	return after, nil
}
