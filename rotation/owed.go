package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Many keys of one owner that fall due in the same scan are told in one message, and so is whatever is passed on to the same people. Each
// user's document has its own notices. One of the documents tells them all: it is written last, and has the ids of the others.

// How many warnings an owner gets by themselves, how many one message is about, and how many are passed on in a day: they are looked
// through by people. The others follow on the next day.
const (
	maxSingly = 3
	maxListed = 100
	maxPassed = 100
)

// owed is what is due about a finding.
type owed struct {
	Finding
	kinds        []NoticeKind
	on           time.Time // until when the owner was given time to act; zero: they are given it now
	mine, others *list     // where the owner is told, and others are
}

// warn writes what the survey found into the users' progress: a document for each user with a finding, so that a button can name it,
// and the notices that are owed. A crash between two of its writes leaves some users warned; the next survey warns the others, and none twice.
// What was to be told by a document that was not written any more comes by itself, some minutes later.
func (e *Engine) warn(ctx context.Context, s Survey) error {
	at := e.now()
	due, err := e.owing(ctx, s, at)
	errs := []error{err}
	e.together(ctx, due)
	for i, o := range due {
		if err := e.writeOwed(ctx, o, at, i); err != nil {
			errs = append(errs, fmt.Errorf("note finding on %s: %w", o.User, err))
		}
	}
	return errors.Join(errs...)
}

// owing finds out what is due, without writing.
func (e *Engine) owing(ctx context.Context, s Survey, at time.Time) ([]owed, error) {
	var errs []error
	var due []owed
	passed := 0
	for _, f := range s.Findings {
		if f.Breach == RootKey || f.Breach == StuckRotation || f.Breach == Unowned { // no button is about these, and nobody is warned of them
			continue
		}
		p, err := e.Get(ctx, f.User.ID())
		fresh := errors.Is(err, ErrNotFound)
		if err != nil && !fresh {
			errs = append(errs, fmt.Errorf("note finding on %s: %w", f.User, err))
			continue
		}
		o := owed{Finding: f}
		if n := p.owe(f, at); n > 0 {
			for _, n := range p.Notices[len(p.Notices)-n:] {
				o.kinds, o.on = append(o.kinds, n.Kind), n.On
			}
		}
		if slices.Contains(o.kinds, PassedOn) {
			if passed++; passed > maxPassed {
				o.kinds = nil
			}
		}
		if len(o.kinds) > 0 || fresh {
			due = append(due, o)
		}
	}
	if passed > 0 && !e.passesToday(ctx, at) {
		due = slices.DeleteFunc(due, func(o owed) bool { return slices.Contains(o.kinds, PassedOn) })
	}
	return due, errors.Join(errs...)
}

// passesToday tells whether this scan is the one of the day that passes on. A crash after its claim, which keeps the day alone, leaves what it
// would have passed on to the next day.
func (e *Engine) passesToday(ctx context.Context, at time.Time) bool {
	day := at.In(cmp.Or(e.cfg.Location, time.UTC)).Format(time.DateOnly)
	c, err := e.cfg.Store.Claimed(ctx, passedClaim)
	if errors.Is(err, ErrNotFound) {
		c, err = Claim{Name: passedClaim}, nil
	}
	if err == nil && c.Note == day {
		return false
	}
	if c.Note = day; err == nil {
		_, err = e.cfg.Store.Claim(ctx, c)
	}
	if err != nil && !errors.Is(err, ErrConflict) {
		e.log.Error("claim what is passed on today", "err", err)
	}
	return err == nil
}

const passedClaim = "passed-on"

// list is what goes to the same people.
type list struct {
	ids     []string // of the documents with their notices
	notices int
	last    int    // which of what is owed is written last
	teller  string // the id of its document
	told    bool   // in one message
	zone    *time.Location
	from    time.Time // when they are at work; zero: now
	latest  time.Time // when that is of all that is on it
}

// opens is when they may be told of what is not to be told before a time.
func (l *list) opens(at, on time.Time) time.Time {
	if !on.After(at) {
		return l.from
	}
	return later(l.from, atWork(on.In(l.zone)))
}

// together finds what goes to the same owner, and what is passed on to the same people.
func (e *Engine) together(ctx context.Context, due []owed) {
	lists, at := map[string]*list{}, e.now()
	join := func(name string, i int, told bool, to MemberID) *list {
		l := lists[name]
		if l == nil || l.notices >= maxListed {
			l = &list{told: told, zone: e.zone(ctx, to)}
			if from := atWork(at.In(l.zone)); from.After(at) {
				l.from = from
			}
			lists[name] = l
		}
		if id := due[i].User.ID(); !slices.Contains(l.ids, id) {
			l.ids = append(l.ids, id)
		}
		l.latest = later(l.latest, l.opens(at, due[i].on))
		l.notices, l.last, l.teller = l.notices+1, i, due[i].User.ID()
		l.told = l.told || l.notices > maxSingly
		return l
	}
	for i, o := range due {
		passed := slices.Contains(o.kinds, PassedOn)
		if passed {
			due[i].others = join("others "+o.Beyond.String(), i, true, "")
		}
		if len(o.kinds) > 0 {
			due[i].mine = join("owner "+string(o.Owner), i, false, o.Owner)
		}
	}
}

