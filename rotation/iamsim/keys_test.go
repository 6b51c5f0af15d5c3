package iamsim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

func TestKeys_Life(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	ctx := t.Context()
	user := aws.String("Ci")
	w.account.AddUser(iamsim.User{Name: "Ci"})
	w.account.AddUser(iamsim.User{Name: "other"})
	old := w.account.AddKey("ci", iamsim.Key{Created: start.AddDate(0, 0, -120), Inactive: true})

	made := must(w.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("CI")}))(t).AccessKey
	if *made.UserName != "Ci" || made.Status != types.StatusTypeActive || len(*made.SecretAccessKey) != 40 || !made.CreateDate.Equal(start) {
		t.Errorf("made %s for %s, %s", *made.AccessKeyId, *made.UserName, made.Status)
	}
	_, err := w.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: user})
	wantTyped[*types.LimitExceededException](t, err) // the inactive key counts
	if !strings.Contains(err.Error(), "Cannot exceed quota for AccessKeysPerUser: 2") {
		t.Errorf("message %v", err)
	}

	update := func(status types.StatusType) error {
		_, err := w.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: user, AccessKeyId: made.AccessKeyId, Status: status})
		return err
	}
	for _, status := range []types.StatusType{"Inactive", "Inactive", "Active"} {
		if err := update(status); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, update("Expired"), "InvalidInput")
	wantCode(t, update("Off"), "ValidationError")

	listed := must(w.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: user}))(t).AccessKeyMetadata
	if len(listed) != 2 || *listed[0].AccessKeyId > *listed[1].AccessKeyId {
		t.Errorf("listed %v, want two by id", listed)
	}
	_, err = w.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("other"), AccessKeyId: &old})
	wantTyped[*types.NoSuchEntityException](t, err)
	must(w.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: user, AccessKeyId: &old}))(t)
	_, err = w.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: user, AccessKeyId: &old})
	wantTyped[*types.NoSuchEntityException](t, err)
	diff(t, w.account.Keys("ci"), []iamsim.KeyView{{
		ID: *made.AccessKeyId, Status: "Active", Created: start, Service: "N/A", Region: "N/A", ByBot: true,
	}})
	_, err = w.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: user, AccessKeyId: aws.String("sh ort")})
	wantCode(t, err, "ValidationError")
}

func TestKeys_Paging(t *testing.T) {
	w := newWorld(t, iamsim.Config{PageSize: 1})
	w.account.AddUser(iamsim.User{Name: "u"})
	want := []string{w.account.AddKey("u", iamsim.Key{ID: "AKIA2222222222222222"}), w.account.AddKey("u", iamsim.Key{ID: "AKIA3333333333333333"})}
	var got []string
	pager := iam.NewListAccessKeysPaginator(w.iam, &iam.ListAccessKeysInput{UserName: aws.String("u")})
	for pager.HasMorePages() {
		for _, k := range must(pager.NextPage(t.Context()))(t).AccessKeyMetadata {
			got = append(got, *k.AccessKeyId)
		}
	}
	diff(t, got, want)
}

func TestKeys_AddKeyRefusals(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u"})
	diff(t, w.account.AddKey("ghost", iamsim.Key{}), "")
	for range 2 {
		if w.account.AddKey("u", iamsim.Key{}) == "" {
			t.Fatal("no key")
		}
	}
	diff(t, w.account.AddKey("u", iamsim.Key{}), "")
}

func (w *world) lastUsed(t *testing.T, key string) (date time.Time, service, region string) {
	t.Helper()
	out := must(w.iam.GetAccessKeyLastUsed(t.Context(), &iam.GetAccessKeyLastUsedInput{AccessKeyId: &key}))(t)
	if *out.UserName != "u" {
		t.Errorf("key of %s, want u", *out.UserName)
	}
	return aws.ToTime(out.AccessKeyLastUsed.LastUsedDate), *out.AccessKeyLastUsed.ServiceName, *out.AccessKeyLastUsed.Region
}

