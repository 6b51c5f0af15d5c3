package awsiam

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"golang.org/x/time/rate"
)

const (
	// callLimit bounds a call with its retries. The longest backoffs sum up to 16 s, so that a throttled call ends as such.
	callLimit  = 30 * time.Second
	maxBackoff = 5 * time.Second
)

// pace is how calls of one sort are made: how often, with which retries, and whether the caller can stop one that has begun.
type pace struct {
	turns    turns
	retryer  aws.Retryer
	tempo    *tempo // of the turns; nil: it does not change
	detached bool
}

// turns are the limiters that a call needs a turn of, each.
type turns []*rate.Limiter

// paces are the sorts of calls to an account. One retryer serves all calls of a sort, since the SDK's retry quota is in it.
type paces struct {
	reads, writes, creates pace
	lookups                map[string]pace // by region
}

func newPaces(readsPerSecond, writesPerSecond float64, regions []string) paces {
	reading := newTempo(readsPerSecond, readBurst)
	readTurns := turns{reading.Limiter}
	writeTurns := turns{rate.NewLimiter(rate.Limit(writesPerSecond), 1)}
	standard := func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.MaxBackoff = maxBackoff
	}
	ifThrottled := func(o *retry.StandardOptions) {
		o.Retryables = []retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes},
		}
	}
	lookups := map[string]pace{}
	for _, region := range regions {
		lookupTurns := append(turns{rate.NewLimiter(lookupsPerSecond, 1)}, readTurns...)
		lookups[region] = pace{turns: lookupTurns, retryer: charged{retry.NewStandard(standard), lookupTurns, nil}}
	}
	return paces{
		reads:   pace{turns: readTurns, retryer: charged{retry.NewStandard(standard), readTurns, reading}, tempo: reading},
		writes:  pace{turns: writeTurns, retryer: charged{retry.NewStandard(standard, ifThrottled), writeTurns, nil}},
		creates: pace{turns: writeTurns, retryer: aws.NopRetryer{}, detached: true},
		lookups: lookups,
	}
}

// charged takes a turn for every retry, without waiting for it: the next call waits instead.
type charged struct {
	aws.RetryerV2
	turns turns
	tempo *tempo
}

// GetRetryToken is called once before each retry.
func (c charged) GetRetryToken(ctx context.Context, cause error) (release func(error) error, err error) {
	release, err = c.RetryerV2.GetRetryToken(ctx, cause)
	if throttled(cause) {
		c.tempo.slower()
	}
	if err == nil {
		for _, t := range c.turns {
			t.Reserve()
		}
	}
	return release, err
}

// begin waits for a turn and starts the call's time limit.
func (p pace) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for _, t := range p.turns {
		if err := t.Wait(ctx); err != nil {
			return nil, nil, err
		}
	}
	if p.detached {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	return ctx, cancel, nil
}

// paced makes one call at its pace; the caller sees to the retries. Its error is a *rotation.CallError for op.
func paced[Out any](ctx context.Context, p pace, op string, do func(context.Context) (*Out, error)) (*Out, error) {
	ctx, cancel, err := p.begin(ctx)
	if err != nil {
		return nil, failure(op, err)
	}
	defer cancel()
	out, err := do(ctx)
	if throttled(err) {
		p.tempo.slower()
	}
	if err != nil {
		return nil, failure(op, err)
	}
	p.tempo.faster()
	return out, nil
}

// operation is a method of the SDK's IAM client.
type operation[In, Out any] func(context.Context, *In, ...func(*iam.Options)) (*Out, error)

// send makes one call to IAM at its pace and with its retries.
func send[In, Out any](ctx context.Context, p pace, op string, do operation[In, Out], in *In, options ...func(*iam.Options)) (*Out, error) {
	return paced(ctx, p, op, func(ctx context.Context) (*Out, error) {
		return do(ctx, in, append(options, func(o *iam.Options) { o.Retryer = p.retryer })...)
	})
}

// pages calls fetch with the marker of each page of a list, nil for the first. A list that says it goes on, but not where, is an
// error: the SDK's paginators take it for the end.
func pages(op string, fetch func(marker *string) (more bool, next *string, err error)) error {
	var marker *string
	for {
		more, next, err := fetch(marker)
		if err != nil || !more {
			return err
		}
		if aws.ToString(next) == "" || aws.ToString(next) == aws.ToString(marker) {
			return lost(op, "the list goes on, but AWS does not say where")
		}
		marker = next
	}
}
