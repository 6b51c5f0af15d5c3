package listing

import (
	"fmt"
	"io"
	"strings"
)

// SARIF's objects, as far as they are used
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		ShortDescription sarifText      `json:"shortDescription"`
		Help             *sarifText     `json:"help,omitempty"`
		Properties       map[string]any `json:"properties,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool          `json:"executionSuccessful"`
		EndTimeUTC          string        `json:"endTimeUtc"`
		Notifications       []sarifNotice `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotice struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification,omitempty"`
	}
)

var sarifLevels = map[string]string{"critical": "error", "high": "error", "medium": "warning", "low": "note"}

// SARIF writes the findings in the form that code scanning services read, version 2.1.0. A user stands where they expect a file. An
// accepted finding is there and suppressed; an account that was not read in full is a notification, and the run no success.
func (l Listing) SARIF(w io.Writer) error {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{
			Name: "keyturner", Version: l.Version, InformationURI: "https://github.com/keyturner/keyturner", Rules: []sarifRule{},
		}},
		Invocations: []sarifInvocation{{ExecutionSuccessful: l.Complete, EndTimeUTC: stamp(&l.ScannedAt)}},
		Results:     []sarifResult{},
	}
	index := map[string]int{}
	for i, r := range Rules {
		index[r.ID] = i
		rule := sarifRule{ID: r.ID, ShortDescription: sarifText{r.Title + "."}, Help: &sarifText{r.Advice}}
		if len(r.Controls) > 0 {
			rule.Properties = map[string]any{"tags": r.Controls}
		}
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
	}
	for _, a := range l.Accounts {
		for _, why := range a.lacks() {
			run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotice{"error", sarifText{"Account " + a.called() + ": " + why}})
		}
	}
	for _, f := range l.Findings {
		run.Results = append(run.Results, f.sarif(index[f.Rule]))
	}
	return encode(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func (f Finding) sarif(rule int) sarifResult {
	place := f.AccountID + "/" + strings.Trim(f.User, "<>")
	of := place
	if f.KeyID != "" {
		of += "/" + f.KeyID
	}
	result := sarifResult{
		RuleID: f.Rule, RuleIndex: rule, Level: sarifLevels[f.Severity], Message: sarifText{f.sentence()},
		Locations: []sarifLocation{{
			Physical: sarifPhysical{sarifArtifact{"aws/" + strings.NewReplacer("%", "%25", " ", "%20", "+", "%2B").Replace(place)}},
			Logical:  []sarifLogical{{of, "resource"}},
		}},
		Fingerprints: map[string]string{"keyturner/v1": f.Rule + ":" + of + ":" + stamp(f.KeyCreated)},
	}
	if f.Exempt {
		result.Suppressions = []sarifSuppression{{"external", fmt.Sprintf("%s (until %s)", f.ExemptReason, f.exemptDay)}}
	}
	return result
}

// sentence tells of a finding without a table around it.
func (f Finding) sentence() string {
	who := "User " + f.User
	if f.KeyID != "" {
		who += ", key " + f.KeyID
	}
	said := who + " in account " + called(f.AccountName, f.AccountID) + ": " + f.Title() + "."
	if f.KeyAge != nil {
		said += fmt.Sprintf(" It is %d days old.", *f.KeyAge)
	}
	said += " Last use: " + f.used() + ". Owner: " + f.owner() + "."
	if f.Remark != "" {
		said += " Not certain: " + f.Remark + "."
	}
	return said
}

// Title says what the finding is.
func (f Finding) Title() string {
	for _, r := range Rules {
		if r.ID == f.Rule {
			return r.Title
		}
	}
	return f.Rule
}
