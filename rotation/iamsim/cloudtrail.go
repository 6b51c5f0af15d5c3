package iamsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxLookup is the most events on a page of LookupEvents, and eventLife how
	// many days they can be looked up (CloudTrail API Reference, LookupEvents).
	maxLookup = 50
	eventLife = 90
)

// trailTime is how CloudTrail words the times in IAM's answers.
func trailTime(t time.Time) string { return t.UTC().Format("Jan 2, 2006 3:04:05 PM") }

// name is what CloudTrail calls the user name: that of the user or the session.
func (c *caller) name() string {
	switch {
	case c.user != nil:
		return c.user.Name
	case c.grant != nil:
		return c.grant.session
	default:
		return ""
	}
}

// identity is the userIdentity element of what the caller does (CloudTrail User
// Guide, "CloudTrail userIdentity element").
func (c *caller) identity() map[string]any {
	identity := map[string]any{
		"type": "IAMUser", "principalId": c.id, "arn": c.arn, "accountId": c.account.id, "accessKeyId": c.keyID,
	}
	if c.grant == nil {
		identity["userName"] = c.name()
		return identity
	}
	g := c.grant
	identity["type"] = "AssumedRole"
	identity["sessionContext"] = map[string]any{
		"sessionIssuer": map[string]any{
			"type": "Role", "principalId": g.roleID, "arn": g.account.arn("iam", "role/"+g.roleName),
			"accountId": g.account.id, "userName": g.roleName,
		},
		"attributes": map[string]any{"creationDate": stamp(g.opened), "mfaAuthenticated": "false"},
	}
	return identity
}

// eventSource is the service as events name it.
func (e *event) eventSource() string {
	if e.service == "cloudwatch" {
		return "monitoring.amazonaws.com"
	}
	return e.service + ".amazonaws.com"
}

// readOnly judges by the name alone.
func (e *event) readOnly() bool {
	for _, prefix := range []string{"Describe", "Get", "Head", "List", "Lookup", "AssumeRole"} {
		if strings.HasPrefix(e.name, prefix) {
			return true
		}
	}
	return false
}

