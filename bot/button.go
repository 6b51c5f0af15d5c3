package bot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// The action ids that are no moves. A move's action id is the word of its rotation.On, and its value a rotation.Ref.
const (
	actionStart  = "start"  // value: UserRef.ID
	actionRetire = "retire" // value: UserRef.ID, a slash and KeyID.Mark
	actionKeys   = "keys"   // opens the modal with one's keys
	actionMore   = "more"   // the overflow menu; the chosen option's value is "on ref", such as "close mfrggzdf-1.7"

	// onReceipt is the owner's "I have stored it". It moves nothing, and its Ref has, for the turn, which of the issued keys it is about.
	onReceipt rotation.On = "receipt"
)

// ranked is every move that people make, in the order in which buttons show them. Which ones are offered is the lifecycle's to say.
var ranked = []rotation.On{
	rotation.Collect, rotation.Approve, rotation.Deny, rotation.Confirm, rotation.Revoke, rotation.Keep, rotation.TryAgain, rotation.Replenish, rotation.Reactivate,
	rotation.Overrule, rotation.Reissue, rotation.Abandon, rotation.Cancel, rotation.Disown, rotation.Close,
}

// deciding is who decides about a rotation that is not theirs: approvers, and of a leak also on-call.
const deciding = rotation.ByApprover | rotation.ByResponder

// maxVisible is how many buttons stand in a row; the others are in the overflow menu.
const maxVisible = 2

// parseAction reads which move, onReceipt or onTrace a click asks for, and on which rotation at which turn. value is the button's value or, for the
// overflow menu, the chosen option's.
func parseAction(actionID, value string) (rotation.On, rotation.Ref, error) {
	on := actionID
	if actionID == actionMore {
		on, value, _ = strings.Cut(value, " ")
	}
	if on != string(onReceipt) && on != string(onTrace) && !slices.Contains(ranked, rotation.On(on)) {
		return "", rotation.Ref{}, fmt.Errorf("read action %q: it is not one of Keyturner's", on)
	}
	ref, err := rotation.ParseRef(value)
	if err != nil {
		return "", rotation.Ref{}, fmt.Errorf("read action %q: %w", on, err)
	}
	return rotation.On(on), ref, nil
}

// offer makes the elements for what role may do to r now, as shown at ref.
func (v view) offer(r rotation.Rotation, role rotation.Role, ref rotation.Ref) []slack.BlockElement {
	offered := r.Offers(role)
	var ons []rotation.On
	for _, on := range ranked {
		if slices.Contains(offered, on) {
			ons = append(ons, on)
		}
	}
	ons = v.withTrace(r, role, ons)
	var elements []slack.BlockElement
	for i, on := range ons {
		if i == maxVisible {
			return append(elements, v.overflow(r, ons[i:], ref))
		}
		elements = append(elements, v.button(r, on, ref))
	}
	return elements
}

func (v view) button(r rotation.Rotation, on rotation.On, ref rotation.Ref) *slack.ButtonBlockElement {
	if on == onTrace {
		return traceButton(r, ref)
	}
	b := slack.NewButtonBlockElement(string(on), ref.String(), plainText(clip(label(r, on), maxLabel)))
	b.AccessibilityLabel = clip(label(r, on)+", for "+tidy(r.User.Name), maxLabel)
	b.Confirm = v.dialog(r, on)
	switch {
	case on == rotation.Approve && b.Confirm != nil:
		b.Style = slack.StyleDanger
	case on == rotation.Approve || on == rotation.Confirm || on == rotation.TryAgain || on == rotation.Collect:
		b.Style = slack.StylePrimary
	}
	return b
}

// overflow makes the menu. It has one dialog for all its options: two that need one share it.
func (v view) overflow(r rotation.Rotation, ons []rotation.On, ref rotation.Ref) *slack.OverflowBlockElement {
	menu := slack.NewOverflowBlockElement(actionMore)
	for _, on := range ons {
		option := slack.NewOptionBlockObject(string(on)+" "+ref.String(), plainText(clip(label(r, on), maxLabel)), nil)
		menu.Options = append(menu.Options, option)
		menu.Confirm = v.dialog(r, on)
	}
	if slices.Contains(ons, rotation.Abandon) && slices.Contains(ons, rotation.Disown) {
		menu.Confirm = v.giveUpDialog(r, slices.Contains(ons, rotation.Reissue))
	}
	return menu
}

