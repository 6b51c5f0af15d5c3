package bot

import (
	"context"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

const revealTitle = "Your new key"

// collect opens a window for the owner at once, since the trigger lives for three seconds, and has the key made after: only then is it
// known where it will be shown. The window has nothing to click but Slack's own button to close it, because Slack sends a window along
// with every click in it: so the secret never comes back to us.
//
// A crash before Collect is stored leaves a window in which nothing appears; one after it, a creation that whoever takes it over carries
// through in the same window, if it is open still.
func (b *Bot) collect(ctx context.Context, who caller, trigger string, ref rotation.Ref, actor rotation.Actor) error {
	if _, err := b.cfg.Engine.May(ctx, ref, rotation.Collect, actor); err != nil {
		return err
	}
	opened, err := b.cfg.Slack.OpenViewContext(ctx, trigger, revealAhead())
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, string(rotation.Collect), classify("open the window for the new key", err))
	}
	if _, err := b.cfg.Engine.Collect(ctx, ref, actor, opened.ID); err != nil {
		b.fill(ctx, opened.ID, modal(revealTitle, refusalText(b.view, b.logged(string(rotation.Collect), err))))
	}
	return nil
}

// showIn replaces what an open window shows. Done again, it shows the same. rotation.ClassGone: it was closed.
func (o *Outbox) showIn(ctx context.Context, window string, v slack.ModalViewRequest) error {
	return o.paced(ctx, "edit", window, func() error {
		_, err := o.slack.UpdateViewContext(ctx, v, "", "", window)
		return err
	})
}

// errNoWindow is that nobody waits for the key.
func errNoWindow() error {
	return &rotation.CallError{Op: "find the window for the new key", Class: rotation.ClassGone, Code: "no_window", Err: rotation.ErrNotFound}
}

// revealAhead is the window before there is a secret to show.
func revealAhead() slack.ModalViewRequest {
	return modal(revealTitle, "Making your key… This takes some seconds. Leave this window open: the secret is shown here once, and nowhere else.",
		"If nothing appears within two minutes, close it. The rotation's message then says how it goes on.")
}

// revealWindow shows a secret, once.
func revealWindow(v view, r rotation.Rotation, key rotation.KeyID, secret rotation.Secret) slack.ModalViewRequest {
	m := modal(revealTitle, "This is the new access key "+short(key)+" of "+v.user(r.User)+". *Its secret is shown here once.* Keyturner does not keep it, and Slack keeps no message with it.")
	m.Blocks.BlockSet = append(m.Blocks.BlockSet, preformatted(credentials(key, secret)), slack.NewSectionBlock(mrkdwn(
		"Store both lines now, in your password manager or your secret store. When you close this window, they are gone. If you lose them before you "+
			"have stored them, have another key issued from the rotation's message."), nil, nil))
	return m
}

// offerMessage tells the owner that their key can be made, in a message of its own, since an edit notifies nobody.
func offerMessage(v view, r rotation.Rotation, open bool) message {
	var d draft
	if !open {
		return plain("The new key for " + code(r.User.Name) + " does not wait to be shown any more. The rotation's message says how it goes on.")
	}
	d.header("Your new key for " + tidy(r.User.Name) + " can be made")
	d.say("An approver has agreed. Click “" + label(r, rotation.Collect) + "” when you are ready to store a secret: the key for " + v.user(r.User) +
		" is made then, and its secret is shown to you once, in a window.")
	d.say(collectUntil(r))
	d.buttons([]slack.BlockElement{v.button(r, rotation.Collect, r.Ref())})
	return d.message()
}

func collectUntil(r rotation.Rotation) string {
	if r.Kind == rotation.Leak {
		return "This stands until " + when(r.Deadline) + ". After that no key is made, and " + keepsOn(r)
	}
	return "This stands until " + when(r.Deadline) + ". After that the rotation ends, and " + short(r.Old) + " keeps working."
}

// revealedMessage takes the place of a receipt where nothing stands that could be deleted.
func revealedMessage(v view, r rotation.Rotation) message {
	var d draft
	if r.Collects != "" {
		d.say("The secret of " + short(r.New) + " was shown to " + mention(r.Collects) + ", who opened the new key for " + mention(rotation.MemberID(r.Group)) + ". It is not in any message, and nobody else has it.")
		d.buttons(notMe(v, r, &d))
		return d.message()
	}
	d.say("The secret of " + short(r.New) + " was shown in the window that you opened. It is not in any message, and nobody has it but you. " +
		"If you have not stored it, click “" + label(r, rotation.Reissue) + "” in the rotation's message.")
	d.buttons(notMe(v, r, &d))
	return d.message()
}
