package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/deploy"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
	"github.com/keyturner/keyturner/store"
)

// The places of every world.
const (
	approvals = "C0APPROVAL"
	onCall    = "C0ONCALL01"
	general   = "C0GENERAL1"
	day       = 24 * time.Hour
)

// world is a simulated Slack and a simulated AWS, on real sockets, and the built program as one or more processes that are killed and
// started again.
type world struct {
	t          *testing.T
	slack      *slacksim.Sim
	aws        *iamsim.Sim
	accounts   []*iamsim.Account
	users      []user
	replicas   []*replica
	binary     string
	folder     string
	spec       string        // of the store
	table      string        // DynamoDB's endpoint; empty: the store is a file
	glance     time.Duration // how long people do not look after they looked
	arrivals   time.Duration // from the beginning of one story to that of the next
	logs       locked
	background sync.WaitGroup // people who click beside their story

	kept func() (store.Closer, error) // opens the store from here
	raw  func(context.Context) ([]byte, error)

	mu      sync.Mutex
	judged  func(call) fate // decides about every call; nil: all pass
	faults  []string        // what must never happen and did
	changes []change
	deeds   []deed
	acks    map[*replica]int
	older   map[string]time.Duration // by which a user's document is older when the program starts next
}

// user is an IAM user and who owns it.
type user struct {
	account *iamsim.Account
	name    string
	old     string // the key that its story is about
	owner   string
	way     way
}

// way is how a story begins, by the keys that there are.
type way int

const (
	replaces way = iota // one key, which gets a successor
	adopts              // two keys in use: the newer one is the successor
	retires             // two keys, of which the older one is needed no more
)

func (u user) ref() rotation.UserRef { return rotation.UserRef{Account: u.account.ID(), Name: u.name} }

// change is a call that has changed AWS.
type change struct {
	op, user, key string
}

// approvers decide in every world; they own nothing.
var approvers = []string{"U0DORA0001", "U0EMIL0001", "U0FAYE0001"}

// plan says what a world holds.
type plan struct {
	users, accounts, replicas int
	ways                      []way  // of the users, in turn; nil: all replace
	table                     string // DynamoDB's endpoint
	spec                      string // of the store; empty: a file
	open                      func(spec string) (store.Closer, error)
	raw                       func(context.Context) ([]byte, error) // all that the store holds, as it holds it
}

// program builds the product as it is shipped.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyturner")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return path
}

func newWorld(t *testing.T, binary string, p plan) *world {
	t.Helper()
	manifest, err := deploy.SlackManifest()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, binary: binary, folder: t.TempDir(), table: p.table, spec: p.spec, glance: time.Duration(p.users) * 5 * time.Millisecond, acks: map[*replica]int{},
		// A restart stands for hours here, so Slack's limits on rates would see calls of hours in a minute.
		slack: slacksim.New(slacksim.Config{
			Burst: -1, Scopes: manifest.OAuthConfig.Scopes.Bot, Commands: manifest.Commands(), Events: manifest.Events(),
		}),
		aws: iamsim.New(iamsim.Config{}),
	}
	if w.spec == "" {
		path := filepath.Join(w.folder, "keyturner.db")
		w.spec, p.open = "bolt:"+path, store.Open
		p.raw = func(context.Context) ([]byte, error) { return os.ReadFile(path) }
	}
	w.raw, w.kept = p.raw, func() (store.Closer, error) { return p.open(w.spec) }
	for _, id := range append(slices.Clone(approvers), "U0GUEST001") {
		w.slack.AddMember(slacksim.Member{ID: id, Name: strings.ToLower(id[2:6])})
	}
	for id, name := range map[string]string{approvals: "key-approvals", onCall: "on-call", general: "general"} {
		w.slack.AddChannel(slacksim.Channel{ID: id, Name: name})
	}
	w.seed(p)
	w.configure()
	for i := range p.replicas {
		r := &replica{w: w, name: fmt.Sprintf("replica %d", i+1)}
		server := httptest.NewServer(newDoor(w, r))
		r.url = server.URL
		w.replicas = append(w.replicas, r)
		t.Cleanup(server.Close)
	}
	t.Cleanup(func() {
		for _, r := range w.replicas {
			r.kill("the end")
		}
		w.slack.Close()
		if t.Failed() || os.Getenv("KEYTURNER_LOGS") != "" {
			path := filepath.Join(os.TempDir(), "keyturner-"+t.Name()+"-"+filepath.Base(filepath.Dir(w.folder))+"-"+filepath.Base(w.folder)+".log")
			t.Logf("what the program said is in %s (%v)", path, os.WriteFile(path, w.logs.Bytes(), 0o600))
		}
	})
	return w
}

