package bot

import (
	"testing"
)

// BenchmarkDigest measures what it takes to render the digest of ten thousand findings: the message, the words for mail and Teams with the
// picture, and what Home tabs show. The file is written by package listing, which has a benchmark of that.
func BenchmarkDigest(b *testing.B) {
	v, s, weeks := testView(), company(10_000), quarter(10_000)
	names := func(id string) string { return "@" + id }
	b.Run("message", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if m := digestMessage(v, s, nil, weeks); len(m.Blocks) == 0 {
				b.Fatal("no message")
			}
		}
	})
	b.Run("words", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d, err := inWords(v, s, nil, weeks, names); err != nil || len(d.Rows) == 0 {
				b.Fatal(err)
			}
		}
	})
	b.Run("home", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if f := foundIn(v, s); f.Due != 10_000 {
				b.Fatal("something is missing")
			}
		}
	})
}
