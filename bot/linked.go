package bot

import (
	"strconv"

	"github.com/keyturner/keyturner/rotation"
)

// linkNotice tells a member once, by DM, that they have been made the owner of an IAM user.
func (b *Bot) linkNotice(p rotation.Progress) []wanted {
	if p.Link == nil || !p.Link.Untold {
		return nil
	}
	at := p.Link.At
	done := func(p *rotation.Progress, _ rotation.Post) {
		if p.Link != nil && p.Link.At.Equal(at) {
			link := *p.Link
			link.Untold = false
			p.Link = &link
		}
	}
	return []wanted{{
		name: "link/" + strconv.FormatInt(at.UnixNano(), 10), channel: string(p.Link.Owner), message: youOwnMessage(b.view, p.User, *p.Link), once: true, done: done,
	}}
}

// youOwnMessage tells a member what it means that they own an IAM user's keys, and how to say that it is wrong.
func youOwnMessage(v view, u rotation.UserRef, l rotation.Link) message {
	var d draft
	d.header("You own the keys of " + tidy(u.Name))
	d.say(mention(l.By) + " made you the owner of " + v.user(u) + " on " + when(l.At) + ". Warnings about its access keys come to you, and new ones are handed to you alone.")
	d.say("*What to do:* Type `/rotate-key list` to see the keys and their ages. If the user is not yours, tell " + mention(l.By) + " or another approver: they link it to who it belongs to.")
	return d.message()
}
