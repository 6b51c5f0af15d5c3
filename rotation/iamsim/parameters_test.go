package iamsim_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

func newParameters(t *testing.T) (*world, *ssm.Client) {
	t.Helper()
	w := newWorld(t, iamsim.Config{})
	return w, ssm.NewFromConfig(w.config(w.principal()))
}

func TestSSM_PutAndGet(t *testing.T) {
	w, client := newParameters(t)
	ctx := t.Context()
	in := &ssm.PutParameterInput{
		Name: aws.String("/team/app/key"), Value: aws.String("one"), Type: types.ParameterTypeSecureString, KeyId: aws.String("alias/k"),
		Tags: []types.Tag{{Key: aws.String("owner"), Value: aws.String("ann")}},
	}
	first := must(client.PutParameter(ctx, in))(t)
	if first.Version != 1 || first.Tier != types.ParameterTierStandard {
		t.Errorf("version %d, tier %s", first.Version, first.Tier)
	}
	_, err := client.PutParameter(ctx, in)
	wantTyped[*types.ParameterAlreadyExists](t, err)
	in.Overwrite = aws.Bool(true)
	_, err = client.PutParameter(ctx, in)
	wantCode(t, err, "ValidationException") // tags do not go with it
	in.Tags, in.Value = nil, aws.String("two")
	diff(t, must(client.PutParameter(ctx, in))(t).Version, int64(2))

	get := func(name string, decrypt bool) (*types.Parameter, error) {
		out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: &decrypt})
		if err != nil {
			return nil, err
		}
		return out.Parameter, nil
	}
	got := must(get("/team/app/key", true))(t)
	arn := "arn:aws:ssm:eu-west-1:111122223333:parameter/team/app/key"
	diff(t, []string{*got.Value, *got.ARN, *got.DataType, *got.Name}, []string{"two", arn, "text", "/team/app/key"})
	if got.Version != 2 || got.Type != types.ParameterTypeSecureString || !got.LastModifiedDate.Equal(start) {
		t.Errorf("version %d, type %s, modified %s", got.Version, got.Type, got.LastModifiedDate)
	}
	diff(t, *must(get("/team/app/key:1", true))(t).Value, "one")
	diff(t, *must(get(arn, true))(t).Value, "two")
	if sealed := *must(get("/team/app/key", false))(t).Value; strings.Contains(sealed, "two") || len(sealed) < 20 {
		t.Errorf("not decrypted, it reads %q", sealed)
	}
	_, err = get("/team/app", true)
	wantTyped[*types.ParameterNotFound](t, err)
	_, err = get("/team/app/key:3", true)
	wantTyped[*types.ParameterVersionNotFound](t, err)

	add := func(resource string, tags ...types.Tag) error {
		_, err := client.AddTagsToResource(ctx, &ssm.AddTagsToResourceInput{ResourceType: "Parameter", ResourceId: &resource, Tags: append([]types.Tag{}, tags...)})
		return err
	}
	if err := add("/team/app/key", types.Tag{Key: aws.String("owner"), Value: aws.String("bob")}, types.Tag{Key: aws.String("Owner"), Value: aws.String("cy")}); err != nil {
		t.Fatal(err)
	}
	wantTyped[*types.InvalidResourceId](t, add("/ghost", types.Tag{Key: aws.String("k"), Value: aws.String("v")}))
	wantCode(t, add("/team/app/key"), "ValidationException")
	_, err = client.AddTagsToResource(ctx, &ssm.AddTagsToResourceInput{ResourceType: "Document", ResourceId: aws.String("d"), Tags: []types.Tag{}})
	wantTyped[*types.InvalidResourceType](t, err)

	value, tags, ok := w.account.ParameterValue("eu-west-1", "/team/app/key")
	diff(t, []any{value, tags, ok}, []any{"two", map[string]string{"owner": "bob", "Owner": "cy"}, true})
	_, _, ok = w.account.ParameterValue("us-east-1", "/team/app/key")
	diff(t, ok, false) // parameters are regional
}

func TestSSM_Rules(t *testing.T) {
	_, client := newParameters(t)
	must(client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("plain"), Value: aws.String("v"), Type: "String"}))(t)
	must(client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("big"), Value: aws.String("v"), Type: "String", Tier: "Advanced"}))(t)
	for _, test := range []struct {
		name, parameter, kind, tier string
		size                        int
		overwrite                   bool
		code                        string
		settled                     types.ParameterTier
	}{
		{name: "without a type", parameter: "n", code: "ValidationException"},
		{name: "unknown type", parameter: "n", kind: "Number", code: "UnsupportedParameterType"},
		{name: "other type", parameter: "plain", kind: "SecureString", overwrite: true, code: "HierarchyTypeMismatchException"},
		{name: "type unsaid", parameter: "plain", overwrite: true, settled: "Standard"},
		{name: "space in the name", parameter: "a b", kind: "String", code: "ValidationException"},
		{name: "no slash in front", parameter: "a/b", kind: "String", code: "ValidationException"},
		{name: "reserved name", parameter: "/AWS/x", kind: "String", code: "ValidationException"},
		{name: "fifteen levels", parameter: strings.Repeat("/l", 15), kind: "String", settled: "Standard"},
		{name: "sixteen levels", parameter: strings.Repeat("/l", 16), kind: "String", code: "HierarchyLevelLimitExceededException"},
		{name: "most of a standard one", parameter: "s", kind: "String", size: 4096, settled: "Standard"},
		{name: "too much", parameter: "t", kind: "String", size: 4097, code: "ValidationException"},
		{name: "advanced", parameter: "t", kind: "String", size: 8192, tier: "Advanced", settled: "Advanced"},
		{name: "too much for any", parameter: "u", kind: "String", size: 8193, tier: "Advanced", code: "ValidationException"},
		{name: "chosen by size", parameter: "v", kind: "String", size: 4097, tier: "Intelligent-Tiering", settled: "Advanced"},
		{name: "stays advanced", parameter: "big", overwrite: true, size: 5000, settled: "Advanced"},
		{name: "no way back", parameter: "big", overwrite: true, tier: "Standard", code: "ValidationException"},
		{name: "unknown tier", parameter: "w", kind: "String", tier: "Gold", code: "ValidationException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &ssm.PutParameterInput{
				Name: &test.parameter, Value: aws.String(strings.Repeat("x", max(1, test.size))), Overwrite: &test.overwrite,
				Type: types.ParameterType(test.kind), Tier: types.ParameterTier(test.tier),
			}
			out, err := client.PutParameter(t.Context(), in)
			if test.code != "" {
				wantCode(t, err, test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			diff(t, out.Tier, test.settled)
		})
	}
}

func TestSSM_KeepsAHundredVersions(t *testing.T) {
	_, client := newParameters(t)
	for i := range 101 {
		in := &ssm.PutParameterInput{Name: aws.String("p"), Value: aws.String("v"), Type: "String", Overwrite: aws.Bool(true)}
		diff(t, must(client.PutParameter(t.Context(), in))(t).Version, int64(i+1))
	}
	for version, code := range map[string]string{"p:1": "ParameterVersionNotFound", "p:2": ""} {
		_, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &version})
		if code != "" {
			wantCode(t, err, code)
		} else if err != nil {
			t.Error(err)
		}
	}
}
