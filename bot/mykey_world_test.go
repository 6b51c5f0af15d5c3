package bot

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// types has the owner type a command, and waits.
func (w *world) types(words string) {
	w.t.Helper()
	if _, err := w.olivia.Command(w.t.Context(), wOnCall, "/rotate-key", words); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(30 * time.Second)
}

// news counts the direct messages about a public key that was set.
func (w *world) news() (n int) {
	for _, c := range w.olivia.Screen().Channels {
		for _, m := range c.Messages {
			if !m.Ephemeral && strings.Contains(m.Text, "public key for secrets was set") {
				n++
			}
		}
	}
	return n
}

// kept is all that is recorded, in words: entries, and the envelopes that wait.
func (w *world) recorded() string {
	w.t.Helper()
	var all strings.Builder
	must(w.t, w.kept.Entries(w.t.Context(), func(key string, e rotation.Entry) error {
		all.WriteString(key + " " + e.Actor + " " + e.Action + " " + e.Outcome + " " + e.Detail + "\n")
		return nil
	}))
	must(w.t, w.kept.Waiting(w.t.Context(), func(v rotation.Envelope) error {
		all.Write(v.Body)
		return nil
	}))
	return all.String()
}

// hides holds that no piece of a private key is anywhere but where its owner has typed it. Its file has the public key in it too.
func (w *world) hides(p *process, private, public string) {
	w.t.Helper()
	claim, _ := w.kept.Claimed(w.t.Context(), "mykey/"+wOwner)
	outputs := map[string]string{"the log": p.wrote.String(), "the store": w.recorded() + claim.Note, "an answer": told(w.olivia, wOnCall)}
	for _, raw := range w.sim.Exchanges() {
		if name, rest, _ := strings.Cut(string(raw), "\n"); name != "frame sent" { // by which it came
			outputs["what the bot told Slack by "+name] += rest
		}
	}
	for piece := range strings.FieldsSeq(private) {
		for where, text := range outputs {
			if len(piece) > 12 && !strings.Contains(public, piece) && strings.Contains(text, piece) {
				w.t.Errorf("a piece of a private key is in %s: %s", where, piece)
			}
		}
	}
}

func TestMyKey(t *testing.T) {
	all := pairs(t) // outside of the bubble: it takes randomness from the system
	inWorld(t, func(t *testing.T, w *world) {
		p := w.boot()
		defer p.end()
		w.types("mykey")
		if got := told(w.olivia, wOnCall); !strings.Contains(got, "You have given Keyturner no public key") {
			t.Errorf("told %s", got)
		}
		n := 0
		for name, pair := range all {
			w.types("mykey " + pair.typed)
			n++
			set, err := p.engine.Recipient(t.Context(), wOwner)
			if err != nil || !strings.HasPrefix(pair.typed, set.Key) || strings.Contains(set.Key, "olivia") || !set.Told {
				t.Errorf("%s: kept %+v, %v", name, set, err)
			}
			w.types("mykey " + pair.typed)
			if w.news() != n || strings.Count(w.recorded(), "set-public-key moved") != n || !strings.Contains(w.recorded(), keyName(set.Key)) {
				t.Errorf("%s: %d direct messages about %d keys, and on record is\n%s", name, w.news(), n, w.recorded())
			}
		}
		before, err := p.engine.Recipient(t.Context(), wOwner)
		must(t, err)
		for name, pair := range all {
			for _, words := range []string{"mykey " + pair.private, pair.private, "help " + pair.private} {
				w.types(words)
				if got := told(w.olivia, wOnCall); !strings.Contains(lastLine(got), "treat it as leaked") {
					t.Errorf("%s: told %s", name, lastLine(got))
				}
			}
			w.hides(p, pair.private, pair.typed)
		}
		w.types("mykey wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
		w.hides(p, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "")
		if after, err := p.engine.Recipient(t.Context(), wOwner); err != nil || after != before {
			t.Errorf("the key has changed to %+v, %v", after, err)
		}
		if !strings.Contains(w.recorded(), "mykey refused") {
			t.Errorf("no entry of the refusals: %s", w.recorded())
		}
	})
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// TestMyKey_FaultPairs has each call that follows the command go wrong, or the process die at it: the key is kept once and recorded once, and
// its member is told by direct message, twice only if an answer was lost.
func TestMyKey_FaultPairs(t *testing.T) {
	for _, op := range []string{"store Accept", "store Claimed", "store Claim", "store Record", "slack chat.postMessage", "slack response_url", "store Settle"} {
		for _, applied := range []bool{false, true} {
			for _, dies := range []bool{false, true} {
				name := op + map[bool]string{true: ", applied"}[applied] + map[bool]string{true: ", crash"}[dies]
				t.Run(name, func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						var armed atomic.Bool
						p := w.boot(func(p *process) {
							strike := func(called string) error {
								if called != op || !armed.CompareAndSwap(true, false) {
									return nil
								}
								if dies {
									p.kill()
								}
								return errDead
							}
							if applied {
								p.after = strike
							} else {
								p.before = strike
							}
						})
						armed.Store(true)
						_, _ = w.olivia.Command(t.Context(), wOnCall, "/rotate-key", "mykey "+fixedAgeKey) // it may go unanswered
						time.Sleep(3 * time.Minute)
						if armed.Load() {
							t.Errorf("%s was not called", op)
						}
						if p.dead.Load() {
							p.end()
							p = w.boot()
						}
						defer func() { p.end() }()
						time.Sleep(10 * time.Minute)
						w.types("mykey " + fixedAgeKey) // they see no answer, and try again
						set, err := p.engine.Recipient(t.Context(), wOwner)
						if err != nil || set.Key != fixedAgeKey || !set.Told {
							t.Errorf("kept %+v, %v", set, err)
						}
						// One who may not have been told, for all that is stored, is told again.
						lost := applied && op == "slack chat.postMessage" || dies
						if n := w.news(); n < 1 || n > 2 || n == 2 && !lost && !strings.HasPrefix(op, "store Claim") {
							t.Errorf("%d direct messages", n)
						}
						if n := strings.Count(w.recorded(), "set-public-key moved"); n != 1 {
							t.Errorf("%d entries:\n%s", n, w.recorded())
						}
					})
				})
			}
		}
	}
}

