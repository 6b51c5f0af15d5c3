package bot

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// goldenHome compares a Home tab with its golden file and checks it against Slack's limits.
func goldenHome(t *testing.T, name string, v slack.HomeTabViewRequest) string {
	t.Helper()
	raw := encode(t, v)
	for _, err := range slacksim.ValidateView(raw) {
		t.Errorf("view: %v", err)
	}
	checkWords(t, string(raw))
	golden(t, "home/"+name+".golden.json", raw)
	var flat strings.Builder
	_ = json.NewEncoder(&flat).Encode(v)
	return flat.String()
}

// progressOf is the stored progress of a rotation whose messages stand in Slack.
func progressOf(r rotation.Rotation) rotation.Progress {
	posts := map[string]rotation.Post{r.ID + "/owner": {Channel: "DOLIVIA", TS: "1700000000.000100"}}
	for _, ask := range r.Asks {
		posts[fmt.Sprintf("%s/ask%d", r.ID, ask.Turn)] = rotation.Post{Channel: "CAPPROVALS", TS: "1700000000.000200"}
	}
	return rotation.Progress{User: r.User, Rotation: &r, Posts: posts}
}

func TestHomeView(t *testing.T) {
	v := testView()
	v.now = monday.Add(time.Hour)
	b := &Bot{workspace: "https://acme.slack.com/"}
	asked, switching := replace(t).r, replace(t).toSwitching().r
	expiring := replace(t).toSwitching().toConfirmed().toGrace().toExpiring().r
	stuck := replace(t).toSwitching().elapses(30 * 24 * time.Hour).r
	done := retire(t).by(alice, rotation.Deny).r
	held := []rotation.Holding{
		holding("ci-deploy", aKey(oldKey, rotation.Active, 95, rotation.Used), aKey(newKey, rotation.Active, 1, rotation.NeverUsed)),
		{User: rotation.UserRef{Account: "444455556666"}, Err: &rotation.CallError{Op: "list users", Class: rotation.ClassThrottled, Err: errors.New("x")}},
	}
	held[0].Running = &switching
	free := []rotation.Holding{holding("ci-deploy", aKey(oldKey, rotation.Active, 95, rotation.Used))}
	var many []rotation.Progress
	for i := range 130 {
		r := asked
		r.ID, r.Owner, r.User.Name = fmt.Sprintf("x-%d", i), owner, fmt.Sprintf("user-%d", i)
		many = append(many, progressOf(r))
	}
	approver := rotation.Actor{Member: alice, Approver: true, OnCall: true}
	all := []rotation.Progress{progressOf(asked), progressOf(switching), progressOf(expiring), progressOf(stuck)}
	for _, test := range []struct {
		name      string
		home      home
		want, not []string
	}{
		{
			"owner",
			home{actor: rotation.Actor{Member: owner}, running: all[1:2], ended: []rotation.Progress{progressOf(done)}, held: held},
			[]string{"Waiting for you: 1", "https://acme.slack.com/archives/DOLIVIA/p1700000000000100", "Needs attention: too old", "could not be read"},
			[]string{"All accounts", `"action_id":"keys"`, "Nothing waits"},
		},
		{"new", home{actor: rotation.Actor{Member: owner}, held: free}, []string{"Nothing waits for you", `"action_id":"keys"`}, []string{"Your rotations"}},
		{
			"approver",
			home{actor: approver, running: all, held: nil},
			[]string{"Waiting for you: 3", "archives/CAPPROVALS/p1700000000000200", "All accounts", "4 rotations running, 3 waiting for a decision, *1 stuck*", "keyturner:owner"},
			[]string{"Your rotations", `"action_id":"keys"`, "Move your applications"},
		},
		{
			"found",
			home{actor: approver, running: all[1:2], found: new(foundIn(v, survey()))},
			[]string{
				"Keys that need attention: 11", "*exposed in public*", "(444455556666) has an access key.*", "A rotation is under way: switching.",
				"Not read in full", "nothing is known about the other keys there", "The accounts were read on", "Nobody is answerable for it.",
			},
			[]string{"*And ", "legacy"},
		},
		{
			"found-many",
			home{actor: approver, found: new(foundIn(v, manyFindings(10_000))), digest: "https://acme.slack.com/archives/CONCALL/p1700000000000100"},
			[]string{"Keys that need attention: 10000", "And 9", "other keys", "https://acme.slack.com/archives/CONCALL/p1700000000000100|the digest in on-call", "/rotate-key digest"},
			nil,
		},
		{"found-clean", home{actor: rotation.Actor{Member: alice, OnCall: true}, found: new(foundIn(v, rotation.Survey{At: monday, Accounts: survey().Accounts[:2]}))}, []string{"No key needs attention in 2 accounts"}, []string{"*And "}},
		{"found-not-yet", home{actor: approver}, []string{"No scan has ended yet, so nothing is known"}, []string{"No key needs"}},
		{"found-unread", home{actor: approver, foundErr: errors.New("internal words")}, []string{"could not be read, so nothing is known"}, []string{"No key needs", "internal words"}},
		{
			"owner-many",
			home{actor: rotation.Actor{Member: owner}, held: mixedHoldings()},
			[]string{"What needs attention of 45 other IAM users", "user-059", "could not be read"},
			[]string{"other keys that need", "Keys that need attention"},
		},
		{"unknown", home{actor: rotation.Actor{Member: owner}, heldErr: errors.New("internal words")}, []string{"could not be read"}, []string{"internal words", "names you as its owner"}},
		{"many", home{actor: approver, running: many, held: manyHoldings(150)}, []string{"Waiting for you: 130", "And 118 others.", "other IAM user"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.home.link = b.permalink
			got := goldenHome(t, test.name, homeView(v, test.home))
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("it does not say %q: %s", want, got)
				}
			}
			for _, not := range test.not {
				if strings.Contains(got, not) {
					t.Errorf("it says %q: %s", not, got)
				}
			}
		})
	}
}

