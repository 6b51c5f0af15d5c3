package awsiam_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

const (
	keyA = "AKIAAAAAAAAAAAAAAAAA"
	keyB = "AKIABBBBBBBBBBBBBBBB"
)

var (
	march = time.Date(1999, 3, 1, 10, 0, 0, 0, time.UTC)
	april = time.Date(1999, 4, 1, 10, 0, 0, 0, time.UTC)
)

func TestKeys(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b iamsim.Key
		want []rotation.Key
	}{
		{
			"oldest first",
			iamsim.Key{ID: keyA, Created: april, Inactive: true},
			iamsim.Key{ID: keyB, Created: march},
			[]rotation.Key{
				{ID: keyB, Status: rotation.Active, Created: march},
				{ID: keyA, Status: rotation.Inactive, Created: april},
			},
		},
		{
			"then by id",
			iamsim.Key{ID: keyB, Created: march},
			iamsim.Key{ID: keyA, Created: march},
			[]rotation.Key{
				{ID: keyA, Status: rotation.Active, Created: march},
				{ID: keyB, Status: rotation.Active, Created: march},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{PageSize: 1}, func(w world) {
				w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
				w.acme.AddKey("ci-deploy", test.a)
				w.acme.AddKey("ci-deploy", test.b)
				got, err := w.account.Keys(w.Context(), "ci-deploy")
				if err != nil {
					w.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					w.Errorf("keys (-want +got):\n%s", diff)
				}
				if got := w.calls("ListAccessKeys"); got != 2 {
					w.Errorf("got %d pages, want 2", got)
				}
			})
		})
	}
}

func TestKeys_NoneAndGone(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "idle"})
		if got, err := w.account.Keys(w.Context(), "idle"); err != nil || len(got) != 0 {
			w.Errorf("got %v, %v, want no keys", got, err)
		}
		_, err := w.account.Keys(w.Context(), "nobody")
		call := callError(w.T, err, rotation.ClassGone)
		if call.Op != "list access keys of nobody" || call.Code != "NoSuchEntity" || call.RequestID == "" {
			w.Errorf("got %+v, want the operation, the code and the request id", call)
		}
		if got, want := err.Error(), "list access keys of nobody: gone: NoSuchEntity: The user with name nobody cannot be found."; got != want {
			w.Errorf("got error %q, want %q", got, want)
		}
	})
}

func TestUserOf(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA})
		if got, err := w.account.UserOf(w.Context(), keyA); got != "ci-deploy" || err != nil {
			w.Errorf("got %q, %v", got, err)
		}
		_, err := w.account.UserOf(w.Context(), keyB)
		callError(w.T, err, rotation.ClassGone)
		_, err = w.account.UserOf(w.Context(), "")
		callError(w.T, err, rotation.ClassInvalid)
		for code, class := range map[string]rotation.Class{"AccessDenied": rotation.ClassDenied, "Throttling": rotation.ClassThrottled, "ServiceFailure": rotation.ClassUnknown} {
			w.sim.Fail("GetAccessKeyLastUsed", iamsim.Fault{Code: code, Times: 20})
			_, err := w.account.UserOf(w.Context(), keyA)
			callError(w.T, err, class)
			w.sim.Heal()
		}
	})
	for name, body := range map[string]string{"an empty answer": "", "no last use": "<UserName>ci-deploy</UserName>"} {
		answer := func(url.Values) (int, string) { return http.StatusOK, result("GetAccessKeyLastUsed", body) }
		overWire(t, answer, func(t *testing.T, a *awsiam.Account) {
			if user, err := a.UserOf(t.Context(), keyA); user != "" || rotation.ClassOf(err) != rotation.ClassUnknown {
				t.Errorf("%s: %q, %v", name, user, err)
			}
		})
	}
}

// key is a member of ListAccessKeys' answer.
func key(id, status, created string) string {
	return "<member><AccessKeyId>" + id + "</AccessKeyId><Status>" + status + "</Status><CreateDate>" + created + "</CreateDate></member>"
}

