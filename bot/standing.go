package bot

import (
	"slices"

	"github.com/keyturner/keyturner/rotation"
)

// standing tells in a sentence or two where a rotation stands. It is a pure function of what is stored.
func standing(r rotation.Rotation) string {
	before, fresh, owner := short(r.Old), short(r.New), mention(r.Owner)
	if r.Waits() {
		return waitsForWindow(r)
	}
	switch r.Stage {
	case rotation.Requested:
		return "An approver must decide whether a new key is created."
	case rotation.Leaked:
		return before + " is reported as leaked. An approver or somebody on call must decide whether it is made inactive now."
	case rotation.Creating:
		return sentences("Keyturner is creating the new key.", retrying(r))
	case rotation.Offered:
		return sentences("The new key is approved. It is made when "+opener(r)+" opens it.", retrying(r))
	case rotation.Delivering:
		return sentences("The new key "+fresh+" is created. Its secret "+onItsWay(r, owner)+".", retrying(r))
	case rotation.Switching:
		return switching(r)
	case rotation.Confirmed:
		return sentences(overruledBy(r), "An approver must decide whether "+before+" is deactivated.", retrying(r))
	case rotation.Deactivating:
		return sentences("Keyturner is making "+before+" inactive.", retrying(r))
	case rotation.Grace:
		again := "Until it is, it can be made active again."
		if leftover(r) {
			again = ""
		}
		return sentences(short(r.Old)+" is inactive, and its grace runs until "+when(r.Deadline)+". An approver is asked then whether it is deleted.",
			again, retrying(r))
	case rotation.Expiring:
		return before + " is inactive and its grace is over. An approver must decide whether it is deleted."
	case rotation.Reactivating:
		return sentences("Keyturner is making "+before+" active again.", retrying(r))
	case rotation.Deleting:
		return sentences("Keyturner is deleting "+before+".", retrying(r))
	case rotation.Discarding:
		return sentences("Keyturner is revoking the new key "+fresh+".", afterDiscarding(r), retrying(r))
	case rotation.Freezing:
		return sentences(notAsked(r, r.New)+" Keyturner is making it inactive. "+keepsOn(r), retrying(r))
	case rotation.Stuck:
		return "The rotation is stuck. " + trouble(r, r.Failure)
	}
	return sentences(endedBy(r), ending(r))
}

// endedBy tells who ended a rotation before its time, and why.
func endedBy(r rotation.Rotation) string {
	last := lastAsk(r)
	switch rotation.On(last.Closed) {
	case rotation.Deny, rotation.Elapse, rotation.Close, rotation.Cancel, rotation.Yield:
		return answer(r, last)
	}
	return ""
}

// backAgain tells why a rotation that was further is at switching again, where the answer to the latest ask does not tell it.
func backAgain(r rotation.Rotation) string {
	last := lastAsk(r)
	asked := last.Stage == rotation.Confirmed || last.Stage == rotation.Expiring || last.Stage == rotation.Stuck
	if r.Stage != rotation.Switching || !asked {
		return ""
	}
	tried := last.Closed == string(rotation.Approve) && r.Failure.At == rotation.Deactivating && r.Idle.State == rotation.UseUnknown
	switch {
	case last.Closed == string(rotation.Refute) || tried:
		return "The old key was not deactivated, because " + refuted(r)
	case last.Closed == string(rotation.Approve) || last.Closed == string(rotation.Reactivate):
		return "The old key is active again."
	case last.Closed == string(rotation.Keep):
		return "The key that appeared while the answer to the creation was lost, " + short(r.New) + ", is the new one. Whoever made it has its secret."
	}
	return ""
}

func switching(r rotation.Rotation) string {
	if r.Kind == rotation.Adopt {
		return "Both keys are active. " + mention(r.Owner) + " now moves the applications from " + short(r.Old) + " to " + short(r.New) + "."
	}
	return "The new key " + short(r.New) + " is created, and both keys work. " + holder(r) + " now moves the applications to it."
}

// notAsked tells that the owner disowns the new key.
func notAsked(r rotation.Rotation, fresh rotation.KeyID) string {
	return mention(r.Owner) + " did not ask for the new key " + short(fresh) + "."
}

func afterDiscarding(r rotation.Rotation) string {
	switch r.Then {
	case rotation.Creating:
		return "After that it creates another one. " + keepsOn(r)
	case rotation.Cancelled:
		return short(r.Old) + " keeps working, and the rotation ends."
	}
	return keepsOn(r)
}

