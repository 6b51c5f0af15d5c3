package iamsim

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// maxCalls bounds the memory of [Sim.Calls]: the oldest half is dropped when
// twice as many have been recorded.
const maxCalls = 1 << 16

// Config says how a [Sim] behaves. The zero value is a usable AWS without delays.
type Config struct {
	// Now dates what AWS stores: creation, use and reports. Nil means time.Now.
	Now func() time.Time
	// SignNow judges request signatures and the expiry of temporary credentials,
	// both of which clients date with their wall clock. Nil means time.Now.
	SignNow func() time.Time
	// Logger receives one debug line for each call, without secrets. Nil means none.
	Logger *slog.Logger
	// VisibleAfter is how long a new or reactivated key is refused for signing.
	// Zero: it works at once. AWS was measured at about four seconds.
	VisibleAfter time.Duration
	// RefusedAfter is how long a deactivated or deleted key still works for
	// signing. Zero: it is refused at once. AWS was measured at about four seconds.
	RefusedAfter time.Duration
	// LastUsedLag is how long a use stays invisible to GetAccessKeyLastUsed and
	// to credential reports. Zero: it shows at once.
	LastUsedLag time.Duration
	// ReportDelay is the time from STARTED to COMPLETE of a credential report.
	// Zero: the report is there at the next request.
	ReportDelay time.Duration
	// EventLag is how long an event stays invisible to LookupEvents. Zero: it shows
	// at once. AWS says about five minutes.
	EventLag time.Duration
	// LookupsPerSecond is how often an account may call LookupEvents in a region
	// before it is throttled, by SignNow. Zero: as often as it likes; AWS: 2.
	LookupsPerSecond int
	// CallsPerSecond is how often an account may call IAM before it is throttled, by
	// SignNow. Zero: as often as it likes; AWS does not say.
	CallsPerSecond int
	// PageSize caps every page below what the client asked for, which AWS is
	// free to do. Zero: as AWS, for IAM 100 unless MaxItems says otherwise.
	PageSize int
}

// A Sim is a set of simulated AWS accounts. Its methods may be called from any
// goroutine. Make one with [New].
type Sim struct {
	cfg Config
	log *slog.Logger

	mu       sync.Mutex
	accounts []*Account
	keys     map[string]*accessKey
	grants   map[string]*grant
	faults   []*armedFault
	calls    []Call
	secrets  []string
	version  uint64
	serial   uint64 // of the last event
	next     chan struct{}
}

// New returns a simulator without accounts.
func New(cfg Config) *Sim {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SignNow == nil {
		cfg.SignNow = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sim{
		cfg:    cfg,
		log:    cfg.Logger,
		keys:   map[string]*accessKey{},
		grants: map[string]*grant{},
		next:   make(chan struct{}),
	}
}

// now is the clock of what AWS stores. Delays are judged by it as it is; what
// the wire shows is stored in whole seconds.
func (s *Sim) now() time.Time { return s.cfg.Now().UTC() }

// seconds cuts a time down to what the wire shows.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// AddAccount adds the account of that twelve-digit id, or returns the one there
// is. An empty alias means that the account has none. It panics on an id that is
// not twelve digits, since no key id could carry it.
func (s *Sim) AddAccount(id, alias string) *Account {
	if !isAccountID(id) {
		panic(fmt.Sprintf("iamsim: account id %q is not twelve digits", id))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.account(id); a != nil {
		return a
	}
	a := &Account{
		sim:     s,
		id:      id,
		alias:   alias,
		created: seconds(s.now()).AddDate(-accountAge, 0, 0),
		roles:   map[string]*role{},
	}
	s.accounts = append(s.accounts, a)
	s.touch()
	return a
}

// account finds an account by id, or nil. The lock is held.
func (s *Sim) account(id string) *Account {
	i := slices.IndexFunc(s.accounts, func(a *Account) bool { return a.id == id })
	if i < 0 {
		return nil
	}
	return s.accounts[i]
}

// Changed returns the number of changes so far, calls included, and a channel
// that is closed at the next one.
func (s *Sim) Changed() (version uint64, next <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, s.next
}

// touch announces a change. The lock is held.
func (s *Sim) touch() {
	s.version++
	close(s.next)
	s.next = make(chan struct{})
}

// Secrets returns every secret that CreateAccessKey ever handed out, including
// those whose answer was lost, so that a test can search its outputs for them.
func (s *Sim) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.secrets)
}

// A Call is one request as the protocol face saw it. It never holds a secret.
type Call struct {
	// At is when the request arrived, by Config.Now.
	At time.Time
	// Op is the action, for example "CreateAccessKey"; empty if there was none.
	Op string
	// Account is the id of the caller's account; empty for an unknown caller.
	Account string
	// UserName and AccessKeyId are what the request was about, as sent. After a
	// CreateAccessKey that took effect AccessKeyId is the new key's.
	UserName, AccessKeyId string //nolint:revive,staticcheck // the parameter's name on the wire
	// Caller is the ARN of who signed; empty if the signature was refused.
	Caller string
	// Status is the HTTP status answered; zero if the connection was cut.
	Status int
	// Code is the error code answered; empty for a success or a cut connection.
	Code string
	// Attempt is the number in the client's Amz-Sdk-Request header: 1 for a first
	// try, 2 and more for its own retries, 0 if the header was absent.
	Attempt int
	// Applied reports whether the operation took effect, whatever was answered.
	Applied bool
	// Cut reports whether a fault dropped or truncated the answer.
	Cut bool
}

// result is the short outcome shown on the sandbox page.
func (c Call) result() string {
	switch {
	case c.Cut:
		return "cut"
	case c.Code != "":
		return c.Code
	default:
		return "ok"
	}
}

// Calls returns the requests received so far, oldest first. Beyond 65,536 the
// oldest are forgotten.
func (s *Sim) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// record appends a call and announces it.
func (s *Sim) record(c Call) {
	s.mu.Lock()
	if len(s.calls) >= 2*maxCalls {
		s.calls = slices.Clone(s.calls[maxCalls:])
	}
	s.calls = append(s.calls, c)
	s.touch()
	s.mu.Unlock()
	s.log.Debug("aws call", "op", c.Op, "account", c.Account, "user", c.UserName, "key", c.AccessKeyId, "result", c.result())
}

func isAccountID(id string) bool {
	if len(id) != 12 {
		return false
	}
	for _, c := range id {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
