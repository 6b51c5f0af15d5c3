package rotation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// post knows whose the addresses are.
type post struct {
	members map[string]rotation.MemberID
	doubts  map[string]rotation.Doubt
	err     error
	asked   int
}

func (p *post) MemberOf(_ context.Context, address string) (rotation.MemberID, rotation.Doubt, error) {
	p.asked++
	switch {
	case p.err != nil:
		return "", "", p.err
	case p.members[address] != "":
		return p.members[address], "", nil
	case p.doubts[address] != "":
		return "", p.doubts[address], nil
	}
	return "", rotation.NoSuchMember, nil
}

func (p *post) AddressOf(_ context.Context, m rotation.MemberID) (string, error) {
	for address, of := range p.members {
		if of == m {
			return strings.ToUpper(address), p.err
		}
	}
	return "", p.err
}

// TestOwners_Of is the table of what names an owner: which counts, and what it means that something names nobody.
func TestOwners_Of(t *testing.T) {
	const tag, mail, name = "slack-user-id", "owner-email", "ana@example.com"
	lost := errors.New("cut off")
	link := &rotation.Link{Owner: "ULINKED", By: carol, At: time.Unix(1, 0)}
	book := &post{
		members: map[string]rotation.MemberID{"ana@example.com": "UANA", "ben@example.com": "UBEN"},
		doubts:  map[string]rotation.Doubt{"guest@example.com": rotation.NotFull, "new@example.com": rotation.NotConfirmed, "far@example.com": rotation.OtherTeam},
	}
	full := func(o *rotation.Owners) { o.MailTag, o.MailNames = mail, true }
	type owns = rotation.Ownership
	for _, test := range []struct {
		name   string
		user   string
		tags   map[string]string
		link   *rotation.Link
		config rotation.MemberID
		set    func(*rotation.Owners)
		err    error // of the look-up
		want   owns
	}{
		{name: "nothing", want: owns{}},
		{name: "a tag", tags: map[string]string{tag: "UTAG1"}, want: owns{Member: "UTAG1", From: rotation.FromTag, Says: "UTAG1"}},
		{name: "an enterprise id in a tag", tags: map[string]string{tag: "WTAG1"}, want: owns{Member: "WTAG1", From: rotation.FromTag, Says: "WTAG1"}},
		{name: "the configuration before a tag", tags: map[string]string{tag: "UTAG1"}, config: "UCONF", want: owns{Member: "UCONF", From: rotation.FromConfig}},
		{name: "a link before all", tags: map[string]string{tag: "UTAG1", mail: "ana@example.com"}, config: "UCONF", link: link, set: full, want: owns{Member: "ULINKED", From: rotation.FromLink, Link: *link}},
		{name: "a link, though nothing can be looked up", user: name, link: link, set: full, err: lost, want: owns{Member: "ULINKED", From: rotation.FromLink, Link: *link}},
		{name: "another tag", tags: map[string]string{"owner": "UTAG1"}, want: owns{}},
		{name: "an empty tag", tags: map[string]string{tag: ""}, want: owns{}},
		{name: "a name in a tag", tags: map[string]string{tag: "ana"}, want: owns{From: rotation.FromTag, Says: "ana", Doubt: rotation.NoMemberID}},
		{name: "a channel in a tag", tags: map[string]string{tag: "C0123456789"}, want: owns{From: rotation.FromTag, Says: "C0123456789", Doubt: rotation.NoMemberID}},
		{name: "our team", tags: map[string]string{tag: "TOURS/UTAG1"}, want: owns{Member: "UTAG1", From: rotation.FromTag, Says: "TOURS/UTAG1"}},
		{name: "our team with a dot", tags: map[string]string{tag: "TOURS.UTAG1"}, want: owns{Member: "UTAG1", From: rotation.FromTag, Says: "TOURS.UTAG1"}},
		{name: "another team", tags: map[string]string{tag: "TOTHER/UTAG1"}, want: owns{From: rotation.FromTag, Says: "TOTHER/UTAG1", Doubt: rotation.OtherTeam}},
		{name: "another team, and an address", tags: map[string]string{tag: "TOTHER/UTAG1", mail: "ben@example.com"}, set: full, want: owns{Member: "UBEN", From: rotation.FromMailTag, Says: "ben@example.com"}},
		{name: "our team is not known", tags: map[string]string{tag: "TOURS/UTAG1", mail: "ben@example.com"}, set: func(o *rotation.Owners) { full(o); o.Team = func() string { return "" } }, want: owns{From: rotation.FromTag, Says: "TOURS/UTAG1", Doubt: rotation.NotLookedUp}},
		{name: "there are no teams", tags: map[string]string{tag: "TOURS/UTAG1"}, set: func(o *rotation.Owners) { o.Team = nil }, want: owns{From: rotation.FromTag, Says: "TOURS/UTAG1", Doubt: rotation.OtherTeam}},
		{name: "an address that nobody asked for", user: name, tags: map[string]string{mail: "ben@example.com"}, want: owns{}},
		{name: "an address in a tag", tags: map[string]string{mail: "ana@example.com"}, set: full, want: owns{Member: "UANA", From: rotation.FromMailTag, Says: "ana@example.com"}},
		{name: "an id before an address", tags: map[string]string{tag: "UTAG1", mail: "ana@example.com"}, set: full, want: owns{Member: "UTAG1", From: rotation.FromTag, Says: "UTAG1"}},
		{name: "no id, and an address", tags: map[string]string{tag: "ana", mail: "ana@example.com"}, set: full, want: owns{Member: "UANA", From: rotation.FromMailTag, Says: "ana@example.com"}},
		{name: "a tag before the name", user: name, tags: map[string]string{mail: "ben@example.com"}, set: full, want: owns{Member: "UBEN", From: rotation.FromMailTag, Says: "ben@example.com"}},
		{name: "a name", user: name, set: full, want: owns{Member: "UANA", From: rotation.FromName, Says: name}},
		{name: "a name that is no address", user: "ana@host", set: full, want: owns{}},
		{name: "names do not count", user: name, set: func(o *rotation.Owners) { o.MailTag = mail }, want: owns{}},
		{name: "tags do not count", tags: map[string]string{mail: "ana@example.com"}, set: func(o *rotation.Owners) { o.MailNames = true }, want: owns{}},
		{name: "nobody's address", tags: map[string]string{mail: "nobody@example.com"}, set: full, want: owns{From: rotation.FromMailTag, Says: "nobody@example.com", Doubt: rotation.NoSuchMember}},
		{name: "nobody's address, and a name that is somebody's", user: name, tags: map[string]string{mail: "nobody@example.com"}, set: full, want: owns{From: rotation.FromMailTag, Says: "nobody@example.com", Doubt: rotation.NoSuchMember}},
		{name: "a guest's address", user: "guest@example.com", set: full, want: owns{From: rotation.FromName, Says: "guest@example.com", Doubt: rotation.NotFull}},
		{name: "an address not confirmed", user: "new@example.com", set: full, want: owns{From: rotation.FromName, Says: "new@example.com", Doubt: rotation.NotConfirmed}},
		{name: "an address of another team", user: "far@example.com", set: full, want: owns{From: rotation.FromName, Says: "far@example.com", Doubt: rotation.OtherTeam}},
		{name: "an address that cannot be looked up", user: name, set: full, err: lost, want: owns{From: rotation.FromName, Says: name, Doubt: rotation.NotLookedUp, Err: lost}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ref := rotation.UserRef{Account: account, Name: test.user}
			o := rotation.Owners{Tag: tag, Links: map[rotation.UserRef]rotation.MemberID{}, Team: func() string { return "TOURS" }, Mail: book}
			if test.config != "" {
				o.Links[ref] = test.config
			}
			if test.set != nil {
				test.set(&o)
			}
			book.err = test.err
			got := o.Of(t.Context(), rotation.User{Ref: ref, Tags: test.tags}, test.link)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(owns{}, "Err")); diff != "" || (got.Err != nil) != got.Unknown() {
				t.Errorf("error %v (-want +got):\n%s", got.Err, diff)
			}
			if got.Unknown() != (test.want.Doubt == rotation.NotLookedUp) {
				t.Errorf("unknown: %v", got.Unknown())
			}
		})
	}
}

