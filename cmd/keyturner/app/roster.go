package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
)

// roster opens the accounts, each once, so that it keeps its pace and its session however often the organization is read.
type roster struct {
	config Config
	adapt  func(Account) (*awsiam.Account, error)
	org    *awsiam.Organization // nil: there are those of the configuration alone

	mu     sync.Mutex
	opened map[string]*awsiam.Account
	names  atomic.Pointer[map[string]string] // by id; those of accounts that have left stay
}

func newRoster(o Options) *roster {
	return &roster{
		config: o.Config, org: o.Config.members(*o.AWS), opened: map[string]*awsiam.Account{},
		adapt: func(a Account) (*awsiam.Account, error) {
			return a.open(awsiam.Config{AWS: *o.AWS, Logger: o.Logger, ReadsPerSecond: o.AWSPace, WritesPerSecond: o.AWSPace / 10})
		},
	}
}

// read reads the organization, if there is one, and lists the accounts with their adapters.
func (r *roster) read(ctx context.Context) ([]rotation.Account, error) {
	cfg, err := r.config.withMembers(ctx, r.org)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []rotation.Account
	names := maps.Clone(r.called())
	for id, name := range names {
		taken := func(a Account) bool { return a.ID != id && strings.EqualFold(a.Name, name) }
		if slices.ContainsFunc(cfg.Accounts, taken) { // by another one, since this one has left
			names[id] = fmt.Sprintf("%s (%s)", name, id)
		}
	}
	for _, a := range cfg.Accounts {
		adapter := r.opened[a.ID]
		if adapter == nil {
			if adapter, err = r.adapt(a); err != nil {
				return nil, err
			}
			r.opened[a.ID] = adapter
		}
		names[a.ID] = a.Name
		all = append(all, rotation.Account{
			ID: a.ID, Name: a.Name, IAM: adapter, Delivery: a.delivery(), Vault: adapter, Trail: adapter, Regions: a.TrailRegions,
		})
	}
	r.names.Store(&names)
	return all, nil
}

// called is the accounts' names, which nobody changes.
func (r *roster) called() map[string]string {
	if names := r.names.Load(); names != nil {
		return *names
	}
	return map[string]string{}
}

// anew is what the engine reads the accounts with; nil if they are those of the configuration.
func (r *roster) anew() func(context.Context) ([]rotation.Account, error) {
	if r.org == nil {
		return nil
	}
	return r.read
}
