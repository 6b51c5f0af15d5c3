package iamsim

import (
	"cmp"
	"slices"
	"time"
)

type getSecretValueInput struct {
	SecretID     string `json:"SecretId"`
	VersionID    string `json:"VersionId"`
	VersionStage string
}

type getSecretValueOutput struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId"`
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   float64
}

// getSecretValue finds a version by id, by label, or by both if they agree.
func getSecretValue(rq *request) (any, error) {
	in, err := decode[getSecretValueInput](rq)
	if err != nil {
		return nil, err
	}
	s, err := rq.secret(in.SecretID)
	if err != nil {
		return nil, err
	}
	label := in.VersionStage
	if in.VersionID == "" {
		label = cmp.Or(label, stageCurrent)
	}
	what, v := "VersionId: "+in.VersionID, s.version(in.VersionID)
	if in.VersionID == "" {
		what, v = "staging label: "+label, s.staged(label)
	}
	switch {
	case v == nil:
		return nil, refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for "+what)
	case label != "" && s.staged(label) != v:
		return nil, errState("You provided a VersionStage that is not associated to the provided VersionId.")
	}
	s.accessed = rq.now
	return getSecretValueOutput{
		ARN: s.arn, Name: s.name, VersionID: v.id, SecretString: v.text, SecretBinary: v.blob,
		VersionStages: v.stages, CreatedDate: epoch(v.created),
	}, nil
}

type secretIDInput struct {
	SecretID string `json:"SecretId"`
}

type describeSecretOutput struct {
	ARN                string
	Name               string
	Description        string              `json:",omitempty"`
	KmsKeyID           string              `json:"KmsKeyId,omitempty"`
	CreatedDate        float64             `json:",omitempty"`
	LastChangedDate    float64             `json:",omitempty"`
	LastAccessedDate   float64             `json:",omitempty"`
	DeletedDate        float64             `json:",omitempty"`
	Tags               []tag               `json:",omitempty"`
	VersionIDsToStages map[string][]string `json:"VersionIdsToStages,omitempty"`
}

// describeSecret answers for a secret that is scheduled for deletion too. It
// leaves out the versions without a label, which AWS calls deprecated.
func describeSecret(rq *request) (any, error) {
	in, err := decode[secretIDInput](rq)
	if err != nil {
		return nil, err
	}
	s := rq.heldSecret(in.SecretID)
	if s == nil {
		return nil, errNoSecret()
	}
	out := describeSecretOutput{
		ARN: s.arn, Name: s.name, Description: s.description, KmsKeyID: s.kms, Tags: s.tags,
		CreatedDate: epoch(s.created), LastChangedDate: epoch(s.changed), VersionIDsToStages: map[string][]string{},
	}
	if !s.accessed.IsZero() {
		// A date without its time, as AWS says of this field.
		out.LastAccessedDate = epoch(s.accessed.Truncate(24 * time.Hour))
	}
	if !s.deleted.IsZero() {
		out.DeletedDate = epoch(s.deleted)
	}
	for _, v := range s.versions {
		if len(v.stages) > 0 {
			out.VersionIDsToStages[v.id] = v.stages
		}
	}
	return out, nil
}

type updateStageInput struct {
	SecretID            string `json:"SecretId"`
	VersionStage        string
	MoveToVersionID     string `json:"MoveToVersionId"`
	RemoveFromVersionID string `json:"RemoveFromVersionId"`
}

// updateSecretVersionStage moves a label, whose present place must be named, so
// that two who move it cannot both succeed.
func updateSecretVersionStage(rq *request) (any, error) {
	in, err := decode[updateStageInput](rq)
	if err != nil {
		return nil, err
	}
	s, err := rq.secret(in.SecretID)
	if err != nil {
		return nil, err
	}
	to, from := s.version(in.MoveToVersionID), s.staged(in.VersionStage)
	switch {
	case in.VersionStage == "":
		return nil, errParameter("You must provide a value for the VersionStage parameter.")
	case in.MoveToVersionID == "" && in.RemoveFromVersionID == "":
		return nil, errParameter("You must provide MoveToVersionId or RemoveFromVersionId.")
	case in.MoveToVersionID != "" && to == nil:
		return nil, refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret version: "+in.MoveToVersionID)
	case in.VersionStage == stageCurrent && to == nil:
		return nil, errParameter("You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
	case from != nil && from != to && in.RemoveFromVersionID == "":
		return nil, errParameter("The parameter RemoveFromVersionId can't be empty. Staging label " + in.VersionStage +
			" is currently attached to version " + from.id + ", so you must explicitly reference that version in RemoveFromVersionId.")
	case in.RemoveFromVersionID != "" && (from == nil || from.id != in.RemoveFromVersionID):
		return nil, errParameter("The staging label " + in.VersionStage + " is not attached to the version in RemoveFromVersionId.")
	case to != nil && !slices.Contains(to.stages, in.VersionStage) && len(to.stages) >= maxStages:
		return nil, refusal("LimitExceededException", "A version has at most 20 staging labels.")
	}
	s.stage(in.VersionStage, to)
	s.changed = rq.now
	return secretOutput{ARN: s.arn, Name: s.name}, nil
}

type deleteSecretInput struct {
	SecretID                   string `json:"SecretId"`
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery bool
}

// deleteSecret schedules the end of a secret, whose name stays taken until then.
func deleteSecret(rq *request) (any, error) {
	in, err := decode[deleteSecretInput](rq)
	if err != nil {
		return nil, err
	}
	window := maxWindow
	if in.RecoveryWindowInDays != nil {
		window = *in.RecoveryWindowInDays
	}
	switch {
	case in.ForceDeleteWithoutRecovery && in.RecoveryWindowInDays != nil:
		return nil, errParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case window < minWindow || window > maxWindow:
		return nil, errParameter("RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}
	s := rq.heldSecret(in.SecretID)
	if in.ForceDeleteWithoutRecovery {
		if s == nil { // which AWS lets pass
			return secretOutput{ARN: rq.secretARN(in.SecretID), Name: in.SecretID, DeletionDate: epoch(rq.now)}, nil
		}
		delete(rq.account.secrets, rq.caller.region+"/"+s.name)
		return secretOutput{ARN: s.arn, Name: s.name, DeletionDate: epoch(rq.now)}, nil
	}
	if s, err = rq.secret(in.SecretID); err != nil {
		return nil, err
	}
	s.deleted, s.purged = rq.now, rq.now.AddDate(0, 0, window)
	return secretOutput{ARN: s.arn, Name: s.name, DeletionDate: epoch(s.purged)}, nil
}

// SecretValue returns what Secrets Manager holds in a region under that name and
// staging label; an empty label means AWSCURRENT. It reports false if there is
// none, or only one of bytes.
func (a *Account) SecretValue(region, name, stage string) (value string, ok bool) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	rq := &request{sim: a.sim, account: a, caller: caller{region: region}, now: a.sim.now()}
	s, err := rq.secret(name)
	if err != nil {
		return "", false
	}
	v := s.staged(cmp.Or(stage, stageCurrent))
	if v == nil || v.text == nil {
		return "", false
	}
	return *v.text, true
}
