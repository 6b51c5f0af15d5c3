package rotation

import (
	"slices"
	"time"
)

// gate is a pure check of evidence. It returns why it stays shut; nothing means open. What is not known keeps it shut.
type gate struct {
	name  string
	check func(r Rotation, e Evidence, now time.Time) []Block
}

var (
	slotFree     = &gate{"the second slot is free", checkSlotFree}
	moved        = &gate{"the new key is used, the old one quiet", checkMoved}
	sound        = &gate{"the keys are as they were left, and their last use is known", checkSound}
	movedAsShown = &gate{"the same, and the evidence is as it was shown", both(checkMoved, checkAsShown)}
	stillActive  = &gate{"the leaked key is that user's, and active", checkStillActive}
	stillIdle    = &gate{"the old key stayed inactive and its last use did not move", checkStillIdle}
	idleAsShown  = &gate{"the same, and the evidence is as it was shown", both(checkStillIdle, checkAsShown)}
	inactive     = &gate{"the old key is inactive", checkInactive}
	newUnused    = &gate{"nobody has used the new key", checkNewUnused}

	suspectUnused = &gate{"nobody has used the suspect key", checkSuspectUnused}
	suspectActive = &gate{"the suspect key is active, and there is no third", checkSuspectActive}
)

func both(first, second func(Rotation, Evidence, time.Time) []Block) func(Rotation, Evidence, time.Time) []Block {
	return func(r Rotation, e Evidence, now time.Time) []Block {
		if blocks := first(r, e, now); len(blocks) > 0 {
			return blocks
		}
		return second(r, e, now)
	}
}

// checkAsLeft finds what nobody but somebody else can have done: another user under the name, a key gone, a key too many.
func checkAsLeft(r Rotation, e Evidence) []Block {
	if e.UserID != r.UserID {
		return []Block{{Code: UserReplaced}}
	}
	var blocks []Block
	if _, ok := e.Key(r.Old); !ok {
		blocks = append(blocks, Block{Code: OldGone, Key: Key{ID: r.Old}})
	}
	if _, ok := e.Key(r.New); !ok && r.New != "" {
		blocks = append(blocks, Block{Code: NewGone, Key: Key{ID: r.New}})
	}
	for _, k := range e.Keys {
		if k.ID != r.Old && k.ID != r.New && r.New != "" {
			blocks = append(blocks, Block{Code: ExtraKey, Key: k})
		}
	}
	return blocks
}

func checkSlotFree(r Rotation, e Evidence, _ time.Time) []Block {
	if blocks := checkAsLeft(r, e); len(blocks) > 0 {
		return blocks
	}
	old, _ := e.Key(r.Old)
	switch {
	case r.Kind == Leak && old.Status != Inactive: // which it stays, whatever comes after it
		return []Block{{Code: OldActive, Key: old}}
	case r.Kind != Leak && old.Status != Active:
		return []Block{{Code: OldInactive, Key: old}}
	}
	for _, k := range e.Keys {
		if k.ID != r.Old {
			return []Block{{Code: SlotTaken, Key: k}}
		}
	}
	return nil
}

// checkMoved is checkProven, less what an approver has overruled.
func checkMoved(r Rotation, e Evidence, now time.Time) []Block {
	if _, ok := r.overruled(); ok {
		return checkSound(r, e, now)
	}
	return checkProven(r, e, now)
}

// checkSound finds what nobody can overrule: what only somebody else can have done, and what is not known.
func checkSound(r Rotation, e Evidence, now time.Time) []Block {
	return slices.DeleteFunc(checkProven(r, e, now), Block.overrulable)
}

func checkProven(r Rotation, e Evidence, now time.Time) []Block {
	blocks := checkAsLeft(r, e)
	if len(blocks) > 0 {
		return blocks
	}
	old, _ := e.Key(r.Old)
	if old.Status != Active {
		blocks = append(blocks, Block{Code: OldInactive, Key: old})
	}
	if r.Kind == Retire {
		return append(blocks, append(checkNoOther(r, e), checkQuiet(r, old, now)...)...)
	}
	fresh, _ := e.Key(r.New)
	if fresh.Status != Active {
		blocks = append(blocks, Block{Code: NewInactive, Key: fresh})
	}
	switch fresh.LastUse.State {
	case Used:
	case NeverUsed:
		blocks = append(blocks, Block{Code: NewNeverUsed, Key: fresh})
	default:
		blocks = append(blocks, Block{Code: NewUnknown, Key: fresh})
	}
	return append(blocks, checkQuiet(r, old, now)...)
}

