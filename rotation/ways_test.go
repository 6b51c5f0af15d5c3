package rotation_test

import (
	"slices"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// way is one way that a rotation can go, from the request to the end: what there is, and what people do.
type way struct {
	name    string
	setup   func(*fleet)
	fate    func(p *process, method string) fate // what goes wrong in any case
	retires bool
	leaks   bool
	key     func(*fleet) rotation.KeyID
	own     func(*fleet, rotation.Rotation) (rotation.On, rotation.MemberID) // what people do that is special to it
	ends    rotation.Stage
}

// act is what somebody would do with r now.
func (w way) act(f *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
	if w.own != nil {
		if on, by := w.own(f, r); on != "" {
			return on, by
		}
	}
	switch r.Stage {
	case rotation.Requested, rotation.Leaked, rotation.Confirmed, rotation.Expiring:
		return rotation.Approve, carol
	case rotation.Offered:
		return rotation.Collect, owner
	case rotation.Switching:
		f.cloud.use(r.New)
		return rotation.Confirm, owner
	case rotation.Stuck:
		return w.unstick(f, r), dave
	}
	return "", ""
}

// unstick is what an approver does who has looked.
func (w way) unstick(f *fleet, r rotation.Rotation) rotation.On {
	offers := r.Offers(rotation.ByApprover)
	old, there := f.key(r.Old)
	switch {
	case slices.Contains(offers, rotation.Revoke) && f.cloud.byBot(r.Failure.Key):
		return rotation.Revoke
	case slices.Contains(offers, rotation.Keep):
		return rotation.Keep
	case slices.Contains(offers, rotation.Reactivate) && there && old.Status == rotation.Active:
		return rotation.Reactivate
	case slices.Contains(offers, rotation.TryAgain):
		return rotation.TryAgain
	}
	return rotation.Close
}

// oldKey and due choose the key that a request names.
func oldKey(f *fleet) rotation.KeyID { return f.old }
func due(*fleet) rotation.KeyID      { return "" }

// first is the fate of the first call of a method.
func first(method string, becomes fate) func(*process, string) fate {
	met := false
	return func(_ *process, called string) fate {
		if called != method || met {
			return fate{}
		}
		met = true
		return becomes
	}
}

// noIntent fails the first write after each message that is prepared, until the process gives up.
func noIntent() func(*process, string) fate {
	met, prepared := 0, false
	return func(_ *process, called string) fate {
		fails := prepared && called == "Replace"
		if prepared = called == "Prepare" && met < 8; prepared {
			met++
		}
		return fate{fails: fails}
	}
}

// ways makes every way a rotation can go.
func ways() []way {
	hasReactivated := func(f *fleet) bool {
		return slices.ContainsFunc(f.progress().Trail, func(e rotation.Entry) bool { return e.Action == "reactivate" && e.Outcome == "moved" })
	}
	return []way{
		{name: "replace", key: due, ends: rotation.Done},
		{
			name: "reissue", key: due, ends: rotation.Done,
			own: func(_ *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				if r.Stage == rotation.Switching && r.Issued == 1 {
					return rotation.Reissue, owner
				}
				return "", ""
			},
		},
		{
			name: "abandon", key: due, ends: rotation.Cancelled,
			own: func(_ *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				if r.Stage == rotation.Switching {
					return rotation.Abandon, owner
				}
				return "", ""
			},
		},
		{
			name: "disown", key: due, ends: rotation.Cancelled,
			own: func(f *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				switch r.Stage {
				case rotation.Switching:
					f.cloud.use(r.New) // by whoever has it
					return rotation.Disown, owner
				case rotation.Stuck:
					if slices.Contains(r.Offers(rotation.ByApprover), rotation.Revoke) {
						return rotation.Revoke, dave
					}
				}
				return "", ""
			},
		},
		{
			name: "reactivate", key: due, ends: rotation.Done,
			own: func(f *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				if r.Stage == rotation.Grace && !hasReactivated(f) {
					return rotation.Reactivate, owner
				}
				return "", ""
			},
		},
		{
			name: "a forgotten application", key: due, ends: rotation.Done, setup: func(f *fleet) { f.regions = []string{"eu-west-1"} },
			own: func(f *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				if r.Stage == rotation.Switching && r.Trace.At.IsZero() {
					f.cloud.use(r.Old)
				}
				return "", ""
			},
		},
		{name: "into AWS", key: due, ends: rotation.Done, setup: func(f *fleet) { f.delivery = intoAWS }},
		{
			name: "into AWS, and back", key: due, ends: rotation.Cancelled, setup: func(f *fleet) { f.delivery = intoAWS },
			own: func(_ *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				switch {
				case r.Stage == rotation.Switching && r.Issued == 1:
					return rotation.Reissue, owner
				case r.Stage == rotation.Switching:
					return rotation.Abandon, owner
				}
				return "", ""
			},
		},
		{name: "sealed", key: due, ends: rotation.Done, setup: func(f *fleet) {
			f.delivery = rotation.Delivery{Mode: rotation.Sealed}
			f.kept.claims["mykey/"+string(owner)] = rotation.Claim{Name: "mykey/" + string(owner), Rev: 1, Note: `{"key":"age1q","at":"2000-01-01T00:00:00Z"}`}
		}},
		{
			name: "revealed twice", key: due, ends: rotation.Done, setup: func(f *fleet) { f.delivery = rotation.Delivery{Mode: rotation.Reveal} },
			own: func(_ *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				if r.Stage == rotation.Switching && r.Issued == 1 {
					return rotation.Reissue, owner
				}
				return "", ""
			},
		},
		{name: "retire", key: oldKey, retires: true, ends: rotation.Done},
		{
			name: "retire a leftover", key: oldKey, retires: true, ends: rotation.Done,
			setup: func(f *fleet) {
				f.cloud.keys[0].Status = rotation.Inactive
				f.cloud.add(rotation.Active, time.Hour, time.Minute)
			},
		},
		{name: "leak", key: oldKey, leaks: true, ends: rotation.Done},
		{
			name: "a leak, and a new key", key: oldKey, leaks: true, ends: rotation.Done,
			own: func(_ *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				switch {
				case r.Stage == rotation.Grace && r.New == "":
					return rotation.Replenish, owner
				case r.Stage == rotation.Grace && r.Issued == 1: // who has lost its secret
					return rotation.Reissue, owner
				}
				return "", ""
			},
		},
		{
			name: "a leak, and a new key that nobody asked for", key: oldKey, leaks: true, ends: rotation.Done,
			own: func(f *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				switch {
				case r.Stage == rotation.Grace && r.New == "" && r.Disowned.IsZero():
					return rotation.Replenish, owner
				case r.Stage == rotation.Grace && r.New != "":
					f.cloud.use(r.New) // by whoever has it
					return rotation.Disown, owner
				case r.Stage == rotation.Stuck && slices.Contains(r.Offers(rotation.ByApprover), rotation.Revoke):
					return rotation.Revoke, dave
				}
				return "", ""
			},
		},
		{
			name: "a leak taken back", key: oldKey, leaks: true, ends: rotation.Denied,
			own: func(f *fleet, r rotation.Rotation) (rotation.On, rotation.MemberID) {
				switch {
				case r.Stage == rotation.Grace:
					return rotation.Reactivate, owner
				case r.Stage == rotation.Leaked && hasReactivated(f):
					return rotation.Deny, dave
				}
				return "", ""
			},
		},
		{
			name: "adopt", key: due, ends: rotation.Done,
			setup: func(f *fleet) { f.cloud.add(rotation.Active, time.Hour, time.Minute) },
		},
		{
			name: "a lost creation", key: due, ends: rotation.Done,
			setup: func(f *fleet) { f.fate = first("CreateKey", fate{fails: true, applied: true}) },
		},
		{
			name: "an intent that cannot be written", key: due, ends: rotation.Done,
			setup: func(f *fleet) { f.fate = noIntent() },
		},
		{
			name: "a suspect of ours", key: due, ends: rotation.Done,
			setup: func(f *fleet) {
				f.fate = first("CreateKey", fate{fails: true, applied: true})
				f.cloud.trail = func(rotation.KeyID) (rotation.Maker, error) {
					return rotation.MakerUnknown, refusedCall("LookupEvents", rotation.ClassDenied)
				}
			},
		},
		{
			name: "a suspect of a person", key: due, ends: rotation.Done,
			setup: func(f *fleet) {
				f.fate = first("CreateKey", fate{fails: true, before: func() { f.cloud.add(rotation.Active, time.Second, 0) }})
			},
		},
	}
}
