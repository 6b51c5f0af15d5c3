package rotation

import (
	"testing"
	"time"
)

func TestHints_Instead(t *testing.T) {
	tag := func(key, value string) map[string]string { return map[string]string{key: value} }
	for _, test := range []struct {
		name  string
		hints Hints
		want  Instead
	}{
		{"nothing to go by", Hints{}, Instead{Alternative: WorkloadRole}},
		{"a name that tells nothing", Hints{Name: "blue-falcon"}, Instead{Alternative: WorkloadRole}},
		{"ci", Hints{Name: "ci-deploy"}, Instead{Federation, ByName, "ci"}},
		{"github", Hints{Name: "GitHub-actions"}, Instead{Federation, ByName, "github"}},
		{"humps", Hints{Name: "TerraformCloud"}, Instead{Federation, ByName, "terraform"}},
		{"a word is no part of another", Hints{Name: "marcia-special"}, Instead{Alternative: WorkloadRole}},
		{"path", Hints{Name: "blue-falcon", Path: "/ci/"}, Instead{Federation, ByPath, "ci"}},
		{"tag", Hints{Name: "blue-falcon", Tags: tag("used-by", "GitLab runners")}, Instead{Federation, ByTag, "gitlab"}},
		{"a tag's key", Hints{Name: "blue-falcon", Tags: tag("onprem", "yes")}, Instead{RolesAnywhere, ByTag, "onprem"}},
		{"the name before the tag", Hints{Name: "backup-agent", Tags: tag("kind", "backup")}, Instead{RolesAnywhere, ByName, "backup"}},
		{"a pipeline before its server", Hints{Name: "server", Tags: tag("kind", "jenkins")}, Instead{Federation, ByTag, "jenkins"}},
		{"console", Hints{Name: "ana", Console: true}, Instead{IdentityCenter, ByConsole, ""}},
		{"a pipeline with a password", Hints{Name: "ci", Console: true}, Instead{Federation, ByName, "ci"}},
		{"a person's application", Hints{Name: "web-ana", Console: true}, Instead{IdentityCenter, ByConsole, ""}},
		{"an address", Hints{Name: "ana@example.com"}, Instead{IdentityCenter, ByMailNamed, ""}},
		{"an address at a host", Hints{Name: "ana@build.example"}, Instead{IdentityCenter, ByMailNamed, ""}},
		{"staff", Hints{Name: "blue", Path: "/staff/berlin/"}, Instead{IdentityCenter, ByPath, "staff"}},
		{"laptop", Hints{Name: "ana-laptop"}, Instead{IdentityCenter, ByName, "laptop"}},
		{"smtp", Hints{Name: "ses-smtp-user.news"}, Instead{MailByRole, ByName, "smtp"}},
		{"sends mail", Hints{Name: "ci-news", Service: "ses"}, Instead{MailByRole, ByService, "ses"}},
		{"another service", Hints{Name: "news", Service: "s3"}, Instead{Alternative: WorkloadRole}},
		{"vendor", Hints{Name: "datadog-reader"}, Instead{VendorRole, ByName, "datadog"}},
		{"application", Hints{Name: "web-shop"}, Instead{WorkloadRole, ByName, "web"}},
		{"words that would mention", Hints{Name: "<!channel>", Path: "/<@U1>/", Tags: tag("`*", "&")}, Instead{Alternative: WorkloadRole}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.hints.Instead(); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestPolicy_Unused(t *testing.T) {
	p := Policy{UnusedAge: 45 * day}
	for _, test := range []struct {
		name string
		key  Key
		want Breach
	}{
		{"never used", Key{Status: Active, Created: noon.Add(-45 * day), LastUse: LastUse{State: NeverUsed}}, Unneeded},
		{"never used, but young", Key{Status: Active, Created: noon.Add(-44 * day), LastUse: LastUse{State: NeverUsed}}, ""},
		{"idle", Key{Status: Active, Created: noon.Add(-400 * day), LastUse: used(45 * day)}, Idle},
		{"in use", Key{Status: Active, Created: noon.Add(-400 * day), LastUse: used(44 * day)}, ""},
		{"not known", Key{Status: Active, Created: noon.Add(-400 * day)}, ""},
		{"inactive", Key{Status: Inactive, Created: noon.Add(-400 * day), LastUse: LastUse{State: NeverUsed}}, ""},
	} {
		if got := p.Unused(test.key, noon); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if found := p.Findings(UserRef{}, []Key{test.key}, noon); test.want != "" && found[len(found)-1].Breach != test.want {
			t.Errorf("%s: findings %+v", test.name, found)
		}
	}
	if got := (Policy{}).Unused(Key{Status: Active, LastUse: LastUse{State: NeverUsed}}, noon.Add(time.Hour)); got != "" {
		t.Errorf("without a policy: %q", got)
	}
}
