package rotation_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// trail reads all entries about a user, those that were filed first. An entry that is here and there is there once.
func trail(t *testing.T, kept rotation.Store, p rotation.Progress) []rotation.Entry {
	t.Helper()
	var all []rotation.Entry
	keys := map[string]bool{}
	err := kept.Entries(context.Background(), func(key string, e rotation.Entry) error {
		if strings.Contains(key, "/"+p.User.ID()+"/") {
			all, keys[key] = append(all, e), true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range p.Trail {
		if !keys[p.EntryKey(i)] {
			all = append(all, e)
		}
	}
	return all
}

// TestTrail_KeepsEveryEntryOnce has somebody be turned away 500 times, by two processes, whose writes are lost at times, carried out or not:
// the document stays short, and every entry is there once, in order.
func TestTrail_KeepsEveryEntryOnce(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(n int) fate // the n-th write
	}{
		{"nothing fails", func(int) fate { return fate{} }},
		{"every third is not carried out", func(n int) fate { return fate{fails: n%3 == 0} }},
		{"every third is carried out", func(n int) fate { return fate{fails: n%3 == 0, applied: true} }},
		{"every seventh one way, every eleventh the other", func(n int) fate { return fate{fails: n%7 == 0 || n%11 == 0, applied: n%7 == 0} }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ways()[0], 2)
				var processes []*process
				for range 2 {
					processes = append(processes, f.start())
				}
				defer f.stop()
				f.click(owner, "request")
				time.Sleep(time.Second)
				n := 0
				f.fate = func(_ *process, method string) fate {
					if method != "Replace" && method != "Record" {
						return fate{}
					}
					n++
					return test.spoil(n)
				}
				told := map[string]bool{} // of which the store said that they are kept
				for i := range 500 {
					stranger := rotation.MemberID(fmt.Sprintf("U%04d", i))
					_, err := processes[i%2].Act(t.Context(), f.rotation().Ref(), rotation.Approve, rotation.Actor{Member: stranger}, "")
					if !errors.Is(err, errLost) {
						told[string(stranger)] = true
					}
					time.Sleep(time.Millisecond)
					if n := len(f.progress().Trail); n > rotation.KeepTrail {
						t.Fatalf("%d entries are in the document", n)
					}
				}
				p := f.progress()
				all := trail(t, f.kept, p)
				if !slices.IsSortedFunc(all, func(a, b rotation.Entry) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Actor, b.Actor)) }) {
					t.Error("the entries are not in order")
				}
				met := map[string]int{}
				for _, e := range all {
					met[e.Actor]++
				}
				for who, n := range met {
					if n != 1 {
						t.Errorf("%d entries tell of %s", n, who)
					}
				}
				for who := range told {
					if met[who] == 0 {
						t.Errorf("no entry tells of %s", who)
					}
				}
				if p.Filed+len(p.Trail) != len(all) {
					t.Errorf("%d entries were filed and %d are here, %d in all", p.Filed, len(p.Trail), len(all))
				}
			})
		})
	}
}

// longest is the longest text that may come in: what somebody types may be any characters, and those that are escaped take most.
var longest = strings.Repeat("<\"\x01é", 5000)

