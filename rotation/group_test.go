package rotation_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

const squad rotation.GroupID = "S0SQUAD01"

// roll is who is in a group now.
type roll struct {
	members []rotation.MemberID
	err     error
}

func (r *roll) of(_ context.Context, g rotation.GroupID) ([]rotation.MemberID, error) {
	if g != squad {
		return nil, errors.New("no such group")
	}
	return r.members, r.err
}

// grouped is a bench on which a group owns the user. Dave, an approver, is of it.
func grouped(t *testing.T) (*bench, *roll, *rotation.Engine) {
	t.Helper()
	b := newBench(t)
	b.stop()
	b.account.AddUser(iamsim.User{Name: "shared", Tags: map[string]string{"slack-user-id": string(squad)}})
	b.account.AddKey("shared", iamsim.Key{})
	b.account.AddUser(iamsim.User{Name: "theirs", Tags: map[string]string{"slack-user-id": "S0OTHER01"}})
	members := &roll{members: []rotation.MemberID{"UANA", "UBEN", dave}}
	e, err := rotation.New(rotation.Config{
		Store: b.kept, Hand: b.hand, Accounts: []rotation.Account{{ID: account, IAM: b.aws}}, Approvers: []rotation.MemberID{carol, dave}, Terms: terms,
		Owners: rotation.Owners{Tag: "slack-user-id", Groups: []rotation.GroupID{squad}, Members: members.of},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, members, e
}

func codeOf(err error) rotation.Code {
	if refusal, ok := errors.AsType[*rotation.Refusal](err); ok {
		return refusal.Code
	}
	return ""
}

// TestEngine_AGroupIsTheOwner is the table of who may do what about a user that a group owns.
func TestEngine_AGroupIsTheOwner(t *testing.T) {
	shared := rotation.UserRef{Account: account, Name: "shared"}
	ana, ben, eve := rotation.Actor{Member: "UANA"}, rotation.Actor{Member: "UBEN"}, rotation.Actor{Member: "UEVE"}
	boss, mate := rotation.Actor{Member: carol, Approver: true}, rotation.Actor{Member: dave, Approver: true}
	lost := errors.New("cut off")
	for _, test := range []struct {
		name string
		by   rotation.Actor
		on   rotation.On // empty: request
		left []rotation.MemberID
		err  error
		want rotation.Code
	}{
		{name: "one of the group asks", by: ana},
		{name: "an approver of the group asks", by: mate},
		{name: "somebody else asks", by: eve, want: rotation.GroupOwned},
		{name: "an approver who is not of it asks", by: boss, want: rotation.GroupOwned},
		{name: "one asks who has left it", by: ana, left: []rotation.MemberID{"UBEN"}, want: rotation.GroupOwned},
		{name: "the group cannot be read", by: ana, err: lost, want: rotation.OwnerUnknown},
		{name: "only the group could approve", by: ana, left: []rotation.MemberID{"UANA", carol, dave}, want: rotation.NoApprover},
		{name: "who has begun it withdraws", by: ana, on: rotation.Cancel},
		{name: "who has begun it withdraws, though the group cannot be read", by: ana, on: rotation.Cancel, err: lost},
		{name: "another one withdraws", by: ben, on: rotation.Cancel},
		{name: "another one withdraws who has left", by: ben, on: rotation.Cancel, left: []rotation.MemberID{"UANA"}, want: rotation.NotOwner},
		{name: "another one withdraws, and the group cannot be read", by: ben, on: rotation.Cancel, err: lost, want: rotation.OwnerUnknown},
		{name: "somebody else withdraws", by: eve, on: rotation.Cancel, want: rotation.NotOwner},
		{name: "an approver approves", by: boss, on: rotation.Approve},
		{name: "an approver of the group approves", by: mate, on: rotation.Approve, want: rotation.OwnKey},
		{name: "an approver approves, and the group cannot be read", by: boss, on: rotation.Approve, err: lost, want: rotation.OwnerUnknown},
		{name: "an approver approves when who has begun it has left", by: boss, on: rotation.Approve, left: []rotation.MemberID{"UBEN"}, want: rotation.OwnerLeft},
		{name: "an approver denies when who has begun it has left", by: boss, on: rotation.Deny, left: []rotation.MemberID{"UBEN"}},
		{name: "one of the group approves", by: ben, on: rotation.Approve, want: rotation.NotApprover},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, members, e := grouped(t)
				var ref rotation.Ref
				if test.on != "" {
					p, err := e.Request(t.Context(), rotation.Request{User: shared, By: ana})
					if err != nil || p.Rotation.Owner != ana.Member || p.Rotation.Group != squad {
						t.Fatalf("request: %+v, %v", p.Rotation, err)
					}
					ref = p.Rotation.Ref()
				}
				if test.left != nil {
					members.members = test.left
				}
				members.err = test.err
				var p rotation.Progress
				var err error
				if test.on == "" {
					p, err = e.Request(t.Context(), rotation.Request{User: shared, By: test.by})
				} else {
					if _, mayErr := e.May(t.Context(), ref, test.on, test.by); codeOf(mayErr) != test.want {
						t.Errorf("May: %v, want %q", mayErr, test.want)
					}
					p, err = e.Act(t.Context(), ref, test.on, test.by, "")
				}
				if codeOf(err) != test.want || (err != nil) != (test.want != "") {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if err == nil && test.on == "" && (p.Rotation.Owner != test.by.Member || p.Rotation.Group != squad) {
					t.Errorf("owner %s of %s", p.Rotation.Owner, p.Rotation.Group)
				}
			})
		})
	}
}

