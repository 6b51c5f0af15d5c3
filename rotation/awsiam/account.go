package awsiam

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/keyturner/keyturner/rotation"
)

const (
	appID         = "keyturner"  // in the User-Agent, and so in CloudTrail
	sessionPrefix = "keyturner-" // of the name of an assumed role's session, and so in CloudTrail
	defaultRegion = "us-east-1"

	defaultReads  = 10 // calls per second
	readBurst     = 10
	defaultWrites = 1

	sessionLength = time.Hour       // every role allows it, chained ones no more
	renewBefore   = 5 * time.Minute // the end of a session
)

// sessionName is that of every session that this process opens of any role, and of no other process. Maker goes by its shape.
var sessionName = sessionPrefix + rand.Text()

// Config says which account an Account is and how it is reached.
type Config struct {
	// ID is the account's twelve digits. Required.
	ID string
	// Name is what people call the account, for errors and logs. Empty: the ID.
	Name string
	// Role is the ARN of a role in the account to assume. Empty: AWS's credentials are for the account itself.
	Role string
	// ExternalID is what the role's trust policy asks for. Empty: nothing. It needs a Role.
	ExternalID string
	// AWS holds credentials, region, endpoint and HTTP client, as LoadAWS makes it. Required; an empty region means us-east-1.
	AWS aws.Config
	// ReadsPerSecond and WritesPerSecond bound the calls. Zero: 10 and 1.
	ReadsPerSecond, WritesPerSecond float64
	// TrailRegions are those whose history of calls Calls may be asked for. Nil: none; Maker needs none here.
	TrailRegions []string
	// Logger hears of fallbacks and waits, and what the SDK logs, at debug level. Nil: nobody does.
	Logger *slog.Logger
}

// Account is one AWS account. Its methods may be called from any goroutine, and each error of theirs is a *rotation.CallError.
type Account struct {
	id, name, role string
	home           string // the region of IAM's own events
	log            *slog.Logger
	iam            *iam.Client
	sts            *sts.Client
	trail          *cloudtrail.Client
	secrets        *secretsmanager.Client
	parameters     *ssm.Client
	paces
}

var (
	_ rotation.IAM   = (*Account)(nil)
	_ rotation.Trail = (*Account)(nil)
)

var twelveDigits = regexp.MustCompile(`^[0-9]{12}$`)

// New checks the configuration. It makes no call and starts nothing.
func New(c Config) (*Account, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("configure account %s: %w", cmp.Or(c.Name, c.ID, "without an id"), err)
	}
	log := cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	cfg := c.AWS.Copy()
	cfg.Region = cmp.Or(cfg.Region, defaultRegion) // the SDK would sign with an empty one
	cfg.ClientLogMode.ClearRequestWithBody()
	cfg.ClientLogMode.ClearResponseWithBody() // it prints SecretAccessKey
	cfg.Logger = sdkLogger(log)
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attemptLimit)
	}
	cfg.HTTPClient = plainBodies{cfg.HTTPClient}
	if c.Role != "" {
		cfg.Credentials = assume(cfg, c.Role, c.ExternalID)
	}
	home := eventRegion(cfg.Region)
	return &Account{
		id: c.ID, name: cmp.Or(c.Name, c.ID), role: c.Role, home: home, log: log,
		iam: iam.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg),
		trail:   cloudtrail.NewFromConfig(cfg),
		secrets: secretsmanager.NewFromConfig(cfg), parameters: ssm.NewFromConfig(cfg),
		paces: newPaces(cmp.Or(c.ReadsPerSecond, defaultReads), cmp.Or(c.WritesPerSecond, defaultWrites), append(slices.Clone(c.TrailRegions), home)),
	}, nil
}

func (c Config) check() error {
	switch {
	case !twelveDigits.MatchString(c.ID):
		return fmt.Errorf("account id %q: write its twelve digits", c.ID)
	case c.AWS.Credentials == nil:
		return errors.New("no source of credentials: start from LoadAWS")
	case c.ReadsPerSecond < 0 || c.WritesPerSecond < 0:
		return errors.New("calls per second cannot be negative")
	case c.Role == "" && c.ExternalID != "":
		return errors.New("an external id needs a role")
	case c.Role == "":
		return nil
	}
	role, err := arn.Parse(c.Role)
	if err != nil || role.Service != "iam" || !strings.HasPrefix(role.Resource, "role/") {
		return fmt.Errorf("role %q: write its ARN, such as arn:aws:iam::%s:role/keyturner", c.Role, c.ID)
	}
	if role.AccountID != c.ID {
		return fmt.Errorf("role %s is in account %s, not in %s", c.Role, role.AccountID, c.ID)
	}
	return nil
}

// assume is the credentials of a role, renewed before they end.
func assume(cfg aws.Config, role, externalID string) aws.CredentialsProvider {
	provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = sessionName
		o.Duration = sessionLength
		if externalID != "" {
			o.ExternalID = aws.String(externalID)
		}
	})
	return aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = renewBefore })
}

// sdkLogger passes on what the SDK would print to standard error.
func sdkLogger(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(level logging.Classification, format string, v ...any) {
		log.Debug("aws sdk", "level", string(level), "text", fmt.Sprintf(format, v...))
	})
}

// String is the account as people know it, such as "acme (111122223333)".
func (a *Account) String() string {
	if a.name == a.id {
		return a.id
	}
	return a.name + " (" + a.id + ")"
}
