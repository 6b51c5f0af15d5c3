package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/dynalitetest"
)

// part is how far a story goes where Slack's limits leave no room for whole lives: some fifty edits a minute in a workspace.
func (s *story) part() []phase {
	owner := s.u.owner
	phases := []phase{{"request", s.request}}
	if s.u.way == replaces {
		return append(phases, phase{"create", func(ctx context.Context) error {
			return s.seek(ctx, "the secret stands in the DM", both(s.secret, s.sees(owner, "confirm")), offer{action: "approve"})
		}})
	}
	phases = append(phases, phase{"deactivate", s.deactivate})
	switch s.rng.IntN(8) {
	case 0:
		phases = append(phases, phase{"reactivate", func(ctx context.Context) error {
			return s.seek(ctx, "the old key is active again", s.status("Active"), offer{member: owner, action: "reactivate"})
		}})
	case 1:
		phases = append(phases, phase{"grace over", func(ctx context.Context) error {
			if err := s.w.pass(ctx, 8*day, s.u.name); err != nil {
				return err
			}
			return s.seek(ctx, "a card asks for the deletion", s.sees("", "approve"))
		}}, phase{"delete", func(ctx context.Context) error {
			return s.seek(ctx, "the old key is deleted", s.status(""), offer{action: "approve"})
		}})
	}
	return phases
}

// TestReplicas runs three processes on one table, while many people ask, click twice and at once and where they may not, and while
// processes are killed and stopped and started. What a killed process was at is left to it for minutes, so the kills come first and all
// waits pass at once; whatever else there is to do goes on meanwhile. With -kills=some they are killed while they are at nothing.
//
// A workspace takes about fifty edits a minute. So the rotations are spread over several, each with three processes and a table of its
// own.
func TestReplicas(t *testing.T) {
	if *kills == "" {
		t.Skip("it needs a quiet machine for a minute or more, and is played with -kills=some or -kills=every")
	}
	t.Parallel()
	worlds, users, play := 1, 16, (*world).lull
	if *kills == "every" {
		worlds, users, play = 4, 50, (*world).storm
	}
	endpoint := dynalitetest.Start(t)
	binary := program(t)
	began := time.Now()
	var group sync.WaitGroup
	for i := range worlds {
		table := fmt.Sprintf("keyturner-%d", i)
		dynalitetest.CreateTable(t, endpoint, table)
		w := newWorld(t, binary, plan{
			users: users, accounts: 10, replicas: 3, ways: []way{replaces, adopts, retires, replaces},
			table: endpoint, spec: "dynamodb:" + dynalitetest.Region + "/" + table,
			open: store.Config{AWS: dynalitetest.AWS(endpoint)}.Open,
			raw:  func(ctx context.Context) ([]byte, error) { return rawTable(ctx, endpoint, table) },
		})
		group.Go(func() {
			w.run(t.Context(), func(ctx context.Context) error { return play(w, ctx, uint64(i)) })
			kills, took := int64(0), []int{}
			for _, r := range w.replicas {
				kills += r.kills.Load()
				took = append(took, w.acks[r])
			}
			t.Logf("world %d: %d rotations, %d kills, envelopes by replica %v, after %v", i, users, kills, took, time.Since(began).Round(time.Second))
			if slices.Contains(took, 0) {
				t.Errorf("world %d: a replica took no envelope: %v", i, took)
			}
		})
	}
	group.Wait()
}

// lull kills processes when there is nothing to do, so that nobody has to wait for what they were at: only for another to lead.
func (w *world) lull(ctx context.Context, seed uint64) error {
	first := func(s *story) []phase { return s.part()[:1] }
	others := func(s *story) []phase { return s.part()[1:] }
	err := w.playAll(ctx, seed, first)
	if err == nil {
		err = w.awaitRest(ctx)
	}
	if err != nil {
		return err
	}
	w.leader().kill("at rest")
	w.replicas[0].kill("at rest")
	if err := w.playAll(ctx, seed, others); err != nil {
		return err
	}
	if err := w.awaitRest(ctx); err != nil {
		return err
	}
	w.replicas[2].kill("at rest")
	return w.awaitRest(ctx)
}

