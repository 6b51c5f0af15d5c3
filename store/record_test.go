package store

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the samples of the current schemas")

// TestRecord_EveryField fails when a field was added to a domain struct and forgotten in the stored one.
func TestRecord_EveryField(t *testing.T) {
	p := storetest.Filled[rotation.Progress]()
	doc, err := encodeProgress(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeProgress(p.User.ID(), doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("what a progress lost in its document (-want +got):\n%s", diff)
	}

	e := storetest.Filled[rotation.Entry]()
	if doc, err = encodeEntry(e); err != nil {
		t.Fatal(err)
	}
	gotEntry, err := decodeEntry(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, gotEntry); diff != "" {
		t.Errorf("what an entry lost in its document (-want +got):\n%s", diff)
	}
}

func TestRecord_AnyValue(t *testing.T) {
	anyTime := rapid.Custom(func(t *rapid.T) any {
		zone := time.FixedZone("", rapid.IntRange(-12*60, 14*60).Draw(t, "zone")*60)
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).In(zone)
	})
	made := rapid.MakeCustom[rotation.Progress](rapid.MakeConfig{Types: map[reflect.Type]*rapid.Generator[any]{
		reflect.TypeFor[time.Time](): anyTime,
	}})
	rapid.Check(t, func(t *rapid.T) {
		p := made.Draw(t, "progress")
		doc, err := encodeProgress(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeProgress(p.User.ID(), doc)
		if err != nil {
			t.Fatalf("read what was written: %v\n%s", err, doc)
		}
		if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// TestRecord_Samples holds the stored names: a sample of a schema never changes, and the current one has every field. Whoever changes
// a record raises its schema number, keeps reading the earlier samples and adds one with -update.
func TestRecord_Samples(t *testing.T) {
	v := storetest.Filled[rotation.Envelope]()
	v.Done = false // a body is not kept beside it
	envelope, _ := sealEnvelope(v)
	claim, _ := sealClaim(storetest.Filled[rotation.Claim]())
	progress, _ := encodeProgress(storetest.Filled[rotation.Progress]())
	entry, _ := encodeEntry(storetest.Filled[rotation.Entry]())
	for _, test := range []struct {
		name   string
		filled []byte
	}{
		{"progress.3.json", progress},
		{"entry.1.json", entry},
		{"claim.2.json", claim.text},
		{"envelope.1.json", envelope.text},
	} {
		path := filepath.Join("testdata", test.name)
		if *update {
			if err := os.WriteFile(path, indent(t, test.filled), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		sample := readSample(t, test.name)
		if diff := cmp.Diff(string(sample), string(indent(t, again(t, test.name, sample)))); diff != "" {
			t.Errorf("%s, read and written again (-before +after):\n%s", test.name, diff)
		}
		if diff := cmp.Diff(names(t, sample), names(t, test.filled)); diff != "" {
			t.Errorf("fields of %s (-sample +written now):\n%s", test.name, diff)
		}
	}
}

// TestRecord_EarlierSamples reads what earlier versions wrote: all of it is there still when it is written again.
func TestRecord_EarlierSamples(t *testing.T) {
	for _, test := range []struct {
		name string
		want map[string]any // what is different when written again; nil: gone
	}{
		{"progress.1.json", map[string]any{".schema": 3.0, ".owed": true}},
		{"progress.2.json", map[string]any{".schema": 3.0}},
		{"claim.1.json", map[string]any{
			".schema": 2.0, ".until": nil, ".rev": 1.0, ".note": "until 2026-11-23T12:30:00Z",
		}},
	} {
		sample := readSample(t, test.name)
		want, got := leaves(t, sample), leaves(t, again(t, test.name, sample))
		for path, v := range test.want {
			if want[path] = v; v == nil {
				delete(want, path)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, read and written again (-want +got):\n%s", test.name, diff)
		}
	}
}

func readSample(t *testing.T, name string) []byte {
	t.Helper()
	sample, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return sample
}

// again reads a sample and writes it.
func again(t *testing.T, name string, sample []byte) []byte {
	t.Helper()
	var err error
	var doc []byte
	switch kind, _, _ := strings.Cut(name, "."); kind {
	case "progress":
		var r progressRecord
		if err = decode(sample, progressSchema, &r, &r.Schema); err != nil {
			break
		}
		var p rotation.Progress
		if p, err = decodeProgress(rotation.UserRef(r.User).ID(), sample); err == nil {
			doc, err = encodeProgress(p)
		}
	case "entry":
		var e rotation.Entry
		if e, err = decodeEntry(sample); err == nil {
			doc, err = encodeEntry(e)
		}
	case "claim":
		var c rotation.Claim
		if c, err = decodeClaim("n", sample); err == nil {
			c.Rev--
			var s sealed[rotation.Claim]
			s, err = sealClaim(c)
			doc = s.text
		}
	case "envelope":
		var v rotation.Envelope
		if v, err = decodeEnvelope("n", sample); err == nil {
			var s sealed[rotation.Envelope]
			s, err = sealEnvelope(v)
			doc = s.text
		}
	}
	if err != nil {
		t.Fatalf("read and write %s: %v", name, err)
	}
	return doc
}

func indent(t *testing.T, doc []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, doc, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// names lists the paths of a document's fields, such as ".trail.[].at".
func names(t *testing.T, doc []byte) []string {
	t.Helper()
	var all []string
	for path := range leaves(t, doc) {
		path = regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "[]")
		all = append(all, regexp.MustCompile(`^\.posts\.[^.]+`).ReplaceAllString(path, ".posts.*"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// leaves lists a document's values by their paths, such as ".trail[0].at".
func leaves(t *testing.T, doc []byte) map[string]any {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, elem := range v {
				walk(path+"."+name, elem)
			}
		case []any:
			for i, elem := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), elem)
			}
		default:
			all[path] = v
		}
	}
	walk("", v)
	return all
}

func TestRecord_UTCAndNoZeroTimes(t *testing.T) {
	doc, err := encodeProgress(storetest.Filled[rotation.Progress]())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(doc, []byte("+02:00")) || !bytes.Contains(doc, []byte(".123456789Z")) {
		t.Errorf("not all times are in UTC:\n%s", doc)
	}

	berlin := time.FixedZone("", 3600)
	zero := time.Time{}.In(berlin)
	doc, err = encodeProgress(rotation.Progress{
		User:     rotation.UserRef{Account: "1", Name: "n"},
		Rotation: &rotation.Rotation{Begun: zero, Handover: rotation.Handover{Received: zero}, Retry: rotation.Retry{At: zero}},
		Notices:  []rotation.Notice{{Key: "AKIA1", Sent: zero}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":3,"rev":0,"user":{"account":"1","name":"n"},` +
		`"rotation":{"id":"","kind":"","user":{"account":"","name":""},"stage":""},"notices":[{"key":"AKIA1"}]}`
	if got := string(doc); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRecord_Refused(t *testing.T) {
	u := rotation.UserRef{Account: "1", Name: "n"}
	for _, test := range []struct{ name, doc, want string }{
		{"nothing", ``, "not a stored document"},
		{"no JSON", `keyturner`, "not a stored document"},
		{"no object", `[1]`, "not a stored document"},
		{"null", `null`, "no schema number"},
		{"cut", `{"schema":1,"rev":1,"user":{"account":"1","na`, "not a stored document"},
		{"no schema", `{"rev":1,"user":{"account":"1","name":"n"}}`, "no schema number"},
		{"schema 0", `{"schema":0,"rev":1,"user":{"account":"1","name":"n"}}`, "no schema number"},
		{"negative schema", `{"schema":-1,"rev":1,"user":{"account":"1","name":"n"}}`, "no schema number"},
		{"newer schema", `{"schema":9,"rev":1,"user":{"account":"1","name":"n"}}`, "newer Keyturner wrote it, with schema 9"},
		{"newer schema in another form", `{"schema":7,"users":[]}`, "newer Keyturner wrote it, with schema 7"},
		{"unknown field", `{"schema":1,"rev":1,"user":{"account":"1","name":"n"},"color":"red"}`, `unknown field "color"`},
		{"unknown field within", `{"schema":1,"rev":1,"user":{"account":"1","name":"n","path":"/"}}`, `unknown field "path"`},
		{"wrong type", `{"schema":1,"rev":-1,"user":{"account":"1","name":"n"}}`, "does not follow schema 1"},
		{"bad time", `{"schema":1,"rev":1,"user":{"account":"1","name":"n"},"trail":[{"at":"noon"}]}`, "does not follow schema 1"},
		{"two documents", `{"schema":1,"rev":1,"user":{"account":"1","name":"n"}}{}`, "something follows"},
		{"another user", `{"schema":1,"rev":1,"user":{"account":"1","name":"m"}}`, "it is about 1/m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := decodeProgress(u.ID(), []byte(test.doc))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
			if diff := cmp.Diff(rotation.Progress{}, p); diff != "" {
				t.Errorf("a refused document gave something:\n%s", diff)
			}
		})
	}
	if _, err := decodeProgress(u.ID(), []byte(`{"schema":1,"rev":1,"user":{"account":"1","name":"n"}}`)); err != nil {
		t.Errorf("the smallest document: %v", err)
	}
	for _, k := range []kind{claimKind, entryKind, inboxKind} {
		if _, err := k.parse("n", []byte(`{"schema":9,"rev":1}`)); err == nil || !strings.Contains(err.Error(), "newer Keyturner") {
			t.Errorf("%s of a newer schema: error %v", k, err)
		}
	}
	for _, doc := range []string{`{"schema":2,"holder":"h"}`, `{"schema":2,"rev":1,"until":"2026-11-23T00:00:00Z"}`, `{"schema":2,"rev":1,"color":"red"}`} {
		if c, err := decodeClaim("n", []byte(doc)); err == nil {
			t.Errorf("claim %s was read: %+v", doc, c)
		}
	}
}

// TestRecord_NamesNotUTF8: the user's name is where the document is found, so it is refused rather than altered.
func TestRecord_NamesNotUTF8(t *testing.T) {
	m := NewMem()
	if _, err := m.Create(t.Context(), rotation.Progress{User: rotation.UserRef{Account: "1", Name: "\xff"}}); err == nil {
		t.Error("a user's name that is not UTF-8 was accepted")
	}
	p, err := m.Create(t.Context(), rotation.Progress{Trail: []rotation.Entry{{Detail: "a\xffb"}}})
	if err != nil || p.Trail[0].Detail != "a\ufffdb" {
		t.Errorf("other text: got %+v and error %v", p.Trail, err)
	}
}

// TestRecord_NoSecret walks all that is stored.
func TestRecord_NoSecret(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[rotation.Progress](), reflect.TypeFor[rotation.Entry](), reflect.TypeFor[rotation.Claim](), reflect.TypeFor[rotation.Envelope](), reflect.TypeFor[rotation.Reading](),
		reflect.TypeFor[progressRecord](), reflect.TypeFor[loneEntry](), reflect.TypeFor[claimRecord](), reflect.TypeFor[envelopeRecord](), reflect.TypeFor[readingRecord](),
	} {
		if where := findSecret(typ, typ.String()); where != "" {
			t.Errorf("%s could hold a secret", where)
		}
	}
	type planted struct {
		Deep []map[string]*struct{ S rotation.Secret }
	}
	type open struct{ V any }
	for _, typ := range []reflect.Type{reflect.TypeFor[planted](), reflect.TypeFor[open]()} {
		if findSecret(typ, "") == "" {
			t.Errorf("the search finds nothing in %s", typ)
		}
	}
}

// findSecret finds where in a type a rotation.Secret stands, or something that could hold anything.
func findSecret(typ reflect.Type, path string) string {
	switch {
	case typ == reflect.TypeFor[rotation.Secret]():
		return path
	case typ == reflect.TypeFor[time.Time]():
		return ""
	}
	switch typ.Kind() {
	case reflect.Struct:
		for f := range typ.Fields() {
			if where := findSecret(f.Type, path+"."+f.Name); where != "" {
				return where
			}
		}
	case reflect.Map:
		if where := findSecret(typ.Key(), path+"[key]"); where != "" {
			return where
		}
		return findSecret(typ.Elem(), path+"[]")
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return findSecret(typ.Elem(), path+"[]")
	case reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return path
	}
	return ""
}
