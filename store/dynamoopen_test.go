package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/dynalitetest"
)

// expiries lists the items of a table that expire, and when.
func expiries(t *testing.T, endpoint, table string) map[string]string {
	t.Helper()
	out, err := dynamodb.NewFromConfig(*dynalitetest.AWS(endpoint)).Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, it := range out.Items {
		if n, ok := it[store.ExpiryAttribute].(*types.AttributeValueMemberN); ok {
			found[it["sk"].(*types.AttributeValueMemberS).Value] = n.Value
		}
	}
	return found
}

// TestDynamo_Environment finds everything as the built program does.
func TestDynamo_Environment(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	for _, pair := range dynalitetest.Env(endpoint) {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	name := newTable(t, endpoint)
	s, err := store.Open("dynamodb:eu-central-1/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Record(t.Context(), "k", rotation.Entry{}), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestDynamo_FirstAtOnce has several processes open a new table at once.
func TestDynamo_FirstAtOnce(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	name := newTable(t, endpoint)
	opened := make(chan error)
	const n = 5
	for range n {
		go func() {
			s, err := store.OpenDynamo("eu-central-1/"+name, store.Config{AWS: dynalitetest.AWS(endpoint)})
			if err == nil {
				err = s.Close()
			}
			opened <- err
		}()
	}
	for range n {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
}

// TestDynamo_OtherTables opens tables that are not as they should be.
func TestDynamo_OtherTables(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	api := dynamodb.NewFromConfig(*dynalitetest.AWS(endpoint))
	for i, test := range []struct {
		name   string
		change func(*dynamodb.CreateTableInput)
		put    map[string]types.AttributeValue
		want   string
	}{
		{"another key", func(in *dynamodb.CreateTableInput) {
			in.AttributeDefinitions[1].AttributeType = types.ScalarAttributeTypeN
		}, nil, "its key is pk (S), sk (N), not pk (S), sk (S): it is no keyturner store: make one with deploy/dynamodb.yaml"},
		{"no index", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes = nil
			in.AttributeDefinitions = in.AttributeDefinitions[:2]
		}, nil, "it has no index live"},
		{"another index", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes[0].KeySchema = in.KeySchema
			in.AttributeDefinitions = in.AttributeDefinitions[:2]
		}, nil, "the key of its index live is pk (S), sk (S), not live (S), sk (S)"},
		{"less in the index", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes[0].Projection = &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}
		}, nil, "its index live does not include rev"},
		{"more in the index", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes[0].Projection = &types.Projection{ProjectionType: types.ProjectionTypeAll}
		}, nil, ""},
		{"newer", nil, map[string]types.AttributeValue{"schema": &types.AttributeValueMemberN{Value: "2"}}, "a newer Keyturner wrote it, with schema 2; this one reads up to 1"},
		{"odd schema", nil, map[string]types.AttributeValue{"schema": &types.AttributeValueMemberN{Value: "0"}}, `has schema "0"`},
		{"no schema", nil, map[string]types.AttributeValue{}, "does not say which schema it has"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := store.Table(fmt.Sprint("other-", i))
			if test.change != nil {
				test.change(in)
			}
			if _, err := api.CreateTable(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			waitFor(t, api, *in.TableName)
			if test.put != nil {
				test.put["pk"], test.put["sk"] = &types.AttributeValueMemberS{Value: "meta"}, &types.AttributeValueMemberS{Value: "schema"}
				if _, err := api.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: in.TableName, Item: test.put}); err != nil {
					t.Fatal(err)
				}
			}
			s, err := store.OpenDynamo("eu-central-1/"+*in.TableName, store.Config{AWS: dynalitetest.AWS(endpoint)})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
			if s != nil {
				_ = s.Close()
			}
		})
	}
}

