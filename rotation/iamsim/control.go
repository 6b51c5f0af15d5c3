package iamsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// shownCalls is how many calls the page shows.
const shownCalls = 50

// State is the JSON of GET /aws/state.
type State struct {
	Version  uint64         `json:"version"`
	Now      string         `json:"now"` // RFC 3339
	Accounts []AccountState `json:"accounts"`
	Calls    []CallState    `json:"calls"` // the last 50, oldest first
}

// AccountState is an account in [State].
type AccountState struct {
	ID      string      `json:"id"`
	Alias   string      `json:"alias"`
	RootKey bool        `json:"root_key"`
	Users   []UserState `json:"users"`
}

// UserState is a user in [State].
type UserState struct {
	Name    string            `json:"name"`
	Path    string            `json:"path"`
	UserID  string            `json:"user_id"`
	Tags    map[string]string `json:"tags"`
	Created string            `json:"created"`
	Keys    []KeyState        `json:"keys"`
}

// KeyState is a key in [State], as AWS would describe it now.
type KeyState struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // Active or Inactive
	Created string `json:"created"`
	AgeDays int    `json:"age_days"`
	// LastUsed is empty if no use is visible; Service and Region are then "N/A".
	LastUsed string `json:"last_used"`
	Service  string `json:"service"`
	Region   string `json:"region"`
	ByBot    bool   `json:"by_bot"` // created through the protocol face
}

// CallState is a call in [State]. Result is "ok", an error code, or "cut".
type CallState struct {
	At      string `json:"at"`
	Op      string `json:"op"`
	Account string `json:"account"`
	User    string `json:"user"`
	Key     string `json:"key"`
	Result  string `json:"result"`
}

// State returns what the sandbox page shows.
func (s *Sim) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	state := State{
		Version:  s.version,
		Now:      stamp(now),
		Accounts: make([]AccountState, 0, len(s.accounts)),
		Calls:    make([]CallState, 0, shownCalls),
	}
	for _, a := range s.accounts {
		state.Accounts = append(state.Accounts, a.state(now))
	}
	for _, c := range s.calls[max(0, len(s.calls)-shownCalls):] {
		state.Calls = append(state.Calls, CallState{
			At: stamp(c.At), Op: c.Op, Account: c.Account, User: c.UserName, Key: c.AccessKeyId, Result: c.result(),
		})
	}
	return state
}

func (a *Account) state(now time.Time) AccountState {
	state := AccountState{ID: a.id, Alias: a.alias, RootKey: a.root != nil, Users: make([]UserState, 0, len(a.users))}
	for _, u := range a.users {
		state.Users = append(state.Users, u.state(now))
	}
	return state
}

func (u *user) state(now time.Time) UserState {
	state := UserState{
		Name: u.Name, Path: u.Path, UserID: u.ID, Created: stamp(u.Created),
		Tags: make(map[string]string, len(u.tags)), Keys: make([]KeyState, 0, len(u.keys)),
	}
	for _, t := range u.tags {
		state.Tags[t.Key] = t.Value
	}
	for _, k := range u.keys {
		last := k.lastUse(now)
		state.Keys = append(state.Keys, KeyState{
			ID: k.id, Status: k.status(), Created: stamp(k.created), AgeDays: int(now.Sub(k.created).Hours() / 24),
			LastUsed: stamp(last.at), Service: last.service, Region: last.region, ByBot: k.byBot,
		})
	}
	return state
}

// Control is the face of the sandbox page, to be mounted at /aws/, with or
// without http.StripPrefix:
//
//	GET  /aws/state                                → State
//	POST /aws/use {"account","key","service","region"} → {"ok":true} | {"ok":false,"error":"InvalidClientTokenId: …"}
//
// A use may also say its "event", "user_agent" and "source_ip", see [Activity].
// A POST without the header X-Sandbox: 1, which a form of another site cannot
// send, and any request to a Host that is not a loopback one get 403.
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	for _, prefix := range []string{"/aws", ""} {
		mux.HandleFunc("GET "+prefix+"/state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.State()) })
		mux.HandleFunc("POST "+prefix+"/use", s.serveUse)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isLoopback(r.Host):
			http.Error(w, "the simulator answers loopback hosts only", http.StatusForbidden)
		case r.Method == http.MethodPost && r.Header.Get("X-Sandbox") != "1":
			http.Error(w, "the header X-Sandbox: 1 is missing", http.StatusForbidden)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

type useResponse struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// serveUse plays an application that uses a key.
func (s *Sim) serveUse(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account, Key, Service, Region, Event string
		UserAgent                            string `json:"user_agent"`
		SourceIP                             string `json:"source_ip"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		http.Error(w, "the body is not the JSON expected", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	account := s.account(in.Account)
	s.mu.Unlock()
	if account == nil {
		writeJSON(w, useResponse{Error: "there is no account " + in.Account})
		return
	}
	activity := Activity{Service: in.Service, Region: in.Region, Event: in.Event, UserAgent: in.UserAgent, SourceIP: in.SourceIP}
	if err := account.Perform(in.Key, activity); err != nil {
		writeJSON(w, useResponse{Error: err.Error()})
		return
	}
	writeJSON(w, useResponse{OK: true})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// A failed write means that the page has gone.
	_ = json.NewEncoder(w).Encode(value)
}
