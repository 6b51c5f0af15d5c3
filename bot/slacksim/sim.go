package slacksim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config shapes a simulated workspace. The zero value is a usable one.
type Config struct {
	// Now is the workspace's clock: message timestamps, the life of trigger ids
	// and response URLs, and rate limits follow it. Nil means [time.Now]. Waiting
	// (acknowledgements, pings, redelivery) uses real timers, which a synctest
	// bubble fakes.
	Now func() time.Time
	// Logger receives what the simulator refuses or drops. Nil discards.
	Logger *slog.Logger
	// Scopes are granted to the bot token. Nil means every scope known here except
	// chat:write.public and chat:write.customize, which must be asked for.
	Scopes []string
	// Commands are the slash commands the app registered. Nil means any.
	Commands []string
	// Events are what the app is subscribed to, named as in the bot_events of a
	// manifest: "message.im", "user_change". Nil means all that its scopes allow; an
	// empty list that is not nil means none.
	Events []string
	// AckLimit is how long Slack waits for an acknowledgement. 0 means 3 s.
	AckLimit time.Duration
	// Burst is how many messages one channel takes at once before the limit of one
	// a second bites. 0 means 4; a negative Burst turns all rate limits off.
	Burst int
	// PageSize caps a page of the list methods, to make clients follow cursors.
	// 0 means no cap beyond Slack's own.
	PageSize int
	// PingEvery is the interval of WebSocket pings. 0 means 10 s.
	PingEvery time.Duration
	// ConnectionLife is when Slack asks for a refresh of a socket. 0 means 18,060 s.
	ConnectionLife time.Duration
	// AcceptBigAcks makes Slack read acknowledgements of 20 KB and more, which it
	// otherwise ignores in silence.
	AcceptBigAcks bool
	// KeepTraffic is how many bytes [Sim.Traffic] keeps for each face, oldest
	// dropped first. 0 means 64 MiB.
	KeepTraffic int
	// Seed picks the socket each envelope takes; equal seeds choose alike.
	Seed uint64
	// TeamName is the workspace's name. Empty means "Sandbox".
	TeamName string
}

// Member is a person (or another bot) of the workspace.
type Member struct {
	ID              string // "U1"; required
	Name            string // the handle; empty means the ID in lower case
	RealName        string // empty means Name
	Email           string
	Title           string
	TimeZone        string // empty means "Europe/Vienna"
	Deleted         bool   // deactivated
	Restricted      bool   // a guest
	UltraRestricted bool   // a guest of a single channel; implies Restricted
	Stranger        bool   // of another workspace, and in no shared channel
	Admin           bool
	Bot             bool
	Unconfirmed     bool   // the e-mail address was never confirmed
	TeamID          string // empty means this workspace; of another one, they are in channels that are shared with it
}

// Channel is a public or private channel. Direct messages come into being by use.
type Channel struct {
	ID        string // "C1"; required
	Name      string
	Topic     string
	Members   []string // nil means every member of the workspace, guests included, and no strangers
	Private   bool
	Archived  bool
	BotAbsent bool // the bot is not a member
	// SharedWith are the ids of other workspaces it is shared with, through Slack
	// Connect. Nil Members then includes theirs.
	SharedWith []string
}

// UserGroup is a group such as @oncall.
type UserGroup struct {
	ID       string // "S1"
	Handle   string
	Name     string
	Users    []string
	Disabled bool
}

const (
	teamID  = "T0SANDBOX"
	appID   = "A0SANDBOX"
	botID   = "B0SANDBOX"
	botUser = "U0SANDBOT"
	botName = "keyturner"
	domain  = "sandbox"
)

// Sim is one workspace with one app installed. It is safe for concurrent use.
// Make one with [New].
type Sim struct {
	cfg      Config
	botToken string
	appToken string
	scopes   map[string]bool

	mu        sync.Mutex
	closed    bool
	done      chan struct{} // closed by Close
	rng       *mathrand.Rand
	lastStamp int64
	version   uint64
	next      chan struct{}

	members   map[string]*Member
	order     []string // member ids as added
	channels  map[string]*channel
	listed    []string // channel ids as added
	groups    []UserGroup
	views     map[string]*view
	stacks    map[string][]*view // open modals by member, root first
	homes     map[string]*view
	notices   map[string][]Notice
	triggers  map[string]*trigger
	replyURLs map[string]*replyURL
	uploads   map[string]*upload
	limits    map[string]*bucket

	faults         map[string][]*Fault
	envelopeFaults []*plannedEnvelopeFault
	socketFaults   []*SocketFault
	held           []func()

	sockets []*socket
	tickets map[string]bool
	waiting map[string]*envelope
	wg      sync.WaitGroup
	pipes   *pipes

	api, pages recorder
}

// New returns an empty workspace: the bot, no members, no channels. It starts no
// goroutine.
func New(cfg Config) *Sim {
	s := &Sim{
		cfg:       withDefaults(cfg),
		botToken:  "xoxb" + fakeMark + randomHex(12),
		appToken:  "xapp" + fakeMark + randomHex(12),
		scopes:    map[string]bool{},
		rng:       mathrand.New(mathrand.NewPCG(cfg.Seed, 0)),
		done:      make(chan struct{}),
		next:      make(chan struct{}),
		members:   map[string]*Member{},
		channels:  map[string]*channel{},
		views:     map[string]*view{},
		stacks:    map[string][]*view{},
		homes:     map[string]*view{},
		notices:   map[string][]Notice{},
		triggers:  map[string]*trigger{},
		replyURLs: map[string]*replyURL{},
		uploads:   map[string]*upload{},
		limits:    map[string]*bucket{},
		faults:    map[string][]*Fault{},
		tickets:   map[string]bool{},
		waiting:   map[string]*envelope{},
	}
	for _, scope := range s.cfg.Scopes {
		s.scopes[scope] = true
	}
	s.api.limit, s.pages.limit = s.cfg.KeepTraffic, s.cfg.KeepTraffic
	s.members[botUser] = &Member{ID: botUser, Name: botName, RealName: "Keyturner", TimeZone: "Europe/Vienna", Bot: true, TeamID: teamID}
	s.order = []string{botUser}
	return s
}

