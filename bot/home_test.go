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
			[]string{"Waiting for you: 1", "https://acme.slack.com/archives/DOLIVIA/p1700000000000100", "Older than 90 days", "could not be read"},
			[]string{"All accounts", `"action_id":"keys"`, "Nothing waits"},
		},
		{"new", home{actor: rotation.Actor{Member: owner}, held: free}, []string{"Nothing waits for you", `"action_id":"keys"`}, []string{"Your rotations"}},
		{
			"approver",
			home{actor: approver, running: all, held: nil},
			[]string{"Waiting for you: 3", "archives/CAPPROVALS/p1700000000000200", "All accounts", "4 rotations running, 3 waiting for a decision, *1 stuck*", "keyturner:owner"},
			[]string{"Your rotations", `"action_id":"keys"`, "Move your applications"},
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
