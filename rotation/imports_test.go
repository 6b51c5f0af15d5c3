package rotation

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports holds the direction of the imports: the domain knows the standard library alone, the adapters know the domain and not one
// another, and simulators are for tests and the sandbox.
func TestImports(t *testing.T) {
	const module = "github.com/keyturner/keyturner/"
	allowed := map[string][]string{ // of our own packages, by package
		"rotation":              nil,
		"rotation/awsiam":       {"rotation"},
		"rotation/iamsim":       nil,
		"store":                 {"rotation"},
		"store/storetest":       {"rotation"},
		"store/dynalitetest":    {"bot/slacksim/npmtest", "store"}, // for tests alone; npmtest knows nothing of Slack
		"bot":                   {"bot/report", "rotation"},
		"bot/report":            nil,
		"bot/slacksim":          nil,
		"bot/slacksim/npmtest":  nil, // for tests alone
		"deploy":                nil,
		"cmd/keyturner/app":     {"bot", "bot/report", "cmd/keyturner/listing", "rotation", "rotation/awsiam", "store"},
		"cmd/keyturner/listing": {"rotation"},
		"cmd/keyturner":         {"cmd/keyturner/app", "cmd/keyturner/listing", "store"},
		"cmd/sandbox":           {"bot/slacksim", "cmd/keyturner/app", "deploy", "rotation", "rotation/iamsim", "store"},
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list the packages: %v", err)
	}
	listed := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], module)
		want, known := allowed[name]
		if !known {
			t.Errorf("%s is a new package: say here what it may import", name)
		}
		listed++
		for _, imported := range words[1:] {
			own, ours := strings.CutPrefix(imported, module)
			if ours && !slices.Contains(want, own) {
				t.Errorf("%s must not import %s", name, own)
			}
			if first, _, _ := strings.Cut(imported, "/"); name == "rotation" && strings.Contains(first, ".") {
				t.Errorf("rotation must not import %s: it knows the standard library alone", imported)
			}
		}
	}
	if listed != len(allowed) {
		t.Errorf("%d packages were listed, %d are known: remove what is gone from the table", listed, len(allowed))
	}
}
