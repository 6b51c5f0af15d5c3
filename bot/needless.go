package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// Of a key that is not used, the owner is asked first whether they need it: the safest key is the one that is not there.

// needlessMessage asks an owner whether they need a key that is not used.
func needlessMessage(v view, n rotation.Notice, user rotation.UserRef) message {
	var d draft
	if n.Kind == rotation.LastWarning {
		d.header("Last warning: do you need this key of " + tidy(user.Name) + "?")
	} else {
		d.header("Do you need this key of " + tidy(user.Name) + "?")
	}
	whose := "You are the owner of "
	if n.Owner.IsGroup() {
		whose = mention(n.Owner) + " is the owner of "
	}
	d.say(whose + v.user(user) + ". Its access key " + code(string(n.Key)) + " was created on " + when(n.Created) + ". " + unusedAsOf(n))
	d.say("*If nobody needs it*, retire it: an approver is asked, it is made inactive, and for some days one click makes it active again before it is deleted. There is no new key.")
	d.say(insteadOf(n.Instead))
	d.say(v.ageOf(n))
	d.say(lastCall(n))
	if n.Owner.IsGroup() {
		d.say("Whoever of the group clicks goes on with it: if it is rotated, they get the new key, by direct message and alone.")
	}
	d.note("AWS records a use some minutes late, and Keyturner looks again before anything is made inactive. If the key is kept for a rare occasion, rotate it.")
	rotate := startButton(user)
	rotate.Text = plainText("Rotate it")
	d.buttons([]slack.BlockElement{retireButton(user, n.Key), rotate, findingMenu(user, n.Key)})
	return d.message()
}

// unusedAsOf tells since when a key has not been used, as a scan found it.
func unusedAsOf(n rotation.Notice) string {
	if n.Unused == rotation.Unneeded {
		return "*It has never been used*, as far as AWS had recorded on " + when(n.Due) + "."
	}
	return "*It has not been used since " + when(n.Use.At) + "*" + usedBy(n.Use) + ", as AWS told on " + when(n.Due) + "."
}

// ageOf tells what the age of an unused key calls for, if it has come to that.
func (v view) ageOf(n rotation.Notice) string {
	reached := time.Duration(n.Days) * 24 * time.Hour
	switch {
	case v.policy.MaxAge > 0 && reached >= v.policy.MaxAge:
		return "No key may be older than " + span(v.policy.MaxAge) + ", and this one is. Retire it or rotate it now."
	case v.policy.MaxAge > 0 && v.policy.WarnAge > 0 && reached >= v.policy.WarnAge:
		return "No key may be older than " + span(v.policy.MaxAge) + ". Retire it or rotate it before " + when(n.Created.Add(v.policy.MaxAge)) + "."
	}
	return ""
}

// alternatives tell what fits in place of a key, to follow "something needs AWS after all, …"
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html#access-keys-alternatives).
var alternatives = map[rotation.Alternative]string{
	rotation.WorkloadRole: "give what runs it a role: of the EC2 instance, the ECS task, the Lambda function or the EKS pod",
	rotation.Federation: "let the pipeline sign in by OIDC and take a role: GitHub by the action `aws-actions/configure-aws-credentials`, GitLab and others " +
		"by the token that they give each run",
	rotation.IdentityCenter: "sign in as a person with IAM Identity Center, by `aws sso login`",
	rotation.RolesAnywhere:  "let a server outside of AWS use IAM Roles Anywhere: a certificate in place of the key",
	rotation.VendorRole:     "let the other company take a role of yours, with an external id",
	rotation.MailByRole:     "send mail by the API of SES with a role: only SMTP needs a key",
}

// insteadOf tells what fits in place of a key, and why.
func insteadOf(x rotation.Instead) string {
	way, ok := alternatives[x.Alternative]
	if !ok {
		return ""
	}
	why := ""
	switch x.By {
	case rotation.ByName:
		why = "That fits, since the user's name has “" + esc(x.Word) + "” in it."
	case rotation.ByPath:
		why = "That fits, since the user's path has “" + esc(x.Word) + "” in it."
	case rotation.ByTag:
		why = "That fits, since a tag of the user says “" + esc(x.Word) + "”."
	case rotation.ByConsole:
		why = "That fits, since the user has a password for AWS's console, and so is a person."
	case rotation.ByMailNamed:
		why = "That fits, since the user's name is an e-mail address."
	case rotation.ByService:
		why = "That fits, since the key was last used for " + code(x.Word) + "."
	}
	return sentences("If something needs AWS after all, it may do without a key: "+way+".", why)
}

