package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/gorilla/websocket"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/deploy"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// The people of the model. Alice, Bob and Carol may approve; Alice and Carol also own a user each.
const (
	alice, bob, carol       = "UALICE", "UBOB", "UCAROL"
	olivia, oscar           = "UOLIVIA", "UOSCAR"
	dora                    = "UDORA" // on call
	guest, stranger, former = "UGUEST", "USTRANGER", "UFORMER"
	approvals, onCall       = "CAPPROVALS", "CONCALL"
	team                    = "STEAM" // Olivia and Oscar
)

var (
	everybody = []string{alice, bob, carol, olivia, oscar, dora, guest, stranger, former}
	approvers = []string{alice, bob, carol}
)

const (
	prod, data = "111122223333", "444455556666"

	quiet, grace, expires, visible = 2 * time.Hour, 6 * time.Hour, 8 * time.Hour, time.Hour
)

// seeded is an IAM user at the beginning.
type seeded struct {
	account, name, owner string
	keys                 []iamsim.Key // their times are ages
	app                  bool         // an application uses the first active key
}

const day = 24 * time.Hour

func ago(d time.Duration) time.Time { return time.Time{}.Add(d) }

var seed = []seeded{
	{prod, "ci-deploy", olivia, []iamsim.Key{{Created: ago(100 * day), LastUsed: ago(time.Hour)}}, true},
	{prod, "backup", oscar, []iamsim.Key{{Created: ago(200 * day), LastUsed: ago(time.Hour)}, {Created: ago(20 * day)}}, true},
	{prod, "reports", alice, []iamsim.Key{{Created: ago(95 * day), LastUsed: ago(time.Hour)}}, true},
	{prod, "legacy", olivia, []iamsim.Key{{Created: ago(300 * day), LastUsed: ago(time.Hour)}, {Created: ago(400 * day), Inactive: true}}, true},
	{prod, "idle", oscar, []iamsim.Key{{Created: ago(120 * day)}}, false},
	{prod, "nobodys", "", []iamsim.Key{{Created: ago(130 * day), LastUsed: ago(time.Hour)}}, true},
	{data, "etl", oscar, []iamsim.Key{{Created: ago(80 * day), LastUsed: ago(time.Hour)}}, true},
	{data, "billing", carol, []iamsim.Key{{Created: ago(110 * day), LastUsed: ago(time.Hour)}}, true},
}

// tester is what the model needs of *testing.T and of *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// shape is what a world is drawn as.
type shape struct {
	replicas int           // that run at the beginning; more than one share a store
	bolt     string        // path of a bbolt file; empty: memory
	shared   bool          // the store may be used by several
	lag      time.Duration // of the store's indexes
	useLag   time.Duration // of last-used data
	eventLag time.Duration // of CloudTrail
	mail     bool          // owners are named by their e-mail addresses
	group    bool          // a user group is the owner of what Olivia would own
	users    uint          // bits: which users of the seed there are; 0: all
	seed     uint64        // of which socket an envelope takes
	delivery rotation.Mode // of the account prod; empty: by a plain direct message
	traced   bool          // CloudTrail is asked who uses a key of the account prod
	second   rotation.Mode // likewise of the account data
	ruled    bool          // two of a user group must approve of a creation for ci-deploy
}

// world is one run of the model: AWS, Slack, people, applications and the replicas of the bot between them, in a bubble.
type world struct {
	t        tester
	shape    shape
	began    time.Time
	offset   atomic.Int64 // how far the clock has leapt
	slack    *slacksim.Sim
	aws      *iamsim.Sim
	accounts map[string]*iamsim.Account
	config   app.Config
	cloud    aws.Config
	kept     *kept
	replicas []*replica // by slot; nil: down
	lives    int
	zombies  []*replica // killed, and not at their end yet
	logs     journal
	story    story
	watch    *watch
	people   *crowd
	apps     []*application
	seeds    []seeded
	checked  time.Time // when check was called last
	deaths   int
	steps    int
	retries  map[string]int // how often a stuck rotation was tried again at the end
}

