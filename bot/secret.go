package bot

import (
	"slices"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// secretAhead is the message before there is a secret to show: posted first, so that it is always known where a secret stands.
func secretAhead(v view, r rotation.Rotation) message {
	var d draft
	d.header("Your new key for " + tidy(r.User.Name))
	d.say("Keyturner is creating a new access key for " + v.user(r.User) + ". Its secret will be shown in this message, or in one below it.")
	return d.message()
}

// exposedMessage tells on-call of a secret that cannot be taken back.
func exposedMessage(v view, r rotation.Rotation) message {
	var d draft
	d.header("A secret could not be removed from Slack")
	d.say("Slack lets Keyturner neither delete nor edit the message that showed " + mention(r.Owner) + " the secret of " + short(r.New) + " of " +
		v.user(r.User) + ". Whoever can read that conversation can read it.")
	d.say("*What to do:* Have an admin of the workspace delete the message, or rotate that key. Then allow apps to delete their own messages.")
	return d.message()
}

// secretMessage hands a new key over to its owner. The secret stands in one block and nowhere else: not in the text, which is what a
// notification shows, and not in a button.
func secretMessage(v view, r rotation.Rotation, key rotation.KeyID, secret rotation.Secret) message {
	var d draft
	d.header("Your new key for " + tidy(r.User.Name))
	d.say("This is the new access key " + short(key) + " of " + v.user(r.User) + ". Its secret is shown here once, and Keyturner does not keep it.")
	d.blocks = append(d.blocks, preformatted(credentials(key, secret)))
	d.say("Store both lines now, in your password manager or your secret store. Then say so in the message below.")
	// The message goes out within moments of entering Delivering, and its time starts then.
	d.note("This message is deleted when you do, or else after " + when(r.Since.Add(r.Terms.Visible)) +
		". If you lose the secret, you can have another key issued from the rotation's message. Do not forward this one.")
	return d.message()
}

// receiptMessage stands below the secret and takes the owner's receipt. The button is not on the secret's own message because Slack
// sends the whole message along with a click on it: so the secret never comes back to us.
//
// It takes a "Not me" too, for as long as the lifecycle offers it and the owner has not said that the key is theirs.
func receiptMessage(v view, r rotation.Rotation) message {
	switch {
	case !r.Disowned.IsZero():
	case r.Delivery.InAWS():
		return storedMessage(v, r)
	case r.Delivery.Mode == rotation.Reveal:
		return revealedMessage(v, r)
	}
	h, key := r.Handover, short(r.New)
	var d draft
	var buttons []slack.BlockElement
	switch {
	case !r.Disowned.IsZero():
		d.say("You said on " + when(r.Disowned) + " that you did not ask for " + key + ". The rotation has stopped, and on-call has been told.")
	case !h.Received.IsZero() && h.Failed == "":
		d.say("You have stored the secret of " + key + ". The message with it is deleted.")
	case h.Failed != "":
		d.say("Slack lets Keyturner neither delete nor edit the message with the secret of " + key + ". On-call has been told. " +
			"Ask an admin of the workspace to delete it.")
	case h.Gone:
		d.say("The message with the secret of " + key + " was deleted when its time was over.")
	default:
		d.say("Have you stored the secret of " + key + " above? The message with it is deleted when you click, and after " + when(h.Until) + " in any case.")
		ref := rotation.Ref{ID: r.ID, Turn: r.Issued}
		b := slack.NewButtonBlockElement(string(onReceipt), ref.String(), plainText("I have stored it")).WithStyle(slack.StylePrimary)
		b.AccessibilityLabel = clip("I have stored the secret of "+r.New.Short()+", delete the message", maxLabel)
		buttons = append(buttons, b)
	}
	if h.Received.IsZero() {
		buttons = append(buttons, notMe(v, r, &d)...)
	}
	d.buttons(buttons)
	return d.message()
}

// notMe tells the owner how to say that they did not ask for the key, as long as the lifecycle offers it, and makes the button.
func notMe(v view, r rotation.Rotation, d *draft) []slack.BlockElement {
	if !slices.Contains(r.Offers(rotation.ByOwner), rotation.Disown) {
		return nil
	}
	d.say("If you did not ask for a new key, click “" + label(r, rotation.Disown) + "”: the key is made inactive at once, and on-call is told.")
	return []slack.BlockElement{v.button(r, rotation.Disown, r.Ref())}
}

// disownedMessage tells on-call that an owner did not ask for the key they were given, with who did and who agreed.
func disownedMessage(v view, r rotation.Rotation) message {
	var d draft
	d.header("Not me: a new key for " + tidy(r.User.Name) + " that its owner did not ask for")
	d.say(mention(r.Owner) + " says that they did not ask for the new key. Somebody may act under their name or under the requester's, and may have the secret.")
	facts := []fact{
		{"Account", v.accountInFull(r.User.Account)},
		{"IAM user", code(r.User.Name)},
		{"New key", code(string(r.New))},
		{"Owner", mention(r.Owner)},
		{"Requested by", mention(r.Requester) + " on " + when(r.Begun)},
	}
	if r.New == "" {
		facts = slices.Delete(facts, 2, 3)
	}
	if ask, ok := r.Approved(rotation.Requested); ok && len(ask.Decisions) > 0 {
		facts = append(facts, fact{"Approved by", mention(ask.Decisions[0].By) + " on " + when(ask.Decisions[0].At)})
	}
	if reason := tidy(r.Reason); reason != "" {
		facts = append(facts, fact{"Reason", typed(reason)})
	}
	d.facts(append(facts, fact{"Not me", mention(r.Owner) + " on " + when(r.Disowned)}))
	d.say(standing(r))
	d.say("*What to do:* Ask each of these people by another way than Slack whether they acted. If one did not, have their Slack sessions ended, and look in AWS CloudTrail what the new key was used for.")
	if !r.Ended() {
		d.say("*Next:* " + v.next(r) + ".")
	}
	return d.message()
}

// overtakenReceipt is what the receipt's message says once a later key has been issued.
func overtakenReceipt(r rotation.Rotation) message {
	if r.Delivery.InAWS() {
		return plain("The key that was written to " + keptIn(r) + " is revoked. Its version stays there, and is of no use.")
	}
	return plain("The key that was shown here is revoked, and so its secret is of no use.")
}

// removedSecret takes the place of a secret in a message that cannot be deleted.
func removedSecret() message {
	return plain("A secret was shown here. It has been removed.")
}

// preformatted shows lines as they are, with nothing in them interpreted.
func preformatted(lines string) slack.Block {
	return slack.NewRichTextBlock("", &slack.RichTextPreformatted{
		Type:     slack.RTEPreformatted,
		Elements: []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(lines, nil)},
	})
}
