package rotation

import (
	"cmp"
	"slices"
	"time"
)

// next is when something falls due for the document by itself; zero: never.
func (p Progress) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if r, runs := p.Running(); runs {
		switch {
		case r.Stage.Working():
			sooner(cmp.Or(r.Retry.At, r.Since))
		case !r.Deadline.IsZero():
			sooner(later(r.Deadline, r.Retry.At))
		}
		if r.Waits() {
			sooner(later(r.Held, r.Retry.At))
		}
		if at := r.stirs(); !at.IsZero() {
			sooner(later(at, r.Retry.At))
		}
		if r.Stage == Switching && !r.Proof.Again.IsZero() {
			sooner(later(r.Proof.Again, r.Retry.At))
		}
	}
	if tends := p.tends(); !tends.IsZero() {
		sooner(tends)
	}
	for _, r := range p.All() {
		for _, h := range r.Handovers() {
			switch {
			case !h.Post.Known() || h.Gone || h.Until.IsZero() || h.Failed != "":
			case h.Received.IsZero():
				sooner(h.Until)
			default:
				sooner(h.Received)
			}
		}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// due tells whether the engine has something to do for the current rotation.
func (p Progress) due(now time.Time) (Rotation, bool) {
	r, ok := p.Running()
	if !ok || now.Before(r.Retry.At) {
		return Rotation{}, false
	}
	elapsed := !r.Deadline.IsZero() && !now.Before(r.Deadline)
	return *r, r.Stage.Working() || elapsed || r.looks(now) || r.stirring(now) || r.Waits() && !now.Before(r.Held)
}

func (p Progress) handoverDue(now time.Time) bool {
	return slices.ContainsFunc(p.All(), func(r Rotation) bool {
		return slices.ContainsFunc(r.Handovers(), func(h Handover) bool { return h.Due(now) })
	})
}