// seed makes the accounts, of which the first is reached without a role, and spreads the users over them.
func (w *world) seed(p plan) {
	for i := range p.accounts {
		a := w.aws.AddAccount(fmt.Sprintf("%012d", 111122223333+i), fmt.Sprintf("account-%d", i))
		a.AddRole("keyturner", "")
		w.accounts = append(w.accounts, a)
	}
	began := time.Now()
	for i := range p.users {
		u := user{account: w.accounts[i%p.accounts], name: fmt.Sprintf("app-%03d", i), owner: fmt.Sprintf("U0OWNER%03d", i)}
		if len(p.ways) > 0 {
			u.way = p.ways[i%len(p.ways)]
		}
		w.slack.AddMember(slacksim.Member{ID: u.owner, Name: fmt.Sprintf("owner%d", i)})
		u.account.AddUser(iamsim.User{Name: u.name, Created: began.Add(-400 * day), Tags: map[string]string{"slack-user-id": u.owner}})
		u.old = u.account.AddKey(u.name, iamsim.Key{Created: began.Add(-100 * day), LastUsed: began.Add(-50 * day), Service: "s3", Region: "eu-west-1"})
		if u.way != replaces {
			u.account.AddKey(u.name, iamsim.Key{Created: began.Add(-10 * day), LastUsed: began.Add(-time.Hour), Service: "s3", Region: "eu-west-1"})
		}
		w.users = append(w.users, u)
	}
}

// configure writes the program's configuration. The digest was last due three days ago, and will not be due again before the test has
// ended.
func (w *world) configure() {
	due := time.Now().UTC().Add(-3 * day)
	var b strings.Builder
	fmt.Fprintf(&b, "store: %s\n", w.spec)
	fmt.Fprintf(&b, "slack: {approvals_channel: %s, oncall_channel: %s, approvers: [%s]}\n", approvals, onCall, strings.Join(approvers, ", "))
	fmt.Fprintf(&b, "schedule: {digest: \"%d %d * * %d\"}\naccounts:\n", due.Minute(), due.Hour(), due.Weekday())
	for i, a := range w.accounts {
		fmt.Fprintf(&b, "  - {id: %q, name: account-%d", a.ID(), i)
		if i > 0 {
			fmt.Fprintf(&b, ", role: %q", "arn:aws:iam::"+a.ID()+":role/keyturner")
		}
		b.WriteString("}\n")
	}
	if err := os.WriteFile(w.configPath(), []byte(b.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) configPath() string { return filepath.Join(w.folder, "keyturner.yaml") }

// environ is the whole environment of a replica.
func (w *world) environ(url string) []string {
	id, secret := w.accounts[0].Principal("keyturner")
	none := filepath.Join(w.folder, "none")
	return []string{
		"SLACK_APP_TOKEN=" + w.slack.AppToken(), "SLACK_BOT_TOKEN=" + w.slack.BotToken(), "SLACK_API_URL=" + url + "/api/",
		"AWS_ENDPOINT_URL=" + url, "AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=" + none, "AWS_SHARED_CREDENTIALS_FILE=" + none, "HOME=" + w.folder,
	}
}

// judge decides what becomes of a call. A process that has been killed makes none: what arrives of it late is what the network still
// held, and is applied.
func (w *world) judge(c call) fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.logs, "--- %s %s calls %s\n", time.Now().UTC().Format("15:04:05.000"), c.by.name, c.op)
	if strings.HasPrefix(c.op, "ack ") {
		w.acks[c.by]++
	}
	if w.judged == nil {
		return passes
	}
	return w.judged(c)
}

// onCalls has every call judged from now on.
func (w *world) onCalls(judge func(call) fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judged = judge
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// locked is a buffer that several goroutines write to.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Bytes returns a copy of what has been written.
func (l *locked) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}

// replica is one place where the program runs, as one process after the other.
type replica struct {
	w    *world
	name string
	url  string // of its door

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended and been reaped
	killed  string        // where it was killed; empty: it was not
	began   time.Time
	kills   int
}

// start runs the program.
func (r *replica) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	args := []string{"run", "--config", r.w.configPath()}
	process := exec.Command(r.w.binary, args...)
	process.Env, process.Dir, process.Stderr, process.Stdout = r.w.environ(r.url), r.w.folder, &r.w.logs, &r.w.logs
	if err := process.Start(); err != nil {
		r.w.fault("start the program: %v", err)
		return
	}
	ended := make(chan struct{})
	r.process, r.ended, r.killed, r.began = process, ended, "", time.Now()
	go func() {
		_ = process.Wait() // how it ended is in ProcessState
		close(ended)
	}()
}

// kill ends the process as a power cut does, and waits until nothing of it is left. It tells whether there was one to kill.
func (r *replica) kill(at string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.runs() {
		return false
	}
	r.killed = at
	r.kills++
	fmt.Fprintf(&r.w.logs, "--- %s killed %s\n", r.name, at)
	if err := r.process.Process.Kill(); err != nil && r.runs() {
		r.w.fault("kill %s: %v", r.name, err)
	}
	<-r.ended
	return true
}

