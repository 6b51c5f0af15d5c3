package awsiam

import (
	"errors"
	"sync"
	"time"

	"github.com/aws/smithy-go"
	"golang.org/x/time/rate"

	"github.com/keyturner/keyturner/rotation"
)

// tempo is a limiter that gives way: AWS publishes no rates, and shares them among all who call in the account. A call that AWS throttles
// halves the rate, at most once a second since calls fail in flocks, down to a fraction of what is configured; each that goes well brings
// a little of it back. The SDK's own adaptive mode, which AWS calls experimental, would know nothing of the turns. Only reads give way: a person waits for
// a write, and there are few.
type tempo struct {
	*rate.Limiter
	most rate.Limit

	mu     sync.Mutex
	slowed time.Time
}

// The least is a fraction of the most, and so is a step, which a call that goes well brings back.
const (
	leastTempo = 1.0 / 40
	tempoStep  = 1.0 / 200
	slowPause  = time.Second
)

func newTempo(perSecond float64, burst int) *tempo {
	return &tempo{Limiter: rate.NewLimiter(rate.Limit(perSecond), burst), most: rate.Limit(perSecond)}
}

func (t *tempo) slower() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.slowed) >= slowPause {
		t.slowed = now
		t.SetLimit(max(t.Limit()/2, t.most*leastTempo))
	}
}

func (t *tempo) faster() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit := t.Limit(); limit < t.most {
		t.SetLimit(min(limit+t.most*tempoStep, t.most))
	}
}

// throttled tells whether AWS answered that there were too many calls.
func throttled(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch api.ErrorCode() {
	case codeReportExpired, codeReportInProgress, codeReportLimit, codeReportNotPresent:
		return false // later may help, but not fewer calls
	}
	return classes[api.ErrorCode()] == rotation.ClassThrottled
}
