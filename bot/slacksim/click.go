package slacksim

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// aimed is what a target turned out to be: an element of a message or of a view.
type aimed struct {
	ch    *channel
	m     *message
	v     *view
	b, el block
}

// Click clicks a button, or picks in a select, radio, checkbox or overflow menu, and
// answers yes to a confirmation. What is not on the member's screen gives
// [ErrNotOnScreen]; an app that does not acknowledge gives [ErrNoAnswer] or [ErrNoSocket],
// and the screen shows it.
func (p *Person) Click(ctx context.Context, t Target) error {
	return p.click(ctx, func() (aimed, []string, error) {
		at, err := p.sim.aim(p.id, t)
		return at, picked(at.el, t.Selected), err
	})
}

// ClickStale clicks in a message as captured earlier, which has since been changed or
// deleted: the human's client had not caught up.
func (p *Person) ClickStale(ctx context.Context, seen Message, t Target) error {
	return p.click(ctx, func() (aimed, []string, error) {
		s := p.sim
		ch, err := s.place(p.id, seen.Channel)
		if err != nil {
			return aimed{}, nil, err
		}
		b, el, err := match(seen.Blocks, p.id, t)
		old := &message{ts: seen.TS, user: seen.User, text: seen.Text, blocks: seen.Blocks, thread: seen.ThreadTS, byBot: true}
		if seen.Ephemeral {
			old.only = p.id
		}
		return aimed{ch: ch, m: old, b: b, el: el}, picked(el, t.Selected), err
	})
}

// click presses what aim finds, with s.mu held, and waits for the app.
func (p *Person) click(ctx context.Context, aim func() (aimed, []string, error)) error {
	s := p.sim
	done := make(chan error, 1)
	s.mu.Lock()
	at, picks, err := aim()
	if err == nil {
		err = s.press(p.id, at, picks, func(err error) { done <- err })
	}
	s.mu.Unlock()
	if err == nil {
		err = await(ctx, done)
	}
	if err != nil {
		return fmt.Errorf("click: %w", err)
	}
	return nil
}

// picked splits what a script picks in an element that takes several.
func picked(el block, selected string) []string {
	if selected == "" {
		return nil
	}
	member := stateMember[kindOf(el)]
	if !strings.HasSuffix(member, "s") || slices.Contains(optionValues(el), selected) {
		return []string{selected}
	}
	return strings.Split(selected, ",")
}

// aim finds what a target means on the member's screen.
func (s *Sim) aim(member string, t Target) (aimed, error) {
	if err := s.active(member); err != nil {
		return aimed{}, err
	}
	if t.Channel == "" {
		return s.aimView(member, t)
	}
	ch, err := s.place(member, t.Channel)
	if err != nil {
		return aimed{}, err
	}
	last := notOnScreen("no message with action %q", t.ActionID)
	for _, m := range slices.Backward(ch.messages) {
		if (t.TS != "" && m.ts != t.TS) || (m.only != "" && m.only != member) || m.deleted {
			continue
		}
		b, el, err := match(m.blocks, member, t)
		if err == nil {
			return aimed{ch: ch, m: m, b: b, el: el}, nil
		}
		last = err
		if t.TS != "" {
			break
		}
	}
	return aimed{}, last
}

// aimView finds an element of the topmost modal or of the home tab. Modals below the top
// cannot be reached.
func (s *Sim) aimView(member string, t Target) (aimed, error) {
	v := s.top(member)
	if v == nil || (t.ViewID != "" && v.id != t.ViewID) {
		v = s.homes[member]
	}
	if v == nil || (t.ViewID != "" && v.id != t.ViewID) {
		return aimed{}, notOnScreen("no view %q", t.ViewID)
	}
	b, el, err := match(v.blocks, member, t)
	return aimed{v: v, b: b, el: el}, err
}

func (s *Sim) top(member string) *view {
	if stack := s.stacks[member]; len(stack) > 0 {
		return stack[len(stack)-1]
	}
	return nil
}

// press makes the click known to the app. A choice in an input block that does not
// dispatch actions only changes the form.
func (s *Sim) press(member string, at aimed, picks []string, settled func(error)) error {
	var value any
	if stateMember[kindOf(at.el)] != "" || kindOf(at.el) == "overflow" {
		var err error
		if value, err = s.choose(at.el, picks); err != nil {
			return err
		}
	}
	s.keep(member, at, value)
	if at.b["type"] == "input" && at.b["dispatch_action"] != true {
		s.touch()
		settled(nil)
		return nil
	}
	action := s.actionJSON(at.b, at.el, value)
	actionID := stringAt(at.el, "action_id")
	s.showPending(member, at, actionID)
	s.deliver(&envelope{
		kind: "interactive",
		payload: func(base string) map[string]any {
			if at.v != nil {
				return s.viewClick(member, at.v, action)
			}
			return s.messageClick(base, member, at.ch, at.m, action)
		},
		settle: func(_ map[string]any, err error) {
			s.showSettled(member, at, actionID, err)
			settled(err)
		},
	})
	return nil
}

// keep remembers a choice as the state of its element.
func (s *Sim) keep(member string, at aimed, value any) {
	if stateMember[kindOf(at.el)] == "" {
		return
	}
	blockID, actionID := stringAt(at.b, "block_id"), stringAt(at.el, "action_id")
	if at.v != nil {
		put(at.v.values, blockID, actionID, value)
		return
	}
	if at.m.values == nil {
		at.m.values = map[string]map[string]map[string]any{}
	}
	if at.m.values[member] == nil {
		at.m.values[member] = map[string]map[string]any{}
	}
	put(at.m.values[member], blockID, actionID, value)
}

func (s *Sim) showPending(member string, at aimed, actionID string) {
	if at.v != nil {
		at.v.pending, at.v.failed = append(at.v.pending, actionID), ""
	} else if m := at.ch.find(at.m.ts); m != nil && !m.deleted {
		m.pending[member] = append(m.pending[member], actionID)
		delete(m.failed, member)
	}
	s.touch()
}

func (s *Sim) showSettled(member string, at aimed, actionID string, err error) {
	without := func(list []string) []string {
		if i := slices.Index(list, actionID); i >= 0 {
			return slices.Delete(slices.Clone(list), i, i+1)
		}
		return list
	}
	if at.v != nil {
		at.v.pending = without(at.v.pending)
		if err != nil {
			at.v.failed = noResponse
		}
	} else if m := at.ch.find(at.m.ts); m != nil && !m.deleted {
		m.pending[member] = without(m.pending[member])
		if err != nil {
			m.failed[member] = noResponse
		}
	}
	s.touch()
}
