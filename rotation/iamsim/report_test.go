package iamsim_test

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

func (w *world) generate(t *testing.T) types.ReportStateType {
	t.Helper()
	return must(w.iam.GenerateCredentialReport(t.Context(), nil))(t).State
}

func TestReport_States(t *testing.T) {
	w := newWorld(t, iamsim.Config{ReportDelay: 2 * time.Second})
	get := func() (*iam.GetCredentialReportOutput, error) { return w.iam.GetCredentialReport(t.Context(), nil) }
	_, err := get()
	wantTyped[*types.CredentialReportNotPresentException](t, err)
	diff(t, w.generate(t), types.ReportStateTypeStarted)
	_, err = get()
	wantTyped[*types.CredentialReportNotReadyException](t, err)
	diff(t, w.generate(t), types.ReportStateTypeInprogress)
	w.clock.Skip(2 * time.Second)
	diff(t, w.generate(t), types.ReportStateTypeComplete)
	first := must(get())(t)
	if !first.GeneratedTime.Equal(start) || first.ReportFormat != types.ReportFormatTypeTextCsv {
		t.Errorf("generated %s as %s", first.GeneratedTime, first.ReportFormat)
	}

	w.account.AddUser(iamsim.User{Name: "later"})
	w.clock.Skip(4*time.Hour - 3*time.Second)
	diff(t, w.generate(t), types.ReportStateTypeComplete)
	diff(t, string(must(get())(t).Content), string(first.Content))

	w.clock.Skip(time.Second)
	_, err = get()
	wantTyped[*types.CredentialReportExpiredException](t, err)
	diff(t, w.generate(t), types.ReportStateTypeStarted)
	w.clock.Skip(2 * time.Second)
	if !strings.Contains(string(must(get())(t).Content), "later,") {
		t.Error("the new report lacks the new user")
	}
}

func TestReport_Content(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{
		Name: "Zoe", Created: start.AddDate(-2, 0, 0), PasswordEnabled: true, MFA: true,
		PasswordLastUsed: start.AddDate(0, 0, -3),
	})
	w.account.AddUser(iamsim.User{Name: "ann,bob", Path: "/x/", Created: start.AddDate(-1, 0, 0), PasswordEnabled: true})
	w.account.AddUser(iamsim.User{Name: "Mel", Created: start.AddDate(-1, 0, 0)})
	w.account.AddKey("mel", iamsim.Key{ID: "AKIA7777777777777777", Created: start.AddDate(0, 0, -1)})
	w.account.AddKey("mel", iamsim.Key{
		ID: "AKIA2222222222222222", Created: start.AddDate(0, 0, -100), Inactive: true,
		LastUsed: start.AddDate(0, 0, -9), Service: "s3", Region: "eu-west-1",
	})
	w.account.SetRootKey(start.AddDate(-3, 0, 0), start.AddDate(0, -1, 0))
	w.generate(t)
	text := string(must(w.iam.GetCredentialReport(t.Context(), nil))(t).Content)
	if strings.HasSuffix(text, "\n") || strings.Contains(text, "\r") {
		t.Error("the report ends in a newline or has CR")
	}
	rows := must(csv.NewReader(strings.NewReader(text)).ReadAll())(t)
	header := "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active," +
		"access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service," +
		"access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service," +
		"cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
	noKey, noCert := " false N/A N/A N/A N/A", " false N/A false N/A"
	want := []string{
		strings.ReplaceAll(header, ",", " "),
		"<root_account> arn:aws:iam::111122223333:root 2016-11-23T09:00:00Z true no_information 2016-11-23T09:00:00Z not_supported true" +
			" true 2023-11-23T09:00:00Z 2026-10-23T09:00:00Z us-east-1 s3" + noKey + noCert,
		"ann,bob arn:aws:iam::111122223333:user/x/ann,bob 2025-11-23T09:00:00Z true no_information 2025-11-23T09:00:00Z N/A false" + noKey + noKey + noCert,
		"Mel arn:aws:iam::111122223333:user/Mel 2025-11-23T09:00:00Z false N/A N/A N/A false" +
			" false 2026-08-15T09:00:00Z 2026-11-14T09:00:00Z eu-west-1 s3" +
			" true 2026-11-22T09:00:00Z N/A N/A N/A" + noCert,
		"Zoe arn:aws:iam::111122223333:user/Zoe 2024-11-23T09:00:00Z true 2026-11-20T09:00:00Z 2024-11-23T09:00:00Z N/A true" + noKey + noKey + noCert,
	}
	var got []string
	for _, row := range rows {
		got = append(got, strings.Join(row, " "))
	}
	diff(t, got, want)
}
