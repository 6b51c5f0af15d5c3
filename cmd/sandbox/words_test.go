package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// viewText, blockText and blocksText are everything a modal, a block or blocks hold, as JSON, to look for words in.
func viewText(v slacksim.View) string { return v.Title + blocksText(v.Blocks) }

func blockText(b map[string]any) string { return blocksText([]map[string]any{b}) }

func blocksText(bs []map[string]any) string {
	raw, err := json.Marshal(bs)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// submits chooses a key by its id in the modal that is open, and submits it.
func (s *story) submits(ctx context.Context, member, key, what string) error {
	v, err := s.modal(ctx, member, "Rotate a key", func(v slacksim.View) bool { return v.Submit != "" })
	if err != nil {
		return err
	}
	short := key[:4] + "…" + key[len(key)-4:]
	option, err := optionFor(v, short)
	if err != nil {
		return err
	}
	problems, err := s.w.slack.As(member).Submit(ctx, map[string]string{"key": option, "what": what})
	if len(problems) > 0 {
		return fmt.Errorf("the modal complains: %v", problems)
	}
	return err
}
