package awsiam

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyauth "github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/keyturner/keyturner/rotation"
)

const (
	// lookupsPerSecond is what an account has of CloudTrail in a region, and lookupPage the largest page
	// (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html).
	lookupsPerSecond = 2
	lookupPage       = 50

	// clockSkew is how much later our clock may be than AWS's, which dates the events.
	clockSkew = time.Minute

	creationEvent = "CreateAccessKey"
)

// ownSession is the shape of a session name that this package makes: the prefix and rand.Text.
var ownSession = regexp.MustCompile(`^` + sessionPrefix + `[A-Z2-7]{26,}$`)

// Maker implements rotation.Reader. It reads all creations of keys since a minute before that time from CloudTrail's event history,
// which needs no trail to be set up, shows a call some minutes after it was made, and keeps it for 90 days. The error is of
// rotation.ClassDenied if cloudtrail:LookupEvents is not granted.
//
// The maker is us if every event that made this key names the caller that STS takes our credentials for: the same IAM user, or
// the same role, by ARN and unique id, in a session that is ours. Ours are the session of these very credentials and any whose name
// has the shape that this package gives to those it opens. The shape and not only the name, since the process that made the key may
// have crashed, and the one that asks has another name. A person who may assume the role could choose such a name, though not by
// accident; but whoever may assume it already has all that Keyturner can do there. Two installations must therefore not share a role.
//
// Without a role to assume, the session has the name that its platform gave it. Where that changes with every start, as in ECS, or
// with every renewal, as with a web identity without AWS_ROLE_SESSION_NAME, a key made under the earlier name counts as another's:
// that is the safe side. So does one made in the console or by an AWS service on somebody's behalf, since Keyturner uses neither.
//
// An event that cannot be read is an error, for it may be the one that was looked for.
func (a *Account) Maker(ctx context.Context, id rotation.KeyID, since time.Time) (rotation.Maker, error) {
	op := "find out who made access key " + string(id)
	if id == "" {
		return rotation.MakerUnknown, refused("find out who made an access key", noKeyID)
	}
	creations, err := a.creations(ctx, op, id, since)
	if err != nil {
		if accessDenied(err) {
			a.log.Warn("cloudtrail:LookupEvents is denied: a person has to tell who made the key", "account", a.id, "key", id)
		}
		return rotation.MakerUnknown, err
	}
	if len(creations) == 0 {
		return rotation.MakerUnknown, nil
	}
	us, err := a.caller(ctx, op)
	if err == nil {
		err = a.holds(op, us)
	}
	if err == nil && (aws.ToString(us.Arn) == "" || aws.ToString(us.UserId) == "") {
		err = lost(op, "the answer does not tell who the caller is")
	}
	if err != nil {
		return rotation.MakerUnknown, err
	}
	for _, c := range creations {
		if !c.by(us) {
			a.log.Info("the key is not ours", "account", a.id, "key", id, "maker", c.Caller.ARN, "console", c.inConsole())
			return rotation.MakerOther, nil
		}
	}
	return rotation.MakerUs, nil
}

