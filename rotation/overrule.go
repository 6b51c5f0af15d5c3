package rotation

import "time"

// An approver may answer for evidence that is missing: with a reason, which is kept, and never for what somebody else has changed or what
// is not known. The old key is then up for its deactivation, which is decided upon as ever.

// overrulable tells whether an approver may overrule a finding: that the new key has not been used, or that the old one is not quiet.
func (b Block) overrulable() bool {
	return b.Code == NewNeverUsed || b.Code == OldUsed || b.Code == OldTooYoung
}

// overruled is the decision that holds for the missing evidence, while the deactivation is decided upon and made.
func (r Rotation) overruled() (Decision, bool) {
	var ask Ask
	switch r.Stage {
	case Confirmed:
		ask, _ = r.CurrentAsk()
	case Deactivating:
		ask, _ = r.Approved(Confirmed)
	}
	return ask.Overruled, ask.Overruled.By != ""
}

// hasOverruled tells whether somebody answers for the missing evidence of the deactivation that is decided upon. They cannot approve of it as
// well: two people stand behind it. They may deny it, which takes their word back.
func (r Rotation) hasOverruled(m MemberID) bool {
	d, ok := r.overruled()
	return ok && d.By == m
}

// overruling is the decision that an ask which this event opens is made under: the event's own, or that of the ask whose place it takes.
func (r Rotation) overruling(ev Event) Decision {
	switch {
	case ev.On == Overrule:
		return Decision{By: ev.By.Member, At: ev.At, Approve: true, Reason: clipTo(ev.Reason, maxReason), Evidence: ev.Evidence.Digest(r.Old)}
	case ev.On == Renew && len(r.Asks) > 0:
		return r.Asks[len(r.Asks)-1].Overruled
	}
	return Decision{}
}

// Missing tells what of the evidence for a deactivation was missing at a time, overruled or not.
func (r Rotation) Missing(e Evidence, at time.Time) []Block { return checkProven(r, e, at) }
