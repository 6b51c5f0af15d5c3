package bot

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/rotation"
)

// constants reads the values of a type's constants from a file of package rotation, by name.
func constants(t *testing.T, file, typ string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "rotation", file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typ {
			return true
		}
		for i, name := range spec.Names {
			if lit, ok := spec.Values[i].(*ast.BasicLit); ok {
				found[name.Name], err = strconv.Unquote(lit.Value)
			}
		}
		return err == nil
	})
	if len(found) == 0 || err != nil {
		t.Fatalf("no constants of type %s in %s: %v", typ, file, err)
	}
	return found
}

const theSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

func TestSecretMessage(t *testing.T) {
	r := replace(t).by(alice, rotation.Approve).works().r
	m := secretMessage(testView(), r, r.New, rotation.NewSecret(theSecret))
	goldenMessage(t, "secret", m)
	golden(t, "secret.golden.txt", []byte(m.Text+"\n"))
	if strings.Contains(m.Text, theSecret) {
		t.Error("the text holds the secret")
	}
	if n := strings.Count(string(encode(t, m.Blocks)), theSecret); n != 1 {
		t.Errorf("the blocks hold the secret %d times, want once", n)
	}
	for _, b := range m.Blocks {
		if _, code := b.(*slack.RichTextBlock); !code && strings.Contains(string(encode(t, b)), theSecret) {
			t.Errorf("a block other than the preformatted one holds the secret: %s", encode(t, b))
		}
	}
	if got := clickable(t, m, rotation.Ref{ID: r.ID}); len(got) != 0 {
		t.Errorf("buttons %v: a click on this message would send the secret back", got)
	}
}

func TestReceiptMessage(t *testing.T) {
	r := replace(t).by(alice, rotation.Approve).works().works().r
	var texts strings.Builder
	check := func(name string, m message) {
		goldenMessage(t, "receipt-"+name, m)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, m.Text)
	}
	asked := receiptMessage(testView(), r)
	want := []string{"receipt " + rotation.Ref{ID: r.ID, Turn: 1}.String(), "disown " + r.Ref().String()}
	if diff := cmp.Diff(want, clicksOn(asked)); diff != "" {
		t.Errorf("buttons, of the first key's receipt and of the rotation as it is (-want +got):\n%s", diff)
	}
	check("asked", asked)
	r.Handover.Gone = true
	check("too-late", receiptMessage(testView(), r))
	disowned := r
	r.Handover.Received = r.Since
	given := receiptMessage(testView(), r)
	if got := clicksOn(given); len(got) != 0 {
		t.Errorf("buttons %v below a secret that its owner has stored", got)
	}
	check("given", given)
	disowned.Stage, disowned.Disowned = rotation.Freezing, r.Since.Add(time.Hour)
	check("disowned", receiptMessage(testView(), disowned))
	check("overtaken", overtakenReceipt(r))
	golden(t, "receipt.golden.txt", []byte(texts.String()))
}

// clicksOn lists what the buttons of a message stand for, each with its value.
func clicksOn(m message) []string {
	var found []string
	for _, b := range m.Blocks {
		actions, ok := b.(*slack.ActionBlock)
		if !ok {
			continue
		}
		for _, e := range actions.Elements.ElementSet {
			if button, ok := e.(*slack.ButtonBlockElement); ok {
				found = append(found, button.ActionID+" "+button.Value)
			}
		}
	}
	return found
}

func TestDisownedMessage(t *testing.T) {
	var texts strings.Builder
	all := tales(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if r := all[name].r; !r.Disowned.IsZero() {
			m := disownedMessage(testView(), r)
			goldenMessage(t, "disowned/"+name, m)
			fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, m.Text)
		}
	}
	golden(t, "disowned.golden.txt", []byte(texts.String()))
}

func TestOpenedMessage(t *testing.T) {
	var texts strings.Builder
	all := tales(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name].r
		ready := name == "replace/switching-open"
		if _, ok := opened(testView(), r, false); ok != ready {
			t.Errorf("%s: a new message: %v, want %v", name, ok, ready)
		}
		m, ok := opened(testView(), r, true)
		if !ok {
			continue
		}
		var want []string
		if ready {
			want = []string{"confirm " + r.Ref().String()}
		}
		if diff := cmp.Diff(want, clicksOn(m)); diff != "" {
			t.Errorf("%s: buttons (-want +got):\n%s", name, diff)
		}
		goldenMessage(t, "opened/"+name, m)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, m.Text)
	}
	golden(t, "opened.golden.txt", []byte(texts.String()))
}

