package bot

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/keyturner/keyturner/rotation"
)

// approvalCard shows one ask in the approvals channel: what is asked, on which facts, what each answer does, and who may give it.
// Once it is answered it keeps the facts and tells the answer and what came of it.
//
// The buttons are those that the lifecycle offers an approver. The card of the latest ask keeps offering what is possible after the
// answer too, which is to make the old key active again: taking back must stay easier than going on.
func approvalCard(v view, r rotation.Rotation, ask rotation.Ask) message {
	i := slices.IndexFunc(r.Asks, func(a rotation.Ask) bool { return a.Turn == ask.Turn })
	if ask.Open() && r.Waits() {
		return heldCard(v, r, ask, i)
	}
	var d draft
	d.header(askTitle(r, ask))
	d.say(askStory(v, r, ask, i))
	d.facts(askFacts(v, r, ask))
	d.say(exposed(r))
	if ask.Open() {
		d.say(approvedSoFar(ask))
		d.say(v.choices(r, ask))
		d.say(youngKey(r, ask))
		v.sayUsers(&d, r)
		d.note(sentences(standsUntil(r, ask), v.mayDecide(r, ask), v.askedNext(r, ask), windowedFor(v, r, ask), factsRead(ask)))
		d.buttons(v.offer(r, deciding, rotation.Ref{ID: r.ID, Turn: ask.Turn}))
		return d.message()
	}
	d.say(sentences(answer(r, ask), outcome(r, i)))
	d.note(factsRead(ask))
	if i == len(r.Asks)-1 {
		d.buttons(v.offer(r, deciding, r.Ref()))
	}
	return d.message()
}

// askTitle is a question while the ask is open and the answer after.
func askTitle(r rotation.Rotation, ask rotation.Ask) string {
	name := tidy(r.User.Name)
	if ask.Stage == rotation.Stuck {
		if ask.Stuck.Class == rotation.ClassDisowned && ask.Open() {
			return "The owner did not ask for the new key of " + name + ". What becomes of it?"
		}
		if ask.Open() {
			return "The rotation for " + name + " is stuck. How does it go on?"
		}
		return verdict(ask) + ": the rotation for " + name + " was stuck"
	}
	what := "create a new key for " + name
	switch {
	case ask.Stage == rotation.Leaked && ask.Open():
		return "Leaked: deactivate a key of " + name + " now?"
	case ask.Stage == rotation.Leaked:
		what = "deactivate a leaked key of " + name
	case ask.Stage == rotation.Confirmed && r.Kind == rotation.Retire:
		what = "deactivate a key of " + name
	case ask.Stage == rotation.Confirmed:
		what = "deactivate the old key of " + name
	case ask.Stage == rotation.Expiring && heirless(r):
		what = "delete a key of " + name
	case ask.Stage == rotation.Expiring:
		what = "delete the old key of " + name
	}
	if ask.Open() {
		return sentence(what+"?") + stepOf(r, ask)
	}
	return verdict(ask) + ": " + what + stepOf(r, ask)
}

// stepOf numbers the ask among those that the rotation needs.
func stepOf(r rotation.Rotation, ask rotation.Ask) string {
	stages := []rotation.Stage{rotation.Confirmed, rotation.Expiring}
	switch {
	case r.Kind == rotation.Replace:
		stages = []rotation.Stage{rotation.Requested, rotation.Confirmed, rotation.Expiring}
	case r.Kind == rotation.Leak:
		stages = []rotation.Stage{rotation.Leaked, rotation.Expiring}
	case leftover(r):
		return ""
	}
	i := slices.Index(stages, ask.Stage)
	if i < 0 {
		return "" // asked before the rotation took up a key that was there already
	}
	return fmt.Sprintf(" (step %d of %d)", i+1, len(stages))
}

// leftover tells whether the key was inactive already when its retirement began, so that nobody had to approve of deactivating it.
func leftover(r rotation.Rotation) bool {
	return r.Kind == rotation.Retire && !slices.ContainsFunc(r.Asks, func(a rotation.Ask) bool { return a.Stage == rotation.Confirmed })
}

// askStory tells who asks and why.
func askStory(v view, r rotation.Rotation, ask rotation.Ask, i int) string {
	again := ""
	if i > 0 && r.Asks[i-1].Closed == string(rotation.Renew) {
		again = "The facts have changed since the last request, and the conditions still hold. Please look at them again."
	}
	switch ask.Stage {
	case rotation.Requested:
		if r.Kind == rotation.Leak {
			return sentences(replenishing(v, r), again)
		}
		return sentences(requestedBy(v, r), again)
	case rotation.Leaked:
		return reportedBy(v, r, i)
	case rotation.Confirmed:
		if r.Kind == rotation.Retire {
			return sentences(requestedBy(v, r), "The key gets no successor. AWS has no use of it in the last "+span(r.Terms.Quiet)+".", again)
		}
		if ask.Overruled.By != "" {
			return sentences(overruledStory(r, ask), again)
		}
		return sentences(mention(r.Owner)+" says that the applications use the new key "+short(newIn(r, ask))+
			" now. AWS agrees: the new key has been used, and the old key has been quiet for at least "+span(r.Terms.Quiet)+".", again)
	case rotation.Expiring:
		return sentences(graceOver(r, ask), again)
	}
	return trouble(r, ask.Stuck)
}

