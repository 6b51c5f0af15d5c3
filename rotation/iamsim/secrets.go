package iamsim

import (
	"bytes"
	"crypto/rand"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Staging labels that move by themselves.
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
)

// Limits of Secrets Manager (Secrets Manager API Reference, CreateSecret,
// PutSecretValue and DeleteSecret).
const (
	maxSecretValue  = 65536
	maxStages       = 20
	minWindow       = 7
	maxWindow       = 30
	minToken        = 32
	maxToken        = 64
	secretSuffixLen = 6
)

var secretNamePattern = regexp.MustCompile(`^[\w/+=.@!-]{1,512}$`)

// secret is a secret of one region.
type secret struct {
	name, arn         string
	description, kms  string
	tags              []tag
	versions          []*secretVersion // oldest first
	created, changed  time.Time
	accessed, deleted time.Time
	purged            time.Time // when it will be gone; zero: it stays
}

// secretVersion is one value of a secret, which never changes.
type secretVersion struct {
	id      string
	text    *string
	blob    []byte
	stages  []string
	created time.Time
}

// secretValue is the value in a request.
type secretValue struct {
	ClientRequestToken string
	SecretString       *string
	SecretBinary       []byte
}

func (in *secretValue) empty() bool { return in.SecretString == nil && in.SecretBinary == nil }

