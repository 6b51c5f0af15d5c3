package iamsim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// unknownAPI stands for every JSON service that is not simulated.
var unknownAPI = &api{}

// jsonAPIs are the services of the AWS JSON 1.1 protocol. No operation is in two
// of them.
var jsonAPIs = []*api{
	{
		service: "organizations", internal: "ServiceException", global: true,
		operations: map[string]operation{
			"ListAccounts":                     listAccounts,
			"ListAccountsForParent":            listAccountsForParent,
			"ListOrganizationalUnitsForParent": listOrganizationalUnitsForParent,
			"ListTagsForResource":              listTagsForResource,
		},
	},
	{
		service: "cloudtrail", internal: "InternalFailure",
		operations: map[string]operation{
			"LookupEvents": lookupEvents,
		},
	},
	{
		service: "secretsmanager", internal: "InternalServiceError",
		operations: map[string]operation{
			"CreateSecret":             createSecret,
			"DeleteSecret":             deleteSecret,
			"DescribeSecret":           describeSecret,
			"GetSecretValue":           getSecretValue,
			"PutSecretValue":           putSecretValue,
			"UpdateSecretVersionStage": updateSecretVersionStage,
		},
	},
	{
		service: "ssm", internal: "InternalServerError",
		operations: map[string]operation{
			"AddTagsToResource": addTagsToResource,
			"GetParameter":      getParameter,
			"PutParameter":      putParameter,
		},
	},
}

// speaksJSON reports whether the service has the JSON protocol.
func (a *api) speaksJSON() bool { return a.namespace == "" }

func (a *api) contentType() string {
	if a.speaksJSON() {
		return "application/x-amz-json-1.1"
	}
	return "text/xml"
}

// apiOfTarget splits an X-Amz-Target. What comes before the operation differs by
// client, "CloudTrail_20131101" from one and with "com.amazonaws…" ahead of it
// from another, so the operation alone decides; the signature must then be for
// the service that has it.
func apiOfTarget(target string) (_ *api, op string) {
	op = target[strings.LastIndexByte(target, '.')+1:]
	for _, a := range jsonAPIs {
		if a.operations[op] != nil {
			return a, op
		}
	}
	return unknownAPI, op
}

// decode reads the input of a JSON operation. Members it does not know are
// ignored.
func decode[T any](rq *request) (in T, err error) {
	if err := json.Unmarshal(rq.body, &in); err != nil {
		// The text of err could quote a secret.
		return in, &apiError{"SerializationException", "The body of " + rq.op + " is not the JSON expected", http.StatusBadRequest}
	}
	return in, nil
}

// epoch words a time for the JSON protocol: seconds since 1970 with a fraction.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// moment reads a time of the JSON protocol; nil is the zero time.
func moment(epoch *float64) time.Time {
	if epoch == nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(*epoch * 1000)).UTC()
}

func successJSON(_, _ string, result any) ([]byte, error) {
	if result == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(result)
}

func errorJSON(_ string, e *apiError) ([]byte, error) {
	return json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.Code, e.Message})
}

// jsonCodes are what the JSON services call the errors that they share with the
// Query services. ServiceFailure goes by the service, see [api].internal.
var jsonCodes = map[string]string{
	"AccessDenied":               "AccessDeniedException",
	"ExpiredToken":               "ExpiredTokenException",
	"IncompleteSignature":        "IncompleteSignatureException",
	"InvalidAction":              "UnknownOperationException",
	"InvalidClientTokenId":       "UnrecognizedClientException",
	"InvalidInput":               "ValidationException",
	"LimitExceeded":              "LimitExceededException",
	"MalformedInput":             "SerializationException",
	"MissingAuthenticationToken": "MissingAuthenticationTokenException",
	"ServiceUnavailable":         "ServiceUnavailableException",
	"SignatureDoesNotMatch":      "InvalidSignatureException",
	"Throttling":                 "ThrottlingException",
	"ValidationError":            "ValidationException",
}

// forJSON is the error as a JSON service words it: a common one by its name
// there, which is a 400 unless the server is at fault.
func (e *apiError) forJSON(a *api) *apiError {
	code, known := jsonCodes[e.Code]
	if e.Code == "ServiceFailure" && a.internal != "" {
		code, known = a.internal, true
	}
	if !known {
		return e
	}
	status := e.Status
	if status < http.StatusInternalServerError {
		status = http.StatusBadRequest
	}
	return &apiError{code, e.Message, status}
}

// refusal is an error of a JSON service alone, all of which are a 400.
func refusal(code, message string) *apiError {
	return &apiError{code, message, http.StatusBadRequest}
}

func errUnknownOperation(target string) *apiError {
	return refusal("UnknownOperationException", "The simulator does not serve "+target)
}
