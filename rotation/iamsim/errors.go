package iamsim

import (
	"cmp"
	"fmt"
	"net/http"
)

// apiError is a failure as AWS words it. Its Error is "Code: Message".
type apiError struct {
	Code    string
	Message string
	Status  int // HTTP status
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// kind is the Type of the error envelope: whose fault it is.
func (e *apiError) kind() string {
	if e.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// knownErrors holds status and message of the codes that a fault can ask for by
// name (IAM API Reference, "Common Errors" and the errors of each action).
var knownErrors = map[string]apiError{
	"AccessDenied":                  {Status: 403, Message: "Access denied"},
	"AccessDeniedException":         {Status: 403, Message: "Access denied"},
	"ConcurrentModification":        {Status: 409, Message: "Multiple requests to change this object were submitted simultaneously. Wait a few minutes and submit your request again."},
	"DeleteConflict":                {Status: 409, Message: "Cannot delete entity, must delete access keys first."},
	"EntityAlreadyExists":           {Status: 409, Message: "The entity already exists."},
	"EntityTemporarilyUnmodifiable": {Status: 409, Message: "The entity is temporarily unmodifiable. Try again after several minutes."},
	"ExpiredToken":                  {Status: 403, Message: "The security token included in the request is expired"},
	"InternalFailure":               {Status: 500, Message: "The request processing has failed because of an unknown error, exception or failure."},
	"InvalidClientTokenId":          {Status: 403, Message: "The security token included in the request is invalid."},
	"LimitExceeded":                 {Status: 409, Message: "Cannot exceed quota for AccessKeysPerUser: 2"},
	"NoSuchEntity":                  {Status: 404, Message: "The requested entity cannot be found."},
	"OptInRequired":                 {Status: 403, Message: "The AWS Access Key Id needs a subscription for the service"},
	"ReportExpired":                 {Status: 410, Message: "Unknown"},
	"ReportInProgress":              {Status: 404, Message: "Unknown"},
	"ReportNotPresent":              {Status: 410, Message: "Unknown"},
	"RequestExpired":                {Status: 400, Message: "Request has expired."},
	"ServiceFailure":                {Status: 500, Message: "The request processing has failed because of an unknown error, exception or failure."},
	"ServiceUnavailable":            {Status: 503, Message: "The request has failed due to a temporary failure of the server."},
	"SignatureDoesNotMatch":         {Status: 403, Message: "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."},
	"Throttling":                    {Status: 400, Message: "Rate exceeded"},
}

// namedError builds the error of that code with its usual status and message.
func namedError(code string) *apiError {
	e := knownErrors[code]
	e.Code = code
	e.Status = cmp.Or(e.Status, http.StatusBadRequest)
	e.Message = cmp.Or(e.Message, code)
	return &e
}

func errInvalidToken() *apiError { return namedError("InvalidClientTokenId") }

func errMissingToken() *apiError {
	return &apiError{"MissingAuthenticationToken", "Request is missing Authentication Token", http.StatusForbidden}
}

func errIncompleteSignature(format string, args ...any) *apiError {
	return &apiError{"IncompleteSignature", fmt.Sprintf(format, args...), http.StatusBadRequest}
}

// errSignature refuses a signature for a stated reason.
func errSignature(format string, args ...any) *apiError {
	return &apiError{"SignatureDoesNotMatch", fmt.Sprintf(format, args...), http.StatusForbidden}
}

// errDenied words the refusal of an action as IAM does.
func errDenied(callerARN, action, resource string) *apiError {
	e := namedError("AccessDenied")
	e.Message = fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %[2]s action", callerARN, action, resource)
	return e
}

func errInvalidAction(action, version string) *apiError {
	return &apiError{"InvalidAction", fmt.Sprintf("Could not find operation %s for version %s", action, version), http.StatusBadRequest}
}

func errValidation(format string, args ...any) *apiError {
	return &apiError{"ValidationError", fmt.Sprintf(format, args...), http.StatusBadRequest}
}

// errConstraint is the ValidationError of one field, in AWS's wording.
func errConstraint(field, value, constraint string) *apiError {
	return errValidation("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, field, constraint)
}

func errRequired(field string) *apiError {
	return errValidation("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", field)
}

func errMalformed(field, value string) *apiError {
	return &apiError{"MalformedInput", fmt.Sprintf("Invalid value %q for %s", value, field), http.StatusBadRequest}
}

func errInvalidInput(message string) *apiError {
	return &apiError{"InvalidInput", message, http.StatusBadRequest}
}

func errNoUser(name string) *apiError {
	e := namedError("NoSuchEntity")
	e.Message = fmt.Sprintf("The user with name %s cannot be found.", name)
	return e
}

func errNoKey(id string) *apiError {
	e := namedError("NoSuchEntity")
	e.Message = fmt.Sprintf("The Access Key with id %s cannot be found.", id)
	return e
}

func errQuota(name string, limit int) *apiError {
	e := namedError("LimitExceeded")
	e.Message = fmt.Sprintf("Cannot exceed quota for %s: %d", name, limit)
	return e
}

func errConflict(message string) *apiError {
	e := namedError("DeleteConflict")
	e.Message = message
	return e
}