func TestKeys_LastUsed(t *testing.T) {
	const lag = 10 * time.Minute
	w := newWorld(t, iamsim.Config{LastUsedLag: lag})
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{})
	want := func(date time.Time, service, region string) {
		t.Helper()
		gotDate, gotService, gotRegion := w.lastUsed(t, key)
		if !gotDate.Equal(date) || gotService != service || gotRegion != region {
			t.Fatalf("last used %s %s %s, want %s %s %s", gotDate, gotService, gotRegion, date, service, region)
		}
	}
	use := func(service, region string) {
		t.Helper()
		if err := w.account.Use(key, service, region); err != nil {
			t.Fatal(err)
		}
	}
	want(time.Time{}, "N/A", "N/A")
	use("s3", "")
	want(time.Time{}, "N/A", "N/A") // lags
	w.clock.Skip(lag)
	want(start, "s3", "N/A")
	w.clock.Skip(4 * time.Minute) // 14 minutes after the first: same span
	use("ec2", "eu-west-1")
	w.clock.Skip(time.Minute)
	use("sqs", "eu-central-1")
	want(start, "s3", "N/A")
	w.clock.Skip(lag)
	want(start.Add(15*time.Minute), "sqs", "eu-central-1")

	_, err := w.iam.GetAccessKeyLastUsed(t.Context(), &iam.GetAccessKeyLastUsedInput{AccessKeyId: aws.String("AKIAIOSFODNN7EXAMPLE")})
	wantCode(t, err, "NoSuchEntity") // a generic error: the SDK has no type for it in this operation
}

func TestKeys_SeededLastUseShowsAtOnce(t *testing.T) {
	w := newWorld(t, iamsim.Config{LastUsedLag: time.Hour})
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{Created: start.AddDate(-1, 0, 0), LastUsed: start.Add(-time.Minute), Service: "ses"})
	date, service, region := w.lastUsed(t, key)
	if !date.Equal(start.Add(-time.Minute)) || service != "ses" || region != "N/A" {
		t.Errorf("last used %s %s %s", date, service, region)
	}
}

func TestKeys_SigningMovesLastUsed(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{})
	_, client := w.clients(key, w.account.SecretOf(key), "")
	identity := must(client.GetCallerIdentity(t.Context(), nil))(t)
	if *identity.Arn != "arn:aws:iam::111122223333:user/u" || (*identity.UserId)[:4] != "AIDA" {
		t.Errorf("identity %s %s", *identity.Arn, *identity.UserId)
	}
	date, service, region := w.lastUsed(t, key)
	if !date.Equal(start) || service != "sts" || region != "eu-west-1" {
		t.Errorf("last used %s %s %s", date, service, region)
	}
}

func TestKeys_Use(t *testing.T) {
	const refusal = "InvalidClientTokenId: The security token included in the request is invalid."
	w := newWorld(t, iamsim.Config{VisibleAfter: 4 * time.Second, RefusedAfter: 3 * time.Second})
	other := w.AddAccount("444455556666", "")
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{})
	use := func(want string) {
		t.Helper()
		got := ""
		if err := w.account.Use(key, "s3", "eu-west-1"); err != nil {
			got = err.Error()
		}
		diff(t, got, want)
	}
	use(refusal) // not yet visible
	w.clock.Skip(4 * time.Second)
	use("")
	w.account.SetKeyStatus(key, false)
	use("") // not yet refused
	w.clock.Skip(3 * time.Second)
	use(refusal)
	w.account.SetKeyStatus(key, true)
	w.clock.Skip(4 * time.Second)
	use("")
	if err := other.Use(key, "s3", "eu-west-1"); err == nil {
		t.Error("the key works in another account")
	}
	w.account.RemoveKey(key)
	diff(t, len(w.account.Keys("u")), 0)
	use("")
	w.clock.Skip(3 * time.Second)
	use(refusal)
}
