package store_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// cable leads to dynalite and can be cut.
type cable struct {
	end string // dynalite's URL

	mu     sync.Mutex
	cut    func(operation string) (at cutAt) // nil: nowhere
	page   int                               // of a Query at most; 0: as many as fit
	behind map[string][]byte                 // what the index said when it was last asked, if it is to lag
	calls  map[string]int                    // requests, by operation
	stale  string                            // a read of the table, not of the index, that may be stale
}

// cutAt is where a request is lost.
type cutAt int

const (
	nowhere cutAt = iota
	before        // it does not arrive
	after         // its answer does not
)

// lay lays a cable to endpoint, and returns the URL of its other end.
func lay(t *testing.T, endpoint string) (*cable, string) {
	t.Helper()
	c := &cable{end: endpoint, calls: map[string]int{}}
	server := httptest.NewServer(c)
	t.Cleanup(func() {
		server.Close()
		if c.stale != "" {
			t.Errorf("a read that need not be consistent: %s", c.stale)
		}
	})
	return c, server.URL
}

// writesCut cuts the next n requests that write.
func (c *cable) writesCut(n int, at cutAt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = func(operation string) cutAt {
		if n == 0 || operation != "PutItem" && operation != "DeleteItem" {
			return nowhere
		}
		n--
		return at
	}
}

func (c *cable) whole() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = nil
}

func (c *cable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	c.calls[operation]++
	at := nowhere
	if c.cut != nil {
		at = c.cut(operation)
	}
	c.mu.Unlock()
	if at == before {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	ofIndex := bytes.Contains(body, []byte(`"IndexName"`))
	if (operation == "GetItem" || operation == "Query" && !ofIndex) && !bytes.Contains(body, []byte(`"ConsistentRead":true`)) {
		c.mu.Lock()
		c.stale = operation + " " + string(body)
		c.mu.Unlock()
	}
	if operation == "Query" {
		body = c.shorten(body)
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, c.end, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.Header = r.Header.Clone()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || at == after {
		panic(http.ErrAbortHandler)
	}
	if operation == "Query" && ofIndex {
		text = c.lagging(body, text)
		answer.Header.Del("X-Amz-Crc32") // the older answer's is another
	}
	answer.Header.Del("Content-Length")
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(text)
}

// shorten makes the pages of a Query small.
func (c *cable) shorten(body []byte) []byte {
	if c.page == 0 {
		return body
	}
	var query map[string]any
	if err := json.Unmarshal(body, &query); err != nil {
		panic(err)
	}
	query["Limit"] = c.page
	body, err := json.Marshal(query)
	if err != nil {
		panic(err)
	}
	return body
}

// lagging answers with what the index said when the same was last asked.
func (c *cable) lagging(body, now []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind == nil {
		return now
	}
	earlier, asked := c.behind[string(body)]
	c.behind[string(body)] = now
	if !asked {
		return []byte(`{"Count":0,"ScannedCount":0,"Items":[]}`)
	}
	return earlier
}
