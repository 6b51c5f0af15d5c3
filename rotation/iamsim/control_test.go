package iamsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// ask sends a request to the control face and returns its answer.
func ask(t *testing.T, sim *iamsim.Sim, method, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	r.Header.Set("X-Sandbox", "1")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	sim.Control().ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(string(must(io.ReadAll(w.Body))(t)))
}

func TestControl_State(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	_, empty := ask(t, w.Sim, http.MethodGet, "/aws/state", "", nil)
	diff(t, empty, `{"version":1,"now":"2026-11-23T09:00:00Z","accounts":[{"id":"111122223333","alias":"acme","root_key":false,"users":[]}],"calls":[]}`)

	w.account.AddUser(iamsim.User{Name: "u", ID: "AIDAU", Created: start.AddDate(-1, 0, 0), Tags: map[string]string{"owner": "ann"}})
	w.account.AddKey("u", iamsim.Key{ID: "AKIA2222222222222222", Created: start.AddDate(0, 0, -91), LastUsed: start.AddDate(0, 0, -1), Service: "s3", Region: "eu-west-1"})
	w.account.SetRootKey(start.AddDate(-2, 0, 0), start)
	made := must(w.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")}))(t).AccessKey
	w.Fail("GetUser", iamsim.Fault{Drop: true})
	if _, err := w.iam.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("u")}); err == nil {
		t.Error("no error")
	}
	_, text := ask(t, w.Sim, http.MethodGet, "/state", "", nil)
	if strings.Contains(text, *made.SecretAccessKey) {
		t.Error("the state holds a secret")
	}
	var state iamsim.State
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	version, _ := w.Changed()
	diff(t, state.Version, version)
	account := state.Accounts[0]
	diff(t, account.RootKey, true)
	old := iamsim.KeyState{
		ID: "AKIA2222222222222222", Status: "Active", Created: "2026-08-24T09:00:00Z", AgeDays: 91,
		LastUsed: "2026-11-22T09:00:00Z", Service: "s3", Region: "eu-west-1",
	}
	fresh := iamsim.KeyState{ID: *made.AccessKeyId, Status: "Active", Created: "2026-11-23T09:00:00Z", Service: "N/A", Region: "N/A", ByBot: true}
	keys := []iamsim.KeyState{old, fresh}
	if fresh.ID < old.ID {
		keys = []iamsim.KeyState{fresh, old}
	}
	diff(t, account.Users, []iamsim.UserState{{
		Name: "u", Path: "/", UserID: "AIDAU", Created: "2025-11-23T09:00:00Z", Tags: map[string]string{"owner": "ann"}, Keys: keys,
	}})
	diff(t, state.Calls, []iamsim.CallState{
		{At: "2026-11-23T09:00:00Z", Op: "CreateAccessKey", Account: accountID, User: "u", Key: *made.AccessKeyId, Result: "ok"},
		{At: "2026-11-23T09:00:00Z", Op: "GetUser", Account: accountID, User: "u", Result: "cut"},
	})
}

func TestControl_StateShowsTheLastCalls(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	for range 51 {
		must(w.sts.GetCallerIdentity(t.Context(), nil))(t)
	}
	_, err := w.iam.GetUser(t.Context(), nil)
	wantCode(t, err, "ValidationError")
	calls := w.State().Calls
	if len(calls) != 50 || calls[49].Result != "ValidationError" {
		t.Errorf("%d calls, the last %+v", len(calls), calls[len(calls)-1])
	}
}

func TestControl_Use(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{})
	body := `{"account":"111122223333","key":"` + key + `","service":"s3","region":"eu-west-1"}`
	noHeader := func(r *http.Request) { r.Header.Del("X-Sandbox") }
	for _, test := range []struct {
		name, body string
		change     func(*http.Request)
		status     int
		want       string
	}{
		{name: "works", body: body, status: 200, want: `{"ok":true}`},
		{name: "unknown key", body: `{"account":"111122223333","key":"AKIA"}`, status: 200, want: `{"ok":false,"error":"InvalidClientTokenId: The security token included in the request is invalid."}`},
		{name: "unknown account", body: `{"account":"1"}`, status: 200, want: `{"ok":false,"error":"there is no account 1"}`},
		{name: "not JSON", body: `{`, status: 400, want: "not the JSON expected"},
		{name: "without the header", body: body, change: noHeader, status: 403, want: "X-Sandbox"},
		{name: "other host", body: body, change: func(r *http.Request) { r.Host = "evil.example" }, status: 403, want: "loopback"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, got := ask(t, w.Sim, http.MethodPost, "/aws/use", test.body, test.change)
			if status != test.status || !strings.Contains(got, test.want) {
				t.Errorf("got %d %s, want %d %s", status, got, test.status, test.want)
			}
		})
	}
	if got := w.account.Keys("u")[0]; !got.LastUsed.Equal(start) || got.Service != "s3" {
		t.Errorf("the key is %+v", got)
	}
	told := `{"account":"111122223333","key":"` + key + `","service":"ec2","event":"RunInstances","region":"eu-west-1","user_agent":"Terraform/1.9","source_ip":"198.51.100.7"}`
	if _, got := ask(t, w.Sim, http.MethodPost, "/aws/use", told, nil); got != `{"ok":true}` {
		t.Errorf("got %s", got)
	}
	if got := w.account.Events()[0]; got.Name != "RunInstances" || got.UserAgent != "Terraform/1.9" || got.SourceIP != "198.51.100.7" {
		t.Errorf("the event is %+v", got)
	}
	if status, _ := ask(t, w.Sim, http.MethodGet, "/aws/use", "", nil); status != http.StatusMethodNotAllowed {
		t.Errorf("GET answers %d", status)
	}
}
