package store

import "github.com/keyturner/keyturner/rotation"

func fromProgress(p rotation.Progress) progressRecord {
	r := progressRecord{
		Schema:     progressSchema,
		Rev:        p.Rev,
		User:       userRecord(p.User),
		Link:       fromLink(p.Link),
		Count:      p.Count,
		Past:       each(p.Past, fromRotation),
		Notices:    each(p.Notices, fromNotice),
		Exemptions: each(p.Exemptions, fromExemption),
		Snoozes:    each(p.Snoozes, fromSnooze),
		Owed:       p.Owed,
		Trail:      each(p.Trail, fromEntry),
		Filed:      p.Filed,
		Told:       p.Told,
	}
	if p.Rotation != nil {
		current := fromRotation(*p.Rotation)
		r.Rotation = &current
	}
	if len(p.Posts) > 0 {
		r.Posts = make(map[string]postRecord, len(p.Posts))
		for name, post := range p.Posts {
			r.Posts[name] = fromPost(post)
		}
	}
	return r
}

func (r progressRecord) progress() rotation.Progress {
	p := rotation.Progress{
		User:       rotation.UserRef(r.User),
		Rev:        r.Rev,
		Link:       (*rotation.Link)(r.Link),
		Count:      r.Count,
		Past:       each(r.Past, rotationRecord.rotation),
		Notices:    each(r.Notices, noticeRecord.notice),
		Exemptions: each(r.Exemptions, exemptionRecord.exemption),
		Snoozes:    each(r.Snoozes, func(s snoozeRecord) rotation.Snooze { return rotation.Snooze(s) }),
		Owed:       r.Owed,
		Trail:      each(r.Trail, func(e entryRecord) rotation.Entry { return rotation.Entry(e) }),
		Filed:      r.Filed,
		Told:       r.Told,
	}
	if r.Rotation != nil {
		current := r.Rotation.rotation()
		p.Rotation = &current
	}
	if len(r.Posts) > 0 {
		p.Posts = make(map[string]rotation.Post, len(r.Posts))
		for name, post := range r.Posts {
			p.Posts[name] = rotation.Post(post)
		}
	}
	return p
}

func fromRotation(r rotation.Rotation) rotationRecord {
	return rotationRecord{
		ID:        r.ID,
		Kind:      r.Kind,
		User:      userRecord(r.User),
		UserID:    r.UserID,
		Owner:     r.Owner,
		Group:     r.Group,
		Requester: r.Requester,
		Once:      r.Once,
		Reason:    r.Reason,
		Old:       r.Old,
		New:       r.New,
		Terms:     fromTerms(r.Terms),
		Delivery:  fromDelivery(r.Delivery),
		Traits:    traitsRecord(r.Traits),
		Stage:     r.Stage,
		Turn:      r.Turn,
		InPublic:  r.InPublic,
		Begun:     r.Begun.UTC(),
		Since:     r.Since.UTC(),
		Deadline:  r.Deadline.UTC(),
		Held:      r.Held.UTC(),
		Work:      r.Work,
		Asks:      each(r.Asks, fromAsk),
		Intent:    fromIntent(r.Intent),
		Retry:     fromRetry(r.Retry),
		Issued:    r.Issued,
		Then:      r.Then,
		Idle:      fromLastUse(r.Idle),
		CutOff:    r.CutOff.UTC(),
		Modal:     r.Modal,
		Collects:  r.Collects,
		Failure:   failureRecord(r.Failure),
		Lost:      failureRecord(r.Lost),
		Handover:  fromHandover(r.Handover),
		Proof:     fromProof(r.Proof),
		Trace:     fromTrace(r.Trace),
		Disowned:  r.Disowned.UTC(),
		Stale:     each(r.Stale, fromHandover),
	}
}

