package bot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

func TestReadTyped(t *testing.T) {
	accounts := testView().accounts.all()
	for text, want := range map[string]struct{ usage, kept string }{
		"":                                        {"`/rotate-key`", ""},
		" \t":                                     {"`/rotate-key`", ""},
		" STATUS ":                                {"`/rotate-key status`", "status"},
		"list":                                    {"`/rotate-key list`", "list"},
		"list 111122223333/ci-deploy":             {"`/rotate-key list account/user`", "list 111122223333/ci-deploy"},
		"List `production/ci-deploy`":             {"`/rotate-key list account/user`", "list 111122223333/ci-deploy"},
		"history production/a+b=c,d.e@f-g_h":      {"`/rotate-key history account/user`", "history 111122223333/a+b=c,d.e@f-g_h"},
		"whois AKIAIOSFODNN7EXA7Q2X":              {"`/rotate-key whois AKIA…`", "whois AKIAIOSFODNN7EXA7Q2X"},
		"leaked AKIAIOSFODNN7EXA7Q2X":             {"`/rotate-key leaked AKIA…`", "leaked AKIAIOSFODNN7EXA7Q2X"},
		"leaked":                                  {"", "leaked ?"},
		"exempt AKIAIOSFODNN7EXA7Q2X":             {"`/rotate-key exempt AKIA…`", "exempt AKIAIOSFODNN7EXA7Q2X"},
		"exempt Production/ci-deploy":             {"`/rotate-key exempt account/user`", "exempt 111122223333/ci-deploy"},
		"exempt AKIAIOSFODNN7EXA7Q2X spring":      {"", "exempt ?"},
		"unexempt AKIAIOSFODNN7EXA7Q2X":           {"`/rotate-key unexempt AKIA…`", "unexempt AKIAIOSFODNN7EXA7Q2X"},
		"snooze AKIAIOSFODNN7EXA7Q2X":             {"`/rotate-key snooze AKIA…`", "snooze AKIAIOSFODNN7EXA7Q2X"},
		"snooze AKIAIOSFODNN7EXA7Q2X 14":          {"`/rotate-key snooze AKIA… days`", "snooze AKIAIOSFODNN7EXA7Q2X 14"},
		"snooze AKIAIOSFODNN7EXA7Q2X 15":          {"", "snooze ?"},
		"snooze AKIAIOSFODNN7EXA7Q2X 0":           {"", "snooze ?"},
		"snooze AKIAIOSFODNN7EXA7Q2X 07":          {"", "snooze ?"},
		"WhoIs ASIAIOSFODNN7EXA7Q2X":              {"`/rotate-key whois AKIA…`", "whois ASIAIOSFODNN7EXA7Q2X"},
		"history production/<mailto:a@b.c|a@b.c>": {"`/rotate-key history account/user`", "history 111122223333/a@b.c"},

		"status please":                                {"", "status ?"},
		"list nowhere/ci-deploy":                       {"", "list ?"},
		"list 999999999999/ci-deploy":                  {"", "list ?"},
		"list 111122223333/":                           {"", "list ?"},
		"list 111122223333/a/b":                        {"", "list ?"},
		"list 111122223333/" + strings.Repeat("n", 65): {"", "list ?"},
		"list production/a production/b":               {"", "list ?"},
		"digest":                                       {"`/rotate-key digest`", "digest"},
		"digest now":                                   {"", "digest ?"},
		"whois":                                        {"", "whois ?"},
		"whois akiaiosfodnn7exa7q2x":                   {"", "whois ?"},
		"whois AKIAIOSFODNN7EXA7Q2X9":                  {"", "whois ?"},
		"link <@U012ABCDEF|ana silva> production/ci-deploy": {"`/rotate-key link @member account/user`", "link <@U012ABCDEF> 111122223333/ci-deploy"},
		"unlink 111122223333/ci-deploy":                     {"`/rotate-key unlink account/user`", "unlink 111122223333/ci-deploy"},
		"link @ana production/ci-deploy":                    {"", "link ?"},
		"link <@U012ABCDEF>":                                {"", "link ?"},
		"link <#C012ABCDEF|x> production/ci-deploy":         {"", "link ?"},
		"whois <@U012ABCDEF>":                               {"", "whois ?"},
		"statsu":                                            {"", "status?"},
		"hlep me":                                           {"", "help?"},
		"lits":                                              {"", "list?"},
		"remnid 111122223333/ci-deploy":                     {"", "remind?"},
		"frobnicate":                                        {"", "?"},
		"AKIAIOSFODNN7EXA7Q2X":                              {"", "?"},
		"rm -rf /":                                          {"", "?"},
		"\u200b":                                            {"", "?"},
	} {
		r := readTyped(accounts, text)
		got := struct{ usage, kept string }{kept: r.kept()}
		if r.ok {
			got.usage = r.row.usage()
		}
		if got != want {
			t.Errorf("%q is read as %+v, want %+v", text, got, want)
		}
	}
}

