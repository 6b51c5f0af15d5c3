package store

import (
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// What is accepted of single keys for a time.
type (
	exemptionRecord struct {
		ID        string                  `json:"id"`
		User      userRecord              `json:"user"`
		UserID    string                  `json:"user_id,omitzero"`
		Key       rotation.KeyID          `json:"key"`
		Reason    string                  `json:"reason,omitzero"`
		Until     time.Time               `json:"until,omitzero"`
		Requester rotation.MemberID       `json:"requester,omitzero"`
		Owner     rotation.MemberID       `json:"owner,omitzero"`
		Traits    traitsRecord            `json:"traits,omitzero"`
		Wanted    int                     `json:"wanted,omitzero"`
		Once      string                  `json:"once,omitzero"`
		Stage     rotation.ExemptionStage `json:"stage"`
		Turn      int                     `json:"turn,omitzero"`
		Asked     time.Time               `json:"asked,omitzero"`
		Deadline  time.Time               `json:"deadline,omitzero"`
		Since     time.Time               `json:"since,omitzero"`
		Shown     keyRecord               `json:"shown,omitzero"`
		ShownAt   time.Time               `json:"shown_at,omitzero"`
		Found     []rotation.Breach       `json:"found,omitempty"`
		Decisions []decisionRecord        `json:"decisions,omitempty"`
		EndedBy   rotation.MemberID       `json:"ended_by,omitzero"`
		Warned    time.Time               `json:"warned,omitzero"`
	}

	snoozeRecord struct {
		ID    string            `json:"id"`
		Key   rotation.KeyID    `json:"key"`
		Owner rotation.MemberID `json:"owner,omitzero"`
		By    rotation.MemberID `json:"by,omitzero"`
		At    time.Time         `json:"at,omitzero"`
		Until time.Time         `json:"until,omitzero"`
		Ended time.Time         `json:"ended,omitzero"`
		Gone  bool              `json:"gone,omitzero"`
		Once  string            `json:"once,omitzero"`
	}
)

func fromExemption(x rotation.KeyExemption) exemptionRecord {
	return exemptionRecord{
		ID:        x.ID,
		User:      userRecord(x.User),
		UserID:    x.UserID,
		Key:       x.Key,
		Reason:    x.Reason,
		Until:     x.Until.UTC(),
		Requester: x.Requester,
		Owner:     x.Owner,
		Traits:    traitsRecord(x.Traits),
		Wanted:    x.Wanted,
		Once:      x.Once,
		Stage:     x.Stage,
		Turn:      x.Turn,
		Asked:     x.Asked.UTC(),
		Deadline:  x.Deadline.UTC(),
		Since:     x.Since.UTC(),
		Shown:     fromKey(x.Shown),
		ShownAt:   x.ShownAt.UTC(),
		Found:     x.Found,
		Decisions: each(x.Decisions, fromDecision),
		EndedBy:   x.EndedBy,
		Warned:    x.Warned.UTC(),
	}
}

func (r exemptionRecord) exemption() rotation.KeyExemption {
	return rotation.KeyExemption{
		ID:        r.ID,
		User:      rotation.UserRef(r.User),
		UserID:    r.UserID,
		Key:       r.Key,
		Reason:    r.Reason,
		Until:     r.Until,
		Requester: r.Requester,
		Owner:     r.Owner,
		Traits:    rotation.Traits(r.Traits),
		Wanted:    r.Wanted,
		Once:      r.Once,
		Stage:     r.Stage,
		Turn:      r.Turn,
		Asked:     r.Asked,
		Deadline:  r.Deadline,
		Since:     r.Since,
		Shown:     r.Shown.key(),
		ShownAt:   r.ShownAt,
		Found:     r.Found,
		Decisions: each(r.Decisions, func(d decisionRecord) rotation.Decision { return rotation.Decision(d) }),
		EndedBy:   r.EndedBy,
		Warned:    r.Warned,
	}
}

func fromSnooze(s rotation.Snooze) snoozeRecord {
	s.At, s.Until, s.Ended = s.At.UTC(), s.Until.UTC(), s.Ended.UTC()
	return snoozeRecord(s)
}