func TestOverruledMessage(t *testing.T) {
	r := tales(t)["replace/confirmed-overruled"].r
	m := overruledMessage(testView(), r, r.Asks[len(r.Asks)-1])
	goldenMessage(t, "overruled", m)
	for _, want := range []string{"<@UBOB>", "nobody can switch it off", "ci-deploy", oldKey.Short()} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the owner is not told of %q: %s", want, m.Text)
		}
	}
}

func TestWarningMessage(t *testing.T) {
	created := monday.Add(-75 * 24 * time.Hour)
	var texts strings.Builder
	for _, days := range []int{75, 90} {
		m := warningMessage(testView(), rotation.Notice{Key: oldKey, Days: days, Owner: owner, Created: created}, ci)
		goldenMessage(t, fmt.Sprintf("warning-%d", days), m)
		fmt.Fprintf(&texts, "--- %d\n%s\n\n", days, m.Text)
	}
	golden(t, "warning.golden.txt", []byte(texts.String()))
}

// texts of errors, for every code that package rotation has.
func TestRefusalText(t *testing.T) {
	texts := map[string]string{}
	r := replace(t).by(alice, rotation.Approve).r
	for _, code := range constants(t, "errors.go", "Code") {
		if rotation.Code(code) == rotation.Blocked {
			continue
		}
		about := r
		if rotation.Code(code) == rotation.HasEnded {
			about = replace(t).by(bob, rotation.Deny).r
		}
		texts["code "+code] = refusalText(testView(), &rotation.Refusal{
			Code: rotation.Code(code), User: ci, Rotation: &about, By: alice, Key: oldKey, Again: monday.Add(time.Hour),
			Err: &rotation.CallError{Op: "read keys", Class: rotation.ClassThrottled, Err: errors.New("internal words")},
		})
	}
	used := rotation.LastUse{State: rotation.Used, At: monday.Add(-2 * time.Hour), Service: "s3", Region: "eu-west-1"}
	waiting := replace(t).toSwitching().r
	for _, code := range constants(t, "errors.go", "BlockCode") {
		block := rotation.Block{
			Code: rotation.BlockCode(code), Again: monday.Add(22 * time.Hour),
			Key: rotation.Key{ID: oldKey, Created: monday.Add(-time.Hour), LastUse: used},
		}
		texts["block "+code] = refusalText(testView(), &rotation.Refusal{Code: rotation.Blocked, User: ci, Rotation: &waiting, Blocks: []rotation.Block{block}})
	}
	for _, class := range constants(t, "errors.go", "Class") {
		texts["class "+class] = refusalText(testView(), fmt.Errorf("wrapped: %w", &rotation.CallError{
			Op: "create access key for ci-deploy", Class: rotation.Class(class), Code: "Internal", Err: errors.New("internal words"),
		}))
	}
	own := replace(t).r
	v := testView()
	v.approvals = rotation.NewApprovals(nil, []rotation.MemberID{owner, alice})
	vouched := tales(t)["replace/confirmed-overruled"].r
	confirmed := replace(t).toSwitching().toConfirmed().r
	both := []rotation.Block{
		{Code: rotation.NewNeverUsed, Key: rotation.Key{ID: newKey}},
		{Code: rotation.OldUsed, Key: rotation.Key{ID: oldKey, LastUse: used}, Again: monday.Add(22 * time.Hour)},
	}
	maps.Copy(texts, map[string]string{
		"own overrule":              refusalText(testView(), &rotation.Refusal{Code: rotation.OwnOverrule, Rotation: &vouched, By: bob}),
		"own overrule, nobody else": refusalText(view{approvals: rotation.NewApprovals(nil, []rotation.MemberID{owner, bob})}, &rotation.Refusal{Code: rotation.OwnOverrule, Rotation: &vouched, By: bob}),
		"own request, nobody else":  refusalText(view{approvals: rotation.NewApprovals(nil, []rotation.MemberID{owner})}, &rotation.Refusal{Code: rotation.OwnRequest, Rotation: &own}),
		"own key, one other":        refusalText(v, &rotation.Refusal{Code: rotation.OwnKey, Rotation: &own}),
		"not owner, no owner":       refusalText(testView(), &rotation.Refusal{Code: rotation.NotOwner, User: ci}),
		"not owner, no user":        refusalText(testView(), &rotation.Refusal{Code: rotation.NotOwner, By: alice}),
		"outdated, gone":            refusalText(testView(), &rotation.Refusal{Code: rotation.Outdated}),
		"decided, not found":        refusalText(testView(), &rotation.Refusal{Code: rotation.Decided, By: bob, Rotation: &r}),
		"ended long ago":            refusalText(testView(), &rotation.Refusal{Code: rotation.HasEnded}),
		"blocked twice":             refusalText(testView(), &rotation.Refusal{Code: rotation.Blocked, User: ci, Rotation: &waiting, Blocks: both}),
		"blocked at the approval":   refusalText(testView(), &rotation.Refusal{Code: rotation.Blocked, User: ci, Rotation: &confirmed, Blocks: both[1:]}),
		"blocked retirement":        refusalText(testView(), &rotation.Refusal{Code: rotation.Blocked, User: ci, Rotation: &retire(t).r, Blocks: both[1:]}),
		"blocked beginning":         refusalText(testView(), &rotation.Refusal{Code: rotation.Blocked, User: ci, Key: oldKey, Blocks: both[1:]}),
		"move":                      refusalText(testView(), &rotation.MoveError{From: rotation.Grace, On: rotation.Elapse}),
		"conflict":                  refusalText(testView(), fmt.Errorf("write: %w", rotation.ErrConflict)),
		"not found":                 refusalText(testView(), fmt.Errorf("read: %w", rotation.ErrNotFound)),
		"too slow":                  refusalText(testView(), fmt.Errorf("call: %w", context.DeadlineExceeded)),
		"refusal not recorded":      refusalText(testView(), errors.Join(&rotation.Refusal{Code: rotation.NoKeys, User: ci}, errors.New("internal words"))),
		"anything else":             refusalText(testView(), newBroken(errors.New("internal words"))),
	})
	var all strings.Builder
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		fmt.Fprintf(&all, "--- %s\n%s\n\n", name, text)
		checkMessage(t, plain(text))
		family, _, _ := strings.Cut(name, " ")
		if other, ok := seen[text]; ok && strings.HasPrefix(other, family) {
			t.Errorf("%s and %s have the same text: %s", name, other, text)
		}
		seen[text] = name
		for _, bad := range []string{"This was refused (", "a check found", "internal words"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has no text of its own, or tells what is not for people: %s", name, text)
			}
		}
		if strings.HasPrefix(name, "class ") && classes[rotation.Class(strings.TrimPrefix(name, "class "))].why == "" {
			t.Errorf("%s has no text", name)
		}
	}
	golden(t, "refusals.golden.txt", []byte(all.String()))
}

