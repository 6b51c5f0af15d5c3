package bot

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// answering is a Slack that says for each call what it answers. An error is an answer that got lost.
type answering func(method string, form url.Values) (string, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	answer, err := a(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], form)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

const (
	taken    = `{"ok":true,"channel":"C1","ts":"9.9"}`
	troubled = `{"ok":false,"error":"internal_error"}`
)

// botOn makes a bot that talks with such a Slack, knows its team and has these progresses stored. Its digest is due on Mondays at nine.
func botOn(t *testing.T, slackSays answering, stored ...rotation.Progress) *Bot {
	t.Helper()
	api := slack.New("xoxb-x", slack.OptionHTTPClient(&http.Client{Transport: slackSays}))
	people := &People{Slack: api, Approvers: []rotation.MemberID{alice}}
	outbox := NewOutbox(OutboxConfig{Slack: api, People: people})
	kept := store.NewMem()
	for _, p := range stored {
		if _, err := kept.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := rotation.New(rotation.Config{Store: kept, Hand: outbox, Terms: terms})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{
		Slack: api, Engine: engine, Outbox: outbox, People: people, Approvals: "CAPPROVALS", OnCall: "CONCALL",
		Scan: func(now time.Time) time.Time { return now.Add(24 * time.Hour) },
		Digest: func(after time.Time) time.Time {
			due := after.Truncate(7 * 24 * time.Hour).Add(9 * time.Hour) // a Monday, as is Go's zero time
			if !due.After(after) {
				due = due.Add(7 * 24 * time.Hour)
			}
			return due
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// secretAt is a message with a secret whose time is over.
func secretAt(ts string) rotation.Handover {
	return rotation.Handover{Post: rotation.Post{Channel: "DOLIVIA", TS: ts}, Until: time.Now().Add(-time.Hour)}
}

// atSwitching is the progress of a rotation with such a hand-over, after one that was cancelled.
func atSwitching(h, past rotation.Handover, stale ...rotation.Handover) rotation.Progress {
	r := rotation.Rotation{
		User: ci, Kind: rotation.Replace, Stage: rotation.Switching, Owner: owner, Old: oldKey, New: newKey, Terms: terms, Turn: 3, Issued: 1,
		Handover: h, Stale: stale,
	}
	earlier := r
	earlier.Stage, earlier.Handover, earlier.Stale = rotation.Cancelled, past, nil
	p := rotation.Progress{User: ci}
	p.Begin(earlier)
	p.Begin(r)
	return p
}

func TestBot_AMessageThatStaysShieldsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := botOn(t, func(_ string, form url.Values) (string, error) {
			if form.Get("ts") == "1.1" {
				return `{"ok":false,"error":"channel_not_found"}`, nil
			}
			return taken, nil
		}, atSwitching(secretAt("3.3"), secretAt("1.1"), secretAt("2.2")))
		p, err := b.cfg.Engine.Get(t.Context(), ci.ID())
		if err != nil {
			t.Fatal(err)
		}
		b.showOne(t.Context(), p.User.ID())
		p, err = b.cfg.Engine.Get(t.Context(), ci.ID())
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Rotation; !r.Handover.Gone || len(r.Stale) != 0 {
			t.Errorf("current: %+v, stale: %+v; want both removed", r.Handover, r.Stale)
		}
		if h := p.Past[0].Handover; h.Gone || h.Failed == "" {
			t.Errorf("the message that stays: %+v, want that it counts as one that cannot be removed", h)
		}
		if _, told := p.Posts[p.Past[0].ID+"/alarm"]; !told {
			t.Error("on-call has not been told of the message that stays")
		}
	})
}

func TestBot_ASecretLeavesAMessageThatCannotBeDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := map[string]string{}
		b := botOn(t, func(method string, form url.Values) (string, error) {
			if method == "chat.delete" {
				return `{"ok":false,"error":"compliance_exports_prevent_deletion"}`, nil
			}
			says[form.Get("ts")] = form.Get("text")
			return taken, nil
		}, atSwitching(secretAt("3.3"), rotation.Handover{}))
		p, err := b.cfg.Engine.Get(t.Context(), ci.ID())
		if err != nil {
			t.Fatal(err)
		}
		b.showOne(t.Context(), p.User.ID())
		if says["3.3"] != removedSecret().Text {
			t.Errorf("the message says %q", says["3.3"])
		}
	})
}

