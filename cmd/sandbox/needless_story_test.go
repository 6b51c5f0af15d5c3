package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// picks chooses in the menu of a row, which is in the newest message that has the words.
func (s *story) picks(member, place, option, row string, words ...string) {
	s.t.Helper()
	m := s.offer(member, place, "more", append(words, row)...)
	for _, b := range m.Blocks {
		accessory, _ := b["accessory"].(map[string]any)
		if accessory["action_id"] == "more" && strings.Contains(fmt.Sprint(b["text"]), row) {
			block, _ := b["block_id"].(string)
			s.must(s.w.slack.As(member).Click(s.ctx, slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: "more", BlockID: block, Selected: option}))
			return
		}
	}
	s.t.Fatalf("no row of %s has a menu: %s", row, m.Text)
}

// Ana has a key that was never used. She is asked whether she needs it, retires it with one click, and nothing takes its place.
func TestStory_DoYouNeedThisKey(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("data-import", false)
	s.see(ana, dm, "Do you need this key of data-import?", key.ID, "never been used", "retire it", "it may do without a key", "“import”")

	s.see(dave, "on-call", "week", "data-import", "Never used since", "its owner retires it here rather than rotating it; nobody else can")
	s.picks(dave, "on-call", "Retire it (owner only)", "data-import", "week")
	s.told(dave, "on-call", "Only the owner of data-import", "<@"+ana+">")
	if n := s.changes("UpdateAccessKey"); n != 0 {
		t.Errorf("%d keys were changed", n)
	}

	s.click(ana, dm, "retire", "Do you need this key of data-import?")
	s.told(ana, dm, "The rotation of", "data-import", "has begun")
	s.click(ana, dm, "retire", "Do you need this key of data-import?")
	s.told(ana, dm, "already")
	s.click(carol, "key-approvals", "approve", "Deactivate a key of data-import?")
	s.must(s.awaitStatus(s.ctx, "data-import", key.ID, "Inactive"))
	s.offer(ana, dm, "reactivate", "Key rotation for data-import")
	s.w.skip(15 * day)
	s.click(carol, "key-approvals", "approve", "Delete a key of data-import?")
	s.must(s.awaitStatus(s.ctx, "data-import", key.ID, ""))
	if n := s.changes("CreateAccessKey"); n != 0 {
		t.Errorf("%d keys were created", n)
	}
	s.click(ana, dm, "retire", "Do you need this key of data-import?")
	s.told(ana, dm, "is not a key of data-import", "any more")
}

// The key is used after all, before Ana's click: nothing is retired on what was true this morning. On-call has it rotated from the digest.
func TestStory_AKeyThatIsNeededAfterAll(t *testing.T) {
	t.Parallel()
	s := begin(t)
	key := s.keyOf("data-import", false)
	s.offer(ana, dm, "retire", "Do you need this key of data-import?")
	s.use(key.ID)
	s.click(ana, dm, "retire", "Do you need this key of data-import?")
	s.told(ana, dm, "is still in use", "No rotation was begun")
	s.picks(dave, "on-call", "Rotate it", "data-import", "week")
	s.offer(carol, "key-approvals", "approve", "Create a new key for data-import?")
	s.recorded(ana, "refused", "old-used")
}
