package bot

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// Before somebody sends a request, the modal tells what it would begin, who would be asked for the approval and until when. That depends on
// the key and on what is to happen to it, so each choice has Keyturner look, and change that one block of the form as it stands. The form comes
// with the choice, so nothing of it is remembered here, and any replica can answer. Slack is given the hash of the form that the choice was
// made in: if it shows something else by then, such as the outcome, it stays as it is. A look is nothing that is asked for, so it is not
// recorded: lost, it leaves a block that names the earlier choice.

// blockAsked is the block of the modal that tells who would be asked.
const blockAsked = "asked"

const askedAhead = "*Who is asked?* Choose a key. Then it stands here who is asked for the approval, and until when."

// askedBlock tells who would be asked.
func askedBlock(text string) *slack.SectionBlock {
	return slack.NewSectionBlock(mrkdwn(clip(text, maxBlockText)), nil, nil, slack.SectionBlockOptionBlockID(blockAsked))
}

// dispatching has Slack tell of each choice in an input.
func dispatching(b *slack.InputBlock) *slack.InputBlock {
	b.DispatchAction = true
	return b
}

// forms are the open forms that this process has changed.
type forms struct {
	mu   sync.Mutex
	open map[string]*form
}

// form is what is known of one: which choice in it is the latest, and the hashes that our own changes took it through.
type form struct {
	newest  int
	touched time.Time
	turn    chan struct{} // held by the one change under way
	hashes  []string      // the last is the one it has, unless it was changed otherwise
}

const formLife = time.Hour

// enter notes a choice in a form, and numbers it.
func (f *forms) enter(id string, now time.Time) (*form, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[string]*form{}
	}
	for other, one := range f.open {
		if now.Sub(one.touched) > formLife {
			delete(f.open, other)
		}
	}
	if f.open[id] == nil {
		f.open[id] = &form{turn: make(chan struct{}, 1)}
	}
	f.open[id].newest++
	f.open[id].touched = now
	return f.open[id], f.open[id].newest
}

func (f *forms) overtaken(one *form, choice int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return one.newest != choice
}

// since is the hash that a form has now, if it was changed by nobody else since it had that one.
func (f *form) since(hash string) string {
	if slices.Contains(f.hashes, hash) {
		return f.hashes[len(f.hashes)-1]
	}
	f.hashes = []string{hash}
	return hash
}

// chosen answers a choice in the modal. Of several in a row the last one is answered.
func (b *Bot) chosen(ctx context.Context, l letter) {
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	one, choice := b.forms.enter(l.View, b.now())
	select {
	case one.turn <- struct{}{}:
		defer func() { <-one.turn }()
	case <-ctx.Done():
		return
	}
	if b.forms.overtaken(one, choice) {
		return
	}
	m, err := l.form()
	if err != nil {
		b.log.Warn("read a form", "err", err)
		return
	}
	b.tellAsked(&m, b.foretold(ctx, callerOf(l, b.now()), l), rotation.Kind(l.Inputs[inputWhat]))
	if b.forms.overtaken(one, choice) {
		return
	}
	updated, err := b.cfg.Slack.UpdateViewContext(ctx, m, "", one.since(l.Hash), l.View)
	if err != nil { // closed, sent, or changed by another choice: what it shows then is newer
		b.log.Info("tell in the modal who would be asked", "err", err)
		return
	}
	one.hashes = append(one.hashes, updated.Hash)
}

// form is the modal in which a choice was made.
func (l letter) form() (slack.ModalViewRequest, error) {
	var shown slack.View
	if err := json.Unmarshal(l.Shown, &shown); err != nil {
		return slack.ModalViewRequest{}, err
	}
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: shown.Title, Close: shown.Close, Submit: shown.Submit, Blocks: shown.Blocks, CallbackID: shown.CallbackID,
	}, nil
}

// tellAsked changes what depends on what was chosen. The inputs keep their ids, so that Slack keeps what they hold.
func (b *Bot) tellAsked(m *slack.ModalViewRequest, asked string, what rotation.Kind) {
	for i, block := range m.Blocks.BlockSet {
		switch block := block.(type) {
		case *slack.SectionBlock:
			if block.BlockID == blockAsked {
				m.Blocks.BlockSet[i] = askedBlock(asked)
			}
		case *slack.InputBlock:
			if block.BlockID == inputReason {
				m.Blocks.BlockSet[i] = keysReason(what)
			}
		}
	}
}

