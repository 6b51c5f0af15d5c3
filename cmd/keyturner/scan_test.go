package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/cmd/keyturner/listing"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

var update = flag.Bool("update", false, "write the golden files")

// scanned scans the world of scanConfig on scanDay.
func scanned(t *testing.T, reportOnly bool, accounts ...string) (found listing.Listing) {
	t.Helper()
	cfg, err := app.LoadForScan(writeScanConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // where waiting for a report takes no time
		now := func() time.Time { return scanDay }
		sim, key, secret := scanSim(t, now)
		found, err = app.Scan(t.Context(), app.ScanOptions{
			Config: cfg, Accounts: accounts, ReportOnly: reportOnly, Version: "v0.0.0-golden", Now: now,
			AWS: &aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: sim.Transport()}},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	return found
}

func writeScanConfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyturner.yaml")
	if err := os.WriteFile(path, []byte(scanConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScan_Formats compares what a scan writes, in each format, with golden files.
func TestScan_Formats(t *testing.T) {
	clean := scanned(t, false, "production")
	clean.Findings = []listing.Finding{}
	for name, found := range map[string]listing.Listing{"full": scanned(t, false), "report": scanned(t, true, "production"), "clean": clean} {
		for format, write := range writers {
			t.Run(name+"."+format, func(t *testing.T) {
				var out bytes.Buffer
				if err := write(found, &out); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(out.String(), "\x1b") {
					t.Error("colours, although nobody watches")
				}
				golden(t, filepath.Join("testdata", "scan", name+"."+format+".golden"), out.Bytes())
			})
		}
	}
	var out bytes.Buffer
	if err := scanned(t, false).Table(&out, true); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "scan", "full.colour.golden"), out.Bytes())
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestScan_NothingIsLost: every account and every finding is in every format, whatever could not be read.
func TestScan_NothingIsLost(t *testing.T) {
	found := scanned(t, false)
	if found.Complete || found.States(listing.NotRead) != 1 || found.States(listing.Partly) != 1 || found.States(listing.Read) != 1 {
		t.Fatalf("accounts: %+v", found.Accounts)
	}
	for format, write := range writers {
		var out bytes.Buffer
		if err := write(found, &out); err != nil {
			t.Fatal(err)
		}
		wanted := []string{"333344445555", "external id", "iam:GetAccessKeyLastUsed"}
		for _, f := range found.Findings {
			wanted = append(wanted, f.Rule, f.KeyID, strings.Trim(f.User, "<>"))
		}
		for _, want := range wanted {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing", format, want)
			}
		}
	}
	for _, f := range found.Findings {
		if f.AccountName == "sandbox" && (f.OwnerKnown || f.LastUse != "unknown" || f.Rule == "idle") {
			t.Errorf("what is not known is told: %+v", f)
		}
	}
}

// TestScan_CSV: each row has a cell for each column, and none is a formula.
func TestScan_CSV(t *testing.T) {
	found := scanned(t, false)
	found.Findings[0].User = "=HYPERLINK(1)"
	var out bytes.Buffer
	if err := found.CSV(&out); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 1+len(found.Accounts)+len(found.Findings) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		if slices.ContainsFunc(row, func(cell string) bool { return strings.HasPrefix(cell, "=") }) {
			t.Errorf("a formula: %q", row)
		}
	}
}