func TestPeople_NobodyIsBelievedBeforeOurTeamIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		b := botOn(t, func(method string, form url.Values) (string, error) {
			switch method {
			case "auth.test":
				return `{"ok":true,"team_id":"T1"}`, nil
			case "users.info":
				asked.Add(1)
				if form.Get("user") == string(alice) {
					return `{"ok":true,"user":{"id":"UALICE","team_id":"T1"}}`, nil
				}
				return `{"ok":true,"user":{"id":"UBOB","team_id":"TOTHER"}}`, nil
			}
			return `{"ok":true,"channel":{"id":"C1","is_member":true}}`, nil
		})
		people := b.cfg.People
		for _, m := range []rotation.MemberID{alice, bob} {
			if a, err := people.Actor(t.Context(), m); err == nil || a.Approver {
				t.Errorf("%s is believed before the team is known: %+v", m, a)
			}
		}
		if n := asked.Load(); n != 0 {
			t.Errorf("Slack was asked %d times for what cannot be judged", n)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := b.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { // a look-up that comes at the same time
			if a, err := people.Actor(t.Context(), bob); err == nil {
				t.Errorf("a member of another team is believed: %+v", a)
			}
		})
		wg.Wait()
		if a, err := people.Actor(t.Context(), alice); err != nil || !a.Approver {
			t.Errorf("a member of our team: %+v, %v", a, err)
		}
		_, err := people.Actor(t.Context(), bob)
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.NotMember {
			t.Errorf("a member of another team: got %v, want a refusal", err)
		}
	})
}

