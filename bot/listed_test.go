package bot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// aNotice is of a key that was some days old on Monday.
func aNotice(kind rotation.NoticeKind, old int) rotation.Notice {
	ago := func(days int) time.Time { return monday.Add(-time.Duration(days) * 24 * time.Hour) }
	n := rotation.Notice{Kind: kind, Key: oldKey, Days: old, Owner: owner, Created: ago(old), Due: monday, Most: 90}
	if kind != rotation.FirstWarning {
		n.On = monday.Add(3 * 24 * time.Hour)
	}
	return n
}

// notUsed is the same of a key that was never used.
func notUsed(n rotation.Notice) rotation.Notice {
	n.Unused, n.Use = rotation.Unneeded, rotation.LastUse{State: rotation.NeverUsed}
	return n
}

// someListed are notices of as many users, of several owners, with the warnings before them.
func someListed(kind rotation.NoticeKind, n int, owners ...rotation.MemberID) []rotation.Listed {
	var all []rotation.Listed
	for i := range n {
		x := aNotice(kind, 100+i)
		x.Key = rotation.KeyID(fmt.Sprintf("AKIAIOSFODNN7EXA%04d", i))
		x.Owner = owners[i%len(owners)]
		switch i % 4 {
		case 1:
			x = notUsed(x)
		case 2:
			x.Kind = kind
		}
		p := rotation.Progress{User: rotation.UserRef{Account: ci.Account, Name: fmt.Sprintf("job-%02d", i)}}
		for days, was := range map[int]rotation.NoticeKind{10: rotation.FirstWarning, 3: rotation.LastWarning} {
			w := x
			w.Kind, w.Sent, w.Due = was, monday.Add(-time.Duration(days)*24*time.Hour), monday.Add(-time.Duration(days)*24*time.Hour)
			p.Notices = append(p.Notices, w)
		}
		slices.SortFunc(p.Notices, func(a, b rotation.Notice) int { return a.Due.Compare(b.Due) })
		if i%7 == 6 {
			p.Notices[0].Sent, p.Notices[0].Failed = time.Time{}, notTaken
		}
		p.Notices = append(p.Notices, x)
		all = append(all, rotation.Listed{Progress: p, Notice: x})
	}
	return all
}

// silentOwners are more than a message names.
func silentOwners(n int) []rotation.MemberID {
	var all []rotation.MemberID
	for i := range n {
		all = append(all, rotation.MemberID(fmt.Sprintf("U0OWNER%03d", i)))
	}
	return all
}

func TestListedMessages(t *testing.T) {
	v := testView()
	last, gone := aNotice(rotation.LastWarning, 104), aNotice(rotation.OwnerTold, 108)
	ruled := gone
	ruled.To, ruled.On = []rotation.MemberID{rotation.MemberID(squad), bob}, monday
	group := last
	group.Owner, group.To = rotation.MemberID(squad), []rotation.MemberID{bob}
	mixed := someListed(rotation.FirstWarning, 5, owner)
	mixed[2].Notice = aNotice(rotation.LastWarning, 130)
	mixed[3].Notice.Kind, mixed[3].Notice.Unused = rotation.OwnerTold, ""
	mixed[4].Notice.Created = monday.Add(-75 * 24 * time.Hour)
	beyond := someListed(rotation.PassedOn, 3, owner, rotation.MemberID(squad))
	for i := range beyond {
		beyond[i].Notice.To = []rotation.MemberID{"S0SECOND1", bob}
	}
	many := someListed(rotation.PassedOn, 100, silentOwners(30)...)
	var texts strings.Builder
	for _, test := range []struct {
		name   string
		m      message
		wants  []string
		clicks int
	}{
		{"last", warningMessage(v, last, ci), []string{"This is the last warning", "If nobody acts by", "passes it on to on-call"}, 1},
		{"last-unused", warningMessage(v, notUsed(last), ci), []string{"Last warning: do you need", "If nobody acts by"}, 2},
		{"last-group", warningMessage(v, group, ci), []string{"those whom the approval rule names next"}, 1},
		{"told", warningMessage(v, gone, ci), []string{"Keyturner passes it on to on-call", "What you can do"}, 1},
		{"told-unused", warningMessage(v, notUsed(ruled), ci), []string{mention(bob), "Two warnings were not answered"}, 1},
		{"own", ownerListMessage(v, mixed), []string{"5 keys of yours need you", "job-04", "Start its rotation before", "last warning", "Two warnings were not answered, so Keyturner passes it on to on-call"}, 5},
		{"own-many", ownerListMessage(v, someListed(rotation.FirstWarning, 40, owner)), []string{"40 keys", "job-39"}, ownRows},
		{"own-group", ownerListMessage(v, someListed(rotation.LastWarning, 4, rotation.MemberID(squad))), []string{"4 keys of your group need you", "is the owner of these keys"}, 4},
		{"passed", passedOnMessage(v, someListed(rotation.PassedOn, 1, owner)), []string{"No answer: a key of job-00", "Owner: " + mention(owner), "Warned on"}, 1},
		{"passed-rule", passedOnMessage(v, beyond), []string{"<!subteam^S0SECOND1>", mention(bob), "please help", "3 keys"}, 3},
		{"passed-many", passedOnMessage(v, many), []string{"100 keys are too old"}, passedRows},
	} {
		goldenMessage(t, "listed/"+test.name, test.m)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", test.name, test.m.Text)
		blocks := string(encode(t, test.m.Blocks))
		for _, want := range test.wants {
			if !strings.Contains(test.m.Text, want) && !strings.Contains(unformatted(blocks), want) {
				t.Errorf("%s does not say %q: %s", test.name, want, test.m.Text)
			}
		}
		if got := strings.Count(blocks, `"action_id": "start"`) + strings.Count(blocks, `"action_id": "retire"`); got != test.clicks {
			t.Errorf("%s: %d buttons, want %d", test.name, got, test.clicks)
		}
	}
	golden(t, "listed.golden.txt", []byte(texts.String()))
	if blocks := string(encode(t, passedOnMessage(v, many).Blocks)); !strings.Contains(blocks, "And 90 other keys") || !strings.Contains(blocks, "10 other owners") {
		t.Errorf("the rest is not counted: %s", blocks)
	}
}