// pasted are what nobody should paste after a command, and somebody will.
var pasted = []string{
	theSecret, strings.ReplaceAll(theSecret, "/", "x"), strings.ReplaceAll(strings.ReplaceAll(theSecret, "/", "a"), "+", "="), "AKIAIOSFODNN7EXA7Q2X:" + theSecret,
	"xoxb-1234-5678-abcdef", "AWS_SECRET_ACCESS_KEY=" + theSecret, "hunter2!",
}

// TestTyped_KeepsNothingThatIsPasted pastes a secret in every place of every command: it is neither kept nor answered.
func TestTyped_KeepsNothingThatIsPasted(t *testing.T) {
	for _, row := range vocabulary() {
		for _, secret := range pasted {
			for _, text := range []string{
				secret, secret + " " + row.word, row.word + " " + secret, row.word + secret, row.word + " 111122223333/" + secret, row.word + " " + secret + "/ci-deploy",
				row.word + " AKIAIOSFODNN7EXA7Q2X " + secret, row.word + " 111122223333/ci-deploy " + secret, row.word + " <@U012ABCDEF|" + secret + ">", "`" + secret + "`",
				row.word + " <mailto:" + secret + "|" + secret + ">",
			} {
				if strings.HasPrefix(secret, "hunter") && strings.Contains(text, "333/hunter") {
					continue // it could be the name of a user but for its last letter, which is refused elsewhere
				}
				r := readTyped(testView().accounts.all(), text)
				said := r.kept()
				if !r.ok {
					said += notUnderstood(r).Text + string(encode(t, notUnderstood(r).Blocks))
				}
				for _, part := range []string{secret, "EXAMPLEKEY", "hunter2", "xoxb"} {
					if strings.Contains(said, part) {
						t.Errorf("%q is kept or answered as %q", text, said)
					}
				}
			}
		}
	}
}

// TestTyped_EverySlipIsAnswered mistypes each command by a letter, and leaves out or adds what it takes.
func TestTyped_EverySlipIsAnswered(t *testing.T) {
	for _, row := range vocabulary() {
		if row.word == "" {
			continue
		}
		swapped := []byte(row.word)
		swapped[1], swapped[2] = swapped[2], swapped[1]
		for _, slip := range []string{row.word + "x", row.word[:len(row.word)-1], string(swapped)} {
			if m := notUnderstood(readTyped(nil, slip)); !strings.Contains(m.Text, "Did you mean /rotate-key "+row.word+"?") {
				t.Errorf("%q is answered %q", slip, m.Text)
			}
		}
		m := notUnderstood(readTyped(nil, row.word+" !"))
		checkMessage(t, m)
		if !strings.Contains(m.Text, strings.Trim(row.usage(), "`")) {
			t.Errorf("%q does not tell how to type %s", m.Text, row.usage())
		}
		for _, a := range row.takes {
			if !strings.Contains(m.Text, a.how) {
				t.Errorf("%q does not tell how to write %s", m.Text, a.name)
			}
		}
		if help := helpMessage().Text; !strings.Contains(help, strings.Trim(row.usage(), "`")+": "+row.what) {
			t.Errorf("the help does not tell of %s: %s", row.usage(), help)
		}
	}
}

