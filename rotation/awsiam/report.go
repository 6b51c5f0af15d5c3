package awsiam

import (
	"bytes"
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
		report, err := a.tryReport(ctx, op)
		if err == nil {
			return told(op, report, each)
		}
		if !worthWaiting(err) {
			return time.Time{}, err
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

// told tells the rows of a report. The SDK has it whole, but AWS allows no more than 5,000 users in an account, and their rows are not kept.
func told(op string, report *iam.GetCredentialReportOutput, each func(rotation.ReportRow) error) (time.Time, error) {
	var stopped error // by each
	err := parseReport(bytes.NewReader(report.Content), func(row rotation.ReportRow) error {
		stopped = each(row)
		return stopped
	})
	switch {
	case stopped != nil:
		return time.Time{}, stopped
	case err != nil:
		return time.Time{}, &rotation.CallError{Op: op, Class: rotation.ClassUnknown, Err: err}
	}
	return aws.ToTime(report.GeneratedTime).UTC(), nil
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
func (a *Account) tryReport(ctx context.Context, op string) (*iam.GetCredentialReportOutput, error) {
	report, err := a.storedReport(ctx, op)
	if code := codeOf(err); code != codeReportNotPresent && code != codeReportExpired {
		return report, err
	}
	made, err := send(ctx, a.reads, op, a.iam.GenerateCredentialReport, &iam.GenerateCredentialReportInput{})
	switch {
	case err != nil:
		return nil, err
	case made.State == types.ReportStateTypeComplete:
		return a.storedReport(ctx, op)
	}
	return nil, &rotation.CallError{
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

// storedReport reads the report that AWS keeps.
func (a *Account) storedReport(ctx context.Context, op string) (*iam.GetCredentialReportOutput, error) {
	out, err := send(ctx, a.reads, op, a.iam.GetCredentialReport, &iam.GetCredentialReportInput{})
	if err != nil {
		return nil, err
	}
	if out.GeneratedTime == nil || out.ReportFormat != types.ReportFormatTypeTextCsv {
		return nil, lost(op, "the answer has no time or is not text/csv")
	}
	return out, nil
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
