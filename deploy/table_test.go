package deploy

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyturner/keyturner/store"
)

// tableName is the one in the definitions and in the policy.
const tableName = "keyturner"

// wantTable compares a definition with what the store opens.
func wantTable(t *testing.T, got *dynamodb.CreateTableInput) {
	t.Helper()
	unexported := cmpopts.IgnoreUnexported(
		dynamodb.CreateTableInput{}, types.AttributeDefinition{}, types.KeySchemaElement{}, types.GlobalSecondaryIndex{},
		types.Projection{}, types.SSESpecification{},
	)
	if diff := cmp.Diff(store.Table(tableName), got, unexported); diff != "" {
		t.Errorf("the table (-opened by the store +defined):\n%s", diff)
	}
}

// defined is what else a definition says.
type defined struct {
	Backups bool   // continuous ones
	Expiry  string // the attribute of the time to live
	Kept    bool   // even if its definition goes
}

var wantDefined = defined{Backups: true, Expiry: store.ExpiryAttribute, Kept: true}

func TestTable_CloudFormation(t *testing.T) {
	var template struct {
		Parameters struct {
			TableName struct{ Default, AllowedPattern string }
		}
		Resources struct {
			Table struct{ Type, DeletionPolicy, UpdateReplacePolicy string }
		}
	}
	properties := struct {
		TableName map[string]string

		PointInTimeRecoverySpecification struct{ PointInTimeRecoveryEnabled bool }
		TimeToLiveSpecification          struct {
			AttributeName string
			Enabled       bool
		}
		SSESpecification struct {
			SSEEnabled bool
			SSEType    types.SSEType
		}
		BillingMode               types.BillingMode
		AttributeDefinitions      []types.AttributeDefinition
		KeySchema                 []types.KeySchemaElement
		GlobalSecondaryIndexes    []types.GlobalSecondaryIndex
		DeletionProtectionEnabled bool
	}{}
	var whole struct {
		Resources struct {
			Table struct{ Properties json.RawMessage }
		}
	}
	text, err := yaml.YAMLToJSON(read(t, "dynamodb.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		text func() []byte
		into any
	}{
		{func() []byte { return text }, &template},
		{func() []byte { return text }, &whole},
		{func() []byte { return whole.Resources.Table.Properties }, &properties},
	} {
		if err := json.Unmarshal(part.text(), part.into); err != nil {
			t.Fatal(err)
		}
	}
	wantTable(t, &dynamodb.CreateTableInput{
		TableName:              &template.Parameters.TableName.Default,
		AttributeDefinitions:   properties.AttributeDefinitions,
		KeySchema:              properties.KeySchema,
		GlobalSecondaryIndexes: properties.GlobalSecondaryIndexes,
		BillingMode:            properties.BillingMode,
		SSESpecification: &types.SSESpecification{
			Enabled: &properties.SSESpecification.SSEEnabled, SSEType: properties.SSESpecification.SSEType,
		},
		DeletionProtectionEnabled: &properties.DeletionProtectionEnabled,
	})
	kept := template.Resources.Table
	got := defined{
		Backups: properties.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled,
		Kept:    kept.DeletionPolicy == "Retain" && kept.UpdateReplacePolicy == "Retain",
	}
	if ttl := properties.TimeToLiveSpecification; ttl.Enabled {
		got.Expiry = ttl.AttributeName
	}
	if got != wantDefined || kept.Type != "AWS::DynamoDB::Table" || properties.TableName["Ref"] != "TableName" {
		t.Errorf("defined: %+v, want %+v; %s named by %v", got, wantDefined, kept.Type, properties.TableName)
	}
}

// block is what stands between braces in Terraform's language: values by name, and blocks by kind.
type block struct {
	values map[string]any
	blocks map[string][]*block
}

// parse reads as much of the language as the file uses: one thing a line, with literals that are JSON, too.
func parse(t *testing.T, text string) *block {
	t.Helper()
	top := &block{map[string]any{}, map[string][]*block{}}
	open := []*block{top}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		in := open[len(open)-1]
		switch name, value, assigned := strings.Cut(line, " = "); {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "}":
			open = open[:len(open)-1]
		case assigned:
			var v any
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				t.Fatalf("line %s: %v", line, err)
			}
			in.values[strings.TrimSpace(name)] = v
		case strings.HasSuffix(line, " {"):
			kind, _, _ := strings.Cut(line, " ")
			b := &block{map[string]any{}, map[string][]*block{}}
			in.blocks[kind] = append(in.blocks[kind], b)
			open = append(open, b)
		default:
			t.Fatalf("line %s: what is it?", line)
		}
	}
	if len(open) != 1 {
		t.Fatal("the braces do not match")
	}
	return top
}

