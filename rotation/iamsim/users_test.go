package iamsim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestUsers_CreateGetDelete(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	ctx := t.Context()
	made := must(w.iam.CreateUser(ctx, &iam.CreateUserInput{
		UserName: aws.String("Ann+b@x.io"), Path: aws.String("/team/a/"),
		Tags: []types.Tag{{Key: aws.String("Owner"), Value: aws.String("ann = lead")}},
	}))(t).User
	if got := *made.Arn; got != "arn:aws:iam::111122223333:user/team/a/Ann+b@x.io" {
		t.Errorf("arn %s", got)
	}
	if id := *made.UserId; len(id) != 21 || !strings.HasPrefix(id, "AIDA") {
		t.Errorf("user id %s", id)
	}
	if !made.CreateDate.Equal(start) {
		t.Errorf("created %s", made.CreateDate)
	}

	got := must(w.iam.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("ANN+B@X.IO")}))(t).User
	if *got.UserName != "Ann+b@x.io" {
		t.Errorf("a look-up without case answers %s, want the stored spelling", *got.UserName)
	}
	if len(got.Tags) != 1 || *got.Tags[0].Key != "Owner" || *got.Tags[0].Value != "ann = lead" {
		t.Errorf("tags %v", got.Tags)
	}

	_, err := w.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ANN+b@x.io")})
	wantTyped[*types.EntityAlreadyExistsException](t, err)

	w.account.AddKey("ann+b@x.io", iamsim.Key{})
	_, err = w.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: made.UserName})
	wantTyped[*types.DeleteConflictException](t, err)
	w.account.RemoveKey(w.account.Keys("Ann+b@x.io")[0].ID)
	must(w.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: made.UserName}))(t)
	_, err = w.iam.GetUser(ctx, &iam.GetUserInput{UserName: made.UserName})
	wantTyped[*types.NoSuchEntityException](t, err)
	if !strings.Contains(err.Error(), "The user with name Ann+b@x.io cannot be found.") {
		t.Errorf("message %v", err)
	}
}

func TestUsers_Validation(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	ctx := t.Context()
	for _, test := range []struct {
		name, user, path string
	}{
		{name: "character", user: "a b"},
		{name: "too long", user: strings.Repeat("a", 65)},
		{name: "empty", user: ""},
		{name: "path without end", user: "a", path: "/team"},
		{name: "empty path segment only", user: "a", path: "//"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &iam.CreateUserInput{UserName: aws.String(test.user)}
			if test.path != "" {
				in.Path = aws.String(test.path)
			}
			_, err := w.iam.CreateUser(ctx, in)
			wantCode(t, err, "ValidationError")
		})
	}
	must(w.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("odd"), Path: aws.String("/a//b/")}))(t)
	_, err := w.iam.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("")})
	wantCode(t, err, "ValidationError")
}

func TestUsers_DeleteConflicts(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "password", PasswordEnabled: true})
	w.account.AddUser(iamsim.User{Name: "policy", Policies: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}})
	w.account.AddUser(iamsim.User{Name: "group", Groups: []string{"dev"}})
	for _, name := range []string{"password", "policy", "group"} {
		_, err := w.iam.DeleteUser(t.Context(), &iam.DeleteUserInput{UserName: aws.String(name)})
		wantCode(t, err, "DeleteConflict")
		w.account.RemoveUser(name)
	}
	diff(t, len(w.State().Accounts[0].Users), 0)
}

func TestUsers_RoleMustNameUser(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	ctx := t.Context()
	calls := map[string]func() error{
		"GetUser":         func() error { _, err := w.iam.GetUser(ctx, nil); return err },
		"ListAccessKeys":  func() error { _, err := w.iam.ListAccessKeys(ctx, nil); return err },
		"CreateAccessKey": func() error { _, err := w.iam.CreateAccessKey(ctx, nil); return err },
	}
	for name, call := range calls {
		err := call()
		wantCode(t, err, "ValidationError")
		if !strings.Contains(err.Error(), "Must specify userName when calling with non-User credentials") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsers_UserCredentialsMeanThemselves(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "self"})
	key := w.account.AddKey("self", iamsim.Key{})
	client, _ := w.clients(key, w.account.SecretOf(key), "")
	if got := must(client.GetUser(t.Context(), nil))(t); *got.User.UserName != "self" {
		t.Errorf("GetUser answers %s", *got.User.UserName)
	}
	must(client.CreateAccessKey(t.Context(), nil))(t)
	diff(t, len(w.account.Keys("self")), 2)
	must(client.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{AccessKeyId: aws.String(key)}))(t)
	diff(t, len(w.account.Keys("self")), 1)
}

