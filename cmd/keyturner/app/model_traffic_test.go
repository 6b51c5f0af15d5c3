package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// delivery is an envelope on its way to the bot, and what became of it.
type delivery struct {
	id, kind, member string
	on, ref          string // of a click or a form about a rotation
	value            string // a click's own
	hook             string // the path of its response URL
	trigger, view    string
	text             string // of a command
	channel          string
	at               time.Time // the model's clock, at the check after it was sent
	sent             time.Time // the bubble's, then
	acked, tried     bool      // tried: it was tried to answer
	answered         string    // how, as far as can be seen
}

func (d *delivery) String() string {
	return fmt.Sprintf("%s of %s (%s %s%s)", d.kind, nick(d.member), d.on, d.ref, d.text)
}

// envelopeFrame is a frame that Slack sends, as far as it concerns the model.
type envelopeFrame struct {
	ID      string `json:"envelope_id"`
	Type    string `json:"type"`
	Payload struct {
		Type     string `json:"type"`
		UserID   string `json:"user_id"`
		Text     string `json:"text"`
		Response string `json:"response_url"`
		Trigger  string `json:"trigger_id"`
		ChanID   string `json:"channel_id"`
		User     struct {
			ID string `json:"id"`
		} `json:"user"`
		Channel struct {
			ID string `json:"id"`
		} `json:"channel"`
		Actions []struct {
			ID       string `json:"action_id"`
			Value    string `json:"value"`
			Selected struct {
				Value string `json:"value"`
			} `json:"selected_option"`
		} `json:"actions"`
		View struct {
			ID       string `json:"id"`
			Callback string `json:"callback_id"`
			Metadata string `json:"private_metadata"`
			State    struct {
				Values map[string]map[string]struct {
					Value    string `json:"value"`
					Selected struct {
						Value string `json:"value"`
					} `json:"selected_option"`
				} `json:"values"`
			} `json:"state"`
		} `json:"view"`
	} `json:"payload"`
}

// listen reads what has crossed between Slack and the bot since it was called last; from is when that was.
func (o *watch) listen(from time.Time) {
	secrets := o.w.aws.Secrets()
	all := o.w.slack.Exchanges()
	for _, raw := range all[o.heard:] {
		name, rest, _ := bytes.Cut(raw, []byte("\n"))
		for _, secret := range secrets {
			if bytes.Contains(raw, []byte(secret)) || bytes.Contains(raw, []byte(url.QueryEscape(secret))) {
				o.secretIn(string(name), string(rest), secret)
			}
		}
		o.sealedIn(string(name), string(rest), secrets)
		switch string(name) {
		case "frame sent":
			o.frameSent(rest, from)
		case "frame received":
			o.frameReceived(rest)
		default:
			o.called(string(name), string(rest))
		}
	}
	o.heard = len(all)
}

func (o *watch) frameSent(raw []byte, from time.Time) {
	var f envelopeFrame
	if err := json.Unmarshal(raw, &f); err != nil || f.ID == "" || o.delivered[f.ID] != nil {
		return
	}
	d := &delivery{
		id: f.ID, kind: f.Type, member: f.Payload.User.ID, trigger: f.Payload.Trigger, view: f.Payload.View.ID, text: f.Payload.Text,
		channel: f.Payload.Channel.ID, at: o.w.now(), sent: time.Now(),
	}
	if u, err := url.Parse(f.Payload.Response); err == nil {
		d.hook = u.Path
	}
	switch {
	case f.Type == "slash_commands":
		d.member, d.channel = f.Payload.UserID, f.Payload.ChanID
		typed := d.member + " " + d.text
		o.asked[typed] = append(o.asked[typed], ask{from, d.at})
	case f.Payload.Type == "block_actions" && d.view == "":
		d.kind = "click"
		for _, a := range f.Payload.Actions {
			d.value = a.Value
			d.on, d.ref = a.ID, a.Value
			if a.Selected.Value != "" {
				d.on, d.ref, _ = strings.Cut(a.Selected.Value, " ")
			}
		}
	case f.Payload.Type == "view_submission":
		d.kind = "form"
		d.ref = f.Payload.View.Metadata
		if on, found := strings.CutPrefix(f.Payload.View.Callback, "reason:"); found {
			d.on = on
		} else if f.Payload.View.Callback == "exempt-deny" {
			d.on = "exempt-deny"
		} else {
			d.on, d.ref = f.Payload.View.Callback, f.Payload.View.State.Values["key"]["key"].Selected.Value
		}
	}
	o.delivered[f.ID] = d
	o.order = append(o.order, d)
	if d.on != "" {
		key := d.member + " " + d.on + " " + d.ref
		o.asked[key] = append(o.asked[key], ask{from, d.at})
	}
}

