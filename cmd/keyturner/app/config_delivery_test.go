package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

const deliveringTo = `slack: {approvals_channel: C0123456789, oncall_channel: C0123456789, approvers: [U0123456789]}
accounts:
  - id: "111122223333"
    name: production
`

func TestConfig_Delivery(t *testing.T) {
	for name, test := range map[string]struct {
		lines   string
		want    Account
		summary string // a line of it; empty: no word about it
	}{
		"default": {"", Account{Delivery: rotation.ByDM}, ""},
		"dm":      {"    delivery: dm\n", Account{Delivery: rotation.ByDM}, ""},
		"sealed":  {"    delivery: sealed\n", Account{Delivery: rotation.Sealed}, "its secrets are sealed for their owners' public keys"},
		"reveal":  {"    delivery: reveal\n", Account{Delivery: rotation.Reveal}, "its secrets are shown once, in a window that their owners open"},
		"secretsmanager": {
			"    delivery: secretsmanager\n    secret_name: keyturner/{user}\n    secret_region: eu-central-1\n",
			Account{Delivery: rotation.InSecretsManager, SecretName: "keyturner/{user}", SecretRegion: "eu-central-1"},
			"its secrets go to Secrets Manager in eu-central-1, as keyturner/{user}\n",
		},
		"ssm": {
			"    secret_region: us-gov-west-1\n    secret_kms_key: alias/keys\n    secret_name: /apps/{user}/key\n    delivery: ssm\n",
			Account{Delivery: rotation.InSSM, SecretName: "/apps/{user}/key", SecretRegion: "us-gov-west-1", SecretKMSKey: "alias/keys"},
			"its secrets go to the Parameter Store in us-gov-west-1, as /apps/{user}/key, encrypted with alias/keys\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Parse("kt.yaml", []byte(deliveringTo+test.lines))
			if err != nil {
				t.Fatal(err)
			}
			test.want.ID, test.want.Name = "111122223333", "production"
			if diff := cmp.Diff([]Account{test.want}, cfg.Accounts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := summary(t, cfg); !strings.Contains(got, test.summary) || test.summary == "" && strings.Contains(got, "its secrets") {
				t.Errorf("want %q in:\n%s", test.summary, got)
			}
		})
	}
}

func TestConfig_DeliveryRefused(t *testing.T) {
	const place = "    delivery: secretsmanager\n    secret_name: keyturner/{user}\n    secret_region: eu-central-1\n"
	for name, test := range map[string]struct{ lines, want string }{
		"unknown":      {"    delivery: mail\n", `kt.yaml:5:15: delivery "mail" is not known; write dm, reveal, sealed, secretsmanager or ssm`},
		"empty":        {"    delivery:\n", "kt.yaml:5:5: delivery has no value"},
		"no name":      {"    delivery: ssm\n    secret_region: eu-central-1\n", "kt.yaml:3:5: secret_name is missing; write secret_name: a name with {user} in it, as in /keyturner/{user}"},
		"no region":    {"    delivery: ssm\n    secret_name: /k/{user}\n", "kt.yaml:3:5: secret_region is missing"},
		"one for all":  {strings.Replace(place, "{user}", "bot", 1), "kt.yaml:6:18: secret_name does not have {user} in it once"},
		"twice":        {strings.Replace(place, "{user}", "{user}/{user}", 1), "kt.yaml:6:18: secret_name does not have {user} in it once"},
		"odd name":     {strings.Replace(place, "keyturner/", "key turner/", 1), "kt.yaml:6:18: secret_name has a character"},
		"odd path":     {strings.Replace(strings.Replace(place, "secretsmanager", "ssm", 1), "keyturner/", "keyturner/", 1), "kt.yaml:6:18: secret_name has a character"},
		"odd region":   {strings.Replace(place, "eu-central-1", "Frankfurt", 1), `kt.yaml:7:20: secret_region "Frankfurt" is not a region`},
		"odd key":      {place + "    secret_kms_key: my key\n", "kt.yaml:8:21: secret_kms_key is not the name of a KMS key"},
		"name for dm":  {"    secret_name: keyturner/{user}\n", "kt.yaml:5:5: secret_name is for secrets that are kept in AWS, and delivery is dm"},
		"key for seal": {"    delivery: sealed\n    secret_kms_key: alias/k\n", "kt.yaml:6:5: secret_kms_key is for secrets that are kept in AWS, and delivery is sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("kt.yaml", []byte(deliveringTo+test.lines))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
