package awsiam

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/keyturner/keyturner/rotation"
)

// A report of 5,000 users has more than a megabyte. The SDK would have it three times over: as text, decoded and while it grows. So its content
// is taken out of the answer as that is read, and parsed at once; the SDK reads what stands beside it.

// streamedReport tells the rows of a report while its answer is read. It stands in for the SDK's HTTP client in one call.
type streamedReport struct {
	next iam.HTTPClient
	each func(rotation.ReportRow) error
	rows *parsing // nil: there was no answer with a report
}

// Do sends a request. What an answer has told cannot be told again: the SDK does not ask once more when one breaks off, and would be refused.
func (s *streamedReport) Do(r *http.Request) (*http.Response, error) {
	if s.rows != nil {
		return nil, errBroken
	}
	out, err := s.next.Do(r)
	if err != nil || out.StatusCode != http.StatusOK {
		return out, err
	}
	s.rows = parse(s.each)
	out.Body = &diverted{ReadCloser: out.Body, to: s.rows}
	return out, nil
}

var (
	errBroken    = errors.New("the answer broke off")
	errNoContent = errors.New("the answer has no content")
)

// parsing is a report that is parsed while it comes. What is written to it is the report in base64.
type parsing struct {
	to      *io.PipeWriter
	done    chan struct{}
	stopped error // by whom the rows are told
	err     error
}

func parse(each func(rotation.ReportRow) error) *parsing {
	from, to := io.Pipe()
	p := &parsing{to: to, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = parseReport(base64.NewDecoder(base64.StdEncoding, from), func(row rotation.ReportRow) error {
			p.stopped = each(row)
			return p.stopped
		})
		from.CloseWithError(errBroken) // nobody reads what else comes
	}()
	return p
}

// end says that no more comes: io.EOF if that was all. What was said first counts.
func (p *parsing) end(why error) {
	if p == nil {
		return
	}
	_ = p.to.CloseWithError(why) // which never fails
	<-p.done
}

// diverted is the body of an answer without what is between <Content> and the next tag.
type diverted struct {
	io.ReadCloser
	to     *parsing
	match  int // how much of the opening tag was read last
	inside bool
}

const contentTag = "<Content>"

// Read implements io.Reader.
func (d *diverted) Read(p []byte) (int, error) {
	for {
		n, err := d.ReadCloser.Read(p)
		if n = d.divert(p[:n]); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// divert takes the content out of a part of the body, and returns how much is left.
func (d *diverted) divert(p []byte) (kept int) {
	for i := 0; i < len(p); {
		if d.inside {
			end := bytes.IndexByte(p[i:], '<')
			if end < 0 {
				end = len(p) - i
			} else {
				d.inside = false
			}
			_, _ = d.to.to.Write(p[i : i+end]) // what was not wanted any more is passed over
			if i += end; !d.inside {
				d.to.end(io.EOF)
			}
			continue
		}
		switch p[i] {
		case contentTag[d.match]:
			d.match++
		case contentTag[0]:
			d.match = 1
		default:
			d.match = 0
		}
		if d.match == len(contentTag) {
			d.match, d.inside = 0, true
		}
		p[kept] = p[i]
		kept++
		i++
	}
	return kept
}

// Close ends the parsing too, if the content did not end.
func (d *diverted) Close() error {
	d.to.end(errNoContent)
	return d.ReadCloser.Close()
}
