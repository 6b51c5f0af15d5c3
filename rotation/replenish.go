package rotation

import "context"

// In the grace of a leaked key its owner may ask for a new one. An approver decides on that as on any new key, it is handed over as any, and
// the leaked one stays inactive all the while: so the way there leads back to the grace, whatever comes of it, and a key that was made and
// handed over stays the owner's, to be reissued or disowned as any. The rows are Replace's own, but for where they lead. Where the secret
// goes is fixed when the owner asks: a report of a leak waits for nothing, not for a public key either. Of a group that owns the user,
// whoever asks collects. After a “Not me” there is no second one: whoever had asked for the first may ask again.

var (
	// replenishable is a leaked key that has had no successor yet, and somebody who may ask for one.
	replenishable = &condition{"leaked, with an owner and no new key", func(r Rotation) bool {
		return r.Kind == Leak && r.New == "" && !r.disowned() && (r.Owner != "" || r.Group != "")
	}}
	replenished = &condition{"a new key in place of the leaked one", func(r Rotation) bool { return r.Kind == Leak && r.New != "" }}
)

// refill settles what an owner's asking for a new key depends on: where its secret goes, and that there is somebody to approve of it.
func (e *Engine) refill(ctx context.Context, r Rotation, ev *Event) error {
	if ev.On != Replenish {
		return nil
	}
	if ev.By.Fellow {
		r.Owner = ev.By.Member
	}
	var err error
	if ev.Delivery, err = e.placed(ctx, r); err != nil {
		return err
	}
	about := subject{user: r.User, owns: Ownership{Member: r.Owner, Group: r.Group}, traits: r.Traits, rule: e.approvals.ForRotation(r)}
	return e.approvable(ctx, Request{User: r.User, By: Actor{Member: r.Requester}}, about)
}

// replenish takes over who has asked, and where the secret goes.
func (r *Rotation) replenish(ev Event) {
	r.Delivery = ev.Delivery
	if ev.By.Fellow {
		r.Owner = ev.By.Member
	}
}

// afterDisowned is where the revocation of a key that its owner disowns leads: a leaked key is still to be deleted.
func (r *Rotation) afterDisowned() Stage {
	if r.Kind == Leak {
		return Grace
	}
	return Cancelled
}
