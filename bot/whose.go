package bot

import (
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// whoseMessage tells whose key it is and what is known of it. That nothing was found is told apart from that nobody could look.
func whoseMessage(v view, w rotation.Whose) message { return whoseTraced(v, w, rotation.Trace{}) }

// whoseTraced is whoseMessage with who uses the key, if that was asked.
func whoseTraced(v view, w rotation.Whose, t rotation.Trace) message {
	var d draft
	d.header("Whose key is " + w.Key.Short() + "?")
	switch {
	case w.Account == "":
		d.say(notFound(v, w))
	case w.Holding.User.Name == "":
		d.say(code(string(w.Key)) + " is a key of " + v.accountInFull(w.Account) + ", and AWS names no IAM user for it. It may be the root user's key: look in that account.")
	default:
		sayWhose(&d, v, w)
	}
	sayTrace(&d, w.Key, t, used(w))
	for i, r := range w.Past {
		if i == maxListed {
			break
		}
		d.say(dealtWith(v, r, w.Key))
	}
	return d.message()
}

func sayWhose(d *draft, v view, w rotation.Whose) {
	h := w.Holding
	d.facts([]fact{
		{"Key", code(string(w.Key))},
		{"Account", v.accountInFull(w.Account)},
		{"IAM user", code(h.User.Name)},
	})
	d.say(ended("Owner: " + v.ownedBy(h.Ownership)))
	key, found := w.Found()
	switch {
	case h.Err != nil:
		d.say("Its status, age and last use could not be read, so they are not known. " + notRead(h.Err))
	case !found:
		d.say("AWS does not list it among the user's keys now. It may have been deleted a moment ago. Look in AWS.")
	default:
		d.say(strings.Join(append([]string{keyLine(v, key) + v.foundOf(h, key.ID)}, acceptedLines(v, h, key.ID)...), "\n"))
	}
	if h.Ownership.Owner() == "" && !h.Ownership.Unknown() {
		d.say(v.nameOwner())
	}
}

// maxUnread bounds how many accounts that could not be read are named.
const maxUnread = 20

// notFound tells that no account has the key, or that it is not known.
func notFound(v view, w rotation.Whose) string {
	id := code(string(w.Key))
	if len(w.Unread) == 0 {
		return sentences("No account that Keyturner looks after has the key "+id+" now.", v.hint(w.Key))
	}
	var lines []string
	for i, a := range w.Unread {
		if i == maxUnread {
			lines = append(lines, "• And "+count(len(w.Unread)-i, "other account")+".")
			break
		}
		lines = append(lines, "• "+v.accountInFull(a.ID)+": "+notTold(a.Err))
	}
	return sentences("It is *not known* whose key "+id+" is: some accounts did not tell, and the others do not have it.", v.hint(w.Key)) + "\n" + strings.Join(lines, "\n")
}

// notTold is notRead, but for a denial, which AWS also answers with if the key is another account's.
func notTold(err error) string {
	if rotation.ClassOf(err) == rotation.ClassDenied {
		return "AWS did not permit the question. It says the same of a key of another account."
	}
	return notRead(err)
}

// hint tells which account a key's id points to.
func (v view) hint(key rotation.KeyID) string {
	id, ok := key.Account()
	switch {
	case !ok:
		return ""
	case v.accounts.of(id) != "":
		return "Its id points to the account " + v.accountInFull(id) + "."
	}
	return "Its id points to the account " + code(id) + ", which is not one that Keyturner looks after."
}

// dealtWith tells of a rotation that the key has had to do with.
func dealtWith(v view, r rotation.Rotation, key rotation.KeyID) string {
	part := "is the old key of"
	if key == r.New {
		part = "is the new key of"
	}
	state := ending(r)
	if !r.Ended() {
		state = standing(r) + " Next: " + v.next(r) + "."
	}
	return short(key) + " " + part + " a rotation of " + v.user(r.User) + ", owner " + mention(r.Owner) + ", begun on " + when(r.Begun) + ". " + state
}

func used(w rotation.Whose) rotation.LastUse {
	key, _ := w.Found()
	return key.LastUse
}
