package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/keyturner/keyturner/cmd/keyturner/listing"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
)

// ScanOptions is what a scan without Slack and without a store runs on.
type ScanOptions struct {
	Config     Config
	Accounts   []string            // the ids or names of those to read; empty: all
	ReportOnly bool                // go by the credential report
	Version    string              // of the program, for evidence
	AWS        *aws.Config         // nil: the SDK's usual chain
	AWSPace    float64             // as in Options
	Now        func() time.Time    // nil: time.Now
	Logger     *slog.Logger        // nil: discard
	Progress   func(done, all int) // called as accounts have been read, by any goroutine; nil: not
}

// open makes the adapter of an account; the rest of its configuration is given.
func (a Account) open(c awsiam.Config) (*awsiam.Account, error) {
	c.ID, c.Name, c.Role, c.ExternalID, c.TrailRegions = a.ID, a.Name, a.Role, a.ExternalID, a.TrailRegions
	return awsiam.New(c)
}

// findings is what counts as a finding.
func (c Config) findings() rotation.Policy {
	return rotation.Policy{WarnAge: c.Policy.WarnAge, MaxAge: c.Policy.MaxAge, UnusedAge: c.Policy.UnusedAge, Rules: c.Ages}
}

// Scan reads the accounts and lists what it finds. It changes nothing and calls nobody but AWS. An account that cannot be read is in the
// listing; the error is for what can be told without asking.
func Scan(ctx context.Context, o ScanOptions) (listing.Listing, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.AWS == nil {
		loaded, err := awsiam.LoadAWS(ctx)
		if err != nil {
			return listing.Listing{}, err
		}
		o.AWS = &loaded
	}
	var err error
	if o.Config, err = o.Config.withMembers(ctx, o.Config.members(*o.AWS)); err != nil && ctx.Err() != nil {
		return listing.Listing{}, errors.New("the scan was cut off before an account was read: nothing is known; run it again")
	} else if err != nil {
		return listing.Listing{}, err
	}
	chosen, err := o.chosen()
	if err != nil {
		return listing.Listing{}, err
	}
	adapters := map[string]*awsiam.Account{}
	scan := rotation.Scan{Policy: o.Config.findings(), ReportOnly: o.ReportOnly, Now: o.Now, Logger: o.Logger}
	for _, a := range chosen {
		adapter, err := a.open(awsiam.Config{AWS: *o.AWS, Logger: o.Logger, ReadsPerSecond: o.AWSPace})
		if err != nil {
			return listing.Listing{}, err
		}
		adapters[a.ID] = adapter
		scan.Accounts = append(scan.Accounts, rotation.Account{ID: a.ID, Name: a.Name, IAM: adapter})
	}
	var done atomic.Int64
	scan.Read = func(rotation.AccountState) {
		if n := done.Add(1); o.Progress != nil {
			o.Progress(int(n), len(chosen))
		}
	}
	clerk := &listing.Clerk{
		Policy: scan.Policy, Owners: o.Config.plainOwners(), Exemptions: exemptions(o.Config.Exemptions),
		Names: accountNames(chosen), At: o.Now().UTC(), Version: o.Version, ReportOnly: o.ReportOnly,
	}
	scan.Owned = clerk.Owned
	states := scan.Each(ctx, clerk.Note)
	for i, state := range states {
		if state.Err == nil || rotation.ClassOf(state.Err) != rotation.ClassDenied {
			continue
		}
		if err := adapters[state.ID].Check(ctx); err != nil { // which says what to do
			states[i].Err = err
		}
	}
	if ctx.Err() != nil {
		return listing.Listing{}, cutOff(states)
	}
	return clerk.Listing(states), nil
}

// cutOff says how far a scan came that somebody has ended. What it has found is not listed: it could be taken for all there is.
func cutOff(states []rotation.AccountState) error {
	read := 0
	for _, a := range states {
		if a.Err == nil {
			read++
		}
	}
	return fmt.Errorf("the scan was cut off when %d of %d accounts were read: nothing is listed, since a part could be taken for the whole; run it again",
		read, len(states))
}

// chosen are the accounts that are asked for.
func (o ScanOptions) chosen() ([]Account, error) {
	if len(o.Accounts) == 0 {
		return o.Config.Accounts, nil
	}
	var chosen []Account
	for _, name := range o.Accounts {
		i := slices.IndexFunc(o.Config.Accounts, func(a Account) bool { return a.ID == name || strings.EqualFold(a.Name, name) })
		if i < 0 {
			return nil, fmt.Errorf("account %q is not in the configuration: write the id or the name of one that is", name)
		}
		if !slices.ContainsFunc(chosen, func(a Account) bool { return a.ID == o.Config.Accounts[i].ID }) {
			chosen = append(chosen, o.Config.Accounts[i])
		}
	}
	return chosen, nil
}

func accountNames(accounts []Account) map[string]string {
	names := map[string]string{}
	for _, a := range accounts {
		names[a.ID] = a.Name
	}
	return names
}

// plainOwners finds owners without asking Slack: what a tag says is all that is known. Links that approvers have made are in the store, and
// not known here.
func (c Config) plainOwners() listing.Owners {
	links := map[rotation.UserRef]string{}
	for name, m := range c.Owners.Links {
		if u, err := rotation.ParseUserRef(name); err == nil {
			links[u] = m
		}
	}
	return listing.Owners{Links: links, Tags: slices.DeleteFunc([]string{c.Owners.Tag, c.Owners.EmailTag}, func(tag string) bool { return tag == "" }), Names: c.Owners.EmailNames}
}
