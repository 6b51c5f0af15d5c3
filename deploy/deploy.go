// Package deploy holds the files that people install Keyturner with, and lets the sandbox run on the very manifest that a workspace
// gets.
package deploy

import (
	_ "embed"
	"fmt"

	"github.com/goccy/go-yaml"
)

//go:embed slack-manifest.yaml
var manifest []byte

// Manifest is what of the Slack app's manifest decides what Slack lets the app do.
type Manifest struct {
	Features struct {
		SlashCommands []struct{ Command string } `yaml:"slash_commands"`
	}
	OAuthConfig struct {
		Scopes struct{ Bot []string }
	} `yaml:"oauth_config"`
	Settings struct {
		EventSubscriptions struct {
			BotEvents []string `yaml:"bot_events"`
		} `yaml:"event_subscriptions"`
	}
}

// SlackManifest reads the manifest.
func SlackManifest() (Manifest, error) {
	var m Manifest
	if err := yaml.Unmarshal(manifest, &m); err != nil {
		return m, fmt.Errorf("read the Slack manifest: %w", err)
	}
	return m, nil
}

// Events are what the app is told of; never nil.
func (m Manifest) Events() []string {
	return append([]string{}, m.Settings.EventSubscriptions.BotEvents...)
}

// Commands are the slash commands.
func (m Manifest) Commands() []string {
	var names []string
	for _, c := range m.Features.SlashCommands {
		names = append(names, c.Command)
	}
	return names
}