// foretold tells what the request would begin that a form's choices make, and who would be asked.
func (b *Bot) foretold(ctx context.Context, who caller, l letter) string {
	choice, problems := parseChoices(l.state())
	if problems[inputKey] != "" {
		return askedAhead
	}
	if len(problems) > 0 {
		return "Choose what should happen to the key. Then it stands here who is asked for the approval, and until when."
	}
	return b.foretell(ctx, who, choice)
}

func (b *Bot) foretell(ctx context.Context, who caller, choice keyChoice) string {
	actor, err := b.cfg.People.Actor(ctx, who.member)
	if err != nil {
		return refusalText(b.view, err)
	}
	u, err := b.cfg.Engine.OwnedUser(ctx, who.member, choice.user)
	var f rotation.Foresight
	if err == nil {
		f, err = b.cfg.Engine.Foresee(ctx, choice.request(u, actor))
	}
	if err != nil {
		return "*This cannot be sent so.* " + refusalText(b.view, err)
	}
	return foresightText(b.view, f)
}

// foresightText tells who would be asked, what for and until when.
func foresightText(v view, f rotation.Foresight) string {
	r := f.Rotation
	lines := []string{"*" + short(r.Old) + " of " + v.user(r.User) + "*: " + lowerFirst(beginning(r))}
	if s := doubtful(f); s != "" {
		lines = append(lines, s)
	}
	if r.Stage == rotation.Leaked {
		lines = append(lines, "*Who is asked:* at once, in the approvals channel and in on-call's. One approver or somebody on call decides alone, and whoever reports it may.",
			"*Until when:* it stands until somebody decides.")
		return strings.Join(lines, "\n")
	}
	lines = append(lines, "*Who is asked:* "+askedFor(f), "*Until when:* "+askedUntil(r))
	if !f.Opens.IsZero() {
		lines = append(lines, "*When:* "+opensOn(f))
	}
	if exposed(r) != "" {
		lines = append(lines, "*AWS has found a key of this user in public.* If it is this one, choose that it leaked.")
	}
	return strings.Join(lines, "\n")
}

// beginning tells how the rotation would begin.
func beginning(r rotation.Rotation) string {
	switch r.Stage {
	case rotation.Leaked:
		return "It stops working at once if it is decided so, in use or not. After that its owner can ask for a new key."
	case rotation.Confirmed:
		return "It is made inactive if that is approved, and later deleted. There is no new key."
	case rotation.Grace:
		return "It is inactive already. Its grace begins, and after that it is deleted if that is approved."
	case rotation.Switching:
		return "The user has two active keys, so none is created. You move your applications to " + short(r.New) + " and confirm it."
	}
	return "A new key is created if that is approved. The old one keeps working until you have moved."
}

// askedFor names who decides about the first thing that needs it.
func askedFor(f rotation.Foresight) string {
	stage, what := f.Rotation.Stage, ""
	switch stage {
	case rotation.Grace:
		stage, what = rotation.Expiring, " whether it is deleted"
	case rotation.Switching:
		stage, what = rotation.Confirmed, " whether the old key is deactivated"
	}
	names := anyOf(each(f.Able(), mention))
	s := "nobody can decide" + what + " now."
	switch wanted := f.Terms.Wanted.At(stage); {
	case names != "" && wanted > 1:
		s = strconv.Itoa(wanted) + " of " + names + " decide" + what + "."
	case names != "":
		s = names + " decides" + what + "."
	}
	return sentences(s, besideThose(f.Explanation))
}

// opensOn tells when the change is made that an approval allows, if that is not at once.
func opensOn(f rotation.Foresight) string {
	s := "no changes are made now to this user. What is approved before waits until " + when(f.Opens) + ", and does not end meanwhile."
	if freeze, frozen := f.Rule.FrozenAt(f.Opens.Add(-time.Second)); frozen {
		return s + " " + reasonGiven(freeze.Reason)
	}
	return s
}

// askedUntil tells how long there is to decide.
func askedUntil(r rotation.Rotation) string {
	switch r.Stage {
	case rotation.Grace:
		return "they are asked when the grace is over, on " + when(r.Deadline) + ". That stands until somebody decides."
	case rotation.Switching:
		return "they are asked when you confirm, and have " + span(r.Terms.Expires) + " then."
	}
	return "until " + when(r.Deadline) + ", if you send it now. Without a decision by then it ends, and nothing is changed."
}
