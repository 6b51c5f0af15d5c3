package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// posts sends what the page would, and returns the answer.
func (s *story) posts(path string, body any) map[string]any {
	s.t.Helper()
	raw, err := json.Marshal(body)
	s.must(err)
	status, text := s.request(http.MethodPost, path, "", "1", raw)
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		s.t.Fatalf("%s answered %d %s", path, status, text)
	}
	return answer
}

func (s *story) request(method, path, host, header string, body []byte) (int, []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.ctx, method, s.w.pageURL+path, bytes.NewReader(body))
	s.must(err)
	if host != "" {
		r.Host = host
	}
	if header != "" {
		r.Header.Set("X-Sandbox", header)
	}
	answer, err := http.DefaultClient.Do(r)
	s.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	s.must(err)
	return answer.StatusCode, text
}

// breaks breaks or mends one thing as the page does.
func (s *story) breaks(name string, on bool) {
	s.t.Helper()
	if answer := s.posts("/faults", map[string]any{"name": name, "on": on}); answer["ok"] != true {
		s.t.Fatalf("%s: %v", name, answer)
	}
}

// clickFails clicks as a member who is then told that the app did not respond.
func (s *story) clickFails(member, place, action string, words ...string) {
	s.t.Helper()
	m := s.offer(member, place, action, words...)
	if err := s.w.slack.As(member).Click(s.ctx, slacksim.Target{Channel: m.Channel, TS: m.TS, ActionID: action}); err == nil {
		s.t.Error("the app answered a click although it cannot")
	}
	_, err := s.await(s.ctx, member, place, "the failure on its message", func(m slacksim.Message) bool {
		return hasWords(m, words) && m.Failed == "This app did not respond"
	})
	s.must(err)
}

