package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

var intoAWS = rotation.Delivery{Mode: rotation.InSecretsManager, Name: "keyturner/{user}", Region: "eu-west-1"}

// vault is what keeps secrets in AWS, by name: which versions a name has, and which of them is read.
type vault struct {
	mu       sync.Mutex
	versions map[string]map[string]rotation.KeyID // by name and token
	current  map[string]rotation.KeyID
	refuse   error // what Ready answers, if anything
	shut     error // what Write answers, if anything
}

func (v *vault) isReady(at rotation.Delivery) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.versions[at.Name] != nil
}

func (v *vault) read(name string) rotation.KeyID {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current[name]
}

func (l line) Ready(ctx context.Context, at rotation.Delivery) error {
	return l.send(ctx, "Ready", func() error {
		v := l.vault
		v.mu.Lock()
		defer v.mu.Unlock()
		switch {
		case !at.InAWS() || at.Name != "keyturner/"+ci.Name || at.Region != intoAWS.Region:
			return fmt.Errorf("the secret is to go to %+v", at)
		case v.refuse != nil:
			return v.refuse
		case v.versions == nil:
			v.versions, v.current = map[string]map[string]rotation.KeyID{}, map[string]rotation.KeyID{}
		}
		if v.versions[at.Name] == nil {
			v.versions[at.Name] = map[string]rotation.KeyID{}
		}
		return nil
	})
}

func (l line) Write(ctx context.Context, d rotation.Deposit) error {
	return l.send(ctx, "Write", func() error {
		v := l.vault
		v.mu.Lock()
		defer v.mu.Unlock()
		l.cloud.mu.Lock()
		ours := l.cloud.secrets[d.Secret.Reveal()] == d.Key
		l.cloud.mu.Unlock()
		there, again := v.versions[d.At.Name][d.Token]
		switch {
		case !ours || d.Token == "":
			return errors.New("a secret that is not the key's, or no token")
		case v.shut != nil:
			return v.shut
		case v.versions[d.At.Name] == nil:
			return refusedCall("Write", rotation.ClassGone)
		case again && there != d.Key:
			return refusedCall("Write", rotation.ClassInvalid)
		case again:
			return nil
		}
		v.versions[d.At.Name][d.Token], v.current[d.At.Name] = d.Key, d.Key
		l.hand.mu.Lock()
		defer l.hand.mu.Unlock()
		l.hand.given[d.Key]++
		return nil
	})
}

// intoAWSFleet plays until the new key is made and written, or not.
func intoAWSFleet(t *testing.T, setup func(*fleet)) *fleet {
	t.Helper()
	f := newFleet(t, way{name: "into AWS", key: due, ends: rotation.Done}, 1)
	f.delivery = intoAWS
	if setup != nil {
		setup(f)
	}
	f.start()
	f.people() // ask
	f.people() // approve
	return f
}

func TestDelivery_IntoAWS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := intoAWSFleet(t, nil)
		synctest.Wait()
		r := f.rotation()
		if r.Stage != rotation.Switching || f.vault.read("keyturner/ci") != r.New || r.Handover.Post.Known() || len(f.hand.standing()) != 0 {
			t.Errorf("at %s with the message %+v, and %q is kept; want it to be %s, and no message", r.Stage, r.Handover, f.vault.read("keyturner/ci"), r.New)
		}
		if f.vault.versions["keyturner/ci"][r.Token()] != r.New {
			t.Errorf("the versions %v do not have the one that the rotation names, %s", f.vault.versions, r.Token())
		}
		f.play()
		if f.vault.read("keyturner/ci") != f.rotation().New {
			t.Error("what is kept is not the key that is left")
		}
	})
}

// TestDelivery_NotToldAhead: while another key's secret is on its way, nothing says that it is there.
func TestDelivery_NotToldAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := intoAWSFleet(t, nil)
		synctest.Wait()
		first := f.rotation()
		told := false
		f.fate = func(_ *process, method string) fate {
			if r := f.rotation(); method == "Write" && r.New != first.New {
				told = told || !r.Handover.Until.IsZero()
			}
			return fate{}
		}
		f.click(owner, rotation.Reissue)
		time.Sleep(time.Minute)
		synctest.Wait()
		if r := f.rotation(); told || r.Issued != 2 || r.Handover.Until.IsZero() {
			t.Errorf("told ahead %v, at %s with %d keys and %+v", told, r.Stage, r.Issued, r.Handover)
		}
		f.play()
	})
}

