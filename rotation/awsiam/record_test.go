package awsiam_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// trail changes CloudTrail's answers on their way.
type trail struct {
	next   aws.HTTPClient
	change func(answer map[string]any)
}

func (s trail) Do(r *http.Request) (*http.Response, error) {
	response, err := s.next.Do(r)
	if err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".LookupEvents") {
		return response, err
	}
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	s.change(answer)
	text, err := json.Marshal(answer)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return response, err
}

// event is the first event of an answer.
func event(answer map[string]any) map[string]any { return answer["Events"].([]any)[0].(map[string]any) }

// inRecord changes the text of the first event's record.
func inRecord(old, changed string) func(map[string]any) {
	return func(answer map[string]any) {
		e := event(answer)
		text := e["CloudTrailEvent"].(string)
		if !strings.Contains(text, old) {
			panic("no " + old + " in " + text)
		}
		e["CloudTrailEvent"] = strings.Replace(text, old, changed, 1)
	}
}

// record replaces the first event's record.
func record(text any) func(map[string]any) {
	return func(answer map[string]any) { event(answer)["CloudTrailEvent"] = text }
}

// TestMaker_Record changes the record of a creation of ours, and asks whose the key is. A record that cannot be read is neither
// another's nor missing.
func TestMaker_Record(t *testing.T) {
	const identity = `"type":"AssumedRole"`
	for _, test := range []struct {
		name   string
		change func(answer map[string]any)
		want   rotation.Maker
		fails  string // what the error says
	}{
		{"as it is", func(map[string]any) {}, rotation.MakerUs, ""},
		{"told twice", func(a map[string]any) { a["Events"] = append(a["Events"].([]any), a["Events"].([]any)[0]) }, rotation.MakerUs, ""},
		{"told of another as well", func(a map[string]any) {
			twin := map[string]any{"CloudTrailEvent": strings.ReplaceAll(event(a)["CloudTrailEvent"].(string), "AROA", "AROB")}
			a["Events"] = append(a["Events"].([]any), twin)
		}, rotation.MakerOther, ""},
		{"another type of identity", inRecord(identity, `"type":"IAMUser"`), rotation.MakerOther, ""},
		{"an identity without a name", inRecord(`"userIdentity":{`, `"userIdentity":{"type":"AWSService"},"was":{`), rotation.MakerOther, ""},
		{"a service on our behalf", inRecord(identity, identity+`,"invokedBy":"cloudformation.amazonaws.com"`), rotation.MakerOther, ""},
		{"the console", inRecord(`"eventName"`, `"sessionCredentialFromConsole":"true","eventName"`), rotation.MakerOther, ""},
		{"the console, as a boolean", inRecord(`"eventName"`, `"sessionCredentialFromConsole":true,"eventName"`), rotation.MakerOther, ""},
		{"not the console", inRecord(`"eventName"`, `"sessionCredentialFromConsole":"false","eventName"`), rotation.MakerUs, ""},
		{"not the console, as a boolean", inRecord(`"eventName"`, `"sessionCredentialFromConsole":false,"eventName"`), rotation.MakerUs, ""},
		{"a role id without a session", inRecord(":sandbox", ""), rotation.MakerOther, ""},
		{"another session in the ARN", inRecord("/sandbox", "/elsewhere"), rotation.MakerOther, ""},
		{"no session in the ARN", inRecord("keyturner/sandbox", "keyturner"), rotation.MakerOther, ""},
		{"another account", inRecord("sts::111122223333", "sts::444455556666"), rotation.MakerOther, ""},

		{"a failed call that names the key", inRecord(`"eventName"`, `"errorCode":"AccessDenied","eventName"`), rotation.MakerUnknown, ""},
		{"a call to another service", inRecord("iam.amazonaws.com", "lightsail.amazonaws.com"), rotation.MakerUnknown, ""},
		{"another call", inRecord("CreateAccessKey", "UpdateAccessKey"), rotation.MakerUnknown, ""},

		{"no JSON", record("<html>"), "", "not the JSON expected"},
		{"half of it", func(a map[string]any) { e := event(a); e["CloudTrailEvent"] = e["CloudTrailEvent"].(string)[:300] }, "", "not the JSON expected"},
		{"more than it", inRecord(`{`, `{}{`), "", "not the JSON expected"},
		{"a text for the identity", record(`{"eventName":"CreateAccessKey","eventSource":"iam.amazonaws.com","userIdentity":"us"}`), "", "not the JSON expected"},
		{"nothing", record(""), "", "not the JSON expected"},
		{"absent", record(nil), "", "not the JSON expected"},
		{"null", record("null"), "", "what was called"},
		{"no service", inRecord(`"eventSource"`, `"source"`), "", "what was called"},
		{"no call", inRecord(`"eventName"`, `"name"`), "", "what was called"},
		{"no key", inRecord(`"accessKeyId":"AKIA`, `"id":"AKIA`), "", "does not name the key"},
		{"no answer", inRecord(`"responseElements"`, `"elements"`), "", "does not name the key"},
		{"no identity", inRecord(`"userIdentity"`, `"identity"`), "", "who called"},
		{"no type of identity", inRecord(identity, `"kind":"AssumedRole"`), "", "who called"},
		{"no ARN", inRecord(`"arn":"arn:aws:sts`, `"a":"arn:aws:sts`), "", "who called"},
		{"no id of the caller", inRecord(`"principalId"`, `"id"`), "", "who called"},
		{"no list", func(a map[string]any) { delete(a, "Events") }, "", "no list of events"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
				cfg := w.credentials(w.acme.Principal("keyturner"))
				cfg.HTTPClient = trail{cfg.HTTPClient, test.change}
				account := w.open(awsiam.Config{AWS: cfg})
				start := time.Now()
				id := w.make(account)
				got, err := account.Maker(w.Context(), id, start)
				if test.fails == "" {
					if err != nil || got != test.want {
						w.Errorf("got maker %q, %v, want %q", got, err, test.want)
					}
					return
				}
				if callError(w.T, err, rotation.ClassUnknown); !strings.Contains(err.Error(), test.fails) || got != rotation.MakerUnknown {
					w.Errorf("got maker %q and error %q, want none and an error with %q", got, err, test.fails)
				}
			})
		})
	}
}