// TestTyped_MayBeTyped has people of each kind type each command.
func TestTyped_MayBeTyped(t *testing.T) {
	people := map[string]rotation.Actor{
		"anybody": {Member: owner}, "on-call": {Member: oncall, OnCall: true}, "approver": {Member: alice, Approver: true}, "both": {Member: bob, Approver: true, OnCall: true},
	}
	may := map[audience]string{anybody: "anybody approver both on-call", approvers: "approver both", responders: "approver both on-call"}
	for _, row := range vocabulary() {
		var who []string
		for _, name := range slices.Sorted(maps.Keys(people)) {
			if row.may.refuses(people[name]) == nil {
				who = append(who, name)
			}
		}
		if got := strings.Join(who, " "); got != may[row.may] {
			t.Errorf("%s may be typed by %s, want %s", row.usage(), got, may[row.may])
		}
		if row.do == nil && row.word != "" {
			t.Errorf("%s does nothing", row.usage())
		}
	}
}

// FuzzTyped types any words. What is kept is read as the words were, and holds nothing but words of our own and arguments of a known form.
func FuzzTyped(f *testing.F) {
	for _, words := range slices.Concat(hostile, pasted) {
		f.Add(words)
		f.Add("whois " + words)
		f.Add("digest " + words)
		f.Add("history 111122223333/" + words)
		f.Add("exempt " + words)
		f.Add("exempt 111122223333/" + words)
		f.Add("unexempt " + words)
		f.Add("snooze AKIAIOSFODNN7EXA7Q2X " + words)
	}
	accounts := testView().accounts.all()
	f.Fuzz(func(t *testing.T, words string) {
		r := readTyped(accounts, words)
		kept := r.kept()
		again := readTyped(accounts, kept)
		if again.kept() != kept || again.ok != r.ok || again.word != r.word || again.near != r.near || cmp.Diff(again.args, r.args) != "" {
			t.Errorf("%q is kept as %q, which is read as %+v instead of %+v", words, kept, again, r)
		}
		if utf8.RuneCountInString(kept) > 100 {
			t.Errorf("%q is kept as %q", words, kept)
		}
		if !r.ok {
			m := notUnderstood(r)
			checkAnswer(t, m)
			if diff := cmp.Diff(notUnderstood(again), m); diff != "" {
				t.Errorf("answered otherwise after a restart:\n%s", diff)
			}
		}
	})
}

