package bot

import (
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// The callback ids of modals. A reason modal's ends with the move that the reason is for, and its private metadata is the Ref.
const (
	keysCallback   = "request"
	reasonCallback = "reason:"
)

// The inputs of modals. Each block has one element, under the same id.
const (
	inputKey    = "key"    // option value: UserRef.ID, a slash and the KeyID
	inputWhat   = "what"   // option value: rotation.Replace, rotation.Retire or rotation.Leak
	inputReason = "reason" // text
)

// How many options Slack takes (https://docs.slack.dev/reference/block-kit/block-elements).
const (
	maxRadio  = 10
	maxSelect = 100
)

const keysTitle = "Rotate a key"

// modal makes a modal without inputs.
func modal(title string, paragraphs ...string) slack.ModalViewRequest {
	v := slack.ModalViewRequest{Type: slack.VTModal, Title: plainText(title), Close: plainText("Close")}
	for _, p := range paragraphs {
		v.Blocks.BlockSet = append(v.Blocks.BlockSet, slack.NewSectionBlock(mrkdwn(clip(p, maxBlockText)), nil, nil))
	}
	return v
}

// keysModalLoading is shown at once, while the keys are read.
func keysModalLoading() slack.ModalViewRequest {
	return modal(keysTitle, "Reading your keys from AWS. This takes some seconds.")
}

// keysModalProblem tells in the modal why there is nothing to choose, or why what was chosen was refused.
func keysModalProblem(text string) slack.ModalViewRequest { return modal(keysTitle, text) }

// workingModal is shown when the answer takes longer than Slack waits.
func workingModal(title string) slack.ModalViewRequest {
	return modal(title, "Keyturner is working on it. The answer appears here. You may close this: it goes on, and your direct messages tell what came of it.")
}

// keysModalDone tells that the request is taken.
func keysModalDone(v view, r rotation.Rotation) slack.ModalViewRequest {
	if r.Kind == rotation.Leak {
		return modal(keysTitle, reported(v, r))
	}
	return modal(keysTitle, sentences("The rotation of "+short(r.Old)+" of "+v.user(r.User)+" has begun.", standing(r)),
		"*Next:* "+v.next(r)+".", "The bot's direct message to the owner shows how it goes on.")
}

// choosable is a key that can be chosen, and whose it is.
type choosable struct {
	user rotation.UserRef
	key  rotation.Key
	runs bool // a rotation of its user is under way, so that only a leak can be reported
}

// option is what the key is chosen by.
func (c choosable) option() string { return c.user.ID() + "/" + string(c.key.ID) }

// kinds are what may be asked for with the key.
func (c choosable) kinds() []rotation.Kind {
	switch active := c.key.Status == rotation.Active; {
	case active && c.runs:
		return []rotation.Kind{rotation.Leak}
	case active:
		return []rotation.Kind{rotation.Replace, rotation.Retire, rotation.Leak}
	case c.runs:
		return nil
	}
	return []rotation.Kind{rotation.Retire}
}

// keysModal lets a person choose one of the keys they are answerable for, and what should happen to it. foretell tells of a choice who would
// be asked: it is asked for the one that the modal makes itself, if there is but one key.
func keysModal(v view, holdings []rotation.Holding, foretell func(keyChoice) string) slack.ModalViewRequest {
	keys, cut := choosables(holdings)
	m := modal(keysTitle, holdingParagraphs(v, holdings)...)
	if len(keys) == 0 {
		m.Blocks.BlockSet = append(m.Blocks.BlockSet, slack.NewSectionBlock(mrkdwn("No key can be chosen now."), nil, nil))
		return m
	}
	if cut > 0 {
		words := "Only the " + count(maxSelect, "oldest key") + " can be chosen here. " + count(cut, "younger key") + " can be chosen when those are done."
		m.Blocks.BlockSet = append(m.Blocks.BlockSet, slack.NewSectionBlock(mrkdwn(words), nil, nil))
	}
	m.CallbackID = keysCallback
	m.Submit = plainText("Send the request")
	m.Close = plainText("Cancel")
	what := v.retireFirst(whatFor(keys), keys)
	asked := askedAhead
	if len(keys) == 1 {
		asked = foretell(keyChoice{user: keys[0].user.ID(), key: keys[0].key.ID, what: what[0]})
	}
	m.Blocks.BlockSet = append(m.Blocks.BlockSet, dispatching(keyInput(v, keys)), whatInput(what), askedBlock(asked), keysReason(what[0]))
	if why := v.whyYours(holdings); why != "" {
		m.Blocks.BlockSet = append(m.Blocks.BlockSet, slack.NewContextBlock("", mrkdwn(why)))
	}
	return m
}

// isChoosable tells whether one of the user's keys may be chosen: for a rotation, or, where one runs, to be reported as leaked.
func isChoosable(h rotation.Holding) bool {
	return h.Err == nil && !h.Ownership.Unknown() && len(h.Keys) <= 2
}

// choosables lists the keys that a rotation may begin with, the oldest first, at most as many as fit, and how many younger ones were
// left out.
func choosables(holdings []rotation.Holding) (keys []choosable, cut int) {
	for _, h := range holdings {
		if !isChoosable(h) {
			continue
		}
		for _, k := range h.Keys {
			if c := (choosable{h.User, k, h.Running != nil}); len(c.kinds()) > 0 {
				keys = append(keys, c)
			}
		}
	}
	slices.SortStableFunc(keys, func(a, b choosable) int { return a.key.Created.Compare(b.key.Created) })
	n := min(len(keys), maxSelect)
	return keys[:n], len(keys) - n
}

// maxHoldings bounds how many users are described above the inputs.
const maxHoldings = 40

func holdingParagraphs(v view, holdings []rotation.Holding) []string {
	if len(holdings) == 0 {
		return []string{"No IAM user names you as its owner. " + v.nameOwner()}
	}
	var ps []string
	for i, h := range holdings {
		if len(ps) == maxHoldings {
			return append(ps, "And "+count(len(holdings)-i, "other IAM user")+".")
		}
		if isChoosable(h) && len(h.Keys) > 0 && len(holdingNotes(v, h)) == 0 {
			continue // the choice below says all there is to say
		}
		ps = append(ps, holdingLines(v, h))
	}
	return ps
}

// holdingLines describes one user: what could not be read is said, and never looks like no keys.
func holdingLines(v view, h rotation.Holding) string {
	if h.Err != nil {
		if h.User.Account == "" {
			return noAddress
		}
		if h.User.Name == "" {
			return "*" + v.accountInFull(h.User.Account) + "* could not be read, so keys of yours may be missing here. " + notRead(h.Err)
		}
		return "*" + v.user(h.User) + "*\nIts keys could not be read, so none can be chosen. " + notRead(h.Err)
	}
	ls := []string{"*" + v.user(h.User) + "*"}
	for _, k := range h.Keys {
		if isChoosable(h) {
			break // the choice below describes them
		}
		ls = append(ls, short(k.ID)+": "+lowerFirst(string(k.Status))+", created on "+when(k.Created)+aged(v, k, " (", " ago)")+
			". Last used: "+lastUse(k.LastUse)+".")
	}
	return strings.Join(append(ls, holdingNotes(v, h)...), "\n")
}

func holdingNotes(v view, h rotation.Holding) []string {
	var notes []string
	if h.Ownership.Unknown() {
		notes = append(notes, notYoursForSure)
	}
	inactive := slices.IndexFunc(h.Keys, func(k rotation.Key) bool { return k.Status != rotation.Active })
	switch {
	case h.Running != nil:
		notes = append(notes, "A rotation is under way. "+standing(*h.Running)+" Next: "+v.next(*h.Running)+". Until it ends, a key of it can only be reported as leaked.")
	case len(h.Keys) == 0:
		notes = append(notes, "It has no access key.")
	case len(h.Keys) > 2:
		notes = append(notes, "It has more keys than AWS allows, so none can be chosen. Delete one that nobody needs in AWS.")
	case inactive >= 0 && len(h.Keys) > 1:
		notes = append(notes, short(h.Keys[inactive].ID)+" is inactive and takes the second place. Retire it first: after that a new key can be created.")
	case inactive >= 0:
		notes = append(notes, short(h.Keys[inactive].ID)+" is inactive, so it can only be retired.")
	}
	return append(notes, acceptedLines(v, h, "")...)
}

// aged is a key's age between two marks, if the time of rendering is known.
func aged(v view, k rotation.Key, before, after string) string {
	if v.now.IsZero() {
		return ""
	}
	return before + age(k.Age(v.now)) + after
}

func keyInput(v view, keys []choosable) *slack.InputBlock {
	var options []*slack.OptionBlockObject
	for _, k := range keys {
		name := k.key.ID.Short() + " of " + tidy(k.user.Name) + " in " + plainAccount(v, k.user.Account)
		options = append(options, slack.NewOptionBlockObject(k.option(), plainText(clip(name, maxLabel)),
			plainText(clip(keySummary(v, k), maxLabel))))
	}
	var initial *slack.OptionBlockObject
	if len(options) == 1 {
		initial = options[0]
	}
	var element slack.BlockElement
	if len(options) <= maxRadio {
		radio := slack.NewRadioButtonsBlockElement(inputKey, options...)
		radio.InitialOption = initial
		element = radio
	} else {
		element = slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plainText("Choose a key"), inputKey, options...)
	}
	return slack.NewInputBlock(inputKey, plainText("Which key?"), nil, element)
}

