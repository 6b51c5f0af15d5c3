package awsiam

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/keyturner/keyturner/rotation"
)

// Codes that the flow of a call depends on.
const (
	codeAccessDenied     = "AccessDenied"
	codeDeniedException  = "AccessDeniedException" // the newer name of the same
	codeReportNotPresent = "ReportNotPresent"
	codeReportExpired    = "ReportExpired"
	codeReportInProgress = "ReportInProgress"
	codeLimitExceeded    = "LimitExceeded"
	codeReportLimit      = "ReportGenerationLimitExceeded"
	codeUnknown          = "UnknownError" // the SDK's, for an error without a code
)

// classes are what the error codes mean, IAM's and STS's own, those common to all AWS services
// (https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html) and the forms that other services have for them, since the
// credentials may come from any.
var classes = map[string]rotation.Class{
	codeAccessDenied:              rotation.ClassDenied,
	codeDeniedException:           rotation.ClassDenied,
	"AuthFailure":                 rotation.ClassDenied,
	"ForbiddenException":          rotation.ClassDenied,
	"IDPRejectedClaim":            rotation.ClassDenied,
	"IncompleteSignature":         rotation.ClassDenied,
	"InvalidClientTokenId":        rotation.ClassDenied,
	"InvalidGrantException":       rotation.ClassDenied,
	"InvalidIdentityToken":        rotation.ClassDenied,
	"InvalidSignatureException":   rotation.ClassDenied,
	"MissingAuthenticationToken":  rotation.ClassDenied,
	"NotAuthorized":               rotation.ClassDenied,
	"OptInRequired":               rotation.ClassDenied,
	"RegionDisabledException":     rotation.ClassDenied,
	"RequestExpired":              rotation.ClassDenied,
	"RequestTimeTooSkewed":        rotation.ClassDenied,
	"SignatureDoesNotMatch":       rotation.ClassDenied,
	"UnauthorizedException":       rotation.ClassDenied,
	"UnauthorizedOperation":       rotation.ClassDenied,
	"UnrecognizedClientException": rotation.ClassDenied,

	"ExpiredToken":                  rotation.ClassThrottled, // credentials that are renewed from outside: later may help
	"ExpiredTokenException":         rotation.ClassThrottled,
	"ConcurrentModification":        rotation.ClassThrottled, // "wait a few minutes", says AWS of these two
	"EntityTemporarilyUnmodifiable": rotation.ClassThrottled,
	"PriorRequestNotComplete":       rotation.ClassThrottled,
	"RequestLimitExceeded":          rotation.ClassThrottled,
	"RequestThrottled":              rotation.ClassThrottled,
	"RequestThrottledException":     rotation.ClassThrottled,
	"SlowDown":                      rotation.ClassThrottled,
	"ThrottledException":            rotation.ClassThrottled,
	"Throttling":                    rotation.ClassThrottled,
	"ThrottlingException":           rotation.ClassThrottled,
	"TooManyRequests":               rotation.ClassThrottled,
	"TooManyRequestsException":      rotation.ClassThrottled,
	"TooManyUpdates":                rotation.ClassThrottled,
	codeReportExpired:               rotation.ClassThrottled,
	codeReportInProgress:            rotation.ClassThrottled, // with status 404, but nothing is gone
	codeReportLimit:                 rotation.ClassThrottled,
	codeReportNotPresent:            rotation.ClassThrottled,

	codeLimitExceeded:                  rotation.ClassQuota,
	"LimitExceededException":           rotation.ClassQuota,
	"ParameterLimitExceeded":           rotation.ClassQuota,
	"ParameterMaxVersionLimitExceeded": rotation.ClassQuota,

	"NoSuchEntity":              rotation.ClassGone,
	"ParameterNotFound":         rotation.ClassGone,
	"ResourceNotFoundException": rotation.ClassGone,

	"InternalError":           rotation.ClassUnknown,
	"InternalFailure":         rotation.ClassUnknown,
	"InternalServerError":     rotation.ClassUnknown,
	"InternalServiceError":    rotation.ClassUnknown,
	"RequestTimeout":          rotation.ClassUnknown,
	"RequestTimeoutException": rotation.ClassUnknown,
	"ServiceFailure":          rotation.ClassUnknown,
	"ServiceUnavailable":      rotation.ClassUnknown,
	codeUnknown:               rotation.ClassUnknown,
}

// failure makes a *rotation.CallError of an error of the SDK.
func failure(op string, err error) error {
	f := &rotation.CallError{Op: op, Class: rotation.ClassUnknown, Err: reason(err)}
	status := 0
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		f.RequestID, status = response.ServiceRequestID(), response.HTTPStatusCode()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		f.Code = api.ErrorCode()
	}
	f.Class = classOf(f.Code, status)
	return f
}

// classOf classifies an answer by its code, empty if it has none, and its HTTP status, zero if none came. A code not listed is a
// refusal of the request if the status says so: AWS decided, and did nothing.
func classOf(code string, status int) rotation.Class {
	class, listed := classes[code]
	switch {
	case class == rotation.ClassThrottled || status == http.StatusTooManyRequests:
		return rotation.ClassThrottled
	case status >= http.StatusInternalServerError:
		return rotation.ClassUnknown
	case listed:
		return class
	case code != "" && status >= http.StatusBadRequest:
		return rotation.ClassInvalid
	}
	return rotation.ClassUnknown
}

// reason says in short why a call failed. What is made of an answer's body is dropped with the errors that hold it, for it may
// be the answer of CreateAccessKey: smithy.DeserializationError carries its last kilobyte, and XML errors quote it.
func reason(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() != codeUnknown {
		return fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	if send, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return fmt.Errorf("no answer: %w", send.Err)
	}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return end
		}
	}
	response, answered := errors.AsType[*awshttp.ResponseError](err)
	if answered && response.HTTPStatusCode() >= http.StatusMultipleChoices {
		return fmt.Errorf("HTTP status %d without an error that AWS would write", response.HTTPStatusCode())
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok || answered {
		return errors.New("AWS answered, but the answer could not be read")
	}
	return err
}

// lost is the error for an answer that came but does not tell what was asked.
func lost(op, why string) error {
	return &rotation.CallError{Op: op, Class: rotation.ClassUnknown, Err: errors.New(why)}
}

// refused is the error for a call that is not made.
func refused(op, why string) error {
	return &rotation.CallError{Op: op, Class: rotation.ClassInvalid, Err: errors.New(why)}
}

// codeOf is the service's code in an error of this package.
func codeOf(err error) string {
	if call, ok := errors.AsType[*rotation.CallError](err); ok {
		return call.Code
	}
	return ""
}

// accessDenied tells whether a policy refuses the call, as against the credentials.
func accessDenied(err error) bool {
	code := codeOf(err)
	return code == codeAccessDenied || code == codeDeniedException
}
