package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/cmd/keyturner/listing"
)

// The exit codes of a scan beside 0, which says that everything was looked at and nothing is due.
const (
	exitFound   = 1
	exitNotSeen = 2 // as for a wrong command line: nothing follows
)

// outcome ends the program with a code, without a word: all has been said.
type outcome struct{ code int }

func (o *outcome) Error() string { return fmt.Sprintf("exit code %d", o.code) }

// scanFlags are what the command line says about a scan.
type scanFlags struct {
	config, format string
	accounts       []string
	quick          bool
}

// writers are the formats, by name.
var writers = map[string]func(l listing.Listing, w io.Writer) error{
	"table":    func(l listing.Listing, w io.Writer) error { return l.Table(w, coloured(w)) },
	"json":     listing.Listing.JSON,
	"csv":      listing.Listing.CSV,
	"sarif":    listing.Listing.SARIF,
	"markdown": listing.Listing.Markdown,
}

func scanCommand() *cobra.Command {
	var flags scanFlags
	names := strings.Join(slices.Sorted(maps.Keys(writers)), ", ")
	scan := &cobra.Command{
		Use:   "scan --config FILE",
		Short: "List what there is to find, without Slack",
		Long: `Read the accounts of a configuration, whose slack part may be missing, and list what there is to find. Nothing is changed, in AWS or
elsewhere. What only the store knows is not seen: a stuck rotation, and what was linked or accepted in Slack.

Exit code 0: everything was looked at and nothing is due. 1: something is. 2: not everything could be looked at, or the command
line or the configuration is wrong; whatever was found is listed all the same. What is exempt is listed, and not due.

Ctrl-C ends it with exit code 2, says how many accounts were read, and lists nothing. A scan of this kind keeps nothing: the next one
reads every account.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return scan(cmd.Context(), flags, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	scan.Flags().StringVar(&flags.config, "config", "", "the configuration `file` (required)")
	scan.Flags().StringVar(&flags.format, "format", "table", "the `form` of the list: "+names)
	scan.Flags().StringSliceVar(&flags.accounts, "account", nil, "read only the account with this `id or name`; may be repeated")
	scan.Flags().BoolVar(&flags.quick, "report-only", false, "go by the credential report alone: a few calls for each account, up to four hours old, without key ids")
	if err := scan.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag is declared some lines above
	}
	return scan
}

func scan(ctx context.Context, flags scanFlags, stdout, stderr io.Writer) error {
	write, ok := writers[flags.format]
	if !ok {
		return fmt.Errorf("format %q is not known: write one of %s", flags.format, strings.Join(slices.Sorted(maps.Keys(writers)), ", "))
	}
	cfg, err := app.LoadForScan(flags.config)
	if err != nil {
		return err
	}
	bar := newBar(stderr)
	found, err := app.Scan(ctx, app.ScanOptions{
		Config: cfg, Accounts: flags.accounts, ReportOnly: flags.quick, Version: buildVersion(), Logger: slog.New(slog.DiscardHandler), Progress: bar.show,
	})
	bar.end()
	if err != nil {
		return err
	}
	if err := write(found, stdout); err != nil {
		return err
	}
	switch {
	case !found.Complete:
		return &outcome{exitNotSeen}
	case found.Due() > 0:
		return &outcome{exitFound}
	}
	return nil
}

// onTerminal tells whether somebody watches.
func onTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// coloured tells whether to colour (https://no-color.org).
func coloured(w io.Writer) bool {
	return onTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
