package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// watch observes from outside what the bot does: its calls to AWS, its traffic with Slack, and what it stores.
type watch struct {
	w *world

	mu      sync.Mutex
	broken  []breach
	open    []*change // sent, and not found in AWS's own list yet
	changes []*change // carried out, in AWS's order
	calls   int       // of AWS's list that have been read
	heard   int       // exchanges with Slack that have been read

	posts     []*posting
	delivered map[string]*delivery // by envelope id
	order     []*delivery
	asked     map[string][]ask           // by member, move and ref: when they asked for it
	shown     map[string]map[string]bool // by secret: the messages that have shown it
	shownKey  map[string]bool            // keys whose secret was shown
	claims    map[string]string          // the digests' notes ever written, by nonce
	leads     map[string]string          // who holds a claim
	requests  map[string]bool            // rotations whose request has been found
	made      map[string]string          // by secret: the account whose key it is of
	judged    map[string]bool            // what has been said of exemptions and snoozes, and was found right
	linked    map[string]bool            // by user and member: whom an approver has ever linked

	userIDs map[rotation.UserRef]string
	foreign map[rotation.UserRef]time.Time // when somebody else touched a user's keys, by the bubble's clock
	toggled map[string]bool                // keys whose status somebody else has changed
	gone    map[string]bool                // keys that somebody else has removed
	absent  map[string][]absence           // of members
	excused map[string]string              // keys that a person has decided to leave, and why

	usedInGrace map[string]time.Time // old keys that somebody else has used while they were inactive, and when, by the model's clock
}

// ask is when somebody asked for a move: between two checks.
type ask struct{ from, until time.Time }

type absence struct{ from, until time.Time }

// breach is an invariant that does not hold.
type breach struct {
	invariant    int
	rule, detail string
}

func newWatch(w *world) *watch {
	return &watch{
		w: w, delivered: map[string]*delivery{}, asked: map[string][]ask{}, shown: map[string]map[string]bool{},
		shownKey: map[string]bool{}, claims: map[string]string{}, leads: map[string]string{}, requests: map[string]bool{}, made: map[string]string{}, judged: map[string]bool{}, linked: map[string]bool{},
		userIDs: map[rotation.UserRef]string{}, foreign: map[rotation.UserRef]time.Time{}, toggled: map[string]bool{},
		gone: map[string]bool{}, absent: map[string][]absence{}, excused: map[string]string{},
		usedInGrace: map[string]time.Time{},
	}
}

// fail notes that an invariant does not hold; 0 stands for the model itself. The format names the rule, and stays the same from run to run.
func (w *world) fail(invariant int, format string, args ...any) {
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	w.watch.failLocked(invariant, format, args...)
}

func (o *watch) failLocked(invariant int, format string, args ...any) {
	b := breach{invariant, format, fmt.Sprintf(format, args...)}
	if !slices.Contains(o.broken, b) {
		o.broken = append(o.broken, b)
		o.w.story.add("!! invariant %d: %s", invariant, b.detail)
	}
}

// look is what was in AWS when the bot read something about a user.
type look struct {
	at     time.Time // the bubble's
	userID string
	keys   []iamsim.KeyView
}

// see takes down what is in AWS about a user now.
func (o *watch) see(user rotation.UserRef) look {
	o.mu.Lock()
	id, known := o.userIDs[user]
	o.mu.Unlock()
	if !known {
		for _, a := range o.w.aws.State().Accounts {
			for _, u := range a.Users {
				if a.ID == user.Account && u.Name == user.Name {
					id = u.UserID
				}
			}
		}
		o.mu.Lock()
		o.userIDs[user] = id
		o.mu.Unlock()
	}
	l := look{at: time.Now(), userID: id}
	if account := o.w.accounts[user.Account]; account != nil {
		l.keys = account.Keys(user.Name)
	}
	return l
}

func (l look) key(id rotation.KeyID) (iamsim.KeyView, bool) {
	i := slices.IndexFunc(l.keys, func(k iamsim.KeyView) bool { return k.ID == string(id) })
	if i < 0 {
		return iamsim.KeyView{}, false
	}
	return l.keys[i], true
}

