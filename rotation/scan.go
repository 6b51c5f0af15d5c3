package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// How much a scan does at the same time. What it keeps in memory is bounded by these, by a page of users and by what it finds, and not
// by how many users there are. Within an account the adapter's pace counts; the second number only hides how long an answer takes.
const (
	accountsAtOnce = 16
	lookUpsAtOnce  = 4
	chosenAtOnce   = 64 // users of an account who wait to be looked at: so many that a page of users is seldom kept for them
)

// Scan reads accounts for what there is to find. It changes nothing, in AWS or elsewhere.
//
// The credential report shortlists, in two or three calls for an account of any size. The pages of its users are looked through for those
// shortlisted, and only they are asked for their keys. Where the role may not do one of these, the next best is done, and the account's
// state says what is not seen: without the report every user is asked for their keys, without details the users are listed without tags,
// groups and quarantine, without last uses those are unknown.
type Scan struct {
	Accounts   []Account
	Policy     Policy
	ReportOnly bool               // go by the report, which has no key ids and may be four hours old, and ask for no keys
	Owned      func(User) bool    // tells, without asking anybody, that somebody may be answerable for a user; nil: everybody is owned
	Now        func() time.Time   // nil: time.Now
	Logger     *slog.Logger       // nil: discard
	Kept       map[string]Reading // by account: what was read of it to its end before, so that it is not read; may be nil
	Read       func(AccountState) // called after each account, by any goroutine; nil: not
}

// Sight is one user as a scan saw them, or the root user.
type Sight struct {
	User User
	Root bool
	// Keys are oldest first; those of Root and those known by the report alone have no id. None: all that is known is that there is an active
	// one, and that the user may have no owner.
	Keys []Key
}

// Keyed tells whether a user who is not root has an active key.
func (s Sight) Keyed() bool { return !s.Root && (len(s.Keys) == 0 || worksFor(s.Keys)) }

// Judge names every breach of what a scan has seen of a user. A user whose key AWS has found in public has all those that work named: which
// one it was, AWS tells by mail alone.
func (p Policy) Judge(seen Sight, now time.Time) []Finding {
	if seen.Root {
		return []Finding{{Breach: RootKey, User: seen.User.Ref, Key: seen.Keys[0]}}
	}
	var found []Finding
	for _, k := range seen.Keys {
		if seen.User.Quarantine != "" && k.Status == Active {
			found = append(found, Finding{Breach: Quarantined, User: seen.User.Ref, Key: k})
		}
	}
	return append(found, p.For(seen.User).Findings(seen.User.Ref, seen.Keys, now)...)
}

