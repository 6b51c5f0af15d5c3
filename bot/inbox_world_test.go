package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

const (
	wOwner     = "UOLIVIA"
	wApprover  = "UALICE"
	wApprovals = "CAPPROVALS"
	wOnCall    = "CONCALL"
)

var wUser = rotation.UserRef{Account: "111122223333", Name: "ci-deploy"}

// world is what outlives a process: a workspace, an account with one user, and a store.
type world struct {
	t      *testing.T
	sim    *slacksim.Sim
	kept   *store.Mem
	aws    *account
	shared bool
	olivia *slacksim.Person
	alice  *slacksim.Person

	delivery rotation.Delivery
	sinks    []Sink
	digests  bool         // a digest is due each day
	crowd    rotation.IAM // in place of the account; nil: none is
}

// inWorld runs a test in a bubble with a workspace in which nothing runs yet.
func inWorld(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := slacksim.New(slacksim.Config{Burst: -1})
		for _, id := range []string{wOwner, wApprover, "UBOB"} {
			sim.AddMember(slacksim.Member{ID: id, Name: strings.ToLower(id)})
		}
		sim.AddChannel(slacksim.Channel{ID: wApprovals, Name: "approvals"})
		sim.AddChannel(slacksim.Channel{ID: wOnCall, Name: "on-call"})
		w := &world{
			t: t, sim: sim, kept: store.NewMem(), olivia: sim.As(wOwner), alice: sim.As(wApprover),
			aws: &account{keys: []rotation.Key{{
				ID: "AKIAIOSFODNN7EXA7Q2X", Status: rotation.Active, Created: time.Now().Add(-100 * 24 * time.Hour),
				LastUse: rotation.LastUse{State: rotation.Used, At: time.Now().Add(-2 * time.Hour), Service: "s3"},
			}}},
		}
		test(t, w)
		sim.Close()
		synctest.Wait()
	})
}

// account is an AWS account with one user.
type account struct {
	mu      sync.Mutex
	keys    []rotation.Key
	created int
	reports bool // there is a credential report
	scans   int  // how often it was asked for
	takes   time.Duration
}

var noCall = &rotation.CallError{Op: "look in the trail", Class: rotation.ClassUnknown, Err: errors.New("not here")}

func (a *account) user() rotation.User {
	return rotation.User{Ref: wUser, ID: "AIDAEXAMPLE", Tags: map[string]string{"owner": wOwner}}
}

func (a *account) Users(context.Context) ([]rotation.User, error) {
	return []rotation.User{a.user()}, nil
}

func (a *account) User(context.Context, string) (rotation.User, error) { return a.user(), nil }

func (a *account) Keys(context.Context, string) ([]rotation.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]rotation.Key(nil), a.keys...), nil
}

func (a *account) LastUse(_ context.Context, id rotation.KeyID) (rotation.LastUse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.keys {
		if k.ID == id {
			return k.LastUse, nil
		}
	}
	return rotation.LastUse{State: rotation.NeverUsed}, nil
}

func (a *account) UserOf(context.Context, rotation.KeyID) (string, error) { return wUser.Name, nil }

func (a *account) Report(_ context.Context, each func(rotation.ReportRow) error) (time.Time, error) {
	a.mu.Lock()
	a.scans++
	takes := a.takes
	a.mu.Unlock()
	time.Sleep(takes)
	if !a.reports {
		return time.Time{}, noCall
	}
	row := rotation.ReportRow{User: wUser.Name}
	for _, k := range a.keys {
		row.Keys = append(row.Keys, rotation.ReportKey{Active: k.Status == rotation.Active, Rotated: k.Created, LastUse: k.LastUse})
	}
	return time.Now(), each(row)
}

// slow has each credential report take some time from now on.
func (a *account) slow(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takes = d
}

// counted is how many scans were begun.
func (a *account) counted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.scans
}

func (a *account) Details(_ context.Context, each func(rotation.User) error) error {
	return each(a.user())
}

