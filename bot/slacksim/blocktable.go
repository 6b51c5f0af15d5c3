package slacksim

import (
	"maps"
	"slices"
)

// This file is the one table of Block Kit limits. Lengths are Unicode code points.
// Sources: docs.slack.dev/reference/block-kit and the types of @slack/types 3.2.0.
const (
	maxMessageBlocks = 50
	maxViewBlocks    = 100
	maxMarkdown      = 12_000
	maxBlockText     = 13_200 // all text in the blocks of one message
	maxText          = 40_000 // of a posted message; the rest is cut off
	maxUpdateText    = 4_000
	maxViewBytes     = 250_000
	maxStack         = 3
	maxAttachments   = 100
	maxMetadata      = 8_000 // bytes; Slack publishes no number
)

var messagesOnly = []Surface{OnMessage}

var confirmShape = shape{fields: map[string]field{
	"title": need(plain(100)), "text": need(anyText(300)), "confirm": need(plain(30)), "deny": need(plain(30)),
	"style": may(enum("primary", "danger")),
}}

func optionShape(label check) check {
	return object(shape{fields: map[string]field{
		"text": need(label), "value": need(str(1, 150)), "description": may(anyText(75)), "url": may(str(1, 3000)),
	}})
}

var (
	option      = optionShape(plain(75))
	optionMrk   = optionShape(anyText(75))
	optionGroup = object(shape{fields: map[string]field{"label": need(plain(75)), "options": need(list(1, 100, option))}})
	dispatch    = object(shape{fields: map[string]field{
		"trigger_actions_on": may(list(1, 2, enum("on_enter_pressed", "on_character_entered"))),
	}})
	slackFile = object(shape{fields: map[string]field{"id": may(str(1, 255)), "url": may(str(1, 3000))}})
	userIDs   = list(1, 10, str(1, 32))
)

// fields puts together the members of a shape.
func fields(sets ...map[string]field) map[string]field {
	out := map[string]field{}
	for _, set := range sets {
		maps.Copy(out, set)
	}
	return out
}

var (
	acting     = map[string]field{"action_id": may(str(1, 255)), "confirm": may(object(confirmShape)), "focus_on_load": may(boolean)}
	prompting  = map[string]field{"placeholder": may(plain(150))}
	typing     = map[string]field{"initial_value": may(str(0, 3000)), "dispatch_action_config": may(dispatch)}
	manyOf     = map[string]field{"max_selected_items": may(integer(1, 100))}
	converse   = map[string]field{"default_to_current_conversation": may(boolean), "response_url_enabled": may(boolean), "filter": may(anything)}
	optionList = map[string]field{"options": may(list(1, 100, option)), "option_groups": may(list(1, 100, optionGroup))}
	external   = map[string]field{"min_query_length": may(integer(0, 100))}
)

func one(name string, f field) map[string]field { return map[string]field{name: f} }

