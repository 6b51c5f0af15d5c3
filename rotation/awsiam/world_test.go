package awsiam_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

const accountID = "111122223333"

// world is one simulated account and the adapter pointed at it, in a bubble where waiting takes no time.
type world struct {
	*testing.T
	sim     *iamsim.Sim
	acme    *iamsim.Account
	account *awsiam.Account
	log     *bytes.Buffer
}

// inWorld runs a test in a bubble of its own.
func inWorld(t *testing.T, cfg iamsim.Config, test func(world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := world{T: t, sim: iamsim.New(cfg), log: &bytes.Buffer{}}
		w.acme = w.sim.AddAccount(accountID, "acme")
		w.account = w.open(awsiam.Config{})
		test(w)
	})
}

// open makes an Account with the credentials of a principal of acme, unless cfg says otherwise.
func (w world) open(cfg awsiam.Config) *awsiam.Account {
	w.Helper()
	if cfg.ID == "" {
		cfg.ID, cfg.Name = accountID, "acme"
	}
	if cfg.AWS.Credentials == nil {
		cfg.AWS = w.credentials(w.acme.Principal("keyturner"))
	}
	cfg.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	account, err := awsiam.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return account
}

func (w world) credentials(id, secret string) aws.Config {
	return sdkConfig(w.sim.Transport(), id, secret)
}

func sdkConfig(transport http.RoundTripper, id, secret string) aws.Config {
	return aws.Config{
		Credentials:   credentials.NewStaticCredentialsProvider(id, secret, ""),
		HTTPClient:    &http.Client{Transport: transport, Timeout: 20 * time.Second},
		ClientLogMode: aws.LogRequestWithBody | aws.LogResponseWithBody, // which must not take effect
	}
}

// calls counts the requests for an operation.
func (w world) calls(op string) int {
	n := 0
	for _, c := range w.sim.Calls() {
		if c.Op == op {
			n++
		}
	}
	return n
}

// ops lists the operations called, in order.
func (w world) ops() []string {
	var ops []string
	for _, c := range w.sim.Calls() {
		ops = append(ops, c.Op)
	}
	return ops
}

// leaksNothing checks that no secret that the simulator made is in the log or in an output.
func (w world) leaksNothing(outputs ...string) {
	w.Helper()
	outputs = append(outputs, w.log.String())
	for _, secret := range w.sim.Secrets() {
		for part := range slices.Chunk([]byte(secret), 10) {
			for _, text := range outputs {
				if len(part) == 10 && strings.Contains(text, string(part)) {
					w.Errorf("a piece of a secret leaked: %s", text)
				}
			}
		}
	}
}

// callError checks the class of err and returns it.
func callError(t *testing.T, err error, want rotation.Class) rotation.CallError {
	t.Helper()
	call, ok := errors.AsType[*rotation.CallError](err)
	if !ok || !errors.Is(call, err) { // err must be the call error itself
		t.Fatalf("got error %v (%T), want a *rotation.CallError of class %s", err, err, want)
	}
	if call.Class != want {
		t.Fatalf("got class %s, want %s: %v", call.Class, want, err)
	}
	return *call
}

// wire answers requests with prepared bodies, for answers that the simulator never gives.
type wire func(form url.Values) (status int, body string)

func (f wire) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	status, body := f(form)
	return &http.Response{
		StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// overWire runs a test against prepared answers.
func overWire(t *testing.T, answers wire, test func(*testing.T, *awsiam.Account)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		account, err := awsiam.New(awsiam.Config{ID: accountID, AWS: sdkConfig(answers, "AKIAFAKE", "fake")})
		if err != nil {
			t.Fatal(err)
		}
		test(t, account)
	})
}

// result wraps the inside of a successful answer.
func result(op, inside string) string {
	return "<" + op + "Response><" + op + "Result>" + inside + "</" + op + "Result></" + op + "Response>"
}
