package iamsim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

const (
	tokenA = "aaaaaaaa-0000-4000-8000-000000000000"
	tokenB = "bbbbbbbb-0000-4000-8000-000000000000"
	tokenC = "cccccccc-0000-4000-8000-000000000000"
)

// vault is a client of Secrets Manager with the test's shorthands.
type vault struct {
	*secretsmanager.Client
	w *world
}

func newVault(t *testing.T) vault {
	t.Helper()
	w := newWorld(t, iamsim.Config{})
	return vault{secretsmanager.NewFromConfig(w.config(w.principal())), w}
}

func (v vault) create(t *testing.T, name, token, value string) (*secretsmanager.CreateSecretOutput, error) {
	t.Helper()
	return v.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, ClientRequestToken: &token, SecretString: &value, Description: aws.String("for " + name),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("core")}},
	})
}

func (v vault) put(t *testing.T, name, token, value string, stages ...string) (*secretsmanager.PutSecretValueOutput, error) {
	t.Helper()
	return v.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &name, ClientRequestToken: &token, SecretString: &value, VersionStages: stages,
	})
}

// stages returns the labels of each version.
func (v vault) stages(t *testing.T, name string) map[string][]string {
	t.Helper()
	return must(v.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name}))(t).VersionIdsToStages
}

func TestSecretsManager_Values(t *testing.T) {
	v := newVault(t)
	made := must(v.create(t, "app/key", tokenA, "one"))(t)
	partial, end := (*made.ARN)[:len(*made.ARN)-7], (*made.ARN)[len(*made.ARN)-7:]
	if partial != "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/key" || end[0] != '-' {
		t.Errorf("arn %s", *made.ARN)
	}
	diff(t, []string{*made.Name, *made.VersionId}, []string{"app/key", tokenA})
	put := must(v.put(t, "app/key", tokenB, "two"))(t)
	diff(t, append(put.VersionStages, *put.VersionId), []string{"AWSCURRENT", tokenB})
	diff(t, v.stages(t, "app/key"), map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}})

	for _, test := range []struct {
		name, id, version, stage, want, code string
	}{
		{name: "current", id: "app/key", want: "two"},
		{name: "by ARN", id: *made.ARN, want: "two"},
		{name: "by partial ARN", id: partial, want: "two"},
		{name: "by stage", id: "app/key", stage: "AWSPREVIOUS", want: "one"},
		{name: "by version", id: "app/key", version: tokenA, want: "one"},
		{name: "by both", id: "app/key", version: tokenA, stage: "AWSPREVIOUS", want: "one"},
		{name: "by both, which differ", id: "app/key", version: tokenA, stage: "AWSCURRENT", code: "InvalidRequestException"},
		{name: "no such stage", id: "app/key", stage: "AWSPENDING", code: "ResourceNotFoundException"},
		{name: "no such version", id: "app/key", version: tokenC, code: "ResourceNotFoundException"},
		{name: "no such secret", id: "app", code: "ResourceNotFoundException"},
		{name: "wrong end of the ARN", id: partial + "-AAAAAA", code: "ResourceNotFoundException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &secretsmanager.GetSecretValueInput{SecretId: &test.id}
			if test.version != "" {
				in.VersionId = &test.version
			}
			if test.stage != "" {
				in.VersionStage = &test.stage
			}
			out, err := v.GetSecretValue(t.Context(), in)
			if test.code != "" {
				wantCode(t, err, test.code)
				return
			}
			if err != nil || *out.SecretString != test.want || *out.ARN != *made.ARN || !out.CreatedDate.Equal(start) {
				t.Errorf("got %v, %v", out, err)
			}
		})
	}
	value, ok := v.w.account.SecretValue("eu-west-1", "app/key", "")
	diff(t, []any{value, ok}, []any{"two", true})
	_, ok = v.w.account.SecretValue("us-east-1", "app/key", "")
	diff(t, ok, false) // secrets are regional
}

func TestSecretsManager_Binary(t *testing.T) {
	v := newVault(t)
	in := &secretsmanager.CreateSecretInput{Name: aws.String("b"), ClientRequestToken: aws.String(tokenA), SecretBinary: []byte{0, 255}}
	must(v.CreateSecret(t.Context(), in))(t)
	must(v.CreateSecret(t.Context(), in))(t)
	_, err := v.put(t, "b", tokenA, "text")
	wantTyped[*types.ResourceExistsException](t, err)
	got := must(v.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("b")}))(t)
	diff(t, got.SecretBinary, []byte{0, 255})
	diff(t, got.SecretString == nil, true)
}

