package deploy

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestManifest_Schema holds the manifest against a JSON Schema of what Slack documents, and
// shows by changes to it what the schema refuses.
func TestManifest_Schema(t *testing.T) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, "testdata/manifest.schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("manifest.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	text := string(read(t, "slack-manifest.yaml"))
	for _, test := range []struct {
		name, old, changed string
		want               string // part of the refusal; empty: taken
	}{
		{"as it is", "", "", ""},
		{"a name of 35 characters", "name: Keyturner", "name: " + strings.Repeat("é", 35), ""},
		{"a name of 36 characters", "name: Keyturner", "name: " + strings.Repeat("é", 36), "'/display_information/name': maxLength: got 36, want 35"},
		{"no name", "  name: Keyturner\n", "", "'/display_information': missing property 'name'"},
		{"a description of 141 characters", "description: Rotates", "description: " + strings.Repeat("x", 141) + " #", "'/display_information/description'"},
		{"a colour by name", `"#1f2937"`, "grey", "'/display_information/background_color'"},
		{"an unknown key at the top", "features:", "colour: red\nfeatures:", "additional properties 'colour' not allowed"},
		{"an unknown key deep down", "always_online: true", "always_awake: true", "'/features/bot_user': additional properties 'always_awake' not allowed"},
		{"a display name with a capital", "display_name: keyturner", "display_name: Keyturner", "'/features/bot_user/display_name'"},
		{"a command without a slash", "command: /rotate-key", "command: rotate-key", "'/features/slash_commands/0/command'"},
		{"a command of two words", "command: /rotate-key", "command: /rotate key", "'/features/slash_commands/0/command'"},
		{"a command of 33 characters", "command: /rotate-key", "command: /" + strings.Repeat("x", 32), "'/features/slash_commands/0/command': maxLength: got 33, want 32"},
		{"a command without a description", "      description: Rotate your AWS access key, or see how far a rotation is\n", "", "'/features/slash_commands/0': missing property 'description'"},
		{"a command with a URL", "      should_escape: true", "      url: https://example.com/command", "'/features/slash_commands/0': additional properties 'url' not allowed"},
		{"an unknown scope", "- users:read ", "- users:write ", "'/oauth_config/scopes/bot/9': value must be one of"},
		{"a scope twice", "- users:read ", "- im:write ", "'/oauth_config/scopes/bot': items at 7 and 9 are equal"},
		{"another event", "- app_home_opened ", "- user_change ", ""},
		{"an unknown event", "- app_home_opened ", "- message ", "'/settings/event_subscriptions/bot_events/0'"},
		{"no Socket Mode", "socket_mode_enabled: true", "socket_mode_enabled: false", "'/settings/socket_mode_enabled'"},
		{"a word for a switch", "is_enabled: true", "is_enabled: maybe", "'/settings/interactivity/is_enabled'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.Count(text, test.old) != 1 && test.old != "" {
				t.Fatalf("the manifest has %q %d times", test.old, strings.Count(text, test.old))
			}
			raw, err := yaml.YAMLToJSON([]byte(strings.Replace(text, test.old, test.changed, 1)))
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			err = schema.Validate(manifest)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("refusal %v, want %s", err, test.want)
			}
		})
	}
}
