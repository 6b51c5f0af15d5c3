package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/keyturner/keyturner/rotation"
)

// Dynamo keeps everything in one DynamoDB table, which any number of processes may use at once.
type Dynamo struct {
	documents
	table *dynamoTable
}

var _ Closer = (*Dynamo)(nil)

// Close waits for the calls under way and refuses further ones.
func (d *Dynamo) Close() error {
	d.table.using.Lock()
	defer d.table.using.Unlock()
	d.table.closed = true
	return nil
}

// Shared implements Closer.
func (d *Dynamo) Shared() bool { return true }

// dynamoTable is the backend of Dynamo: an item for each document.
type dynamoTable struct {
	api    *dynamodb.Client
	region string
	name   string
	fresh  time.Duration // how old a page may be that documents are still taken from
	writes atomic.Uint64 // made by this process

	using  sync.RWMutex // held while a request is under way
	closed bool
}

// maxText leaves room for the other attributes: an item has at most 400 KB.
const maxText = 350 << 10

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number[N uint64 | int64](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// itemKey is where a document stands.
func itemKey(k kind, key string) item { return item{attrKind: str(string(k)), attrKey: str(key)} }

func (t *dynamoTable) put(ctx context.Context, k kind, d document) error {
	if len(d.text) > maxText {
		return fmt.Errorf("it has %d KB, and DynamoDB takes %d KB: nothing of this kind should grow so large; please report it", len(d.text)>>10, maxText>>10)
	}
	op := rand.Text()
	it := itemKey(k, d.key)
	it[attrRev], it[attrOp], it[attrDoc] = number(d.rev), str(op), str(string(d.text))
	if d.open {
		it[attrOpen] = str(string(k))
	}
	if s := d.expires.Unix(); s > 0 {
		it[attrExpire] = number(s)
	}
	in := &dynamodb.PutItemInput{TableName: &t.name, Item: it, ConditionExpression: aws.String("attribute_not_exists(" + attrKind + ")")}
	if d.rev != 1 {
		in.ConditionExpression = aws.String(attrRev + " = :before")
		in.ExpressionAttributeValues = item{":before": number(d.rev - 1)}
	}
	// A crash of this process leaves the item as it was, or the new one: DynamoDB has stored it on several machines before it answers, and
	// the index follows by itself. What that means for each kind is told in bolt.go.
	_, attempts, err := send(ctx, t, t.api.PutItem, in)
	t.writes.Add(1) // whatever came of it
	if refused(err) {
		return t.judge(ctx, k, d, op, attempts)
	}
	return err
}

// judge tells what it means that the condition of a write did not hold. If there was more than one attempt, the first may have been carried
// out and its answer lost: then the write stands in the way of its own repetition.
func (t *dynamoTable) judge(ctx context.Context, k kind, d document, op string, attempts int) error {
	if attempts == 1 {
		return rotation.ErrConflict
	}
	found, err := t.read(ctx, k, d.key)
	if errors.Is(err, rotation.ErrNotFound) {
		return rotation.ErrConflict
	}
	var rev uint64
	if err == nil {
		rev, err = revIn(found)
	}
	switch {
	case err != nil:
		return err
	case stringIn(found, attrOp) == op:
		return nil
	case rev > d.rev: // what stood at our rev is not to be seen any more
		return fmt.Errorf("the answer was lost, and rev %d has been written since: whether rev %d was this one is not known", rev, d.rev)
	}
	return fmt.Errorf("stored at rev %d: %w", rev, rotation.ErrConflict)
}

func (t *dynamoTable) get(ctx context.Context, k kind, key string) ([]byte, error) {
	it, err := t.read(ctx, k, key)
	if err != nil {
		return nil, err
	}
	return []byte(stringIn(it, attrDoc)), nil
}

// read reads an item as it is now. ErrNotFound: there is none.
func (t *dynamoTable) read(ctx context.Context, k kind, key string) (item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if checkKey(key) != nil { // DynamoDB would refuse to look
		return nil, rotation.ErrNotFound
	}
	out, _, err := send(ctx, t, t.api.GetItem, &dynamodb.GetItemInput{TableName: &t.name, Key: itemKey(k, key), ConsistentRead: aws.Bool(true)})
	if err == nil && out.Item == nil {
		err = rotation.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// each reads page by page, and calls back between. A document is read once more by itself if its page is no longer fresh, or if this process
// has written anything since, so that a callback finds what an earlier one did.
func (t *dynamoTable) each(ctx context.Context, k kind, fn func(key string, text []byte) error) error {
	q := &dynamodb.QueryInput{
		TableName:                 &t.name,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String(attrKind + " = :kind"),
		ExpressionAttributeValues: item{":kind": str(string(k))},
		Limit:                     aws.Int32(batch),
	}
	return t.query(ctx, k, q, func(p *page, it item) error {
		key, doc := stringIn(it, attrKey), []byte(stringIn(it, attrDoc))
		if k != entryKind && k != readingKind && (t.writes.Load() != p.written || time.Since(p.asked) > t.fresh) {
			var err error
			switch doc, err = t.get(ctx, k, key); {
			case errors.Is(err, rotation.ErrNotFound):
				return nil // forgotten since
			case err != nil:
				return fmt.Errorf("read all of %s: %w", k, err)
			}
		}
		return fn(key, doc)
	})
}

func (t *dynamoTable) open(ctx context.Context, k kind, fn func(key string, rev uint64) error) error {
	q := &dynamodb.QueryInput{
		TableName:                 &t.name,
		IndexName:                 aws.String(openIndex),
		KeyConditionExpression:    aws.String("#open = :kind"),
		ExpressionAttributeNames:  map[string]string{"#open": attrOpen},
		ExpressionAttributeValues: item{":kind": str(string(k))},
	}
	return t.query(ctx, k, q, func(_ *page, it item) error {
		rev, err := revIn(it)
		if err != nil {
			return fmt.Errorf("read the index of %s: %w", k, err)
		}
		return fn(stringIn(it, attrKey), rev)
	})
}

// page is what one Query found.
type page struct {
	asked   time.Time
	written uint64 // by this process until then
}

// query calls fn with every item that q finds.
func (t *dynamoTable) query(ctx context.Context, k kind, q *dynamodb.QueryInput, fn func(*page, item) error) error {
	for {
		p := &page{asked: time.Now(), written: t.writes.Load()}
		out, _, err := send(ctx, t, t.api.Query, q)
		if err != nil {
			return fmt.Errorf("read all of %s: %w", k, err)
		}
		for _, it := range out.Items {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("read all of %s: %w", k, err)
			}
			if err := fn(p, it); err != nil {
				return err
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		q.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func (t *dynamoTable) drop(ctx context.Context, k kind, list []document) error {
	for _, d := range list {
		// A crash in between leaves the rest for a later call. An item that somebody has dropped or changed meanwhile fails the condition.
		in := &dynamodb.DeleteItemInput{TableName: &t.name, Key: itemKey(k, d.key)}
		if d.rev != anyRev {
			in.ConditionExpression, in.ExpressionAttributeValues = aws.String(attrRev+" = :rev"), item{":rev": number(d.rev)}
		}
		_, _, err := send(ctx, t, t.api.DeleteItem, in)
		t.writes.Add(1)
		if err != nil && !refused(err) {
			return err
		}
	}
	return nil
}

func stringIn(it item, attr string) string {
	s, _ := it[attr].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

func revIn(it item) (uint64, error) {
	n, _ := it[attrRev].(*types.AttributeValueMemberN)
	if n == nil {
		return 0, fmt.Errorf("the item %q has no %s: somebody else wrote it", stringIn(it, attrKey), attrRev)
	}
	rev, err := strconv.ParseUint(n.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the item %q has an odd %s: %w", stringIn(it, attrKey), attrRev, err)
	}
	return rev, nil
}