// stormTime is for how long a storm kills; what follows from it takes some minutes more.
const stormTime = 45 * time.Second

// storm kills processes in the middle of everything.
func (w *world) storm(ctx context.Context, seed uint64) error {
	w.composure, w.arrivals = 20*time.Second, stormTime/time.Duration(len(w.users))
	killing, enough := context.WithTimeout(ctx, stormTime)
	defer enough()
	var group sync.WaitGroup
	group.Go(func() { w.hurt(killing, rand.New(rand.NewPCG(seed, 3))) })
	err := w.playAll(ctx, seed, (*story).part)
	group.Wait()
	if err != nil {
		return err
	}
	return w.awaitRest(ctx)
}

// leader is the replica that posted the latest card.
func (w *world) leader() *replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.led == nil {
		return w.replicas[0]
	}
	return w.led
}

// hurt kills replicas, at random moments and at calls, and has some stop as a deployment does. Who leads is spared most of the time:
// nobody is told anything until another one leads.
func (w *world) hurt(ctx context.Context, rng *rand.Rand) {
	for spared := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second + time.Duration(rng.IntN(2000))*time.Millisecond):
		}
		r := w.replicas[rng.IntN(len(w.replicas))]
		if r == w.leader() {
			if time.Since(spared) < stormTime/3 {
				continue
			}
			spared = time.Now()
		}
		switch rng.IntN(4) {
		case 0:
			r.stop()
		case 1:
			r.kill("at random")
		default:
			w.trap(ctx, r, rng)
		}
	}
}

// trap has a replica killed at one of its next calls, whatever it is or one that writes or changes something, and waits a while for that.
func (w *world) trap(ctx context.Context, r *replica, rng *rand.Rand) {
	verdict := []fate{killsFirst, killsAfter}[rng.IntN(2)]
	skip := rng.IntN(8)
	prefix := []string{"", "DynamoDB PutItem", "chat.", "CreateAccessKey", "UpdateAccessKey", "ack "}[rng.IntN(6)]
	if strings.HasSuffix(prefix, "AccessKey") {
		skip = 0
	}
	sprung := make(chan struct{})
	w.onCalls(func(c call) fate {
		if c.by != r || !strings.HasPrefix(c.op, prefix) || c.op == "response_url" { // which leads to whoever took the click
			return passes
		}
		if skip--; skip >= 0 {
			return passes
		}
		w.judged = nil
		close(sprung)
		return verdict
	})
	select {
	case <-sprung:
	case <-time.After(4 * time.Second):
	case <-ctx.Done():
	}
	w.onCalls(nil)
}

// awaitRest waits until there is nothing left to do.
func (w *world) awaitRest(ctx context.Context) error {
	for began := time.Now(); ; {
		left, err := w.left(ctx)
		if on, _ := w.slack.As(approvers[0]).Screen().Channel("on-call"); err == nil && left == nil && len(on.Messages) == 0 {
			left = errors.New("there is no digest")
		}
		if err != nil || left == nil {
			return err
		}
		if time.Since(began) > w.wait() {
			return fmt.Errorf("after %v: %w", time.Since(began).Round(time.Second), left)
		}
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rawTable reads all that a table holds.
func rawTable(ctx context.Context, endpoint, table string) ([]byte, error) {
	var all bytes.Buffer
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(*dynalitetest.AWS(endpoint)), &dynamodb.ScanInput{TableName: &table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			for _, v := range item {
				switch v := v.(type) {
				case *types.AttributeValueMemberS:
					all.WriteString(v.Value + "\n")
				case *types.AttributeValueMemberB:
					all.Write(append(v.Value, '\n'))
				}
			}
		}
	}
	return all.Bytes(), nil
}
