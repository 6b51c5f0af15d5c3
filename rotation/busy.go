package rotation

import "sync"

// busy runs at most one advance per user at a time in this process, and at most perAccount per account, so that one account which
// hangs holds up nobody else's. Rollbacks, freezes and hand-overs wait for no limit.
type busy struct {
	mu       sync.Mutex
	running  map[string]bool
	accounts map[string]int
	wg       sync.WaitGroup
}

const perAccount = 8

// start runs fn, unless there is no place. If somebody may have wanted the place, it tells freed.
func (b *busy) start(r Rotation, fn, freed func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == nil {
		b.running, b.accounts = map[string]bool{}, map[string]int{}
	}
	id, account := r.User.ID(), r.User.Account
	urgent := r.Stage.urgent() || r.Stage == Delivering
	if b.running[id] || b.accounts[account] >= perAccount && !urgent {
		return // the round that follows the end of another comes back to it
	}
	b.running[id] = true
	b.accounts[account]++
	b.wg.Go(func() {
		defer func() {
			b.mu.Lock()
			full := b.accounts[account] >= perAccount
			delete(b.running, id)
			b.accounts[account]--
			b.mu.Unlock()
			if full {
				freed()
			}
		}()
		fn()
	})
}

func (b *busy) wait() { b.wg.Wait() }
