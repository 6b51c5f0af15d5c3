package bot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/bot/slacksim/npmtest"
)

// typeHeader declares what the golden files must be. The blocks of Slack's own ModalView may
// be of any type at all, so ours are held to the known ones. The two statements that tsc has
// to reject show that these types do reject something.
const typeHeader = `import type { HomeView, KnownBlock, ModalView } from '@slack/types';
type Message = { text: string; blocks: KnownBlock[] };
type Modal = Omit<ModalView, 'blocks'> & { blocks: KnownBlock[] };
type Home = Omit<HomeView, 'blocks'> & { blocks: KnownBlock[] };
export const unknownBlock: Message = {
  text: 'x',
  // @ts-expect-error there is no such block
  blocks: [{ type: 'nonsense' }],
};
export const unknownStyle: Message = {
  text: 'x',
  blocks: [
    {
      type: 'actions',
      // @ts-expect-error a button has no such style
      elements: [{ type: 'button', text: { type: 'plain_text', text: 'x' }, style: 'default' }],
    },
  ],
};
`

// script puts golden files together as TypeScript, and remembers which lines are whose.
type script struct {
	bytes.Buffer
	lines int
	files []goldenAt
}

// goldenAt is a golden file whose first line is the one after a line of the script.
type goldenAt struct {
	name  string
	after int
}

func (s *script) write(text string) {
	s.WriteString(text)
	s.lines += strings.Count(text, "\n")
}

func (s *script) add(t *testing.T, name string, content []byte) {
	t.Helper()
	var golden struct {
		Type   string
		Text   *string
		Blocks []json.RawMessage
	}
	if err := json.Unmarshal(content, &golden); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	kind := map[string]string{"modal": "Modal", "home": "Home"}[golden.Type]
	if kind == "" && golden.Type == "" && golden.Text != nil && golden.Blocks != nil {
		kind = "Message"
	}
	if kind == "" {
		t.Fatalf("%s is neither a message with text and blocks nor a view", name)
	}
	s.write(fmt.Sprintf("export const golden%d: %s =\n", len(s.files), kind))
	s.files = append(s.files, goldenAt{name, s.lines})
	s.write(string(content))
	s.write(";\n")
}

// locate turns a line of the script into the golden file and the line in it.
func (s *script) locate(line int) string {
	for _, f := range slices.Backward(s.files) {
		if line > f.after {
			return fmt.Sprintf("%s:%d", f.name, line-f.after)
		}
	}
	return fmt.Sprintf("types_test.go, line %d of the script", line)
}

var complaint = regexp.MustCompile(`(?m)^goldens\.ts\((\d+),\d+\)`)

// TestGoldens_AreOfSlacksTypes has the TypeScript compiler hold every golden message and view
// against the types that Slack publishes.
func TestGoldens_AreOfSlacksTypes(t *testing.T) {
	t.Parallel()
	folder := npmtest.Folder(t, filepath.Join("testdata", "types"))
	var s script
	s.write(typeHeader)
	err := filepath.WalkDir("testdata", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".golden.json") {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil {
			s.add(t, path, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.files) < 100 {
		t.Errorf("only %d golden files were found", len(s.files))
	}
	if err := os.WriteFile(filepath.Join(folder, "goldens.ts"), s.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	tsc := exec.CommandContext(
		t.Context(), "node", filepath.Join("node_modules", "typescript", "bin", "tsc"),
		"--noEmit", "--strict", "--pretty", "false", "--module", "nodenext", "--target", "es2022", "goldens.ts",
	)
	tsc.Dir = folder
	out, err := tsc.CombinedOutput()
	if err != nil {
		t.Errorf("tsc: %v\n%s", err, complaint.ReplaceAllFunc(out, func(found []byte) []byte {
			line, _ := strconv.Atoi(string(complaint.FindSubmatch(found)[1])) // digits, as matched
			return []byte(s.locate(line))
		}))
	}
}
