package app_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// standing is where a story has come to: what anybody could find in the store, in AWS and in Slack.
type standing struct {
	rotations []string       // each with its kind and stage
	keys      []string       // each with whose it is, whether the bot made it, and its status
	changes   map[string]int // in AWS, that altered something
	lost      int            // keys made whose secret reached nobody, and which were revoked for that
	channels  map[string]int // messages, without those in threads
	twice     []string       // lines that stand in a thread more than once
	dms       map[string]int
}

// owners have cards in their DMs; others have at most answers there.
var owners = []string{alice, olivia, oscar}

func (w *world) standing() standing {
	s := standing{changes: map[string]int{}, channels: map[string]int{}, dms: map[string]int{}}
	made := map[string]string{}
	for _, c := range w.watch.changes {
		if c.effective {
			s.changes[c.op+c.status]++
		}
		made[string(c.made)] = " made"
	}
	for _, p := range w.kept.progresses() {
		for _, r := range p.All() {
			s.rotations = append(s.rotations, strings.Join([]string{w.short(r.ID), string(r.Kind), string(r.Stage)}, " "))
		}
		for _, k := range w.watch.see(p.User).keys {
			s.keys = append(s.keys, p.User.Name+made[k.ID]+" "+k.Status)
		}
	}
	slices.Sort(s.keys)
	for _, e := range w.kept.entries() {
		if e.Action == "lose" && e.Outcome == "moved" {
			s.lost++
		}
	}
	for _, id := range []string{approvals, onCall} {
		lines := map[string]int{}
		for _, m := range w.messages(id) {
			if m.ThreadTS == "" {
				s.channels[id]++
				continue
			}
			if lines[m.ThreadTS+m.Text]++; lines[m.ThreadTS+m.Text] > 1 { // how many lines there are depends on what went wrong
				s.twice = append(s.twice, m.Text)
			}
		}
	}
	for _, id := range owners {
		s.dms[id] = len(w.messages(dm(id)))
	}
	return s
}

// compare holds that a story with a mishap has come to where it comes without: the same rotations and keys, each change made once, and
// each message there once. A key whose secret may have been lost was revoked and made anew. In a DM, where nobody can look whether a
// message is there, one whose answer was lost may stand twice.
func (p *play) compare(t *testing.T, got, want standing, m mishap) {
	t.Helper()
	died := m.end.crash
	again := got.lost - want.lost
	if again < 0 || again > 1 || again == 1 && !p.mayLose(m) {
		t.Errorf("%d keys were revoked and made anew because their secret was lost", again)
	}
	changes := maps.Clone(want.changes)
	for _, op := range []string{"CreateAccessKey", "UpdateAccessKeyInactive", "DeleteAccessKey"} {
		if changes[op] += again; changes[op] == 0 {
			delete(changes, op)
		}
	}
	if !slices.Equal(got.rotations, want.rotations) || !slices.Equal(got.keys, want.keys) {
		t.Errorf("it ends with %v, %v; want %v, %v", got.rotations, got.keys, want.rotations, want.keys)
	}
	if !maps.Equal(got.changes, changes) {
		t.Errorf("changes in AWS %v, want %v", got.changes, changes)
	}
	if len(got.twice) > 0 {
		t.Errorf("told twice: %q", got.twice)
	}
	if !maps.Equal(got.channels, want.channels) {
		t.Errorf("messages in channels %v, want %v", got.channels, want.channels)
	}
	for _, member := range owners {
		more := got.dms[member] - want.dms[member] - 2*again
		if twice := died || m.op == "slack chat.postMessage" || m.op == "slack files.completeUploadExternal"; more < 0 && again == 0 || more > 0 && !twice || more > 1 {
			t.Errorf("%d messages in the DM of %s, want %d", got.dms[member], nick(member), want.dms[member])
		}
	}
}

// mayLose tells whether the secret of a key may have been lost: the process that had it died, or it never came.
func (p *play) mayLose(m mishap) bool {
	return p.calls.issuing && (m.end.crash || m.op == "aws CreateAccessKey" && m.end.applied)
}
