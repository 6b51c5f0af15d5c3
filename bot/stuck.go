package bot

import "github.com/keyturner/keyturner/rotation"

// stuckSince tells in the digest what is stuck, and why.
func stuckSince(r rotation.Rotation) string {
	return sentences("Its rotation is stuck since "+when(r.Since)+".", trouble(r, r.Failure))
}

// stuckNext tells who decides how a stuck rotation goes on.
func (v view) stuckNext(k keyFindings) string {
	if k.Stuck == nil {
		return ""
	}
	return "Next: " + ended(v.next(*k.Stuck))
}
