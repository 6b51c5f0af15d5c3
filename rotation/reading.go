package rotation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// A scan of a hundred accounts takes a quarter of an hour, in which the process may be restarted and the lead may change. So what was read
// of an account is kept in the store as soon as it was read to its end, until the scan is through; a scan that finds such readings reads the
// other accounts only. What they say is judged anew: a link, an exemption or a rotation may be another one by then.
//
// Readings are a cache. One that is not whole, cannot be read, is too old or was shortlisted by another policy counts as none, and then the
// account is read: unknown is never empty. A store that keeps none costs calls to AWS and nothing else, so that no failure of it fails a scan.

// resumeWithin is how long after its beginning a scan that was cut off is gone on with. A scan of the largest company fits in several times,
// with restarts; the credential reports that it goes by may be four hours old in any case; and a survey says when its scan began.
const resumeWithin = time.Hour

// maxReading is about how many bytes the sights of one Reading have: well below what one item of DynamoDB takes.
const maxReading = 100 << 10

// Reading is a part of what a scan has read of one account.
type Reading struct {
	Scan    time.Time // when the scan began
	Policy  string    // stands for the policy that the account was shortlisted by, and for who was answerable by the configuration
	Account string
	Turn    string // stands for this one time that the account was read
	Part    int    // of the turn, from 0 on
	Sights  []Sight
	Totals  *Totals // of the account; in the last part, and in no other
}

// Totals is what a scan has counted and not seen in an account that it has read to the end.
type Totals struct {
	Users      int
	ReportMade time.Time
	Unseen     []Unseen
	Ages       []int
}

// Readings keeps parts of scans that are not through.
type Readings interface {
	// KeepReading stores a part. ErrConflict: it is there.
	KeepReading(ctx context.Context, r Reading) error
	// Readings calls fn with all parts, those of a turn one after another and in their order. One that cannot be read is left out, and is an
	// error after all the others.
	Readings(ctx context.Context, fn func(Reading) error) error
	// DropReadings drops all parts, readable or not.
	DropReadings(ctx context.Context) error
}

// resumption is a scan that goes on with what an earlier one has read, and keeps what it reads.
type resumption struct {
	Reading           // what the parts of this scan have in common
	store    Readings // nil: nothing is kept
	log      *slog.Logger
	taken    map[string]Reading // of each account that was read, by its id: its sights and totals
	leftover bool               // there may be parts in the store

	mu   sync.Mutex
	open map[string]*part // of the accounts that are being read
}

// part is one that is being filled.
type part struct {
	Reading
	size int
	lost bool // one before it could not be kept
}