// creations lists the events that made the key. There is more than one only if CloudTrail tells it twice.
func (a *Account) creations(ctx context.Context, op string, id rotation.KeyID, since time.Time) ([]creation, error) {
	in := &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{
			{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String(creationEvent)},
		},
		StartTime: aws.Time(since.Add(-clockSkew)), MaxResults: aws.Int32(lookupPage),
	}
	var found []creation
	err := pages(op, func(marker *string) (bool, *string, error) {
		in.NextToken = marker
		out, err := a.lookup(ctx, op, a.home, in)
		if err != nil {
			return false, nil, err
		}
		for _, e := range out.Events {
			c, why := parseCreation(aws.ToString(e.CloudTrailEvent), id)
			if why != "" {
				return false, nil, lost(op, fmt.Sprintf("event %s in CloudTrail %s: look at it there", aws.ToString(e.EventId), why))
			}
			if c.made(id) {
				found = append(found, c)
			}
		}
		return aws.ToString(out.NextToken) != "", out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// creation is what matters of CloudTrail's record of a call
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
type creation struct {
	Event   string `json:"eventName"`
	Source  string `json:"eventSource"`
	Error   string `json:"errorCode"`
	Console any    `json:"sessionCredentialFromConsole"` // absent, or a text or a boolean: AWS writes both
	Caller  struct {
		Type        string `json:"type"`
		PrincipalID string `json:"principalId"`
		ARN         string `json:"arn"`
		InvokedBy   string `json:"invokedBy"`
	} `json:"userIdentity"`
	Answer struct {
		AccessKey struct {
			ID rotation.KeyID `json:"accessKeyId"`
		} `json:"accessKey"`
	} `json:"responseElements"`
}

// parseCreation reads a record. If it cannot tell whether, or by whom, the key was made, it says why.
func parseCreation(record string, id rotation.KeyID) (c creation, why string) {
	if json.Unmarshal([]byte(record), &c) != nil {
		return creation{}, "is not the JSON expected"
	}
	who := c.Caller
	switch {
	case c.Event == "" || c.Source == "":
		return creation{}, "does not tell what was called"
	case c.madeOne() && c.Answer.AccessKey.ID == "":
		return creation{}, "does not name the key that was made"
	case c.made(id) && (who.Type == "" || named(who.Type) && (who.ARN == "" || who.PrincipalID == "")):
		return creation{}, "does not tell who called"
	}
	return c, ""
}

// The types of identity that Keyturner can have. CloudTrail gives others, some of them without an ARN or an id
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html).
const (
	iamUser     = "IAMUser"
	assumedRole = "AssumedRole"
)

func named(identityType string) bool { return identityType == iamUser || identityType == assumedRole }

// madeOne tells whether the call made a key.
func (c creation) madeOne() bool {
	return c.Event == creationEvent && strings.HasPrefix(c.Source, "iam.") && c.Error == ""
}

func (c creation) made(id rotation.KeyID) bool { return c.madeOne() && c.Answer.AccessKey.ID == id }

// inConsole tells whether a person made the call in AWS's console.
func (c creation) inConsole() bool {
	return c.Console != nil && c.Console != false && c.Console != "false"
}

// by tells whether we made the call: see Maker.
func (c creation) by(us *sts.GetCallerIdentityOutput) bool {
	if c.inConsole() || c.Caller.InvokedBy != "" {
		return false
	}
	id, arn := aws.ToString(us.UserId), aws.ToString(us.Arn)
	ours, ourName, assumed := session(id, arn)
	switch c.Caller.Type {
	case iamUser:
		return !assumed && c.Caller.PrincipalID == id && c.Caller.ARN == arn
	case assumedRole:
		theirs, name, ok := session(c.Caller.PrincipalID, c.Caller.ARN)
		return assumed && ok && theirs == ours && (name == ourName || ownSession.MatchString(name))
	}
	return false
}

// session takes apart what AROA…:name and arn:aws:sts::…:assumed-role/…/name tell of a session: of which role, by both, and its name.
func session(id, arn string) (role [2]string, name string, ok bool) {
	roleID, name, _ := strings.Cut(id, ":")
	roleARN, same := strings.CutSuffix(arn, "/"+name)
	return [2]string{roleID, roleARN}, name, same
}

// eventRegion is where the events of IAM are that is reached from a region. IAM has one home in each partition, which it is
// signed for and where CloudTrail keeps its events
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events).
func eventRegion(region string) string {
	endpoint, err := iam.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), iam.EndpointParameters{Region: &region})
	if err != nil {
		return region
	}
	schemes, _ := smithyauth.GetAuthOptions(&endpoint.Properties)
	for _, s := range schemes {
		if home, ok := smithyhttp.GetSigV4SigningRegion(&s.SignerProperties); ok {
			return home
		}
	}
	return region
}
