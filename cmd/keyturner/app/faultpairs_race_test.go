//go:build race

package app_test

// raceEnabled: everything is some ten times slower under the race detector.
const raceEnabled = true
