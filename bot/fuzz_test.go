package bot

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// hostile are words that somebody might type to mention people, or to make a message look like one of ours.
var hostile = []string{
	"", " ", "status", "hlep", "STATUS now", "\u200b", "<!channel> <@U012ABCDEF> <!subteam^S1> <#C1|x> <https://x.example|here>", "&lt;!here&gt; &amp; &",
	"<!date^1^{date_short} at {time}|2026-11-23 09:00 UTC>", "`x` ``` *bold* _i_ ~s~", "a\n> quoted\r\n• *Next:* approve", "\u2028\u2029\u0085\v", "\u202egnp.exe",
	"\xff\xfe\x00", "Über die Maßen ‒ 鍵 🔑", strings.Repeat("<&>", 1000), strings.Repeat("<", 400), strings.Repeat("𝕏", 400), "“quoted”.", "*", "”", "”.", "?!.", "x..", "%!s(MISSING)",
}

// FuzzAction clicks a button or a choice of the overflow menu: what is understood is one of the people's moves, and it is what our
// own button for it would send.
func FuzzAction(f *testing.F) {
	for _, on := range append(slices.Clone(ranked), onReceipt, rotation.Succeed, "") {
		f.Add(string(on), "mfrggzdfmztwq2lk-1.7", "too old")
		f.Add(actionMore, string(on)+" mfrggzdfmztwq2lk-1.7", "")
	}
	for _, words := range hostile {
		f.Add(words, "mfrggzdfmztwq2lk-1.7", words)
		f.Add("deny", words, words)
	}
	f.Fuzz(func(t *testing.T, action, value, reason string) {
		on, ref, err := parseAction(action, value)
		if err != nil {
			if on != "" || ref != (rotation.Ref{}) {
				t.Errorf("refused, and read as %q of %+v", on, ref)
			}
			checkAnswer(t, plain(refusalText(testView(), err)))
			return
		}
		if !slices.Contains(ranked, on) && on != onReceipt {
			t.Errorf("%q is no move of a person", on)
		}
		for _, sent := range [][2]string{{string(on), ref.String()}, {actionMore, string(on) + " " + ref.String()}} {
			if gotOn, got, err := parseAction(sent[0], sent[1]); err != nil || gotOn != on || got != ref {
				t.Errorf("%q is read as %s of %+v with error %v, want %s of %+v", sent, gotOn, got, err, on, ref)
			}
		}
		checkReason(t, on, reason)
	})
}

// checkReason submits a reason modal.
func checkReason(t *testing.T, on rotation.On, typed string) {
	t.Helper()
	state := &slack.ViewState{Values: map[string]map[string]slack.BlockAction{inputReason: {inputReason: {Value: typed}}}}
	reason, problems := parseReasonModal(on, state)
	if missing := needsReason(on) && strings.TrimSpace(tidy(typed)) == ""; missing != (len(problems) > 0) || missing && reason != "" {
		t.Errorf("%s for %q is read as %q with the problems %v", on, typed, reason, problems)
	}
	checkTyped(t, reason)
}

// checkTyped holds what is kept of words that somebody typed: one line of text, of bounded length, which is kept the same again.
func checkTyped(t *testing.T, kept string) {
	t.Helper()
	odd := func(r rune) bool { return r != ' ' && (unicode.IsSpace(r) || !unicode.IsGraphic(r)) || r == '`' }
	if !utf8.ValidString(kept) || strings.ContainsFunc(kept, odd) || utf8.RuneCountInString(kept) > maxReason || clip(tidy(kept), maxReason) != kept {
		t.Errorf("kept as a reason: %q", kept)
	}
}

