package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
)

// sockets is how many a process holds: while one is replaced, the other takes what comes. Slack allows an app ten in all
// (https://docs.slack.dev/apis/events-api/using-socket-mode), so five processes.
const sockets = 2

// How a link paces itself.
const (
	openTime  = 30 * time.Second       // bounds opening a connection, up to Slack's hello
	stable    = time.Minute            // a connection that lived so long is replaced at once
	soon      = 500 * time.Millisecond // at once, spread so that many processes do not come in step
	firstWait = time.Second            // after a failure; it doubles with every further one, up to maxWait
	maxWait   = time.Minute
	crowded   = time.Minute      // at least, when ten sockets are open: another process has to stop first
	apart     = 3 * time.Second  // between the first attempts of two links, so that Slack does not refresh both at once
	linger    = 15 * time.Second // how long a replaced connection is read on; Slack closes it some ten seconds after its warning
)

// minWriteBuffer is the least that holds every acknowledgement in one piece: Slack drops fragmented ones, in bytes.
const minWriteBuffer = 32 << 10

// The reasons that Slack gives for a disconnect and that are told apart here. "warning" and "refresh_requested" are routine.
const (
	reasonWarning  = "warning"
	reasonRefresh  = "refresh_requested"
	reasonDisabled = "link_disabled"
	reasonTooMany  = "too_many_websockets"
)

// sentAway is the end of a connection that Slack has announced.
type sentAway struct{ reason string }

func (e *sentAway) Error() string { return "Slack ended the connection: " + e.reason }

// linkConfig is what a link works with.
type linkConfig struct {
	api    *slack.Client
	dialer *websocket.Dialer // nil: one that goes through the environment's proxy
	log    *slog.Logger
	counts *tally
	take   func(delivery) // starts what a frame calls for; it may wait for room, and for nothing else
	delay  time.Duration  // before the first attempt
}

// link keeps one socket to Slack open, opening each connection before the earlier one is gone where Slack gives notice.
type link struct {
	linkConfig

	partings sync.WaitGroup // connections that are not the link's any more and not closed yet
	parting  *conn          // the latest of them
	said     string         // the state that was logged last

	mu    sync.Mutex
	state linkState
}

// linkState is what Ready tells of a link.
type linkState struct {
	open  bool
	since time.Time // when it became so
	why   error     // of not being open; nil: never was
}

func newLink(cfg linkConfig) *link {
	d := websocket.Dialer{Proxy: http.ProxyFromEnvironment}
	if cfg.dialer != nil {
		d = *cfg.dialer
	}
	d.WriteBufferSize = max(d.WriteBufferSize, minWriteBuffer)
	cfg.dialer = &d
	return &link{linkConfig: cfg, state: linkState{since: time.Now()}}
}

// run keeps a connection open until ctx ends, or until Slack says what only a person can mend. It returns when what has been read is
// acknowledged and every connection is closed.
func (l *link) run(ctx context.Context) error {
	defer l.partings.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !sleep(ctx, l.delay) {
		return nil
	}
	for failures := 0; ; failures++ {
		lived, err := l.hold(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if advice, fatal := hopeless[codeOf(err)]; fatal {
			return fmt.Errorf("open the socket to Slack: %w; %s", err, advice)
		}
		if lived >= stable {
			failures = -1
		}
		l.tell(err)
		if !sleep(ctx, pause(err, failures)) {
			return nil
		}
	}
}

// sleep tells whether it was not woken by the end of ctx.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

const tokenAdvice = "put a valid app-level token (xapp-…, scope connections:write) in SLACK_APP_TOKEN"

// hopeless is what no waiting mends, and what to do about it.
var hopeless = map[string]string{
	"invalid_auth":           tokenAdvice,
	"not_authed":             tokenAdvice,
	"token_revoked":          tokenAdvice,
	"token_expired":          tokenAdvice,
	"account_inactive":       "the app was removed from the workspace: install it again, and put its tokens in SLACK_APP_TOKEN and SLACK_BOT_TOKEN",
	"not_allowed_token_type": "SLACK_APP_TOKEN holds a token of another kind, such as the bot's: " + tokenAdvice + ", made under Basic Information → App-Level Tokens",
	"missing_scope":          "the app-level token lacks the scope connections:write: make one that has it under Basic Information → App-Level Tokens",
	reasonDisabled:           "Socket Mode is switched off for the app: switch it on under Settings → Socket Mode",
}

// codeOf is Slack's own word for what went wrong, or empty.
func codeOf(err error) string {
	if away, ok := errors.AsType[*sentAway](err); ok {
		return away.reason
	}
	if answer, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return answer.Err
	}
	return ""
}

