// Keyturner rotates the access keys of AWS IAM users, with people deciding in Slack.
//
//	keyturner run --config FILE     serve until interrupted; --store and --health ADDRESS, see run --help
//	keyturner scan --config FILE    list what there is to find, without Slack; see scan --help
//	keyturner config check FILE     read a configuration and say what it means
//	keyturner store backup FILE     copy the store to a new file, while keyturner runs or not
//	keyturner store restore FILE    make the store anew from such a copy
//	keyturner store check           say whether the store is sound, and what it holds
//	keyturner version
//
// The store commands take --store bolt:PATH, or --config FILE for the store that it names.
//
// run takes its tokens from SLACK_APP_TOKEN and SLACK_BOT_TOKEN, or from the files that SLACK_APP_TOKEN_FILE and SLACK_BOT_TOKEN_FILE
// name, and its AWS credentials from where the AWS SDK looks. SLACK_API_URL and AWS_ENDPOINT_URL point it elsewhere. It logs JSON
// to standard error. A scan exits as its help says; every other command exits with 0 when interrupted, with 2 if the configuration, the environment or the command line is wrong,
// and with 1 on any other failure.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings handed in. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := commands()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if end, said := errors.AsType[*outcome](err); said {
		return end.code
	}
	fmt.Fprintf(stderr, "keyturner: %v\n", err)
	if _, failed := errors.AsType[*failure](err); failed {
		return 1
	}
	return 2
}

// failure is an error of the running program; every other one is the operator's to mend before it can run.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "keyturner",
		Short:         "Rotate AWS IAM access keys, with people deciding in Slack",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true

	var flags runFlags
	serve := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Serve until interrupted",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), flags, cmd.ErrOrStderr()) },
	}
	serve.Flags().StringVar(&flags.config, "config", "", "the configuration `file` (required)")
	serve.Flags().StringVar(&flags.store, "store", "", "the `store`, in place of the configuration's: bolt:PATH, dynamodb:REGION/TABLE or mem")
	serve.Flags().StringVar(&flags.health, "health", "", "serve /livez and /readyz at this `address`, such as 127.0.0.1:8080")
	if err := serve.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag is declared one line above
	}

	config := &cobra.Command{
		Use: "config", Short: "Work with a configuration file", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }, // with it, a mistyped command is an error
	}
	config.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Read a configuration and say what it means",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := app.Load(args[0])
			if err != nil {
				return err
			}
			return cfg.Summary(cmd.OutOrStdout())
		},
	})
	version := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "keyturner", buildVersion()) },
	}
	root.AddCommand(serve, config, scanCommand(), storeCommands(), version)
	return root
}

// runFlags are what the command line says beside the configuration.
type runFlags struct{ config, store, health string }

func serve(ctx context.Context, flags runFlags, stderr io.Writer) error {
	cfg, err := app.Load(flags.config)
	if err != nil {
		return err
	}
	if flags.store != "" {
		cfg.Store = flags.store
	}
	appToken, botToken, err := app.Tokens(os.Getenv)
	if err != nil {
		return err
	}
	sinks, err := app.Sinks(cfg, os.Getenv)
	if err != nil {
		return err
	}
	slackURL, err := slackURL(os.Getenv("SLACK_API_URL"))
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	a, err := app.New(ctx, app.Options{
		Config: cfg, AppToken: appToken, BotToken: botToken, SlackURL: slackURL, Health: flags.health, Logger: log,
		Sinks: sinks, Version: buildVersion(),
	})
	if err != nil && ctx.Err() != nil {
		log.Info("keyturner was stopped before it ran", "err", err)
		return nil
	}
	if err != nil {
		return &failure{err}
	}
	log.Info("keyturner runs", "version", buildVersion(), "store", cfg.Store)
	if err := errors.Join(a.Run(ctx), a.Close()); err != nil {
		return &failure{err}
	}
	log.Info("keyturner has stopped")
	return nil
}

// slackURL checks the address of another Web API and gives it the slash at its end that the client needs.
func slackURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("read SLACK_API_URL %q: write an address such as https://slack.com/api/", s)
	}
	return strings.TrimSuffix(s, "/") + "/", nil
}

// buildVersion is the module's version, or the commit it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			version = s.Value
		}
	}
	return version + " " + info.GoVersion
}
