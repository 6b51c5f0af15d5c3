package rotation

import (
	"testing"
	"time"
	_ "time/tzdata"
)

// TestAfterWork counts nobody's nights and weekends.
func TestAfterWork(t *testing.T) {
	const layout = "Mon 2006-01-02 15:04"
	for _, test := range []struct {
		zone, from string
		after      time.Duration
		want       string
	}{
		{"UTC", "Mon 2026-11-23 10:00", 4 * time.Hour, "Mon 2026-11-23 14:00"},
		{"UTC", "Mon 2026-11-23 14:00", 4 * time.Hour, "Tue 2026-11-24 10:00"},
		{"UTC", "Mon 2026-11-23 13:00", 4 * time.Hour, "Tue 2026-11-24 09:00"}, // not at the very end of a day
		{"UTC", "Fri 2026-11-27 16:00", 4 * time.Hour, "Mon 2026-11-30 12:00"},
		{"UTC", "Sat 2026-11-28 12:00", 4 * time.Hour, "Mon 2026-11-30 13:00"},
		{"UTC", "Mon 2026-11-23 03:00", 4 * time.Hour, "Mon 2026-11-23 13:00"},
		{"UTC", "Mon 2026-11-23 10:30", oneDay, "Tue 2026-11-24 10:30"},
		{"UTC", "Fri 2026-11-27 10:30", oneDay, "Mon 2026-11-30 10:30"},
		{"UTC", "Thu 2026-11-26 10:30", 2 * oneDay, "Mon 2026-11-30 10:30"},
		{"UTC", "Mon 2026-11-23 23:00", oneDay, "Wed 2026-11-25 09:00"},
		{"UTC", "Fri 2026-11-27 16:30", oneDay + time.Hour, "Tue 2026-12-01 09:30"},
		{"UTC", "Mon 2026-11-23 09:00", 20 * time.Hour, "Wed 2026-11-25 13:00"},
		{"Asia/Tokyo", "Mon 2026-11-23 10:00", 4 * time.Hour, "Mon 2026-11-23 14:00"},
		{"Europe/Berlin", "Fri 2026-10-23 10:00", oneDay, "Mon 2026-10-26 10:00"}, // the clocks go back in between
		{"Pacific/Apia", "Thu 2011-12-29 10:00", oneDay, "Mon 2012-01-02 10:00"},  // which had no 30 December
	} {
		zone, err := time.LoadLocation(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		from, err := time.ParseInLocation(layout, test.from, zone)
		if err != nil {
			t.Fatal(err)
		}
		got := afterWork(from, test.after)
		if text := got.Format(layout); text != test.want {
			t.Errorf("%s after %s in %s: %s, want %s", test.after, test.from, test.zone, text, test.want)
		}
		if !atWork(got).Equal(got) {
			t.Errorf("%s after %s in %s is not in working hours", test.after, test.from, test.zone)
		}
	}
}
