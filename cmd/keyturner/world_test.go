package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	composure  time.Duration // before people click the same again, if the answer was that it is not so
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
	led     *replica                 // who posted the latest card
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
		t: t, binary: binary, folder: t.TempDir(), table: p.table, spec: p.spec, glance: time.Duration(p.users) * 5 * time.Millisecond, composure: 2 * time.Second, acks: map[*replica]int{},
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
		said := w.logs.Bytes()
		err := os.WriteFile(filepath.Join(t.ArtifactDir(), filepath.Base(w.folder)+".log"), said, 0o600)
		if t.Failed() {
			t.Logf("the last that the program said (all of it is kept with -artifacts; %v):\n%s", err, said[max(0, len(said)-lastWords):])
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
	c.by.calls.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.logs, "--- %s %s calls %s\n", time.Now().UTC().Format("15:04:05.000"), c.by.name, c.op)
	if strings.HasPrefix(c.op, "ack ") {
		w.acks[c.by]++
	}
	if c.op == "chat.postMessage in #approvals" {
		w.led = c.by
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

// lastWords is how much is shown of what the program said when a test fails, in bytes.
const lastWords = 8 << 10
