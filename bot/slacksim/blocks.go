package slacksim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Surface is where blocks are shown.
type Surface string

// The surfaces of Block Kit.
const (
	OnMessage Surface = "message"
	OnModal   Surface = "modal"
	OnHome    Surface = "home"
)

// BlockError is one finding about blocks or a view.
type BlockError struct {
	Problem string // "must be less than 76 characters"
	Pointer string // "/blocks/0/text/text"
}

// Error is the finding as Slack words it in response_metadata.messages.
func (e *BlockError) Error() string {
	return fmt.Sprintf("[ERROR] %s [json-pointer:%s]", e.Problem, e.Pointer)
}

// ValidateBlocks checks blocks against Slack's limits for a surface, as chat.postMessage
// and the views methods do here. raw is a JSON array of blocks, or an object with a
// member "blocks". Each error is a [*BlockError]; none means Slack takes them.
func ValidateBlocks(surface Surface, raw []byte) []error {
	var value any
	if err := decodeJSON(raw, &value); err != nil {
		return []error{&BlockError{"must be valid JSON", "/blocks"}}
	}
	if object, ok := value.(map[string]any); ok {
		value = object["blocks"]
	}
	return asErrors(checkBlocks(surface, value, "/blocks"))
}

// ValidateView checks a modal or home view against Slack's limits.
func ValidateView(raw []byte) []error {
	var value any
	if err := decodeJSON(raw, &value); err != nil {
		return []error{&BlockError{"must be valid JSON", "/view"}}
	}
	return asErrors(checkView(value))
}

func asErrors(found []*BlockError) []error {
	var out []error
	for _, e := range found {
		out = append(out, e)
	}
	return out
}

// inspection collects findings while a value is compared with its shape.
type inspection struct {
	surface Surface
	found   []*BlockError
}

func (in *inspection) report(at, format string, args ...any) {
	in.found = append(in.found, &BlockError{fmt.Sprintf(format, args...), at})
}

// check compares one JSON value, which stands at a pointer, with a rule.
type check func(in *inspection, at string, value any)

// shape is what an object may hold.
type shape struct {
	on     []Surface        // where it may stand; nil means everywhere
	fields map[string]field // by member; "type" is understood
	also   check            // rules between members
}

type field struct {
	required bool
	check    check
}

func need(c check) field { return field{required: true, check: c} }
func may(c check) field  { return field{check: c} }

