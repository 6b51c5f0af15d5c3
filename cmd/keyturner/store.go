package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/store"
)

func storeCommands() *cobra.Command {
	group := &cobra.Command{
		Use:   "store",
		Short: "Back up, restore, check and copy the store",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() }, // with it, a mistyped command is an error
	}
	group.AddCommand(storeBackup(), storeRestore(), storeCheck(), storeCopy())
	return group
}

func storeBackup() *cobra.Command {
	return onFile(&cobra.Command{
		Use:   "backup (--store bolt:PATH | --config FILE) FILE",
		Short: "Copy the store to a new file, while keyturner runs",
		Long: `Copy the store to a new FILE that only you can read. It may be in use: the copy is the state of one moment, and is read back completely
before it gets its name. An existing FILE is never overwritten. Run it on the machine that keyturner runs on.`,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, path string, args []string) (string, error) {
		held, err := store.Backup(ctx, path, args[0])
		return fmt.Sprintf("backed up %s to %s: %s", path, args[0], held), err
	})
}

func storeRestore() *cobra.Command {
	return onFile(&cobra.Command{
		Use:   "restore (--store bolt:PATH | --config FILE) FILE",
		Short: "Make the store anew from a backup",
		Long: `Make the store anew from the backup in FILE. Stop keyturner and move the old store away first: nothing is overwritten. Run it as the
user that keyturner runs as, who will own the store. What was decided and done since the backup was made is not in it: keyturner compares
it with AWS before it changes anything, and asks a person where they do not agree.`,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, path string, args []string) (string, error) {
		held, err := store.Restore(ctx, args[0], path)
		return fmt.Sprintf("restored %s from %s: %s", path, args[0], held), err
	})
}

func storeCheck() *cobra.Command {
	return onFile(&cobra.Command{
		Use:   "check (--store bolt:PATH | --config FILE)",
		Short: "Read all of the store and say whether it is sound",
		Long: `Read all of the store, say whether it is sound and how much it holds, and change nothing. It may be in use, or a backup. What is read
is a copy in the folder for temporary files, which TMPDIR names.`,
		Args: cobra.NoArgs,
	}, func(ctx context.Context, path string, _ []string) (string, error) {
		held, err := store.Check(ctx, path)
		return fmt.Sprintf("%s is sound: %s", path, held), err
	})
}

func storeCopy() *cobra.Command {
	return &cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy everything to another store, such as from a file to DynamoDB",
		Long: `Copy everything from one store to another, and compare them. Each is written as in the configuration: bolt:PATH or dynamodb:REGION/TABLE.
Stop every keyturner first. TO must be empty; a copy that was cut off goes on when the command is run again. FROM is marked afterwards, and
keyturner does not run on it any more: two copies that are run on would do everything twice.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, spec := range args {
				if kind, _, _ := strings.Cut(spec, ":"); kind != "bolt" && kind != "dynamodb" {
					return fmt.Errorf("store %q: write bolt:PATH or dynamodb:REGION/TABLE", spec)
				}
			}
			if err := copyStore(cmd, args[0], args[1]); err != nil {
				return &failure{err}
			}
			return nil
		},
	}
}

func copyStore(cmd *cobra.Command, from, to string) (err error) {
	if path, file := strings.CutPrefix(from, "bolt:"); file { // opening one that is not there would make it
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("copy the store %s: %w", from, err)
		}
	}
	source, err := store.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := store.Open(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	n, err := store.Copy(cmd.Context(), source, target, from, to)
	if err != nil {
		return fmt.Errorf("copy the store %s to %s: %w", from, to, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "copied %s to %s and compared them: %d users, %d claims, %d entries, %d envelopes. Set store: %s and start keyturner.\n",
		from, to, n.Users, n.Claims, n.Entries, n.Envelopes, to)
	return nil
}

// onFile completes a command that does something with a store in a file, and then says a line.
func onFile(cmd *cobra.Command, do func(ctx context.Context, path string, args []string) (string, error)) *cobra.Command {
	var flags storeFlags
	cmd.Flags().StringVar(&flags.spec, "store", "", "the store, as `bolt:PATH`")
	cmd.Flags().StringVar(&flags.config, "config", "", "the configuration `file` that names the store")
	cmd.MarkFlagsOneRequired("store", "config")
	cmd.MarkFlagsMutuallyExclusive("store", "config")
	cmd.DisableFlagsInUseLine = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := flags.path()
		if err != nil {
			return err
		}
		line, err := do(cmd.Context(), path, args)
		if err != nil {
			return &failure{err}
		}
		fmt.Fprintln(cmd.OutOrStdout(), line)
		return nil
	}
	return cmd
}

// storeFlags say which store is meant, in one way or the other.
type storeFlags struct{ spec, config string }

// path is where the store is, which has to be in a file.
func (f *storeFlags) path() (string, error) {
	spec := f.spec
	if f.config != "" {
		cfg, err := app.Load(f.config)
		if err != nil {
			return "", err
		}
		spec = cfg.Store
	}
	kind, path, _ := strings.Cut(spec, ":")
	switch {
	case kind == "bolt" && path != "":
		return path, nil
	case kind == "mem":
		return "", fmt.Errorf("store %q: it is gone when keyturner stops, and nobody else can read it: keep the store in a file, bolt:PATH", spec)
	case kind == "dynamodb":
		return "", fmt.Errorf("store %q: the table is AWS's to back up: turn on point-in-time recovery, or make an on-demand backup with aws "+
			"dynamodb create-backup; either is restored to a new table, whose name goes into the configuration", spec)
	}
	return "", fmt.Errorf("store %q: write bolt:PATH, such as bolt:/var/lib/keyturner/keyturner.db", spec)
}
