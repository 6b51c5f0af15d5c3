package app

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// fields lists the names known in each part of the file; "" is its top level.
var fields = map[string][]string{
	"":             {"store", "timezone", "slack", "accounts", "organization", "approval", "owners", "exemptions", "policy", "ages", "schedule", "mail"},
	"slack":        {"approvals_channel", "oncall_channel", "approvers", "oncall"},
	"accounts":     {"id", "name", "role", "external_id", "delivery", "secret_name", "secret_region", "secret_kms_key", "cloudtrail"},
	"cloudtrail":   {"regions"},
	"organization": {"role_name", "external_id", "include", "exclude"},
	"approval":     {"name", "accounts", "users", "paths", "tag", "approvers", "needed", "expires", "remind", "escalate", "windows", "freezes"},
	"windows":      {"days", "hours", "zone"},
	"freezes":      {"from", "until", "reason"},
	"escalate":     {"after", "to"},
	"needed":       {"create", "deactivate", "delete"},
	"owners":       {"tag", "links", "email_tag", "email_names", "groups"},
	"exemptions":   {"user", "reason", "until"},
	"policy":       {"warn_age", "max_age", "unused_age", "quiet", "grace", "approval_expires", "secret_visible"},
	"ages":         {"name", "accounts", "users", "paths", "tag", "warn_age", "max_age", "unused_age"},
	"schedule":     {"scan", "digest"},
	"mail":         {"host", "port", "user", "from", "to"},
}

// position is a place in the file: both counted from 1, the column in characters.
type position struct{ line, column int }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column))
}

// problem is a place and a sentence about it; the zero problem is none.
type problem struct {
	at   position
	text string
}

// note keeps whichever of two problems stands first in the file.
func (p *problem) note(at position, what, write string) {
	if p.text == "" || at.compare(p.at) < 0 {
		*p = problem{at, what + "; write " + write}
	}
}

// reader reads values out of the syntax tree and keeps the problem that stands first in the file. Reading goes on after a
// problem, so that the code which reads needs no branch per value and the order of reading does not decide what is reported.
type reader struct {
	name  string
	wrong problem // something that is there
	lacks problem // something that is not: reported only if all else is well, since its name may just be misspelled

	noSlack bool // it may be missing
}

// fail notes that something in the file is wrong: what, and what to write instead. Neither may hold a value that has not been
// through shown.
func (in *reader) fail(at position, what, write string) { in.wrong.note(at, what, write) }

// sound reports whether no problem has been noted.
func (in *reader) sound() bool { return in.wrong.text == "" && in.lacks.text == "" }

func (in *reader) err() error {
	p := in.wrong
	if p.text == "" {
		p = in.lacks
	}
	if p.text == "" {
		return nil
	}
	return fmt.Errorf("%s:%d:%d: %s", in.name, p.at.line, p.at.column, p.text)
}

const tokensComeFrom = "tokens come from SLACK_APP_TOKEN and SLACK_BOT_TOKEN"

var slackToken = regexp.MustCompile(`(?i)(?:xox[a-z]|xapp)[-.][0-9a-z][0-9a-z.-]{7,}`)

// parse finds the top level of the file, after looking for tokens in all of it, comments included.
func (in *reader) parse(data []byte) (section, bool) {
	start := position{1, 1}
	const write = "a configuration as in deploy/keyturner.example.yaml"
	switch {
	case len(data) > maxSize:
		in.fail(start, fmt.Sprintf("the file has more than %d bytes", maxSize), write)
		return section{}, false
	case !utf8.Valid(data):
		in.fail(start, "the file is not UTF-8 text", "it in UTF-8")
		return section{}, false
	}
	if found := slackToken.FindIndex(data); found != nil {
		in.fail(positionIn(data, found[0]), "a Slack token does not belong in this file: "+tokensComeFrom,
			"it to one of those, or to a file named by SLACK_APP_TOKEN_FILE or SLACK_BOT_TOKEN_FILE")
		return section{}, false
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		what, at := "this is not YAML", start
		if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
			if text := strings.ReplaceAll(syntax.Message, "'\t'", "tab"); !credential.MatchString(text) && !strings.ContainsFunc(text, unicode.IsControl) {
				what += ": " + text
			}
			if syntax.Token != nil && syntax.Token.Position != nil {
				at = position{max(syntax.Token.Position.Line, 1), max(syntax.Token.Position.Column, 1)}
			}
		}
		in.fail(at, what, write)
		return section{}, false
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		in.fail(start, "the file is empty", write)
		return section{}, false
	case 1:
		return in.section("", bodies[0])
	default:
		in.fail(positionOf(bodies[1]), "a second document begins here", "one configuration per file")
		return section{}, false
	}
}

// section is one mapping of the file whose field names have been checked.
type section struct {
	in     *reader
	at     position // where something missing is reported
	values map[string]*ast.MappingValueNode
}

// section reads node as the part called kind, or a member of it, where kind is a list.
func (in *reader) section(kind string, node ast.Node) (section, bool) {
	s := section{in: in, at: positionOf(node), values: map[string]*ast.MappingValueNode{}}
	called := cmp.Or(kind, "the file")
	if kind == "accounts" || kind == "approval" || kind == "exemptions" || kind == "windows" || kind == "freezes" || kind == "ages" {
		called = "this entry of " + kind
	}
	return s, in.mapping(node, called, func(name string, entry *ast.MappingValueNode) {
		if !slices.Contains(fields[kind], name) {
			in.unknown(kind, name, positionOf(entry.Key))
			return
		}
		s.values[name] = entry
	})
}