// evidence is a look as the bot should have read it.
func (l look) evidence() rotation.Evidence {
	e := rotation.Evidence{At: l.at, UserID: l.userID}
	for _, k := range l.keys {
		key := rotation.Key{ID: rotation.KeyID(k.ID), Status: rotation.Status(k.Status), Created: k.Created}
		key.LastUse.State = rotation.NeverUsed
		if !k.LastUsed.IsZero() {
			key.LastUse = rotation.LastUse{State: rotation.Used, At: k.LastUsed}
		}
		e.Keys = append(e.Keys, key)
	}
	slices.SortStableFunc(e.Keys, func(a, b rotation.Key) int { return a.Created.Compare(b.Created) })
	return e
}

// change is a call of the bot that changes AWS.
type change struct {
	r         *replica
	at        time.Time // the model's clock, when it was sent
	sent      time.Time // the bubble's
	op        string
	user      rotation.UserRef
	key       rotation.KeyID
	status    string
	doc       rotation.Progress // as stored when it was sent
	looks     []look            // what was there when the bot read it, in the minute before
	before    look
	reads     map[string]reading
	made      rotation.KeyID // by CreateAccessKey
	answer    string
	effective bool
	inOrder   int
}

// reading ops are all that the bot may call beside the three changes.
var readingOps = []string{
	"GetUser", "ListUsers", "ListUserTags", "ListAccessKeys", "GetAccessKeyLastUsed", "GenerateCredentialReport", "GetCredentialReport",
	"GetAccountAuthorizationDetails", "GetCallerIdentity", "AssumeRole", "LookupEvents", "ListAccountAliases",
	"DescribeSecret", "CreateSecret", "PutSecretValue", "GetParameter", "PutParameter", // with no key of IAM changed, and none read
}

// changing takes down a call to AWS that changes something, before it is sent.
func (o *watch) changing(r *replica, q *http.Request, op string, form url.Values) *change {
	switch op {
	case "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey":
	default:
		if i := strings.LastIndexByte(op, '.'); !slices.Contains(readingOps, op[i+1:]) {
			o.w.fail(8, "the bot calls an operation that it has no business with: %s", op)
		}
		return nil
	}
	user := rotation.UserRef{Account: o.accountOf(q), Name: form.Get("UserName")}
	c := &change{
		r: r, at: o.w.now(), sent: time.Now(), op: op, user: user, key: rotation.KeyID(form.Get("AccessKeyId")), status: form.Get("Status"),
		before: o.see(user), looks: r.looksAt(user), reads: r.allReads(),
	}
	c.doc, _ = o.w.kept.progress(user.ID())
	if c.doc.Rotation != nil {
		r := *c.doc.Rotation
		c.doc.Rotation = &r
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = append(o.open, c)
	return c
}

// accountOf tells by the credentials of a request which account it is for: the base ones are of prod, the sessions of data.
func (o *watch) accountOf(q *http.Request) string {
	if q.Header.Get("X-Amz-Security-Token") != "" {
		return data
	}
	return prod
}

func (c *change) String() string {
	s := fmt.Sprintf("AWS %s %s", c.op, c.user.Name)
	if c.key != "" {
		s += " " + short(string(c.key))
	}
	if c.made != "" {
		s += " → " + short(string(c.made))
	}
	if c.status != "" {
		s += " " + c.status
	}
	return s + fmt.Sprintf(" (replica %d)", c.r.slot+1)
}

// answered notes what the bot learned of a change.
func (o *watch) answered(c *change, answer *http.Response, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !ok:
		c.answer = "answer lost"
	case answer.StatusCode == http.StatusOK:
		c.answer = "answered"
	default:
		c.answer = fmt.Sprintf("answered %d", answer.StatusCode)
	}
}

