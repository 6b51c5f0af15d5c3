package rotation

import "time"

// People are reminded in the hours in which most of them work: Monday to Friday, 9 to 17 o'clock, where they are.
const (
	WorkBegins = 9
	WorkEnds   = 17
)

// day is the unit of whole days in a reminder's interval.
const oneDay = 24 * time.Hour

// shift is the working day of t's date, in t's zone; ok: there is one.
func shift(t time.Time) (begins, ends time.Time, ok bool) {
	year, month, date := t.Date()
	at := func(hour int) time.Time { return time.Date(year, month, date, hour, 0, 0, 0, t.Location()) }
	weekday := t.Weekday()
	return at(WorkBegins), at(WorkEnds), weekday != time.Saturday && weekday != time.Sunday
}

// atWork is t itself if it is in working hours, and the beginning of the next ones if not.
func atWork(t time.Time) time.Time {
	begins, ends, ok := shift(t)
	switch {
	case ok && t.Before(begins):
		return begins
	case ok && t.Before(ends):
		return t
	}
	begins, _, _ = shift(nextDay(t))
	return begins
}

// nextDay is the same time on the next working day. It counts days, since a zone may leave one out.
func nextDay(t time.Time) time.Time {
	year, month, date := t.Date()
	hour, minute, second := t.Clock()
	for n := 1; ; n++ {
		next := time.Date(year, month, date+n, hour, minute, second, t.Nanosecond(), t.Location())
		if _, _, ok := shift(next); ok && next.After(t) {
			return next
		}
	}
}

// afterWork is when some time has passed since t that counts only working hours; each whole day of it is the same time on the next
// working day. It is always in working hours, and never sooner than the clock on the wall would have it, but for a change of the clocks.
func afterWork(t time.Time, d time.Duration) time.Time {
	t = atWork(t)
	for ; d >= oneDay; d -= oneDay {
		t = nextDay(t)
	}
	for {
		_, ends, _ := shift(t)
		left := ends.Sub(t)
		if d < left {
			return t.Add(d)
		}
		d -= left
		t = atWork(ends)
	}
}
