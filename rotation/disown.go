package rotation

import "context"

// An owner who is given a key that they did not ask for says so with "Not me": whoever asked may act under somebody else's name, and may
// have the secret. The rotation stops, and the new key is made inactive at once. An approver then has it revoked for good, or leaves it
// as it is.

// disowned tells whether the owner has said that they did not ask for the new key.
func (r Rotation) disowned() bool { return !r.Disowned.IsZero() }

// urgent tells whether somebody waits for the stage's effect, which does no harm if it is made twice.
func (s Stage) urgent() bool { return s == Reactivating || s == Freezing }

// freezeNew makes the new key inactive, which this rotation made and its owner disowns: whether it is used, and whether that is known,
// makes no difference, since the old key works. A key that is gone can do no harm either. A crash after the call leaves the key
// inactive, which is the outcome.
func freezeNew(ctx context.Context, e *Engine, r Rotation) (Event, error) {
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	if seen.UserID != r.UserID {
		return Event{On: Fail, Evidence: seen, Failure: changed(Block{Code: UserReplaced})}, nil
	}
	err = e.account(r.User.Account).IAM.SetStatus(ctx, r.User.Name, r.New, Inactive)
	if err != nil && ClassOf(err) != ClassGone {
		return e.failOr(err)
	}
	for i := range seen.Keys {
		if err == nil && seen.Keys[i].ID == r.New {
			seen.Keys[i].Status = Inactive
		}
	}
	return Event{On: Succeed, Evidence: seen}, nil
}
