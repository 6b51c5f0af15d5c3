package awsiam_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestClasses(t *testing.T) {
	for _, test := range []struct {
		fault iamsim.Fault
		want  rotation.Class
	}{
		{iamsim.Fault{Code: "AccessDenied"}, rotation.ClassDenied},
		{iamsim.Fault{Code: "AccessDeniedException"}, rotation.ClassDenied},
		{iamsim.Fault{Code: "InvalidClientTokenId"}, rotation.ClassDenied},
		{iamsim.Fault{Code: "ExpiredToken"}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "SignatureDoesNotMatch"}, rotation.ClassDenied},
		{iamsim.Fault{Code: "OptInRequired"}, rotation.ClassDenied},
		{iamsim.Fault{Code: "Throttling"}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "ThrottlingException", Status: 400}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "TooManyRequestsException", Status: 429}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "SlowDown", Status: 503}, rotation.ClassThrottled},
		{iamsim.Fault{Status: 429}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "EntityTemporarilyUnmodifiable"}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "ConcurrentModification"}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "ReportInProgress", Status: 404}, rotation.ClassThrottled},
		{iamsim.Fault{Code: "LimitExceeded"}, rotation.ClassQuota},
		{iamsim.Fault{Code: "NoSuchEntity"}, rotation.ClassGone},
		{iamsim.Fault{Code: "ValidationError"}, rotation.ClassInvalid},
		{iamsim.Fault{Code: "InvalidInput"}, rotation.ClassInvalid},
		{iamsim.Fault{Code: "MalformedInput"}, rotation.ClassInvalid},
		{iamsim.Fault{Code: "SomethingNew", Status: 400}, rotation.ClassInvalid},
		{iamsim.Fault{Code: "ServiceFailure"}, rotation.ClassUnknown},
		{iamsim.Fault{Code: "AccessDenied", Status: 500}, rotation.ClassUnknown},
		{iamsim.Fault{Code: "RequestTimeout", Status: 408}, rotation.ClassUnknown},
		{iamsim.Fault{Status: 503}, rotation.ClassUnknown},
		{iamsim.Fault{Status: 502}, rotation.ClassUnknown},
		{iamsim.Fault{Status: 403}, rotation.ClassUnknown}, // a proxy's page
		{iamsim.Fault{Drop: true}, rotation.ClassUnknown},
		{iamsim.Fault{Truncate: true}, rotation.ClassUnknown},
		{iamsim.Fault{Delay: time.Hour}, rotation.ClassUnknown},
	} {
		for op, call := range map[string]func(world) error{
			"ListAccessKeys":  func(w world) error { return list(w, w.account) },
			"CreateAccessKey": func(w world) error { _, _, err := w.account.CreateKey(w.Context(), "ci-deploy"); return err },
			"DeleteAccessKey": func(w world) error { return w.account.DeleteKey(w.Context(), "ci-deploy", keyA) },
		} {
			if op == "DeleteAccessKey" && test.fault.Truncate {
				continue // its answer has nothing to read: status 200 is all there is
			}
			t.Run(fmt.Sprintf("%s/%s%d%v%v", op, test.fault.Code, test.fault.Status, test.fault.Drop, test.fault.Delay), func(t *testing.T) {
				inWorld(t, iamsim.Config{}, func(w world) {
					w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
					fault := test.fault
					fault.Times = -1
					w.sim.Fail(op, fault)
					got := callError(w.T, call(w), test.want)
					if got.Code != fault.Code && fault.Code != "" {
						w.Errorf("got code %q, want %q", got.Code, fault.Code)
					}
					if fault.Code != "" && (got.RequestID == "" || !strings.Contains(got.Error(), fault.Code)) {
						w.Errorf("got %+v, want the request id, and the code in the text", got)
					}
				})
			})
		}
	}
}

// TestAttempts counts what the SDK sends: a creation once whatever happens, other writes again only if AWS said that it
// throttled, reads again whenever it may help.
func TestAttempts(t *testing.T) {
	for _, test := range []struct {
		name                string
		fault               iamsim.Fault
		create, write, read int
	}{
		{"connection cut", iamsim.Fault{Drop: true}, 1, 1, 5},
		{"connection cut when done", iamsim.Fault{Drop: true, Apply: true}, 1, 1, 5},
		{"answer cut", iamsim.Fault{Truncate: true, Apply: true}, 1, 1, 1},
		{"500", iamsim.Fault{Code: "ServiceFailure"}, 1, 1, 5},
		{"500 when done", iamsim.Fault{Code: "ServiceFailure", Apply: true}, 1, 1, 5},
		{"502 of a proxy", iamsim.Fault{Status: 502}, 1, 1, 5},
		{"503", iamsim.Fault{Status: 503}, 1, 1, 5},
		{"throttled", iamsim.Fault{Code: "Throttling"}, 1, 5, 5},
		{"no answer", iamsim.Fault{Delay: time.Hour}, 1, 1, 2},
		{"no answer when done", iamsim.Fault{Delay: time.Hour, Apply: true}, 1, 1, 2},
		{"quota", iamsim.Fault{Code: "LimitExceeded"}, 1, 1, 1},
		{"skewed clock", iamsim.Fault{Code: "SignatureDoesNotMatch"}, 1, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
				w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA})
				test.fault.Times = -1
				for _, op := range []string{"CreateAccessKey", "UpdateAccessKey", "ListAccessKeys"} {
					w.sim.Fail(op, test.fault)
				}
				_, secret, err := w.account.CreateKey(w.Context(), "ci-deploy")
				if err == nil || !secret.Empty() {
					w.Errorf("got %v, %v, want an error alone", secret, err)
				}
				w.leaksNothing(everyForm(err)...)
				if err := deactivate(w, w.account); err == nil && !test.fault.Truncate {
					w.Error("SetStatus succeeded")
				}
				if err := list(w, w.account); err == nil {
					w.Error("Keys succeeded")
				}
				synctest.Wait()
				got := [3]int{w.calls("CreateAccessKey"), w.calls("UpdateAccessKey"), w.calls("ListAccessKeys")}
				if want := [3]int{test.create, test.write, test.read}; got != want {
					w.Errorf("got %v attempts to create, update and list, want %v", got, want)
				}
				if made := len(w.acme.Keys("ci-deploy")) - 1; test.fault.Apply && made != 1 {
					w.Errorf("got %d new keys, want the one", made)
				}
			})
		})
	}
}

