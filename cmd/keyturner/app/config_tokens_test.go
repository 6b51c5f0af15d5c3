package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	appFile, botFile := file("app", appToken+"\n"), file("bot", botToken+"\r\n")
	type env map[string]string
	for _, test := range []struct {
		name string
		env  env
		want string // part of the error, "" for none
	}{
		{"environment", env{"SLACK_APP_TOKEN": appToken, "SLACK_BOT_TOKEN": botToken}, ""},
		{"files", env{"SLACK_APP_TOKEN_FILE": appFile, "SLACK_BOT_TOKEN_FILE": botFile}, ""},
		{"one of each", env{"SLACK_APP_TOKEN": " " + appToken, "SLACK_BOT_TOKEN_FILE": botFile}, ""},
		{"none", env{}, "SLACK_APP_TOKEN is not set; set it to the token that starts with xapp-, or SLACK_APP_TOKEN_FILE to a file with it"},
		{"bot missing", env{"SLACK_APP_TOKEN": appToken}, "SLACK_BOT_TOKEN is not set; set it to the token that starts with xoxb-, or SLACK_BOT_TOKEN_FILE to a file with it"},
		{"both", env{"SLACK_APP_TOKEN": appToken, "SLACK_APP_TOKEN_FILE": appFile, "SLACK_BOT_TOKEN": botToken}, "SLACK_APP_TOKEN and SLACK_APP_TOKEN_FILE are both set; set one of them"},
		{"swapped", env{"SLACK_APP_TOKEN": botToken, "SLACK_BOT_TOKEN": appToken}, "SLACK_APP_TOKEN starts with xoxb-, a bot token; set it to the token that starts with xapp-\nSLACK_BOT_TOKEN starts with xapp-, an app-level token; set it to the token that starts with xoxb-"},
		{"user token", env{"SLACK_APP_TOKEN": appToken, "SLACK_BOT_TOKEN": "xoxp-1-2-3"}, "SLACK_BOT_TOKEN starts with xoxp-, a user token;"},
		{"refresh token", env{"SLACK_APP_TOKEN": appToken, "SLACK_BOT_TOKEN": "xoxe.xoxb-1-2-3"}, "SLACK_BOT_TOKEN starts with xoxe, a configuration or refresh token;"},
		{"no token", env{"SLACK_APP_TOKEN": appToken, "SLACK_BOT_TOKEN": awsSecret}, "SLACK_BOT_TOKEN starts with no prefix known;"},
		{"quoted", env{"SLACK_APP_TOKEN": appToken, "SLACK_BOT_TOKEN": `"` + botToken + `"`}, "SLACK_BOT_TOKEN starts with no prefix known;"},
		{"two in one", env{"SLACK_APP_TOKEN": appToken, "SLACK_BOT_TOKEN": botToken + "\n" + appToken}, "SLACK_BOT_TOKEN is not one token: it is cut short or has something beside it; set it to the token alone"},
		{"prefix alone", env{"SLACK_APP_TOKEN": "xapp-", "SLACK_BOT_TOKEN": botToken}, "SLACK_APP_TOKEN is not one token"},
		{"token as the file's path", env{"SLACK_APP_TOKEN": appToken, "SLACK_BOT_TOKEN_FILE": botToken}, "the file of SLACK_BOT_TOKEN_FILE cannot be read: no such file or directory; set SLACK_BOT_TOKEN_FILE to the path of a file with the token"},
		{"directory", env{"SLACK_APP_TOKEN_FILE": dir, "SLACK_BOT_TOKEN": botToken}, "the file of SLACK_APP_TOKEN_FILE cannot be read: is a directory;"},
		{"empty file", env{"SLACK_APP_TOKEN_FILE": file("empty", "\n"), "SLACK_BOT_TOKEN": botToken}, "the file of SLACK_APP_TOKEN_FILE starts with no prefix known;"},
	} {
		t.Run(test.name, func(t *testing.T) {
			app, bot, err := Tokens(func(name string) string { return test.env[name] })
			if test.want == "" {
				if err != nil || app != appToken || bot != botToken {
					t.Errorf("Tokens = %t, %t, %v, want both", app == appToken, bot == botToken, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error\n got %v\nwant %s", err, test.want)
			}
			for _, secret := range []string{appToken, botToken, awsSecret} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows what it must not: %v", err)
				}
			}
			if app != "" || bot != "" {
				t.Error("tokens beside an error")
			}
		})
	}
}