// TestDelivery_PlaceShut: no key is made if its secret could not be kept.
func TestDelivery_PlaceShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := intoAWSFleet(t, func(f *fleet) { f.vault.refuse = refusedCall("Ready", rotation.ClassDenied) })
		synctest.Wait()
		r := f.rotation()
		if r.Stage != rotation.Stuck || r.Failure.Block != rotation.PlaceShut || r.Failure.Class != rotation.ClassDenied || f.cloud.count("create") != 0 {
			t.Errorf("at %s because of %+v, with %d keys made", r.Stage, r.Failure, f.cloud.count("create"))
		}
		if r.Intent != nil {
			t.Errorf("an intent is left: %+v", r.Intent)
		}
		f.vault.mu.Lock()
		f.vault.refuse = nil
		f.vault.mu.Unlock()
		f.play()
	})
}

// TestDelivery_WriteRefused: where AWS refuses to keep a secret, no second key is made to find that out again.
func TestDelivery_WriteRefused(t *testing.T) {
	for _, class := range []rotation.Class{rotation.ClassDenied, rotation.ClassInvalid, rotation.ClassQuota} {
		synctest.Test(t, func(t *testing.T) {
			f := intoAWSFleet(t, func(f *fleet) { f.vault.shut = refusedCall("Write", class) })
			time.Sleep(time.Minute)
			synctest.Wait()
			r := f.rotation()
			if r.Stage != rotation.Stuck || r.Failure.Class != class || f.cloud.count("create") != 1 || len(f.cloud.all()) != 1 {
				t.Errorf("at %s because of %+v, with %d keys made, and %d there", r.Stage, r.Failure, f.cloud.count("create"), len(f.cloud.all()))
			}
			f.vault.mu.Lock()
			f.vault.shut = nil
			f.vault.mu.Unlock()
			f.play()
		})
	}
}

// TestDelivery_Revealed: no key is made before its owner has opened a window, nor if they have closed it, and what may not have been seen
// is revoked.
func TestDelivery_Revealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, way{name: "revealed", key: due, ends: rotation.Done}, 1)
		f.delivery = rotation.Delivery{Mode: rotation.Reveal}
		p := f.start()
		f.people() // ask
		f.people() // approve
		settle := func(want rotation.Stage, made int) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if r := f.rotation(); r.Stage != want || f.cloud.count("create") != made || len(f.hand.standing()) != 0 {
				t.Errorf("at %s with %d keys made, want %s and %d", r.Stage, f.cloud.count("create"), want, made)
			}
		}
		settle(rotation.Offered, 0)
		collect := func(modal string) error {
			_, err := p.Collect(t.Context(), f.rotation().Ref(), rotation.Actor{Member: owner}, modal)
			return err
		}
		if _, err := p.Collect(t.Context(), f.rotation().Ref(), rotation.Actor{Member: carol, Approver: true}, f.hand.open()); err == nil {
			t.Error("an approver has had the key shown to them")
		}
		closed := f.hand.open()
		f.hand.remove(closed)
		if err := collect(closed); err != nil {
			t.Fatal(err)
		}
		settle(rotation.Offered, 0)
		modal := f.hand.open()
		f.fate = first("HandOver", fate{fails: true, before: func() { f.hand.remove(modal) }, err: refusedCall("update", rotation.ClassGone)})
		if err := collect(modal); err != nil {
			t.Fatal(err)
		}
		settle(rotation.Offered, 1)
		if n := len(f.cloud.all()); n != 1 {
			t.Errorf("%d keys are left of one that may not have been seen", n)
		}
		modal = f.hand.open()
		if err := collect(modal); err != nil {
			t.Fatal(err)
		}
		settle(rotation.Switching, 2)
		if r := f.rotation(); f.hand.shown(modal) != r.New || r.Modal != "" {
			t.Errorf("the window shows %q, the rotation has %s and the window %q", f.hand.shown(modal), r.New, r.Modal)
		}
		f.play()
	})
}

