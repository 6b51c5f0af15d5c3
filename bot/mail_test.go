package bot

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// counting counts the calls of a method.
type counting struct {
	http.RoundTripper
	method string
	calls  atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/api/"+c.method {
		c.calls.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

// inTown runs a test in a bubble with a workspace of all kinds of members, who have addresses.
func inTown(t *testing.T, cfg slacksim.Config, test func(*testing.T, *slacksim.Sim, *People, *counting)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := slacksim.New(cfg)
		for _, m := range []slacksim.Member{
			{ID: "UANA", Email: "Ana@example.com"},
			{ID: "UNEW", Email: "new@example.com", Unconfirmed: true},
			{ID: "UGUEST", Email: "guest@example.com", Restricted: true},
			{ID: "UVISITOR", Email: "visitor@example.com", UltraRestricted: true},
			{ID: "UGONE", Email: "gone@example.com", Deleted: true},
			{ID: "UROBOT", Email: "robot@example.com", Bot: true},
			{ID: "USTRANGE", Email: "strange@example.com", Stranger: true},
			{ID: "UFAR", Email: "far@example.com", TeamID: "TFAR"},
		} {
			m.Name = string(m.ID)
			sim.AddMember(m)
		}
		line := &counting{RoundTripper: sim.HTTPClient().Transport, method: "users.lookupByEmail"}
		people := &People{Slack: slack.New(sim.BotToken(), slack.OptionAPIURL("http://slack.test/api/"), slack.OptionHTTPClient(&http.Client{Transport: line}))}
		people.setTeam(sim.TeamID())
		test(t, sim, people, line)
		sim.Close()
		synctest.Wait()
	})
}

func TestPeople_MemberOf(t *testing.T) {
	inTown(t, slacksim.Config{Burst: -1}, func(t *testing.T, sim *slacksim.Sim, people *People, line *counting) {
		for address, want := range map[string]struct {
			member rotation.MemberID
			doubt  rotation.Doubt
		}{
			"ana@example.com": {member: "UANA"}, "ANA@EXAMPLE.COM": {member: "UANA"},
			"new@example.com": {doubt: rotation.NotConfirmed}, "guest@example.com": {doubt: rotation.NotFull}, "visitor@example.com": {doubt: rotation.NotFull},
			"gone@example.com": {doubt: rotation.NoSuchMember}, "robot@example.com": {doubt: rotation.NotFull},
			"strange@example.com": {doubt: rotation.NoSuchMember}, "far@example.com": {doubt: rotation.NoSuchMember}, "nobody@example.com": {doubt: rotation.NoSuchMember},
		} {
			if m, doubt, err := people.MemberOf(t.Context(), address); m != want.member || doubt != want.doubt || err != nil {
				t.Errorf("%s is %q, doubt %q, %v; want %+v", address, m, doubt, err, want)
			}
		}
		asked := line.calls.Load()
		for range 10 {
			if m, _, err := people.MemberOf(t.Context(), "Ana@Example.com"); m != "UANA" || err != nil {
				t.Errorf("again: %q, %v", m, err)
			}
		}
		if line.calls.Load() != asked {
			t.Errorf("what is known is asked again")
		}
		sim.AddMember(slacksim.Member{ID: "UANA", Email: "ana@example.com", Deleted: true})
		time.Sleep(standingFor)
		if m, doubt, err := people.MemberOf(t.Context(), "ana@example.com"); m != "" || doubt != rotation.NoSuchMember || err != nil {
			t.Errorf("a minute after she has left: %q, doubt %q, %v", m, doubt, err)
		}
	})
}

// TestPeople_MemberOfNotKnown: what cannot be looked up is an error, not nobody, and is not remembered.
func TestPeople_MemberOfNotKnown(t *testing.T) {
	for name, fault := range map[string]slacksim.Fault{
		"missing scope": {Error: "missing_scope"}, "limited": {Error: "ratelimited", RetryAfter: 1}, "broken": {Error: "internal_error"}, "cut off": {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, slacksim.Config{Burst: -1}, func(t *testing.T, sim *slacksim.Sim, people *People, _ *counting) {
				sim.Fail("users.lookupByEmail", fault)
				if m, doubt, err := people.MemberOf(t.Context(), "ana@example.com"); m != "" || doubt != "" || err == nil {
					t.Errorf("%q, doubt %q, %v; want an error", m, doubt, err)
				}
				if m, _, err := people.MemberOf(t.Context(), "ana@example.com"); m != "UANA" || err != nil {
					t.Errorf("afterwards %q, %v", m, err)
				}
				sim.Fail("users.info", fault)
				if address, err := people.AddressOf(t.Context(), "UANA"); address != "" || err == nil {
					t.Errorf("address %q, %v; want an error", address, err)
				}
			})
		})
	}
	inTown(t, slacksim.Config{}, func(t *testing.T, _ *slacksim.Sim, people *People, _ *counting) {
		people.setTeam("")
		if m, doubt, err := people.MemberOf(t.Context(), "ana@example.com"); m != "" || doubt != "" || err == nil {
			t.Errorf("before our team is known: %q, doubt %q, %v", m, doubt, err)
		}
	})
}

func TestPeople_AddressOf(t *testing.T) {
	for id, want := range map[rotation.MemberID]string{"UANA": "Ana@example.com", "UNEW": "", "UGUEST": "", "UGONE": "", "UROBOT": "", "UFAR": ""} {
		inTown(t, slacksim.Config{Burst: -1}, func(t *testing.T, _ *slacksim.Sim, people *People, _ *counting) {
			if got, err := people.AddressOf(t.Context(), id); got != want || err != nil {
				t.Errorf("%s has %q, %v; want %q", id, got, err, want)
			}
		})
	}
	inTown(t, slacksim.Config{Burst: -1, Scopes: []string{"users:read"}}, func(t *testing.T, _ *slacksim.Sim, people *People, _ *counting) {
		if got, err := people.AddressOf(t.Context(), "UANA"); got != "" || rotation.ClassOf(err) != rotation.ClassDenied {
			t.Errorf("without the scope: %q, %v; want an error", got, err)
		}
		if _, _, err := people.MemberOf(t.Context(), "ana@example.com"); rotation.ClassOf(err) != rotation.ClassDenied {
			t.Errorf("without the scope: %v; want an error", err)
		}
	})
}

// TestPeople_ManyAddresses looks up more than Slack takes in a minute, and more than are remembered.
func TestPeople_ManyAddresses(t *testing.T) {
	inTown(t, slacksim.Config{}, func(t *testing.T, _ *slacksim.Sim, people *People, _ *counting) {
		for i := range 200 {
			if _, doubt, err := people.MemberOf(t.Context(), "nobody"+strconv.Itoa(i)+"@example.com"); doubt != rotation.NoSuchMember || err != nil {
				t.Fatalf("look-up %d: doubt %q, %v", i, doubt, err)
			}
		}
	})
	var book addressBook
	for i := range 3 * maxAddresses {
		book.keep(strconv.Itoa(i), addressed{at: time.Unix(0, 0)})
		if n := len(book.seen); n > maxAddresses {
			t.Fatalf("%d addresses are remembered", n)
		}
	}
	if _, ok := book.find(strconv.Itoa(3*maxAddresses-1), time.Unix(59, 0)); !ok {
		t.Error("the latest is forgotten")
	}
}
