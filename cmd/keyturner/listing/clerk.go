package listing

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

// Owners says where it stands who is answerable for a user. It asks nobody, so it passes on what it finds: a member's id, a group's, or
// an e-mail address.
type Owners struct {
	Links map[rotation.UserRef]string
	Tags  []string // the keys of tags, in the order in which they count
	Names bool     // a user's name may be an address
}

func (o Owners) of(u rotation.User) (owner string, known bool) {
	if owner = o.Links[u.Ref]; owner != "" {
		return owner, true
	}
	for _, tag := range o.Tags {
		if u.Tags[tag] != "" {
			return u.Tags[tag], true
		}
	}
	if o.Names && strings.Contains(u.Ref.Name, "@") {
		return u.Ref.Name, true
	}
	return "", !u.Untold
}

// Clerk makes a listing of what a scan shows. One makes one listing.
type Clerk struct {
	Policy     rotation.Policy
	Owners     Owners
	Exemptions map[rotation.UserRef]rotation.Exemption
	Names      map[string]string // of accounts, by id
	At         time.Time
	Version    string
	ReportOnly bool

	found []Finding
}

// noLinks is the remark to a user without an owner.
const noLinks = "what approvers have linked in Slack is not seen here"

// Owned is for rotation.Scan: whether the configuration or a tag names an owner, or may.
func (c *Clerk) Owned(u rotation.User) bool {
	owner, known := c.Owners.of(u)
	return owner != "" || !known
}

// Note lists what was seen of a user. It is for rotation.Scan's Each.
func (c *Clerk) Note(seen rotation.Sight) error {
	owner, known := c.Owners.of(seen.User)
	for _, f := range c.Policy.Judge(seen, c.At) {
		f.UserID, f.Path = seen.User.ID, seen.User.Path
		if x := c.Exemptions[f.User]; x.Holds(c.At) && f.Breach != rotation.Quarantined && !seen.Root {
			f.Exempt = x
		}
		c.list(f, owner, known || seen.Root)
	}
	if owner == "" && known && seen.Keyed() {
		f := rotation.Finding{Breach: rotation.Unowned, User: seen.User.Ref, UserID: seen.User.ID, Path: seen.User.Path}
		if x := c.Exemptions[f.User]; x.Holds(c.At) {
			f.Exempt = x
		}
		c.list(f, owner, known)
		c.found[len(c.found)-1].Remark = noLinks
	}
	return nil
}

// OfSurvey lists what a survey has found, with the owners and the exemptions that the survey knows.
func OfSurvey(s rotation.Survey, c Clerk) Listing {
	c.At = s.At
	for _, f := range s.Findings {
		c.list(f, string(f.Owner), f.Doubt != rotation.NotLookedUp)
	}
	l := c.Listing(s.Accounts)
	l.Complete = l.Complete && s.Unlisted == nil
	return l
}

func (c *Clerk) list(f rotation.Finding, owner string, known bool) {
	rule := RuleOf(f.Breach)
	row := Finding{
		Rule: rule.ID, Severity: rule.Severity, Controls: append([]string{}, rule.Controls...),
		AccountID: f.User.Account, AccountName: c.Names[f.User.Account], User: f.User.Name, UserID: f.UserID, UserPath: f.Path,
		KeyID: string(f.Key.ID), KeyStatus: string(f.Key.Status), Owner: owner, OwnerKnown: known,
		MaxAge:  int(f.Policy.MaxAge / (24 * time.Hour)),
		LastUse: "unknown", LastService: f.Key.LastUse.Service, LastRegion: f.Key.LastUse.Region,
	}
	if f.Key.LastUse.State != rotation.UseUnknown {
		row.LastUse = string(f.Key.LastUse.State)
	}
	row.LastUsed, row.KeyCreated = moment(f.Key.LastUse.At), moment(f.Key.Created)
	if row.KeyCreated != nil {
		days := int(f.Key.Age(c.At) / (24 * time.Hour))
		row.KeyAge = &days
	}
	if f.Exempt.Holds(c.At) {
		row.Exempt, row.ExemptReason, row.ExemptUntil = true, f.Exempt.Reason, moment(f.Exempt.Until)
		row.exemptDay = f.Exempt.Until.Add(-1).Format(time.DateOnly)
	}
	c.found = append(c.found, row)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Listing ends the listing, with how each account was read.
func (c *Clerk) Listing(states []rotation.AccountState) Listing {
	days := func(d time.Duration) int { return int(d / (24 * time.Hour)) }
	l := Listing{
		Schema: Schema, Version: c.Version, ScannedAt: c.At.Truncate(time.Second), Complete: true, Source: Live, Accounts: []Account{}, Findings: c.found,
		Policy: Policy{days(c.Policy.WarnAge), days(c.Policy.MaxAge), days(c.Policy.UnusedAge)},
	}
	if c.ReportOnly {
		l.Source = Report
	}
	if l.Findings == nil {
		l.Findings = []Finding{}
	}
	slices.SortStableFunc(l.Findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(rank(a.Rule), rank(b.Rule)), strings.Compare(stamp(a.KeyCreated), stamp(b.KeyCreated)),
			strings.Compare(a.AccountID, b.AccountID), strings.Compare(a.User, b.User), strings.Compare(a.KeyID, b.KeyID),
		)
	})
	for _, s := range states {
		a := Account{ID: s.ID, Name: s.Name, State: Read, ReportMade: moment(s.ReportMade), Users: s.Users, Unseen: []Unseen{}}
		for _, u := range s.Unseen {
			a.State = Partly
			a.Unseen = append(a.Unseen, Unseen{u.What(), u.Permission()})
		}
		if s.Err != nil {
			a.State, a.Error = Partly, strings.Join(strings.Fields(s.Err.Error()), " ")
			if s.Users == 0 {
				a.State = NotRead
			}
			if rotation.ClassOf(s.Err) == rotation.ClassThrottled && !strings.Contains(a.Error, "try again") {
				a.Error += "; try again in some minutes"
			}
		}
		for _, f := range l.Findings {
			if f.AccountID == s.ID {
				a.Findings++
			}
		}
		l.Complete = l.Complete && a.State == Read
		l.Accounts = append(l.Accounts, a)
	}
	return l
}

func rank(rule string) int {
	return slices.IndexFunc(Rules, func(r Rule) bool { return r.ID == rule })
}
