package bot

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

func TestFound_AnAnswerThatSlackCouldNotTakeIsGivenAgain(t *testing.T) {
	down := slacksim.Fault{Times: -1, Status: 503}
	for _, tt := range []struct {
		name  string
		dm    slacksim.Fault
		lasts time.Duration
		want  int
	}{
		{"a minute", down, time.Minute, 1},
		{"a minute, and there is no DM", slacksim.Fault{Times: -1, Error: "channel_not_found"}, time.Minute, 1},
		{"longer than anybody waits", down, 2 * answerAgain, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				p := w.boot()
				w.sim.Fail("response_url", down)
				w.sim.Fail("chat.postEphemeral", down)
				w.sim.Fail("chat.postMessage", tt.dm)
				if _, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", "help"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.lasts)
				w.sim.Heal()
				time.Sleep(2 * sweepEvery)
				p.end()
				if got := strings.Count(told(w.olivia, wApprovals), helpMessage().Text); got != tt.want || w.waiting() != 0 {
					t.Errorf("answered %d times, want %d; %d waiting", got, tt.want, w.waiting())
				}
			})
		})
	}
}

// TestFound_AReplayedClickOfWhoDecidedOtherwiseSinceIsAnswered has an approver approve, deny in place of that, and the approval be heard again.
func TestFound_AReplayedClickOfWhoDecidedOtherwiseSinceIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rotation.Rotation{User: ci, Kind: rotation.Replace, Stage: rotation.Denied, Owner: owner, Requester: owner, Old: oldKey, Turn: 2, Asks: []rotation.Ask{{
			Stage: rotation.Requested, Turn: 1, Closed: string(rotation.Deny), Decisions: []rotation.Decision{{By: alice}},
		}}}
		stored := rotation.Progress{User: ci}
		stored.Begin(r)
		b := botOn(t, func(string, url.Values) (string, error) { return taken, nil }, stored)
		who := caller{member: alice, replay: true, accepted: time.Now()}
		ref := rotation.Ref{ID: stored.Rotation.ID, Turn: 1}
		actor := rotation.Actor{Member: alice, Approver: true}
		if err := b.move(t.Context(), who, rotation.Event{On: rotation.Deny, By: actor}, ref); err != nil {
			t.Errorf("the decision that was made, once more: %v", err)
		}
		err := b.move(t.Context(), who, rotation.Event{On: rotation.Approve, By: actor}, ref)
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.Decided {
			t.Errorf("another than the decision that was made: got %v, want to be told of that", err)
		}
	})
}

// TestFound_AFormThatIsWorkedAgainBeginsNoSecondRotation lets a process die when it has worked a form, and the rotation that the form began be over
// before the next process works the form again.
func TestFound_AFormThatIsWorkedAgainBeginsNoSecondRotation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		form := deeds()["form"]
		var armed atomic.Bool
		first := form.play(t, w, func(p *process) {
			p.before = func(op string) error {
				if r, runs := w.progress().Running(); armed.Load() && runs && op == "store Settle" {
					if _, err := p.engine.Act(t.Context(), r.Ref(), rotation.Cancel, rotation.Actor{Member: wOwner}, ""); err != nil {
						t.Error(err)
					}
					p.kill()
				}
				return nil
			}
		})
		armed.Store(true)
		if _, err := form.act(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		first.end()
		second := w.boot()
		time.Sleep(time.Minute)
		second.end()
		if n := second.bot.Counts()["envelope_replayed"]; n != 1 || w.progress().Count != 1 || w.waiting() != 0 {
			t.Errorf("%d forms were worked again, and %d rotations begun; %d waiting", n, w.progress().Count, w.waiting())
		}
	})
}

func TestFound_WhatSomebodyTypesWhoIsTurnedAwayIsNotKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const pasted = "wJalrXUtnFEMIpasted"
		w.sim.AddMember(slacksim.Member{ID: "UGUEST", Restricted: true})
		p := w.boot()
		if _, err := w.sim.As("UGUEST").Command(t.Context(), wApprovals, "/rotate-key", pasted); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		p.end()
		kept := ""
		if err := w.kept.Entries(t.Context(), func(_ string, e rotation.Entry) error { kept += e.Action + e.Detail; return nil }); err != nil {
			t.Error(err)
		}
		if !strings.Contains(kept, "/rotate-key ?") || strings.Contains(kept+p.wrote.String(), pasted) {
			t.Errorf("what is kept or logged: %q\n%s", kept, p.wrote.String())
		}
	})
}

// shown counts what was posted, by channel.
type shown struct {
	mu   sync.Mutex
	in   map[string]int
	says answering // what Slack answers, if not that it has taken it
}

