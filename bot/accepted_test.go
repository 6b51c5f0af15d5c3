package bot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// anExemption is one of the old key, at a stage.
func anExemption(stage rotation.ExemptionStage) rotation.KeyExemption {
	const day = 24 * time.Hour
	x := rotation.KeyExemption{
		ID: ci.ID() + "-e3", User: ci, Key: oldKey, Reason: "The vendor's appliance takes no second key before spring.", Until: monday.Add(100 * day),
		Requester: owner, Owner: owner, Wanted: 1, Stage: stage, Turn: 1, Asked: monday, Deadline: monday.Add(3 * day), Since: monday,
		Shown: aKey(oldKey, rotation.Active, 95, rotation.Used), ShownAt: monday, Found: []rotation.Breach{rotation.TooOld, rotation.Idle},
	}
	approval := rotation.Decision{By: alice, At: monday.Add(time.Hour), Approve: true}
	switch stage {
	case rotation.ExemptDenied:
		x.Decisions = []rotation.Decision{{By: bob, At: monday.Add(time.Hour), Reason: "An appliance can take a role."}}
	case rotation.ExemptAsked, rotation.ExemptLapsed:
	case rotation.ExemptWithdrawn:
		x.EndedBy = owner
	case rotation.ExemptEnded:
		x.EndedBy = bob
		fallthrough
	default:
		x.Decisions = []rotation.Decision{approval}
	}
	if stage != rotation.ExemptAsked {
		x.Turn, x.Since = 2, monday.Add(2*time.Hour)
	}
	return x
}

func aSnooze() rotation.Snooze {
	return rotation.Snooze{ID: ci.ID() + "-s4", Key: oldKey, Owner: owner, By: owner, At: monday, Until: monday.Add(7 * 24 * time.Hour), Ended: monday.Add(7 * 24 * time.Hour)}
}

var exemptionStages = []rotation.ExemptionStage{
	rotation.ExemptAsked, rotation.ExemptHeld, rotation.ExemptDenied, rotation.ExemptWithdrawn, rotation.ExemptLapsed, rotation.ExemptEnded,
	rotation.ExemptOver, rotation.ExemptReplaced, rotation.ExemptGone, rotation.ExemptLeaked,
}

// TestExemptionMessages shows each message about what is accepted, at each stage. Its text tells all that is needed to decide.
func TestExemptionMessages(t *testing.T) {
	v := testView()
	messages := map[string]message{
		"soon": endsSoonMessage(v, anExemption(rotation.ExemptHeld)), "over": endedMessage(v, anExemption(rotation.ExemptOver)),
		"ended": endedMessage(v, anExemption(rotation.ExemptEnded)), "snooze-over": snoozeOverMessage(v, ci, aSnooze()),
	}
	for _, stage := range exemptionStages {
		x := anExemption(stage)
		messages["card-"+string(stage)] = exemptionCard(v, x)
		if stage != rotation.ExemptAsked {
			messages["told-"+string(stage)] = exemptedMessage(v, x)
		}
	}
	two := anExemption(rotation.ExemptAsked)
	two.Wanted = 2
	messages["card-two"] = exemptionCard(v, two)
	two.Decisions = []rotation.Decision{{By: alice, At: monday, Approve: true}}
	messages["card-two-one"] = exemptionCard(v, two)
	unowned := anExemption(rotation.ExemptAsked)
	unowned.Owner, unowned.Requester, unowned.Found = "", oncall, nil
	unowned.Shown.LastUse = rotation.LastUse{}
	messages["card-unowned"] = exemptionCard(v, unowned)

	var texts strings.Builder
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		goldenMessage(t, "exemption/"+name, messages[name])
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, messages[name].Text)
	}
	golden(t, "exemption.golden.txt", []byte(texts.String()))
	for _, fact := range []string{"vendor's appliance", "ci-deploy", "95 days", string(oldKey), "too old", "2027-03-03", "2026-11-26", string(owner), string(alice)} {
		if text := messages["card-asked"].Text; !strings.Contains(text, fact) {
			t.Errorf("the card does not say %q: %s", fact, text)
		}
	}
	if text := messages["card-two-one"].Text; !strings.Contains(text, "1 of 2 approved by <@"+string(alice)+">") || strings.Contains(text, "<@"+string(alice)+"> or") {
		t.Errorf("after one of two: %s", text)
	}
	if text := messages["card-unowned"].Text; !strings.Contains(text, "not known, which is not the same as never") {
		t.Errorf("an unknown use: %s", text)
	}
}

