package iamsim

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"strconv"
	"time"
)

// reportLife is how long a credential report is kept, and no other made.
const reportLife = 4 * time.Hour

// States of the making of a report.
const (
	reportStarted    = "STARTED"
	reportInProgress = "INPROGRESS"
	reportComplete   = "COMPLETE"
)

// reportColumns are the header of the credential report, as captured live in
// September 2026. The documented additional_credentials_info was not among them.
var reportColumns = []string{
	"user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed",
	"password_next_rotation", "mfa_active", "access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date",
	"access_key_1_last_used_region", "access_key_1_last_used_service", "access_key_2_active", "access_key_2_last_rotated",
	"access_key_2_last_used_date", "access_key_2_last_used_region", "access_key_2_last_used_service",
	"cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated",
}

// report is the one credential report that an account has. It shows the account
// as it was when the report was asked for.
type report struct {
	content   []byte
	generated time.Time
	ready     time.Time
}

func (p *report) expired(now time.Time) bool { return now.Sub(p.generated) >= reportLife }

type generateCredentialReportResult struct {
	State       string
	Description string `xml:",omitempty"`
}

func generateCredentialReport(rq *request) (any, error) {
	current := rq.account.report
	switch {
	case current == nil || current.expired(rq.now):
		content, err := rq.account.credentialReport(rq.now)
		if err != nil {
			return nil, err
		}
		rq.account.report = &report{content: content, generated: seconds(rq.now), ready: rq.now.Add(rq.sim.cfg.ReportDelay)}
		return generateCredentialReportResult{reportStarted, "No report exists. Starting a new report generation task"}, nil
	case rq.now.Before(current.ready):
		return generateCredentialReportResult{State: reportInProgress}, nil
	default:
		return generateCredentialReportResult{State: reportComplete}, nil
	}
}

type getCredentialReportResult struct {
	Content       string
	ReportFormat  string
	GeneratedTime string
}

func getCredentialReport(rq *request) (any, error) {
	current := rq.account.report
	switch {
	case current == nil:
		return nil, namedError("ReportNotPresent")
	case rq.now.Before(current.ready):
		return nil, namedError("ReportInProgress")
	case current.expired(rq.now):
		return nil, namedError("ReportExpired")
	}
	return getCredentialReportResult{
		Content:       base64.StdEncoding.EncodeToString(current.content),
		ReportFormat:  "text/csv",
		GeneratedTime: stamp(current.generated),
	}, nil
}

// credentialReport is the CSV of the account: root first, then users by name
// without case, and no newline at the end. The lock is held.
func (a *Account) credentialReport(now time.Time) ([]byte, error) {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	rows := append(make([][]string, 0, len(a.users)+2), reportColumns, a.rootRow())
	for _, u := range a.users {
		rows = append(rows, u.reportRow(now))
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// rootRow is the row of the root user, who has a password and an MFA device.
func (a *Account) rootRow() []string {
	row := []string{
		"<root_account>", a.arn("iam", "root"), stamp(a.created),
		"true", "no_information", stamp(a.created), "not_supported", "true",
	}
	key := noKeyCells()
	if a.root != nil {
		key = keyCells(true, a.root.Created, use{service: notApplicable, region: notApplicable})
		if !a.root.LastUsed.IsZero() {
			key = keyCells(true, a.root.Created, use{at: a.root.LastUsed, service: a.root.Service, region: a.root.Region})
		}
	}
	row = append(row, key...)
	row = append(row, noKeyCells()...)
	return append(row, noCertCells()...)
}

func (u *user) reportRow(now time.Time) []string {
	row := []string{u.Name, u.arn(), stamp(u.Created)}
	row = append(row, u.passwordCells()...)
	for slot := range keyQuota {
		if slot >= len(u.keys) {
			row = append(row, noKeyCells()...)
			continue
		}
		k := u.keys[slot]
		row = append(row, keyCells(!k.inactive, k.created, k.lastUse(now))...)
	}
	return append(row, noCertCells()...)
}

// passwordCells are password_enabled to mfa_active.
func (u *user) passwordCells() []string {
	mfa := strconv.FormatBool(u.MFA)
	if !u.PasswordEnabled {
		return []string{"false", notApplicable, notApplicable, notApplicable, mfa}
	}
	lastUsed := stamp(u.PasswordLastUsed)
	if lastUsed == "" {
		lastUsed = "no_information"
	}
	return []string{"true", lastUsed, stamp(u.Created), notApplicable, mfa}
}

// keyCells are the five cells of one key.
func keyCells(active bool, created time.Time, last use) []string {
	date := stamp(last.at)
	if date == "" {
		date = notApplicable
	}
	return []string{strconv.FormatBool(active), stamp(created), date, last.region, last.service}
}

func noKeyCells() []string {
	return []string{"false", notApplicable, notApplicable, notApplicable, notApplicable}
}

func noCertCells() []string { return []string{"false", notApplicable, "false", notApplicable} }