// keySummary is a key in few words of plain text.
func keySummary(v view, c choosable) string {
	k, s := c.key, string(c.key.Status)
	if c.runs {
		s = "Being rotated, " + lowerFirst(s)
	}
	if v.now.IsZero() {
		s += ", created on " + k.Created.UTC().Format(time.DateOnly)
	} else {
		s += ", " + age(k.Age(v.now)) + " old"
	}
	switch {
	case k.LastUse.State == rotation.NeverUsed:
		return s + ", no use on record"
	case k.LastUse.State != rotation.Used:
		return s + ", last use not known"
	case v.now.IsZero():
		return s + ", used on " + k.LastUse.At.UTC().Format(time.DateOnly)
	}
	return s + ", used " + age(v.now.Sub(k.LastUse.At)) + " ago"
}

// whats are what can be asked for, in the order in which it is offered.
var whats = []struct {
	kind       rotation.Kind
	name, then string
}{
	{rotation.Replace, "Routine: replace it with a new key", "Approvers are asked. The old key works until you have moved to the new one."},
	{rotation.Retire, "Retire it: nobody needs it any more", "It is made inactive and later deleted. There is no new key."},
	{rotation.Leak, "It leaked: others have it, or may have it", "It is made inactive as soon as one approver or on-call agrees."},
}