func newWorld(t tester, s shape) *world {
	t.Helper()
	w := &world{t: t, shape: s, began: time.Now(), accounts: map[string]*iamsim.Account{}, retries: map[string]int{}}
	for i, u := range seed {
		if s.users == 0 || s.users&(1<<i) != 0 {
			w.seeds = append(w.seeds, u)
		}
	}
	w.story.w, w.checked = w, w.now()
	manifest, err := deploy.SlackManifest()
	if err != nil {
		t.Fatalf("read the manifest: %v", err)
	}
	w.slack = slacksim.New(slacksim.Config{
		Now: w.now, Scopes: manifest.OAuthConfig.Scopes.Bot, Commands: manifest.Commands(), Events: manifest.Events(), Seed: s.seed,
	})
	w.aws = iamsim.New(iamsim.Config{
		Now: w.now, VisibleAfter: 4 * time.Second, RefusedAfter: 4 * time.Second, LastUsedLag: s.useLag, EventLag: s.eventLag,
		LookupsPerSecond: 2, PageSize: 3,
	})
	w.watch = newWatch(w)
	w.people = &crowd{w: w, wallets: map[string]map[string]bool{}}
	w.seedSlack()
	w.seedAWS()
	w.configure()
	w.kept = openKept(w)
	w.replicas = make([]*replica, 3)
	for i := range s.replicas {
		w.start(i)
	}
	return w
}

// now is the clock of everything that stores times.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

func (w *world) seedSlack() {
	for _, id := range everybody {
		w.slack.AddMember(slacksim.Member{
			ID: id, Name: nick(id), Email: address(id), Restricted: id == guest, Deleted: id == former, Stranger: id == stranger,
		})
	}
	w.slack.AddUserGroup(slacksim.UserGroup{ID: team, Handle: "team", Users: []string{olivia, oscar}})
	for id, name := range map[string]string{approvals: "key-approvals", onCall: "on-call"} {
		w.slack.AddChannel(slacksim.Channel{ID: id, Name: name, Members: everybody})
	}
	w.slack.AddUserGroup(slacksim.UserGroup{ID: group, Handle: "key-approvers", Users: approvers})
}

// group is a Slack user group of all approvers.
const group = "S0APPROVERS"

// needed is how many must approve of what a stage asks for.
func (w *world) needed(user rotation.UserRef, stage rotation.Stage) int {
	if w.shape.ruled && user == ciDeploy && stage == rotation.Requested {
		return 2
	}
	return 1
}

func address(member string) string { return nick(member) + "@example.com" }

func (w *world) seedAWS() {
	w.accounts[prod], w.accounts[data] = w.aws.AddAccount(prod, "acme-prod"), w.aws.AddAccount(data, "acme-data")
	for _, u := range w.seeds {
		account := w.accounts[u.account]
		tags := map[string]string{}
		switch {
		case w.shape.group && u.owner == olivia:
			tags["slack-user-id"] = team
		case w.shape.mail && u.owner != "":
			tags["owner-email"] = address(u.owner)
		case u.owner != "":
			tags["slack-user-id"] = u.owner
		}
		account.AddUser(iamsim.User{Name: u.name, Created: w.now().Add(-500 * day), Tags: tags})
		user := rotation.UserRef{Account: u.account, Name: u.name}
		for _, k := range u.keys {
			k.Created = w.now().Add(-k.Created.Sub(time.Time{}))
			if !k.LastUsed.IsZero() {
				k.LastUsed, k.Service, k.Region = w.now().Add(-k.LastUsed.Sub(time.Time{})), "s3", "eu-west-1"
			}
			id := account.AddKey(u.name, k)
			if u.app && !k.Inactive && !slices.ContainsFunc(w.apps, func(a *application) bool { return a.user == user }) {
				w.apps = append(w.apps, &application{user: user, key: id})
			}
			w.people.hold(user, id)
		}
	}
}

func (w *world) configure() {
	cfg := app.Default()
	cfg.Slack = app.Slack{ApprovalsChannel: approvals, OncallChannel: onCall, Approvers: approvers, Oncall: []string{dora}}
	cfg.Accounts = []app.Account{
		{ID: prod, Name: "acme-prod"},
		{ID: data, Name: "acme-data", Role: w.accounts[data].AddRole("keyturner", "k-1"), ExternalID: "k-1"},
	}
	deliverTo(&cfg.Accounts[0], w.shape.delivery)
	if w.shape.traced {
		cfg.Accounts[0].TrailRegions = []string{"eu-west-1", "us-east-1"}
	}
	deliverTo(&cfg.Accounts[1], w.shape.second)
	if w.shape.ruled {
		cfg.Approval = []rotation.Approval{{
			Name: "deploys", Matches: rotation.Matches{Users: []string{"ci-*"}}, By: rotation.Circle{Groups: []rotation.GroupID{group}},
			Wanted: rotation.Wanted{Create: 2},
		}}
	}
	cfg.Policy.Quiet, cfg.Policy.Grace, cfg.Policy.ApprovalExpires, cfg.Policy.SecretVisible = quiet, grace, expires, visible
	if w.shape.mail {
		cfg.Owners.EmailTag = "owner-email"
	}
	if w.shape.group {
		cfg.Owners.Groups = map[string]string{team: onCall}
	}
	w.config = cfg
	id, secret := w.accounts[prod].Principal("keyturner")
	w.cloud = aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")}
}

