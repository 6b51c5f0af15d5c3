package bot

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// The overflow of a warning. The value of an option is what it does, a space, the id of the user's document, "-k" and the mark of the key.
const (
	actionFinding = "finding"

	findingSnooze = "snooze" // and the number of days
	findingExempt = "exempt"
)

func findingMenu(user rotation.UserRef, key rotation.KeyID) *slack.OverflowBlockElement {
	option := func(what, words string) *slack.OptionBlockObject {
		return slack.NewOptionBlockObject(what+" "+user.ID()+"-k"+key.Mark(), plainText(words), nil)
	}
	return slack.NewOverflowBlockElement(actionFinding,
		option(findingSnooze+"7", "Snooze the warnings for 7 days"),
		option(findingSnooze+"14", "Snooze the warnings for 14 days"),
		option(findingExempt, "Ask for an exemption"))
}

// clickFinding does what an option of a warning's menu says.
func (b *Bot) clickFinding(ctx context.Context, who caller, actor rotation.Actor, trigger, value string) error {
	what, of, _ := strings.Cut(value, " ")
	id, mark, _ := strings.Cut(of, "-k")
	p, err := b.cfg.Engine.Get(ctx, id)
	i := slices.IndexFunc(p.Notices, func(n rotation.Notice) bool { return n.Key.Mark() == mark })
	switch {
	case errors.Is(err, rotation.ErrNotFound) || err == nil && i < 0:
		return b.cfg.Engine.Refuse(ctx, who.member, actionFinding, &rotation.Refusal{Code: rotation.Outdated, User: p.User})
	case err != nil:
		return err
	}
	e := errand{who: who, actor: actor, args: []string{string(p.Notices[i].Key)}, trigger: trigger}
	days, isSnooze := strings.CutPrefix(what, findingSnooze)
	n, err := strconv.Atoi(days)
	switch {
	case isSnooze && err == nil:
		return b.snoozeKey(ctx, e, p.User, p.Notices[i].Key, n)
	case what != findingExempt:
		return b.cfg.Engine.Refuse(ctx, who.member, actionFinding, &rotation.Refusal{Code: rotation.Outdated, User: p.User})
	}
	b.exempt(ctx, e)
	return nil
}

// snooze silences the warnings about a key to its owner.
func (b *Bot) snooze(ctx context.Context, e errand) {
	key, days := rotation.KeyID(e.args[0]), 7
	if len(e.args) > 1 {
		days, _ = strconv.Atoi(e.args[1])
	}
	u, err := b.userOf(ctx, e, key, "snooze")
	if err == nil {
		err = outsiders(b.snoozeKey(ctx, e, u, key, days), e.actor, key)
	}
	if err != nil {
		b.refuse(ctx, e.who, err)
	}
}

func (b *Bot) snoozeKey(ctx context.Context, e errand, u rotation.UserRef, key rotation.KeyID, days int) error {
	s, err := b.cfg.Engine.Snooze(ctx, u, key, days, e.actor, e.who.once)
	if err == nil {
		b.reply(ctx, e.who, plain("You are not warned about "+short(s.Key)+" of "+b.view.user(u)+" until "+when(s.Until)+
			". The digest lists it all the same, as snoozed by you. You can do so twice for each key."))
	}
	return err
}

func readDays(_ map[string]string, word string) (string, bool) {
	n, err := strconv.Atoi(word)
	return word, err == nil && n >= 1 && n <= int(rotation.MaxSnooze/(24*time.Hour)) && strconv.Itoa(n) == word
}
