package bot

import "github.com/keyturner/keyturner/rotation"

// exposed warns that AWS has found a key of the user in public: then nobody should wait for applications to move.
func exposed(r rotation.Rotation) string {
	if !r.InPublic || r.Ended() {
		return ""
	}
	return "*AWS has found a key of this user in public* and has attached a policy named AWSCompromisedKeyQuarantine, which is not to be removed. " +
		"If it is this key, do not wait for applications to move: type `/rotate-key leaked` and the key's whole id."
}
