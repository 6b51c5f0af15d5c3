package rotation

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Alternative is what AWS offers in place of a long-lived key.
type Alternative string

// The alternatives. The words are stored.
const (
	WorkloadRole   Alternative = "workload-role"   // the role of an instance, a task, a function or a pod
	Federation     Alternative = "oidc"            // a pipeline signs in by its own identity
	IdentityCenter Alternative = "identity-center" // a person signs in
	RolesAnywhere  Alternative = "roles-anywhere"  // a certificate, for a server outside of AWS
	VendorRole     Alternative = "vendor-role"     // a role with an external id, for another company's service
	MailByRole     Alternative = "mail"            // SES's own API with a role: SMTP needs a key
)

// Sign is where a hint was seen.
type Sign string

// The signs. NoSign: there was no hint, and the alternative is the most usual one.
const (
	NoSign      Sign = ""
	ByName      Sign = "name"
	ByPath      Sign = "path"
	ByTag       Sign = "tag"
	ByConsole   Sign = "console" // the user has a password for the console: it is a person
	ByService   Sign = "service" // of the last use
	ByMailNamed Sign = "address" // the user's name is an e-mail address
)

// Instead is an alternative and why it fits: a word of ours that was found, never one of the user's.
type Instead struct {
	Alternative Alternative
	By          Sign
	Word        string
}

// Hints are what can be seen of what an IAM user is for.
type Hints struct {
	Name    string
	Path    string
	Tags    map[string]string
	Console bool // has a password for the console, as far as is known
	Service string
}

// kindsOfUse are words by which people name what a user is for, the most telling first
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html#access-keys-alternatives).
var kindsOfUse = []struct {
	fits  Alternative
	words []string
}{
	{MailByRole, []string{"smtp", "sendmail", "postfix"}},
	{Federation, []string{
		"ci", "cd", "cicd", "github", "gitlab", "bitbucket", "circleci", "jenkins", "buildkite", "travis", "teamcity", "terraform", "pulumi",
		"pipeline", "pipelines", "deploy", "deployer", "deployment", "build", "builder",
	}},
	{VendorRole, []string{"vendor", "thirdparty", "saas", "datadog", "newrelic", "snowflake", "fivetran", "databricks", "splunk", "wiz"}},
	{RolesAnywhere, []string{"onprem", "premise", "premises", "onpremises", "datacenter", "datacentre", "backup", "backups", "veeam", "nas", "vmware", "appliance", "colo"}},
	{IdentityCenter, []string{"people", "person", "human", "humans", "staff", "employee", "employees", "personal", "laptop"}},
	{WorkloadRole, []string{
		"ec2", "ecs", "eks", "lambda", "fargate", "k8s", "kubernetes", "app", "api", "service", "svc", "worker", "web", "frontend", "backend",
		"batch", "cron", "job", "server", "import", "export", "etl",
	}},
}

// Instead finds what fits in place of a key, and why. It is a guess that a person reads: nothing is decided by it.
func (h Hints) Instead() Instead {
	address := strings.Contains(h.Name, "@")
	words := map[Sign][]string{ByName: wordsOf(h.Name), ByPath: wordsOf(h.Path)}
	for _, key := range slices.Sorted(maps.Keys(h.Tags)) {
		words[ByTag] = append(words[ByTag], append(wordsOf(key), wordsOf(h.Tags[key])...)...)
	}
	if address { // it names a person or their mailbox, and its host tells nothing
		words[ByName] = nil
	}
	for _, k := range kindsOfUse {
		switch {
		case k.fits == MailByRole && h.Service == "ses":
			return Instead{k.fits, ByService, h.Service}
		case k.fits == IdentityCenter && address:
			return Instead{k.fits, ByMailNamed, ""}
		}
		for _, by := range []Sign{ByName, ByPath, ByTag} {
			if word := shared(words[by], k.words); word != "" {
				return Instead{k.fits, by, word}
			}
		}
		if k.fits == IdentityCenter && h.Console {
			return Instead{k.fits, ByConsole, ""}
		}
	}
	return Instead{Alternative: WorkloadRole}
}

var (
	hump    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	letters = regexp.MustCompile(`[a-z0-9]+`)
)

// wordsOf takes a name apart: ci-Deploy, CiDeploy and /ci/deploy/ have the words ci and deploy, and GitHub has github, too.
func wordsOf(name string) []string {
	return append(letters.FindAllString(strings.ToLower(name), -1), letters.FindAllString(strings.ToLower(hump.ReplaceAllString(name, "$1 $2")), -1)...)
}

// shared is the first of ours that is among the words.
func shared(words, ours []string) string {
	for _, w := range words {
		if slices.Contains(ours, w) {
			return w
		}
	}
	return ""
}

// Hints of a user, for the key that is looked at.
func (u User) hints(k Key) Hints {
	return Hints{Name: u.Ref.Name, Path: u.Path, Tags: u.Tags, Console: u.Console, Service: k.LastUse.Service}
}

// Unused tells of a key that works whether it was never used, or not for long: Unneeded, Idle or neither. A last use that is not known is
// neither.
func (p Policy) Unused(k Key, now time.Time) Breach {
	switch {
	case k.Status != Active || p.UnusedAge <= 0:
	case k.LastUse.State == NeverUsed && k.Age(now) >= p.UnusedAge:
		return Unneeded
	case k.LastUse.State == Used && now.Sub(k.LastUse.At) >= p.UnusedAge:
		return Idle
	}
	return ""
}
