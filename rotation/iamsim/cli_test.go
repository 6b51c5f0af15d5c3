package iamsim_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// awsCLI runs the real AWS CLI against a world.
type awsCLI struct {
	path string
	url  string
	env  []string
}

// newCLI finds the CLI. Without one the test is skipped, unless
// KEYTURNER_REQUIRE=all asks for every optional tool to be there.
func newCLI(t *testing.T, w *world) *awsCLI {
	t.Helper()
	path, err := exec.LookPath("aws")
	switch {
	case err == nil:
	case os.Getenv("KEYTURNER_REQUIRE") == "all":
		t.Fatalf("KEYTURNER_REQUIRE=all, and the AWS CLI is not installed: %v", err)
	default:
		t.Skip("the AWS CLI is not on PATH (Debian package awscli)")
	}
	return &awsCLI{path: path, url: w.url, env: append(clientEnv(t, w), "AWS_DEFAULT_REGION=eu-west-1", "AWS_REGION=eu-west-1")}
}

// clientEnv is the environment of a program that signs as the account's
// principal, with nothing of AWS from the outside.
func clientEnv(t *testing.T, w *world) []string {
	t.Helper()
	id, secret, _ := w.principal()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	none := filepath.Join(t.TempDir(), "none")
	return append(env,
		"AWS_ACCESS_KEY_ID="+id, "AWS_SECRET_ACCESS_KEY="+secret,
		"AWS_CONFIG_FILE="+none, "AWS_SHARED_CREDENTIALS_FILE="+none,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "NO_PROXY=127.0.0.1",
	)
}

// run runs one command and returns what it printed.
func (c *awsCLI) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	// Releases before mid-2023 take the endpoint from this flag only.
	cmd := exec.CommandContext(t.Context(), c.path, append([]string{"--endpoint-url", c.url, "--output", "json"}, args...)...)
	cmd.Env = c.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return strings.TrimSpace(out.String()), errs.String(), err
}

// json runs one command and decodes what it printed.
func (c *awsCLI) json(t *testing.T, args ...string) map[string]any {
	t.Helper()
	stdout, stderr, err := c.run(t, args...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	if stdout == "" {
		return nil
	}
	var value map[string]any
	if err := json.Unmarshal([]byte(stdout), &value); err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stdout)
	}
	return value
}

// at walks into decoded JSON by keys and indexes.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			value = object[step]
		case int:
			array, _ := value.([]any)
			if step >= len(array) {
				return nil
			}
			value = array[step]
		}
	}
	return value
}

