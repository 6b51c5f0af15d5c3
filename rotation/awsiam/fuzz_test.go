package awsiam

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

// FuzzReportText reads any text as a report; checkReport says what must hold.
func FuzzReportText(f *testing.F) {
	for _, text := range []string{
		"",
		liveHeader,
		liveHeader + "\n" + liveRoot,
		"\ufeff" + liveHeader + ",additional_credentials_info\r\n" + liveRoot + ",N/A\r\n",
		liveHeader + "\n" + liveRow("ci", "TRUE,2026-06-01T08:00:00+00:00,N/A,N/A,N/A,FALSE,no_information,2026-09-11T13:14:52Z,N/A,s3"),
		liveHeader + "\n" + liveRow(`"a,b"`, "true,,not_supported,,,false,N/A,N/A,N/A,N/A") + "\n\n" + liveRoot,
		liveHeader + "\n" + liveRow("\"a\nb\"", "yes,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A"),
		liveHeader + ",USER\n" + liveRoot + ",ci",
		liveHeader + ",arn\n" + liveRoot + ",x",
		" \n\"\"",
	} {
		f.Add(text, uint64(len(text)))
	}
	f.Fuzz(checkReport)
}

// FuzzReportCells puts anything into the cells of one slot, so that no effort is lost on finding a header.
func FuzzReportCells(f *testing.F) {
	for _, cells := range [][5]string{
		{"true", "2026-06-01T08:00:00Z", "2026-09-11T13:14:52+02:00", "eu-west-1", "s3"},
		{"FALSE", "N/A", "n/a", "N/A", "N/A"},
		{"N/A", "no_information", "not_supported", "", ""},
		{"", "0001-01-01T00:00:00Z", "0001-01-01T01:00:00+01:00", "", ""},
		{"true", "2026-06-01T8:00:00Z", "2026-06-01T08:00:00,5Z", "no_information", "\""},
		{"true", "2026-02-30T08:00:00Z", "never", "", "a\nb"},
		{"false", "", "", "", ""},
		{"false", "N/A", "no_information", "N/A", "N/A"},
	} {
		f.Add("ci", cells[0], cells[1], cells[2], cells[3], cells[4], false, uint64(1))
		f.Add(rootUser, cells[0], cells[1], cells[2], cells[3], cells[4], true, uint64(2))
	}
	f.Fuzz(func(t *testing.T, user, active, rotated, used, region, service string, second bool, order uint64) {
		header, root := strings.Split(liveHeader, ","), strings.Split(liveRoot, ",")
		row := slices.Clone(root)
		row[0] = user
		slot := "access_key_1_active"
		if second {
			slot = "access_key_2_active"
		}
		copy(row[slices.Index(header, slot):], []string{active, rotated, used, region, service})
		checkReport(t, written(t, [][]string{header, root, row, root}), order)
	})
}

// checkReport reads a report twice, the second time with its columns in another order and their names in another case. Each time the
// outcome is the one that expectReport works out cell by cell.
func checkReport(t *testing.T, text string, order uint64) {
	t.Helper()
	records, lines, err := split(text)
	if err != nil || len(records) < 2 {
		if rows, err := readReport(text); err == nil || rows != nil {
			t.Fatalf("got %+v and error %v of a report without rows", rows, err)
		}
		return
	}
	compareReport(t, text, records, lines)
	if len(records[0]) > 1 && !strings.Contains(text, "\r") { // the one within a cell and an only cell that is empty do not survive being written
		shuffled := written(t, shuffle(records, order))
		records, lines, err := split(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		compareReport(t, shuffled, records, lines)
	}
}

func compareReport(t *testing.T, text string, records [][]string, lines []int) {
	t.Helper()
	want, problem := expectReport(records, lines)
	got, err := readReport(text)
	if problem != nil {
		if err == nil || got != nil {
			t.Fatalf("got %+v and error %v, want one about %q", got, err, problem)
		}
		for _, p := range problem {
			if !strings.Contains(err.Error(), p) {
				t.Fatalf("error %q does not name %q", err, p)
			}
		}
		return
	}
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("rows (-want +got):\n%s", diff)
	}
}

