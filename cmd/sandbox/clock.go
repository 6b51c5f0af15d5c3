package main

import (
	"sync/atomic"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// clock is the one that the app and both simulators go by: the wall clock, set ahead by what has been skipped.
type clock struct{ ahead atomic.Int64 }

// newClock begins at a time. Zero is now, or when people are at work next: at other times owners are not warned, and there would be little
// to see.
func newClock(at time.Time) *clock {
	var c clock
	if at.IsZero() {
		for at = time.Now(); !atWork(at); {
			at = at.Truncate(time.Hour).Add(time.Hour)
		}
	}
	c.skip(time.Until(at))
	return &c
}

// atWork tells whether people in the sandbox are at work, for some hours more.
func atWork(t time.Time) bool {
	if zone, err := time.LoadLocation("Europe/Vienna"); err == nil {
		t = t.In(zone)
	}
	weekend := t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
	return !weekend && t.Hour() >= rotation.WorkBegins && t.Hour() < rotation.WorkEnds-2
}

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) skip(d time.Duration) { c.ahead.Add(int64(d)) }
