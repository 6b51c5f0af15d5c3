package main

import (
	"strings"
	"testing"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// Dave, on call, asks for today's digest: it comes to him alone, with its picture and its file, and on-call's channel has no other.
func TestStory_TodaysDigest(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.see(dave, "on-call", "week", "need attention")
	for i, member := range []string{dave, carol} { // who scanned a moment ago, and who has to
		if i == 1 {
			s.w.skip(3 * day)
		}
		s.types(member, "digest", "by direct message")
		m := s.see(member, dm, "Access keys today", "legacy-billing", "only you see it", "That is as many as the digest of week")
		files, err := s.await(s.ctx, member, dm, "the files", func(r slacksim.Message) bool { return r.ThreadTS == m.TS && len(r.Files) == 2 })
		s.must(err)
		if !strings.HasSuffix(files.Files[0].Name, ".png") || !strings.Contains(string(files.Files[1].Content), "legacy-billing") {
			t.Errorf("the files are %s and %s", files.Files[0].Name, files.Files[1].Name)
		}
		_, err = s.await(s.ctx, member, dm, "the picture", func(d slacksim.Message) bool {
			return d.TS == m.TS && strings.Contains(blocksText(d.Blocks), files.Files[0].ID)
		})
		s.must(err)
	}
	digests := 0
	channel, _ := s.w.slack.As(dave).Screen().Channel("on-call")
	for _, m := range channel.Messages {
		if strings.Contains(m.Text, "Access keys") {
			digests++
		}
	}
	if digests != 1 {
		t.Errorf("on-call's channel has %d digests", digests)
	}
	s.types(ana, "digest", "Only on-call and those who may approve")
	s.recorded(ana, "refused", "not-responder", "digest")
}

// What the digest offers works in the DM, too: Dave has a key rotated from there.
func TestStory_RotateFromTodaysDigest(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.types(dave, "digest", "by direct message")
	row := s.offer(dave, dm, "start", "Access keys today", "legacy-billing")
	for _, b := range row.Blocks {
		if strings.Contains(blockText(b), "legacy-billing") {
			id, _ := b["block_id"].(string)
			s.must(s.w.slack.As(dave).Click(s.ctx, slacksim.Target{Channel: row.Channel, TS: row.TS, ActionID: "start", BlockID: id}))
		}
	}
	s.offer(carol, "key-approvals", "approve", "Create a new key for legacy-billing?")
}