// TestExemptionRefusals: a refusal about an exemption tells of that, and not of a rotation.
func TestExemptionRefusals(t *testing.T) {
	var texts strings.Builder
	for _, code := range slices.Sorted(maps.Keys(exemptionRefusals)) {
		for _, stage := range []rotation.ExemptionStage{rotation.ExemptAsked, rotation.ExemptHeld} {
			x := anExemption(stage)
			text := refusalText(testView(), &rotation.Refusal{Code: code, User: ci, Key: oldKey, By: owner, Exemption: &x})
			checkAnswer(t, plain(text))
			fmt.Fprintf(&texts, "--- %s while %s\n%s\n\n", code, stage, text)
			if strings.Contains(text, "rotation") {
				t.Errorf("%s: %s", code, text)
			}
		}
	}
	golden(t, "exemption-refusals.golden.txt", []byte(texts.String()))
}

// TestDigest_ListsWhatIsAccepted: until when, by whom and why, what ends soon first; a snoozed key is due all the same, and a key of which only
// a part is accepted too.
func TestDigest_ListsWhatIsAccepted(t *testing.T) {
	const day = 24 * time.Hour
	accepted := rotation.Exemption{Reason: "The vendor is slow.", Until: monday.Add(100 * day), By: []rotation.MemberID{alice, bob}}
	long := aFinding(rotation.TooOld, rotation.UserRef{Account: ci.Account, Name: "long"}, "AKIAAAAAAAAAAAALONG1", 200)
	soon := aFinding(rotation.TooOld, rotation.UserRef{Account: ci.Account, Name: "soon"}, "AKIAAAAAAAAAAAASOON1", 190)
	part := aFinding(rotation.TooOld, rotation.UserRef{Account: ci.Account, Name: "part"}, "AKIAAAAAAAAAAAAPART1", 180)
	twin := aFinding(rotation.TwoActive, rotation.UserRef{Account: ci.Account, Name: "part"}, "AKIAAAAAAAAAAAAPART1", 180)
	snoozed := aFinding(rotation.SoonTooOld, ci, oldKey, 80)
	long.Exempt, soon.Exempt, part.Exempt = accepted, accepted, accepted
	soon.Exempt.Until = monday.Add(13 * day)
	part.Exempt.Until = monday.Add(6 * day)
	snoozed.Snooze = aSnooze()
	s := rotation.Survey{At: monday, Accounts: survey().Accounts[:1], Findings: []rotation.Finding{long, soon, part, twin, snoozed}}
	m := digestMessage(testView(), s, nil, inWeek("2026-W47"))
	goldenMessage(t, "digest/accepted", m)
	before, lists, found := strings.Cut(m.Text, "Exempt, and about to end:\n")
	ending, rest, both := strings.Cut(lists, "Exempt for now:\n")
	if !found || !both || strings.Index(ending, "part in") > strings.Index(ending, "soon in") || strings.Contains(ending, "long in") ||
		!strings.Contains(ending, "To prolong it, <@"+string(owner)+"> or on-call types /rotate-key exempt "+string(soon.Key.ID)+", and approvers decide.") {
		t.Errorf("what is about to end: %s", ending)
	}
	if !strings.Contains(rest, "accepted by <@"+string(alice)+"> and <@"+string(bob)+">") || !strings.Contains(rest, "The vendor is slow.") ||
		strings.Contains(rest, "part in") || strings.Contains(rest, "soon in") {
		t.Errorf("the list of what else is accepted: %s", rest)
	}
	for _, want := range []string{"2 keys need attention", "Some of that is exempt until", "two keys of this user are active", "Snoozed until", "by <@" + string(owner) + ">"} {
		if !strings.Contains(strings.ToLower(before), strings.ToLower(want)) {
			t.Errorf("it does not say %q: %s", want, before)
		}
	}
	d, err := inWords(testView(), s, nil, inWeek("2026-W47"), func(id string) string { return id })
	if err != nil || len(d.Notes) < 2 || d.Notes[len(d.Notes)-2].Title != "Exempt, and about to end" || !strings.Contains(d.Notes[len(d.Notes)-2].Lines[0], "To prolong it, "+string(owner)+" or on-call types /rotate-key exempt AKIA") {
		t.Errorf("in words: %+v, %v", d.Notes, err)
	}
}

