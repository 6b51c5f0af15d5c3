package report

import (
	"fmt"
	"strings"
)

// Digest is what the survey of a week found, in plain words: what is told by mail and in Teams.
type Digest struct {
	Week     string // of the ISO calendar, as in 2026-W48
	Headline string // the whole in one sentence
	Rows     []Row  // the gravest first, MaxRows of them at most
	More     int    // rows that are not among them
	Notes    []Note // what else on-call should know, the gravest first
	Picture  []byte // PNG; nil: there is none
	Alt      string // says what the picture shows
	CSV      []byte // every finding; nil: there is no file
}

// Row is one key, or the root user.
type Row struct {
	User  string // as account/user
	Key   string // the end of its id; empty for the root user
	Found string // what is wrong, in sentences
	Next  string // who does what about it
}

// Note is a list under a title.
type Note struct {
	Title string
	Lines []string
}

// title is what the digest is called.
func (d Digest) title() string { return "Access keys, week " + d.Week }

// MaxRows bounds the rows of a digest; the file has all of them.
const MaxRows = 50

const maxCardRows = 10

// first is the rows that are shown, and what is said of the others, which are in a file if there is one.
func (d Digest) first(n int, file string) (rows []Row, rest string) {
	rows = d.Rows[:min(n, len(d.Rows))]
	more := d.More + len(d.Rows) - len(rows)
	switch {
	case more == 0:
		return rows, ""
	case d.CSV != nil:
		return rows, fmt.Sprintf("And %d more, which are in %s.", more, file)
	}
	return rows, fmt.Sprintf("And %d more.", more)
}

// inSlack is where the file is for who has none.
const inSlack = "the file below the digest in Slack"

// name is what a row is about.
func (r Row) name() string {
	if r.Key == "" {
		return r.User
	}
	return r.User + ", key " + r.Key
}

// clip shortens a line to n characters.
func clip(s string, n int) string {
	if r := []rune(strings.TrimSpace(s)); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return strings.TrimSpace(s)
}

// plain takes away what Adaptive Cards read as Markdown: links, emphasis and what begins a list or a heading.
func plain(s string) string {
	return strings.NewReplacer("*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "`", "\\`", "#", "\\#", "\n", " ").Replace(s)
}