// TestDelivery_Sealed: who has set no public key gets no key in a sealed account, and a rotation keeps the one that it began with.
func TestDelivery_Sealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, way{name: "sealed", key: due, ends: rotation.Done}, 1)
		f.delivery = rotation.Delivery{Mode: rotation.Sealed}
		p := f.start()
		ask := func() error {
			_, err := p.Request(t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: owner}})
			return err
		}
		refusal, ok := errors.AsType[*rotation.Refusal](ask())
		if !ok || refusal.Code != rotation.NoRecipient || refusal.By != owner || f.rotation().ID != "" {
			t.Fatalf("got %+v, and %s; want a refusal because of the missing key", refusal, f.rotation().ID)
		}
		set, err := p.SetRecipient(t.Context(), owner, "age1first", "first")
		if err != nil || set.Told {
			t.Fatalf("set a key: %+v, %v", set, err)
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		if r := f.rotation(); r.Delivery.Recipient != "age1first" || !r.Delivery.Set.Equal(set.At) || !r.Unsettled() {
			t.Errorf("the rotation has %+v, unsettled %v", r.Delivery, r.Unsettled())
		}
		time.Sleep(time.Minute)
		if _, err := p.SetRecipient(t.Context(), owner, "age1second", "second"); err != nil {
			t.Fatal(err)
		}
		f.play()
		if r := f.rotation(); r.Delivery.Recipient != "age1first" {
			t.Errorf("a key that was set later has taken the place of the approved one: %s", r.Delivery.Recipient)
		}
		time.Sleep(25 * time.Hour)
		f.cloud.use(f.rotation().New)
		p = f.start()
		if err := ask(); err == nil && f.rotation().Unsettled() {
			t.Error("a key that was set a day ago is told to be new")
		}
	})
}

// TestDelivery_NoPlace: a user whose name is no name of a parameter.
func TestDelivery_NoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, way{name: "no place", key: due}, 1)
		f.delivery = rotation.Delivery{Mode: rotation.InSSM, Name: "/key,turner/{user}", Region: "eu-west-1"}
		_, err := f.start().Request(t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: owner}})
		if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.NoPlace {
			t.Errorf("got %v, want a refusal because of the name", err)
		}
	})
}

func TestDelivery_Named(t *testing.T) {
	for name, test := range map[string]struct {
		mode           rotation.Mode
		template, user string
		want           string // empty: refused
	}{
		"secret":                 {rotation.InSecretsManager, "keyturner/{user}", "ci+x@y.io", "keyturner/ci+x@y.io"},
		"secret with a comma":    {rotation.InSecretsManager, "keyturner/{user}", "a,b", ""},
		"parameter":              {rotation.InSSM, "/k/{user}/key", "ci-deploy", "/k/ci-deploy/key"},
		"parameter with an at":   {rotation.InSSM, "/k/{user}", "x@y", ""},
		"parameter, too deep":    {rotation.InSSM, strings.Repeat("/k", 15) + "/{user}", "ci", ""},
		"parameter without path": {rotation.InSSM, "{user}", "ci", "ci"},
		"too long":               {rotation.InSecretsManager, strings.Repeat("k", 512) + "{user}", "ci", ""},
	} {
		d, ok := rotation.Delivery{Mode: test.mode, Name: test.template}.Named(test.user)
		if ok != (test.want != "") || ok && d.Name != test.want {
			t.Errorf("%s: got %q, %v, want %q", name, d.Name, ok, test.want)
		}
	}
}

// TestRecipient_Again: a key that is set again changes nothing and is recorded once; its member is told until they were.
func TestRecipient_Again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, way{name: "mykey", key: due}, 1)
		p := f.start()
		first, err := p.SetRecipient(t.Context(), owner, "age1first", "first")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		again, err := p.SetRecipient(t.Context(), owner, "age1first", "first")
		if err != nil || !again.At.Equal(first.At) || again.Told {
			t.Errorf("set again: %+v, %v", again, err)
		}
		if err := p.ToldRecipient(t.Context(), owner, again); err != nil {
			t.Fatal(err)
		}
		if told, err := p.SetRecipient(t.Context(), owner, "age1first", "first"); err != nil || !told.Told {
			t.Errorf("set once more: %+v, %v", told, err)
		}
		other, err := p.SetRecipient(t.Context(), owner, "age1other", "other")
		if err != nil || other.Told || !other.At.After(first.At) {
			t.Errorf("set another: %+v, %v", other, err)
		}
		if err := p.ToldRecipient(t.Context(), owner, again); err != nil { // of the key before
			t.Fatal(err)
		}
		if kept, err := p.Recipient(t.Context(), owner); err != nil || kept.Told || kept.Key != "age1other" {
			t.Errorf("kept: %+v, %v", kept, err)
		}
		n := 0
		for _, e := range f.kept.entries {
			if e.Action == "set-public-key" && e.Actor == string(owner) {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d entries, want one for each key", n)
		}
	})
}

// TestDelivery_OfferedYields: a key that waits to be opened holds up no leak of another one of the user's.
func TestDelivery_OfferedYields(t *testing.T) {
	r := rotation.Rotation{Kind: rotation.Replace, Stage: rotation.Offered, Owner: owner, Delivery: rotation.Delivery{Mode: rotation.Reveal}}
	if next, err := r.Step(rotation.Event{On: rotation.Yield, By: rotation.TheEngine}); err != nil || next.Stage != rotation.Closed {
		t.Errorf("a leak finds it at %s, %v", next.Stage, err)
	}
}
