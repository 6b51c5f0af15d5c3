package bot

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// asks has a person type the command in a channel that the bot is in.
func (w *world) asksDigest(who *slacksim.Person) {
	w.t.Helper()
	if _, err := who.Command(w.t.Context(), wOnCall, "/rotate-key", "digest"); err != nil {
		w.t.Fatal(err)
	}
}

// sentTo is what stands in somebody's DM: digests, and what is in their threads.
func sentTo(who *slacksim.Person) (digests, replies []slacksim.Message) {
	for _, c := range who.Screen().Channels {
		for _, m := range c.Messages {
			switch {
			case !strings.HasPrefix(c.ID, "D") || m.Ephemeral:
			case m.ThreadTS != "" && m.ThreadTS != m.TS:
				replies = append(replies, m)
			case strings.Contains(m.Text, "Access keys today"):
				digests = append(digests, m)
			}
		}
	}
	return digests, replies
}

func TestAsked_TheDigestComesByDirectMessage(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.aws.reports = true
		p := w.boot()
		time.Sleep(time.Minute)
		scans := w.aws.counted()
		w.asksDigest(w.alice)
		time.Sleep(time.Minute)
		digests, replies := sentTo(w.alice)
		if len(digests) != 1 || len(replies) != 1 || len(replies[0].Files) != 2 {
			t.Fatalf("%d digests, and in the thread %+v\n%s", len(digests), replies, p.wrote.String())
		}
		shown := false
		for _, b := range digests[0].Blocks {
			file, _ := b["slack_file"].(map[string]any)
			shown = shown || b["type"] == "image" && file["id"] == replies[0].Files[0].ID
		}
		text := digests[0].Text
		if !shown || !strings.Contains(text, "1 key needs attention") || !strings.Contains(text, "only you see it") || strings.Contains(text, "week before") {
			t.Errorf("the picture is shown: %v, and the text is %s", shown, text)
		}
		if said := told(w.alice, wOnCall); !strings.Contains(said, "by direct message") {
			t.Errorf("at once it was said %q", said)
		}
		if n := w.aws.counted(); n != scans {
			t.Errorf("%d scans, although one was fresh", n-scans)
		}
		if d, _ := w.onCallSees(); len(d) != 1 || !d[0].Ephemeral {
			t.Errorf("on-call's channel has %+v", d)
		}
		if _, err := w.kept.Claimed(t.Context(), "trend/"+isoWeek(time.Now(), time.UTC)); err == nil {
			t.Error("it counts in the trend")
		}
		p.end()
		again := w.boot()
		time.Sleep(time.Hour)
		again.end()
		if digests, _ := sentTo(w.alice); len(digests) != 1 {
			t.Errorf("%d digests after a restart", len(digests))
		}
	})
}

// TestAsked_OneScanForAll: who asks while the accounts are read is answered from the same scan, and asking again asks once.
func TestAsked_OneScanForAll(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.aws.reports = true
		p := w.boot()
		defer p.end()
		time.Sleep(time.Hour) // the first scan is stale
		before := w.aws.counted()
		w.aws.slow(3 * time.Minute)
		bob := w.sim.As("UBOB")
		w.asksDigest(w.alice)
		time.Sleep(time.Minute)
		w.asksDigest(bob)
		w.asksDigest(w.alice)
		time.Sleep(time.Second)
		synctest.Wait()
		if d, _ := sentTo(w.alice); len(d) != 0 {
			t.Error("a digest came before the scan was over")
		}
		if said := told(w.alice, wOnCall); strings.Count(said, "asked for today's digest already") != 1 {
			t.Errorf("alice was told %q", said)
		}
		time.Sleep(5 * time.Minute)
		for _, who := range []*slacksim.Person{w.alice, bob} {
			if d, replies := sentTo(who); len(d) != 1 || len(replies) != 1 {
				t.Errorf("%d digests and %d replies", len(d), len(replies))
			}
		}
		if n := w.aws.counted() - before; n != 1 {
			t.Errorf("%d scans were made", n)
		}
	})
}

// TestAsked_AnyProcessTakesIt: the one that leads sends it, and one that takes over what another has left.
func TestAsked_AnyProcessTakesIt(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.shared, w.aws.reports = true, true
		var dies atomic.Bool
		first := w.boot(func(p *process) {
			p.before = func(op string) error {
				if dies.Load() && op == "slack chat.postMessage" {
					p.kill()
				}
				return nil
			}
		})
		time.Sleep(time.Minute)
		second := w.boot() // does not lead
		time.Sleep(time.Minute)
		for range 6 { // any socket of either
			w.asksDigest(w.alice)
			time.Sleep(time.Minute)
		}
		if d, _ := sentTo(w.alice); len(d) != 6 {
			t.Errorf("%d digests of 6 came\n%s\n%s", len(d), first.wrote.String(), second.wrote.String())
		}
		dies.Store(true)
		w.asksDigest(w.sim.As("UBOB"))
		time.Sleep(5 * time.Minute)
		if d, replies := sentTo(w.sim.As("UBOB")); len(d) != 1 || len(replies) != 1 {
			t.Errorf("%d digests and %d replies came after the leading process was killed\n%s", len(d), len(replies), second.wrote.String())
		}
		first.end()
		second.end()
	})
}