// label names what a click does.
func label(r rotation.Rotation, on rotation.On) string {
	switch on {
	case rotation.Approve:
		switch r.Stage {
		case rotation.Confirmed:
			return "Deactivate " + r.Old.Short()
		case rotation.Expiring:
			return "Delete " + r.Old.Short()
		case rotation.Leaked:
			return "Deactivate " + r.Old.Short() + " now"
		}
		return "Create the new key"
	case rotation.Collect:
		if r.Group != "" {
			return "Make the new key and show it to me"
		}
		return "Make my new key and show it"
	case onTrace:
		return traceLabel(r)
	case rotation.Deny:
		return "Deny"
	case rotation.Confirm:
		return "My applications use the new key"
	case rotation.Reissue:
		if r.Delivery.InAWS() {
			return "Issue another key"
		}
		return "I lost the secret: issue another key"
	case rotation.Abandon:
		return "Keep the old key after all"
	case rotation.Reactivate:
		if heirless(r) {
			return "Reactivate " + r.Old.Short()
		}
		return "Reactivate the old key"
	case rotation.Disown:
		return "Not me"
	case rotation.Overrule:
		return "Overrule what is missing"
	case rotation.Replenish:
		return "Give me a new key"
	case rotation.Revoke:
		return "Revoke " + r.Failure.Key.Short()
	case rotation.Keep:
		return "It is ours: keep it"
	case rotation.TryAgain:
		return "Try again"
	case rotation.Close:
		return "Close with a reason"
	}
	return cancelLabel(r)
}

func cancelLabel(r rotation.Rotation) string {
	switch {
	case r.Stage == rotation.Offered:
		return "Make no new key"
	case r.Stage == rotation.Switching:
		return "Keep both keys"
	case r.Stage == rotation.Confirmed && r.Kind == rotation.Retire:
		return "Keep the key"
	case r.Stage == rotation.Grace || r.Stage == rotation.Expiring:
		return "Keep the inactive key"
	case r.Stage == rotation.Confirmed && isOverruled(r):
		return "I still need the old key"
	case r.Stage == rotation.Confirmed:
		return "Take my confirmation back"
	}
	return "Withdraw the request"
}