// runs tells whether the process lives, with r.mu held.
func (r *replica) runs() bool {
	if r.process == nil {
		return false
	}
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// stop asks the process to end, as a deployment does, and waits until it has.
func (r *replica) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.runs() {
		return
	}
	fmt.Fprintf(&r.w.logs, "--- %s is asked to stop\n", r.name)
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil && r.runs() {
		r.w.fault("stop %s: %v", r.name, err)
	}
	select {
	case <-r.ended:
		if code := r.process.ProcessState.ExitCode(); code != 0 {
			r.w.fault("%s was asked to stop and ended with %v", r.name, r.process.ProcessState)
		}
	case <-time.After(patience):
		r.w.fault("%s was asked to stop and has not for %v", r.name, patience)
		_ = r.process.Process.Kill() // it ends now, in whatever state
		<-r.ended
	}
	r.killed = "a clean stop"
}

// dump ends the process and has it say what it was at.
func (r *replica) dump() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs() && r.process.Process.Signal(syscall.SIGQUIT) == nil {
		<-r.ended
		r.killed = "to see what it was at"
	}
}

// gone waits until the process has ended, and tells where it was killed; false: ctx has ended.
func (r *replica) gone(ctx context.Context) (at string, ok bool) {
	r.mu.Lock()
	ended := r.ended
	r.mu.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
		return "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed == "" {
		r.w.fault("%s ended by itself: %v", r.name, r.process.ProcessState)
	}
	return r.killed, true
}

// patience is how long a person, or a test, waits for what should happen.
const patience = 60 * time.Second

// restartAge is by how much older a file is when the program starts again after a kill: what waits for a lost answer to show, for
// minutes, need not be waited for.
const restartAge = 20 * time.Minute

// run keeps the program running, whatever kills it, while people play, and then looks at what is left.
func (w *world) run(ctx context.Context, play func(context.Context) error) {
	w.t.Helper()
	keeping, stop := context.WithCancel(ctx)
	var kept sync.WaitGroup
	for _, r := range w.replicas {
		r.start()
		kept.Go(func() {
			for {
				if _, ok := r.gone(keeping); !ok || keeping.Err() != nil {
					return
				}
				w.between(ctx)
				r.start()
			}
		})
	}
	err := play(ctx)
	stop()
	if err != nil {
		for _, r := range w.replicas {
			r.dump()
		}
	}
	w.background.Wait()
	kept.Wait()
	w.onCalls(nil)
	if err := errors.Join(err, w.settle(ctx), w.verify(ctx)); err != nil {
		w.t.Error(err)
	}
}

// between is what happens while the program does not run. Others may have a table meanwhile, and then nothing does.
func (w *world) between(ctx context.Context) {
	if err := w.leaks(ctx); err != nil {
		w.fault("%v", err)
	}
	w.mu.Lock()
	older := w.older
	w.older = nil
	w.mu.Unlock()
	if w.table != "" {
		return
	}
	err := w.age(ctx, func(p *rotation.Progress) {
		ripen(p, restartAge)
		mature(p, older[p.User.Name])
	})
	if err != nil {
		w.fault("age the store: %v", err)
	}
}

// pass has time pass for one user: while the program does not run, or, in a table, beside those that do.
func (w *world) pass(ctx context.Context, by time.Duration, user string) error {
	if w.table != "" {
		return w.age(ctx, func(p *rotation.Progress) {
			if p.User.Name == user {
				mature(p, by)
			}
		})
	}
	w.mu.Lock()
	if w.older == nil {
		w.older = map[string]time.Duration{}
	}
	w.older[user] += by
	w.mu.Unlock()
	w.replicas[0].kill("as time passes")
	return nil
}

// settle stops the program when there is nothing left to do.
func (w *world) settle(ctx context.Context) error {
	for try := 1; ; try++ {
		for _, r := range w.replicas {
			r.stop()
		}
		left, err := w.left(ctx)
		if err != nil || left == nil || try == 4 {
			return errors.Join(err, left)
		}
		for _, r := range w.replicas {
			r.start()
		}
		w.quiet(ctx)
	}
}

// left tells what is still to be done.
func (w *world) left(ctx context.Context) (left, err error) {
	kept, err := w.kept()
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	b, err := read(ctx, kept)
	if err != nil {
		return nil, err
	}
	return b.settled(), nil
}

// quiet waits until nothing has happened for a while.
func (w *world) quiet(ctx context.Context) {
	for {
		_, slackNext := w.slack.Changed()
		_, awsNext := w.aws.Changed()
		select {
		case <-slackNext:
		case <-awsNext:
		case <-time.After(3 * time.Second):
			return
		case <-ctx.Done():
			return
		}
	}
}

// connected waits until the program has a socket.
func (w *world) connected(ctx context.Context) error {
	for {
		_, next := w.slack.Changed()
		if w.slack.Sockets() > 0 {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lastStart is when a process was last started.
func (w *world) lastStart() time.Time {
	var last time.Time
	for _, r := range w.replicas {
		r.mu.Lock()
		last = later(last, r.began)
		r.mu.Unlock()
	}
	return last
}

// wait is how long nothing may happen: on a table, what a killed process was at is left to it for some minutes.
func (w *world) wait() time.Duration {
	if w.table != "" {
		return 5 * time.Minute
	}
	return patience
}
