// Package models holds the protocols of the shared words as Promela models, and
// a test that checks them with Spin: `go test -tags models ./tests/models`. The
// README says which model states which code, and what is not modelled.
package models
