package bot

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// foreseen tells of a choice among holdings what the engine would.
func foreseen(t *testing.T, v view, holdings []rotation.Holding) func(keyChoice) string {
	return func(c keyChoice) string {
		i := slices.IndexFunc(holdings, func(h rotation.Holding) bool { return h.User.ID() == c.user })
		e := rotation.Evidence{At: monday, UserID: "AIDAEXAMPLE", Keys: holdings[i].Keys}
		r, err := rotation.Start(c.request(holdings[i].User, rotation.Actor{Member: owner}), owner, e, terms, monday)
		if err != nil {
			t.Fatal(err)
		}
		return foresightText(v, foresight(r))
	}
}

func foresight(r rotation.Rotation, change ...func(*rotation.Foresight)) rotation.Foresight {
	f := rotation.Foresight{Rotation: r, Explanation: rotation.Explanation{
		User: r.User, Owner: r.Owner, Terms: r.Terms, Running: &r,
		People: []rotation.Candidate{{Member: alice}, {Member: bob}, {Member: owner, Bar: rotation.IsOwner}},
	}}
	for _, fn := range change {
		fn(&f)
	}
	return f
}

func TestForesightText(t *testing.T) {
	two := func(f *rotation.Foresight) { f.Terms.Wanted = rotation.Wanted{Create: 2, Deactivate: 2, Delete: 2} }
	public := replace(t).r
	public.InPublic = true
	var texts strings.Builder
	for _, tt := range []struct {
		name string
		f    rotation.Foresight
	}{
		{"replace", foresight(replace(t).r)},
		{"replace, two wanted", foresight(replace(t).r, two)},
		{"replace, by a group", foresight(replace(t).r, func(f *rotation.Foresight) {
			f.Rule.By.Groups, f.People[0].Via = []rotation.GroupID{"SPROD"}, "SPROD"
		})},
		{"replace, a group that Slack does not tell of", foresight(replace(t).r, func(f *rotation.Foresight) {
			f.Rule.By.Groups, f.Unread = []rotation.GroupID{"SPROD"}, errors.New("no scope")
		})},
		{"replace, found in public", foresight(public)},
		{"replace, outside of the window", foresight(replace(t).r, func(f *rotation.Foresight) { f.Opens = monday.Add(20 * time.Hour) })},
		{"replace, in a freeze", foresight(replace(t).r, func(f *rotation.Foresight) {
			f.Opens = monday.Add(20 * time.Hour)
			f.Rule.Freezes = []rotation.Freeze{{From: monday.Add(-time.Hour), Until: f.Opens, Reason: "The launch."}}
		})},
		{"retire", foresight(retire(t).r)},
		{"retire, inactive already", foresight(retireLeftover(t).r)},
		{"retire, inactive already, two wanted", foresight(retireLeftover(t).r, two)},
		{"adopt", foresight(adopt(t).r)},
		{"leak", foresight(leak(t).r)},
	} {
		text := foresightText(testView(), tt.f)
		checkView(t, slack.ModalViewRequest{Type: slack.VTModal, Title: plainText(keysTitle), Blocks: slack.Blocks{BlockSet: []slack.Block{askedBlock(text)}}})
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", tt.name, text)
	}
	golden(t, "modal/asked.golden.txt", []byte(texts.String()))
}

// openModal opens the modal of somebody who may choose among two keys.
func openModal(t *testing.T, w *world) {
	t.Helper()
	w.aws.keys = append(w.aws.keys, rotation.Key{ID: otherKey, Status: rotation.Inactive, Created: time.Now().Add(-400 * 24 * time.Hour), LastUse: rotation.LastUse{State: rotation.NeverUsed}})
	if _, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	if text := askedIn(w); text != unformatted(askedAhead) {
		t.Fatalf("before a choice it says %q", text)
	}
}

