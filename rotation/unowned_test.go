package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// slackMail is a workspace in which ann alone has an address.
type slackMail struct {
	asked int
	fails bool
}

func (m *slackMail) MemberOf(_ context.Context, address string) (rotation.MemberID, rotation.Doubt, error) {
	m.asked++
	switch {
	case m.fails:
		return "", "", errors.New("ratelimited")
	case address == "ann@example.com":
		return "UANN", "", nil
	}
	return "", rotation.NoSuchMember, nil
}

func (m *slackMail) AddressOf(context.Context, rotation.MemberID) (string, error) { return "", nil }

// withUsers is a bench with young keys for some users, each of whom has one tag; the user of the bench is owned and has one that is too old.
func withUsers(t *testing.T, mail *slackMail, users map[string]string) *bench {
	t.Helper()
	b := newBench(t)
	b.stop()
	b.with = func(c *rotation.Config) {
		c.Owners.MailTag, c.Owners.Mail = "mail", mail
		c.Owners.Links = map[rotation.UserRef]rotation.MemberID{{Account: account, Name: "by-config"}: owner}
		c.Exemptions = map[rotation.UserRef]rotation.Exemption{{Account: account, Name: "exempt"}: {Reason: "a break-glass user", Until: time.Now().Add(day)}}
	}
	for name, tag := range users {
		tags := map[string]string{}
		if key, value, ok := strings.Cut(tag, "="); ok {
			tags[key] = value
		}
		b.account.AddUser(iamsim.User{Name: name, Tags: tags})
		b.account.AddKey(name, iamsim.Key{Created: ago(5), LastUsed: ago(0), Service: "s3"})
	}
	b.start(-1, false)
	return b
}

// unownedIn are the users found to be without an owner, each with the doubt.
func unownedIn(s rotation.Survey) map[string]rotation.Doubt {
	found := map[string]rotation.Doubt{}
	for _, f := range s.Findings {
		if f.Breach == rotation.Unowned {
			found[f.User.Name] = f.Doubt
		}
	}
	return found
}

// TestSurvey_FindsWhoHasNoOwner, whatever the age of the key, without a call for any of them. What is not known is none.
func TestSurvey_FindsWhoHasNoOwner(t *testing.T) {
	users := map[string]string{
		"nobody": "", "by-config": "", "linked": "", "by-tag": "slack-user-id=UANN", "wrong-tag": "slack-user-id=ann", "by-mail": "mail=ann@example.com",
		"left": "mail=gone@example.com", "exempt": "",
	}
	all := map[string]rotation.Doubt{"nobody": "", "wrong-tag": rotation.NoMemberID, "left": rotation.NoSuchMember, "exempt": ""}
	for _, test := range []struct {
		name    string
		spoil   func(*bench, *slackMail)
		want    map[string]rotation.Doubt
		unasked int
	}{
		{"all is known", func(*bench, *slackMail) {}, all, 0},
		{"Slack does not answer", func(_ *bench, m *slackMail) { m.fails = true }, map[string]rotation.Doubt{"nobody": "", "wrong-tag": rotation.NoMemberID, "exempt": ""}, 2},
		{"tags are not seen", func(b *bench, _ *slackMail) {
			b.sim.Fail("GetAccountAuthorizationDetails", iamsim.Fault{Code: "AccessDenied", Times: -1})
		}, map[string]rotation.Doubt{}, 0},
		{"there is no report", func(b *bench, _ *slackMail) {
			b.sim.Fail("GetCredentialReport", iamsim.Fault{Code: "AccessDenied", Times: -1})
		}, all, 0},
		{"the account cannot be read", func(b *bench, _ *slackMail) { b.sim.Fail("*", iamsim.Fault{Code: "AccessDenied", Times: -1}) }, map[string]rotation.Doubt{}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mail := &slackMail{}
				b := withUsers(t, mail, users)
				b.account.AddUser(iamsim.User{Name: "keyless"})
				b.account.AddUser(iamsim.User{Name: "switched-off"})
				b.account.AddKey("switched-off", iamsim.Key{Created: ago(5), Inactive: true})
				linked := rotation.UserRef{Account: account, Name: "linked"}
				if _, err := b.kept.Create(t.Context(), rotation.Progress{User: linked, Link: &rotation.Link{Owner: "UANN", By: carol}}); err != nil {
					t.Fatal(err)
				}
				test.spoil(b, mail)
				s, err := b.engine.Survey(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, unownedIn(s)); diff != "" {
					t.Errorf("without an owner (-want +got):\n%s", diff)
				}
				if s.Unasked != test.unasked {
					t.Errorf("of %d it is not known, want %d", s.Unasked, test.unasked)
				}
				for _, f := range s.Findings {
					if f.Breach == rotation.Unowned && (f.Key != (rotation.Key{}) || f.UserID == "" || f.Owner != "" || (f.Exempt.Reason != "") != (f.User.Name == "exempt")) {
						t.Errorf("found as %+v", f)
					}
				}
				calls := map[string]int{}
				for _, c := range b.sim.Calls() {
					calls[c.Op]++
				}
				if test.name == "all is known" && calls["ListAccessKeys"] > 2 {
					t.Errorf("%d lists of keys, want those of the user with a key that is too old, and with an inactive one: %v", calls["ListAccessKeys"], calls)
				}
				if _, err := b.kept.Get(t.Context(), rotation.UserRef{Account: account, Name: "nobody"}.ID()); !errors.Is(err, rotation.ErrNotFound) {
					t.Errorf("a document for a user of whom there is nothing to keep: %v", err)
				}
			})
		})
	}
}

