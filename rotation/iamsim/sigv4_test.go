package iamsim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

const (
	identityForm = "Action=GetCallerIdentity&Version=2011-06-15"
	formType     = "application/x-www-form-urlencoded"
)

// signed describes a hand-made request; the zero value of a field means the
// right one.
type signed struct {
	method, form, region, service string
	target                        string // X-Amz-Target of a JSON service
	at                            time.Time
	change                        func(*http.Request) // after signing
	answer                        func(http.Header)   // sees the answer's
}

// send signs a request with the SDK's signer and returns the answer.
func (w *world) send(t *testing.T, id, secret string, s signed) (status int, body string) {
	t.Helper()
	if s.method == "" {
		s.method = http.MethodPost
	}
	if s.form == "" {
		s.form = identityForm
	}
	if s.at.IsZero() {
		s.at = time.Now()
	}
	url, payload := w.url+"/", s.form
	if s.method == http.MethodGet {
		url, payload = url+"?"+s.form, ""
	}
	r := must(http.NewRequestWithContext(t.Context(), s.method, url, strings.NewReader(payload)))(t)
	r.Header.Set("Content-Type", formType)
	if s.target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", s.target)
	}
	digest := sha256.Sum256([]byte(payload))
	credentials := aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(digest[:]), s.service, s.region, s.at); err != nil {
		t.Fatal(err)
	}
	if s.change != nil {
		s.change(r)
	}
	response := must(http.DefaultClient.Do(r))(t)
	defer response.Body.Close()
	if s.answer != nil {
		s.answer(response.Header)
	}
	return response.StatusCode, string(must(io.ReadAll(response.Body))(t))
}

func TestSignature_Refusals(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{})
	secret := w.account.SecretOf(key)
	good := signed{region: "us-east-1", service: "sts"}
	for _, test := range []struct {
		name   string
		secret string
		mutate func(*signed)
		status int
		want   string
	}{
		{name: "good", status: 200, want: "arn:aws:iam::111122223333:user/u"},
		{name: "GET", mutate: func(s *signed) { s.method = http.MethodGet }, status: 200, want: "user/u"},
		{name: "wrong secret", secret: "wrong", status: 403, want: "<Code>SignatureDoesNotMatch</Code>"},
		{name: "other body", status: 403, want: "<Code>SignatureDoesNotMatch</Code>", mutate: func(s *signed) {
			s.change = func(r *http.Request) {
				r.Body = io.NopCloser(strings.NewReader("Version=2011-06-15&Action=GetCallerIdentity"))
			}
		}},
		{name: "empty region", mutate: func(s *signed) { s.region = "" }, status: 403, want: "scoped to a valid region"},
		{name: "wrong service", mutate: func(s *signed) { s.service = "iam" }, status: 403, want: "correct service: &#39;sts&#39;"},
		{name: "late by 14 minutes", mutate: func(s *signed) { s.at = time.Now().Add(-14 * time.Minute) }, status: 200, want: "user/u"},
		{name: "late by 16 minutes", mutate: func(s *signed) { s.at = time.Now().Add(-16 * time.Minute) }, status: 403, want: "Signature expired"},
		{name: "early by 16 minutes", mutate: func(s *signed) { s.at = time.Now().Add(16 * time.Minute) }, status: 403, want: "Signature not yet current"},
		{name: "unsigned", status: 403, want: "<Code>MissingAuthenticationToken</Code>", mutate: func(s *signed) {
			s.change = func(r *http.Request) { r.Header.Del("Authorization") }
		}},
		{name: "other algorithm", status: 400, want: "<Code>IncompleteSignature</Code>", mutate: func(s *signed) {
			s.change = func(r *http.Request) { r.Header.Set("Authorization", "Basic eA==") }
		}},
		{name: "half a header", status: 400, want: "<Code>IncompleteSignature</Code>", mutate: func(s *signed) {
			s.change = func(r *http.Request) {
				r.Header.Set("Authorization", strings.Split(r.Header.Get("Authorization"), ", Signature=")[0])
			}
		}},
		{name: "bad scope", status: 400, want: "<Code>IncompleteSignature</Code>", mutate: func(s *signed) {
			s.change = func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "aws4_request", "aws5", 1))
			}
		}},
		{name: "no date", status: 400, want: "X-Amz-Date", mutate: func(s *signed) {
			s.change = func(r *http.Request) { r.Header.Del("X-Amz-Date") }
		}},
		{name: "unsigned amz header", status: 403, want: "x-amz-meta", mutate: func(s *signed) {
			s.change = func(r *http.Request) { r.Header.Set("X-Amz-Meta", "t") }
		}},
		{name: "no action", mutate: func(s *signed) { s.form = "Version=2011-06-15" }, status: 400, want: "<Code>MissingAction</Code>"},
		{name: "version of neither", mutate: func(s *signed) { s.form = "Action=ListUsers&Version=1999-01-01" }, status: 400, want: "for version 1999-01-01"},
		{name: "action of the other service", mutate: func(s *signed) { s.form = "Action=ListUsers&Version=2011-06-15" }, status: 400, want: "<Code>InvalidAction</Code>"},
		{name: "not a form", mutate: func(s *signed) { s.form = "%zz" }, status: 400, want: "<Code>MalformedInput</Code>"},
		{name: "JSON service", status: 400, want: `"__type":"UnknownOperationException"`, mutate: func(s *signed) {
			s.change = func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.Encrypt") }
		}},
		{name: "PUT", mutate: func(s *signed) { s.method = http.MethodPut }, status: 405, want: "<ErrorResponse"},
		{name: "too large", mutate: func(s *signed) { s.form = identityForm + strings.Repeat("x", 1<<20) }, status: 413, want: "too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, with := good, secret
			if test.mutate != nil {
				test.mutate(&s)
			}
			if test.secret != "" {
				with = test.secret
			}
			if status, body := w.send(t, key, with, s); status != test.status || !strings.Contains(body, test.want) {
				t.Fatalf("got %d %s\nwant %d with %s", status, body, test.status, test.want)
			}
		})
	}
}

