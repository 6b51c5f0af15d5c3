package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// words is a JSON string or list of strings: IAM takes both.
type words []string

func (w *words) UnmarshalJSON(text []byte) error {
	if !bytes.HasPrefix(text, []byte("[")) {
		*w = make(words, 1)
		return json.Unmarshal(text, &(*w)[0])
	}
	return json.Unmarshal(text, (*[]string)(w))
}

type statement struct {
	Sid       string
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    words
	Resource  words                        `json:",omitempty"`
	Condition map[string]map[string]string `json:",omitempty"`
}

type policy struct {
	Version   string
	Statement []statement
}

var keyChanges = words{"iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:UpdateAccessKey"}

// policies is what each file may grant. A change here is a change of what keyturner can do to somebody's account.
var policies = map[string][]statement{
	"iam-policy.json": {
		{
			Sid: "Scan", Effect: "Allow", Resource: words{"*"},
			Action: words{
				"iam:GenerateCredentialReport", "iam:GetAccessKeyLastUsed", "iam:GetAccountAuthorizationDetails",
				"iam:GetCredentialReport", "iam:GetUser", "iam:ListAccessKeys", "iam:ListUsers",
			},
		},
		// Optional: without it a key whose creation's answer was lost is always shown to a person. It has no resources to name.
		{Sid: "WhoMadeAKey", Effect: "Allow", Resource: words{"*"}, Action: words{"cloudtrail:LookupEvents"}},
		// Optional: for accounts whose configuration names regions of CloudTrail.
		{Sid: "WhoUsesAKey", Effect: "Allow", Resource: words{"*"}, Action: words{"cloudtrail:LookupEvents"}},
		{
			Sid: "Rotate", Effect: "Allow", Resource: words{"arn:aws:iam::*:user/*"}, Action: keyChanges,
			Condition: map[string]map[string]string{"StringEquals": {"iam:ResourceTag/key-rotation": "managed"}},
		},
		{
			Sid: "Protected", Effect: "Deny", Resource: words{"*"}, Action: keyChanges,
			Condition: map[string]map[string]string{"StringEquals": {"iam:ResourceTag/key-rotation": "exempt"}},
		},
	},
	"assume-policy.json": {
		{Sid: "EnterAccounts", Effect: "Allow", Resource: words{"arn:aws:iam::*:role/keyturner"}, Action: words{"sts:AssumeRole"}},
	},
	// Only where the configuration has an organization; in its management account or a delegated administrator's. The last three are for
	// include and exclude by unit and tag.
	"organization-policy.json": {{
		Sid: "ListOrganization", Effect: "Allow", Resource: words{"*"},
		Action: words{
			"organizations:ListAccounts", "organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent",
			"organizations:ListTagsForResource",
		},
	}},
	// Only for accounts whose delivery is secretsmanager or ssm, and for the names that their secret_name makes. GetParameter is called without
	// decryption, to look whether a parameter is there; the last statement keeps it from doing more
	// (https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html).
	"delivery-policy.json": {
		{
			Sid: "WriteSecrets", Effect: "Allow", Resource: words{"arn:aws:secretsmanager:*:*:secret:keyturner/*"},
			Action: words{"secretsmanager:CreateSecret", "secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue"},
		},
		{
			Sid: "WriteParameters", Effect: "Allow", Resource: words{"arn:aws:ssm:*:*:parameter/keyturner/*"},
			Action: words{"ssm:GetParameter", "ssm:PutParameter"},
		},
		{
			Sid: "NeverReadParameters", Effect: "Deny", Resource: words{"*"}, Action: words{"kms:Decrypt"},
			Condition: map[string]map[string]string{"StringLike": {"kms:EncryptionContext:PARAMETER_ARN": "arn:aws:ssm:*:*:parameter/keyturner/*"}},
		},
	},
	"store-policy.json": {
		{
			Sid: "Store", Effect: "Allow",
			Resource: words{"arn:aws:dynamodb:*:444455556666:table/keyturner", "arn:aws:dynamodb:*:444455556666:table/keyturner/index/live"},
			Action:   words{"dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"},
		},
	},
	"self-service-policy.json": {
		{
			Sid: "ManageOwnAccessKeys", Effect: "Allow",
			// The second is for users with a path.
			Resource: words{"arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::*:user/*/${aws:username}"},
			// Without TagUser, with which a user would change the tags that the bot's own policy goes by.
			Action: words{
				"iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:GetAccessKeyLastUsed", "iam:GetUser",
				"iam:ListAccessKeys", "iam:UpdateAccessKey",
			},
		},
	},
	"member-role-trust.json": {
		{
			Sid: "KeyturnerOnly", Effect: "Allow", Action: words{"sts:AssumeRole"},
			Principal: map[string]string{"AWS": "arn:aws:iam::444455556666:role/keyturner-home"},
			Condition: map[string]map[string]string{
				"StringEquals": {"sts:ExternalId": "replace-with-a-random-value", "aws:PrincipalOrgID": "o-exampleorgid"},
			},
		},
	},
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parsePolicy(t *testing.T, file string) policy {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(read(t, file)))
	decoder.DisallowUnknownFields() // NotAction and NotResource would grant by leaving out
	var p policy
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return p
}