func TestKeys_ManyPages(t *testing.T) {
	pages := map[string]string{
		"":   key("AKIA3", "Active", "2020-01-03T00:00:00Z") + "|true|p2",
		"p2": "|true|p3", // IAM may give an empty page in the middle
		"p3": key("AKIA2", "Expired", "2020-01-02T00:00:00Z") + "|true|p4",
		"p4": key("AKIA1", "Inactive", "2020-01-01T00:00:00Z") + "|false|",
	}
	answer := func(form url.Values) (int, string) {
		part := strings.Split(pages[form.Get("Marker")], "|")
		return http.StatusOK, result("ListAccessKeys", fmt.Sprintf(
			"<AccessKeyMetadata>%s</AccessKeyMetadata><IsTruncated>%s</IsTruncated><Marker>%s</Marker>", part[0], part[1], part[2],
		))
	}
	overWire(t, answer, func(t *testing.T, a *awsiam.Account) {
		got, err := a.Keys(t.Context(), "ci-deploy")
		if err != nil {
			t.Fatal(err)
		}
		want := []rotation.Key{
			{ID: "AKIA1", Status: rotation.Inactive, Created: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
			{ID: "AKIA2", Status: "Expired", Created: time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)},
			{ID: "AKIA3", Status: rotation.Active, Created: time.Date(2020, 1, 3, 0, 0, 0, 0, time.UTC)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	})
}

// TestUnknownIsNotEmpty feeds answers that the SDK decodes without an error to something that looks like "none".
func TestUnknownIsNotEmpty(t *testing.T) {
	keys := func(a *awsiam.Account, t *testing.T) error { _, err := a.Keys(t.Context(), "ci-deploy"); return err }
	use := func(a *awsiam.Account, t *testing.T) error { _, err := a.LastUse(t.Context(), keyA); return err }
	users := func(a *awsiam.Account, t *testing.T) error { _, err := a.Users(t.Context()); return err }
	user := func(a *awsiam.Account, t *testing.T) error { _, err := a.User(t.Context(), "ci-deploy"); return err }
	create := func(a *awsiam.Account, t *testing.T) error {
		_, _, err := a.CreateKey(t.Context(), "ci-deploy")
		return err
	}
	deactivate := func(a *awsiam.Account, t *testing.T) error {
		return a.SetStatus(t.Context(), "ci-deploy", keyA, rotation.Inactive)
	}
	remove := func(a *awsiam.Account, t *testing.T) error { return a.DeleteKey(t.Context(), "ci-deploy", keyA) }
	report := func(a *awsiam.Account, t *testing.T) error {
		_, err := a.Report(t.Context(), func(rotation.ReportRow) error { return nil })
		return err
	}
	maker := func(a *awsiam.Account, t *testing.T) error { _, err := a.Maker(t.Context(), keyA, march); return err }
	for _, test := range []struct {
		name string
		call func(*awsiam.Account, *testing.T) error
		body string
	}{
		{"empty body for keys", keys, ""},
		{"no list of keys", keys, result("ListAccessKeys", "<IsTruncated>false</IsTruncated>")},
		{"goes on without a marker", keys, result("ListAccessKeys", "<AccessKeyMetadata/><IsTruncated>true</IsTruncated>")},
		{"goes on at the same marker", keys, result("ListAccessKeys", "<AccessKeyMetadata/><IsTruncated>true</IsTruncated><Marker>m</Marker>")},
		{"key without status", keys, result("ListAccessKeys", "<AccessKeyMetadata>"+key(keyA, "", "2020-01-01T00:00:00Z")+"</AccessKeyMetadata>")},
		{"key without date", keys, result("ListAccessKeys", "<AccessKeyMetadata><member><AccessKeyId>"+keyA+
			"</AccessKeyId><Status>Active</Status></member></AccessKeyMetadata>")},
		{"another operation's answer", keys, result("ListUsers", "<Users/>")},
		{"a page of a proxy", keys, "<html><body>welcome</body></html>"},
		{"empty body for a use", use, ""},
		{"no use", use, result("GetAccessKeyLastUsed", "<UserName>ci-deploy</UserName>")},
		{"use without date", use, result("GetAccessKeyLastUsed", "<AccessKeyLastUsed><ServiceName>s3</ServiceName><Region>N/A</Region></AccessKeyLastUsed>")},
		{"use with an empty date", use, result("GetAccessKeyLastUsed", "<AccessKeyLastUsed><LastUsedDate/><ServiceName>N/A</ServiceName></AccessKeyLastUsed>")},
		{"empty body for users", users, ""},
		{"no list of users", users, result("GetAccountAuthorizationDetails", "<IsTruncated>false</IsTruncated>")},
		{"user without id", users, result("GetAccountAuthorizationDetails", "<UserDetailList><member><UserName>x</UserName></member></UserDetailList>")},
		{"empty body for a user", user, ""},
		{"user without ARN", user, result("GetUser", "<User><UserName>x</UserName><UserId>AIDA</UserId><CreateDate>2020-01-01T00:00:00Z</CreateDate></User>")},
		{"empty body for a new key", create, ""},
		{"new key without secret", create, result("CreateAccessKey", "<AccessKey><AccessKeyId>AKIA</AccessKeyId><Status>Active</Status></AccessKey>")},
		{"new key without id", create, result("CreateAccessKey", "<AccessKey><SecretAccessKey>s</SecretAccessKey></AccessKey>")},
		{"a proxy's page for a new status", deactivate, "<html><body>welcome</body></html>"},
		{"a proxy's page for a deletion", remove, "<html><body>welcome</body></html>"},
		{"empty body for a maker", maker, ""},
		{"no list of events", maker, "{}"},
		{"null for the list of events", maker, `{"Events":null}`},
		{"events that go on at the same token", maker, `{"Events":[],"NextToken":"again"}`},
		{"a proxy's page for a maker", maker, "<html><body>welcome</body></html>"},
		{"empty body for a report", report, ""},
		{"empty report", report, result("GetCredentialReport",
			"<Content/><ReportFormat>text/csv</ReportFormat><GeneratedTime>2020-01-01T00:00:00Z</GeneratedTime>")},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := func(url.Values) (int, string) { return http.StatusOK, test.body }
			overWire(t, answer, func(t *testing.T, a *awsiam.Account) {
				callError(t, test.call(a, t), rotation.ClassUnknown)
			})
		})
	}
}

