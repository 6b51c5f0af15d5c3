package rotation

import "time"

// What the tests outside of the package may see.
const (
	KeepTrail   = keepTrail
	KeepAsks    = keepAsks
	KeepPast    = keepPast
	KeepNotices = keepNotices
	MaxListed   = maxListed
	MaxTo       = maxTo

	KeepExemptions = keepExemptions
	KeepSnoozes    = keepSnoozes
	MaxIssued      = maxIssued
	WorkLease      = workLease
	RollbackLease  = rollbackLease
	LeaseTime      = leaseTime
	StopBefore     = stopBefore
	RenewEvery     = renewEvery
	SharedTick     = sharedTick
	MaxNudges      = maxNudges
	MaxLookups     = maxLookups
)

// SecretsHeld counts the secrets in this process's memory, and with them the hand-overs that it remembers.
func (e *Engine) SecretsHeld() (secrets, remembered int) {
	for _, id := range e.secrets.rotations() {
		h, ok := e.secrets.get(id)
		if ok {
			remembered++
		}
		if !h.secret.Empty() {
			secrets++
		}
	}
	return secrets, remembered
}

// Mine tells whether a ticket is this process's.
func (e *Engine) Mine(ticket string) bool { return e.mine(ticket) }

// EntryKey is where the i-th entry of p's trail is filed.
func (p Progress) EntryKey(i int) string { return p.entryKey(i) }

// LeaseOf is how long an effect is left to who has begun it.
func LeaseOf(s Stage) time.Duration {
	if s.urgent() {
		return rollbackLease
	}
	return workLease
}

// Gather groups calls as a trace has them.
func Gather(calls map[string][]Call) ([]Caller, int) { return gather(calls) }

// InQuarantine tells what the latest scan has seen.
func (e *Engine) InQuarantine(u UserRef) bool { return e.inQuarantine(u) }