// whatFor is what may be asked for with any of the keys. An inactive one can only be retired.
func whatFor(keys []choosable) (kinds []rotation.Kind) {
	for _, w := range whats {
		if slices.ContainsFunc(keys, func(c choosable) bool { return slices.Contains(c.kinds(), w.kind) }) {
			kinds = append(kinds, w.kind)
		}
	}
	return kinds
}

func whatInput(kinds []rotation.Kind) *slack.InputBlock {
	var options []*slack.OptionBlockObject
	for _, kind := range kinds {
		for _, w := range whats {
			if w.kind == kind {
				options = append(options, slack.NewOptionBlockObject(string(w.kind), plainText(w.name), plainText(clip(w.then, maxLabel))))
			}
		}
	}
	radio := slack.NewRadioButtonsBlockElement(inputWhat, options...)
	radio.InitialOption = options[0]
	return dispatching(slack.NewInputBlock(inputWhat, plainText("What should happen?"), nil, radio))
}

// keysReason asks why. A leak needs a reason: nobody waits for evidence then.
func keysReason(what rotation.Kind) *slack.InputBlock {
	if what == rotation.Leak {
		return reasonInput("Why do you think that it leaked?", "Needed: the approvers and on-call decide by it. It is kept with the rotation.", false)
	}
	return reasonInput("Why?", "The approvers see it, and it is kept with the rotation. Needed if the key leaked.", true)
}

func reasonInput(label, hint string, optional bool) *slack.InputBlock {
	element := slack.NewPlainTextInputBlockElement(nil, inputReason).WithMultiline(true).WithMaxLength(maxReason)
	return slack.NewInputBlock(inputReason, plainText(label), plainText(hint), element).WithOptional(optional)
}

// keyChoice is what a person chose in the keys modal.
type keyChoice struct {
	user   string // UserRef.ID
	key    rotation.KeyID
	what   rotation.Kind
	reason string
}

// request is what the choice asks for.
func (c keyChoice) request(u rotation.UserRef, by rotation.Actor) rotation.Request {
	return rotation.Request{
		User: u, Key: c.key, Retire: c.what == rotation.Retire, Leak: c.what == rotation.Leak, Reason: c.reason, By: by,
	}
}

// parseKeysModal reads a submitted keys modal. The problems are by block, as Slack shows them.
func parseKeysModal(state *slack.ViewState) (keyChoice, map[string]string) {
	choice, problems := parseChoices(state)
	if len(problems) == 0 && choice.what == rotation.Leak && choice.reason == "" {
		return keyChoice{}, map[string]string{inputReason: "Say why you think that the key leaked: where it was seen, and since when. The approvers and on-call decide by it."}
	}
	return choice, problems
}