// elementShapes are the elements that stand inside blocks.
var elementShapes = map[string]shape{
	"button": {fields: fields(acting, map[string]field{
		"text": need(plain(75)), "value": may(str(1, 2000)), "url": may(str(1, 3000)), "style": may(enum("primary", "danger")),
		"accessibility_label": may(str(1, 75)), "visible_to_user_ids": may(userIDs),
	})},
	"icon_button": {fields: fields(acting, map[string]field{
		"icon": need(str(1, 75)), "text": need(plain(75)), "value": may(str(1, 2000)),
		"accessibility_label": may(str(1, 75)), "visible_to_user_ids": may(userIDs),
	})},
	"feedback_buttons": {fields: fields(acting, map[string]field{"positive_button": need(anything), "negative_button": need(anything)})},
	"workflow_button": {fields: fields(acting, map[string]field{
		"text": need(plain(75)), "workflow": need(anything), "style": may(enum("primary", "danger")), "accessibility_label": may(str(1, 75)),
	})},
	"image": {fields: map[string]field{
		"image_url": may(str(1, 3000)), "alt_text": need(str(1, 2000)), "slack_file": may(slackFile),
	}},
	"static_select": {
		fields: fields(acting, prompting, optionList, one("initial_option", may(option))), also: offersOptions,
	},
	"multi_static_select": {
		fields: fields(acting, prompting, optionList, manyOf, one("initial_options", may(list(1, 100, option)))), also: offersOptions,
	},
	"external_select":       {fields: fields(acting, prompting, external, one("initial_option", may(option)))},
	"multi_external_select": {fields: fields(acting, prompting, external, manyOf, one("initial_options", may(list(1, 100, option))))},
	"users_select":          {fields: fields(acting, prompting, one("initial_user", may(str(1, 32))))},
	"multi_users_select":    {fields: fields(acting, prompting, manyOf, one("initial_users", may(list(1, 100, str(1, 32)))))},
	"conversations_select":  {fields: fields(acting, prompting, converse, one("initial_conversation", may(str(1, 32))))},
	"multi_conversations_select": {
		fields: fields(acting, prompting, converse, manyOf, one("initial_conversations", may(list(1, 100, str(1, 32))))),
	},
	"channels_select":       {fields: fields(acting, prompting, one("response_url_enabled", may(boolean)), one("initial_channel", may(str(1, 32))))},
	"multi_channels_select": {fields: fields(acting, prompting, manyOf, one("initial_channels", may(list(1, 100, str(1, 32)))))},
	"overflow":              {fields: fields(acting, one("options", need(list(1, 5, option))))},
	"checkboxes": {
		fields: fields(acting, map[string]field{
			"options": need(list(1, 10, optionMrk)), "initial_options": may(list(1, 10, optionMrk)), "visible_to_user_ids": may(userIDs),
		}), also: offersOptions,
	},
	"radio_buttons": {
		fields: fields(acting, map[string]field{"options": need(list(1, 10, optionMrk)), "initial_option": may(optionMrk)}), also: offersOptions,
	},
	"datepicker":     {fields: fields(acting, prompting, one("initial_date", may(str(10, 10))))},
	"timepicker":     {fields: fields(acting, prompting, one("initial_time", may(str(5, 5))), one("timezone", may(str(1, 64))))},
	"datetimepicker": {fields: fields(acting, one("initial_date_time", may(integer(1_000_000_000, 9_999_999_999))))},
	"plain_text_input": {fields: fields(acting, prompting, typing, map[string]field{
		"multiline": may(boolean), "min_length": may(integer(0, 3000)), "max_length": may(integer(1, 3000)),
	})},
	"email_text_input": {fields: fields(acting, prompting, typing)},
	"url_text_input":   {fields: fields(acting, prompting, typing)},
	"number_input": {fields: fields(acting, prompting, typing, map[string]field{
		"is_decimal_allowed": need(boolean), "min_value": may(str(1, 64)), "max_value": may(str(1, 64)),
	})},
	"rich_text_input": {fields: fields(acting, prompting, map[string]field{
		"initial_value": may(anything), "dispatch_action_config": may(dispatch), "min_lines": may(integer(1, 100)), "max_lines": may(integer(1, 100)),
	})},
	"file_input": {fields: fields(acting, map[string]field{"filetypes": may(anything), "max_files": may(integer(1, 10))})},
}

var (
	choices = []string{
		"static_select", "external_select", "users_select", "conversations_select", "channels_select",
		"multi_static_select", "multi_external_select", "multi_users_select", "multi_conversations_select", "multi_channels_select",
		"checkboxes", "radio_buttons", "datepicker", "timepicker",
	}
	inActions   = append([]string{"button", "overflow", "workflow_button", "datetimepicker", "rich_text_input"}, choices...)
	inAccessory = append([]string{"button", "overflow", "workflow_button", "image"}, choices...)
	inInput     = append([]string{
		"plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input", "file_input", "datetimepicker",
	}, choices...)
	inContext = map[string]shape{
		"image":      elementShapes["image"],
		"plain_text": {fields: map[string]field{"text": need(str(1, 3000)), "emoji": may(boolean)}},
		"mrkdwn":     {fields: map[string]field{"text": need(str(1, 3000)), "verbatim": may(boolean)}},
	}
)

var blockID = one("block_id", may(str(1, 255)))

