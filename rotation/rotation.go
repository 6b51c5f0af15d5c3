package rotation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MemberID identifies a person in Slack (U… or W…). An IAM user is never a Member.
type MemberID string

// Kind is the way a rotation goes.
type Kind string

// The kinds of rotation. They share one table; a kind only decides where in it a rotation begins and which rows apply.
const (
	Replace Kind = "replace" // a new key takes the old one's place
	Adopt   Kind = "adopt"   // two active keys are there already: the newer is the new one
	Retire  Kind = "retire"  // a key that nobody needs gets no successor
	Leak    Kind = "leak"    // a key that others may have is made inactive at once
)

// Terms are the waiting times a rotation runs under, fixed when it begins so that a changed configuration alters no rotation
// under way.
type Terms struct {
	Quiet    time.Duration   // how long the old key must have been unused before it is deactivated
	Grace    time.Duration   // how long it stays inactive before it may be deleted
	Expires  time.Duration   // how long an ask for a decision stands
	Visible  time.Duration   // how long the message with the secret stays if no receipt is given
	Wanted   Wanted          // how many must approve of each change
	Remind   []time.Duration // when those asked are reminded, each after the one before it, in their working time
	Escalate time.Duration   // after which a second circle is asked; 0: there is none
}

// Rotation is one replacement or retirement of one key, from the first request to its end. It is a value: Step returns a new one.
type Rotation struct {
	ID        string // the user's ID, a dash and the rotation's number
	Kind      Kind
	User      UserRef
	UserID    string // the IAM user's unique id when the rotation began
	Owner     MemberID
	Group     GroupID // that owns the user, if one does; its owner is the member of it who began the rotation
	Requester MemberID
	Reason    string // the requester's, as typed
	Once      string // names the asking
	Old       KeyID
	New       KeyID // empty until created or adopted
	Terms     Terms
	Delivery  Delivery
	Traits    Traits // by which the rule of its approvals is found

	Stage    Stage
	Turn     int  // moves made so far; a button carries it, so that a click on an outdated card is recognised
	InPublic bool // AWS had found a key of the user in public when it began
	Begun    time.Time
	Since    time.Time // when Stage was entered
	Deadline time.Time // when Elapse is due; zero if it is not
	Held     time.Time // when Proceed is due, for what is approved outside of its window; zero: nothing is held back

	Work     string // which process, and which attempt of it, makes the effect of a working stage; empty: whoever comes first
	Asks     []Ask
	Intent   *Intent
	Retry    Retry
	Issued   int       // keys created so far
	Then     Stage     // where discarding leads
	Idle     LastUse   // the old key's last use when it was made inactive: it must not move in the grace
	CutOff   time.Time // when the old key was made inactive although it may have been in use: AWS may show an earlier use later; else zero
	Modal    string    // the window in which the owner waits for the new key, for Reveal
	Collects MemberID  // of the group that owns the user, who opened that window in the owner's stead; empty: the owner did
	Failure  Failure   // why the rotation is stuck, or was before it was closed, or what refuted the evidence
	Lost     Failure   // why a secret did not reach its owner, while its key is being revoked
	Handover Handover
	Proof    Proof      // what is missing for the owner to confirm, by the engine's own looks
	Trace    Trace      // who uses the old key, as far as the trail tells
	Disowned time.Time  // when the owner said that they did not ask for the new key; zero: they have not
	Stale    []Handover // earlier messages with secrets of revoked keys, which are to be deleted still
}

// Intent is written before a key is created: what the user had. After a crash or a lost answer it tells a key that the bot may
// have made from those that were there.
type Intent struct {
	At    time.Time
	Known []KeyID
}

// Retry spaces the attempts of a working stage.
type Retry struct {
	Attempts int
	At       time.Time // not before
	Last     string    // what the last attempt met, for people
}

// Failure tells why a rotation is stuck.
type Failure struct {
	At    Stage // the stage that failed
	Class Class
	Block BlockCode // which fact was not as it should be, for ClassChanged
	Text  string    // the failed call, for the log and the audit
	Key   KeyID     // the key it is about, if it is about one
}

// Handover follows the message that shows the secret: where it is and when it must go. The message is posted without the secret before
// there is a key, so that it is always known where a secret stands. The secret is not in it.
type Handover struct {
	Post     Post
	Until    time.Time // zero: the secret has not been shown in it yet
	Received time.Time // the owner's receipt
	Gone     bool      // the message has been deleted
	Failed   string    // why it can be neither deleted nor emptied, if that is so: its owner is asked to delete it
}

// Due tells whether the message must be deleted now.
func (h Handover) Due(now time.Time) bool {
	return h.Post.Known() && !h.Gone && h.Failed == "" && !h.Until.IsZero() && (!h.Received.IsZero() || !now.Before(h.Until))
}

// Waits tells whether the message stands ready for a secret.
func (h Handover) Waits() bool { return h.Post.Known() && !h.Gone && h.Until.IsZero() }

// Handovers lists the messages with secrets, the stale ones first.
func (r Rotation) Handovers() []Handover {
	if !r.Handover.Post.Known() {
		return r.Stale
	}
	return append(slices.Clip(r.Stale), r.Handover)
}