func TestSecretsManager_TokensAreIdempotent(t *testing.T) {
	v := newVault(t)
	first := must(v.create(t, "s", tokenA, "one"))(t)
	again := must(v.create(t, "s", tokenA, "one"))(t)
	diff(t, []string{*again.ARN, *again.VersionId}, []string{*first.ARN, tokenA})
	_, err := v.create(t, "s", tokenA, "other")
	wantTyped[*types.ResourceExistsException](t, err)
	_, err = v.create(t, "s", tokenB, "one")
	wantTyped[*types.ResourceExistsException](t, err)

	must(v.put(t, "s", tokenB, "two"))(t)
	must(v.put(t, "s", tokenB, "two"))(t)
	_, err = v.put(t, "s", tokenB, "other")
	wantTyped[*types.ResourceExistsException](t, err)
	must(v.put(t, "s", tokenC, "three"))(t)
	must(v.put(t, "s", tokenB, "two"))(t) // a late retry moves nothing back
	diff(t, v.stages(t, "s"), map[string][]string{tokenB: {"AWSPREVIOUS"}, tokenC: {"AWSCURRENT"}})
}

func TestSecretsManager_Staging(t *testing.T) {
	v := newVault(t)
	must(v.create(t, "s", tokenA, "one"))(t)
	pending := must(v.put(t, "s", tokenB, "two", "AWSPENDING"))(t)
	diff(t, pending.VersionStages, []string{"AWSPENDING"})
	move := func(stage, from, to string) error {
		in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String("s"), VersionStage: &stage}
		if from != "" {
			in.RemoveFromVersionId = &from
		}
		if to != "" {
			in.MoveToVersionId = &to
		}
		_, err := v.UpdateSecretVersionStage(t.Context(), in)
		return err
	}
	for _, test := range []struct {
		name, stage, from, to, code string
		want                        map[string][]string
	}{
		{name: "from unsaid", stage: "AWSCURRENT", to: tokenB, code: "InvalidParameterException"},
		{name: "from another", stage: "AWSCURRENT", from: tokenB, to: tokenB, code: "InvalidParameterException"},
		{name: "to nowhere", stage: "AWSCURRENT", from: tokenA, code: "InvalidParameterException"},
		{name: "to an unknown version", stage: "AWSCURRENT", from: tokenA, to: tokenC, code: "ResourceNotFoundException"},
		{name: "neither", stage: "AWSPENDING", code: "InvalidParameterException"},
		{name: "promoted", stage: "AWSCURRENT", from: tokenA, to: tokenB, want: map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "AWSPENDING"}}},
		{name: "once more", stage: "AWSCURRENT", from: tokenA, to: tokenB, code: "InvalidParameterException"},
		{name: "label taken off", stage: "AWSPENDING", from: tokenB, want: map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}}},
		{name: "rolled back", stage: "AWSCURRENT", from: tokenB, to: tokenA, want: map[string][]string{tokenA: {"AWSCURRENT"}, tokenB: {"AWSPREVIOUS"}}},
		{name: "new label", stage: "canary", to: tokenB, want: map[string][]string{tokenA: {"AWSCURRENT"}, tokenB: {"AWSPREVIOUS", "canary"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := v.stages(t, "s")
			err := move(test.stage, test.from, test.to)
			if test.code != "" {
				wantCode(t, err, test.code)
				test.want = before
			} else if err != nil {
				t.Fatal(err)
			}
			diff(t, v.stages(t, "s"), test.want)
		})
	}
}

func TestSecretsManager_MetadataFirst(t *testing.T) {
	v := newVault(t)
	made := must(v.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s"), KmsKeyId: aws.String("alias/k")}))(t)
	diff(t, made.VersionId == nil, true)
	_, err := v.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
	wantTyped[*types.ResourceNotFoundException](t, err)
	must(v.put(t, "s", tokenA, "one", "AWSPENDING"))(t)
	diff(t, v.stages(t, "s"), map[string][]string{tokenA: {"AWSCURRENT", "AWSPENDING"}}) // the first is current all the same
}

func TestSecretsManager_Describe(t *testing.T) {
	v := newVault(t)
	describe := func() *secretsmanager.DescribeSecretOutput {
		return must(v.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")}))(t)
	}
	must(v.create(t, "s", tokenA, "one"))(t)
	v.w.clock.Skip(time.Hour)
	must(v.put(t, "s", tokenB, "two"))(t)
	diff(t, describe().LastAccessedDate == nil, true)
	must(v.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}))(t)
	got := describe()
	diff(t, []string{*got.Description, *got.Tags[0].Key, *got.Tags[0].Value}, []string{"for s", "team", "core"})
	if !got.CreatedDate.Equal(start) || !got.LastChangedDate.Equal(start.Add(time.Hour)) || !got.LastAccessedDate.Equal(start.Truncate(24*time.Hour)) || got.DeletedDate != nil {
		t.Errorf("dates %v %v %v %v", got.CreatedDate, got.LastChangedDate, got.LastAccessedDate, got.DeletedDate)
	}
}

