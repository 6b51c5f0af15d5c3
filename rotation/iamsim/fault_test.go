package iamsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// TestFault_Pairs has two rows for each way to fail: not applied, and applied
// with the answer lost.
func TestFault_Pairs(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  iamsim.Fault
		code   string // of the API error; empty for a failure below the protocol
		status int    // recorded
	}{
		{"throttling", iamsim.Fault{Code: "Throttling"}, "Throttling", 400},
		{"service failure", iamsim.Fault{Status: 500}, "ServiceFailure", 500},
		{"unavailable", iamsim.Fault{Status: 503}, "ServiceUnavailable", 503},
		{"denial", iamsim.Fault{Code: "AccessDenied"}, "AccessDenied", 403},
		{"quota", iamsim.Fault{Code: "LimitExceeded"}, "LimitExceeded", 409},
		{"unknown code", iamsim.Fault{Code: "Strange", Message: "odd", Status: 418}, "Strange", 418},
		{"gateway", iamsim.Fault{Status: 502}, "", 502},
		{"cut connection", iamsim.Fault{Drop: true}, "", 0},
		{"truncated body", iamsim.Fault{Truncate: true}, "", 200},
	} {
		for _, apply := range []bool{false, true} {
			name := test.name + ", not applied"
			if apply {
				name = test.name + ", applied"
			}
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, iamsim.Config{})
				w.account.AddUser(iamsim.User{Name: "u"})
				fault := test.fault
				fault.Apply = apply
				w.Fail("CreateAccessKey", fault)
				in := &iam.CreateAccessKeyInput{UserName: aws.String("u")}
				_, err := w.iam.CreateAccessKey(t.Context(), in)
				if err == nil {
					t.Fatal("no error")
				}
				if test.code != "" {
					wantCode(t, err, test.code)
				}
				call := w.Calls()[0]
				if call.Status != test.status || call.Applied != apply || call.Cut != (fault.Drop || fault.Truncate) {
					t.Errorf("recorded %+v", call)
				}
				want := 0
				if apply {
					want = 1
				}
				diff(t, []int{len(w.account.Keys("u")), len(w.Secrets())}, []int{want, want})
				must(w.iam.CreateAccessKey(t.Context(), in))(t) // it struck once
			})
		}
	}
}

func TestFault_SDKRetriesMakeTwoKeys(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u"})
	w.Fail("CreateAccessKey", iamsim.Fault{Drop: true, Apply: true, Times: 2})
	id, secret := w.account.Principal("keybot")
	cfg := w.config(id, secret, "")
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	}
	_, err := iam.NewFromConfig(cfg).CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")})
	wantTyped[*types.LimitExceededException](t, err)
	var attempts []int
	for _, call := range w.Calls() {
		attempts = append(attempts, call.Attempt)
	}
	diff(t, attempts, []int{1, 2, 3})
	diff(t, len(w.account.Keys("u")), 2)
}

func TestFault_DenialNamesCallerActionAndUser(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u", Path: "/p/"})
	w.Fail("*", iamsim.Fault{Code: "AccessDenied"})
	_, err := w.iam.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("u")})
	want := "User: arn:aws:sts::111122223333:assumed-role/keybot/sandbox is not authorized to perform: iam:GetUser on resource: " +
		"arn:aws:iam::111122223333:user/p/u because no identity-based policy allows the iam:GetUser action"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestFault_ReportAndLastUsed(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	ctx := t.Context()
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{})
	for _, code := range []string{"ReportInProgress", "ReportExpired", "ReportNotPresent", "ServiceFailure"} {
		w.Fail("GetCredentialReport", iamsim.Fault{Code: code})
		_, err := w.iam.GetCredentialReport(ctx, nil)
		wantCode(t, err, code)
	}
	w.Fail("GenerateCredentialReport", iamsim.Fault{Code: "LimitExceeded", Apply: true})
	_, err := w.iam.GenerateCredentialReport(ctx, nil)
	wantTyped[*types.LimitExceededException](t, err)
	must(w.iam.GetCredentialReport(ctx, nil))(t) // it was made all the same

	w.Fail("GetAccessKeyLastUsed", iamsim.Fault{Truncate: true, Apply: true})
	_, err = w.iam.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &key})
	wantTyped[*smithy.DeserializationError](t, err)
}

func TestFault_Restriction(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	ctx := t.Context()
	w.account.AddUser(iamsim.User{Name: "u"})
	w.account.AddUser(iamsim.User{Name: "other"})
	key := w.account.AddKey("U", iamsim.Key{})
	user := func(name string) error {
		_, err := w.iam.GetUser(ctx, &iam.GetUserInput{UserName: &name})
		return err
	}
	w.Fail("*", iamsim.Fault{Code: "Throttling", Times: -1, User: "u", Account: accountID})
	w.Fail("*", iamsim.Fault{Code: "Throttling", Times: -1, Account: "999999999999"})
	if err := user("other"); err != nil {
		t.Errorf("another user: %v", err)
	}
	must(w.iam.ListUsers(ctx, nil))(t)
	wantCode(t, user("U"), "Throttling")
	_, err := w.iam.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &key})
	wantCode(t, err, "Throttling")
	own, _ := w.clients(key, w.account.SecretOf(key), "")
	_, err = own.ListAccessKeys(ctx, nil)
	wantCode(t, err, "Throttling")
	w.Heal()
	if err := user("u"); err != nil {
		t.Errorf("after Heal: %v", err)
	}
}