func holdings() []rotation.Holding {
	running := replaceForList
	day := 24 * time.Hour
	byTag := rotation.Ownership{Member: owner, From: rotation.FromTag, Says: string(owner)}
	use := rotation.LastUse{State: rotation.Used, At: monday.Add(-3 * time.Hour), Service: "s3", Region: "eu-west-1"}
	hs := []rotation.Holding{
		{User: ci, Ownership: byTag, Keys: []rotation.Key{
			{ID: oldKey, Status: rotation.Active, Created: monday.Add(-95 * day), LastUse: use},
			{ID: newKey, Status: rotation.Active, Created: monday.Add(-2 * day), LastUse: rotation.LastUse{State: rotation.NeverUsed}},
		}, Running: &running},
		{
			User: rotation.UserRef{Account: "444455556666", Name: "old-site"}, Ownership: rotation.Ownership{Member: owner, From: rotation.FromLink, Link: rotation.Link{Owner: owner, By: alice, At: monday}}, Keys: []rotation.Key{{ID: otherKey, Status: rotation.Inactive, Created: monday.Add(-300 * day)}},
			Exempt: rotation.Exemption{Reason: "The vendor is slow.", Until: monday.Add(30 * day)},
		},
		{User: rotation.UserRef{Account: "444455556666", Name: "empty"}, Ownership: rotation.Ownership{Member: owner, From: rotation.FromConfig}},
		{User: rotation.UserRef{Account: "444455556666", Name: "shy"}, Ownership: rotation.Ownership{Member: owner, From: rotation.FromName, Says: "a@b.c"}, Err: refusedByAWS(rotation.ClassThrottled)},
		{User: rotation.UserRef{Account: "777788889999"}, Err: refusedByAWS(rotation.ClassDenied)},
		{User: rotation.UserRef{Account: "444455556666", Name: "ana@example.com"}, Ownership: rotation.Ownership{From: rotation.FromName, Doubt: rotation.NotLookedUp, Err: errDead}},
		{Err: refusedByAWS(rotation.ClassThrottled)},
	}
	for i, h := range hs {
		hs[i].Findings = testView().policy.Findings(h.User, h.Keys, monday)
		for j := range hs[i].Findings {
			hs[i].Findings[j].Exempt = h.Exempt
		}
	}
	return hs
}

var replaceForList rotation.Rotation

// heldHoldings has a warning that waits for the morning.
func heldHoldings() []rotation.Holding {
	h := holdings()[0]
	h.Running, h.Held = nil, []rotation.Notice{{Key: oldKey, Days: 90, Owner: owner, Due: monday.Add(9 * time.Hour), From: monday.Add(24 * time.Hour)}}
	return []rotation.Holding{h}
}

func refusedByAWS(class rotation.Class) error {
	return &rotation.CallError{Op: "read", Class: class, Err: fmt.Errorf("internal words")}
}

