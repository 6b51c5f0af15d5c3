package rotation

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Breach is the kind of a finding.
type Breach string

// The breaches, the gravest first.
const (
	RootKey       Breach = "root-key"       // the root user has an access key
	Quarantined   Breach = "quarantined"    // AWS has found a key of the user in public
	StuckRotation Breach = "stuck-rotation" // the user's rotation waits for a person to say how it goes on
	TooOld        Breach = "too-old"        // as old as the maximum age, or older
	SoonTooOld    Breach = "soon-too-old"   // as old as the warning age, or older
	Unneeded      Breach = "never-used"     // active for the unused age and never used
	Idle          Breach = "idle"           // active and not used for the unused age
	TwoActive     Breach = "two-active"     // two keys work
	Unowned       Breach = "unowned"        // the user has an active key, and nobody is answerable
	LeftInactive  Breach = "left-inactive"  // an inactive key was never deleted
	ExtraKeys     Breach = "extra-keys"     // more keys than AWS's own limit
)

// Finding is an observed breach of one key, or of one user.
type Finding struct {
	Breach  Breach
	User    UserRef
	UserID  string    // that AWS has given the user
	Path    string    // of the user
	Key     Key       // zero for Unowned, which is of the user; without id for RootKey
	Policy  Policy    // what counted for the user, without rules; zero for RootKey
	Owner   MemberID  // empty: nobody is answerable, or it is not known who
	Doubt   Doubt     // why what should name the owner does not
	Exempt  Exemption // zero if there is none
	Snooze  Snooze    // likewise
	Running Stage     // the stage of the user's rotation, if one runs
	Stuck   *Rotation // that rotation, for StuckRotation
	Instead Instead   // what fits in place of the key; zero unless the key is not used
	Beyond  Circle    // who is told if the owner does not act; empty: on-call
	Passed  time.Time // when they were; zero: they were not
}

// Exemption is a finding accepted, with a reason and an end.
type Exemption struct {
	Reason string
	Until  time.Time
	By     []MemberID // who approved of it in Slack; nobody: it stands in the configuration
}

// Holds tells whether the exemption is in force.
func (x Exemption) Holds(now time.Time) bool { return x.Reason != "" && now.Before(x.Until) }

// Bands are the bounds between the ages by which active keys are counted, in whole days: two before the warning age, that and the maximum
// age, and two beyond.
func (p Policy) Bands() []int {
	warn, most := wholeDays(p.WarnAge), wholeDays(p.MaxAge)
	return []int{warn / 3, 2 * warn / 3, warn, most, 2 * most, 4 * most}
}

// band tells between which of the bounds an age lies.
func (p Policy) band(age time.Duration) int {
	days, n := wholeDays(age), 0
	for _, bound := range p.Bands() {
		if days >= bound {
			n++
		}
	}
	return n
}

// Findings names every breach of one user's keys, by p and not by its rules. A last use that is not known is no finding: unknown is not unused.
func (p Policy) Findings(u UserRef, keys []Key, now time.Time) []Finding {
	var found []Finding
	add := func(b Breach, k Key) { found = append(found, Finding{Breach: b, User: u, Key: k, Policy: p}) }
	active := 0
	for _, k := range keys {
		if k.Status != Active {
			add(LeftInactive, k)
			continue
		}
		active++
		switch age := k.Age(now); {
		case age >= p.MaxAge:
			add(TooOld, k)
		case age >= p.WarnAge:
			add(SoonTooOld, k)
		}
		if unused := p.Unused(k, now); unused != "" {
			add(unused, k)
		}
	}
	switch {
	case len(keys) > maxKeys:
		add(ExtraKeys, keys[len(keys)-1])
	case active == maxKeys:
		add(TwoActive, keys[0])
	}
	return found
}

// Suspicious tells from a row of the report whether the user's keys must be looked at. It errs on the side of looking. The report's
// date of a key is documented as "created or last changed" (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html);
// live reports keep the creation date when the status changes.
func (p Policy) Suspicious(row ReportRow, now time.Time) bool {
	if len(row.Keys) >= maxKeys {
		return true
	}
	for _, k := range row.Keys {
		since := k.Rotated
		if k.LastUse.State == Used {
			since = k.LastUse.At
		}
		if !k.Active || k.Rotated.IsZero() || now.Sub(k.Rotated) >= p.WarnAge || now.Sub(since) >= p.UnusedAge {
			return true
		}
	}
	return false
}

// Survey is the outcome of one scan.
type Survey struct {
	At       time.Time // when it began, or the one that was cut off and that it goes on with
	Accounts []AccountState
	Findings []Finding // the gravest first
	Left     []Departed
	Unlisted error // why it could not be read which accounts there are; those known until then were scanned
	Unasked  int   // users with an active key and no other finding, of whom it is not known whether anybody is answerable
	// Overruled are the rotations of which the evidence was overruled lately; whoever tells of the survey adds them.
	Overruled []Rotation
}

// AccountState tells of one account whether it could be read. An account that could not has no findings here, which says nothing
// about its keys.
type AccountState struct {
	ID, Name   string
	Users      int
	ReportMade time.Time // when AWS made the credential report; zero: there was none to read
	Unseen     []Unseen  // what the role there may not look at
	Ages       []int     // active keys by age: below the first of Policy.Bands, then from each bound on; nil: they are not known
	Err        error
}

// Ages adds up the accounts' active keys by age. Those of accounts of which they are not known are missing.
func (s Survey) Ages() []int {
	var sum []int
	for _, a := range s.Accounts {
		for i, n := range a.Ages {
			if i == len(sum) {
				sum = append(sum, 0)
			}
			sum[i] += n
		}
	}
	return sum
}

// Unread lists the accounts that could not be read in full.
func (s Survey) Unread() []AccountState {
	return slices.DeleteFunc(slices.Clone(s.Accounts), func(a AccountState) bool { return a.Err == nil })
}

var gravity = map[Breach]int{
	RootKey: 0, Quarantined: 1, StuckRotation: 2, TooOld: 3, ExtraKeys: 4, Unneeded: 5, Idle: 6, TwoActive: 7, SoonTooOld: 8, LeftInactive: 9, Unowned: 10,
}

// Breaches lists all there are, the gravest first.
func Breaches() []Breach {
	return slices.SortedFunc(maps.Keys(gravity), func(a, b Breach) int { return cmp.Compare(gravity[a], gravity[b]) })
}

func sortFindings(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(gravity[a.Breach], gravity[b.Breach]),
			a.Key.Created.Compare(b.Key.Created),
			cmp.Compare(a.User.String(), b.User.String()),
			cmp.Compare(a.Key.ID, b.Key.ID),
		)
	})
}
