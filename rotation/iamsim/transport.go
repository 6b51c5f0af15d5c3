package iamsim

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// PlainBodies returns a round tripper that hides the WriteTo of request bodies
// from next; nil means http.DefaultTransport. Over a socket, give the SDK's HTTP
// client one.
//
// smithy-go v1.28.8 closes a request's body as soon as it has the head of the
// answer. WriteTo of a closed body is an io.EOF, for which net/http drops the
// connection if it is still about to look for the end of the body. A server as
// near as this one wins that race now and then, and an answer of more than a few
// kilobytes then fails with "use of closed network connection", which the SDK
// does not retry. [Sim.Transport] and other languages' clients are not affected.
func PlainBodies(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return plainBodies{next}
}

type plainBodies struct{ next http.RoundTripper }

func (p plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return p.next.RoundTrip(r)
}

// Transport returns a round tripper that serves requests in this process, with
// no socket in between: for tests in a synctest bubble, and for clients that keep
// AWS's own host names. A connection that a fault cuts shows as io.EOF, or as
// io.ErrUnexpectedEOF in the middle of the body.
func (s *Sim) Transport() http.RoundTripper { return transport{s} }

type transport struct{ sim *Sim }

// RoundTrip serves one request as a server's goroutine would and gives up with
// the request's context.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in, err := incoming(r)
	if err != nil {
		return nil, err
	}
	done := make(chan *answerBuffer, 1)
	go func() {
		w := &answerBuffer{header: http.Header{}}
		defer func() { done <- w }()
		w.serve(t.sim, in)
	}()
	select {
	case w := <-done:
		return w.response(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// incoming is a client's request as its server sees it.
func incoming(r *http.Request) (*http.Request, error) {
	in := r.Clone(r.Context())
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	body, err := io.ReadAll(bodyOf(r))
	if err != nil {
		return nil, err
	}
	if r.Body != nil {
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.ContentLength = int64(len(body))
	return in, nil
}

// answerBuffer is the http.ResponseWriter of a [transport].
type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
	cut    bool
}

func (w *answerBuffer) Header() http.Header         { return w.header }
func (w *answerBuffer) WriteHeader(status int)      { w.status = status }
func (w *answerBuffer) Write(b []byte) (int, error) { return w.body.Write(b) }
func (w *answerBuffer) Flush()                      {}

// serve runs the handler and notes whether it cut the connection.
func (w *answerBuffer) serve(s *Sim, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			w.cut = true
		}
	}()
	s.serve(w, r)
}

// response is the answer as the client receives it.
func (w *answerBuffer) response(r *http.Request) (*http.Response, error) {
	if w.cut && w.status == 0 {
		return nil, io.EOF
	}
	body := io.Reader(&w.body)
	if w.cut {
		body = io.MultiReader(body, cutReader{})
	}
	length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
	if err != nil {
		length = -1
	}
	return &http.Response{
		Status:     strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode: w.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(body), ContentLength: length, Request: r,
	}, nil
}

// cutReader is the end of a body that did not arrive in full.
type cutReader struct{}

func (cutReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
