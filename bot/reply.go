package bot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// refusalText is the one place where an error becomes an answer to a person: which reason, and the way out. What is not meant for
// people gets a reference, under which the log has the details.
func refusalText(v view, err error) string {
	if refusal, ok := errors.AsType[*rotation.Refusal](err); ok {
		return v.refused(refusal)
	}
	if move, ok := errors.AsType[*rotation.MoveError](err); ok {
		return "The rotation is at the stage “" + esc(string(move.From)) + "”, and “" + esc(string(move.On)) +
			"” is not possible from there. Look at its newest message: it shows what is."
	}
	if call, ok := errors.AsType[*rotation.CallError](err); ok {
		return called(call, newBroken(err).ref)
	}
	switch {
	case errors.Is(err, rotation.ErrConflict):
		return "Somebody changed the same rotation at the same moment, so nothing was done for you. Look at its newest message, and try again if it is still needed."
	case errors.Is(err, rotation.ErrNotFound):
		return "Keyturner has nothing on record for this button. Type `/rotate-key status` to see your rotations."
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "This took too long, so it may or may not have been done. Look at the rotation's newest message before you try again."
	}
	return "Something broke (reference " + newBroken(err).ref + "). Try again in a minute. If it happens again, give the reference to the operator: the log has the details under it."
}

// broken is an error under a reference, which names it to a person without telling what it says. The log has both.
type broken struct {
	ref string
	err error
}

// newBroken gives err a reference, derived from its words, unless it has one.
func newBroken(err error) *broken {
	if b, ok := errors.AsType[*broken](err); ok {
		return b
	}
	sum := sha256.Sum256([]byte(err.Error()))
	return &broken{ref: hex.EncodeToString(sum[:4]), err: err}
}

func (b *broken) Error() string { return b.err.Error() + " (reference " + b.ref + ")" }
func (b *broken) Unwrap() error { return b.err }

// classText tells what a class of failure means and what can be done.
type classText struct{ why, way string }

var classes = map[rotation.Class]classText{
	rotation.ClassDenied:    {"It was not permitted.", "The operator must check Keyturner's permissions there. Trying again does not help before that."},
	rotation.ClassThrottled: {"There were too many requests at once.", "Try again in some minutes."},
	rotation.ClassQuota:     {"A limit of AWS is reached. An IAM user has at most two keys, and inactive ones count.", "Delete a key that nobody needs, then try again."},
	rotation.ClassGone:      {"The IAM user or the key is not there any more.", "Look in AWS who removed it, and why."},
	rotation.ClassInvalid:   {"The request was refused as it was.", "The operator must look at it. Trying again does not help before that."},
	rotation.ClassRefused:   {"Slack does not deliver the message.", "Check that the person is active in this workspace and can be written to."},
	rotation.ClassUnknown:   {"The answer was lost, so it may or may not have been done.", "Keyturner looks before it acts again. Try again in a minute."},
	rotation.ClassChanged:   {"The facts are not what the rotation left. Somebody else acted.", "Find out who changed the keys, and why."},
	rotation.ClassDisowned:  {"The owner did not ask for the new key.", "Ask who did, and look in AWS what it was used for."},
	rotation.ClassLeaked:    {"A key of the user is reported as leaked.", "Decide about that first."},
	rotation.ClassOverdue:   {"Nobody has done in time what the rotation waits for.", "Ask the owner how far they are."},
	rotation.ClassSuspect:   {"A key appeared that Keyturner may or may not have made.", "Look in AWS who created it. Delete it there if nobody needs it."},
	rotation.ClassExhausted: {"Keyturner tried several times and then gave up.", "Check that AWS and Slack work, then try again."},
}

// notRead tells why facts could not be read, and what to do. Nothing follows from it about the facts.
func notRead(err error) string {
	switch class := rotation.ClassOf(err); class {
	case rotation.ClassDenied:
		return "AWS did not permit it. The operator must check Keyturner's role there."
	case rotation.ClassThrottled:
		return "AWS had too many requests at once. Try again in some minutes."
	case rotation.ClassGone, rotation.ClassInvalid, rotation.ClassQuota:
		return sentences(classes[class].why, classes[class].way)
	}
	return "AWS gave no usable answer. Try again in some minutes. If it happens again, the operator finds the details in the log."
}