// start begins a process in a slot.
func (w *world) start(slot int) {
	w.t.Helper()
	w.lives++
	r := &replica{w: w, slot: slot, life: w.lives, done: make(chan error, 1)}
	r.store = w.kept.openFor(r)
	cloud := w.cloud.Copy()
	cloud.HTTPClient = &http.Client{Transport: awsDoor{r}}
	options := app.Options{
		Config: w.config, AppToken: w.slack.AppToken(), BotToken: w.slack.BotToken(), SlackURL: "http://slack.example/api/",
		AWS: &cloud, AWSPace: 100, Now: w.now, Logger: slog.New(slog.NewTextHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})).With("replica", slot+1, "life", r.life),
		Store:       r.store,
		SlackHTTP:   slackDoor{r, &http.Transport{DialContext: r.dial, DisableKeepAlives: true}},
		SlackDialer: &websocket.Dialer{NetDialContext: r.dial, WriteBufferSize: 32 << 10},
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	program, err := app.New(ctx, options)
	if err != nil {
		w.story.add("replica %d cannot start: %v", slot+1, err)
		w.watch.scanText("the error of New", err.Error())
		cancel()
		return
	}
	r.app = program
	w.replicas[slot] = r
	go func() {
		err := program.Run(ctx)
		r.ended.Store(true)
		r.done <- err
	}()
}

// running lists the replicas that are up.
func (w *world) running() []*replica {
	return slices.DeleteFunc(slices.Clone(w.replicas), func(r *replica) bool { return r == nil })
}

// reap takes note of the replicas that have died or ended.
func (w *world) reap() {
	for slot, r := range w.replicas {
		switch {
		case r == nil:
		case r.dead.Load():
			w.deaths++
			w.story.add("replica %d has died: %s", slot+1, r.deathNote())
			w.zombies, w.replicas[slot] = append(w.zombies, r), nil
			w.kept.died(r)
		case r.ended.Load():
			err := <-r.done
			w.story.add("replica %d has ended by itself: %v", slot+1, err)
			w.watch.scanText("the error of Run", fmt.Sprint(err))
			r.close()
			w.replicas[slot] = nil
		}
	}
	w.zombies = slices.DeleteFunc(w.zombies, func(r *replica) bool { return r.ended.Load() })
}

// stop ends a replica in an orderly way.
func (w *world) stop(slot int) {
	r := w.replicas[slot]
	w.replicas[slot] = nil
	r.cancel()
	for range 40 {
		if r.ended.Load() || r.dead.Load() {
			break
		}
		w.sleep(5 * time.Second)
	}
	switch {
	case r.dead.Load():
		w.zombies = append(w.zombies, r)
		w.kept.died(r)
		return
	case !r.ended.Load():
		w.fail(0, "replica %d does not stop within 200 s", slot+1)
		r.kill("it does not stop")
		w.zombies = append(w.zombies, r)
		w.kept.died(r)
		return
	}
	if err := <-r.done; err != nil {
		w.story.add("replica %d ended with %v", slot+1, err)
		w.watch.scanText("the error of Run", fmt.Sprint(err))
	}
	r.close()
}

// sleep lets time pass in the bubble, and everything settle.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// leap moves the clock ahead at once, as after the machine was suspended, and has everybody look at it.
func (w *world) leap(d time.Duration) {
	w.useKeys()
	w.offset.Add(int64(d))
	w.useKeys()
	for _, r := range w.running() {
		r.app.Wake()
	}
}

// end stops everything, so that no goroutine outlives the bubble.
func (w *world) end() {
	for _, r := range w.running() {
		r.kill("the end of the run")
		w.zombies = append(w.zombies, r)
	}
	w.aws.Heal()
	w.slack.Heal()
	w.slack.Close()
	for _, r := range w.zombies {
		if !r.ended.Load() {
			if err := <-r.done; err != nil {
				w.story.add("a process that was thought dead has ended: %v", err)
			}
		}
		r.close()
	}
	w.kept.close()
	time.Sleep(10 * time.Minute) // whatever waits for a timer
	synctest.Wait()
}

// journal keeps what was logged.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
	off int
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// fresh returns what was logged since it was called last.
func (j *journal) fresh() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := j.buf.Bytes()
	out := bytes.Clone(all[j.off:])
	j.off = len(all)
	return out
}

func nick(id string) string { return string(bytes.ToLower([]byte(id[1:]))) }
