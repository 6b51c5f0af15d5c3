package rotation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var (
	shownUntil = func(until time.Time) Handover { return Handover{Post: Post{Channel: "D1", TS: "1.1"}, Until: until} }
	noTime     time.Time
)

func TestHandover_DueAndLive(t *testing.T) {
	shown := shownUntil(noon)
	received, gone, failed, waits, unsent := shown, shown, shown, shown, shown
	received.Received, received.Until = noon.Add(-time.Hour), noon.Add(time.Hour)
	gone.Gone = true
	failed.Failed = "Slack refuses"
	waits.Until = noTime
	unsent.Post = Post{}
	early := waits // a receipt before it is written that the secret was shown
	early.Received = noon.Add(-time.Minute)
	tests := []struct {
		name             string
		h                Handover
		due, live, waits bool
		next             time.Time
	}{
		{"its time is over", shown, true, true, false, noon},
		{"its time is not over", shownUntil(noon.Add(time.Second)), false, true, false, noon.Add(time.Second)},
		{"the receipt is there", received, true, true, false, noon.Add(-time.Hour)},
		{"it is gone", gone, false, false, false, noTime},
		{"it cannot be removed", failed, false, false, false, noTime},
		{"it waits for its secret", waits, false, true, true, noTime},
		{"the receipt came before the outcome was written", early, false, true, true, noTime},
		{"there is none", unsent, false, false, false, noTime},
	}
	for _, test := range tests {
		for _, stale := range []bool{false, true} {
			r := Rotation{Stage: Cancelled, Handover: test.h}
			if stale {
				r = Rotation{Stage: Cancelled, Stale: []Handover{test.h}}
				if !test.h.Post.Known() {
					continue
				}
			}
			for name, p := range map[string]Progress{"current": {Rotation: &r}, "past": {Past: []Rotation{r}, Rotation: &Rotation{Stage: Done}}} {
				if got := p.handoverDue(noon); got != test.due {
					t.Errorf("%s, %s, stale %v: due %v", test.name, name, stale, got)
				}
				if got := p.Live(); got != test.live {
					t.Errorf("%s, %s, stale %v: live %v", test.name, name, stale, got)
				}
				if got := p.next(); !got.Equal(test.next) {
					t.Errorf("%s, %s, stale %v: next due %s, want %s", test.name, name, stale, got, test.next)
				}
			}
			if got := test.h.Waits(); got != test.waits {
				t.Errorf("%s: waits %v", test.name, got)
			}
		}
	}
}

// TestProgress_NextMissesNothing holds next against due: what is due at some moment must have fallen due by then, or a process that has
// seen the document would never look at it again.
func TestProgress_NextMissesNothing(t *testing.T) {
	times := []time.Time{noTime, noon.Add(-time.Hour), noon, noon.Add(time.Hour)}
	tried := 0
	for _, stage := range allStages() {
		for _, deadline := range times {
			for _, retry := range times {
				for _, until := range times {
					r := Rotation{Stage: stage, Since: noon.Add(-2 * time.Hour), Deadline: deadline, Retry: Retry{At: retry}, Handover: shownUntil(until)}
					p := Progress{Rotation: &r}
					next := p.next()
					for _, now := range []time.Time{noon.Add(-time.Hour), noon, noon.Add(30 * time.Minute), noon.Add(time.Hour)} {
						tried++
						_, due := p.due(now)
						if (due || p.handoverDue(now)) && (next.IsZero() || next.After(now)) {
							t.Errorf("%s until %s, retry %s, message until %s: due at %s, but next is %s", stage, deadline, retry, until, now, next)
						}
						if working := stage.Working() && !now.Before(retry); due != (working || !stage.Ended() && !deadline.IsZero() && !now.Before(deadline) && !now.Before(retry)) {
							t.Errorf("%s until %s, retry %s: due %v at %s", stage, deadline, retry, due, now)
						}
					}
				}
			}
		}
	}
	if tried < 17*4*4*4*4 {
		t.Errorf("only %d cases", tried)
	}
}