// Removed notes that the message at p is deleted.
func (r *Rotation) Removed(p Post) {
	if r.Handover.Post.Same(p) {
		r.Handover.Gone = true
	}
	r.Stale = slices.DeleteFunc(slices.Clone(r.Stale), func(h Handover) bool { return h.Post.Same(p) })
}

// Exposed notes that the message at p can be neither deleted nor emptied, and why.
func (r *Rotation) Exposed(p Post, why string) {
	if r.Handover.Post.Same(p) {
		r.Handover.Failed = why
	}
	r.Stale = slices.Clone(r.Stale)
	for i := range r.Stale {
		if r.Stale[i].Post.Same(p) {
			r.Stale[i].Failed = why
		}
	}
}

// Post is where a message stands in Slack. Until TS is known, it is one that is being sent: Nonce was written before the call and is
// part of the message, so that one whose answer was lost can be looked for.
type Post struct {
	Channel string
	TS      string
	Shown   string // identifies the content that was last sent
	Nonce   string
	At      time.Time // of the latest attempt to send it
	Tries   int
}

// Same tells whether both are the same message, whatever it says.
func (p Post) Same(q Post) bool { return p.Channel == q.Channel && p.TS == q.TS }

// Known tells whether the message certainly stands in Slack.
func (p Post) Known() bool { return p.TS != "" }

// Ask is one question to the approvers, or to whoever must say how a stuck rotation goes on. It stays as the record of what was
// shown and decided.
type Ask struct {
	Stage     Stage
	Turn      int // the turn whose buttons it shows
	At        time.Time
	Evidence  Evidence
	Overruled Decision // by whom and why the evidence that is missing was overruled; zero: it was not
	Wanted    int      // how many must approve; 0 in what was asked before there were rules: one
	Decisions []Decision
	Closed    string // empty while open; else the On that ended it
	Stuck     Failure
	Reminders []Reminder // at most maxReminders of people, and maxNudges of the clock
	Again     time.Time  // when the engine looks whom to remind; zero: it does not
	Escalates time.Time  // when the second circle is asked, if it is open still; zero: it is not, or it has been
	Escalated time.Time  // since when the second circle may decide; zero: it may not
	Lapsed    time.Time  // when it ended for want of decisions; zero: it has not, or before this was kept
}

// Approvals are those given so far.
func (a Ask) Approvals() []Decision {
	return slices.DeleteFunc(slices.Clone(a.Decisions), func(d Decision) bool { return !d.Approve })
}

// Lacks is how many more must approve.
func (a Ask) Lacks() int { return max(a.Wanted, 1) - len(a.Approvals()) }

// ClosedBy is the decision that ended the ask, if a person ended it.
func (a Ask) ClosedBy() (Decision, bool) {
	switch On(a.Closed) {
	case "", Elapse, Fail, Lose, Refute, Renew, Succeed, Yield:
		return Decision{}, false
	}
	if n := len(a.Decisions); n > 0 {
		return a.Decisions[n-1], true
	}
	return Decision{}, false
}

// Open tells whether the ask waits for a decision.
func (a Ask) Open() bool { return a.Closed == "" }

// Decision is an approval or a denial, by whom, when and on which evidence.
type Decision struct {
	By       MemberID
	At       time.Time
	Approve  bool
	Reason   string
	Evidence string // the Digest of what was shown
}

// CurrentAsk is the open ask, if there is one.
func (r Rotation) CurrentAsk() (Ask, bool) {
	if n := len(r.Asks); n > 0 && r.Asks[n-1].Open() {
		return r.Asks[n-1], true
	}
	return Ask{}, false
}

// Approved finds the latest decision that approved stage.
func (r Rotation) Approved(stage Stage) (Ask, bool) {
	for _, a := range slices.Backward(r.Asks) {
		if a.Stage == stage && a.Closed == string(Approve) {
			return a, true
		}
	}
	return Ask{}, false
}

// Ended tells whether nothing can happen any more.
func (r Rotation) Ended() bool { return r.Stage.Ended() }

// Ref names a rotation at a turn: what a button carries, "ID.turn".
type Ref struct {
	ID   string
	Turn int
}

// Ref is the reference that a button shown now carries.
func (r Rotation) Ref() Ref { return Ref{r.ID, r.Turn} }

func (r Ref) String() string { return r.ID + "." + strconv.Itoa(r.Turn) }

// UserDoc is the ID of the Progress that holds the rotation.
func (r Ref) UserDoc() string { id, _, _ := strings.Cut(r.ID, "-"); return id }

// ParseRef reads what Ref.String wrote.
func ParseRef(s string) (Ref, error) {
	id, turn, ok := strings.Cut(s, ".")
	n, err := strconv.Atoi(turn)
	ref := Ref{id, n}
	if !ok || err != nil || n < 0 || !strings.Contains(id, "-") || ref.String() != s {
		return Ref{}, fmt.Errorf("read button value %q: it is not one of Keyturner's", s)
	}
	return ref, nil
}