func (s *shown) answer(method string, form url.Values) (string, error) {
	if s.says != nil {
		if answer, err := s.says(method, form); answer != "" || err != nil {
			return answer, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		s.in = map[string]int{}
	}
	if method == "chat.postMessage" {
		s.in[form.Get("channel")]++
	}
	return taken, nil
}

func (s *shown) count(channel string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in[channel]
}

// showFor runs what keeps Slack as the store says for some time.
func showFor(t *testing.T, b *Bot, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.show(ctx) }()
	time.Sleep(d)
	synctest.Wait()
	stop()
	if err := <-done; err != nil {
		t.Errorf("show: %v", err)
	}
}

// cancelled is the progress of a user whose one rotation is over, and of which nobody has been told.
func cancelled(name, owner string) rotation.Progress {
	p := rotation.Progress{User: rotation.UserRef{Account: ci.Account, Name: name}}
	p.Begin(rotation.Rotation{User: p.User, Kind: rotation.Replace, Stage: rotation.Cancelled, Owner: rotation.MemberID(owner), Old: oldKey, Turn: 2})
	return p
}

func TestFound_OneUsersMessageThatWaitsHoldsUpNobodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shown{says: func(_ string, form url.Values) (string, error) {
			if form.Get("channel") == "UWAITS" {
				time.Sleep(time.Minute)
			}
			return "", nil
		}}
		waits, other := cancelled("a", "UWAITS"), cancelled("b", "UOTHER")
		other.Owed = false
		b := botOn(t, s.answer, waits, other)
		go func() {
			time.Sleep(5 * time.Second)
			b.cfg.Engine.Touch(other.User.ID())
		}()
		showFor(t, b, 10*time.Second)
		if s.count("UOTHER") != 1 {
			t.Errorf("told: %v, want the other one within seconds", s.in)
		}
	})
}

func TestFound_ACardComesSoonAfterSlackIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var healthy atomic.Bool
		s := shown{says: func(method string, form url.Values) (string, error) {
			if method == "chat.postMessage" && form.Get("channel") == "CAPPROVALS" && !healthy.Load() {
				return "", errors.New("connection reset")
			}
			return "", nil
		}}
		p := cancelled("a", string(owner))
		p.Rotation.Stage, p.Rotation.Turn = rotation.Requested, 1
		p.Rotation.Asks = []rotation.Ask{{Stage: rotation.Requested, Turn: 1}}
		b := botOn(t, s.answer, p)
		go func() {
			time.Sleep(6 * time.Hour)
			healthy.Store(true)
		}()
		showFor(t, b, 6*time.Hour+3*time.Minute)
		if n := s.count("CAPPROVALS"); n != 1 {
			t.Errorf("the card stands there %d times within three minutes, want once", n)
		}
	})
}

// TestFound_AMessageThatCannotBeNotedAtOnceIsNotedLater has the store fail twice after each message of a new rotation.
func TestFound_AMessageThatCannotBeNotedAtOnceIsNotedLater(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var fails atomic.Int32
		p := w.boot(func(p *process) {
			p.before = func(op string) error {
				if op == "store Replace" && fails.Add(-1) >= 0 {
					return errors.New("disk full")
				}
				return nil
			}
			p.after = func(op string) error {
				if op == "slack chat.postMessage" {
					fails.Store(2)
				}
				return nil
			}
		})
		if _, err := p.engine.Request(t.Context(), rotation.Request{User: wUser, By: rotation.Actor{Member: wOwner}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		p.end()
		dm, _ := w.olivia.Screen().Channel(w.sim.BotUserID())
		channel, _ := w.alice.Screen().Channel(wApprovals)
		if len(dm.Messages) != 1 || len(channel.Messages) != 1 {
			t.Errorf("%d messages in the DM and %d in the channel, want one each", len(dm.Messages), len(channel.Messages))
		}
	})
}

func TestFound_WhereAMessageStoodThatNothingWantsIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cancelled("a", string(owner))
		gone, card := p.Rotation.ID+"/ask1", p.Rotation.ID+"/owner"
		p.Posts = map[string]rotation.Post{gone: {Channel: "CAPPROVALS", TS: "1.1"}}
		b := botOn(t, new(shown).answer, p)
		b.showOne(t.Context(), p.User.ID())
		p, err := b.cfg.Engine.Get(t.Context(), p.User.ID())
		if _, there := p.Posts[gone]; err != nil || there || !p.Posts[card].Known() || p.Owed {
			t.Errorf("posts: %v, owed %v, %v; want the owner's card alone", p.Posts, p.Owed, err)
		}
	})
}

// deafFirst is a store whose list of live documents cannot be read at first.
type deafFirst struct {
	rotation.Store
	failed atomic.Int32
}

func (d *deafFirst) Live(ctx context.Context, fn func(string, uint64) error) error {
	if d.failed.Add(1) <= 3 {
		return errors.New("no answer")
	}
	return d.Store.Live(ctx, fn)
}

