package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
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
// waits pass at once; whatever else there is to do goes on meanwhile.
//
// A workspace takes about fifty edits a minute. So the rotations are spread over several, each with three processes and a table of its
// own.
func TestReplicas(t *testing.T) {
	t.Parallel()
	full := os.Getenv("KEYTURNER_REQUIRE") == "all" && !raceEnabled
	worlds, users, killing := 1, 16, 10*time.Second
	if full {
		worlds, users, killing = 4, 50, 45*time.Second
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
		w.arrivals = killing / time.Duration(users)
		group.Go(func() {
			w.run(t.Context(), func(ctx context.Context) error {
				hurting, enough := context.WithTimeout(ctx, killing)
				defer enough()
				go w.hurt(hurting, rand.New(rand.NewPCG(uint64(i), 3)), full)
				if err := w.playAll(ctx, uint64(i), (*story).part); err != nil {
					return err
				}
				t.Logf("world %d: all is decided after %v", i, time.Since(began).Round(time.Second))
				return w.awaitRest(ctx)
			})
			kills, took := 0, []int{}
			for _, r := range w.replicas {
				kills += r.kills
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

// hurt kills replicas, at random moments and at calls, and has some stop as a deployment does.
func (w *world) hurt(ctx context.Context, rng *rand.Rand, full bool) {
	for {
		pause := 2*time.Second + time.Duration(rng.IntN(4000))*time.Millisecond
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		r := w.replicas[rng.IntN(len(w.replicas))]
		switch rng.IntN(4) {
		case 0:
			r.stop()
		case 1:
			r.kill("at random")
		default:
			w.trap(r, rng)
		}
	}
}

// trap has a replica killed at one of its next calls: whatever it is, or one that writes or changes something.
func (w *world) trap(r *replica, rng *rand.Rand) {
	verdict := []fate{killsFirst, killsAfter}[rng.IntN(2)]
	skip := rng.IntN(20)
	prefix := []string{"", "DynamoDB PutItem", "DynamoDB UpdateItem", "chat.", "CreateAccessKey", "UpdateAccessKey", "ack "}[rng.IntN(7)]
	if prefix == "CreateAccessKey" || prefix == "UpdateAccessKey" {
		skip = 0
	}
	w.onCalls(func(c call) fate {
		if c.by != r || !strings.HasPrefix(c.op, prefix) || c.op == "response_url" { // which leads to whoever took the click
			return passes
		}
		if skip--; skip >= 0 {
			return passes
		}
		w.judged = nil
		return verdict
	})
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