func TestLastUse(t *testing.T) {
	for _, test := range []struct {
		name string
		key  iamsim.Key
		want rotation.LastUse
	}{
		{"never", iamsim.Key{ID: keyA}, rotation.LastUse{State: rotation.NeverUsed}},
		{
			"used",
			iamsim.Key{ID: keyA, LastUsed: march, Service: "sts", Region: "eu-west-1"},
			rotation.LastUse{State: rotation.Used, At: march, Service: "sts", Region: "eu-west-1"},
		},
		{
			"service without region",
			iamsim.Key{ID: keyA, LastUsed: march, Service: "s3"},
			rotation.LastUse{State: rotation.Used, At: march, Service: "s3"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
				w.acme.AddKey("ci-deploy", test.key)
				got, err := w.account.LastUse(w.Context(), keyA)
				if err != nil {
					w.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					w.Errorf("last use (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLastUse_ErrorIsNotNever(t *testing.T) {
	for _, fault := range []iamsim.Fault{
		{Times: -1, Code: "Throttling"},
		{Times: -1, Code: "AccessDenied"},
		{Times: -1, Drop: true},
		{Times: -1, Truncate: true, Apply: true},
		{Times: -1, Status: http.StatusBadGateway},
	} {
		inWorld(t, iamsim.Config{}, func(w world) {
			w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
			w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA})
			w.sim.Fail("GetAccessKeyLastUsed", fault)
			got, err := w.account.LastUse(w.Context(), keyA)
			if err == nil || got.State != rotation.UseUnknown {
				w.Errorf("with %+v: got %+v, %v, want an error and nothing known", fault, got, err)
			}
		})
	}
}

func TestCreateKey(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		key, secret, err := w.account.CreateKey(w.Context(), "ci-deploy")
		if err != nil {
			w.Fatal(err)
		}
		if secret.Reveal() != w.acme.SecretOf(string(key.ID)) {
			w.Error("got another secret than was made")
		}
		want := rotation.Key{ID: key.ID, Status: rotation.Active, Created: time.Now().UTC().Truncate(time.Second)}
		if diff := cmp.Diff(want, key); diff != "" {
			w.Errorf("key (-want +got):\n%s", diff)
		}
		w.leaksNothing(fmt.Sprintf("%v %+v %#v", key, secret, secret))
	})
}

func TestSetStatusAndDelete(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA})
		w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyB})
		for _, to := range []rotation.Status{rotation.Inactive, rotation.Inactive, rotation.Active} {
			if err := w.account.SetStatus(w.Context(), "ci-deploy", keyA, to); err != nil {
				w.Fatal(err)
			}
			views := w.acme.Keys("ci-deploy")
			if views[0].Status != string(to) || views[1].Status != "Active" {
				w.Errorf("got %s and %s, want %s and Active", views[0].Status, views[1].Status, to)
			}
		}
		if err := w.account.DeleteKey(w.Context(), "ci-deploy", keyA); err != nil {
			w.Fatal(err)
		}
		if views := w.acme.Keys("ci-deploy"); len(views) != 1 || views[0].ID != keyB {
			w.Errorf("got %v, want the other key alone", views)
		}
		call := callError(w.T, w.account.DeleteKey(w.Context(), "ci-deploy", keyA), rotation.ClassGone)
		if want := "delete access key " + keyA + " of ci-deploy"; call.Op != want {
			w.Errorf("got operation %q, want %q", call.Op, want)
		}
		call = callError(w.T, w.account.SetStatus(w.Context(), "ci-deploy", keyA, rotation.Inactive), rotation.ClassGone)
		if want := "deactivate access key " + keyA + " of ci-deploy"; call.Op != want {
			w.Errorf("got operation %q, want %q", call.Op, want)
		}
	})
}

