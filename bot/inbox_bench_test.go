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
// file before, beside a client of the vendor's library that records nothing. Each run has both, a hundred commands of each in turn.
func BenchmarkAcknowledge(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d-at-once", clients), func(b *testing.B) {
			bot, bare := serving(b, recorded), serving(b, echo)
			var ours, theirs []time.Duration
			b.ResetTimer()
			for left := b.N; left > 0; left -= 100 {
				ours = append(ours, commands(b, bot, clients, min(left, 100))...)
				b.StopTimer()
				theirs = append(theirs, commands(b, bare, clients, min(left, 100))...)
				b.StartTimer()
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			at := func(took []time.Duration, part float64) float64 {
				return took[int(part*float64(len(took)-1))].Seconds() * 1000
			}
			for _, part := range []float64{0.5, 0.99} {
				name := fmt.Sprintf("p%.0f", 100*part)
				b.ReportMetric(at(ours, part), name+"-ms")
				b.ReportMetric(at(theirs, part), "bare-"+name+"-ms")
				b.ReportMetric(at(ours, part)/at(theirs, part), "x-bare-"+name)
			}
		})
	}
}

// serving begins a workspace with an app in it, until the benchmark ends.
func serving(b *testing.B, serve func(context.Context, *testing.B, *slack.Client) *sync.WaitGroup) *slacksim.Sim {
	b.Helper()
	sim := slacksim.New(slacksim.Config{Burst: -1, KeepTraffic: 1 << 20})
	server := httptest.NewServer(sim)
	sim.AddMember(slacksim.Member{ID: "U1", Name: "ana"})
	sim.AddChannel(slacksim.Channel{ID: "C1", Name: "general"})
	sim.AddChannel(slacksim.Channel{ID: "C2", Name: "on-call"})
	api := slack.New(sim.BotToken(), slack.OptionAPIURL(server.URL+"/api/"), slack.OptionAppLevelToken(sim.AppToken()))
	ctx, cancel := context.WithCancel(b.Context())
	ended := serve(ctx, b, api)
	b.Cleanup(func() {
		cancel()
		ended.Wait()
		sim.Close()
		server.Close()
	})
	for _, next := sim.Changed(); sim.Sockets() == 0; _, next = sim.Changed() {
		<-next
	}
	return sim
}

// commands has commands typed by some members at the same time, and tells how long each waited.
func commands(b *testing.B, sim *slacksim.Sim, members, n int) []time.Duration {
	b.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var typing sync.WaitGroup
	turns := make(chan struct{})
	for range members {
		typing.Go(func() {
			for range turns {
				begun := time.Now()
				if _, err := sim.As("U1").Command(b.Context(), "C1", "/rotate-key", "status"); err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	for range n {
		turns <- struct{}{}
	}
	close(turns)
	typing.Wait()
	return took
}

// recorded serves with the bot. What the command asks for is done beside, as it is in life.
func recorded(ctx context.Context, tb *testing.B, api *slack.Client) *sync.WaitGroup {
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
func echo(ctx context.Context, _ *testing.B, api *slack.Client) *sync.WaitGroup {
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
