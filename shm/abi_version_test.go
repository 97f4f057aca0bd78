package shm

import (
	"errors"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
)

// Which layouts a client takes, and whom it tells to update.
func TestCheckLayout(t *testing.T) {
	const other = ABIFingerprint + 1
	for _, c := range []struct {
		name            string
		version, compat uint32
		fingerprint     uint64
		want            error
		says            string
	}{
		{"ours", ABIVersion, ABICompat, ABIFingerprint, nil, ""},
		{"later, and ours can use it", ABIVersion + 3, ABIVersion, other, nil, ""},
		{"later", ABIVersion + 3, ABIVersion + 2, other, status.Version, "update it"},
		{"older", ABIVersion - 1, 0, other, status.Version, "update the daemon"},
		{"changed without a new version", ABIVersion, ABICompat, other, status.Version, "equal builds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckLayout(c.version, c.compat, c.fingerprint)
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}
