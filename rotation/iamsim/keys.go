package iamsim

import (
	"cmp"
	"slices"
	"time"
)

// useSpan is the span in which only the first use of a key is recorded
// (IAM API Reference, AccessKeyLastUsed).
const useSpan = 15 * time.Minute

// Status words of a key on the wire.
const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

// notApplicable is what AWS answers for the region and service of no use.
const notApplicable = "N/A"

// Key describes an access key to [Account.AddKey].
type Key struct {
	// ID is the key id; made for the account if empty.
	ID string
	// Created is the creation time; zero means now.
	Created  time.Time
	Inactive bool
	// LastUsed is the last recorded use, already visible; zero means never.
	LastUsed time.Time
	// Service and Region are those of the last use, for example "s3" and
	// "eu-west-1"; empty shows as N/A.
	Service, Region string
}

// A KeyView is an access key as AWS would describe it now.
type KeyView struct {
	ID string
	// Status is "Active" or "Inactive".
	Status  string
	Created time.Time
	// LastUsed is zero if no use is visible yet; Service and Region are then "N/A".
	LastUsed        time.Time
	Service, Region string
	// ByBot reports whether the key was created through the protocol face.
	ByBot bool
}

// accessKey is a key as held.
type accessKey struct {
	id, secret string
	user       *user
	created    time.Time
	inactive   bool
	deleted    bool
	since      time.Time // when it was created, switched or deleted last
	byBot      bool
	uses       []use // recorded uses, oldest first; at most those that can still matter
}

// use is one recorded use of a key.
type use struct {
	at, visible     time.Time
	service, region string
}

func (k *accessKey) status() string {
	if k.inactive {
		return statusInactive
	}
	return statusActive
}

// caller is the key's user, signing for a region.
func (k *accessKey) caller(region string) caller {
	return caller{
		account: k.user.account, user: k.user, key: k, keyID: k.id,
		arn: k.user.arn(), id: k.user.ID, region: region,
	}
}

// signs reports whether the key is accepted for signing, given how long changes
// take to reach every endpoint. The lock is held.
func (s *Sim) signs(k *accessKey, now time.Time) bool {
	if k.inactive || k.deleted {
		return now.Before(k.since.Add(s.cfg.RefusedAfter))
	}
	return !now.Before(k.since.Add(s.cfg.VisibleAfter))
}

// noteUse records a use, unless one was recorded in the last quarter of an hour.
// The lock is held.
func (s *Sim) noteUse(k *accessKey, service, region string) {
	now := s.now()
	if n := len(k.uses); n > 0 && now.Sub(k.uses[n-1].at) < useSpan {
		return
	}
	for len(k.uses) > 1 && !k.uses[1].visible.After(now) {
		k.uses = k.uses[1:]
	}
	k.uses = append(k.uses, use{
		at:      seconds(now),
		visible: now.Add(s.cfg.LastUsedLag),
		service: cmp.Or(service, notApplicable),
		region:  cmp.Or(region, notApplicable),
	})
}

// lastUse returns the newest use that is visible, or a zero time with N/A. The
// lock is held.
func (k *accessKey) lastUse(now time.Time) use {
	for _, u := range slices.Backward(k.uses) {
		if !u.visible.After(now) {
			return u
		}
	}
	return use{service: notApplicable, region: notApplicable}
}

// giveKey makes a key for a user who has room for it. The lock is held.
func (s *Sim) giveKey(u *user, spec Key) *accessKey {
	since := spec.Created
	if since.IsZero() {
		since = s.now()
	}
	for spec.ID == "" || s.keys[spec.ID] != nil {
		spec.ID = newKeyID(prefixLongTerm, u.account.id)
	}
	k := &accessKey{
		id: spec.ID, secret: newSecret(), user: u,
		created: seconds(since), since: since, inactive: spec.Inactive,
	}
	if !spec.LastUsed.IsZero() {
		k.uses = []use{{
			at: spec.LastUsed, visible: spec.LastUsed,
			service: cmp.Or(spec.Service, notApplicable),
			region:  cmp.Or(spec.Region, notApplicable),
		}}
	}
	s.keys[k.id] = k
	i, _ := slices.BinarySearchFunc(u.keys, k.id, func(k *accessKey, id string) int { return cmp.Compare(k.id, id) })
	u.keys = slices.Insert(u.keys, i, k)
	return k
}

// dropKey deletes a key from its user. A key that may still sign for a while is
// kept in the index of signers. The lock is held.
func (s *Sim) dropKey(k *accessKey) {
	k.user.keys = slices.DeleteFunc(k.user.keys, func(other *accessKey) bool { return other == k })
	if k.inactive || s.cfg.RefusedAfter == 0 {
		delete(s.keys, k.id)
	}
	k.deleted, k.since = true, s.now()
}

// setStatus switches a key on or off. The lock is held.
func (s *Sim) setStatus(k *accessKey, inactive bool) {
	if k.inactive != inactive {
		k.inactive, k.since = inactive, s.now()
	}
}

// AddKey gives a user an access key, as an administrator in the console would,
// and returns its id. It returns "" where AWS would refuse: there is no such user
// or it has two keys already.
func (a *Account) AddKey(userName string, spec Key) (id string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	u := a.user(userName)
	if u == nil || len(u.keys) >= keyQuota {
		a.sim.log.Warn("key not added", "account", a.id, "user", userName)
		return ""
	}
	k := a.sim.giveKey(u, spec)
	a.sim.touch()
	return k.id
}

// SetKeyStatus switches a key on or off behind the back of the caller under
// test. It does nothing if the account has no such key.
func (a *Account) SetKeyStatus(keyID string, active bool) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	if k := a.key(keyID); k != nil {
		a.sim.setStatus(k, !active)
		a.sim.touch()
	}
}

// RemoveKey deletes a key behind the back of the caller under test. It does
// nothing if the account has no such key.
func (a *Account) RemoveKey(keyID string) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	if k := a.key(keyID); k != nil {
		a.sim.dropKey(k)
		a.sim.touch()
	}
}

// SecretOf returns the secret of a key, for playing the application that has it;
// "" if the account has no such key.
func (a *Account) SecretOf(keyID string) string {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	if k := a.key(keyID); k != nil {
		return k.secret
	}
	return ""
}

// Keys returns the keys of a user by ascending id, as AWS would describe them
// now. It is empty if there is no such user.
func (a *Account) Keys(userName string) []KeyView {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	u := a.user(userName)
	if u == nil {
		return nil
	}
	now := a.sim.now()
	views := make([]KeyView, 0, len(u.keys))
	for _, k := range u.keys {
		views = append(views, k.view(now))
	}
	return views
}

func (k *accessKey) view(now time.Time) KeyView {
	last := k.lastUse(now)
	return KeyView{
		ID: k.id, Status: k.status(), Created: k.created, ByBot: k.byBot,
		LastUsed: last.at, Service: last.service, Region: last.region,
	}
}

// Use plays an application that signs a request to a service with this key now,
// which moves its last use. The error is what AWS would answer: for a key that is
// unknown, inactive, deleted or not yet visible it reads "InvalidClientTokenId: …".
//
// It is [Account.Perform] of the operation that is usual for the service.
func (a *Account) Use(keyID, service, region string) error {
	return a.Perform(keyID, Activity{Service: service, Region: region})
}

// key finds a key of the account that is not deleted, or nil. The lock is held.
func (a *Account) key(id string) *accessKey {
	k := a.sim.keys[id]
	if k == nil || k.deleted || k.user.account != a {
		return nil
	}
	return k
}
