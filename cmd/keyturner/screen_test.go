package main

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// button is what a person can click, and on which rotation it acts.
type button struct {
	action, id, selected, ref string
}

// buttons lists what can be clicked on a message: of an overflow menu, each option.
func buttons(m slacksim.Message) []button {
	var found []button
	for _, b := range m.Blocks {
		elements, _ := b["elements"].([]any)
		for _, e := range append(slices.Clone(elements), b["accessory"]) {
			el, _ := e.(map[string]any)
			id, _ := el["action_id"].(string)
			value, _ := el["value"].(string)
			switch el["type"] {
			case "button":
				found = append(found, button{action: id, id: id, ref: value})
			case "overflow":
				options, _ := el["options"].([]any)
				for _, o := range options {
					option, _ := o.(map[string]any)
					value, _ := option["value"].(string)
					action, ref, _ := strings.Cut(value, " ")
					found = append(found, button{action: action, id: id, selected: value, ref: ref})
				}
			}
		}
	}
	return found
}

type keyView = iamsim.KeyView

// told counts what only this member was told.
func (s *story) told(member string) int { return len(whispers(s.w, member, "")) }

// whispers lists what only this member was told, with these words.
func whispers(w *world, member, words string) []slacksim.Message {
	var found []slacksim.Message
	for _, c := range w.slack.As(member).Screen().Channels {
		for _, m := range c.Messages {
			if m.Ephemeral && strings.Contains(m.Content(), words) {
				found = append(found, m)
			}
		}
	}
	return found
}

// sees tells whether a member is offered an action.
func (s *story) sees(member, action string) func() bool {
	if member == "" {
		member = approvers[0]
	}
	return func() bool {
		_, _, ok := s.find(member, action)
		return ok
	}
}

// past tells whether an action is offered to a member as of a later turn than before.
func (s *story) past(member, action, before string) func() bool {
	return func() bool {
		_, b, ok := s.find(member, action)
		return ok && b.ref != before
	}
}

// status tells whether AWS has the user's old key in a status; "" means that it is gone.
func (s *story) status(want string) func() bool {
	return func() bool { return s.w.keysOf(s.u)[s.u.old] == want }
}

// secret tells whether the owner sees the secret of a key that works.
func (s *story) secret() bool {
	for _, k := range s.w.made(s.u) {
		if k.Status == "Active" && s.onScreen(s.u.account.SecretOf(k.ID)) {
			return true
		}
	}
	return false
}

func (s *story) onScreen(secret string) bool {
	for _, m := range s.w.slack.As(s.u.owner).Screen().DM().Messages {
		blocks, err := json.Marshal(m.Blocks)
		if err == nil && !m.Deleted && holds(blocks, secret) {
			return true
		}
	}
	return false
}

func both(conditions ...func() bool) func() bool {
	return func() bool {
		return !slices.ContainsFunc(conditions, func(c func() bool) bool { return !c() })
	}
}
