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

// tracedView is testView of an operator who lets CloudTrail be asked.
func tracedView() view {
	v := testView()
	v.traced = map[string]bool{ci.Account: true}
	return v
}

func aTrace() rotation.Trace {
	at := func(h int) time.Time { return monday.Add(time.Duration(h) * time.Hour) }
	return rotation.Trace{
		At: at(5), Regions: []string{"eu-central-1", "us-east-1", "us-west-2"}, More: 2,
		Unread: []rotation.Unread{{Region: "us-west-2", Class: rotation.ClassDenied}}, Partly: []string{"us-east-1"},
		Callers: []rotation.Caller{
			{Service: "ec2", Agent: "Boto3/1.34.0 os/linux#6.1 lang/python#3.11 exec-env/AWS_ECS_FARGATE", Address: "203.0.113.10", Calls: 12, Names: []string{"DescribeInstances", "DescribeVolumes"}, Regions: []string{"eu-central-1"}, Last: at(4)},
			{Service: "sts", Agent: "", Address: "", Calls: 1, Regions: []string{"eu-central-1", "us-east-1"}, Last: at(2)},
		},
	}
}

// seenInUse is a switching rotation whose owner has confirmed too early.
func seenInUse(t *testing.T) rotation.Rotation {
	r := replace(t).by(alice, rotation.Approve).works().works().r
	use := rotation.LastUse{State: rotation.Used, At: monday.Add(4 * time.Hour), Service: "s3", Region: "eu-west-1"}
	r.Proof = rotation.Proof{
		At: monday.Add(5 * time.Hour), Again: monday.Add(11 * time.Hour),
		Missing: []rotation.Block{{Code: rotation.OldUsed, Key: rotation.Key{ID: oldKey, LastUse: use}, Again: use.At.Add(terms.Quiet)}},
	}
	return r
}

func TestTraced(t *testing.T) {
	var texts strings.Builder
	check := func(name string, m message, wants ...string) {
		t.Helper()
		goldenMessage(t, "trace/"+name, m)
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, m.Text)
		for _, want := range wants {
			if !strings.Contains(m.Text, want) {
				t.Errorf("%s: the text does not say %q: %s", name, want, m.Text)
			}
		}
	}
	limits := []string{"15 minutes late", "90 days", "and nowhere else", "data events", "never proves that there are none"}
	r := seenInUse(t)
	check("owner-not-asked", ownerCard(tracedView(), r))
	r.Trace = aTrace()
	wants := append(limits, "Boto3/1.34.0", "203.0.113.10", "12 calls", "DescribeInstances", "us-west-2 could not be read because AWS did not permit it",
		"In us-east-1 there are more calls than are read", "Its last use was in eu-west-1, where CloudTrail is not asked", "2 more callers")
	check("owner", ownerCard(tracedView(), r), wants...)
	check("answer", traceMessage(tracedView(), r), wants...)
	r.Trace = rotation.Trace{At: monday, Regions: []string{"eu-west-1"}}
	check("nobody", traceMessage(tracedView(), r), append(limits, "of no call by "+oldKey.Short()+" in eu-west-1", "does not prove that nothing uses it")...)
	r.Trace.Unread = []rotation.Unread{{Region: "eu-west-1", Class: rotation.ClassThrottled}}
	check("unknown", traceMessage(tracedView(), r), append(limits, "It is not known who uses", "eu-west-1 could not be read because AWS had too many requests")...)
	if text := traceMessage(tracedView(), r).Text; strings.Contains(text, "no call") {
		t.Errorf("what is not known reads as no use: %s", text)
	}
	ask := replace(t).by(alice, rotation.Approve).works().works()
	ask.newUsed, ask.quietSince = true, monday.Add(-48*time.Hour)
	r = ask.by(owner, rotation.Confirm).r
	r.Trace = aTrace()
	check("approver", approvalCard(tracedView(), r, r.Asks[len(r.Asks)-1]), wants[:8]...)
	whose := rotation.Whose{Key: oldKey, Account: ci.Account, Holding: rotation.Holding{User: ci, Keys: ask.evidence().Keys}}
	check("whois", whoseTraced(tracedView(), whose, aTrace()), wants[:8]...)
	golden(t, "trace.golden.txt", []byte(texts.String()))
}