// check judges a value that is there. No error quotes it.
func (in *secretValue) check() error {
	size := len(in.SecretBinary)
	if in.SecretString != nil {
		size = len(*in.SecretString)
	}
	switch n := len(in.ClientRequestToken); {
	case in.SecretString != nil && in.SecretBinary != nil:
		return errParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case size == 0 || size > maxSecretValue:
		return errParameter("The secret value must have 1 to 65536 bytes.")
	case n == 0:
		return errState("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	case n < minToken || n > maxToken:
		return errParameter("ClientRequestToken must be 32-64 characters long.")
	}
	return nil
}

// is reports whether the version has that value.
func (v *secretVersion) is(in *secretValue) bool {
	if v.text == nil || in.SecretString == nil {
		return v.text == nil && in.SecretString == nil && bytes.Equal(v.blob, in.SecretBinary)
	}
	return *v.text == *in.SecretString
}

func errParameter(message string) *apiError { return refusal("InvalidParameterException", message) }

func errState(message string) *apiError { return refusal("InvalidRequestException", message) }

func errNoSecret() *apiError {
	return refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

// secretARN is the ARN of a secret without its random suffix. It names the secret
// as well, as long as nothing else begins so.
func (rq *request) secretARN(name string) string {
	return "arn:aws:secretsmanager:" + rq.caller.region + ":" + rq.account.id + ":secret:" + name
}

// heldSecret finds the secret of that name or ARN, or nil. One whose recovery
// window has passed is gone.
func (rq *request) heldSecret(id string) *secret {
	held := rq.account.secrets
	for key, s := range held {
		if !s.purged.IsZero() && !rq.now.Before(s.purged) {
			delete(held, key)
		}
	}
	name := strings.TrimPrefix(id, rq.secretARN(""))
	if s := held[rq.caller.region+"/"+name]; s != nil {
		return s
	}
	if bare := len(name) - secretSuffixLen - 1; bare > 0 {
		if s := held[rq.caller.region+"/"+name[:bare]]; s != nil && s.arn == id {
			return s
		}
	}
	return nil
}

// secret finds the secret that a request names. One that is scheduled for
// deletion is refused.
func (rq *request) secret(id string) (*secret, error) {
	if id == "" {
		return nil, errParameter("You must provide a value for the SecretId parameter.")
	}
	s := rq.heldSecret(id)
	switch {
	case s == nil:
		return nil, errNoSecret()
	case !s.purged.IsZero():
		return nil, errState("You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, nil
}

// version finds a version by its id, or nil.
func (s *secret) version(id string) *secretVersion {
	i := slices.IndexFunc(s.versions, func(v *secretVersion) bool { return v.id == id })
	if i < 0 {
		return nil
	}
	return s.versions[i]
}

// staged finds the version with a staging label, or nil.
func (s *secret) staged(stage string) *secretVersion {
	i := slices.IndexFunc(s.versions, func(v *secretVersion) bool { return slices.Contains(v.stages, stage) })
	if i < 0 {
		return nil
	}
	return s.versions[i]
}

// stage moves a label to a version, or away from all if that is nil. The version
// that AWSCURRENT leaves becomes AWSPREVIOUS.
func (s *secret) stage(label string, to *secretVersion) {
	from := s.staged(label)
	if from == to {
		return
	}
	if from != nil {
		from.stages = slices.DeleteFunc(slices.Clone(from.stages), func(have string) bool { return have == label })
	}
	if to != nil {
		to.stages = slices.Sorted(slices.Values(append(slices.Clone(to.stages), label)))
	}
	if label == stageCurrent && from != nil {
		s.stage(stagePrevious, from)
	}
}

// put adds a version, or finds the one that a request with the same token made.
func (s *secret) put(in *secretValue, stages []string, now time.Time) (*secretVersion, error) {
	if v := s.version(in.ClientRequestToken); v != nil {
		if !v.is(in) {
			return nil, refusal("ResourceExistsException",
				"You can't use ClientRequestToken "+v.id+" because that value is already in use for a version of secret "+s.arn+".")
		}
		return v, nil
	}
	v := &secretVersion{id: in.ClientRequestToken, text: in.SecretString, blob: in.SecretBinary, created: now}
	first := len(s.versions) == 0
	s.versions = append(s.versions, v)
	s.changed = now
	for _, label := range stages {
		s.stage(label, v)
	}
	if first {
		s.stage(stageCurrent, v)
	}
	return v, nil
}

// secretOutput is what most of the operations answer.
type secretOutput struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId,omitempty"`
	VersionStages []string `json:",omitempty"`
	DeletionDate  float64  `json:",omitempty"`
}

type createSecretInput struct {
	secretValue
	Name, Description string
	KmsKeyID          string `json:"KmsKeyId"`
	Tags              []tag
}

func createSecret(rq *request) (any, error) {
	in, err := decode[createSecretInput](rq)
	if err != nil {
		return nil, err
	}
	if !secretNamePattern.MatchString(in.Name) {
		return nil, errParameter("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	if !in.empty() {
		if err := in.check(); err != nil {
			return nil, err
		}
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if s := rq.heldSecret(in.Name); s != nil {
		return s.createdBefore(&in)
	}
	s := &secret{
		name: in.Name, arn: rq.secretARN(in.Name) + "-" + secretSuffix(),
		description: in.Description, kms: in.KmsKeyID, tags: in.Tags, created: rq.now, changed: rq.now,
	}
	out := secretOutput{ARN: s.arn, Name: s.name}
	if !in.empty() {
		v, err := s.put(&in.secretValue, []string{stageCurrent}, rq.now)
		if err != nil {
			return nil, err
		}
		out.VersionID = v.id
	}
	if rq.account.secrets == nil {
		rq.account.secrets = map[string]*secret{}
	}
	rq.account.secrets[rq.caller.region+"/"+s.name] = s
	return out, nil
}

// createdBefore answers a CreateSecret of a name that is taken: with success if
// it is the same request once more.
func (s *secret) createdBefore(in *createSecretInput) (any, error) {
	if !s.purged.IsZero() {
		return nil, errState("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v := s.version(in.ClientRequestToken); v != nil && !in.empty() && v.is(&in.secretValue) {
		return secretOutput{ARN: s.arn, Name: s.name, VersionID: v.id}, nil
	}
	return nil, refusal("ResourceExistsException", "The operation failed because the secret "+s.name+" already exists.")
}

// secretSuffix makes the six characters at the end of a secret's ARN.
func secretSuffix() string {
	return rand.Text()[:secretSuffixLen]
}

type putSecretValueInput struct {
	secretValue
	SecretID      string `json:"SecretId"`
	VersionStages []string
}

func putSecretValue(rq *request) (any, error) {
	in, err := decode[putSecretValueInput](rq)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	stages := in.VersionStages
	if stages == nil {
		stages = []string{stageCurrent}
	}
	if len(stages) < 1 || len(stages) > maxStages || slices.Contains(stages, "") {
		return nil, errParameter("VersionStages must hold 1 to " + strconv.Itoa(maxStages) + " labels.")
	}
	s, err := rq.secret(in.SecretID)
	if err != nil {
		return nil, err
	}
	v, err := s.put(&in.secretValue, stages, rq.now)
	if err != nil {
		return nil, err
	}
	return secretOutput{ARN: s.arn, Name: s.name, VersionID: v.id, VersionStages: v.stages}, nil
}