func (a *account) Names(context.Context, func(rotation.User) error) error { return noCall }

func (a *account) Maker(context.Context, rotation.KeyID, time.Time) (rotation.Maker, error) {
	return "", noCall
}

func (a *account) CreateKey(context.Context, string) (rotation.Key, rotation.Secret, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.created++
	k := rotation.Key{ID: rotation.KeyID(fmt.Sprintf("AKIAJQRSTUVW2EXA9K%02d", a.created)), Status: rotation.Active, Created: time.Now(), LastUse: rotation.LastUse{State: rotation.NeverUsed}}
	a.keys = append(a.keys, k)
	return k, rotation.NewSecret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), nil
}

func (a *account) SetStatus(_ context.Context, _ string, id rotation.KeyID, to rotation.Status) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.keys {
		if a.keys[i].ID == id {
			a.keys[i].Status = to
		}
	}
	return nil
}

func (a *account) DeleteKey(_ context.Context, _ string, id rotation.KeyID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = slices.DeleteFunc(a.keys, func(k rotation.Key) bool { return k.ID == id })
	return nil
}

// process is one run of the bot and its engine. A hook may end it at any call that it makes: from then on nothing of it has any effect.
type process struct {
	rotation.Store
	w      *world
	bot    *Bot
	engine *rotation.Engine
	wrote  ledger
	stop   func()
	done   chan error
	dead   atomic.Bool
	conns  []net.Conn
	mu     sync.Mutex
	// before and after are told of every call that the process makes, such as "store Accept" and "slack views.open"; after, of those that
	// had their effect. An error of before is the call's; one of after is too, and the call has had its effect.
	before, after func(op string) error
	events        map[string]func(context.Context, caller, letter)
}

var errDead = errors.New("this process has been killed")