// fullProgress makes the largest document that can come about: everything that is bounded is full, and every text as long as it gets.
func fullProgress(t *testing.T) rotation.Progress {
	t.Helper()
	ref := rotation.UserRef{Account: account, Name: strings.Repeat("n", 64)}
	now := time.Now()
	use := rotation.LastUse{State: rotation.Used, At: now, Service: "secretsmanager", Region: "ap-southeast-1"}
	id := func(i int) rotation.KeyID { return rotation.KeyID(fmt.Sprintf("AKIA%016d", i)) }
	seen := rotation.Evidence{At: now, UserID: "AIDA" + strings.Repeat("X", 124)}
	for i := range 3 {
		seen.Keys = append(seen.Keys, rotation.Key{ID: id(i), Status: rotation.Inactive, Created: now, LastUse: use})
	}
	p := rotation.Progress{User: ref, Posts: map[string]rotation.Post{}}
	post := func(i int) rotation.Post {
		return rotation.Post{Channel: "C0123456789", TS: fmt.Sprintf("1700000000.%06d", i), Shown: strings.Repeat("h", 64), Nonce: strings.Repeat("N", 26), At: now, Tries: 99}
	}
	member := rotation.MemberID("U0123456789")
	for turn := range rotation.KeepPast + 2 {
		p.Begin(rotation.Rotation{
			User: ref, UserID: seen.UserID, Owner: member, Requester: member, Old: id(0), New: id(1), Kind: rotation.Replace, Terms: terms,
			Stage: rotation.Stuck, Begun: now, Since: now, Turn: 1, Failure: rotation.Failure{At: rotation.Confirmed},
			Asks: []rotation.Ask{{Stage: rotation.Stuck, Turn: 1, At: now, Evidence: seen}},
		})
		r := p.Rotation
		step := func(on rotation.On, by rotation.Actor) {
			ev := rotation.Event{On: on, By: by, At: now, Evidence: seen, Reason: longest, Key: id(2)}
			ev.Failure = rotation.Failure{Class: rotation.ClassChanged, Block: rotation.UserReplaced, Text: longest, Key: id(2)}
			next, err := r.Step(ev)
			if err != nil {
				t.Fatalf("%s at %s: %v", on, r.Stage, err)
			}
			*r = next
		}
		approver := rotation.Actor{Member: "U9876543210", Approver: true}
		for range rotation.KeepAsks + 5 { // to and fro
			step(rotation.TryAgain, approver)
			step(rotation.Fail, rotation.TheEngine)
		}
		for i := range rotation.MaxIssued {
			r.Stale = append(r.Stale, rotation.Handover{Post: post(i), Until: now, Failed: "Slack refuses to delete or to edit it"})
		}
		r.Handover = rotation.Handover{Post: post(9), Until: now, Received: now, Failed: "Slack refuses to delete or to edit it"}
		r.Intent = &rotation.Intent{At: now, Known: seen.IDs()}
		r.Trace = fullTrace(now)
		r.Lost, r.Idle, r.Deadline, r.Work = r.Failure, use, now, strings.Repeat("W", 40)
		r.Retry = rotation.Retry{Attempts: 7, At: now, Last: r.Failure.Text}
		r.Reason = r.Asks[0].Decisions[0].Reason
		for i := range r.Asks {
			a := &r.Asks[i]
			a.Again, a.Escalates, a.Escalated, a.Lapsed = now, now, now, now
			latest := i >= len(r.Asks)-2 && turn == rotation.KeepPast+1 || i == len(r.Asks)-1
			for n := range 3 + rotation.MaxNudges + rotation.MaxReminders {
				if name := fmt.Sprintf("%s/remind%d-%d", r.ID, a.Turn, n); latest {
					p.Posts[name] = post(n) // and that it was escalated, and has lapsed
				}
			}
			if !latest {
				continue
			}
			for n := range rotation.MaxNudges + rotation.MaxReminders {
				x := rotation.Reminder{By: member, At: now}
				if n < rotation.MaxNudges && i == len(r.Asks)-1 && turn == rotation.KeepPast+1 {
					x.By, x.To = "", slices.Repeat([]rotation.MemberID{member}, rotation.MaxLookups)
				}
				a.Reminders = append(a.Reminders, x)
			}
		}
		for _, a := range r.Asks {
			p.Posts[fmt.Sprintf("%s/ask%d", r.ID, a.Turn)] = post(a.Turn)
		}
		for i := range rotation.MaxIssued + 2 {
			p.Posts[fmt.Sprintf("%s/receipt%d", r.ID, i)] = post(i)
		}
	}
	for i := range rotation.KeepNotices {
		p.Notices = append(p.Notices, rotation.Notice{
			Key: id(i), Days: 90, Owner: member, Created: now, Due: now, Failed: "Slack does not take messages for the owner",
			Kind: rotation.PassedOn, From: now, On: now, To: slices.Repeat([]rotation.MemberID{member}, rotation.MaxTo), In: ref.ID(),
			Unused: rotation.Unneeded, Use: use, Instead: rotation.Instead{Alternative: rotation.IdentityCenter, By: rotation.ByConsole, Word: "thirdparty"},
		})
	}
	for i := range 2 { // that are to be told, with many others
		p.Notices[i].Failed, p.Notices[i].Among = "", slices.Repeat([]string{ref.ID()}, rotation.MaxListed)
	}
	typed := p.Rotation.Reason
	for i := range rotation.KeepExemptions {
		x := rotation.KeyExemption{
			ID: fmt.Sprintf("%s-e%d", ref.ID(), i), User: ref, UserID: seen.UserID, Key: id(0), Reason: typed, Until: now, Requester: member, Owner: member,
			Stage: rotation.ExemptDenied, Asked: now, Deadline: now, Since: now, Shown: seen.Keys[0], ShownAt: now, Warned: now,
			Found: []rotation.Breach{rotation.TooOld, rotation.Idle, rotation.TwoActive},
		}
		for range 3 {
			x.Decisions = append(x.Decisions, rotation.Decision{By: member, At: now, Approve: true, Evidence: "mfrggzdfmztwq2lk"})
		}
		x.Decisions = append(x.Decisions, rotation.Decision{By: member, At: now, Reason: typed})
		p.Exemptions = append(p.Exemptions, x)
		for _, which := range []string{"exempt", "exempted", "exemptedasker", "soon", "soononcall", "over", "overoncall"} {
			p.Posts[x.ID+"/"+which] = post(i)
		}
	}
	for i := range rotation.KeepSnoozes {
		s := rotation.Snooze{ID: fmt.Sprintf("%s-s%d", ref.ID(), i), Key: id(i), Owner: member, By: member, At: now, Until: now, Ended: now}
		p.Snoozes = append(p.Snoozes, s)
		p.Posts[s.ID+"/over"] = post(i)
	}
	return p
}

