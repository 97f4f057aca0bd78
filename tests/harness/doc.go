// Package harness starts real daemons and real clients for the tests that need
// more than one process, and checks afterwards that nothing was left behind.
//
// What it starts it stops, at the latest when the test ends. Every wait has a
// watchdog that fails the test with what was being waited for; nothing sleeps:
// processes talk in lines over pipes, and the daemon and the kernel are asked for
// a visible state.
package harness