func (sh shape) inspect(in *inspection, at string, object map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(sh.fields)) {
		f := sh.fields[name]
		value, present := object[name]
		switch {
		case !present || value == nil:
			if f.required {
				in.report(at, "missing required field: %s", name)
			}
		default:
			f.check(in, at+"/"+name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, known := sh.fields[name]; !known && name != "type" {
			in.report(at, "invalid additional property: %s", name)
		}
	}
	if sh.also != nil {
		sh.also(in, at, object)
	}
}

// anything accepts any value.
func anything(*inspection, string, any) {}

// str accepts a string of lo to hi characters (Unicode code points).
func str(lo, hi int) check {
	return func(in *inspection, at string, value any) {
		s, ok := value.(string)
		switch n := utf8.RuneCountInString(s); {
		case !ok:
			in.report(at, "must be a string")
		case n > hi:
			in.report(at, "must be less than %d characters", hi+1)
		case n < lo:
			in.report(at, "must be more than %d characters", lo-1)
		}
	}
}

func boolean(in *inspection, at string, value any) {
	if _, ok := value.(bool); !ok {
		in.report(at, "must be a boolean")
	}
}

// integer accepts a whole number from lo to hi.
func integer(lo, hi int64) check {
	return func(in *inspection, at string, value any) {
		number, _ := value.(json.Number)
		if n, err := strconv.ParseInt(number.String(), 10, 64); err != nil || n < lo || n > hi {
			in.report(at, "must be an integer between %d and %d", lo, hi)
		}
	}
}

// enum accepts one of the words.
func enum(words ...string) check {
	return func(in *inspection, at string, value any) {
		if s, ok := value.(string); !ok || !slices.Contains(words, s) {
			in.report(at, "must be a valid enum value")
		}
	}
}

// list accepts an array of lo to hi items.
func list(lo, hi int, item check) check {
	return func(in *inspection, at string, value any) {
		items, ok := value.([]any)
		switch {
		case !ok:
			in.report(at, "must be an array")
			return
		case len(items) > hi:
			in.report(at, "no more than %d items allowed", hi)
		case len(items) < lo:
			in.report(at, "no fewer than %d items allowed", lo)
		}
		for i, it := range items {
			item(in, at+"/"+strconv.Itoa(i), it)
		}
	}
}

// object accepts an object of one shape.
func object(sh shape) check {
	return func(in *inspection, at string, value any) {
		m, ok := value.(map[string]any)
		if !ok {
			in.report(at, "must be an object")
			return
		}
		sh.inspect(in, at, m)
	}
}

// text accepts a text object of at most hi characters.
func text(hi int, kinds ...string) check {
	sh := object(shape{fields: map[string]field{
		"text": need(str(1, hi)), "emoji": may(boolean), "verbatim": may(boolean),
	}})
	return func(in *inspection, at string, value any) {
		m, _ := value.(map[string]any)
		if kind, _ := m["type"].(string); m != nil && !slices.Contains(kinds, kind) {
			in.report(at+"/type", "unsupported type: %s", kind)
			return
		}
		sh(in, at, value)
	}
}

func plain(hi int) check   { return text(hi, "plain_text") }
func anyText(hi int) check { return text(hi, "plain_text", "mrkdwn") }

// typed accepts an object of one of the types, each with its shape.
func typed(shapes map[string]shape, types ...string) check {
	return func(in *inspection, at string, value any) {
		m, ok := value.(map[string]any)
		if !ok {
			in.report(at, "must be an object")
			return
		}
		kind, _ := m["type"].(string)
		sh, known := shapes[kind]
		allowed := len(types) == 0 || slices.Contains(types, kind)
		switch {
		case m["type"] == nil:
			in.report(at, "missing required field: type")
		case !known || !allowed || (sh.on != nil && !slices.Contains(sh.on, in.surface)):
			in.report(at+"/type", "unsupported type: %s", kind)
		default:
			sh.inspect(in, at, m)
		}
	}
}

// checkBlocks applies the table and the rules between blocks.
func checkBlocks(surface Surface, value any, at string) []*BlockError {
	in := &inspection{surface: surface}
	lo, hi := 0, maxMessageBlocks
	if surface != OnMessage {
		lo, hi = 1, maxViewBlocks
	}
	list(lo, hi, typed(blockShapes))(in, at, value)
	blocks, _ := value.([]any)
	seen, markdownLength := map[string]bool{}, 0
	for i, item := range blocks {
		b, _ := item.(map[string]any)
		here := at + "/" + strconv.Itoa(i)
		if id, _ := b["block_id"].(string); id != "" {
			if seen[id] {
				in.report(here+"/block_id", "`block_id` already exists: %s", id)
			}
			seen[id] = true
		}
		uniqueActions(in, here, b)
		if b["type"] == "markdown" {
			s, _ := b["text"].(string)
			markdownLength += utf8.RuneCountInString(s)
		}
	}
	if markdownLength > maxMarkdown {
		in.report(at, "markdown text must be less than %d characters in total", maxMarkdown+1)
	}
	return in.found
}

func uniqueActions(in *inspection, at string, b block) {
	seen := map[string]bool{}
	for _, el := range elementsOf(b) {
		id, _ := el["action_id"].(string)
		if id != "" && seen[id] {
			in.report(at, "`action_id` already exists: %s", id)
		}
		seen[id] = true
	}
}

func checkView(value any) []*BlockError {
	in := &inspection{}
	view, ok := value.(map[string]any)
	if !ok {
		in.report("/view", "must be an object")
		return in.found
	}
	kind, _ := view["type"].(string)
	in.surface = Surface(kind)
	typed(viewShapes)(in, "/view", value)
	if in.surface != OnModal && in.surface != OnHome {
		return in.found
	}
	in.found = append(in.found, checkBlocks(in.surface, view["blocks"], "/view/blocks")...)
	if in.surface == OnModal && view["submit"] == nil && hasInput(blocksOf(view["blocks"])) {
		in.report("/view", "missing required field: submit")
	}
	return in.found
}

func hasInput(blocks []block) bool {
	return slices.ContainsFunc(blocks, func(b block) bool { return b["type"] == "input" })
}

// blocksOf reads decoded JSON as blocks, leaving out what is none.
func blocksOf(value any) []block {
	items, _ := value.([]any)
	var out []block
	for _, item := range items {
		if b, ok := item.(map[string]any); ok {
			out = append(out, b)
		}
	}
	return out
}

// elementsOf lists the interactive and other elements inside one block.
func elementsOf(b block) []block {
	out := append(blocksOf(b["elements"]), blocksOf(b["actions"])...)
	for _, member := range []string{"accessory", "element"} {
		if el, ok := b[member].(map[string]any); ok {
			out = append(out, el)
		}
	}
	return out
}
