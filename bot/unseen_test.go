package bot

import (
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

func TestDigest_NamesWhatIsNotSeen(t *testing.T) {
	s := rotation.Survey{At: monday, Accounts: []rotation.AccountState{
		{ID: "111122223333", Name: "Production", Users: 3, Unseen: []rotation.Unseen{rotation.LastUseUnseen, rotation.RootUnseen}},
		{ID: "222233334444", Users: 3},
	}}
	m := digestMessage(testView(), s, nil, inWeek("2026-W47"))
	checkMessage(t, m)
	for _, want := range []string{"Production (111122223333)", "iam:GetAccessKeyLastUsed", "none is found to be unused", "a key of the root user"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q is not in the text: %s", want, m.Text)
		}
	}
	if strings.Contains(m.Text, "222233334444") {
		t.Errorf("an account of which all is seen is named: %s", m.Text)
	}
}
