package listing

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Colours of a row; all of one length, since the columns are aligned by what is written.
const (
	colourNone   = "\x1b[39m"
	colourRed    = "\x1b[31m"
	colourYellow = "\x1b[33m"
	colourDim    = "\x1b[90m"
	colourEnd    = "\x1b[0m"
)

var colours = map[string]string{"critical": colourRed, "high": colourRed, "medium": colourYellow}

// Table writes the findings for people, an account that was not read in full first after them, and a summary last.
func (l Listing) Table(w io.Writer, coloured bool) error {
	buffer := bufio.NewWriter(w)
	if len(l.Findings) > 0 {
		if err := l.rows(buffer, coloured); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
		fmt.Fprintln(buffer)
	}
	for _, a := range l.Accounts {
		for _, why := range a.lacks() {
			fmt.Fprintf(buffer, "%s: %s.\n", a.called(), strings.TrimSuffix(why, "."))
		}
	}
	fmt.Fprintln(buffer, l.Summary())
	if err := buffer.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func (l Listing) rows(w io.Writer, coloured bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(colour string, cells ...string) {
		text := strings.Join(cells, "\t")
		if coloured {
			text = colour + text + colourEnd
		}
		fmt.Fprintln(table, text)
	}
	line(colourNone, headings...)
	for _, f := range l.Findings {
		colour := colourNone
		if c, ok := colours[f.Severity]; ok {
			colour = c
		}
		if f.Exempt {
			colour = colourDim
		}
		line(colour, f.cells()...)
	}
	return table.Flush()
}

var headings = []string{"FINDING", "ACCOUNT", "USER", "KEY", "AGE", "LAST USED", "OWNER"}

func (f Finding) cells() []string {
	age := "–"
	if f.KeyAge != nil {
		age = strconv.Itoa(*f.KeyAge) + "d"
	}
	what := f.Rule
	if f.Exempt {
		what += ", exempt until " + f.exemptDay
	}
	account := f.AccountName
	if account == "" {
		account = f.AccountID
	}
	return []string{what, plain(account), plain(f.User), f.key(), age, f.used(), f.owner()}
}

// Summary is the outcome in a sentence or two. It never calls in order what could not be looked at.
func (l Listing) Summary() string {
	users := 0
	for _, a := range l.Accounts {
		users += a.Users
	}
	if none := l.States(NotRead); none > 0 && none == len(l.Accounts) && len(l.Findings) == 0 { // no number, which would read as if there were none
		return fmt.Sprintf("Nothing is known of %s.", count(none, "account"))
	}
	said := fmt.Sprintf("%s in %s with %s.", count(l.Due(), "finding"), count(len(l.Accounts), "account"), count(users, "user"))
	if accepted := len(l.Findings) - l.Due(); accepted > 0 {
		said += fmt.Sprintf(" Exempt: %d.", accepted)
	}
	if slices.ContainsFunc(l.Findings, func(f Finding) bool { return f.Remark == noLinks }) {
		said += " Of those without an owner, " + noLinks + "."
	}
	if none := l.States(NotRead); none > 0 {
		said += fmt.Sprintf(" Nothing is known of %s.", count(none, "account"))
	}
	if some := l.States(Partly); some > 0 {
		said += fmt.Sprintf(" Not everything was seen in %s.", count(some, "account"))
	}
	return said
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// Markdown writes the same as a document.
func (l Listing) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Access keys, %s\n\n%s\n", l.ScannedAt.UTC().Format("2006-01-02 15:04 UTC"), l.Summary())
	if len(l.Findings) > 0 {
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(headings, " | "), strings.Repeat("---|", len(headings)))
		for _, f := range l.Findings {
			cells := f.cells()
			for i := range cells {
				cells[i] = strings.NewReplacer("|", `\|`, "<", `\<`, "`", "\\`", "*", `\*`).Replace(cells[i])
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	if !l.Complete {
		b.WriteString("\n## Not seen\n\n")
	}
	for _, a := range l.Accounts {
		for _, why := range a.lacks() {
			fmt.Fprintf(&b, "- %s: %s.\n", a.called(), strings.TrimSuffix(why, "."))
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write Markdown: %w", err)
	}
	return nil
}
