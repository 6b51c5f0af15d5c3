package store

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The attributes of an item, and what the table's definition calls things.
const (
	attrKind   = "pk"   // the kind, or "meta"
	attrKey    = "sk"   // the document's key
	attrRev    = "rev"  // a number
	attrDoc    = "doc"  // the document as it is in a file
	attrOp     = "op"   // drawn anew for each write: who wrote this
	attrOpen   = "live" // the kind, if the document is open; else absent, which keeps it out of the index
	attrExpire = "ttl"  // when DynamoDB may drop it, in seconds since 1970
	openIndex  = "live"
)

// Table describes the table that [OpenDynamo] works on; the definitions in deploy say the same, and in addition that DynamoDB drops what
// has expired by [ExpiryAttribute] and keeps continuous backups, which cannot be said when a table is created.
func Table(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: aws.String(name),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrKind), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrOpen), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: keys(attrKind),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String(openIndex),
			KeySchema: keys(attrOpen),
			Projection: &types.Projection{
				ProjectionType:   types.ProjectionTypeInclude,
				NonKeyAttributes: []string{attrRev},
			},
		}},
		BillingMode:               types.BillingModePayPerRequest,
		SSESpecification:          &types.SSESpecification{Enabled: aws.Bool(true), SSEType: types.SSETypeKms},
		DeletionProtectionEnabled: aws.Bool(true),
	}
}

// ExpiryAttribute is what the table's time to live goes by.
const ExpiryAttribute = attrExpire

// keys is a partition key, and the document's key to sort by.
func keys(partition string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(partition), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeRange},
	}
}
