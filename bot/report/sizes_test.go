package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sizes are the digests whose words stand in the golden files of package bot, which makes them.
var sizes = []string{"0", "1", "12", "10000", "longest"}

func digestOf(t *testing.T, size string) (d Digest) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "digest", size+".words.json"))
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.CSV = []byte("account,user\n")
	return d
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestOfAnySize: the mail as text and as HTML, and the card for Teams, of a company without a finding, with one, a dozen and ten thousand, and
// with as many of the longest.
func TestOfAnySize(t *testing.T) {
	for _, size := range sizes {
		d := digestOf(t, size)
		var text, html, indented bytes.Buffer
		if err := asText.Execute(&text, letterOf(d)); err != nil {
			t.Fatal(err)
		}
		if err := asHTML.Execute(&html, letterOf(d)); err != nil {
			t.Fatal(err)
		}
		sent, err := card(d)
		if err != nil || len(sent) > 28<<10 {
			t.Errorf("%s: a card of %d bytes, %v", size, len(sent), err)
		}
		if err := json.Indent(&indented, sent, "", " "); err != nil {
			t.Fatal(err)
		}
		golden(t, size+".mail.txt", text.Bytes())
		golden(t, size+".mail.html", html.Bytes())
		golden(t, size+".teams.json", append(indented.Bytes(), '\n'))
		for kind, said := range map[string]string{"text": text.String(), "HTML": html.String(), "card": string(sent)} {
			if !strings.Contains(said, d.Week) || d.More > 0 && !strings.Contains(said, fmt.Sprintf("%d", d.More+len(d.Rows)-shownIn(kind, said, d))) {
				t.Errorf("%s: the %s does not count what it leaves out", size, kind)
			}
			for _, n := range d.Notes {
				if title, _, _ := strings.Cut(n.Title, "'"); !strings.Contains(said, title) {
					t.Errorf("%s: the %s lacks %q", size, kind, n.Title)
				}
			}
		}
	}
}

// shownIn is how many rows are shown.
func shownIn(kind, said string, d Digest) int {
	if kind != "card" {
		return len(d.Rows)
	}
	return strings.Count(said, `"type":"Container"`)
}

// TestMail_LinesStayWithinTheLimit: no line of a mail is longer than RFC 5322 allows, section 2.1.1, whatever it says.
func TestMail_LinesStayWithinTheLimit(t *testing.T) {
	m := Mail{Host: "localhost", Port: 465, From: "Keyturner <keys@acme.example>", To: []string{"oncall@acme.example"}}
	for _, size := range sizes {
		d := digestOf(t, size)
		d.CSV = bytes.Repeat([]byte(strings.Repeat("x", 1500)+"\n"), 4000)
		d.Headline += strings.Repeat(" ü", 500)
		msg, err := m.message(d)
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if _, err := msg.WriteTo(&raw); err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
		for i, line := range strings.Split(raw.String(), "\r\n") {
			if len(line) > 998 {
				t.Errorf("%s: line %d has %d octets", size, i, len(line))
			}
		}
		for line := range strings.SplitSeq(head, "\r\n") {
			if len(line) > 78+20 || strings.ContainsFunc(line, func(r rune) bool { return r > 126 || r < 32 && r != '\t' }) {
				t.Errorf("%s: a header has the line %q", size, line)
			}
		}
		if raw.Len() > 10<<20 || !strings.Contains(raw.String(), "keys-"+d.Week+".csv") {
			t.Errorf("%s: the mail has %d bytes", size, raw.Len())
		}
	}
}

// TestMail_AFileTooLargeStaysInSlack, and the mail says so: servers refuse what is too large as a whole.
func TestMail_AFileTooLargeStaysInSlack(t *testing.T) {
	d := digestOf(t, "10000")
	d.CSV = make([]byte, maxAttached+1)
	msg, err := Mail{Host: "localhost", Port: 465, From: "keys@acme.example", To: []string{"oncall@acme.example"}}.message(d)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	if raw.Len() > 1<<20 || strings.Contains(raw.String(), ".csv") || !strings.Contains(letterOf(d).Rest, inSlack) {
		t.Errorf("the mail has %d bytes, and says %q", raw.Len(), letterOf(d).Rest)
	}
}