// askedIn is what the modal says of who would be asked.
func askedIn(w *world) string {
	top, _ := w.olivia.Screen().Top()
	for _, b := range top.Blocks {
		if b["block_id"] == blockAsked {
			text, _ := b["text"].(map[string]any)["text"].(string)
			return unformatted(text)
		}
	}
	return ""
}

func choose(t *testing.T, w *world, input, value string) {
	t.Helper()
	if err := w.olivia.Click(t.Context(), slacksim.Target{ActionID: input, Selected: value}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
}

func optionOf(k rotation.Key) string { return wUser.ID() + "/" + string(k.ID) }

func TestModal_TellsWhoWouldBeAsked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		openModal(t, w)
		if err := w.olivia.Fill(map[string]string{inputReason: "because of the audit"}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ input, value, says string }{
			{inputKey, optionOf(w.aws.keys[0]), "cannot be sent so"}, // an inactive key takes the place of a new one
			{inputWhat, "leak", "One approver or somebody on call decides alone"},
			{inputWhat, "retire", "There is no new key."},
			{inputKey, optionOf(w.aws.keys[1]), "<@UALICE> or <@UBOB> decides whether it is deleted."},
			{inputWhat, "replace", "cannot be sent so"},
		} {
			choose(t, w, step.input, step.value)
			if text := askedIn(w); !strings.Contains(text, step.says) {
				t.Errorf("%s is %s: it says %q, want %q in it", step.input, step.value, text, step.says)
			}
		}
		top, _ := w.olivia.Screen().Top()
		if typed, _ := top.State.Values[inputReason][inputReason].(map[string]any); typed["value"] != "because of the audit" {
			t.Errorf("of the reason typed, %v is left", typed)
		}
		if w.waiting() != 0 || len(w.progress().Trail) != 0 {
			t.Errorf("looks alone left %d envelopes and the trail %v", w.waiting(), w.progress().Trail)
		}
		p.end()
	})
}

func TestModal_ALeakGoesTheWayOfLeaks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		openModal(t, w)
		choose(t, w, inputKey, optionOf(w.aws.keys[0]))
		choose(t, w, inputWhat, "leak")
		errs, err := w.olivia.Submit(t.Context(), nil)
		if err != nil || errs[inputReason] == "" {
			t.Fatalf("without a reason: %v, %v", errs, err)
		}
		if errs, err = w.olivia.Submit(t.Context(), map[string]string{inputReason: "It is in a public repository."}); err != nil || len(errs) > 0 {
			t.Fatalf("submit: %v, %v", errs, err)
		}
		time.Sleep(10 * time.Second)
		r, _ := w.progress().Running()
		if r == nil || r.Stage != rotation.Leaked || r.Reason != "It is in a public repository." || r.Requester != wOwner {
			t.Errorf("it began %+v", r)
		}
		if top, _ := w.olivia.Screen().Top(); !strings.Contains(top.Content(), "is reported as leaked") {
			t.Errorf("the modal shows %s", top.Content())
		}
		p.end()
	})
}

// A leak goes before a rotation that runs, so a key of it can be chosen still; and what is no leak is refused where it was chosen.
func TestModal_WhileARotationRuns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.requested()
		p := w.boot()
		if _, err := w.olivia.Command(t.Context(), wApprovals, "/rotate-key", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if !strings.Contains(askedIn(w), "One approver or somebody on call decides alone") {
			t.Errorf("it says %q", askedIn(w))
		}
		choose(t, w, inputKey, optionOf(w.aws.keys[0]))
		errs, err := w.olivia.Submit(t.Context(), map[string]string{inputWhat: "leak", inputReason: "seen in a log"})
		if err != nil || len(errs) > 0 {
			t.Fatalf("submit: %v, %v", errs, err)
		}
		time.Sleep(10 * time.Second)
		if r, _ := w.progress().Running(); r == nil || r.Stage != rotation.Leaked {
			t.Errorf("after the report: %+v", r)
		}
		p.end()
	})
}

