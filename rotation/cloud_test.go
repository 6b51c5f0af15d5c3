package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// cloud is an AWS account with one user, in memory: what matters of it to the engine, and quick.
type cloud struct {
	mu      sync.Mutex
	user    rotation.User
	keys    []rotation.Key
	made    map[rotation.KeyID]bool // by the bot
	secrets map[string]rotation.KeyID
	issued  int
	bare    bool                                         // details of users are denied
	trail   func(rotation.KeyID) (rotation.Maker, error) // nil: it tells at once
	changes []change
	check   func(by *process, op string, key rotation.KeyID) // before each change
}

// change is a call that was carried out and has changed something.
type change struct {
	op  string
	key rotation.KeyID
}

func newCloud() *cloud {
	c := &cloud{made: map[rotation.KeyID]bool{}, secrets: map[string]rotation.KeyID{}}
	c.user = rotation.User{Ref: ci, ID: "AIDA1", Created: time.Now().Add(-500 * 24 * time.Hour), Tags: map[string]string{"slack-user-id": string(owner)}}
	return c
}

// add makes a key that a person made some time ago, and used some time ago, if that is positive.
func (c *cloud) add(status rotation.Status, age, unused time.Duration) rotation.KeyID {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued++
	k := rotation.Key{ID: rotation.KeyID(fmt.Sprintf("AKIA%012d", c.issued)), Status: status, Created: time.Now().Add(-age)}
	k.LastUse.State = rotation.NeverUsed
	if unused > 0 {
		k.LastUse = rotation.LastUse{State: rotation.Used, At: time.Now().Add(-unused), Service: "s3", Region: "eu-west-1"}
	}
	c.keys = append(c.keys, k)
	return k.ID
}

// use has the applications use a key.
func (c *cloud) use(id rotation.KeyID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.find(id); k != nil && k.Status == rotation.Active {
		k.LastUse = rotation.LastUse{State: rotation.Used, At: time.Now(), Service: "s3", Region: "eu-west-1"}
	}
}

func (c *cloud) find(id rotation.KeyID) *rotation.Key {
	if i := slices.IndexFunc(c.keys, func(k rotation.Key) bool { return k.ID == id }); i >= 0 {
		return &c.keys[i]
	}
	return nil
}

func (c *cloud) all() []rotation.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.keys)
}

func (c *cloud) byBot(id rotation.KeyID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made[id]
}

// count counts the changes of a kind.
func (c *cloud) count(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, ch := range c.changes {
		if ch.op == op {
			n++
		}
	}
	return n
}

// grant lets the role read the details of users, or not.
func (c *cloud) grant(details bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bare = !details
}

func refusedCall(op string, class rotation.Class) error {
	return &rotation.CallError{Op: op, Class: class, Err: errors.New("refused")}
}

// line is how one process reaches the cloud and the people: every call has its fate.
type line struct {
	p     *process
	cloud *cloud
	hand  *hand
	vault *vault
}

var (
	_ rotation.IAM  = line{}
	_ rotation.Hand = line{}

	_ rotation.Vault = line{}
	_ rotation.Trail = line{}
)

// send makes a call, unless the time for it is over before it is sent. After that it takes the time it takes.
func (l line) send(ctx context.Context, op string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.p.store.write(op, do)
}

// read looks at something.
func (l line) read(ctx context.Context, op string, fn func(c *cloud) error) error {
	return l.send(ctx, op, func() error {
		l.cloud.mu.Lock()
		defer l.cloud.mu.Unlock()
		return fn(l.cloud)
	})
}

// alter changes a key, if it is there and that changes anything.
func (l line) alter(ctx context.Context, op, kind string, id rotation.KeyID, fn func(c *cloud, k *rotation.Key) bool) error {
	return l.send(ctx, op, func() error {
		l.cloud.check(l.p, kind, id)
		l.cloud.mu.Lock()
		defer l.cloud.mu.Unlock()
		k := l.cloud.find(id)
		if k == nil {
			return refusedCall(op, rotation.ClassGone)
		}
		if fn(l.cloud, k) {
			l.cloud.changes = append(l.cloud.changes, change{kind, id})
		}
		return nil
	})
}

func (l line) Users(ctx context.Context) (us []rotation.User, err error) {
	err = l.read(ctx, "Users", func(c *cloud) error { us = []rotation.User{c.user}; return nil })
	return us, err
}

func (l line) User(ctx context.Context, name string) (u rotation.User, err error) {
	err = l.read(ctx, "User", func(c *cloud) error {
		if u = c.user; name != u.Ref.Name {
			return refusedCall("User", rotation.ClassGone)
		}
		return nil
	})
	return u, err
}

func (l line) Keys(ctx context.Context, _ string) (keys []rotation.Key, err error) {
	err = l.read(ctx, "Keys", func(c *cloud) error {
		keys = slices.Clone(c.keys)
		for i := range keys {
			keys[i].LastUse = rotation.LastUse{}
		}
		return nil
	})
	return keys, err
}

