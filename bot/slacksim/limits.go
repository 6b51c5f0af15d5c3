package slacksim

import (
	"math"
	"time"
)

// bucket is a token bucket on the workspace's clock.
type bucket struct {
	tokens float64
	at     time.Time
}

// Tiers of the Web API, in calls a minute. Slack calls them minimums; here they bite
// at once, so that a client meets its limits in a test and not in production.
const (
	tier2   = 20
	tier3   = 50
	tier4   = 100
	special = 600
	posting = 300 // messages a minute to the whole workspace
)

// limited takes one token from the named bucket, which holds burst tokens and refills at
// perMinute. When it is empty the seconds until the next token are returned, rounded up.
func (s *Sim) limited(name string, burst, perMinute float64) (retryAfter int) {
	if s.cfg.Burst < 0 {
		return 0
	}
	now, rate := s.cfg.Now(), perMinute/60
	b := s.limits[name]
	if b == nil {
		b = &bucket{tokens: burst, at: now}
		s.limits[name] = b
	}
	b.tokens = min(burst, b.tokens+max(0, now.Sub(b.at).Seconds())*rate)
	b.at = now
	if b.tokens < 1 {
		return int(math.Ceil((1 - b.tokens) / rate))
	}
	b.tokens--
	return 0
}

// limitedPost is the limit on ways of posting to one channel: one message a second, and
// a short burst.
func (s *Sim) limitedPost(channel string) *apiError {
	if wait := s.limited("channel "+channel, float64(s.cfg.Burst), 60); wait > 0 {
		return &apiError{code: "ratelimited", retryAfter: wait}
	}
	if wait := s.limited("posting", posting, posting); wait > 0 {
		return &apiError{code: "ratelimited", retryAfter: wait}
	}
	return nil
}
