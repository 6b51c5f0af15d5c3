package awsiam

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/keyturner/keyturner/rotation"
)

const (
	// detailPage is the size of a page of users with all their policies; IAM allows 1,000, which can be megabytes.
	detailPage = 500
	// listPage is the largest page that IAM gives of anything (https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUsers.html).
	listPage = 1000
)

// Users implements rotation.Reader, in as many calls as there are pages; in one more for each user where
// iam:GetAccountAuthorizationDetails is denied.
func (a *Account) Users(ctx context.Context) ([]rotation.User, error) {
	users, err := a.detailedUsers(ctx)
	if err != nil && accessDenied(err) {
		a.log.Warn("iam:GetAccountAuthorizationDetails is denied: reading the tags of each user by itself, and no quarantine is seen", "account", a.id)
		return a.listedUsers(ctx)
	}
	return users, err
}

// detailedUsers lists the users with their tags.
func (a *Account) detailedUsers(ctx context.Context) ([]rotation.User, error) {
	var users []rotation.User
	err := a.Details(ctx, func(u rotation.User) error {
		users = append(users, u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// Details implements rotation.Surveyor, keeping no more than a page.
func (a *Account) Details(ctx context.Context, each func(rotation.User) error) error {
	op := "list the users of account " + a.String()
	return pages(op, func(marker *string) (bool, *string, error) {
		out, err := send(ctx, a.reads, op, a.iam.GetAccountAuthorizationDetails, &iam.GetAccountAuthorizationDetailsInput{
			Filter: []types.EntityType{types.EntityTypeUser}, MaxItems: aws.Int32(detailPage), Marker: marker,
		})
		if err != nil {
			return false, nil, err
		}
		if out.UserDetailList == nil {
			return false, nil, lost(op, "the answer has no list of users")
		}
		for _, d := range out.UserDetailList {
			u, err := a.user(op, &types.User{UserName: d.UserName, UserId: d.UserId, Arn: d.Arn, CreateDate: d.CreateDate, Tags: d.Tags})
			if err != nil {
				return false, nil, err
			}
			u.Quarantine, u.Groups = quarantine(d.AttachedManagedPolicies), append([]string(nil), d.GroupList...)
			if err := each(u); err != nil {
				return false, nil, err
			}
		}
		return out.IsTruncated, out.Marker, nil
	})
}

// quarantinePolicy is how the names of the policies begin that AWS attaches to a user whose key it has found in public
// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCompromisedKeyQuarantineV3.html).
const quarantinePolicy = "AWSCompromisedKeyQuarantine"

func quarantine(policies []types.AttachedPolicy) string {
	for _, p := range policies {
		if name := aws.ToString(p.PolicyName); strings.HasPrefix(name, quarantinePolicy) {
			return name
		}
	}
	return ""
}

// listedUsers lists the users, then asks for the tags of each. A user deleted in between is left out.
func (a *Account) listedUsers(ctx context.Context) ([]rotation.User, error) {
	var users []rotation.User
	err := a.Names(ctx, func(u rotation.User) error {
		tags, err := a.tags(ctx, u.Ref.Name)
		if rotation.ClassOf(err) == rotation.ClassGone && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		u.Tags = tags
		users = append(users, u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// Names implements rotation.Surveyor, keeping no more than a page. AWS lists users without their tags.
func (a *Account) Names(ctx context.Context, each func(rotation.User) error) error {
	op := "list the users of account " + a.String()
	return pages(op, func(marker *string) (bool, *string, error) {
		out, err := send(ctx, a.reads, op, a.iam.ListUsers, &iam.ListUsersInput{MaxItems: aws.Int32(listPage), Marker: marker})
		if err != nil {
			return false, nil, err
		}
		if out.Users == nil {
			return false, nil, lost(op, "the answer has no list of users")
		}
		for _, listed := range out.Users {
			u, err := a.user(op, &listed)
			if err == nil {
				err = each(u)
			}
			if err != nil {
				return false, nil, err
			}
		}
		return out.IsTruncated, out.Marker, nil
	})
}

// tags reads the tags of one user.
func (a *Account) tags(ctx context.Context, name string) (map[string]string, error) {
	op := "read the tags of " + name
	all := map[string]string{}
	err := pages(op, func(marker *string) (bool, *string, error) {
		out, err := send(ctx, a.reads, op, a.iam.ListUserTags, &iam.ListUserTagsInput{
			UserName: aws.String(name), MaxItems: aws.Int32(listPage), Marker: marker,
		})
		if err != nil {
			return false, nil, err
		}
		if out.Tags == nil {
			return false, nil, lost(op, "the answer has no list of tags")
		}
		addTags(all, out.Tags)
		return out.IsTruncated, out.Marker, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// User implements rotation.Reader. IAM finds names without regard to case; the user's own spelling is returned.
func (a *Account) User(ctx context.Context, name string) (rotation.User, error) {
	op := "read user " + name
	if name == "" {
		return rotation.User{}, refused("read a user", noUserName)
	}
	out, err := send(ctx, a.reads, op, a.iam.GetUser, &iam.GetUserInput{UserName: aws.String(name)})
	if err != nil {
		return rotation.User{}, err
	}
	if out.User == nil {
		return rotation.User{}, lost(op, "the answer has no user")
	}
	return a.user(op, out.User)
}

// user reads what AWS tells of a user. The account in its ARN must be this one: other credentials than those that Check saw may have come
// into the process's environment since.
func (a *Account) user(op string, u *types.User) (rotation.User, error) {
	name, id := aws.ToString(u.UserName), aws.ToString(u.UserId)
	if name == "" || id == "" || u.CreateDate == nil {
		return rotation.User{}, lost(op, "the answer has a user without a name, an id or a date")
	}
	where, err := arn.Parse(aws.ToString(u.Arn))
	if err != nil {
		return rotation.User{}, lost(op, fmt.Sprintf("the answer has a user with the ARN %q", aws.ToString(u.Arn)))
	}
	if where.AccountID != a.id {
		return rotation.User{}, &rotation.CallError{
			Op: op, Class: rotation.ClassDenied,
			Err: fmt.Errorf("user %s is in account %s: the credentials are for that account, not for %s", name, where.AccountID, a),
		}
	}
	// The path is read out of the ARN, user/path/name, which is there wherever a user is.
	path := strings.TrimSuffix(strings.TrimPrefix(where.Resource, "user"), name)
	tags := make(map[string]string, len(u.Tags))
	addTags(tags, u.Tags)
	return rotation.User{
		Ref: rotation.UserRef{Account: a.id, Name: name}, ID: id, Path: path, Created: u.CreateDate.UTC(), Tags: tags,
	}, nil
}

func addTags(all map[string]string, tags []types.Tag) {
	for _, t := range tags {
		all[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
}
