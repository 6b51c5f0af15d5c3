package bot

import (
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// place names where a secret is kept in AWS. It goes by name and not by ARN: Secrets Manager's has a part that nobody can tell beforehand,
// and the name, the account and the region say the same.
func (v view) place(r rotation.Rotation) string {
	d := r.Delivery
	what := "the secret "
	if d.Mode == rotation.InSSM {
		what = "the parameter "
	}
	return what + code(d.Name) + " in " + code(d.Region) + " of " + v.account(r.User.Account)
}

// keptIn is place without the account, where that is told already.
func keptIn(r rotation.Rotation) string {
	if r.Delivery.Mode == rotation.InSSM {
		return "the parameter " + code(r.Delivery.Name)
	}
	return "the secret " + code(r.Delivery.Name)
}

// whereTo is the fact of where the secret goes, on which the creation is decided. Where it goes to the owner as it is, there is none.
func (v view) whereTo(r rotation.Rotation) []fact {
	switch {
	case r.Delivery.InAWS():
		return []fact{{"Secret kept in", v.place(r)}}
	case r.Delivery.Mode == rotation.Sealed:
		return []fact{{"Secret sealed for", code(keyName(r.Delivery.Recipient)) + ", set on " + when(r.Delivery.Set)}}
	}
	return nil
}

// willGive tells the approvers what becomes of the new key's secret if they approve.
func (v view) willGive(r rotation.Rotation) string {
	owner := mention(r.Owner)
	switch {
	case r.Delivery.InAWS():
		return "writes its secret to " + keptIn(r) + ". Whoever may read that gets it, and nobody else."
	case r.Delivery.Mode == rotation.Sealed:
		return "gives its secret to " + owner + " alone, sealed for the public key above."
	}
	if r.Delivery.Mode == rotation.Reveal {
		return "shows its secret to " + owner + " alone, once and in no message. That is done when they open it."
	}
	return "gives its secret to " + owner + " alone."
}

// youngKey warns the approvers of a public key that was set shortly before the request.
//
// Whoever has taken over the owner's Slack session can set a key of their own, ask for a rotation, and read the direct message. Nothing in
// Slack tells them from the owner; another person who asks outside of Slack does. So the approver is told, rather than the key refused for
// a day: somebody who sets their first key could otherwise not rotate what may be leaking. The owner's other sessions show the message about
// the new key. And the key that is shown here is the one that is used, whatever is set after.
func youngKey(r rotation.Rotation, ask rotation.Ask) string {
	if ask.Stage != rotation.Requested || !r.Unsettled() {
		return ""
	}
	return "*Before you approve:* " + mention(r.Owner) + " set that public key less than " + span(24*time.Hour) + " before the request. Somebody else in their Slack session could have done that, " +
		"to read the secret. Ask them by another way than Slack whether it is theirs, and compare the fingerprint."
}

// storedMessage tells the owner where the secret of the new key stands in AWS, and how a program reads it.
func storedMessage(v view, r rotation.Rotation) message {
	var d draft
	d.header("A new key for " + tidy(r.User.Name) + " is in AWS")
	d.say("The new access key " + short(r.New) + " of " + v.user(r.User) + " and its secret are in " + v.place(r) + ". Keyturner shows them nowhere and keeps neither.")
	d.say(versionOf(r))
	d.say("*To read it:* " + readWith(r) + " It holds `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` as JSON.")
	d.buttons(notMe(v, r, &d))
	return d.message()
}

func versionOf(r rotation.Rotation) string {
	if r.Delivery.Mode == rotation.InSSM {
		return "It is the newest version of the parameter. The earlier versions stay there."
	}
	return "It is the version " + code(r.Token()) + ", which has become `AWSCURRENT`. What was there before is `AWSPREVIOUS`."
}

func readWith(r rotation.Rotation) string {
	d := r.Delivery
	if d.Mode == rotation.InSSM {
		return "run " + code("aws ssm get-parameter --with-decryption --name "+d.Name+" --region "+d.Region) + ", or have your application ask for it."
	}
	return "run " + code("aws secretsmanager get-secret-value --secret-id "+d.Name+" --region "+d.Region) + ", or have your application ask for it."
}

// leftInAWS tells what stands in AWS after a new key was revoked whose secret was, or may have been, written there: a version is not taken
// away, since what reads it would find nothing, and the key in it opens nothing.
func leftInAWS(r rotation.Rotation) string {
	refused := r.Issued == 1 && slices.Contains([]rotation.Class{rotation.ClassDenied, rotation.ClassInvalid, rotation.ClassQuota}, r.Failure.Class)
	if !r.Delivery.InAWS() || r.Issued == 0 || r.New != "" || refused {
		return ""
	}
	back := "an earlier version of it may hold a key that works."
	if r.Delivery.Mode == rotation.InSecretsManager {
		back = "what was there before is `AWSPREVIOUS`."
	}
	return "T" + strings.TrimPrefix(keptIn(r), "t") + " may still hold the revoked key, which is of no use: " + back + " An application that reads it needs the right one put there."
}

// onItsWay is what happens to a secret at Delivering.
func onItsWay(r rotation.Rotation, to string) string {
	if r.Delivery.InAWS() {
		return "is being written to " + keptIn(r)
	}
	if r.Delivery.Mode == rotation.Reveal {
		return "is being shown to " + to
	}
	return "is on its way to " + to
}

// aboutStored is aboutSecret for a secret in AWS.
func aboutStored(r rotation.Rotation) string {
	return "The key and its secret are in " + keptIn(r) + " in " + code(r.Delivery.Region) + ". " + versionOf(r)
}

// notPassed tells that a secret reached nobody.
func notPassed(r rotation.Rotation) string {
	if r.Delivery.InAWS() {
		return "could not be written to " + keptIn(r)
	}
	return "did not reach " + mention(r.Owner)
}
