// Command bench measures what shmd promises about speed and memory: `make bench`
// builds and runs it. docs/benchmarks.md says how to read its table.
//
// Every comparison is made within one run, in pairs: rival, ours, rival, ours, so
// that a machine that slows down slows both. Nothing here is a test: the exit
// status is 0 whether a goal is met or missed, and not 0 only when something
// could not be measured.
//
// The processes that a measurement needs are this binary again, called with
// "child NAME", and the programs of c/. They are spoken to in lines, end when
// their input does, and are killed when the part that started them takes longer
// than the watchdog.
package main
