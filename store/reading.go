package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// readingSchema is that of a reading. Whoever changes what a scan shortlists raises it too: what an earlier version has shortlisted is then
// read again.
const readingSchema = 1

type (
	readingRecord struct {
		Schema  int           `json:"schema"`
		Rev     uint64        `json:"rev"`
		Scan    time.Time     `json:"scan"`
		Policy  string        `json:"policy"`
		Account string        `json:"account"`
		Turn    string        `json:"turn"`
		Part    int           `json:"part"`
		Sights  []sightRecord `json:"sights,omitempty"`
		Totals  *totalsRecord `json:"totals,omitempty"`
	}

	totalsRecord struct {
		Users      int               `json:"users,omitzero"`
		ReportMade time.Time         `json:"report_made,omitzero"`
		Unseen     []rotation.Unseen `json:"unseen,omitempty"`
		Ages       []int             `json:"ages,omitempty"`
	}

	sightRecord struct {
		User seenRecord  `json:"user"`
		Root bool        `json:"root,omitzero"`
		Keys []keyRecord `json:"keys,omitempty"`
	}

	seenRecord struct {
		Ref        userRecord        `json:"ref"`
		ID         string            `json:"id,omitzero"`
		Path       string            `json:"path,omitzero"`
		Created    time.Time         `json:"created,omitzero"`
		Tags       map[string]string `json:"tags,omitempty"`
		Console    bool              `json:"console,omitzero"`
		Groups     []string          `json:"groups,omitempty"`
		Untold     bool              `json:"untold,omitzero"`
		Quarantine string            `json:"quarantine,omitzero"`
	}
)

// readingKey puts the parts of a turn beside one another, in their order.
func readingKey(r rotation.Reading) string {
	return fmt.Sprintf("%s/%s/%s/%06d", r.Scan.UTC().Format("20060102T150405.000000000"), r.Account, r.Turn, r.Part)
}

// readingStays is how long DynamoDB keeps readings that nobody drops.
const readingStays = 24 * time.Hour

func sealReading(r rotation.Reading) (document, error) {
	key := readingKey(r)
	if err := checkKey(key); err != nil {
		return document{}, err
	}
	rec := readingRecord{
		Schema: readingSchema, Rev: 1, Scan: r.Scan.UTC(), Policy: r.Policy, Account: r.Account, Turn: r.Turn, Part: r.Part, Sights: each(r.Sights, fromSight),
	}
	if t := r.Totals; t != nil {
		rec.Totals = &totalsRecord{t.Users, t.ReportMade.UTC(), t.Unseen, t.Ages}
	}
	text, err := json.Marshal(rec)
	return document{key: key, rev: 1, text: text, expires: r.Scan.Add(readingStays)}, err
}

func fromSight(s rotation.Sight) sightRecord {
	u := s.User
	return sightRecord{
		User: seenRecord{
			Ref: userRecord(u.Ref), ID: u.ID, Path: u.Path, Created: u.Created.UTC(), Tags: u.Tags, Console: u.Console, Groups: u.Groups,
			Untold: u.Untold, Quarantine: u.Quarantine,
		},
		Root: s.Root, Keys: each(s.Keys, fromKey),
	}
}

func (r sightRecord) sight() rotation.Sight {
	u := r.User
	return rotation.Sight{
		User: rotation.User{
			Ref: rotation.UserRef(u.Ref), ID: u.ID, Path: u.Path, Created: u.Created, Tags: u.Tags, Console: u.Console, Groups: u.Groups,
			Untold: u.Untold, Quarantine: u.Quarantine,
		},
		Root: r.Root, Keys: each(r.Keys, keyRecord.key),
	}
}

// decodeReading reads a reading of this schema alone: what another version makes of it is not known, and it is soon read again.
func decodeReading(key string, doc []byte) (rotation.Reading, error) {
	var rec readingRecord
	if err := decode(doc, readingSchema, &rec, &rec.Schema); err != nil {
		return rotation.Reading{}, err
	}
	r := rotation.Reading{
		Scan: rec.Scan, Policy: rec.Policy, Account: rec.Account, Turn: rec.Turn, Part: rec.Part, Sights: each(rec.Sights, sightRecord.sight),
	}
	if t := rec.Totals; t != nil {
		r.Totals = &rotation.Totals{Users: t.Users, ReportMade: t.ReportMade, Unseen: t.Unseen, Ages: t.Ages}
	}
	if want := readingKey(r); rec.Schema != readingSchema || want != key {
		return rotation.Reading{}, fmt.Errorf("it has schema %d, and belongs under %q", rec.Schema, want)
	}
	return r, nil
}

// KeepReading implements rotation.Readings. A crash leaves a part or none; the last part of an account is what makes the others count.
func (d documents) KeepReading(ctx context.Context, r rotation.Reading) error {
	doc, err := sealReading(r)
	if err == nil {
		err = d.back.put(ctx, readingKind, doc)
	}
	if err != nil {
		return fmt.Errorf("keep part %d of a reading of %s: %w", r.Part, r.Account, err)
	}
	return nil
}

// Readings implements rotation.Readings.
func (d documents) Readings(ctx context.Context, fn func(rotation.Reading) error) error {
	odd := odd{what: "reading"}
	err := d.back.each(ctx, readingKind, func(key string, text []byte) error {
		r, err := decodeReading(key, text)
		if err != nil {
			odd.add(key, err)
			return nil
		}
		return fn(r)
	})
	if err != nil {
		return err
	}
	return odd.err()
}

// DropReadings implements rotation.Readings. A crash leaves some of them, which are not whole any more or as good as before.
func (d documents) DropReadings(ctx context.Context) error {
	var list []document
	err := d.back.each(ctx, readingKind, func(key string, _ []byte) error {
		if list = append(list, document{key: key, rev: anyRev}); len(list) < batch {
			return nil
		}
		err := d.back.drop(ctx, readingKind, list)
		list = list[:0]
		return err
	})
	if err == nil && len(list) > 0 {
		err = d.back.drop(ctx, readingKind, list)
	}
	if err != nil {
		return fmt.Errorf("drop readings: %w", err)
	}
	return nil
}
