package slacksim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxBody    = 4 << 20 // of an API request
	maxUpload  = 32 << 20
	apiPath    = "/api/"
	linkPath   = "/link/"
	hooksPath  = "/hooks/"
	uploadPath = "/upload/"
)

// ServeHTTP is the protocol face: the Web API below /api/, Socket Mode at /link/,
// response URLs below /hooks/ and file uploads below /upload/. Every URL it hands
// out has the host it was asked under.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == linkPath || path == strings.TrimSuffix(linkPath, "/"):
		s.serveLink(w, r)
	case strings.HasPrefix(path, apiPath):
		s.exchange(w, r, maxBody, strings.TrimPrefix(path, apiPath), s.serveMethod)
	case strings.HasPrefix(path, hooksPath):
		s.exchange(w, r, maxBody, "response_url", s.serveHook)
	case strings.HasPrefix(path, uploadPath):
		s.exchange(w, r, maxUpload, "upload", s.serveUpload)
	default:
		http.NotFound(w, r)
	}
}

// call is one request on the protocol face.
type call struct {
	name string // the method, "response_url" or "upload"
	req  *http.Request
	body []byte
	args args
	base string // scheme and host to build URLs with
}

// answer is what a call is replied with.
type answer struct {
	status int // 0 means 200
	header http.Header
	body   any // JSON, or a string sent as it is
}

// exchange reads the request, applies planned faults, has it served and records both
// directions.
func (s *Sim) exchange(w http.ResponseWriter, r *http.Request, limit int64, name string, serve func(*call) answer) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		http.Error(w, "request body unreadable", http.StatusBadRequest)
		return
	}
	c := &call{name: name, req: r, body: body, base: "http://" + r.Host}
	if r.TLS != nil {
		c.base = "https://" + r.Host
	}
	ans := s.withFault(c, serve)
	if ans == nil {
		s.recordCall(c, nil)
		panic(http.ErrAbortHandler) // cut the connection, as the fault asked
	}
	out, contentType := encode(ans.body)
	s.recordCall(c, out)
	w.Header().Set("Content-Type", contentType)
	maps.Copy(w.Header(), ans.header)
	w.WriteHeader(orDefault(ans.status, http.StatusOK))
	_, _ = w.Write(out) // a client gone by now has nobody to tell
}

func encode(body any) (out []byte, contentType string) {
	if text, ok := body.(string); ok {
		return []byte(text), "text/html"
	}
	return mustJSON(body), "application/json; charset=utf-8"
}

// mustJSON marshals values built here from maps, strings and numbers, or decoded from
// JSON: neither can fail. HTML is not escaped, as Slack does not.
func mustJSON(value any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(fmt.Sprintf("slacksim: encode own JSON: %v", err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// args are a request's arguments. Form fields, query parameters and JSON members all
// become strings, JSON values that are not strings as their JSON text, so that an
// object means the same inside a JSON body and encoded into a form field.
type args map[string]string

// parseArgs understands what the vendors' clients send: forms, multipart forms, JSON,
// query strings, and an empty body under any content type.
func parseArgs(r *http.Request, body []byte) (args, error) {
	a := args{}
	a.add(r.URL.Query())
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(bytes.TrimSpace(body)) == 0 {
		return a, nil
	}
	if contentType == "application/json" {
		return a, a.addJSON(body)
	}
	if contentType == "multipart/form-data" {
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err := r.ParseMultipartForm(maxUpload); err != nil {
			return nil, fmt.Errorf("parse multipart form: %w", err)
		}
		a.add(r.MultipartForm.Value)
		return a, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("parse form: %w", err)
	}
	a.add(form)
	return a, nil
}

func (a args) add(values map[string][]string) {
	for key, v := range values {
		if len(v) > 0 {
			a[key] = v[len(v)-1]
		}
	}
}

func (a args) addJSON(body []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return fmt.Errorf("parse JSON body: %w", err)
	}
	for key, raw := range fields {
		var text string
		switch {
		case string(raw) == "null":
		case json.Unmarshal(raw, &text) == nil:
			a[key] = text
		default:
			a[key] = string(raw)
		}
	}
	return nil
}

// json decodes an argument that holds JSON, with numbers kept as written. ok is false
// when it is absent or null.
func (a args) json(key string, into any) (ok bool, err error) {
	text := strings.TrimSpace(a[key])
	if text == "" || text == "null" {
		return false, nil
	}
	return true, decodeJSON([]byte(text), into)
}

func decodeJSON(raw []byte, into any) error {
	if !json.Valid(raw) {
		return errors.New("invalid JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("decode JSON: %w", err)
	}
	return nil
}

func (a args) yes(key string) bool {
	return a[key] == "1" || strings.EqualFold(a[key], "true")
}

// wait blocks for a fault's delay, or until the client goes away.
func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