func TestPage_RefusesOtherSites(t *testing.T) {
	t.Parallel()
	s := beginWith(t, settings{applications: true})
	for _, path := range []string{"/faults", "/apps/switch", "/clock/skip", "/late/click", "/slack/command", "/aws/use"} {
		if status, _ := s.request(http.MethodPost, path, "", "", []byte(`{}`)); status != http.StatusForbidden {
			t.Errorf("POST %s without the header: status %d", path, status)
		}
		if status, _ := s.request(http.MethodPost, path, "rebound.example", "1", []byte(`{}`)); status != http.StatusForbidden {
			t.Errorf("POST %s to another host: status %d", path, status)
		}
	}
	for _, path := range []string{"/", "/events", "/clock", "/faults/state", "/apps/state", "/slack/screen", "/aws/state"} {
		if status, _ := s.request(http.MethodGet, path, "rebound.example", "", nil); status != http.StatusForbidden {
			t.Errorf("GET %s of another host: status %d", path, status)
		}
	}
	for path, body := range map[string]string{
		"/faults": `{"name":"nothing","on":true}`, "/clock/skip": `{"hours":0}`, "/apps/switch": `{"user":"ci-deploy"}`, "/late/click": `{}`,
	} {
		if answer := s.posts(path, json.RawMessage(body)); answer["ok"] != false || answer["error"] == "" {
			t.Errorf("POST %s with %s: %v", path, body, answer)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1:8080": true, "[::1]:8080": true, "localhost": true, "kt.localhost:80": true, "127.9.9.9": true,
		"0.0.0.0:8080": false, "[::]:8080": false, "192.0.2.7:8080": false, "localhost.example": false, "127.0.0.1.example:80": false, "": false,
	} {
		if got := loopback(host); got != want {
			t.Errorf("loopback(%q) = %v", host, got)
		}
	}
}

func TestWorld_WarnsOfAnAddressThatOthersReach(t *testing.T) {
	t.Parallel()
	var logs locked
	w, err := newWorld(t.Context(), settings{page: "0.0.0.0:0", slack: "127.0.0.1:0", aws: "127.0.0.1:0", data: t.TempDir(), logs: &logs})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(string(logs.Bytes()), "other machines can reach this address"); n != 1 {
		t.Errorf("%d warnings, want 1: %s", n, logs.Bytes())
	}
}

func TestApplications_UseTheirKeyUntilSwitched(t *testing.T) {
	t.Parallel()
	s := beginWith(t, settings{applications: true})
	old, fresh := s.switching("ci-deploy")
	s.w.skip(25 * time.Hour)
	s.click(ana, dm, "confirm", "ci-deploy")
	s.told(ana, dm, "is still in use")

	s.applicationIs("ci-deploy", old.ID, true)
	s.posts("/apps/switch", map[string]string{"account": accountID, "user": "ci-deploy", "key": fresh.ID})
	s.applicationIs("ci-deploy", fresh.ID, true)
	s.w.skip(24 * time.Hour)
	s.click(ana, dm, "confirm", "ci-deploy")
	s.click(dave, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
	s.offer(ana, dm, "reactivate", "ci-deploy")

	s.posts("/apps/switch", map[string]string{"account": accountID, "user": "ci-deploy", "key": old.ID})
	s.applicationIs("ci-deploy", old.ID, false)
	s.click(ana, dm, "reactivate", "ci-deploy")
	s.applicationIs("ci-deploy", old.ID, true)
}

// applicationIs waits until a user's application uses a key, and works or does not.
func (s *story) applicationIs(user, key string, works bool) {
	s.t.Helper()
	late := time.After(patience)
	for {
		_, next := s.w.changes.Changed()
		for _, a := range s.w.applications.list() {
			if a.User == user && a.Key == key && a.OK == works && works == !strings.HasPrefix(a.Error, "InvalidClientTokenId") {
				return
			}
		}
		select {
		case <-next:
		case <-late:
			s.t.Fatalf("the application of %s should use %s (works: %v): %+v", user, key, works, s.w.applications.list())
		}
	}
}

func TestFaults_TheBotIsKilledAndStarted(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	for range 3 {
		s.breaks(botKilled, true)
		s.clickFails(carol, "key-approvals", "approve", "ci-deploy")
		s.w.skip(time.Hour)
		s.breaks(botKilled, false)
		s.must(s.w.ready(s.ctx))
	}
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
	s.offer(ana, dm, "confirm", "ci-deploy")
	if n := s.changes("CreateAccessKey"); n != 1 {
		t.Errorf("%d keys were created, want 1", n)
	}
}

// TestFaults_TheBotIsKilledWhileAWSCreatesTheKey kills it between its call and the answer, which it never learns.
func TestFaults_TheBotIsKilledWhileAWSCreatesTheKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		applied bool
	}{{"the key was not created", false}, {"the key was created", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			s.must(s.requests(s.ctx, ana, "ci-deploy", false))
			s.offer(carol, "key-approvals", "approve", "ci-deploy")
			killed := make(chan error, 1)
			s.w.aws.Fail("CreateAccessKey", iamsim.Fault{Apply: test.applied, Drop: true, After: func() {
				killed <- s.w.faults.set(t.Context(), botKilled, true)
			}})
			s.click(carol, "key-approvals", "approve", "ci-deploy")
			s.must(<-killed)
			s.breaks(botKilled, false)
			s.must(s.w.ready(s.ctx))
			s.w.skip(2 * time.Minute)
			s.offer(ana, dm, "confirm", "ci-deploy")
			created, deleted := 1, 0
			if test.applied { // CloudTrail names the bot as the maker: a key whose secret nobody has is revoked, and another made
				created, deleted = 2, 1
			}
			if n := s.changes("CreateAccessKey"); n != created {
				t.Errorf("%d keys were created, want %d", n, created)
			}
			if n := s.changes("DeleteAccessKey"); n != deleted {
				t.Errorf("%d keys were deleted, want %d", n, deleted)
			}
		})
	}
}

func TestFaults_SlackIsDown(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.must(s.requests(s.ctx, ana, "ci-deploy", false))
	s.offer(carol, "key-approvals", "approve", "ci-deploy")
	s.breaks(slackDown, true)
	s.clickFails(carol, "key-approvals", "approve", "ci-deploy")
	s.breaks(slackDown, false)
	s.must(s.w.ready(s.ctx))
	s.click(carol, "key-approvals", "approve", "ci-deploy")
	_, err := s.awaitSecret(s.ctx, ana)
	s.must(err)
}

func TestFaults_AWSThrottlesAndDenies(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, fresh := s.switching("ci-deploy")
	s.use(fresh.ID)
	s.w.skip(25 * time.Hour)
	s.breaks(awsThrottles, true)
	s.click(ana, dm, "confirm", "ci-deploy")
	s.told(ana, dm, "not")
	s.breaks(awsDenies, true)
	s.breaks(awsThrottles, false)
	s.click(ana, dm, "confirm", "ci-deploy")
	s.click(carol, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
	s.see(carol, "key-approvals", "stuck", "permitted")
	s.breaks(awsDenies, false)
	s.click(dave, "key-approvals", "try-again", "ci-deploy")
	s.must(s.awaitStatus(s.ctx, "ci-deploy", old.ID, "Inactive"))
}
