package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Tokens reads Slack's two tokens: app (xapp-…, with the scope connections:write) from SLACK_APP_TOKEN and bot (xoxb-…) from
// SLACK_BOT_TOKEN, or each from the file named by the same variable with _FILE added, as systemd credentials and container
// secrets provide. White space around a token is dropped. Neither tokens nor the paths of files are in the error.
func Tokens(getenv func(string) string) (app, bot string, err error) {
	app, appErr := token(getenv, "SLACK_APP_TOKEN", "xapp-")
	bot, botErr := token(getenv, "SLACK_BOT_TOKEN", "xoxb-")
	if err := errors.Join(appErr, botErr); err != nil {
		return "", "", err
	}
	return app, bot, nil
}

// prefixes are those of Slack's tokens, with what they are.
var prefixes = []struct{ prefix, called string }{
	{"xapp-", "an app-level token"},
	{"xoxb-", "a bot token"},
	{"xoxp-", "a user token"},
	{"xoxe", "a configuration or refresh token"},
	{"xoxa-", "a workspace token"},
	{"xoxc-", "a browser's token"},
	{"xoxd-", "a browser's cookie"},
	{"xoxs-", "a session token"},
}

func token(getenv func(string) string, name, prefix string) (string, error) {
	value, file := getenv(name), getenv(name+"_FILE")
	source := name
	switch {
	case value != "" && file != "":
		return "", fmt.Errorf("%s and %s_FILE are both set; set one of them", name, name)
	case value == "" && file == "":
		return "", fmt.Errorf("%s is not set; set it to the token that starts with %s, or %s_FILE to a file with it", name, prefix, name)
	case file != "":
		source = "the file of " + name + "_FILE"
		var err error
		if value, err = readToken(file); err != nil {
			return "", fmt.Errorf("%s cannot be read: %w; set %s_FILE to the path of a file with the token", source, err, name)
		}
	}
	value = strings.TrimSpace(value)
	if !strings.HasPrefix(value, prefix) {
		found := "starts with no prefix known"
		for _, p := range prefixes {
			if strings.HasPrefix(value, p.prefix) {
				found = "starts with " + p.prefix + ", " + p.called
			}
		}
		return "", fmt.Errorf("%s %s; set it to the token that starts with %s", source, found, prefix)
	}
	if len(value) == len(prefix) || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s is not one token: it is cut short or has something beside it; set it to the token alone", source)
	}
	return value, nil
}

// readToken reads at most 4 KiB. Its errors leave out the path, because a token set as the path by mistake would show in it.
func readToken(path string) (string, error) {
	var text []byte
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		text, err = io.ReadAll(io.LimitReader(f, 4096))
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return string(text), err
}