func TestAWSCLI(t *testing.T) {
	t.Parallel() // each command takes the better part of a second
	w := newWorld(t, iamsim.Config{PageSize: 2})
	cli := newCLI(t, w)
	for _, name := range []string{"a", "b+x@y.io", "c", "d", "e"} {
		w.account.AddUser(iamsim.User{Name: name, Tags: map[string]string{"owner": name + " & co"}})
	}
	role := w.account.AddRole("keybot", "ext-1")

	t.Run("list-users", func(t *testing.T) {
		users, _ := at(cli.json(t, "iam", "list-users"), "Users").([]any)
		diff(t, len(users), 5) // three pages, followed by the CLI
		diff(t, at(users, 1, "UserName"), any("b+x@y.io"))
	})
	t.Run("get-user and tag-user", func(t *testing.T) {
		cli.json(t, "iam", "tag-user", "--user-name", "b+x@y.io", "--tags", "Key=team,Value=x=1")
		user := cli.json(t, "iam", "get-user", "--user-name", "B+X@y.io")
		diff(t, at(user, "User", "Tags", 0, "Value"), any("b+x@y.io & co"))
		diff(t, at(user, "User", "Tags", 1, "Value"), any("x=1"))
		cli.json(t, "iam", "untag-user", "--user-name", "b+x@y.io", "--tag-keys", "team")
		tags, _ := at(cli.json(t, "iam", "list-user-tags", "--user-name", "b+x@y.io"), "Tags").([]any)
		diff(t, len(tags), 1)
	})
	t.Run("access keys", func(t *testing.T) { cliKeys(t, w, cli) })
	t.Run("credential report", func(t *testing.T) {
		diff(t, at(cli.json(t, "iam", "generate-credential-report"), "State"), any("STARTED"))
		content, _ := at(cli.json(t, "iam", "get-credential-report"), "Content").(string)
		report := must(base64.StdEncoding.DecodeString(content))(t)
		if !bytes.Contains(report, []byte("\n<root_account>,arn:aws:iam::111122223333:root,")) {
			t.Errorf("report %s", report)
		}
	})
	t.Run("account", func(t *testing.T) {
		diff(t, at(cli.json(t, "iam", "get-account-summary"), "SummaryMap", "Users"), any(5.0))
		diff(t, at(cli.json(t, "iam", "list-account-aliases"), "AccountAliases", 0), any("acme"))
		details, _ := at(cli.json(t, "iam", "get-account-authorization-details", "--filter", "User"), "UserDetailList").([]any)
		diff(t, len(details), 5)
	})
	t.Run("sts", func(t *testing.T) { cliSTS(t, cli, role) })
	t.Run("organizations", func(t *testing.T) {
		w.AddOrganization(iamsim.Organization{Management: w.account, Members: w.members(3), EmptyPages: true})
		listed, _ := at(cli.json(t, "organizations", "list-accounts"), "Accounts").([]any)
		diff(t, len(listed), 4) // two pages and two empty ones, followed by the CLI
		diff(t, at(listed, 0, "Status"), any("ACTIVE"))
	})
	t.Run("cloudtrail", func(t *testing.T) { cliCloudTrail(t, w, cli) })
	t.Run("secretsmanager", func(t *testing.T) { cliSecrets(t, w, cli) })
	t.Run("ssm", func(t *testing.T) { cliParameters(t, w, cli) })
	t.Run("unknown action", func(t *testing.T) {
		_, stderr, err := cli.run(t, "iam", "list-roles")
		if err == nil || !strings.Contains(stderr, "(InvalidAction)") || !strings.Contains(stderr, "Could not find operation ListRoles for version 2010-05-08") {
			t.Errorf("got %v, %s", err, stderr)
		}
	})
}

