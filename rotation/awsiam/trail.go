package awsiam

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/keyturner/keyturner/rotation"
)

// maxTracePages bounds how much of a key's history in one region is read: 300 calls, in three seconds and a bit.
const maxTracePages = 6

// lookup asks CloudTrail for a page of the events of a region, at that region's pace.
func (a *Account) lookup(ctx context.Context, op, region string, in *cloudtrail.LookupEventsInput) (*cloudtrail.LookupEventsOutput, error) {
	p, known := a.lookups[region]
	if !known {
		return nil, refused(op, "the region "+region+" is not among those configured")
	}
	out, err := paced(ctx, p, op, func(ctx context.Context) (*cloudtrail.LookupEventsOutput, error) {
		return a.trail.LookupEvents(ctx, in, func(o *cloudtrail.Options) { o.Retryer, o.Region = p.retryer, region })
	})
	if err == nil && out.Events == nil {
		return nil, lost(op, "the answer has no list of events")
	}
	return out, err
}

// Calls implements rotation.Trail. It reads the latest 300 of the management events that a key has signed, of the 90 days that CloudTrail
// keeps without a trail. It never sees data events, such as reads of objects in S3, nor what was refused because the key is inactive
// (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html). The error is of rotation.ClassDenied if
// cloudtrail:LookupEvents is not granted, or the region is not enabled.
func (a *Account) Calls(ctx context.Context, region string, id rotation.KeyID) (calls []rotation.Call, more bool, err error) {
	op := fmt.Sprintf("look up in %s who uses access key %s", region, id)
	if id == "" { // AWS would list everybody's calls
		return nil, false, refused(op, noKeyID)
	}
	in := &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{
			{AttributeKey: types.LookupAttributeKeyAccessKeyId, AttributeValue: aws.String(string(id))},
		},
		MaxResults: aws.Int32(lookupPage),
	}
	read := 0
	err = pages(op, func(marker *string) (bool, *string, error) {
		in.NextToken = marker
		out, err := a.lookup(ctx, op, region, in)
		if err != nil {
			return false, nil, err
		}
		for _, e := range out.Events {
			calls = append(calls, callOf(e))
		}
		goesOn := aws.ToString(out.NextToken) != ""
		read++
		more = goesOn && read == maxTracePages
		return goesOn && !more, out.NextToken, nil
	})
	return calls, more, err
}

// callOf is what an event tells of a call. A record that cannot be read still shows that the key was used, and when.
func callOf(e types.Event) rotation.Call {
	var record struct {
		Agent   string `json:"userAgent"`
		Address string `json:"sourceIPAddress"`
	}
	_ = json.Unmarshal([]byte(aws.ToString(e.CloudTrailEvent)), &record)
	return rotation.Call{
		At: aws.ToTime(e.EventTime), Name: aws.ToString(e.EventName),
		Service: strings.TrimSuffix(aws.ToString(e.EventSource), ".amazonaws.com"),
		Agent:   record.Agent, Address: record.Address,
	}
}