func called(call *rotation.CallError, ref string) string {
	text, ok := classes[call.Class]
	if !ok {
		text = classes[rotation.ClassUnknown]
	}
	if call.Code == "expired_trigger_id" {
		text = classText{"Slack opens a window only for some seconds after a click, and yours took longer to arrive.", "Nothing was done: click again."}
	}
	return sentences("This did not work: "+esc(clip(tidy(call.Op), 200))+".", text.why, text.way, "Reference: "+ref+".")
}

// refused answers a person who was refused.
func (v view) refused(e *rotation.Refusal) string {
	if e.Code == rotation.Blocked {
		return v.blocked(e)
	}
	if answer, ok := exemptionRefusals[e.Code]; ok && e.Exemption != nil {
		return answer(v, e)
	}
	answer, ok := refusals[e.Code]
	if !ok {
		return "This was refused (" + esc(string(e.Code)) + "). Ask the operator: the log has the details."
	}
	return answer(v, e)
}

// refusals has an answer for each code but Blocked, whose answer is made of the blocks.
var refusals = map[rotation.Code]func(view, *rotation.Refusal) string{
	rotation.NotApprover: func(v view, e *rotation.Refusal) string {
		return "Only an approver can do this. " + v.mustDecide("An approver", e)
	},
	rotation.NotResponder: func(v view, _ *rotation.Refusal) string {
		return sentences("Only on-call and those who may approve can do this.", v.askAnyOf())
	},
	rotation.NotOwner: func(v view, e *rotation.Refusal) string {
		if e.User.Name == "" {
			return "That key is not yours, or not any more. Only a key's owner can do this. Type `/rotate-key` to see your keys."
		}
		if e.By == "" {
			return v.user(e.User) + " has no owner, so nobody can do this yet. " + v.nameOwner()
		}
		return "Only the owner of " + v.user(e.User) + " can do this. Ask " + mention(e.By) + "."
	},
	rotation.OwnRequest: func(v view, e *rotation.Refusal) string {
		return "You asked for this rotation yourself. " + v.mustDecide("Another approver", e)
	},
	rotation.OwnKey: func(v view, e *rotation.Refusal) string {
		if e.Rotation != nil && e.Rotation.Group != "" {
			return "This key belongs to " + mention(rotation.MemberID(e.Rotation.Group)) + ", and you are of that group. " + v.mustDecide("Another approver", e)
		}
		return "This is your own key. " + v.mustDecide("Another approver", e)
	},
	rotation.OwnOverrule: func(v view, e *rotation.Refusal) string {
		return "You overruled the evidence for this yourself, and two people must stand behind it. You may deny it. " + v.mustDecide("Another approver", e)
	},
	rotation.WindowShut: func(v view, e *rotation.Refusal) string {
		return "Changes of " + v.user(e.User) + " are made in their window only, which opens on " + when(e.Again) + ". Nothing was done. Try again then."
	},
	rotation.Outdated: func(v view, e *rotation.Refusal) string {
		return sentences("This button is out of date, so nothing was done.", standingOf(e, "The rotation is not on record any more."), "Use the newest message of the rotation.")
	},
	rotation.Decided: func(_ view, e *rotation.Refusal) string {
		return sentences(decided(e)+", before your click. Nothing was done twice.", standingOf(e, ""))
	},
	rotation.HasEnded: func(_ view, e *rotation.Refusal) string {
		return sentences("The rotation is over, so nothing was done.", standingOf(e, ""), "Type `/rotate-key` to begin a new one.")
	},
	rotation.NotNow: func(v view, e *rotation.Refusal) string {
		return sentences("This is not possible now.", standingOf(e, ""), v.nextFor(e))
	},
	rotation.NoOwner: func(v view, e *rotation.Refusal) string {
		return sentences(v.user(e.User)+" has no owner, so there is nobody to give a new key to.", doubts[e.Doubt], v.nameOwner())
	},
	rotation.OwnerUnknown: func(v view, e *rotation.Refusal) string {
		return "It could not be looked up who the owner of " + v.user(e.User) + " is, so nothing was done. Try again in some minutes. If it happens again, the operator finds the details in the log."
	},
	rotation.GroupOwned: func(v view, e *rotation.Refusal) string {
		return v.user(e.User) + " belongs to " + mention(e.By) + ", and you are not of that group. One of its members begins the rotation, and the new key goes to that member alone."
	},
	rotation.OwnerLeft: func(v view, e *rotation.Refusal) string {
		return mention(e.By) + ", who would get the new key, is not of the group that owns " + v.user(e.User) + " any more, so it cannot be created. Deny the request: another one of the group can begin anew."
	},
	rotation.OwnLink: func(v view, e *rotation.Refusal) string {
		return "Nobody makes themselves the owner of an IAM user, since that would give them the secret of its next key on one person's word. " + "Ask another approver to do it for " + v.user(e.User) + "."
	},
	rotation.CannotOwn: func(_ view, e *rotation.Refusal) string {
		return mention(e.By) + " is not an active, full member of this workspace, so they cannot own a key. Name somebody who is."
	},
	rotation.NoMember: func(v view, _ *rotation.Refusal) string {
		return "No IAM user names you as its owner, so there is no key for you to rotate. " + v.nameOwner()
	},
	rotation.NotMember: func(view, *rotation.Refusal) string {
		return "Keyturner only acts for active, full members of this workspace. Guests, people of other companies and apps cannot use it. Ask a colleague who is a member."
	},
	rotation.AlreadyRuns: func(v view, e *rotation.Refusal) string {
		return sentences("A rotation of "+v.user(e.User)+" is running already, and there is one at a time.", standingOf(e, ""), v.nextFor(e))
	},
	rotation.NoKeys: func(v view, e *rotation.Refusal) string {
		return v.user(e.User) + " has no access key, so there is nothing to rotate."
	},
	rotation.NotThatKey: func(v view, e *rotation.Refusal) string {
		if e.Key == "" {
			return "The key that this is about is not a key of " + v.user(e.User) + " any more. Type `/rotate-key` to see the keys there are."
		}
		return short(e.Key) + " is not a key of " + v.user(e.User) + " now. Type `/rotate-key` to see the keys there are."
	},
	rotation.Leftover: func(v view, e *rotation.Refusal) string {
		return "There is no room for a new key: " + v.user(e.User) + " has two keys, and " + short(e.Key) +
			" is inactive. Its owner retires that one first: type `/rotate-key`, choose it and then “Retire it”. After that a new key can be created."
	},
	rotation.TooManyKeys: func(v view, e *rotation.Refusal) string {
		return v.user(e.User) + " has more than two keys, and Keyturner cannot tell which ones belong together. Delete a key that nobody needs in AWS, then ask again."
	},
	rotation.OnlyInactive: func(_ view, e *rotation.Refusal) string {
		return short(e.Key) + " is inactive, so nothing works with it and there is nothing to replace. Its owner can retire it: type `/rotate-key`, choose it and then “Retire it”."
	},
	rotation.NewerKey: func(v view, e *rotation.Refusal) string {
		return v.user(e.User) + " has two active keys, and the one you chose is the newer. The older one goes first: choose " + short(e.Key) + "."
	},
	rotation.NoAccount: func(_ view, e *rotation.Refusal) string {
		return "The AWS account " + code(e.User.Account) + " is not one that Keyturner looks after. The operator can add it to the configuration."
	},
	rotation.UserGone: func(v view, e *rotation.Refusal) string {
		return "There is no IAM user " + v.user(e.User) + " now. It was deleted or renamed, so there is nothing to rotate."
	},
	rotation.Unreachable: func(v view, e *rotation.Refusal) string {
		return "The keys of " + v.user(e.User) + " could not be read, so nothing was done. " + notRead(e.Err)
	},
	rotation.Reissued: func(v view, e *rotation.Refusal) string {
		return "This rotation has created as many keys as it may. Store the secret of the newest key, or click “Keep the old key after all” and begin again."
	},
	rotation.NothingAsked: func(v view, e *rotation.Refusal) string {
		return sentences("No approver has to decide now, so nobody was reminded.", standingOf(e, ""), v.nextFor(e))
	},
	rotation.TooSoon: func(v view, e *rotation.Refusal) string {
		return "The approvers were asked about " + v.user(e.User) + " less than an hour ago. They can be asked again after " + when(e.Again) + "."
	},
	rotation.RemindedOften: func(v view, e *rotation.Refusal) string {
		return sentences("The approvers have been reminded of this as often as Keyturner does.", v.nextFor(e), "Write to one of them.")
	},
	rotation.NoRecipient: func(v view, e *rotation.Refusal) string {
		return "In the account of " + v.user(e.User) + " secrets are sealed for their owner's public key, and " + mention(e.By) + " has given none. " +
			"They do that first, then ask again. " + howToSetKey
	},
	rotation.LeakedKey: func(view, *rotation.Refusal) string {
		return "That looks like a private key. Keyturner has kept nothing of it, but it has gone through Slack, so treat it as leaked: " +
			"make a new pair of keys, and take the old one out of everything that trusts it. What is needed here is the public key. " + howToSetKey
	},
	rotation.NoPlace: func(v view, e *rotation.Refusal) string {
		return "The secret of a new key of " + v.user(e.User) + " would be kept in AWS under a name that AWS does not take, because of a character in the user's name. " +
			"The operator can change `secret_name` in Keyturner's configuration, or rename the user."
	},
	rotation.NoApprover: func(_ view, e *rotation.Refusal) string {
		if e.Have == 0 {
			return "Nobody is left who could approve this: neither the owner nor the person who asks may, and whoever may must be an active, full member of this workspace. The operator must add another approver to Keyturner's configuration."
		}
		return "This needs the approval of " + strconv.Itoa(e.Wanted) + " people, and there are not so many who could give it, but " + strconv.Itoa(e.Have) + ": neither the owner nor the person who asks may. The operator must add approvers to Keyturner's configuration."
	},
	rotation.GroupUnread: func(view, *rotation.Refusal) string {
		return "Slack did not tell who is in the group of the approvers, so nobody is taken for one, and nothing was done. Try again in some minutes. If it happens again, the operator must check the group and the app's scope usergroups:read."
	},
	rotation.ExemptionAsked:   exemptionRefusals[rotation.ExemptionAsked],
	rotation.ExemptionMoved:   exemptionRefusals[rotation.ExemptionMoved],
	rotation.ExemptionRenewed: exemptionRefusals[rotation.ExemptionRenewed],
	rotation.ExemptionsFull: func(v view, e *rotation.Refusal) string {
		return v.user(e.User) + " has as many exemptions as Keyturner keeps. End one first: `/rotate-key list` shows them, and `/rotate-key unexempt` ends one."
	},
	rotation.NoExemption: func(_ view, e *rotation.Refusal) string {
		return "No exemption of " + short(e.Key) + " holds or waits for a decision, so there is nothing to end. One that stands in Keyturner's configuration is the operator's to end."
	},
	rotation.NoSuchTime: func(_ view, e *rotation.Refusal) string {
		return "An exemption needs a reason and a last day, which is not over and at most a year from now. Nothing was asked: type `/rotate-key exempt` with the key's id again."
	},
	rotation.NeverAccepted: func(v view, e *rotation.Refusal) string {
		return short(e.Key) + " of " + v.user(e.User) + " is exposed or reported as leaked, and nobody accepts or silences that. If it is this key, type `/rotate-key leaked " + esc(string(e.Key)) + "`."
	},
	rotation.SnoozedNow: func(v view, e *rotation.Refusal) string {
		return "The warnings about " + short(e.Key) + " of " + v.user(e.User) + " are snoozed until " + when(e.Again) + " already."
	},
	rotation.SnoozedOften: func(v view, e *rotation.Refusal) string {
		return "The warnings about " + short(e.Key) + " of " + v.user(e.User) + " have been snoozed twice, which is the most. Start the rotation of the key, or ask the approvers: type `/rotate-key exempt " + esc(string(e.Key)) + "`."
	},
	rotation.NoTrail: func(v view, e *rotation.Refusal) string {
		return "Keyturner may not ask CloudTrail in " + v.accountInFull(e.User.Account) + ", so it cannot tell who uses a key there. The operator can allow it in Keyturner's configuration."
	},
	rotation.NotInvolved: func(v view, e *rotation.Refusal) string {
		return "Only the owner of " + v.user(e.User) + ", its approvers and on-call are told this. Ask one of them."
	},
	rotation.Approved: func(v view, e *rotation.Refusal) string {
		if e.Rotation == nil {
			return "You have approved this already. Another approver must decide, too."
		}
		ask, _ := e.Rotation.CurrentAsk()
		return sentences("You have approved this already, and your approval counts.", needsMore(ask), "Next: "+v.next(*e.Rotation)+".")
	},
}

