package rotation

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// secrets holds what CreateKey answered until it is handed over, and that it was handed over until that is written: in memory, one per
// rotation.
type secrets struct {
	mu    sync.Mutex
	held  map[string]held
	posts map[string]prepared // messages that are posted and not written down yet
	stray []Post              // those of them that no rotation will ever hold, to be withdrawn
}

// ready remembers the message that waits for a rotation's secret; the zero value forgets it.
func (s *secrets) ready(rotation string, p prepared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.posts == nil {
		s.posts = map[string]prepared{}
	}
	s.posts[rotation] = p
	if !p.post.Known() {
		delete(s.posts, rotation)
	}
}

func (s *secrets) prepared(rotation string, turn int) (Post, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.posts[rotation]
	return p.post, ok && p.turn == turn
}

type held struct {
	turn   int // at which it was created
	key    KeyID
	secret Secret // empty once it has been shown
	shown  bool
}

func (s *secrets) put(rotation string, h held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string]held{}
	}
	s.held[rotation] = h
}

func (s *secrets) get(rotation string) (held, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[rotation]
	return h, ok
}

func (s *secrets) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
}

func (s *secrets) rotations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Keys(s.held)), maps.Keys(s.posts))
}

// strays takes over the messages that are to be withdrawn.
func (s *secrets) strays() []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	posts := s.stray
	s.stray = nil
	return posts
}

func (s *secrets) strayed(post Post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stray = append(s.stray, post)
}

// prune drops what is held for a rotation if the stored one has no use for it any more. What was stored before the key was made tells
// nothing of that.
func (s *secrets) prune(p Progress, rotation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := p.Find(rotation)
	if ready, ok := s.posts[rotation]; ok && (!found || r.Turn > ready.turn) {
		delete(s.posts, rotation)
		if held := func(h Handover) bool { return h.Post.Same(ready.post) }; !found || !slices.ContainsFunc(r.Handovers(), held) {
			s.stray = append(s.stray, ready.post)
		}
	}
	h, ok := s.held[rotation]
	if !ok {
		return
	}
	needed := found && (r.Turn <= h.turn || r.Stage == Delivering && r.New == h.key)
	if !needed {
		delete(s.held, rotation)
	}
}

// prepared is a message that waits for a secret, and the turn at which the key is to be made. At a later one it may show the secret of
// another key, which another process made.
type prepared struct {
	turn int
	post Post
}

// forgetSecrets drops the secrets of which another process has disposed, and takes back the messages in which none will be shown.
func (e *Engine) forgetSecrets(ctx context.Context) {
	for _, id := range e.secrets.rotations() {
		if p, err := e.Get(ctx, Ref{ID: id}.UserDoc()); err == nil {
			e.secrets.prune(p, id)
		}
	}
	for _, post := range e.secrets.strays() {
		e.busy.wg.Go(func() { e.withdraw(context.WithoutCancel(ctx), post) })
	}
}

// withdraw takes back a message that was prepared for a secret which was shown elsewhere. A crash before it leaves the message, which says
// nothing of worth.
func (e *Engine) withdraw(ctx context.Context, post Post) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	err := e.cfg.Hand.Withdraw(ctx, post)
	if err == nil {
		return
	}
	e.log.Warn("withdraw a message that no secret will be shown in", "channel", post.Channel, "ts", post.TS, "err", err)
	if class := ClassOf(err); class == ClassUnknown || class == ClassThrottled {
		e.secrets.strayed(post)
	}
}
