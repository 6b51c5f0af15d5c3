package bot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/rotation"
)

// frame is one message of the socket, opened as far as any message can be.
type frame struct {
	Type    string
	ID      string // the envelope's, which the acknowledgement names
	Reason  string // of a disconnect
	App     string // whom a hello greets
	Payload json.RawMessage
}

// openFrame reads what it can: a field of another type than it should be is empty. The error is of what is no JSON object.
func openFrame(raw []byte) (frame, error) {
	var fields struct {
		Type    json.RawMessage `json:"type"`
		ID      json.RawMessage `json:"envelope_id"`
		Reason  json.RawMessage `json:"reason"`
		Info    json.RawMessage `json:"connection_info"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return frame{}, fmt.Errorf("open a frame of %d bytes: %w", len(raw), err)
	}
	var info struct {
		App string `json:"app_id"`
	}
	f := frame{Payload: fields.Payload}
	for _, field := range []struct {
		from json.RawMessage
		to   any
	}{{fields.Type, &f.Type}, {fields.ID, &f.ID}, {fields.Reason, &f.Reason}, {fields.Info, &info}} {
		if len(field.from) > 0 {
			_ = json.Unmarshal(field.from, field.to) // what is not as it should be stays empty
		}
	}
	f.App = info.App
	return f, nil
}

// kind is what somebody did, or that something happened.
type kind string

// The kinds of letters. One without a kind asks for nothing.
const (
	kindCommand    kind = "command"
	kindClick      kind = "click"
	kindSubmission kind = "submission"
	kindEvent      kind = "event"
	kindChoice     kind = "choice" // in an open form: a look at what it would mean, which is not kept
)

// letter is what an envelope holds, as far as the work needs it: it is what the inbox keeps. It has nothing of the message that was
// clicked but where it stands, so that no block is kept, and none can make an envelope unreadable.
type letter struct {
	Kind    kind              `json:"kind"`
	Member  rotation.MemberID `json:"member,omitempty"`
	Channel string            `json:"channel,omitempty"`
	ReplyTo string            `json:"reply_to,omitempty"` // the response URL, good for 30 minutes

	Command string    `json:"command,omitempty"`
	Text    string    `json:"text,omitempty"` // as reading.kept has it
	Clicks  []clicked `json:"clicks,omitempty"`
	Message place     `json:"message,omitzero"` // that was clicked in; zero: an ephemeral one, which nobody can edit

	View     string            `json:"view,omitempty"`
	Callback string            `json:"callback,omitempty"`
	Metadata string            `json:"metadata,omitempty"`
	Inputs   map[string]string `json:"inputs,omitempty"` // by block; its one element has the same id

	Event string `json:"event,omitempty"` // what happened, such as "user_change"

	// These are not kept: they are used up when the envelope is accepted.
	ID      string `json:"-"` // of the envelope, or of the event that may come in several
	Trigger string `json:"-"` // opens a modal, for three seconds
	Shown   []byte `json:"-"` // the form that a choice was made in, as Slack shows it
	Hash    string `json:"-"` // names its version
	Team    string `json:"-"`
	App     string `json:"-"`
}

// place is where a message stands.
type place struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// clicked is one button, or one choice of a menu.
type clicked struct {
	Action string `json:"action"`
	Value  string `json:"value,omitempty"`
	Block  string `json:"block,omitempty"`
}

// The limits of a letter, in bytes. Slack's own are lower, or as high.
const (
	maxID       = 255
	maxCommand  = 4 << 10 // of a typed text: the rest is cut off, since no command takes so much
	maxURL      = 2000
	maxValue    = 2000
	maxMetadata = 3000
	maxInput    = 3 << 10
	maxClicks   = 5
	maxLetter   = 64 << 10 // as it is kept
)

// unreadable says why an envelope cannot be worked, in words that hold nothing of it.
type unreadable string

func (e unreadable) Error() string { return "unreadable envelope: " + string(e) }

// readLetter reads what an envelope asks for; of a typed text, what is kept of it, for which the accounts' names by their ids are needed.
// The error is an unreadable.
func readLetter(f frame, accounts map[string]string) (letter, error) {
	if f.ID == "" {
		return letter{}, unreadable("it has no id")
	}
	var l letter
	var err error
	switch f.Type {
	case "slash_commands":
		l, err = readCommand(f.Payload)
		l.Text = readTyped(accounts, l.Text).kept()
	case "interactive":
		l, err = readInteraction(f.Payload)
	case "events_api":
		l, err = readEvent(f.Payload)
	default:
		err = unreadable("its type is none that is known")
	}
	if err != nil {
		return letter{}, err
	}
	if l.Kind != kindEvent {
		l.ID = f.ID
	}
	return l, l.check()
}

func decodePayload(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return unreadable("it has no payload")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return unreadable("its payload is not as it should be")
	}
	return nil
}

func readCommand(raw json.RawMessage) (letter, error) {
	var p struct {
		Team        string `json:"team_id"`
		App         string `json:"api_app_id"`
		User        string `json:"user_id"`
		Channel     string `json:"channel_id"`
		Command     string `json:"command"`
		Text        string `json:"text"`
		ResponseURL string `json:"response_url"`
		Trigger     string `json:"trigger_id"`
	}
	if err := decodePayload(raw, &p); err != nil {
		return letter{}, err
	}
	if p.Command == "" {
		return letter{}, unreadable("it names no command")
	}
	return letter{
		Kind: kindCommand, Member: rotation.MemberID(p.User), Channel: p.Channel, ReplyTo: p.ResponseURL, Command: p.Command,
		Text: cut(p.Text, maxCommand), Trigger: p.Trigger, Team: p.Team, App: p.App,
	}, nil
}

// cut shortens s to at most n bytes, between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// identity is how payloads name a person, a team or a channel.
type identity struct {
	ID string `json:"id"`
}

type interaction struct {
	Type        string   `json:"type"`
	User        identity `json:"user"`
	Team        identity `json:"team"`
	Channel     identity `json:"channel"`
	App         string   `json:"api_app_id"`
	Trigger     string   `json:"trigger_id"`
	ResponseURL string   `json:"response_url"`
	Container   struct {
		Channel   string `json:"channel_id"`
		TS        string `json:"message_ts"`
		Ephemeral bool   `json:"is_ephemeral"`
	} `json:"container"`
	Actions []struct {
		ID     string `json:"action_id"`
		Block  string `json:"block_id"`
		Value  string `json:"value"`
		Option struct {
			Value string `json:"value"`
		} `json:"selected_option"`
	} `json:"actions"`
	Shown json.RawMessage `json:"view"`
}

// shownView is the view of an interaction, as far as it is read.
type shownView struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Hash     string `json:"hash"`
	Callback string `json:"callback_id"`
	Metadata string `json:"private_metadata"`
	State    struct {
		Values map[string]map[string]struct {
			Value  string `json:"value"`
			Date   string `json:"selected_date"`
			Option struct {
				Value string `json:"value"`
			} `json:"selected_option"`
		} `json:"values"`
	} `json:"state"`
}

func readInteraction(raw json.RawMessage) (letter, error) {
	var p interaction
	if err := decodePayload(raw, &p); err != nil {
		return letter{}, err
	}
	var shown shownView
	if len(p.Shown) > 0 {
		if err := decodePayload(p.Shown, &shown); err != nil {
			return letter{}, err
		}
	}
	l := letter{
		Member: rotation.MemberID(p.User.ID), Channel: p.Channel.ID, ReplyTo: p.ResponseURL, Trigger: p.Trigger, Team: p.Team.ID, App: p.App,
	}
	switch {
	case p.Type == "block_actions" && shown.ID != "" && shown.Callback == keysCallback:
		l.Kind, l.Shown, l.Hash = kindChoice, p.Shown, shown.Hash
		shown.into(&l)
	case p.Type == "block_actions" && shown.ID != "" && shown.Type != "home": // a choice inside another modal counts when it is submitted
	case p.Type == "view_closed":
	case p.Type == "block_actions":
		return p.click(l)
	case p.Type == "view_submission":
		return shown.submission(l)
	default:
		return letter{}, unreadable("it is of an interaction that is none of ours")
	}
	return l, nil
}

func (p interaction) click(l letter) (letter, error) {
	if len(p.Actions) == 0 || len(p.Actions) > maxClicks {
		return letter{}, unreadable("it has no click, or too many")
	}
	l.Kind = kindClick
	for _, a := range p.Actions {
		l.Clicks = append(l.Clicks, clicked{Action: a.ID, Value: cmp.Or(a.Value, a.Option.Value), Block: a.Block})
	}
	l.Channel = cmp.Or(l.Channel, p.Container.Channel)
	if !p.Container.Ephemeral && p.Container.TS != "" {
		l.Message = place{l.Channel, p.Container.TS}
	}
	return l, nil
}

func (s shownView) submission(l letter) (letter, error) {
	l.Kind = kindSubmission
	s.into(&l)
	if _, ok := l.title(); !ok {
		return letter{}, unreadable("it is of a form that is none of ours")
	}
	return l, nil
}

// into puts what a form holds into a letter.
func (s shownView) into(l *letter) {
	l.View, l.Callback, l.Metadata = s.ID, s.Callback, s.Metadata
	for _, input := range []string{inputKey, inputWhat, inputUntil, inputReason} {
		given := s.State.Values[input][input]
		if value := cmp.Or(given.Option.Value, given.Date, given.Value); value != "" {
			if l.Inputs == nil {
				l.Inputs = map[string]string{}
			}
			l.Inputs[input] = value
		}
	}
}

func readEvent(raw json.RawMessage) (letter, error) {
	var p struct {
		Type  string `json:"type"`
		ID    string `json:"event_id"`
		Team  string `json:"team_id"`
		App   string `json:"api_app_id"`
		Event struct {
			Type string          `json:"type"`
			User json.RawMessage `json:"user"` // an id, or all about a member
		} `json:"event"`
	}
	if err := decodePayload(raw, &p); err != nil {
		return letter{}, err
	}
	l := letter{ID: p.ID, Team: p.Team, App: p.App}
	if p.Type != "event_callback" {
		return l, nil
	}
	if p.ID == "" || p.Event.Type == "" {
		return letter{}, unreadable("it is of an event without a name or an id")
	}
	l.Kind, l.Event = kindEvent, p.Event.Type
	var who identity
	if len(p.Event.User) > 0 && json.Unmarshal(p.Event.User, &who.ID) != nil {
		_ = json.Unmarshal(p.Event.User, &who) // an event about nobody is about nobody
	}
	l.Member = rotation.MemberID(who.ID)
	return l, nil
}

// check holds a letter to its limits. What is too long is refused, and not cut: it would then mean something else.
func (l letter) check() error {
	if l.Kind != "" && l.Kind != kindEvent && l.Member == "" {
		return unreadable("it names no member")
	}
	for _, part := range []struct {
		limit int
		parts []string
	}{
		{maxID, []string{l.ID, string(l.Member), l.Channel, l.Message.Channel, l.Message.TS, l.Command, l.View, l.Callback, l.Event, l.Hash}},
		{maxURL, []string{l.ReplyTo}},
		{maxMetadata, []string{l.Metadata}},
		{maxInput, slices.Collect(maps.Values(l.Inputs))},
	} {
		if tooLong(part.limit, part.parts...) {
			return unreadable("a part of it is too long")
		}
	}
	for _, c := range l.Clicks {
		if tooLong(maxID, c.Action, c.Block) || tooLong(maxValue, c.Value) {
			return unreadable("a part of a click is too long")
		}
	}
	return nil
}

func tooLong(limit int, parts ...string) bool {
	return slices.ContainsFunc(parts, func(s string) bool { return len(s) > limit })
}

// state is a submitted form's inputs as Slack's library has them.
func (l letter) state() *slack.ViewState {
	values := map[string]map[string]slack.BlockAction{}
	for block, value := range l.Inputs {
		values[block] = map[string]slack.BlockAction{block: {Value: value}}
	}
	return &slack.ViewState{Values: values}
}

// letterSchema is the version of what is kept.
const letterSchema = 1

type keptLetter struct {
	Schema int `json:"schema"`
	letter
}

// encode makes what the inbox keeps.
func (l letter) encode() ([]byte, error) {
	body, err := json.Marshal(keptLetter{letterSchema, l})
	if err != nil {
		return nil, fmt.Errorf("encode a letter: %w", err)
	}
	if len(body) > maxLetter {
		return nil, unreadable("it is too large to be kept")
	}
	return body, nil
}

// decodeLetter reads what encode made, and nothing else: what is not understood in full must not be worked.
func decodeLetter(body []byte) (letter, error) {
	var kept keptLetter
	var version struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(body, &version); err != nil {
		return letter{}, fmt.Errorf("decode a letter: %w", err)
	}
	if version.Schema != letterSchema {
		return letter{}, fmt.Errorf("decode a letter: it has schema %d, and this program knows %d; run the version that wrote it, or a newer one", version.Schema, letterSchema)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&kept); err != nil {
		return letter{}, fmt.Errorf("decode a letter: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return letter{}, errors.New("decode a letter: there is more behind its end")
	}
	switch kept.Kind {
	case kindCommand, kindClick, kindSubmission, kindEvent:
		return kept.letter, nil
	}
	return letter{}, fmt.Errorf("decode a letter: it is of no known kind")
}
