package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Foresight is how a request would begin, and who would be asked.
type Foresight struct {
	Explanation           // its Running is Rotation
	Rotation    Rotation  // as Start makes it, without an id: it is stored nowhere
	Unused      Breach    // Unneeded or Idle: the key may not be needed; empty: it is used, or that is not known
	Use         LastUse   // the key's last
	Instead     Instead   // what fits in place of a key that is not used
	Opens       time.Time // when the first change is made at the soonest; zero: as soon as it is approved
}

// Foresee tells what Request would begin, or with the same *Refusal why it would not. Nothing is stored and nobody is turned away by it: what
// it says may have changed when the request is made.
func (e *Engine) Foresee(ctx context.Context, q Request) (Foresight, error) {
	about, err := e.requestable(ctx, q)
	if err != nil {
		return Foresight{}, err
	}
	seen, err := e.look(ctx, q.User)
	if err != nil {
		return Foresight{}, unreachable(q.User, err)
	}
	p, err := e.cfg.Store.Get(ctx, q.User.ID())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Foresight{}, fmt.Errorf("read progress of %s: %w", q.User, err)
	}
	if q.Leak {
		e.giveWay(&p, q)
	}
	if earlier, there := p.inTheWay(q); there {
		return Foresight{}, &Refusal{Code: AlreadyRuns, User: q.User, Rotation: earlier}
	}
	r, err := e.starting(ctx, q, about, seen)
	if err != nil {
		return Foresight{}, err
	}
	f := Foresight{Rotation: r}
	if key, ok := seen.Key(r.Old); ok {
		f.Use, f.Unused = key.LastUse, e.cfg.Policy.Unused(key, e.now())
		if f.Unused != "" {
			f.Instead = about.known.hints(key).Instead()
		}
	}
	f.Explanation = Explanation{User: about.user, Owner: about.owns.Owner(), Group: about.owns.Group, Rule: about.rule, Terms: r.Terms, Running: &f.Rotation}
	f.People, f.Unread = e.candidates(ctx, about.rule.By)
	e.bar(ctx, &f.Explanation)
	if r.Stage == Requested || r.Stage == Confirmed {
		f.Opens = e.heldUntil(r, e.now())
	}
	return f, nil
}

// starting makes the rotation that a request begins.
func (e *Engine) starting(ctx context.Context, q Request, about subject, seen Evidence) (Rotation, error) {
	r, err := Start(q, about.owns.Member, seen, about.rule.terms(e.cfg.Terms), e.now())
	if err == nil {
		r.Delivery, err = e.delivery(ctx, r)
	}
	if err != nil {
		return Rotation{}, err
	}
	r.Group, r.Traits = about.owns.Group, about.traits
	r.InPublic = e.inQuarantine(q.User)
	return r, nil
}