func TestUsers_Paging(t *testing.T) {
	w := newWorld(t, iamsim.Config{PageSize: 2})
	for _, name := range []string{"delta", "Alpha", "bravo", "Echo", "charlie"} {
		w.account.AddUser(iamsim.User{Name: name, Path: "/p/"})
	}
	w.account.AddUser(iamsim.User{Name: "outside", Path: "/q/"})
	pager := iam.NewListUsersPaginator(w.iam, &iam.ListUsersInput{PathPrefix: aws.String("/p/"), MaxItems: aws.Int32(1000)})
	var names []string
	pages := 0
	for ; pager.HasMorePages(); pages++ {
		out := must(pager.NextPage(t.Context()))(t)
		for _, u := range out.Users {
			names = append(names, *u.UserName)
			if u.Tags != nil {
				t.Errorf("ListUsers answered tags of %s", *u.UserName)
			}
		}
		w.account.RemoveUser(*out.Users[len(out.Users)-1].UserName) // the marker's own user
	}
	diff(t, names, []string{"Alpha", "bravo", "charlie", "delta", "Echo"})
	diff(t, pages, 3)
}

func TestUsers_PagingParameters(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	for i := range 120 {
		w.account.AddUser(iamsim.User{Name: fmt.Sprintf("u%03d", i)})
	}
	ctx := t.Context()
	first := must(w.iam.ListUsers(ctx, nil))(t)
	if len(first.Users) != 100 || !first.IsTruncated {
		t.Fatalf("default page has %d users, truncated %v", len(first.Users), first.IsTruncated)
	}
	rest := must(w.iam.ListUsers(ctx, &iam.ListUsersInput{Marker: first.Marker, MaxItems: aws.Int32(7)}))(t)
	if len(rest.Users) != 7 || *rest.Users[0].UserName != "u100" {
		t.Fatalf("second page of another size has %d users", len(rest.Users))
	}
	for _, size := range []int32{0, -1, 1001} {
		_, err := w.iam.ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(size)})
		wantCode(t, err, "ValidationError")
	}
	_, err := w.iam.ListUsers(ctx, &iam.ListUsersInput{Marker: aws.String("bogus")})
	wantCode(t, err, "ValidationError")
	_, err = w.iam.ListAccountAliases(ctx, &iam.ListAccountAliasesInput{Marker: first.Marker})
	wantCode(t, err, "ValidationError")
	_, err = w.iam.ListUsers(ctx, &iam.ListUsersInput{PathPrefix: aws.String("p/")})
	wantCode(t, err, "ValidationError")
}

// TestUsers_IntegerSyntax has the spellings that were seen to be accepted and
// refused live.
func TestUsers_IntegerSyntax(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	id, secret := w.account.Principal("keybot")
	for text, want := range map[string]string{
		"1": "", "01": "", "%2B1": "",
		"%201": "MalformedInput", "1.0": "MalformedInput", "1e0": "MalformedInput", "2147483648": "MalformedInput", "": "MalformedInput",
		"0": "ValidationError", "1001": "ValidationError", "-1": "ValidationError",
	} {
		status, body := w.send(t, id, secret, signed{
			region: "us-east-1", service: "iam", form: "Action=ListUsers&Version=2010-05-08&Unknown=ignored&MaxItems=" + text,
		})
		if want == "" && status != 200 || want != "" && !strings.Contains(body, "<Code>"+want+"</Code>") {
			t.Errorf("MaxItems=%s: got %d %s, want %q", text, status, body, want)
		}
	}
}

func TestTags(t *testing.T) {
	w := newWorld(t, iamsim.Config{PageSize: 1})
	ctx := t.Context()
	w.account.AddUser(iamsim.User{Name: "u", Tags: map[string]string{"owner": "old", "team": "x"}})
	tag := func(key, value string) types.Tag { return types.Tag{Key: aws.String(key), Value: aws.String(value)} }
	must(w.iam.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("u"), Tags: []types.Tag{tag("Owner", "new"), tag("cost", "")}}))(t)

	got := map[string]string{}
	pager := iam.NewListUserTagsPaginator(w.iam, &iam.ListUserTagsInput{UserName: aws.String("u")})
	pages := 0
	for ; pager.HasMorePages(); pages++ {
		for _, found := range must(pager.NextPage(ctx))(t).Tags {
			got[*found.Key] = *found.Value
		}
	}
	diff(t, got, map[string]string{"Owner": "new", "team": "x", "cost": ""})
	diff(t, pages, 3)

	must(w.iam.UntagUser(ctx, &iam.UntagUserInput{UserName: aws.String("u"), TagKeys: []string{"OWNER", "absent"}}))(t)
	diff(t, w.State().Accounts[0].Users[0].Tags, map[string]string{"team": "x", "cost": ""})

	many := make([]types.Tag, 49)
	for i := range many {
		many[i] = tag(fmt.Sprintf("k%d", i), "v")
	}
	for _, test := range []struct {
		name, code string
		tags       []types.Tag
	}{
		{"repeated key", "InvalidInput", []types.Tag{tag("a", "1"), tag("A", "2")}},
		{"reserved prefix", "InvalidInput", []types.Tag{tag("AWS:x", "1")}},
		{"character", "ValidationError", []types.Tag{tag("a;b", "1")}},
		{"long value", "ValidationError", []types.Tag{tag("a", strings.Repeat("v", 257))}},
		{"quota", "LimitExceeded", many},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := w.iam.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("u"), Tags: test.tags})
			wantCode(t, err, test.code)
		})
	}
}