func (o *watch) frameReceived(raw []byte) {
	var f struct {
		ID      string          `json:"envelope_id"`
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(raw, &f) != nil || o.delivered[f.ID] == nil {
		return
	}
	d := o.delivered[f.ID]
	d.acked = true
	if len(f.Payload) > 2 { // more than {}
		d.answered = "in the acknowledgement"
	}
}

// called looks at a call of the bot to Slack: whom it answers. One that Slack has not taken, for all the bot knows, is an attempt.
func (o *watch) called(name, rest string) {
	path, recorded, _ := strings.Cut(rest, "\n")
	form, out := cutForm(recorded)
	out = strings.TrimSpace(out)
	taken := out == "ok" || strings.Contains(out, `"ok":true`)
	view, _ := decoded(out)["view"].(map[string]any)
	for _, d := range o.order {
		how := ""
		switch {
		case name == "response_url" && d.hook != "" && strings.HasSuffix(path, d.hook):
			how = "through the response URL"
		case name == "views.open" && d.trigger != "" && d.trigger == form["trigger_id"]:
			how = "with a form"
			d.view = text(view["id"])
		case name == "views.update" && d.view != "" && d.view == form["view_id"] && d.acked:
			how = "in its form"
		case name == "chat.postEphemeral" && d.member == form["user"] && d.acked:
			how = "with an ephemeral message"
		case name == "chat.postMessage" && d.member == form["channel"] && d.acked && !o.isNamed(form["text"]):
			how = "in a direct message"
		}
		if how != "" && taken && d.answered == "" {
			d.answered = how
		}
		d.tried = d.tried || how != ""
	}
}

// isNamed tells whether a text is that of a message which a rotation calls for.
func (o *watch) isNamed(words string) bool {
	return slices.ContainsFunc(o.posts, func(p *posting) bool { return p.name != "" && p.text == words })
}

// cutForm parts a recorded call's body from its answer, and reads the body: a form, or JSON.
func cutForm(recorded string) (form map[string]string, out string) {
	body, out, _ := strings.Cut(recorded, "\n")
	form = map[string]string{}
	if strings.HasPrefix(body, "{") {
		for name, value := range decoded(body) {
			form[name] = fmt.Sprint(value)
		}
		return form, out
	}
	values, err := url.ParseQuery(body)
	if err != nil {
		return form, out
	}
	for name := range values {
		form[name] = values.Get(name)
	}
	return form, out
}

func decoded(s string) map[string]any {
	out := map[string]any{}
	_ = json.Unmarshal([]byte(s), &out) // what is no object is an empty one
	return out
}

// secretIn judges an exchange with Slack that holds a secret: only the edit of one message in its owner's DM may.
func (o *watch) secretIn(name, rest, secret string) {
	_, body, _ := strings.Cut(rest, "\n")
	form, _ := cutForm(body)
	switch mode := o.deliveryOf(secret); mode {
	case "":
	case rotation.Reveal:
		name, form = o.revealedIn(name, form)
	default:
		o.w.fail(4, "a secret is in an exchange with Slack, though its delivery is %s: %s", mode, name)
	}
	o.shownIn(name, form, secret)
}

// shownIn judges an exchange with Slack that shows a secret, as it is or sealed.
func (o *watch) shownIn(name string, form map[string]string, secret string) {
	if name != "chat.update" {
		o.w.fail(4, "a secret is in an exchange that is no edit of a message: %s", name)
		return
	}
	for field, value := range form {
		if field != "blocks" && strings.Contains(value, secret) {
			o.w.fail(4, "a secret is outside of the blocks of its message, in %s", field)
		}
	}
	_, text, _ := strings.Cut(form["blocks"], "AWS_ACCESS_KEY_ID=")
	key := text[:min(len(text), 20)]
	owner := ""
	for _, c := range o.changes {
		if r, runs := c.rotation(); runs && string(c.made) == key {
			owner = string(r.Owner)
		}
	}
	if owner == "" || form["channel"] != dm(owner) {
		o.w.fail(4, "the secret of a key is shown to somebody who is not its owner: %s in %s, owner %s", short(key), o.w.place(form["channel"]), owner)
	}
	if o.shown[secret] == nil {
		o.shown[secret] = map[string]bool{}
	}
	o.shown[secret][form["channel"]+"/"+form["ts"]] = true
	o.shownKey[key] = true
	if len(o.shown[secret]) > 1 {
		o.w.fail(4, "a secret is shown in two messages: that of %s", short(key))
	}
}

// scanText looks for secrets where none may be.
func (o *watch) scanText(where, text string) {
	for _, secret := range o.w.aws.Secrets() {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			o.w.fail(4, "a secret is in %s", where)
		}
	}
}

// hasAsked tells whether a member asked for a move at a time, as Slack delivered it.
func (o *watch) hasAsked(member, on, ref string, at time.Time) bool {
	asked := o.asked[member+" "+on+" "+ref]
	if r, err := rotation.ParseRef(ref); err == nil && on == "cancel" { // which can be typed, too
		p, _ := o.w.kept.progress(r.UserDoc())
		asked = slices.Concat(asked, o.asked[member+" cancel"], o.asked[member+" cancel "+p.User.String()])
	}
	return slices.ContainsFunc(asked, func(a ask) bool { return !at.Before(a.from) })
}

// mayDecide tells whether a member is an approver who was active at a time, or in the minute before.
func (o *watch) mayDecide(member string, at time.Time) bool {
	return slices.Contains(approvers, member) && o.wasActive(member, at)
}

// mayRespond tells so of whoever may decide about a leak.
func (o *watch) mayRespond(member string, at time.Time) bool {
	return o.mayDecide(member, at) || member == dora && o.wasActive(member, at)
}

func (o *watch) wasActive(member string, at time.Time) bool {
	return !slices.ContainsFunc(o.absent[member], func(a absence) bool {
		return a.from.Before(at.Add(-61*time.Second)) && (a.until.IsZero() || at.Before(a.until))
	})
}