func requestedBy(v view, r rotation.Rotation) string {
	what := "to replace a key of "
	if heirless(r) {
		what = "to retire a key of "
	}
	s := mention(r.Requester) + " asks " + what + v.user(r.User)
	if r.Requester == r.Owner {
		s += ", as its owner."
	} else {
		s += ", for its owner " + mention(r.Owner) + "."
	}
	if reason := reasonGiven(r.Reason); reason != "" {
		return s + " " + reason
	}
	return s + " No reason was given."
}

// graceOver tells since when the key has been inactive: the approval before this ask.
func graceOver(r rotation.Rotation, ask rotation.Ask) string {
	s := "The grace is over. " + short(r.Old) + " was inactive already when the rotation began on " + when(r.Begun) + "."
	for _, a := range r.Asks {
		d, ok := a.ClosedBy()
		if ok && (a.Stage == rotation.Confirmed || a.Stage == rotation.Leaked) && a.Turn < ask.Turn && a.Closed == string(rotation.Approve) {
			s = "The grace is over. " + approversOf(a) + " approved of deactivating " + short(r.Old) + " on " + when(d.At) + "."
		}
	}
	return s + " It has stayed inactive, and its last use has not moved."
}

// newIn is the new key as the ask's evidence has it: what the rotation holds may have changed since.
func newIn(r rotation.Rotation, ask rotation.Ask) rotation.KeyID {
	for _, k := range ask.Evidence.Keys {
		if k.ID != r.Old {
			return k.ID
		}
	}
	return r.New
}

// askFacts are the facts on which the ask is to be decided, as they were when it was asked. The old key's id stands here in full,
// so that it can be compared with AWS.
func askFacts(v view, r rotation.Rotation, ask rotation.Ask) []fact {
	facts := []fact{
		{"Account", v.accountInFull(r.User.Account)},
		{"IAM user", code(r.User.Name)},
		{"Owner", mention(r.Owner)},
		{askedBy(r), mention(r.Requester)},
	}
	facts = append(facts, oldFacts(r, ask)...)
	if ask.Stage == rotation.Requested {
		facts = append(facts, v.whereTo(r)...)
	}
	if heirless(r) && r.New == "" {
		return facts
	}
	if fresh, ok := ask.Evidence.Key(newIn(r, ask)); ok {
		facts = append(facts,
			fact{"New key", short(fresh.ID) + ", " + esc(string(fresh.Status))},
			fact{"New key last used", lastUse(fresh.LastUse)})
	}
	return facts
}

func oldFacts(r rotation.Rotation, ask rotation.Ask) []fact {
	name := "Old key"
	if heirless(r) {
		name = "Key"
	}
	facts := []fact{{name, code(string(r.Old))}}
	old, ok := ask.Evidence.Key(r.Old)
	switch {
	case ask.Evidence.At.IsZero():
		return append(facts, fact{"Status", "not read"})
	case !ok:
		return append(facts, fact{"Status", "not there any more"})
	}
	return append(facts,
		fact{"Status", esc(string(old.Status))},
		fact{"Age", age(old.Age(ask.Evidence.At)) + ", created on " + when(old.Created)},
		fact{"Last used", lastUse(old.LastUse)})
}

// choices tells what each answer does.
func (v view) choices(r rotation.Rotation, ask rotation.Ask) string {
	owner := mention(r.Owner)
	switch ask.Stage {
	case rotation.Requested:
		if r.Kind == rotation.Leak {
			return "*If you approve*, Keyturner creates a key and " + v.willGive(r) + " The leaked key stays inactive.\n*If you deny*, no key is created."
		}
		return "*If you approve*, Keyturner creates a second key and " + v.willGive(r) +
			" The old key keeps working.\n*If you deny*, the rotation ends and nothing is changed."
	case rotation.Leaked:
		return leakChoices(r)
	case rotation.Confirmed:
		s := "*If you approve*, " + short(r.Old) + " stops working at once. Anything that still uses it fails. " + owner +
			" or an approver can make it active again with one click, for at least " + span(r.Terms.Grace) + ".\n"
		if r.Kind == rotation.Retire {
			return s + "*If you deny*, the key stays active and the rotation ends."
		}
		return s + "*If you deny*, both keys stay active, and " + owner + " is asked to look again."
	case rotation.Expiring:
		return "*If you approve*, " + short(r.Old) + " is deleted. Nobody can bring it back.\n*If you deny*, it stays inactive for another " +
			span(r.Terms.Grace) + ", and then you are asked again.\n*If you reactivate it*, " + afterReactivating(r)
	}
	return stuckChoices(r, ask)
}

