package harness

import (
	"testing"
	"time"
)

// Await asks until ok, and fails the test when that takes forever.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	giveUp := time.Now().Add(Patience)
	for !ok() {
		if time.Now().After(giveUp) {
			t.Fatalf("waited %v in vain until %s", Patience, what)
		}
	}
}