// TestProlonged tells who can have an exemption prolonged: whoever can have it made.
func TestProlonged(t *testing.T) {
	x := rotation.Exemption{Reason: "Later.", Until: monday, By: []rotation.MemberID{alice}}
	for _, c := range []struct {
		owner rotation.MemberID
		by    []rotation.MemberID
		want  string
	}{
		{owner, x.By, "<@" + string(owner) + "> or on-call types"},
		{"S0SQUAD01", x.By, "<!subteam^S0SQUAD01> or on-call types"},
		{"", x.By, "To prolong it, on-call types"},
		{owner, nil, "the operator"},
	} {
		x.By = c.by
		k := keyFindings{Finding: rotation.Finding{Owner: c.owner, Key: rotation.Key{ID: oldKey}, Exempt: x}}
		if got := prolonged(k); !strings.Contains(got, c.want) {
			t.Errorf("%q does not say %q", got, c.want)
		}
	}
}

// TestKeysTellWhatIsAccepted: the list of one's keys, whois and the history.
func TestKeysTellWhatIsAccepted(t *testing.T) {
	v := testView()
	v.now = monday.Add(time.Hour)
	h := holding("ci-deploy", aKey(oldKey, rotation.Active, 95, rotation.Used), aKey(newKey, rotation.Active, 80, rotation.Used))
	h.Exemptions = []rotation.KeyExemption{anExemption(rotation.ExemptHeld), anExemption(rotation.ExemptAsked)}
	h.Exemptions[1].Key = newKey
	h.Snoozes = []rotation.Snooze{aSnooze()}
	h.Snoozes[0].Ended = time.Time{}
	past := []rotation.Past{{User: ci, Snoozes: []rotation.Snooze{aSnooze()}}}
	for _, stage := range exemptionStages[2:] {
		past[0].Exemptions = append(past[0].Exemptions, anExemption(stage))
	}
	goldenMessage(t, "exemption/keys", keysMessage(v, []rotation.Holding{h}))
	goldenMessage(t, "exemption/history", historyMessage(v, "None.", nil, past))
	whose := whoseMessage(v, rotation.Whose{Key: oldKey, Account: ci.Account, Holding: h})
	goldenMessage(t, "exemption/whose", whose)
	if strings.Contains(whose.Text, "is asked for") {
		t.Errorf("whois tells of another key's: %s", whose.Text)
	}
	goldenView(t, "modal/exempt", exemptModal(v, h, ""))
	goldenView(t, "modal/exempt-one", exemptModal(v, h, oldKey))
	goldenView(t, "modal/exempt-none", exemptModal(v, rotation.Holding{User: ci, Err: refusedByAWS(rotation.ClassThrottled)}, ""))
	goldenView(t, "modal/exempt-deny", exemptDenyModal(v, anExemption(rotation.ExemptAsked)))
	v.now = monday.Add(101 * 24 * time.Hour)
	if text := keysMessage(v, []rotation.Holding{h}).Text; strings.Contains(text, "exempt until") || strings.Contains(text, "snoozed until") {
		t.Errorf("what is over reads as if it held: %s", text)
	}
}

// FuzzExemptModal submits anything: what is understood is a key of the user whom the form is about, a day from today to a year from now, and a
// reason.
func FuzzExemptModal(f *testing.F) {
	for _, words := range append(slices.Clone(hostile), "2026-11-23", "2026-11-22", "2027-11-23", "2027-11-24", "2027-02-29", "0000-00-00", "9999-12-31", "2026-11-23T00:00:00Z") {
		f.Add(ci.String(), ci.ID()+"/"+string(oldKey), "2026-12-24", words)
		f.Add(ci.String(), ci.ID()+"/"+string(oldKey), words, "because")
		f.Add(ci.String(), words, "2026-12-24", "because")
		f.Add(words, ci.ID()+"/"+string(oldKey), "2026-12-24", "because")
	}
	zone := time.FixedZone("", -5*60*60)
	f.Fuzz(func(t *testing.T, metadata, key, until, reason string) {
		now := monday.In(zone)
		values := map[string]map[string]slack.BlockAction{}
		for block, value := range map[string]string{inputKey: key, inputUntil: until, inputReason: reason} {
			values[block] = map[string]slack.BlockAction{block: {Value: value}}
		}
		c, problems := parseExemptModal(metadata, &slack.ViewState{Values: values}, now)
		if len(problems) > 0 {
			if c != (exemptionChoice{}) {
				t.Errorf("refused, and read as %+v", c)
			}
			return
		}
		day := c.until.AddDate(0, 0, -1)
		if c.user.String() != metadata || c.user.ID()+"/"+string(c.key) != key || c.key == "" || day.Format(time.DateOnly) != until || c.reason == "" {
			t.Errorf("%q until %q of %q for %q is read as %+v", key, until, metadata, reason, c)
		}
		if !c.until.After(now) || c.until.After(rotation.ExemptUntil(now)) {
			t.Errorf("until %s, asked at %s", c.until, now)
		}
		checkTyped(t, c.reason)
	})
}
