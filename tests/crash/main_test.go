// Package crash kills real clients in every position that matters (holding a
// lock, waiting for one, in the middle of taking one) and in every constellation
// (forked, exec'ing, without their socket, in another pid namespace, of another
// user), and the daemon, and looks at what is left.
//
// The clients are three: this test binary, executed again, with mapped memory;
// the same over the socket only; and c/client.c. They do what they are told, a
// line for a line, so that a test knows where a client stands when it kills it.
// After every test the daemon must be as it was at the start, and every object
// valid and at rest: harness.StartDaemon and harness.NoLeaks see to it.
package crash

import (
	"os"
	"testing"
)

// flavourVariable makes a client of this binary.
const flavourVariable = "SHMD_CRASH_FLAVOUR"

func TestMain(m *testing.M) {
	if f := os.Getenv(flavourVariable); f != "" {
		os.Exit(clientMain(flavour(f)))
	}
	os.Exit(m.Run())
}
