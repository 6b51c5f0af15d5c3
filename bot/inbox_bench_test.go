package bot

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// BenchmarkAcknowledge measures the time from typing a command to its acknowledgement over a real loopback connection: recorded in a bolt
// file before, beside a client of the vendor's library that records nothing. Each run has both, in turn.
func BenchmarkAcknowledge(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("recorded/%d", clients), func(b *testing.B) { acknowledge(b, clients, recorded) })
		b.Run(fmt.Sprintf("echo/%d", clients), func(b *testing.B) { acknowledge(b, clients, echo) })
	}
}

func acknowledge(b *testing.B, clients int, serve func(context.Context, *testing.B, *slacksim.Sim, *slack.Client) *sync.WaitGroup) {
	b.Helper()
	sim := slacksim.New(slacksim.Config{Burst: -1, KeepTraffic: 1 << 20})
	server := httptest.NewServer(sim)
	defer server.Close()
	defer sim.Close()
	sim.AddMember(slacksim.Member{ID: "U1", Name: "ana"})
	sim.AddChannel(slacksim.Channel{ID: "C1", Name: "general"})
	sim.AddChannel(slacksim.Channel{ID: "C2", Name: "on-call"})
	api := slack.New(sim.BotToken(), slack.OptionAPIURL(server.URL+"/api/"), slack.OptionAppLevelToken(sim.AppToken()))
	ctx, cancel := context.WithCancel(b.Context())
	ended := serve(ctx, b, sim, api)
	defer ended.Wait()
	defer cancel()
	for _, next := sim.Changed(); sim.Sockets() == 0; _, next = sim.Changed() {
		<-next
	}
	var mu sync.Mutex
	var took []time.Duration
	var typing sync.WaitGroup
	turns := make(chan struct{})
	b.ResetTimer()
	for range clients {
		typing.Go(func() {
			for range turns {
				begun := time.Now()
				if _, err := sim.As("U1").Command(ctx, "C1", "/rotate-key", "status"); err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	for range b.N {
		turns <- struct{}{}
	}
	close(turns)
	typing.Wait()
	b.StopTimer()
	slices.Sort(took)
	at := func(part float64) float64 { return took[int(part*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
}

// recorded serves with the bot. What the command asks for is done beside, as it is in life.
func recorded(ctx context.Context, tb *testing.B, _ *slacksim.Sim, api *slack.Client) *sync.WaitGroup {
	tb.Helper()
	kept, err := store.Open("bolt:" + filepath.Join(tb.TempDir(), "keyturner.db"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = kept.Close() })
	people := &People{Slack: api}
	outbox := NewOutbox(OutboxConfig{Slack: api, People: people})
	engine, err := rotation.New(rotation.Config{Store: kept, Hand: outbox})
	if err != nil {
		tb.Fatal(err)
	}
	later := func(t time.Time) time.Time { return t.Add(1000 * time.Hour) }
	bot, err := New(Config{Slack: api, Engine: engine, Outbox: outbox, People: people, Approvals: "C1", OnCall: "C2", Scan: later, Digest: later})
	if err != nil {
		tb.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := bot.Run(ctx); err != nil {
			tb.Error(err)
		}
	})
	return &ended
}

// echo serves with the vendor's client, which acknowledges whatever comes.
func echo(ctx context.Context, _ *testing.B, _ *slacksim.Sim, api *slack.Client) *sync.WaitGroup {
	client := socketmode.New(api)
	var ended sync.WaitGroup
	ended.Go(func() { _ = client.RunContext(ctx) }) // ends with ctx
	ended.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case ev := <-client.Events:
				if ev.Request != nil && ev.Request.EnvelopeID != "" {
					_ = client.Ack(*ev.Request)
				}
			}
		}
	})
	return &ended
}
