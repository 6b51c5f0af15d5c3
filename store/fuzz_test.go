package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyturner/keyturner/rotation"
)

// newest are the schemas that this program writes.
var newest = map[kind]int{progressKind: progressSchema, claimKind: claimSchema, entryKind: entrySchema, inboxKind: envelopeSchema}

// FuzzDocument reads any bytes as a document of each kind; checkDocument says what must hold of what is read. The number makes changes
// to it that must be refused.
func FuzzDocument(f *testing.F) {
	samples, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(samples) == 0 {
		f.Fatal(samples, err)
	}
	for i, path := range samples {
		doc, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc, uint(i))
	}
	for i, doc := range []string{
		``, `{}`, `null`, `{"schema":1}`, `{"schema":2}`, `{"schema":9,"users":[]}`, `{"schema":1,"schema":9,"rev":1}`, `{"schema":1,"rev":1,"user":{"account":"","name":""}}`,
		`{"schema":1,"rev":1,"user":{},"trail":[{"at":"2026-11-23T00:00:00+23:59"}]}`, `{"schema":1,"rev":1,"user":{},"rotation":{"intent":{"known":[]}}}`,
		`{"schema":1,"holder":"h","until":"2026-11-23T00:00:00Z"}`, `{"schema":1,"at":"2026-11-23T00:00:00.5+02:00","actor":"\ud800"}`,
		`{"schema":1,"SCHEMA":1,"rev":1,"user":{},"posts":{"a":{},"a":{"ts":"1"}}}`, `{"schema":2,"rev":18446744073709551615,"holder":"h"}`,
		`{"schema":1,"rev":1,"body":"Bwg=","done":true}`, `{"schema":1,"rev":1,"body":null,"at":null}`, "{\"schema\":1,\"rev\":1,\"holder\":\"\xff<&>\u2028\"} \n",
		`{"schema":1,"rev":1,"user":{"account":"1","name":"n"}}{}`, `{"schema":1,"rev":1,"user":{"account":"1","name":"n"},"color":"red"}`,
		`{"schema":2,"rev":1,"user":{"account":"1","name":"n"},"past":[],"posts":{},"notices":null}`,
	} {
		f.Add([]byte(doc), uint(i))
	}
	f.Fuzz(func(t *testing.T, doc []byte, change uint) {
		for _, k := range kinds {
			checkDocument(t, k, doc, change)
		}
	})
}

// checkDocument reads doc. What is accepted can be written, says the same when it is read again, and is then written in the same bytes.
func checkDocument(t *testing.T, k kind, doc []byte, change uint) {
	t.Helper()
	key := keyOf(k, doc)
	value, err := read(k, key, doc)
	if err != nil {
		if !cmp.Equal(value, empty(k)) {
			t.Errorf("%s: refused with %v, and read as %+v", k, err, value)
		}
		return
	}
	text, err := write(value)
	if err != nil && strings.Contains(err.Error(), "year outside of range") {
		return // there are times that can be read and, in UTC, not written
	}
	if err != nil {
		t.Fatalf("%s: read, and not written again: %v", k, err)
	}
	again, err := read(k, key, text)
	if diff := cmp.Diff(asWritten(value), again, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Fatalf("%s: read from what was written (-before +after), error %v:\n%s", k, err, diff)
	}
	if twice, err := write(again); err != nil || !bytes.Equal(text, twice) {
		t.Fatalf("%s: written again, error %v:\n%s\n%s", k, err, text, twice)
	}
	checkParsed(t, k, key, text)
	checkChanged(t, k, key, doc, change)
	checkChanged(t, k, key, text, change)
}

// checkParsed holds that the store finds the same rev with a look as by reading all of a document.
func checkParsed(t *testing.T, k kind, key string, doc []byte) {
	t.Helper()
	d, err := k.parse(key, doc)
	if err != nil || d.key != key {
		t.Fatalf("%s: parsed under the key %q, error %v", k, d.key, err)
	}
	rev, err := revOf(doc)
	if err != nil || rev != d.rev {
		t.Errorf("%s: at rev %d by a look, error %v, and at %d when read: %s", k, rev, err, d.rev, doc)
	}
}