func TestBrokenKeepsItsReference(t *testing.T) {
	b := newBroken(errors.New("the disk is full"))
	wrapped := fmt.Errorf("answer: %w", b)
	if got := newBroken(wrapped).ref; got != b.ref {
		t.Errorf("reference %s after wrapping, want %s", got, b.ref)
	}
	if text := refusalText(testView(), wrapped); !strings.Contains(text, b.ref) || strings.Contains(text, "disk") {
		t.Errorf("the answer should have the reference %s and no details: %s", b.ref, text)
	}
}

func TestReplies(t *testing.T) {
	running, done := replace(t).toSwitching().r, retire(t).by(alice, rotation.Deny).r
	var many []rotation.Progress
	for range 40 {
		many = append(many, rotation.Progress{Rotation: &running})
	}
	messages := map[string]message{
		"help":           helpMessage(),
		"status":         statusMessage(testView(), []rotation.Progress{{Rotation: &done}, {}, {Rotation: &running}}),
		"status-ended":   statusMessage(testView(), []rotation.Progress{{Rotation: &done}}),
		"status-none":    statusMessage(testView(), nil),
		"status-many":    statusMessage(testView(), many),
		"started":        startedMessage(testView(), running),
		"unknown-near":   notUnderstood(readTyped(nil, "Statsu please")),
		"unknown-far":    notUnderstood(readTyped(nil, "<!here> make coffee")),
		"unknown-help-x": notUnderstood(readTyped(nil, "hlep")),
	}
	var texts strings.Builder
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		goldenMessage(t, "reply/"+name, messages[name])
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, messages[name].Text)
	}
	golden(t, "reply.golden.txt", []byte(texts.String()))
}

