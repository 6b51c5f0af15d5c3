package iamsim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestSTS_PrincipalIdentity(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	got := must(w.sts.GetCallerIdentity(t.Context(), nil))(t)
	diff(t, *got.Arn, "arn:aws:sts::111122223333:assumed-role/keybot/sandbox")
	diff(t, *got.Account, accountID)
	if !strings.HasPrefix(*got.UserId, "AROA") || !strings.HasSuffix(*got.UserId, ":sandbox") {
		t.Errorf("user id %s", *got.UserId)
	}
	id, secret := w.account.Principal("keybot")
	again, sameSecret := w.account.Principal("keybot")
	if id != again || secret != sameSecret {
		t.Error("the second call made other credentials")
	}
	if other, _ := w.account.Principal("scanner"); other == id {
		t.Error("another name has the same credentials")
	}
}

func TestSTS_GetAccessKeyInfo(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	other := w.AddAccount("444455556666", "")
	other.AddUser(iamsim.User{Name: "u"})
	for key, want := range map[string]string{
		other.AddKey("u", iamsim.Key{}):                           "444455556666",
		other.AddKey("u", iamsim.Key{ID: "AKIAIOSFODNN7EXAMPLE"}): "444455556666", // known, though of the old format
		"AKIARZPUZDIKGB2VALC4":                                    "123456789012", // not known here
	} {
		got := must(w.sts.GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: &key}))(t)
		diff(t, *got.Account, want)
	}
	_, err := w.sts.GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String("AKIAI44QH8DHBEXAMPLE")})
	wantCode(t, err, "ValidationError")
}

func TestSTS_AssumeRole(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	member := w.AddAccount("444455556666", "member")
	member.AddUser(iamsim.User{Name: "theirs"})
	closed := member.AddRole("KeyBot", "per-install-1234")
	open := member.AddRole("open", "")
	for _, test := range []struct {
		name, role, externalID, code string
		seconds                      int32
	}{
		{name: "right external id", role: closed, externalID: "per-install-1234"},
		{name: "none asked for, one given", role: open, externalID: "whatever"},
		{name: "none asked for", role: open, seconds: 900},
		{name: "missing external id", role: closed, code: "AccessDenied"},
		{name: "wrong external id", role: closed, externalID: "per-install-12345", code: "AccessDenied"},
		{name: "no such role", role: "arn:aws:iam::444455556666:role/ghost", code: "AccessDenied"},
		{name: "no such account", role: "arn:aws:iam::999999999999:role/open", code: "AccessDenied"},
		{name: "no role at all", role: "arn:aws:iam::444455556666:user/theirs", code: "ValidationError"},
		{name: "malformed external id", role: open, externalID: "a b", code: "ValidationError"},
		{name: "too short", role: open, seconds: 899, code: "ValidationError"},
		{name: "too long under chaining", role: open, seconds: 3601, code: "ValidationError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &sts.AssumeRoleInput{RoleArn: &test.role, RoleSessionName: aws.String("turn-1")}
			if test.externalID != "" {
				in.ExternalId = &test.externalID
			}
			if test.seconds != 0 {
				in.DurationSeconds = &test.seconds
			}
			out, err := w.sts.AssumeRole(t.Context(), in)
			if test.code != "" {
				wantCode(t, err, test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkSession(t, w, out)
		})
	}
}

// checkSession signs with the credentials of a session in the member account.
func checkSession(t *testing.T, w *world, out *sts.AssumeRoleOutput) {
	t.Helper()
	c := out.Credentials
	if !strings.HasPrefix(*c.AccessKeyId, "ASIA") || !strings.HasSuffix(*out.AssumedRoleUser.Arn, "/turn-1") {
		t.Errorf("session %s of %s", *c.AccessKeyId, *out.AssumedRoleUser.Arn)
	}
	client, identity := w.clients(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	who := must(identity.GetCallerIdentity(t.Context(), nil))(t)
	if *who.Account != "444455556666" || *who.Arn != *out.AssumedRoleUser.Arn || *who.UserId != *out.AssumedRoleUser.AssumedRoleId {
		t.Errorf("identity %s %s", *who.Arn, *who.UserId)
	}
	users := must(client.ListUsers(t.Context(), nil))(t).Users
	if len(users) != 1 || *users[0].UserName != "theirs" {
		t.Errorf("the session lists %v", users)
	}
	_, err := client.ListAccessKeys(t.Context(), nil)
	wantCode(t, err, "ValidationError")
	for _, token := range []string{"", *c.SessionToken + "x"} {
		_, wrong := w.clients(*c.AccessKeyId, *c.SecretAccessKey, token)
		_, err = wrong.GetCallerIdentity(t.Context(), nil)
		wantCode(t, err, "InvalidClientTokenId")
	}
}

func TestSTS_SessionExpiresBySigningClock(t *testing.T) {
	sign := &clock{now: time.Now()}
	w := newWorld(t, iamsim.Config{SignNow: sign.Now})
	arn := w.account.AddRole("r", "")
	c := must(w.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: &arn, RoleSessionName: aws.String("sess"), DurationSeconds: aws.Int32(900),
	}))(t).Credentials
	_, client := w.clients(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	w.clock.Skip(48 * time.Hour) // the sandbox skips ahead, the client's clock does not
	must(client.GetCallerIdentity(t.Context(), nil))(t)
	sign.Skip(900 * time.Second)
	_, err := client.GetCallerIdentity(t.Context(), nil)
	wantCode(t, err, "ExpiredToken")
}

func TestSTS_AssumeRoleProviderOfTheSDK(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	member := w.AddAccount("444455556666", "member")
	member.AddUser(iamsim.User{Name: "theirs"})
	provider := stscreds.NewAssumeRoleProvider(w.sts, member.AddRole("keybot", "ext-1"), func(o *stscreds.AssumeRoleOptions) {
		o.ExternalID, o.Duration = aws.String("ext-1"), time.Hour
	})
	cfg := w.config("unused", "unused", "")
	cfg.Credentials = aws.NewCredentialsCache(provider)
	client := iam.NewFromConfig(cfg)
	for range 3 {
		must(client.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("theirs")}))(t)
	}
	diff(t, len(w.Calls()), 4) // assumed once
}
