package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/keyturner/keyturner/rotation"
)

// Closer is an open store. Close waits for the calls under way; a closed store refuses further ones, except Mem, which forgets
// nothing.
type Closer interface {
	rotation.Store
	io.Closer
	// Shared tells whether other processes may have the same store open.
	Shared() bool
}

// Config says how a store is opened. Its zero value is what keyturner uses.
type Config struct {
	LockTimeout time.Duration // how long to wait for another process to let go of the file; 0: 3 s
	Logger      *slog.Logger  // nil: discard
	AWS         *aws.Config   // credentials and endpoint for DynamoDB; nil: those that the SDK finds
}

const lockTimeout = 3 * time.Second

func (c Config) withDefaults() Config {
	if c.LockTimeout == 0 {
		c.LockTimeout = lockTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Open opens the store that spec names, with the zero Config.
func Open(spec string) (Closer, error) { return Config{}.Open(spec) }

// Open opens the store that spec names: "bolt:PATH" for a file, which is created if it is not there, "dynamodb:REGION/TABLE" for a table
// that is there, or "mem".
func (c Config) Open(spec string) (Closer, error) {
	scheme, rest, parted := strings.Cut(spec, ":")
	switch {
	case scheme == "bolt" && rest != "":
		b, err := OpenBolt(rest, c)
		if err != nil {
			return nil, err // not b: a nil *Bolt in the interface would not be nil
		}
		return b, nil
	case scheme == "bolt":
		return nil, errors.New("open store: the path is missing: write bolt:PATH, such as bolt:keyturner.db")
	case scheme == "dynamodb":
		d, err := OpenDynamo(rest, c)
		if err != nil {
			return nil, err
		}
		return d, nil
	case scheme == "mem" && !parted:
		return NewMem(), nil
	}
	return nil, fmt.Errorf("open store %q: unknown kind: write bolt:PATH for a file, dynamodb:REGION/TABLE for a table, or mem to keep nothing", spec)
}
