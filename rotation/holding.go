package rotation

// Holding is one IAM user, with who is answerable for it and its keys as they are now.
type Holding struct {
	User      UserRef
	Ownership Ownership
	Keys      []Key     // with last use; empty also if Err is set
	Findings  []Finding // about the keys, as a scan would have them, without their owner
	Running   *Rotation // nil if none runs
	Exempt    Exemption // by the configuration, of all its keys
	// Exemptions are those of single keys that are asked for or hold, and Snoozes those that hold.
	Exemptions []KeyExemption
	Snoozes    []Snooze
	Held       []Notice // that wait for the owner's working hours
	Err        error    // why the keys could not be read: they are unknown then, not absent
}
