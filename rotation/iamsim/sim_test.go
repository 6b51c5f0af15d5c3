package iamsim_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

const accountID = "111122223333"

// start is when the simulated time of every test begins.
var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// clock is a time that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Skip(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a simulator behind a real socket, one account in it, and clients of
// the SDK that sign as the account's principal and do not retry.
type world struct {
	*iamsim.Sim
	clock   *clock
	account *iamsim.Account
	url     string
	iam     *iam.Client
	sts     *sts.Client
}

func newWorld(tb testing.TB, cfg iamsim.Config) *world {
	tb.Helper()
	w := &world{clock: &clock{now: start}}
	cfg.Now = w.clock.Now
	w.Sim = iamsim.New(cfg)
	w.account = w.AddAccount(accountID, "acme")
	server := httptest.NewServer(w.Sim)
	tb.Cleanup(server.Close)
	w.url = server.URL
	id, secret := w.account.Principal("keybot")
	w.iam, w.sts = w.clients(id, secret, "")
	return w
}

// config is an SDK configuration that signs with those credentials.
func (w *world) config(id, secret, token string) aws.Config {
	return aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(w.url),
		Credentials:  credentials.NewStaticCredentialsProvider(id, secret, token),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
		HTTPClient:   &http.Client{Transport: iamsim.PlainBodies(nil)},
	}
}

func (w *world) clients(id, secret, token string) (*iam.Client, *sts.Client) {
	cfg := w.config(id, secret, token)
	return iam.NewFromConfig(cfg), sts.NewFromConfig(cfg)
}

// wantCode fails the test unless err is an API error of that code.
func wantCode(tb testing.TB, err error, code string) {
	tb.Helper()
	apiErr, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		tb.Fatalf("got %v, want the error %s", err, code)
	}
	if apiErr.ErrorCode() != code {
		tb.Fatalf("got %s (%s), want %s", apiErr.ErrorCode(), apiErr.ErrorMessage(), code)
	}
}

// wantTyped fails the test unless err is of the SDK's type E.
func wantTyped[E error](tb testing.TB, err error) {
	tb.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		tb.Fatalf("got %v, want %T", err, *new(E))
	}
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return value
	}
}

func diff(tb testing.TB, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Fatalf("difference (-want +got):\n%s", d)
	}
}

func TestAccountOf(t *testing.T) {
	for _, test := range []struct {
		name, id, want string
		ok             bool
	}{
		{name: "live format", id: "AKIARZPUZDIKGB2VALC4", want: "123456789012", ok: true},
		{name: "temporary", id: "ASIAY34FZKBOKMUTVV7A", want: "609629065308", ok: true},
		{name: "old format", id: "AKIAIOSFODNN7EXAMPLE"},
		{name: "not base32", id: "AKIA0000000000000000"},
		{name: "too short", id: "AKIA"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := iamsim.AccountOf(test.id)
			if got != test.want || ok != test.ok {
				t.Fatalf("got %q, %v, want %q, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestKeyIDsCarryTheirAccount(t *testing.T) {
	sim := iamsim.New(iamsim.Config{})
	for _, id := range []string{"000000000001", "111122223333", "999999999999"} {
		account := sim.AddAccount(id, "")
		account.AddUser(iamsim.User{Name: "u"})
		key := account.AddKey("u", iamsim.Key{})
		if got, ok := iamsim.AccountOf(key); got != id || !ok || len(key) != 20 || key[:4] != "AKIA" {
			t.Errorf("key %s says account %q, %v, want %s", key, got, ok, id)
		}
	}
}

func TestAddAccount(t *testing.T) {
	sim := iamsim.New(iamsim.Config{})
	first := sim.AddAccount(accountID, "acme")
	if again := sim.AddAccount(accountID, "other"); again != first {
		t.Error("the same id made a second account")
	}
	defer func() {
		if recover() == nil {
			t.Error("an id that no key can carry was accepted")
		}
	}()
	sim.AddAccount("12345", "short")
}

func TestChanged(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	version, next := w.Changed()
	w.account.AddUser(iamsim.User{Name: "u"})
	<-next
	if now, _ := w.Changed(); now <= version {
		t.Fatalf("version %d after %d", now, version)
	}
	_, next = w.Changed()
	must(w.sts.GetCallerIdentity(t.Context(), nil))(t)
	<-next
}

func TestDefaultHTTPClientOfTheSDK(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u"})
	id, secret := w.account.Principal("keybot")
	cfg := w.config(id, secret, "")
	cfg.HTTPClient = nil
	must(iam.NewFromConfig(cfg).CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")}))(t)
}

func TestCalls(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "ci"})
	made := must(w.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("ci")}))(t)
	_, err := w.iam.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("ghost")})
	wantCode(t, err, "NoSuchEntity")

	caller := "arn:aws:sts::111122223333:assumed-role/keybot/sandbox"
	diff(t, w.Calls(), []iamsim.Call{
		{
			At: start, Op: "CreateAccessKey", Account: accountID, UserName: "ci", AccessKeyId: *made.AccessKey.AccessKeyId,
			Caller: caller, Status: 200, Attempt: 1, Applied: true,
		},
		{At: start, Op: "GetUser", Account: accountID, UserName: "ghost", Caller: caller, Status: 404, Code: "NoSuchEntity", Attempt: 1},
	})
	diff(t, w.Secrets(), []string{*made.AccessKey.SecretAccessKey})
}
