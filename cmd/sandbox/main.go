// Sandbox is Keyturner with nothing outside it: a simulated Slack workspace, a simulated AWS account and the real app in one process,
// with a page to play on.
//
//	go run ./cmd/sandbox          serve until Ctrl-C, and print the three addresses
//	go run ./cmd/sandbox tour     play one whole rotation and print what happens
//
// It listens on loopback alone, takes no real token, and sends nothing anywhere else. The tour exits with 0 only if the old key is
// gone, the new one works, and its secret was seen once, by its owner.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "sandbox: %v\n", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var s settings
	root := &cobra.Command{
		Use:           "sandbox",
		Short:         "Play with Keyturner on a simulated Slack and a simulated AWS",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.logs, s.applications = cmd.ErrOrStderr(), true
			w, err := newWorld(cmd.Context(), s)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "page %s\nslack %s/api/\naws %s\n", w.pageURL, w.slackURL, w.awsURL)
			return errors.Join(w.run(cmd.Context()), w.close())
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.Flags().StringVar(&s.page, "addr", "127.0.0.1:8080", "`address` of the page; port 0 picks one")
	root.Flags().StringVar(&s.slack, "slack-addr", "127.0.0.1:8081", "`address` of the simulated Slack")
	root.Flags().StringVar(&s.aws, "aws-addr", "127.0.0.1:8082", "`address` of the simulated AWS")
	root.Flags().StringVar(&s.data, "data", "", "`folder` that keeps the store across runs; Slack and AWS begin anew (default: a temporary one)")
	root.AddCommand(&cobra.Command{
		Use:   "tour",
		Short: "Play one whole rotation and print what happens",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return tour(cmd.Context(), cmd.OutOrStdout()) },
	})
	return root
}