func TestPolicies(t *testing.T) {
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(policies) {
		t.Errorf("%d policies in the folder, %d known here", len(files), len(policies))
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			// With any other version ${aws:username} is not a variable but text.
			want := policy{Version: "2012-10-17", Statement: policies[file]}
			if diff := cmp.Diff(want, parsePolicy(t, file)); diff != "" {
				t.Errorf("grants (-want +file):\n%s", diff)
			}
		})
	}
}

// TestPolicies_BotCanCallWhatItCalls compares the bot's policies with the calls in the adapter, in both directions.
func TestPolicies_BotCanCallWhatItCalls(t *testing.T) {
	granted := map[string]bool{}
	for _, s := range slices.Concat(
		parsePolicy(t, "iam-policy.json").Statement, parsePolicy(t, "delivery-policy.json").Statement, parsePolicy(t, "organization-policy.json").Statement,
	) {
		for _, action := range s.Action {
			if s.Effect == "Allow" {
				granted[action] = true
			}
		}
	}
	sources, err := filepath.Glob("../rotation/awsiam/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("sources of the adapter: %d, %v", len(sources), err)
	}
	called := map[string]bool{}
	input := regexp.MustCompile(`\b(iam|cloudtrail|organizations|secretsmanager|ssm)\.([A-Z]\w+)Input\{`)
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		for _, match := range input.FindAllSubmatch(read(t, source), -1) {
			called[string(match[1])+":"+string(match[2])] = true
		}
	}
	// Called one by one for each user, only where GetAccountAuthorizationDetails is not granted; here it is.
	delete(called, "iam:ListUserTags")
	if diff := cmp.Diff(called, granted); diff != "" {
		t.Errorf("permissions (-called +granted):\n%s", diff)
	}
}

