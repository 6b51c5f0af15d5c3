package store

import (
	"time"

	"github.com/keyturner/keyturner/rotation"
)

type (
	traceRecord struct {
		At      time.Time      `json:"at,omitzero"`
		Callers []callerRecord `json:"callers,omitempty"`
		More    int            `json:"more,omitzero"`
		Regions []string       `json:"regions,omitempty"`
		Partly  []string       `json:"partly,omitempty"`
		Unread  []unreadRecord `json:"unread,omitempty"`
	}

	callerRecord struct {
		Service string    `json:"service,omitzero"`
		Agent   string    `json:"agent,omitzero"`
		Address string    `json:"address,omitzero"`
		Calls   int       `json:"calls,omitzero"`
		Names   []string  `json:"names,omitempty"`
		Regions []string  `json:"regions,omitempty"`
		Last    time.Time `json:"last,omitzero"`
	}

	unreadRecord struct {
		Region string         `json:"region"`
		Class  rotation.Class `json:"class,omitzero"`
	}
)

func fromTrace(t rotation.Trace) traceRecord {
	return traceRecord{
		At: t.At.UTC(), More: t.More, Regions: t.Regions, Partly: t.Partly,
		Callers: each(t.Callers, func(c rotation.Caller) callerRecord {
			c.Last = c.Last.UTC()
			return callerRecord(c)
		}),
		Unread: each(t.Unread, func(u rotation.Unread) unreadRecord { return unreadRecord(u) }),
	}
}

func (r traceRecord) trace() rotation.Trace {
	return rotation.Trace{
		At: r.At, More: r.More, Regions: r.Regions, Partly: r.Partly,
		Callers: each(r.Callers, func(c callerRecord) rotation.Caller { return rotation.Caller(c) }),
		Unread:  each(r.Unread, func(u unreadRecord) rotation.Unread { return rotation.Unread(u) }),
	}
}
