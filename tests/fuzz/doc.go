// Package fuzz holds the fuzz target of the C library: a daemon that answers anything, and
// memory that holds anything (target/answers.c). `make fuzz` runs it with libFuzzer; the
// test here runs it over the corpus, testdata/answers, and over what a few changes at random
// make of that, with the sanitizers of the compiler that is there (target/replay.c).
//
// The targets in Go stand beside what they fuzz.
package fuzz