// parseChoices reads what has been chosen.
func parseChoices(state *slack.ViewState) (keyChoice, map[string]string) {
	user, key, ok := strings.Cut(inputValue(state, inputKey), "/")
	if !ok || user == "" || key == "" {
		return keyChoice{}, map[string]string{inputKey: "Choose a key."}
	}
	what := rotation.Kind(inputValue(state, inputWhat))
	if what != rotation.Replace && what != rotation.Retire && what != rotation.Leak {
		return keyChoice{}, map[string]string{inputWhat: "Choose what should happen to the key."}
	}
	return keyChoice{user: user, key: rotation.KeyID(key), what: what, reason: reasonIn(state)}, nil
}

// inputValue is what was chosen or typed in an input.
func inputValue(state *slack.ViewState, input string) string {
	if state == nil {
		return ""
	}
	action := state.Values[input][input]
	if action.SelectedOption.Value != "" {
		return action.SelectedOption.Value
	}
	return action.Value
}

func reasonIn(state *slack.ViewState) string {
	return clip(tidy(inputValue(state, inputReason)), maxReason)
}

// needsReason tells whether a move may not be made without a reason.
func needsReason(on rotation.On) bool { return on == rotation.Close || on == rotation.Overrule }

// reasonModal asks for the reason of a denial, of closing a stuck rotation, or of overruling evidence.
func reasonModal(on rotation.On, r rotation.Rotation) slack.ModalViewRequest {
	name := code(r.User.Name)
	m := modal(reasonTitle(on), "You deny the request for "+name+". "+afterDenying(r))
	m.Submit = plainText("Deny")
	hint := "The owner and the other approvers see it."
	if on == rotation.Close {
		m = modal(reasonTitle(on), "You close the rotation for "+name+". AWS stays as it is, and nothing else is done about "+short(r.Old)+".")
		m.Submit = plainText("Close the rotation")
	}
	if on == rotation.Overrule {
		m = modal(reasonTitle(on), overruling(r))
		m.Submit = plainText("Overrule it")
	}
	m.Close = plainText("Go back")
	m.CallbackID = reasonCallback + string(on)
	m.PrivateMetadata = r.Ref().String()
	m.Blocks.BlockSet = append(m.Blocks.BlockSet, reasonInput("Why?", hint, !needsReason(on)))
	return m
}

func afterDenying(r rotation.Rotation) string {
	switch {
	case r.Stage == rotation.Requested && r.Kind == rotation.Leak:
		return "No key is created, and the leaked one stays inactive."
	case r.Stage == rotation.Expiring:
		return "The key stays inactive for another " + span(r.Terms.Grace) + ", and then the approvers are asked again."
	case r.Stage == rotation.Confirmed && r.Kind != rotation.Retire:
		return "Both keys stay active, and " + mention(r.Owner) + " is asked to look again."
	}
	return "The rotation ends, and nothing is changed in AWS."
}

// parseReasonModal reads a submitted reason modal. The problems are by block, as Slack shows them.
func parseReasonModal(on rotation.On, state *slack.ViewState) (string, map[string]string) {
	reason := reasonIn(state)
	if reason == "" && needsReason(on) {
		return "", map[string]string{inputReason: "Give a reason. It is kept with the decision."}
	}
	return reason, nil
}

// reasonTitle names the decision that a reason modal is for.
func reasonTitle(on rotation.On) string {
	switch on {
	case rotation.Close:
		return "Close the rotation"
	case rotation.Overrule:
		return "Overrule the evidence"
	}
	return "Deny the request"
}

// reasonModalProblem tells why the decision was refused.
func reasonModalProblem(on rotation.On, text string) slack.ModalViewRequest {
	return modal(reasonTitle(on), text)
}

// reasonModalDone tells that the decision is taken. Its reason is kept with it.
func reasonModalDone(on rotation.On) slack.ModalViewRequest {
	switch on {
	case rotation.Close:
		return modal(reasonTitle(on), "The rotation is closed, and your reason is kept with it.")
	case rotation.Overrule:
		return modal(reasonTitle(on), "What is missing is overruled, and your reason is kept with it. The approvers are asked now whether the old key is deactivated.")
	}
	return modal(reasonTitle(on), "The request is denied. Its card shows that.")
}