// FuzzKeysModal submits any choice: what is understood is what was chosen, in the words of the form.
func FuzzKeysModal(f *testing.F) {
	for i, words := range hostile {
		f.Add(ci.ID()+"/"+string(oldKey), "replace", words, i%2 == 0)
		f.Add(ci.ID()+"/"+words, "retire", words, i%2 == 0)
		f.Add(words, words, words, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, key, what, reason string, option bool) {
		given := func(value string) slack.BlockAction {
			if option {
				return slack.BlockAction{SelectedOption: slack.OptionBlockObject{Value: value}}
			}
			return slack.BlockAction{Value: value}
		}
		choice, problems := parseKeysModal(&slack.ViewState{Values: map[string]map[string]slack.BlockAction{
			inputKey: {inputKey: given(key)}, inputWhat: {inputWhat: given(what)}, inputReason: {inputReason: {Value: reason}},
		}})
		if len(problems) > 0 {
			if choice != (keyChoice{}) {
				t.Errorf("refused, and read as %+v", choice)
			}
			for block, problem := range problems {
				if !slices.Contains([]string{inputKey, inputWhat, inputReason}, block) || problem == "" {
					t.Errorf("problem of %q: %q", block, problem)
				}
			}
			return
		}
		if choice.user+"/"+string(choice.key) != key || choice.user == "" || choice.key == "" || string(choice.what) != what {
			t.Errorf("%q of %q is read as %+v", what, key, choice)
		}
		checkTyped(t, choice.reason)
		// A key that is none of the user's is named in the refusal.
		refusal := &rotation.Refusal{Code: rotation.NotThatKey, User: ci, Key: choice.key}
		checkAnswer(t, plain(refusalText(testView(), refusal)))
		checkModal(t, keysModalProblem(refusalText(testView(), refusal)))
	})
}

// FuzzForeignWords shows any words where people and AWS have their own: in the cards of every stage, the digest, a warning and the
// message with a secret. They mention nobody, and a message is made of the same lines as with plain words.
func FuzzForeignWords(f *testing.F) {
	for i, words := range hostile {
		f.Add(uint8(i), words, "ci-deploy")
		f.Add(uint8(i+30), words, words)
		f.Add(uint8(i+60), words, "ci-deploy")
	}
	type story struct {
		r        rotation.Rotation
		outlines [][]string
	}
	var told []story
	f.Fuzz(func(t *testing.T, which uint8, words, name string) {
		if told == nil {
			all := tales(t)
			for _, name := range slices.Sorted(maps.Keys(all)) {
				s := story{r: all[name].r}
				for _, m := range rendered(with(s.r, "x", "x")) {
					s.outlines = append(s.outlines, outline(t, m))
				}
				told = append(told, s)
			}
		}
		if len(name) > 64 || tidy(name) == "" || tidy(words) == "" {
			return // IAM has no such names; and nothing is said of a reason that is empty
		}
		s := told[int(which)%len(told)]
		for i, m := range rendered(with(s.r, words, name)) {
			checkAnswer(t, m)
			if diff := cmp.Diff(s.outlines[i], outline(t, m)); diff != "" {
				t.Errorf("foreign words change the message (-with plain words +with these):\n%s", diff)
			}
		}
		foreign, v := with(s.r, words, name)
		checkModal(t, reasonModal(rotation.Deny, foreign))
		checkModal(t, reasonModal(rotation.Close, foreign))
		checkModal(t, keysModalDone(v, foreign))
	})
}

// with is a rotation told with somebody's words, and a view with an account of that name.
func with(r rotation.Rotation, words, name string) (rotation.Rotation, view) {
	v := testView()
	v.accounts = func() map[string]string { return map[string]string{ci.Account: name} }
	r.User.Name = name
	if r.Reason != "" {
		r.Reason = words
	}
	r.Asks = slices.Clone(r.Asks)
	for i := range r.Asks {
		a := &r.Asks[i]
		a.Decisions, a.Evidence.Keys = slices.Clone(a.Decisions), slices.Clone(a.Evidence.Keys)
		for j := range a.Decisions {
			if a.Decisions[j].Reason != "" {
				a.Decisions[j].Reason = words
			}
		}
		for j := range a.Evidence.Keys {
			if use := &a.Evidence.Keys[j].LastUse; use.State == rotation.Used {
				use.Service, use.Region = words, name
			}
		}
	}
	return r, v
}

