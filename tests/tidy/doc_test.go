// Package tidy checks the source of the repository against the rules of the
// house: what no compiler and no linter knows (tidy_test.go, rules_test.go),
// and the import graph, which is the architecture (imports_test.go).
//
// Every rule carries samples that it must find and samples that it must not,
// and they run with it: a rule that can no longer fail is itself a failure.
// Exceptions are exact files with a reason; one that is no longer needed fails.
package tidy
