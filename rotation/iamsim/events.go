package iamsim

import (
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// eventHome is where the events of global services are (CloudTrail User Guide,
	// "About global service events").
	eventHome = "us-east-1"

	// maxEvents bounds the memory of an account's events: the oldest half is
	// dropped when twice as many have been recorded.
	maxEvents = 1 << 14

	// maxAgent is how much of a user agent CloudTrail keeps.
	maxAgent = 1 << 10
)

// An Activity is a request that an application signs with a key, as CloudTrail
// would tell of it.
type Activity struct {
	// Service is the signing name, for example "s3" or "ec2".
	Service string
	// Region is where the request went; empty means a service without regions,
	// which shows as N/A in last-used data and as us-east-1 in events.
	Region string
	// Event is the name of the operation. Empty means the one that is usual for the
	// service, such as DescribeInstances for ec2 and GetObject for s3; a service
	// without one in that table leaves no event.
	Event string
	// UserAgent and SourceIP describe the application; empty means those of some
	// program on some host.
	UserAgent, SourceIP string
	// Code is the error that AWS answered, such as "AccessDenied"; empty means none.
	// A refused request counts as a use of the key all the same.
	Code string
}

// An Event is a management event of an account, as CloudTrail holds it.
type Event struct {
	ID   string
	At   time.Time
	Name string
	// Service and Region are for example "iam" and "us-east-1".
	Service, Region string
	// UserName is the name of the user or of the role session that called, and
	// KeyID the key that signed.
	UserName, KeyID     string
	UserAgent, SourceIP string
	// Code is the error answered; empty for a success.
	Code string
	// Record is the whole event in CloudTrail's JSON. It never holds a secret.
	Record string
}

// origin is where a request came from.
type origin struct{ agent, ip string }

// originOf reads the origin of a request; one without a socket is from here.
func originOf(r *http.Request) origin {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = "127.0.0.1"
	}
	agent := r.UserAgent()
	return origin{agent[:min(len(agent), maxAgent)], host}
}

// event is an Event as held: what it says is worded when someone asks.
type event struct {
	at, visible      time.Time
	serial           uint64 // orders the events of a second
	id, requestID    string
	by               caller
	service, name    string
	region           string
	from             origin
	code, message    string
	params, elements map[string]any
}

// note adds an event to the account's. The lock is held.
func (a *Account) note(e event) {
	if len(a.events) >= 2*maxEvents {
		a.events = slices.Clone(a.events[maxEvents:])
	}
	a.sim.serial++
	e.serial, e.id = a.sim.serial, newRequestID()
	e.visible = e.at.Add(a.sim.cfg.EventLag)
	e.at = seconds(e.at)
	i := len(a.events)
	for i > 0 && a.events[i-1].at.After(e.at) {
		i--
	}
	a.events = slices.Insert(a.events, i, &e)
}

// trace records a request of the protocol face, unless it never got as far as
// the service: CloudTrail does not show what was throttled or broke. The lock is
// held.
func (rq *request) trace(err error) {
	e := event{
		at: rq.now, requestID: rq.requestID, by: rq.caller, service: rq.api.service, name: rq.op,
		region: rq.caller.region, from: rq.origin, params: rq.logged(),
	}
	if rq.api.global {
		e.region = eventHome
	}
	if err == nil {
		e.elements = rq.elements
		rq.account.note(e)
		return
	}
	failure, ok := errors.AsType[*apiError](err)
	if !ok || failure.Status >= http.StatusInternalServerError || isThrottle(failure.Code) {
		return
	}
	e.code, e.message = cmp.Or(trailCodes[failure.Code], failure.Code), failure.Message
	if rq.api.speaksJSON() {
		e.code = failure.forJSON(rq.api).Code
	}
	rq.account.note(e)
}

func isThrottle(code string) bool {
	return strings.HasPrefix(code, "Throttl") || strings.HasPrefix(code, "TooMany")
}

