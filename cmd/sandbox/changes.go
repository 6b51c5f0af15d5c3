package main

import "sync"

// changes announces that something of the sandbox's own has changed, as the simulators announce theirs. Make one with newChanges.
type changes struct {
	mu      sync.Mutex
	version uint64
	next    chan struct{}
}

func newChanges() *changes { return &changes{next: make(chan struct{})} }

// touch announces a change.
func (c *changes) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	close(c.next)
	c.next = make(chan struct{})
}

// Changed returns the number of changes so far, and a channel that is closed at the next one.
func (c *changes) Changed() (version uint64, next <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version, c.next
}
