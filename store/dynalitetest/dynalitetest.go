// Package dynalitetest runs DynamoDB for tests: dynalite of the npm registry, which somebody else wrote after the real one, from memory
// and in a process of its own.
//
//	endpoint := dynalitetest.Start(t)
//	dynalitetest.CreateTable(t, endpoint, "keyturner")
//	kept, err := store.Config{AWS: dynalitetest.AWS(endpoint)}.Open("dynamodb:eu-central-1/keyturner")
//
// A test of the built program gives it [Env].
//
// # What it does not model
//
// Indexes that lag behind, throttling, permissions, expiry by the time to live, continuous backups, encryption: what is said of them
// when a table is created is taken and forgotten.
package dynalitetest

import (
	"bufio"
	"embed"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/keyturner/keyturner/bot/slacksim/npmtest"
	"github.com/keyturner/keyturner/store"
)

//go:embed npm/package.json npm/package-lock.json npm/.npmrc npm/serve.js
var packed embed.FS

// Region is what tests may call the region; any other will do.
const Region = "eu-central-1"

// Start runs dynalite until the end of the test, and returns its URL. Where it cannot be had, the test is skipped, or fails if the
// environment says KEYTURNER_REQUIRE=all.
func Start(t testing.TB) (endpoint string) {
	t.Helper()
	source := t.TempDir() // this package may be used from any folder, and its own need not be there
	files, err := fs.Sub(packed, "npm")
	if err == nil {
		err = os.CopyFS(source, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	folder := npmtest.Folder(t, source)
	server := exec.Command("node", filepath.Join(folder, "serve.js"))
	server.Stderr = os.Stderr
	in, err := server.StdinPipe() // which ends it should this process be killed
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = errors.Join(in.Close(), server.Process.Kill(), server.Wait()) // killed, as it says
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dynalite did not say where it listens: %v", err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// AWS is a configuration that reaches endpoint. It repeats a failed request at once.
func AWS(endpoint string) *aws.Config {
	return &aws.Config{
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider("dynalite", "dynalite", ""),
		BaseEndpoint: aws.String(endpoint),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
				o.RateLimiter = ratelimit.None
			})
		},
	}
}

// Env is what a process reaches endpoint with that finds its AWS configuration in the environment.
func Env(endpoint string) []string {
	return []string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + endpoint, "AWS_ACCESS_KEY_ID=dynalite", "AWS_SECRET_ACCESS_KEY=dynalite", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// CreateTable creates a table as it is shipped.
func CreateTable(t testing.TB, endpoint, table string) {
	t.Helper()
	api := dynamodb.NewFromConfig(*AWS(endpoint))
	_, err := api.CreateTable(t.Context(), store.Table(table))
	if err == nil {
		wait := dynamodb.NewTableExistsWaiter(api, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = time.Millisecond })
		err = wait.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: &table}, time.Minute)
	}
	if err != nil {
		t.Fatalf("create table %s: %v", table, err)
	}
}
