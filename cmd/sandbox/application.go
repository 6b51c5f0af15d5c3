package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// usePause is how long an application rests between two uses of its key while nobody skips time.
const usePause = 20 * time.Second

// region is where everything of the seed runs.
const region = "eu-west-1"

// application is what a company runs as an IAM user: it signs requests with one key until a person gives it another.
type application struct {
	Account string `json:"account"`
	User    string `json:"user"`
	Name    string `json:"name"`
	Key     string `json:"key"`
	OK      bool   `json:"ok"`    // how the last use of the key went
	Error   string `json:"error"` // what AWS answered if it did not go well

	service string
}

// applications are those of one account. They have no secret: the simulator takes a key's id for a request signed with it.
type applications struct {
	account *iamsim.Account
	aws     *iamsim.Sim
	changes *changes

	mu  sync.Mutex
	all []application
}

// newApplications has one application for each seeded user with an active key that has been used: it uses the oldest such key.
func newApplications(sim *iamsim.Sim, account *iamsim.Account, c *changes) *applications {
	a := &applications{account: account, aws: sim, changes: c}
	for _, u := range seed {
		used := slices.DeleteFunc(account.Keys(u.name), func(k iamsim.KeyView) bool { return k.Status != "Active" || k.LastUsed.IsZero() })
		if len(used) == 0 {
			continue
		}
		oldest := slices.MinFunc(used, func(x, y iamsim.KeyView) int { return x.Created.Compare(y.Created) })
		a.all = append(a.all, application{
			Account: accountID, User: u.name, Name: u.application, Key: oldest.ID, OK: true, service: oldest.Service,
		})
	}
	return a
}

// list returns the applications as they stand.
func (a *applications) list() []application {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// switchTo gives a user's application another key of that user, with which it signs at once.
func (a *applications) switchTo(account, user, key string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.all, func(app application) bool { return app.Account == account && app.User == user })
	if i < 0 {
		return fmt.Errorf("no application runs as %q", user)
	}
	if !slices.ContainsFunc(a.account.Keys(user), func(k iamsim.KeyView) bool { return k.ID == key }) {
		return fmt.Errorf("%s has no key %q", user, key)
	}
	a.all[i].Key = key
	a.use(&a.all[i])
	a.changes.touch()
	return nil
}

// use signs one request, notes how that went, and tells whether it went otherwise than before. The lock is held.
func (a *applications) use(app *application) bool {
	was := *app
	app.OK, app.Error = true, ""
	if err := a.account.Use(app.Key, app.service, region); err != nil {
		app.OK, app.Error = false, err.Error()
	}
	return *app != was
}

// useAll has every application use its key now.
func (a *applications) useAll() { a.useThose(func(application) bool { return true }) }

// useSwitched has those use their key for which it has begun or ceased to work, so that a person sees at once what a change did.
func (a *applications) useSwitched() {
	a.useThose(func(app application) bool { return a.works(app) != app.OK })
}

func (a *applications) works(app application) bool {
	return slices.ContainsFunc(a.account.Keys(app.User), func(k iamsim.KeyView) bool { return k.ID == app.Key && k.Status == "Active" })
}

func (a *applications) useThose(which func(application) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	changed := false
	for i := range a.all {
		if which(a.all[i]) && a.use(&a.all[i]) {
			changed = true
		}
	}
	if changed {
		a.changes.touch()
	}
}

// run uses the keys every now and then until ctx ends.
func (a *applications) run(ctx context.Context) {
	if len(a.list()) == 0 {
		return
	}
	pause := time.NewTicker(usePause)
	defer pause.Stop()
	for {
		_, next := a.aws.Changed()
		a.useSwitched()
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-pause.C:
			a.useAll()
		}
	}
}
