package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Trail is an account's history of calls, which AWS keeps in each region for itself.
type Trail interface {
	// Calls lists calls that a key has signed in a region, the latest first. More tells that there are earlier ones that it did not read.
	// What it had read before an error it returns with it.
	Calls(ctx context.Context, region string, key KeyID) (calls []Call, more bool, err error)
}

// Call is one call that a key has signed, as the trail has it. Its words come from outside: anybody with the key chooses the agent.
type Call struct {
	At      time.Time
	Service string // such as "ec2"
	Name    string // such as "DescribeInstances"
	Agent   string // the User-Agent of who called
	Address string // the IP address of who called, or the AWS service that did
}

// Trace is who has used a rotation's old key, as far as the trail tells: what helps to find a forgotten application. It proves use and never
// that there is none, so no gate looks at it.
type Trace struct {
	At      time.Time // when the trail was read; zero: it has not been
	Callers []Caller  // the latest first, at most maxCallers
	More    int       // callers that are left out, none of which called later
	Regions []string  // that were asked for
	Partly  []string  // regions of which only the latest calls were read
	Unread  []Unread  // regions that could not be read
}

// Caller is what makes the same kind of calls from the same place: very likely one application.
type Caller struct {
	Service string
	Agent   string
	Address string
	Calls   int      // as far as they were read
	Names   []string // of the calls, the latest first, at most maxNames
	Regions []string // of the calls, at most maxPlaces
	Last    time.Time
}

// Unread is a region that could not be read, and why.
type Unread struct {
	Region string
	Class  Class
}

// What is kept of a trace is bounded: it stands in the document and on a card.
const (
	maxCallers = 8
	maxNames   = 3
	maxPlaces  = 3  // regions of one caller
	maxWord    = 48 // bytes of a service, a name, a region or an address
	maxAgent   = 96 // bytes of an agent
)

// Words of an agent, by their beginnings, that differ from call to call of one application or tell nothing of it: which features of the SDK
// a call uses, and of which parts the SDK is made (https://docs.aws.amazon.com/sdkref/latest/guide/feature-application-id.html). What is left
// tells the program, its language, and where it runs, as in exec-env/AWS_ECS_FARGATE.
var fleeting = []string{"m/", "md/", "ft/", "cfg/", "ua/", "api/", "command/", "prompt/", "Botocore/"}

// steady is an agent without those.
func steady(agent string) string {
	words := slices.DeleteFunc(strings.Fields(agent), func(w string) bool {
		return slices.ContainsFunc(fleeting, func(f string) bool { return strings.HasPrefix(w, f) })
	})
	return clipTo(strings.Join(words, " "), maxAgent)
}

// gather groups calls by who seems to have made them.
func gather(calls map[string][]Call) (callers []Caller, more int) {
	type identity struct{ service, agent, address string }
	found := map[identity]*Caller{}
	named := map[*Caller]map[string]time.Time{}
	for region, cs := range calls {
		for _, c := range cs {
			id := identity{clipTo(c.Service, maxWord), steady(c.Agent), clipTo(c.Address, maxWord)}
			g := found[id]
			if g == nil {
				g = &Caller{Service: id.service, Agent: id.agent, Address: id.address}
				found[id], named[g] = g, map[string]time.Time{}
			}
			g.Calls++
			g.Last = later(g.Last, c.At)
			name := clipTo(c.Name, maxWord)
			named[g][name] = later(named[g][name], c.At)
			if !slices.Contains(g.Regions, region) {
				g.Regions = append(g.Regions, region)
			}
		}
	}
	for _, g := range found {
		for name := range named[g] {
			g.Names = append(g.Names, name)
		}
		at := named[g]
		slices.SortFunc(g.Names, func(a, b string) int { return cmp.Or(at[b].Compare(at[a]), cmp.Compare(a, b)) })
		g.Names = slices.Clone(g.Names[:min(len(g.Names), maxNames)])
		slices.Sort(g.Regions)
		g.Regions = slices.Clone(g.Regions[:min(len(g.Regions), maxPlaces)])
		callers = append(callers, *g)
	}
	slices.SortFunc(callers, func(a, b Caller) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Agent, b.Agent),
			cmp.Compare(a.Address, b.Address))
	})
	if more = len(callers) - maxCallers; more > 0 {
		return slices.Clone(callers[:maxCallers]), more
	}
	return callers, 0
}

// How often the trail is read for one rotation: by itself when a look finds the old key in use, and when somebody asks. The trail itself shows
// a call up to a quarter of an hour late, and AWS answers two questions a second for all rotations of an account.
const (
	traceEvery = 3 * time.Hour
	traceAgain = 2 * time.Minute
	traceTime  = 40 * time.Second // for all regions, which are read at the same time
)

// traces tells whether an account has a trail that may be read.
func (a Account) traces() bool { return a.Trail != nil && len(a.Regions) > 0 }