func TestFault_HooksInTheMiddle(t *testing.T) {
	t.Run("a third party makes a key before", func(t *testing.T) {
		w := newWorld(t, iamsim.Config{})
		w.account.AddUser(iamsim.User{Name: "u"})
		w.account.AddKey("u", iamsim.Key{})
		w.Fail("CreateAccessKey", iamsim.Fault{Before: func() { w.account.AddKey("u", iamsim.Key{}) }})
		_, err := w.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")})
		wantCode(t, err, "LimitExceeded")
	})
	t.Run("a third party makes a key after", func(t *testing.T) {
		w := newWorld(t, iamsim.Config{})
		w.account.AddUser(iamsim.User{Name: "u"})
		seen := make(chan int, 1) // the hook runs in the server's goroutine
		w.Fail("CreateAccessKey", iamsim.Fault{Drop: true, Apply: true, After: func() {
			w.account.AddKey("u", iamsim.Key{})
			seen <- len(w.account.Keys("u"))
		}})
		_, err := w.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")})
		if n := <-seen; err == nil || n != 2 {
			t.Errorf("got %v with %d keys", err, n)
		}
		var byBot int
		for _, k := range w.account.Keys("u") {
			if k.ByBot {
				byBot++
			}
		}
		diff(t, byBot, 1)
	})
	t.Run("the user is deleted", func(t *testing.T) {
		w := newWorld(t, iamsim.Config{})
		w.account.AddUser(iamsim.User{Name: "u"})
		w.Fail("ListAccessKeys", iamsim.Fault{Before: func() { w.account.RemoveUser("u") }})
		_, err := w.iam.ListAccessKeys(t.Context(), &iam.ListAccessKeysInput{UserName: aws.String("u")})
		wantCode(t, err, "NoSuchEntity")
	})
	t.Run("the user is made anew", func(t *testing.T) {
		w := newWorld(t, iamsim.Config{})
		w.account.AddUser(iamsim.User{Name: "u"})
		key := w.account.AddKey("u", iamsim.Key{})
		w.Fail("UpdateAccessKey", iamsim.Fault{Before: func() { w.account.RecreateUser("u") }})
		_, err := w.iam.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("u"), AccessKeyId: &key, Status: "Inactive"})
		wantCode(t, err, "NoSuchEntity")
	})
}

// inProcess returns a simulator with one user and a client without a socket,
// which suit a synctest bubble.
func inProcess(tb testing.TB) (*iamsim.Sim, *iamsim.Account, aws.Config) {
	tb.Helper()
	sim := iamsim.New(iamsim.Config{})
	account := sim.AddAccount(accountID, "")
	account.AddUser(iamsim.User{Name: "u"})
	id, secret := account.Principal("keybot")
	w := &world{}
	cfg := w.config(id, secret, "")
	cfg.BaseEndpoint = nil // AWS's own host names
	cfg.HTTPClient = &http.Client{Transport: sim.Transport()}
	return sim, account, cfg
}

func TestFault_Slowness(t *testing.T) {
	for _, test := range []struct {
		name    string
		apply   bool
		patient bool
		keys    int
	}{
		{name: "waited for", patient: true, keys: 1},
		{name: "given up, not applied", keys: 0},
		{name: "given up, applied", apply: true, keys: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim, account, cfg := inProcess(t)
				sim.Fail("CreateAccessKey", iamsim.Fault{Delay: 30 * time.Second, Apply: test.apply})
				limit := 10 * time.Second
				if test.patient {
					limit = time.Minute
				}
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, err := iam.NewFromConfig(cfg).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("u")})
				if (err == nil) != test.patient {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took != min(limit, 30*time.Second) {
					t.Errorf("took %s", took)
				}
				synctest.Wait()
				diff(t, len(account.Keys("u")), test.keys)
			})
		})
	}
}

func TestTransport(t *testing.T) {
	sim, _, cfg := inProcess(t)
	client := sts.NewFromConfig(cfg)
	must(client.GetCallerIdentity(t.Context(), nil))(t)
	sim.Fail("*", iamsim.Fault{Drop: true})
	_, err := client.GetCallerIdentity(t.Context(), nil)
	if !errors.Is(err, io.EOF) {
		t.Errorf("cut connection: %v", err)
	}
	sim.Fail("*", iamsim.Fault{Truncate: true, Apply: true})
	_, err = client.GetCallerIdentity(t.Context(), nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated body: %v", err)
	}
	must(iam.NewFromConfig(cfg).GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("u")}))(t)
}
