package bot

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

func holding(name string, keys ...rotation.Key) rotation.Holding {
	owns := rotation.Ownership{Member: owner, From: rotation.FromTag, Says: string(owner)}
	h := rotation.Holding{User: rotation.UserRef{Account: ci.Account, Name: name}, Ownership: owns, Keys: keys}
	h.Findings = testView().policy.Findings(h.User, keys, monday)
	return h
}

func aKey(id rotation.KeyID, status rotation.Status, ageDays int, use rotation.UseState) rotation.Key {
	k := rotation.Key{ID: id, Status: status, Created: monday.Add(-time.Duration(ageDays) * 24 * time.Hour), LastUse: rotation.LastUse{State: use}}
	if use == rotation.Used {
		k.LastUse.At, k.LastUse.Service, k.LastUse.Region = monday.Add(-5*time.Hour), "s3", "eu-west-1"
	}
	return k
}

func TestKeysModal(t *testing.T) {
	v := testView()
	v.now = monday
	running := holding("etl", aKey(newKey, rotation.Active, 100, rotation.Used))
	running.Running = &replace(t).toSwitching().r
	unread := holding("backup")
	unread.Err = &rotation.CallError{Op: "list keys", Class: rotation.ClassDenied, Err: errors.New("internal words")}
	account := rotation.Holding{User: rotation.UserRef{Account: "444455556666"}, Err: &rotation.CallError{Op: "list users", Class: rotation.ClassThrottled, Err: errors.New("x")}}
	exempt := holding("legacy", aKey(otherKey, rotation.Active, 400, rotation.NeverUsed))
	exempt.Exempt = rotation.Exemption{Reason: "The vendor cannot change it before spring.", Until: monday.Add(24 * time.Hour)}
	one := holding("ci-deploy", aKey(oldKey, rotation.Active, 95, rotation.Used))
	leftover := holding("old-site", aKey(oldKey, rotation.Inactive, 300, rotation.UseUnknown), aKey(newKey, rotation.Active, 40, rotation.Used))
	doubtful := holding("ana@example.com", aKey(newKey, rotation.Active, 40, rotation.Used))
	doubtful.Ownership = rotation.Ownership{From: rotation.FromName, Doubt: rotation.NotLookedUp, Err: account.Err}
	extra := holding("many", one.Keys[0], one.Keys[0], one.Keys[0])
	tests := map[string][]rotation.Holding{
		"one":         {one},
		"address":     {{Err: account.Err}, one, doubtful},
		"mixed":       {one, running, unread, account, exempt, leftover, extra, holding("empty")},
		"inactive":    {holding("old-site", aKey(oldKey, rotation.Inactive, 300, rotation.NeverUsed))},
		"unavailable": {running, unread},
		"nothing":     nil,
		"select":      manyHoldings(11),
		"many":        manyHoldings(150),
	}
	for name, holdings := range tests {
		t.Run(name, func(t *testing.T) {
			m := keysModal(v, holdings, foreseen(t, v, holdings))
			goldenView(t, "modal/keys-"+name, m)
			inputs := slices.ContainsFunc(m.Blocks.BlockSet, func(b slack.Block) bool { return b.BlockType() == slack.MBTInput })
			if submits := m.Submit != nil; submits != inputs {
				t.Errorf("inputs %v and a submit button %v", inputs, submits)
			}
			checkView(t, keysModal(testView(), holdings, foreseen(t, testView(), holdings)))
		})
	}
}

func manyHoldings(n int) []rotation.Holding {
	var hs []rotation.Holding
	for i := range n {
		id := rotation.KeyID(fmt.Sprintf("AKIAAAAAAAAAAAAA%04d", i))
		hs = append(hs, holding(fmt.Sprintf("user-%03d-%s", i, strings.Repeat("x", 50)), aKey(id, rotation.Active, 100+i%7, rotation.Used)))
	}
	return hs
}

