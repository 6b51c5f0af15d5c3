package listing

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// BenchmarkDigest measures what it takes to write the file of a digest of ten thousand findings.
func BenchmarkDigest(b *testing.B) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	s := rotation.Survey{At: now, Accounts: []rotation.AccountState{{ID: "111122223333", Name: "Production", Users: 40_000}}}
	for i := range 10_000 {
		s.Findings = append(s.Findings, rotation.Finding{
			Breach: rotation.Breaches()[3+i%5], User: rotation.UserRef{Account: "111122223333", Name: fmt.Sprintf("service-%05d", i)}, UserID: fmt.Sprintf("AIDA%05d", i), Path: "/", Owner: "UANA",
			Key: rotation.Key{
				ID: rotation.KeyID(fmt.Sprintf("AKIAAAAAAAAAAAA%05d", i)), Status: rotation.Active, Created: now.AddDate(0, 0, -91-i%400),
				LastUse: rotation.LastUse{State: rotation.Used, At: now.AddDate(0, 0, -1), Service: "s3", Region: "eu-west-1"},
			},
		})
	}
	b.Run("csv", func(b *testing.B) {
		b.ReportAllocs()
		var file bytes.Buffer
		for b.Loop() {
			file.Reset()
			if err := OfSurvey(s, Clerk{}).CSV(&file); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(file.Len()), "bytes")
	})
}
