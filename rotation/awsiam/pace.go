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
	limiter  *rate.Limiter
	retryer  aws.Retryer
	detached bool
}

// paces makes the three sorts of an account. One retryer serves all calls of a sort, since the SDK's retry quota is in it.
func paces(readsPerSecond, writesPerSecond float64) (reads, writes, creates pace) {
	readTurns := rate.NewLimiter(rate.Limit(readsPerSecond), readBurst)
	writeTurns := rate.NewLimiter(rate.Limit(writesPerSecond), 1)
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
	reads = pace{limiter: readTurns, retryer: charged{retry.NewStandard(standard), readTurns}}
	writes = pace{limiter: writeTurns, retryer: charged{retry.NewStandard(standard, ifThrottled), writeTurns}}
	creates = pace{limiter: writeTurns, retryer: aws.NopRetryer{}, detached: true}
	return reads, writes, creates
}

// charged takes a turn for every retry, without waiting for it: the next call waits instead.
type charged struct {
	aws.RetryerV2
	limiter *rate.Limiter
}

// GetRetryToken is called once before each retry.
func (c charged) GetRetryToken(ctx context.Context, cause error) (release func(error) error, err error) {
	release, err = c.RetryerV2.GetRetryToken(ctx, cause)
	if err == nil {
		c.limiter.Reserve()
	}
	return release, err
}

// begin waits for a turn and starts the call's time limit.
func (p pace) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := p.limiter.Wait(ctx); err != nil {
		return nil, nil, err
	}
	if p.detached {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	return ctx, cancel, nil
}

// operation is a method of the SDK's IAM client.
type operation[In, Out any] func(context.Context, *In, ...func(*iam.Options)) (*Out, error)

// send makes one call at its pace. Its error is a *rotation.CallError for op.
func send[In, Out any](ctx context.Context, p pace, op string, do operation[In, Out], in *In) (*Out, error) {
	ctx, cancel, err := p.begin(ctx)
	if err != nil {
		return nil, failure(op, err)
	}
	defer cancel()
	out, err := do(ctx, in, func(o *iam.Options) { o.Retryer = p.retryer })
	if err != nil {
		return nil, failure(op, err)
	}
	return out, nil
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