// TestProgress_WhatIsAcceptedKeepsItLive: an end that is to come must be found by itself.
func TestProgress_WhatIsAcceptedKeepsItLive(t *testing.T) {
	const day = 24 * time.Hour
	until := noon.Add(30 * day)
	for _, test := range []struct {
		name string
		p    Progress
		next time.Time
	}{
		{"asked", Progress{Exemptions: []KeyExemption{{Stage: ExemptAsked, Deadline: noon.Add(day), Until: until}}}, noon.Add(day)},
		{"held", Progress{Exemptions: []KeyExemption{{Stage: ExemptHeld, Since: noon, Until: until}}}, until.Add(-7 * day)},
		{"held and warned", Progress{Exemptions: []KeyExemption{{Stage: ExemptHeld, Since: noon, Until: until, Warned: noon}}}, until},
		{"held for a short time", Progress{Exemptions: []KeyExemption{{Stage: ExemptHeld, Since: noon, Until: noon.Add(6 * day)}}}, noon.Add(6 * day)},
		{"over", Progress{Exemptions: []KeyExemption{{Stage: ExemptOver, Deadline: noon, Until: noon}}}, noTime},
		{"snoozed", Progress{Snoozes: []Snooze{{Until: until}, {Until: noon, Ended: noon}}}, until},
		{"snoozed once", Progress{Snoozes: []Snooze{{Until: noon, Ended: noon}}}, noTime},
	} {
		if got := test.p.next(); !got.Equal(test.next) || test.p.Live() == test.next.IsZero() {
			t.Errorf("%s: next %s, want %s; live %v", test.name, got, test.next, test.p.Live())
		}
		for _, x := range test.p.Exemptions {
			if x.next().IsZero() {
				continue
			}
			if early, now := test.p, test.next.Add(-time.Second); early.tend(now) {
				t.Errorf("%s: something has changed a second before it is due", test.name)
			}
			if late := test.p; !late.tend(test.next) || !late.Owed || late.Exemptions[0].Turn == x.Turn && late.Exemptions[0].Warned.IsZero() {
				t.Errorf("%s: nothing has changed when it was due: %+v", test.name, late)
			}
		}
	}
}

// TestKeyExemption_HoldsUntilItsDate, also where nobody has written yet that it is over.
func TestKeyExemption_HoldsUntilItsDate(t *testing.T) {
	x := KeyExemption{Key: "K", Stage: ExemptHeld, Until: noon}
	s := Snooze{Key: "K", Until: noon}
	p := Progress{Exemptions: []KeyExemption{x}, Snoozes: []Snooze{s}}
	for _, test := range []struct {
		now  time.Time
		want bool
	}{{noon.Add(-time.Second), true}, {noon, false}, {noon.Add(time.Hour), false}} {
		_, exempt := p.ExemptionOf("K", test.now)
		_, snoozed := p.SnoozeOf("K", test.now)
		exemptions, snoozes := p.Accepted(test.now)
		if exempt != test.want || snoozed != test.want || len(exemptions) == 1 != test.want || len(snoozes) == 1 != test.want {
			t.Errorf("at %s: exempt %v, snoozed %v, listed %d and %d, want %v", test.now, exempt, snoozed, len(exemptions), len(snoozes), test.want)
		}
	}
}