// TestAsked_WhatDoesNotReachSlackIsTriedAgain: the message, and then the files, of which it is said if they cannot be sent at all.
func TestAsked_WhatDoesNotReachSlackIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method  string
		fault   slacksim.Fault
		replies int
		says    string
	}{
		"the message":   {"chat.postMessage", slacksim.Fault{Error: "internal_error", Times: 2}, 1, "Active keys by age"},
		"the files":     {"files.completeUploadExternal", slacksim.Fault{Error: "internal_error", Times: 2}, 1, "Active keys by age"},
		"never a file":  {"files.getUploadURLExternal", slacksim.Fault{Error: "missing_scope", Times: -1}, 1, "files:write"},
		"files at last": {"files.completeUploadExternal", slacksim.Fault{Error: "internal_error", Times: -1}, 1, "could not be sent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				w.aws.reports = true
				p := w.boot()
				defer p.end()
				time.Sleep(time.Minute)
				w.sim.Fail(c.method, c.fault)
				w.asksDigest(w.alice)
				time.Sleep(4 * time.Hour)
				digests, replies := sentTo(w.alice)
				if len(digests) != 1 || len(replies) != c.replies || !strings.Contains(replies[0].Text, c.says) {
					t.Errorf("%d digests, and below %+v\n%s", len(digests), replies, p.wrote.String())
				}
				if _, waiting, err := p.bot.askings(t.Context()); err != nil || len(waiting) != 0 {
					t.Errorf("%v still wait, %v", waiting, err)
				}
			})
		})
	}
}

// TestAsked_NothingIsKnown: accounts that cannot be read are not in order, and a store that cannot be written is said at once.
func TestAsked_NothingIsKnown(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		var fails atomic.Bool
		p := w.boot(func(p *process) {
			p.before = func(op string) error {
				if fails.Load() && op == "store Claim" {
					return errors.New("the disk is full")
				}
				return nil
			}
		})
		defer p.end()
		time.Sleep(time.Minute)
		w.asksDigest(w.alice)
		time.Sleep(time.Minute)
		if d, _ := sentTo(w.alice); len(d) != 1 || !strings.Contains(d[0].Text, "othing is known") {
			t.Errorf("the digest of an account that cannot be read is %+v", d)
		}
		fails.Store(true)
		w.asksDigest(w.alice)
		time.Sleep(time.Minute)
		if said := told(w.alice, wOnCall); !strings.Contains(said, "Something broke") {
			t.Errorf("it was said %q", said)
		}
	})
}

// TestAsked_NotTooMany: the list of who waits is bounded.
func TestAsked_NotTooMany(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		time.Sleep(time.Minute)
		p.end() // nobody sends them
		for i := range maxAskings + 1 {
			ctx := t.Context()
			p.bot.askDigest(ctx, errand{who: caller{member: rotation.MemberID(fmt.Sprintf("U%03d", i)), channel: wOnCall, unanswered: new(bool)}})
		}
		claim, waiting, err := p.bot.askings(t.Context())
		if err != nil || len(waiting) != maxAskings || len(claim.Note) > 20_000 {
			t.Errorf("%d wait in %d bytes, %v", len(waiting), len(claim.Note), err)
		}
	})
}

// TestAsked_WhoMayNoMore: they are looked up again before it is sent.
func TestAsked_WhoMayNoMore(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.aws.reports = true
		p := w.boot()
		defer p.end()
		time.Sleep(time.Hour)
		w.aws.slow(5 * time.Minute)
		w.asksDigest(w.alice)
		time.Sleep(time.Minute)
		w.sim.AddMember(slacksim.Member{ID: wApprover, Name: "alice", Deleted: true})
		time.Sleep(10 * time.Minute)
		if d, _ := sentTo(w.alice); len(d) != 0 {
			t.Error("it was sent to somebody who is no member any more")
		}
		if _, waiting, err := p.bot.askings(t.Context()); err != nil || len(waiting) != 0 {
			t.Errorf("%v still wait, %v", waiting, err)
		}
	})
}

func TestAsked_WhoMay(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		defer p.end()
		w.asksDigest(w.olivia)
		time.Sleep(time.Minute)
		if d, _ := sentTo(w.olivia); len(d) != 0 || !strings.Contains(told(w.olivia, wOnCall), "Only on-call and those who may approve") {
			t.Errorf("%d digests, and %q", len(d), told(w.olivia, wOnCall))
		}
		refused := 0
		err := w.kept.Entries(t.Context(), func(_ string, e rotation.Entry) error {
			if e.Actor == wOwner && e.Outcome == "refused" && strings.Contains(e.Action, "digest") {
				refused++
			}
			return nil
		})
		if err != nil || refused != 1 {
			t.Errorf("%d entries of the refusal, %v", refused, err)
		}
	})
}

// TestSchedule_LetsAScanRest: where one account cannot be read, and the others take longer than the time until it is tried again, AWS is not asked
// all day long.
func TestSchedule_LetsAScanRest(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.aws.slow(15 * time.Minute) // and there is no report
		p := w.boot()
		defer p.end()
		time.Sleep(5 * time.Hour)
		if n := w.aws.counted(); n > 13 {
			t.Errorf("%d scans of a quarter of an hour in five hours", n)
		}
	})
}
