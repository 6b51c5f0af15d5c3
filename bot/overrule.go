package bot

import (
	"slices"
	"strconv"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

// isOverruled tells whether the open ask for a deactivation stands on somebody's word for the missing evidence.
func isOverruled(r rotation.Rotation) bool {
	ask, ok := r.CurrentAsk()
	return ok && ask.Overruled.By != ""
}

// overruledBy names who answers for the missing evidence of the open ask; nothing if nobody needs to.
func overruledBy(r rotation.Rotation) string {
	ask, _ := r.CurrentAsk()
	return who(ask.Overruled)
}

func who(d rotation.Decision) string {
	if d.By == "" {
		return ""
	}
	return mention(d.By) + " overruled the missing evidence on " + when(d.At) + "."
}

// norOverruler tells that whoever answers for the evidence does not approve on it.
func norOverruler(ask rotation.Ask) string {
	if ask.Overruled.By == "" {
		return ""
	}
	return mention(ask.Overruled.By) + " overruled the evidence, so somebody else must approve."
}

// overruledShort is overruledBy for a dialog, which takes plain text.
func overruledShort(r rotation.Rotation) string {
	if !isOverruled(r) {
		return ""
	}
	return "The evidence was overruled."
}

// lacking lists what AWS says against a deactivation, as an ask shows it.
func lacking(r rotation.Rotation, ask rotation.Ask) []string {
	r.New = newIn(r, ask)
	var lines []string
	for _, b := range r.Missing(ask.Evidence, ask.At) {
		lines = append(lines, "• "+sentence(finding(b)))
	}
	return lines
}

// overruledStory tells the approvers on whose word, and against what, they are asked.
func overruledStory(r rotation.Rotation, ask rotation.Ask) string {
	s := sentences("*"+strings.TrimSuffix(who(ask.Overruled), ".")+".*", reasonGiven(ask.Overruled.Reason))
	lines := lacking(r, ask)
	if len(lines) == 0 {
		return s + "\nAWS says nothing against it any more."
	}
	return s + "\n*AWS says:*\n" + strings.Join(lines, "\n")
}

// overruledMessage tells the owner that an approver goes on without their evidence.
func overruledMessage(v view, r rotation.Rotation, ask rotation.Ask) message {
	var d draft
	d.header("The evidence about " + tidy(r.User.Name) + " was overruled")
	d.say(sentences(who(ask.Overruled), reasonGiven(ask.Overruled.Reason)))
	d.say("The approvers are asked whether the old key " + short(r.Old) + " of " + v.user(r.User) + " is deactivated. Anything that uses it then fails, and you can make it active again with one click.")
	return d.message()
}

// overruling tells an approver what they are about to overrule.
func overruling(r rotation.Rotation) string {
	lines := []string{"You overrule what is missing before the old key " + short(r.Old) + " of " + code(r.User.Name) +
		" is deactivated. The approvers are asked about that next, and see your reason. What somebody else has changed, or what is not known, cannot be overruled."}
	if !r.Proof.At.IsZero() {
		lines = append(lines, "*What Keyturner saw on "+when(r.Proof.At)+":*")
	}
	for _, b := range r.Proof.Missing {
		lines = append(lines, "• "+sentence(finding(b)))
	}
	if r.Proof.Open() {
		lines = append(lines, "• Nothing is missing. The owner can confirm.")
	}
	return strings.Join(lines, "\n")
}

// overruledLines name in the digest who has overruled evidence lately, and why: the latest of each rotation.
func overruledLines(v view, rs []rotation.Rotation) list {
	var ls []string
	for _, r := range rs {
		for _, a := range slices.Backward(r.Asks) {
			if a.Overruled.By != "" {
				ls = append(ls, sentences(v.user(r.User)+", "+short(r.Old)+": "+mention(a.Overruled.By)+" on "+when(a.Overruled.At)+".",
					reasonGiven(clip(a.Overruled.Reason, 100))))
				break
			}
		}
	}
	return list{"Evidence overruled lately: " + strconv.Itoa(len(ls)), ls}
}
