package awsiam_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// addUsers adds seven users, each with one tag and the last with fifty, and returns what an adapter should tell of them.
func addUsers(w world) []rotation.User {
	var want []rotation.User
	for i := range 7 {
		u := iamsim.User{
			Name: fmt.Sprintf("user-%d", i), ID: fmt.Sprintf("AIDA%d", i), Created: march, Path: "/ci/",
			Tags: map[string]string{"owner": fmt.Sprintf("U%d", i)},
		}
		if i == 6 {
			for n := range 49 {
				u.Tags[fmt.Sprintf("tag-%02d", n)] = "x & <y>"
			}
		}
		w.acme.AddUser(u)
		want = append(want, rotation.User{
			Ref: rotation.UserRef{Account: accountID, Name: u.Name}, ID: u.ID, Path: u.Path, Created: u.Created, Tags: u.Tags,
		})
	}
	return want
}

func TestUsers(t *testing.T) {
	for _, test := range []struct {
		name   string
		denied string
		pages  map[string]int // by operation
	}{
		{"with details", "", map[string]int{"GetAccountAuthorizationDetails": 4, "ListUsers": 0, "ListUserTags": 0}},
		{"one by one", "AccessDenied", map[string]int{"GetAccountAuthorizationDetails": 1, "ListUsers": 4, "ListUserTags": 6 + 25}},
		{"one by one by the newer code", "AccessDeniedException", map[string]int{"ListUsers": 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{PageSize: 2}, func(w world) {
				want := addUsers(w)
				if test.denied != "" {
					w.sim.Fail("GetAccountAuthorizationDetails", iamsim.Fault{Times: -1, Code: test.denied})
				}
				got, err := w.account.Users(w.Context())
				if err != nil {
					w.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					w.Errorf("users (-want +got):\n%s", diff)
				}
				for op, want := range test.pages {
					if got := w.calls(op); got != want {
						w.Errorf("got %d calls of %s, want %d", got, op, want)
					}
				}
			})
		})
	}
}

func TestUsers_Fails(t *testing.T) {
	for _, test := range []struct {
		name  string
		fail  map[string]iamsim.Fault
		class rotation.Class
		op    string
	}{
		{
			"details unknown: no fallback",
			map[string]iamsim.Fault{"GetAccountAuthorizationDetails": {Times: -1, Drop: true}},
			rotation.ClassUnknown, "list the users of account acme (111122223333)",
		},
		{
			"neither list is granted",
			map[string]iamsim.Fault{"GetAccountAuthorizationDetails": {Code: "AccessDenied"}, "ListUsers": {Code: "AccessDenied"}},
			rotation.ClassDenied, "list the users of account acme (111122223333)",
		},
		{
			"unknown tags are not no tags",
			map[string]iamsim.Fault{"GetAccountAuthorizationDetails": {Code: "AccessDenied"}, "ListUserTags": {Code: "AccessDenied", User: "user-3"}},
			rotation.ClassDenied, "read the tags of user-3",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				addUsers(w)
				for op, fault := range test.fail {
					w.sim.Fail(op, fault)
				}
				got, err := w.account.Users(w.Context())
				if call := callError(w.T, err, test.class); call.Op != test.op {
					w.Errorf("got operation %q, want %q", call.Op, test.op)
				}
				if got != nil {
					w.Errorf("got %d users beside the error, want none", len(got))
				}
			})
		})
	}
}

func TestUsers_GoneWhileListing(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		want := addUsers(w)
		w.sim.Fail("GetAccountAuthorizationDetails", iamsim.Fault{Code: "AccessDenied"})
		w.sim.Fail("ListUserTags", iamsim.Fault{User: "user-1", Before: func() { w.acme.RemoveUser("user-3") }})
		got, err := w.account.Users(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		if diff := cmp.Diff(append(want[:3:3], want[4:]...), got); diff != "" {
			w.Errorf("users (-want +got):\n%s", diff)
		}
	})
}

func TestUser(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		want := addUsers(w)[2]
		got, err := w.account.User(w.Context(), "USER-2")
		if err != nil {
			w.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Errorf("user (-want +got):\n%s", diff)
		}
		again := w.acme.RecreateUser("user-2")
		if got, err := w.account.User(w.Context(), "user-2"); err != nil || got.ID != again || got.ID == want.ID {
			w.Errorf("got id %s, %v after the user was made anew, want %s", got.ID, err, again)
		}
		_, err = w.account.User(w.Context(), "nobody")
		if call := callError(w.T, err, rotation.ClassGone); call.Op != "read user nobody" {
			w.Errorf("got operation %q", call.Op)
		}
	})
}

func TestUser_OfAnotherAccount(t *testing.T) {
	answer := func(url.Values) (int, string) {
		return http.StatusOK, result("GetUser", "<User><UserName>x</UserName><UserId>AIDA</UserId>"+
			"<Arn>arn:aws:iam::444455556666:user/x</Arn><CreateDate>2020-01-01T00:00:00Z</CreateDate></User>")
	}
	overWire(t, answer, func(t *testing.T, a *awsiam.Account) {
		_, err := a.User(t.Context(), "x")
		callError(t, err, rotation.ClassDenied)
		if !strings.Contains(err.Error(), "444455556666") {
			t.Errorf("got %q, want it to name the account", err)
		}
	})
}

// TestUsers_Large lists an account at IAM's quota of users in ten calls.
func TestUsers_Large(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		for i := range 5000 {
			w.acme.AddUser(iamsim.User{Name: fmt.Sprintf("user-%04d", i), Created: march})
		}
		start := time.Now()
		users, err := w.account.Users(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		if calls := w.calls("GetAccountAuthorizationDetails"); len(users) != 5000 || calls != 10 || time.Since(start) > time.Second {
			w.Errorf("got %d users in %d calls and %s", len(users), calls, time.Since(start))
		}
	})
}
