package slacksim

import (
	"bytes"
	"regexp"
	"sync"
)

// recorder keeps what crossed one face, newest bytes last, within a limit.
type recorder struct {
	mu      sync.Mutex
	limit   int
	size    int
	records [][]byte
}

// record keeps one exchange under its name.
func (rec *recorder) record(name string, parts ...[]byte) {
	line := bytes.Join(append([][]byte{[]byte(name)}, parts...), []byte("\n"))
	line = append(line, '\n')
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.records = append(rec.records, line)
	rec.size += len(line)
	for rec.size > rec.limit && len(rec.records) > 1 {
		rec.size -= len(rec.records[0])
		rec.records[0] = nil // let it go before the slice is reallocated
		rec.records = rec.records[1:]
	}
}

var anyToken = regexp.MustCompile(`(?:xox[a-z]|xapp)-[\w-]+`)

// recordCall keeps a call, unless it carries a token that was not minted here and might be
// somebody's real one.
func (s *Sim) recordCall(c *call, out []byte) {
	query := []byte(c.req.URL.String())
	for _, token := range append(anyToken.FindAll(c.body, -1), anyToken.FindAll(query, -1)...) {
		if !bytes.Contains(token, []byte(fakeMark)) {
			return
		}
	}
	s.api.record(c.name, query, c.body, out)
}

func (rec *recorder) all() [][]byte {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([][]byte(nil), rec.records...)
}

// Traffic returns every byte that crossed the protocol face, the sockets and the
// control face, for tests that look for secrets: request lines, bodies, replies and
// frames, but no headers. Requests with a credential that is not the simulator's own
// are left out. Each face keeps [Config.KeepTraffic] bytes.
func (s *Sim) Traffic() []byte {
	return bytes.Join(append(s.api.all(), s.pages.all()...), nil)
}

// Exchanges returns what crossed the protocol face and the sockets one exchange at a
// time, oldest first. Each begins with its name and a newline: an API method such as
// "chat.postMessage", "response_url", "upload", "frame sent", "frame received" or "close received",
// whose code follows.
// A test can so except the one exchange that may hold a secret.
func (s *Sim) Exchanges() [][]byte { return s.api.all() }
