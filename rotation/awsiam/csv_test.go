package awsiam

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

// The header and rows in the form of a live report of September 2026: lower-case booleans, dates with Z, no newline at the end.
const (
	liveHeader = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active," +
		"access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service," +
		"access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service," +
		"cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
	liveRoot = "<root_account>,arn:aws:iam::111122223333:root,2016-01-02T03:04:05Z,true,no_information,2016-01-02T03:04:05Z,not_supported,true," +
		"false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
	noKeys = ",false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
)

// liveRow is a user's row with the cells of both key slots.
func liveRow(user, keys string) string {
	return user + ",arn:aws:iam::111122223333:user/x,2020-01-02T03:04:05Z,false,N/A,N/A,N/A,false," + keys + ",false,N/A,false,N/A"
}

// readReport collects what a report tells; nothing if it is refused.
func readReport(text string) (rows []rotation.ReportRow, err error) {
	err = parseReport(strings.NewReader(text), func(row rotation.ReportRow) error {
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func TestParseReport(t *testing.T) {
	created := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	used := time.Date(2026, 9, 11, 13, 14, 52, 0, time.UTC)
	root := rotation.ReportRow{User: rootUser, Root: true}
	both := rotation.ReportRow{User: "ci", Keys: []rotation.ReportKey{
		{Active: true, Rotated: created, LastUse: rotation.LastUse{State: rotation.Used, At: used, Service: "s3"}},
		{Rotated: created, LastUse: rotation.LastUse{State: rotation.NeverUsed}},
	}}
	const bothCells = "true,2026-06-01T08:00:00Z,2026-09-11T13:14:52Z,N/A,s3,false,2026-06-01T08:00:00Z,N/A,N/A,N/A"
	for _, test := range []struct {
		name string
		text string
		want []rotation.ReportRow
	}{
		{"live", liveHeader + "\n" + liveRoot + "\n" + liveRow("ci", bothCells), []rotation.ReportRow{root, both}},
		{
			"as documented and in older captures",
			liveHeader + ",additional_credentials_info\r\n" + liveRoot + ",N/A\r\n" +
				liveRow("ci", "TRUE,2026-06-01T08:00:00+00:00,2026-09-11T15:14:52+02:00,N/A,s3,FALSE,2026-06-01T08:00:00+00:00,N/A,N/A,N/A") +
				",\"1 more, see ListSigningCertificates\"\r\n",
			[]rotation.ReportRow{root, both},
		},
		{
			"columns in another order",
			"access_key_2_last_used_service,access_key_2_last_used_region,access_key_2_last_used_date,access_key_2_last_rotated,access_key_2_active," +
				"access_key_1_last_used_service,access_key_1_last_used_region,access_key_1_last_used_date,access_key_1_last_rotated,Access_Key_1_Active,user\n" +
				"N/A,N/A,N/A,2026-06-01T08:00:00Z,false,s3,N/A,2026-09-11T13:14:52Z,2026-06-01T08:00:00Z,true,ci",
			[]rotation.ReportRow{both},
		},
		{"byte order mark", "\ufeff" + liveHeader + "\n" + liveRoot, []rotation.ReportRow{root}},
		{"comma in a name", liveHeader + "\n" + liveRow(`"a,b"`, noKeys[1:len(noKeys)-len(",false,N/A,false,N/A")]), []rotation.ReportRow{{User: "a,b"}}},
		{
			"root with a key",
			liveHeader + "\n" + strings.Replace(liveRoot, noKeys,
				",true,2026-06-01T08:00:00Z,2026-09-11T13:14:52Z,us-east-1,iam,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A", 1),
			[]rotation.ReportRow{{User: rootUser, Root: true, Keys: []rotation.ReportKey{{
				Active: true, Rotated: created, LastUse: rotation.LastUse{State: rotation.Used, At: used, Service: "iam", Region: "us-east-1"},
			}}}},
		},
		{
			"active key without dates, nothing known of its use; the second slot may hold an inactive one",
			liveHeader + "\n" + liveRow("ci", "true,not_supported,no_information,N/A,N/A,false,,,,"),
			[]rotation.ReportRow{{User: "ci", Keys: []rotation.ReportKey{{Active: true}, {}}}},
		},
		{
			"inactive key of a documented report: only its use tells of it",
			liveHeader + "\n" + liveRow("ci", "false,N/A,2026-09-11T13:14:52Z,eu-west-1,sts,false,N/A,N/A,N/A,N/A"),
			[]rotation.ReportRow{{User: "ci", Keys: []rotation.ReportKey{
				{LastUse: rotation.LastUse{State: rotation.Used, At: used, Service: "sts", Region: "eu-west-1"}},
			}}},
		},
		{
			"people, who have a password",
			liveHeader + "\n" + strings.Replace(liveRow("ana", noKeys[1:len(noKeys)-len(",false,N/A,false,N/A")]), "Z,false,", "Z,TRUE,", 1) + "\n" +
				strings.Replace(liveRow("ben", noKeys[1:len(noKeys)-len(",false,N/A,false,N/A")]), "Z,false,", "Z,not_supported,", 1),
			[]rotation.ReportRow{{User: "ana", Console: true}, {User: "ben"}},
		},
		{
			"second slot only",
			liveHeader + "\n" + liveRow("ci", "false,N/A,N/A,N/A,N/A,true,2026-06-01T08:00:00Z,N/A,N/A,N/A"),
			[]rotation.ReportRow{{User: "ci", Keys: []rotation.ReportKey{
				{Active: true, Rotated: created, LastUse: rotation.LastUse{State: rotation.NeverUsed}},
			}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readReport(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseReport_Refuses(t *testing.T) {
	const cells = "true,2026-06-01T08:00:00Z,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A"
	for _, test := range []struct {
		name string
		text string
		want string
	}{
		{"nothing", "", "header"},
		{"a page", "<html><body>welcome</body></html>", "no column user"},
		{"a column is missing", strings.Replace(liveHeader, "access_key_2_active", "x", 1) + "\n" + liveRoot, "no column access_key_2_active"},
		{"a column twice", liveHeader + ",USER\n" + liveRoot + ",ci", "more than one column user"},
		{"no rows", liveHeader + "\n", "no rows"},
		{"cut row", liveHeader + "\n" + liveRoot + "\n" + liveRow("ci", cells)[:100], "wrong number of fields"},
		{"name with a bare comma", liveHeader + "\n" + liveRow("a,b", cells), "wrong number of fields"},
		{"no name", liveHeader + "\n" + liveRow("", cells), "no user name"},
		{"boolean", liveHeader + "\n" + liveRow("ci", strings.Replace(cells, "true", "yes", 1)), `line 2: user ci: access_key_1_active is neither true nor false: "yes"`},
		{"no boolean", liveHeader + "\n" + liveRow("ci", strings.Replace(cells, "true", "no_information", 1)), "neither true nor false"},
		{"rotated", liveHeader + "\n" + liveRow("ci", strings.Replace(cells, "2026-06-01T08:00:00Z", "1st of June", 1)), "access_key_1_last_rotated is not a date"},
		{"used", liveHeader + "\n" + liveRow("ci", strings.Replace(cells, "Z,N/A", "Z,never", 1)), "access_key_1_last_used_date is not a date"},
		{"year one", liveHeader + "\n" + liveRow("ci", strings.Replace(cells, "Z,N/A", "Z,0001-01-01T00:00:00Z", 1)), "not a date"},
		{"quotes", liveHeader + "\n" + `"ci`, "report"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readReport(test.text)
			if err == nil || rows != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v, want an error with %q", rows, err, test.want)
			}
		})
	}
}