func TestInquiries(t *testing.T) {
	all := tales(t)
	replaceForList = all["replace/switching"].r
	done, denied, closed := all["replace/done"].r, all["replace/denied"].r, all["replace/closed"].r
	many := slices.Repeat([]rotation.Rotation{done}, 40)
	v := testView()
	v.now = monday
	whose := func(change func(*rotation.Whose)) message {
		w := rotation.Whose{Key: oldKey, Account: ci.Account, Holding: holdings()[0]}
		change(&w)
		return whoseMessage(v, w)
	}
	unread := []rotation.AccountState{
		{ID: "444455556666", Name: "Data & Research", Err: refusedByAWS(rotation.ClassDenied)}, {ID: "777788889999", Err: refusedByAWS(rotation.ClassThrottled)},
	}
	waiting := all["replace/requested"].r
	messages := map[string]message{
		"keys":           keysMessage(v, holdings()),
		"keys-none":      keysMessage(v, nil),
		"keys-many":      keysMessage(v, slices.Repeat(holdings(), 10)),
		"keys-held":      keysMessage(v, heldHoldings()),
		"keys-of":        keysOfMessage(v, holdings()[0]),
		"history":        historyMessage(v, "None.", []rotation.Rotation{done, denied, closed, all["retire/lapsed"].r, all["adopt/cancelled"].r}, nil),
		"history-none":   historyMessage(v, "None.", nil, nil),
		"history-many":   historyMessage(v, "None.", many, nil),
		"which-cancel":   whichMessage(v, "cancel", []rotation.Rotation{waiting, all["replace/confirmed"].r}),
		"which-many":     whichMessage(v, "remind", slices.Repeat([]rotation.Rotation{waiting}, 40)),
		"which-none":     whichMessage(v, "cancel", nil),
		"remind-none":    whichMessage(v, "remind", nil),
		"cancelled":      cancelledMessage(v, all["replace/withdrawn"].r),
		"cancelled-back": cancelledMessage(v, all["replace/switching-taken-back"].r),
		"reminder":       reminderMessage(v, waiting, waiting.Asks[0], rotation.Reminder{By: owner, At: monday.Add(2 * time.Hour)}, ""),
		"reminder-link":  reminderMessage(v, waiting, waiting.Asks[0], rotation.Reminder{By: owner, At: monday.Add(2 * time.Hour)}, "https://acme.slack.com/archives/C1/p1"),
		"reminder-old":   reminderMessage(v, done, done.Asks[0], rotation.Reminder{By: owner, At: monday.Add(2 * time.Hour)}, ""),
		"whose":          whose(func(w *rotation.Whose) { w.Past = []rotation.Rotation{replaceForList, denied} }),
		"whose-new":      whose(func(w *rotation.Whose) { w.Key, w.Past = newKey, []rotation.Rotation{replaceForList} }),
		"whose-unowned":  whose(func(w *rotation.Whose) { w.Holding.Ownership = rotation.Ownership{} }),
		"whose-unlisted": whose(func(w *rotation.Whose) { w.Key = otherKey }),
		"whose-guest": whose(func(w *rotation.Whose) {
			w.Holding.Ownership = rotation.Ownership{From: rotation.FromMailTag, Says: "g@b.c", Doubt: rotation.NotFull}
		}),
		"whose-not-looked-up": whose(func(w *rotation.Whose) {
			w.Holding.Ownership = rotation.Ownership{From: rotation.FromName, Doubt: rotation.NotLookedUp, Err: errDead}
		}),
		"linked":         linkedMessage(v, rotation.Linked{User: ci, Before: holdings()[0].Ownership, After: holdings()[1].Ownership}),
		"linked-first":   linkedMessage(v, rotation.Linked{User: ci, After: holdings()[1].Ownership}),
		"linked-running": linkedMessage(v, rotation.Linked{User: ci, Before: holdings()[0].Ownership, After: rotation.Ownership{Member: bob, From: rotation.FromLink, Link: rotation.Link{Owner: bob, By: alice, At: monday}}, Running: &replaceForList}),
		"unlinked":       linkedMessage(v, rotation.Linked{User: ci, Before: holdings()[1].Ownership}),
		"unlinked-doubt": linkedMessage(v, rotation.Linked{User: ci, Before: holdings()[1].Ownership, After: rotation.Ownership{From: rotation.FromTag, Doubt: rotation.OtherTeam}}),
		"unlinked-tag":   linkedMessage(v, rotation.Linked{User: ci, Before: holdings()[1].Ownership, After: rotation.Ownership{Member: bob, From: rotation.FromTag}}),
		"whose-unread":   whose(func(w *rotation.Whose) { w.Holding.Keys, w.Holding.Err = nil, refusedByAWS(rotation.ClassThrottled) }),
		"whose-root":     whose(func(w *rotation.Whose) { w.Holding = rotation.Holding{User: rotation.UserRef{Account: ci.Account}} }),
		"whose-nobodys":  whoseMessage(v, rotation.Whose{Key: oldKey}),
		"whose-foreign":  whoseMessage(v, rotation.Whose{Key: "AKIARZPUZDIKGB2VALC4"}),
		"whose-unknown":  whoseMessage(v, rotation.Whose{Key: oldKey, Unread: unread, Past: []rotation.Rotation{done}}),
		"whose-many":     whoseMessage(v, rotation.Whose{Key: oldKey, Unread: slices.Repeat(unread, 40), Past: many}),
	}
	var texts strings.Builder
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		goldenMessage(t, "inquiry/"+name, messages[name])
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, messages[name].Text)
	}
	golden(t, "inquiry.golden.txt", []byte(texts.String()))
	for _, name := range []string{"whose-unknown", "whose-many"} {
		if text := messages[name].Text; !strings.Contains(text, "not known whose key") || strings.Contains(text, "No account") {
			t.Errorf("%s reads as if the key were nobody's: %s", name, text)
		}
	}
}