// Progress is all that is kept about one IAM user: one document, so that a move is one conditional write and two rotations of one
// user cannot run at once.
type Progress struct {
	User     UserRef
	Rev      uint64 // the store's version; 0 for a document not yet stored
	Link     *Link  // who is answerable for the user, if an approver has said so
	Count    int    // rotations begun so far
	Rotation *Rotation
	Past     []Rotation // ended ones, newest last, at most keepPast
	Notices  []Notice
	// Exemptions and Snoozes are what is accepted of single keys for a time, or was: the newest last, of those that are over the latest.
	Exemptions []KeyExemption
	Snoozes    []Snooze
	Posts      map[string]Post // the messages shown for it, by the bot's name for them
	Owed       bool            // messages may have to be sent, edited or deleted: set by what changes, cleared by who shows it
	Trail      []Entry         // newest last, at most keepTrail; the earlier ones are kept by Store.Record
	Filed      int             // entries that have left the trail
	Told       int             // entries, those filed too, that have been told where the rotation is shown, or need not be
}

// Live tells whether anything may still happen by itself: a rotation runs, a message is owed, now or later, a secret stands in Slack, or
// something is accepted for a time.
func (p Progress) Live() bool {
	_, runs := p.Running()
	return p.Owed || runs || slices.ContainsFunc(p.Notices, Notice.Waits) || !p.tends().IsZero() || slices.ContainsFunc(p.All(), Rotation.exposes)
}

// exposes tells whether a message with a secret stands, or may stand, in Slack and can still be taken away.
func (r Rotation) exposes() bool {
	return slices.ContainsFunc(r.Handovers(), func(h Handover) bool { return !h.Gone && h.Failed == "" })
}

// What stays in the document is bounded, so that it stays far below the 400 KB that DynamoDB takes: the ended rotations, the asks of
// each, the entries and the notices.
const (
	keepPast     = 3 // more while the secret of one stands in Slack
	keepAsks     = 12
	keepPastAsks = 6
	keepTrail    = 30
	keepNotices  = 20
)

// Begin makes r the current rotation.
func (p *Progress) Begin(r Rotation) {
	p.Owed = true
	if p.Rotation != nil {
		past := *p.Rotation
		past.forgetAsks(keepPastAsks)
		past.Trace = Trace{}
		past.forgetReminders(1)
		p.Past = append(slices.Clip(p.Past), past)
		for i := 0; len(p.Past) > keepPast && i < len(p.Past); {
			if p.Past[i].exposes() { // or nobody would know of the message any more
				i++
				continue
			}
			p.forgetPosts(p.Past[i].ID)
			p.Past = slices.Delete(p.Past, i, i+1)
		}
	}
	p.Count++
	r.ID = p.User.ID() + "-" + strconv.Itoa(p.Count)
	p.Rotation = &r
}

func (p *Progress) forgetPosts(rotation string) {
	for name := range p.Posts {
		if strings.HasPrefix(name, rotation+"/") {
			delete(p.Posts, name)
		}
	}
}

// Find returns the rotation with that id, current or past.
func (p *Progress) Find(id string) (*Rotation, bool) {
	if p.Rotation != nil && p.Rotation.ID == id {
		return p.Rotation, true
	}
	for i := range p.Past {
		if p.Past[i].ID == id {
			return &p.Past[i], true
		}
	}
	return nil, false
}

// All lists the rotations that are kept, the current one last.
func (p Progress) All() []Rotation {
	if p.Rotation == nil {
		return p.Past
	}
	return append(slices.Clip(p.Past), *p.Rotation)
}

// Running is the current rotation unless it has ended.
func (p Progress) Running() (*Rotation, bool) {
	if p.Rotation == nil || p.Rotation.Ended() {
		return nil, false
	}
	return p.Rotation, true
}

// Notice is a warning owed to an owner, or what comes of it: written when it falls due, marked when it has been sent.
type Notice struct {
	Kind    NoticeKind
	Key     KeyID
	Days    int // the age that was reached, such as 75 or 90, or for how long it has not been used
	Owner   MemberID
	Created time.Time // the key's
	Due     time.Time // when the scan found it
	From    time.Time // it is not sent before, since its owner is not at work; zero: at once
	Sent    time.Time // zero: still owed
	Failed  string    // why it cannot be sent, if that is final
	Most    int       // the days that such a key may be old; 0: it was not noted

	Unused  Breach  // Unneeded or Idle: the owner is asked whether they need the key; empty: it is used, or that is not known
	Use     LastUse // then: its last use
	Instead Instead // and what fits in its place

	On    time.Time  // since a last warning: when others are told if nobody acts
	To    []MemberID // who they are, or were: members and groups; nobody: on-call
	In    string     // the id of the document that tells it, in one message with others; empty: it has a message of its own
	Among []string   // in that document, until it is told: the ids of all whose notices it tells
}

// Entry is one audit line: who did what, to which key, and how it ended. It holds no secret.
type Entry struct {
	At       time.Time
	Actor    string // a Member, "clock" or "engine"
	Action   string // the event, or what was attempted
	Outcome  string // "moved", "refused", "failed", …
	User     string // account/name
	Rotation string
	From, To Stage
	Key      KeyID
	Detail   string
}
