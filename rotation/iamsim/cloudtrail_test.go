package iamsim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// by is a lookup by one attribute.
func by(key types.LookupAttributeKey, value string) *cloudtrail.LookupEventsInput {
	return &cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{{AttributeKey: key, AttributeValue: &value}}}
}

// lookUp follows every page of a lookup in a region.
func (w *world) lookUp(t *testing.T, region string, in *cloudtrail.LookupEventsInput) []types.Event {
	t.Helper()
	cfg := w.homeConfig(w.account)
	cfg.Region = region
	var events []types.Event
	pager := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(cfg), in)
	for pager.HasMorePages() {
		events = append(events, must(pager.NextPage(t.Context()))(t).Events...)
	}
	return events
}

// names are the event names, in order.
func names(events []types.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, *e.EventName)
	}
	return strings.Join(all, " ")
}

// keyed is a world with one user and its key.
func keyed(t *testing.T, cfg iamsim.Config) (w *world, key string) {
	t.Helper()
	w = newWorld(t, cfg)
	w.account.AddUser(iamsim.User{Name: "u", ID: "AIDAU"})
	return w, w.account.AddKey("u", iamsim.Key{})
}

func (w *world) perform(t *testing.T, key string, activity iamsim.Activity) {
	t.Helper()
	if err := w.account.Perform(key, activity); err != nil {
		t.Fatal(err)
	}
}

// TestCloudTrail_NamesWhoMadeAKey is what a client relies on that lost the answer
// to CreateAccessKey.
func TestCloudTrail_NamesWhoMadeAKey(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	member := w.AddAccount("444455556666", "member")
	member.AddUser(iamsim.User{Name: "ci"})
	role := member.AddRole("keybot", "")
	c := must(w.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("turn-1")}))(t).Credentials
	cfg := w.config(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	cfg.AppID = "keybot"
	w.Fail("CreateAccessKey", iamsim.Fault{Drop: true, Apply: true})
	if _, err := iam.NewFromConfig(cfg).CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("ci")}); err == nil {
		t.Fatal("the answer was not lost")
	}
	key := member.Keys("ci")[0].ID

	cfg.Region = "us-east-1"
	client := cloudtrail.NewFromConfig(cfg)
	for _, in := range []*cloudtrail.LookupEventsInput{
		by(types.LookupAttributeKeyEventName, "CreateAccessKey"),
		by(types.LookupAttributeKeyResourceName, key),
		by(types.LookupAttributeKeyUsername, "turn-1"),
		by(types.LookupAttributeKeyAccessKeyId, *c.AccessKeyId),
	} {
		found := must(client.LookupEvents(t.Context(), in))(t).Events
		event := found[len(found)-1] // later ones are of the lookups themselves
		diff(t, []string{*event.EventName, *event.EventSource, *event.Username, *event.AccessKeyId, *event.ReadOnly},
			[]string{"CreateAccessKey", "iam.amazonaws.com", "turn-1", *c.AccessKeyId, "false"})
		diff(t, event.EventTime.Equal(start), true)
		record := decodeRecord(t, *event.CloudTrailEvent)
		for _, row := range []struct {
			want any
			path []any
		}{
			{"AssumedRole", []any{"userIdentity", "type"}},
			{"arn:aws:sts::444455556666:assumed-role/keybot/turn-1", []any{"userIdentity", "arn"}},
			{"arn:aws:iam::444455556666:role/keybot", []any{"userIdentity", "sessionContext", "sessionIssuer", "arn"}},
			{"2026-11-23T09:00:00Z", []any{"userIdentity", "sessionContext", "attributes", "creationDate"}},
			{"ci", []any{"requestParameters", "userName"}},
			{key, []any{"responseElements", "accessKey", "accessKeyId"}},
			{"ci", []any{"responseElements", "accessKey", "userName"}},
			{"Nov 23, 2026 9:00:00 AM", []any{"responseElements", "accessKey", "createDate"}},
			{"us-east-1", []any{"awsRegion"}},
			{"127.0.0.1", []any{"sourceIPAddress"}},
			{"444455556666", []any{"recipientAccountId"}},
			{*event.EventId, []any{"eventID"}},
		} {
			diff(t, at(record, row.path...), row.want)
		}
		if agent, _ := at(record, "userAgent").(string); !strings.Contains(agent, "app/keybot") {
			t.Errorf("user agent %q", agent)
		}
	}
	for _, event := range member.Events() {
		for _, secret := range append(w.Secrets(), *c.SecretAccessKey, *c.SessionToken) {
			if strings.Contains(event.Record, secret) {
				t.Errorf("%s holds a secret", event.Name)
			}
		}
	}
}

