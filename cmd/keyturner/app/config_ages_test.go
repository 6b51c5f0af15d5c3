package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
)

func TestParse_Ages(t *testing.T) {
	const before = slackPart + "accounts: [{id: \"111122223333\", name: acme}]\n"
	for _, test := range []struct {
		name, text string
		want       []rotation.AgeRule
		problem    string
	}{
		{"one age", "ages: [{name: people, tag: kind=person, max_age: 80d}]", []rotation.AgeRule{{
			Name: "people", Matches: rotation.Matches{Tag: "kind", Value: "person"}, WarnAge: 75 * Day, MaxAge: 80 * Day, UnusedAge: 45 * Day,
		}}, ""},
		{"all of it", "ages: [{name: ci, accounts: [acme], paths: [/ci/*], users: [ci-*], warn_age: 20d, max_age: 30d, unused_age: 10d}]", []rotation.AgeRule{{
			Name: "ci", Matches: rotation.Matches{Accounts: []string{"111122223333"}, Paths: []string{"/ci/*"}, Users: []string{"ci-*"}},
			WarnAge: 20 * Day, MaxAge: 30 * Day, UnusedAge: 10 * Day,
		}}, ""},
		{"under the default of warn_age", "ages: [{name: people, max_age: 30d}]", nil, "warn_age 75d is not below max_age 30d"},
		{"no age", "ages: [{name: people, tag: kind=person}]", nil, "a rule without an age says nothing"},
		{"no name", "ages: [{max_age: 80d}]", nil, "name is missing"},
		{"twice", "ages: [{name: a, max_age: 80d}, {name: A, max_age: 81d}]", nil, "on line 3 already"},
		{"no duration", "ages: [{name: a, max_age: 80}]", nil, "has no unit"},
		{"misspelled", "ages: [{name: a, maxage: 80d}]", nil, "write max_age"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, err := Parse("f", []byte(before+test.text+"\n"))
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("got %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, cfg.findings().Rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			var out strings.Builder
			if err := cfg.Summary(&out); err != nil || !strings.Contains(out.String(), test.want[0].Name+", for ") {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}
