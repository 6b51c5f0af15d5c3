package awsiam

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// BenchmarkParseReport reads the report of an account as large as AWS allows, with two keys a user, beside taking it apart into fields alone.
func BenchmarkParseReport(b *testing.B) {
	var text strings.Builder
	text.WriteString(liveHeader + "\n" + liveRoot)
	for i := range 5000 {
		text.WriteString("\n" + liveRow(fmt.Sprintf("user-%04d", i), "true,2026-06-01T08:00:00Z,2026-09-11T13:14:52Z,eu-west-1,s3,false,2026-06-01T08:00:00Z,N/A,N/A,N/A"))
	}
	report := text.String()
	b.SetBytes(int64(len(report)))
	b.ReportAllocs()
	var ours, fields time.Duration
	for b.Loop() {
		begun, rows := time.Now(), 0
		err := parseReport(strings.NewReader(report), func(rotation.ReportRow) error { rows++; return nil })
		if ours += time.Since(begun); err != nil || rows != 5001 {
			b.Fatalf("%d rows, %v", rows, err)
		}
		b.StopTimer()
		begun = time.Now()
		if all, err := csv.NewReader(strings.NewReader(report)).ReadAll(); err != nil || len(all) != 5002 {
			b.Fatalf("%d lines, %v", len(all), err)
		}
		fields += time.Since(begun)
		b.StartTimer()
	}
	b.ReportMetric(ours.Seconds()/fields.Seconds(), "x-csv")
}