// readTrail reads all regions of an account. It does not fail: what could not be read is named.
func (e *Engine) readTrail(ctx context.Context, a Account, key KeyID) Trace {
	ctx, cancel := context.WithTimeout(ctx, traceTime)
	defer cancel()
	t := Trace{Regions: slices.Clone(a.Regions)}
	calls := map[string][]Call{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, region := range a.Regions {
		wg.Go(func() {
			found, more, err := a.Trail.Calls(ctx, region, key)
			mu.Lock()
			defer mu.Unlock()
			calls[region] = found
			switch {
			case err != nil:
				e.log.Warn("a region's history of calls could not be read, which is not the same as no use", "key", key, "region", region, "err", err)
				t.Unread = append(t.Unread, Unread{region, ClassOf(err)})
			case more:
				t.Partly = append(t.Partly, region)
			}
		})
	}
	wg.Wait()
	slices.Sort(t.Partly)
	slices.SortFunc(t.Unread, func(a, b Unread) int { return cmp.Compare(a.Region, b.Region) })
	t.Callers, t.More = gather(calls)
	t.At = e.now()
	return t
}

// StillUsed tells whether a look has found that the old key is in use.
func (p Proof) StillUsed() bool {
	return slices.ContainsFunc(p.Missing, func(b Block) bool { return b.Code == OldUsed })
}

// traceDue tells whether the trail is to be read without anybody asking.
func (e *Engine) traceDue(r Rotation, now time.Time) bool {
	stale := r.Trace.At.IsZero() || !now.Before(r.Trace.At.Add(traceEvery))
	return e.account(r.User.Account).traces() && r.Proof.StillUsed() && stale
}

// traceByItself reads the trail after a look that has found the old key in use. A crash before its write leaves it to the next look.
func (e *Engine) traceByItself(ctx context.Context, r Rotation) {
	if !e.traceDue(r, e.now()) {
		return
	}
	if err := e.keepTrace(ctx, r, e.readTrail(ctx, e.account(r.User.Account), r.Old), TheEngine); err != nil {
		e.log.Warn("keep who uses the old key", "rotation", r.ID, "err", err)
	}
}

// keepTrace notes what the trail told, unless somebody has read it later or the rotation is over, and who asked. It is no move: the turn stays.
func (e *Engine) keepTrace(ctx context.Context, r Rotation, t Trace, by Actor) error {
	_, err := e.update(ctx, r.User.ID(), func(p *Progress) error {
		cur, ok := p.Find(r.ID)
		if !ok {
			return fmt.Errorf("note who uses the old key of %s: %w", r.ID, ErrConflict)
		}
		if !cur.Ended() && t.At.After(cur.Trace.At) {
			cur.Trace, p.Owed = t, true
		}
		if by.Member != "" {
			p.log(Entry{
				At: e.now(), Actor: by.String(), Action: "trace", Outcome: "moved", User: p.User.String(), Rotation: r.ID,
				From: cur.Stage, To: cur.Stage, Key: cur.Old,
			})
		}
		return nil
	})
	return err
}

// Trace reads who uses the old key of a rotation, for its owner, who asked for it, those who may approve, and on-call. The turn of the
// reference does not matter, since nothing is decided. What was read a moment ago is not read again. A crash before its write leaves the
// question without an answer.
func (e *Engine) Trace(ctx context.Context, ref Ref, by Actor) (Rotation, error) {
	p, r, err := e.traceable(ctx, ref, by)
	if err != nil {
		return r, e.refused(ctx, p.User, ref.UserDoc(), Entry{Actor: by.String(), Action: "trace", Rotation: ref.ID}, err)
	}
	if r.Trace.At.IsZero() || !e.now().Before(r.Trace.At.Add(traceAgain)) {
		r.Trace = e.readTrail(ctx, e.account(r.User.Account), r.Old)
	}
	return r, e.keepTrace(ctx, r, r.Trace, by)
}

// TraceKey reads who uses a key of an account, whatever rotation it has to do with. It is zero where the trail is not read.
func (e *Engine) TraceKey(ctx context.Context, account string, key KeyID) Trace {
	a := e.account(account)
	if !a.traces() || key == "" {
		return Trace{}
	}
	return e.readTrail(ctx, a, key)
}

// traceable finds the rotation whose old key somebody asks about, or says why they are not told.
func (e *Engine) traceable(ctx context.Context, ref Ref, by Actor) (Progress, Rotation, error) {
	p, err := e.cfg.Store.Get(ctx, ref.UserDoc())
	if errors.Is(err, ErrNotFound) {
		return p, Rotation{}, &Refusal{Code: Outdated}
	}
	if err != nil {
		return p, Rotation{}, fmt.Errorf("read rotation %s: %w", ref.ID, err)
	}
	found, ok := p.Find(ref.ID)
	if !ok {
		return p, Rotation{}, &Refusal{Code: Outdated, User: p.User}
	}
	r := *found
	refusal := &Refusal{User: p.User, Rotation: &r, By: r.Owner}
	told, err := e.involved(ctx, r, by)
	switch {
	case !told && err != nil:
		refusal.Code, refusal.Err = GroupUnread, err
	case !told:
		refusal.Code = NotInvolved
	case r.Ended():
		refusal.Code = HasEnded
	case !e.account(r.User.Account).traces():
		refusal.Code = NoTrail
	default:
		return p, r, nil
	}
	return p, r, refusal
}

// involved tells whether somebody has to do with a rotation: as its owner or of the group that owns the user, as who asked for it, as who
// may approve, or as on-call.
func (e *Engine) involved(ctx context.Context, r Rotation, by Actor) (bool, error) {
	if by.Member == "" || by.OnCall || by.Member == r.Owner || by.Member == r.Requester {
		return by.Member != "", nil
	}
	circle := e.approvals.ForRotation(r).By.and(e.approvals.Default().By)
	may, err := e.within(ctx, circle, by.Member)
	if may || r.Group == "" {
		return may, err
	}
	fellow, groupErr := e.inGroup(ctx, r.Group, by.Member)
	return fellow, errors.Join(err, groupErr)
}