func waitFor(t *testing.T, api *dynamodb.Client, table string) {
	t.Helper()
	for {
		out, err := api.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &table})
		if err != nil {
			t.Fatal(err)
		}
		if out.Table.TableStatus == types.TableStatusActive && !slices.ContainsFunc(out.Table.GlobalSecondaryIndexes,
			func(d types.GlobalSecondaryIndexDescription) bool { return d.IndexStatus != types.IndexStatusActive }) {
			return
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// answering always gives one answer.
func answering(status int, body string) *aws.Config {
	cfg := dynalitetest.AWS("http://127.0.0.1:1")
	cfg.HTTPClient = doer(func(*http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {"application/x-amz-json-1.0"}}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
	return cfg
}

// failing is an error of DynamoDB's.
func failing(code string) *aws.Config {
	return answering(http.StatusBadRequest, `{"__type":"com.amazonaws.dynamodb.v20120810#`+code+`","message":"Because."}`)
}

// being is a table in a status.
func being(table, index string) *aws.Config {
	return answering(http.StatusOK, fmt.Sprintf(`{"Table":{"TableName":"keyturner","TableStatus":%q,
		"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"S"},{"AttributeName":"live","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
		"GlobalSecondaryIndexes":[{"IndexName":"live","IndexStatus":%q,"KeySchema":[{"AttributeName":"live","KeyType":"HASH"},
			{"AttributeName":"sk","KeyType":"RANGE"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["rev"]}}]}}`, table, index))
}

func TestDynamo_Refused(t *testing.T) {
	nowhere := dynalitetest.AWS("http://dynamodb.mars-north-1.amazonaws.com")
	nowhere.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		return nil, &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}
	})
	nobody := dynalitetest.AWS("http://127.0.0.1:1")
	nobody.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no EC2 IMDS role found")
	})
	without := dynalitetest.AWS("http://127.0.0.1:1")
	without.Credentials = nil
	refusing := httptest.NewServer(http.NotFoundHandler())
	refusing.Close()
	for _, test := range []struct {
		name  string
		place string
		aws   *aws.Config
		want  string
	}{
		{"no table", "eu-central-1/keyturner", failing("ResourceNotFoundException"), "there is no table keyturner in eu-central-1, or not its index: make it with deploy/dynamodb.yaml"},
		{"not allowed", "eu-central-1/keyturner", failing("AccessDeniedException"), "give their role what is in deploy/store-policy.json, for table keyturner in eu-central-1"},
		{"expired", "eu-central-1/keyturner", failing("ExpiredTokenException"), "AWS does not accept the credentials"},
		{"unknown key", "eu-central-1/keyturner", failing("UnrecognizedClientException"), "AWS does not accept the credentials"},
		{"throttled", "eu-central-1/keyturner", failing("ThrottlingException"), "DynamoDB holds requests to table keyturner back"},
		{"not DynamoDB", "eu-central-1/keyturner", failing("UnknownOperationException"), "check AWS_ENDPOINT_URL"},
		{"anything else", "eu-central-1/keyturner", failing("InternalServerError"), "InternalServerError: Because."},
		{"being made", "eu-central-1/keyturner", being("CREATING", "CREATING"), "it is CREATING: wait until it is ACTIVE"},
		{"being deleted", "eu-central-1/keyturner", being("DELETING", "ACTIVE"), "it is DELETING"},
		{"without its key", "eu-central-1/keyturner", being("INACCESSIBLE_ENCRYPTION_CREDENTIALS", "ACTIVE"), "its KMS key cannot be used"},
		{"index being made", "eu-central-1/keyturner", being("UPDATING", "CREATING"), "its index live is CREATING: wait until it is ACTIVE"},
		{"no such region", "mars-north-1/keyturner", nowhere, "is mars-north-1 a region, and does this machine reach it?"},
		{"nobody there", "eu-central-1/keyturner", dynalitetest.AWS(refusing.URL), "connection refused"},
		{"no role", "eu-central-1/keyturner", nobody, "no AWS credentials were found: run under a role"},
		{"no credentials", "eu-central-1/keyturner", without, "there are no AWS credentials"},
		{"no place", "", nil, `"" is not a region: write dynamodb:REGION/TABLE`},
		{"no region", "keyturner", nil, `"keyturner" is not a region`},
		{"odd region", "EU/keyturner", nil, `"EU" is not a region`},
		{"no name", "eu-central-1", nil, `"" is not a table's name`},
		{"short name", "eu-central-1/ab", nil, `"ab" is not a table's name`},
		{"odd name", "eu-central-1/key/turner", nil, `"key/turner" is not a table's name`},
		{"long name", "eu-central-1/" + strings.Repeat("n", 256), nil, "which has 3 to 255"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := store.Config{AWS: test.aws}.Open("dynamodb:" + test.place)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "open store dynamodb:"+test.place) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
			if s != nil {
				t.Errorf("gave a store: %v", s)
			}
		})
	}
}