// TestSealed_Story has a rotation in a sealed account go from the refusal without a public key to the secret that only its owner can open.
func TestSealed_Story(t *testing.T) {
	all := pairs(t)
	inWorld(t, func(t *testing.T, w *world) {
		w.delivery = rotation.Delivery{Mode: rotation.Sealed}
		p := w.boot()
		defer func() { p.end() }()
		_, err := p.engine.Request(t.Context(), rotation.Request{User: wUser, By: rotation.Actor{Member: wOwner}})
		if got := refusalText(p.bot.view, err); !strings.Contains(got, "has given none") || !strings.Contains(got, "/rotate-key mykey") {
			t.Errorf("without a public key: %s", got)
		}
		w.types("mykey " + all["ssh-ed25519"].typed)
		p.end()
		w.requested()
		p = w.boot()
		card, ok := w.card()
		if !ok || !strings.Contains(card.Text, "Before you approve") || !strings.Contains(card.Text, keyName(typedKey(all["ssh-ed25519"].typed))) {
			t.Errorf("the approvers see %s", card.Text)
		}
		w.types("mykey " + all["age"].typed) // somebody else, who has come into the session
		must(t, w.alice.Click(t.Context(), approve()))
		time.Sleep(time.Minute)
		r, _ := w.progress().Running()
		var sealed slacksim.Message
		for _, c := range w.olivia.Screen().Channels {
			for _, m := range c.Messages {
				if strings.Contains(m.Content(), "BEGIN AGE ENCRYPTED FILE") {
					sealed = m
				}
			}
		}
		content := sealed.Content()
		begin, end := strings.Index(content, "-----BEGIN"), strings.LastIndex(content, "FILE-----")
		if r == nil || begin < 0 || end < begin {
			t.Fatalf("at %v, no sealed secret in the direct message:\n%s", r, p.wrote.String())
		}
		content = content[begin : end+len("FILE-----")]
		want := credentials(r.New, rotation.NewSecret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
		for name, pair := range all {
			got, err := open(content, pair.identity)
			if mine := name == "ssh-ed25519"; mine && (err != nil || got != want) || !mine && err == nil {
				t.Errorf("the private key of %s opens %q, %v", name, got, err)
			}
		}
		for _, raw := range w.sim.Exchanges() {
			if strings.Contains(string(raw), "wJalrXUtnFEMI") {
				t.Error("the secret has gone through Slack as it is")
			}
		}
		if strings.Contains(p.wrote.String(), "wJalrXUtnFEMI") || strings.Contains(p.wrote.String(), "BEGIN AGE") {
			t.Error("the secret is in the log")
		}
	})
}
