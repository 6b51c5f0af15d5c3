package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// errClosed is what a store answers that was closed.
var errClosed = errors.New("the store is closed")

// send makes one request, which the SDK may repeat, and tells how many attempts it took.
func send[In, Out any](
	ctx context.Context, t *dynamoTable, call func(context.Context, *In, ...func(*dynamodb.Options)) (*Out, error), in *In,
) (out *Out, attempts int, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	t.using.RLock()
	defer t.using.RUnlock()
	if t.closed {
		return nil, 0, errClosed
	}
	out, err = call(ctx, in, counting(&attempts))
	if err != nil {
		return nil, attempts, t.explain(ctx, err)
	}
	return out, attempts, nil
}

// counting counts the attempts of one call.
func counting(attempts *int) func(*dynamodb.Options) {
	count := middleware.FinalizeMiddlewareFunc("count attempts", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		*attempts++
		return next.HandleFinalize(ctx, in)
	})
	return func(o *dynamodb.Options) {
		o.APIOptions = append(slices.Clip(o.APIOptions), func(s *middleware.Stack) error {
			return s.Finalize.Insert(count, "Retry", middleware.After)
		})
	}
}

// refused tells whether the condition of a write did not hold.
func refused(err error) bool {
	_, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	return ok
}

// Where the definitions are that a table and a role are made from.
const (
	tableFiles = "deploy/dynamodb.yaml (CloudFormation) or deploy/dynamodb.tf (Terraform)"
	policyFile = "deploy/store-policy.json"
)

// explain says what to do about an error of DynamoDB.
func (t *dynamoTable) explain(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%w (%w)", ended, err)
	}
	if hint := t.hint(err); hint != "" {
		return fmt.Errorf("%s (%w)", hint, err)
	}
	return err
}

func (t *dynamoTable) hint(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fmt.Sprintf("there is no DynamoDB at %s: is %s a region, and does this machine reach it?", dns.Name, t.region)
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	switch api.ErrorCode() {
	case "ResourceNotFoundException":
		return fmt.Sprintf("there is no table %s in %s, or not its index: make it with %s, or name another", t.name, t.region, tableFiles)
	case "AccessDeniedException", "AccessDenied":
		return fmt.Sprintf("the AWS credentials do not allow it: give their role what is in %s, for table %s in %s", policyFile, t.name, t.region)
	case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "ExpiredToken", "InvalidClientTokenId",
		"IncompleteSignatureException", "MissingAuthenticationTokenException":
		return "AWS does not accept the credentials: they have expired, are another partition's, or this machine's clock is wrong"
	case "ThrottlingException", "ThrottledException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "LimitExceededException":
		return fmt.Sprintf("DynamoDB holds requests to table %s back: it should be on demand, as in %s; else raise its limits", t.name, tableFiles)
	case "UnknownOperationException":
		return "what answers there is no DynamoDB: check AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_DYNAMODB"
	}
	return ""
}

// plainBodies hides WriteTo on the bodies of requests. The SDK closes a body as soon as it has the headers of the answer, and WriteTo on
// a closed one looks to net/http like a broken request: it drops the connection while the answer is still being read. Near servers are
// quick enough for that to happen often.
type plainBodies struct{ next aws.HTTPClient }

// Do sends the request.
func (p plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return p.next.Do(r)
}