func TestBot_RetriesDoNotPileUp(t *testing.T) {
	for _, method := range []string{"chat.postMessage", "chat.delete"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failed atomic.Int32
				progress := atSwitching(secretAt("3.3"), rotation.Handover{})
				if method == "chat.postMessage" {
					progress = atSwitching(rotation.Handover{}, rotation.Handover{})
				}
				b := botOn(t, func(m string, _ url.Values) (string, error) {
					if m == method {
						failed.Add(1)
						return troubled, nil
					}
					return taken, nil
				}, progress)
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- b.show(ctx) }()
				in := func(d time.Duration) int32 {
					synctest.Wait()
					before := failed.Load()
					time.Sleep(d)
					synctest.Wait()
					return failed.Load() - before
				}
				one := in(time.Minute)
				for range 10 { // rounds of the engine, each of which finds the message due
					b.cfg.Engine.Touch(ci.ID())
					in(400 * time.Millisecond)
				}
				if many := in(time.Minute); one == 0 || many > one+one/2 {
					t.Errorf("%d calls in a minute, and %d after ten rounds more", one, many)
				}
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBot_ADigestThatIsNotThereIsPostedUntilItIs has a Slack that is down for a day, and a channel that can be read after each attempt.
func TestBot_ADigestThatIsNotThereIsPostedUntilItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // on a Saturday
		var stands atomic.Int32
		var healthy atomic.Bool
		b := botOn(t, func(method string, _ url.Values) (string, error) {
			switch {
			case method != "chat.postMessage":
				return taken, nil
			case !healthy.Load():
				return "", errors.New("connection reset")
			}
			stands.Add(1)
			return taken, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.keepSchedules(ctx) }()
		time.Sleep(24 * time.Hour)
		healthy.Store(true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := stands.Load(); n != 1 {
			t.Errorf("the digest stands there %d times, want once", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestBot_ADigestWhoseAnswerIsLostIsPostedThreeTimesAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // on a Saturday
		var posted atomic.Int32
		var healthy atomic.Bool
		b := botOn(t, func(method string, _ url.Values) (string, error) {
			switch {
			case method == "conversations.history":
				return `{"ok":false,"error":"missing_scope"}`, nil
			case method != "chat.postMessage":
				return taken, nil
			}
			posted.Add(1)
			if !healthy.Load() {
				return "", errors.New("connection reset")
			}
			return taken, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.keepSchedules(ctx) }()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := posted.Load(); n != 3 {
			t.Errorf("the digest was posted %d times, want 3", n)
		}
		healthy.Store(true)
		time.Sleep(2 * 24 * time.Hour)
		synctest.Wait()
		if n := posted.Load(); n != 4 {
			t.Errorf("after the next one: posted %d times, want 4", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestShow_ALaterAppointmentPutsOffNoEarlierOne waits for a secret's removal that is tried again soon, while a message that nobody can
// look for waits for long.
func TestShow_ALaterAppointmentPutsOffNoEarlierOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, err := rotation.New(rotation.Config{Store: store.NewMem(), Hand: &Outbox{}})
		if err != nil {
			t.Fatal(err)
		}
		b := &Bot{cfg: Config{Engine: engine}, again: map[string]appointment{}}
		began := time.Now()
		waits := func() time.Duration {
			if _, err := engine.Changed(t.Context()); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		b.comeBack("user", againSoon)
		b.comeBack("user", time.Hour)
		if got := waits(); got != againSoon {
			t.Errorf("looked again after %v, want %v", got, againSoon)
		}
		b.comeBack("user", time.Hour)
		b.comeBack("user", againLater)
		if got := waits(); got != againSoon+againLater {
			t.Errorf("looked again after %v, want %v", got, againSoon+againLater)
		}
	})
}

// TestRun_WaitsForASlackThatCannotBeAsked is not ended by what passes, and is by what only a person can mend.
func TestRun_WaitsForASlackThatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, asked := time.Now(), 0
		b := botOn(t, func(method string, _ url.Values) (string, error) {
			if method != "auth.test" {
				return troubled, nil
			}
			asked++
			switch {
			case asked <= 3:
				return "", errors.New("connection refused")
			case asked <= 10:
				return troubled, nil
			}
			return `{"ok":false,"error":"invalid_auth"}`, nil
		})
		err := b.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "SLACK_BOT_TOKEN") {
			t.Errorf("it ended with %v, want what to do about the token", err)
		}
		if took, want := time.Since(began), (1+2+4+8+16+32)*time.Second+4*time.Minute; asked != 11 || took != want {
			t.Errorf("asked %d times in %v, want 11 times in %v", asked, took, want)
		}
	})
}

// TestReply_IsTriedAgainWhereOneWayMayWorkLater answers a stranger, whom no direct message reaches, some days after they asked.
func TestReply_IsTriedAgainWhereOneWayMayWorkLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := botOn(t, func(method string, _ url.Values) (string, error) {
			if method == "chat.postEphemeral" {
				return "", errors.New("timeout")
			}
			return `{"ok":false,"error":"user_not_found"}`, nil
		})
		who := caller{member: "U0STRANGER", channel: "C1", responseURL: "https://hooks.example/1", once: "e1", accepted: time.Now().Add(-72 * time.Hour), unanswered: new(bool)}
		b.reply(t.Context(), who, plain("no"))
		if b.over(who) {
			t.Error("it was given up at the first try")
		}
		time.Sleep(answerAgain)
		if !b.over(who) {
			t.Errorf("it is not given up after %v", answerAgain)
		}
		home := caller{member: "U0STRANGER", once: "e2", accepted: time.Now(), unanswered: new(bool)}
		b.reply(t.Context(), home, plain("no"))
		if !b.over(home) {
			t.Error("it is tried again, though the only way is closed")
		}
	})
}
