package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/keyturner/keyturner/rotation"
)

const (
	attemptLimit = 5 * time.Second // one request and its answer; the SDK sets none
	dialLimit    = 2 * time.Second
	maxAttempts  = 4
	openLimit    = 30 * time.Second // of all that is asked when a table is opened
	pageFresh    = time.Second
)

// tableSchema is the version of the table's layout: what is in an item and its index. It is stored in an item of its own.
const tableSchema = 1

// The key of that item, and its attribute.
const (
	metaKind   = kind("meta")
	schemaItem = "schema"
)

// OpenDynamo opens the store in a table, such as "eu-central-1/keyturner", which has to exist.
func OpenDynamo(place string, cfg Config) (*Dynamo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openLimit)
	defer cancel()
	d, err := openDynamo(ctx, place, cfg)
	if err != nil {
		return nil, fmt.Errorf("open store dynamodb:%s: %w", place, err)
	}
	return d, nil
}

func openDynamo(ctx context.Context, place string, cfg Config) (*Dynamo, error) {
	region, name, err := parsePlace(place)
	if err != nil {
		return nil, err
	}
	loaded, err := cfg.loadAWS(ctx, region)
	if err != nil {
		return nil, err
	}
	t := &dynamoTable{region: region, name: name, fresh: pageFresh, api: dynamodb.NewFromConfig(loaded, func(o *dynamodb.Options) {
		o.HTTPClient = plainBodies{o.HTTPClient}
	})}
	if err := t.check(ctx); err != nil {
		return nil, err
	}
	if err := t.mark(ctx); err != nil {
		return nil, err
	}
	return &Dynamo{documents{t}, t}, nil
}

var (
	regionForm = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	tableForm  = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
)

// parsePlace reads REGION/TABLE.
func parsePlace(place string) (region, table string, err error) {
	region, table, _ = strings.Cut(place, "/")
	switch {
	case !regionForm.MatchString(region):
		return "", "", fmt.Errorf("%q is not a region: write dynamodb:REGION/TABLE, such as dynamodb:eu-central-1/keyturner", region)
	case !tableForm.MatchString(table):
		return "", "", fmt.Errorf("%q is not a table's name, which has 3 to 255 letters, digits, dots, hyphens and underscores", table)
	}
	return region, table, nil
}

// loadAWS finds credentials and endpoints where the SDK does, unless the Config brings them along.
func (c Config) loadAWS(ctx context.Context, region string) (aws.Config, error) {
	var cfg aws.Config
	if c.AWS != nil {
		cfg = c.AWS.Copy()
		cfg.Region = region
	} else {
		var err error
		cfg, err = config.LoadDefaultConfig(
			ctx,
			// The SDK adds AWS_CA_BUNDLE to a client of this type only, and fails with any other.
			config.WithHTTPClient(awshttp.NewBuildableClient().
				WithTimeout(attemptLimit).
				WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialLimit })),
			config.WithRegion(region),
			config.WithRetryMode(aws.RetryModeStandard),
			config.WithRetryMaxAttempts(maxAttempts),
			config.WithAppID("keyturner"),
		)
		if err != nil {
			return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
		}
	}
	// Asked here, since within a request the error would be about the request.
	if cfg.Credentials == nil {
		return aws.Config{}, errors.New("there are no AWS credentials")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return aws.Config{}, fmt.Errorf("no AWS credentials were found: run under a role, or set AWS_PROFILE or the AWS_ variables (%w)", err)
	}
	return cfg, nil
}

// check compares the table with its definition.
func (t *dynamoTable) check(ctx context.Context) error {
	out, _, err := send(ctx, t, t.api.DescribeTable, &dynamodb.DescribeTableInput{TableName: &t.name})
	if err != nil {
		return err
	}
	if err := differs(out.Table, Table(t.name)); err != nil {
		return fmt.Errorf("table %s in %s: %w", t.name, t.region, err)
	}
	return nil
}