// TestScan_SARIF holds what SARIF 2.1.0 requires of the objects that are used.
func TestScan_SARIF(t *testing.T) {
	var out bytes.Buffer
	if err := scanned(t, false).SARIF(&out); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID               string
						ShortDescription struct{ Text string }
					}
				}
			}
			Invocations []struct {
				ExecutionSuccessful *bool
				Notifications       []struct{ Message struct{ Text string } } `json:"toolExecutionNotifications"`
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
				Suppressions []struct{ Kind string }
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" || len(log.Runs[0].Results) == 0 {
		t.Fatalf("log: %+v", log)
	}
	run := log.Runs[0]
	if len(run.Invocations) != 1 || run.Invocations[0].ExecutionSuccessful == nil || *run.Invocations[0].ExecutionSuccessful || len(run.Invocations[0].Notifications) == 0 {
		t.Errorf("invocations: %+v", run.Invocations)
	}
	suppressed := 0
	for _, r := range run.Results {
		if r.RuleIndex < 0 || r.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("the rule of %+v is not at its index", r)
		}
		if !slices.Contains([]string{"none", "note", "warning", "error"}, r.Level) || r.Message.Text == "" || len(r.Locations) != 1 ||
			strings.ContainsAny(r.Locations[0].PhysicalLocation.ArtifactLocation.URI, " <>") {
			t.Errorf("result: %+v", r)
		}
		for _, s := range r.Suppressions {
			if suppressed++; s.Kind != "external" && s.Kind != "inSource" {
				t.Errorf("suppression: %+v", s)
			}
		}
	}
	if suppressed != 2 { // of one user: the key is too old, and nobody is answerable
		t.Errorf("%d findings are suppressed, want the two that are exempt", suppressed)
	}
}

// TestScan_Program runs the program as an operator and a CI do.
func TestScan_Program(t *testing.T) {
	sim, key, secret := scanSim(t, time.Now)
	environment := scanServer(t, sim, key, secret)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "scan"),
		Setup: func(env *testscript.Env) error {
			for name, value := range environment {
				env.Setenv(name, value)
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "keyturner.yaml"), []byte(scanConfig), 0o600)
		},
	})
}

// TestScan_ExitCodes: a CI must be able to tell "nothing" from "found" and from "not looked at".
func TestScan_ExitCodes(t *testing.T) {
	sim, key, secret := scanSim(t, time.Now)
	clean := sim.AddAccount("444455556666", "clean")
	clean.AddRole("keyturner", "")
	for name, value := range scanServer(t, sim, key, secret) {
		t.Setenv(name, value)
	}
	config := filepath.Join(t.TempDir(), "keyturner.yaml")
	accounts := strings.Replace(scanConfig, "accounts:", `accounts:
  - {id: "444455556666", name: clean, role: "arn:aws:iam::444455556666:role/keyturner"}`, 1)
	if err := os.WriteFile(config, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		want int
		out  string
		says string
	}{
		{"nothing", []string{"--account", "clean"}, 0, "0 findings in 1 account with 0 users.", ""},
		{"found", []string{"--account", "production"}, 1, "ci-deploy", ""},
		{"found, by its id and the report", []string{"--account", "111122223333", "--report-only"}, 1, "ci-deploy", ""},
		{"not looked at", []string{"--account", "tools"}, 2, "Nothing is known of 1 account.", ""},
		{"not looked at everything", nil, 2, "ci-deploy", ""},
		{"no such account", []string{"--account", "prod"}, 2, "", `account "prod" is not in the configuration`},
		{"no such format", []string{"--format", "xml"}, 2, "", "csv, json, markdown, sarif, table"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			got := run(t.Context(), append([]string{"scan", "--config", config}, test.args...), &stdout, &stderr)
			if got != test.want || !strings.Contains(stdout.String(), test.out) || !strings.Contains(stderr.String(), test.says) ||
				test.says == "" && stderr.Len() > 0 || test.out == "" && stdout.Len() > 0 {
				t.Errorf("exit code %d, want %d; it wrote %q and %q", got, test.want, stdout.String(), stderr.String())
			}
		})
	}
	for _, c := range sim.Calls() {
		if strings.HasPrefix(c.Op, "Create") || strings.HasPrefix(c.Op, "Update") || strings.HasPrefix(c.Op, "Delete") {
			t.Errorf("a scan has called %s", c.Op)
		}
	}
}

