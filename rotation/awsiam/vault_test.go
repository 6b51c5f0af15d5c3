package awsiam_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

const vaultRegion = "eu-west-1"

var (
	inSecrets   = rotation.Delivery{Mode: rotation.InSecretsManager, Name: "keyturner/ci-deploy", Region: vaultRegion}
	inParameter = rotation.Delivery{Mode: rotation.InSSM, Name: "/keyturner/ci-deploy", Region: vaultRegion}
)

const (
	token      = "5f2d8a31-0c44-4d1e-9b1a-6e3f0f6f7a10"
	otherToken = "5f2d8a31-0c44-4d1e-9b1a-6e3f0f6f7a11"
)

// made has a key made, and returns what is to be written of it.
func (w world) made(at rotation.Delivery) rotation.Deposit {
	w.Helper()
	w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
	key, secret, err := w.account.CreateKey(w.Context(), "ci-deploy")
	if err != nil {
		w.Fatal(err)
	}
	return rotation.Deposit{At: at, Token: token, Key: key.ID, Secret: secret}
}

func (w world) secretsClient() *secretsmanager.Client {
	cfg := w.credentials(w.acme.Principal("workload"))
	cfg.Region = vaultRegion
	return secretsmanager.NewFromConfig(cfg)
}

func (w world) parametersClient() *ssm.Client {
	cfg := w.credentials(w.acme.Principal("workload"))
	cfg.Region = vaultRegion
	return ssm.NewFromConfig(cfg)
}

// kept is what a workload finds in a place.
func (w world) kept(at rotation.Delivery) (value string, versions int) {
	w.Helper()
	if at.Mode == rotation.InSSM {
		out, err := w.parametersClient().GetParameter(w.Context(), &ssm.GetParameterInput{Name: &at.Name, WithDecryption: aws.Bool(true)})
		if err != nil {
			w.Fatal(err)
		}
		return *out.Parameter.Value, int(out.Parameter.Version)
	}
	out, err := w.secretsClient().GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: &at.Name})
	if err != nil {
		w.Fatal(err)
	}
	described, err := w.secretsClient().DescribeSecret(w.Context(), &secretsmanager.DescribeSecretInput{SecretId: &at.Name})
	if err != nil {
		w.Fatal(err)
	}
	return *out.SecretString, len(described.VersionIdsToStages)
}

func (w world) wantKept(d rotation.Deposit, versions int) {
	w.Helper()
	value, n := w.kept(d.At)
	var got map[string]string
	if err := json.Unmarshal([]byte(value), &got); err != nil {
		w.Fatal(err)
	}
	if len(got) != 2 || got["AWS_ACCESS_KEY_ID"] != string(d.Key) || got["AWS_SECRET_ACCESS_KEY"] != w.acme.SecretOf(string(d.Key)) {
		w.Error("what is kept is not the key with its secret")
	}
	if n != versions {
		w.Errorf("%d versions, want %d", n, versions)
	}
}

func TestVault_Write(t *testing.T) {
	for name, test := range map[string]struct {
		at       rotation.Delivery
		makes    int // secrets made by Ready
		versions int // after the same write was made twice
	}{
		"secretsmanager": {inSecrets, 1, 1},
		"ssm":            {inParameter, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				for range 2 {
					if err := w.account.Ready(w.Context(), test.at); err != nil {
						w.Fatal(err)
					}
				}
				if n := w.calls("CreateSecret"); n != test.makes {
					w.Errorf("%d secrets were made, want %d", n, test.makes)
				}
				d := w.made(test.at)
				for range 2 {
					if err := w.account.Write(w.Context(), d); err != nil {
						w.Fatal(err)
					}
				}
				w.wantKept(d, test.versions)
				if err := w.account.Ready(w.Context(), test.at); err != nil {
					w.Errorf("ready for the next one: %v", err)
				}
				w.leaksNothing()
			})
		})
	}
}