// retrying tells that attempts failed and when the next one follows. What they met is in the logs and in the audit trail.
func retrying(r rotation.Rotation) string {
	switch {
	case r.Retry.At.IsZero():
		return ""
	case !r.Stage.Working():
		return "The facts could not be read from AWS, so nothing happens yet. Keyturner looks again on " + when(r.Retry.At) + "."
	case r.Retry.Attempts == 0:
		return "The answer of AWS was lost. Keyturner looks what came of it on " + when(r.Retry.At) + "."
	}
	return count(r.Retry.Attempts, "attempt") + " did not succeed. The next one follows on " + when(r.Retry.At) + "."
}

// ending tells how a rotation ended and what is left in AWS.
func ending(r rotation.Rotation) string {
	switch r.Stage {
	case rotation.Done:
		if heirless(r) && r.New == "" {
			return "Done. " + short(r.Old) + " is deleted. It has no successor."
		}
		return "Done. " + short(r.Old) + " is deleted. " + short(r.New) + " has taken its place."
	case rotation.Lapsed:
		if r.Delivery.Mode == rotation.Reveal && lastAsk(r).Closed == string(rotation.Approve) {
			return "The rotation has ended, because the new key was not opened in time. " + short(r.Old) + " keeps working."
		}
		return "The rotation has ended. Nothing was changed, and " + short(r.Old) + " keeps working."
	case rotation.Denied:
		return "The rotation has ended. Nothing was changed, and " + short(r.Old) + " keeps working."
	case rotation.Closed:
		return "The rotation has ended, and AWS stays as it is."
	}
	return cancellation(r)
}

func cancellation(r rotation.Rotation) string {
	last := lastAsk(r)
	switch {
	case leftover(r):
		return "The rotation was cancelled. " + short(r.Old) + " is inactive, as it was before."
	case r.Kind == rotation.Adopt:
		return "The rotation was cancelled. Both keys stay active."
	case !r.Disowned.IsZero():
		return "The rotation was cancelled, because " + mention(r.Owner) + " did not ask for the new key. It is revoked, and " + short(r.Old) + " keeps working."
	case r.Kind == rotation.Replace && r.Issued > 0:
		return sentences("The rotation was cancelled. The new key is revoked, and "+short(r.Old)+" keeps working.", leftInAWS(r))
	case r.Kind == rotation.Replace || last.Closed == string(rotation.Cancel):
		return "The rotation has ended. Nothing was changed, and " + short(r.Old) + " keeps working."
	case r.Idle.State != rotation.UseUnknown || last.Closed == string(rotation.Reactivate):
		return "The rotation was cancelled. " + short(r.Old) + " is active again."
	}
	return "The rotation was cancelled, because " + refuted(r) + " Nothing was changed, and " + short(r.Old) + " keeps working."
}

// refuted tells which fact no longer held, to follow "because".
func refuted(r rotation.Rotation) string {
	if r.Failure.Block == "" {
		return "the facts have changed."
	}
	return finding(rotation.Block{Code: r.Failure.Block, Key: rotation.Key{ID: r.Failure.Key}})
}

func lastAsk(r rotation.Rotation) rotation.Ask {
	if n := len(r.Asks); n > 0 {
		return r.Asks[n-1]
	}
	return rotation.Ask{}
}

// next names who owes the next click, to follow "Next:".
func (v view) next(r rotation.Rotation) string {
	switch {
	case r.Ended():
		return "nothing, the rotation has ended"
	case r.Stage == rotation.Offered:
		return opener(r) + " opens the new key, until " + when(r.Deadline)
	case r.Waits():
		return "nobody has to click, until " + when(r.Held)
	case r.Stage == rotation.Switching:
		return holder(r) + " moves the applications and confirms it"
	case r.Stage == rotation.Leaked:
		return "an approver or somebody on call decides, one is enough"
	case r.Stage == rotation.Grace:
		return "nobody, until " + when(r.Deadline)
	case r.Stage.Working():
		return "nobody has to click, Keyturner is at work"
	}
	if who := v.whoDecides(r); who != "" {
		return who
	}
	return "nobody is left who may decide, so the operator must add an approver to Keyturner's configuration"
}

