package awsiam_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
)

// script answers a request with a body.
type script struct {
	body   io.Reader
	asked  int
	closed int
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	s.asked++
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: closing{s.body, s}, ContentLength: -1, Request: r}, nil
}

type closing struct {
	io.Reader
	s *script
}

func (c closing) Close() error {
	c.s.closed++
	return nil
}

// manyRows is a report of root and so many users, none of whom has a key.
func manyRows(users int) string {
	var text strings.Builder
	text.WriteString("user,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service," +
		"access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service\n")
	for i := range users + 1 {
		name := fmt.Sprintf("user-%d", i)
		if i == 0 {
			name = "<root_account>"
		}
		text.WriteString(name + strings.Repeat(",false,N/A,N/A,N/A,N/A", 2) + "\n")
	}
	return text.String()
}

func answer(content string) string {
	return "<GetCredentialReportResponse><GetCredentialReportResult>" + content + "<ReportFormat>text/csv</ReportFormat>" +
		"<GeneratedTime>2026-11-02T09:30:00Z</GeneratedTime></GetCredentialReportResult></GetCredentialReportResponse>"
}

func inBase64(text string) string {
	return "<Content>" + base64.StdEncoding.EncodeToString([]byte(text)) + "</Content>"
}

// TestReport_Streams: a report is read as it comes, in whichever pieces; one that breaks off is an error and not asked for again, so that nothing of
// it counts twice; what is no report is none.
func TestReport_Streams(t *testing.T) {
	const users = 3000
	whole := answer(inBase64(manyRows(users)))
	cut := func(at int) io.Reader {
		return io.MultiReader(strings.NewReader(whole[:at]), iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	read := func(text string) io.Reader { return strings.NewReader(text) }
	for _, test := range []struct {
		name string
		body io.Reader
		rows int // 0: it fails
		says string
	}{
		{"whole", read(whole), users + 1, ""},
		{"a byte at a time", iotest.OneByteReader(read(whole)), users + 1, ""},
		{"with the end at once", iotest.DataErrReader(read(whole)), users + 1, ""},
		{"cut in the midst", cut(len(whole) / 2), 0, "could not be read"},
		{"cut before the content", cut(30), 0, "could not be read"},
		{"cut behind the content", cut(len(whole) - 80), 0, "could not be read"},
		{"the content last", read(strings.Replace(answer("")+"", "</GetCredentialReportResult>", inBase64(manyRows(2))+"</GetCredentialReportResult>", 1)), 3, ""},
		{"in lines, as MIME has it", read(answer(inLines(inBase64(manyRows(20))))), 21, ""},
		{"no content", read(answer("")), 0, "no content"},
		{"an empty one", read(answer("<Content/>")), 0, "no content"},
		{"nothing in it", read(answer("<Content></Content>")), 0, "header"},
		{"no base64", read(answer("<Content>dXNlcg==!!!!</Content>")), 0, "base64"},
		{"cut base64", read(answer("<Content>" + base64.StdEncoding.EncodeToString([]byte(manyRows(99)))[:2001] + "</Content>")), 0, "EOF"},
		{"a bad row", read(answer(inBase64(manyRows(500) + "x,maybe\n" + manyRows(5000)))), 0, "wrong number of fields"},
		{"no time", read(strings.ReplaceAll(whole, "GeneratedTime", "Time")), 0, "no time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := &script{body: test.body}
				account, err := awsiam.New(awsiam.Config{ID: accountID, AWS: aws.Config{
					Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""), HTTPClient: &http.Client{Transport: wire},
				}})
				if err != nil {
					t.Fatal(err)
				}
				rows := 0
				made, err := account.Report(t.Context(), func(rotation.ReportRow) error { rows++; return nil })
				if wire.asked != 1 || wire.closed != 1 {
					t.Errorf("asked %d times, and %d bodies were closed", wire.asked, wire.closed)
				}
				if test.rows == 0 {
					if err == nil || !strings.Contains(err.Error(), test.says) || rotation.ClassOf(err) != rotation.ClassUnknown {
						t.Errorf("error %v, want one that says %q", err, test.says)
					}
					return
				}
				if err != nil || rows != test.rows || !made.Equal(time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)) {
					t.Errorf("%d rows, want %d; made %v, error %v", rows, test.rows, made, err)
				}
			})
		})
	}
}

// inLines breaks a text after every 76 bytes.
func inLines(text string) string {
	var out bytes.Buffer
	for i, b := range []byte(text) {
		if out.WriteByte(b); i%76 == 75 && i > len("<Content>") && i < len(text)-len("</Content>") {
			out.WriteString("\n")
		}
	}
	return out.String()
}

// TestReport_StopsWhenTold: an error of who is told the rows is returned as it is, and they are told no more.
func TestReport_StopsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, err := awsiam.New(awsiam.Config{ID: accountID, AWS: aws.Config{
			Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""),
			HTTPClient:  &http.Client{Transport: &script{body: strings.NewReader(answer(inBase64(manyRows(5000))))}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		enough, rows := errors.New("enough"), 0
		_, err = account.Report(t.Context(), func(rotation.ReportRow) error { rows++; return enough })
		if rows != 1 || !errors.Is(err, enough) || rotation.ClassOf(err) != rotation.ClassUnknown {
			t.Errorf("%d rows, error %v", rows, err)
		}
	})
}