func TestSecretsManager_DeletionHasAWindow(t *testing.T) {
	v := newVault(t)
	remove := func(days int64, force bool) (*secretsmanager.DeleteSecretOutput, error) {
		in := &secretsmanager.DeleteSecretInput{SecretId: aws.String("s")}
		if days != 0 {
			in.RecoveryWindowInDays = &days
		}
		if force {
			in.ForceDeleteWithoutRecovery = aws.Bool(true)
		}
		return v.DeleteSecret(t.Context(), in)
	}
	first := must(v.create(t, "s", tokenA, "one"))(t)
	for _, days := range []int64{6, 31} {
		_, err := remove(days, false)
		wantTyped[*types.InvalidParameterException](t, err)
	}
	_, err := remove(7, true)
	wantTyped[*types.InvalidParameterException](t, err)
	deleted := must(remove(7, false))(t)
	diff(t, deleted.DeletionDate.Equal(start.AddDate(0, 0, 7)), true)

	v.w.clock.Skip(7*24*time.Hour - time.Second)
	_, err = v.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
	wantTyped[*types.InvalidRequestException](t, err)
	_, err = v.put(t, "s", tokenB, "two")
	wantTyped[*types.InvalidRequestException](t, err)
	_, err = v.create(t, "s", tokenB, "two")
	wantTyped[*types.InvalidRequestException](t, err) // the name stays taken
	_, err = remove(7, false)
	wantTyped[*types.InvalidRequestException](t, err)
	described := must(v.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")}))(t)
	diff(t, described.DeletedDate.Equal(start), true)
	if _, ok := v.w.account.SecretValue("eu-west-1", "s", ""); ok {
		t.Error("the value of a deleted secret can be read")
	}

	v.w.clock.Skip(time.Second)
	second := must(v.create(t, "s", tokenB, "two"))(t)
	diff(t, *second.ARN == *first.ARN, false)
	must(remove(0, true))(t)
	_, err = v.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")})
	wantTyped[*types.ResourceNotFoundException](t, err)
	must(remove(0, true))(t) // which AWS lets pass
	_, err = remove(0, false)
	wantTyped[*types.ResourceNotFoundException](t, err)
}

func TestSecretsManager_Refusals(t *testing.T) {
	v := newVault(t)
	must(v.create(t, "s", tokenA, "one"))(t)
	long := strings.Repeat("x", 65537)
	for _, test := range []struct {
		name, code string
		call       func() error
	}{
		{"name", "InvalidParameterException", func() error { _, err := v.create(t, "a b", tokenB, "v"); return err }},
		{"short token", "InvalidParameterException", func() error { _, err := v.create(t, "n", "short", "v"); return err }},
		{"value too long", "InvalidParameterException", func() error { _, err := v.create(t, "n", tokenB, long); return err }},
		{"empty value", "InvalidParameterException", func() error { _, err := v.put(t, "s", tokenB, ""); return err }},
		{"too many labels", "InvalidParameterException", func() error {
			_, err := v.put(t, "s", tokenB, "v", strings.Split(strings.Repeat("l", 21), "")...)
			return err
		}},
		{"both kinds of value", "InvalidParameterException", func() error {
			_, err := v.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("v"), SecretBinary: []byte("v")})
			return err
		}},
		{"no such secret", "ResourceNotFoundException", func() error { _, err := v.put(t, "ghost", tokenB, "v"); return err }},
		{"reserved tag", "ValidationException", func() error {
			_, err := v.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("n"), Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}})
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) { wantCode(t, test.call(), test.code) })
	}
	diff(t, v.stages(t, "s"), map[string][]string{tokenA: {"AWSCURRENT"}})
}