// owning makes an engine on an account whose users are owned in every way.
func owning(t *testing.T, book *post) (*rotation.Engine, rotation.Store, *iamsim.Account) {
	t.Helper()
	b := newBench(t)
	b.stop()
	for name, tags := range map[string]map[string]string{
		"tagged": {"slack-user-id": "UANA"}, "mailed": {"owner-email": "ana@example.com"}, "ana@example.com": nil, "bens": {"slack-user-id": "UBEN"}, "nobodys": nil,
	} {
		b.account.AddUser(iamsim.User{Name: name, Tags: tags})
	}
	e, err := rotation.New(rotation.Config{
		Store: b.kept, Hand: b.hand, Accounts: []rotation.Account{{ID: account, IAM: b.aws}}, Approvers: []rotation.MemberID{carol, dave},
		Policy: rotation.Policy{WarnAge: time.Hour, MaxAge: 2 * time.Hour, UnusedAge: time.Hour},
		Owners: rotation.Owners{Tag: "slack-user-id", MailTag: "owner-email", MailNames: true, Mail: book, Team: func() string { return "T1" }},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, b.kept, b.account
}

func names(held []rotation.Holding) string {
	var all []string
	for _, h := range held {
		all = append(all, strings.TrimSpace(h.User.Name+" "+string(h.Ownership.From)))
	}
	return strings.Join(all, ", ")
}

func TestEngine_Link(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &post{members: map[string]rotation.MemberID{"ana@example.com": "UANA"}}
		e, kept, aws := owning(t, book)
		boss := rotation.Actor{Member: carol, Approver: true}
		ref := func(name string) rotation.UserRef { return rotation.UserRef{Account: account, Name: name} }
		owned := func(m rotation.MemberID, want string) {
			t.Helper()
			held, err := e.Owned(t.Context(), m)
			if got := names(held); got != want || err != nil {
				t.Errorf("%s owns %q, %v; want %q", m, got, err, want)
			}
		}
		refused := func(what string, want rotation.Code, err error) {
			t.Helper()
			if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != want {
				t.Errorf("%s: %v, want %s", what, err, want)
			}
		}
		aws.AddUser(iamsim.User{Name: "carols", Tags: map[string]string{"slack-user-id": string(carol)}})
		owned("UANA", "ana@example.com name, mailed mail-tag, tagged tag")
		owned("UBEN", "bens tag")

		_, err := e.Link(t.Context(), ref("bens"), "UANA", rotation.Actor{Member: owner})
		refused("by no approver", rotation.NotApprover, err)
		_, err = e.Link(t.Context(), ref("bens"), carol, boss)
		refused("to oneself", rotation.OwnLink, err)
		_, err = e.Link(t.Context(), ref("nothere"), "UANA", boss)
		refused("of a user that is not there", rotation.UserGone, err)
		_, err = e.Link(t.Context(), rotation.UserRef{Account: "999999999999", Name: "x"}, "UANA", boss)
		refused("in an account that is none", rotation.NoAccount, err)
		if _, err := e.Link(t.Context(), ref("carols"), "UBEN", boss); err != nil {
			t.Fatal(err)
		}
		_, err = e.Unlink(t.Context(), ref("carols"), boss)
		refused("unlinking that makes oneself the owner", rotation.OwnLink, err)

		linked, err := e.Link(t.Context(), ref("BENS"), "UANA", boss)
		if err != nil || linked.User.Name != "bens" || linked.Before.Member != "UBEN" || linked.After.Member != "UANA" || linked.After.Link.By != carol {
			t.Errorf("linked: %+v, %v", linked, err)
		}
		again, err := e.Link(t.Context(), ref("bens"), "UANA", rotation.Actor{Member: dave, Approver: true})
		if err != nil || again.After.Link.By != carol {
			t.Errorf("linked again: %+v, %v; want nothing changed", again, err)
		}
		owned("UANA", "ana@example.com name, bens link, mailed mail-tag, tagged tag")
		owned("UBEN", "carols link")
		if _, err := e.Unlink(t.Context(), ref("bens"), boss); err != nil {
			t.Error(err)
		}
		owned("UANA", "ana@example.com name, mailed mail-tag, tagged tag")
		owned("UBEN", "bens tag, carols link")

		p, err := kept.Get(t.Context(), ref("bens").ID())
		if err != nil || p.Link != nil {
			t.Errorf("kept: %+v, %v", p.Link, err)
		}
		var entries []string // the refusals came when nothing was kept of the user yet
		for _, en := range p.Trail {
			entries = append(entries, en.Actor+" "+en.Action+" "+en.Outcome+": "+en.Detail)
		}
		want := []string{
			string(carol) + " link moved: owner UANA, before UBEN", string(carol) + " unlink moved: owner UBEN, before UANA",
		}
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

// Another process has linked a user: it is found, within a minute.
func TestEngine_LinksOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, kept, _ := owning(t, &post{})
		if held, err := e.Owned(t.Context(), "UANA"); err != nil || names(held) != "tagged tag" {
			t.Fatalf("%v, %v", names(held), err)
		}
		link := &rotation.Link{Owner: "UANA", By: dave, At: time.Now()}
		if _, err := kept.Create(t.Context(), rotation.Progress{User: rotation.UserRef{Account: account, Name: "bens"}, Link: link}); err != nil {
			t.Fatal(err)
		}
		if held, err := e.Owned(t.Context(), "UBEN"); err != nil || len(held) != 0 { // found in a list that is old, and not believed
			t.Errorf("ben owns %v, %v", names(held), err)
		}
		time.Sleep(time.Minute + time.Second)
		if held, err := e.Owned(t.Context(), "UANA"); err != nil || names(held) != "bens link, tagged tag" {
			t.Errorf("ana owns %v, %v", names(held), err)
		}
	})
}

