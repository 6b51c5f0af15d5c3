package awsiam_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestNew_Refuses(t *testing.T) {
	good := aws.Config{Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", "")}
	for _, test := range []struct {
		name string
		cfg  awsiam.Config
		want string
	}{
		{"no id", awsiam.Config{AWS: good}, "twelve digits"},
		{"short id", awsiam.Config{ID: "1234", AWS: good}, "twelve digits"},
		{"no credentials", awsiam.Config{ID: accountID}, "LoadAWS"},
		{"negative pace", awsiam.Config{ID: accountID, AWS: good, ReadsPerSecond: -1}, "negative"},
		{"external id alone", awsiam.Config{ID: accountID, AWS: good, ExternalID: "x"}, "needs a role"},
		{"role name", awsiam.Config{ID: accountID, AWS: good, Role: "keyturner"}, "write its ARN"},
		{"user for a role", awsiam.Config{ID: accountID, AWS: good, Role: "arn:aws:iam::" + accountID + ":user/x"}, "write its ARN"},
		{"role elsewhere", awsiam.Config{ID: accountID, AWS: good, Role: "arn:aws:iam::444455556666:role/x"}, "account 444455556666"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := awsiam.New(test.cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name  string
		open  func(world) *awsiam.Account
		class rotation.Class // empty: success
		want  []string
	}{
		{"good", func(w world) *awsiam.Account { return w.account }, "", nil},
		{
			"other account",
			func(w world) *awsiam.Account {
				other := w.sim.AddAccount("444455556666", "other")
				return w.open(awsiam.Config{AWS: w.credentials(other.Principal("stray"))})
			},
			rotation.ClassDenied,
			[]string{"acme (111122223333)", "is in account 444455556666", "name a role in account 111122223333"},
		},
		{
			"unknown key",
			func(w world) *awsiam.Account {
				return w.open(awsiam.Config{AWS: w.credentials("AKIAFAKEFAKEFAKEFAKE", "fake")})
			},
			rotation.ClassDenied,
			[]string{"InvalidClientTokenId", "valid now"},
		},
		{
			"wrong secret",
			func(w world) *awsiam.Account {
				id, _ := w.acme.Principal("keyturner")
				return w.open(awsiam.Config{AWS: w.credentials(id, "wrong")})
			},
			rotation.ClassDenied,
			[]string{"SignatureDoesNotMatch", "clock"},
		},
		{
			"no connection",
			func(w world) *awsiam.Account {
				w.sim.Fail("GetCallerIdentity", iamsim.Fault{Times: -1, Drop: true})
				return w.account
			},
			rotation.ClassUnknown,
			[]string{"EOF", "a way to reach AWS STS"},
		},
		{
			"throttled",
			func(w world) *awsiam.Account {
				w.sim.Fail("GetCallerIdentity", iamsim.Fault{Times: -1, Code: "Throttling"})
				return w.account
			},
			rotation.ClassThrottled,
			[]string{"try again later"},
		},
		{
			"role that does not trust",
			func(w world) *awsiam.Account {
				return w.open(awsiam.Config{
					ID: accountID, Role: w.acme.AddRole("keyturner", "right"), ExternalID: "wrong",
					AWS: w.credentials(w.acme.Principal("hub")),
				})
			},
			rotation.ClassDenied,
			[]string{"AccessDenied", "trust policy of arn:aws:iam::111122223333:role/keyturner", "external id"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				err := test.open(w).Check(w.Context())
				if test.class == "" {
					if err != nil {
						w.Fatal(err)
					}
					return
				}
				callError(w.T, err, test.class)
				for _, want := range test.want {
					if !strings.Contains(err.Error(), want) {
						w.Errorf("got error %q, want it to say %q", err, want)
					}
				}
			})
		})
	}
}

func TestCheck_NoAccountInAnswer(t *testing.T) {
	overWire(t, func(url.Values) (int, string) { return http.StatusOK, "" }, func(t *testing.T, a *awsiam.Account) {
		callError(t, a.Check(t.Context()), rotation.ClassUnknown)
	})
}

func TestAssumeRole(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		hub := w.sim.AddAccount("444455556666", "hub")
		account := w.open(awsiam.Config{
			ID: accountID, Name: "acme", Role: w.acme.AddRole("keyturner", "acme-7"), ExternalID: "acme-7",
			AWS: w.credentials(hub.Principal("keyturner")),
		})
		if err := account.Check(w.Context()); err != nil {
			w.Fatal(err)
		}
		if _, err := account.Keys(w.Context(), "ci-deploy"); err != nil {
			w.Fatal(err)
		}
		if got := w.calls("AssumeRole"); got != 1 {
			w.Errorf("got %d sessions for two calls, want 1", got)
		}
		calls := w.sim.Calls()
		if got, want := calls[len(calls)-1].Caller, "arn:aws:sts::111122223333:assumed-role/keyturner/keyturner-"; !strings.HasPrefix(got, want) {
			w.Errorf("got caller %s, want %s and something random", got, want)
		}
		time.Sleep(56 * time.Minute) // of the bubble: within five minutes of the session's end
		if _, err := account.Keys(w.Context(), "ci-deploy"); err != nil {
			w.Fatal(err)
		}
		if got := w.calls("AssumeRole"); got != 2 {
			w.Errorf("got %d sessions near the end of the first, want 2", got)
		}
	})
}