// doubtful asks in the form whether a key is needed that is not used.
func doubtful(f rotation.Foresight) string {
	instead := insteadOf(f.Instead)
	switch {
	case f.Unused == "" || f.Rotation.Kind == rotation.Leak:
		return ""
	case f.Rotation.Kind == rotation.Retire:
		return instead
	case f.Unused == rotation.Unneeded:
		return sentences("*Do you need it?* AWS has no use of it on record. If nobody needs it, choose to retire it.", instead)
	}
	return sentences("*Do you need it?* It has not been used since "+when(f.Use.At)+usedBy(f.Use)+". If nobody needs it, choose to retire it.", instead)
}

// retireFirst puts the retirement first, and so chooses it, where none of the keys that can be chosen is used.
func (v view) retireFirst(kinds []rotation.Kind, keys []choosable) []rotation.Kind {
	i := slices.Index(kinds, rotation.Retire)
	needed := func(k choosable) bool { return k.key.Status == rotation.Active && v.policy.Unused(k.key, v.now) == "" }
	if i <= 0 || v.now.IsZero() || slices.ContainsFunc(keys, needed) {
		return kinds
	}
	return slices.Insert(slices.Delete(slices.Clone(kinds), i, i+1), 0, rotation.Retire)
}

// retirable tells whether the owner may retire from the digest what was found: a key that works and is not used.
func retirable(k keyFindings) bool {
	unused := slices.Contains(k.breaches, rotation.Unneeded) || slices.Contains(k.breaches, rotation.Idle)
	return unused && k.Owner != "" && k.Running == "" && !slices.Contains(k.breaches, rotation.ExtraKeys) && !slices.Contains(k.breaches, rotation.Quarantined)
}

// needless tells in the digest that a key can go.
func needless(k keyFindings) string {
	if !retirable(k) {
		return ""
	}
	return sentences("If nobody needs it, its owner retires it here rather than rotating it; nobody else can.", insteadOf(k.Instead))
}

// ownerRetires is what everybody in the channel reads: who is on call may have a key rotated, and only its owner says that nobody needs it.
const ownerRetires = "Retire it (owner only)"

// needlessChoice offers to retire a key first, and to rotate it second if that can begin: a row of the digest has one place for both.
func needlessChoice(k keyFindings) slack.BlockElement {
	retire := slack.NewOptionBlockObject(actionRetire+" "+retireValue(k.User, k.Key.ID), plainText(ownerRetires), nil)
	if !startable(k) {
		b := retireButton(k.User, k.Key.ID)
		b.Text = plainText(ownerRetires)
		return b
	}
	rotate := slack.NewOptionBlockObject(actionStart+" "+k.User.ID(), plainText("Rotate it"), nil)
	return slack.NewOverflowBlockElement(actionMore, retire, rotate)
}

func retireValue(u rotation.UserRef, key rotation.KeyID) string { return u.ID() + "/" + key.Mark() }

// retireButton begins the retirement of a key.
func retireButton(u rotation.UserRef, key rotation.KeyID) *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(actionRetire, retireValue(u, key), plainText("Retire it")).WithStyle(slack.StylePrimary)
	b.AccessibilityLabel = clip("Retire the key "+key.Short()+" of "+tidy(u.Name), maxLabel)
	return b
}

// unfolded is what an option of a menu says that is no move.
func (c clicked) unfolded() clicked {
	action, value, ok := strings.Cut(c.Value, " ")
	if c.Action == actionMore && ok && (action == actionStart || action == actionRetire) {
		c.Action, c.Value = action, value
	}
	return c
}

// retire begins the retirement of a key from a row of the digest or from the question whether it is needed.
func (b *Bot) retire(ctx context.Context, who caller, actor rotation.Actor, value string) error {
	id, mark, _ := strings.Cut(value, "/")
	p, err := b.cfg.Engine.Get(ctx, id)
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, actionRetire, fmt.Errorf("find the user of the button: %w", err))
	}
	h, err := b.cfg.Engine.HoldingOf(ctx, p.User)
	if err == nil {
		err = h.Err
	}
	if err != nil {
		return b.cfg.Engine.Refuse(ctx, who.member, actionRetire, fmt.Errorf("find the key of the button: %w", err))
	}
	i := slices.IndexFunc(h.Keys, func(k rotation.Key) bool { return k.ID.Mark() == mark })
	if i < 0 {
		return b.cfg.Engine.Refuse(ctx, who.member, actionRetire, &rotation.Refusal{Code: rotation.NotThatKey, User: p.User})
	}
	p, err = b.request(ctx, who, rotation.Request{User: p.User, Key: h.Keys[i].ID, Retire: true, By: actor})
	if err != nil {
		return err
	}
	b.reply(ctx, who, startedMessage(b.view, *p.Rotation))
	return nil
}
