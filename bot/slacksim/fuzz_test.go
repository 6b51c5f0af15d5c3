package slacksim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// FuzzMethods sends anything to any method. Every answer must be JSON with "ok", and the
// workspace must work afterwards.
func FuzzMethods(f *testing.F) {
	f.Add("chat.postMessage", `{"channel":"C1","text":"x","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"x"}}]}`)
	f.Add("chat.postMessage", `{"channel":"U1","blocks":[{"type":"actions","elements":[{"type":"button"}]}],"metadata":{"event_type":"a","event_payload":{}}}`)
	f.Add("chat.update", `{"channel":"C1","ts":"1.2","attachments":[1]}`)
	f.Add("conversations.open", `{"users":"U1,U2"}`)
	f.Add("conversations.history", `{"channel":"C1","cursor":"bmV4dDox","limit":"3"}`)
	f.Add("views.publish", `{"user_id":"U1","view":{"type":"home","blocks":[{"type":"divider"}]}}`)
	f.Add("views.open", `{"trigger_id":"1","view":{"type":"modal","title":{"type":"plain_text","text":"x"},"blocks":null}}`)
	f.Add("files.completeUploadExternal", `{"files":[{"id":"F1"}],"channel_id":"C1"}`)
	f.Fuzz(func(t *testing.T, method, body string) {
		sim := slacksim.New(slacksim.Config{})
		defer sim.Close()
		populate(sim)
		call := func(method, body string) map[string]any {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/", strings.NewReader(body))
			r.URL.Path += method
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+sim.BotToken())
			w := httptest.NewRecorder()
			sim.ServeHTTP(w, r)
			var out map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out["ok"] == nil {
				t.Fatalf("%s %s: %v: %s", method, body, err, w.Body)
			}
			return out
		}
		call(method, body)
		sim.As("U1").Screen()
		if out := call("auth.test", ""); out["ok"] != true {
			t.Errorf("afterwards: %v", out)
		}
	})
}
