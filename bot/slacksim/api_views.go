package slacksim

import "slices"

// view is a modal in a member's stack, or a member's home tab.
type view struct {
	id, member, kind, hash string
	root, previous         string
	body                   map[string]any // as the app sent it, blocks named
	blocks                 []block
	values                 map[string]map[string]any // what was typed and chosen: block, action, state
	errors                 map[string]string         // by block
	failed                 string
	pending                []string
	busy                   bool // a submission is under way
}

// viewJSON is a view as replies and interactions carry it.
func (s *Sim) viewJSON(v *view) map[string]any {
	out := map[string]any{
		"id": v.id, "team_id": teamID, "type": v.kind, "blocks": v.blocks, "hash": v.hash, "app_id": appID, "bot_id": botID,
		"app_installed_team_id": teamID, "root_view_id": v.root, "previous_view_id": nil, "title": v.body["title"],
		"submit": v.body["submit"], "close": v.body["close"], "private_metadata": stringAt(v.body, "private_metadata"),
		"callback_id": stringAt(v.body, "callback_id"), "external_id": stringAt(v.body, "external_id"),
		"clear_on_close": v.body["clear_on_close"] == true, "notify_on_close": v.body["notify_on_close"] == true,
		"state": map[string]any{"values": stateValues(v.blocks, v.values)},
	}
	if v.previous != "" {
		out["previous_view_id"] = v.previous
	}
	return out
}

func stringAt(m map[string]any, key string) string {
	text, _ := m[key].(string)
	return text
}

// readView parses and checks the view argument.
func (s *Sim) readView(a args, kind string) (map[string]any, *apiError) {
	var raw any
	ok, err := a.json("view", &raw)
	if err != nil || !ok {
		return nil, &apiError{code: "invalid_arguments", messages: []string{"[ERROR] missing required field: view"}}
	}
	return s.acceptView(raw, len(a["view"]), kind)
}

func (s *Sim) acceptView(raw any, size int, kind string) (map[string]any, *apiError) {
	if size > maxViewBytes {
		return nil, fail("view_too_large")
	}
	if err := blocksError("invalid_arguments", checkView(raw)); err != nil {
		return nil, err
	}
	body, _ := raw.(map[string]any)
	if kind != "" && body["type"] != kind {
		return nil, &apiError{code: "invalid_arguments", messages: []string{"[ERROR] invalid view type [json-pointer:/view/type]"}}
	}
	return body, nil
}

// apply puts content into a view. What was typed stays where block and action keep their
// ids.
func (s *Sim) apply(v *view, body map[string]any) {
	v.body, v.blocks, v.hash = body, named(blocksOf(body["blocks"])), s.newHash()
	kept := map[string]map[string]any{}
	for _, b := range v.blocks {
		id := stringAt(b, "block_id")
		for _, el := range elementsOf(b) {
			if state, ok := v.values[id][stringAt(el, "action_id")]; ok {
				put(kept, id, stringAt(el, "action_id"), state)
			}
		}
	}
	v.values, v.errors, v.failed = kept, nil, ""
	s.touch()
}

func put(values map[string]map[string]any, blockID, actionID string, state any) {
	if values[blockID] == nil {
		values[blockID] = map[string]any{}
	}
	values[blockID][actionID] = state
}

// unique fails when another open view has the external id.
func (s *Sim) unique(body map[string]any, self *view) *apiError {
	external := stringAt(body, "external_id")
	for _, v := range s.views {
		if external != "" && v != self && stringAt(v.body, "external_id") == external {
			return fail("duplicate_external_id")
		}
	}
	return nil
}

// show puts a new modal on top of a member's stack, which the caller has found short enough.
func (s *Sim) show(member string, body map[string]any) *view {
	v := &view{id: randomID("V"), member: member, kind: "modal"}
	v.root = v.id
	if stack := s.stacks[member]; len(stack) > 0 {
		v.root, v.previous = stack[0].id, stack[len(stack)-1].id
	}
	s.views[v.id] = v
	s.stacks[member] = append(s.stacks[member], v)
	s.apply(v, body)
	return v
}

// hide takes a modal and everything above it off the stack.
func (s *Sim) hide(v *view) {
	stack := s.stacks[v.member]
	i := slices.Index(stack, v)
	if i < 0 {
		return
	}
	for _, gone := range stack[i:] {
		delete(s.views, gone.id)
	}
	s.stacks[v.member] = stack[:i:i]
	s.touch()
}

func (s *Sim) hideAll(member string) {
	if stack := s.stacks[member]; len(stack) > 0 {
		s.hide(stack[0])
	}
}

// openView shows a modal. One opened while others are open takes their place.
func (s *Sim) openView(c *call) (reply, *apiError) {
	body, err := s.readView(c.args, "modal")
	if err != nil {
		return nil, err
	}
	if err := s.unique(body, nil); err != nil {
		return nil, err
	}
	t, err := s.exchangeTrigger(c.args["trigger_id"])
	if err != nil {
		return nil, err
	}
	s.hideAll(t.member)
	return reply{"view": s.viewJSON(s.show(t.member, body))}, nil
}

func (s *Sim) pushView(c *call) (reply, *apiError) {
	body, err := s.readView(c.args, "modal")
	if err != nil {
		return nil, err
	}
	if err := s.unique(body, nil); err != nil {
		return nil, err
	}
	if t := s.triggers[c.args["trigger_id"]]; t != nil {
		switch depth := len(s.stacks[t.member]); {
		case !t.inView || depth == 0:
			return nil, fail("not_found")
		case depth >= maxStack:
			return nil, fail("push_limit_reached")
		}
	}
	t, err := s.exchangeTrigger(c.args["trigger_id"])
	if err != nil {
		return nil, err
	}
	return reply{"view": s.viewJSON(s.show(t.member, body))}, nil
}

func (s *Sim) updateView(c *call) (reply, *apiError) {
	v := s.views[c.args["view_id"]]
	if external := c.args["external_id"]; v == nil && external != "" {
		for _, open := range s.views {
			if stringAt(open.body, "external_id") == external {
				v = open
			}
		}
	}
	if v == nil {
		return nil, fail("not_found")
	}
	body, err := s.readView(c.args, v.kind)
	if err != nil {
		return nil, err
	}
	if hash := c.args["hash"]; hash != "" && hash != v.hash {
		return nil, fail("hash_conflict")
	}
	if err := s.unique(body, v); err != nil {
		return nil, err
	}
	s.apply(v, body)
	return reply{"view": s.viewJSON(v)}, nil
}

// publishView sets a member's home tab, which keeps its id from then on.
func (s *Sim) publishView(c *call) (reply, *apiError) {
	body, err := s.readView(c.args, "home")
	if err != nil {
		return nil, err
	}
	member := c.args["user_id"]
	if m := s.members[member]; m == nil || m.Deleted || m.Stranger {
		return nil, &apiError{code: "invalid_arguments", messages: []string{"[ERROR] user not found [json-pointer:/user_id]"}}
	}
	v := s.homes[member]
	if hash := c.args["hash"]; hash != "" && (v == nil || hash != v.hash) {
		return nil, fail("hash_conflict")
	}
	if err := s.unique(body, v); err != nil {
		return nil, err
	}
	if v == nil {
		v = &view{id: randomID("V"), member: member, kind: "home"}
		v.root = v.id
		s.homes[member], s.views[v.id] = v, v
	}
	s.apply(v, body)
	return reply{"view": s.viewJSON(v)}, nil
}