// TestLoadAWS reaches the simulator over TLS with nothing but the environment: its endpoint, its certificate and credentials.
func TestLoadAWS(t *testing.T) {
	sim := iamsim.New(iamsim.Config{})
	acme := sim.AddAccount(accountID, "acme")
	acme.AddUser(iamsim.User{Name: "ci-deploy"})
	id, secret := acme.Principal("keyturner")

	var agents sync.Map
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents.Store(r.UserAgent(), true)
		sim.ServeHTTP(w, r)
	}))
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(bundle, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_CA_BUNDLE": bundle, "AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret,
		"AWS_SESSION_TOKEN": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_MAX_ATTEMPTS": "", "AWS_RETRY_MODE": "",
	} {
		t.Setenv(name, value)
	}
	cfg, err := awsiam.LoadAWS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "us-east-1" {
		t.Errorf("got region %q, want us-east-1", cfg.Region)
	}
	account, err := awsiam.New(awsiam.Config{ID: accountID, AWS: cfg})
	if err != nil {
		t.Fatal(err)
	}
	if err := account.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, made, err := account.CreateKey(t.Context(), "ci-deploy")
	if err != nil {
		t.Fatal(err)
	}
	if made.Reveal() != acme.SecretOf(string(key.ID)) {
		t.Error("got another secret than was made")
	}
	sim.Fail("CreateAccessKey", iamsim.Fault{Truncate: true, Apply: true})
	_, _, err = account.CreateKey(t.Context(), "ci-deploy")
	callError(t, err, rotation.ClassUnknown)
	agents.Range(func(agent, _ any) bool {
		if !strings.Contains(agent.(string), "app/keyturner") {
			t.Errorf("got user agent %q, want app/keyturner in it", agent)
		}
		return true
	})
}

func TestPace(t *testing.T) {
	for _, test := range []struct {
		name  string
		cfg   awsiam.Config
		call  func(world, *awsiam.Account) error
		calls int
		want  time.Duration
	}{
		{"reads come in a burst", awsiam.Config{}, list, 10, 0},
		{"then ten a second", awsiam.Config{}, list, 60, 5 * time.Second},
		{"unless configured", awsiam.Config{ReadsPerSecond: 100}, list, 110, time.Second},
		{"writes come one a second", awsiam.Config{}, deactivate, 4, 3 * time.Second},
		{"unless configured too", awsiam.Config{WritesPerSecond: 4}, deactivate, 5, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
				w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA})
				account := w.open(test.cfg)
				start := time.Now()
				for range test.calls {
					if err := test.call(w, account); err != nil {
						w.Fatal(err)
					}
				}
				if got := time.Since(start).Round(10 * time.Millisecond); got != test.want {
					w.Errorf("%d calls took %s, want %s", test.calls, got, test.want)
				}
			})
		})
	}
}

// TestPace_RetriesCount shows that a retried call is paid for by those after it.
func TestPace_RetriesCount(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA})
		account := w.open(awsiam.Config{WritesPerSecond: 0.01})
		w.sim.Fail("UpdateAccessKey", iamsim.Fault{Times: 2, Code: "Throttling"})
		start := time.Now()
		for range 2 {
			if err := deactivate(w, account); err != nil {
				w.Fatal(err)
			}
		}
		if got, want := time.Since(start).Round(time.Second), 300*time.Second; got != want {
			w.Errorf("a call of three attempts and one more took %s, want %s", got, want)
		}
	})
}

func list(w world, a *awsiam.Account) error {
	_, err := a.Keys(w.Context(), "ci-deploy")
	return err
}

func deactivate(w world, a *awsiam.Account) error {
	return a.SetStatus(w.Context(), "ci-deploy", keyA, rotation.Inactive)
}

func TestNew_MakesNoCall(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.open(awsiam.Config{Role: w.acme.AddRole("keyturner", "")})
		synctest.Wait()
		if got := w.ops(); len(got) != 0 {
			w.Errorf("New called %v", got)
		}
	})
}
