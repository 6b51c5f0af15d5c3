package rotation

import "time"

// Request is what a person asks for: to replace or to retire a key of a user.
type Request struct {
	User   UserRef
	Key    KeyID // empty: the one that is due
	Retire bool
	Leak   bool // Key is known to others, or may be
	By     Actor
	Reason string
	Once   string // names the asking: the same one, heard again, begins no second rotation; empty: it is heard once
}

// Start decides how a rotation of these keys begins, or why it cannot. It is pure: nothing in AWS has changed when it returns.
//
//   - One active key: replace it; an approver is asked first.
//   - Two active keys: adopt the newer as the successor of the older, and wait until the applications have moved.
//   - One active and one inactive key: there is no slot for a new key. The inactive leftover must be retired first.
//   - A leaked key: ask one person whether it is deactivated now.
//   - A key to retire: ask for its deactivation, or, if it is inactive already, begin its grace.
func Start(q Request, owner MemberID, e Evidence, terms Terms, now time.Time) (Rotation, error) {
	r := Rotation{
		User: q.User, UserID: e.UserID, Owner: owner, Requester: q.By.Member, Reason: clipTo(q.Reason, maxReason), Once: q.Once,
		Terms: terms, Begun: now, Since: now, Turn: 1,
	}
	key, err := q.choose(e)
	if err != nil {
		return Rotation{}, err
	}
	r.Old = key.ID
	switch {
	case q.Leak:
		return r.startLeak(key, e)
	case q.Retire:
		return r.startRetire(q, key, e)
	}
	return r.startReplace(key, e)
}

// choose picks the key that the request is about: the named one, or else the oldest active one.
func (q Request) choose(e Evidence) (Key, error) {
	refusal := &Refusal{User: q.User, Key: q.Key}
	switch {
	case len(e.Keys) == 0:
		refusal.Code = NoKeys
		return Key{}, refusal
	case len(e.Keys) > maxKeys:
		refusal.Code = TooManyKeys
		return Key{}, refusal
	}
	for _, k := range e.Keys {
		if k.ID == q.Key || q.Key == "" && k.Status == Active {
			return k, nil
		}
	}
	if q.Key == "" {
		refusal.Code, refusal.Key = OnlyInactive, e.Keys[0].ID
	} else {
		refusal.Code = NotThatKey
	}
	return Key{}, refusal
}

func (r Rotation) startRetire(q Request, key Key, e Evidence) (Rotation, error) {
	if q.By.Member != r.Owner {
		return Rotation{}, &Refusal{Code: NotOwner, User: r.User, By: r.Owner, Key: key.ID}
	}
	r.Kind = Retire
	if key.Status != Active {
		r.Stage, r.Idle = Grace, key.LastUse
		if blocks := checkInactive(r, e, r.Since); len(blocks) > 0 {
			return Rotation{}, &Refusal{Code: Blocked, User: r.User, Key: key.ID, Blocks: blocks}
		}
		r.Deadline = r.deadline()
		return r, nil
	}
	if blocks := checkMoved(r, e, r.Since); len(blocks) > 0 {
		return Rotation{}, &Refusal{Code: Blocked, User: r.User, Key: key.ID, Blocks: blocks}
	}
	return r.ask(Confirmed, e), nil
}

func (r Rotation) startReplace(key Key, e Evidence) (Rotation, error) {
	if key.Status != Active {
		return Rotation{}, &Refusal{Code: OnlyInactive, User: r.User, Key: key.ID}
	}
	if len(e.Keys) < maxKeys {
		r.Kind = Replace
		return r.ask(Requested, e), nil
	}
	for _, k := range e.Keys {
		if k.Status != Active {
			return Rotation{}, &Refusal{Code: Leftover, User: r.User, Key: k.ID}
		}
	}
	if key.ID != e.Keys[0].ID {
		return Rotation{}, &Refusal{Code: NewerKey, User: r.User, Key: e.Keys[0].ID}
	}
	r.Kind, r.Stage = Adopt, Switching
	r.New = e.Keys[1].ID
	r.Deadline = r.deadline()
	r.Proof.Again = r.Since.Add(firstLook)
	return r, nil
}

func (r Rotation) ask(s Stage, e Evidence) Rotation {
	r.Stage = s
	r.Deadline = r.deadline()
	r.Asks = []Ask{r.timed(r.newAsk(e), "")}
	return r
}