// everyForm prints an error and each that it wraps in all the ways that a log may.
func everyForm(err error) []string {
	texts := []string{fmt.Sprintf("%v %+v %#v %q", err, err, err, err)}
	if inner := errors.Unwrap(err); inner != nil {
		texts = append(texts, everyForm(inner)...)
	}
	if joined, ok := any(err).(interface{ Unwrap() []error }); ok {
		for _, inner := range joined.Unwrap() {
			texts = append(texts, everyForm(inner)...)
		}
	}
	return texts
}

// TestCreateKey_UnreadableAnswer breaks the answer that holds the secret in ways that put it into the SDK's errors.
func TestCreateKey_UnreadableAnswer(t *testing.T) {
	const secret = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
	whole := result("CreateAccessKey", "<AccessKey><UserName>ci-deploy</UserName><AccessKeyId>"+keyA+"</AccessKeyId><Status>Active</Status>"+
		"<SecretAccessKey>"+secret+"</SecretAccessKey><CreateDate>2020-01-01T00:00:00Z</CreateDate></AccessKey>")
	after := strings.Index(whole, secret) + len(secret)
	for _, test := range []struct {
		name   string
		status int
		body   string
	}{
		{"cut in the secret", http.StatusOK, whole[:after-3]},
		{"cut after the secret", http.StatusOK, whole[:after]},
		{"tag named as the secret", http.StatusOK, strings.Replace(whole, secret+"</SecretAccessKey>", "<"+secret+"></x>", 1)},
		{"entity named as the secret", http.StatusOK, strings.Replace(whole, secret, "&"+secret+";", 1)},
		{"date made of the secret", http.StatusOK, strings.Replace(whole, "2020-01-01T00:00:00Z", secret, 1)},
		{"with status 500", http.StatusInternalServerError, whole},
		{"with status 500 and cut", http.StatusInternalServerError, whole[:after]},
		{"with status 400 and broken", http.StatusBadRequest, strings.Replace(whole, secret, "&"+secret+";", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := func(url.Values) (int, string) { return test.status, test.body }
			overWire(t, answer, func(t *testing.T, a *awsiam.Account) {
				_, _, err := a.CreateKey(t.Context(), "ci-deploy")
				callError(t, err, rotation.ClassUnknown)
				for _, text := range everyForm(err) {
					if strings.Contains(text, secret[:20]) {
						t.Errorf("leaked: %s", text)
					}
				}
			})
		})
	}
}

func TestCreateKey_Cancelled(t *testing.T) {
	t.Run("on the way, it goes on", func(t *testing.T) {
		inWorld(t, iamsim.Config{}, func(w world) {
			w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
			ctx, cancel := context.WithCancel(w.Context())
			w.sim.Fail("CreateAccessKey", iamsim.Fault{Before: cancel, Delay: 10 * time.Second})
			key, secret, err := w.account.CreateKey(ctx, "ci-deploy")
			if err != nil || secret.Reveal() != w.acme.SecretOf(string(key.ID)) {
				w.Errorf("got %v, %v, want the key", key, err)
			}
		})
	})
	t.Run("before, it is not made", func(t *testing.T) {
		inWorld(t, iamsim.Config{}, func(w world) {
			w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
			ctx, cancel := context.WithCancel(w.Context())
			cancel()
			_, _, err := w.account.CreateKey(ctx, "ci-deploy")
			callError(w.T, err, rotation.ClassUnknown)
			if got := w.ops(); len(got) != 0 {
				w.Errorf("called %v", got)
			}
		})
	})
	t.Run("it ends by itself", func(t *testing.T) {
		inWorld(t, iamsim.Config{}, func(w world) {
			w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
			cfg := w.credentials(w.acme.Principal("keyturner"))
			cfg.HTTPClient = &http.Client{Transport: w.sim.Transport()} // without a time limit
			account := w.open(awsiam.Config{AWS: cfg})
			w.sim.Fail("CreateAccessKey", iamsim.Fault{Delay: time.Hour})
			start := time.Now()
			_, _, err := account.CreateKey(w.Context(), "ci-deploy")
			callError(w.T, err, rotation.ClassUnknown)
			if got := time.Since(start); got != 30*time.Second {
				w.Errorf("ended after %s, want 30s", got)
			}
		})
	})
}

func TestCancelledIsUnknown(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		ctx, cancel := context.WithCancel(w.Context())
		w.sim.Fail("ListAccessKeys", iamsim.Fault{Before: cancel, Delay: time.Second})
		_, err := w.account.Keys(ctx, "ci-deploy")
		call := callError(w.T, err, rotation.ClassUnknown)
		if !strings.Contains(call.Error(), context.Canceled.Error()) {
			w.Errorf("got %q, want it to say that it was cancelled", err)
		}
	})
}