// resume finds out what need not be read. Of one account alone nothing is kept: it is read to its end or not at all.
func (e *Engine) resume(ctx context.Context, accounts []Account) *resumption {
	now := e.now()
	r := &resumption{Reading: Reading{Scan: now, Policy: e.fingerprint()}, log: e.log, taken: map[string]Reading{}, open: map[string]*part{}}
	began, scanned := map[string]time.Time{}, e.people.scannedAt()
	var whole Reading
	err := e.cfg.Store.Readings(ctx, func(p Reading) error {
		r.leftover = true
		if age := now.Sub(p.Scan); age < 0 || age >= resumeWithin || !p.Scan.After(scanned) || p.Policy != r.Policy {
			return nil
		}
		switch {
		case p.Part == 0:
			whole = p
		case p.Turn != whole.Turn || p.Part != whole.Part+1 || whole.Totals != nil:
			whole = Reading{} // a part is missing
			return nil
		default:
			whole.Part, whole.Totals, whole.Sights = p.Part, p.Totals, append(whole.Sights, p.Sights...)
		}
		if whole.Totals != nil && !p.Scan.Before(began[p.Account]) {
			r.taken[p.Account], began[p.Account] = whole, p.Scan
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		e.log.Warn("read what a scan that was cut off has kept", "err", err)
		r.leftover = true
	}
	listed := map[string]bool{}
	for _, a := range accounts {
		listed[a.ID] = true
	}
	maps.DeleteFunc(r.taken, func(id string, _ Reading) bool { return !listed[id] })
	for id := range r.taken {
		if began[id].Before(r.Scan) {
			r.Scan = began[id]
		}
	}
	if len(r.taken) > 0 {
		e.log.Info("goes on with a scan that was cut off", "began", r.Scan, "read", len(r.taken), "of", len(accounts))
	} else {
		r.drop(ctx, e.cfg.Store) // or they would pile up where no scan comes to its end
	}
	if len(accounts) > 1 {
		r.store = e.cfg.Store
	}
	return r
}

// fingerprint stands for all that a shortlist depends on: the policy, and what names somebody answerable without asking anybody.
func (e *Engine) fingerprint() string {
	o := e.cfg.Owners
	sum := sha256.Sum256([]byte(fmt.Sprintf("%+v %q %q %q", e.cfg.Policy, o.Tag, o.Links, o.Groups)))
	return hex.EncodeToString(sum[:8])
}

// keeps tells whether what is read of an account is kept.
func (r *resumption) keeps(account string) bool {
	_, taken := r.taken[account]
	return r.store != nil && !taken
}

// sight adds what was seen of a user to the parts of their account. It is not called twice at the same time.
func (r *resumption) sight(ctx context.Context, seen Sight) {
	account := seen.User.Ref.Account
	if !r.keeps(account) {
		return
	}
	p := r.part(account)
	if size := seen.size(); p.size > 0 && p.size+size > maxReading {
		r.keep(ctx, p)
		p.Part, p.Sights, p.size = p.Part+1, nil, 0
	}
	p.Sights, p.size = append(p.Sights, seen), p.size+seen.size()
}

// part is what is being filled of an account. It is changed by what reads that account alone.
func (r *resumption) part(account string) *part {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.open[account]
	if p == nil {
		p = &part{Reading: r.Reading}
		p.Account, p.Turn = account, rand.Text()
		r.open[account] = p
	}
	return p
}

// read keeps the last part of an account that was read to its end, with which the others count. A crash before it leaves parts that nobody
// takes for the whole.
func (r *resumption) read(ctx context.Context, state AccountState) {
	if !r.keeps(state.ID) {
		return
	}
	p := r.part(state.ID)
	r.mu.Lock()
	delete(r.open, state.ID)
	r.mu.Unlock()
	if state.Err != nil {
		return
	}
	p.Totals = &Totals{Users: state.Users, ReportMade: state.ReportMade, Unseen: state.Unseen, Ages: state.Ages}
	r.keep(ctx, p)
}

func (r *resumption) keep(ctx context.Context, p *part) {
	if p.lost {
		return
	}
	if err := r.store.KeepReading(ctx, p.Reading); err != nil {
		p.lost = true
		if ctx.Err() == nil {
			r.log.Warn("keep what was read", "account", p.Account, "err", err)
		}
	}
}

// through drops what was kept of a scan that is through. If that fails, this process does not go on with it all the same.
func (e *Engine) through(ctx context.Context, r *resumption) {
	e.people.mu.Lock()
	e.people.scanned = e.now()
	e.people.mu.Unlock()
	if r.store != nil {
		r.leftover = true
	}
	r.drop(ctx, e.cfg.Store)
}

func (d *directory) scannedAt() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.scanned
}

func (r *resumption) drop(ctx context.Context, store Readings) {
	if !r.leftover {
		return
	}
	if err := store.DropReadings(ctx); err != nil && ctx.Err() == nil {
		r.log.Warn("drop what was kept of a scan", "err", err)
		return
	}
	r.leftover = false
}

// replay tells what was kept of the account as if it had been read.
func (a *sweep) replay(kept Reading) AccountState {
	t := kept.Totals
	a.state.Users, a.state.ReportMade, a.state.Unseen, a.state.Ages = t.Users, t.ReportMade, t.Unseen, t.Ages
	for _, seen := range kept.Sights {
		if err := a.found(seen); err != nil {
			a.failed.add(err)
		}
	}
	a.state.Err = a.failed.err()
	return a.state
}

// size is about how many bytes a sight has when it is stored.
func (s Sight) size() int {
	const fixed, each = 300, 10
	n := fixed + len(s.User.Ref.Name) + len(s.User.Path) + fixed*len(s.Keys)
	for key, value := range s.User.Tags {
		n += len(key) + len(value) + each
	}
	for _, g := range s.User.Groups {
		n += len(g) + each
	}
	return n
}
