package awsiam

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/keyturner/keyturner/rotation"
)

const (
	noUserName = "the user name is empty, and AWS would take its caller for the user"
	noKeyID    = "the key id is empty"
)

// notApplicable is what AWS writes for the region and the service of no use, and for the region of a service without regions.
const notApplicable = "N/A"

// Keys implements rotation.Reader. Keys of the same second are in the order of their ids.
func (a *Account) Keys(ctx context.Context, user string) ([]rotation.Key, error) {
	op := "list access keys of " + user
	if user == "" {
		return nil, refused("list access keys", noUserName)
	}
	var keys []rotation.Key
	err := pages(op, func(marker *string) (bool, *string, error) {
		out, err := send(ctx, a.reads, op, a.iam.ListAccessKeys, &iam.ListAccessKeysInput{
			UserName: aws.String(user), MaxItems: aws.Int32(listPage), Marker: marker,
		})
		if err != nil {
			return false, nil, err
		}
		if out.AccessKeyMetadata == nil {
			return false, nil, lost(op, "the answer has no list of keys")
		}
		for _, m := range out.AccessKeyMetadata {
			k, ok := keyOf(m.AccessKeyId, m.Status, m.CreateDate)
			if !ok {
				return false, nil, lost(op, "the answer has a key without an id, a status or a date")
			}
			keys = append(keys, k)
		}
		return out.IsTruncated, out.Marker, nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b rotation.Key) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// keyOf makes a key of what AWS tells; false if something is missing. A status other than the two known is passed on as it is.
func keyOf(id *string, status types.StatusType, created *time.Time) (rotation.Key, bool) {
	if aws.ToString(id) == "" || status == "" || created == nil {
		return rotation.Key{}, false
	}
	return rotation.Key{ID: rotation.KeyID(*id), Status: rotation.Status(status), Created: created.UTC()}, true
}

// LastUse implements rotation.Reader. Never used is what AWS answers without a date and with N/A as the service
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyLastUsed.html); a service without a date is an unreadable answer.
func (a *Account) LastUse(ctx context.Context, id rotation.KeyID) (rotation.LastUse, error) {
	out, err := a.lastUsed(ctx, id)
	if err != nil {
		return rotation.LastUse{}, err
	}
	op := readLastUse + string(id)
	use := out.AccessKeyLastUsed
	if use == nil {
		return rotation.LastUse{}, lost(op, "the answer has no last use")
	}
	service, region := applicable(use.ServiceName), applicable(use.Region)
	switch {
	case use.LastUsedDate != nil:
		return rotation.LastUse{State: rotation.Used, At: use.LastUsedDate.UTC(), Service: service, Region: region}, nil
	case service == "" && region == "":
		return rotation.LastUse{State: rotation.NeverUsed}, nil
	}
	return rotation.LastUse{}, lost(op, "the answer has a use without a date")
}

const readLastUse = "read the last use of access key "

func (a *Account) lastUsed(ctx context.Context, id rotation.KeyID) (*iam.GetAccessKeyLastUsedOutput, error) {
	if id == "" {
		return nil, refused("read the last use of an access key", noKeyID)
	}
	return send(ctx, a.reads, readLastUse+string(id), a.iam.GetAccessKeyLastUsed, &iam.GetAccessKeyLastUsedInput{AccessKeyId: aws.String(string(id))})
}

// UserOf implements rotation.Reader. AWS answers with the name of the user beside the key's last use. Of a key of another account it does
// not say that there is none, but denies the call, as it does where the role may not ask.
func (a *Account) UserOf(ctx context.Context, id rotation.KeyID) (string, error) {
	out, err := a.lastUsed(ctx, id)
	if err != nil {
		return "", err
	}
	if out.AccessKeyLastUsed == nil {
		return "", lost(readLastUse+string(id), "the answer has no last use")
	}
	return aws.ToString(out.UserName), nil
}

// applicable is the text, or empty for N/A.
func applicable(text *string) string {
	if t := aws.ToString(text); !strings.EqualFold(t, notApplicable) {
		return t
	}
	return ""
}

// CreateKey implements rotation.Changer. Once the request is on its way it is not stopped with ctx, since that would lose the answer
// and with it the secret; it ends in any case within 30 seconds.
//
// A crash here, or an error of rotation.ClassUnknown, may leave a key that nobody has the secret of.
func (a *Account) CreateKey(ctx context.Context, user string) (rotation.Key, rotation.Secret, error) {
	op := "create an access key for " + user
	if user == "" {
		return rotation.Key{}, rotation.Secret{}, refused("create an access key", noUserName)
	}
	out, err := send(ctx, a.creates, op, a.iam.CreateAccessKey, &iam.CreateAccessKeyInput{UserName: aws.String(user)})
	if err != nil {
		return rotation.Key{}, rotation.Secret{}, err
	}
	if out.AccessKey == nil || aws.ToString(out.AccessKey.SecretAccessKey) == "" {
		return rotation.Key{}, rotation.Secret{}, lost(op, "the answer has no secret")
	}
	k, ok := keyOf(out.AccessKey.AccessKeyId, out.AccessKey.Status, out.AccessKey.CreateDate)
	if !ok {
		return rotation.Key{}, rotation.Secret{}, lost(op, "the answer has a key without an id, a status or a date")
	}
	return k, rotation.NewSecret(*out.AccessKey.SecretAccessKey), nil
}

// SetStatus implements rotation.Changer. The SDK repeats it only if AWS throttled it, so that a failure tells about the whole call.
func (a *Account) SetStatus(ctx context.Context, user string, id rotation.KeyID, to rotation.Status) error {
	verb, ok := map[rotation.Status]string{rotation.Active: "activate", rotation.Inactive: "deactivate"}[to]
	if !ok {
		return refused("change an access key", fmt.Sprintf("a key is made Active or Inactive, not %q", to))
	}
	op := fmt.Sprintf("%s access key %s of %s", verb, id, user)
	if why := nameless(user, id); why != "" {
		return refused(verb+" an access key", why)
	}
	out, err := send(ctx, a.writes, op, a.iam.UpdateAccessKey, &iam.UpdateAccessKeyInput{
		UserName: aws.String(user), AccessKeyId: aws.String(string(id)), Status: types.StatusType(to),
	})
	if err != nil {
		return err
	}
	return answered(op, out.ResultMetadata)
}

// DeleteKey implements rotation.Changer. The API would delete an Active key too; that it may not is the domain's to hold.
func (a *Account) DeleteKey(ctx context.Context, user string, id rotation.KeyID) error {
	op := fmt.Sprintf("delete access key %s of %s", id, user)
	if why := nameless(user, id); why != "" {
		return refused("delete an access key", why)
	}
	out, err := send(ctx, a.writes, op, a.iam.DeleteAccessKey, &iam.DeleteAccessKeyInput{
		UserName: aws.String(user), AccessKeyId: aws.String(string(id)),
	})
	if err != nil {
		return err
	}
	return answered(op, out.ResultMetadata)
}

// nameless says what is missing for a call about one key of one user.
func nameless(user string, id rotation.KeyID) string {
	switch {
	case user == "":
		return noUserName
	case id == "":
		return noKeyID
	}
	return ""
}

// answered checks that a call without a result was answered by AWS, which gives each a request id: the SDK does not read the body,
// and a proxy's page with status 200 would pass for success.
func answered(op string, m middleware.Metadata) error {
	if id, ok := awsmiddleware.GetRequestIDMetadata(m); !ok || id == "" {
		return lost(op, "the answer has no request id, so it may not be AWS's")
	}
	return nil
}