// pause is how long to wait before the next attempt: full jitter over a bound that grows with the failures in a row. After a connection
// that lived long, failures is negative.
func pause(err error, failures int) time.Duration {
	if codeOf(err) == reasonTooMany {
		return crowded + rand.N(crowded)
	}
	if failures < 0 {
		return rand.N(soon)
	}
	wait := rand.N(min(firstWait<<min(failures, 10), maxWait))
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return max(wait, limited.RetryAfter+rand.N(firstWait))
	}
	return wait
}

// tell logs why there is no connection, once for each reason in a row.
func (l *link) tell(err error) {
	state := codeOf(err)
	if state == "" {
		state = "away"
	}
	if state == l.said {
		return
	}
	l.said = state
	switch state {
	case reasonWarning, reasonRefresh:
		l.log.Info("socket is replaced, as Slack asks", "reason", state)
	case reasonTooMany:
		l.log.Error("too many sockets: Slack allows an app ten; stop another replica", "err", err)
	default:
		l.log.Warn("socket to Slack lost; trying again until it is back", "err", err)
	}
}

// hold opens a connection and keeps it until it has to be replaced. It tells how long it was of use, and why it is not any more.
func (l *link) hold(ctx context.Context) (lived time.Duration, err error) {
	c, err := l.connect(ctx)
	if err != nil {
		l.counts.add("open_failed")
		l.setState(false, err)
		return 0, err
	}
	begun := time.Now()
	l.counts.add("opened")
	l.setState(true, nil)
	if l.said != reasonWarning && l.said != reasonRefresh {
		l.log.Info("socket to Slack open")
	}
	l.said = "open"
	select {
	case <-c.leaving:
	case <-c.done:
	case <-ctx.Done():
		l.setState(false, ctx.Err())
		l.part(ctx, c)
		return 0, ctx.Err()
	}
	if err = c.ended(); codeOf(err) == "" {
		l.counts.add("connection_lost")
	}
	l.setState(false, err)
	l.part(ctx, c)
	return time.Since(begun), err
}

// part leaves a connection to itself: it is read until Slack closes it, and not longer than until the next one is left.
func (l *link) part(ctx context.Context, c *conn) {
	if l.parting != nil {
		l.parting.hurry()
	}
	l.parting = c
	if codeOf(c.ended()) == reasonTooMany {
		c.hurry()
	}
	l.partings.Go(func() {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-c.done:
		case <-c.hurried:
		case <-timer.C:
		case <-ctx.Done():
		}
		c.finish()
	})
}

// connect opens a connection and waits for Slack's hello.
func (l *link) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	_, address, err := l.api.StartSocketModeContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask Slack for a socket: %w", err)
	}
	ws, response, err := l.dialer.DialContext(ctx, address, http.Header{"Origin": {"https://api.slack.com"}})
	if response != nil && response.Body != nil {
		_ = response.Body.Close() // a handshake's body says nothing that the status does not
	}
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, fmt.Errorf("dial the socket: %w", withoutAddress(err))
	}
	c := newConn(ws, l.linkConfig)
	go c.read()
	select {
	case <-c.hello:
	case <-c.leaving:
	case <-c.done:
	case <-ctx.Done():
	}
	if c.greeted() {
		return c, nil
	}
	l.partings.Go(c.finish)
	if err := c.ended(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("wait for Slack's hello: %w", ctx.Err())
}

// withoutAddress takes the address out of an error of the dialer: the ticket in it opens a socket.
func withoutAddress(err error) error {
	if parse, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s the socket's address: %w", parse.Op, parse.Err)
	}
	return err
}

func (l *link) setState(open bool, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.open != open {
		l.state.since = time.Now()
	}
	l.state.open, l.state.why = open, why
}

func (l *link) current() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}
