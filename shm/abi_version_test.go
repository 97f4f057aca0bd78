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
		magic           uint64
		version, compat uint32
		fingerprint     uint64
		want            error
		says            string
	}{
		{"ours", Magic, ABIVersion, ABICompat, ABIFingerprint, nil, ""},
		{"later, and ours can use it", Magic, ABIVersion + 3, ABIVersion, other, nil, ""},
		{"later", Magic, ABIVersion + 3, ABIVersion + 2, other, status.Version, "update it"},
		{"older", Magic, ABIVersion - 1, 0, other, status.Version, "update the daemon"},
		{"changed without a new version", Magic, ABIVersion, ABICompat, other, status.Version, "equal builds"},
		{"no segment", Magic + 1, ABIVersion, ABICompat, ABIFingerprint, status.Corrupt, "no segment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := NewGeometry(KindMutex, 0, nil, 0, SeatsDefault)
			if err != nil {
				t.Fatal(err)
			}
			s := NewHeapSegment(g, 1)
			h := &s.page.Header
			h.Magic, h.ABIVersion, h.ABICompat, h.Fingerprint = c.magic, c.version, c.compat, c.fingerprint
			err = s.CheckLayout()
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}
