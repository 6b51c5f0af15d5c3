package bot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

const squad rotation.GroupID = "S0SQUAD01"

// TestGroupCard shows every tale in the channel of a group: it names the group and who collects, speaks to nobody as “you”, and offers what
// the lifecycle offers an owner.
func TestGroupCard(t *testing.T) {
	var texts strings.Builder
	all := tales(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name].r
		r.Group = squad
		m := groupCard(testView(), r)
		checkMessage(t, m)
		for _, want := range []string{"<!subteam^" + string(squad) + ">", "Collected by: " + mention(r.Owner), standingInText(r)} {
			if !strings.Contains(m.Text, want) {
				t.Errorf("%s: no %q in %s", name, want, m.Text)
			}
		}
		for _, you := range []string{" you ", "You ", " your "} {
			if strings.Contains(strings.ReplaceAll(m.Text, "switch your applications", ""), you) {
				t.Errorf("%s speaks to one person: %s", name, m.Text)
			}
		}
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, m.Text)
	}
	golden(t, "group.golden.txt", []byte(texts.String()))
	waiting := all["replace/requested"].r
	waiting.Group = squad
	if text := approvalCard(testView(), waiting, waiting.Asks[0]).Text; !strings.Contains(text, "Nor may anybody of <!subteam^"+string(squad)+">") {
		t.Errorf("the approvers are not told that the group may not: %s", text)
	}
	goldenMessage(t, "warning-group", warningMessage(testView(), rotation.Notice{Key: oldKey, Days: 75, Owner: rotation.MemberID(squad), Created: monday.Add(-75 * 24 * time.Hour)}, ci))
}

func standingInText(r rotation.Rotation) string { return unformatted(standing(r)) }

// TestPeople_Group: a group that cannot be read is an error, and never empty; one that is read is believed for a minute.
func TestPeople_Group(t *testing.T) {
	inTown(t, slacksim.Config{Burst: -1}, func(t *testing.T, sim *slacksim.Sim, people *People, line *counting) {
		line.method = "usergroups.users.list"
		group := func(users ...string) { sim.AddUserGroup(slacksim.UserGroup{ID: string(squad), Users: users}) }
		read := func(want string, calls int64) {
			t.Helper()
			got, err := people.Group(t.Context(), squad)
			if fmt.Sprint(got) != want || err != nil || line.calls.Load() != calls {
				t.Errorf("%v, %v after %d calls; want %s after %d", got, err, line.calls.Load(), want, calls)
			}
		}
		if got, err := people.Group(t.Context(), squad); err == nil {
			t.Errorf("a group that is not there has %v", got)
		}
		group("UANA", "UNEW")
		read("[UANA UNEW]", 2)
		group("UANA")
		time.Sleep(standingFor - time.Second)
		read("[UANA UNEW]", 2)
		time.Sleep(time.Second)
		read("[UANA]", 3)
		sim.AddUserGroup(slacksim.UserGroup{ID: string(squad), Users: []string{"UANA"}, Disabled: true})
		time.Sleep(standingFor)
		if got, err := people.Group(t.Context(), squad); err == nil {
			t.Errorf("a group that is disabled has %v", got)
		}
		group("UANA")
		sim.Fail("usergroups.users.list", slacksim.Fault{Error: "missing_scope"})
		if got, err := people.Group(t.Context(), squad); rotation.ClassOf(err) != rotation.ClassDenied {
			t.Errorf("without the scope: %v, %v", got, err)
		}
	})
}
