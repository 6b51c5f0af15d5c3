package rotation_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// hand gives secrets to a person who remembers each, in messages as Slack keeps them.
type hand struct {
	mu       sync.Mutex
	messages []*message
	given    map[rotation.KeyID]int // in how many messages each secret was shown
	secrets  map[string]bool        // each that was shown
	refuse   error                  // what HandOver answers, if anything
	refused  int                    // how many times it still does
	shows    bool                   // although it shows it
	broken   []string               // what must not be, and was
}

type message struct {
	ts      string
	shows   rotation.KeyID
	deleted bool
	window  bool // nothing of it stays when it is closed
}

func newHand() *hand {
	return &hand{given: map[rotation.KeyID]int{}, secrets: map[string]bool{}}
}

func (h *hand) Prepare(_ context.Context, r rotation.Rotation) (rotation.Post, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Owner != owner {
		return rotation.Post{}, fmt.Errorf("a message for %s", r.Owner)
	}
	switch {
	case r.Delivery.InAWS():
		return rotation.Post{}, nil
	case r.Delivery.Mode == rotation.Reveal:
		if m := h.find(r.Modal); m == nil || m.deleted {
			return rotation.Post{}, &rotation.CallError{Op: "update", Class: rotation.ClassGone, Err: errors.New("not_found")}
		}
		return rotation.Post{}, nil
	case r.Handover.Waits():
		return r.Handover.Post, nil
	}
	m := &message{ts: fmt.Sprintf("%d.%06d", time.Now().Unix(), len(h.messages))}
	h.messages = append(h.messages, m)
	return rotation.Post{Channel: "D1", TS: m.ts}, nil
}

func (h *hand) HandOver(_ context.Context, r rotation.Rotation, key rotation.KeyID, s rotation.Secret) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused > 0 {
		if h.refused--; !h.shows {
			return h.refuse
		}
	}
	if s.Empty() || r.Owner != owner {
		return errors.New("an empty secret, or one for somebody else")
	}
	m := h.find(cmp.Or(r.Handover.Post.TS, r.Modal))
	if m == nil || m.deleted {
		return &rotation.CallError{Op: "edit", Class: rotation.ClassGone, Err: errors.New("message_not_found")}
	}
	if m.shows != "" && m.shows != key {
		h.broken = append(h.broken, fmt.Sprintf("one message shows the secrets of %s and %s", m.shows, key))
	}
	if m.shows != key {
		h.given[key]++
	}
	h.secrets[s.Reveal()] = true
	if m.shows = key; h.shows {
		h.shows = false
		return h.refuse
	}
	return nil
}

func (h *hand) Withdraw(_ context.Context, post rotation.Post) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.find(post.TS)
	if m == nil {
		return fmt.Errorf("there was no message at %q", post.TS)
	}
	if m.shows != "" {
		h.broken = append(h.broken, "a message that shows the secret of "+string(m.shows)+" was withdrawn")
	}
	m.deleted = true
	return nil
}

// open opens a window.
func (h *hand) open() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &message{ts: fmt.Sprintf("V%06d", len(h.messages)), window: true}
	h.messages = append(h.messages, m)
	return m.ts
}

func (h *hand) find(ts string) *message {
	for _, m := range h.messages {
		if m.ts == ts {
			return m
		}
	}
	return nil
}

// remove deletes a message, and tells whether it was there.
func (h *hand) remove(ts string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.find(ts)
	if m == nil || m.deleted {
		return false
	}
	m.deleted = true
	return true
}

// standing lists the messages that have not been deleted.
func (h *hand) standing() []message {
	h.mu.Lock()
	defer h.mu.Unlock()
	var left []message
	for _, m := range h.messages {
		if !m.deleted && !m.window {
			left = append(left, *m)
		}
	}
	return left
}

// shown tells which key's secret a message shows.
func (h *hand) shown(ts string) rotation.KeyID {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.find(ts); m != nil {
		return m.shows
	}
	return ""
}