// The secret goes to who has begun the rotation, whoever of the group confirms and takes back.
func TestEngine_AGroupsSecretGoesToWhoBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, members, e := grouped(t)
		members.members = append(members.members, owner)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		p, err := e.Request(t.Context(), rotation.Request{User: rotation.UserRef{Account: account, Name: "shared"}, By: rotation.Actor{Member: owner}})
		if err != nil {
			t.Fatal(err)
		}
		if p, err = e.Act(t.Context(), p.Rotation.Ref(), rotation.Approve, rotation.Actor{Member: carol, Approver: true}, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p, err = e.Get(t.Context(), p.User.ID()); err != nil || p.Rotation.Stage != rotation.Switching {
			t.Fatalf("%+v, %v", p.Rotation, err)
		}
		if p.Rotation.Owner != owner || b.account.SecretOf(string(p.Rotation.New)) == "" { // the hand refuses whoever is not the owner
			t.Errorf("the secret went to %s, at %+v", p.Rotation.Owner, p.Rotation.Handover.Post)
		}
		if _, err := e.Receipt(t.Context(), rotation.Ref{ID: p.Rotation.ID, Turn: 1}, rotation.Actor{Member: "UANA"}); codeOf(err) != rotation.NotOwner {
			t.Errorf("another one says that they have stored it: %v", err)
		}
		members.members = slices.DeleteFunc(members.members, func(m rotation.MemberID) bool { return m == "UANA" })
		if _, err := e.Act(t.Context(), p.Rotation.Ref(), rotation.Abandon, rotation.Actor{Member: "UANA"}, ""); codeOf(err) != rotation.NotOwner {
			t.Errorf("one who has left abandons it: %v", err)
		}
		members.members = slices.DeleteFunc(members.members, func(m rotation.MemberID) bool { return m == owner })
		for _, by := range []rotation.Actor{{Member: owner}, {Member: dave, Approver: true}} {
			if _, err := e.Act(t.Context(), p.Rotation.Ref(), rotation.Reissue, by, ""); codeOf(err) != rotation.OwnerLeft {
				t.Errorf("%s has another key issued to who has left: %v", by.Member, err)
			}
		}
		if _, err := e.Act(t.Context(), p.Rotation.Ref(), rotation.Abandon, rotation.Actor{Member: dave, Approver: true}, ""); err != nil {
			t.Errorf("another one of the group abandons it: %v", err)
		}
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestEngine_OwnedByAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, members, e := grouped(t)
		owned := func(m rotation.MemberID, want string, unread int) {
			t.Helper()
			held, err := e.Owned(t.Context(), m)
			failed := 0
			held = slices.DeleteFunc(held, func(h rotation.Holding) bool {
				if h.User.Name == "" {
					failed++
				}
				return h.User.Name == ""
			})
			if got := names(held); got != want || failed != unread || err != nil {
				t.Errorf("%s owns %q, %d not read, %v; want %q, %d", m, got, failed, err, want, unread)
			}
		}
		owned("UANA", "shared tag", 0)
		owned("UEVE", "", 0)
		members.err = errors.New("cut off")
		owned("UANA", "", 1)
		h, err := e.HoldingOf(t.Context(), rotation.UserRef{Account: account, Name: "theirs"})
		if err != nil || h.Ownership.Owner() != "" || h.Ownership.Doubt != rotation.OtherGroup {
			t.Errorf("a group that may own nothing: %+v, %v", h.Ownership, err)
		}
	})
}

