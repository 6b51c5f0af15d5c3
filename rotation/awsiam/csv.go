package awsiam

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

const rootUser = "<root_account>"

// The columns that are read. AWS may add others, and their order is not relied upon.
const (
	colUser    = "user"
	colActive  = "access_key_%d_active"
	colRotated = "access_key_%d_last_rotated"
	colUsed    = "access_key_%d_last_used_date"
	colRegion  = "access_key_%d_last_used_region"
	colService = "access_key_%d_last_used_service"

	colConsole = "password_enabled" // a hint to people, so that a report without it is read all the same
)

// keySlots is how many keys of a user the report has columns for.
const keySlots = 2

// parseReport reads a credential report and calls each with a row at a time, so that no more than one is kept. A field that is in none of
// the documented forms fails the report: guessing would make an active key inactive or a used one unused. The rows before it were told
// then, and are to be forgotten. An error of each ends it, and is returned as it is.
func parseReport(r io.Reader, each func(rotation.ReportRow) error) error {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return fmt.Errorf("read the report's header: %w", err)
	}
	columns, err := findColumns(header)
	if err != nil {
		return err
	}
	for rows := 0; ; rows++ {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) && rows == 0 {
			return errors.New("the report has no rows, not even root's")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
		row, err := columns.row(fields)
		if err != nil {
			line, _ := in.FieldPos(0)
			return fmt.Errorf("read the report's line %d: %w", line, err)
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// columns is where a report has what is read of it.
type columns struct {
	user    int
	console int // below zero: there is none
	slots   [keySlots]slotColumns
}

type slotColumns struct{ active, rotated, used, region, service column }

// column is a column's name, for errors, and its place in a row.
type column struct {
	name string
	at   int
}

// findColumns looks the columns up in the header. Each must be there once: of two, either may be the one that is meant.
func findColumns(header []string) (columns, error) {
	places := make(map[string][]int, len(header))
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		places[name] = append(places[name], i)
	}
	var problems []string
	find := func(name string) column {
		switch at := places[name]; len(at) {
		case 0:
			problems = append(problems, "no column "+name)
		case 1:
			return column{name, at[0]}
		default:
			problems = append(problems, "more than one column "+name)
		}
		return column{}
	}
	c := columns{user: find(colUser).at, console: -1}
	if at := places[colConsole]; len(at) == 1 {
		c.console = at[0]
	}
	for i := range c.slots {
		slot := func(form string) column { return find(fmt.Sprintf(form, i+1)) }
		c.slots[i] = slotColumns{slot(colActive), slot(colRotated), slot(colUsed), slot(colRegion), slot(colService)}
	}
	if len(problems) > 0 {
		return columns{}, errors.New("the report has " + strings.Join(problems, ", "))
	}
	return c, nil
}

func (c columns) row(fields []string) (rotation.ReportRow, error) {
	user := fields[c.user]
	if user == "" {
		return rotation.ReportRow{}, errors.New("no user name")
	}
	row := rotation.ReportRow{User: user, Root: user == rootUser}
	row.Console = !row.Root && c.console >= 0 && strings.EqualFold(fields[c.console], "true")
	for _, slot := range c.slots {
		k, inUse, err := slot.key(fields)
		if err != nil {
			return rotation.ReportRow{}, fmt.Errorf("user %s: %w", user, err)
		}
		if inUse {
			row.Keys = append(row.Keys, k)
		}
	}
	return row, nil
}

// key reads a slot, and tells whether there is or may be a key in it: a date that is not known is not the absence of one.
func (s slotColumns) key(fields []string) (k rotation.ReportKey, inUse bool, err error) {
	if k.Active, err = s.active.boolean(fields); err != nil {
		return k, false, err
	}
	rotated, notRotated, err := s.rotated.date(fields)
	if err != nil {
		return k, false, err
	}
	used, notUsed, err := s.used.date(fields)
	if err != nil {
		return k, false, err
	}
	k.Rotated = rotated
	switch {
	case !used.IsZero():
		k.LastUse = rotation.LastUse{
			State: rotation.Used, At: used, Service: applicable(&fields[s.service.at]), Region: applicable(&fields[s.region.at]),
		}
	case notUsed == absent:
		k.LastUse.State = rotation.NeverUsed
	}
	return k, k.Active || notRotated != absent || notUsed != absent, nil
}

// absence is why the report has no value in a field.
type absence int

const (
	absent  absence = iota + 1 // "N/A": there is nothing of the kind
	unknown                    // "no_information", "not_supported" or nothing: there may be
)

func absenceOf(value string) absence {
	switch strings.ToLower(value) {
	case "n/a":
		return absent
	case "", "no_information", "not_supported":
		return unknown
	}
	return 0
}

// boolean reads "true" as in today's reports or "TRUE" as documented. N/A is no.
func (c column) boolean(fields []string) (bool, error) {
	value := fields[c.at]
	switch {
	case strings.EqualFold(value, "true"):
		return true, nil
	case strings.EqualFold(value, "false"), absenceOf(value) == absent:
		return false, nil
	}
	return false, fmt.Errorf("%s is neither true nor false: %q", c.name, value)
}

// date reads a time with Z, as in today's reports, or with an offset, as in older ones; or why there is none.
func (c column) date(fields []string) (time.Time, absence, error) {
	value := fields[c.at]
	if why := absenceOf(value); why != 0 {
		return time.Time{}, why, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil || at.IsZero() {
		return time.Time{}, 0, fmt.Errorf("%s is not a date: %q", c.name, value)
	}
	return at.UTC(), 0, nil
}
