package bot

import (
	"context"
	"errors"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/rotation"
)

// The claim of a trend remembers what one week's digest counted, under trend/ and the week's name.

// weekOf counts what a survey found, for the trend. A stuck rotation's key counts as any other, since it is one of those that the headline counts:
// what is compared is what was said. Weeks before it was a finding were lower by the few of which nothing else was found. Users who have no owner and
// no other finding are counted apart and not here: there may be hundreds from one week to the next, of whose keys nothing has changed.
func weekOf(name string, s rotation.Survey) report.Week {
	due, _ := setApart(byKey(s.Findings), s.At)
	w := report.Week{Name: name, Due: len(due), Whole: len(s.Accounts) > 0 && s.Unlisted == nil}
	for _, k := range due {
		if slices.Contains(k.breaches, rotation.TooOld) {
			w.TooOld++
		}
	}
	for _, a := range s.Accounts {
		w.Whole = w.Whole && a.Err == nil && len(a.Unseen) == 0
	}
	return w
}

const partly, wholly = "partly", "wholly"

// noteWeek writes down what a week counted. A crash before it leaves a gap in the trend, or what an earlier attempt at the digest counted.
func (d *digests) noteWeek(ctx context.Context, w report.Week) error {
	name := "trend/" + w.Name
	claim, err := d.cfg.Engine.Claimed(ctx, name)
	if errors.Is(err, rotation.ErrNotFound) {
		claim, err = rotation.Claim{Name: name}, nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	seen := partly
	if w.Whole {
		seen = wholly
	}
	claim.Note = fmt.Sprintf("%d %d %s", w.Due, w.TooOld, seen)
	if _, err := d.cfg.Engine.Claim(ctx, claim); err != nil {
		return fmt.Errorf("note %s: %w", name, err)
	}
	return nil
}

// trend reads the weeks up to the one whose digest was due last, the oldest first. One of which nothing is known is not whole.
func (d *digests) trend(ctx context.Context) ([]report.Week, error) {
	at := lastDue(d.cfg.Digest, d.now())
	if at.IsZero() {
		at = d.now() // none was due for long, and somebody asks for today's
	}
	var weeks []report.Week
	for back := report.Trend - 1; back >= 0; back-- {
		w := report.Week{Name: isoWeek(at.AddDate(0, 0, -7*back), d.cfg.Location)}
		claim, err := d.cfg.Engine.Claimed(ctx, "trend/"+w.Name)
		if err != nil && !errors.Is(err, rotation.ErrNotFound) {
			return nil, fmt.Errorf("read the trend of %s: %w", w.Name, err)
		}
		var seen string
		if n, err := fmt.Sscanf(claim.Note, "%d %d %s", &w.Due, &w.TooOld, &seen); n == 3 && err == nil {
			w.Whole = seen == wholly
		}
		weeks = append(weeks, w)
	}
	return weeks, nil
}

// isoWeek names the ISO week of a time.
func isoWeek(at time.Time, zone *time.Location) string {
	year, number := at.In(zone).ISOWeek()
	return fmt.Sprintf("%d-W%02d", year, number)
}

// changed tells how the last week compares with the one before, if both are known.
func changed(weeks []report.Week) string {
	if len(weeks) < 2 {
		return ""
	}
	before, now := weeks[len(weeks)-2], weeks[len(weeks)-1]
	switch more := now.Due - before.Due; {
	case !before.Whole || !now.Whole:
		return ""
	case more > 0:
		return fmt.Sprintf("That is %d more than the week before.", more)
	case more < 0:
		return fmt.Sprintf("That is %d fewer than the week before.", -more)
	}
	return "That is as many as the week before."
}

// sinceWeek tells how today compares with the week whose digest was last, if both are known.
func sinceWeek(weeks []report.Week, today report.Week) string {
	last := weeks[len(weeks)-1]
	than := "the digest of week " + last.Name + " told."
	switch more := today.Due - last.Due; {
	case !last.Whole || !today.Whole:
		return ""
	case more > 0:
		return fmt.Sprintf("That is %d more than %s", more, than)
	case more < 0:
		return fmt.Sprintf("That is %d fewer than %s", -more, than)
	}
	return "That is as many as " + than
}

// inWords is the digest for those who do not read it in Slack.
func inWords(v view, s rotation.Survey, running []rotation.Rotation, weeks []report.Week, names func(string) string) (report.Digest, error) {
	s = s.WithStuck(running)
	rows := byKey(s.Findings)
	due, _ := setApart(rows, s.At)
	week := weeks[len(weeks)-1].Name
	d := report.Digest{Week: week, Headline: unmarked(sentences(headline(s, due), changed(weeks), besides(rows, s.At)), names)}
	d.More = max(0, len(due)-report.MaxRows)
	for _, k := range due[:len(due)-d.More] {
		found := dueWords(v, k)
		row := report.Row{User: k.User.Name + " in " + v.account(k.User.Account), Key: string(k.Key.ID.Short()), Next: unmarked(v.whatNext(k), names)}
		if k.Breach == rotation.RootKey {
			row = report.Row{User: "The root user of " + v.accountInFull(k.User.Account), Next: "Delete the key, signed in as root."}
		} else if lines := strings.SplitN(found, "\n", 3); len(lines) == 3 {
			found = lines[1]
		}
		row.User, row.Found = unmarked(row.User, names), unmarked(found, names)
		d.Rows = append(d.Rows, row)
	}
	before, after := listsOf(v, s, running, rows)
	for _, l := range slices.Concat(before, after) {
		if len(l.lines) > 0 {
			d.Notes = append(d.Notes, report.Note{Title: unmarked(l.title, names), Lines: each(l.within(maxList), func(line string) string { return unmarked(line, names) })})
		}
	}
	ages := s.Ages()
	if ages == nil {
		return d, nil
	}
	var err error
	d.Alt = report.Alt(ages, v.policy.Bands(), weeks)
	d.Picture, err = report.Picture(ages, v.policy.Bands(), weeks)
	return d, err
}

var (
	marks = regexp.MustCompile(`<(?:!date\^[0-9]+\^[^|>]*\|([^>]*)|!subteam\^([^|>]*)(?:\|[^>]*)?|[@#]([^|>]*)(?:\|[^>]*)?)>`)
	faces = strings.NewReplacer("*", "", "`", "")
)

// unmarked is mrkdwn as words: dates as they are written where Slack formats none, and members and groups by their names.
func unmarked(mrkdwn string, names func(id string) string) string {
	words := marks.ReplaceAllStringFunc(mrkdwn, func(mark string) string {
		m := marks.FindStringSubmatch(mark)
		if m[1] != "" {
			return m[1]
		}
		return names(m[2] + m[3])
	})
	return html.UnescapeString(faces.Replace(words))
}