// fullTrace is of a key that hundreds use in every region, under any names, half of which could not be read.
func fullTrace(now time.Time) rotation.Trace {
	t := rotation.Trace{At: now}
	calls := map[string][]rotation.Call{}
	for i := range 20 {
		region := fmt.Sprintf("ap-southeast-%d", i)
		t.Regions, t.Partly = append(t.Regions, region), append(t.Partly, region)
		t.Unread = append(t.Unread, rotation.Unread{Region: region, Class: rotation.ClassThrottled})
		for j := range 30 {
			words := fmt.Sprint(j%10, longest)
			calls[region] = append(calls[region], rotation.Call{At: now, Service: words, Name: fmt.Sprint(j, longest), Agent: words, Address: words})
		}
	}
	t.Callers, t.More = rotation.Gather(calls)
	return t
}

// TestProgress_StaysSmall: DynamoDB takes no item above 400 KB.
func TestProgress_StaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 240 << 10
		kept := newQuickStore()
		p, err := kept.Create(t.Context(), fullProgress(t))
		if err != nil {
			t.Fatal(err)
		}
		engine, err := rotation.New(rotation.Config{Store: kept, Hand: newHand()})
		if err != nil {
			t.Fatal(err)
		}
		stranger := rotation.Actor{Member: "U0123456789"}
		for range 2 * rotation.KeepTrail {
			if _, err := engine.Act(t.Context(), p.Rotation.Ref(), rotation.On(longest), stranger, longest); err == nil {
				t.Fatal("a stranger was let through")
			}
		}
		if p, err = kept.Get(t.Context(), p.User.ID()); err != nil {
			t.Fatal(err)
		}
		for i := range p.Trail {
			p.Trail[i].Detail = p.Rotation.Reason
		}
		if len(p.Trail) < rotation.KeepTrail/2 || len(p.Past) != rotation.KeepPast || len(p.Rotation.Asks) != rotation.KeepAsks {
			t.Fatalf("%d entries, %d past rotations, %d asks: they should all be as many as there can be", len(p.Trail), len(p.Past), len(p.Rotation.Asks))
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d KB", len(text)>>10)
		if len(text) > limit {
			t.Errorf("the largest document takes %d KB, want at most %d KB", len(text)>>10, limit>>10)
		}
		if _, err := store.NewMem().Create(t.Context(), p); err != nil {
			t.Errorf("store it: %v", err)
		}
	})
}
