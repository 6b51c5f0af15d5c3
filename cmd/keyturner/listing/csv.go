package listing

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// csvColumns are the columns of the CSV. New ones come at the end.
var csvColumns = []string{
	"schema", "record", "scanned_at", "account_id", "account_name", "rule", "severity", "controls", "user", "user_id", "user_path",
	"key_id", "key_status", "key_created", "key_age_days", "last_use", "last_used", "last_used_service", "last_used_region",
	"owner", "owner_known", "exempt", "exempt_reason", "exempt_until", "account_state", "account_users", "report_made", "remark", "max_age_days",
}

// CSV writes a record "account" for each account and a record "finding" for each finding, under a header. A cell that a spreadsheet would
// take for a formula begins with an apostrophe.
func (l Listing) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{csvColumns}
	row := func(cells map[string]string) {
		cells["schema"], cells["scanned_at"] = l.Schema, stamp(&l.ScannedAt)
		line := make([]string, len(csvColumns))
		for i, name := range csvColumns {
			line[i] = harmless(cells[name])
		}
		rows = append(rows, line)
	}
	for _, a := range l.Accounts {
		row(map[string]string{
			"record": "account", "account_id": a.ID, "account_name": a.Name, "account_state": a.State, "account_users": strconv.Itoa(a.Users),
			"report_made": stamp(a.ReportMade), "remark": strings.Join(a.lacks(), ". "),
		})
	}
	for _, f := range l.Findings {
		age := ""
		if f.KeyAge != nil {
			age = strconv.Itoa(*f.KeyAge)
		}
		row(map[string]string{
			"record": "finding", "account_id": f.AccountID, "account_name": f.AccountName, "rule": f.Rule, "severity": f.Severity,
			"controls": strings.Join(f.Controls, "; "), "user": f.User, "user_id": f.UserID, "user_path": f.UserPath,
			"key_id": f.KeyID, "key_status": f.KeyStatus, "key_created": stamp(f.KeyCreated), "key_age_days": age,
			"last_use": f.LastUse, "last_used": stamp(f.LastUsed), "last_used_service": f.LastService, "last_used_region": f.LastRegion,
			"owner": f.Owner, "owner_known": strconv.FormatBool(f.OwnerKnown),
			"max_age_days": strconv.Itoa(f.MaxAge), "exempt": strconv.FormatBool(f.Exempt), "exempt_reason": f.ExemptReason, "exempt_until": stamp(f.ExemptUntil),
			"remark": f.Remark,
		})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// harmless keeps a spreadsheet from running a cell.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