// Each reads every account and calls found, which is never called twice at the same time, with each user at whom to look. The states
// are in the order of the accounts.
func (s Scan) Each(ctx context.Context, found func(Sight) error) []AccountState {
	if s.Now == nil {
		s.Now = time.Now
	}
	s.Logger = cmp.Or(s.Logger, slog.New(slog.DiscardHandler))
	one := make(chan struct{}, 1) // held while found is called, which may take its time
	inTurn := func(seen Sight) error {
		select {
		case one <- struct{}{}:
			defer func() { <-one }()
			return found(seen)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	states := make([]AccountState, len(s.Accounts))
	next := make(chan int)
	var readers sync.WaitGroup
	for range min(accountsAtOnce, len(s.Accounts)) {
		readers.Go(func() {
			for i := range next {
				a := sweep{Scan: s, account: s.Accounts[i], found: inTurn}
				states[i] = a.run(ctx)
				if s.Read != nil {
					s.Read(states[i])
				}
			}
		})
	}
	for i := range s.Accounts {
		next <- i
	}
	close(next)
	readers.Wait()
	return states
}

// sweep is the scan of one account.
type sweep struct {
	Scan
	account Account
	found   func(Sight) error

	blind    bool                 // there is no report
	bare     bool                 // there are no details
	suspects map[string]ReportRow // by name
	keyed    map[string]struct{}  // the names of the others who have an active key, of whom nothing else is kept

	mu          sync.Mutex
	state       AccountState
	lists, uses grants
	failed      failures
}

// grants counts how often the role might make a call, which may depend on the user, and how often it might not.
type grants struct{ given, denied int }

// hopeless tells that asking once more is of no use.
func (g grants) hopeless() bool { return g.given == 0 && g.denied >= 10 }

// may makes a call unless it is hopeless: then it is denied without asking. One that was throttled to its end is made once more: by then the account
// is asked more slowly.
func may[T any](a *sweep, g *grants, call func() (T, error)) (out T, err error) {
	a.mu.Lock()
	hopeless := g.hopeless()
	a.mu.Unlock()
	if hopeless {
		return out, errHopeless
	}
	if out, err = call(); ClassOf(err) == ClassThrottled {
		out, err = call()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		g.given++
	case ClassOf(err) == ClassDenied:
		g.denied++
	}
	return out, err
}

var errHopeless = &CallError{Op: "ask again for what was denied", Class: ClassDenied, Err: errors.New("not asked")}

func (a *sweep) run(ctx context.Context) AccountState {
	a.state = AccountState{ID: a.account.ID, Name: a.account.Name}
	if kept, ok := a.Kept[a.account.ID]; ok {
		return a.replay(kept)
	}
	err := a.readReport(ctx)
	if err == nil {
		err = a.readUsers(ctx)
	}
	if a.state.Err = errors.Join(err, a.failed.err()); a.state.Err != nil {
		a.Logger.Error("scan account", "account", a.account.ID, "err", a.state.Err)
	}
	if slices.Sort(a.state.Unseen); err != nil && a.state.Users == 0 {
		a.state.Unseen = nil // nothing is seen, which the error says
	}
	return a.state
}

// readReport shortlists, and shows the root user if they have a key.
func (a *sweep) readReport(ctx context.Context) error {
	a.suspects, a.keyed = map[string]ReportRow{}, map[string]struct{}{}
	var root *ReportRow
	strict := a.Policy.strictest(a.account.ID)
	ages := make([]int, len(a.Policy.Bands())+1)
	made, err := a.account.IAM.Report(ctx, func(row ReportRow) error {
		for _, k := range row.Keys {
			if k.Active && !k.Rotated.IsZero() {
				ages[a.Policy.band(a.Now().Sub(k.Rotated))]++
			}
		}
		switch {
		case row.Root:
			root = &row
		case strict.Suspicious(row, a.Now()):
			a.suspects[row.User] = row
		case a.Owned != nil && slices.ContainsFunc(row.Keys, func(k ReportKey) bool { return k.Active }):
			a.keyed[strings.Clone(row.User)] = struct{}{}
		}
		return nil
	})
	if err != nil && ClassOf(err) == ClassDenied && !a.ReportOnly {
		a.blind = true
		a.suspects = nil
		a.misses(RootUnseen)
		return nil
	}
	if err != nil {
		return err
	}
	a.state.ReportMade, a.state.Ages = made, ages
	if root == nil {
		return nil
	}
	seen := Sight{User: User{Ref: UserRef{Account: a.account.ID, Name: root.User}}, Root: true}
	for _, k := range root.Keys {
		if k.Active {
			seen.Keys = append(seen.Keys, k.key())
		}
	}
	if len(seen.Keys) == 0 {
		return nil
	}
	return a.found(seen)
}

// key is what the report tells of a key.
func (k ReportKey) key() Key {
	status := Inactive
	if k.Active {
		status = Active
	}
	return Key{Status: status, Created: k.Rotated, LastUse: k.LastUse}
}

// readUsers looks through the pages of users and has those shortlisted looked at meanwhile.
func (a *sweep) readUsers(ctx context.Context) error {
	chosen := make(chan User, chosenAtOnce)
	var lookers sync.WaitGroup
	for range lookUpsAtOnce {
		lookers.Go(func() {
			for u := range chosen {
				if err := a.look(ctx, u); err != nil {
					a.fails(err)
				}
			}
		})
	}
	err := a.eachUser(ctx, func(u User) error {
		a.state.Users++
		u.Untold = a.bare
		row, suspect := a.suspects[u.Ref.Name]
		if !a.blind && u.Quarantine == "" && (!suspect || !a.Policy.For(u).Suspicious(row, a.Now())) {
			_, keyed := a.keyed[u.Ref.Name]
			return a.stray(u, keyed || worksFor(reported(row))) // nothing else to look at, or newer than the report
		}
		select {
		case chosen <- u:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(chosen)
	lookers.Wait()
	return err
}

// eachUser lists the users with their details, or without where those are denied from the first page on.
func (a *sweep) eachUser(ctx context.Context, each func(User) error) error {
	begun := false
	err := a.account.IAM.Details(ctx, func(u User) error {
		begun = true
		return each(u)
	})
	if err == nil || begun || ClassOf(err) != ClassDenied {
		return err
	}
	a.bare = true
	if err := a.account.IAM.Names(ctx, each); err != nil {
		return err
	}
	a.misses(TraitsUnseen)
	return nil
}

// look reads one user's keys and shows them. A user deleted a moment ago is not there.
func (a *sweep) look(ctx context.Context, u User) error {
	row := a.suspects[u.Ref.Name]
	keys, err := a.keys(ctx, u, row)
	if err != nil && ClassOf(err) == ClassGone {
		return nil
	}
	var problem error
	if err != nil {
		problem = err
		if ClassOf(err) == ClassDenied {
			a.misses(KeysUnseen)
			keys = reported(row)
		}
	}
	if len(keys) == 0 || a.blind && !a.Policy.For(u).Suspicious(rowOf(keys), a.Now()) && u.Quarantine == "" {
		return errors.Join(problem, a.stray(u, worksFor(keys)))
	}
	if a.bare {
		if u, err = a.dress(ctx, u); err != nil {
			return errors.Join(problem, err)
		}
	}
	u.Console = row.Console
	return errors.Join(problem, a.found(Sight{User: u, Keys: keys}))
}

// stray shows a user with an active key for whom nobody may be answerable, and at whom there is no other reason to look. Of one whose tags are
// not known nothing follows, and asking for those of each would be a call for each.
func (a *sweep) stray(u User, keyed bool) error {
	if !keyed || a.Owned == nil || u.Untold || a.Owned(u) {
		return nil
	}
	return a.found(Sight{User: u})
}

// reported is the keys of which the report tells a date, oldest first.
func reported(row ReportRow) []Key {
	var keys []Key
	for _, k := range row.Keys {
		if !k.Rotated.IsZero() || !k.Active {
			keys = append(keys, k.key())
		}
	}
	slices.SortStableFunc(keys, func(a, b Key) int { return a.Created.Compare(b.Created) })
	return keys
}

// rowOf is what a report would tell at the least of keys that are known otherwise.
func rowOf(keys []Key) ReportRow {
	var row ReportRow
	for _, k := range keys {
		row.Keys = append(row.Keys, ReportKey{Active: k.Status == Active, Rotated: k.Created, LastUse: k.LastUse})
	}
	return row
}

// keys reads a user's keys with their last uses; without a report only those that are worth it.
func (a *sweep) keys(ctx context.Context, u User, row ReportRow) ([]Key, error) {
	if a.ReportOnly {
		keys := reported(row)
		if len(keys) < len(row.Keys) {
			return keys, fmt.Errorf("read the report: it has no date of an active key of %s", u.Ref)
		}
		return keys, nil
	}
	keys, err := may(a, &a.lists, func() ([]Key, error) { return a.account.IAM.Keys(ctx, u.Ref.Name) })
	if err != nil || a.blind && !a.Policy.For(u).Suspicious(rowOf(keys), a.Now()) && u.Quarantine == "" {
		return keys, err
	}
	for i, k := range keys {
		use, err := a.lastUse(ctx, k.ID)
		if err != nil && ClassOf(err) != ClassGone {
			a.fails(err)
		}
		keys[i].LastUse = use
	}
	return keys, nil
}

// lastUse asks for a last use. Where that is denied it is unknown, which is not unused.
func (a *sweep) lastUse(ctx context.Context, id KeyID) (LastUse, error) {
	use, err := may(a, &a.uses, func() (LastUse, error) { return a.account.IAM.LastUse(ctx, id) })
	if err != nil && ClassOf(err) == ClassDenied {
		a.misses(LastUseUnseen)
		return LastUse{}, nil
	}
	return use, err
}

// dress asks for the tags of a user who was listed without: without them nobody knows the owner.
func (a *sweep) dress(ctx context.Context, u User) (User, error) {
	full, err := a.account.IAM.User(ctx, u.Ref.Name)
	switch {
	case err == nil:
		return full, nil
	case ClassOf(err) == ClassDenied:
		a.misses(TagsUnseen)
		return u, nil
	case ClassOf(err) == ClassGone:
		return u, nil
	}
	return u, err
}

func (a *sweep) misses(what Unseen) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.state.Unseen, what) {
		a.state.Unseen = append(a.state.Unseen, what)
	}
}

func (a *sweep) fails(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed.add(err)
}

// failures are errors of which the first few are kept, and the others counted.
type failures struct {
	first []error
	more  int
}

func (f *failures) add(err error) {
	const kept = 3
	if len(f.first) == kept {
		f.more++
		return
	}
	f.first = append(f.first, err)
}

func (f *failures) err() error {
	if f.more > 0 {
		return errors.Join(append(slices.Clone(f.first), fmt.Errorf("and %d failures more", f.more))...)
	}
	return errors.Join(f.first...)
}