// mustDecide names who can do what the person cannot.
func (v view) mustDecide(who string, e *rotation.Refusal) string {
	var r rotation.Rotation
	if e.Rotation != nil {
		r = *e.Rotation
	}
	if names := v.deciders(r); len(names) > 0 {
		return who + " must decide: " + anyOf(names) + "."
	}
	return "There is no other approver, so the operator must add one to Keyturner's configuration."
}

func (v view) askAnyOf() string {
	names := each(v.approvals.Default().By.Members, mention)
	if len(names) == 0 {
		return ""
	}
	return "Ask " + anyOf(names) + "."
}

// nameOwner tells how an IAM user gets an owner.
func (v view) nameOwner() string {
	const link = " An approver can also type `/rotate-key link @member account/user`."
	if v.ownerTag == "" {
		return "The operator can name an owner in Keyturner's configuration." + link
	}
	return "To name an owner, give the IAM user the tag " + code(v.ownerTag) + " with the owner's Slack member ID as its value. The ID is in the owner's Slack profile, under “Copy member ID”." + link
}

// standingOf tells where the rotation stands, if the refusal brought it.
func standingOf(e *rotation.Refusal, otherwise string) string {
	if e.Rotation == nil {
		return otherwise
	}
	return standing(*e.Rotation)
}

