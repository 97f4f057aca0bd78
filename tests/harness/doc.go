// Package harness starts real daemons and real clients for the tests that need
// more than one process, and checks afterwards that nothing was left behind.
//
// What it starts it stops, at the latest when the test ends. Every wait has a
// watchdog that fails the test with what was being waited for; nothing sleeps
// and nothing polls: processes talk in lines over pipes.
package harness