// checkNoOther lets a retirement go on beside at most one other key.
func checkNoOther(r Rotation, e Evidence) []Block {
	if len(e.Keys) <= maxKeys {
		return nil
	}
	return []Block{{Code: ExtraKey, Key: e.Keys[len(e.Keys)-1]}}
}

// maxKeys is AWS's limit of access keys a user; it counts inactive ones
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const maxKeys = 2

func checkQuiet(r Rotation, old Key, now time.Time) []Block {
	switch old.LastUse.State {
	case Used:
		if again := old.LastUse.At.Add(r.Terms.Quiet); now.Before(again) {
			return []Block{{Code: OldUsed, Key: old, Again: again}}
		}
	case NeverUsed:
		// A key made a moment ago has no use on record either.
		if again := old.Created.Add(r.Terms.Quiet); now.Before(again) {
			return []Block{{Code: OldTooYoung, Key: old, Again: again}}
		}
	default:
		return []Block{{Code: OldUnknown, Key: old}}
	}
	return nil
}

func checkInactive(r Rotation, e Evidence, _ time.Time) []Block {
	if blocks := checkAsLeft(r, e); len(blocks) > 0 {
		return blocks
	}
	old, _ := e.Key(r.Old)
	if old.Status != Inactive {
		return []Block{{Code: OldActive, Key: old}}
	}
	if old.LastUse.State == UseUnknown {
		return []Block{{Code: OldUnknown, Key: old}}
	}
	return nil
}

func checkStillIdle(r Rotation, e Evidence, now time.Time) []Block {
	if blocks := checkInactive(r, e, now); len(blocks) > 0 {
		return blocks
	}
	old, _ := e.Key(r.Old)
	shownLate := !r.CutOff.IsZero() && (old.LastUse.State == NeverUsed || old.LastUse.At.Before(r.CutOff))
	if !sameUse(old.LastUse, r.Idle) && !shownLate {
		return []Block{{Code: OldMoved, Key: old}}
	}
	if fresh, ok := e.Key(r.New); ok && fresh.Status != Active {
		return []Block{{Code: NewInactive, Key: fresh}}
	}
	return nil
}

func sameUse(a, b LastUse) bool { return a.State == b.State && a.At.Equal(b.At) }

func checkNewUnused(r Rotation, e Evidence, _ time.Time) []Block {
	if e.UserID != r.UserID {
		return []Block{{Code: UserReplaced}}
	}
	fresh, ok := e.Key(r.New)
	switch {
	case !ok:
		return nil // nothing left to discard
	case fresh.LastUse.State == Used:
		return []Block{{Code: NewUsed, Key: fresh}}
	case fresh.LastUse.State != NeverUsed:
		return []Block{{Code: NewUnknown, Key: fresh}}
	}
	return nil
}

func checkSuspectUnused(r Rotation, e Evidence, now time.Time) []Block {
	r.New = r.Failure.Key
	return checkNewUnused(r, e, now)
}

func checkSuspectActive(r Rotation, e Evidence, _ time.Time) []Block {
	r.New = r.Failure.Key
	if blocks := checkAsLeft(r, e); len(blocks) > 0 {
		return blocks
	}
	if fresh, _ := e.Key(r.New); fresh.Status != Active {
		return []Block{{Code: NewInactive, Key: fresh}}
	}
	return nil
}

// checkAsShown compares with the evidence that the deciding person saw.
func checkAsShown(r Rotation, e Evidence, _ time.Time) []Block {
	ask, ok := r.CurrentAsk()
	if !ok {
		ask, ok = r.Approved(askedBefore[r.Stage])
	}
	compared := r.Old
	if _, overruled := r.overruled(); overruled {
		compared = "" // whose use goes on, as whoever overruled it knew
	}
	if !ok || ask.Evidence.Digest(compared) != e.Digest(compared) {
		old, _ := e.Key(r.Old)
		return []Block{{Code: NotAsShown, Key: old}}
	}
	return nil
}

// askedBefore gives for each working stage that needs a decision the stage in which it is asked for.
var askedBefore = map[Stage]Stage{Creating: Requested, Deactivating: Confirmed, Deleting: Expiring}