func TestOtherModals(t *testing.T) {
	requested, confirmed := replace(t).r, replace(t).toSwitching().toConfirmed().r
	expiring := replace(t).toSwitching().toConfirmed().toGrace().toExpiring().r
	stuck := replace(t).by(alice, rotation.Approve).fails(rotation.ClassDenied).r
	for name, m := range map[string]slack.ModalViewRequest{
		"loading":        keysModalLoading(),
		"problem":        keysModalProblem("Nobody is left who could approve this."),
		"working":        workingModal(keysTitle),
		"done":           keysModalDone(testView(), requested),
		"deny-requested": reasonModal(rotation.Deny, requested),
		"deny-confirmed": reasonModal(rotation.Deny, confirmed),
		"deny-expiring":  reasonModal(rotation.Deny, expiring),
		"close":          reasonModal(rotation.Close, stuck),
		"overrule":       reasonModal(rotation.Overrule, replace(t).toSwitching().looks(rotation.NewNeverUsed, rotation.OldUsed).r),
		"overrule-open":  reasonModal(rotation.Overrule, replace(t).toSwitching().looks().r),
		"overruled":      reasonModalDone(rotation.Overrule),
		"denied":         reasonModalDone(rotation.Deny),
		"closed":         reasonModalDone(rotation.Close),
	} {
		goldenView(t, "modal/"+name, m)
	}
}

func TestParseKeysModal(t *testing.T) {
	state := func(key, what, reason string) *slack.ViewState {
		s := fmt.Sprintf(`{"values":{"key":{"key":{"selected_option":{"value":%q}}},"what":{"what":{"selected_option":{"value":%q}}},"reason":{"reason":{"value":%q}}}}`,
			key, what, reason)
		var v slack.ViewState
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			t.Fatal(err)
		}
		return &v
	}
	key := ci.ID() + "/" + string(oldKey)
	tests := []struct {
		name    string
		state   *slack.ViewState
		want    keyChoice
		problem string
	}{
		{"replace", state(key, "replace", " too old\n"), keyChoice{ci.ID(), oldKey, rotation.Replace, "too old"}, ""},
		{"retire", state(key, "retire", ""), keyChoice{ci.ID(), oldKey, rotation.Retire, ""}, ""},
		{"leak", state(key, "leak", "in a public repository"), keyChoice{ci.ID(), oldKey, rotation.Leak, "in a public repository"}, ""},
		{"leak without a reason", state(key, "leak", " "), keyChoice{}, inputReason},
		{"no key", state("", "retire", ""), keyChoice{}, inputKey},
		{"half a key", state(ci.ID()+"/", "retire", ""), keyChoice{}, inputKey},
		{"no choice", state(key, "", ""), keyChoice{}, inputWhat},
		{"foreign choice", state(key, "adopt", ""), keyChoice{}, inputWhat},
		{"nothing", nil, keyChoice{}, inputKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := parseKeysModal(tt.state)
			if got != tt.want || (len(problems) > 0) != (tt.problem != "") || tt.problem != "" && problems[tt.problem] == "" {
				t.Errorf("got %+v and problems %v, want %+v and a problem of %q", got, problems, tt.want, tt.problem)
			}
		})
	}
	long, _ := parseKeysModal(state(key, "replace", strings.Repeat("x", 1000)))
	if len([]rune(long.reason)) != maxReason {
		t.Errorf("a reason of %d characters, want %d", len([]rune(long.reason)), maxReason)
	}
}

func TestParseReasonModal(t *testing.T) {
	typed := &slack.ViewState{Values: map[string]map[string]slack.BlockAction{inputReason: {inputReason: {Value: "because"}}}}
	for _, on := range []rotation.On{rotation.Deny, rotation.Close, rotation.Overrule} {
		if reason, problems := parseReasonModal(on, typed); reason != "because" || len(problems) > 0 {
			t.Errorf("%s: got %q, %v", on, reason, problems)
		}
	}
	for _, on := range []rotation.On{rotation.Close, rotation.Overrule} {
		if _, problems := parseReasonModal(on, &slack.ViewState{}); problems[inputReason] == "" {
			t.Errorf("%s without a reason was taken", on)
		}
	}
	if _, problems := parseReasonModal(rotation.Deny, &slack.ViewState{}); len(problems) > 0 {
		t.Errorf("denying without a reason was refused: %v", problems)
	}
}