func TestNamelessIsRefusedWithoutACall(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(world) error
	}{
		{"user", func(w world) error { _, err := w.account.User(w.Context(), ""); return err }},
		{"keys", func(w world) error { _, err := w.account.Keys(w.Context(), ""); return err }},
		{"last use", func(w world) error { _, err := w.account.LastUse(w.Context(), ""); return err }},
		{"maker", func(w world) error { _, err := w.account.Maker(w.Context(), "", march); return err }},
		{"create", func(w world) error { _, _, err := w.account.CreateKey(w.Context(), ""); return err }},
		{"set without user", func(w world) error { return w.account.SetStatus(w.Context(), "", keyA, rotation.Inactive) }},
		{"set without key", func(w world) error { return w.account.SetStatus(w.Context(), "u", "", rotation.Inactive) }},
		{"set to nothing", func(w world) error { return w.account.SetStatus(w.Context(), "u", keyA, "") }},
		{"set to Expired", func(w world) error { return w.account.SetStatus(w.Context(), "u", keyA, "Expired") }},
		{"delete without user", func(w world) error { return w.account.DeleteKey(w.Context(), "", keyA) }},
		{"delete without key", func(w world) error { return w.account.DeleteKey(w.Context(), "u", "") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				callError(w.T, test.call(w), rotation.ClassInvalid)
				if got := w.ops(); len(got) != 0 {
					w.Errorf("called %v", got)
				}
			})
		})
	}
}
