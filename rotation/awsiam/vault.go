package awsiam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/keyturner/keyturner/rotation"
)

// Account is also a rotation.Vault: it writes secrets to Secrets Manager or to the Parameter Store of Systems Manager, in the same account
// and in the region that the delivery names. It never reads one.
var _ rotation.Vault = (*Account)(nil)

const noPlace = "the delivery is none to AWS, or names no place and region there"

// Ready implements rotation.Vault. A secret that is not there is made, empty, so that it is known before there is a key that it may be
// made; a parameter cannot be empty, and is made by the first write. Neither call reads a value: GetParameter without decryption needs no
// right to the key that encrypts it.
//
// A crash here leaves an empty secret, which is found and used the next time.
func (a *Account) Ready(ctx context.Context, at rotation.Delivery) error {
	op := "make " + at.Name + " ready for a secret"
	switch {
	case !at.InAWS() || at.Name == "" || at.Region == "":
		return refused(op, noPlace)
	case at.Mode == rotation.InSSM:
		return a.parameterReady(ctx, op, at)
	}
	described, err := paced(ctx, a.reads, op, func(ctx context.Context) (*secretsmanager.DescribeSecretOutput, error) {
		return a.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(at.Name)}, secretsIn(at, a.reads))
	})
	switch {
	case err == nil && aws.ToString(described.Name) != at.Name:
		return lost(op, "the answer is not about that secret")
	case err == nil && described.DeletedDate != nil:
		return refused(op, "it is marked for deletion: restore it, or wait until it is gone")
	case err == nil || rotation.ClassOf(err) != rotation.ClassGone:
		return err
	}
	_, err = paced(ctx, a.writes, op, func(ctx context.Context) (*secretsmanager.CreateSecretOutput, error) {
		return a.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: aws.String(at.Name), KmsKeyId: optional(at.KMSKey), Description: aws.String("An access key that Keyturner rotates"),
		}, secretsIn(at, a.writes))
	})
	if codeOf(err) == codeResourceExists { // made by an attempt whose answer was lost, and not listed yet
		return nil
	}
	return err
}

func (a *Account) parameterReady(ctx context.Context, op string, at rotation.Delivery) error {
	found, err := paced(ctx, a.reads, op, func(ctx context.Context) (*ssm.GetParameterOutput, error) {
		return a.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(at.Name), WithDecryption: aws.Bool(false)}, parametersIn(at, a.reads))
	})
	switch {
	case err != nil && rotation.ClassOf(err) == rotation.ClassGone:
		return nil
	case err != nil:
		return err
	case found.Parameter == nil:
		return lost(op, "the answer has no parameter")
	case found.Parameter.Type != ssmtypes.ParameterTypeSecureString:
		return refused(op, fmt.Sprintf("it is a %s and not a SecureString, and AWS lets no type be changed: delete it first", found.Parameter.Type))
	}
	return nil
}

// Write implements rotation.Vault. In Secrets Manager the token names the version, so that the same write once more finds its version and
// changes nothing; the version becomes AWSCURRENT. The Parameter Store knows no token: there the same write once more adds a version that says
// the same. An error never holds what was to be written.
//
// A crash here, or an error of rotation.ClassUnknown, may leave a version with a secret that nobody has asked for yet.
func (a *Account) Write(ctx context.Context, d rotation.Deposit) error {
	at := d.At
	op := fmt.Sprintf("write access key %s to %s", d.Key, at.Name)
	if !at.InAWS() || at.Name == "" || at.Region == "" || d.Key == "" || d.Secret.Empty() || d.Token == "" {
		return refused(op, noPlace)
	}
	value, err := json.Marshal(map[string]string{
		"AWS_ACCESS_KEY_ID": string(d.Key), "AWS_SECRET_ACCESS_KEY": d.Secret.Reveal(),
	})
	if err != nil {
		return refused(op, "it cannot be written as JSON") // a map of strings always can
	}
	return wordless(a.write(ctx, op, d, string(value)), d.Secret)
}

func (a *Account) write(ctx context.Context, op string, d rotation.Deposit, value string) error {
	at := d.At
	if at.Mode == rotation.InSSM {
		_, err := paced(ctx, a.writes, op, func(ctx context.Context) (*ssm.PutParameterOutput, error) {
			return a.parameters.PutParameter(ctx, &ssm.PutParameterInput{
				Name: aws.String(at.Name), Value: aws.String(value), Type: ssmtypes.ParameterTypeSecureString,
				Overwrite: aws.Bool(true), KeyId: optional(at.KMSKey),
			}, parametersIn(at, a.writes))
		})
		return err
	}
	out, err := paced(ctx, a.writes, op, func(ctx context.Context) (*secretsmanager.PutSecretValueOutput, error) {
		return a.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: aws.String(at.Name), ClientRequestToken: aws.String(d.Token), SecretString: aws.String(value),
		}, secretsIn(at, a.writes))
	})
	if err == nil && aws.ToString(out.VersionId) != d.Token {
		return lost(op, "the answer is not about that version")
	}
	return err
}

// wordless drops AWS's words from an error if they quote the secret, as those about a value that is not valid do.
func wordless(err error, secret rotation.Secret) error {
	call, ok := errors.AsType[*rotation.CallError](err)
	if ok && strings.Contains(call.Err.Error(), secret.Reveal()) {
		call.Err = errors.New("AWS's answer quotes the secret, and is left out")
	}
	return err
}

// codeResourceExists is what Secrets Manager answers if there is a secret of that name.
var codeResourceExists = (&secrettypes.ResourceExistsException{}).ErrorCode()

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// secretsIn and parametersIn are what a call needs beside its input: the region of the secret, and the retries of its sort.
func secretsIn(at rotation.Delivery, p pace) func(*secretsmanager.Options) {
	return func(o *secretsmanager.Options) { o.Region, o.Retryer = at.Region, p.retryer }
}

func parametersIn(at rotation.Delivery, p pace) func(*ssm.Options) {
	return func(o *ssm.Options) { o.Region, o.Retryer = at.Region, p.retryer }
}