func cliKeys(t *testing.T, w *world, cli *awsCLI) {
	made := cli.json(t, "iam", "create-access-key", "--user-name", "a")
	id, _ := at(made, "AccessKey", "AccessKeyId").(string)
	diff(t, at(made, "AccessKey", "SecretAccessKey"), any(w.account.SecretOf(id)))

	unused := cli.json(t, "iam", "get-access-key-last-used", "--access-key-id", id)
	diff(t, at(unused, "AccessKeyLastUsed"), any(map[string]any{"Region": "N/A", "ServiceName": "N/A"}))
	if err := w.account.Use(id, "s3", "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	used := cli.json(t, "iam", "get-access-key-last-used", "--access-key-id", id)
	diff(t, at(used, "AccessKeyLastUsed", "ServiceName"), any("s3"))

	cli.json(t, "iam", "update-access-key", "--user-name", "a", "--access-key-id", id, "--status", "Inactive")
	listed := cli.json(t, "iam", "list-access-keys", "--user-name", "a")
	diff(t, at(listed, "AccessKeyMetadata", 0, "Status"), any("Inactive"))
	w.account.AddKey("a", iamsim.Key{})
	_, stderr, err := cli.run(t, "iam", "create-access-key", "--user-name", "a")
	if err == nil || !strings.Contains(stderr, "(LimitExceeded)") || !strings.Contains(stderr, "AccessKeysPerUser: 2") {
		t.Errorf("a third key: %v, %s", err, stderr)
	}
	cli.json(t, "iam", "delete-access-key", "--user-name", "a", "--access-key-id", id)
	diff(t, len(w.account.Keys("a")), 1)
}

func cliSTS(t *testing.T, cli *awsCLI, role string) {
	diff(t, at(cli.json(t, "sts", "get-caller-identity"), "Arn"), any("arn:aws:sts::111122223333:assumed-role/keybot/sandbox"))
	_, stderr, err := cli.run(t, "sts", "assume-role", "--role-arn", role, "--role-session-name", "sess")
	if err == nil || !strings.Contains(stderr, "(AccessDenied)") {
		t.Errorf("without the external id: %v, %s", err, stderr)
	}
	session := cli.json(t, "sts", "assume-role", "--role-arn", role, "--role-session-name", "sess", "--external-id", "ext-1")
	text := func(name string) string {
		value, _ := at(session, "Credentials", name).(string)
		return value
	}
	inside := *cli
	inside.env = append(slices.Clone(cli.env),
		"AWS_ACCESS_KEY_ID="+text("AccessKeyId"), "AWS_SECRET_ACCESS_KEY="+text("SecretAccessKey"), "AWS_SESSION_TOKEN="+text("SessionToken"))
	diff(t, at(inside.json(t, "sts", "get-caller-identity"), "Arn"), any("arn:aws:sts::111122223333:assumed-role/keybot/sess"))
}

func cliCloudTrail(t *testing.T, w *world, cli *awsCLI) {
	key := w.account.AddKey("c", iamsim.Key{})
	for range 3 {
		w.perform(t, key, iamsim.Activity{Service: "ec2", Region: "eu-west-1", UserAgent: "Terraform/1.9"})
	}
	found, _ := at(cli.json(t, "cloudtrail", "lookup-events", "--lookup-attributes", "AttributeKey=AccessKeyId,AttributeValue="+key), "Events").([]any)
	diff(t, len(found), 3)
	text, _ := at(found, 0, "CloudTrailEvent").(string)
	diff(t, at(decodeRecord(t, text), "userAgent"), any("Terraform/1.9"))
	made := cli.json(t, "cloudtrail", "lookup-events", "--region", "us-east-1", "--max-items", "1",
		"--lookup-attributes", "AttributeKey=EventName,AttributeValue=CreateAccessKey")
	diff(t, at(made, "Events", 0, "Username"), any("sandbox"))
}

func cliSecrets(t *testing.T, w *world, cli *awsCLI) {
	made := cli.json(t, "secretsmanager", "create-secret", "--name", "app/key", "--secret-string", "one")
	first, _ := at(made, "VersionId").(string)
	diff(t, len(first), 36) // the CLI's own token
	put := cli.json(t, "secretsmanager", "put-secret-value", "--secret-id", "app/key", "--secret-string", "two", "--version-stages", "AWSPENDING")
	second, _ := at(put, "VersionId").(string)
	cli.json(t, "secretsmanager", "update-secret-version-stage", "--secret-id", "app/key", "--version-stage", "AWSCURRENT",
		"--remove-from-version-id", first, "--move-to-version-id", second)
	diff(t, at(cli.json(t, "secretsmanager", "get-secret-value", "--secret-id", "app/key"), "SecretString"), any("two"))
	stages := at(cli.json(t, "secretsmanager", "describe-secret", "--secret-id", "app/key"), "VersionIdsToStages")
	diff(t, stages, any(map[string]any{first: []any{"AWSPREVIOUS"}, second: []any{"AWSCURRENT", "AWSPENDING"}}))
	cli.json(t, "secretsmanager", "delete-secret", "--secret-id", "app/key", "--recovery-window-in-days", "7")
	_, stderr, err := cli.run(t, "secretsmanager", "get-secret-value", "--secret-id", "app/key")
	if err == nil || !strings.Contains(stderr, "(InvalidRequestException)") || !strings.Contains(stderr, "marked for deletion") {
		t.Errorf("a deleted secret: %v, %s", err, stderr)
	}
	if _, ok := w.account.SecretValue("eu-west-1", "app/key", ""); ok {
		t.Error("the deleted secret can be read")
	}
}

func cliParameters(t *testing.T, w *world, cli *awsCLI) {
	made := cli.json(t, "ssm", "put-parameter", "--name", "/app/key", "--value", "one", "--type", "SecureString")
	diff(t, at(made, "Version"), any(1.0))
	cli.json(t, "ssm", "add-tags-to-resource", "--resource-type", "Parameter", "--resource-id", "/app/key", "--tags", "Key=owner,Value=ann")
	diff(t, at(cli.json(t, "ssm", "get-parameter", "--name", "/app/key", "--with-decryption"), "Parameter", "Value"), any("one"))
	_, tags, _ := w.account.ParameterValue("eu-west-1", "/app/key")
	diff(t, tags, map[string]string{"owner": "ann"})
	_, stderr, err := cli.run(t, "ssm", "put-parameter", "--name", "/app/key", "--value", "two", "--type", "SecureString")
	if err == nil || !strings.Contains(stderr, "(ParameterAlreadyExists)") {
		t.Errorf("a second value: %v, %s", err, stderr)
	}
}