// TestEngine_ADeletedKeyHasNoExemption: what was accepted of a key ends in the same write that tells of its deletion.
func TestEngine_ADeletedKeyHasNoExemption(t *testing.T) {
	for _, test := range []struct {
		stage Stage
		on    On
		gone  KeyID
	}{{Deleting, Succeed, "OLD"}, {Discarding, Succeed, "NEW"}, {Deactivating, Succeed, ""}, {Deleting, Fail, ""}} {
		r := Rotation{ID: "x-1", Stage: test.stage, Old: "OLD", New: "NEW", Then: Cancelled}
		p := Progress{Rotation: &r, Exemptions: []KeyExemption{{Key: "OLD", Stage: ExemptHeld}, {Key: "NEW", Stage: ExemptAsked}}, Snoozes: []Snooze{{Key: "OLD"}, {Key: "NEW"}}}
		if err := (&Engine{}).step(&p, p.Rotation, Event{On: test.on, By: TheEngine, At: noon}); err != nil {
			t.Fatal(err)
		}
		for _, x := range p.Exemptions {
			if got := x.Stage == ExemptGone; got != (x.Key == test.gone) {
				t.Errorf("%s on %s: the exemption of %s is %s", test.stage, test.on, x.Key, x.Stage)
			}
		}
		if got := slices.ContainsFunc(p.Snoozes, func(s Snooze) bool { return s.Key == test.gone }); got || len(p.Snoozes) == 2 != (test.gone == "") {
			t.Errorf("%s on %s: snoozes %+v", test.stage, test.on, p.Snoozes)
		}
	}
}

func TestBegin_ForgetsNoSecretThatStandsInSlack(t *testing.T) {
	p := Progress{User: UserRef{"111122223333", "ci"}, Posts: map[string]Post{}}
	begin := func(h Handover) {
		p.Begin(Rotation{Stage: Cancelled, Handover: h, Asks: make([]Ask, keepAsks)})
		p.Posts[p.Rotation.ID+"/owner"] = Post{TS: "2.2"}
	}
	begin(shownUntil(noon))
	for range keepPast + 3 {
		begin(Handover{})
	}
	has := func(id string) bool { _, ok := p.Find(id); return ok }
	first, second := p.User.ID()+"-1", p.User.ID()+"-2"
	if !has(first) || has(second) || len(p.Past) != keepPast {
		t.Errorf("past: %d, with the first %v and the second %v: want the first kept, since its secret stands in Slack", len(p.Past), has(first), has(second))
	}
	if _, ok := p.Posts[second+"/owner"]; ok || len(p.Posts) != keepPast+1 {
		t.Errorf("posts: %v", p.Posts)
	}
	cur, _ := p.Find(first)
	cur.Removed(Post{Channel: "D1", TS: "1.1", Shown: "an edit later", Tries: 2})
	if !cur.Handover.Gone {
		t.Error("a message is known by where it stands, whatever else is noted of it")
	}
	begin(Handover{})
	if has(first) || len(p.Past) != keepPast {
		t.Errorf("past: %d, with the first %v: it may go now", len(p.Past), has(first))
	}
}

func TestForgetAsks_KeepsWhatCounts(t *testing.T) {
	var r Rotation
	ask := func(stage Stage, closed On) {
		r.Asks = append(r.Asks, Ask{Stage: stage, Turn: len(r.Asks) + 1, Closed: string(closed)})
	}
	ask(Requested, Approve)
	ask(Confirmed, Approve)
	for range 10 {
		ask(Confirmed, Renew)
		ask(Stuck, TryAgain)
	}
	ask(Expiring, "")
	want := r
	approved := map[Stage]Ask{}
	for _, stage := range []Stage{Requested, Confirmed} {
		approved[stage], _ = want.Approved(stage)
	}
	before := slices.Clone(r.Asks)
	kept := r.Asks
	r.forgetAsks(6)
	if !cmp.Equal(before, kept) {
		t.Error("the asks of another copy were changed")
	}
	if len(r.Asks) != 6 || !slices.IsSortedFunc(r.Asks, func(a, b Ask) int { return a.Turn - b.Turn }) {
		t.Errorf("%d asks are left: %v", len(r.Asks), r.Asks)
	}
	for stage, want := range approved {
		if got, ok := r.Approved(stage); !ok || !cmp.Equal(got, want) {
			t.Errorf("approved at %s: %+v, want %+v", stage, got, want)
		}
	}
	if cur, ok := r.CurrentAsk(); !ok || cur.Stage != Expiring {
		t.Errorf("the current ask is %+v", cur)
	}
	r.forgetAsks(0)
	if len(r.Asks) != 5 { // the approvals, and the last of each other stage
		t.Errorf("%d asks are left at least: %v", len(r.Asks), r.Asks)
	}
}