// TestDigest_TellsWhatWasPassedOn in the row of the key.
func TestDigest_TellsWhatWasPassedOn(t *testing.T) {
	f := aFinding(rotation.TooOld, ci, oldKey, 110)
	f.Owner, f.Passed = owner, monday.Add(-24*time.Hour)
	s := rotation.Survey{At: monday, Accounts: []rotation.AccountState{{ID: ci.Account}}, Findings: []rotation.Finding{f}}
	m := digestMessage(testView(), s, nil, inWeek("2026-W47"))
	checkMessage(t, m)
	if want := "Warned twice, and passed on on " + when(f.Passed); !strings.Contains(m.Text, want) {
		t.Errorf("no %q: %s", want, m.Text)
	}
}

// TestListedMessages_LongestNames: however long the names are, Slack takes a message about many keys.
func TestListedMessages_LongestNames(t *testing.T) {
	v := testView()
	v.accounts = func() map[string]string { return map[string]string{ci.Account: strings.Repeat("&", 50)} }
	for _, kind := range []rotation.NoticeKind{rotation.FirstWarning, rotation.LastWarning, rotation.OwnerTold, rotation.PassedOn} {
		all := someListed(kind, 100, silentOwners(30)...)
		for i := range all {
			all[i].Progress.User.Name = fmt.Sprintf("%s%04d", strings.Repeat("u", 60), i)
			all[i].Notice.Kind, all[i].Notice.Unused = kind, rotation.Idle
			all[i].Notice.Use = rotation.LastUse{State: rotation.Used, At: monday.AddDate(0, -3, 0)}
			all[i].Notice.To = []rotation.MemberID{"S0SECOND001", "S0SECOND002", "U0SECOND003", "U0SECOND004", "U0SECOND005"}
		}
		for name, m := range map[string]message{"own": ownerListMessage(v, all), "passed": passedOnMessage(v, all)} {
			checkMessage(t, m)
			if n := weight(draft{blocks: m.Blocks}); n > maxAllBlocks {
				t.Errorf("%s, %q: %d characters in all, more than %d", name, kind, n, maxAllBlocks)
			}
		}
	}
}

// TestPassedOnMessage_OffersWhatOthersMayDo: only the owner retires a key, and it is others who are told.
func TestPassedOnMessage_OffersWhatOthersMayDo(t *testing.T) {
	all := someListed(rotation.PassedOn, 2, owner)
	all[0].Notice, all[1].Notice = notUsed(all[0].Notice), notUsed(all[1].Notice)
	blocks := string(encode(t, passedOnMessage(testView(), all).Blocks))
	if strings.Contains(blocks, `"action_id": "retire"`) || strings.Count(blocks, `"action_id": "start"`) != 2 {
		t.Errorf("want two rotations that can begin, and no retirement: %s", blocks)
	}
}

// TestHeldWarnings_ToOthers: what is passed on is no message to the owner.
func TestHeldWarnings_ToOthers(t *testing.T) {
	n := aNotice(rotation.PassedOn, 108)
	n.From = monday.Add(24 * time.Hour)
	lines := strings.Join(heldWarnings([]rotation.Notice{n}), "\n")
	if strings.Contains(lines, mention(owner)) || !strings.Contains(lines, "is passed on to on-call on "+when(n.From)) {
		t.Errorf("got %q", lines)
	}
}
