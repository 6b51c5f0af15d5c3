package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// barAfter is how long a scan takes before a bar shows that it goes on; barEvery how often the bar is drawn.
const (
	barAfter = time.Second
	barEvery = 200 * time.Millisecond
	barWidth = 30
)

// bar shows on a terminal how far a scan is. On anything else it writes nothing.
type bar struct {
	out  io.Writer // nil: nobody watches
	stop chan struct{}
	done sync.WaitGroup

	mu        sync.Mutex
	read, all int
}

// newBar starts a bar if w is a terminal. End it.
func newBar(w io.Writer) *bar {
	b := &bar{stop: make(chan struct{})}
	if onTerminal(w) {
		b.out = w
		b.done.Go(b.draw)
	}
	return b
}

func (b *bar) show(read, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read, b.all = max(b.read, read), all
}

func (b *bar) draw() {
	began, drawn := time.Now(), false
	tick := time.NewTicker(barEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			if drawn {
				fmt.Fprint(b.out, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
		if time.Since(began) >= barAfter {
			drawn = true
			fmt.Fprint(b.out, "\r\x1b[K"+b.text(time.Since(began)))
		}
	}
}

// text is the bar, such as "[######------] 12 of 24 accounts read, 41s".
func (b *bar) text(since time.Duration) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == 0 {
		return fmt.Sprintf("reading accounts, %s", since.Round(time.Second))
	}
	full := barWidth * b.read / b.all
	return fmt.Sprintf("[%s%s] %d of %d accounts read, %s", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), b.read, b.all, since.Round(time.Second))
}

// end takes the bar away.
func (b *bar) end() {
	close(b.stop)
	b.done.Wait()
}