// mixedHoldings are sixty users: of every second one a key needs attention, and one of the last could not be read.
func mixedHoldings() []rotation.Holding {
	var hs []rotation.Holding
	for i := range 60 {
		age := 10
		if i%2 == 1 {
			age = 100
		}
		hs = append(hs, holding(fmt.Sprintf("user-%03d", i), aKey(rotation.KeyID(fmt.Sprintf("AKIAAAAAAAAAAAAA%04d", i)), rotation.Active, age, rotation.Used)))
	}
	hs[58].Keys, hs[58].Findings, hs[58].Err = nil, nil, refusedByAWS(rotation.ClassDenied)
	return hs
}

// TestHomeView_StaysWithinTheLimits: on-call's own home, with as much of everything as there can be, each as long as it can be.
func TestHomeView_StaysWithinTheLimits(t *testing.T) {
	v := testView()
	v.now = monday
	names := map[string]string{ci.Account: strings.Repeat("ü&", 30)}
	v.accounts = func() map[string]string { return names }
	asked := replace(t).r
	h := home{actor: rotation.Actor{Member: alice, Approver: true, OnCall: true}, link: (&Bot{workspace: "https://acme.slack.com/"}).permalink, unread: true}
	for i := range 300 {
		r := asked
		r.ID, r.Owner, r.Requester, r.User.Name, r.Reason = fmt.Sprintf("x-%d", i), owner, bob, fmt.Sprintf("%03d%s", i, strings.Repeat("w", 61)), strings.Repeat("ü", maxReason)
		if i%2 == 0 {
			r.Requester = alice
		}
		h.running = append(h.running, progressOf(r))
		names[fmt.Sprintf("%012d", i)] = strings.Repeat("ü&", 30)
	}
	for i := range 300 {
		x := holding(fmt.Sprintf("%03d%s", i, strings.Repeat("w", 61)), aKey(oldKey, rotation.Active, 200, rotation.NeverUsed), aKey(newKey, rotation.Active, 200, rotation.NeverUsed))
		x.Exempt = rotation.Exemption{Reason: strings.Repeat("ü", 300), Until: monday.Add(time.Hour)}
		for range 2 {
			e := anExemption(rotation.ExemptHeld)
			e.Reason, e.Until = strings.Repeat("ü", 300), monday.Add(time.Hour)
			x.Exemptions = append(x.Exemptions, e)
		}
		x.Running = &asked
		h.held = append(h.held, x)
	}
	s := manyFindings(10_000)
	for i := range s.Findings {
		s.Findings[i].User.Name = fmt.Sprintf("%05d%s", i, strings.Repeat("w", 59))
		s.Findings[i].Doubt, s.Findings[i].Owner = rotation.NotLookedUp, ""
	}
	for i := range 300 {
		s.Accounts = append(s.Accounts, rotation.AccountState{ID: fmt.Sprintf("%012d", i), Name: strings.Repeat("ü&", 60), Err: refusedByAWS(rotation.ClassDenied), Unseen: []rotation.Unseen{rotation.KeysUnseen}})
	}
	f := foundIn(v, s)
	kept, err := json.Marshal(f)
	if err != nil || len(kept) > maxFound+20_000 {
		t.Errorf("%d bytes are kept, %v", len(kept), err)
	}
	h.found = &f
	view := homeView(v, h)
	sent, err := json.Marshal(view) // as the client sends it, with what HTML could read escaped
	if err != nil || len(sent) > 250_000 {
		t.Errorf("the view has %d bytes, %v", len(sent), err)
	}
	for _, err := range slacksim.ValidateView(encode(t, view)) {
		t.Error(err)
	}
	said := string(encode(t, view))
	lines := strings.Count(said, "Its owner could not be looked up")
	var left int
	if _, rest, ok := strings.Cut(said, "*And "); !ok {
		t.Error("what is not shown is not counted")
	} else if _, err := fmt.Sscanf(rest, "%d other key", &left); err != nil || lines+left != 10_000 || lines < 100 {
		t.Errorf("%d keys are shown and %d counted, %v", lines, left, err)
	}
	t.Logf("%d blocks, %d bytes, %d keys; %d bytes are kept", len(view.Blocks.BlockSet), len(sent), lines, len(kept))
}