// TestSurvey_AsksForSoManyAddressesAndNoMore, goes on with others the next time, and does not ask anew for what it knows.
func TestSurvey_AsksForSoManyAddressesAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := map[string]string{}
		for i := range 250 {
			users[fmt.Sprintf("user-%03d", i)] = fmt.Sprintf("mail=user-%03d@example.com", i)
		}
		mail := &slackMail{}
		b := withUsers(t, mail, users)
		for i, want := range []struct{ asked, found, unknown int }{{100, 100, 150}, {200, 200, 50}, {250, 250, 0}, {250, 250, 0}} {
			s, err := b.engine.Survey(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(unownedIn(s)); mail.asked != want.asked || n != want.found || s.Unasked != want.unknown {
				t.Errorf("scan %d: %d were asked for, %d found and %d unknown, want %+v", i, mail.asked, n, s.Unasked, want)
			}
		}
		time.Sleep(49 * time.Hour)
		if _, err := b.engine.Survey(t.Context()); err != nil || mail.asked != 350 {
			t.Errorf("two days later %d were asked for in all, want 350: that nobody has an address is not believed for ever; %v", mail.asked, err)
		}
	})
}

// TestSurvey_TellsOfAKeyThatItsUserHasNoOwner, once for the user.
func TestSurvey_TellsOfAKeyThatItsUserHasNoOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := withUsers(t, &slackMail{}, nil)
		b.account.AddUser(iamsim.User{Name: "old"})
		b.account.AddKey("old", iamsim.Key{Created: ago(100), LastUsed: ago(0), Service: "s3"})
		b.account.AddKey("old", iamsim.Key{Created: ago(95), LastUsed: ago(0), Service: "s3"})
		s, err := b.engine.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var of []rotation.Breach
		for _, f := range s.Findings {
			if f.User.Name == "old" {
				of = append(of, f.Breach)
			}
		}
		if diff := cmp.Diff([]rotation.Breach{rotation.TooOld, rotation.TooOld, rotation.TwoActive, rotation.Unowned}, of); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
	})
}

// TestSurvey_AsksForEveryAddressInTime: with more users than are asked for while an answer is believed, none is never asked for.
func TestSurvey_AsksForEveryAddressInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := map[string]string{}
		for i := range 450 {
			users[fmt.Sprintf("user-%03d", i)] = fmt.Sprintf("mail=user-%03d@example.com", i)
		}
		b := withUsers(t, &slackMail{}, users)
		told := map[string]bool{}
		for range 6 { // a scan a day, as by default
			s, err := b.engine.Survey(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for name := range unownedIn(s) {
				told[name] = true
			}
			time.Sleep(day)
		}
		if len(told) != len(users) {
			t.Errorf("in six days %d of %d users were found to have no owner", len(told), len(users))
		}
	})
}