// trailCodes are the errors of IAM that CloudTrail names as the API's model does
// rather than as the wire does.
var trailCodes = map[string]string{
	"ConcurrentModification":        "ConcurrentModificationException",
	"DeleteConflict":                "DeleteConflictException",
	"EntityAlreadyExists":           "EntityAlreadyExistsException",
	"EntityTemporarilyUnmodifiable": "EntityTemporarilyUnmodifiableException",
	"InvalidInput":                  "InvalidInputException",
	"LimitExceeded":                 "LimitExceededException",
	"NoSuchEntity":                  "NoSuchEntityException",
	"ReportExpired":                 "CredentialReportExpiredException",
	"ReportInProgress":              "CredentialReportNotReadyException",
	"ReportNotPresent":              "CredentialReportNotPresentException",
}

// loggedParameters are the parameters that events show. It lists what may be
// seen, since a list of secrets would one day lack one.
var loggedParameters = []string{
	"AccessKeyId", "ClientRequestToken", "Description", "ExternalId", "ForceDeleteWithoutRecovery", "KeyId", "KmsKeyId",
	"MaxResults", "MoveToVersionId", "Name", "Overwrite", "Path", "PathPrefix", "RecoveryWindowInDays",
	"RemoveFromVersionId", "ResourceId", "ResourceType", "RoleArn", "RoleSessionName", "SecretId", "SourceIdentity",
	"Status", "Tier", "Type", "UserName", "VersionId", "VersionStage", "WithDecryption",
}

// logged returns the request's parameters as events show them; nil for none.
func (rq *request) logged() map[string]any {
	var sent, shown map[string]any
	if rq.api.speaksJSON() {
		// The operation has answered for a body that is not JSON.
		_ = json.Unmarshal(rq.body, &sent)
	}
	for _, name := range loggedParameters {
		value, ok := sent[name]
		if rq.params.Has(name) {
			value, ok = rq.params.Get(name), true
		}
		switch value.(type) {
		case string, bool, float64:
		default: // lists and objects are not modelled
			ok = false
		}
		if !ok {
			continue
		}
		if shown == nil {
			shown = map[string]any{}
		}
		shown[wireName(name)] = value
	}
	return shown
}

// Perform plays an application that signs a request with this key now. The use
// moves the key's last-used data and, if the operation is a management one,
// leaves an event. The error is that of [Account.Use]; a request so refused is
// not authenticated and leaves neither.
func (a *Account) Perform(keyID string, activity Activity) error {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	k := a.sim.keys[keyID]
	if k == nil || k.user.account != a || !a.sim.signs(k, a.sim.now()) {
		return errInvalidToken()
	}
	a.sim.noteUse(k, activity.Service, activity.Region)
	a.noteActivity(k, a.sim.now(), activity)
	a.sim.touch()
	return nil
}

// AddEvent records that a key was used so at that time, whether or not it could
// sign then, and leaves its last-used data alone. It does nothing if the account
// has no such key.
func (a *Account) AddEvent(keyID string, at time.Time, activity Activity) {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	if k := a.key(keyID); k != nil {
		a.noteActivity(k, at, activity)
		a.sim.touch()
	}
}

// noteActivity records a request of an application, unless it was one of those
// that only trails with data events hold. The lock is held.
func (a *Account) noteActivity(k *accessKey, at time.Time, activity Activity) {
	name := cmp.Or(activity.Event, usualEvents[activity.Service])
	if name == "" || slices.Contains(dataEvents[activity.Service], name) {
		return
	}
	region := cmp.Or(activity.Region, eventHome)
	if slices.Contains(globalServices, activity.Service) {
		region = eventHome
	}
	a.note(event{
		at: at, requestID: newRequestID(), by: k.caller(region),
		service: activity.Service, name: name, region: region, code: activity.Code,
		from: origin{
			agent: cmp.Or(activity.UserAgent, "aws-cli/2.9.19 Python/3.11.2 Linux/6.1.0"),
			ip:    cmp.Or(activity.SourceIP, "203.0.113.10"), // of a block for documentation (RFC 5737)
		},
	})
}