// mapping calls each for the entries of node, after refusing duplicates.
func (in *reader) mapping(node ast.Node, called string, each func(name string, entry *ast.MappingValueNode)) bool {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		in.fail(positionOf(node), called+" is not made of fields", "name: value lines, as in deploy/keyturner.example.yaml")
		return false
	}
	seen := map[string]position{}
	entries := node.(ast.MapNode).MapRange() //nolint:forcetypeassert // both types above are one
	for entries.Next() {
		entry := entries.KeyValue()
		at := positionOf(entry.Key)
		name, ok := scalar(entry.Key)
		if !ok {
			in.fail(at, "this name is not plain text", "it as text; merge keys, anchors, aliases and tags are not read")
			continue
		}
		if before, ok := seen[name]; ok {
			in.fail(at, fmt.Sprintf("%s stands here again, after line %d", shown(name), before.line), "it once")
			continue
		}
		seen[name] = at
		each(name, entry)
	}
	return true
}

// unknown reports a field that kind does not have, with the name that was probably meant.
func (in *reader) unknown(kind, name string, at position) {
	what := "unknown field " + shown(name)
	if kind != "" {
		what += " in " + kind
	}
	if meant := nearest(name, fields[kind]); meant != "" {
		in.fail(at, what, meant)
		return
	}
	for _, other := range fields[""] {
		if slices.Contains(fields[other], name) {
			in.fail(at, what, "it under "+other)
			return
		}
	}
	if slices.Contains(fields[""], name) {
		in.fail(at, what, "it at the top level, not indented")
		return
	}
	if strings.Contains(strings.ToLower(name), "token") {
		in.fail(at, what+": "+tokensComeFrom, "it to one of those")
		return
	}
	in.fail(at, what, "one of "+strings.Join(fields[kind], ", "))
}

// child reads the part called name, and reports whether it is there with something in it.
func (s section) child(name string) (section, bool) {
	node, ok := s.value(name)
	if !ok {
		return section{}, false
	}
	return s.in.section(name, node)
}

// value is the node of a field; not ok if the field is missing or has nothing after its colon.
func (s section) value(name string) (ast.Node, bool) {
	entry, ok := s.values[name]
	if !ok || entry.Value == nil || entry.Value.Type() == ast.NullType {
		return nil, false
	}
	return entry.Value, true
}

// list is the members of a field that is a list. It is empty for a field that is missing or has nothing after its colon, so that
// all entries can be commented out.
func (s section) list(name string) []ast.Node {
	node, ok := s.value(name)
	if !ok {
		return nil
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		s.in.fail(positionOf(node), name+" is no list", "each member on a line of its own after \"- \", or all in [ ]")
		return nil
	}
	return sequence.Values
}

// text is a field that holds one value, and where it stands. If the field is missing, it is reported only when required;
// example is what to write.
func (s section) text(name, example string, required bool) (string, position, bool) {
	entry, ok := s.values[name]
	if !ok {
		if required {
			s.in.lacks.note(s.at, name+" is missing", name+": "+example)
		}
		return "", s.at, false
	}
	at := positionOf(entry.Key)
	if node, ok := s.value(name); ok {
		text, at, ok := s.in.text(node, name, example)
		return text, at, ok
	}
	s.in.fail(at, name+" has no value", name+": "+example)
	return "", at, false
}

// text is the value at node exactly as it is written there, without the quotes and white space around it.
func (in *reader) text(node ast.Node, called, example string) (string, position, bool) {
	at := positionOf(node)
	text, ok := scalar(node)
	text = strings.TrimSpace(text)
	if !ok || text == "" || strings.ContainsFunc(text, unicode.IsControl) {
		in.fail(at, called+" is not one plain value on one line", example)
		return "", at, false
	}
	return text, at, true
}

// scalar is the text of a node that is neither a collection nor an anchor, alias, tag or merge key. Numbers and booleans are not
// interpreted: 0123 stays 0123.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		// Folded to one line: there is nothing here whose lines would matter.
		return strings.Join(strings.Fields(n.Value.Value), " "), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.NullNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

// isNumber reports whether YAML tools other than this one would read node as a number.
func isNumber(node ast.Node) bool {
	return node.Type() == ast.IntegerType || node.Type() == ast.FloatType
}

// positionOf is where a reader of the file would say node begins: for a block mapping at its first name, not its first colon.
func positionOf(node ast.Node) position {
	switch n := node.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return positionOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return positionOf(n.Key)
	}
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return position{1, 1}
	}
	p := node.GetToken().Position
	return position{max(p.Line, 1), max(p.Column, 1)}
}

func positionIn(data []byte, offset int) position {
	before := string(data[:offset])
	line := strings.LastIndexByte(before, '\n') + 1
	return position{strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[line:]) + 1}
}

// credential matches what may be an AWS secret (40 characters of base64) or a piece of a token.
var credential = regexp.MustCompile(`(?i)[a-z0-9/+=_-]{32,}|xox[a-z]|xapp`)

// shown quotes a value of the file for an error, unless it could be a secret.
func shown(value string) string {
	if mayBeSecret(value) {
		return fmt.Sprintf("(a value of %d characters)", utf8.RuneCountInString(value))
	}
	return fmt.Sprintf("%q", value)
}

func mayBeSecret(value string) bool { return len(value) > 64 || credential.MatchString(value) }

// nearest is the one of names that a typing mistake would turn into name, or "".
func nearest(name string, names []string) string {
	best, distance := "", 3
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for _, known := range names {
		if d := levenshtein.ComputeDistance(name, known); d < distance && d < (len(known)+1)/2 {
			best, distance = known, d
		}
	}
	return best
}