func TestManifest(t *testing.T) {
	text := read(t, "slack-manifest.yaml")
	var manifest struct {
		Display struct {
			Name, Description string
		} `yaml:"display_information"`
		Features struct {
			Home struct {
				Home     bool `yaml:"home_tab_enabled"`
				Tab      bool `yaml:"messages_tab_enabled"`
				ReadOnly bool `yaml:"messages_tab_read_only_enabled"`
			} `yaml:"app_home"`
			Commands []map[string]any `yaml:"slash_commands"`
		}
		OAuth struct {
			Scopes map[string][]string
		} `yaml:"oauth_config"`
		Settings struct {
			Events        map[string][]string `yaml:"event_subscriptions"`
			Interactivity struct {
				Enabled bool   `yaml:"is_enabled"`
				URL     string `yaml:"request_url"`
			}
			SocketMode    bool `yaml:"socket_mode_enabled"`
			TokenRotation bool `yaml:"token_rotation_enabled"`
		}
	}
	if err := yaml.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	wantScopes := map[string][]string{"bot": {"channels:history", "channels:read", "chat:write", "commands", "files:write", "groups:history", "groups:read", "im:write", "usergroups:read", "users:read", "users:read.email"}}
	if diff := cmp.Diff(wantScopes, manifest.OAuth.Scopes); diff != "" {
		t.Errorf("scopes (-want +manifest):\n%s", diff)
	}
	if bot := manifest.OAuth.Scopes["bot"]; !slices.IsSorted(bot) {
		t.Errorf("scopes are not sorted: %v", bot)
	}
	for _, scope := range manifest.OAuth.Scopes["bot"] {
		if !regexp.MustCompile(`(?m)^ +- ` + scope + ` +# \S`).Match(text) {
			t.Errorf("no reason beside the scope %s", scope)
		}
	}
	if s := manifest.Settings; !s.SocketMode || !s.Interactivity.Enabled || s.Interactivity.URL != "" || s.TokenRotation {
		t.Errorf("settings = %+v, want Socket Mode and interactivity without URLs or token rotation", s)
	}
	if diff := cmp.Diff(map[string][]string{"bot_events": {"app_home_opened"}}, manifest.Settings.Events); diff != "" {
		t.Errorf("events (-want +manifest):\n%s", diff)
	}
	if home := manifest.Features.Home; !home.Home || !home.Tab || home.ReadOnly {
		t.Errorf("app home = %+v, want a Home tab, and a messages tab that can be written in", home)
	}
	if len(manifest.Features.Commands) != 1 || manifest.Features.Commands[0]["command"] != "/rotate-key" || manifest.Features.Commands[0]["url"] != nil {
		t.Errorf("commands = %v, want /rotate-key without a URL", manifest.Features.Commands)
	}
	// Slack's limits: https://docs.slack.dev/reference/app-manifest
	if d := manifest.Display; d.Name == "" || len(d.Name) > 35 || d.Description == "" || len(d.Description) > 140 {
		t.Errorf("display information = %+v, want a name of at most 35 and a description of at most 140 characters", d)
	}
}

func TestDockerfile(t *testing.T) {
	var steps []string
	for line := range strings.Lines(string(read(t, "Dockerfile"))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			steps = append(steps, line)
		}
	}
	match := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(read(t, "../go.mod"))
	if match == nil {
		t.Fatal("no Go version in go.mod")
	}
	for _, want := range []string{
		fmt.Sprintf("FROM golang:%s AS build", match[1]),
		"RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/keyturner ./cmd/keyturner",
		"FROM gcr.io/distroless/static-debian12:nonroot",
		"USER 65532:65532",
		"VOLUME /var/lib/keyturner",
		`ENTRYPOINT ["/usr/local/bin/keyturner"]`,
	} {
		if !slices.Contains(steps, want) {
			t.Errorf("no step %s", want)
		}
	}
	for _, step := range steps {
		switch word, _, _ := strings.Cut(step, " "); word {
		case "ARG", "ENV", "EXPOSE", "ADD":
			t.Errorf("step %s: the image needs no setting, port or download, and must not hold a token", step)
		}
	}
	if _, err := os.Stat("../cmd/keyturner/main.go"); err != nil {
		t.Error(err)
	}
	ignored := string(read(t, "Dockerfile.dockerignore"))
	if !strings.Contains(ignored, "\n*\n") {
		t.Error("the build's context is not limited to what is listed")
	}
}

func TestService(t *testing.T) {
	unit := string(read(t, "keyturner.service"))
	for _, want := range []string{
		"DynamicUser=yes", "StateDirectory=keyturner", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "LimitCORE=0",
		"Environment=SLACK_APP_TOKEN_FILE=%d/slack-app-token", "LoadCredential=slack-app-token:/etc/keyturner/slack-app-token",
		"Environment=SLACK_BOT_TOKEN_FILE=%d/slack-bot-token", "LoadCredential=slack-bot-token:/etc/keyturner/slack-bot-token",
	} {
		if !strings.Contains(unit, "\n"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
}

// TestNoTokens: nothing that is installed from here comes with a token in it.
func TestNoTokens(t *testing.T) {
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`(xox[a-z]|xapp)-[0-9A-Za-z]|\b(AKIA|ASIA)[0-9A-Z]{16}\b`)
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			continue // testdata
		}
		if found := token.Find(read(t, file)); found != nil {
			t.Errorf("%s holds what looks like a token, beginning with %.5s", file, found)
		}
	}
}