// TestScan_Organization finds the accounts, and fails whole if it may not.
func TestScan_Organization(t *testing.T) {
	sim, key, secret := scanSim(t, time.Now)
	production := sim.AddAccount("111122223333", "")
	production.AddRole("keyturner", "right")
	sim.AddOrganization(iamsim.Organization{Management: production, Members: []*iamsim.Account{sim.AddAccount("222233334444", "")}, EmptyPages: true})
	for name, value := range scanServer(t, sim, key, secret) {
		t.Setenv(name, value)
	}
	config := filepath.Join(t.TempDir(), "keyturner.yaml")
	if err := os.WriteFile(config, []byte("organization: {role_name: keyturner, external_id: right}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"scan", "--config", config}, &stdout, &stderr)
	if out := stdout.String(); code != 2 || !strings.Contains(out, "ci-deploy") || !strings.Contains(out, "sandbox") || !strings.Contains(out, "in 2 accounts") {
		t.Errorf("exit code %d: %s%s", code, out, stderr.String())
	}
	sim.Fail("ListAccounts", iamsim.Fault{Code: "AccessDenied"})
	stdout.Reset()
	code = run(t.Context(), []string{"scan", "--config", config}, &stdout, &stderr)
	if code != 2 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "organization-policy.json") {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
}

// TestScan_CutOff: a scan that is ended in the midst says how far it was, and lists nothing that could be taken for the whole.
func TestScan_CutOff(t *testing.T) {
	cfg, err := app.LoadForScan(writeScanConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim, key, secret := scanSim(t, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		found, err := app.Scan(ctx, app.ScanOptions{
			Config: cfg, Progress: func(int, int) { cancel() },
			AWS: &aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: noRoles{sim.Transport(), ctx.Done()}}},
		})
		if err == nil || !strings.Contains(err.Error(), "cut off when 1 of 3 accounts were read") || found.Complete || len(found.Findings)+len(found.Accounts) > 0 {
			t.Errorf("error %v, and %d findings are listed", err, len(found.Findings))
		}
	})

	sim, key, secret := scanSim(t, time.Now)
	organization := strings.Replace(scanConfig, "accounts:", "organization: {role_name: keyturner}\naccounts:", 1)
	for _, test := range []struct{ config, says string }{
		{scanConfig, "cut off when 0 of 3 accounts were read"},
		{organization, "cut off before an account was read"},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		for name, value := range scanServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { interrupt(); sim.ServeHTTP(w, r) }), key, secret) {
			t.Setenv(name, value)
		}
		path := filepath.Join(t.TempDir(), "keyturner.yaml")
		if err := os.WriteFile(path, []byte(test.config), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"table", "csv", "json"} {
			var stdout, stderr bytes.Buffer
			code := run(ctx, []string{"scan", "--config", path, "--format", format}, &stdout, &stderr)
			if code != exitNotSeen || stdout.Len() > 0 || !strings.Contains(stderr.String(), test.says) || strings.Contains(stderr.String(), "context") {
				t.Errorf("exit code %d; it wrote %q and %q, want %q", code, stdout.String(), stderr.String(), test.says)
			}
		}
	}
}

// noRoles lets nobody assume a role until the end.
type noRoles struct {
	next http.RoundTripper
	end  <-chan struct{}
}

func (n noRoles) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(body, []byte("Action=AssumeRole")) {
		<-n.end
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return n.next.RoundTrip(r)
}

func TestBar(t *testing.T) {
	b := &bar{}
	if got := b.text(3 * time.Second); got != "reading accounts, 3s" {
		t.Errorf("at first: %q", got)
	}
	b.show(2, 4)
	b.show(1, 4) // told late by another goroutine
	if got, want := b.text(75*time.Second), "["+strings.Repeat("#", 15)+strings.Repeat("-", 15)+"] 2 of 4 accounts read, 1m15s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var out bytes.Buffer
	quiet := newBar(&out)
	quiet.show(1, 2)
	if quiet.end(); out.Len() != 0 {
		t.Errorf("written where nobody watches: %q", out.String())
	}
}