// checkChanged makes a document that was read into one that must be refused.
func checkChanged(t *testing.T, k kind, key string, doc []byte, change uint) {
	t.Helper()
	doc = bytes.TrimSpace(doc)
	if _, err := read(k, key, append(bytes.Clone(doc), " \n\t"...)); err != nil {
		t.Errorf("%s: refused for the space at its end: %v", k, err)
	}
	tails := []string{"{}", "0", "x", "}", "\x00", "\ufeff", ",", string(doc)}
	if _, err := read(k, key, append(bytes.Clone(doc), tails[change%uint(len(tails))]...)); err == nil {
		t.Errorf("%s: read with %q at its end: %s", k, tails[change%uint(len(tails))], doc)
	}
	if _, err := read(k, key, doc[:len(doc)-1]); err == nil {
		t.Errorf("%s: read without its end: %s", k, doc)
	}
	head, rest, _ := bytes.Cut(doc, []byte("{"))
	insert := func(fields string) []byte {
		sep := ","
		if bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
			sep = ""
		}
		return slices.Concat(head, []byte("{"+fields+sep), rest)
	}
	unknown := fmt.Sprintf(`"field%d":null`, change)
	if _, err := read(k, key, insert(unknown)); err == nil {
		t.Errorf("%s: read with a field that it does not have: %s", k, insert(unknown))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc, &fields); err != nil {
		t.Fatalf("%s: %v", k, err)
	}
	for name := range fields {
		if strings.EqualFold(name, "schema") {
			delete(fields, name)
		}
	}
	later := newest[k] + 1 + int(change%1000)
	fields["schema"], _ = json.Marshal(later)
	if change%2 == 0 {
		fields["rev"] = json.RawMessage(`{"in":"another form"}`)
	}
	newer, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	_, err = read(k, key, newer)
	if refused, ok := errors.AsType[*newerError](err); !ok || refused.found != later || refused.known != newest[k] {
		t.Errorf("%s of schema %d: error %v", k, later, err)
	}
}

// keyOf is where a document could be stored: a progress has to be where its user is looked for.
func keyOf(k kind, doc []byte) string {
	if k != progressKind {
		return "name"
	}
	var about struct {
		User rotation.UserRef `json:"user"`
	}
	_ = json.NewDecoder(bytes.NewReader(doc)).Decode(&about) // what cannot be read is about nobody
	return about.User.ID()
}

func empty(k kind) any {
	return map[kind]any{progressKind: rotation.Progress{}, claimKind: rotation.Claim{}, entryKind: rotation.Entry{}, inboxKind: rotation.Envelope{}}[k]
}

func read(k kind, key string, doc []byte) (any, error) {
	switch k {
	case progressKind:
		return decodeProgress(key, doc)
	case claimKind:
		return decodeClaim(key, doc)
	case entryKind:
		return decodeEntry(doc)
	}
	return decodeEnvelope(key, doc)
}

// write encodes what was read, at the rev that it has.
func write(value any) ([]byte, error) {
	switch v := value.(type) {
	case rotation.Progress:
		return encodeProgress(v)
	case rotation.Claim:
		v.Rev-- // the one before it
		s, err := sealClaim(v)
		return s.text, err
	case rotation.Entry:
		return encodeEntry(v)
	case rotation.Envelope:
		s, err := sealEnvelope(v)
		return s.text, err
	}
	return nil, fmt.Errorf("%T is no document", value)
}

// asWritten is a value as the store keeps it: an envelope that is done loses its body.
func asWritten(value any) any {
	if v, ok := value.(rotation.Envelope); ok && v.Done {
		v.Body = nil
		return v
	}
	return value
}