func TestClip(t *testing.T) {
	for _, s := range []string{
		"", "short", strings.Repeat("x", 5000), strings.Repeat("é", 5000), strings.Repeat("<", 5000), strings.Repeat("\x01", 5000),
		strings.Repeat("\"\\\n", 5000), strings.Repeat("\xff", 5000), strings.Repeat("\u2028", 5000), strings.Repeat("🔑", 5000),
	} {
		got := clip(s)
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		most := maxDetail + len(`"…"`)
		if len(text) > most || !utf8.ValidString(got) && len(s) > maxDetail {
			t.Errorf("%.10q is clipped to %d bytes of JSON, want at most %d: %.20q", s, len(text), most, got)
		}
		if len(s) < 100 && got != s {
			t.Errorf("%q is clipped to %q", s, got)
		}
		if long := len(s) > maxDetail; long && utf8.ValidString(s) && (!strings.HasSuffix(got, "…") || len(text) < most-20) {
			t.Errorf("%.10q is clipped to %d bytes: %q", s, len(text), got)
		}
	}
}

// TestStep_BoundsWhatIsTyped: whatever somebody types, the document keeps so much of it.
func TestStep_BoundsWhatIsTyped(t *testing.T) {
	long := strings.Repeat("x", 10*maxReason)
	r := Rotation{Stage: Requested, Owner: "UO", Requester: "UO", Asks: []Ask{{Stage: Requested, Turn: 0}}}
	next, err := r.Step(Event{On: Deny, By: Actor{Member: "UA", Approver: true}, At: noon, Reason: long})
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Asks[0].Decisions[0].Reason; len(got) > maxReason+3 || len(got) < maxReason {
		t.Errorf("a reason of %d bytes is kept", len(got))
	}
	for _, stage := range []Stage{Creating, Deleting, Delivering} {
		on := Fail
		if stage == Delivering {
			on = Lose
		}
		r := Rotation{Stage: stage, New: "AKIANEW", Issued: 1}
		next, err := r.Step(Event{On: on, By: TheEngine, At: noon, Failure: Failure{Text: long}})
		if err != nil {
			t.Fatal(err)
		}
		if n := max(len(next.Failure.Text), len(next.Lost.Text)); n > maxDetail+3 || n < maxDetail {
			t.Errorf("%s: a text of %d bytes is kept", stage, n)
		}
	}
	var p Progress
	p.log(Entry{Action: long, Detail: long})
	if en := p.Trail[0]; len(en.Action) > maxDetail+3 || len(en.Detail) > maxReason+3 {
		t.Errorf("an entry of %d and %d bytes is kept", len(en.Action), len(en.Detail))
	}
	q := Request{User: UserRef{"111122223333", "ci"}, By: Actor{Member: "UO"}, Reason: long}
	old := Key{ID: "OLD", Status: Active, Created: noon.Add(-400 * day), LastUse: used(2 * day)}
	if r, err := Start(q, "UO", Evidence{At: noon, Keys: []Key{old}}, Terms{}, noon); err != nil || len(r.Reason) > maxReason+3 {
		t.Errorf("a request's reason of %d bytes is kept, %v", len(r.Reason), err)
	}
}

