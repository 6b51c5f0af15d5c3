package iamsim_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// pythonWithBoto3 finds a Python that can import boto3: Debian's before any
// other, since that is the one that Debian's package is for. Without one the test
// is skipped, unless KEYTURNER_REQUIRE=all asks for every optional tool.
func pythonWithBoto3(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import boto3").Run() == nil {
			return python
		}
	}
	if os.Getenv("KEYTURNER_REQUIRE") == "all" {
		t.Fatal("KEYTURNER_REQUIRE=all, and no python3 can import boto3 (Debian package python3-boto3)")
	}
	t.Skip("no python3 can import boto3 (Debian package python3-boto3)")
	return ""
}

func TestBoto3(t *testing.T) {
	t.Parallel() // starting Python takes the better part of a second
	python := pythonWithBoto3(t)
	w := newWorld(t, iamsim.Config{PageSize: 2})
	for _, name := range []string{"a", "b", "C", "d+x@y.io", "full"} {
		w.account.AddUser(iamsim.User{Name: name})
	}
	w.account.AddKey("b", iamsim.Key{LastUsed: start.AddDate(0, 0, -1), Service: "s3", Region: "eu-west-1"})
	w.account.AddKey("full", iamsim.Key{})
	w.account.AddKey("full", iamsim.Key{Inactive: true})
	w.AddOrganization(iamsim.Organization{Management: w.account, Members: w.members(2), EmptyPages: true})

	cmd := exec.CommandContext(t.Context(), python, "testdata/boto3_walk.py", w.url)
	cmd.Env = append(clientEnv(t, w), "AWS_DEFAULT_REGION=us-east-1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var seen map[string]any
	if err := json.Unmarshal(out.Bytes(), &seen); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Logf("boto3 %v, botocore %v", seen["boto3"], seen["botocore"])
	id, _ := at(seen, "key", "id").(string)
	diff(t, at(seen, "key"), any(map[string]any{"user": "a", "status": "Active", "id": id, "secret": w.Secrets()[0]}))
	for name, want := range map[string]any{
		"pages":        []any{2.0, 2.0, 1.0},
		"users":        []any{"a", "b", "C", "d+x@y.io", "full"},
		"created":      "2026-11-23T09:00:00+00:00",
		"listed":       []any{[]any{id, "Inactive"}},
		"unused":       map[string]any{"Region": "N/A", "ServiceName": "N/A"},
		"used":         []any{"b", "s3", "2026-11-22T09:00:00+00:00"},
		"no report":    []any{"ReportNotPresent", 410.0, "CredentialReportNotPresentException"},
		"report state": "STARTED",
		"report":       []any{"bytes", "<root_account>", "text/csv"},
		"no user":      []any{"NoSuchEntity", 404.0, "NoSuchEntityException"},
		"no key":       []any{"NoSuchEntity", 404.0, "NoSuchEntityException"},
		"no name":      []any{"ValidationError", 400.0, "ClientError"},
		"third key":    []any{"LimitExceeded", 409.0, "LimitExceededException"},
		"accounts":     3.0,
		"events":       []any{"DeleteAccessKey", "DeleteAccessKey"},
		"secret":       "v",
		"secret twice": []any{"ResourceExistsException", 400.0, "ResourceExistsException"},
		"parameter":    "v",
		"no parameter": []any{"ParameterNotFound", 400.0, "ParameterNotFound"},
	} {
		t.Run(name, func(t *testing.T) { diff(t, seen[name], want) })
	}
}
