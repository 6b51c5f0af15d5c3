package bot

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/slacksim"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with the file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// encode writes a value as the golden files have it.
func encode(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// goldenMessage compares a message with its golden file and checks what holds for every message.
func goldenMessage(t *testing.T, name string, m message) {
	t.Helper()
	checkMessage(t, m)
	golden(t, name+".golden.json", encode(t, map[string]any{"text": m.Text, "blocks": m.Blocks}))
}

// checkMessage holds a message against Slack's limits and against our own rules for texts.
func checkMessage(t *testing.T, m message) {
	t.Helper()
	raw := encode(t, m.Blocks)
	for _, err := range slacksim.ValidateBlocks(slacksim.OnMessage, raw) {
		t.Errorf("blocks: %v", err)
	}
	if n := utf8.RuneCountInString(m.Text); n == 0 || n > maxText {
		t.Errorf("text has %d characters, want 1 to %d", n, maxText)
	}
	if n := weight(draft{blocks: m.Blocks}); n > 13200 {
		t.Errorf("blocks have %d characters, want at most 13200", n)
	}
	checkWords(t, m.Text)
	if strings.Contains(m.Text, "`") {
		t.Errorf("the text has marks of code: %s", m.Text)
	}
	checkWords(t, string(raw))
}

// checkWords finds the traces of a sentence put together badly.
func checkWords(t *testing.T, s string) {
	t.Helper()
	for _, trace := range []string{"..", "  .", " .", "%!", "``", "<@>", "nobody decides", " ,", ". .", "?.", "an unknown time", "0001-01-01"} {
		if strings.Contains(s, trace) {
			t.Errorf("found %q in: %s", trace, s)
		}
	}
}

// goldenView compares a modal with its golden file and checks it against Slack's limits.
func goldenView(t *testing.T, name string, v slack.ModalViewRequest) {
	t.Helper()
	checkView(t, v)
	golden(t, name+".golden.json", encode(t, v))
}

func checkView(t *testing.T, v slack.ModalViewRequest) {
	t.Helper()
	raw := encode(t, v)
	for _, err := range slacksim.ValidateView(raw) {
		t.Errorf("view: %v", err)
	}
	checkWords(t, string(raw))
}