// globalServices are those whose events are in eventHome whatever the caller's
// region, besides the simulated ones.
var globalServices = []string{"cloudfront", "iam", "organizations", "route53", "support"}

// usualEvents are the operations that an [Activity] without one stands for.
var usualEvents = map[string]string{
	"cloudformation": "DescribeStacks",
	"cloudwatch":     "PutMetricData",
	"dynamodb":       "GetItem",
	"ec2":            "DescribeInstances",
	"ecr":            "GetAuthorizationToken",
	"iam":            "GetUser",
	"kinesis":        "PutRecords",
	"kms":            "Decrypt",
	"lambda":         "Invoke",
	"logs":           "PutLogEvents",
	"rds":            "DescribeDBInstances",
	"route53":        "ListHostedZones",
	"s3":             "GetObject",
	"secretsmanager": "GetSecretValue",
	"ses":            "SendRawEmail",
	"sns":            "Publish",
	"sqs":            "ReceiveMessage",
	"ssm":            "GetParameter",
	"sts":            "GetCallerIdentity",
}

// dataEvents are the operations that are no management events, and so never seen
// by LookupEvents (CloudTrail User Guide, "Logging data events").
var dataEvents = map[string][]string{
	"cloudwatch": {"GetMetricData", "GetMetricStatistics", "ListMetrics", "PutMetricData"},
	"dynamodb": {
		"BatchExecuteStatement", "BatchGetItem", "BatchWriteItem", "DeleteItem", "ExecuteStatement", "ExecuteTransaction",
		"GetItem", "GetRecords", "PutItem", "Query", "Scan", "TransactGetItems", "TransactWriteItems", "UpdateItem",
	},
	"kinesis": {"GetRecords", "GetShardIterator", "PutRecord", "PutRecords", "SubscribeToShard"},
	"lambda":  {"Invoke", "InvokeWithResponseStream"},
	"logs":    {"FilterLogEvents", "GetLogEvents", "PutLogEvents"},
	"s3": {
		"AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "DeleteObject",
		"DeleteObjectTagging", "DeleteObjects", "GetObject", "GetObjectAcl", "GetObjectAttributes", "GetObjectLegalHold",
		"GetObjectRetention", "GetObjectTagging", "GetObjectTorrent", "HeadBucket", "HeadObject", "ListMultipartUploads",
		"ListObjectVersions", "ListObjects", "ListObjectsV2", "ListParts", "PutObject", "PutObjectAcl", "PutObjectLegalHold",
		"PutObjectRetention", "PutObjectTagging", "RestoreObject", "SelectObjectContent", "UploadPart", "UploadPartCopy",
	},
	"ses": {"SendBulkTemplatedEmail", "SendEmail", "SendRawEmail", "SendTemplatedEmail"},
	"sns": {"Publish", "PublishBatch"},
	"sqs": {
		"ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "DeleteMessage", "DeleteMessageBatch", "ReceiveMessage",
		"SendMessage", "SendMessageBatch",
	},
}

// Events returns the management events of the account in every region, oldest
// first, including those that LookupEvents does not show yet. Beyond 16,384 the
// oldest may be forgotten.
func (a *Account) Events() []Event {
	a.sim.mu.Lock()
	defer a.sim.mu.Unlock()
	events := make([]Event, 0, len(a.events))
	for _, e := range a.events {
		events = append(events, Event{
			ID: e.id, At: e.at, Name: e.name, Service: e.service, Region: e.region, UserName: e.by.name(), KeyID: e.by.keyID,
			UserAgent: e.from.agent, SourceIP: e.from.ip, Code: e.code, Record: e.record(),
		})
	}
	return events
}