// rendered are the messages in which a rotation's foreign words stand.
func rendered(r rotation.Rotation, v view) []message {
	found := survey()
	for i := range found.Accounts {
		found.Accounts[i].Name = v.accounts.of(ci.Account)
	}
	for i := range found.Findings {
		f := &found.Findings[i]
		f.User.Name = r.User.Name
		if f.Exempt.Reason != "" && r.Reason != "" {
			f.Exempt.Reason = r.Reason
		}
	}
	ms := []message{
		ownerCard(v, r), startedMessage(v, r), statusMessage(v, []rotation.Progress{{Rotation: &r}}),
		plain(refusalText(v, &rotation.Refusal{Code: rotation.NotNow, User: r.User, Rotation: &r})),
		digestMessage(v, found, []rotation.Rotation{r}, inWeek("2026-W47")),
		warningMessage(v, rotation.Notice{Key: oldKey, Days: 90, Owner: owner, Created: monday}, r.User),
		warningMessage(v, rotation.Notice{Kind: rotation.LastWarning, Key: oldKey, Days: 90, Owner: owner, Created: monday, Due: monday, On: monday}, r.User),
		passedOnMessage(v, []rotation.Listed{{Progress: rotation.Progress{User: r.User}, Notice: rotation.Notice{Key: oldKey, Owner: owner, Created: monday, Due: monday}}}),
		ownerListMessage(v, []rotation.Listed{{Progress: rotation.Progress{User: r.User}, Notice: rotation.Notice{Key: oldKey, Owner: owner, Created: monday, Due: monday}}}),
		secretMessage(v, r, newKey, rotation.NewSecret("x")),
	}
	for _, ask := range r.Asks {
		ms = append(ms, approvalCard(v, r, ask))
	}
	return ms
}

// ours are the only tokens that may stand between < and >: times, and the people of the tales.
var ours = regexp.MustCompile(`<!date\^\d+\^\{date_short\} at \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>|<@(?:UOLIVIA|UCARLO|UALICE|UBOB)>`)

var entity = regexp.MustCompile(`&(?:amp|lt|gt);`)

// checkEscaped holds that mrkdwn is text in which nobody is mentioned but by us.
func checkEscaped(t *testing.T, s string) {
	t.Helper()
	left := entity.ReplaceAllString(ours.ReplaceAllString(s, ""), "")
	if strings.ContainsAny(left, "<>&") || !utf8.ValidString(s) {
		t.Errorf("not escaped, or no text: %q", s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
		t.Errorf("invisible characters in %q", s)
	}
}

// texts are the text objects of blocks, in their order: type and text.
func texts(t *testing.T, raw []byte) [][2]string {
	t.Helper()
	var blocks []map[string]any
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	var all [][2]string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, elem := range v {
				walk(elem)
			}
		case map[string]any:
			if kind, _ := v["type"].(string); kind == slack.MarkdownType || kind == slack.PlainTextType {
				text, _ := v["text"].(string)
				all = append(all, [2]string{kind, text})
				return
			}
			for _, name := range slices.Sorted(maps.Keys(v)) {
				walk(v[name])
			}
		}
	}
	for _, b := range blocks {
		walk(b)
	}
	return all
}

// checkAnswer holds a message to Slack's limits and to ours, whatever words are in it.
func checkAnswer(t *testing.T, m message) {
	t.Helper()
	raw := encode(t, m.Blocks)
	for _, err := range slacksim.ValidateBlocks(slacksim.OnMessage, raw) {
		t.Errorf("blocks: %v", err)
	}
	if n := utf8.RuneCountInString(m.Text); n == 0 || n > maxText {
		t.Errorf("text has %d characters", n)
	}
	if n := weight(draft{blocks: m.Blocks}); n > 13200 {
		t.Errorf("blocks have %d characters", n)
	}
	checkEscaped(t, m.Text)
	for _, text := range texts(t, raw) {
		if text[0] == slack.MarkdownType {
			checkEscaped(t, text[1])
		}
	}
}

func checkModal(t *testing.T, m slack.ModalViewRequest) {
	t.Helper()
	for _, err := range slacksim.ValidateView(encode(t, m)) {
		t.Errorf("view: %v", err)
	}
	for _, text := range texts(t, encode(t, m.Blocks.BlockSet)) {
		if text[0] == slack.MarkdownType {
			checkEscaped(t, text[1])
		}
	}
}

// outline is what foreign words must not change: the blocks, and the lines and code marks in each of their texts.
func outline(t *testing.T, m message) []string {
	t.Helper()
	var lines []string
	for _, b := range m.Blocks {
		lines = append(lines, string(b.BlockType()))
	}
	for _, text := range texts(t, encode(t, m.Blocks)) {
		marks := strings.Map(func(r rune) rune {
			if r == '\n' || r == '`' {
				return r
			}
			return -1
		}, text[1])
		lines = append(lines, text[0]+" "+marks)
	}
	return lines
}