// TestStep_ALostCreation: the key that is proved ours is revoked, and another one made if there may be one.
func TestStep_ALostCreation(t *testing.T) {
	for issued := range maxIssued + 1 {
		r := Rotation{Kind: Replace, Stage: Creating, Issued: issued, Intent: &Intent{At: noon}, Handover: shownUntil(noTime), Work: "x"}
		next, err := r.Step(Event{On: Lose, By: TheEngine, At: noon, Key: "AKIALOST", Failure: Failure{Class: ClassUnknown, Text: "lost"}})
		want := Creating
		if issued+1 >= maxIssued {
			want = Stuck
		}
		if err != nil || next.Stage != Discarding || next.New != "AKIALOST" || next.Issued != issued+1 || next.Then != want || next.Intent != nil || next.Work != "" {
			t.Errorf("%d issued: %+v, %v; want the key discarded, then %s", issued, next, err, want)
		}
		if !next.Handover.Due(noon) {
			t.Errorf("%d issued: the message that waits for a secret stays: %+v", issued, next.Handover)
		}
		if want := (Failure{At: Creating, Class: ClassUnknown, Text: "lost", Key: "AKIALOST"}); next.Lost != want {
			t.Errorf("%d issued: lost %+v, want %+v", issued, next.Lost, want)
		}
	}
}

// TestStep_NoMessageWaitsForASecretThatWillNotCome: on each way out of creating and delivering, the message that was prepared is either
// filled or due to go.
func TestStep_NoMessageWaitsForASecretThatWillNotCome(t *testing.T) {
	for _, m := range lifecycle {
		if m.From != Creating && m.From != Delivering || m.To == Delivering || m.On == Offer { // without a message
			continue
		}
		r := Rotation{Kind: Replace, Stage: m.From, New: "AKIANEW", Handover: shownUntil(noTime), Terms: Terms{Visible: time.Hour}}
		next, err := r.Step(Event{On: m.On, By: TheEngine, At: noon})
		if err != nil {
			t.Fatalf("%s on %s: %v", m.From, m.On, err)
		}
		until := noon
		if m.On == Succeed {
			until = noon.Add(time.Hour)
		}
		if next.Handover.Waits() || !next.Handover.Due(until) || next.Handover.Due(until.Add(-time.Second)) {
			t.Errorf("%s on %s leaves %+v", m.From, m.On, next.Handover)
		}
	}
}

// TestStep_NobodyWorksOnWhatRests: a ticket is of one turn.
func TestStep_NobodyWorksOnWhatRests(t *testing.T) {
	for _, r := range everyRotation() {
		r.Work, r.Retry = "somebody.1", Retry{Attempts: 3, At: noon, Last: "x"}
		for _, on := range everyOn {
			for _, by := range []Actor{TheClock, TheEngine, {Member: "UOWNER"}, {Member: "UAPP", Approver: true}} {
				if next, err := r.Step(Event{On: on, By: by, At: noon}); err == nil && (next.Work != "" || next.Retry != Retry{}) {
					t.Errorf("%s on %s: work %q, retry %+v", r.Stage, on, next.Work, next.Retry)
				}
			}
		}
	}
}

func TestMoveEntry_NamesTheKey(t *testing.T) {
	r := Rotation{Kind: Replace, Stage: Stuck, Old: "OLD", Owner: "UO", Requester: "UO", UserID: "AIDA", Failure: Failure{At: Creating, Class: ClassSuspect, Key: "SUSPECT"}}
	seen := Evidence{At: noon, UserID: "AIDA", Keys: []Key{{ID: "OLD", Status: Active}, {ID: "SUSPECT", Status: Active, LastUse: never}}}
	for _, on := range []On{Revoke, Keep} {
		ev := Event{On: on, By: Actor{Member: "UA", Approver: true}, At: noon, Evidence: seen}
		next, err := r.Step(ev)
		if err != nil {
			t.Fatal(err)
		}
		if en := moveEntry(r, next, ev); en.Key != "SUSPECT" || en.Action != string(on) {
			t.Errorf("%s: the entry is %s", on, fmt.Sprintf("%+v", en))
		}
	}
}
