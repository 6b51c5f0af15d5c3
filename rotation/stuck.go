package rotation

import "slices"

// WithStuck is the survey with those of the running rotations that are stuck as findings, in place of the stuck ones that it had. They come
// from what is stored: also of a user at whom the scan does not look, or whose account could not be read. Nobody accepts one: it is no state of
// a key, but waits for a decision, and its keys may be such as nobody meant to leave them.
func (s Survey) WithStuck(running []Rotation) Survey {
	s.Findings = slices.DeleteFunc(slices.Clone(s.Findings), func(f Finding) bool { return f.Breach == StuckRotation })
	seen := len(s.Findings)
	for _, r := range running {
		if r.Stage != Stuck {
			continue
		}
		f := Finding{User: r.User, UserID: r.UserID, Path: r.Traits.Path, Key: Key{ID: r.Old}}
		for _, a := range r.Asks {
			if k, ok := a.Evidence.Key(r.Old); ok {
				f.Key.Created = k.Created // its status and its use may be others by now
			}
		}
		for _, known := range s.Findings[:seen] {
			if known.User == r.User && known.Key.ID == r.Old {
				f = known
				f.Exempt, f.Snooze = Exemption{}, Snooze{}
			}
		}
		f.Breach, f.Owner, f.Doubt, f.Running, f.Stuck = StuckRotation, r.Owner, "", r.Stage, &r
		s.Findings = append(s.Findings, f)
	}
	sortFindings(s.Findings)
	return s
}