func TestModal_RefusalsStandBesideTheirField(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		openModal(t, w)
		for _, tt := range []struct{ key, what, field string }{
			{optionOf(w.aws.keys[0]), "replace", inputKey},
			{optionOf(w.aws.keys[1]), "replace", inputWhat},
		} {
			errs, err := w.olivia.Submit(t.Context(), map[string]string{inputKey: tt.key, inputWhat: tt.what})
			if err != nil || errs[tt.field] == "" || len(errs) != 1 || strings.ContainsAny(errs[tt.field], "<>*`") {
				t.Errorf("%s of %s: %v, %v; want plain words beside %q", tt.what, tt.key, errs, err, tt.field)
			}
			if top, ok := w.olivia.Screen().Top(); !ok || top.Title != keysTitle || !top.Has(inputKey) {
				t.Error("the form is not there any more")
			}
		}
		if n := strings.Count(fmt.Sprint(w.progress().Trail, p.wrote.String()), "request"); n < 2 {
			t.Error("the refusals have left nothing")
		}
		p.end()
	})
}

// Two choices in a row, of which the first takes long to be answered: what the modal says in the end is of the second. What the form becomes
// meanwhile stays.
func TestModal_TheLatestChoiceIsAnswered(t *testing.T) {
	for _, name := range []string{"both slow", "sent meanwhile", "closed meanwhile"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var slow atomic.Bool
				p := w.boot(func(p *process) {
					p.before = func(op string) error {
						if slow.Load() && op == "aws User" {
							time.Sleep(20 * time.Second)
						}
						return nil
					}
				})
				openModal(t, w)
				slow.Store(true)
				choose(t, w, inputKey, optionOf(w.aws.keys[1]))
				switch name {
				case "both slow":
					choose(t, w, inputWhat, "retire")
					time.Sleep(3 * time.Minute)
					if !strings.Contains(askedIn(w), "it is inactive already") {
						t.Errorf("it says %q\n%s", askedIn(w), p.wrote.String())
					}
				case "sent meanwhile":
					slow.Store(false)
					if errs, err := w.olivia.Submit(t.Context(), map[string]string{inputWhat: "retire"}); err != nil || len(errs) > 0 {
						t.Fatalf("submit: %v, %v", errs, err)
					}
					time.Sleep(time.Minute)
					if top, _ := w.olivia.Screen().Top(); !strings.Contains(top.Content(), "has begun") {
						t.Errorf("the outcome is gone: %s", top.Content())
					}
				case "closed meanwhile":
					if err := w.olivia.CloseAll(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
					if _, open := w.olivia.Screen().Top(); open {
						t.Error("it is open again")
					}
				}
				p.end()
			})
		})
	}
}

// Choices come faster than they are answered, each with the hash that the form had when it was made.
func TestForms(t *testing.T) {
	var f forms
	now := time.Now()
	one, first := f.enter("V1", now)
	_, second := f.enter("V1", now)
	if !f.overtaken(one, first) || f.overtaken(one, second) {
		t.Error("the later choice does not overtake the earlier one")
	}
	if got := one.since("h0"); got != "h0" {
		t.Errorf("a form that nothing has changed has %s", got)
	}
	one.hashes = append(one.hashes, "h1", "h2")
	for _, seen := range []string{"h0", "h1", "h2"} {
		if got := one.since(seen); got != "h2" {
			t.Errorf("a choice made at %s is answered at %s, want h2", seen, got)
		}
	}
	if got := one.since("other"); got != "other" || one.since("h0") != "h0" {
		t.Errorf("after somebody else's change: %s", got)
	}
	f.enter("V2", now.Add(2*formLife))
	if len(f.open) != 1 {
		t.Errorf("%d forms are remembered after their time", len(f.open))
	}
	var many sync.WaitGroup
	for range 20 {
		many.Go(func() { f.enter("V3", now) })
	}
	many.Wait()
}