// only is the one block of a kind, or an empty one.
func (b *block) only(kind string) *block {
	if list := b.blocks[kind]; len(list) == 1 {
		return list[0]
	}
	return &block{}
}

func (b *block) text(name string) string { s, _ := b.values[name].(string); return s }
func (b *block) yes(name string) bool    { v, _ := b.values[name].(bool); return v }

// keys is the key of a table or an index.
func (b *block) keys() []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(b.text("hash_key")), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(b.text("range_key")), KeyType: types.KeyTypeRange},
	}
}

func TestTable_Terraform(t *testing.T) {
	table := parse(t, string(read(t, "dynamodb.tf"))).only("resource")
	in := &dynamodb.CreateTableInput{
		TableName:                 aws.String(table.text("name")),
		KeySchema:                 table.keys(),
		BillingMode:               types.BillingMode(table.text("billing_mode")),
		SSESpecification:          &types.SSESpecification{Enabled: aws.Bool(table.only("server_side_encryption").yes("enabled")), SSEType: types.SSETypeKms},
		DeletionProtectionEnabled: aws.Bool(table.yes("deletion_protection_enabled")),
	}
	for _, a := range table.blocks["attribute"] {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
			AttributeName: aws.String(a.text("name")), AttributeType: types.ScalarAttributeType(a.text("type")),
		})
	}
	for _, index := range table.blocks["global_secondary_index"] {
		p := &types.Projection{ProjectionType: types.ProjectionType(index.text("projection_type"))}
		list, _ := index.values["non_key_attributes"].([]any)
		for _, name := range list {
			p.NonKeyAttributes = append(p.NonKeyAttributes, name.(string))
		}
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(index.text("name")), KeySchema: index.keys(), Projection: p,
		})
	}
	wantTable(t, in)
	got := defined{Backups: table.only("point_in_time_recovery").yes("enabled"), Kept: table.only("lifecycle").yes("prevent_destroy")}
	if ttl := table.only("ttl"); ttl.yes("enabled") {
		got.Expiry = ttl.text("attribute_name")
	}
	if got != wantDefined {
		t.Errorf("defined: %+v, want %+v", got, wantDefined)
	}
}

// TestPolicies_StoreCanCallWhatItCalls compares the policy with the calls in the store, in both directions, and with the table's names.
func TestPolicies_StoreCanCallWhatItCalls(t *testing.T) {
	statements := parsePolicy(t, "store-policy.json").Statement
	if len(statements) != 1 {
		t.Fatalf("%d statements", len(statements))
	}
	granted := map[string]bool{}
	for _, action := range statements[0].Action {
		granted[action] = true
	}
	called := map[string]bool{}
	sources, err := filepath.Glob("../store/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("sources of the store: %d, %v", len(sources), err)
	}
	input := regexp.MustCompile(`&dynamodb\.([A-Z]\w+)Input\{`)
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") || filepath.Base(source) == "table.go" { // where a table is described to those who create it
			continue
		}
		for _, match := range input.FindAllSubmatch(read(t, source), -1) {
			called["dynamodb:"+string(match[1])] = true
		}
	}
	if diff := cmp.Diff(called, granted); diff != "" || len(called) == 0 {
		t.Errorf("permissions (-called +granted):\n%s", diff)
	}
	table := store.Table(tableName)
	for i, suffix := range []string{tableName, tableName + "/index/" + *table.GlobalSecondaryIndexes[0].IndexName} {
		if resource := statements[0].Resource[i]; !strings.HasSuffix(resource, ":table/"+suffix) {
			t.Errorf("resource %s, want it to end in :table/%s", resource, suffix)
		}
	}
}