func afterReactivating(r rotation.Rotation) string {
	switch r.Kind {
	case rotation.Retire:
		return "it works again and the rotation ends."
	case rotation.Leak:
		return "it works again, for whoever has it too, and you are asked about it once more."
	}
	return "it works again, and " + mention(r.Owner) + " has more time to move the applications."
}

// stuckChoices tells what the lifecycle offers for a stuck rotation, and what each would do.
func stuckChoices(r rotation.Rotation, ask rotation.Ask) string {
	offered := r.Offers(deciding)
	s := ""
	if ask.Stuck.Class == rotation.ClassDisowned {
		s = "*If you revoke it*, " + short(ask.Stuck.Key) + " is deleted for good, even if it has been used" + thenEnds(r) + ". " + keepsOn(r)
	} else if slices.Contains(offered, rotation.Revoke) {
		suspect := short(ask.Stuck.Key)
		s += "Look in AWS CloudTrail who made " + suspect + ".\n*If you revoke it*, it is deleted, as long as nobody has used it, and Keyturner creates a new key.\n" +
			"*If it is ours*, because somebody here made it and has its secret, the rotation goes on with it as the new key.\n"
	}
	if slices.Contains(offered, rotation.TryAgain) {
		s += "*If you try again*, " + tryingAgain(r, ask.Stuck)
	}
	if slices.Contains(offered, rotation.Reactivate) {
		s += "\n*If you reactivate the key*, " + afterReactivating(r)
	}
	if slices.Contains(offered, rotation.Close) {
		return s + "\n*If you close it*, the rotation ends and AWS stays as it is. Somebody must then tidy up by hand."
	}
	if r.New == "" {
		return s + "\nIt cannot be closed before it is known whether there is a new key. Trying again finds that out, once AWS can be asked."
	}
	return s + "\nIt cannot be closed while the new key " + short(r.New) + " may still be there. Delete it in AWS if trying again does not help."
}

func tryingAgain(r rotation.Rotation, f rotation.Failure) string {
	if f.Class == rotation.ClassSuspect {
		return "Keyturner looks at AWS again and creates a key if " + short(f.Key) + " is not there any more."
	}
	way := ""
	if f.Class == rotation.ClassDenied || f.Class == rotation.ClassInvalid || f.Class == rotation.ClassQuota {
		way = " First: " + lowerFirst(classes[f.Class].way)
	}
	switch f.At {
	case rotation.Leaked:
		return "you are asked once more whether the key is deactivated, if it is active." + way
	case rotation.Requested:
		return "you are asked once more whether a new key is created." + way
	case rotation.Offered:
		return "the new key is offered to " + mention(r.Owner) + " again." + way
	case rotation.Creating:
		return "Keyturner looks at AWS again and then creates the new key." + way
	case rotation.Switching:
		return "the rotation goes back to " + mention(r.Owner) + ", who moves the applications." + way
	case rotation.Confirmed:
		if r.Kind == rotation.Retire {
			return "you are asked once more whether the key is deactivated." + way
		}
		return "the rotation goes back to " + mention(r.Owner) + ", who moves the applications." + way
	case rotation.Grace, rotation.Expiring:
		return "the grace begins anew, if the key is inactive." + way
	}
	return "Keyturner looks at AWS again and does what is still to be done." + way
}

func (v view) mayDecide(r rotation.Rotation, ask rotation.Ask) string {
	if ask.Stage == rotation.Leaked {
		return "One approver or somebody on call decides, whoever reported it and whoever owns the key."
	}
	if names := v.deciders(r); len(names) > 0 {
		return sentences(anyOf(names)+" may decide. The owner and the requester may not.", norGroup(r), norOverruler(ask))
	}
	return "Nobody is left who may decide, since the owner and the requester may not. The operator must add an approver to Keyturner's configuration."
}

func factsRead(ask rotation.Ask) string {
	if ask.Evidence.At.IsZero() {
		return ""
	}
	return "The facts were read from AWS on " + when(ask.Evidence.At) + "."
}

