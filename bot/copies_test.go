package bot

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/bot/slacksim"
)

// letterbox is a sink that fails as it is told to.
type letterbox struct {
	name  string
	fails func(try int) error

	mu   sync.Mutex
	got  []report.Digest
	asks int
}

func (l *letterbox) Name() string   { return l.name }
func (l *letterbox) String() string { return "the " + l.name + " box" }

func (l *letterbox) Send(_ context.Context, d report.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks++
	if l.fails != nil {
		if err := l.fails(l.asks); err != nil {
			return err
		}
	}
	l.got = append(l.got, d)
	return nil
}

// counted is how often the sink was asked, and how many digests it took.
func (l *letterbox) counted() (asks, got int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asks, len(l.got)
}

// onCallSees is what stands in the on-call channel: the digests, and what is in their threads.
func (w *world) onCallSees() (digests, replies []slacksim.Message) {
	channel, _ := w.alice.Screen().Channel(wOnCall)
	for _, m := range channel.Messages {
		if m.ThreadTS == "" || m.ThreadTS == m.TS {
			digests = append(digests, m)
		} else {
			replies = append(replies, m)
		}
	}
	return digests, replies
}

func TestCopies_TheDigestHasItsPictureAndItsFile(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.aws.reports, w.digests = true, true
		p := w.boot()
		time.Sleep(time.Hour)
		digests, replies := w.onCallSees()
		if len(digests) != 1 || len(replies) != 1 || len(replies[0].Files) != 2 || replies[0].ThreadTS != digests[0].TS {
			t.Fatalf("%d digests, %+v in the thread; want one message with two files", len(digests), replies)
		}
		picture, list := replies[0].Files[0], replies[0].Files[1]
		if !strings.HasPrefix(string(picture.Content), "\x89PNG") || !strings.HasPrefix(string(list.Content), "findings,") || !strings.HasSuffix(list.Name, ".csv") {
			t.Errorf("the files are %s and %s: %.20q", picture.Name, list.Name, list.Content)
		}
		if !strings.HasPrefix(replies[0].Text, "Active keys by age") {
			t.Errorf("the message with them says %q", replies[0].Text)
		}
		shown := false
		for _, b := range digests[0].Blocks {
			file, _ := b["slack_file"].(map[string]any)
			alt, _ := b["alt_text"].(string)
			shown = shown || b["type"] == "image" && file["id"] == picture.ID && strings.HasPrefix(alt, "Active keys by age")
		}
		if !shown || !strings.Contains(digests[0].Text, "needs attention") {
			t.Errorf("the digest does not show %s: %v", picture.ID, digests[0].Blocks[2:3])
		}
		p.end()
		again := w.boot()
		time.Sleep(5 * time.Hour)
		again.end()
		if digests, replies := w.onCallSees(); len(digests) != 1 || len(replies) != 1 {
			t.Errorf("%d digests and %d replies after a restart", len(digests), len(replies))
		}
	})
}

// TestCopies_EachSinkGoesByItself: one that fails holds up none of the others, is tried again, and is named when that does not help.
func TestCopies_EachSinkGoesByItself(t *testing.T) {
	t.Parallel()
	broken := errors.New("no route to host")
	inWorld(t, func(t *testing.T, w *world) {
		well := &letterbox{name: "well"}
		slow := &letterbox{name: "slow", fails: func(try int) error {
			if try < 5 {
				return &report.SendError{Sink: "the slow box", Err: broken}
			}
			return nil
		}}
		refused := &letterbox{name: "refused", fails: func(int) error {
			return &report.SendError{Sink: "the refused box", Err: errors.New("no such <list>"), Permanent: true}
		}}
		never := &letterbox{name: "never", fails: func(int) error { return broken }}
		w.digests, w.sinks = true, []Sink{refused, never, slow, well}
		p := w.boot()
		time.Sleep(10 * time.Minute)
		if _, got := well.counted(); got != 1 {
			t.Errorf("the sink that is well took %d digests", got)
		}
		p.end()
		p = w.boot()
		time.Sleep(20 * time.Hour)
		p.end()
		for l, want := range map[*letterbox][2]int{well: {1, 1}, slow: {5, 1}, refused: {1, 0}, never: {maxCopies, 0}} {
			if asks, got := l.counted(); [2]int{asks, got} != want {
				t.Errorf("%s was asked %d times and took %d digests, want %v", l, asks, got, want)
			}
		}
		_, replies := w.onCallSees()
		var told []string
		for _, m := range replies {
			if strings.Contains(m.Text, "has not reached others") {
				told = append(told, m.Text)
			}
		}
		all := strings.Join(told, "\n")
		if len(told) != 4 || strings.Count(all, "the never box") != 2 || strings.Count(all, "the slow box") < 1 || !strings.Contains(all, "no such &lt;list&gt;") {
			t.Errorf("told %d times in the thread, want twice of never and once of slow and of refused:\n%s", len(told), all)
		}
	})
}

func TestCopies_AMissingScopeIsSaid(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.aws.reports, w.digests = true, true
		w.sim.Fail("files.getUploadURLExternal", slacksim.Fault{Error: "missing_scope", Times: -1})
		p := w.boot()
		time.Sleep(time.Hour)
		p.end()
		digests, replies := w.onCallSees()
		if len(digests) != 1 || len(replies) != 1 || !strings.Contains(replies[0].Text, "files:write") {
			t.Errorf("%d digests, in the thread %+v; want that the scope is named", len(digests), replies)
		}
	})
}

// TestCopies_TheTrendGrows: each week's digest tells how it compares with the week before.
func TestCopies_TheTrendGrows(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.aws.reports, w.digests = true, true
		well := &letterbox{name: "well"}
		w.sinks = []Sink{well}
		p := w.boot()
		time.Sleep(8 * 24 * time.Hour)
		p.end()
		digests, _ := w.onCallSees()
		if _, got := well.counted(); got != 2 || len(digests) != 2 {
			t.Fatalf("%d digests in Slack and %d in the sink, want two of each", len(digests), got)
		}
		if !strings.Contains(digests[1].Text, "the week before") || !strings.Contains(well.got[1].Headline, "the week before") || strings.Contains(digests[0].Text, "the week before") {
			t.Errorf("the first says %.200q, the second %.200q", digests[0].Text, digests[1].Text)
		}
		if n := strings.Count(well.got[1].Alt, "not known"); n != report.Trend-2 {
			t.Errorf("%d weeks are not known: %s", n, well.got[1].Alt)
		}
	})
}