func aFinding(b rotation.Breach, u rotation.UserRef, id rotation.KeyID, ageDays int) rotation.Finding {
	return rotation.Finding{
		Breach: b, User: u, Owner: owner,
		Key: rotation.Key{
			ID: id, Status: rotation.Active, Created: monday.Add(-time.Duration(ageDays) * 24 * time.Hour),
			LastUse: rotation.LastUse{State: rotation.Used, At: monday.Add(-50 * 24 * time.Hour), Service: "ec2", Region: "us-east-1"},
		},
	}
}

func survey() rotation.Survey {
	other := func(name string) rotation.UserRef { return rotation.UserRef{Account: "444455556666", Name: name} }
	root := aFinding(rotation.RootKey, other("<root_account>"), "", 900)
	running := aFinding(rotation.TooOld, other("etl"), "AKIAAAAAAAAAAAAAETL1", 120)
	running.Running = rotation.Switching
	unowned := aFinding(rotation.TooOld, other("backup"), "AKIAAAAAAAAAAAABACK1", 110)
	unowned.Owner = ""
	exempt := aFinding(rotation.TooOld, other("legacy"), "AKIAAAAAAAAAAAALEGA1", 400)
	exempt.Exempt = rotation.Exemption{Reason: "The vendor cannot change it before spring.", Until: monday.Add(100 * 24 * time.Hour)}
	left := aFinding(rotation.LeftInactive, other("old-site"), "AKIAAAAAAAAAAAALEFT1", 300)
	return rotation.Survey{
		At: monday,
		Accounts: []rotation.AccountState{
			{ID: ci.Account, Name: "Production", Users: 40},
			{ID: "444455556666", Name: "Data & Research", Users: 12},
			{ID: "777788889999", Name: "Sandbox", Err: &rotation.CallError{Op: "read report", Class: rotation.ClassDenied, Err: errors.New("internal words")}},
			{ID: "888899990000", Name: "", Users: 3, Err: &rotation.CallError{Op: "read keys", Class: rotation.ClassThrottled, Err: errors.New("internal words")}},
		},
		Findings: []rotation.Finding{
			root, aFinding(rotation.Quarantined, other("exposed"), "AKIAAAAAAAAAAAAEXPO1", 95), exempt, aFinding(rotation.TooOld, ci, oldKey, 95), running, unowned,
			aFinding(rotation.TooOld, other("old-site"), "AKIAAAAAAAAAAAASITE1", 100),
			aFinding(rotation.ExtraKeys, other("many"), "AKIAAAAAAAAAAAAMANY1", 10),
			aFinding(rotation.Unneeded, other("idle"), "AKIAAAAAAAAAAAAIDLE1", 60),
			aFinding(rotation.Idle, ci, oldKey, 95),
			aFinding(rotation.TwoActive, other("twins"), "AKIAAAAAAAAAAAATWIN1", 40),
			aFinding(rotation.SoonTooOld, other("soon"), "AKIAAAAAAAAAAAASOON1", 80), left,
		},
	}
}

