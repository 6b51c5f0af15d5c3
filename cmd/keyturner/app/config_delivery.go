package app

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/keyturner/keyturner/rotation"
)

var (
	awsRegion = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	// kmsKey is a key's id, its alias, or the ARN of either
	// (https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id).
	kmsKey = regexp.MustCompile(`^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:)?(key/)?([0-9a-f-]{36}|mrk-[0-9a-f]{32}|alias/[A-Za-z0-9/_-]{1,250})$`)
)

// deliveries are the modes that an account can name.
var deliveries = []rotation.Mode{rotation.ByDM, rotation.Reveal, rotation.Sealed, rotation.InSecretsManager, rotation.InSSM}

// delivery reads how an account's secrets go, and where to.
func (in *reader) delivery(s section, account *Account) {
	const example = "dm, reveal, sealed, secretsmanager or ssm"
	account.Delivery = rotation.ByDM
	if _, there := s.values["delivery"]; there {
		mode, at, ok := s.text("delivery", example, true)
		if ok && !slices.Contains(deliveries, rotation.Mode(mode)) {
			in.fail(at, "delivery "+shown(mode)+" is not known", example)
			return
		}
		account.Delivery = rotation.Mode(mode)
	}
	if account.delivery().InAWS() {
		in.place(s, account)
		return
	}
	for _, name := range []string{"secret_name", "secret_region", "secret_kms_key"} {
		if entry, there := s.values[name]; there {
			in.fail(positionOf(entry.Key), name+" is for secrets that are kept in AWS, and delivery is "+string(account.Delivery),
				"delivery: secretsmanager or ssm beside it, or leave it out")
		}
	}
}

// place reads where in AWS an account's secrets are kept.
func (in *reader) place(s section, account *Account) {
	example := "a name with {user} in it, as in keyturner/{user}"
	if account.Delivery == rotation.InSSM {
		example = "a name with {user} in it, as in /keyturner/{user}"
	}
	name, at, ok := s.text("secret_name", example, true)
	account.SecretName = name
	if ok {
		_, valid := account.delivery().Named("ci-deploy")
		switch {
		case strings.Count(name, rotation.UserMark) != 1:
			in.fail(at, "secret_name does not have {user} in it once, and each user's secret needs a name of its own", example)
		case !valid:
			in.fail(at, "secret_name has a character, or a length, that AWS does not accept", example)
		}
	}
	const regionExample = "the region of the secrets, as in eu-central-1"
	region, at, ok := s.text("secret_region", regionExample, true)
	if ok && !awsRegion.MatchString(region) {
		in.fail(at, "secret_region "+shown(region)+" is not a region", regionExample)
	}
	account.SecretRegion = region
	if _, there := s.values["secret_kms_key"]; !there {
		return
	}
	const keyExample = "a key's id, alias or ARN, as in alias/keyturner"
	key, at, ok := s.text("secret_kms_key", keyExample, true)
	if ok && !kmsKey.MatchString(key) {
		in.fail(at, "secret_kms_key is not the name of a KMS key", keyExample)
	}
	account.SecretKMSKey = key
}

// deliverySummary says where an account's secrets go, if not to their owners as they are.
func (a Account) deliverySummary() string {
	switch a.Delivery {
	case rotation.Sealed:
		return "its secrets are sealed for their owners' public keys"
	case rotation.Reveal:
		return "its secrets are shown once, in a window that their owners open"
	}
	service := "Secrets Manager"
	if a.Delivery == rotation.InSSM {
		service = "the Parameter Store"
	}
	s := fmt.Sprintf("its secrets go to %s in %s, as %s", service, a.SecretRegion, a.SecretName)
	if a.SecretKMSKey != "" {
		s += ", encrypted with " + a.SecretKMSKey
	}
	return s
}