// split is the report's records, and the line on which each begins.
func split(text string) (records [][]string, lines []int, err error) {
	in := csv.NewReader(strings.NewReader(text))
	for {
		record, err := in.Read()
		if record == nil {
			return records, lines, ignoreEOF(err)
		}
		if err != nil {
			return nil, nil, err
		}
		line, _ := in.FieldPos(0)
		records, lines = append(records, record), append(lines, line)
	}
}

// expectReport works out what a report says, or what the error that refuses it must name.
func expectReport(records [][]string, lines []int) (rows []rotation.ReportRow, problem []string) {
	places := map[string][]int{}
	for i, name := range records[0] {
		name = columnName(name)
		places[name] = append(places[name], i)
	}
	for _, name := range wanted() {
		if len(places[name]) != 1 {
			return nil, []string{"column " + name}
		}
	}
	for i, record := range records[1:] {
		cell := func(name string) string { return record[places[name][0]] }
		row := rotation.ReportRow{User: cell("user"), Root: cell("user") == rootUser}
		if has := places["password_enabled"]; len(has) == 1 && !row.Root {
			row.Console = strings.EqualFold(record[has[0]], "true")
		}
		at := fmt.Sprintf("line %d:", lines[i+1])
		if row.User == "" {
			return nil, []string{at, "no user name"}
		}
		for slot := 1; slot <= 2; slot++ {
			k, inUse, bad := expectKey(func(name string) string { return cell(slotColumn(slot, name)) })
			if bad != "" {
				return nil, []string{at, slotColumn(slot, bad)}
			}
			if inUse {
				row.Keys = append(row.Keys, k)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// documentedDate is as lenient as time.Parse, which takes an hour of one digit and a comma before fractions: neither changes the date.
var documentedDate = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d?\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)$`)

// expectKey works out what a slot says, or which of its cells is in no documented form.
func expectKey(cell func(string) string) (k rotation.ReportKey, inUse bool, bad string) {
	switch active := strings.ToLower(cell("active")); active {
	case "true", "false", "n/a":
		k.Active = active == "true"
	default:
		return k, false, "active"
	}
	dates := map[string]time.Time{}
	none := true
	for _, name := range []string{"last_rotated", "last_used_date"} {
		value := cell(name)
		switch strings.ToLower(value) {
		case "n/a":
			continue
		case "", "no_information", "not_supported":
			none = false
			continue
		}
		at, err := time.Parse(time.RFC3339, value)
		if err != nil || !documentedDate.MatchString(value) || at.IsZero() {
			return k, false, name
		}
		none = false
		dates[name] = at.UTC()
	}
	k.Rotated = dates["last_rotated"]
	if at, ok := dates["last_used_date"]; ok {
		plain := func(s string) string {
			if strings.EqualFold(s, "n/a") {
				return ""
			}
			return s
		}
		k.LastUse = rotation.LastUse{State: rotation.Used, At: at, Service: plain(cell("last_used_service")), Region: plain(cell("last_used_region"))}
	} else if strings.EqualFold(cell("last_used_date"), "n/a") {
		k.LastUse.State = rotation.NeverUsed
	}
	return k, k.Active || !none, ""
}

func columnName(cell string) string {
	return strings.ToLower(strings.TrimSpace(strings.TrimPrefix(cell, "\ufeff")))
}

func slotColumn(slot int, name string) string { return fmt.Sprintf("access_key_%d_%s", slot, name) }

// wanted are the columns that must be there, once.
func wanted() []string {
	names := []string{"user"}
	for slot := 1; slot <= 2; slot++ {
		for _, name := range []string{"active", "last_rotated", "last_used_date", "last_used_region", "last_used_service"} {
			names = append(names, slotColumn(slot, name))
		}
	}
	return names
}

// shuffle puts the columns in another order, and writes some of the names that are wanted in capitals.
func shuffle(records [][]string, order uint64) [][]string {
	random := rand.New(rand.NewPCG(order, 0))
	places := random.Perm(len(records[0]))
	shuffled := make([][]string, len(records))
	for i, record := range records {
		for _, at := range places {
			shuffled[i] = append(shuffled[i], record[at])
		}
	}
	for i, cell := range shuffled[0] {
		if name := columnName(cell); slices.Contains(wanted(), name) && random.IntN(2) == 0 {
			shuffled[0][i] = strings.ToUpper(name)
		}
	}
	return shuffled
}

func written(t *testing.T, records [][]string) string {
	t.Helper()
	var b strings.Builder
	if err := csv.NewWriter(&b).WriteAll(records); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
