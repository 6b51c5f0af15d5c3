//go:build race

package main

// raceEnabled: the test itself is slowed down by the race detector, and what it starts is not.
const raceEnabled = true
