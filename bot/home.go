package bot

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// home is what a member's Home tab shows: what waits for them first, then what is theirs.
type home struct {
	actor    rotation.Actor
	groups   []rotation.GroupID  // that they are in, of those that decide or own
	unread   bool                // not all of those could be read
	running  []rotation.Progress // of all users
	ended    []rotation.Progress // of the member, whose latest rotation has ended
	held     []rotation.Holding  // the IAM users they own
	heldErr  error               // why those could not be looked up
	asked    []askedExemption    // of all users
	found    *found              // by the latest scan, for those who are told of any key; nil: nothing is known of it
	foundErr error               // why not
	digest   string              // the address of the latest digest
	link     func(rotation.Post) string
}

// How much a Home tab lists of each sort. Slack takes 100 blocks in one (https://docs.slack.dev/reference/views/home-tab-views).
const (
	maxWaiting  = 12
	maxOwn      = 10
	maxUsers    = 15
	maxAccounts = 20
)

// homeView is the Home tab.
func homeView(v view, h home) slack.HomeTabViewRequest {
	var d draft
	waiting(&d, v, h)
	ownRotations(&d, v, h)
	ownKeys(&d, v, h)
	if h.actor.OnCall || h.actor.Approver {
		everyKey(&d, v, h)
		everyAccount(&d, v, h)
	}
	d.note("As of " + when(v.now) + ". This page is brought up to date when you open it, and when something changes. Type " + "`/rotate-key help`" + " to read how a rotation goes.")
	return slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: d.blocks}}
}

// homeRefused is the Home tab of somebody whom Keyturner does not act for.
func homeRefused(why string) slack.HomeTabViewRequest {
	var d draft
	d.header("Keyturner")
	d.say(why)
	return slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: d.blocks}}
}

// waiting lists what waits for a click of the member, the oldest first, each with a way to its card: the evidence is there.
func waiting(d *draft, v view, h home) {
	items := exemptionsToDecide(v, h)
	for _, p := range h.running {
		if line := owes(v, h, p); line != "" {
			items = append(items, item{line, p.Rotation.Since})
		}
	}
	if len(items) == 0 {
		d.header("Nothing waits for you")
		d.say(h.doubt())
		return
	}
	d.header("Waiting for you: " + strconv.Itoa(len(items)))
	slices.SortStableFunc(items, func(a, b item) int { return a.since.Compare(b.since) })
	for i, it := range items {
		if i == maxWaiting {
			d.say("And " + count(len(items)-i, "other") + ".")
			return
		}
		d.say(it.line)
	}
	d.say(h.doubt())
}

// doubt says that something may be missing.
func (h home) doubt() string {
	if h.unread {
		return groupsUnread
	}
	return ""
}

// owes tells in a line what the member is asked to do about a rotation; nothing if it waits for somebody else.
func owes(v view, h home, p rotation.Progress) string {
	r := *p.Rotation
	ask, asks := r.CurrentAsk()
	switch {
	case asks && !r.Waits() && h.decides(v, r):
		until := ""
		if !r.Deadline.IsZero() && (r.Stage == rotation.Requested || r.Stage == rotation.Confirmed) {
			until = "Asked until " + when(r.Deadline) + "."
		}
		card := h.card(p, "ask"+strconv.Itoa(ask.Turn), "Decide on the card")
		return sentences("*"+esc(askTitle(r, ask))+"*\n"+v.user(r.User)+", key "+short(r.Old)+". Owner: "+mention(r.Owner)+".", until, card)
	case r.Owner == h.actor.Member && r.Stage == rotation.Offered:
		return sentences("*Open your new key*\n"+v.user(r.User)+", in place of "+short(r.Old)+".", collectUntil(r), h.card(p, "owner", "Open the card"))
	case r.Owner == h.actor.Member && r.Stage == rotation.Switching:
		return sentences("*Move your applications to the new key*\n"+v.user(r.User)+", from "+short(r.Old)+" to "+short(r.New)+
			". Then say so on the card.", h.card(p, "owner", "Open the card"))
	}
	return ""
}

// card is a link to a message, if it is known where it stands.
func (h home) card(p rotation.Progress, which, words string) string {
	post := p.Posts[p.Rotation.ID+"/"+which]
	if url := h.link(post); post.Known() && url != "" {
		return "<" + url + "|" + words + ">."
	}
	return ""
}

func ownRotations(d *draft, v view, h home) {
	var own []rotation.Rotation
	for _, p := range slices.Concat(h.running, h.ended) {
		if p.Rotation.Owner == h.actor.Member || p.Rotation.Requester == h.actor.Member {
			own = append(own, *p.Rotation)
		}
	}
	if len(own) == 0 {
		return
	}
	d.header("Your rotations")
	for i, r := range own {
		if i == maxOwn {
			d.say("And " + count(len(own)-i, "other") + ". Type " + "`/rotate-key status`" + " to see more.")
			return
		}
		d.show(statusLines(v, r, stepper(r)), statusLines(v, r, stepperInWords(r)), nil)
	}
}

func ownKeys(d *draft, v view, h home) {
	d.header("Your keys")
	switch {
	case h.heldErr != nil:
		d.say("Your keys could not be read. " + refusalText(v, h.heldErr))
		return
	case len(h.held) == 0:
		d.say("No IAM user names you as its owner. " + v.nameOwner())
		return
	}
	choosable := false
	held := v.worstFirst(h.held)
	for i, x := range held {
		if i < maxUsers {
			d.say(ownLines(v, x))
		}
		choosable = choosable || isChoosable(x) && x.Running == nil && len(x.Keys) > 0
	}
	if len(held) > maxUsers {
		otherKeys(d, v, held[maxUsers:])
	}
	if choosable {
		rotate := slack.NewButtonBlockElement(actionKeys, "", plainText("Rotate a key"))
		rotate.AccessibilityLabel = "Choose one of your keys, and replace or retire it"
		d.buttons([]slack.BlockElement{rotate})
	}
}

// everyAccount tells how many rotations run in each account, and where somebody is needed.
func everyAccount(d *draft, v view, h home) {
	type tally struct{ running, asked, stuck int }
	tallies := map[string]tally{}
	for id := range v.accounts.all() {
		tallies[id] = tally{}
	}
	for _, p := range h.running {
		t := tallies[p.User.Account]
		t.running++
		if _, asks := p.Rotation.CurrentAsk(); asks {
			t.asked++
		}
		if p.Rotation.Stage == rotation.Stuck {
			t.stuck++
		}
		tallies[p.User.Account] = t
	}
	ids := slices.Collect(maps.Keys(tallies))
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(tallies[b].stuck, tallies[a].stuck), cmp.Compare(tallies[b].asked, tallies[a].asked), strings.Compare(v.account(a), v.account(b)))
	})
	d.header("All accounts")
	var lines []string
	for _, id := range ids[:min(len(ids), maxAccounts)] {
		t := tallies[id]
		line := v.accountInFull(id) + ": no rotation running"
		if t.running > 0 {
			line = v.accountInFull(id) + ": " + count(t.running, "rotation") + " running"
		}
		if t.asked > 0 {
			line += ", " + strconv.Itoa(t.asked) + " waiting for a decision"
		}
		if t.stuck > 0 {
			line += ", *" + strconv.Itoa(t.stuck) + " stuck*"
		}
		lines = append(lines, line)
	}
	texts, shown := packed(lines, 1)
	d.say(strings.Join(texts, "\n"))
	if left := len(ids) - shown; left > 0 {
		d.say("And " + count(left, "other account") + ".")
	}
}