func TestAuthorizationDetails(t *testing.T) {
	w := newWorld(t, iamsim.Config{PageSize: 2})
	ctx := t.Context()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		w.account.AddUser(iamsim.User{
			Name: name, Tags: map[string]string{"owner": name}, Groups: []string{"dev"},
			Policies: []string{"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"},
		})
	}
	w.account.AddRole("keybot", "ext-1234")
	var users, groups, roles []string
	collect := func(filter ...types.EntityType) (pages int) {
		users, groups, roles = nil, nil, nil
		pager := iam.NewGetAccountAuthorizationDetailsPaginator(w.iam, &iam.GetAccountAuthorizationDetailsInput{Filter: filter})
		for ; pager.HasMorePages(); pages++ {
			out := must(pager.NextPage(ctx))(t)
			for _, u := range out.UserDetailList {
				users = append(users, *u.UserName)
				if *u.Tags[0].Value != *u.UserName || u.GroupList[0] != "dev" ||
					*u.AttachedManagedPolicies[0].PolicyName != "AWSCompromisedKeyQuarantineV3" || *u.UserId == "" {
					t.Errorf("detail of %s: %+v", *u.UserName, u)
				}
			}
			for _, g := range out.GroupDetailList {
				groups = append(groups, *g.GroupName)
			}
			for _, r := range out.RoleDetailList {
				roles = append(roles, *r.RoleName)
			}
		}
		return pages
	}
	diff(t, collect(types.EntityTypeUser), 3)
	diff(t, [][]string{users, groups, roles}, [][]string{{"a", "b", "c", "d", "e"}, nil, nil})
	diff(t, collect(), 4)
	diff(t, [][]string{users, groups, roles}, [][]string{{"a", "b", "c", "d", "e"}, {"dev"}, {"keybot"}})
	_, err := w.iam.GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{"Dog"}})
	wantCode(t, err, "ValidationError")
}

func TestAttachedPoliciesAliasesSummary(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	ctx := t.Context()
	w.account.AddUser(iamsim.User{Name: "u", MFA: true, Groups: []string{"dev", "ops"}, Policies: []string{"arn:aws:iam::aws:policy/job/Billing"}})
	policies := must(w.iam.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: aws.String("u")}))(t).AttachedPolicies
	if len(policies) != 1 || *policies[0].PolicyName != "Billing" || *policies[0].PolicyArn != "arn:aws:iam::aws:policy/job/Billing" {
		t.Errorf("policies %v", policies)
	}
	diff(t, must(w.iam.ListAccountAliases(ctx, nil))(t).AccountAliases, []string{"acme"})

	w.account.SetRootKey(start.AddDate(-1, 0, 0), time.Time{})
	summary := must(w.iam.GetAccountSummary(ctx, nil))(t).SummaryMap
	for key, want := range map[string]int32{
		"Users": 1, "UsersQuota": 5000, "AccessKeysPerUserQuota": 2, "AccountAccessKeysPresent": 1,
		"AccountMFAEnabled": 1, "MFADevices": 1, "Groups": 2,
	} {
		if summary[key] != want {
			t.Errorf("%s is %d, want %d", key, summary[key], want)
		}
	}
	w.account.SetRootKey(time.Time{}, time.Time{})
	diff(t, must(w.iam.GetAccountSummary(ctx, nil))(t).SummaryMap["AccountAccessKeysPresent"], int32(0))
}

func TestRecreateUser(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u", ID: "AIDAOLD", Path: "/svc/", Tags: map[string]string{"owner": "ann"}})
	key := w.account.AddKey("u", iamsim.Key{})
	id := w.account.RecreateUser("U")
	got := must(w.iam.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("u")}))(t).User
	if id == "AIDAOLD" || *got.UserId != id || *got.Path != "/svc/" || len(got.Tags) != 1 {
		t.Errorf("recreated as %s, answered %+v", id, got)
	}
	if keys := w.account.Keys("u"); len(keys) != 0 {
		t.Errorf("the new user has the keys %v", keys)
	}
	if err := w.account.Use(key, "s3", "eu-west-1"); err == nil {
		t.Error("a key of the user that was deleted still works")
	}
	diff(t, w.account.RecreateUser("ghost"), "")
}

func TestErrorEnvelope(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	_, err := w.iam.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("ghost")})
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || response.HTTPStatusCode() != 404 || len(response.ServiceRequestID()) != 36 {
		t.Fatalf("got %v", err)
	}
	_, err = w.iam.ListGroups(t.Context(), nil)
	wantCode(t, err, "InvalidAction")
	if !strings.Contains(err.Error(), "Could not find operation ListGroups for version 2010-05-08") {
		t.Errorf("message %v", err)
	}
}