// TestVault_FaultPairs has a row for each call and each way in which it goes wrong: the class that is told, and that the same call once more
// comes to the same end.
func TestVault_FaultPairs(t *testing.T) {
	for _, at := range []rotation.Delivery{inSecrets, inParameter} {
		ops := map[string]bool{"DescribeSecret": false, "CreateSecret": false, "PutSecretValue": true}
		if at.Mode == rotation.InSSM {
			ops = map[string]bool{"GetParameter": false, "PutParameter": true}
		}
		for op, writes := range ops {
			for name, test := range map[string]struct {
				fault iamsim.Fault
				want  rotation.Class
			}{
				"denied":                 {iamsim.Fault{Code: "AccessDenied"}, rotation.ClassDenied},
				"throttled":              {iamsim.Fault{Code: "Throttling"}, rotation.ClassThrottled},
				"server fault":           {iamsim.Fault{Status: 500}, rotation.ClassUnknown},
				"server fault, applied":  {iamsim.Fault{Status: 500, Apply: true}, rotation.ClassUnknown},
				"cut":                    {iamsim.Fault{Drop: true}, rotation.ClassUnknown},
				"cut, applied":           {iamsim.Fault{Drop: true, Apply: true}, rotation.ClassUnknown},
				"truncated, applied":     {iamsim.Fault{Truncate: true, Apply: true}, rotation.ClassUnknown},
				"a limit":                {iamsim.Fault{Code: "ParameterLimitExceeded"}, rotation.ClassQuota},
				"not valid":              {iamsim.Fault{Code: "InvalidParameterException"}, rotation.ClassInvalid},
				"not there":              {iamsim.Fault{Code: "ParameterNotFound"}, rotation.ClassGone},
				"changed by many":        {iamsim.Fault{Code: "TooManyUpdates"}, rotation.ClassThrottled},
				"encryption not allowed": {iamsim.Fault{Code: "EncryptionFailure"}, rotation.ClassInvalid},
			} {
				if name == "not there" && !writes {
					continue // which is an answer
				}
				t.Run(string(at.Mode)+"/"+op+"/"+name, func(t *testing.T) {
					inWorld(t, iamsim.Config{}, func(w world) {
						d := w.made(at)
						call := func() error { return w.account.Ready(w.Context(), at) }
						if writes {
							if err := call(); err != nil {
								w.Fatal(err)
							}
							call = func() error { return w.account.Write(w.Context(), d) }
						}
						test.fault.Times = -1
						w.sim.Fail(op, test.fault)
						callError(w.T, call(), test.want)
						w.sim.Heal()
						if err := call(); err != nil {
							w.Fatalf("once more: %v", err)
						}
						if err := w.account.Write(w.Context(), d); err != nil {
							w.Fatal(err)
						}
						if at.Mode == rotation.InSecretsManager {
							w.wantKept(d, 1)
						}
						w.leaksNothing()
					})
				})
			}
		}
	}
}

func TestVault_Refusals(t *testing.T) {
	for name, test := range map[string]struct {
		at    rotation.Delivery
		setup func(world)
		want  string
	}{
		"a secret that is to be deleted": {inSecrets, func(w world) {
			must(w, w.account.Ready(w.Context(), inSecrets))
			_, err := w.secretsClient().DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(inSecrets.Name)})
			must(w, err)
		}, "marked for deletion"},
		"a parameter that anybody may read": {inParameter, func(w world) {
			_, err := w.parametersClient().PutParameter(w.Context(), &ssm.PutParameterInput{Name: aws.String(inParameter.Name), Value: aws.String("v"), Type: "String"})
			must(w, err)
		}, "not a SecureString"},
		"a direct message": {rotation.Delivery{Mode: rotation.ByDM, Name: "n", Region: vaultRegion}, nil, "names no place"},
		"no region":        {rotation.Delivery{Mode: rotation.InSSM, Name: "/n"}, nil, "names no place"},
		"no name":          {rotation.Delivery{Mode: rotation.InSecretsManager, Region: vaultRegion}, nil, "names no place"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				if test.setup != nil {
					test.setup(w)
				}
				before := len(w.sim.Calls())
				err := callError(w.T, w.account.Ready(w.Context(), test.at), rotation.ClassInvalid)
				if !strings.Contains(err.Error(), test.want) {
					w.Errorf("got %v, want it to say %q", &err, test.want)
				}
				for _, c := range w.sim.Calls()[before:] {
					if c.Op != "DescribeSecret" && c.Op != "GetParameter" {
						w.Errorf("%s was called", c.Op)
					}
				}
			})
		})
	}
	inWorld(t, iamsim.Config{}, func(w world) {
		d := w.made(inSecrets)
		for _, wrong := range []rotation.Deposit{
			{At: inSecrets, Token: token, Key: d.Key},
			{At: inSecrets, Token: token, Secret: d.Secret},
			{At: inSecrets, Key: d.Key, Secret: d.Secret},
			{At: rotation.Delivery{Mode: rotation.Sealed}, Token: token, Key: d.Key, Secret: d.Secret},
		} {
			callError(w.T, w.account.Write(w.Context(), wrong), rotation.ClassInvalid)
		}
		if w.calls("PutSecretValue") != 0 {
			w.Error("something was written")
		}
	})
}

// TestVault_AnotherValueUnderTheSameToken: what a token has written once is not written over.
func TestVault_AnotherValueUnderTheSameToken(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		d := w.made(inSecrets)
		must(w, w.account.Ready(w.Context(), inSecrets))
		must(w, w.account.Write(w.Context(), d))
		other := d
		other.Secret = rotation.NewSecret("another")
		callError(w.T, w.account.Write(w.Context(), other), rotation.ClassInvalid)
		w.wantKept(d, 1)
		other.Token = otherToken
		must(w, w.account.Write(w.Context(), other))
	})
}

// TestVault_QuotedSecret: AWS quotes some values that it finds wrong.
func TestVault_QuotedSecret(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		d := w.made(inParameter)
		w.sim.Fail("PutParameter", iamsim.Fault{Code: "ValidationException", Message: "Value '" + d.Secret.Reveal() + "' at 'value' is wrong"})
		err := callError(w.T, w.account.Write(w.Context(), d), rotation.ClassInvalid)
		w.leaksNothing(err.Error())
	})
}

func must(w world, err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
