package bot

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// onTrace asks who uses the old key. It moves nothing, and the turn of its Ref does not matter.
const onTrace rotation.On = "trace"

// asksWho tells whether a card of the rotation offers to look who uses its old key.
func (v view) asksWho(r rotation.Rotation) bool {
	switch r.Stage {
	case rotation.Switching, rotation.Confirmed, rotation.Leaked, rotation.Grace, rotation.Expiring:
		return v.traced[r.User.Account]
	}
	return false
}

// withTrace adds the question to what a person may do. Once the old key is seen in use, it is the second button of the owner, who has to find
// what uses it; before that it does not take the place of "I lost the secret". A menu has one dialog for all that is in it, so that the
// question is not put where it would be taken for what the dialog warns of.
func (v view) withTrace(r rotation.Rotation, role rotation.Role, ons []rotation.On) []rotation.On {
	switch {
	case !v.asksWho(r) || len(ons) == 0:
		return ons
	case role == rotation.ByOwner && r.Stage == rotation.Switching && r.Proof.StillUsed():
		return slices.Insert(slices.Clone(ons), 1, onTrace)
	}
	for _, on := range ons[min(len(ons), maxVisible):] {
		if v.dialog(r, on) != nil {
			return ons
		}
	}
	return append(slices.Clone(ons), onTrace)
}

func traceLabel(r rotation.Rotation) string {
	if r.Stage == rotation.Grace || r.Stage == rotation.Expiring {
		return "Who used it?"
	}
	return "Who still uses it?"
}

// trace answers who uses the old key of a rotation.
func (b *Bot) trace(ctx context.Context, who caller, ref rotation.Ref, actor rotation.Actor) error {
	r, err := b.cfg.Engine.Trace(ctx, ref, actor)
	if err != nil {
		return err
	}
	b.reply(ctx, who, traceMessage(b.view, r))
	return nil
}

func traceMessage(v view, r rotation.Rotation) message {
	var d draft
	d.header("Who uses " + r.Old.Short() + " of " + tidy(r.User.Name) + "?")
	sayTrace(&d, r.Old, r.Trace, lastKnownUse(r))
	d.say("The rotation of " + v.user(r.User) + " goes on as before: nothing is decided by this.")
	return d.message()
}

// sayUsers adds to a card of the rotation who uses its old key, as it was last read.
func (v view) sayUsers(d *draft, r rotation.Rotation) {
	if v.asksWho(r) {
		sayTrace(d, r.Old, r.Trace, lastKnownUse(r))
	}
}

// sayTrace adds who uses a key, and what that leaves out.
func sayTrace(d *draft, key rotation.KeyID, t rotation.Trace, last rotation.LastUse) {
	if t.At.IsZero() {
		return
	}
	d.say(traced(key, t, last))
	d.note(untold(t))
}

// So much is shown of each caller, and of all: what comes from outside is as long as whoever calls likes.
const (
	shownAgent   = 80
	shownWord    = 40
	shownCallers = 1700
)

// traced lists who has used a key, the latest first, and names what could not be read: no word of it says that nobody uses the key.
func traced(key rotation.KeyID, t rotation.Trace, last rotation.LastUse) string {
	var lines []string
	switch {
	case len(t.Callers) > 0:
		head := "*Who has used " + short(key) + "*, as CloudTrail told on " + when(t.At) + ", the latest first:"
		callers := append([]string{head}, each(t.Callers, callerLine)...)
		if t.More > 0 {
			callers = append(callers, "• And "+count(t.More, "more caller")+", none of them later.")
		}
		lines = append(lines, joinWithin(callers, "\n", shownCallers, "• And more callers, none of them later."))
	case len(t.Unread) >= len(t.Regions):
		lines = append(lines, "*It is not known who uses "+short(key)+"*: on "+when(t.At)+" CloudTrail could not be read.")
	default:
		lines = append(lines, "CloudTrail told on "+when(t.At)+" of no call by "+short(key)+" in "+regions(answered(t))+". That does not prove that nothing uses it.")
	}
	lines = append(lines, shutRegions(t)...)
	if len(t.Partly) > 0 {
		lines = append(lines, "• In "+regions(t.Partly)+" there are more calls than are read, so there may be other callers, earlier ones.")
	}
	return strings.Join(append(lines, elsewhere(t, last)...), "\n")
}

