package rotation_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// TestSurvey_BearsALostCache: whatever becomes of the calls that keep, read and drop readings, a scan finds what it would, and so does the
// next.
func TestSurvey_BearsALostCache(t *testing.T) {
	for _, method := range []string{"KeepReading", "Readings", "DropReadings"} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %v", method, applied), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFirm(t, store.NewMem(), 3)
					f.cutOff(2, 2)
					broken := brokenCache{f.kept, method, applied}
					for range 2 {
						s, _, err := f.survey(t.Context(), broken)
						if err != nil {
							t.Fatal(err)
						}
						f.wantSame(s)
					}
					if !strings.Contains(f.said.String(), "level=WARN") {
						t.Error("nobody is told")
					}
				})
			})
		}
	}
}

// brokenCache fails one method of Readings.
type brokenCache struct {
	rotation.Store
	method  string
	applied bool
}

func (b brokenCache) fail(method string, do func() error) error {
	if method != b.method {
		return do()
	}
	if b.applied {
		_ = do()
	}
	return errLost
}

func (b brokenCache) KeepReading(ctx context.Context, r rotation.Reading) error {
	return b.fail("KeepReading", func() error { return b.Store.KeepReading(ctx, r) })
}

func (b brokenCache) Readings(ctx context.Context, fn func(rotation.Reading) error) error {
	return b.fail("Readings", func() error { return b.Store.Readings(ctx, fn) })
}

func (b brokenCache) DropReadings(ctx context.Context) error {
	return b.fail("DropReadings", func() error { return b.Store.DropReadings(ctx) })
}

// TestSurvey_IsNotGoneOnWithWhenThrough: if what was kept of a whole scan cannot be dropped, the next one of the process reads everything.
func TestSurvey_IsNotGoneOnWithWhenThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFirm(t, store.NewMem(), 3)
		engine := f.engine(brokenCache{f.kept, "DropReadings", false})
		for range 2 {
			before := len(f.sim.Calls())
			if s, err := engine.Survey(t.Context()); err != nil || f.asked(before) != "000 001 002" || f.left() == 0 || time.Since(s.At) > time.Minute {
				t.Errorf("calls to %q, %d parts left, began %v ago, error %v", f.asked(before), f.left(), time.Since(s.At), err)
			}
			time.Sleep(5 * time.Minute)
		}
	})
}
