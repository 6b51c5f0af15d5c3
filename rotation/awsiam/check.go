package awsiam

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/keyturner/keyturner/rotation"
)

// Check makes sure that AWS takes the credentials, and for this account. It needs no permission but that to assume the role, if there
// is one (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html). Its error says what to do.
func (a *Account) Check(ctx context.Context) error {
	op := "check the credentials for account " + a.String()
	caller, err := a.caller(ctx, op)
	if err != nil {
		return a.advise(err)
	}
	if err := a.holds(op, caller); err != nil {
		return err
	}
	a.log.Debug("credentials are good", "account", a.id, "caller", aws.ToString(caller.Arn))
	return nil
}

// caller asks AWS whom it takes the credentials for.
func (a *Account) caller(ctx context.Context, op string) (*sts.GetCallerIdentityOutput, error) {
	return paced(ctx, a.reads, op, func(ctx context.Context) (*sts.GetCallerIdentityOutput, error) {
		return a.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) { o.Retryer = a.reads.retryer })
	})
}

// holds makes sure that the caller is in this account.
func (a *Account) holds(op string, caller *sts.GetCallerIdentityOutput) error {
	account := aws.ToString(caller.Account)
	switch account {
	case a.id:
		return nil
	case "":
		return lost(op, "the answer names no account")
	}
	return &rotation.CallError{
		Op: op, Class: rotation.ClassDenied,
		Err: fmt.Errorf("%s is in account %s: name a role in account %s to assume, or give Keyturner credentials of that account",
			aws.ToString(caller.Arn), account, a.id),
	}
}

// advise adds to a failed check what to do about it.
func (a *Account) advise(err error) error {
	call, ok := errors.AsType[*rotation.CallError](err)
	if !ok {
		return err
	}
	advice := "give Keyturner credentials (environment, profile or instance role) and a way to reach AWS STS"
	switch {
	case call.Class == rotation.ClassThrottled:
		advice = "AWS is busy: try again later"
	case call.Class == rotation.ClassDenied && a.role != "":
		advice = fmt.Sprintf("let the trust policy of %s name Keyturner's own credentials and the external id that is configured, "+
			"and check that those credentials are valid and may assume it", a.role)
	case call.Class == rotation.ClassDenied:
		advice = "give Keyturner credentials that are valid now, and check this machine's clock"
	}
	call.Err = fmt.Errorf("%w; %s", call.Err, advice)
	return call
}
