package slacksim_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// bench is a workspace and an app made with the vendor's client.
type bench struct {
	t    *testing.T
	sim  *slacksim.Sim
	api  *slack.Client
	url  string
	ana  *slacksim.Person
	ben  *slacksim.Person
	dial []socketmode.Option
}

// populate adds the people and channels most tests use.
func populate(sim *slacksim.Sim) {
	sim.AddMember(slacksim.Member{ID: "U1", Name: "ana", RealName: "Ana Alvarez", Email: "ana@example.com", Title: "Engineer"})
	sim.AddMember(slacksim.Member{ID: "U2", Name: "ben", Email: "ben@example.com"})
	sim.AddMember(slacksim.Member{ID: "U3", Name: "gone", Email: "gone@example.com", Deleted: true})
	sim.AddMember(slacksim.Member{ID: "U4", Name: "guest", UltraRestricted: true})
	sim.AddMember(slacksim.Member{ID: "U5", Name: "stranger", Stranger: true, TeamID: "T9"})
	sim.AddChannel(slacksim.Channel{ID: "C1", Name: "key-approvals"})
	sim.AddChannel(slacksim.Channel{ID: "C2", Name: "old", Archived: true})
	sim.AddChannel(slacksim.Channel{ID: "C3", Name: "secret", Private: true, Members: []string{"U1"}, BotAbsent: true})
	sim.AddChannel(slacksim.Channel{ID: "C4", Name: "elsewhere", BotAbsent: true})
}

// onNetwork serves the workspace over a real loopback connection.
func onNetwork(t *testing.T, cfg slacksim.Config) *bench {
	t.Helper()
	sim := slacksim.New(cfg)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	t.Cleanup(sim.Close)
	return newBench(t, sim, server.URL+"/api/")
}

// inProcess serves the workspace over pipes, so that a synctest bubble holds it all. The
// caller closes it before the bubble ends.
func inProcess(t *testing.T, cfg slacksim.Config) *bench {
	t.Helper()
	sim := slacksim.New(cfg)
	b := newBench(t, sim, "http://slack.test/api/", slack.OptionHTTPClient(sim.HTTPClient()))
	b.dial = []socketmode.Option{socketmode.OptionDialer(sim.SocketDialer())}
	return b
}

func newBench(t *testing.T, sim *slacksim.Sim, url string, opts ...slack.Option) *bench {
	t.Helper()
	populate(sim)
	opts = append([]slack.Option{slack.OptionAPIURL(url), slack.OptionAppLevelToken(sim.AppToken())}, opts...)
	return &bench{
		t: t, sim: sim, url: url, api: slack.New(sim.BotToken(), opts...), ana: sim.As("U1"), ben: sim.As("U2"),
	}
}

// handler answers one event of the socket; ack acknowledges it.
type handler func(ev socketmode.Event, ack func(payload ...any))

// run connects one Socket Mode client until the context ends, and waits until it is in
// rotation.
func (b *bench) run(ctx context.Context, handle handler) {
	b.t.Helper()
	before := b.sim.Sockets()
	client := socketmode.New(b.api, b.dial...)
	var wg sync.WaitGroup
	b.t.Cleanup(wg.Wait)
	wg.Go(func() { _ = client.RunContext(ctx) })
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case ev := <-client.Events:
				if ev.Request == nil || ev.Request.EnvelopeID == "" {
					continue
				}
				handle(ev, func(payload ...any) { _ = client.Ack(*ev.Request, payload...) })
			}
		}
	})
	b.awaitSockets(ctx, before+1)
}

func (b *bench) awaitSockets(ctx context.Context, n int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, next := b.sim.Changed()
		if b.sim.Sockets() == n {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
			b.t.Fatalf("%d sockets are open, want %d", b.sim.Sockets(), n)
		}
	}
}

// journal collects what an app saw, line by line.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// want compares the journal with what was expected.
func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if diff := cmp.Diff(lines, j.lines); diff != "" {
		t.Errorf("the app saw (-want +got):\n%s", diff)
	}
}

// must reports an error of a call the app made, unless the test is over.
func (b *bench) must(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		b.t.Errorf("%s: %v", what, err)
	}
}

// ackOnly acknowledges everything.
func ackOnly(_ socketmode.Event, ack func(...any)) { ack() }

func plainText(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

func section(text string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, false), nil, nil)
}

func buttons(ids ...string) slack.Block {
	var elements []slack.BlockElement
	for _, id := range ids {
		elements = append(elements, slack.NewButtonBlockElement(id, "v-"+id, plainText(id)))
	}
	return slack.NewActionBlock("buttons", elements...)
}

// form is a modal with a reason to type and an account to pick.
func form(title string) slack.ModalViewRequest {
	option := func(value string) *slack.OptionBlockObject {
		return slack.NewOptionBlockObject(value, plainText("Account "+value), nil)
	}
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: plainText(title), Submit: plainText("Send"), CallbackID: "form", PrivateMetadata: "ref-1",
		NotifyOnClose: true,
		Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewInputBlock("reason", plainText("Reason"), nil, slack.NewPlainTextInputBlockElement(nil, "text")),
			slack.NewInputBlock("account", plainText("Account"), nil, slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, nil, "pick", option("one"), option("two"))),
		}},
	}
}

// commandURLs has ana type a command and returns its response URL and trigger.
func commandURLs(t *testing.T, b *bench) (responseURL, trigger string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan slack.SlashCommand, 1)
	b.run(ctx, func(ev socketmode.Event, ack func(...any)) {
		if cmd, ok := ev.Data.(slack.SlashCommand); ok {
			got <- cmd
		}
		ack()
	})
	if _, err := b.ana.Command(ctx, "C1", "/rotate-key", "status"); err != nil {
		t.Fatalf("command: %v", err)
	}
	cmd := <-got
	cancel()
	b.awaitSockets(t.Context(), 0)
	return cmd.ResponseURL, cmd.TriggerID
}