func (v view) nextFor(e *rotation.Refusal) string {
	if e.Rotation == nil || e.Rotation.Ended() {
		return ""
	}
	return "Next: " + v.next(*e.Rotation) + "."
}

// decided tells who decided, how and when.
func decided(e *rotation.Refusal) string {
	if e.Rotation != nil {
		for _, a := range slices.Backward(e.Rotation.Asks) {
			if d, ok := a.ClosedBy(); ok && a.Turn == e.Turn {
				return verdict(a) + " by " + mention(e.By) + " on " + when(d.At)
			}
		}
	}
	return "Decided by " + mention(e.By)
}

// blocked lists what keeps a gate shut, and what follows from it.
func (v view) blocked(e *rotation.Refusal) string {
	var r rotation.Rotation
	if e.Rotation != nil {
		r = *e.Rotation
	}
	lines := []string{"This cannot be done yet, and nothing was changed."}
	foreign, unknown := false, false
	for _, b := range e.Blocks {
		lines = append(lines, "• "+sentences(sentence(finding(b)), wayOut(r, b)))
		foreign = foreign || b.Foreign()
		unknown = unknown || b.Code == rotation.OldUnknown || b.Code == rotation.NewUnknown
	}
	asShown := !slices.ContainsFunc(e.Blocks, func(b rotation.Block) bool { return b.Code == rotation.NotAsShown })
	switch {
	case e.Rotation == nil:
		lines = append(lines, "No rotation was begun.")
	case foreign:
		lines = append(lines, "Somebody changed this outside Keyturner. The rotation stops here, and an approver is asked how it goes on.")
	case r.Stage == rotation.Confirmed && r.Kind == rotation.Retire && asShown && !unknown:
		lines = append(lines, "The rotation has ended. "+mention(r.Owner)+" can ask again.")
	case r.Stage == rotation.Confirmed && asShown && !unknown:
		lines = append(lines, "The request is closed. "+mention(r.Owner)+" is asked to look again.")
	case r.Stage == rotation.Switching && v.asksWho(r) && slices.ContainsFunc(e.Blocks, func(b rotation.Block) bool { return b.Code == rotation.OldUsed }):
		lines = append(lines, "The rotation's card shows in a moment who still uses it, as far as CloudTrail tells.")
	}
	return strings.Join(lines, "\n")
}

