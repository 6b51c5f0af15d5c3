package bot

import (
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// exemptModal asks for which key, until when and why.
func exemptModal(v view, h rotation.Holding, key rotation.KeyID) slack.ModalViewRequest {
	m := modal(exemptTitle, heldLines(v, h))
	var keys []choosable
	for _, k := range h.Keys {
		if key == "" || k.ID == key {
			keys = append(keys, choosable{user: h.User, key: k})
		}
	}
	if h.Err != nil || len(keys) == 0 {
		m.Blocks.BlockSet = append(m.Blocks.BlockSet, slack.NewSectionBlock(mrkdwn("No key can be chosen now."), nil, nil))
		return m
	}
	m.CallbackID, m.PrivateMetadata = exemptCallback, h.User.String()
	m.Submit, m.Close = plainText("Ask the approvers"), plainText("Cancel")
	until := slack.NewDatePickerBlockElement(inputUntil)
	m.Blocks.BlockSet = append(m.Blocks.BlockSet,
		slack.NewSectionBlock(mrkdwn("If the approvers agree, what is found about the key is accepted until the day you choose: nobody is warned, and the digest lists it. "+
			"It is of this one key, so the next one is not covered. Neither you nor the owner decides."), nil, nil),
		keyInput(v, keys),
		slack.NewInputBlock(inputUntil, plainText("Until which day?"), plainText("The last day on which it holds, at most a year from now."), until),
		reasonInput("Why can the key not be replaced before?", "The approvers see it, and the digest shows it.", false))
	return m
}

// exemptionChoice is what a person chose in the form.
type exemptionChoice struct {
	user   rotation.UserRef
	key    rotation.KeyID
	until  time.Time
	reason string
}

// parseExemptModal reads a submitted form. The problems are by block, as Slack shows them.
func parseExemptModal(metadata string, state *slack.ViewState, now time.Time) (exemptionChoice, map[string]string) {
	problems := map[string]string{}
	c := exemptionChoice{reason: reasonIn(state)}
	var err error
	c.user, err = rotation.ParseUserRef(metadata)
	id, key, ok := strings.Cut(inputValue(state, inputKey), "/")
	if err != nil || !ok || key == "" || id != c.user.ID() {
		problems[inputKey] = "Choose a key."
	}
	c.key = rotation.KeyID(key)
	day, err := time.ParseInLocation(time.DateOnly, inputValue(state, inputUntil), now.Location())
	c.until = day.AddDate(0, 0, 1)
	last := now.AddDate(1, 0, 0)
	switch {
	case err != nil:
		problems[inputUntil] = "Choose the last day on which the exemption shall hold."
	case !c.until.After(now):
		problems[inputUntil] = "That day is over. Choose today or a later one."
	case day.After(last):
		problems[inputUntil] = "An exemption holds for a year at most: choose " + last.Format(time.DateOnly) + " or an earlier day."
	}
	if c.reason == "" {
		problems[inputReason] = "Give a reason. It is kept with the exemption."
	}
	if len(problems) > 0 {
		return exemptionChoice{}, problems
	}
	return c, nil
}