// boot starts a process. The hooks may be nil.
func (w *world) boot(hooks ...func(*process)) *process {
	w.t.Helper()
	p := &process{Store: w.kept, w: w, done: make(chan error, 2)}
	for _, hook := range hooks {
		hook(p)
	}
	client := &http.Client{Transport: p}
	dialer := w.sim.SocketDialer()
	dialer.NetDialContext = p.dial
	api := slack.New(w.sim.BotToken(), slack.OptionAPIURL("http://slack.test/api/"), slack.OptionAppLevelToken(w.sim.AppToken()), slack.OptionHTTPClient(client))
	people := &People{Slack: api, Approvers: []rotation.MemberID{wApprover, "UBOB"}}
	policy := rotation.Policy{WarnAge: 75 * 24 * time.Hour, MaxAge: 90 * 24 * time.Hour, UnusedAge: 45 * 24 * time.Hour}
	outbox := NewOutbox(OutboxConfig{Slack: api, People: people, Policy: policy})
	var err error
	p.engine, err = rotation.New(rotation.Config{
		Store: p, Hand: outbox, Shared: w.shared, Accounts: []rotation.Account{{ID: wUser.Account, IAM: p.iam(), Delivery: w.delivery}},
		Owners: rotation.Owners{Tag: "owner"}, Approvers: people.Approvers, Policy: policy, Logger: p.wrote.logger(),
		Terms: rotation.Terms{Quiet: time.Hour, Grace: 24 * time.Hour, Expires: 72 * time.Hour, Visible: time.Hour},
	})
	if err == nil {
		later := func(t time.Time) time.Time { return t.Add(1000 * time.Hour) }
		due := later
		if w.digests {
			due = func(t time.Time) time.Time { return t.Truncate(24 * time.Hour).Add(24 * time.Hour) }
		}
		p.bot, err = New(Config{
			Slack: api, Engine: p.engine, Outbox: outbox, People: people, Approvals: wApprovals, OnCall: wOnCall,
			Scan: later, Digest: due, Dialer: dialer, Logger: p.wrote.logger(), Sinks: w.sinks,
			Listing: func(to io.Writer, s rotation.Survey) error {
				_, err := fmt.Fprintf(to, "findings,%d\n", len(s.Findings))
				return err
			},
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	p.bot.events = p.events
	ctx, cancel := context.WithCancel(w.t.Context())
	p.stop = cancel
	go func() { p.done <- p.engine.Run(ctx) }()
	go func() { p.done <- p.bot.Run(ctx) }()
	time.Sleep(apart + time.Second)
	synctest.Wait()
	return p
}

// end stops a process in the orderly way.
func (p *process) end() {
	p.w.t.Helper()
	p.stop()
	for range 2 {
		if err := <-p.done; err != nil && !p.dead.Load() {
			p.w.t.Errorf("the process ended with %v", err)
		}
	}
}

// kill ends a process as SIGKILL does.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead.Store(true)
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// call lets one call through, or not.
func (p *process) call(op string, fn func() error) error {
	if p.dead.Load() {
		return errDead
	}
	if p.before != nil {
		if err := p.before(op); err != nil {
			return err
		}
	}
	if p.dead.Load() {
		return errDead
	}
	err := fn()
	if err == nil && p.after != nil {
		err = p.after(op)
	}
	if p.dead.Load() {
		return errDead
	}
	return err
}

func (p *process) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := p.w.sim.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	if p.dead.Load() {
		_ = c.Close()
	}
	return c, nil
}

// RoundTrip is of http.RoundTripper.
func (p *process) RoundTrip(r *http.Request) (response *http.Response, err error) {
	op := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if strings.HasPrefix(r.URL.Path, "/hooks/") {
		op = "response_url"
	}
	err = p.call("slack "+op, func() error {
		response, err = p.w.sim.HTTPClient().Transport.RoundTrip(r)
		return err
	})
	if err != nil && response != nil {
		_ = response.Body.Close()
		response = nil
	}
	return response, err
}

func called1[T any](p *process, op string, fn func() (T, error)) (out T, err error) {
	err = p.call(op, func() error {
		out, err = fn()
		return err
	})
	return out, err
}

func (p *process) Get(ctx context.Context, id string) (rotation.Progress, error) {
	return called1(p, "store Get", func() (rotation.Progress, error) { return p.Store.Get(ctx, id) })
}

func (p *process) Create(ctx context.Context, v rotation.Progress) (rotation.Progress, error) {
	return called1(p, "store Create", func() (rotation.Progress, error) { return p.Store.Create(ctx, v) })
}

func (p *process) Replace(ctx context.Context, v rotation.Progress) (rotation.Progress, error) {
	return called1(p, "store Replace", func() (rotation.Progress, error) { return p.Store.Replace(ctx, v) })
}

func (p *process) Live(ctx context.Context, fn func(string, uint64) error) error {
	return p.call("store Live", func() error { return p.Store.Live(ctx, fn) })
}

func (p *process) Claimed(ctx context.Context, name string) (rotation.Claim, error) {
	return called1(p, "store Claimed", func() (rotation.Claim, error) { return p.Store.Claimed(ctx, name) })
}

func (p *process) Claim(ctx context.Context, c rotation.Claim) (rotation.Claim, error) {
	return called1(p, "store Claim", func() (rotation.Claim, error) { return p.Store.Claim(ctx, c) })
}

func (p *process) Record(ctx context.Context, key string, e rotation.Entry) error {
	return p.call("store Record", func() error { return p.Store.Record(ctx, key, e) })
}

func (p *process) Accept(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	return called1(p, "store Accept", func() (rotation.Envelope, error) { return p.Store.Accept(ctx, v) })
}

func (p *process) Settle(ctx context.Context, v rotation.Envelope) (rotation.Envelope, error) {
	return called1(p, "store Settle", func() (rotation.Envelope, error) { return p.Store.Settle(ctx, v) })
}

func (p *process) Waiting(ctx context.Context, fn func(rotation.Envelope) error) error {
	return p.call("store Waiting", func() error { return p.Store.Waiting(ctx, fn) })
}

func (p *process) Forget(ctx context.Context, before time.Time) error {
	return p.call("store Forget", func() error { return p.Store.Forget(ctx, before) })
}

func (p *process) KeepReading(ctx context.Context, r rotation.Reading) error {
	return p.call("store KeepReading", func() error { return p.Store.KeepReading(ctx, r) })
}

func (p *process) DropReadings(ctx context.Context) error {
	return p.call("store DropReadings", func() error { return p.Store.DropReadings(ctx) })
}

// mortalIAM is the account as a process sees it.
type mortalIAM struct {
	*account
	p *process
}

func (p *process) iam() rotation.IAM {
	if p.w.crowd != nil {
		return p.w.crowd
	}
	return mortalIAM{p.w.aws, p}
}

func (m mortalIAM) User(ctx context.Context, name string) (rotation.User, error) {
	return called1(m.p, "aws User", func() (rotation.User, error) { return m.account.User(ctx, name) })
}

func (m mortalIAM) Keys(ctx context.Context, user string) ([]rotation.Key, error) {
	return called1(m.p, "aws Keys", func() ([]rotation.Key, error) { return m.account.Keys(ctx, user) })
}

func (m mortalIAM) CreateKey(ctx context.Context, user string) (rotation.Key, rotation.Secret, error) {
	var secret rotation.Secret
	key, err := called1(m.p, "aws CreateKey", func() (k rotation.Key, err error) {
		k, secret, err = m.account.CreateKey(ctx, user)
		return k, err
	})
	return key, secret, err
}

// requested lets the owner ask for a rotation, in a process that then ends, and returns when its card stands in the approvals channel.
func (w *world) requested() {
	w.t.Helper()
	p := w.boot()
	_, err := p.engine.Request(w.t.Context(), rotation.Request{User: wUser, By: rotation.Actor{Member: wOwner}})
	if err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	p.end()
	if _, ok := w.card(); !ok {
		w.t.Fatalf("no card in the approvals channel:\n%s", p.wrote.String())
	}
}

// switching leads a rotation to where the owner has the new key.
func (w *world) switching() {
	w.t.Helper()
	w.requested()
	p := w.boot()
	if err := w.alice.Click(w.t.Context(), approve()); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(time.Minute)
	p.end()
	if r, ok := w.progress().Running(); !ok || r.Stage != rotation.Switching {
		w.t.Fatalf("the rotation is at %v:\n%s", r, p.wrote.String())
	}
}

// card is the newest message of the approvals channel with buttons.
func (w *world) card() (slacksim.Message, bool) {
	c, _ := w.alice.Screen().Channel(wApprovals)
	for _, m := range c.Messages {
		if m.Has(string(rotation.Approve)) {
			return m, true
		}
	}
	return slacksim.Message{}, false
}

// progress is what is stored.
func (w *world) progress() rotation.Progress {
	w.t.Helper()
	p, err := w.kept.Get(w.t.Context(), wUser.ID())
	if err != nil && !errors.Is(err, rotation.ErrNotFound) {
		w.t.Fatal(err)
	}
	return p
}

// moves counts the entries of a move.
func (w *world) moves(on string) (n int) {
	for _, e := range w.progress().Trail {
		if e.Action == on && e.Outcome == "moved" {
			n++
		}
	}
	return n
}

// waiting counts the envelopes that are not done.
func (w *world) waiting() (n int) {
	w.t.Helper()
	err := w.kept.Waiting(w.t.Context(), func(rotation.Envelope) error { n++; return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// told is everything that a person alone was told in a channel.
func told(p *slacksim.Person, channel string) string {
	var all bytes.Buffer
	c, _ := p.Screen().Channel(channel)
	for _, m := range c.Messages {
		if m.Ephemeral {
			all.WriteString(m.Text + "\n")
		}
	}
	return all.String()
}

func approve() slacksim.Target {
	return slacksim.Target{Channel: wApprovals, ActionID: string(rotation.Approve)}
}