// readCalls finds in AWS's own list which changes were carried out.
func (o *watch) readCalls() []*change {
	calls := o.w.aws.Calls()
	o.mu.Lock()
	defer o.mu.Unlock()
	var done []*change
	for _, call := range calls[o.calls:] {
		switch call.Op {
		case "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey":
		default:
			continue
		}
		i := slices.IndexFunc(o.open, func(c *change) bool {
			return c.op == call.Op && c.user == rotation.UserRef{Account: call.Account, Name: call.UserName} &&
				(c.op == "CreateAccessKey" || string(c.key) == call.AccessKeyId)
		})
		if i < 0 {
			o.failLocked(8, "AWS was changed by a call that no replica made: %s %s %s", call.Op, call.UserName, call.AccessKeyId)
			continue
		}
		c := o.open[i]
		o.open = slices.Delete(o.open, i, i+1)
		if call.Op == "CreateAccessKey" && call.Applied {
			c.made = rotation.KeyID(call.AccessKeyId)
			o.made[o.w.accounts[call.Account].SecretOf(call.AccessKeyId)] = call.Account
		}
		if call.Op == "CreateAccessKey" && call.Attempt > 1 {
			o.failLocked(6, "CreateAccessKey was retried by the SDK")
		}
		outcome := call.Code
		if call.Applied {
			outcome = "applied"
		}
		o.w.story.add("   %s: %s, %s", c, outcome, c.answer)
		if call.Applied {
			c.inOrder = len(o.changes)
			o.changes = append(o.changes, c)
			done = append(done, c)
		}
	}
	o.calls = len(calls)
	return done
}

// claimed watches who leads, and remembers the digests' notes.
func (o *watch) claimed(r *replica, c rotation.Claim) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if fields := strings.Fields(c.Note); strings.HasPrefix(c.Name, "digest/") && len(fields) > 1 && fields[0] == "sending" {
		o.claims[fields[1]] = c.Name
	}
	if o.leads[c.Name] != c.Holder && !strings.HasPrefix(c.Name, "digest/") {
		o.leads[c.Name] = c.Holder
		word := "takes"
		if c.Holder == "" {
			word = "gives up"
		}
		o.w.story.add("   replica %d %s the lead of %s", r.slot+1, word, c.Name)
	}
}

// posting is a message that the bot posts: which one it is, and what became of it.
type posting struct {
	name, channel, text string
	before              map[string]bool
	ts                  string
	lost                bool // its answer did not come, or was no success
	settled             bool
}

func (o *watch) posting(_ *replica, q *http.Request) *posting {
	form, err := formOf(q)
	if err != nil {
		return nil
	}
	p := &posting{channel: form.Get("channel"), text: form.Get("text"), before: map[string]bool{}}
	var meta struct {
		Payload struct {
			Nonce string `json:"nonce"`
		} `json:"event_payload"`
	}
	_ = json.Unmarshal([]byte(form.Get("metadata")), &meta)
	p.name = o.named(meta.Payload.Nonce, p)
	for _, m := range o.w.messages(p.channel) {
		p.before[m.TS] = true
	}
	return p
}

// named finds which message carries a nonce: the bot has stored it before.
func (o *watch) named(nonce string, post *posting) string {
	for _, p := range o.w.kept.progresses() {
		for name, at := range p.Posts {
			if at.Nonce == nonce && nonce != "" {
				return name
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if name, ok := o.claims[nonce]; ok {
		return name
	}
	if post.channel == approvals || post.channel == onCall {
		o.failLocked(10, "a message is posted in a channel without a mark in the store: %s", clipped(post.text))
	}
	return ""
}

func (o *watch) posted(p *posting, answer *http.Response, ok bool) {
	var said struct {
		OK bool   `json:"ok"`
		TS string `json:"ts"`
	}
	if ok {
		_ = json.Unmarshal([]byte(peek(answer)), &said)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p.ts, p.lost = said.TS, !said.OK
	p.settled = said.OK
	o.posts = append(o.posts, p)
}

// messages lists what stands in a conversation, past everybody's screens.
func (w *world) messages(channel string) []slacksim.Message {
	member := dora // who is always there
	if strings.HasPrefix(channel, "U") {
		channel = dm(channel)
	}
	for _, id := range everybody {
		if channel == dm(id) {
			member = id
		}
	}
	for _, c := range w.slack.As(member).Screen().Channels {
		if c.ID == channel {
			return slices.DeleteFunc(slices.Clone(c.Messages), func(m slacksim.Message) bool { return m.Ephemeral || m.Deleted })
		}
	}
	return nil
}

// settlePosts finds the messages whose answers were lost.
func (o *watch) settlePosts() {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := map[string]bool{}
	for _, p := range o.posts {
		known[p.ts] = true
	}
	for _, p := range o.posts {
		if p.settled {
			continue
		}
		p.settled = true
		for _, m := range o.w.messages(p.channel) {
			if !p.before[m.TS] && !known[m.TS] && m.Text == p.text {
				p.ts, known[m.TS] = m.TS, true
				break
			}
		}
	}
}
