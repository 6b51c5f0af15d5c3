package slacksim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrNotOnScreen means that a human cannot do this, because what they would click or type into is not
// there.
var ErrNotOnScreen = errors.New("slacksim: not on the member's screen")

func notOnScreen(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotOnScreen, fmt.Sprintf(format, args...))
}

// stateMember names the member that holds what was typed or chosen, by element type. An
// element without one, such as a button, has no state.
var stateMember = map[string]string{
	"plain_text_input": "value", "email_text_input": "value", "url_text_input": "value", "number_input": "value",
	"static_select": "selected_option", "external_select": "selected_option", "radio_buttons": "selected_option",
	"multi_static_select": "selected_options", "multi_external_select": "selected_options", "checkboxes": "selected_options",
	"users_select": "selected_user", "multi_users_select": "selected_users",
	"conversations_select": "selected_conversation", "multi_conversations_select": "selected_conversations",
	"channels_select": "selected_channel", "multi_channels_select": "selected_channels",
	"datepicker": "selected_date", "timepicker": "selected_time", "datetimepicker": "selected_date_time",
}

func kindOf(el block) string { return stringAt(el, "type") }

// initial is what an element holds before anybody touches it.
func initial(el block) any {
	member := stateMember[kindOf(el)]
	name := "initial_" + strings.TrimPrefix(member, "selected_")
	if value, ok := el[name]; ok && value != "" {
		return value
	}
	if strings.HasSuffix(member, "s") {
		return []any{}
	}
	return nil
}

// stateValues is state.values: what every element with a state holds, by block and action.
func stateValues(blocks []block, values map[string]map[string]any) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, b := range blocks {
		for _, el := range elementsOf(b) {
			member := stateMember[kindOf(el)]
			if member == "" {
				continue
			}
			blockID, actionID := stringAt(b, "block_id"), stringAt(el, "action_id")
			value, set := values[blockID][actionID]
			if !set {
				value = initial(el)
			}
			put(out, blockID, actionID, map[string]any{"type": kindOf(el), member: value})
		}
	}
	return out
}

// choose turns what a human picks or types into the value an element holds.
func (s *Sim) choose(el block, picks []string) (any, error) {
	kind := kindOf(el)
	member := stateMember[kind]
	if kind == "overflow" {
		member = "selected_option"
	}
	first := ""
	if len(picks) > 0 {
		first = picks[0]
	}
	switch member {
	case "":
		return nil, notOnScreen("nothing to choose in a %s", kind)
	case "value":
		if first == "" {
			return nil, nil
		}
		return first, nil
	case "selected_option":
		if first == "" {
			return nil, nil
		}
		return pickOption(el, first)
	case "selected_options":
		out := []any{}
		for _, p := range picks {
			opt, err := pickOption(el, p)
			if err != nil {
				return nil, err
			}
			out = append(out, opt)
		}
		return out, nil
	case "selected_date_time":
		return strconv.ParseInt(first, 10, 64)
	}
	return s.chooseID(member, picks)
}

// pickOption finds an option by its value or by the words a human reads.
func pickOption(el block, pick string) (any, error) {
	options := optionsOf(el)
	for _, opt := range options {
		if stringAt(opt, "value") == pick {
			return opt, nil
		}
	}
	for _, opt := range options {
		if label, _ := opt["text"].(map[string]any); stringAt(label, "text") == pick {
			return opt, nil
		}
	}
	return nil, notOnScreen("no option %q", pick)
}

// chooseID takes ids of members or channels, and dates and times as they are.
func (s *Sim) chooseID(member string, picks []string) (any, error) {
	for _, id := range picks {
		known := true
		switch {
		case strings.HasPrefix(member, "selected_user"):
			known = s.members[id] != nil
		case strings.HasPrefix(member, "selected_c"):
			known = s.channels[id] != nil
		}
		if !known && id != "" {
			return nil, notOnScreen("nothing to choose named %q", id)
		}
	}
	if strings.HasSuffix(member, "s") {
		out := []any{}
		for _, id := range picks {
			out = append(out, id)
		}
		return out, nil
	}
	if len(picks) == 0 || picks[0] == "" {
		return nil, nil
	}
	return picks[0], nil
}

// actionJSON is one entry of actions: what was clicked, and what it now holds.
func (s *Sim) actionJSON(b, el block, value any) map[string]any {
	out := map[string]any{
		"type": kindOf(el), "action_id": el["action_id"], "block_id": b["block_id"], "action_ts": s.stamp(),
	}
	for _, member := range []string{"text", "value", "style", "url", "placeholder", "confirm"} {
		if el[member] != nil {
			out[member] = el[member]
		}
	}
	if member := stateMember[kindOf(el)]; member != "" {
		out[member] = value
	} else if kindOf(el) == "overflow" {
		out["selected_option"] = value
	}
	return out
}

// match finds the one element a human means among blocks.
func match(blocks []block, member string, t Target) (b, el block, err error) {
	for _, candidate := range blocks {
		for _, e := range elementsOf(candidate) {
			if !t.means(candidate, e) || !shownTo(e, member) {
				continue
			}
			if el != nil {
				return nil, nil, notOnScreen("more than one element with action %q: name its block or value", t.ActionID)
			}
			b, el = candidate, e
		}
	}
	if el == nil {
		return nil, nil, notOnScreen("no element with action %q", t.ActionID)
	}
	return b, el, nil
}

func (t Target) means(b, el block) bool {
	return el["action_id"] == t.ActionID && (t.BlockID == "" || b["block_id"] == t.BlockID) &&
		(t.Value == "" || el["value"] == t.Value)
}

func shownTo(el block, member string) bool {
	ids, limited := el["visible_to_user_ids"].([]any)
	return !limited || slices.Contains(ids, any(member))
}

// incomplete lists, by block, what Slack itself holds against a form before sending it.
func incomplete(v *view) map[string]string {
	out := map[string]string{}
	values := stateValues(v.blocks, v.values)
	for _, b := range v.blocks {
		el, _ := b["element"].(map[string]any)
		if b["type"] != "input" || el == nil {
			continue
		}
		id := stringAt(b, "block_id")
		state, _ := values[id][stringAt(el, "action_id")].(map[string]any)
		if problem := wrong(el, state[stateMember[kindOf(el)]], b["optional"] == true); problem != "" {
			out[id] = problem
		}
	}
	return out
}

func wrong(el block, value any, optional bool) string {
	typed, _ := value.(string)
	chosen, isList := value.([]any)
	if value == nil || (isList && len(chosen) == 0) {
		if optional {
			return ""
		}
		return "Please complete this required field."
	}
	length := int64(utf8.RuneCountInString(typed))
	switch {
	case kindOf(el) == "plain_text_input" && number(el["min_length"]) > length:
		return fmt.Sprintf("Must be at least %d characters.", number(el["min_length"]))
	case kindOf(el) == "plain_text_input" && el["max_length"] != nil && number(el["max_length"]) < length:
		return fmt.Sprintf("Must be at most %d characters.", number(el["max_length"]))
	case kindOf(el) == "email_text_input" && !strings.Contains(typed, "@"):
		return "Please enter a valid email address."
	case kindOf(el) == "url_text_input" && !strings.Contains(typed, "://"):
		return "Please enter a valid URL."
	case kindOf(el) == "number_input" && !isNumber(typed):
		return "Please enter a number."
	}
	return ""
}

func number(value any) int64 {
	n, _ := strconv.ParseInt(fmt.Sprint(value), 10, 64)
	return n
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}
