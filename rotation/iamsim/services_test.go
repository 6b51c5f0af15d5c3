package iamsim_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// homeConfig signs as the account's principal for us-east-1.
func (w *world) homeConfig(account *iamsim.Account) aws.Config {
	id, secret := account.Principal("keybot")
	cfg := w.config(id, secret, "")
	cfg.Region = "us-east-1"
	return cfg
}

// jsonCalls makes one call of each service of the JSON protocol.
func jsonCalls(t *testing.T, cfg aws.Config) map[string]error {
	t.Helper()
	errs := map[string]error{}
	_, errs["organizations"] = organizations.NewFromConfig(cfg).ListAccounts(t.Context(), nil)
	_, errs["cloudtrail"] = cloudtrail.NewFromConfig(cfg).LookupEvents(t.Context(), nil)
	_, errs["secretsmanager"] = secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("s"), SecretString: aws.String("v"),
	})
	_, errs["ssm"] = ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("p"), Value: aws.String("v"), Type: "String", Overwrite: aws.Bool(true),
	})
	return errs
}

func TestJSON_Signatures(t *testing.T) {
	w := newWorld(t, iamsim.Config{VisibleAfter: 1})
	w.AddOrganization(iamsim.Organization{Management: w.account})
	w.account.AddUser(iamsim.User{Name: "u"})
	unseen := w.account.AddKey("u", iamsim.Key{})
	id, secret := w.account.Principal("keybot")
	for _, test := range []struct {
		name, id, secret, token, code string
	}{
		{name: "good", id: id, secret: secret},
		{name: "wrong secret", id: id, secret: "wrong", code: "InvalidSignatureException"},
		{name: "unknown key", id: "AKIA2222222222222222", secret: secret, code: "UnrecognizedClientException"},
		{name: "key not visible yet", id: unseen, secret: w.account.SecretOf(unseen), code: "UnrecognizedClientException"},
		{name: "token of nobody", id: id, secret: secret, token: "t", code: "UnrecognizedClientException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for service, err := range jsonCalls(t, w.config(test.id, test.secret, test.token)) {
				switch {
				case test.code != "":
					wantCode(t, err, test.code)
				case err != nil:
					t.Errorf("%s: %v", service, err)
				}
			}
		})
	}
}

func TestJSON_SigningMovesLastUsed(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.account.AddUser(iamsim.User{Name: "u"})
	key := w.account.AddKey("u", iamsim.Key{})
	must(secretsmanager.NewFromConfig(w.config(key, w.account.SecretOf(key), "")).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("s"),
	}))(t)
	date, service, region := w.lastUsed(t, key)
	if !date.Equal(start) || service != "secretsmanager" || region != "eu-west-1" {
		t.Errorf("last used %s %s %s", date, service, region)
	}
}

// TestJSON_FaultPairs has a row for each way to fail, not applied and applied.
func TestJSON_FaultPairs(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault iamsim.Fault
		code  string // empty for a failure below the protocol
	}{
		{"throttling", iamsim.Fault{Code: "Throttling"}, "ThrottlingException"},
		{"server fault", iamsim.Fault{Status: 500}, "InternalServiceError"},
		{"unavailable", iamsim.Fault{Status: 503}, "ServiceUnavailableException"},
		{"denial", iamsim.Fault{Code: "AccessDenied"}, "AccessDeniedException"},
		{"its own code", iamsim.Fault{Code: "EncryptionFailure"}, "EncryptionFailure"},
		{"cut connection", iamsim.Fault{Drop: true}, ""},
		{"truncated body", iamsim.Fault{Truncate: true}, ""},
	} {
		for _, apply := range []bool{false, true} {
			name := test.name + ", not applied"
			if apply {
				name = test.name + ", applied"
			}
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, iamsim.Config{})
				fault := test.fault
				fault.Apply = apply
				w.Fail("CreateSecret", fault)
				err := jsonCalls(t, w.config(w.principal()))["secretsmanager"]
				if err == nil {
					t.Fatal("no error")
				}
				if test.code != "" {
					wantCode(t, err, test.code)
				}
				_, stored := w.account.SecretValue("eu-west-1", "s", "")
				diff(t, stored, apply)
			})
		}
	}
}

// principal returns the credentials that the world's own clients sign with.
func (w *world) principal() (id, secret, token string) {
	id, secret = w.account.Principal("keybot")
	return id, secret, ""
}

func TestJSON_DenialNamesAction(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	w.Fail("*", iamsim.Fault{Code: "AccessDenied", Times: -1})
	for service, action := range map[string]string{
		"organizations": "organizations:ListAccounts", "cloudtrail": "cloudtrail:LookupEvents",
		"secretsmanager": "secretsmanager:CreateSecret", "ssm": "ssm:PutParameter",
	} {
		err := jsonCalls(t, w.config(w.principal()))[service]
		wantMessage(t, err, "User: arn:aws:sts::111122223333:assumed-role/keybot/sandbox is not authorized to perform: "+
			action+" on resource: * because no identity-based policy allows the "+action+" action")
	}
}

// wantMessage fails the test unless err is an API error that says so.
func wantMessage(tb testing.TB, err error, message string) {
	tb.Helper()
	apiErr, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		tb.Fatalf("got %v, want an API error", err)
	}
	diff(tb, apiErr.ErrorMessage(), message)
}

// TestJSON_Wire pins what goes over the wire, which the SDK hides.
func TestJSON_Wire(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	id, secret, _ := w.principal()
	for _, test := range []struct {
		name, target, service, body string
		status                      int
		want                        string
	}{
		{name: "answer", target: "AmazonSSM.PutParameter", service: "ssm", body: `{"Name":"p","Value":"v","Type":"String"}`, status: 200, want: `{"Version":1,"Tier":"Standard"}`},
		{name: "long target", target: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents", service: "cloudtrail", body: `{"EventCategory":"insight"}`, status: 200, want: `{"Events":[]}`},
		{name: "error", target: "secretsmanager.GetSecretValue", service: "secretsmanager", body: `{"SecretId":"s"}`, status: 400, want: `{"__type":"ResourceNotFoundException","message":"Secrets Manager can't find the specified secret."}`},
		{name: "signature for another service", target: "AmazonSSM.GetParameter", service: "iam", body: `{}`, status: 400, want: `{"__type":"InvalidSignatureException","message":"Credential should be scoped to correct service: 'ssm'."}`},
		{name: "not JSON", target: "secretsmanager.PutSecretValue", service: "secretsmanager", body: `{"SecretString":"hush`, status: 400, want: `{"__type":"SerializationException","message":"The body of PutSecretValue is not the JSON expected"}`},
		{name: "unknown operation", target: "TrentService.Encrypt", service: "kms", body: `{}`, status: 400, want: `{"__type":"UnknownOperationException","message":"The simulator does not serve TrentService.Encrypt"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var header http.Header
			status, body := w.send(t, id, secret, signed{
				form: test.body, region: "us-east-1", service: test.service, target: test.target,
				answer: func(h http.Header) { header = h },
			})
			diff(t, status, test.status)
			diff(t, body, test.want)
			diff(t, header.Get("Content-Type"), "application/x-amz-json-1.1")
			if header.Get("X-Amzn-Requestid") == "" {
				t.Error("no request id")
			}
		})
	}
}
