package awsiam

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

const (
	attemptLimit = 20 * time.Second // one request and its answer; the SDK sets none
	dialLimit    = 5 * time.Second
	maxAttempts  = 5
)

// LoadAWS reads the SDK's usual sources of credentials, region and endpoints: environment, shared files, container and instance role.
// AWS_ENDPOINT_URL and its kind, AWS_CA_BUNDLE and the proxy variables are honoured. Without a region it is us-east-1, from which
// the SDK reaches IAM of the commercial partition; set the region to reach another partition.
func LoadAWS(ctx context.Context) (aws.Config, error) {
	// The SDK adds AWS_CA_BUNDLE to a client of this type only, and fails with any other.
	client := awshttp.NewBuildableClient().
		WithTimeout(attemptLimit).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialLimit })
	cfg, err := config.LoadDefaultConfig(
		ctx,
		config.WithHTTPClient(client),
		config.WithDefaultRegion(defaultRegion),
		config.WithRetryMode(aws.RetryModeStandard),
		config.WithRetryMaxAttempts(maxAttempts),
		config.WithAppID(appID),
	)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return cfg, nil
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
