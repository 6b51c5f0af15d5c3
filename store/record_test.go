package store

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
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
	progress := func(doc []byte) ([]byte, error) {
		var r progressRecord
		if err := decode(doc, progressSchema, &r, &r.Schema); err != nil {
			return nil, err
		}
		p, err := decodeProgress(rotation.UserRef(r.User).ID(), doc)
		if err != nil {
			return nil, err
		}
		return encodeProgress(p)
	}
	entry := func(doc []byte) ([]byte, error) {
		e, err := decodeEntry(doc)
		if err != nil {
			return nil, err
		}
		return encodeEntry(e)
	}
	claim := func(doc []byte) ([]byte, error) {
		c, err := decodeClaim(doc)
		if err != nil {
			return nil, err
		}
		return json.Marshal(c)
	}
	filledProgress, _ := encodeProgress(storetest.Filled[rotation.Progress]())
	filledEntry, _ := encodeEntry(storetest.Filled[rotation.Entry]())
	held, _ := settle(storetest.Filled[rotation.Claim](), claimRecord{})
	filledClaim, _ := json.Marshal(held)
	for _, test := range []struct {
		name   string
		filled []byte
		again  func([]byte) ([]byte, error)
	}{
		{"progress.1.json", filledProgress, progress},
		{"entry.1.json", filledEntry, entry},
		{"claim.1.json", filledClaim, claim},
	} {
		path := filepath.Join("testdata", test.name)
		if *update {
			if err := os.WriteFile(path, indent(t, test.filled), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		sample, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := test.again(sample)
		if err != nil {
			t.Fatalf("read %s: %v", test.name, err)
		}
		if diff := cmp.Diff(string(sample), string(indent(t, again))); diff != "" {
			t.Errorf("%s, read and written again (-before +after):\n%s", test.name, diff)
		}
		if diff := cmp.Diff(names(t, sample), names(t, test.filled)); diff != "" {
			t.Errorf("fields of %s (-sample +written now):\n%s", test.name, diff)
		}
	}
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

// names lists the paths of a document's fields, such as "trail.[].at".
func names(t *testing.T, doc []byte) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	var all []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, elem := range v {
				if path == ".posts" {
					name = "*"
				}
				walk(path+"."+name, elem)
			}
		case []any:
			for _, elem := range v {
				walk(path+".[]", elem)
			}
		default:
			all = append(all, path)
		}
	}
	walk("", v)
	slices.Sort(all)
	return slices.Compact(all)
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
	want := `{"schema":1,"rev":0,"user":{"account":"1","name":"n"},` +
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
		{"newer schema", `{"schema":2,"rev":1,"user":{"account":"1","name":"n"}}`, "newer Keyturner wrote it, with schema 2"},
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
	if _, err := decodeEntry([]byte(`{"schema":2}`)); err == nil {
		t.Error("an entry of a newer schema was read")
	}
	if _, err := decodeClaim([]byte(`{"schema":2}`)); err == nil {
		t.Error("a claim of a newer schema was read")
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
		reflect.TypeFor[rotation.Progress](), reflect.TypeFor[rotation.Entry](), reflect.TypeFor[rotation.Claim](),
		reflect.TypeFor[progressRecord](), reflect.TypeFor[loneEntry](), reflect.TypeFor[claimRecord](),
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

// FuzzRecord reads any bytes as each kind of document: what is accepted is written and read again without a change.
func FuzzRecord(f *testing.F) {
	for _, name := range []string{"progress.1.json", "entry.1.json", "claim.1.json"} {
		doc, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	for _, doc := range []string{
		``, `{}`, `null`, `{"schema":1}`, `{"schema":2}`, `{"schema":1,"rev":1,"user":{"account":"","name":""}}`,
		`{"schema":1,"user":{},"trail":[{"at":"0000-01-01T00:00:00+01:00"}]}`, `{"schema":1,"user":{},"rotation":{"intent":{}}}`,
		`{"schema":1,"holder":"h","until":"2026-11-23T00:00:00Z"}`, `{"schema":1,"at":"2026-11-23T00:00:00.5+02:00","actor":"\ud800"}`,
		`{"schema":1,"SCHEMA":1,"user":{},"posts":{"a":{},"a":{"ts":"1"}}}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var r progressRecord
		if decode(doc, progressSchema, &r, &r.Schema) == nil {
			p := r.progress()
			got, err := decodeProgress(p.User.ID(), doc)
			if err != nil {
				t.Fatalf("read by its own id: %v", err)
			}
			if doc, err = encodeProgress(got); err != nil {
				return // such as a time that in UTC has no year of four digits
			}
			again, err := decodeProgress(p.User.ID(), doc)
			if diff := cmp.Diff(got, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Fatalf("written and read again: error %v\n%s", err, diff)
			}
		}
		if got, err := decodeEntry(doc); err == nil {
			if doc, err := encodeEntry(got); err == nil {
				again, err := decodeEntry(doc)
				if diff := cmp.Diff(got, again); err != nil || diff != "" {
					t.Fatalf("an entry, written and read again: error %v\n%s", err, diff)
				}
			}
		}
		_, _ = decodeClaim(doc)
	})
}