// blockShapes are the blocks, with the surfaces each may stand on.
var blockShapes = map[string]shape{
	"section": {
		fields: fields(blockID, map[string]field{
			"text": may(anyText(3000)), "fields": may(list(1, 10, anyText(2000))), "expand": may(boolean),
			"accessory": may(typed(elementShapes, inAccessory...)),
		}), also: textOrFields,
	},
	"header":  {fields: fields(blockID, map[string]field{"text": need(plain(150)), "level": may(integer(1, 4))})},
	"divider": {fields: blockID},
	"actions": {fields: fields(blockID, one("elements", need(list(1, 25, typed(elementShapes, inActions...)))))},
	"context": {fields: fields(blockID, one("elements", need(list(1, 10, typed(inContext)))))},
	"context_actions": {
		on:     messagesOnly,
		fields: fields(blockID, one("elements", need(list(1, 5, typed(elementShapes, "feedback_buttons", "icon_button"))))),
	},
	"input": {fields: fields(blockID, map[string]field{
		"label": need(plain(2000)), "hint": may(plain(2000)), "optional": may(boolean), "dispatch_action": may(boolean),
		"element": need(typed(elementShapes, inInput...)),
	})},
	"image": {fields: fields(blockID, map[string]field{
		"image_url": may(str(1, 3000)), "alt_text": need(str(1, 2000)), "title": may(plain(2000)), "slack_file": may(slackFile),
	})},
	"rich_text": {fields: fields(blockID, one("elements", need(list(1, 1000, anything))))},
	"markdown":  {on: messagesOnly, fields: fields(blockID, one("text", need(str(1, maxMarkdown))))},
	"file": {on: messagesOnly, fields: fields(blockID, map[string]field{
		"external_id": need(str(1, 255)), "source": need(enum("remote")),
	})},
	"table": {on: []Surface{OnMessage, OnHome}, fields: fields(blockID, map[string]field{
		"rows": need(list(1, 100, list(1, 20, anything))), "column_settings": may(list(1, 20, anything)),
	})},
	"video": {fields: fields(blockID, map[string]field{
		"alt_text": need(str(1, 200)), "title": need(plain(200)), "description": may(plain(200)), "video_url": need(str(1, 3000)),
		"thumbnail_url": need(str(1, 3000)), "title_url": may(str(1, 3000)), "author_name": may(str(1, 50)),
		"provider_name": may(str(1, 50)), "provider_icon_url": may(str(1, 3000)),
	})},
	"alert": {on: []Surface{OnModal}, fields: fields(blockID, map[string]field{
		"text": need(anyText(200)), "level": may(enum("default", "info", "warning", "error", "success")),
	})},
}

var viewFields = map[string]field{
	"blocks": need(anything), "private_metadata": may(str(0, 3000)), "callback_id": may(str(0, 255)), "external_id": may(str(0, 255)),
}

// viewShapes are the views. Their blocks are checked with the table above.
var viewShapes = map[string]shape{
	"modal": {fields: fields(viewFields, map[string]field{
		"title": need(plain(24)), "submit": may(plain(24)), "close": may(plain(24)),
		"clear_on_close": may(boolean), "notify_on_close": may(boolean),
	})},
	"home": {fields: viewFields},
}

func textOrFields(in *inspection, at string, value any) {
	if b, _ := value.(map[string]any); b["text"] == nil && b["fields"] == nil {
		in.report(at, "must define either `text` or `fields`")
	}
}

// offersOptions holds between the members of a choice: options or groups, not both, and
// nothing chosen at first that is not offered.
func offersOptions(in *inspection, at string, value any) {
	el, _ := value.(map[string]any)
	if (el["options"] == nil) == (el["option_groups"] == nil) {
		in.report(at, "must define exactly one of `options` and `option_groups`")
		return
	}
	offered := optionValues(el)
	initial := blocksOf(el["initial_options"])
	if first, ok := el["initial_option"].(map[string]any); ok {
		initial = append(initial, first)
	}
	for _, opt := range initial {
		if v, _ := opt["value"].(string); !slices.Contains(offered, v) {
			in.report(at, "initial option is not one of the options: %s", v)
		}
	}
}

// optionsOf lists the options of a choice, those in groups included.
func optionsOf(el block) []block {
	out := blocksOf(el["options"])
	for _, group := range blocksOf(el["option_groups"]) {
		out = append(out, blocksOf(group["options"])...)
	}
	return out
}

func optionValues(el block) []string {
	var out []string
	for _, opt := range optionsOf(el) {
		v, _ := opt["value"].(string)
		out = append(out, v)
	}
	return out
}