// record is the event in CloudTrail's JSON (CloudTrail User Guide, "CloudTrail
// record contents").
func (e *event) record() string {
	fields := map[string]any{
		"eventVersion": "1.11", "eventType": "AwsApiCall", "eventCategory": "Management", "managementEvent": true,
		"eventTime": stamp(e.at), "eventSource": e.eventSource(), "eventName": e.name, "awsRegion": e.region,
		"sourceIPAddress": e.from.ip, "userAgent": e.from.agent, "readOnly": e.readOnly(),
		"eventID": e.id, "requestID": e.requestID, "recipientAccountId": e.by.account.id,
		"userIdentity": e.by.identity(), "requestParameters": e.params, "responseElements": e.elements,
	}
	if e.code != "" {
		fields["errorCode"] = e.code
		if e.message != "" {
			fields["errorMessage"] = e.message
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(fmt.Sprintf("iamsim: event %s: %v", e.name, err)) // it holds strings, numbers and maps of them
	}
	return string(text)
}

type resourceJSON struct {
	ResourceType string
	ResourceName string
}

// resources are what the event is about, as far as its parameters and its answer
// name it.
func (e *event) resources() []resourceJSON {
	var found []resourceJSON
	for _, kind := range []struct{ parameter, resource string }{
		{"accessKeyId", "AWS::IAM::AccessKey"},
		{"roleArn", "AWS::IAM::Role"},
		{"secretId", "AWS::SecretsManager::Secret"},
		{"userName", "AWS::IAM::User"},
	} {
		name, _ := e.params[kind.parameter].(string)
		if made, ok := e.elements["accessKey"].(map[string]any); ok && kind.parameter == "accessKeyId" {
			name, _ = made[kind.parameter].(string)
		}
		if name != "" {
			found = append(found, resourceJSON{kind.resource, name})
		}
	}
	return found
}

type eventJSON struct {
	EventID         string `json:"EventId"`
	EventName       string
	ReadOnly        string
	AccessKeyID     string `json:"AccessKeyId"`
	EventTime       float64
	EventSource     string
	Username        string
	Resources       []resourceJSON
	CloudTrailEvent string
}

func (e *event) json() eventJSON {
	return eventJSON{
		EventID: e.id, EventName: e.name, ReadOnly: strconv.FormatBool(e.readOnly()), AccessKeyID: e.by.keyID,
		EventTime: epoch(e.at), EventSource: e.eventSource(), Username: e.by.name(),
		Resources: e.resources(), CloudTrailEvent: e.record(),
	}
}

type lookupAttribute struct{ AttributeKey, AttributeValue string }

type lookupEventsInput struct {
	LookupAttributes   []lookupAttribute
	StartTime, EndTime *float64
	EventCategory      string
	MaxResults         *int
	NextToken          string
}

type lookupEventsOutput struct {
	Events    []eventJSON
	NextToken string `json:",omitempty"`
}

// has reports whether the event has that attribute.
func (l lookupAttribute) has(e *event) bool {
	switch l.AttributeKey {
	case "AccessKeyId":
		return e.by.keyID == l.AttributeValue
	case "EventId":
		return e.id == l.AttributeValue
	case "EventName":
		return e.name == l.AttributeValue
	case "EventSource":
		return e.eventSource() == l.AttributeValue
	case "ReadOnly":
		return strconv.FormatBool(e.readOnly()) == l.AttributeValue
	case "ResourceName":
		return slices.ContainsFunc(e.resources(), func(r resourceJSON) bool { return r.ResourceName == l.AttributeValue })
	case "ResourceType":
		return slices.ContainsFunc(e.resources(), func(r resourceJSON) bool { return r.ResourceType == l.AttributeValue })
	case "Username":
		return e.by.name() == l.AttributeValue
	default: // no attribute
		return true
	}
}

var lookupKeys = []string{
	"AccessKeyId", "EventId", "EventName", "EventSource", "ReadOnly", "ResourceName", "ResourceType", "Username",
}

// check judges the parameters and returns the one attribute looked for, if any.
func (in *lookupEventsInput) check() (lookupAttribute, error) {
	var attribute lookupAttribute
	switch n := len(in.LookupAttributes); {
	case n > 1:
		return attribute, refusal("InvalidLookupAttributesException", "You can specify only one lookup attribute.")
	case n == 1:
		attribute = in.LookupAttributes[0]
		if !slices.Contains(lookupKeys, attribute.AttributeKey) || attribute.AttributeValue == "" {
			return attribute, refusal("InvalidLookupAttributesException", "The lookup attribute key or value is not valid.")
		}
	}
	start, end := moment(in.StartTime), moment(in.EndTime)
	switch {
	case in.EventCategory != "" && in.EventCategory != "insight":
		return attribute, refusal("InvalidEventCategoryException", "The event category is not valid.")
	case in.MaxResults != nil && (*in.MaxResults < 1 || *in.MaxResults > maxLookup):
		return attribute, refusal("InvalidMaxResultsException", "MaxResults must be 1 to 50.")
	case !start.IsZero() && !end.IsZero() && end.Before(start):
		return attribute, refusal("InvalidTimeRangeException", "The end time is before the start time.")
	}
	return attribute, nil
}

// lookupEvents answers the management events of one region, newest first.
func lookupEvents(rq *request) (any, error) {
	if rq.sim.hurried(rq.account, rq.caller.region, rq.sim.cfg.LookupsPerSecond) {
		return nil, namedError("Throttling")
	}
	in, err := decode[lookupEventsInput](rq)
	if err != nil {
		return nil, err
	}
	attribute, err := in.check()
	if err != nil {
		return nil, err
	}
	size := maxLookup
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	size = rq.sim.capped(size)
	after, ok := rq.eventPosition(in.NextToken, attribute)
	if !ok {
		return nil, refusal("InvalidNextTokenException", "The token is not of a call with the same parameters.")
	}
	out := lookupEventsOutput{Events: []eventJSON{}}
	if in.EventCategory == "insight" {
		return out, nil
	}
	var last *event
	for _, e := range slices.Backward(rq.account.events) {
		switch {
		case !after.IsZero() && !e.olderThan(after), !in.shows(e, rq), !attribute.has(e):
		case len(out.Events) == size:
			out.NextToken = rq.encodeMarker(last.position(attribute))
			return out, nil
		default:
			out.Events, last = append(out.Events, e.json()), e
		}
	}
	return out, nil
}

// shows reports whether the event is one of the caller's region, has arrived in
// the history, is still there and is within the times asked for.
func (in *lookupEventsInput) shows(e *event, rq *request) bool {
	start, end := moment(in.StartTime), moment(in.EndTime)
	return e.region == rq.caller.region && !e.visible.After(rq.now) &&
		!e.at.Before(rq.now.AddDate(0, 0, -eventLife)) &&
		!e.at.Before(start) && (end.IsZero() || !e.at.After(end))
}

// place is where an event stands among the others.
type place struct {
	second int64
	serial uint64
}

func (p place) IsZero() bool { return p == place{} }

func (e *event) olderThan(p place) bool {
	second := e.at.Unix()
	return second < p.second || second == p.second && e.serial < p.serial
}

// position words the place of an event for the next page.
func (e *event) position(attribute lookupAttribute) string {
	return fmt.Sprintf("%d %d %s=%s", e.at.Unix(), e.serial, attribute.AttributeKey, attribute.AttributeValue)
}

// eventPosition reads the place after which a page starts. It reports false for a
// token that was made for something else.
func (rq *request) eventPosition(token string, attribute lookupAttribute) (p place, ok bool) {
	if token == "" {
		return place{}, true
	}
	text, ok := rq.decodeMarker(token)
	if !ok {
		return place{}, false
	}
	var asked string
	if n, err := fmt.Sscanf(text, "%d %d %s", &p.second, &p.serial, &asked); err != nil || n != 3 {
		return place{}, false
	}
	return p, strings.HasSuffix(text, " "+attribute.AttributeKey+"="+attribute.AttributeValue)
}

// hurried reports whether an account has called as often in the last second as
// it may, and counts the call if not. The pace is the client's own, so the clock
// is the one of its signatures. The lock is held.
func (s *Sim) hurried(a *Account, what string, perSecond int) bool {
	if perSecond <= 0 {
		return false
	}
	now := s.cfg.SignNow()
	recent := slices.DeleteFunc(a.paced[what], func(at time.Time) bool { return now.Sub(at) >= time.Second })
	if a.paced == nil {
		a.paced = map[string][]time.Time{}
	}
	if len(recent) >= perSecond {
		a.paced[what] = recent
		return true
	}
	a.paced[what] = append(recent, now)
	return false
}
