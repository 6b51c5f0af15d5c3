package rotation

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const day = 24 * time.Hour

func used(ago time.Duration) LastUse {
	return LastUse{State: Used, At: noon.Add(-ago), Service: "s3", Region: "eu-west-1"}
}

var never = LastUse{State: NeverUsed}

func TestGates(t *testing.T) {
	key := func(id KeyID, s Status, age time.Duration, use LastUse) Key {
		return Key{ID: id, Status: s, Created: noon.Add(-age), LastUse: use}
	}
	see := func(keys ...Key) Evidence { return Evidence{At: noon, UserID: "AIDA", Keys: keys} }
	replace := Rotation{Kind: Replace, UserID: "AIDA", Old: "OLD", New: "NEW", Terms: Terms{Quiet: day}, Idle: used(9 * day)}
	beforeNew, retire, suspected := replace, replace, replace
	beforeNew.New = ""
	suspected.New, suspected.Failure = "", Failure{At: Creating, Class: ClassSuspect, Key: "SUSPECT"}
	retire.Kind, retire.New = Retire, ""
	quietOld, freshNew := key("OLD", Active, 400*day, used(2*day)), key("NEW", Active, 3*day, used(time.Hour))
	overruled, cutOff := replace, replace
	overruled.Stage, cutOff.CutOff = Confirmed, noon.Add(-2*day)
	overruled.Asks = []Ask{{
		Stage: Confirmed, Overruled: Decision{By: "UAPP"},
		Evidence: see(key("OLD", Active, 400*day, used(time.Hour)), key("NEW", Active, 3*day, never)),
	}}
	idleOld := key("OLD", Inactive, 400*day, used(9*day))

	tests := []struct {
		name string
		gate *gate
		r    Rotation
		see  Evidence
		want []BlockCode
	}{
		{"one active key leaves a slot", slotFree, beforeNew, see(quietOld), nil},
		{"a second key fills it", slotFree, beforeNew, see(quietOld, key("X", Inactive, day, never)), []BlockCode{SlotTaken}},
		{"the old key is gone", slotFree, beforeNew, see(), []BlockCode{OldGone}},
		{"somebody deactivated it", slotFree, beforeNew, see(idleOld), []BlockCode{OldInactive}},
		{"another user under the name", slotFree, beforeNew, Evidence{At: noon, UserID: "AIDA2", Keys: []Key{quietOld}}, []BlockCode{UserReplaced}},
		{"no evidence at all", slotFree, beforeNew, Evidence{}, []BlockCode{UserReplaced}},

		{"moved", moved, replace, see(quietOld, freshNew), nil},
		{"the old key was never used at all", moved, replace, see(key("OLD", Active, 400*day, never), freshNew), nil},
		{"the new key waits for its first use", moved, replace, see(quietOld, key("NEW", Active, day, never)), []BlockCode{NewNeverUsed}},
		{"unknown use of the new key is not use", moved, replace, see(quietOld, key("NEW", Active, day, LastUse{})), []BlockCode{NewUnknown}},
		{"the old key is in use", moved, replace, see(key("OLD", Active, 400*day, used(time.Hour)), freshNew), []BlockCode{OldUsed}},
		{"exactly quiet long enough", moved, replace, see(key("OLD", Active, 400*day, used(day)), freshNew), nil},
		{"a second short of it", moved, replace, see(key("OLD", Active, 400*day, used(day-time.Second)), freshNew), []BlockCode{OldUsed}},
		{"unknown is not unused", moved, replace, see(key("OLD", Active, 400*day, LastUse{}), freshNew), []BlockCode{OldUnknown}},
		{"both at once", moved, replace, see(key("OLD", Active, 400*day, LastUse{}), key("NEW", Active, day, never)), []BlockCode{NewNeverUsed, OldUnknown}},
		{"the new key was deactivated", moved, replace, see(quietOld, key("NEW", Inactive, day, used(time.Hour))), []BlockCode{NewInactive}},
		{"the new key is gone", moved, replace, see(quietOld), []BlockCode{NewGone}},
		{"a status AWS may add is not active", moved, replace, see(key("OLD", "Expired", 400*day, used(2*day)), freshNew), []BlockCode{OldInactive}},
		{"a third key", moved, replace, see(quietOld, freshNew, key("X", Active, day, never)), []BlockCode{ExtraKey}},

		{"sound although the old key is in use and the new one is not", sound, replace, see(key("OLD", Active, 400*day, used(time.Hour)), key("NEW", Active, day, never)), nil},
		{"sound although the old key is young", sound, replace, see(key("OLD", Active, time.Hour, never), freshNew), nil},
		{"nobody overrules what is not known of the old key", sound, replace, see(key("OLD", Active, 400*day, LastUse{}), freshNew), []BlockCode{OldUnknown}},
		{"nor of the new one", sound, replace, see(quietOld, key("NEW", Active, day, LastUse{})), []BlockCode{NewUnknown}},
		{"nor a new key that is inactive", sound, replace, see(quietOld, key("NEW", Inactive, day, used(time.Hour))), []BlockCode{NewInactive}},
		{"nor another user under the name", sound, replace, Evidence{At: noon, UserID: "AIDA2", Keys: []Key{quietOld, freshNew}}, []BlockCode{UserReplaced}},
		{"nor a user whose id is not known", sound, replace, Evidence{At: noon, Keys: []Key{quietOld, freshNew}}, []BlockCode{UserReplaced}},
		{"nor a third key", sound, replace, see(quietOld, freshNew, key("X", Active, day, never)), []BlockCode{ExtraKey}},
		{"nor an old key that is gone", sound, replace, see(freshNew), []BlockCode{OldGone}},
		{"overruled, the deactivation needs no quiet", movedAsShown, overruled, see(key("OLD", Active, 400*day, used(time.Minute)), key("NEW", Active, 3*day, never)), nil},
		{"overruled, but the new key was deactivated", movedAsShown, overruled, see(quietOld, key("NEW", Inactive, day, never)), []BlockCode{NewInactive}},
		{"overruled, but the use is not known", movedAsShown, overruled, see(key("OLD", Active, 400*day, LastUse{}), freshNew), []BlockCode{OldUnknown}},
		{"a use shown late is one before it was cut off", stillIdle, cutOff, see(key("OLD", Inactive, 400*day, used(2*day+time.Minute)), freshNew), nil},
		{"a use after it was cut off is none of those", stillIdle, cutOff, see(key("OLD", Inactive, 400*day, used(2*day-time.Minute)), freshNew), []BlockCode{OldMoved}},

		{"retire a quiet key", moved, retire, see(quietOld), nil},
		{"retire beside a key in use", moved, retire, see(quietOld, freshNew), nil},
		{"retire a key made just now", moved, retire, see(key("OLD", Active, time.Hour, never)), []BlockCode{OldTooYoung}},
		{"retire a key in use", moved, retire, see(key("OLD", Active, 400*day, used(time.Hour))), []BlockCode{OldUsed}},

		{"idle through the grace", stillIdle, replace, see(idleOld, freshNew), nil},
		{"its last use moved", stillIdle, replace, see(key("OLD", Inactive, 400*day, used(8*day)), freshNew), []BlockCode{OldMoved}},
		{"somebody made it active", stillIdle, replace, see(quietOld, freshNew), []BlockCode{OldActive}},
		{"its use is unknown now", stillIdle, replace, see(key("OLD", Inactive, 400*day, LastUse{}), freshNew), []BlockCode{OldUnknown}},
		{"a status AWS may add is not inactive", stillIdle, replace, see(key("OLD", "Expired", 400*day, used(9*day)), freshNew), []BlockCode{OldActive}},
		{"the new key does not work any more", stillIdle, replace, see(idleOld, key("NEW", Inactive, day, never)), []BlockCode{NewInactive}},

		{"nobody used the new key", newUnused, replace, see(quietOld, key("NEW", Active, day, never)), nil},
		{"the new key is gone already", newUnused, replace, see(quietOld), nil},
		{"the new key is used", newUnused, replace, see(quietOld, freshNew), []BlockCode{NewUsed}},
		{"its use is unknown", newUnused, replace, see(quietOld, key("NEW", Active, day, LastUse{})), []BlockCode{NewUnknown}},

		{"nobody used the suspect", suspectUnused, suspected, see(quietOld, key("SUSPECT", Active, 0, never)), nil},
		{"the suspect is gone already", suspectUnused, suspected, see(quietOld), nil},
		{"somebody uses the suspect", suspectUnused, suspected, see(quietOld, key("SUSPECT", Active, 0, used(0))), []BlockCode{NewUsed}},
		{"the suspect's use is unknown", suspectUnused, suspected, see(quietOld, key("SUSPECT", Active, 0, LastUse{})), []BlockCode{NewUnknown}},
		{"the suspect of another user", suspectUnused, suspected, Evidence{At: noon, UserID: "AIDA2"}, []BlockCode{UserReplaced}},
		{"no evidence of the suspect", suspectUnused, suspected, Evidence{}, []BlockCode{UserReplaced}},
		{"the suspect works", suspectActive, suspected, see(quietOld, key("SUSPECT", Active, 0, never)), nil},
		{"the suspect is inactive", suspectActive, suspected, see(quietOld, key("SUSPECT", Inactive, 0, never)), []BlockCode{NewInactive}},
		{"there is no suspect", suspectActive, suspected, see(quietOld), []BlockCode{NewGone}},
		{"a third key beside the suspect", suspectActive, suspected, see(quietOld, key("SUSPECT", Active, 0, never), freshNew), []BlockCode{ExtraKey}},
		{"the old key is gone, the suspect is there", suspectActive, suspected, see(key("SUSPECT", Active, 0, never)), []BlockCode{OldGone}},
		{"a working suspect of another user", suspectActive, suspected, Evidence{At: noon, UserID: "AIDA2", Keys: []Key{quietOld}}, []BlockCode{UserReplaced}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []BlockCode
			for _, b := range test.gate.check(test.r, test.see, noon) {
				got = append(got, b.Code)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGates_AnApprovalIsBoundToWhatWasShown(t *testing.T) {
	old := Key{ID: "OLD", Status: Active, Created: noon.Add(-400 * day), LastUse: used(3 * day)}
	fresh := Key{ID: "NEW", Status: Active, Created: noon.Add(-3 * day), LastUse: used(time.Hour)}
	shown := Evidence{At: noon, UserID: "AIDA", Keys: []Key{old, fresh}}
	r := Rotation{
		Kind: Replace, Stage: Confirmed, UserID: "AIDA", Old: "OLD", New: "NEW", Terms: Terms{Quiet: day},
		Asks: []Ask{{Stage: Confirmed, Evidence: shown}},
	}
	if blocks := movedAsShown.check(r, shown, noon); blocks != nil {
		t.Fatalf("the evidence as shown: %v", blocks)
	}
	fresh.LastUse = used(time.Minute)
	later := Evidence{At: noon.Add(time.Hour), UserID: "AIDA", Keys: []Key{old, fresh}}
	if blocks := movedAsShown.check(r, later, noon); blocks != nil {
		t.Errorf("a further use of the new key must not matter: %v", blocks)
	}
	old.LastUse = used(2 * day)
	moved := Evidence{At: noon.Add(time.Hour), UserID: "AIDA", Keys: []Key{old, fresh}}
	if blocks := movedAsShown.check(r, moved, noon); len(blocks) != 1 || blocks[0].Code != NotAsShown {
		t.Errorf("the old key's last use moved, though it is quiet: got %v, want %s", blocks, NotAsShown)
	}
}

func TestStart(t *testing.T) {
	key := func(id KeyID, s Status, age time.Duration, use LastUse) Key {
		return Key{ID: id, Status: s, Created: noon.Add(-age), LastUse: use}
	}
	old, other := key("OLD", Active, 400*day, used(2*day)), key("OTHER", Active, 10*day, used(time.Hour))
	leftover := key("LEFT", Inactive, 500*day, used(300*day))
	type want struct {
		code     Code
		kind     Kind
		stage    Stage
		old, new KeyID
		asks     int
	}
	tests := []struct {
		name   string
		key    KeyID
		retire bool
		by     MemberID
		keys   []Key
		want   want
	}{
		{"one active key", "", false, "UO", []Key{old}, want{kind: Replace, stage: Requested, old: "OLD", asks: 1}},
		{"by on-call", "", false, "UX", []Key{old}, want{kind: Replace, stage: Requested, old: "OLD", asks: 1}},
		{"two active keys are adopted", "", false, "UO", []Key{old, other}, want{kind: Adopt, stage: Switching, old: "OLD", new: "OTHER"}},
		{"the newer of them was named", "OTHER", false, "UO", []Key{old, other}, want{code: NewerKey}},
		{"a leftover occupies the slot", "", false, "UO", []Key{leftover, old}, want{code: Leftover}},
		{"retire the leftover", "LEFT", true, "UO", []Key{leftover, old}, want{kind: Retire, stage: Grace, old: "LEFT"}},
		{"retire a quiet key", "OLD", true, "UO", []Key{old}, want{kind: Retire, stage: Confirmed, old: "OLD", asks: 1}},
		{"retire a key in use", "OTHER", true, "UO", []Key{old, other}, want{code: Blocked}},
		{"only the owner retires", "OLD", true, "UX", []Key{old}, want{code: NotOwner}},
		{"no keys", "", false, "UO", nil, want{code: NoKeys}},
		{"three keys", "", false, "UO", []Key{old, other, leftover}, want{code: TooManyKeys}},
		{"only an inactive key", "", false, "UO", []Key{leftover}, want{code: OnlyInactive}},
		{"a key of somebody else", "AKIAFOREIGN", false, "UO", []Key{old}, want{code: NotThatKey}},
		{"replace a named inactive key", "LEFT", false, "UO", []Key{leftover, old}, want{code: OnlyInactive}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := Request{User: UserRef{"111122223333", "ci"}, Key: test.key, Retire: test.retire, By: Actor{Member: test.by}}
			r, err := Start(q, "UO", Evidence{At: noon, UserID: "AIDA", Keys: test.keys}, Terms{Quiet: day, Grace: 7 * day, Expires: day}, noon)
			got := want{kind: r.Kind, stage: r.Stage, old: r.Old, new: r.New, asks: len(r.Asks)}
			if refusal, ok := errors.AsType[*Refusal](err); ok {
				got.code = refusal.Code
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("start (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindings(t *testing.T) {
	policy := Policy{WarnAge: 75 * day, MaxAge: 90 * day, UnusedAge: 45 * day}
	key := func(s Status, age time.Duration, use LastUse) Key {
		return Key{ID: "K", Status: s, Created: noon.Add(-age), LastUse: use}
	}
	tests := []struct {
		name string
		keys []Key
		want []Breach
	}{
		{"fresh", []Key{key(Active, 10*day, used(time.Hour))}, nil},
		{"a second before the warning", []Key{key(Active, 75*day-time.Second, used(day))}, nil},
		{"warning", []Key{key(Active, 75*day, used(day))}, []Breach{SoonTooOld}},
		{"too old", []Key{key(Active, 90*day, used(day))}, []Breach{TooOld}},
		{"too old and idle", []Key{key(Active, 400*day, used(60*day))}, []Breach{TooOld, Idle}},
		{"never used", []Key{key(Active, 60*day, never)}, []Breach{Unneeded}},
		{"brand new and never used is no news", []Key{key(Active, day, never)}, nil},
		{"unknown use is no finding", []Key{key(Active, 60*day, LastUse{})}, nil},
		{"left inactive", []Key{key(Inactive, 400*day, used(300*day))}, []Breach{LeftInactive}},
		{"two active", []Key{key(Active, 20*day, used(day)), key(Active, 10*day, used(day))}, []Breach{TwoActive}},
		{"three", []Key{key(Active, 20*day, used(day)), key(Active, 10*day, used(day)), key(Active, 9*day, used(day))}, []Breach{ExtraKeys}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []Breach
			for _, f := range policy.Findings(UserRef{"1", "u"}, test.keys, noon) {
				got = append(got, f.Breach)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// The shortlist may err only on the side of looking: whatever Findings would report must be suspicious by the report.
func TestSuspicious_MissesNothing(t *testing.T) {
	policy := Policy{WarnAge: 75 * day, MaxAge: 90 * day, UnusedAge: 45 * day}
	uses := []LastUse{never, used(time.Hour), used(46 * day), used(300 * day), {}}
	for _, status := range []Status{Active, Inactive} {
		for age := time.Duration(0); age < 100*day; age += 5 * day {
			for _, use := range uses {
				k := Key{ID: "K", Status: status, Created: noon.Add(-age), LastUse: use}
				row := ReportRow{User: "u", Keys: []ReportKey{{Active: status == Active, Rotated: k.Created, LastUse: use}}}
				found := policy.Findings(UserRef{"1", "u"}, []Key{k}, noon)
				if len(found) > 0 && !policy.Suspicious(row, noon) {
					t.Errorf("%s key of %v, use %v: %s is not shortlisted", status, age, use.State, found[0].Breach)
				}
			}
		}
	}
}

func TestSecret_IsNeverPrinted(t *testing.T) {
	const value = "wJalr-not-a-real-one"
	s := NewSecret(value)
	if s.Reveal() != value {
		t.Fatal("Reveal must give the secret")
	}
	assertHides(t, value, s, &s, struct{ S Secret }{s}, []Secret{s}, map[string]Secret{"k": s})
}
