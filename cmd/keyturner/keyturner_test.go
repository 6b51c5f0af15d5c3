package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keyturner": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}})
}

// TestScripts runs the program as an operator does; the scripts are in testdata.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

func TestExitCodes(t *testing.T) {
	good := filepath.Join(t.TempDir(), "keyturner.yaml")
	if err := os.WriteFile(good, []byte(`
store: bolt:`+filepath.Join(t.TempDir(), "none", "x.db")+`
slack: {approvals_channel: C0123456789, oncall_channel: C0123456790, approvers: [U0AAAAAAAAA, U0BBBBBBBBB]}
accounts: [{id: "111122223333", name: acme}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		app  string
		want int
	}{
		{"version", []string{"version"}, "", 0},
		{"no such command", []string{"rotate"}, "", 2},
		{"no such file", []string{"config", "check", "none.yaml"}, "", 2},
		{"no token", []string{"run", "--config", good}, "", 2},
		{"no folder for the store", []string{"run", "--config", good}, "xapp-x", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("SLACK_APP_TOKEN", test.app)
			t.Setenv("SLACK_BOT_TOKEN", "xoxb-x")
			t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			var stdout, stderr bytes.Buffer
			if got := run(t.Context(), test.args, &stdout, &stderr); got != test.want {
				t.Errorf("exit code %d, want %d; it said: %s", got, test.want, stderr.String())
			}
		})
	}
}

// TestRun_StoppedWhileItStarts is asked to end when it has not opened its store yet: that is no failure.
func TestRun_StoppedWhileItStarts(t *testing.T) {
	config := filepath.Join(t.TempDir(), "keyturner.yaml")
	if err := os.WriteFile(config, []byte(`
store: dynamodb:eu-central-1/keyturner
slack: {approvals_channel: C0123456789, oncall_channel: C0123456790, approvers: [U0AAAAAAAAA, U0BBBBBBBBB]}
accounts: [{id: "111122223333", name: acme}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"SLACK_APP_TOKEN": "xapp-x", "SLACK_BOT_TOKEN": "xoxb-x", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x",
		"AWS_SECRET_ACCESS_KEY": "x", "AWS_CONFIG_FILE": config + ".none", "AWS_SHARED_CREDENTIALS_FILE": config + ".none",
	} {
		t.Setenv(name, value)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"run", "--config", config}, &stdout, &stderr); code != 0 || !strings.Contains(stderr.String(), "stopped before it ran") {
		t.Errorf("exit code %d, want 0 and a word that it was stopped; it said: %s", code, stderr.String())
	}
}

// TestRun runs the program as in production, with its environment pointing at simulators, until the digest stands in Slack.
func TestRun(t *testing.T) {
	slack := slacksim.New(slacksim.Config{})
	defer slack.Close()
	slack.AddMember(slacksim.Member{ID: "U0AAAAAAAAA", Name: "ana"})
	slack.AddChannel(slacksim.Channel{ID: "C0123456789", Name: "key-approvals"})
	slack.AddChannel(slacksim.Channel{ID: "C0123456790", Name: "on-call"})
	cloud := iamsim.New(iamsim.Config{})
	account := cloud.AddAccount("111122223333", "acme")
	account.AddUser(iamsim.User{Name: "ci-deploy"})
	account.AddKey("ci-deploy", iamsim.Key{Created: time.Now().Add(-100 * 24 * time.Hour)})
	id, secret := account.Principal("keyturner")
	slackServer, awsServer := httptest.NewServer(slack), httptest.NewServer(cloud)
	defer slackServer.Close()
	defer awsServer.Close()

	folder := t.TempDir()
	config, token := filepath.Join(folder, "keyturner.yaml"), filepath.Join(folder, "app-token")
	for path, text := range map[string]string{
		token: slack.AppToken() + "\n",
		config: "store: bolt:" + filepath.Join(folder, "keyturner.db") + `
slack: {approvals_channel: C0123456789, oncall_channel: C0123456790, approvers: [U0AAAAAAAAA]}
accounts: [{id: "111122223333", name: acme}]
`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"SLACK_APP_TOKEN": "", "SLACK_APP_TOKEN_FILE": token, "SLACK_BOT_TOKEN": slack.BotToken(), "SLACK_API_URL": slackServer.URL + "/api",
		"AWS_ENDPOINT_URL": awsServer.URL, "AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": config + ".none", "AWS_SHARED_CREDENTIALS_FILE": config + ".none",
	} {
		t.Setenv(name, value)
	}

	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"run", "--config", config}, &stdout, &stderr) }()
	_, err := slack.As("U0AAAAAAAAA").Await(t.Context(), func(s slacksim.Screen) bool {
		c, _ := s.Channel("on-call")
		last, ok := c.Last()
		return ok && strings.Contains(last.Text, "ci-deploy")
	})
	interrupt()
	if got := <-code; got != 0 || err != nil {
		t.Errorf("exit code %d, %v; it said: %s", got, err, stderr.String())
	}
	if strings.Contains(stderr.String(), slack.BotToken()) || strings.Contains(stderr.String(), secret) {
		t.Error("the log holds a token or a secret")
	}
}