// callerLine is one caller: what it calls, with what program, from where, how often and when last.
func callerLine(c rotation.Caller) string {
	what := word(c.Service)
	if len(c.Names) > 0 {
		what += " (" + strings.Join(each(c.Names, word), ", ") + ")"
	}
	program := "by a program that does not say its name"
	if agent := tidy(c.Agent); agent != "" {
		program = "by " + code(clip(agent, shownAgent))
	}
	from := "from an unknown address"
	if address := tidy(c.Address); address != "" {
		from = "from " + word(address)
	}
	return "• " + what + " " + program + " " + from + ", " + count(c.Calls, "call") + " in " + regions(c.Regions) + ", last on " + when(c.Last) + "."
}

func word(s string) string { return code(clip(tidy(s), shownWord)) }

// regions names some regions.
func regions(names []string) string {
	const most = 10
	shown := each(names[:min(len(names), most)], word)
	if n := len(names) - most; n > 0 {
		shown = append(shown, strconv.Itoa(n)+" more")
	}
	return listed(shown, "and")
}

// answered are the regions that were read.
func answered(t rotation.Trace) []string {
	return slices.DeleteFunc(slices.Clone(t.Regions), func(region string) bool {
		return slices.ContainsFunc(t.Unread, func(u rotation.Unread) bool { return u.Region == region })
	})
}

// shutRegions name the regions that could not be read, a line for each reason.
func shutRegions(t rotation.Trace) []string {
	var reasons []string
	because := map[string][]string{}
	for _, u := range t.Unread {
		why := whyUnread(u.Class)
		if because[why] == nil {
			reasons = append(reasons, why)
		}
		because[why] = append(because[why], u.Region)
	}
	return each(reasons, func(why string) string {
		return "• *" + regions(because[why]) + " could not be read* " + why + ", so nothing is known of calls there."
	})
}

func whyUnread(c rotation.Class) string {
	switch c {
	case rotation.ClassDenied:
		return "because AWS did not permit it (the operator must allow `cloudtrail:LookupEvents` there)"
	case rotation.ClassThrottled:
		return "because AWS had too many requests at once"
	}
	return "because AWS gave no usable answer in time"
}

// elsewhere warns of a last use that the trail, as it is read, cannot show.
func elsewhere(t rotation.Trace, last rotation.LastUse) []string {
	if last.State != rotation.Used || last.Region == "" || slices.Contains(t.Regions, last.Region) {
		return nil
	}
	return []string{"• Its last use was in " + word(last.Region) + ", where CloudTrail is not asked. The operator can add that region to Keyturner's configuration."}
}

// untold says what a trace never shows.
func untold(t rotation.Trace) string {
	return "CloudTrail tells of a call up to 15 minutes late and keeps 90 days. It was asked in " + regions(t.Regions) +
		" and nowhere else. It does not show data events, such as reading objects in S3 or items in DynamoDB, or sending mail by SMTP. So this finds users of a key, and never proves that there are none."
}

// lastKnownUse is the old key's last use as it was last looked at.
func lastKnownUse(r rotation.Rotation) rotation.LastUse {
	for _, b := range r.Proof.Missing {
		if b.Key.ID == r.Old && b.Key.LastUse.State == rotation.Used {
			return b.Key.LastUse
		}
	}
	if n := len(r.Asks); n > 0 {
		old, _ := r.Asks[n-1].Evidence.Key(r.Old)
		return old.LastUse
	}
	return rotation.LastUse{}
}

// traceButton is for a question that moves nothing, so that it has no dialog.
func traceButton(r rotation.Rotation, ref rotation.Ref) *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(string(onTrace), ref.String(), plainText(traceLabel(r)))
	b.AccessibilityLabel = clip(traceLabel(r)+" The key "+r.Old.Short()+" of "+tidy(r.User.Name), maxLabel)
	return b
}
