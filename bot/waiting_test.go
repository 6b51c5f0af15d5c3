package bot

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

const second rotation.GroupID = "SSECOND"

// patientView is testView with a rule that has a second circle: on-call and a group.
func patientView() view {
	v := testView()
	v.approvals = rotation.NewApprovals([]rotation.Approval{patientRule()}, nil)
	return v
}

func windows() []rotation.Window {
	return []rotation.Window{
		{Days: []time.Weekday{time.Tuesday, time.Thursday}, From: 9 * time.Hour, Until: 16*time.Hour + 30*time.Minute},
		{Days: []time.Weekday{time.Saturday}, Until: 24 * time.Hour},
	}
}

func patientRule() rotation.Approval {
	return rotation.Approval{
		Name: "patient", By: rotation.Circle{Members: []rotation.MemberID{alice, bob, owner}}, Remind: rotation.DefaultReminders(),
		Escalate: rotation.Escalation{After: 24 * time.Hour, To: rotation.Circle{Members: []rotation.MemberID{"UERIN", owner}, Groups: []rotation.GroupID{second}}},
	}
}

// TestWaiting renders what is said while nobody decides, and when nobody has.
func TestWaiting(t *testing.T) {
	v, all := patientView(), tales(t)
	due := func(name string, change func(*rotation.Ask)) (rotation.Rotation, rotation.Ask) {
		r := all[name].r
		r.Asks = slices.Clone(r.Asks)
		ask := &r.Asks[len(r.Asks)-1]
		ask.Escalates = ask.At.Add(24 * time.Hour)
		if change != nil {
			change(ask)
		}
		return r, *ask
	}
	escalated := func(ask *rotation.Ask) { ask.Escalated, ask.Escalates = ask.Escalates, time.Time{} }
	byClock := rotation.Reminder{At: monday.Add(4 * time.Hour), To: []rotation.MemberID{alice, bob}}
	messages := map[string]message{}
	add := func(name, about string, change func(*rotation.Ask), render func(rotation.Rotation, rotation.Ask) message) {
		r, ask := due(about, change)
		messages[name] = render(r, ask)
	}
	remind := func(r rotation.Rotation, ask rotation.Ask) message { return reminderMessage(v, r, ask, byClock, "") }
	escalate := func(r rotation.Rotation, ask rotation.Ask) message {
		return escalationMessage(v, r, ask, "https://acme.slack.com/archives/C1/p1")
	}
	lapsed := func(r rotation.Rotation, ask rotation.Ask) message { return lapsedMessage(v, r, ask) }
	unanswered := func(r rotation.Rotation, ask rotation.Ask) message { return unansweredMessage(v, r, ask) }
	card := func(r rotation.Rotation, ask rotation.Ask) message { return approvalCard(v, r, ask) }

	add("reminder", "replace/requested", nil, remind)
	add("reminder-some", "replace/requested", func(ask *rotation.Ask) {
		ask.Wanted, ask.Decisions = 2, []rotation.Decision{{By: alice, Approve: true, At: monday.Add(5 * time.Hour)}}
	}, remind)
	add("reminder-old", "replace/denied", nil, remind)
	add("reminder-late", "replace/expiring", escalated, remind)
	add("escalation", "replace/requested", escalated, escalate)
	add("escalation-old", "replace/denied", escalated, escalate)
	add("lapsed", "replace/lapsed", nil, lapsed)
	add("lapsed-escalated", "replace/lapsed", escalated, lapsed)
	add("lapsed-on-call", "replace/lapsed", escalated, unanswered)
	add("lapsed-retirement", "retire/lapsed", nil, lapsed)
	add("card", "replace/requested", nil, card)
	add("card-escalated", "replace/requested", escalated, card)

	back := all["replace/confirmed"].r
	back.Asks = slices.Clone(back.Asks)
	last := &back.Asks[len(back.Asks)-1]
	last.Closed, back.Stage = string(rotation.Elapse), rotation.Switching
	messages["lapsed-deactivation"], messages["lapsed-deactivation-on-call"] = lapsed(back, *last), unanswered(back, *last)

	frozen := patientRule()
	frozen.Windows = windows()
	frozen.Freezes = []rotation.Freeze{{From: monday.Add(-time.Hour), Until: monday.Add(99 * time.Hour), Reason: "The year is being closed."}}
	v.approvals = rotation.NewApprovals([]rotation.Approval{frozen}, nil)
	for _, stage := range []string{"requested", "confirmed", "expiring"} {
		r, ask := due("replace/"+stage, func(ask *rotation.Ask) {
			ask.Decisions = []rotation.Decision{{By: alice, Approve: true, At: monday.Add(time.Hour)}}
		})
		r.Held, r.Deadline = monday.Add(119*time.Hour), time.Time{}
		messages["held-"+stage+"-reminder"] = reminderMessage(v, r, ask, byClock, "")
		messages["held-"+stage], messages["held-"+stage+"-owner"] = approvalCard(v, r, ask), ownerCard(v, r)
		if offered := r.Offers(deciding); slices.Contains(offered, rotation.Approve) || !slices.Contains(offered, rotation.Deny) {
			t.Errorf("%s: what is approved offers %v", stage, offered)
		}
	}
	add("card-windowed", "replace/requested", nil, card)
	var texts strings.Builder
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		goldenMessage(t, "waiting/"+name, messages[name])
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, messages[name].Text)
	}
	golden(t, "waiting.golden.txt", []byte(texts.String()))
	for name, named := range map[string][]rotation.MemberID{"reminder": {alice, bob}, "reminder-some": {bob}, "reminder-late": {alice, bob}} {
		got := regexp.MustCompile(`<[@!]([A-Z^a-z]+)>`).FindAllStringSubmatch(messages[name].Text, -1)
		if len(got) != len(named) { // whoever is named is notified
			t.Errorf("%s names %q, want %s alone", name, got, named)
		}
	}
}
