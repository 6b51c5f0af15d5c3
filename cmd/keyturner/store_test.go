package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// TestStore_Scripts plays the stories in testdata/store. Each begins with a store of three users in keyturner.db, which the command
// hold keeps open until the end, as a running keyturner does.
func TestStore_Scripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/store",
		Setup: func(env *testscript.Env) error { return fill(filepath.Join(env.WorkDir, "keyturner.db")) },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"hold": func(ts *testscript.TestScript, _ bool, args []string) {
				s, err := store.OpenBolt(ts.MkAbs(args[0]), store.Config{})
				ts.Check(err)
				ts.Defer(func() { ts.Check(s.Close()) })
			},
		},
	})
}

func fill(path string) error {
	s, err := store.OpenBolt(path, store.Config{})
	if err != nil {
		return err
	}
	for _, name := range []string{"ana", "ben", "cy"} {
		if _, err := s.Create(context.Background(), rotation.Progress{User: rotation.UserRef{Account: "111122223333", Name: name}}); err != nil {
			return err
		}
	}
	return s.Close()
}

func TestStore_ExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := fill("keyturner.db"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("broken.db", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"backup", []string{"backup", "--store", "bolt:keyturner.db", "backup"}, 0},
		{"restore", []string{"restore", "--store", "bolt:restored.db", "backup"}, 0},
		{"check", []string{"check", "--store", "bolt:restored.db"}, 0},
		{"help", nil, 0},

		{"no such command", []string{"bakcup"}, 2},
		{"no store", []string{"backup", "second"}, 2},
		{"two stores", []string{"check", "--store", "bolt:keyturner.db", "--config", "keyturner.yaml"}, 2},
		{"no file", []string{"backup", "--store", "bolt:keyturner.db"}, 2},
		{"two files", []string{"restore", "--store", "bolt:new.db", "backup", "backup"}, 2},
		{"no configuration", []string{"check", "--config", "none.yaml"}, 2},
		{"no path", []string{"check", "--store", "bolt:"}, 2},
		{"no kind", []string{"check", "--store", "keyturner.db"}, 2},
		{"an empty flag", []string{"check", "--store", ""}, 2},
		{"memory", []string{"backup", "--store", "mem", "second"}, 2},
		{"DynamoDB", []string{"check", "--store", "dynamodb:eu-west-1/keyturner"}, 2},

		{"backup exists", []string{"backup", "--store", "bolt:keyturner.db", "backup"}, 1},
		{"store exists", []string{"restore", "--store", "bolt:keyturner.db", "backup"}, 1},
		{"store missing", []string{"check", "--store", "bolt:none.db"}, 1},
		{"store broken", []string{"check", "--store", "bolt:broken.db"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			got := run(t.Context(), append([]string{"store"}, test.args...), &stdout, &stderr)
			if got != test.want || (got == 0) == (stdout.Len() == 0) || (got == 0) != (stderr.Len() == 0) {
				t.Errorf("exit code %d, want %d; it said: %s%s", got, test.want, &stdout, &stderr)
			}
		})
	}
}
