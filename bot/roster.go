package bot

import (
	"github.com/keyturner/keyturner/rotation"
)

// accountNames tells each account's name by its id, as they are now; nil: there are none.
type accountNames func() map[string]string

func (n accountNames) all() map[string]string {
	if n == nil {
		return nil
	}
	return n()
}

func (n accountNames) of(id string) string { return n.all()[id] }

// rosterLines tell what is wrong with the list of accounts, and who has left it.
func rosterLines(s rotation.Survey) list {
	if s.Unlisted == nil {
		return list{}
	}
	why := "AWS gave no usable answer. It is tried again with the next scan; the operator finds the details in the log."
	switch rotation.ClassOf(s.Unlisted) {
	case rotation.ClassDenied:
		why = "AWS did not permit it. The operator must let Keyturner's own credentials list them, in the management account or a delegated administrator's, " +
			"with what is in deploy/organization-policy.json."
	case rotation.ClassThrottled:
		why = "AWS had too many requests at once. It is tried again with the next scan."
	case rotation.ClassInvalid:
		why = "No account is chosen, or AWS does not take the choice. The operator must check include and exclude under organization in the configuration."
	}
	return list{"The accounts of the organization could not be listed, so those that are new may be missing here", []string{why}}
}

// leftLines name the accounts that are not looked after any more.
func leftLines(s rotation.Survey) list {
	var ls []string
	for _, d := range s.Left {
		ls = append(ls, stateName(rotation.AccountState{ID: d.ID, Name: d.Name})+", found on "+when(d.Since)+
			": it is closed, suspended or not chosen any more, so its keys are not looked at.")
	}
	return list{"Accounts that have left", ls}
}