// verdicts names how asks end, by what closed them.
var verdicts = map[rotation.On]string{
	rotation.Approve:    "Approved",
	rotation.Deny:       "Denied",
	rotation.Cancel:     "Withdrawn",
	rotation.Elapse:     "Lapsed",
	rotation.Renew:      "Renewed",
	rotation.Refute:     "Facts changed",
	rotation.Fail:       "Stopped",
	rotation.Reactivate: "Reactivated",
	rotation.Disown:     "Disowned",
	rotation.Overrule:   "Overruled",
	rotation.Yield:      "Overtaken",
	rotation.TryAgain:   "Tried again",
	rotation.Revoke:     "Revoked",
	rotation.Keep:       "Kept",
	rotation.Close:      "Closed",
}

func verdict(ask rotation.Ask) string {
	if word, ok := verdicts[rotation.On(ask.Closed)]; ok {
		return word
	}
	return "Decided"
}

// answer tells how the ask ended, by whom and when.
func answer(r rotation.Rotation, ask rotation.Ask) string {
	if d, ok := ask.ClosedBy(); ok {
		by := mention(d.By)
		if d.Approve {
			by = approversOf(ask)
		}
		s := "*" + verdict(ask) + " by " + by + "* · " + when(d.At) + "."
		return sentences(s, reasonGiven(d.Reason), beforeThat(ask))
	}
	return sentences(unanswered(r, ask), beforeThat(ask))
}

// approvedSoFar tells how many of the approvals that are wanted have been given to an open ask.
func approvedSoFar(ask rotation.Ask) string {
	given := len(ask.Approvals())
	switch {
	case ask.Wanted <= 1:
		return ""
	case given == 0:
		return "*" + count(ask.Wanted, "approval") + " are needed*, by different people. One denial ends it."
	}
	return "*" + strconv.Itoa(given) + " of " + strconv.Itoa(ask.Wanted) + " approved* by " + approversOf(ask) + ". " + needsMore(ask)
}

func needsMore(ask rotation.Ask) string {
	if n := ask.Lacks(); n > 1 {
		return strconv.Itoa(n) + " more approvers must decide."
	}
	return "One more approver must decide."
}

// approversOf mentions who approved.
func approversOf(ask rotation.Ask) string {
	var names []string
	for _, d := range ask.Approvals() {
		names = append(names, mention(d.By))
	}
	return allOf(names)
}

// beforeThat tells of approvals that came to nothing.
func beforeThat(ask rotation.Ask) string {
	if d, ok := ask.ClosedBy(); len(ask.Approvals()) == 0 || ok && d.Approve {
		return ""
	}
	return approversOf(ask) + " had approved."
}

// unanswered tells what ended an ask that nobody ended.
func unanswered(r rotation.Rotation, ask rotation.Ask) string {
	switch rotation.On(ask.Closed) {
	case rotation.Elapse:
		if len(ask.Approvals()) > 0 {
			return "*Lapsed* · " + when(ask.At.Add(r.Terms.Expires)) + ". Too few decided in time."
		}
		return "*Lapsed* · " + when(ask.At.Add(r.Terms.Expires)) + ". Nobody decided in time."
	case rotation.Yield:
		return "*Overtaken.* A key of the user is reported as leaked, and that goes first."
	case rotation.Renew:
		return "*Renewed.* The facts changed before anything was done, and the conditions still hold. A new request takes this one's place."
	case rotation.Refute:
		return "*Facts changed.* The conditions no longer hold, so nothing was done."
	case rotation.Fail:
		return "*Stopped.* Somebody changed the keys outside Keyturner, so nothing was done."
	}
	return "*" + verdict(ask) + "*."
}

// outcome tells what came of the ask: of the latest, where the rotation stands; of an earlier one, what the next one shows.
func outcome(r rotation.Rotation, i int) string {
	if i < 0 {
		return ""
	}
	if i == len(r.Asks)-1 {
		if r.Ended() {
			return ending(r)
		}
		return sentences(backAgain(r), standing(r))
	}
	ask, next := r.Asks[i], r.Asks[i+1]
	if ask.Closed != string(rotation.Approve) {
		return ""
	}
	switch {
	case ask.Stage == rotation.Requested && next.Stage == rotation.Stuck && next.Stuck.At != rotation.Switching && next.Stuck.At != rotation.Freezing,
		ask.Stage == rotation.Confirmed && next.Stage == rotation.Stuck && next.Stuck.At == rotation.Deactivating,
		ask.Stage == rotation.Leaked && next.Stage == rotation.Stuck && next.Stuck.At == rotation.Deactivating,
		ask.Stage == rotation.Expiring && next.Stage == rotation.Stuck:
		return "It then got stuck, and a newer message asks how it goes on."
	case ask.Stage == rotation.Requested:
		return "The new key " + short(newIn(r, next)) + " was created."
	case ask.Stage == rotation.Confirmed && next.Stage == rotation.Confirmed:
		return "A newer message asks again."
	case ask.Stage == rotation.Confirmed, ask.Stage == rotation.Leaked:
		return short(r.Old) + " was made inactive."
	}
	return ""
}