// trouble tells in plain words what failed and what is in AWS now.
func trouble(r rotation.Rotation, f rotation.Failure) string {
	return sentences(attempted(r, f), cause(r, f), left(r, f))
}

// attempted tells what could not be done.
func attempted(r rotation.Rotation, f rotation.Failure) string {
	if f.Class == rotation.ClassOverdue {
		return mention(r.Owner) + " has not confirmed in 30 days that the applications use the new key."
	}
	switch f.At {
	case rotation.Creating:
		if undelivered(f) {
			return "The new key " + short(f.Key) + " was created, but its secret " + notPassed(r) + "."
		}
		if f.Block == rotation.PlaceShut {
			return "The new key was not created, because its secret could not be written to " + keptIn(r) + "."
		}
		return "The new key could not be created."
	case rotation.Discarding:
		return "The new key " + short(f.Key) + " could not be revoked."
	case rotation.Freezing:
		if f.Class == rotation.ClassDisowned {
			return notAsked(r, f.Key)
		}
		return notAsked(r, r.New) + " It could not be made inactive."
	case rotation.Deactivating:
		return short(r.Old) + " could not be made inactive."
	case rotation.Reactivating:
		return short(r.Old) + " could not be made active again."
	case rotation.Deleting:
		return short(r.Old) + " could not be deleted."
	}
	if f.Class == rotation.ClassChanged {
		return "The keys are not as the rotation left them."
	}
	return "The keys could not be checked."
}

// undelivered tells a key that was made and revoked again from one that was never made.
func undelivered(f rotation.Failure) bool {
	return f.At == rotation.Creating && f.Key != "" && f.Class != rotation.ClassSuspect && f.Class != rotation.ClassChanged
}

// cause tells why, by the class of the failure.
func cause(r rotation.Rotation, f rotation.Failure) string {
	switch f.Class {
	case rotation.ClassChanged:
		return sentence(finding(rotation.Block{Code: f.Block, Key: rotation.Key{ID: f.Key}}))
	case rotation.ClassSuspect:
		return "The answer to the creation was lost, and then the key " + code(string(f.Key)) + " was there. Keyturner may have made it, or a person."
	case rotation.ClassOverdue, rotation.ClassDisowned:
		return ""
	case rotation.ClassRefused:
		return "Slack does not deliver messages to " + mention(r.Owner) + "."
	}
	return classes[f.Class].why
}

// left tells what is in AWS after a failure, and does not claim more than is known.
func left(r rotation.Rotation, f rotation.Failure) string {
	before := short(r.Old)
	unsure := f.Class == rotation.ClassUnknown || f.Class == rotation.ClassExhausted
	switch {
	case f.Class == rotation.ClassOverdue:
		return "Both keys are active."
	case f.Class == rotation.ClassDisowned:
		return "It is inactive now and nothing works with it. " + keepsOn(r)
	case f.At == rotation.Freezing:
		return "It may still be active. " + keepsOn(r)
	case f.Class == rotation.ClassChanged:
		return "Keyturner has changed nothing since it found that."
	case f.At == rotation.Creating && f.Class == rotation.ClassSuspect:
		return "Keyturner has given nobody its secret. " + keepsOn(r)
	case undelivered(f):
		return sentences("The new key is revoked, and nobody has its secret.", leftInAWS(r), keepsOn(r))
	case f.At == rotation.Creating && unsure:
		return "There may be a new key in AWS whose secret nobody has. " + keepsOn(r)
	case f.At == rotation.Creating, f.At == rotation.Requested, f.At == rotation.Offered:
		return "There is no new key. " + keepsOn(r)
	case f.At == rotation.Discarding:
		return "It may still be in AWS, active or not. " + keepsOn(r)
	case f.At == rotation.Deactivating && unsure:
		return "It may be active or inactive. It is not deleted."
	case f.At == rotation.Deactivating:
		return "It is still active, as far as is known."
	case f.At == rotation.Reactivating && unsure:
		return "It may be active or inactive. It is not deleted."
	case f.At == rotation.Deleting && unsure:
		return "It may be deleted. If it is not, it is inactive."
	case slices.Contains([]rotation.Stage{rotation.Reactivating, rotation.Deleting, rotation.Grace, rotation.Expiring}, f.At):
		return before + " is inactive, as far as is known. It is not deleted."
	}
	return "Keyturner has changed nothing since."
}