// TestRotation_AGroupsWindowIsOpenedByWhoever: any of the group has the key shown to themselves, and nobody else does: not who approved of it
// and has joined the group since either.
func TestRotation_AGroupsWindowIsOpenedByWhoever(t *testing.T) {
	r := rotation.Rotation{
		Kind: rotation.Replace, Stage: rotation.Offered, Owner: owner, Group: "S0SQUAD01", Requester: owner, Old: "AKIAOLD", UserID: "AIDA1",
		Delivery: rotation.Delivery{Mode: rotation.Reveal},
		Asks:     []rotation.Ask{{Stage: rotation.Requested, Closed: string(rotation.Approve), Decisions: []rotation.Decision{{By: dave, Approve: true}}}},
	}
	seen := rotation.Evidence{UserID: "AIDA1", Keys: []rotation.Key{{ID: "AKIAOLD", Status: rotation.Active}}}
	for _, test := range []struct {
		name string
		by   rotation.Actor
		want rotation.MemberID
		code rotation.Code
	}{
		{"who began it", rotation.Actor{Member: owner}, "", ""},
		{"another member of the group", rotation.Actor{Member: carol, Fellow: true}, carol, ""},
		{"who approved, and has joined it since", rotation.Actor{Member: dave, Fellow: true}, "", rotation.NotOwner},
		{"an approver who is not of it", rotation.Actor{Member: carol, Approver: true}, "", rotation.NotOwner},
		{"somebody else", rotation.Actor{Member: "UEVE"}, "", rotation.NotOwner},
	} {
		next, err := r.Step(rotation.Event{On: rotation.Collect, By: test.by, Evidence: seen, Modal: "V1"})
		if code(err) != test.code || err == nil && (next.Stage != rotation.Creating || next.Collects != test.want || next.Owner != owner || next.Modal != "V1") {
			t.Errorf("%s: %v; at %s, collected by %q", test.name, err, next.Stage, next.Collects)
		}
	}
	r.Collects = carol
	if next, err := r.Step(rotation.Event{On: rotation.Collect, By: rotation.Actor{Member: owner}, Evidence: seen, Modal: "V2"}); err != nil || next.Collects != "" {
		t.Errorf("after a window that was lost, who began it: %v, collected by %q", err, next.Collects)
	}
}

// A leak of a group's key waits for nobody who would have to be looked up.
func TestEngine_AGroupsKeyLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, members, e := grouped(t)
		members.err = errors.New("cut off")
		boss := rotation.Actor{Member: carol, Approver: true}
		key := rotation.KeyID(b.account.Keys("shared")[0].ID)
		p, err := e.Request(t.Context(), rotation.Request{User: rotation.UserRef{Account: account, Name: "shared"}, Key: key, Leak: true, By: boss})
		if err != nil || p.Rotation.Group != squad {
			t.Fatalf("%+v, %v", p.Rotation, err)
		}
		if p, err = e.Act(t.Context(), p.Rotation.Ref(), rotation.Approve, boss, ""); err != nil || p.Rotation.Stage != rotation.Deactivating {
			t.Errorf("%s, %v; want it deactivated on one person's word", p.Rotation.Stage, err)
		}
	})
}