func (l line) LastUse(ctx context.Context, id rotation.KeyID) (use rotation.LastUse, err error) {
	err = l.read(ctx, "LastUse", func(c *cloud) error {
		k := c.find(id)
		if k == nil {
			return refusedCall("LastUse", rotation.ClassGone)
		}
		use = k.LastUse
		return nil
	})
	return use, err
}

func (l line) UserOf(ctx context.Context, id rotation.KeyID) (name string, err error) {
	err = l.read(ctx, "UserOf", func(c *cloud) error {
		if c.find(id) == nil {
			return refusedCall("UserOf", rotation.ClassGone)
		}
		name = c.user.Ref.Name
		return nil
	})
	return name, err
}

func (l line) Report(ctx context.Context, each func(rotation.ReportRow) error) (time.Time, error) {
	var row rotation.ReportRow
	err := l.read(ctx, "Report", func(c *cloud) error {
		row.User = c.user.Ref.Name
		for _, k := range c.keys {
			row.Keys = append(row.Keys, rotation.ReportKey{Active: k.Status == rotation.Active, Rotated: k.Created, LastUse: k.LastUse})
		}
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return time.Now(), each(row)
}

func (l line) Details(ctx context.Context, each func(rotation.User) error) error {
	l.cloud.mu.Lock()
	bare := l.cloud.bare
	l.cloud.mu.Unlock()
	if bare {
		return refusedCall("Details", rotation.ClassDenied)
	}
	return l.list(ctx, "Details", each)
}

func (l line) Names(ctx context.Context, each func(rotation.User) error) error {
	return l.list(ctx, "Names", each)
}

func (l line) list(ctx context.Context, op string, each func(rotation.User) error) error {
	var u rotation.User
	if err := l.read(ctx, op, func(c *cloud) error { u = c.user; return nil }); err != nil {
		return err
	}
	return each(u)
}

func (l line) Maker(ctx context.Context, id rotation.KeyID, _ time.Time) (m rotation.Maker, err error) {
	err = l.read(ctx, "Maker", func(c *cloud) (err error) {
		switch {
		case c.trail != nil:
			m, err = c.trail(id)
		case c.made[id]:
			m = rotation.MakerUs
		default:
			m = rotation.MakerOther
		}
		return err
	})
	return m, err
}

func (l line) Calls(ctx context.Context, _ string, id rotation.KeyID) (calls []rotation.Call, more bool, err error) {
	err = l.read(ctx, "Calls", func(c *cloud) error {
		if k := c.find(id); k != nil && k.LastUse.State == rotation.Used {
			calls = []rotation.Call{{At: k.LastUse.At, Service: k.LastUse.Service, Name: "ListBuckets", Agent: "app/1", Address: "192.0.2.1"}}
		}
		return nil
	})
	return calls, false, err
}

func (l line) CreateKey(ctx context.Context, _ string) (k rotation.Key, s rotation.Secret, err error) {
	err = l.send(ctx, "CreateKey", func() error {
		l.cloud.check(l.p, "create", "")
		l.cloud.mu.Lock()
		defer l.cloud.mu.Unlock()
		c := l.cloud
		if len(c.keys) >= 2 {
			return refusedCall("CreateKey", rotation.ClassQuota)
		}
		c.issued++
		k = rotation.Key{ID: rotation.KeyID(fmt.Sprintf("AKIA%012d", c.issued)), Status: rotation.Active, Created: time.Now()}
		k.LastUse.State = rotation.NeverUsed
		text := fmt.Sprintf("secret/of/%s/x9X", k.ID)
		s, c.secrets[text], c.made[k.ID] = rotation.NewSecret(text), k.ID, true
		c.keys, c.changes = append(c.keys, k), append(c.changes, change{"create", k.ID})
		return nil
	})
	if err != nil {
		return rotation.Key{}, rotation.Secret{}, err
	}
	return k, s, nil
}

func (l line) SetStatus(ctx context.Context, _ string, id rotation.KeyID, to rotation.Status) error {
	return l.alter(ctx, "SetStatus", string(to), id, func(_ *cloud, k *rotation.Key) bool {
		changed := k.Status != to
		k.Status = to
		return changed
	})
}

func (l line) DeleteKey(ctx context.Context, _ string, id rotation.KeyID) error {
	return l.alter(ctx, "DeleteKey", "delete", id, func(c *cloud, k *rotation.Key) bool {
		c.keys = slices.DeleteFunc(c.keys, func(k rotation.Key) bool { return k.ID == id })
		return true
	})
}

func (l line) Prepare(ctx context.Context, r rotation.Rotation) (post rotation.Post, err error) {
	err = l.send(ctx, "Prepare", func() (err error) { post, err = l.hand.Prepare(ctx, r); return err })
	return post, err
}

func (l line) Withdraw(ctx context.Context, post rotation.Post) error {
	return l.send(ctx, "Withdraw", func() error { return l.hand.Withdraw(ctx, post) })
}

func (l line) HandOver(ctx context.Context, r rotation.Rotation, key rotation.KeyID, s rotation.Secret) error {
	return l.send(ctx, "HandOver", func() error { return l.hand.HandOver(ctx, r, key, s) })
}