// TestTraced_Hostile has callers whose agents mention everybody and are as long as they like: nothing leaves its marks of code.
func TestTraced_Hostile(t *testing.T) {
	const hostile = "<!channel> <@UALICE> `*_x_*` <https://evil.example|click> @here & \u202e\x00 \n• "
	r := seenInUse(t)
	r.Trace = rotation.Trace{At: monday, More: 290}
	for i := range 8 {
		long := strings.Repeat(hostile, 9)
		r.Trace.Callers = append(r.Trace.Callers, rotation.Caller{
			Service: fmt.Sprint(i, long), Agent: long, Address: long, Calls: 1 << 30, Names: []string{long, long + "a", long + "b"},
			Regions: []string{"eu-central-1", "us-east-1", "us-west-2"}, Last: monday,
		})
	}
	for i := range 40 {
		region := fmt.Sprintf("eu-middle-west-%d", i)
		r.Trace.Regions = append(r.Trace.Regions, region)
		r.Trace.Partly = append(r.Trace.Partly, region)
		r.Trace.Unread = append(r.Trace.Unread, rotation.Unread{Region: region, Class: []rotation.Class{rotation.ClassDenied, rotation.ClassThrottled, rotation.ClassUnknown}[i%3]})
	}
	for _, m := range []message{ownerCard(tracedView(), r), traceMessage(tracedView(), r)} {
		checkAnswer(t, m)
		for _, text := range append(textsOf(t, m), m.Text) {
			checkEscaped(t, text)
		}
		if strings.Contains(string(encode(t, m.Blocks)), "@UALICE>`") || !strings.Contains(m.Text, "could not be read") && strings.Contains(m.Text, "Who uses") {
			t.Errorf("what could not be read is left out: %s", m.Text)
		}
	}
}

func textsOf(t *testing.T, m message) []string {
	var all []string
	for _, text := range texts(t, encode(t, m.Blocks)) {
		if text[0] == slack.MarkdownType {
			all = append(all, text[1])
		}
	}
	return all
}

// TestTraceButton: the question stands on the owner's card and, in these stages, on the approvers', and never below a dialog that is about
// something else.
func TestTraceButton(t *testing.T) {
	asked := map[rotation.Stage]bool{rotation.Switching: true, rotation.Confirmed: true, rotation.Leaked: true, rotation.Grace: true, rotation.Expiring: true}
	for name, tl := range tales(t) {
		r := tl.r
		cards := []message{ownerCard(tracedView(), r)}
		for _, ask := range r.Asks {
			cards = append(cards, approvalCard(tracedView(), r, ask))
		}
		offered := 0
		for _, m := range cards {
			for _, on := range slices.Sorted(maps.Keys(traceable(t, m))) {
				if on == onTrace {
					offered++
				}
			}
		}
		if asked[r.Stage] != (offered > 0) {
			t.Errorf("%s at %s: it is offered %d times", name, r.Stage, offered)
		}
		if traceable(t, ownerCard(testView(), r))[onTrace] {
			t.Errorf("%s: it is offered where CloudTrail may not be asked", name)
		}
	}
	row := tracedView().offer(seenInUse(t), rotation.ByOwner, rotation.Ref{ID: "a-1"})
	if second, ok := row[1].(*slack.ButtonBlockElement); !ok || second.ActionID != string(onTrace) || len(row) != 3 {
		t.Errorf("the second button of an owner who looks for applications: %+v", row)
	}
	if menu, ok := row[2].(*slack.OverflowBlockElement); !ok || len(menu.Options) != 3 || !strings.Contains(menu.Confirm.Text.Text, "another one is issued") {
		t.Errorf("the menu: %+v", row[2])
	}
}

// traceable lists what a message's elements stand for, and looks at the dialogs of its menus.
func traceable(t *testing.T, m message) map[rotation.On]bool {
	t.Helper()
	found := map[rotation.On]bool{}
	for _, b := range m.Blocks {
		actions, ok := b.(*slack.ActionBlock)
		if !ok {
			continue
		}
		if n := len(actions.Elements.ElementSet); n > maxVisible+1 {
			t.Errorf("%d elements in a row", n)
		}
		for _, e := range actions.Elements.ElementSet {
			switch e := e.(type) {
			case *slack.ButtonBlockElement:
				found[rotation.On(e.ActionID)] = true
			case *slack.OverflowBlockElement:
				for _, o := range e.Options {
					on, _, _ := strings.Cut(o.Value, " ")
					found[rotation.On(on)] = true
					if rotation.On(on) == onTrace && e.Confirm != nil {
						t.Errorf("the question is put below the dialog %q", e.Confirm.Title.Text)
					}
				}
			}
		}
	}
	return found
}