// TestMaker_ARNOfAUser: an id alone is no proof, nor is an ARN.
func TestMaker_ARNOfAUser(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		w.acme.AddUser(iamsim.User{Name: "bot"})
		key := w.acme.AddKey("bot", iamsim.Key{})
		cfg := w.credentials(key, w.acme.SecretOf(key))
		cfg.HTTPClient = trail{cfg.HTTPClient, inRecord(":user/bot", ":user/boss")}
		account := w.open(awsiam.Config{AWS: cfg})
		start := time.Now()
		w.wantMaker(account, w.make(account), start, rotation.MakerOther)
	})
}

func TestMaker_UsWithoutAName(t *testing.T) {
	events := `{"Events":[{"CloudTrailEvent":` + strconv.Quote(`{"eventName":"CreateAccessKey","eventSource":"iam.amazonaws.com",`+
		`"userIdentity":{"type":"Root"},"responseElements":{"accessKey":{"accessKeyId":"`+keyA+`"}}}`) + `}]}`
	for _, caller := range []string{"<UserId>AIDA</UserId>", "<Arn>arn:aws:iam::111122223333:user/bot</Arn>"} {
		answer := func(form url.Values) (int, string) {
			if form.Get("Action") == "" {
				return http.StatusOK, events
			}
			return http.StatusOK, result("GetCallerIdentity", "<Account>"+accountID+"</Account>"+caller)
		}
		overWire(t, answer, func(t *testing.T, a *awsiam.Account) {
			_, err := a.Maker(t.Context(), keyA, time.Now())
			callError(t, err, rotation.ClassUnknown)
		})
	}
}
