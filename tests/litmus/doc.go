// Package litmus holds the orders of memory accesses that the C library relies on, as
// small C++ programs (in programs/, where Go does not take them for its own), and a test
// that runs them through Relacy, which tries every order of the threads and every value
// that the C++ memory model lets a load see: `go test -tags models ./tests/litmus`. What
// that does not show stands in tests/models/README.md.
package litmus
