package main

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// together is how many stories are played at the same time. They wait for clocks and for each other far more than they compute, so it is more
// than there are processors.
const together = 8

func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue { // nobody has asked for another number
		if err := parallel.Value.Set(strconv.Itoa(together)); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
