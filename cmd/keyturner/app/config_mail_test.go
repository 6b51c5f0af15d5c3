package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfig_Mail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*Mail{
		"": nil,
		"mail: {host: smtp.example.com, from: k@example.com, to: [a@example.com, Bo <b@example.com>]}": {
			Host: "smtp.example.com", Port: 587, From: "k@example.com", To: []string{"a@example.com", "Bo <b@example.com>"},
		},
		"mail: {host: smtp.example.com, port: 465, user: keyturner, from: k@example.com, to: [a@example.com]}": {
			Host: "smtp.example.com", Port: 465, User: "keyturner", From: "k@example.com", To: []string{"a@example.com"},
		},
	} {
		cfg, err := Load(withMail(t, text))
		if diff := cmp.Diff(want, cfg.Mail); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"mail:": "mail",
		"mail: {from: k@example.com, to: [a@example.com]}":                                  "host is missing",
		"mail: {host: 'smtp.example.com:25', from: k@example.com, to: [a@example.com]}":     "is not the name of a host",
		"mail: {host: smtp.example.com, port: 0, from: k@example.com, to: [a@example.com]}": "is not a port",
		"mail: {host: smtp.example.com, from: nobody, to: [a@example.com]}":                 "in from is not a mail address",
		"mail: {host: smtp.example.com, from: k@example.com, to: [a@example.com, b]}":       "in to is not a mail address",
		"mail: {host: smtp.example.com, from: k@example.com, to: []}":                       "to has no address",
		"mail: {host: smtp.example.com, from: k@example.com, to: [a@b.c], password: x}":     "password",
	} {
		if _, err := Load(withMail(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one that says %q", text, err, want)
		}
	}
}

// withMail is a sound configuration with a part added.
func withMail(t *testing.T, text string) string {
	t.Helper()
	sound, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "keyturner.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keyturner.yaml")
	if err := os.WriteFile(path, append(sound, []byte("\n"+text+"\n")...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSinks(t *testing.T) {
	t.Parallel()
	const password, webhook = "hunter2-of-the-relay", "https://example.com/workflows/1?sig=very-secret"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := &Mail{Host: "smtp.example.com", Port: 25, From: "k@example.com", To: []string{"a@example.com"}}
	signed := &Mail{Host: "smtp.example.com", Port: 25, User: "keyturner", From: "k@example.com", To: []string{"a@example.com"}}
	for name, c := range map[string]struct {
		mail *Mail
		env  map[string]string
		want string // the sinks, or what the error says
	}{
		"nothing":            {want: "[]"},
		"mail":               {mail: plain, want: "[mail through smtp.example.com:25]"},
		"mail with a user":   {mail: signed, env: map[string]string{"SMTP_PASSWORD": password}, want: "[mail through smtp.example.com:25]"},
		"a password's file":  {mail: signed, env: map[string]string{"SMTP_PASSWORD_FILE": file}, want: "[mail through smtp.example.com:25]"},
		"no password":        {mail: signed, want: "SMTP_PASSWORD is not set"},
		"a password alone":   {env: map[string]string{"SMTP_PASSWORD": password}, want: "the configuration has no mail"},
		"two passwords":      {mail: signed, env: map[string]string{"SMTP_PASSWORD": password, "SMTP_PASSWORD_FILE": file}, want: "both set"},
		"no such file":       {mail: signed, env: map[string]string{"SMTP_PASSWORD_FILE": file + "x"}, want: "cannot be read"},
		"teams":              {env: map[string]string{"TEAMS_WEBHOOK_URL": webhook}, want: "[Microsoft Teams]"},
		"both":               {mail: plain, env: map[string]string{"TEAMS_WEBHOOK_URL": webhook}, want: "[mail through smtp.example.com:25 Microsoft Teams]"},
		"teams without TLS":  {env: map[string]string{"TEAMS_WEBHOOK_URL": strings.Replace(webhook, "https", "http", 1)}, want: "must begin with https://"},
		"teams, nothing set": {env: map[string]string{"TEAMS_WEBHOOK_URL_FILE": filepath.Dir(file)}, want: "cannot be read"},
	} {
		sinks, err := Sinks(Config{Mail: c.mail}, func(name string) string { return c.env[name] })
		got := fmt.Sprint(sinks)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if all := fmt.Sprintf("%v %+v %#v %v", sinks, sinks, sinks, err); strings.Contains(all, password) || strings.Contains(all, "very-secret") {
			t.Errorf("%s: a secret is told: %s", name, all)
		}
	}
}
