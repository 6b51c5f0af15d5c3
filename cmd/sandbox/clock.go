package main

import (
	"sync/atomic"
	"time"
)

// clock is the one that the app and both simulators go by: the wall clock, set ahead by what has been skipped.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) skip(d time.Duration) { c.ahead.Add(int64(d)) }