func TestFound_AStoreThatCannotBeReadAtFirstIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shown
		b := botOn(t, s.answer)
		kept := store.NewMem()
		if _, err := kept.Create(t.Context(), cancelled("a", "UONE")); err != nil {
			t.Fatal(err)
		}
		engine, err := rotation.New(rotation.Config{Store: &deafFirst{Store: kept}, Hand: b.cfg.Outbox})
		if err != nil {
			t.Fatal(err)
		}
		b.cfg.Engine = engine
		showFor(t, b, time.Minute)
		if n := s.count("UONE"); n != 1 {
			t.Errorf("the owner was told %d times, want once", n)
		}
	})
}

func TestFound_AKeyThatWasNotMadeHereHasNoReceipt(t *testing.T) {
	r := rotation.Rotation{
		User: ci, Kind: rotation.Adopt, Stage: rotation.Switching, Owner: owner, Old: oldKey, New: newKey, Issued: 1,
		Handover: rotation.Handover{Post: rotation.Post{Channel: "D1", TS: "1.1"}, Until: monday},
	}
	if m, wanted := receipt(testView(), r, 1, false); wanted {
		t.Errorf("a receipt for a key that a person made: %s", m.Text)
	}
	if m, wanted := receipt(testView(), r, 1, true); !wanted || m.hash() != overtakenReceipt(r).hash() {
		t.Errorf("the receipt of the key before it: %q, %v", m.Text, wanted)
	}
}

// gaps is an account that cannot be scanned at first.
type gaps struct {
	account
	scans atomic.Int32
}

func (g *gaps) Report(context.Context, func(rotation.ReportRow) error) (time.Time, error) {
	if g.scans.Add(1) == 1 {
		return time.Time{}, noCall
	}
	return time.Now(), nil
}

// withGaps makes a bot with such an account.
func withGaps(t *testing.T, s *shown) (*Bot, *gaps) {
	t.Helper()
	b := botOn(t, s.answer)
	g := new(gaps)
	engine, err := rotation.New(rotation.Config{Store: store.NewMem(), Hand: b.cfg.Outbox, Accounts: []rotation.Account{{ID: ci.Account, IAM: g}}})
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Engine = engine
	return b, g
}

func TestFound_AScanThatCouldNotReadEverythingIsMadeAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := withGaps(t, new(shown))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.keepSchedules(ctx) }()
		time.Sleep(scanAgain / 2)
		atFirst := g.scans.Load()  // the digest that was missed has it read again, too
		time.Sleep(20 * time.Hour) // the next one is due after 24
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := g.scans.Load() - atFirst; n != 1 {
			t.Errorf("%d more scans, want one that is whole", n)
		}
	})
}

func TestFound_ADigestIsOfAWholeScanIfThereCanBeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shown
		b, g := withGaps(t, &s)
		time.Sleep(3 * 24 * time.Hour) // it is due
		d := digests{Bot: b}
		if d.scan(t.Context()) {
			t.Error("a scan that could not read everything is said to be whole")
		}
		if err := d.postIfDue(t.Context()); err != nil || s.count("CONCALL") != 1 || g.scans.Load() != 2 || len(d.last.Unread()) != 0 {
			t.Errorf("%d digests after %d scans, with gaps: %v, %v", s.count("CONCALL"), g.scans.Load(), d.last.Unread(), err)
		}
	})
}

// TestFound_ALeakWhileARotationIsStuck closes a stuck rotation, since a key of its user leaked. Its card was told by the step at which it got
// stuck, which was “stuck” then, and so on for ever: the process died of it, and so did each that was started after it.
func TestFound_ALeakWhileARotationIsStuck(t *testing.T) {
	leaked := rotation.Failure{Class: rotation.ClassLeaked, Key: oldKey}
	for name, stuck := range map[string]*tale{
		"creating":  replace(t).by(alice, rotation.Approve).fails(rotation.ClassDenied),
		"switching": replace(t).toSwitching().elapses(30 * 24 * time.Hour),
	} {
		at := stuck.r.Failure.At
		closed := stuck.engine(rotation.Yield, leaked).r
		if closed.Stage != rotation.Closed || closed.Failure.At != at {
			t.Errorf("%s: it is %s, stuck at %q, want %q", name, closed.Stage, closed.Failure.At, at)
		}
		stored := closed
		stored.Failure.At = rotation.Stuck // by earlier versions
		for _, r := range []rotation.Rotation{closed, stored} {
			for _, m := range []message{ownerCard(testView(), r), groupCard(testView(), r), statusMessage(testView(), []rotation.Progress{{Rotation: &r}})} {
				checkAnswer(t, m)
			}
		}
	}
}