func withDefaults(cfg Config) Config {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Scopes == nil {
		cfg.Scopes = defaultScopes
	}
	cfg.AckLimit = orDefault(cfg.AckLimit, 3*time.Second)
	cfg.PingEvery = orDefault(cfg.PingEvery, 10*time.Second)
	cfg.ConnectionLife = orDefault(cfg.ConnectionLife, 18060*time.Second)
	cfg.Burst = orDefault(cfg.Burst, 4)
	cfg.KeepTraffic = orDefault(cfg.KeepTraffic, 64<<20)
	cfg.TeamName = orDefault(cfg.TeamName, "Sandbox")
	return cfg
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// BotToken is the fake xoxb- token of the installed app.
func (s *Sim) BotToken() string { return s.botToken }

// AppToken is the fake xapp- token that opens sockets.
func (s *Sim) AppToken() string { return s.appToken }

// BotUserID is the bot's own member id.
func (s *Sim) BotUserID() string { return botUser }

// TeamID is the workspace's id.
func (s *Sim) TeamID() string { return teamID }

// Close drops every socket and connection, and waits for their goroutines.
// Nothing is delivered afterwards.
func (s *Sim) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	for _, sock := range s.sockets {
		sock.cut()
	}
	for id, env := range s.waiting {
		delete(s.waiting, id)
		env.settle(nil, errClosed)
	}
	p := s.pipes
	s.mu.Unlock()
	if p != nil {
		p.close()
	}
	s.wg.Wait()
}

// AddMember adds a member, or replaces the one with the same ID: a replacement is
// announced to the app as user_change, an addition while a socket is open as
// team_join.
func (s *Sim) AddMember(m Member) {
	m.Name = orDefault(m.Name, strings.ToLower(m.ID))
	m.RealName = orDefault(m.RealName, m.Name)
	m.TimeZone = orDefault(m.TimeZone, "Europe/Vienna")
	m.TeamID = orDefault(m.TeamID, teamID)
	m.Restricted = m.Restricted || m.UltraRestricted
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := "user_change"
	if s.members[m.ID] == nil {
		kind = "team_join"
		s.order = append(s.order, m.ID)
	}
	s.members[m.ID] = &m
	s.touch()
	if len(s.sockets) > 0 {
		s.emit("users:read", map[string]any{
			"type": kind, "user": s.userJSON(&m), "cache_ts": s.cfg.Now().Unix(), "event_ts": s.stamp(),
		})
	}
}

// AddChannel adds a channel, or replaces the settings of the one with the same ID
// and keeps its messages.
func (s *Sim) AddChannel(c Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[c.ID]
	if ch == nil {
		ch = s.newChannel(c.ID, "channel")
	}
	ch.name, ch.topic, ch.private, ch.archived = c.Name, c.Topic, c.Private, c.Archived
	ch.everyone, ch.bot = c.Members == nil, !c.BotAbsent
	ch.members, ch.sharedWith = slices.Clone(c.Members), slices.Clone(c.SharedWith)
	s.touch()
}

// AddUserGroup adds a group, or replaces the one with the same ID, which is announced to
// the app as subteam_updated. That is also how it hears that a group was disabled.
func (s *Sim) AddUserGroup(g UserGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.Users = slices.Clone(g.Users)
	before := len(s.groups)
	s.groups = append(slices.DeleteFunc(s.groups, func(old UserGroup) bool { return old.ID == g.ID }), g)
	s.touch()
	if len(s.groups) == before && len(s.sockets) > 0 {
		s.emit("usergroups:read", map[string]any{
			"type": "subteam_updated", "subteam": s.groupJSON(g, true), "event_ts": s.stamp(),
		})
	}
}

// Changed returns the version of what the members see, and a channel closed at the
// next change. Read it before looking, to miss nothing.
func (s *Sim) Changed() (version uint64, next <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, s.next
}

// touch announces a change. The caller holds s.mu, as for every method below.
func (s *Sim) touch() {
	s.version++
	close(s.next)
	s.next = make(chan struct{})
}

// stamp mints a message timestamp: the clock, and never the same twice.
func (s *Sim) stamp() string {
	s.lastStamp = max(s.lastStamp+1, s.cfg.Now().UnixMicro())
	return fmt.Sprintf("%d.%06d", s.lastStamp/1e6, s.lastStamp%1e6)
}

// newHash mints the hash of a view's version.
func (s *Sim) newHash() string {
	return fmt.Sprintf("%d.%s", s.cfg.Now().Unix(), randomHex(4))
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

// randomID mints an id such as "V0A1B2C3D4". Ids are random, not counted, so that an
// app with a store of its own never meets one again after a restart.
func randomID(prefix string) string {
	return prefix + "0" + strings.ToUpper(randomHex(4))
}

func randomUUID() string {
	h := randomHex(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