// finding tells what a gate found, as a sentence that can follow "because".
func finding(b rotation.Block) string {
	id := short(b.Key.ID)
	switch b.Code {
	case rotation.NewNeverUsed:
		return "AWS has no use of the new key " + id + " on record."
	case rotation.NewUnknown:
		return "AWS could not tell whether the new key " + id + " has been used."
	case rotation.NewUsed:
		return "the new key " + id + " has been used" + lastSeen(b.Key.LastUse) + "."
	case rotation.OldUsed:
		return "the key " + id + " is still in use" + lastSeen(b.Key.LastUse) + "."
	case rotation.OldTooYoung:
		return "the key " + id + " is too young to tell that nobody uses it" + createdAt(b.Key) + "."
	case rotation.OldUnknown:
		return "AWS could not tell when " + id + " was last used."
	case rotation.SlotTaken:
		return "the user has a second key, " + id + ", and AWS allows two."
	case rotation.PlaceShut:
		return "the place in AWS where the secret is to be kept could not be made ready."
	case rotation.NotAsShown:
		return "the facts have changed since they were shown to the approvers."
	case rotation.OldGone:
		return "the key " + id + " is not there any more."
	case rotation.OldInactive:
		return "the key " + id + " has been made inactive outside Keyturner."
	case rotation.OldActive:
		return "the key " + id + " is active, and it should be inactive."
	case rotation.OldMoved:
		return "the last use of " + id + " has moved since it was made inactive."
	case rotation.NewGone:
		return "the new key " + id + " is not there any more."
	case rotation.NewInactive:
		return "the new key " + id + " is not active, and it should be."
	case rotation.ExtraKey:
		return "the user has a further key, " + id + ", that this rotation does not know."
	case rotation.UserReplaced:
		return "the IAM user was deleted, and another one was created under the same name."
	}
	return "a check found “" + esc(string(b.Code)) + "”."
}