// dialog asks once more before what cannot be undone, or breaks what still uses the key. Slack takes plain text here, so times are
// in UTC.
func (v view) dialog(r rotation.Rotation, on rotation.On) *slack.ConfirmationBlockObject {
	whose := " belongs to " + tidy(r.User.Name) + " in " + plainAccount(v, r.User.Account) + "."
	before, fresh := r.Old.Short(), r.New.Short()
	switch {
	case on == rotation.Approve && r.Stage == rotation.Confirmed:
		return confirmation("Deactivate "+before+"?", sentences(
			before+whose, "Last used: "+plainUse(shownOld(r))+".", overruledShort(r),
			"Anything that still uses it fails at once. It can be made active again for "+span(r.Terms.Grace)+"."), "Deactivate", "Keep it active")
	case on == rotation.Approve && r.Stage == rotation.Leaked:
		return confirmation("Deactivate "+before+" now?", sentences(
			before+whose, "Last used: "+plainUse(shownOld(r))+".",
			"Anything that still uses it fails at once. It can be made active again for "+span(r.Terms.Grace)+"."), "Deactivate", "Keep it active")
	case on == rotation.Reactivate && r.Kind == rotation.Leak:
		return confirmation("Reactivate "+before+"?", sentences(
			before+whose, "It is reported as leaked: whoever has it can use it again.", "You are asked about it once more then."), "Reactivate it", "Leave it inactive")
	case on == rotation.Approve && r.Stage == rotation.Expiring:
		return confirmation("Delete "+before+"?", sentences(
			before+whose, "Last used: "+plainUse(shownOld(r))+".",
			"Nobody can bring it back. Anything that still needs it stays broken."), "Delete", "Keep it inactive")
	case on == rotation.Disown:
		return confirmation("Did you not ask for "+fresh+"?", sentences(
			fresh+whose, "It stops working at once, its secret is removed, the rotation stops, and on-call is told. "+unformatted(keepsOn(r))),
			"I did not ask", "I did")
	case on == rotation.Revoke && !r.Disowned.IsZero():
		return confirmation("Revoke "+fresh+" for good?", sentences(
			fresh+whose, "It is deleted even if it has been used, since its owner did not ask for it. Anything that uses it stays broken. "+unformatted(keepsOn(r))),
			"Revoke it", "Look again first")
	case on == rotation.Revoke:
		suspect := r.Failure.Key.Short()
		return confirmation("Revoke "+suspect+"?", sentences(
			suspect+whose, "It is deleted, if nobody has used it, and a new key is created.", "Whoever made it by hand cannot use it any more."),
			"Revoke it", "Look again first")
	case on == rotation.Keep:
		return confirmation("Keep "+r.Failure.Key.Short()+"?", sentences(
			r.Failure.Key.Short()+whose, "The rotation goes on with it as the new key.", "Choose this only if somebody here made it and has its secret."),
			"Keep it", "Look again first")
	case on == rotation.Reissue:
		return confirmation("Issue another key?", sentences(
			fresh+whose, "It is revoked, and a new key is created. Anything that uses "+fresh+" fails. "+unformatted(keepsOn(r))),
			"Issue another key", "Keep this one")
	case on == rotation.Abandon:
		return confirmation("Keep the old key?", sentences(
			fresh+whose, "It is revoked, and the rotation ends. Anything that uses "+fresh+" fails. The old key keeps working."),
			"Keep the old key", "Go on rotating")
	}
	return nil
}

// giveUpDialog asks once more before any of the ways in which an owner gives up the new key.
func (v view) giveUpDialog(r rotation.Rotation, another bool) *slack.ConfirmationBlockObject {
	fresh := r.New.Short()
	whose := fresh + " belongs to " + tidy(r.User.Name) + " in " + plainAccount(v, r.User.Account) + "."
	if another {
		return confirmation("Give up "+fresh+"?", sentences(
			whose, "Anything that uses it fails. "+r.Old.Short()+" keeps working.",
			"The new key is revoked, and another one is issued if you want that. With “Not me” it is made inactive, and on-call is told."),
			"Give it up", "Go on with it")
	}
	return confirmation("Give up "+fresh+"?", sentences(
		whose, "Anything that uses it fails. "+r.Old.Short()+" keeps working.",
		"If you keep the old key, the new one is revoked and the rotation ends. With “Not me”, it is made inactive, and on-call is told."),
		"Give it up", "Go on with it")
}

func confirmation(title, text, yes, no string) *slack.ConfirmationBlockObject {
	const maxConfirmText = 300
	return slack.NewConfirmationBlockObject(plainText(title), plainText(clip(text, maxConfirmText)), plainText(yes), plainText(no)).WithStyle(slack.StyleDanger)
}

// shownOld is the old key's last use as the open ask shows it.
func shownOld(r rotation.Rotation) rotation.LastUse {
	ask, _ := r.CurrentAsk()
	old, _ := ask.Evidence.Key(r.Old)
	return old.LastUse
}

// plainUse and plainAccount are lastUse and account for plain text.
func plainUse(u rotation.LastUse) string {
	switch u.State {
	case rotation.Used:
		s := utc(u.At)
		if u.Service != "" {
			s += " by " + clip(tidy(u.Service), 40)
		}
		return s
	case rotation.NeverUsed:
		return "never, as far as AWS has recorded"
	}
	return "not known"
}

func plainAccount(v view, id string) string {
	if name := tidy(v.accounts.of(id)); name != "" {
		return clip(name, 40)
	}
	return id
}

// startButton begins a rotation of an IAM user's key that is due.
func startButton(u rotation.UserRef) *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(actionStart, u.ID(), plainText("Start rotation"))
	b.AccessibilityLabel = clip("Start the rotation for "+tidy(u.Name), maxLabel)
	return b
}
