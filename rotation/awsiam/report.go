package awsiam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/keyturner/keyturner/rotation"
)

// How long a report is waited for. AWS publishes no times; 52 users took two seconds.
const (
	firstPoll   = 2 * time.Second
	longestPoll = 15 * time.Second
	reportLimit = 5 * time.Minute
)

// Report implements rotation.Surveyor. It waits up to five minutes for AWS to make a report; after that the error is of
// rotation.ClassThrottled, and the report will be found made later.
func (a *Account) Report(ctx context.Context, each func(rotation.ReportRow) error) (time.Time, error) {
	op := "read the credential report of account " + a.String()
	deadline := time.Now().Add(reportLimit)
	for poll := firstPoll; ; poll = min(2*poll, longestPoll) {
		made, err := a.tryReport(ctx, op, each)
		if err == nil || !worthWaiting(err) {
			return made, err
		}
		if time.Now().Add(poll).After(deadline) {
			return time.Time{}, tooLate(err)
		}
		a.log.Debug("waiting for the credential report", "account", a.id, "wait", poll, "err", err)
		if err := wait(ctx, poll); err != nil {
			return time.Time{}, failure(op, err)
		}
	}
}

// tooLate is the error for a report that was waited for in vain, because of err.
func tooLate(err error) error {
	call, ok := errors.AsType[*rotation.CallError](err)
	if !ok {
		return err
	}
	late := *call
	late.Class = rotation.ClassThrottled
	late.Err = fmt.Errorf("AWS has not made it within %s, try again later: %w", reportLimit, call.Err)
	return &late
}

// tryReport reads the report that AWS keeps. If there is none it has one made, and reads it if it is complete at once; otherwise the
// error is worth waiting.
func (a *Account) tryReport(ctx context.Context, op string, each func(rotation.ReportRow) error) (time.Time, error) {
	at, err := a.storedReport(ctx, op, each)
	if code := codeOf(err); code != codeReportNotPresent && code != codeReportExpired {
		return at, err
	}
	made, err := send(ctx, a.reads, op, a.iam.GenerateCredentialReport, &iam.GenerateCredentialReportInput{})
	switch {
	case err != nil:
		return time.Time{}, err
	case made.State == types.ReportStateTypeComplete:
		return a.storedReport(ctx, op, each)
	}
	return time.Time{}, &rotation.CallError{
		Op: op, Class: rotation.ClassThrottled, Code: codeReportInProgress, Err: fmt.Errorf("AWS is making it: state %q", made.State),
	}
}

// worthWaiting tells whether a report may be there after some seconds. AWS has answered LimitExceeded to too many requests for a report.
func worthWaiting(err error) bool {
	switch codeOf(err) {
	case codeReportInProgress, codeReportNotPresent, codeReportExpired, codeLimitExceeded, codeReportLimit:
		return true
	}
	return false
}

// storedReport reads the report that AWS keeps, and tells when it was made.
func (a *Account) storedReport(ctx context.Context, op string, each func(rotation.ReportRow) error) (time.Time, error) {
	stream := &streamedReport{each: each}
	out, err := send(ctx, a.reads, op, a.iam.GetCredentialReport, &iam.GetCredentialReportInput{}, func(o *iam.Options) {
		stream.next, o.HTTPClient = o.HTTPClient, stream
	})
	rows := stream.rows
	rows.end(errBroken)
	switch {
	case rows != nil && rows.stopped != nil:
		return time.Time{}, rows.stopped
	case err != nil:
		return time.Time{}, err
	case rows == nil || out.GeneratedTime == nil || out.ReportFormat != types.ReportFormatTypeTextCsv:
		return time.Time{}, lost(op, "the answer has no time or is not text/csv")
	case rows.err != nil:
		return time.Time{}, &rotation.CallError{Op: op, Class: rotation.ClassUnknown, Err: rows.err}
	}
	return aws.ToTime(out.GeneratedTime).UTC(), nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