func TestDigestMessage(t *testing.T) {
	stuck := replace(t).by(alice, rotation.Approve).fails(rotation.ClassDenied).r
	running := []rotation.Rotation{replace(t).toSwitching().r, replace(t).toSwitching().toConfirmed().toGrace().r, stuck}
	full := survey()
	clean := rotation.Survey{At: monday, Accounts: full.Accounts[:2]}
	overruled := clean
	overruled.Overruled = []rotation.Rotation{tales(t)["replace/overruled-grace"].r}
	unread := rotation.Survey{At: monday, Accounts: full.Accounts[2:3]}
	gap := rotation.Survey{At: monday, Accounts: full.Accounts[:3]}
	messages := map[string]message{
		"overruled": digestMessage(testView(), overruled, nil, inWeek("2026-W47")),
		"full":      digestMessage(testView(), full, running, inWeek("2026-W47")),
		"clean":     digestMessage(testView(), clean, nil, inWeek("2026-W47")),
		"unread":    digestMessage(testView(), unread, nil, inWeek("2026-W47")),
		"gap":       digestMessage(testView(), gap, nil, inWeek("2026-W47")),
		"none":      digestMessage(testView(), rotation.Survey{At: monday}, nil, inWeek("2026-W47")),
		"asked": digestOf(testView(), full, running, heading{
			title: "Access keys today", change: sinceWeek([]report.Week{{Name: "2026-W47", Due: 9, Whole: true}}, report.Week{Due: 12, Whole: true}), note: onlyYours("CONCALL"),
		}),
		"many": digestMessage(testView(), manyFindings(5000), nil, inWeek("2026-W47")),
	}
	var texts strings.Builder
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		goldenMessage(t, "digest/"+name, messages[name])
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, messages[name].Text)
	}
	golden(t, "digest.golden.txt", []byte(texts.String()))
	for _, name := range []string{"unread", "gap", "none"} {
		if !strings.Contains(strings.ToLower(messages[name].Text), "nothing is known") {
			t.Errorf("%s: the digest does not say that something is not known: %s", name, messages[name].Text)
		}
	}
}

func manyFindings(n int) rotation.Survey {
	s := rotation.Survey{At: monday, Accounts: []rotation.AccountState{{ID: ci.Account, Name: "Production", Users: n}}}
	for i := range n {
		u := rotation.UserRef{Account: ci.Account, Name: fmt.Sprintf("user-%04d-%s", i, strings.Repeat("x", 50))}
		s.Findings = append(s.Findings, aFinding(rotation.TooOld, u, rotation.KeyID(fmt.Sprintf("AKIAAAAAAAAAAAAA%04d", i)), 95))
	}
	return s
}

// Whatever there is to tell, the digest stays within the limits, and each key is either shown or counted.
func TestDigestFits(t *testing.T) {
	for _, n := range []int{0, 1, 2, 13, 45, 60, 1000} {
		for _, crowd := range []int{0, 3, 200} {
			s := manyFindings(n)
			var running []rotation.Rotation
			for i := range crowd {
				s.Accounts = append(s.Accounts, rotation.AccountState{ID: strconv.Itoa(i), Name: strings.Repeat("<n>", 100), Err: errors.New("internal words")})
				f := aFinding(rotation.RootKey, rotation.UserRef{Account: strconv.Itoa(i), Name: "<root_account>"}, "", 10)
				f.Exempt = rotation.Exemption{Reason: strings.Repeat("<", 500), Until: monday.Add(time.Hour)}
				s.Findings = append(s.Findings, f)
				running = append(running, replace(t).r)
				word := replace(t).r
				word.Asks[0].Overruled = rotation.Decision{By: bob, At: monday, Reason: strings.Repeat("<", 500)}
				s.Overruled = append(s.Overruled, word)
			}
			m := digestMessage(testView(), s, running, inWeek("2026-W47"))
			checkMessage(t, m)
			shown, counted := strings.Count(string(encode(t, m.Blocks)), `"action_id": "start"`), 0
			if _, rest, ok := strings.Cut(string(encode(t, m.Blocks)), "*And "); ok {
				if _, err := fmt.Sscanf(rest, "%d other key", &counted); err != nil {
					t.Error(err)
				}
			}
			if shown+counted != n {
				t.Errorf("%d keys: %d shown and %d counted", n, shown, counted)
			}
		}
	}
}

// startIn is whose rotation an accessory begins: its button, or the second choice of a key that is not used.
func startIn(a *slack.Accessory) string {
	if a.OverflowElement != nil {
		return strings.TrimPrefix(a.OverflowElement.Options[1].Value, "start ")
	}
	return a.ButtonElement.Value
}

func TestDigestButtons(t *testing.T) {
	m := digestMessage(testView(), survey(), nil, inWeek("2026-W47"))
	var got []string
	for _, b := range m.Blocks {
		if s, ok := b.(*slack.SectionBlock); ok && s.Accessory != nil {
			got = append(got, startIn(s.Accessory))
		}
	}
	want := []string{ci.ID()}
	for _, name := range []string{"idle", "twins", "soon"} {
		want = append(want, rotation.UserRef{Account: "444455556666", Name: name}.ID())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("start buttons (-want +got):\n%s", diff)
	}
}
