package rotation

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// workLease is how long an effect is left to the process that has begun it, if nothing shows that it lives; longer than one step and
// the writing of its outcome, so that two are at it only if one of them was halted. Making a key active again, or inactive that its owner
// disowns, does no harm twice, and somebody waits for it.
const (
	workLease     = 2 * time.Minute
	rollbackLease = 20 * time.Second
)

// mayWork tells whether this process may make the effect of r: unless another one is at it.
func (e *Engine) mayWork(r Rotation, g glimpse) bool {
	if !e.cfg.Shared || !r.Stage.Working() || r.Work == "" || e.mine(r.Work) {
		return true
	}
	lease := workLease
	if r.Stage.urgent() {
		lease = rollbackLease
	}
	return time.Since(g.worked) >= lease
}

// ticket names this process and one of its attempts at an effect. There is a new one for each, so that whoever waits for this process
// to die sees that it lives, and so that an attempt which was thought dead changes nothing when it goes on.
func (e *Engine) ticket() string { return e.id + "." + strconv.FormatUint(e.tickets.Add(1), 10) }

// mine tells whether a ticket is this process's.
func (e *Engine) mine(ticket string) bool { return strings.HasPrefix(ticket, e.id+".") }

// take writes that this process makes the effect of r, unless somebody else has written that meanwhile. It does so before each attempt,
// also where the effect is its own already: for all it knows, the others have been waiting for long.
//
// A crash after this write leaves the effect to whoever finds that nothing happens.
func (e *Engine) take(ctx context.Context, r Rotation) (Rotation, error) {
	ticket := e.ticket()
	_, err := e.onWork(ctx, r, func(_ *Progress, cur *Rotation) error {
		if cur.Retry != r.Retry {
			return fmt.Errorf("%s was tried by another process: %w", r.ID, ErrConflict)
		}
		cur.Work = ticket
		return nil
	})
	r.Work = ticket
	return r, err
}