func TestHomeView_OwnRequestsAreNotOnesToDecide(t *testing.T) {
	asked := replace(t).r
	for _, m := range []rotation.MemberID{asked.Owner, asked.Requester} {
		h := home{actor: rotation.Actor{Member: m, Approver: true}, running: []rotation.Progress{progressOf(asked)}, link: (&Bot{}).permalink}
		if got := string(encode(t, homeView(testView(), h))); !strings.Contains(got, "Nothing waits for you") || !strings.Contains(got, "Your rotations") {
			t.Errorf("%s sees %s", m, got)
		}
	}
}

// Who decides because a rule names their group sees what waits for them, as who is named themselves does; who is of the group that owns the
// user does not, and of a leak everybody does who is enough to decide it.
func TestHomeView_MembersOfARulesGroup(t *testing.T) {
	v := testView()
	const deciders, squad, second rotation.GroupID = "S0DECIDE1", "S0SQUAD01", "S0SECOND1"
	v.approvals = rotation.NewApprovals([]rotation.Approval{{
		Name: "deploys", By: rotation.Circle{Groups: []rotation.GroupID{deciders}},
		Escalate: rotation.Escalation{After: time.Hour, To: rotation.Circle{Groups: []rotation.GroupID{second}}},
	}}, []rotation.MemberID{alice})
	asked, shared, leaked, late, overruled := replace(t).r, replace(t).r, leak(t).r, replace(t).r, replace(t).r
	shared.Group = squad
	late.Asks[0].Escalated, overruled.Asks[0].Overruled.By = monday, "UERIN"
	for _, tt := range []struct {
		name   string
		r      rotation.Rotation
		actor  rotation.Actor
		groups []rotation.GroupID
		waits  bool
	}{
		{"of the group", asked, rotation.Actor{Member: "UERIN"}, []rotation.GroupID{deciders}, true},
		{"not of it", asked, rotation.Actor{Member: "UERIN"}, nil, false},
		{"of another one", asked, rotation.Actor{Member: "UERIN"}, []rotation.GroupID{squad}, false},
		{"an approver whom the rule does not name", asked, rotation.Actor{Member: alice, Approver: true}, nil, false},
		{"the owner, of the group", asked, rotation.Actor{Member: owner}, []rotation.GroupID{deciders}, false},
		{"of the group, and of the one that owns the user", shared, rotation.Actor{Member: "UERIN"}, []rotation.GroupID{deciders, squad}, false},
		{"of the second circle, before it is asked", asked, rotation.Actor{Member: "UERIN"}, []rotation.GroupID{second}, false},
		{"of the second circle, once it is asked", late, rotation.Actor{Member: "UERIN"}, []rotation.GroupID{second}, true},
		{"who overruled the evidence", overruled, rotation.Actor{Member: "UERIN"}, []rotation.GroupID{deciders}, false},
		{"a leak, of the group", leaked, rotation.Actor{Member: "UERIN"}, []rotation.GroupID{deciders}, true},
		{"a leak, on call, who reported it", leaked, rotation.Actor{Member: oncall, OnCall: true}, nil, true},
		{"a leak, an approver whom the rule does not name", leaked, rotation.Actor{Member: alice, Approver: true}, nil, true},
		{"a leak, somebody else", leaked, rotation.Actor{Member: "UERIN"}, nil, false},
	} {
		h := home{actor: tt.actor, groups: tt.groups, running: []rotation.Progress{progressOf(tt.r)}, link: (&Bot{}).permalink}
		got := string(encode(t, homeView(v, h)))
		if waits := strings.Contains(got, "Waiting for you: 1"); waits != tt.waits {
			t.Errorf("%s: waits %v, want %v", tt.name, waits, tt.waits)
		}
		h.unread = true
		if got := string(encode(t, homeView(v, h))); !strings.Contains(got, "may be missing here") {
			t.Errorf("%s: what could not be read looks complete: %s", tt.name, got)
		}
	}
}