func (r rotationRecord) rotation() rotation.Rotation {
	return rotation.Rotation{
		ID:        r.ID,
		Kind:      r.Kind,
		User:      rotation.UserRef(r.User),
		UserID:    r.UserID,
		Owner:     r.Owner,
		Group:     r.Group,
		Requester: r.Requester,
		Once:      r.Once,
		Reason:    r.Reason,
		Old:       r.Old,
		New:       r.New,
		Terms:     r.Terms.terms(),
		Delivery:  rotation.Delivery(r.Delivery),
		Traits:    rotation.Traits(r.Traits),
		Stage:     r.Stage,
		Turn:      r.Turn,
		InPublic:  r.InPublic,
		Begun:     r.Begun,
		Since:     r.Since,
		Deadline:  r.Deadline,
		Held:      r.Held,
		Work:      r.Work,
		Asks:      each(r.Asks, askRecord.ask),
		Intent:    (*rotation.Intent)(r.Intent),
		Retry:     rotation.Retry(r.Retry),
		Issued:    r.Issued,
		Then:      r.Then,
		Idle:      rotation.LastUse(r.Idle),
		CutOff:    r.CutOff,
		Modal:     r.Modal,
		Collects:  r.Collects,
		Failure:   rotation.Failure(r.Failure),
		Lost:      rotation.Failure(r.Lost),
		Handover:  r.Handover.handover(),
		Proof:     r.Proof.proof(),
		Trace:     r.Trace.trace(),
		Disowned:  r.Disowned,
		Stale:     each(r.Stale, handoverRecord.handover),
	}
}

func fromProof(p rotation.Proof) proofRecord {
	return proofRecord{At: p.At.UTC(), Again: p.Again.UTC(), Missing: each(p.Missing, fromBlock), Opened: p.Opened}
}

func (r proofRecord) proof() rotation.Proof {
	return rotation.Proof{At: r.At, Again: r.Again, Missing: each(r.Missing, blockRecord.block), Opened: r.Opened}
}

func fromBlock(b rotation.Block) blockRecord {
	return blockRecord{Code: b.Code, Key: fromKey(b.Key), Again: b.Again.UTC()}
}

func (r blockRecord) block() rotation.Block {
	return rotation.Block{Code: r.Code, Key: r.Key.key(), Again: r.Again}
}

func fromTerms(t rotation.Terms) termsRecord {
	return termsRecord{
		Quiet: t.Quiet, Grace: t.Grace, Expires: t.Expires, Visible: t.Visible, Wanted: wantedRecord(t.Wanted),
		Remind: each(t.Remind, same), Escalate: t.Escalate,
	}
}

func (r termsRecord) terms() rotation.Terms {
	return rotation.Terms{
		Quiet: r.Quiet, Grace: r.Grace, Expires: r.Expires, Visible: r.Visible, Wanted: rotation.Wanted(r.Wanted),
		Remind: r.Remind, Escalate: r.Escalate,
	}
}

func fromAsk(a rotation.Ask) askRecord {
	return askRecord{
		Stage:     a.Stage,
		Turn:      a.Turn,
		At:        a.At.UTC(),
		Evidence:  fromEvidence(a.Evidence),
		Overruled: fromDecision(a.Overruled),
		Wanted:    a.Wanted,
		Decisions: each(a.Decisions, fromDecision),
		Closed:    a.Closed,
		Stuck:     failureRecord(a.Stuck),
		Reminders: each(a.Reminders, fromReminder),
		Again:     a.Again.UTC(),
		Escalates: a.Escalates.UTC(),
		Escalated: a.Escalated.UTC(),
		Lapsed:    a.Lapsed.UTC(),
	}
}

func (r askRecord) ask() rotation.Ask {
	return rotation.Ask{
		Stage:     r.Stage,
		Turn:      r.Turn,
		At:        r.At,
		Evidence:  r.Evidence.evidence(),
		Overruled: rotation.Decision(r.Overruled),
		Wanted:    r.Wanted,
		Decisions: each(r.Decisions, func(d decisionRecord) rotation.Decision { return rotation.Decision(d) }),
		Closed:    r.Closed,
		Stuck:     rotation.Failure(r.Stuck),
		Reminders: each(r.Reminders, func(x reminderRecord) rotation.Reminder { return rotation.Reminder(x) }),
		Again:     r.Again,
		Escalates: r.Escalates,
		Escalated: r.Escalated,
		Lapsed:    r.Lapsed,
	}
}