func lastSeen(u rotation.LastUse) string {
	if u.State != rotation.Used {
		return ""
	}
	return ": last on " + when(u.At) + usedBy(u)
}

func createdAt(k rotation.Key) string {
	if k.Created.IsZero() {
		return ""
	}
	return ": it was created on " + when(k.Created)
}

// wayOut tells what opens the gate. What somebody else changed has one way out for all: an approver.
func wayOut(r rotation.Rotation, b rotation.Block) string {
	again := "Look again in some minutes."
	if !b.Again.IsZero() {
		again = "Look again after " + when(b.Again) + "."
	}
	switch b.Code {
	case rotation.NewNeverUsed:
		return "Start an application with it. AWS shows a use some minutes later; then click again."
	case rotation.NewUnknown, rotation.OldUnknown:
		return "What is not known does not count as unused. " + again
	case rotation.NewUsed:
		return "It cannot be revoked without breaking that. If you do not know who uses it, tell on-call at once."
	case rotation.OldUsed:
		return sentences("Find what uses it and move that too.", quietFor(r), again)
	case rotation.OldTooYoung:
		return again
	case rotation.SlotTaken:
		return "If nobody needs it, delete it in AWS, then click again."
	case rotation.NotAsShown:
		return "A new request with the facts as they are now takes this one's place. Decide on that one."
	}
	return ""
}