func TestSignature_KeyMustBeUsable(t *testing.T) {
	w := newWorld(t, iamsim.Config{VisibleAfter: 4 * time.Second})
	w.account.AddUser(iamsim.User{Name: "u"})
	made := must(w.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")}))(t).AccessKey
	_, client := w.clients(*made.AccessKeyId, *made.SecretAccessKey, "")
	want := func(code string) {
		t.Helper()
		_, err := client.GetCallerIdentity(t.Context(), nil)
		if code != "" {
			wantCode(t, err, code)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	want("InvalidClientTokenId") // new
	w.clock.Skip(4 * time.Second)
	want("")
	in := &iam.UpdateAccessKeyInput{UserName: aws.String("u"), AccessKeyId: made.AccessKeyId, Status: "Inactive"}
	must(w.iam.UpdateAccessKey(t.Context(), in))(t)
	want("InvalidClientTokenId")
	in.Status = "Active"
	must(w.iam.UpdateAccessKey(t.Context(), in))(t)
	w.clock.Skip(4 * time.Second)
	want("")
	must(w.iam.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("u"), AccessKeyId: made.AccessKeyId}))(t)
	want("InvalidClientTokenId")

	_, unknown := w.clients("AKIA2222222222222222", "secret", "")
	_, err := unknown.GetCallerIdentity(t.Context(), nil)
	wantCode(t, err, "InvalidClientTokenId")
	last := w.Calls()[len(w.Calls())-1]
	if last.Account != "" || last.Caller != "" || last.Status != 403 || last.Code != "InvalidClientTokenId" {
		t.Errorf("recorded %+v", last)
	}
}

func TestSignature_SkippedClockDoesNotMatter(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.clock.Skip(90 * 24 * time.Hour)
	must(w.sts.GetCallerIdentity(t.Context(), nil))(t)
}

func TestSignature_SDKCorrectsItsSkew(t *testing.T) {
	sign := &clock{now: time.Now().Add(40 * time.Minute)}
	w := newWorld(t, iamsim.Config{SignNow: sign.Now})
	_, err := w.sts.GetCallerIdentity(t.Context(), nil)
	wantCode(t, err, "SignatureDoesNotMatch")
	id, secret := w.account.Principal("keybot")
	cfg := w.config(id, secret, "")
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	}
	must(sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil))(t)
	calls := w.Calls()
	if got := calls[len(calls)-1]; got.Attempt != 2 || got.Code != "" {
		t.Errorf("recorded %+v, want a second attempt that went well", got)
	}
}

func TestSignature_Presigned(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	url := must(sts.NewPresignClient(w.sts).PresignGetCallerIdentity(t.Context(), nil))(t)
	get := func(url string) (int, string) {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody))(t)
		response := must(http.DefaultClient.Do(r))(t)
		defer response.Body.Close()
		return response.StatusCode, string(must(io.ReadAll(response.Body))(t))
	}
	if status, body := get(url.URL); status != 200 || !strings.Contains(body, "assumed-role/keybot") {
		t.Errorf("got %d %s", status, body)
	}
	for name, broken := range map[string]string{
		"tampered":  url.URL + "&X=1",
		"algorithm": strings.Replace(url.URL, "AWS4-HMAC-SHA256", "AWS9", 1),
		"lifetime":  url.URL + "&X-Amz-Expires=0",
	} {
		if status, body := get(broken); status < 400 || !strings.Contains(body, "Signature") {
			t.Errorf("%s: got %d %s", name, status, body)
		}
	}
}

func TestHostMustBeLoopback(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	for host, want := range map[string]string{
		"evil.example":           "loopback hosts only",
		"10.0.0.1:80":            "loopback hosts only",
		"localhost.evil.example": "loopback hosts only",
		"localhost:8080":         "MissingAuthenticationToken",
		"127.0.0.1":              "MissingAuthenticationToken",
		"[::1]:9":                "MissingAuthenticationToken",
		"aws.localhost":          "MissingAuthenticationToken",
	} {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, http.NoBody))(t)
		r.Host = host
		response := must(http.DefaultClient.Do(r))(t)
		body := string(must(io.ReadAll(response.Body))(t))
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if response.StatusCode != http.StatusForbidden || !strings.Contains(body, want) {
			t.Errorf("host %q: got %d %s, want %s", host, response.StatusCode, body, want)
		}
	}
}