// stamp notes on the notice of what is owed i-th when and where it is told.
func (o owed) stamp(n *Notice, i int) {
	l := o.mine
	if n.Kind == PassedOn {
		l = o.others
	}
	if n.From = l.opens(n.Due, n.On); l.told {
		n.From = l.latest // in one message, and nobody's time to act ends with another's
	}
	if n.Kind == LastWarning {
		n.On = afterWork(later(n.Due, n.From).In(l.zone), lastCallFor)
	}
	if !l.told {
		return
	}
	if n.In = l.teller; l.last == i {
		n.Among = l.ids
	}
}

// writeOwed writes what is owed i-th, unless it is not due any more.
func (e *Engine) writeOwed(ctx context.Context, o owed, at time.Time, i int) error {
	for {
		p, err := e.Get(ctx, o.User.ID())
		isNew := errors.Is(err, ErrNotFound)
		if isNew {
			p, err = Progress{User: o.User}, nil
		}
		if err != nil {
			return err
		}
		if !p.take(o, at, i) && !isNew {
			return nil
		}
		_, err = e.put(ctx, p, isNew)
		if !errors.Is(err, ErrConflict) {
			e.feed.add(o.User.ID())
			return err
		}
	}
}

// take adds the notices that are owed, as far as they are due still.
func (p *Progress) take(o owed, at time.Time, i int) bool {
	n := p.owe(o.Finding, at)
	added := p.Notices[len(p.Notices)-n:]
	p.Notices = p.Notices[:len(p.Notices)-n]
	for _, x := range added {
		if !slices.Contains(o.kinds, x.Kind) {
			continue
		}
		o.stamp(&x, i)
		p.Notices = append(p.Notices, x)
		if x.Kind == PassedOn {
			p.log(Entry{
				At: at, Actor: TheClock.String(), Action: "pass-on", Outcome: "moved", User: p.User.String(), Key: x.Key,
				Detail: "to " + cmp.Or(Circle{Members: x.To}.String(), "on-call") + ": " + string(x.Owner) + " has not acted on the last warning",
			})
		}
	}
	return n > 0
}

// Listed is a notice that is told in one message with others, and the progress that it is of.
type Listed struct {
	Progress Progress
	Notice   Notice
}

// Listed gathers what is told in the same message as n, a notice of the document that tells it.
func (e *Engine) Listed(ctx context.Context, n Notice) ([]Listed, error) {
	var all []Listed
	for _, id := range n.Among {
		p, err := e.Get(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("gather what is told together: %w", err)
		}
		for _, m := range p.Notices {
			if m.with(n) {
				all = append(all, Listed{p, m})
			}
		}
	}
	return all, nil
}

// with tells whether a notice that waits is told in the same message as another one.
func (n Notice) with(o Notice) bool {
	return n.Waits() && n.In == o.In && n.Due.Equal(o.Due) && (n.Kind == PassedOn) == (o.Kind == PassedOn)
}

// Carried tells whether the document that should tell a notice together with others still does.
func (e *Engine) Carried(ctx context.Context, n Notice) (bool, error) {
	p, err := e.Get(ctx, n.In)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for what is told together: %w", err)
	}
	return slices.ContainsFunc(p.Notices, func(m Notice) bool { return len(m.Among) > 0 && m.with(n) }), nil
}

// ByItself has a notice be told alone that no other document tells.
func (p *Progress) ByItself(n Notice) {
	p.Notices = slices.Clone(p.Notices)
	for i, m := range p.Notices {
		if m.with(n) && m.Key == n.Key {
			p.Notices[i].In, p.Notices[i].Among = p.User.ID(), []string{p.User.ID()}
		}
	}
}

// Drop takes back a notice that waits.
func (p *Progress) Drop(n Notice) {
	p.Notices = slices.DeleteFunc(slices.Clone(p.Notices), func(m Notice) bool {
		return m.Waits() && m.Kind == n.Kind && m.Key == n.Key && m.Days == n.Days
	})
}

// ListTold notes that the notices that are told together with n have been, or why they cannot be. What somebody has seen to meanwhile goes.
func (p *Progress) ListTold(n Notice, at time.Time, failed string) {
	p.Notices = slices.DeleteFunc(slices.Clone(p.Notices), func(m Notice) bool {
		began, _ := p.seenTo(m.Key)
		return m.with(n) && began.After(m.Due)
	})
	for i, m := range p.Notices {
		if !m.with(n) {
			continue
		}
		if m.Among = nil; failed == "" {
			m.Sent = at
		} else {
			m.Failed = failed
		}
		p.Notices[i] = m
	}
}

// Warned are the times at which the owner has been warned of the key since somebody has last seen to it. unreached tells that Slack did not take
// one of the warnings.
func (l Listed) Warned() (at []time.Time, unreached bool) {
	began, _ := l.Progress.seenTo(l.Notice.Key)
	for _, n := range l.Progress.Notices {
		told := n.told()
		if n.Key != l.Notice.Key || n.Owner != l.Notice.Owner || n.Kind == PassedOn || n.Kind == OwnerTold || told.IsZero() || !told.After(began) {
			continue
		}
		at, unreached = append(at, told), unreached || n.Failed != ""
	}
	return at, unreached
}
