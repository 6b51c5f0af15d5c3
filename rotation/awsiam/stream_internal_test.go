package awsiam

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/keyturner/keyturner/rotation"
)

// bodyOf answers with a body.
type bodyOf string

func (b bodyOf) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(b)))}, nil
}

// TestStreamedReport: nothing but the content is taken out of an answer, wherever the tag begins; and what was told once is not told again.
func TestStreamedReport(t *testing.T) {
	report := base64.StdEncoding.EncodeToString([]byte(liveHeader + "\n" + liveRoot))
	for _, around := range [][2]string{{"<a>", "</a>"}, {"<Con", "<Content"}, {"<", ""}, {"", "<b>x</b>"}} {
		for _, pieces := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader} {
			rows := 0
			s := &streamedReport{
				next: bodyOf(around[0] + "<Content>" + report + "</Content>" + around[1]),
				each: func(rotation.ReportRow) error { rows++; return nil },
			}
			out, err := s.Do(nil)
			if err != nil {
				t.Fatal(err)
			}
			left, err := io.ReadAll(pieces(out.Body))
			if want := around[0] + "<Content></Content>" + around[1]; string(left) != want || err != nil || rows != 1 || s.rows.err != nil {
				t.Errorf("left is %q, want %q; %d rows, errors %v and %v", left, want, rows, err, s.rows.err)
			}
			if _, err := s.Do(nil); !errors.Is(err, errBroken) || rows != 1 {
				t.Errorf("asked again: %d rows, error %v", rows, err)
			}
			if err := out.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