func decodeRecord(t *testing.T, text string) (record any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatal(err)
	}
	return record
}

func TestCloudTrail_NoSecretOfAnyService(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	cfg := w.homeConfig(w.account)
	must(secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String("hush-1")}))(t)
	must(secretsmanager.NewFromConfig(cfg).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretBinary: []byte("hush-2")}))(t)
	must(secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionStage: aws.String("AWSPREVIOUS")}))(t)
	must(ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/p"), Value: aws.String("hush-3"), Type: "SecureString"}))(t)
	must(ssm.NewFromConfig(cfg).GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/p"), WithDecryption: aws.Bool(true)}))(t)
	events := w.lookUp(t, "us-east-1", &cloudtrail.LookupEventsInput{})
	diff(t, names(events), "GetParameter PutParameter GetSecretValue PutSecretValue CreateSecret")
	for _, e := range events {
		if strings.Contains(*e.CloudTrailEvent, "hush") || strings.Contains(*e.CloudTrailEvent, "aHVzaC") {
			t.Errorf("a secret in %s", *e.CloudTrailEvent)
		}
	}
	diff(t, at(decodeRecord(t, *events[1].CloudTrailEvent), "requestParameters"), any(map[string]any{"name": "/p", "type": "SecureString"}))
	diff(t, at(decodeRecord(t, *events[2].CloudTrailEvent), "requestParameters", "secretId"), any("s"))
}

func TestCloudTrail_ManagementEventsOnly(t *testing.T) {
	w, key := keyed(t, iamsim.Config{})
	for _, activity := range []iamsim.Activity{
		{Service: "s3"},
		{Service: "s3", Event: "PutObject", Region: "us-east-1"},
		{Service: "s3", Event: "ListBuckets", Region: "us-east-1"},
		{Service: "dynamodb", Region: "us-east-1"},
		{Service: "dynamodb", Event: "DescribeTable", Region: "us-east-1"},
		{Service: "lambda", Event: "Invoke", Region: "us-east-1"},
		{Service: "unheard-of", Region: "us-east-1"},
		{Service: "unheard-of", Event: "DoSomething", Region: "us-east-1"},
		{Service: "ec2", Region: "us-east-1", UserAgent: "Terraform/1.9", SourceIP: "198.51.100.7", Code: "Client.UnauthorizedOperation"},
	} {
		w.perform(t, key, activity)
	}
	events := w.lookUp(t, "us-east-1", by(types.LookupAttributeKeyAccessKeyId, key))
	diff(t, names(events), "DescribeInstances DoSomething DescribeTable ListBuckets")
	last := decodeRecord(t, *events[0].CloudTrailEvent)
	diff(t, at(last, "userIdentity"), any(map[string]any{
		"type": "IAMUser", "principalId": "AIDAU", "arn": "arn:aws:iam::111122223333:user/u", "accountId": accountID,
		"accessKeyId": key, "userName": "u",
	}))
	diff(t, []any{at(last, "userAgent"), at(last, "sourceIPAddress"), at(last, "errorCode"), at(last, "eventSource")},
		[]any{"Terraform/1.9", "198.51.100.7", "Client.UnauthorizedOperation", "ec2.amazonaws.com"})
	held := w.account.Events()[3] // the lookup is in the history as well
	held.Record, held.ID = "", ""
	diff(t, held, iamsim.Event{
		At: start, Name: "DescribeInstances", Service: "ec2", Region: "us-east-1", UserName: "u", KeyID: key,
		UserAgent: "Terraform/1.9", SourceIP: "198.51.100.7", Code: "Client.UnauthorizedOperation",
	})
}

func TestCloudTrail_UnauthenticatedIsNotThere(t *testing.T) {
	w, key := keyed(t, iamsim.Config{})
	w.account.SetKeyStatus(key, false)
	if err := w.account.Perform(key, iamsim.Activity{Service: "ec2"}); err == nil {
		t.Fatal("an inactive key works")
	}
	own, _ := w.clients(key, w.account.SecretOf(key), "")
	_, err := own.ListUsers(t.Context(), nil)
	wantCode(t, err, "InvalidClientTokenId")
	diff(t, len(w.account.Events()), 0)
}

func TestCloudTrail_Attributes(t *testing.T) {
	w, key := keyed(t, iamsim.Config{})
	w.perform(t, key, iamsim.Activity{Service: "ec2"})
	w.perform(t, key, iamsim.Activity{Service: "cloudwatch", Event: "DescribeAlarms"})
	must(w.iam.TagUser(t.Context(), &iam.TagUserInput{UserName: aws.String("u"), Tags: []iamtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))(t)
	id := w.account.Events()[0].ID
	for _, test := range []struct {
		key         types.LookupAttributeKey
		value, want string
	}{
		{types.LookupAttributeKeyAccessKeyId, key, "DescribeAlarms DescribeInstances"},
		{types.LookupAttributeKeyUsername, "u", "DescribeAlarms DescribeInstances"},
		{types.LookupAttributeKeyEventId, id, "DescribeInstances"},
		{types.LookupAttributeKeyEventName, "TagUser", "TagUser"},
		{types.LookupAttributeKeyEventSource, "monitoring.amazonaws.com", "DescribeAlarms"},
		{types.LookupAttributeKeyReadOnly, "false", "TagUser"},
		{types.LookupAttributeKeyResourceName, "u", "TagUser"},
		{types.LookupAttributeKeyResourceType, "AWS::IAM::User", "TagUser"},
		{types.LookupAttributeKeyResourceType, "AWS::IAM::AccessKey", ""},
	} {
		t.Run(string(test.key), func(t *testing.T) {
			diff(t, names(w.lookUp(t, "us-east-1", by(test.key, test.value))), test.want)
		})
	}
}

func TestCloudTrail_OneRegionPerCall(t *testing.T) {
	w, key := keyed(t, iamsim.Config{})
	w.perform(t, key, iamsim.Activity{Service: "ec2", Region: "eu-west-1"})
	w.perform(t, key, iamsim.Activity{Service: "ec2", Event: "RunInstances", Region: "eu-central-1"})
	w.perform(t, key, iamsim.Activity{Service: "route53", Region: "eu-west-1"}) // global
	own, identity := w.clients(key, w.account.SecretOf(key), "")
	must(own.ListAccessKeys(t.Context(), nil))(t) // global too, though signed for eu-west-1
	must(identity.GetCallerIdentity(t.Context(), nil))(t)
	for region, want := range map[string]string{
		"eu-west-1":    "GetCallerIdentity DescribeInstances",
		"eu-central-1": "RunInstances",
		"us-east-1":    "ListAccessKeys ListHostedZones",
		"ap-south-1":   "",
	} {
		diff(t, names(w.lookUp(t, region, by(types.LookupAttributeKeyAccessKeyId, key))), want)
	}
}

func TestCloudTrail_PagesNewestFirst(t *testing.T) {
	w, key := keyed(t, iamsim.Config{})
	want := []string{"Event1"}
	for i := 1; i <= 120; i++ { // two in each second but the first, so that pages end within one
		at := start.Add(-time.Duration(i/2) * time.Second)
		w.account.AddEvent(key, at, iamsim.Activity{Service: "ec2", Event: fmt.Sprintf("Event%d", i), Region: "us-east-1"})
		if i > 1 && i < 120 {
			want = append(want, fmt.Sprintf("Event%d", i^1)) // of one second the later first
		}
	}
	want = append(want, "Event120")
	client := cloudtrail.NewFromConfig(w.homeConfig(w.account))
	in := by(types.LookupAttributeKeyAccessKeyId, key)
	var got []string
	var sizes []int
	for {
		out := must(client.LookupEvents(t.Context(), in))(t)
		sizes = append(sizes, len(out.Events))
		got = append(got, strings.Fields(names(out.Events))...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
		w.perform(t, key, iamsim.Activity{Service: "ec2", Region: "us-east-1"}) // shifts no page
	}
	diff(t, sizes, []int{50, 50, 20})
	diff(t, got, want)
}

func TestCloudTrail_TimesAndLife(t *testing.T) {
	w, key := keyed(t, iamsim.Config{EventLag: 5 * time.Minute})
	day := 24 * time.Hour
	for _, days := range []int{100, 90, 60, 1} {
		w.account.AddEvent(key, start.AddDate(0, 0, -days), iamsim.Activity{Service: "ec2", Event: fmt.Sprintf("Days%d", days)})
	}
	w.perform(t, key, iamsim.Activity{Service: "ec2", Event: "Fresh"})
	w.account.AddEvent("AKIAUNKNOWN", start, iamsim.Activity{Service: "ec2"})
	want := func(events string, from, to *time.Time) {
		t.Helper()
		in := by(types.LookupAttributeKeyAccessKeyId, key)
		in.StartTime, in.EndTime = from, to
		diff(t, names(w.lookUp(t, "us-east-1", in)), events)
	}
	want("Days1 Days60 Days90", nil, nil) // Fresh lags
	w.clock.Skip(5 * time.Minute)
	want("Fresh Days1 Days60", nil, nil)
	want("Fresh Days1", aws.Time(start.Add(-2*day)), nil)
	want("Days1", aws.Time(start.Add(-day)), aws.Time(start.Add(-day))) // both inclusive
	want("Days60", nil, aws.Time(start.Add(-2*day)))
	w.clock.Skip(60 * day)
	want("Fresh Days1", nil, nil)
}

func TestCloudTrail_ErrorsAndWhatIsMissing(t *testing.T) {
	w, _ := keyed(t, iamsim.Config{})
	try := func(fault iamsim.Fault, user string) {
		t.Helper()
		w.Fail("CreateAccessKey", fault)
		if _, err := w.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &user}); err == nil {
			t.Fatal("no error")
		}
	}
	for _, lost := range []iamsim.Fault{{Drop: true}, {Truncate: true}, {Code: "Throttling"}, {Status: 500}, {Status: 502}} {
		try(lost, "u")
	}
	diff(t, len(w.account.Events()), 0)
	try(iamsim.Fault{Code: "AccessDenied"}, "u")
	try(iamsim.Fault{}, "ghost")
	try(iamsim.Fault{Code: "AccessDenied", Apply: true}, "u") // it was made, whatever the answer says
	try(iamsim.Fault{}, "u")                                  // which is one too many
	var codes []string
	for _, e := range w.account.Events() {
		codes = append(codes, e.Code)
	}
	diff(t, codes, []string{"AccessDenied", "NoSuchEntityException", "", "LimitExceededException"})
	denied := decodeRecord(t, w.account.Events()[0].Record)
	if message, _ := at(denied, "errorMessage").(string); !strings.Contains(message, "is not authorized to perform: iam:CreateAccessKey") {
		t.Errorf("message %q", message)
	}
	diff(t, at(denied, "responseElements"), nil)
}

func TestCloudTrail_Refusals(t *testing.T) {
	w, key := keyed(t, iamsim.Config{PageSize: 1})
	client := cloudtrail.NewFromConfig(w.homeConfig(w.account))
	w.perform(t, key, iamsim.Activity{Service: "ec2"})
	w.perform(t, key, iamsim.Activity{Service: "ec2"})
	token := must(client.LookupEvents(t.Context(), by(types.LookupAttributeKeyAccessKeyId, key)))(t).NextToken
	two := by(types.LookupAttributeKeyAccessKeyId, key)
	two.LookupAttributes = append(two.LookupAttributes, two.LookupAttributes[0])
	for _, test := range []struct {
		name string
		in   *cloudtrail.LookupEventsInput
		code string
	}{
		{"two attributes", two, "InvalidLookupAttributesException"},
		{"unknown attribute", by("Shoe", "size"), "InvalidLookupAttributesException"},
		{"empty value", by(types.LookupAttributeKeyEventId, ""), "InvalidLookupAttributesException"},
		{"no results", &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(0)}, "InvalidMaxResultsException"},
		{"too many results", &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(51)}, "InvalidMaxResultsException"},
		{"times", &cloudtrail.LookupEventsInput{StartTime: aws.Time(start), EndTime: aws.Time(start.Add(-time.Second))}, "InvalidTimeRangeException"},
		{"category", &cloudtrail.LookupEventsInput{EventCategory: "other"}, "InvalidEventCategoryException"},
		{"token of nothing", &cloudtrail.LookupEventsInput{NextToken: aws.String("eA")}, "InvalidNextTokenException"},
		{"token of another lookup", &cloudtrail.LookupEventsInput{NextToken: token}, "InvalidNextTokenException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := client.LookupEvents(t.Context(), test.in)
			wantCode(t, err, test.code)
		})
	}
}

func TestCloudTrail_TwoLookupsPerSecond(t *testing.T) {
	sign := &clock{now: time.Now()}
	w := newWorld(t, iamsim.Config{SignNow: sign.Now, LookupsPerSecond: 2})
	other := w.AddAccount("444455556666", "")
	look := func(account *iamsim.Account, region string) error {
		cfg := w.homeConfig(account)
		cfg.Region = region
		_, err := cloudtrail.NewFromConfig(cfg).LookupEvents(t.Context(), nil)
		return err
	}
	for range 2 {
		for _, region := range []string{"us-east-1", "eu-west-1"} { // each region has its own
			if err := look(w.account, region); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantCode(t, look(w.account, "us-east-1"), "ThrottlingException")
	if err := look(other, "us-east-1"); err != nil {
		t.Errorf("another account: %v", err)
	}
	sign.Skip(999 * time.Millisecond)
	wantCode(t, look(w.account, "us-east-1"), "ThrottlingException")
	sign.Skip(time.Millisecond)
	if err := look(w.account, "us-east-1"); err != nil {
		t.Errorf("a second later: %v", err)
	}
	diff(t, len(w.account.Events()), 5) // the throttled are not there
}