// differs tells in what a table cannot do what its definition can.
func differs(got *types.TableDescription, want *dynamodb.CreateTableInput) error {
	switch got.TableStatus {
	case types.TableStatusActive, types.TableStatusUpdating: // which can be used meanwhile
	case types.TableStatusInaccessibleEncryptionCredentials:
		return errors.New("its KMS key cannot be used: enable the key, or let DynamoDB use it again")
	default:
		return fmt.Errorf("it is %s: wait until it is ACTIVE", got.TableStatus)
	}
	wantKeys := keyNames(want.KeySchema, want.AttributeDefinitions)
	if keys := keyNames(got.KeySchema, got.AttributeDefinitions); keys != wantKeys {
		return fmt.Errorf("its key is %s, not %s: it is no keyturner store: make one with %s", keys, wantKeys, tableFiles)
	}
	index := want.GlobalSecondaryIndexes[0]
	at := slices.IndexFunc(got.GlobalSecondaryIndexes, func(d types.GlobalSecondaryIndexDescription) bool {
		return aws.ToString(d.IndexName) == *index.IndexName
	})
	if at < 0 {
		return fmt.Errorf("it has no index %s: it is no keyturner store: make one with %s", *index.IndexName, tableFiles)
	}
	found := got.GlobalSecondaryIndexes[at]
	wantKeys = keyNames(index.KeySchema, want.AttributeDefinitions)
	if keys := keyNames(found.KeySchema, got.AttributeDefinitions); keys != wantKeys {
		return fmt.Errorf("the key of its index %s is %s, not %s: make it as in %s", *index.IndexName, keys, wantKeys, tableFiles)
	}
	if p := found.Projection; p == nil ||
		p.ProjectionType != types.ProjectionTypeAll && !slices.Contains(p.NonKeyAttributes, index.Projection.NonKeyAttributes[0]) {
		return fmt.Errorf("its index %s does not include %s: make it as in %s", *index.IndexName, attrRev, tableFiles)
	}
	if s := found.IndexStatus; s != types.IndexStatusActive && s != types.IndexStatusUpdating {
		return fmt.Errorf("its index %s is %s: wait until it is ACTIVE", *index.IndexName, s)
	}
	return nil
}

// keyNames is a key to read and compare, such as "pk (S), sk (S)".
func keyNames(key []types.KeySchemaElement, attributes []types.AttributeDefinition) string {
	var names []string
	for _, k := range key {
		for _, a := range attributes {
			if aws.ToString(a.AttributeName) == aws.ToString(k.AttributeName) {
				names = append(names, fmt.Sprintf("%s (%s)", *k.AttributeName, a.AttributeType))
			}
		}
	}
	return strings.Join(names, ", ")
}

// mark finds out by which version the table is used, or says that it is this one's. A crash before it leaves a table that says nothing.
func (t *dynamoTable) mark(ctx context.Context) error {
	it, err := t.read(ctx, metaKind, schemaItem)
	if errors.Is(err, rotation.ErrNotFound) {
		mark := itemKey(metaKind, schemaItem)
		mark[schemaItem] = number(int64(tableSchema))
		_, _, err = send(ctx, t, t.api.PutItem, &dynamodb.PutItemInput{
			TableName: &t.name, Item: mark, ConditionExpression: aws.String("attribute_not_exists(" + attrKind + ")"),
		})
		if err != nil && !refused(err) { // then another process was faster
			return fmt.Errorf("write which schema it has: %w", err)
		}
		it, err = t.read(ctx, metaKind, schemaItem)
	}
	if err != nil {
		return fmt.Errorf("read which schema it has: %w", err)
	}
	n, _ := it[schemaItem].(*types.AttributeValueMemberN)
	if n == nil {
		return fmt.Errorf("table %s does not say which schema it has: it is no keyturner store: give another", t.name)
	}
	schema, err := strconv.Atoi(n.Value)
	switch {
	case err != nil || schema < 1:
		return fmt.Errorf("table %s has schema %q: it is no keyturner store: give another", t.name, n.Value)
	case schema > tableSchema:
		return &newerError{schema, tableSchema}
	}
	return nil
}