// A rotation under way stays with its owner; the next one is the new owner's.
func TestEngine_ALinkMovesNoRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		r := b.playTo(rotation.Requested)
		linked, err := b.engine.Link(t.Context(), ci, "UANA", rotation.Actor{Member: carol, Approver: true})
		if err != nil || linked.Running == nil || linked.Running.ID != r.ID {
			t.Fatalf("%+v, %v", linked, err)
		}
		if now := b.rotation(); now.Owner != owner {
			t.Errorf("the rotation's owner is %s", now.Owner)
		}
		if _, err := b.engine.Act(t.Context(), r.Ref(), rotation.Cancel, rotation.Actor{Member: owner}, ""); err != nil {
			t.Errorf("its owner cancels: %v", err)
		}
		if _, err := b.engine.Request(t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: owner}}); err == nil {
			t.Error("who was the owner began another one")
		}
		p, err := b.engine.Request(t.Context(), rotation.Request{User: ci, By: rotation.Actor{Member: "UANA"}})
		if err != nil || p.Rotation.Owner != "UANA" || p.Link == nil {
			t.Errorf("the new owner's: %+v, %v", p.Rotation, err)
		}
	})
}

// TestEngine_AnOwnerThatCannotBeLookedUp is unknown everywhere, and never nobody.
func TestEngine_AnOwnerThatCannotBeLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &post{members: map[string]rotation.MemberID{"ana@example.com": "UANA"}}
		e, _, aws := owning(t, book)
		aws.AddKey("mailed", iamsim.Key{Created: time.Now().Add(-1000 * time.Hour)})
		user := rotation.UserRef{Account: account, Name: "mailed"}
		book.err = refusedCall("look up", rotation.ClassThrottled)
		held, err := e.Owned(t.Context(), "UANA")
		if err != nil || names(held) != ", tagged tag" || held[0].Err == nil {
			t.Errorf("owned: %q, %v", names(held), err)
		}
		h, err := e.HoldingOf(t.Context(), user)
		if err != nil || !h.Ownership.Unknown() || len(h.Keys) != 1 {
			t.Errorf("holding: %+v, %v", h, err)
		}
		for _, by := range []rotation.Actor{{Member: "UANA"}, {Member: carol, Approver: true}} {
			_, err = e.Request(t.Context(), rotation.Request{User: user, By: by})
			if refusal, ok := errors.AsType[*rotation.Refusal](err); !ok || refusal.Code != rotation.OwnerUnknown {
				t.Errorf("request by %s: %v", by.Member, err)
			}
		}
		s, err := e.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range s.Findings {
			if f.User == user && f.Owner == "" && f.Doubt == rotation.NotLookedUp {
				found++
			}
		}
		if found == 0 {
			t.Errorf("findings: %+v", s.Findings)
		}
		book.err = nil
		if s, err = e.Survey(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, f := range s.Findings {
			if f.User == user && f.Owner != "UANA" {
				t.Errorf("finding once it can be looked up: %+v", f)
			}
		}
	})
}