func fromEvidence(e rotation.Evidence) evidenceRecord {
	return evidenceRecord{At: e.At.UTC(), UserID: e.UserID, Keys: each(e.Keys, fromKey)}
}

func (r evidenceRecord) evidence() rotation.Evidence {
	return rotation.Evidence{At: r.At, UserID: r.UserID, Keys: each(r.Keys, keyRecord.key)}
}

func fromKey(k rotation.Key) keyRecord {
	return keyRecord{ID: k.ID, Status: k.Status, Created: k.Created.UTC(), LastUse: fromLastUse(k.LastUse)}
}

func (r keyRecord) key() rotation.Key {
	return rotation.Key{ID: r.ID, Status: r.Status, Created: r.Created, LastUse: rotation.LastUse(r.LastUse)}
}

func fromHandover(h rotation.Handover) handoverRecord {
	return handoverRecord{Post: fromPost(h.Post), Until: h.Until.UTC(), Received: h.Received.UTC(), Gone: h.Gone, Failed: h.Failed}
}

func (r handoverRecord) handover() rotation.Handover {
	return rotation.Handover{Post: rotation.Post(r.Post), Until: r.Until, Received: r.Received, Gone: r.Gone, Failed: r.Failed}
}

// Those below are converted as a whole, with their times brought to UTC.

func fromIntent(i *rotation.Intent) *intentRecord {
	if i == nil {
		return nil
	}
	r := intentRecord(*i)
	r.At = r.At.UTC()
	return &r
}

func fromPost(p rotation.Post) postRecord {
	r := postRecord(p)
	r.At = r.At.UTC()
	return r
}

func fromDelivery(d rotation.Delivery) deliveryRecord {
	r := deliveryRecord(d)
	r.Set = r.Set.UTC()
	return r
}

func fromRetry(t rotation.Retry) retryRecord {
	r := retryRecord(t)
	r.At = r.At.UTC()
	return r
}

func fromLastUse(u rotation.LastUse) lastUseRecord {
	r := lastUseRecord(u)
	r.At = r.At.UTC()
	return r
}

func fromDecision(d rotation.Decision) decisionRecord {
	r := decisionRecord(d)
	r.At = r.At.UTC()
	return r
}

func fromLink(l *rotation.Link) *linkRecord {
	if l == nil {
		return nil
	}
	r := linkRecord(*l)
	r.At = r.At.UTC()
	return &r
}

func fromReminder(x rotation.Reminder) reminderRecord {
	r := reminderRecord(x)
	r.At = r.At.UTC()
	r.To = each(r.To, same)
	return r
}

func fromNotice(n rotation.Notice) noticeRecord {
	return noticeRecord{
		Kind: n.Kind, On: n.On.UTC(), To: each(n.To, same), In: n.In, Among: each(n.Among, same),
		Key: n.Key, Days: n.Days, Owner: n.Owner, Created: n.Created.UTC(), Due: n.Due.UTC(), From: n.From.UTC(), Sent: n.Sent.UTC(), Failed: n.Failed,
		Most: n.Most, Unused: n.Unused, Use: fromLastUse(n.Use), Instead: insteadRecord(n.Instead),
	}
}

func (r noticeRecord) notice() rotation.Notice {
	return rotation.Notice{
		Kind: r.Kind, On: r.On, To: each(r.To, same), In: r.In, Among: each(r.Among, same),
		Key: r.Key, Days: r.Days, Owner: r.Owner, Created: r.Created, Due: r.Due, From: r.From, Sent: r.Sent, Failed: r.Failed,
		Most: r.Most, Unused: r.Unused, Use: rotation.LastUse(r.Use), Instead: rotation.Instead(r.Instead),
	}
}

func fromEntry(e rotation.Entry) entryRecord {
	r := entryRecord(e)
	r.At = r.At.UTC()
	return r
}

// same converts nothing.
func same[A any](v A) A { return v }

// each converts a list. An empty one becomes nil, as it is read again.
func each[A, B any](list []A, convert func(A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = convert(v)
	}
	return out
}
