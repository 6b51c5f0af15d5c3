package slacksim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrTrouble means that a modal answered "We had some trouble connecting. Try again?", because the
// app did not acknowledge its submission or acknowledged it with something Slack does not
// take.
var ErrTrouble = errors.New("slacksim: we had some trouble connecting")

// Fill types into, or picks in, the topmost modal without submitting it. Values are by
// action id; several picks are separated by commas. It clears what stood there before.
func (p *Person) Fill(values map[string]string) error {
	s := p.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.active(p.id); err != nil {
		return err
	}
	return s.fill(p.id, values)
}

func (s *Sim) fill(member string, values map[string]string) error {
	v := s.top(member)
	if v == nil {
		return notOnScreen("no modal is open")
	}
	for _, actionID := range slices.Sorted(maps.Keys(values)) {
		b, el, err := match(v.blocks, member, Target{ActionID: actionID})
		if err != nil {
			return err
		}
		if err := s.set(v, b, el, picked(el, values[actionID])); err != nil {
			return err
		}
	}
	s.touch()
	return nil
}

func (s *Sim) set(v *view, b, el block, picks []string) error {
	value, err := s.choose(el, picks)
	if err != nil {
		return err
	}
	put(v.values, stringAt(b, "block_id"), stringAt(el, "action_id"), value)
	return nil
}

// Submit fills in the topmost modal and submits it. The errors by block id are those the
// human sees beside the fields, from Slack itself or from the app; then the modal stays
// open. [ErrTrouble] means that Slack could make nothing of the app's answer.
func (p *Person) Submit(ctx context.Context, values map[string]string) (map[string]string, error) {
	return p.submit(ctx, func() (*view, error) {
		if err := p.sim.fill(p.id, values); err != nil {
			return nil, err
		}
		return p.sim.top(p.id), nil
	})
}

// submit sends the view that ready has filled in, with s.mu held.
func (p *Person) submit(ctx context.Context, ready func() (*view, error)) (map[string]string, error) {
	s := p.sim
	done := make(chan error, 1)
	var shown map[string]string
	s.mu.Lock()
	err := s.active(p.id)
	var v *view
	if err == nil {
		v, err = ready()
	}
	switch {
	case err != nil:
	case v.body["submit"] == nil:
		err = notOnScreen("the modal has no submit button")
	case v.busy:
		err = notOnScreen("the modal is being submitted already")
	default:
		v.failed, v.errors = "", incomplete(v)
		shown = v.errors
		s.touch()
		if len(shown) > 0 {
			break
		}
		s.sendForm(p.id, v, func(errs map[string]string, err error) {
			shown = errs
			done <- err
		})
	}
	sent := err == nil && len(shown) == 0
	s.mu.Unlock()
	if sent {
		err = await(ctx, done)
	}
	if err != nil {
		return nil, fmt.Errorf("submit: %w", err)
	}
	return maps.Clone(shown), nil
}

func (s *Sim) sendForm(member string, v *view, settled func(map[string]string, error)) {
	v.busy = true
	s.deliver(&envelope{
		kind: "interactive", payloadTaken: true,
		payload: func(string) map[string]any { return s.viewSubmission(member, v) },
		settle: func(payload map[string]any, err error) {
			v.busy = false
			if err == nil {
				err = s.respond(v, payload)
			}
			if err != nil {
				v.failed = troubleConnect
				err = fmt.Errorf("%w: %w", ErrTrouble, err)
			}
			s.touch()
			settled(v.errors, err)
		},
	})
}

// respond does what the acknowledgement of a submission asks: nothing closes the view.
func (s *Sim) respond(v *view, payload map[string]any) error {
	action := stringAt(payload, "response_action")
	switch {
	case len(payload) == 0:
		s.hide(v)
		return nil
	case action == "clear":
		s.hideAll(v.member)
		return nil
	case action == "errors":
		return s.showErrors(v, payload)
	case action == "update" || action == "push":
		return s.showNext(v, payload["view"], action)
	}
	return errors.New("unknown response_action")
}

func (s *Sim) showErrors(v *view, payload map[string]any) error {
	given, _ := payload["errors"].(map[string]any)
	if len(given) == 0 {
		return errors.New("response_action errors without errors")
	}
	errs := map[string]string{}
	for id, text := range given {
		isInput := slices.ContainsFunc(v.blocks, func(b block) bool { return b["type"] == "input" && b["block_id"] == id })
		message, isText := text.(string)
		if !isInput || !isText {
			return fmt.Errorf("no input block %q to show an error at", id)
		}
		errs[id] = message
	}
	v.errors = errs
	return nil
}

func (s *Sim) showNext(v *view, raw any, action string) error {
	body, err := s.acceptView(raw, len(mustJSON(raw)), "modal")
	if err != nil {
		return fmt.Errorf("view in the acknowledgement: %w: %v", err, err.messages)
	}
	if action == "update" {
		s.apply(v, body)
		return nil
	}
	if len(s.stacks[v.member]) >= maxStack {
		return fail("push_limit_reached")
	}
	s.show(v.member, body)
	return nil
}

// CloseView closes the topmost modal with its close button.
func (p *Person) CloseView(ctx context.Context) error { return p.close(ctx, false) }

// CloseAll closes the whole stack of modals with the cross at the top.
func (p *Person) CloseAll(ctx context.Context) error { return p.close(ctx, true) }

// close does not wait for the app: the human's modal is gone at once.
func (p *Person) close(ctx context.Context, all bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := p.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.top(p.id)
	if v == nil {
		return notOnScreen("no modal is open")
	}
	if all {
		v = s.stacks[p.id][0]
	}
	if v.body["notify_on_close"] == true {
		payload := s.viewClosed(p.id, v, all)
		s.deliver(&envelope{
			kind: "interactive", payload: func(string) map[string]any { return payload },
			settle: func(map[string]any, error) {},
		})
	}
	if all || v.body["clear_on_close"] == true {
		s.hideAll(p.id)
	} else {
		s.hide(v)
	}
	return nil
}
