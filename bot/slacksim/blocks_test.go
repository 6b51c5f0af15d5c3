package slacksim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/bot/slacksim"
)

func repeat(n int, item string) string {
	return strings.TrimSuffix(strings.Repeat(item+",", n), ",")
}

func chars(n int) string { return strings.Repeat("é", n) }

func TestValidateBlocks(t *testing.T) {
	plain := func(text string) string { return `{"type":"plain_text","text":"` + text + `"}` }
	button := func(more string) string {
		return `{"type":"actions","elements":[{"type":"button","action_id":"a","text":` + plain("Go") + more + `}]}`
	}
	options := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(`{"text":%s,"value":"%d"}`, plain("o"), i))
		}
		return strings.Join(out, ",")
	}
	selects := func(kind, more string) string {
		return `{"type":"section","text":` + plain("x") + `,"accessory":{"type":"` + kind + `","action_id":"s"` + more + `}}`
	}
	message, modal, home := slacksim.OnMessage, slacksim.OnModal, slacksim.OnHome
	for _, test := range []struct {
		name    string
		surface slacksim.Surface
		blocks  string // the items of the array
		want    []string
	}{
		{"nothing in a message", message, "", nil},
		{"nothing in a modal", modal, "", []string{"[ERROR] no fewer than 1 items allowed [json-pointer:/blocks]"}},
		{"50 in a message", message, repeat(50, `{"type":"divider"}`), nil},
		{"51 in a message", message, repeat(51, `{"type":"divider"}`), []string{"[ERROR] no more than 50 items allowed [json-pointer:/blocks]"}},
		{"100 in a modal", modal, repeat(100, `{"type":"divider"}`), nil},
		{"101 in the home tab", home, repeat(101, `{"type":"divider"}`), []string{"[ERROR] no more than 100 items allowed [json-pointer:/blocks]"}},
		{"unknown type", message, `{"type":"nonsense"}`, []string{"[ERROR] unsupported type: nonsense [json-pointer:/blocks/0/type]"}},
		{"no type", message, `{}`, []string{"[ERROR] missing required field: type [json-pointer:/blocks/0]"}},
		{"section of 3000 characters, not bytes", message, `{"type":"section","text":` + plain(chars(3000)) + `}`, nil},
		{"section of 3001", message, `{"type":"section","text":` + plain(chars(3001)) + `}`, []string{"[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"}},
		{"empty text", message, `{"type":"section","text":` + plain("") + `}`, []string{"[ERROR] must be more than 0 characters [json-pointer:/blocks/0/text/text]"}},
		{"section of nothing", message, `{"type":"section"}`, []string{"[ERROR] must define either `text` or `fields` [json-pointer:/blocks/0]"}},
		{"11 fields", message, `{"type":"section","fields":[` + repeat(11, plain("x")) + `]}`, []string{"[ERROR] no more than 10 items allowed [json-pointer:/blocks/0/fields]"}},
		{"field of 2001", message, `{"type":"section","fields":[` + plain(chars(2001)) + `]}`, []string{"[ERROR] must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]"}},
		{"header of 151", message, `{"type":"header","text":` + plain(chars(151)) + `}`, []string{"[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]"}},
		{"header in mrkdwn", message, `{"type":"header","text":{"type":"mrkdwn","text":"x"}}`, []string{"[ERROR] unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]"}},
		{"context of 11", message, `{"type":"context","elements":[` + repeat(11, plain("x")) + `]}`, []string{"[ERROR] no more than 10 items allowed [json-pointer:/blocks/0/elements]"}},
		{"button in a context", message, `{"type":"context","elements":[{"type":"button"}]}`, []string{"[ERROR] unsupported type: button [json-pointer:/blocks/0/elements/0/type]"}},
		{"button value of 2001", message, button(`,"value":"` + chars(2001) + `"`), []string{"[ERROR] must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]"}},
		{"button style", message, button(`,"style":"default"`), []string{"[ERROR] must be a valid enum value [json-pointer:/blocks/0/elements/0/style]"}},
		{"button with something else", message, button(`,"colour":"red"`), []string{"[ERROR] invalid additional property: colour [json-pointer:/blocks/0/elements/0]"}},
		{"confirmation without deny", message, button(`,"confirm":{"title":` + plain("t") + `,"text":` + plain("t") + `,"confirm":` + plain("t") + `}`), []string{"[ERROR] missing required field: deny [json-pointer:/blocks/0/elements/0/confirm]"}},
		{"block ids twice", message, repeat(2, `{"type":"divider","block_id":"b"}`), []string{"[ERROR] `block_id` already exists: b [json-pointer:/blocks/1/block_id]"}},
		{"action ids twice", message, `{"type":"actions","elements":[` + repeat(2, `{"type":"button","action_id":"a","text":`+plain("x")+`}`) + `]}`, []string{"[ERROR] `action_id` already exists: a [json-pointer:/blocks/0]"}},
		{"100 options", message, selects("static_select", `,"options":[`+options(100)+`]`), nil},
		{"101 options", message, selects("static_select", `,"options":[`+options(101)+`]`), []string{"[ERROR] no more than 100 items allowed [json-pointer:/blocks/0/accessory/options]"}},
		{"initial option not offered", message, selects("static_select", `,"options":[`+options(1)+`],"initial_option":{"text":`+plain("o")+`,"value":"9"}`), []string{"[ERROR] initial option is not one of the options: 9 [json-pointer:/blocks/0/accessory]"}},
		{"overflow of 6", message, selects("overflow", `,"options":[`+options(6)+`]`), []string{"[ERROR] no more than 5 items allowed [json-pointer:/blocks/0/accessory/options]"}},
		{"radio of 11", modal, selects("radio_buttons", `,"options":[`+options(11)+`]`), []string{"[ERROR] no more than 10 items allowed [json-pointer:/blocks/0/accessory/options]"}},
		{"text input outside an input block", modal, `{"type":"actions","elements":[{"type":"plain_text_input"}]}`, []string{"[ERROR] unsupported type: plain_text_input [json-pointer:/blocks/0/elements/0/type]"}},
		{"image without words", message, `{"type":"image","image_url":"https://x"}`, []string{"[ERROR] missing required field: alt_text [json-pointer:/blocks/0]"}},
		{"markdown in a modal", modal, `{"type":"markdown","text":"x"}`, []string{"[ERROR] unsupported type: markdown [json-pointer:/blocks/0/type]"}},
		{"alert in a message", message, `{"type":"alert","text":` + plain("x") + `}`, []string{"[ERROR] unsupported type: alert [json-pointer:/blocks/0/type]"}},
		{"alert in a modal", modal, `{"type":"alert","text":` + plain("x") + `}`, nil},
		{"markdown of 12,001 in all", message, repeat(2, `{"type":"markdown","text":"`+chars(6001)+`"}`), []string{"[ERROR] markdown text must be less than 12001 characters in total [json-pointer:/blocks]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, err := range slacksim.ValidateBlocks(test.surface, []byte("["+test.blocks+"]")) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateView(t *testing.T) {
	title := func(n int) string { return `"title":{"type":"plain_text","text":"` + chars(n) + `"}` }
	divider := `"blocks":[{"type":"divider"}]`
	input := `"blocks":[{"type":"input","label":{"type":"plain_text","text":"x"},"element":{"type":"plain_text_input"}}]`
	for _, test := range []struct {
		name, view string
		want       []string
	}{
		{"modal", `{"type":"modal",` + title(24) + `,` + divider + `}`, nil},
		{"title of 25", `{"type":"modal",` + title(25) + `,` + divider + `}`, []string{"[ERROR] must be less than 25 characters [json-pointer:/view/title/text]"}},
		{"no title", `{"type":"modal",` + divider + `}`, []string{"[ERROR] missing required field: title [json-pointer:/view]"}},
		{"input without submit", `{"type":"modal",` + title(1) + `,` + input + `}`, []string{"[ERROR] missing required field: submit [json-pointer:/view]"}},
		{"home with a title", `{"type":"home",` + title(1) + `,` + divider + `}`, []string{"[ERROR] invalid additional property: title [json-pointer:/view]"}},
		{"private metadata of 3001", `{"type":"home","private_metadata":"` + chars(3001) + `",` + divider + `}`, []string{"[ERROR] must be less than 3001 characters [json-pointer:/view/private_metadata]"}},
		{"another type", `{"type":"dialog"}`, []string{"[ERROR] unsupported type: dialog [json-pointer:/view/type]"}},
		{"no object", `[]`, []string{"[ERROR] must be an object [json-pointer:/view]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, err := range slacksim.ValidateView([]byte(test.view)) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzValidateBlocks(f *testing.F) {
	f.Add([]byte(`[{"type":"section","text":{"type":"mrkdwn","text":"x"}}]`))
	f.Add([]byte(`{"blocks":[{"type":"actions","elements":[null,1,{"type":["button"]}]}]}`))
	f.Add([]byte(`[{"type":"input","element":{"type":"static_select","options":[{"value":1}],"initial_option":{}}}]`))
	f.Add([]byte(`[]0`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, surface := range []slacksim.Surface{slacksim.OnMessage, slacksim.OnModal, slacksim.OnHome} {
			found := slacksim.ValidateBlocks(surface, raw)
			if !json.Valid(raw) && len(found) == 0 {
				t.Errorf("%q passes and is not JSON", raw)
			}
		}
		slacksim.ValidateView(raw)
	})
}
